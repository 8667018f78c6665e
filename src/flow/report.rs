//! How a run went: what became of each stage, and what was undelivered on each ring.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use super::ring_care::RingMemory;
use super::stage::{LaneLeft, Leftovers};
use super::worker::{StageEnd, StageFailure};
use crate::cores::{PinOutcome, ThreadTuning};
use crate::idle::Idle;

/// How a run went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The workers, in the order in which they were given.
    pub workers: Vec<WorkerReport>,
    /// The rings on which something was undelivered, by name.
    pub undelivered: Vec<Undelivered>,
    /// The rings that were full and whose policy dropped something, by name.
    pub dropped: Vec<Dropped>,
    /// What the operating system was asked for, as far as it concerns the whole process.
    pub low_jitter: LowJitterReport,
}

/// What became of a [`LowJitter`](crate::cores::LowJitter); what threads were given stands with each worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LowJitterReport {
    /// How much memory of the process was locked when the run started; `None` where that was not asked for.
    pub locked_bytes: Option<u64>,
    /// The memory of the rings; `None` where nothing was asked for.
    pub rings: Option<RingMemory>,
}

/// How a worker went.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Its name.
    pub name: String,
    /// How pinning went.
    pub pin: PinOutcome,
    /// How it waited.
    pub idle: Idle,
    /// Why like this.
    pub idle_reason: String,
    /// What its thread was given of what was asked for.
    pub thread: ThreadTuning,
    /// Its stages.
    pub stages: Vec<StageReport>,
}

/// How a stage ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StageReport {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub end: StageEnd,
}

/// Items that were sent and that nobody took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Undelivered {
    /// The ring: "from -> to".
    pub ring: String,
    /// How many items.
    pub items: u64,
    /// True if an end of the ring still exists (held by a stuck stage, or by the embedder), so that items in the ring
    /// are not counted.
    pub is_open: bool,
}

/// Items that were dropped because a ring was full ([`WhenFull`](crate::ring::WhenFull)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The ring: "from -> to".
    pub ring: String,
    /// How many items.
    pub items: u64,
}

impl Report {
    /// How many items were undelivered on all rings together.
    pub fn undelivered_items(&self) -> u64 {
        self.undelivered.iter().map(|ring| ring.items).sum()
    }

    /// How many items were dropped on all rings together.
    pub fn dropped_items(&self) -> u64 {
        self.dropped.iter().map(|ring| ring.items).sum()
    }

    /// `Ok` if every stage was done.
    pub(super) fn into_result(self) -> Result<Self, JoinError> {
        let mut error = JoinError {
            failures: Vec::new(),
            stuck: Vec::new(),
            given_up: Vec::new(),
            report: Self::default(),
        };
        for stage in self.workers.iter().flat_map(|worker| &worker.stages) {
            match &stage.end {
                StageEnd::Done => {}
                StageEnd::Failed(failure) => error.failures.push(failure.clone()),
                StageEnd::Stuck => error.stuck.push(stage.name.clone()),
                StageEnd::GivenUp => error.given_up.push(stage.name.clone()),
            }
        }
        if error.failures.is_empty() && error.stuck.is_empty() && error.given_up.is_empty() {
            return Ok(self);
        }
        error.report = self;
        Err(error)
    }
}

/// A run that didn't end as it should.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinError {
    /// Stages that panicked or reported a failure.
    pub failures: Vec<StageFailure>,
    /// Stages that were in the middle of a duty cycle long after the deadline. Their threads still run; nothing can
    /// end them.
    pub stuck: Vec<String>,
    /// Stages that weren't done when the deadline passed.
    pub given_up: Vec<String>,
    /// Everything there is to say.
    pub report: Report,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.failures.iter().map(ToString::to_string).collect();
        if !self.stuck.is_empty() {
            parts.push(format!("stuck after the deadline, thread left running: {}", self.stuck.join(", ")));
        }
        if !self.given_up.is_empty() {
            parts.push(format!("not done at the deadline: {}", self.given_up.join(", ")));
        }
        for ring in &self.report.undelivered {
            parts.push(format!("{} undelivered on {}", ring.items, ring.ring));
        }
        f.write_str(&parts.join("; "))
    }
}

impl Error for JoinError {}

impl Leftovers {
    /// Adds up what was left behind, ring by ring, after the ends of the rings are gone. Empty where nothing was.
    pub fn undelivered(&self) -> Vec<Undelivered> {
        count_undelivered(self)
    }

    /// Adds up what policies dropped, ring by ring. Empty where nothing was.
    pub fn dropped(&self) -> Vec<Dropped> {
        let rings = self.rings.iter().map(|ring| (ring.name(), ring.dropped()));
        // Where the writing end has not reported, what it counted is known all the same.
        let lanes = self.lanes.iter().filter(|lane| !self.has_reported(lane));
        let lanes = lanes.map(|lane| (lane.name.as_str(), lane.tally.dropped()));
        let mut dropped: BTreeMap<&str, u64> = BTreeMap::new();
        for (ring, items) in rings.chain(lanes).filter(|&(_, items)| items > 0) {
            *dropped.entry(ring).or_default() += items;
        }
        dropped.into_iter().map(|(ring, items)| Dropped { ring: ring.to_owned(), items }).collect()
    }

    /// Whether the writing end of this lane's ring has reported.
    fn has_reported(&self, lane: &LaneLeft) -> bool {
        self.rings.iter().any(|ring| ring.is_of_same_ring(&lane.tally))
    }
}

/// Adds up what was left behind, after the ends of the rings are gone.
pub(super) fn count_undelivered(leftovers: &Leftovers) -> Vec<Undelivered> {
    let mut rings: BTreeMap<String, Undelivered> = BTreeMap::new();
    let mut add = |ring: &str, items: u64, is_open: bool| {
        let none = Undelivered { ring: ring.to_owned(), items: 0, is_open };
        let ring = rings.entry(ring.to_owned()).or_insert(none);
        ring.items += items;
        ring.is_open |= is_open;
    };
    for ring in &leftovers.rings {
        match ring.undelivered() {
            Some(items) => add(ring.name(), items, false),
            None => add(ring.name(), ring.lost(), true),
        }
    }
    for lane in &leftovers.lanes {
        // Where the writing end has reported, too, it has counted what is in the ring.
        if !leftovers.has_reported(lane) {
            add(&lane.name, lane.items, lane.tally.undelivered().is_none());
        }
    }
    for (place, items) in &leftovers.held {
        add(place, *items, false);
    }
    rings.into_values().filter(|ring| ring.items > 0).collect()
}
