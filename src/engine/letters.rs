//! Dead letters on their way out: from the stage whose stream failed, over a bounded ring, to whoever takes them.
//!
//! If nobody has promised to take them, those that find no room are only counted. Where somebody has, they wait, and
//! the stage takes no more input meanwhile: then none is lost, however many there are.

use std::collections::VecDeque;

use crate::context::{Failure, FailureSink};
use crate::idle::Waker;
use crate::ring::{self, PushError, Receiver, Sender};
use crate::sync::Arc;
use crate::vpl::plan::Plan;

use super::stats::{DeadLetter, FailureCounts};

/// Dead letters of one stage that wait for somebody to take them.
const SLOTS: usize = 1024;

/// The writing end.
pub(super) struct Letters {
    plan: Arc<Plan>,
    ring: Sender<DeadLetter>,
    counts: Arc<FailureCounts>,
    keeps_all: bool,
    waiting: VecDeque<DeadLetter>,
}

impl Letters {
    /// The two ends. With `keeps_all` none is dropped, and `waker` wakes the stage when there is room.
    pub(super) fn new(
        plan: &Arc<Plan>,
        counts: &Arc<FailureCounts>,
        keeps_all: bool,
        waker: Option<Waker>,
    ) -> (Self, Receiver<DeadLetter>) {
        let (ring, mut receiver) = ring::bounded(SLOTS);
        receiver.set_waker(waker.filter(|_| keeps_all));
        let (plan, counts) = (Arc::clone(plan), Arc::clone(counts));
        (Self { plan, ring, counts, keeps_all, waiting: VecDeque::new() }, receiver)
    }
}

impl FailureSink for Letters {
    fn take(&mut self, failure: Failure) {
        self.counts.note_failed();
        self.waiting.push_back(DeadLetter::new(&self.plan, failure));
        if self.is_blocked() && !self.keeps_all {
            self.close();
        }
    }

    fn is_blocked(&mut self) -> bool {
        while let Some(letter) = self.waiting.pop_front() {
            match self.ring.push(letter) {
                Ok(()) => {}
                Err(PushError::Full(letter)) => {
                    self.waiting.push_front(letter);
                    return true;
                }
                Err(PushError::Closed(_)) => self.counts.note_dropped(1),
            }
        }
        false
    }

    fn close(&mut self) {
        self.counts.note_dropped(self.waiting.len() as u64);
        self.waiting.clear();
    }
}

/// Dead letters on their way to whoever takes them.
#[derive(Debug)]
pub(super) struct DeadLetters {
    pub(super) rings: Vec<Receiver<DeadLetter>>,
    /// Where none may be dropped: those that were taken off their rings so that stages can go on.
    waiting: VecDeque<DeadLetter>,
    keeps_all: bool,
}

impl DeadLetters {
    pub(super) fn new(rings: Vec<Receiver<DeadLetter>>, keeps_all: bool) -> Self {
        Self { rings, waiting: VecDeque::new(), keeps_all }
    }

    /// Makes room on the rings while the caller waits for something else.
    pub(super) fn make_room(&mut self) {
        if self.keeps_all {
            let Self { rings, waiting, .. } = self;
            for ring in rings {
                waiting.extend(std::iter::from_fn(|| ring.pop().ok()));
            }
        }
    }

    /// Keeps letters that nobody has taken before a rollback.
    pub(super) fn keep(&mut self, letters: Vec<DeadLetter>) {
        self.waiting.extend(letters);
    }

    pub(super) fn take(&mut self) -> Vec<DeadLetter> {
        let Self { rings, waiting, .. } = self;
        let on_rings = rings.iter_mut().flat_map(|ring| std::iter::from_fn(|| ring.pop().ok()));
        waiting.drain(..).chain(on_rings).collect()
    }
}
