//! What an engine tells of itself while it runs: counts that agree with those at the end, rings, busy threads, latencies.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

#[path = "common/watchdog.rs"]
mod watchdog;

use std::time::{Duration, Instant};

use varpin::engine::{Builder, Engine, Metrics, Program};
use varpin::idle::Idle;
use watchdog::watched;

const CHAIN: &str = "
context a
context b
stream Even = R.context(a).where(v % 2 == 0).emit(v: v)
stream Big = Even.context(b).where(v >= 10).emit(v: v)
";
const INLINE: &str =
    "stream Even = R.where(v % 2 == 0).emit(v: v)\nstream Big = Even.where(v >= 10).emit(v: v)\n";

fn builder(text: &str) -> Builder {
    Engine::builder(&Program::parse(text).unwrap())
}

/// Feeds R { v: 0 } to R { v: events - 1 }; the engine, with its input still open.
fn fed(builder: Builder, events: i64) -> Engine {
    let mut engine = builder.build().unwrap();
    let reading = engine.event_type("R").unwrap();
    let v = reading.field("v").unwrap();
    for number in 0..events {
        let mut event = reading.event(number);
        event.set(&v, number).unwrap();
        engine.feed(event, |_| {}).unwrap();
    }
    engine
}

#[test]
fn counts_agree_with_those_at_the_end_however_the_program_runs() {
    watched(|| {
        for (name, builder) in [
            ("inline", builder(INLINE)),
            ("stepped", builder(CHAIN).stepped()),
            ("threads", builder(CHAIN)),
            ("one thread", builder(INLINE).threaded()),
        ] {
            let mut engine = fed(builder, 1_000);
            let reader = engine.metrics_reader();
            let stats = engine.finish(|_| {}).unwrap().clone();
            let metrics = reader.read();
            assert_eq!((metrics.events, metrics.results), (stats.events, stats.results), "{name}");
            let told = metrics.streams.iter().map(|stream| (&stream.stream, stream.events, stream.rows));
            let counted = stats.streams.iter().map(|stream| (&stream.stream, stream.events, stream.rows));
            assert_eq!(told.collect::<Vec<_>>(), counted.collect::<Vec<_>>(), "{name}");
            assert_eq!((metrics.streams[0].events, metrics.streams[1].rows), (1_000, 495), "{name}");
        }
    });
}

#[test]
fn a_ring_tells_how_full_it_is_and_was() {
    let mut engine = fed(builder(CHAIN).stepped().capacity(64), 40);
    let ring = |metrics: &Metrics, name: &str| {
        let ring = metrics.rings.iter().find(|ring| ring.ring == name).unwrap();
        (ring.capacity, ring.occupancy, ring.high_water, ring.taken)
    };
    engine.step();
    let metrics = engine.metrics();
    assert_eq!(metrics.rings.len(), 4, "in, over, and two for results");
    // The numbers of a few busy cycles are kept by the taking end until it has nothing to do.
    engine.step();
    engine.step();
    let metrics = engine.metrics();
    assert_eq!(ring(&metrics, "input -> a"), (64, 0, 40, 40));
    assert_eq!(ring(&metrics, "a -> b"), (64, 0, 20, 20));
    // Nobody has polled.
    assert_eq!(ring(&metrics, "b -> output"), (64, 0, 0, 0));
    engine.finish(|_| {}).unwrap();
    assert_eq!(ring(&engine.metrics(), "b -> output"), (64, 0, 15, 15));
}

#[test]
fn what_pends_in_front_of_a_full_ring_is_told() {
    let mut engine = fed(builder(CHAIN).stepped().capacity(4), 4);
    let reading = engine.event_type("R").unwrap();
    let v = reading.field("v").unwrap();
    let mut refused = 0;
    for number in 0..8 {
        let mut event = reading.event(number);
        event.set(&v, number).unwrap();
        refused += usize::from(engine.try_push(event).is_err());
    }
    assert!(refused > 0, "a ring of four takes no twelve");
    let pending: u64 = engine.metrics().rings.iter().map(|ring| ring.pending).sum();
    assert!(pending > 0);
    engine.finish(|_| {}).unwrap();
    assert!(engine.metrics().rings.iter().all(|ring| ring.pending == 0 && ring.high_water <= 4));
}

