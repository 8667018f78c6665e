//! Starting workers, ending them within a deadline, and saying how it went.
//!
//! A run is in one of three phases, and only moves forward:
//!
//! - *running*;
//! - *ending*: someone asked for it ([`Running::stop`]) or a stage failed. Stages that take items from outside take
//!   what has come so far and end; the others end by themselves, each after those in front of it, so everything that
//!   has entered is still handled;
//! - *given up*: the deadline passed. Every worker leaves its loop after the duty cycle that it is in.
//!
//! A run that nobody stops ends when all inputs are closed. A thread can't be killed: a worker that doesn't come
//! back from a duty cycle is left alone and its stage named.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::graph::GraphError;
use super::load::{LoadGauge, load_meter};
use super::out_port::RingLeft;
use super::report::{JoinError, LowJitterReport, Report, StageReport, WorkerReport, count_undelivered};
use super::ring_care::RingMemory;
use super::stage::Leftovers;
use super::worker::{Pulse, StageEnd, Worker, work};
use crate::cores::{
    CpuSet, LowJitter, LowJitterError, PinError, PinOutcome, PinPolicy, RealtimeCase, ThreadTuning,
    allowed_cpus, isolated_cpus, pin_current,
};
use crate::idle::{Idle, Parker, Waker};
use crate::sync::{Arc, AtomicBool, AtomicU8, Mutex, MutexGuard, Ordering, sleep, spawn_named, yield_now};

/// How long [`Running::join`] waits, after it gave a run up at its deadline, for duty cycles that are under way.
pub const GRACE: Duration = Duration::from_millis(200);

/// How long a real-time thread sleeps before it looks again whether the run has started.
const START_POLL: Duration = Duration::from_micros(100);

/// How far a run has come; see the top of this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    Running = 0,
    Ending = 1,
    GivenUp = 2,
}

/// What a run's workers and its holder share.
pub(super) struct Control {
    phase: AtomicU8,
    /// False until every worker is settled: pinned, and given what else was asked for.
    started: AtomicBool,
    /// Who may sleep and has to see the phase change.
    sleepers: Mutex<Vec<Waker>>,
}

impl Control {
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
    fn advance(&self, phase: Phase) {
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
}

/// What a worker and the holder of the run share.
struct Desk {
    name: String,
    stages: Vec<String>,
    idle: Idle,
    idle_reason: String,
    pulse: Pulse,
    load: LoadGauge,
    settled: Mutex<Option<Result<Settled, StartError>>>,
    outcome: Mutex<Option<Outcome>>,
    /// Set after `outcome`.
    finished: AtomicBool,
}

/// Where a worker runs, and with what.
#[derive(Clone)]
struct Settled {
    pin: PinOutcome,
    thread: ThreadTuning,
}

impl Settled {
    const NOWHERE: Self = Self {
        pin: PinOutcome::NotAsked,
        thread: ThreadTuning { realtime_priority: None, timer_slack_ns: None },
    };

    /// Settles the current thread.
    fn here(
        role: &str,
        cpu: Option<usize>,
        policy: PinPolicy,
        low_jitter: &LowJitter,
    ) -> Result<Self, StartError> {
        let pin = pin_current(role, cpu, policy).map_err(StartError::Pin)?;
        let is_pinned = matches!(pin, PinOutcome::Pinned(_));
        let thread = low_jitter.apply_to_thread(role, is_pinned).map_err(StartError::LowJitter)?;
        Ok(Self { pin, thread })
    }
}

/// What a worker hands over when it ends.
struct Outcome {
    stages: Vec<StageReport>,
    leftovers: Leftovers,
}

impl Desk {
    /// Where its worker runs; nowhere, as long as that is not settled.
    fn settled(&self) -> Settled {
        match &*lock(&self.settled) {
            Some(Ok(settled)) => settled.clone(),
            Some(Err(_)) | None => Settled::NOWHERE,
        }
    }

    fn is_finished(&self) -> bool {
        // Acquire: pairs with the Release in `Leave`, so that the outcome is there.
        self.finished.load(Ordering::Acquire)
    }
}

/// A value that is replaced in one assignment is never half-written, so a panic elsewhere doesn't spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Says that the worker has finished when its thread leaves, in whatever way.
struct Leave {
    desk: Arc<Desk>,
    holder: Waker,
}

impl Drop for Leave {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `Desk::is_finished`.
        self.desk.finished.store(true, Ordering::Release);
        self.holder.wake();
    }
}

