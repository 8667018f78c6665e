//! Settings of the operating system that take pauses away from threads, each at a price; all are off unless asked for.
//!
//! | setting | takes away | price |
//! |---|---|---|
//! | locked memory | page faults, also of what was swapped out | all memory of the process is there all the time |
//! | real-time priority | taking turns with other threads | a thread that spins never lets others have its CPU |
//! | timer slack | sleeps that last longer than asked for | more wake-ups of the CPU |
//! | pre-faulted rings | page faults on the first way round a ring | memory of rings that stay empty |
//! | huge pages | misses in the translation of addresses | where a ring is larger than such a page; more memory |
//!
//! How much each gains depends on the machine; only a measurement there tells. The priority is for CPUs that are
//! isolated, and refused elsewhere.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU64;

use super::{CpuSet, system};

/// What to ask the operating system for.
///
/// ```
/// use varpin::cores::{LowJitter, Realtime};
/// let mut low_jitter = LowJitter::default();
/// assert!(low_jitter.is_off());
/// low_jitter.lock_memory = true;
/// low_jitter.realtime = Some(Realtime { priority: 50, force: false });
/// assert!(!low_jitter.is_off());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LowJitter {
    /// Locks all memory of the process, also what it gets later. It stays locked when the run is over.
    pub lock_memory: bool,
    /// Gives pinned threads a real-time priority.
    pub realtime: Option<Realtime>,
    /// How much later than asked for, in nanoseconds, a sleep of a worker's thread may end; the system's default is
    /// 50 us. Sleeps end when backing off or parked; threads that spin have none.
    pub timer_slack_ns: Option<NonZeroU64>,
    /// Touches all memory of rings before the start. The memory is then near the CPU of the thread that builds.
    pub prefault_rings: bool,
    /// Asks for huge pages for the memory of rings. Only rings of several MiB can have any.
    pub huge_pages: bool,
}

/// A real-time priority (`SCHED_FIFO`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Realtime {
    /// From 1 to 99; the kernel's own threads that matter have 50 or 99.
    pub priority: u8,
    /// Also where it can stop everything else on a CPU: see [`realtime_obstacle`].
    pub force: bool,
}

impl LowJitter {
    /// True if nothing is asked for.
    pub fn is_off(&self) -> bool {
        *self == Self::default()
    }

    /// Applies what concerns the whole process: locks its memory. Returns how many bytes are locked.
    pub fn apply_to_process(&self) -> Result<Option<u64>, LowJitterError> {
        if !self.lock_memory {
            return Ok(None);
        }
        system::lock_memory().map_err(LowJitterError::LockMemory)?;
        Ok(Some(system::locked_bytes()))
    }

    /// Applies what concerns the current thread, whose task is `role`. Only a pinned thread gets a real-time priority.
    pub fn apply_to_thread(&self, role: &str, is_pinned: bool) -> Result<ThreadTuning, LowJitterError> {
        let refused = |what| move |reason| LowJitterError::Thread { role: role.to_owned(), what, reason };
        let mut tuning = ThreadTuning::default();
        // Before the priority: a real-time thread has no slack to set.
        if let Some(slack_ns) = self.timer_slack_ns {
            let set = system::set_timer_slack_ns(slack_ns).map_err(refused("this timer slack"))?;
            tuning.timer_slack_ns = Some(set);
        }
        if let Some(realtime) = self.realtime.filter(|_| is_pinned) {
            system::set_realtime(realtime.priority).map_err(refused("a real-time priority"))?;
            tuning.realtime_priority = Some(realtime.priority);
        }
        Ok(tuning)
    }
}

/// What a thread was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThreadTuning {
    /// Its real-time priority.
    pub realtime_priority: Option<u8>,
    /// How late a sleep may end, as read back, in nanoseconds.
    pub timer_slack_ns: Option<u64>,
}

/// A setting that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LowJitterError {
    /// The memory cannot be locked.
    LockMemory(String),
    /// There is no such priority.
    Priority(u8),
    /// Real-time priorities would stop others, or nobody would get one.
    Realtime(RealtimeObstacle),
    /// The system refuses a thread something.
    Thread {
        /// What the thread does.
        role: String,
        /// What it can't have.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for LowJitterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LockMemory(reason) => write!(f, "memory cannot be locked: {reason}"),
            Self::Priority(priority) => {
                write!(f, "{priority} is no real-time priority; they are 1 to {HIGHEST_PRIORITY}")
            }
            Self::Realtime(obstacle) => write!(f, "no real-time priority is given: {obstacle}"),
            Self::Thread { role, what, reason } => {
                write!(f, "the thread of {role} cannot have {what}: {reason}")
            }
        }
    }
}

