//! The thread of a worker: what it shares with the holder of the run, where it runs, and how it ends.
//!
//! A thread is *unforeseen* if it leaves in a way that nobody thought of, *over* when all its stages have ended, and
//! *replaced* when it has handed over what it holds; only then the worker has not finished.

use std::io;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::holdings::{Holdings, Returned, WhyReturned};
use super::load::{LoadGauge, load_meter};
use super::panics;
use super::pulse::Pulse;
use super::recall::Recall;
use super::report::StageReport;
use super::runtime::StartError;
use super::stage::Leftovers;
use super::worker::{Exit, Worker, work};
use crate::cores::{LowJitter, PinOutcome, PinPolicy, ThreadTuning, pin_current};
use crate::idle::{Idle, Waker};
use crate::ring::{PushError, Sender};
use crate::sync::{Arc, AtomicBool, AtomicU8, Mutex, MutexGuard, Ordering, sleep, spawn_named, yield_now};

/// How long a real-time thread sleeps before it looks again whether the run has started.
const START_POLL: Duration = Duration::from_micros(100);

/// How far a run has come; see `runtime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Running = 0,
    Ending = 1,
    GivenUp = 2,
}

/// What a run's workers and its holder share.
pub(super) struct Control {
    /// On a cache line of its own: each worker reads it in each duty cycle, and the supervisor takes locks beside it.
    phase: CachePadded<AtomicU8>,
    /// False until every worker is settled: pinned, and given what else was asked for.
    pub(super) started: AtomicBool,
    /// Who may sleep and has to see the phase change.
    sleepers: Mutex<Vec<Waker>>,
    /// Who waits for workers to finish.
    holders: Vec<Waker>,
    /// The supervisor is at work. Changed only while `newcomers` is locked.
    is_supervised: AtomicBool,
    /// Workers that the supervisor has to start.
    newcomers: Mutex<Vec<(Arc<Desk>, Holdings)>>,
}

impl Control {
    pub(super) fn new(sleepers: Vec<Waker>, holders: Vec<Waker>) -> Self {
        Self {
            phase: CachePadded::new(AtomicU8::new(Phase::Running as u8)),
            started: AtomicBool::new(false),
            sleepers: Mutex::new(sleepers),
            holders,
            is_supervised: AtomicBool::new(false),
            newcomers: Mutex::new(Vec::new()),
        }
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        // Relaxed: nothing is published with the phase; what was pushed before a stop is seen in the rings.
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::Running,
            1 => Phase::Ending,
            _ => Phase::GivenUp,
        }
    }

    /// Moves the phase forward.
    pub(super) fn advance(&self, phase: Phase) {
        // Relaxed: see `phase`. Sleepers see it because waking has a fence.
        let before = self.phase.fetch_max(phase as u8, Ordering::Relaxed);
        if before < phase as u8 {
            lock(&self.sleepers).iter().for_each(Waker::wake);
        }
    }

    /// Ends the run in good order.
    pub(super) fn end_inputs(&self) {
        self.advance(Phase::Ending);
    }

    /// One more may sleep and has to see the phase change.
    pub(super) fn add_sleeper(&self, waker: Option<Waker>) {
        lock(&self.sleepers).extend(waker);
    }

    /// Has the supervisor start a worker; gives it back where there is no supervisor.
    pub(super) fn hand_to_supervisor(
        &self,
        desk: Arc<Desk>,
        holdings: Holdings,
    ) -> Option<(Arc<Desk>, Holdings)> {
        let mut newcomers = lock(&self.newcomers);
        if !self.is_supervised() {
            return Some((desk, holdings));
        }
        newcomers.push((desk, holdings));
        drop(newcomers);
        self.holders.iter().for_each(Waker::wake);
        None
    }

    /// The workers that the supervisor has to start.
    pub(super) fn take_newcomers(&self) -> Vec<(Arc<Desk>, Holdings)> {
        std::mem::take(&mut *lock(&self.newcomers))
    }

    /// Whether there are some.
    pub(super) fn has_newcomers(&self) -> bool {
        !lock(&self.newcomers).is_empty()
    }

    /// Whether the supervisor is at work.
    pub(super) fn is_supervised(&self) -> bool {
        // Acquire: pairs with the Release in `OnDuty`, so that what the supervisor has told is told.
        self.is_supervised.load(Ordering::Acquire)
    }
}

