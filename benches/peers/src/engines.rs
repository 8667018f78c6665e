//! The same programs and events in varpin and in varpulis-runtime 0.11, in this process.
//!
//! On one thread: events are built in batches of [`BATCH`], outside the clock, and each batch is handed over inside it. So both engines
//! get events that are as fresh in the caches as those of a reader in front of them would be. The clock is the thread's own, so that what
//! else the machine does counts as little as it can. Each is fed by its fastest way in. varpin: `Engine::feed_ref`, which leaves the event
//! with the caller and calls a closure with each result. Varpulis: `process_batch_sync`, which takes the events by value, with its output
//! discarded; it counts its results. Its synchronous path gives no results of a join at all, so there it is `process_batch` on a runtime
//! of the calling thread.
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
use crate::machine::{on_cpu, on_thread};
use crate::programs::{
    ALL, FILTER_EMIT, FUNCTIONS, JOINED, PARTITIONED, Path, Program, SEQUENCE, SEQUENCE_BY_KEY,
    THREE_CONTEXTS, THREE_STAGES, WHOLE,
};
use crate::report::{Outcome, Table};
use crate::samples::{Kind, Scalar, names};

/// Programs on one thread.
const IN_PROCESS: [Program; 8] =
    [FILTER_EMIT, PARTITIONED, THREE_STAGES, SEQUENCE, SEQUENCE_BY_KEY, ALL, JOINED, FUNCTIONS];
pub const BATCH: usize = 1000;
/// Of Varpulis's channels, unless something else is asked for.
const VARPULIS_DEFAULT: usize = 1000;
/// After so long without a result nothing is expected any more.
const QUIET: Duration = Duration::from_millis(500);

pub const VARPIN: &str = "varpin";
pub const VARPULIS: &str = "varpulis 0.11, one thread";
pub const VARPIN_CONTEXTS: &str = "varpin, published every 64";
pub const VARPIN_AT_ONCE: &str = "varpin, published at once";
pub const VARPULIS_CONTEXTS: &str = "varpulis 0.11, channels of 1000";
pub const VARPULIS_LOSSLESS: &str = "varpulis 0.11, channels for everything";

/// Builds varpin's events.
struct VarpinEvents {
    program: Program,
    kinds: Vec<(varpin::engine::EventType, Vec<varpin::engine::Field>)>,
    names: Vec<String>,
}

impl VarpinEvents {
    fn new(engine: &varpin::engine::Engine, program: Program) -> Result<Self, String> {
        let kind = |kind: &Kind| {
            let event_type = engine.event_type(kind.name)?;
            let fields = kind.fields.iter().map(|field| event_type.field(field)).collect::<Result<_, _>>()?;
            Ok::<_, varpin::engine::EventError>((event_type, fields))
        };
        let kinds = program.kinds.iter().map(kind).collect::<Result<_, _>>();
        Ok(Self { program, kinds: kinds.map_err(|error| error.to_string())?, names: names() })
    }

    fn event(&self, number: usize) -> Result<varpin::engine::Event, String> {
        let sample = (self.program.sample)(number);
        let (event_type, fields) = &self.kinds[sample.kind];
        let mut event = event_type.event(sample.time_ms * 1_000_000);
        for (field, value) in fields.iter().zip(sample.values) {
            let set = match value {
                Scalar::Name(name) => event.set(field, self.names[name].as_str()),
                Scalar::Text(text) => event.set(field, text),
                Scalar::Int(value) => event.set(field, value),
                Scalar::Float(value) => event.set(field, value),
            };
            set.map_err(|error| error.to_string())?;
        }
        Ok(event)
    }
}

/// Builds Varpulis's events; names of types and fields are shared, as its own readers share them.
struct VarpulisEvents {
    program: Program,
    kinds: Vec<(Arc<str>, Vec<Arc<str>>)>,
    names: Vec<String>,
}

impl VarpulisEvents {
    fn new(program: Program) -> Self {
        let kind = |kind: &Kind| (kind.name.into(), kind.fields.iter().map(|&field| field.into()).collect());
        Self { program, kinds: program.kinds.iter().map(kind).collect(), names: names() }
    }

    fn event(&self, number: usize) -> VarpulisEvent {
        let sample = (self.program.sample)(number);
        let (kind, fields) = &self.kinds[sample.kind];
        let time = chrono::DateTime::from_timestamp_millis(sample.time_ms).unwrap_or_default();
        let event = VarpulisEvent::with_capacity_at(Arc::clone(kind), fields.len(), time);
        fields.iter().zip(sample.values).fold(event, |event, (field, value)| {
            let field = Arc::clone(field);
            match value {
                Scalar::Name(name) => event.with_field(field, self.names[name].as_str()),
                Scalar::Text(text) => event.with_field(field, text),
                Scalar::Int(value) => event.with_field(field, value),
                Scalar::Float(value) => event.with_field(field, value),
            }
        })
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
        let build = VarpinEvents::new(&engine, program)?;
        let (mut elapsed, mut results) = (Duration::ZERO, 0);
        let mut batch = Vec::with_capacity(BATCH);
        for first in (0..events).step_by(BATCH) {
            for number in first..first + BATCH {
                batch.push(build.event(number)?);
            }
            let started = on_thread();
            for event in &mut batch {
                let taken = engine.feed_ref(event, |result| {
                    black_box(result);
                    results += 1;
                });
                taken.map_err(|error| error.to_string())?;
            }
            elapsed += on_thread() - started;
            batch.clear();
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
        let build = VarpulisEvents::new(program);
        let runtime = runtime();
        let mut elapsed = Duration::ZERO;
        for first in (0..events).step_by(BATCH) {
            let batch: Vec<VarpulisEvent> =
                (first..first + BATCH).map(|number| build.event(number)).collect();
            let started = on_thread();
            let taken = match program.path {
                Path::Sync => engine.process_batch_sync(batch),
                Path::Async => runtime.block_on(engine.process_batch(batch)),
            };
            elapsed += on_thread() - started;
            taken.map_err(|error| error.to_string())?;
        }
        let results = engine.metrics().output_events_emitted as usize;
        Ok(outcome(events, elapsed, results, program.results(events)))
    }))
}

fn varpin_contexts(program: Program, events: usize, publish_every: usize) -> Result<Outcome, String> {
    // Not pinned: the engine's threads would inherit it.
    finished(thread::spawn(move || {
        let mut engine = varpin_engine(program, publish_every)?;
        let build = VarpinEvents::new(&engine, program)?;
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
        let build = VarpulisEvents::new(program);
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
        "{events} events of up to three fields a round, 1000 sensors, 100 users (so many runs of a sequence are open), 2000 events in the \
         window of a join. On one thread: events are built outside the clock, in batches of {BATCH}, and handed over inside it; the clock counts what \
         this thread has run; varpin by \
         `Engine::feed_ref` with a closure that takes each result, Varpulis by `process_batch_sync` with its output discarded (joins by \
         `process_batch`, because that path gives no results of them). Both owe the same number of results, and it is counted. In contexts: all events are built before the clock \
         starts, and it stops at the last result; both are fed by one thread; the results are taken by the same thread (varpin) or \
         another (Varpulis). Threads of contexts are not pinned."
    );
    let mut table = Table::new("Programs in process", note, &["events/s"]);
    for program in IN_PROCESS {
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
