//! What happens under supervision, as values: one for each thing that somebody may want to know or to act on.
//!
//! They are told on whatever thread it happens (a worker, the supervisor, a sink's), which only puts them into a
//! bounded list; the supervisor hands them to whoever asked for them, on its own thread, in order.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::breaker::{BreakerChange, BreakerState};
use crate::flow::StateLost;
use crate::idle::Waker;
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};

/// Events that wait to be handed over; those beyond are only counted.
const EVENTS_KEPT: usize = 10_000;

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// A context, or another thread of the engine.
    Context(String),
    /// A consumer of results.
    Sink(String),
}

impl Component {
    /// `context` or `sink`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Context(_) => "context",
            Self::Sink(_) => "sink",
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Context(name) | Self::Sink(name) => name,
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// Something that happened under supervision.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// When, in nanoseconds since the epoch.
    pub at_ns: i64,
    /// To what.
    pub component: Component,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventKind {
    /// A thread runs.
    Started {
        /// The CPU that it is pinned to.
        cpu: Option<usize>,
    },
    /// A duty cycle panicked or reported a failure.
    Failed {
        /// The stage.
        stage: String,
        /// Where in it, in words.
        place: Option<String>,
        /// What it said.
        message: String,
    },
    /// It will be started again.
    Restarting {
        /// After so long.
        after: Duration,
        /// How many restarts that makes.
        restarts: u64,
        /// Which other failed, where it is restarted along with it.
        because: Option<String>,
    },
    /// It failed, and checkpoints are kept: everything is rolled back to the last one.
    RollingBack {
        /// After so long.
        after: Duration,
        /// How many restarts of this context that makes.
        restarts: u64,
    },
    /// Everything was rolled back because it failed, and goes on.
    RolledBack {
        /// To this checkpoint; none: to the beginning.
        checkpoint: Option<u64>,
        /// Events that had come then: those behind them come again.
        events: u64,
        /// For how many keys there is state again.
        keys: u64,
        /// How many rollbacks that makes.
        rollbacks: u64,
    },
    /// It was started again.
    Restarted {
        /// What it knew of earlier events and has lost.
        lost: Vec<StateLost>,
    },
    /// It has ended in order.
    Ended,
    /// It is not started again, and the run ends.
    Escalated {
        /// Why not.
        reason: String,
        /// What it failed with last.
        message: String,
    },
    /// Its breaker has changed.
    Breaker(BreakerChange),
    /// It has not come back from a duty cycle for long.
    Stalled {
        /// The stage that it is in.
        stage: String,
        /// The CPU that its thread is pinned to.
        cpu: Option<usize>,
        /// For so long.
        since: Duration,
        /// Where in the stage, in words.
        place: Option<String>,
    },
    /// It has come back after all.
    Recovered {
        /// After so long.
        after: Duration,
    },
}

impl EventKind {
    /// The name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Failed { .. } => "failed",
            Self::Restarting { .. } => "restarting",
            Self::RollingBack { .. } => "rolling_back",
            Self::RolledBack { .. } => "rolled_back",
            Self::Restarted { .. } => "restarted",
            Self::Ended => "ended",
            Self::Escalated { .. } => "escalated",
            Self::Breaker(BreakerChange { to: BreakerState::Open, .. }) => "breaker_opened",
            Self::Breaker(BreakerChange { to: BreakerState::HalfOpen, .. }) => "breaker_half_open",
            Self::Breaker(BreakerChange { to: BreakerState::Closed, .. }) => "breaker_closed",
            Self::Stalled { .. } => "stalled",
            Self::Recovered { .. } => "recovered",
        }
    }
}

