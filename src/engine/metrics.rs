//! What an engine tells of itself while it runs, for whoever looks, from any thread.
//!
//! Nothing is asked of the threads that work: each stores its own numbers into words that only readers load, once in a
//! while, and [`MetricsReader::read`] collects them. So a look costs the engine nothing, and what it shows may be some
//! duty cycles old.

use std::fmt;
use std::sync::PoisonError;
use std::time::Instant;

use crossbeam_utils::CachePadded;
use serde::Serialize;

use crate::context::StreamGauges;
use crate::event::Row;
use crate::flow::{LaneOptions, Load, LoadGauge, OutPort, RingEnd, RingGauge, ring_gauge};
use crate::metrics::{Latencies, LatencyReader, shared_latencies};
use crate::ring::{Receiver, Tally};
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::vpl::plan::Plan;

use super::builder::Builder;
use super::inline::InlineLatency;
use super::input::InputWatch;
use super::output::OutputWatch;
use super::rollback::Past;
use super::sampling::StampClock;
use super::stats::{StageStats, StreamCounts, by_stream};

/// What an engine tells of itself.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Metrics {
    /// Since it was built, in seconds.
    pub uptime_s: f64,
    /// Events that came in.
    pub events: u64,
    /// Results that were taken.
    pub results: u64,
    /// Events on which a stream failed.
    pub dead_letters: u64,
    /// The streams, in topological order.
    pub streams: Vec<StreamCounts>,
    /// The threads; none where the program runs on the caller's.
    pub workers: Vec<WorkerMetrics>,
    /// The rings between them; likewise.
    pub rings: Vec<RingMetrics>,
    /// Of so many events the latency of one is measured; 0: of none.
    pub latency_sample: u32,
    /// From when an event was pushed to when a result of it was taken, where that is sampled.
    pub latency: Option<LatencyMetrics>,
}

/// A worker.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// Its name: that of its context.
    pub worker: String,
    /// The share of its time that went into work, since it began: 0 to 1.
    pub busy_share: f64,
    /// The share of its time that it slept, since it began: 0 to 1.
    pub asleep_share: f64,
    /// What both come from: for the shares between two looks see [`Load::since`].
    pub load: Load,
}

/// A ring.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RingMetrics {
    /// "from -> to".
    pub ring: String,
    /// Its slots.
    pub capacity: u64,
    /// Rows in it.
    pub occupancy: u64,
    /// The most rows that have been in it.
    pub high_water: u64,
    /// Rows that pend in front of it.
    pub pending: u64,
    /// Rows that were taken from it, notices of progress included.
    pub taken: u64,
    /// Rows that were dropped because it was full, as its policy says.
    pub dropped: u64,
    /// From when a row was published to when it was taken, where latencies are sampled.
    pub hop: Option<LatencyMetrics>,
}

/// A distribution of latencies, in nanoseconds. A percentile is none with fewer than ten samples above it.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct LatencyMetrics {
    /// How many there are.
    pub samples: u64,
    /// Half of them are no longer.
    pub p50_ns: Option<u64>,
    /// 90 percent are no longer.
    pub p90_ns: Option<u64>,
    /// 99 percent are no longer.
    pub p99_ns: Option<u64>,
    /// 99.9 percent are no longer.
    pub p999_ns: Option<u64>,
    /// The longest.
    pub max_ns: Option<u64>,
    /// All of them, to 1/128 of each.
    #[serde(skip)]
    pub latencies: Latencies,
}

impl LatencyMetrics {
    fn read(reader: &LatencyReader) -> Self {
        let latencies = reader.read();
        Self {
            samples: latencies.samples(),
            p50_ns: latencies.percentile_ns(50.0),
            p90_ns: latencies.percentile_ns(90.0),
            p99_ns: latencies.percentile_ns(99.0),
            p999_ns: latencies.percentile_ns(99.9),
            max_ns: latencies.max_ns(),
            latencies,
        }
    }
}