impl Error for LowJitterError {}

const HIGHEST_PRIORITY: u8 = 99;

/// What [`realtime_obstacle`] decides on.
#[derive(Clone, Copy, Debug)]
pub struct RealtimeCase<'a> {
    /// For each worker its name and the CPU that it is to be pinned to, if any.
    pub workers: &'a [(&'a str, Option<usize>)],
    /// The CPUs that the scheduler leaves alone.
    pub isolated: &'a CpuSet,
    /// The CPUs on which this process may run.
    pub allowed: &'a CpuSet,
}

/// Why no real-time priority is given.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RealtimeObstacle {
    /// No worker is pinned to a CPU.
    NobodyPinned,
    /// These CPUs are not isolated: whatever else is put there waits for ever while the thread spins.
    NotIsolated(CpuSet),
    /// Two workers share this CPU: while one spins the other never runs.
    Shared(usize),
    /// The workers have all CPUs that this process may use: the thread that feeds them never runs.
    NoneLeft,
}

impl RealtimeObstacle {
    /// True if somebody may want it all the same.
    pub fn can_be_forced(&self) -> bool {
        !matches!(self, Self::NobodyPinned)
    }
}

impl fmt::Display for RealtimeObstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = |cpus: &CpuSet| {
            if cpus.len() == 1 { format!("CPU {cpus} is") } else { format!("CPUs {cpus} are") }
        };
        match self {
            Self::NobodyPinned => f.write_str("no worker is pinned to a CPU (contexts name theirs: `cores: [2]`)"),
            Self::NotIsolated(open) => write!(
                f,
                "{} not isolated, and a real-time thread that spins would stop whatever else is put there, the \
                 system's own threads included (isolate them: see `varpin doctor`; or force it)",
                cpus(open)
            ),
            Self::Shared(cpu) => write!(
                f,
                "two workers share CPU {cpu}: while one spins the other would never run (give each its own, \
                 or force it)"
            ),
            Self::NoneLeft => f.write_str(
                "the workers have all CPUs that this process may use, and the thread that feeds them would never run \
                 (allow it another one, or force it)",
            ),
        }
    }
}

/// What speaks against real-time priorities for these workers; a thread that spins with one has its CPU for ever.
///
/// ```
/// use varpin::cores::{CpuSet, RealtimeCase, RealtimeObstacle, realtime_obstacle};
/// let [isolated, allowed]: [CpuSet; 2] = ["2-3", "0-3"].map(|list| list.parse().unwrap());
/// let case = |workers| realtime_obstacle(&RealtimeCase { workers, isolated: &isolated, allowed: &allowed });
/// assert_eq!(case(&[("ingest", Some(2)), ("alert", Some(3))]), None);
/// assert_eq!(case(&[("ingest", Some(2)), ("alert", Some(2))]), Some(RealtimeObstacle::Shared(2)));
/// assert_eq!(case(&[("ingest", None)]), Some(RealtimeObstacle::NobodyPinned));
/// ```
pub fn realtime_obstacle(case: &RealtimeCase<'_>) -> Option<RealtimeObstacle> {
    let pinned: Vec<usize> = case.workers.iter().filter_map(|&(_, cpu)| cpu).collect();
    if pinned.is_empty() {
        return Some(RealtimeObstacle::NobodyPinned);
    }
    let open: CpuSet = pinned.iter().copied().filter(|&cpu| !case.isolated.contains(cpu)).collect();
    if !open.is_empty() {
        return Some(RealtimeObstacle::NotIsolated(open));
    }
    let mut sorted = pinned.clone();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Some(RealtimeObstacle::Shared(pair[0]));
    }
    case.allowed.iter().all(|cpu| pinned.contains(&cpu)).then_some(RealtimeObstacle::NoneLeft)
}

impl Realtime {
    /// Whether these workers may have it.
    pub fn check(&self, case: &RealtimeCase<'_>) -> Result<(), LowJitterError> {
        if !(1..=HIGHEST_PRIORITY).contains(&self.priority) {
            return Err(LowJitterError::Priority(self.priority));
        }
        match realtime_obstacle(case) {
            Some(obstacle) if !(self.force && obstacle.can_be_forced()) => {
                Err(LowJitterError::Realtime(obstacle))
            }
            _ => Ok(()),
        }
    }
}
