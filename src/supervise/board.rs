//! What is known of every component of a run, for whoever asks from another thread, and the verdict: the worst
//! component decides.
//!
//! The board is written when something changes (a restart, an end, a breaker) and read when somebody asks; nothing of
//! it is touched for an event. Whether a thread is stuck is found out by looking at its heartbeat twice.

use std::fmt;
use std::time::{Duration, Instant};

use super::breaker::BreakerState;
use super::declared::StallPolicy;
use super::event::Component;
use super::stall::{StallChange, StallWatch};
use crate::cores::PinOutcome;
use crate::flow::{StateLost, WorkerWatch};
use crate::sync::{Arc, AtomicBool, AtomicU8, AtomicU64, Mutex, MutexGuard, Ordering};

/// How a component, or all of them together, are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// In order.
    Up,
    /// At work, or soon again: something holds it up.
    Degraded,
    /// Not at work, and it will not mend by itself.
    Down,
}

impl Status {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a component is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Activity {
    /// It runs.
    Running = 0,
    /// It failed, and waits to be started again.
    Restarting = 1,
    /// It is done.
    Ended = 2,
    /// It failed for good.
    Failed = 3,
    /// It has not come back from a duty cycle for long.
    Stalled = 4,
}

impl Activity {
    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Stalled => "stalled",
        }
    }
}

/// The health of a run.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Health {
    /// That of the worst component.
    pub status: Status,
    /// Nothing is beyond help: no thread is stuck, nothing has failed for good.
    pub is_live: bool,
    /// Events are taken and results come: everything runs, and no breaker is open.
    pub is_ready: bool,
    /// How often everything was rolled back to a checkpoint.
    pub rollbacks: u64,
    /// The components: the threads in order, then the sinks.
    pub components: Vec<ComponentHealth>,
}

/// The health of a component.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ComponentHealth {
    /// Which.
    pub component: Component,
    /// How it is.
    pub status: Status,
    /// What it is doing.
    pub activity: Activity,
    /// The CPU that it is pinned to.
    pub cpu: Option<usize>,
    /// How often it was started again.
    pub restarts: u64,
    /// How often it has failed: of a sink, calls that have failed.
    pub failures: u64,
    /// What it failed with last.
    pub last_failure: Option<String>,
    /// Its breaker, if it has one.
    pub breaker: Option<BreakerHealth>,
    /// Where it is stuck, if it is.
    pub stall: Option<Stall>,
}

/// A thread that does not come back from a duty cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// The stage that it is in.
    pub stage: String,
    /// Where in the stage, in words.
    pub place: Option<String>,
    /// For how long.
    pub since: Duration,
}

/// The state of a breaker, and what it has kept from happening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerHealth {
    /// Its state.
    pub state: BreakerState,
    /// How often it has opened.
    pub opened: u64,
    /// How often work was held up while it was open.
    pub held: u64,
    /// Work that went to the dead letters because it was open.
    pub dead_lettered: u64,
    /// Work that was dropped because it was open.
    pub dropped: u64,
}

/// What others may see of a breaker. Whoever owns the breaker writes it.
#[derive(Debug, Default)]
pub struct BreakerGauge {
    state: AtomicU8,
    opened: AtomicU64,
    held: AtomicU64,
    dead_lettered: AtomicU64,
    dropped: AtomicU64,
}

// Relaxed in all of these: numbers to look at; nothing is published by them.
impl BreakerGauge {
    /// The state is this from now on.
    pub fn set_state(&self, state: BreakerState) {
        self.state.store(state as u8, Ordering::Relaxed);
        // Relaxed: see above.
        self.opened.fetch_add(u64::from(state == BreakerState::Open), Ordering::Relaxed);
    }

    /// Work is held up.
    pub fn count_held(&self) {
        // Relaxed: see above.
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    /// So much work goes to the dead letters.
    pub fn count_dead_lettered(&self, count: u64) {
        // Relaxed: see above.
        self.dead_lettered.fetch_add(count, Ordering::Relaxed);
    }

    /// So much work is dropped.
    pub fn count_dropped(&self, count: u64) {
        // Relaxed: see above.
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// What can be seen.
    pub fn read(&self) -> BreakerHealth {
        // Relaxed: see above.
        let state = match self.state.load(Ordering::Relaxed) {
            0 => BreakerState::Closed,
            1 => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        };
        // Relaxed: see above.
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BreakerHealth {
            state,
            opened: count(&self.opened),
            held: count(&self.held),
            dead_lettered: count(&self.dead_lettered),
            dropped: count(&self.dropped),
        }
    }
}

/// Says in words where a stage is.
pub type PlaceTeller = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// What there is to know of a thread beforehand.
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where each of its stages is.
    pub places: Vec<PlaceTeller>,
    /// When it counts as stuck.
    pub stall: StallPolicy,
    /// Its breaker, if it has one.
    pub breaker: Option<Arc<BreakerGauge>>,
}

/// Why a run was ended before its input was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escalation {
    /// The context.
    pub context: String,
    /// Why it is not started again.
    pub reason: String,
    /// What it failed with last.
    pub message: String,
}

