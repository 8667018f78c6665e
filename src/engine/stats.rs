//! What a run has counted, by stream and by context.

use std::sync::PoisonError;

use serde::Serialize;

use crate::connect::SinkCounts;
use crate::context::{Failure, PoolSkew};
use crate::event::json::{write_json, write_str};
use crate::event::time::write_rfc3339;
use crate::event::{Row, Value};
use crate::flow::StateLost;
use crate::operators::StreamStats;
use crate::supervise::BreakerHealth;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};
use crate::vpl::plan::{Plan, Strategy};

use super::rollback::RolledBack;
use super::tuning::LowJitterStats;

/// What a run has counted.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Events that came in, those included that no stream takes.
    pub events: u64,
    /// Results that went out.
    pub results: u64,
    /// Events on which a stream failed.
    pub dead_letters: u64,
    /// Dead letters that were not kept, because nobody took them in time.
    pub dead_letters_dropped: u64,
    /// Lines of `.print`, `.log` and `.tap` that were not kept, because nobody took them in time.
    pub log_lines_dropped: u64,
    /// The streams, in topological order.
    pub streams: Vec<StreamCounts>,
    /// The contexts; empty where the program runs on the caller's thread.
    pub contexts: Vec<ContextStats>,
    /// How often everything was rolled back to a checkpoint because a context failed. What is counted here goes back
    /// with that, but for dead letters and lines that were not kept.
    pub rollbacks: u64,
    /// The last rollback.
    pub rolled_back: Option<RolledBack>,
    /// What became of what the operating system was asked for.
    pub low_jitter: LowJitterStats,
    /// What was written to files and the console (`.to`).
    pub sinks: Vec<SinkCounts>,
    /// Rows left on rings, by ring; empty after a run that ended as it should.
    pub undelivered: Vec<(String, u64)>,
    /// Rows that waited for a checkpoint when the run failed or was stopped
    /// ([`Checkpoints::commit_on_checkpoint`](super::Checkpoints::commit_on_checkpoint)): they were not handed over.
    pub uncommitted: u64,
    /// Rows dropped by the policy of a full ring (`when_full`), by ring. Of every event that entered a ring it
    /// holds: it was taken, or it was dropped, or it is undelivered.
    pub dropped: Vec<(String, u64)>,
    /// What was asked for and could not be had, in words.
    pub warnings: Vec<String>,
}

/// What a stream has counted.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct StreamCounts {
    /// The stream.
    pub stream: String,
    /// The context that runs it.
    pub context: String,
    /// Events that reached it.
    pub events: u64,
    /// Rows that left it.
    pub rows: u64,
    /// Events that came after all their windows had closed.
    pub late: u64,
    /// Keys that it holds state for.
    pub keys: u64,
    /// Events on which an operator failed. What became of them, `.on_error` says.
    pub failed: u64,
    /// Attempts beyond the first (`.on_error(retry(n))`).
    pub retried: u64,
    /// Runs of a sequence that could not start, because their key had `max_runs`.
    pub runs_dropped: u64,
    /// Events that a run of a sequence did not take, because it had `max_run_events`.
    pub run_events_dropped: u64,
    /// Results of runs of a sequence beyond `max_subsets`.
    pub subsets_dropped: u64,
    /// Rows that each worker of its pool has taken; empty where it has none.
    pub workers: Vec<u64>,
    /// The keys of its pool with the most rows, the most first; empty where rows don't go by a key.
    pub hottest_keys: Vec<HotKey>,
}

/// A key with many rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HotKey {
    /// The key, as JSON.
    pub key: String,
    /// About how many rows it has: found in a sample, and perhaps too high, never much too low.
    pub rows: u64,
}

/// How a context ran.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ContextStats {
    /// The context.
    pub context: String,
    /// The CPU that its thread is pinned to.
    pub cpu: Option<usize>,
    /// How it waits, and why.
    pub idle: String,
    /// The real-time priority of its thread, if it has one.
    pub realtime_priority: Option<u8>,
    /// How late a sleep of its thread may end, in nanoseconds, if that was set.
    pub timer_slack_ns: Option<u64>,
    /// How often it was started again.
    pub restarts: u64,
    /// What its streams knew of earlier events and have lost by restarts.
    pub lost: Vec<LostState>,
    /// Its circuit breaker, where one is declared.
    pub breaker: Option<BreakerStats>,
}

