//! The same programs and events in varpin and in varpulis-runtime 0.11, in this process.
//!
//! On one thread: events are built in batches of [`BATCH`], outside the clock, and each batch is handed over by value, inside it. So
//! both engines get events that are as fresh in the caches as those of a reader in front of them would be, and both pay for taking
//! them apart. varpin: `Engine::feed`, which calls a closure with each result. Varpulis: `process_batch_sync` with its output
//! discarded, the fastest way through it; it counts its results.
//!
//! In contexts: all events are built before the clock starts; it stops when the last result has arrived. varpin: `Engine::feed` from
//! one thread, which takes the results too. Varpulis: `ContextOrchestrator::process` from one thread (a current-thread runtime), results
//! taken by another.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use varpulis_runtime::{ContextOrchestrator, Engine as Varpulis, Event as VarpulisEvent, SharedEvent};

use crate::hop::runtime;
use crate::machine::on_cpu;
use crate::programs::{
    FILTER_EMIT, PARTITIONED, Program, Reading, THREE_CONTEXTS, THREE_STAGES, WHOLE, sensor_names,
};
use crate::report::{Outcome, Table};

pub const BATCH: usize = 1000;
/// Of Varpulis's channels, unless something else is asked for.
const VARPULIS_DEFAULT: usize = 1000;
/// After so long without a result nothing is expected any more.
const QUIET: Duration = Duration::from_millis(500);

pub const VARPIN: &str = "varpin";
pub const VARPULIS: &str = "varpulis 0.11, sync";
pub const VARPIN_CONTEXTS: &str = "varpin, published every 64";
pub const VARPIN_AT_ONCE: &str = "varpin, published at once";
pub const VARPULIS_CONTEXTS: &str = "varpulis 0.11, channels of 1000";
pub const VARPULIS_LOSSLESS: &str = "varpulis 0.11, channels for everything";

/// Builds varpin's events.
struct VarpinEvents {
    reading: varpin::engine::EventType,
    fields: [varpin::engine::Field; 3],
    sensors: Vec<String>,
}

impl VarpinEvents {
    fn new(engine: &varpin::engine::Engine) -> Result<Self, String> {
        let reading = engine.event_type("SensorReading").map_err(|error| error.to_string())?;
        let field = |name| reading.field(name).map_err(|error| error.to_string());
        let fields = [field("sensor_id")?, field("temperature")?, field("zone")?];
        Ok(Self { reading, fields, sensors: sensor_names() })
    }

    fn event(&self, number: usize) -> Result<varpin::engine::Event, String> {
        let from = Reading::number(number);
        let mut event = self.reading.event(from.time_ms * 1_000_000);
        let [sensor, temperature, zone] = &self.fields;
        event
            .set(sensor, self.sensors[from.sensor].as_str())
            .and_then(|()| event.set(temperature, from.temperature))
            .and_then(|()| event.set(zone, from.zone))
            .map_err(|error| error.to_string())?;
        Ok(event)
    }
}

/// Builds Varpulis's events; names are shared, as its own readers share them.
struct VarpulisEvents {
    reading: Arc<str>,
    fields: [Arc<str>; 3],
    sensors: Vec<String>,
}

impl VarpulisEvents {
    fn new() -> Self {
        Self {
            reading: "SensorReading".into(),
            fields: ["sensor_id", "temperature", "zone"].map(Arc::from),
            sensors: sensor_names(),
        }
    }

    fn event(&self, number: usize) -> VarpulisEvent {
        let from = Reading::number(number);
        let time = chrono::DateTime::from_timestamp_millis(from.time_ms).unwrap_or_default();
        let [sensor, temperature, zone] = self.fields.each_ref().map(Arc::clone);
        VarpulisEvent::with_capacity_at(Arc::clone(&self.reading), 3, time)
            .with_field(sensor, self.sensors[from.sensor].as_str())
            .with_field(temperature, from.temperature)
            .with_field(zone, from.zone)
    }
}

/// The figure of a run, with what it says about lost results.
fn outcome(events: usize, elapsed: Duration, results: usize, expected: usize) -> Outcome {
    let remark = match results {
        _ if results == expected => format!("{results} results"),
        _ if results < expected => {
            let lost = (expected - results) as f64 / expected as f64 * 100.0;
            format!("{results} of {expected} results: {lost:.1} % lost")
        }
        _ => format!("{results} results where {expected} were due"),
    };
    Outcome { figures: vec![events as f64 / elapsed.as_secs_f64()], remark: Some(remark) }
}

/// What does not lose results must not.
fn complete(outcome: Outcome, results: usize, expected: usize) -> Result<Outcome, String> {
    if results == expected { Ok(outcome) } else { Err(format!("{results} results instead of {expected}")) }
}

fn varpin_engine(program: Program, publish_every: usize) -> Result<varpin::engine::Engine, String> {
    let program = varpin::engine::Program::parse(&program.text()).map_err(|error| error.to_string())?;
    varpin::engine::Engine::builder(&program)
        .publish_every(publish_every)
        .build()
        .map_err(|error| error.to_string())
}

/// Joins a measuring thread.
fn finished(thread: thread::JoinHandle<Result<Outcome, String>>) -> Result<Outcome, String> {
    thread.join().map_err(|_| "the measuring thread panicked".to_owned())?
}