#[cfg(feature = "vpl")]
impl Event {
    /// As one line of JSON, without the line's end: `ts`, `event`, `context` or `sink`, and what the event has to say;
    /// times in milliseconds.
    pub fn to_json(&self) -> String {
        use serde_json::{Map, Value, json};
        let mut out = Map::new();
        let mut time = Vec::new();
        crate::event::time::write_rfc3339(&mut time, self.at_ns);
        let millis = |time: &Duration| json!(time.as_secs_f64() * 1e3);
        let mut add = |name: &str, value: Value| {
            if !value.is_null() {
                out.insert(name.to_owned(), value);
            }
        };
        add("ts", String::from_utf8_lossy(&time).into());
        add("event", self.kind.name().into());
        add(self.component.kind(), self.component.name().into());
        match &self.kind {
            EventKind::Started { cpu } => add("cpu", json!(cpu)),
            EventKind::Failed { stage, place, message } => {
                add("stage", json!(stage));
                add("place", json!(place));
                add("message", json!(message));
            }
            EventKind::Restarting { after, restarts, because } => {
                add("after_ms", millis(after));
                add("restarts", json!(restarts));
                add("because", json!(because));
            }
            EventKind::RollingBack { after, restarts } => {
                add("after_ms", millis(after));
                add("restarts", json!(restarts));
            }
            EventKind::RolledBack { checkpoint, events, keys, rollbacks } => {
                add("checkpoint", json!(checkpoint));
                add("events", json!(events));
                add("keys", json!(keys));
                add("rollbacks", json!(rollbacks));
            }
            EventKind::Restarted { lost } => {
                let lost = lost.iter().map(|lost| {
                    // Keys are JSON already.
                    let keys = lost.examples.iter();
                    let keys = keys.map(|key| serde_json::from_str(key).unwrap_or_else(|_| json!(key)));
                    let keys: Vec<Value> = keys.collect();
                    json!({"stream": lost.owner, "keys": lost.keys, "items": lost.items, "example_keys": keys})
                });
                add("lost", lost.collect());
            }
            EventKind::Ended => {}
            EventKind::Escalated { reason, message } => {
                add("reason", json!(reason));
                add("message", json!(message));
            }
            EventKind::Breaker(change) => {
                if change.to != BreakerState::HalfOpen {
                    add("failure_rate", json!(change.failure_rate));
                    add("slow_rate", json!(change.slow_rate));
                }
            }
            EventKind::Stalled { stage, cpu, since, place } => {
                add("stage", json!(stage));
                add("cpu", json!(cpu));
                add("for_ms", millis(since));
                add("place", json!(place));
            }
            EventKind::Recovered { after } => add("after_ms", millis(after)),
        }
        Value::Object(out).to_string()
    }
}

/// Takes events; called on one thread at a time, and not on one that handles rows.
pub type EventSink = Box<dyn FnMut(&Event) + Send>;

/// Where events are told. Clones tell the same listener.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<Shared>>);

struct Shared {
    waiting: Mutex<Vec<Event>>,
    dropped: AtomicU64,
    sink: Mutex<EventSink>,
    deliverer: Mutex<Option<Waker>>,
}

/// A panic elsewhere leaves a list of whole events.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Events {
    /// Nobody listens.
    pub fn none() -> Self {
        Self(None)
    }

    /// `sink` listens.
    pub fn to(sink: EventSink) -> Self {
        Self(Some(Arc::new(Shared {
            waiting: Mutex::new(Vec::new()),
            dropped: AtomicU64::new(0),
            sink: Mutex::new(sink),
            deliverer: Mutex::new(None),
        })))
    }

    /// Whether somebody listens.
    pub fn are_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Who delivers events is to be woken when there are some.
    pub fn set_deliverer(&self, waker: Waker) {
        if let Some(shared) = &self.0 {
            *lock(&shared.deliverer) = Some(waker);
        }
    }

    /// Tells that something has happened just now. For things that happen seldom: it takes a lock.
    pub fn tell(&self, component: Component, kind: EventKind) {
        let Some(shared) = &self.0 else { return };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ns = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX);
        let mut waiting = lock(&shared.waiting);
        if waiting.len() < EVENTS_KEPT {
            waiting.push(Event { at_ns, component, kind });
        } else {
            // Relaxed: a number to look at.
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        drop(waiting);
        if let Some(waker) = &*lock(&shared.deliverer) {
            waker.wake();
        }
    }

    /// Whether events wait to be delivered.
    pub fn are_waiting(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| !lock(&shared.waiting).is_empty())
    }

    /// Hands over the events that wait.
    pub fn deliver(&self) {
        let Some(shared) = &self.0 else { return };
        let mut sink = lock(&shared.sink);
        // New ones may come while these are handed over; they keep their order, since the sink is locked.
        let waiting = std::mem::take(&mut *lock(&shared.waiting));
        for event in &waiting {
            sink(event);
        }
    }

    /// Events that were not kept, because they came faster than they could be handed over.
    pub fn dropped(&self) -> u64 {
        // Relaxed: a number to look at.
        self.0.as_ref().map_or(0, |shared| shared.dropped.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("heard", &self.are_heard()).finish_non_exhaustive()
    }
}