/// The supervisor is at work until this is dropped.
pub(super) struct OnDuty(Arc<Control>);

impl OnDuty {
    pub(super) fn new(control: &Arc<Control>) -> Self {
        // Relaxed: published by starting the supervisor's thread.
        control.is_supervised.store(true, Ordering::Relaxed);
        Self(Arc::clone(control))
    }
}

impl Drop for OnDuty {
    fn drop(&mut self) {
        let mut newcomers = lock(&self.0.newcomers);
        // Release: pairs with the Acquire in `Control::is_supervised`.
        self.0.is_supervised.store(false, Ordering::Release);
        let late = std::mem::take(&mut *newcomers);
        drop(newcomers);
        for (desk, mut holdings) in late {
            holdings.give_up();
            *lock(&desk.settled) = Some(Ok(Settled::NOWHERE));
            desk.finish(holdings, &self.0);
        }
        self.0.holders.iter().for_each(Waker::wake);
    }
}

/// What a worker and the holder of the run share.
pub(super) struct Desk {
    pub(super) name: String,
    pub(super) stages: Vec<String>,
    pub(super) idle: Idle,
    pub(super) idle_reason: String,
    pub(super) group: Option<usize>,
    cpu: Option<usize>,
    pub(super) pulse: Pulse,
    pub(super) load: LoadGauge,
    pub(super) recall: Recall,
    pub(super) settled: Mutex<Option<Result<Settled, StartError>>>,
    outcome: Mutex<Option<Outcome>>,
    /// Set after `outcome`.
    finished: AtomicBool,
}

/// Where a worker runs, and with what.
#[derive(Clone)]
pub(super) struct Settled {
    pub(super) pin: PinOutcome,
    pub(super) thread: ThreadTuning,
}

/// What every thread of a run is to be given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) pin: PinPolicy,
    pub(super) low_jitter: LowJitter,
}

impl Settled {
    pub(super) const NOWHERE: Self = Self {
        pin: PinOutcome::NotAsked,
        thread: ThreadTuning { realtime_priority: None, timer_slack_ns: None },
    };

    /// Settles the current thread.
    fn here(role: &str, cpu: Option<usize>, terms: &Terms) -> Result<Self, StartError> {
        let pin = pin_current(role, cpu, terms.pin).map_err(StartError::Pin)?;
        let is_pinned = matches!(pin, PinOutcome::Pinned(_));
        let thread = terms.low_jitter.apply_to_thread(role, is_pinned).map_err(StartError::LowJitter)?;
        Ok(Self { pin, thread })
    }
}

/// How a worker has ended.
pub(super) struct Outcome {
    pub(super) stages: Vec<StageReport>,
    pub(super) leftovers: Leftovers,
}

impl Desk {
    /// The desk of a worker, and what the worker holds.
    pub(super) fn of(worker: Worker) -> (Arc<Self>, Holdings) {
        let Worker { name, group, cpu, idle, idle_reason, slots } = worker;
        let (meter, load) = load_meter();
        let desk = Self {
            name,
            stages: slots.iter().map(|slot| slot.name.clone()).collect(),
            idle: idle.strategy(),
            idle_reason,
            group,
            cpu,
            pulse: Pulse::new(),
            load,
            recall: Recall::new(idle.waker()),
            settled: Mutex::new(None),
            outcome: Mutex::new(None),
            finished: AtomicBool::new(false),
        };
        (Arc::new(desk), Holdings { slots, idle, meter, leftovers: Leftovers::new(), cycles: 0 })
    }