fn varpin_sync(program: Program, events: usize) -> Result<Outcome, String> {
    finished(on_cpu(0, move || {
        let mut engine = varpin_engine(program, 1)?;
        let build = VarpinEvents::new(&engine)?;
        let (mut elapsed, mut results) = (Duration::ZERO, 0);
        let mut batch = Vec::with_capacity(BATCH);
        for first in (0..events).step_by(BATCH) {
            for number in first..first + BATCH {
                batch.push(build.event(number)?);
            }
            let started = Instant::now();
            for event in batch.drain(..) {
                let taken = engine.feed(event, |result| {
                    black_box(result);
                    results += 1;
                });
                taken.map_err(|error| error.to_string())?;
            }
            elapsed += started.elapsed();
        }
        engine.finish(|_| results += 1).map_err(|error| error.to_string())?;
        let expected = program.results(events);
        complete(outcome(events, elapsed, results, expected), results, expected)
    }))
}

fn varpulis_program(program: Program) -> Result<varpulis_core::Program, String> {
    varpulis_parser::parse(&program.text()).map_err(|error| format!("{error:?}"))
}

fn varpulis_sync(program: Program, events: usize) -> Result<Outcome, String> {
    finished(on_cpu(0, move || {
        let parsed = varpulis_program(program)?;
        let mut engine = Varpulis::builder().discard_output().build();
        engine.load(&parsed).map_err(|error| error.to_string())?;
        let build = VarpulisEvents::new();
        let mut elapsed = Duration::ZERO;
        for first in (0..events).step_by(BATCH) {
            let batch: Vec<VarpulisEvent> =
                (first..first + BATCH).map(|number| build.event(number)).collect();
            let started = Instant::now();
            engine.process_batch_sync(batch).map_err(|error| error.to_string())?;
            elapsed += started.elapsed();
        }
        let results = engine.metrics().output_events_emitted as usize;
        Ok(outcome(events, elapsed, results, program.results(events)))
    }))
}

fn varpin_contexts(program: Program, events: usize, publish_every: usize) -> Result<Outcome, String> {
    // Not pinned: the engine's threads would inherit it.
    finished(thread::spawn(move || {
        let mut engine = varpin_engine(program, publish_every)?;
        let build = VarpinEvents::new(&engine)?;
        let all = (0..events).map(|number| build.event(number)).collect::<Result<Vec<_>, _>>()?;
        let mut results = 0;
        let started = Instant::now();
        for event in all {
            let taken = engine.feed(event, |result| {
                black_box(result);
                results += 1;
            });
            taken.map_err(|error| error.to_string())?;
        }
        engine.finish(|_| results += 1).map_err(|error| error.to_string())?;
        let elapsed = started.elapsed();
        let expected = program.results(events);
        complete(outcome(events, elapsed, results, expected), results, expected)
    }))
}

fn varpulis_contexts(program: Program, events: usize, capacity: usize) -> Result<Outcome, String> {
    finished(thread::spawn(move || {
        let parsed = varpulis_program(program)?;
        let mut described = Varpulis::new_benchmark();
        described.load(&parsed).map_err(|error| error.to_string())?;
        // Room for all results, so that none is lost *behind* the contexts.
        let (output, mut taken) = mpsc::channel::<VarpulisEvent>(2 * events);
        let contexts = ContextOrchestrator::build(described.context_map(), &parsed, output, capacity)?;
        let build = VarpulisEvents::new();
        let all: Vec<SharedEvent> = (0..events).map(|number| Arc::new(build.event(number))).collect();
        let results = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&results);
        let started = Instant::now();
        let taker = thread::spawn(move || {
            let mut last = Instant::now();
            while let Some(result) = taken.blocking_recv() {
                black_box(result);
                // Relaxed: it is looked at to see whether anything still happens.
                counted.fetch_add(1, Ordering::Relaxed);
                last = Instant::now();
            }
            last
        });
        runtime().block_on(async {
            for event in all {
                contexts.process(event).await?;
            }
            Ok::<(), String>(())
        })?;
        // Shutting down drops what is still queued, so it has to wait until nothing comes any more.
        let expected = program.results(events);
        let (mut seen, mut since) = (0, Instant::now());
        while seen < expected && since.elapsed() < QUIET {
            thread::sleep(Duration::from_millis(1));
            let now = results.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        contexts.shutdown();
        let last = taker.join().map_err(|_| "the thread that takes results panicked")?;
        let results = results.load(Ordering::Relaxed);
        Ok(outcome(events, last.saturating_duration_since(started), results, expected))
    }))
}

pub fn table(quick: bool) -> Table {
    let events = if quick { WHOLE } else { 5 * WHOLE };
    let note = format!(
        "{events} events of three fields a round, 1000 sensors. On one thread: events are built outside the clock, in batches of \
         {BATCH}, and handed over by value inside it; varpin by `Engine::feed` with a closure that takes each result, Varpulis by \
         `process_batch_sync` with its output discarded, the fastest way through it. In contexts: all events are built before the clock \
         starts, and it stops at the last result; both are fed by one thread; the results are taken by the same thread (varpin) or \
         another (Varpulis). Threads of contexts are not pinned."
    );
    let mut table = Table::new("Programs in process", note, &["events/s"]);
    for program in [FILTER_EMIT, PARTITIONED, THREE_STAGES] {
        table.add(program.name, VARPIN, move || varpin_sync(program, events));
        table.add(program.name, VARPULIS, move || varpulis_sync(program, events));
    }
    let program = THREE_CONTEXTS;
    table.add(program.name, VARPIN_CONTEXTS, move || varpin_contexts(program, events, 64));
    table.add(program.name, VARPIN_AT_ONCE, move || varpin_contexts(program, events, 1));
    table.add(program.name, VARPULIS_CONTEXTS, move || varpulis_contexts(program, events, VARPULIS_DEFAULT));
    table.add(program.name, VARPULIS_LOSSLESS, move || varpulis_contexts(program, events, 2 * events));
    table
}