/// What a circuit breaker has done.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct BreakerStats {
    /// How often it has opened.
    pub opened: u64,
    /// How often events were held up while it was open.
    pub held: u64,
    /// Events that went to the dead letters because it was open.
    pub dead_lettered: u64,
    /// Events that were dropped because it was open.
    pub dropped: u64,
}

impl From<BreakerHealth> for BreakerStats {
    fn from(breaker: BreakerHealth) -> Self {
        let BreakerHealth { opened, held, dead_lettered, dropped, .. } = breaker;
        Self { opened, held, dead_lettered, dropped }
    }
}

/// What a stream knew of earlier events and has lost by restarts.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct LostState {
    /// The stream.
    pub stream: String,
    /// For how many keys it knew something; a key counts once for each restart.
    pub keys: u64,
    /// How many rows and values it held.
    pub items: u64,
    /// Some of the keys that the last restart has cost, as JSON.
    pub example_keys: Vec<String>,
}

impl From<&StateLost> for LostState {
    fn from(lost: &StateLost) -> Self {
        let StateLost { owner, keys, items, examples } = lost;
        Self { stream: owner.clone(), keys: *keys, items: *items, example_keys: examples.clone() }
    }
}

/// An event on which a stream failed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct DeadLetter {
    /// The stream.
    pub stream: String,
    /// The operator.
    pub operator: String,
    /// What happened.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The event as JSON; null where the stream failed at the end of the input.
    pub event: Option<serde_json::Value>,
}

impl StreamCounts {
    pub(super) fn new(plan: &Plan, stream: usize, stats: &StreamStats) -> Self {
        let spec = &plan.streams[stream];
        Self {
            stream: spec.name.clone(),
            context: plan.contexts.get(spec.context).map_or_else(String::new, |context| context.name.clone()),
            events: stats.events_in,
            rows: stats.rows_out,
            late: stats.late,
            keys: stats.keys as u64,
            failed: stats.failed,
            retried: stats.retried,
            runs_dropped: stats.runs_dropped,
            run_events_dropped: stats.run_events_dropped,
            subsets_dropped: stats.subsets_dropped,
            workers: Vec::new(),
            hottest_keys: Vec::new(),
        }
    }

    /// Adds what the workers of its pool have counted.
    fn add_workers(&mut self, workers: &[Self]) {
        let sum = |count: fn(&Self) -> u64| workers.iter().map(count).sum::<u64>();
        self.rows += sum(|worker| worker.rows);
        self.late += sum(|worker| worker.late);
        self.failed += sum(|worker| worker.failed);
        self.retried += sum(|worker| worker.retried);
        // The front and the workers hold state for the same keys.
        self.keys = self.keys.max(sum(|worker| worker.keys));
    }
}

/// What each stream has counted, in order: what its front and the workers of its pool have counted is added up.
pub(super) fn by_stream(plan: &Plan, stages: &[StageStats]) -> Vec<StreamCounts> {
    let mut front: Vec<Option<StreamCounts>> = vec![None; plan.streams.len()];
    let mut pooled: Vec<Vec<(usize, StreamCounts)>> = vec![Vec::new(); plan.streams.len()];
    for stage in stages {
        let counts = stage.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (&stream, counts) in stage.streams.iter().zip(counts.iter()) {
            let counts = StreamCounts::new(plan, stream, counts);
            match stage.worker {
                None => front[stream] = Some(counts),
                Some(worker) => pooled[stream].push((worker, counts)),
            }
        }
    }
    let mut all = Vec::new();
    for ((mut counts, mut pooled), spec) in front.into_iter().zip(pooled).zip(&plan.streams) {
        pooled.sort_by_key(|(worker, _)| *worker);
        // After resizes several have had the same place, one after another.
        let mut workers: Vec<StreamCounts> = Vec::new();
        for (worker, counts) in pooled {
            match workers.get_mut(worker) {
                Some(before) => {
                    before.events += counts.events;
                    before.add_workers(std::slice::from_ref(&counts));
                }
                None => workers.push(counts),
            }
        }
        if let Some(counts) = &mut counts {
            let does_all = spec.pool.as_ref().is_some_and(|pool| pool.strategy == Strategy::Broadcast);
            // Where every worker does the same, one of them says what was done.
            let said = if does_all { &workers[..workers.len().min(1)] } else { &workers[..] };
            counts.add_workers(said);
            counts.workers = workers.iter().map(|worker| worker.events).collect();
        }
        all.extend(counts);
    }
    let told =
        stages.iter().flat_map(|stage| stage.hottest.lock().unwrap_or_else(PoisonError::into_inner).clone());
    for PoolSkew { stream, hottest } in told {
        let name = &plan.streams[stream].name;
        if let Some(counts) = all.iter_mut().find(|counts| counts.stream == *name) {
            counts.hottest_keys = hottest.iter().map(HotKey::new).collect();
        }
    }
    all
}

