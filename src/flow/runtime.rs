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
//!
//! A supervised run ([`start_supervised`]) has one thread more, which gets what a worker holds when one of its stages
//! fails, and decides what becomes of it (see `ward`).

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use super::desk::{Control, Desk, OnDuty, Outcome, Phase, Settled, Terms, lock, spawn};
use super::graph::GraphError;
use super::load::LoadGauge;
use super::out_port::RingLeft;
use super::panics;
use super::pulse::Beat;
use super::report::{JoinError, LowJitterReport, Report, StageReport, WorkerReport, count_undelivered};
use super::ring_care::RingMemory;
use super::stage::Leftovers;
use super::ward::Ward;
use super::worker::{StageEnd, Worker};
use crate::cores::{
    CpuSet, LowJitter, LowJitterError, PinError, PinOutcome, PinPolicy, RealtimeCase, allowed_cpus,
    isolated_cpus,
};
use crate::idle::{Idle, Parker};
use crate::sync::{Arc, Mutex, Ordering, spawn_named, yield_now};

/// How long [`Running::join`] waits, after it gave a run up at its deadline, for duty cycles that are under way.
pub const GRACE: Duration = Duration::from_millis(200);

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
    let (running, _) = prepare(workers, Terms { pin, low_jitter: *low_jitter }, None)?;
    running.go();
    Ok(running)
}

/// Starts one thread per worker as [`start_with`] does, and one, called `supervisor`, that is not pinned. What workers
/// hold when one of their stages fails comes to its [`Ward`]. `begin` is called before any stage is stepped; what it
/// gives is run on the supervisor's thread, as long as it likes.
pub fn start_supervised<S: FnOnce() + Send + 'static>(
    workers: Vec<Worker>,
    pin: PinPolicy,
    low_jitter: &LowJitter,
    begin: impl FnOnce(Ward) -> S,
) -> Result<Running, StartError> {
    let terms = Terms { pin, low_jitter: *low_jitter };
    let (running, ward) = prepare(workers, terms, Some(Parker::new()))?;
    if let Some(ward) = ward {
        let on_duty = OnDuty::new(&running.control);
        let supervise = begin(ward);
        let spawned = spawn_named("supervisor", move || {
            panics::are_supervised();
            supervise();
            drop(on_duty);
        });
        if let Err(error) = spawned {
            return Err(StartError::Thread { worker: "supervisor".to_owned(), error });
        }
    }
    running.go();
    Ok(running)
}

/// Starts the threads; no stage is stepped yet. With a parker there is a ward, which sleeps there.
fn prepare(
    workers: Vec<Worker>,
    terms: Terms,
    ward: Option<Parker>,
) -> Result<(Running, Option<Ward>), StartError> {
    let low_jitter = &terms.low_jitter;
    check_realtime(&workers, terms.pin, low_jitter).map_err(StartError::LowJitter)?;
    // Before the threads start, so that their stacks are locked, too.
    let locked_bytes = low_jitter.apply_to_process().map_err(StartError::LowJitter)?;
    let parker = Parker::new();
    let wards = ward.iter().map(Parker::waker);
    let sleepers = workers.iter().filter_map(Worker::waker).chain(wards.clone()).collect();
    let holders = std::iter::once(parker.waker()).chain(wards).collect();
    let mut running = Running {
        control: Arc::new(Control::new(sleepers, holders)),
        desks: Vec::new(),
        parker,
        outside: OutsideEnds::new(),
        low_jitter: LowJitterReport { locked_bytes, rings: None },
        terms,
        joined: false,
    };
    let mut ward = ward.map(|parker| Ward::new(Arc::clone(&running.control), parker, terms));
    for worker in workers {
        let name = worker.name.clone();
        let (desk, holdings) = Desk::of(worker);
        running.desks.push(Arc::clone(&desk));
        let spawned = match &mut ward {
            None => spawn(&running.control, &desk, terms, None, holdings),
            Some(ward) => ward.admit(desk, holdings),
        };
        if let Err((error, _holdings)) = spawned {
            // Dropping `running` gives the others up before their first step.
            return Err(StartError::Thread { worker: name, error });
        }
    }
    running.await_settled()?;
    Ok((running, ward))
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
    terms: Terms,
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
    /// given up and the error says so. In a supervised run the supervisor starts it.
    pub fn add(&mut self, worker: Worker) -> Result<(), StartError> {
        let name = worker.name.clone();
        self.control.add_sleeper(worker.waker());
        let (desk, holdings) = Desk::of(worker);
        self.desks.push(Arc::clone(&desk));
        if let Some((desk, holdings)) = self.control.hand_to_supervisor(desk, holdings) {
            // There is none, or not any more.
            let spawned = spawn(&self.control, &desk, self.terms, None, holdings);
            spawned.map_err(|(error, _)| StartError::Thread { worker: name, error })?;
        }
        self.await_settled()
    }

    /// Lets the workers begin.
    fn go(&self) {
        // Release: pairs with the Acquire in `desk::run`, though the threads have nothing to see but the flag.
        self.control.started.store(true, Ordering::Release);
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
                    None if desk.is_finished() => break,
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

    /// What can be seen of the workers while they run, also from other threads, and after this is gone.
    pub fn watch(&self) -> Vec<WorkerWatch> {
        self.desks.iter().map(|desk| WorkerWatch(Arc::clone(desk))).collect()
    }

    /// How many duty cycles each worker has done, by name: one that stands still is stuck in a stage or asleep.
    pub fn cycles(&self) -> Vec<(String, u64)> {
        self.desks.iter().map(|desk| (desk.name.clone(), desk.pulse.read().cycles)).collect()
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
        if !self.wait(deadline, Self::is_finished) {
            self.control.advance(Phase::GivenUp);
            self.wait(GRACE, Self::is_finished);
        }
        // The supervisor has nothing to do any more but to tell what there still is to tell.
        self.wait(GRACE, |running| !running.control.is_supervised());
        self.joined = true;
        self.report().into_result()
    }

    /// Waits until it `is_over`; false if that takes longer than `limit`.
    fn wait(&mut self, limit: Duration, is_over: impl Fn(&Self) -> bool) -> bool {
        // A limit too large to be a point in time is no limit.
        let until = Instant::now().checked_add(limit);
        loop {
            self.parker.announce();
            if is_over(self) {
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
                let stages = match desk.take_outcome() {
                    Some(Outcome { stages, leftovers: more }) => {
                        leftovers.append(more);
                        stages
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
    let stuck = desk.pulse.read().stepping;
    let end = |index| if stuck == Some(index) { StageEnd::Stuck } else { StageEnd::GivenUp };
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

/// A look at a running worker.
#[derive(Clone, Debug)]
pub struct WorkerWatch(Arc<Desk>);

impl WorkerWatch {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its stages by number.
    pub fn stages(&self) -> &[String] {
        &self.0.stages
    }

    /// How pinning went.
    pub fn pin(&self) -> PinOutcome {
        self.0.settled().pin
    }

    /// Its heartbeat.
    pub fn beat(&self) -> Beat {
        self.0.pulse.read()
    }

    /// Whether it has ended for good.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
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