#[test]
fn latencies_are_those_of_one_event_in_so_many() {
    watched(|| {
        for (every, events) in [(0, 640), (1, 640), (64, 640), (1_000, 640)] {
            let all = "stream All = R.emit(v: v)\n";
            let contexts = format!("context a\n{}", all.replace("= R", "= R.context(a)"));
            for text in [all, &contexts] {
                let mut engine = fed(builder(text).latency_sample(every), events);
                let reader = engine.metrics_reader();
                engine.finish(|_| {}).unwrap();
                let metrics = reader.read();
                let samples = metrics.latency.as_ref().map(|latency| latency.samples);
                let wanted = (every > 0).then(|| (events as u64).div_ceil(u64::from(every)));
                assert_eq!(samples, wanted, "1/{every} of {text}");
                assert_eq!(metrics.latency_sample, every);
                for ring in &metrics.rings {
                    let hops = ring.hop.as_ref().map(|hop| hop.samples);
                    assert_eq!(hops.is_some(), every > 0);
                    // One for each batch that was published, and at most one for so many rows.
                    assert!(hops.unwrap_or(0) <= ring.taken / u64::from(every.max(1)), "{ring:?}");
                    assert!(every != 1 || hops > Some(0), "{ring:?}");
                }
            }
        }
    });
}

#[test]
fn a_result_that_is_taken_late_shows_in_the_latency_and_in_the_hop() {
    watched(|| {
        const PAUSE: Duration = Duration::from_millis(30);
        let mut engine =
            fed(builder("context a\nstream All = R.context(a).emit(v: v)\n").latency_sample(1), 10);
        std::thread::sleep(PAUSE);
        engine.finish(|_| {}).unwrap();
        let metrics = engine.metrics();
        let pause_ns = PAUSE.as_nanos() as u64;
        assert!(metrics.latency.unwrap().max_ns >= Some(pause_ns));
        let out = metrics.rings.iter().find(|ring| ring.ring == "a -> output").unwrap();
        // It was published soon after it came in, or, on a busy machine, late; then the pause was elsewhere.
        let into = metrics.rings.iter().find(|ring| ring.ring == "input -> a").unwrap();
        let [out, into] = [out, into].map(|ring| ring.hop.as_ref().unwrap().max_ns.unwrap());
        assert!(out.max(into) >= pause_ns / 2, "{out} {into}");
    });
}

#[test]
fn a_worker_tells_how_busy_it_is() {
    watched(|| {
        let mut engine = fed(builder(CHAIN).idle(Idle::Backoff), 10_000);
        let reader = engine.metrics_reader();
        // With nothing to do it sleeps more and more of its time.
        let mut earlier = reader.read();
        loop {
            std::thread::sleep(Duration::from_millis(5));
            engine.poll(|_| {});
            let now = reader.read();
            assert_eq!(now.workers.len(), 2);
            for (worker, before) in now.workers.iter().zip(&earlier.workers) {
                let since = worker.load.since(&before.load);
                for share in
                    [worker.busy_share, worker.asleep_share, since.busy_share(), since.asleep_share()]
                {
                    assert!((0.0..=1.0).contains(&share), "{worker:?}");
                }
            }
            if now.workers.iter().all(|worker| worker.asleep_share > 0.5) {
                break;
            }
            earlier = now;
        }
        engine.finish(|_| {}).unwrap();
        let end = reader.read();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(
            end.workers.iter().map(|worker| worker.load).collect::<Vec<_>>(),
            reader.read().workers.iter().map(|worker| worker.load).collect::<Vec<_>>(),
            "a worker that has ended spends no time"
        );
    });
}

#[test]
fn another_thread_sees_counts_grow_while_the_engine_runs() {
    watched(|| {
        for text in [CHAIN, INLINE] {
            let mut engine = fed(builder(text), 300);
            let reader = engine.metrics_reader();
            let watching = std::thread::spawn(move || {
                let started = Instant::now();
                let mut last = 0;
                loop {
                    let metrics = reader.read();
                    assert!(metrics.events >= last, "counts only grow");
                    last = metrics.events;
                    if metrics.events >= 600 && metrics.streams[0].events >= 600 {
                        return started.elapsed();
                    }
                    std::thread::yield_now();
                }
            });
            let reading = engine.event_type("R").unwrap();
            // 256 events at the latest are told without a poll; contexts tell as soon as they have nothing to do.
            while !watching.is_finished() {
                engine.feed(reading.event(0), |_| {}).unwrap();
            }
            watching.join().unwrap();
            engine.finish(|_| {}).unwrap();
        }
    });
}

#[test]
fn a_program_can_ask_for_latencies_and_the_builder_wins() {
    let text = "config engine { latency_sample: 1/64 }\nstream All = R.emit(v: v)\n";
    let sample = |builder: Builder| builder.build().unwrap().metrics().latency_sample;
    assert_eq!(sample(builder(text)), 64);
    assert_eq!(sample(builder(&text.replace("1/64", "\"1/8\""))), 8);
    assert_eq!(sample(builder(text).latency_sample(0)), 0);
    for bad in ["64", "2/64", "1/0", "1/1000001", "often", "\"1/x\""] {
        let error = Program::parse(&text.replace("1/64", bad)).unwrap_err().to_string();
        assert!(error.contains("1/N"), "{bad}: {error}");
    }
}