/// Why a run didn't start. Nothing runs then: no stage was stepped.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The graph is not as it should be.
    Graph(GraphError),
    /// A worker couldn't be pinned, and the policy is [`PinPolicy::Strict`].
    Pin(PinError),
    /// The operating system was asked for something that it refuses, or that must not be had here.
    LowJitter(LowJitterError),
    /// A thread couldn't be started.
    Thread {
        /// The worker.
        worker: String,
        /// Why not.
        error: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Graph(error) => error.fmt(f),
            Self::Pin(error) => error.fmt(f),
            Self::LowJitter(error) => error.fmt(f),
            Self::Thread { worker, error } => write!(f, "cannot start the thread of {worker}: {error}"),
        }
    }
}

impl Error for StartError {}

/// Starts one thread per worker, named after it, and pins it; no stage is stepped before all are pinned.
///
/// ```
/// use std::time::Duration;
/// use varpin::flow::{self, Cycle, Stage, Worker};
/// use varpin::{cores::PinPolicy, idle::Idle};
/// struct Once;
/// impl Stage for Once {
///     fn name(&self) -> &str {
///         "once"
///     }
///     fn duty_cycle(&mut self) -> Cycle {
///         Cycle::Done
///     }
/// }
/// let mut worker = Worker::new("once", Idle::Backoff);
/// worker.add(Once);
/// let running = flow::start(vec![worker], PinPolicy::BestEffort)?;
/// let report = running.join(Duration::from_secs(5))?;
/// assert_eq!(report.workers[0].name, "once");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn start(workers: Vec<Worker>, pin: PinPolicy) -> Result<Running, StartError> {
    start_with(workers, pin, &LowJitter::default())
}

/// [`start`], with more that the operating system is asked for. What it refuses is an error: nothing runs then without
/// what was asked for.
pub fn start_with(
    workers: Vec<Worker>,
    pin: PinPolicy,
    low_jitter: &LowJitter,
) -> Result<Running, StartError> {
    check_realtime(&workers, pin, low_jitter).map_err(StartError::LowJitter)?;
    // Before the threads start, so that their stacks are locked, too.
    let locked_bytes = low_jitter.apply_to_process().map_err(StartError::LowJitter)?;
    let parker = Parker::new();
    let control = Arc::new(Control {
        phase: AtomicU8::new(Phase::Running as u8),
        started: AtomicBool::new(false),
        sleepers: Mutex::new(workers.iter().filter_map(Worker::waker).collect()),
    });
    let mut running = Running {
        control,
        desks: Vec::new(),
        parker,
        outside: OutsideEnds::new(),
        low_jitter: LowJitterReport { locked_bytes, rings: None },
        pin,
        asked: *low_jitter,
        joined: false,
    };
    for worker in workers {
        let name = worker.name.clone();
        if let Err(error) = running.spawn(worker, pin, *low_jitter) {
            // Dropping `running` gives the others up before their first step.
            return Err(StartError::Thread { worker: name, error });
        }
    }
    running.await_settled()?;
    // Release: pairs with the Acquire in `spawn`, though the threads have nothing to see but the flag.
    running.control.started.store(true, Ordering::Release);
    Ok(running)
}

/// Whether the workers may have the real-time priority that is asked for.
fn check_realtime(workers: &[Worker], pin: PinPolicy, low_jitter: &LowJitter) -> Result<(), LowJitterError> {
    let Some(realtime) = low_jitter.realtime else { return Ok(()) };
    let cpu = |worker: &Worker| worker.cpu.filter(|_| pin != PinPolicy::Off);
    let placed: Vec<(&str, Option<usize>)> =
        workers.iter().map(|worker| (worker.name.as_str(), cpu(worker))).collect();
    let isolated = isolated_cpus(Path::new("/"));
    let allowed = allowed_cpus().unwrap_or_else(|_| CpuSet::default());
    realtime.check(&RealtimeCase { workers: &placed, isolated: &isolated, allowed: &allowed })
}