/// Reads what an engine tells of itself, from any thread, also after the engine has ended or was rolled back. What is
/// counted goes back with a rollback to what it was at the checkpoint.
///
/// ```
/// use varpin::engine::{Engine, Program};
/// let program = Program::parse("context c\nstream S = R.context(c).emit(v: v)")?;
/// let mut engine = Engine::builder(&program).latency_sample(1).build()?;
/// let reader = engine.metrics_reader();
/// let event = engine.event_type("R")?;
/// for _ in 0..100 {
///     engine.feed(event.event(0), |_| {})?;
/// }
/// engine.finish(|_| {})?;
/// let metrics = std::thread::spawn(move || reader.read()).join().unwrap();
/// assert_eq!((metrics.events, metrics.results, metrics.streams[0].events), (100, 100, 100));
/// assert_eq!(metrics.latency.map(|latency| latency.samples), Some(100));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct MetricsReader(Arc<Mutex<Arc<Registry>>>);

/// Where what is built tells of itself. Locked when something is added, and by readers; never on the way of an event.
pub(super) struct Registry {
    plan: Arc<Plan>,
    past: Past,
    built: Instant,
    ends: Arc<EndCounts>,
    latency_sample: u32,
    clock: StampClock,
    latency: Mutex<Option<LatencyReader>>,
    stages: Mutex<Vec<(StageStats, StreamGauges)>>,
    workers: Mutex<Vec<(String, LoadGauge)>>,
    rings: Mutex<Vec<(RingGauge, Tally)>>,
}

/// What the ends of the engine have counted. Each word has one writer.
#[derive(Debug)]
pub(super) struct EndCounts {
    /// By input.
    events: Box<[CachePadded<AtomicU64>]>,
    results: CachePadded<AtomicU64>,
    /// On one thread no stage counts them.
    failed: CachePadded<AtomicU64>,
}

impl EndCounts {
    /// Counts for so many inputs.
    pub(super) fn new(inputs: usize) -> Arc<Self> {
        let events = (0..inputs).map(|_| CachePadded::default()).collect();
        Arc::new(Self { events, results: CachePadded::default(), failed: CachePadded::default() })
    }

    /// So many events have come in through this input.
    #[inline]
    pub(super) fn set_events(&self, input: usize, count: u64) {
        // Relaxed: a number to look at; nothing is read on the strength of it.
        self.events[input].store(count, Ordering::Relaxed);
    }

    /// So many results have been taken.
    #[inline]
    pub(super) fn set_results(&self, count: u64) {
        // Relaxed: as above.
        self.results.store(count, Ordering::Relaxed);
    }

    /// So many events have failed.
    pub(super) fn set_failed(&self, count: u64) {
        // Relaxed: as above.
        self.failed.store(count, Ordering::Relaxed);
    }
}

/// A value that is replaced or grown in one step is never half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Registry {
    /// Of an engine that has nothing.
    fn default() -> Self {
        Self {
            plan: Arc::default(),
            past: Past::default(),
            built: Instant::now(),
            ends: EndCounts::new(1),
            latency_sample: 0,
            clock: StampClock::new(),
            latency: Mutex::default(),
            stages: Mutex::default(),
            workers: Mutex::default(),
            rings: Mutex::default(),
        }
    }
}

impl Registry {
    /// Of an engine that is to be built.
    pub(super) fn new(builder: &Builder, past: Past) -> Self {
        Self {
            plan: Arc::clone(&builder.plan),
            past,
            ends: EndCounts::new(builder.inputs.max(1)),
            latency_sample: builder.effective_latency_sample(),
            ..Self::default()
        }
    }

    /// What the ends have counted.
    pub(super) fn counts(&self) -> Arc<EndCounts> {
        Arc::clone(&self.ends)
    }

    /// Adds a stage; gives what it stores its counts in.
    pub(super) fn stage(&self, stats: &StageStats) -> StreamGauges {
        let gauges = StreamGauges::new(stats.streams.len());
        lock(&self.stages).push((stats.clone(), gauges.clone()));
        gauges
    }

    /// Adds the one stage of a program on the caller's thread: all its streams.
    pub(super) fn only_stage(&self) -> StreamGauges {
        // Nobody but the caller counts failures there.
        self.stage(&StageStats { streams: (0..self.plan.streams.len()).collect(), ..StageStats::default() })
    }