impl HotKey {
    fn new((key, rows): &(Value, u64)) -> Self {
        let mut text = Vec::new();
        write_json(&mut text, key);
        Self { key: String::from_utf8_lossy(&text).into_owned(), rows: *rows }
    }
}

/// What a stage tells when it closes, and what it counts on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct StageStats {
    /// Its streams, by index.
    pub(super) streams: Vec<usize>,
    /// It is this worker of a pool.
    pub(super) worker: Option<usize>,
    /// What they have counted; filled when the stage closes.
    pub(super) counts: Arc<Mutex<Vec<StreamStats>>>,
    /// By stream: the keys of its pool with the most rows.
    pub(super) hottest: Arc<Mutex<Vec<PoolSkew>>>,
    pub(super) failures: Arc<FailureCounts>,
}

/// How many events failed. Written by one stage alone.
#[derive(Debug, Default)]
pub(super) struct FailureCounts {
    all: AtomicU64,
    dropped: AtomicU64,
}

impl FailureCounts {
    /// Counts a failure.
    pub(super) fn note_failed(&self) {
        // Relaxed: these are only counters; nothing is published by them.
        self.all.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts dead letters that were not kept.
    pub(super) fn note_dropped(&self, count: u64) {
        // Relaxed: as in `note_failed`.
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// All failures, and those whose dead letter was not kept.
    pub(super) fn read(&self) -> (u64, u64) {
        // Relaxed: as in `note_failed`.
        (self.all.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

impl DeadLetter {
    pub(super) fn new(plan: &Plan, failure: Failure) -> Self {
        Self {
            stream: failure.error.stream,
            operator: failure.error.operator.to_owned(),
            error: failure.error.message,
            attempts: failure.error.attempts,
            event: failure.row.map(|row| event_json(plan, &row)),
        }
    }
}

/// An event as JSON: what its layout has kept of it.
fn event_json(plan: &Plan, row: &Row) -> serde_json::Value {
    let mut text = b"{\"type\":".to_vec();
    let name = plan.names.get(row.type_id() as usize);
    write_str(&mut text, name.map_or("", |name| name.name.as_str()));
    text.extend_from_slice(b",\"ts\":\"");
    write_rfc3339(&mut text, row.time_ns());
    text.extend_from_slice(b"\",\"data\":{");
    let shape = name.map(|name| &plan.shapes[name.shape]);
    let mut first = true;
    for field in shape.into_iter().flat_map(|shape| &shape.fields) {
        let value = field.slot.and_then(|slot| row.values().get(usize::from(slot)));
        if let Some(value) = value.filter(|value| !value.is_missing()) {
            if !std::mem::take(&mut first) {
                text.push(b',');
            }
            write_str(&mut text, &field.name);
            text.push(b':');
            write_json(&mut text, value);
        }
    }
    text.extend_from_slice(b"}}");
    serde_json::from_slice(&text).unwrap_or(serde_json::Value::Null)
}

/// What ends have counted that the embedder took; each adds its own when it is dropped.
#[derive(Debug, Default)]
pub(super) struct TakenCounts {
    events: AtomicU64,
    results: AtomicU64,
}

impl TakenCounts {
    pub(super) fn add(&self, events: u64, results: u64) {
        // Relaxed: these are only counters; nothing is published by them.
        self.events.fetch_add(events, Ordering::Relaxed);
        self.results.fetch_add(results, Ordering::Relaxed);
    }

    /// Events and results of all ends dropped so far.
    pub(super) fn read(&self) -> (u64, u64) {
        // Relaxed: as in `add`.
        (self.events.load(Ordering::Relaxed), self.results.load(Ordering::Relaxed))
    }
}
