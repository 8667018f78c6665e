//! In the steady state an event costs no heap allocation on any thread: not where it is pushed, not in any
//! context, not where its results are taken.
//!
//! One test, because it counts for the whole process: whatever another test did meanwhile would count too.
#![cfg(feature = "vpl")]

#[path = "common/watchdog.rs"]
mod watchdog;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use varpin::engine::{Builder, Engine, EventType, Field, Program};
use varpin::event::Value;
use varpin::flow::MergeOrder;
use varpin::idle::Idle;
use watchdog::watched;

/// Allocations of all threads. Relaxed wherever it is used: it is only a counter, and what it is compared with lies
/// behind a result that has come through rings.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches only an atomic.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WARM_UP: i64 = 50_000;
const EVENTS: i64 = 100_000;

/// With threads, queues still grow to the largest size that they ever need after the warm-up: what pends in
/// front of a full ring, and the places of progress notices in a ring. Each doubles, so that there are a few
/// growths per ring, however many events come.
const GROWTHS: u64 = 60;

const FILTER: &str =
    "stream Hot = Reading.where(celsius > 30.0).emit(room: room, celsius: celsius * 1.8 + 32.0)";
const COUNT_WINDOWS: &str = "stream Means = Reading
    .partition_by(room)
    .window(10)
    .aggregate(room: last(room), mean: avg(celsius), n: count())";
const TIME_WINDOWS: &str = "stream Means = Reading
    .partition_by(room)
    .window(5s, sliding: 1s)
    .aggregate(room: last(room), mean: avg(celsius), highest: max(celsius))";
const PIPELINE: &str = "context ingest
context analyze
context alert
stream Readings = Reading
    .context(ingest)
    .where(celsius > -100.0)
stream Means = Readings
    .context(analyze)
    .partition_by(room)
    .window(10)
    .aggregate(room: last(room), mean: avg(celsius))
stream Alerts = Means
    .context(alert)
    .where(mean > 10.0)
    .emit(room: room, mean: mean)
stream Hot = merge(Readings, Reading)
    .context(alert)
    .where(celsius > 30.0)
    .emit(room: room, celsius: celsius)";

struct Readings {
    ty: EventType,
    room: Field,
    celsius: Field,
    rooms: Vec<Value>,
}

impl Readings {
    fn of(engine: &Engine) -> Self {
        let ty = engine.event_type("Reading").expect("the program takes it");
        let field = |name| ty.field(name).expect("an undeclared type has any field");
        let rooms = (0..50).map(|room| Value::from(format!("room {room}").as_str())).collect();
        Self { room: field("room"), celsius: field("celsius"), rooms, ty }
    }

    fn event(&self, n: i64) -> varpin::engine::Event {
        let mut event = self.ty.event(n * 10_000_000);
        event.set(&self.room, self.rooms[(n * 7 % 50) as usize].clone()).expect("any value fits");
        event.set(&self.celsius, (n % 60) as f64).expect("any value fits");
        event
    }
}

/// Allocations of all threads while [`EVENTS`] events go in and their results come out.
fn allocations(text: &'static str, build: impl FnOnce(Builder) -> Builder + Send + 'static) -> u64 {
    watched(move || {
        let program = Program::parse(text).expect("the program is sound");
        let mut engine = build(Engine::builder(&program)).build().expect("the engine can be built");
        let readings = Readings::of(&engine);
        let mut lines = engine.json_lines();
        let mut line = Vec::with_capacity(4096);
        let mut results = 0_u64;
        let mut feed = |engine: &mut Engine, from: i64, to: i64| {
            for n in from..to {
                let fed = engine.feed(readings.event(n), |record| {
                    line.clear();
                    lines.write(&record, &mut line);
                    results += 1;
                });
                fed.expect("the engine takes events");
            }
        };
        feed(&mut engine, 0, WARM_UP);
        // The threads go to sleep once, and that part is warm, too.
        thread::sleep(std::time::Duration::from_millis(20));
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        feed(&mut engine, WARM_UP, WARM_UP + EVENTS);
        let after = ALLOCATIONS.load(Ordering::Relaxed);
        engine.finish(|_| results += 1).expect("the run ends as it should");
        assert!(results > 1_000, "only {results} results: there was too little to do");
        after - before
    })
}

#[test]
fn no_thread_allocates_per_event_in_the_steady_state() {
    // The counter has teeth: an array in each result cannot be had for nothing.
    let collecting = "stream Lists = Reading.emit(list: [room, celsius])";
    assert!(allocations(collecting, |builder| builder) >= EVENTS as u64, "allocations are not counted");
    for (name, text) in [("filter", FILTER), ("count windows", COUNT_WINDOWS), ("time windows", TIME_WINDOWS)]
    {
        assert_eq!(allocations(text, |builder| builder), 0, "{name}, on the caller's thread");
    }
    for order in MergeOrder::ALL {
        for idle in [Idle::Yield, Idle::Backoff, Idle::Park] {
            let allocated = allocations(PIPELINE, move |builder| builder.order(order).idle(idle));
            assert!(allocated <= GROWTHS, "{allocated} allocations in three contexts, {order}, {idle}");
            println!("{order}, {idle}: {allocated} allocations for {EVENTS} events in three contexts");
        }
    }
}