    /// Where its worker runs; nowhere, as long as that is not settled.
    pub(super) fn settled(&self) -> Settled {
        match &*lock(&self.settled) {
            Some(Ok(settled)) => settled.clone(),
            Some(Err(_)) | None => Settled::NOWHERE,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        // Acquire: pairs with the Release in `leave`, so that the outcome is there.
        self.finished.load(Ordering::Acquire)
    }

    /// How the worker has ended, once, if it has.
    pub(super) fn take_outcome(&self) -> Option<Outcome> {
        if self.is_finished() { lock(&self.outcome).take() } else { None }
    }

    /// Says how the worker's stages have ended.
    pub(super) fn finish(&self, holdings: Holdings, control: &Control) {
        let (stages, leftovers) = holdings.into_outcome();
        *lock(&self.outcome) = Some(Outcome { stages, leftovers });
        self.leave(control);
    }

    /// Says that the worker is gone for good.
    fn leave(&self, control: &Control) {
        // Release: pairs with the Acquire in `is_finished`.
        self.finished.store(true, Ordering::Release);
        control.holders.iter().for_each(Waker::wake);
    }
}

/// A value that is replaced in one assignment is never half-written, so a panic elsewhere doesn't spoil it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Says that the worker has finished if its thread leaves in a way that nobody foresaw.
struct Leave<'a> {
    desk: &'a Desk,
    control: &'a Control,
    is_foreseen: bool,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if !self.is_foreseen {
            self.desk.leave(self.control);
        }
    }
}

/// Starts a thread for a worker. Where that fails, what it holds comes back.
pub(super) fn spawn(
    control: &Arc<Control>,
    desk: &Arc<Desk>,
    terms: Terms,
    returns: Option<Sender<Returned>>,
    holdings: Holdings,
) -> Result<(), (io::Error, Holdings)> {
    // A thread that cannot be started drops what it was to run, and that must not be the holdings.
    let given = Arc::new(Mutex::new(Some((holdings, returns))));
    let (taken, control, its_desk) = (Arc::clone(&given), Arc::clone(control), Arc::clone(desk));
    // The handle is not kept: the desk tells when the worker has finished, and a stuck one must be left alone.
    let spawned = spawn_named(&desk.name, move || {
        let given = lock(&taken).take();
        if let Some((holdings, returns)) = given {
            run(&control, &its_desk, &terms, returns, holdings);
        }
    });
    match spawned {
        Ok(_) => Ok(()),
        Err(error) => match lock(&given).take() {
            Some((holdings, _)) => Err((error, holdings)),
            None => Ok(()),
        },
    }
}

/// The thread of a worker; with `returns`, of a supervised one.
fn run(
    control: &Control,
    desk: &Desk,
    terms: &Terms,
    returns: Option<Sender<Returned>>,
    mut holdings: Holdings,
) {
    let mut leave = Leave { desk, control, is_foreseen: false };
    if returns.is_some() {
        panics::are_supervised();
    }
    let settled = Settled::here(&desk.name, desk.cpu, terms);
    let unsettled = settled.as_ref().err().map(ToString::to_string);
    *lock(&desk.settled) = Some(settled);
    // Acquire: pairs with the Release in `Running::go`.
    let is_restart = control.started.load(Ordering::Acquire);
    while !control.started.load(Ordering::Acquire) && control.phase() != Phase::GivenUp {
        // To yield to lesser threads would not let them run.
        if terms.low_jitter.realtime.is_some() { sleep(START_POLL) } else { yield_now() }
    }
    let exit = match unsettled {
        // The start itself fails by that; a restart is one more failure.
        Some(message) if is_restart => Exit::HandOver(WhyReturned::Failed { stage: 0, message }),
        _ => {
            let recall = returns.as_ref().map(|_| &desk.recall);
            if is_restart {
                holdings.meter.resume();
            } else {
                holdings.meter.start();
            }
            let exit = work(&mut holdings, control, &desk.pulse, recall);
            match exit {
                Exit::Over => holdings.meter.end(),
                Exit::HandOver(_) => holdings.meter.pause(),
            }
            exit
        }
    };
    let (Exit::HandOver(why), Some(mut returns)) = (exit, returns) else {
        leave.is_foreseen = true;
        return desk.finish(holdings, control);
    };
    leave.is_foreseen = true;
    match returns.push(Returned { holdings, why }) {
        // The ring closes when this end goes, which is now.
        Ok(()) => {}
        // Nobody supervises any more: the run is being given up.
        Err(PushError::Full(returned) | PushError::Closed(returned)) => {
            let Returned { mut holdings, why } = returned;
            match why {
                WhyReturned::Failed { stage, message } => holdings.fail(stage, message),
                WhyReturned::Ended { stage } => holdings.end(stage),
                WhyReturned::Recalled => {}
            }
            holdings.give_up();
            desk.finish(holdings, control);
        }
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("name", &self.name)
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
