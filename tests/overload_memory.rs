//! An overload costs no memory: however long it lasts, what waits is bounded.
//!
//! One test, because it counts for the whole process: whatever another test did meanwhile would count too.

#[path = "common/watchdog.rs"]
mod watchdog;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

use varpin::cores::PinPolicy;
use varpin::flow::Graph;
use varpin::ring::WhenFull;
use watchdog::watched;

/// Bytes in use. Relaxed wherever it is used: it is only a counter.
static IN_USE: AtomicI64 = AtomicI64::new(0);

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches only an atomic.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        IN_USE.fetch_add(size as i64 - layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CAPACITY: usize = 64;
const WARM_UP: u64 = 20_000;
const EVENTS: u64 = 200_000;
/// Each event holds this much memory of its own.
const EVENT_BYTES: usize = 200;
/// How much more may be in use at any later time than after the warm-up: queues that double once more, and events that
/// are just being handled.
const SLACK_BYTES: i64 = 4 * (CAPACITY * EVENT_BYTES) as i64;

/// The most that is in use while `push` is called for all events, and how much it is after the warm-up.
fn peak(mut push: impl FnMut(u64)) -> (i64, i64) {
    (0..WARM_UP).for_each(&mut push);
    let before = IN_USE.load(Ordering::Relaxed);
    let mut most = before;
    for n in WARM_UP..EVENTS {
        push(n);
        most = most.max(IN_USE.load(Ordering::Relaxed));
    }
    (before, most)
}

fn typed(policy: WhenFull) {
    let mut graph = Graph::new().capacity(CAPACITY).pin_policy(PinPolicy::Off);
    let (mut input, events) = graph.input::<Vec<u8>>("source");
    let copied = graph.stage("copy", &events, |event: &Vec<u8>, out| out.send(event.clone()));
    graph.sink("slow", &copied, |_| thread::sleep(Duration::from_millis(1)));
    graph.when_full("slow", policy);
    let running = graph.start().expect("the graph is sound");
    let (before, most) = peak(|_| input.push(vec![0; EVENT_BYTES]).expect("nobody leaves before the end"));
    assert!(most - before < SLACK_BYTES, "{policy}: {before} bytes in use, then up to {most}");
    input.close();
    let report = running.join(Duration::from_secs(50)).expect("every stage was done");
    assert!(report.dropped_items() > EVENTS / 2, "an overload: {report:?}");
}

#[cfg(feature = "vpl")]
fn in_contexts(policy: WhenFull) {
    use varpin::engine::{Engine, Program};
    use varpin::event::Value;

    let text = format!(
        "context fast
context slow
config slow {{ when_full: {policy}, capacity: {CAPACITY} }}
stream Copied = Tick.context(fast).where(n >= 0)
stream Shown = Copied.context(slow).emit(n: n, text: text)"
    );
    let program = Program::parse(&text).expect("the program is sound");
    let mut engine = Engine::builder(&program).capacity(CAPACITY).build().expect("it can be built");
    let tick = engine.event_type("Tick").expect("the program takes it");
    let (n, text) = (tick.field("n").expect("any field"), tick.field("text").expect("any field"));
    let mut input = engine.take_input().expect("it is there");
    let mut output = engine.take_output().expect("it is there");
    let taker = thread::spawn(move || {
        while !output.has_ended() {
            if output.poll().is_some() {
                thread::sleep(Duration::from_millis(1));
            } else {
                thread::yield_now();
            }
        }
    });
    let long = "x".repeat(EVENT_BYTES);
    let (before, most) = peak(|number| {
        let mut event = tick.event(number as i64);
        event.set(&n, Value::Int(number as i64)).expect("any value fits");
        event.set(&text, long.as_str()).expect("any value fits");
        input.push(event).expect("the engine takes events");
    });
    assert!(most - before < SLACK_BYTES, "{policy}: {before} bytes in use, then up to {most}");
    input.close();
    taker.join().expect("it doesn't panic");
    let stats = engine.join(Duration::from_secs(50)).expect("the run ends as it should");
    assert!(stats.dropped[0].1 > EVENTS / 2, "an overload: {stats:?}");
}

#[test]
fn memory_stays_flat_however_long_a_consumer_is_too_slow() {
    for policy in [WhenFull::DropNewest, WhenFull::DropOldest] {
        watched(move || typed(policy));
        #[cfg(feature = "vpl")]
        watched(move || in_contexts(policy));
    }
}