impl fmt::Display for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "context {} {}; the last failure: {}", self.context, self.reason, self.message)
    }
}

struct Thread {
    member: Member,
    activity: AtomicU8,
    restarts: AtomicU64,
    failures: AtomicU64,
    last_failure: Mutex<Option<String>>,
    lost: Mutex<Vec<StateLost>>,
    stall: Mutex<StallWatch>,
}

impl Thread {
    fn new(member: Member) -> Arc<Self> {
        Arc::new(Self {
            member,
            activity: AtomicU8::new(Activity::Running as u8),
            restarts: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            last_failure: Mutex::new(None),
            lost: Mutex::new(Vec::new()),
            stall: Mutex::new(StallWatch::default()),
        })
    }

    /// Goes on with the counts of another one.
    fn go_on(&self, from: &Self) {
        for (own, others) in [(&self.restarts, &from.restarts), (&self.failures, &from.failures)] {
            // Relaxed: numbers to look at.
            own.store(others.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        lock(&self.last_failure).clone_from(&lock(&from.last_failure));
        lock(&self.lost).clone_from(&lock(&from.lost));
    }
}

/// A consumer of results with a breaker.
#[derive(Debug)]
pub struct SinkMember {
    /// Its name.
    pub name: String,
    /// Its breaker.
    pub breaker: BreakerGauge,
    failures: AtomicU64,
    last_failure: Mutex<Option<String>>,
}

impl SinkMember {
    /// A sink that is in order.
    pub fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            breaker: BreakerGauge::default(),
            failures: AtomicU64::new(0),
            last_failure: Mutex::new(None),
        })
    }

    /// A call has failed.
    pub fn note_failure(&self, message: &str) {
        // Relaxed: a number to look at.
        self.failures.fetch_add(1, Ordering::Relaxed);
        *lock(&self.last_failure) = Some(message.to_owned());
    }

    /// Calls that have failed.
    pub fn failures(&self) -> u64 {
        // Relaxed: a number to look at.
        self.failures.load(Ordering::Relaxed)
    }
}

/// See the top of this file.
pub struct Board {
    started: Instant,
    threads: Mutex<Vec<Arc<Thread>>>,
    watches: Mutex<Vec<WorkerWatch>>,
    sinks: Mutex<Vec<Arc<SinkMember>>>,
    escalation: Mutex<Option<(Escalation, Instant)>>,
    has_escalated: AtomicBool,
    rollbacks: AtomicU64,
}

