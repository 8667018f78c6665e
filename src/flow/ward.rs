//! The supervisor's side of a supervised run: it gets what workers hold when they cannot go on, and sends it on.
//!
//! A worker is, for its ward, in one of three states: it *runs*; it has *returned* its holdings, which are in the
//! supervisor's hand and on no thread; it has *finished*. Holdings travel over a ring of one slot that is made for each
//! thread of the worker, so the thread's end is the ring's end, and everything that the old thread did to its ends of
//! other rings happens before the new one touches them.

use std::io;
use std::time::Duration;

use super::desk::{Control, Desk, Phase, Settled, Terms, lock, spawn};
use super::holdings::{Holdings, Returned};
use super::pulse::Beat;
use crate::cores::PinOutcome;
use crate::idle::{Parker, Waker};
use crate::ring::{self, Receiver};
use crate::sync::Arc;

/// The workers of a supervised run, by number, as their supervisor holds them.
pub struct Ward {
    control: Arc<Control>,
    parker: Parker,
    terms: Terms,
    desks: Vec<Arc<Desk>>,
    returns: Vec<Receiver<Returned>>,
}

impl Ward {
    pub(super) fn new(control: Arc<Control>, parker: Parker, terms: Terms) -> Self {
        Self { control, parker, terms, desks: Vec::new(), returns: Vec::new() }
    }

    /// Starts a worker for the first time.
    pub(super) fn admit(&mut self, desk: Arc<Desk>, holdings: Holdings) -> Result<(), (io::Error, Holdings)> {
        let (mut sender, receiver) = ring::bounded(1);
        sender.set_waker(Some(self.parker.waker()));
        let spawned = spawn(&self.control, &desk, self.terms, Some(sender), holdings);
        self.desks.push(desk);
        self.returns.push(receiver);
        spawned
    }

    /// Starts the workers that have come since the last call.
    pub fn admit_newcomers(&mut self) {
        for (desk, holdings) in self.control.take_newcomers() {
            if let Err((_error, mut holdings)) = self.admit(Arc::clone(&desk), holdings) {
                // Whoever waits for it finds it ended.
                *lock(&desk.settled) = Some(Ok(Settled::NOWHERE));
                holdings.give_up();
                desk.finish(holdings, &self.control);
            }
        }
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.desks.len()
    }

    /// The name of a worker.
    pub fn name(&self, worker: usize) -> &str {
        &self.desks[worker].name
    }

    /// To whom a worker belongs ([`Worker::in_group`](super::Worker::in_group)).
    pub fn group(&self, worker: usize) -> Option<usize> {
        self.desks[worker].group
    }

    /// The names of a worker's stages.
    pub fn stages(&self, worker: usize) -> &[String] {
        &self.desks[worker].stages
    }

    /// How pinning a worker went.
    pub fn pin(&self, worker: usize) -> PinOutcome {
        self.desks[worker].settled().pin
    }

    /// A worker's heartbeat.
    pub fn beat(&self, worker: usize) -> Beat {
        self.desks[worker].pulse.read()
    }

    /// Whether a worker has ended for good.
    pub fn is_finished(&self, worker: usize) -> bool {
        self.desks[worker].is_finished()
    }

    /// Whether the run was given up: what is in hand is to be retired.
    pub fn is_given_up(&self) -> bool {
        self.control.phase() == Phase::GivenUp
    }

    /// Whether the run is to end.
    pub fn is_ending(&self) -> bool {
        self.control.phase() != Phase::Running
    }

    /// What a worker has handed over, once.
    pub fn returned(&mut self, worker: usize) -> Option<Returned> {
        self.returns[worker].pop().ok()
    }

    /// Asks a worker to hand over what it holds.
    pub fn recall(&self, worker: usize) {
        self.desks[worker].recall.ask();
    }

    /// Lets a worker go on with what it had handed over, on a new thread. If none can be started, the holdings come
    /// back.
    pub fn relaunch(&mut self, worker: usize, holdings: Holdings) -> Result<(), (io::Error, Holdings)> {
        let desk = &self.desks[worker];
        desk.recall.take_back();
        let (mut sender, receiver) = ring::bounded(1);
        sender.set_waker(Some(self.parker.waker()));
        spawn(&self.control, desk, self.terms, Some(sender), holdings)?;
        self.returns[worker] = receiver;
        Ok(())
    }

    /// Ends a worker for good whose holdings are in hand: what of them has not ended is given up.
    pub fn retire(&self, worker: usize, mut holdings: Holdings) {
        holdings.give_up();
        self.desks[worker].finish(holdings, &self.control);
    }

    /// Ends the run in good order; see [`Running::stop`](super::Running::stop).
    pub fn end_inputs(&self) {
        self.control.end_inputs();
    }

    /// Gives the run up: every worker leaves after the duty cycle that it is in, and what is in hand is to be retired.
    pub fn give_up(&self) {
        self.control.advance(Phase::GivenUp);
    }

    /// Whether something waits to be seen to: something was returned, a worker has finished, the run was given up.
    fn has_news(&self, seen: &News) -> bool {
        self.news() != *seen
            || self.returns.iter().any(|ring| !ring.is_empty())
            || self.control.has_newcomers()
    }

    /// What [`wait`](Self::wait) is to compare with.
    pub fn news(&self) -> News {
        News {
            finished: self.desks.iter().filter(|desk| desk.is_finished()).count(),
            given_up: self.is_given_up(),
        }
    }

    /// What wakes the supervisor.
    pub fn waker(&self) -> Waker {
        self.parker.waker()
    }

    /// Sleeps until something is returned, something has changed since `seen`, somebody wakes the supervisor (and
    /// `is_awake` says why), or `limit` has passed.
    pub fn wait(&mut self, seen: &News, limit: Duration, is_awake: impl FnOnce() -> bool) {
        self.parker.announce();
        if self.has_news(seen) || is_awake() {
            self.parker.cancel();
        } else {
            self.parker.park(limit);
        }
    }
}

/// What has happened to a run so far, as far as it can be slept through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct News {
    finished: usize,
    given_up: bool,
}

impl std::fmt::Debug for Ward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ward").field("workers", &self.desks.len()).finish_non_exhaustive()
    }
}