/// Workers that run.
#[derive(Debug)]
pub struct Running {
    control: Arc<Control>,
    desks: Vec<Arc<Desk>>,
    parker: Parker,
    outside: OutsideEnds,
    low_jitter: LowJitterReport,
    /// How workers that come later are pinned, and what the operating system is asked for them.
    pin: PinPolicy,
    asked: LowJitter,
    joined: bool,
}

/// Where ends of rings that no stage holds report what they leave behind, so that [`Report::undelivered`] is complete.
#[derive(Clone)]
pub struct OutsideEnds(Arc<Mutex<Leftovers>>);

impl OutsideEnds {
    /// Nothing reported yet.
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Leftovers::new())))
    }

    /// Reports the writing end of a ring; to be called when it is closed, before it is dropped.
    pub fn ring(&self, ring: RingLeft) {
        lock(&self.0).ring(ring);
    }

    /// What was reported.
    pub(super) fn take(&self) -> Leftovers {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Running {
    /// Starts one more worker. Where the policy is [`PinPolicy::Strict`] and its CPU can't be had, its stages are
    /// given up and the error says so.
    pub fn add(&mut self, worker: Worker) -> Result<(), StartError> {
        let name = worker.name.clone();
        lock(&self.control.sleepers).extend(worker.waker());
        let (pin, asked) = (self.pin, self.asked);
        self.spawn(worker, pin, asked).map_err(|error| StartError::Thread { worker: name, error })?;
        self.await_settled()
    }

    fn spawn(&mut self, worker: Worker, pin: PinPolicy, low_jitter: LowJitter) -> io::Result<()> {
        let Worker { name, cpu, mut idle, idle_reason, mut slots } = worker;
        let (mut meter, load) = load_meter();
        let desk = Arc::new(Desk {
            name: name.clone(),
            stages: slots.iter().map(|slot| slot.name.clone()).collect(),
            idle: idle.strategy(),
            idle_reason,
            pulse: Pulse::new(),
            load,
            settled: Mutex::new(None),
            outcome: Mutex::new(None),
            finished: AtomicBool::new(false),
        });
        let control = Arc::clone(&self.control);
        let leave = Leave { desk: Arc::clone(&desk), holder: self.parker.waker() };
        // The handle is not kept: the desk tells when the worker has finished, and a stuck one must be left alone.
        spawn_named(&name, move || {
            let desk = &leave.desk;
            *lock(&desk.settled) = Some(Settled::here(&desk.name, cpu, pin, &low_jitter));
            // Acquire: pairs with the Release in `start`.
            while !control.started.load(Ordering::Acquire) && control.phase() != Phase::GivenUp {
                // To yield to lesser threads would not let them run.
                if low_jitter.realtime.is_some() { sleep(START_POLL) } else { yield_now() }
            }
            let mut leftovers = Leftovers::new();
            meter.start();
            work(&mut slots, &mut idle, &control, &desk.pulse, &mut meter, &mut leftovers);
            meter.end();
            let stages = slots
                .into_iter()
                .map(|slot| StageReport { name: slot.name, end: slot.end.unwrap_or(StageEnd::GivenUp) })
                .collect();
            *lock(&desk.outcome) = Some(Outcome { stages, leftovers });
        })?;
        self.desks.push(desk);
        Ok(())
    }

    /// Counts what these ends leave behind, too.
    #[must_use]
    pub fn with_outside_ends(mut self, outside: OutsideEnds) -> Self {
        self.outside = outside;
        self
    }

    /// Tells of the memory of the rings between the workers, too.
    #[must_use]
    pub fn with_ring_memory(mut self, rings: RingMemory) -> Self {
        self.low_jitter.rings = Some(rings);
        self
    }

    /// Waits until every worker is settled.
    fn await_settled(&self) -> Result<(), StartError> {
        for desk in &self.desks {
            loop {
                let mut settled = lock(&desk.settled);
                match settled.take() {
                    Some(Ok(here)) => {
                        *settled = Some(Ok(here));
                        break;
                    }
                    Some(Err(error)) => return Err(error),
                    None => {}
                }
                drop(settled);
                yield_now();
            }
        }
        Ok(())
    }

    /// Asks the run to end: what has entered so far is still handled. Returns at once; [`join`](Self::join) waits.
    pub fn stop(&self) {
        self.control.end_inputs();
    }

    /// True once every worker has ended.
    pub fn is_finished(&self) -> bool {
        self.desks.iter().all(|desk| desk.is_finished())
    }

    /// How pinning went, per worker by name.
    pub fn pins(&self) -> Vec<(String, PinOutcome)> {
        self.desks.iter().map(|desk| (desk.name.clone(), desk.settled().pin)).collect()
    }

    /// What became of what the operating system was asked for, as far as it concerns the whole process.
    pub fn low_jitter(&self) -> &LowJitterReport {
        &self.low_jitter
    }

    /// How each worker waits, and why like this; per worker by name.
    pub fn idles(&self) -> Vec<(String, Idle, String)> {
        self.desks.iter().map(|desk| (desk.name.clone(), desk.idle, desk.idle_reason.clone())).collect()
    }

    /// How many duty cycles each worker has done, by name: one that stands still is stuck in a stage or asleep.
    pub fn cycles(&self) -> Vec<(String, u64)> {
        self.desks.iter().map(|desk| (desk.name.clone(), desk.pulse.cycles())).collect()
    }

    /// How busy each worker is, by name; to be read from any thread, also after the run.
    pub fn loads(&self) -> Vec<(String, LoadGauge)> {
        self.desks.iter().map(|desk| (desk.name.clone(), desk.load.clone())).collect()
    }

    /// Waits for the run to end, up to `deadline` from now; then gives it up, which takes at most [`GRACE`] longer.
    ///
    /// The run ends by itself when every input is closed, after [`stop`](Self::stop), or when a stage fails. An
    /// output that nobody polls keeps it from ending before the deadline.
    ///
    /// `Ok` means that every stage was done. The error, too, has the whole [`Report`].
    pub fn join(mut self, deadline: Duration) -> Result<Report, JoinError> {
        if !self.wait(deadline) {
            self.control.advance(Phase::GivenUp);
            self.wait(GRACE);
        }
        self.joined = true;
        self.report().into_result()
    }

    /// Waits until every worker has ended; false if that takes longer than `limit`.
    fn wait(&mut self, limit: Duration) -> bool {
        // A limit too large to be a point in time is no limit.
        let until = Instant::now().checked_add(limit);
        loop {
            self.parker.announce();
            if self.is_finished() {
                self.parker.cancel();
                return true;
            }
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                self.parker.cancel();
                return false;
            }
            self.parker.park(left);
        }
    }

    fn report(&self) -> Report {
        let mut leftovers = self.outside.take();
        let workers = self
            .desks
            .iter()
            .map(|desk| {
                let outcome = if desk.is_finished() { lock(&desk.outcome).take() } else { None };
                let stages = match outcome {
                    Some(outcome) => {
                        leftovers.append(outcome.leftovers);
                        outcome.stages
                    }
                    None => stuck_stages(desk),
                };
                let Settled { pin, thread } = desk.settled();
                WorkerReport {
                    name: desk.name.clone(),
                    pin,
                    thread,
                    idle: desk.idle,
                    idle_reason: desk.idle_reason.clone(),
                    stages,
                }
            })
            .collect();
        Report {
            workers,
            undelivered: count_undelivered(&leftovers),
            dropped: leftovers.dropped(),
            low_jitter: self.low_jitter.clone(),
        }
    }
}

/// What can be said of the stages of a worker that didn't come back.
fn stuck_stages(desk: &Desk) -> Vec<StageReport> {
    let stuck = desk.pulse.stepping();
    let end = |index| if index == stuck { StageEnd::Stuck } else { StageEnd::GivenUp };
    desk.stages
        .iter()
        .enumerate()
        .map(|(index, name)| StageReport { name: name.clone(), end: end(index) })
        .collect()
}

impl Drop for Running {
    /// Ends a run that nobody joined: in good order if it had started, at once if it hadn't.
    fn drop(&mut self) {
        if self.joined {
            return;
        }
        // Relaxed: this thread stored it.
        let started = self.control.started.load(Ordering::Relaxed);
        self.control.advance(if started { Phase::Ending } else { Phase::GivenUp });
    }
}

impl Default for OutsideEnds {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OutsideEnds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutsideEnds").finish_non_exhaustive()
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("phase", &self.phase()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("name", &self.name)
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