/// A panic elsewhere leaves whole values: each is replaced in one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Board {
    /// A board for these threads, by number.
    pub fn new(members: Vec<Member>) -> Self {
        Self {
            started: Instant::now(),
            threads: Mutex::new(members.into_iter().map(Thread::new).collect()),
            watches: Mutex::new(Vec::new()),
            sinks: Mutex::new(Vec::new()),
            escalation: Mutex::new(None),
            has_escalated: AtomicBool::new(false),
            rollbacks: AtomicU64::new(0),
        }
    }

    /// Everything is made anew, with these threads: each goes on with the counts of the one that had its name.
    pub fn renew(&self, members: Vec<Member>) {
        lock(&self.watches).clear();
        let mut threads = lock(&self.threads);
        let before = std::mem::take(&mut *threads);
        *threads = members
            .into_iter()
            .map(|mut member| {
                let known = before.iter().find(|thread| thread.member.name == member.name);
                let breaker = known.and_then(|thread| thread.member.breaker.clone());
                if let Some(breaker) = breaker.filter(|_| member.breaker.is_some()) {
                    breaker.set_state(BreakerState::Closed);
                    member.breaker = Some(breaker);
                }
                let thread = Thread::new(member);
                if let Some(known) = known {
                    thread.go_on(known);
                }
                thread
            })
            .collect();
        // Relaxed: a number to look at.
        self.rollbacks.fetch_add(1, Ordering::Relaxed);
    }

    /// How often everything was rolled back.
    pub fn rollbacks(&self) -> u64 {
        // Relaxed: a number to look at.
        self.rollbacks.load(Ordering::Relaxed)
    }

    /// One more thread is about to be started.
    pub fn add(&self, member: Member) {
        lock(&self.threads).push(Thread::new(member));
    }

    fn thread(&self, thread: usize) -> Option<Arc<Thread>> {
        lock(&self.threads).get(thread).cloned()
    }

    /// The threads run and can be watched.
    pub fn watch(&self, watches: Vec<WorkerWatch>) {
        *lock(&self.watches) = watches;
    }

    /// The name of a thread.
    pub fn name(&self, thread: usize) -> String {
        self.thread(thread).map_or_else(String::new, |thread| thread.member.name.clone())
    }

    /// What others may see of the breaker of a thread, if it has one.
    pub fn breaker(&self, thread: usize) -> Option<Arc<BreakerGauge>> {
        self.thread(thread)?.member.breaker.clone()
    }

    /// Adds a sink.
    pub fn add_sink(&self, name: &str) -> Arc<SinkMember> {
        let sink = SinkMember::new(name);
        lock(&self.sinks).push(Arc::clone(&sink));
        sink
    }

    /// Adds sinks that there are already; one takes the place of that which had its name before a rollback.
    pub fn add_sinks(&self, sinks: Vec<Arc<SinkMember>>) {
        let mut all = lock(&self.sinks);
        for sink in sinks {
            match all.iter_mut().find(|known| known.name == sink.name) {
                Some(known) => {
                    // Relaxed: a number to look at.
                    sink.failures.store(known.failures(), Ordering::Relaxed);
                    *known = sink;
                }
                None => all.push(sink),
            }
        }
    }

    /// The sinks, in the order in which they were added.
    pub fn sinks(&self) -> Vec<Arc<SinkMember>> {
        lock(&self.sinks).clone()
    }

    pub(super) fn set_activity(&self, thread: usize, activity: Activity) {
        if let Some(thread) = self.thread(thread) {
            // Relaxed: a word to look at; nothing is published by it.
            thread.activity.store(activity as u8, Ordering::Relaxed);
        }
    }

    /// It is over; if it had failed for good, that stays, and the answer is false.
    pub(super) fn set_ended(&self, thread: usize) -> bool {
        let Some(thread) = self.thread(thread) else { return true };
        // Relaxed: as in `set_activity`; only the supervisor writes it.
        let in_order = thread.activity.load(Ordering::Relaxed) != Activity::Failed as u8;
        if in_order {
            // Relaxed: as above.
            thread.activity.store(Activity::Ended as u8, Ordering::Relaxed);
        }
        in_order
    }

    pub(super) fn note_failure(&self, thread: usize, message: &str) {
        if let Some(thread) = self.thread(thread) {
            // Relaxed: a number to look at.
            thread.failures.fetch_add(1, Ordering::Relaxed);
            *lock(&thread.last_failure) = Some(message.to_owned());
        }
    }

    pub(super) fn note_restart(&self, thread: usize, lost: &[StateLost]) {
        let Some(thread) = self.thread(thread) else { return };
        // Relaxed: a number to look at.
        thread.restarts.fetch_add(1, Ordering::Relaxed);
        let mut all = lock(&thread.lost);
        for more in lost {
            match all.iter_mut().find(|known| known.owner == more.owner) {
                Some(known) => {
                    known.keys += more.keys;
                    known.items += more.items;
                    known.examples.clone_from(&more.examples);
                }
                None => all.push(more.clone()),
            }
        }
    }

    /// How often a thread was started again.
    pub fn restarts(&self, thread: usize) -> u64 {
        // Relaxed: a number to look at.
        self.thread(thread).map_or(0, |thread| thread.restarts.load(Ordering::Relaxed))
    }

    /// What a thread's stages have lost by restarts, all together; the examples are those of the last one.
    pub fn lost(&self, thread: usize) -> Vec<StateLost> {
        self.thread(thread).map_or_else(Vec::new, |thread| lock(&thread.lost).clone())
    }

    pub(super) fn escalate(&self, escalation: Escalation) {
        lock(&self.escalation).get_or_insert((escalation, Instant::now()));
        // Release: pairs with the Acquire in `has_escalated`, though the lock would do, too.
        self.has_escalated.store(true, Ordering::Release);
    }

    /// Whether the run was ended before its input was.
    pub fn has_escalated(&self) -> bool {
        // Acquire: pairs with the Release in `escalate`.
        self.has_escalated.load(Ordering::Acquire)
    }

    /// Why the run was ended before its input was, if it was, and when.
    pub fn escalation(&self) -> Option<(Escalation, Instant)> {
        lock(&self.escalation).clone()
    }

    /// The time since the run began, as heartbeats are looked at.
    pub(super) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Looks at a thread's heartbeat; what has changed since `watch` looked last, and what it is stuck in, if it is.
    pub(super) fn look(&self, thread: usize, watch: &mut StallWatch) -> (Option<StallChange>, Option<Stall>) {
        let watches = lock(&self.watches);
        let worker = watches.get(thread).filter(|worker| !worker.is_finished());
        let (Some(worker), Some(thread)) = (worker, self.thread(thread)) else { return (None, None) };
        let member = &thread.member;
        let (now, beat) = (self.started.elapsed(), worker.beat());
        let change = watch.look(now, beat, member.stall.after);
        let stall = watch.stuck_for(now).map(|since| {
            let stage = beat.stepping.unwrap_or(0);
            Stall {
                stage: worker.stages().get(stage).cloned().unwrap_or_default(),
                place: member.places.get(stage).and_then(|place| place()),
                since,
            }
        });
        (change, stall)
    }

    /// The thread's holdings are on no thread, or on a new one.
    pub(super) fn forget_beat(&self, thread: usize) {
        if let Some(thread) = self.thread(thread) {
            lock(&thread.stall).forget();
        }
    }

    pub(super) fn cpu(&self, thread: usize) -> Option<usize> {
        match lock(&self.watches).get(thread).map(WorkerWatch::pin) {
            Some(PinOutcome::Pinned(cpu)) => Some(cpu),
            _ => None,
        }
    }

    /// How the run is.
    pub fn health(&self) -> Health {
        let threads = lock(&self.threads).clone();
        let threads = threads.iter().enumerate().map(|(number, thread)| self.thread_health(number, thread));
        let sinks = self.sinks().into_iter().map(|sink| {
            let breaker = sink.breaker.read();
            ComponentHealth {
                component: Component::Sink(sink.name.clone()),
                status: breaker_status(Some(breaker)),
                activity: Activity::Running,
                cpu: None,
                restarts: 0,
                failures: sink.failures(),
                last_failure: lock(&sink.last_failure).clone(),
                breaker: Some(breaker),
                stall: None,
            }
        });
        let components: Vec<ComponentHealth> = threads.chain(sinks).collect();
        let status = components.iter().map(|component| component.status).max().unwrap_or(Status::Up);
        let is_live = status != Status::Down && !self.has_escalated();
        let is_ready = is_live && components.iter().all(is_ready);
        Health { status, is_live, is_ready, rollbacks: self.rollbacks(), components }
    }

    fn thread_health(&self, number: usize, thread: &Thread) -> ComponentHealth {
        let (_, stall) = self.look(number, &mut lock(&thread.stall));
        let is_finished = lock(&self.watches).get(number).is_some_and(WorkerWatch::is_finished);
        let Thread { member, activity, failures, last_failure, .. } = thread;
        // Relaxed: a word to look at.
        let activity = match activity.load(Ordering::Relaxed) {
            _ if stall.is_some() => Activity::Stalled,
            3 => Activity::Failed,
            _ if is_finished => Activity::Ended,
            1 => Activity::Restarting,
            2 => Activity::Ended,
            _ => Activity::Running,
        };
        let breaker = member.breaker.as_ref().map(|breaker| breaker.read());
        let status = match activity {
            Activity::Stalled | Activity::Failed => Status::Down,
            Activity::Restarting => Status::Degraded,
            Activity::Running | Activity::Ended => breaker_status(breaker),
        };
        ComponentHealth {
            component: Component::Context(member.name.clone()),
            status,
            activity,
            cpu: self.cpu(number),
            restarts: self.restarts(number),
            // Relaxed: a number to look at.
            failures: failures.load(Ordering::Relaxed),
            last_failure: lock(last_failure).clone(),
            breaker,
            stall,
        }
    }
}

fn breaker_status(breaker: Option<BreakerHealth>) -> Status {
    match breaker.map(|breaker| breaker.state) {
        None | Some(BreakerState::Closed) => Status::Up,
        Some(BreakerState::Open | BreakerState::HalfOpen) => Status::Degraded,
    }
}

fn is_ready(component: &ComponentHealth) -> bool {
    component.activity == Activity::Running
        && component.breaker.is_none_or(|breaker| breaker.state != BreakerState::Open)
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let threads = lock(&self.threads);
        let threads: Vec<_> = threads.iter().map(|thread| &thread.member.name).collect();
        f.debug_struct("Board").field("threads", &threads).finish_non_exhaustive()
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("name", &self.name).finish_non_exhaustive()
    }
}