    /// Where such a program measures, if it does.
    pub(super) fn inline_latency(&self) -> Option<InlineLatency> {
        (self.latency_sample > 0).then(|| {
            let (writer, reader) = shared_latencies();
            *lock(&self.latency) = Some(reader);
            InlineLatency::new(self.latency_sample, writer)
        })
    }

    /// Says which workers there are.
    pub(super) fn set_workers(&self, workers: Vec<(String, LoadGauge)>) {
        *lock(&self.workers) = workers;
    }

    /// What the input with this number tells.
    pub(super) fn input_watch(&self, number: usize) -> InputWatch {
        InputWatch { number, counts: self.counts(), sampler: self.clock.sampler(self.latency_sample) }
    }

    /// What the output tells.
    pub(super) fn output_watch(&self) -> OutputWatch {
        let arrivals = (self.latency_sample > 0).then(|| {
            let (arrivals, reader) = self.clock.arrivals();
            *lock(&self.latency) = Some(reader);
            arrivals
        });
        OutputWatch { counts: self.counts(), arrivals }
    }

    /// Adds a ring: puts a gauge at both of its ends.
    pub(super) fn ring(
        &self,
        port: OutPort<Row>,
        receiver: Receiver<Row>,
        options: LaneOptions,
    ) -> (OutPort<Row>, RingEnd<Row>) {
        let (sending, gauge, ring) = ring_gauge(port.name(), receiver.capacity(), self.latency_sample);
        lock(&self.rings).push((ring, receiver.tally()));
        (port.gauged(sending), RingEnd { receiver, options, gauge })
    }
}

impl MetricsReader {
    pub(super) fn new(registry: &Arc<Registry>) -> Self {
        Self(Arc::new(Mutex::new(Arc::clone(registry))))
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        Arc::clone(&lock(&self.0))
    }

    /// The engine was rolled back, and what it tells is there from now on.
    pub(super) fn renew(&self, registry: &Arc<Registry>) {
        *lock(&self.0) = Arc::clone(registry);
    }

    /// What the engine tells now.
    pub fn read(&self) -> Metrics {
        let registry = self.registry();
        // Relaxed: as in `EndCounts`.
        let load = |word: &AtomicU64| word.load(Ordering::Relaxed);
        let stages = lock(&registry.stages);
        let failed: u64 = stages.iter().map(|(stage, _)| stage.failures.read().0).sum();
        let told = |(stage, gauges): &(StageStats, StreamGauges)| StageStats {
            counts: Arc::new(Mutex::new(gauges.read())),
            ..stage.clone()
        };
        let stages: Vec<StageStats> = stages.iter().map(told).collect();
        Metrics {
            uptime_s: registry.built.elapsed().as_secs_f64(),
            events: registry.ends.events.iter().map(|events| load(events)).sum(),
            results: load(&registry.ends.results),
            dead_letters: registry.past.dead_letters + load(&registry.ends.failed) + failed,
            streams: by_stream(&registry.plan, &stages),
            workers: lock(&registry.workers).iter().map(|(name, gauge)| worker(name, gauge.read())).collect(),
            rings: lock(&registry.rings).iter().map(ring).collect(),
            latency_sample: registry.latency_sample,
            latency: lock(&registry.latency).as_ref().map(LatencyMetrics::read),
        }
    }
}

fn worker(name: &str, load: Load) -> WorkerMetrics {
    let (busy_share, asleep_share) = (load.busy_share(), load.asleep_share());
    WorkerMetrics { worker: name.to_owned(), busy_share, asleep_share, load }
}

fn ring((gauge, tally): &(RingGauge, Tally)) -> RingMetrics {
    RingMetrics {
        ring: gauge.name().to_owned(),
        capacity: gauge.capacity() as u64,
        occupancy: gauge.there(),
        high_water: gauge.most(),
        pending: gauge.pending(),
        taken: gauge.taken(),
        dropped: tally.dropped(),
        hop: gauge.hops().map(LatencyMetrics::read),
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("latency_sample", &self.latency_sample).finish_non_exhaustive()
    }
}

impl fmt::Debug for MetricsReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MetricsReader").finish()
    }
}
