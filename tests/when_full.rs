//! `when_full` of a context: what becomes of a row when a ring that leads into it is full, counted exactly. (The policies
//! themselves: tests/overload.rs.)
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // helpers of tests

#[path = "common/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use varpin::engine::{Engine, Event, InputError, Output, Program, Record, Stats};
use varpin::event::Value;
use varpin::flow::MergeOrder;
use watchdog::watched;

const SOON: Duration = Duration::from_secs(50);
const CAPACITY: usize = 16;

/// `fast` hands everything to `slow`, which says what is to happen when its rings are full.
fn program(policy: &str, from_outside: bool) -> Program {
    let (passes, source) = if from_outside { ("n < 0", "Tick") } else { ("n > 0", "Copied") };
    let text = format!(
        "context fast
context slow
config slow {{
    when_full: {policy}
    capacity: {CAPACITY}
}}
stream Copied = Tick
    .context(fast)
    .where({passes})
stream Shown = {source}
    .context(slow)
    .emit(n: n)
"
    );
    Program::parse(&text).unwrap()
}

fn tick(engine: &Engine, n: i64) -> Event {
    engine.event_type("Tick").unwrap().event_with(n * 1_000, [("n", Value::Int(n))]).unwrap()
}

/// The number in a result of `Shown`.
fn shown(record: &Record<'_>) -> Option<i64> {
    match (record.stream(), record.get("n")) {
        ("Shown", Some(Value::Int(n))) => Some(*n),
        _ => None,
    }
}

/// Takes the results of `Shown`, resting 1 ms after each, until there are no more.
fn rest_after_each(mut output: Output) -> Vec<i64> {
    let mut taken = Vec::new();
    while !output.has_ended() {
        match output.poll().map(|record| shown(&record)) {
            Some(Some(n)) => {
                taken.push(n);
                thread::sleep(Duration::from_millis(1));
            }
            Some(None) => {}
            None => thread::yield_now(),
        }
    }
    taken
}

fn sum(counts: &[(String, u64)]) -> u64 {
    counts.iter().map(|(_, rows)| rows).sum()
}

/// Rows that came to `Shown`.
fn came(stats: &Stats) -> u64 {
    stats.streams.iter().find(|stream| stream.stream == "Shown").unwrap().events
}

#[test]
fn a_slow_context_under_a_fast_input_and_every_event_is_accounted_for() {
    for policy in ["block", "drop_newest", "drop_oldest", "error"] {
        for order in MergeOrder::ALL {
            watched(move || {
                let program = program(policy, true);
                let events: i64 = if policy.starts_with("drop") { 100_000 } else { 200 };
                let mut engine = Engine::builder(&program).order(order).build().unwrap();
                let mut input = engine.take_input().unwrap();
                let output = engine.take_output().unwrap();
                let taker = thread::spawn(move || rest_after_each(output));
                let mut given_back = 0;
                for n in 1..=events {
                    match input.push(tick(&engine, n)) {
                        Ok(()) => {}
                        Err(InputError::Overrun(_)) if policy == "error" => given_back += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                input.close();
                let taken = taker.join().unwrap();
                let stats = engine.join(SOON).unwrap().clone();
                let dropped = sum(&stats.dropped);
                assert_eq!(stats.undelivered, []);
                assert_eq!(stats.events + given_back, events as u64);
                assert_eq!(taken.len() as u64 + dropped + given_back, events as u64, "{stats:?}");
                assert_eq!(came(&stats), taken.len() as u64);
                assert!(taken.is_sorted_by(|a, b| a < b));
                match policy {
                    "block" => assert_eq!(dropped, 0),
                    "error" => assert!(given_back > 0),
                    _ => {
                        assert!(dropped > events as u64 / 2, "{stats:?}");
                        assert_eq!(stats.dropped[0].0, "input -> slow");
                    }
                }
                if policy == "drop_oldest" {
                    let newest: Vec<i64> = (events - CAPACITY as i64 + 1..=events).collect();
                    assert!(taken.ends_with(&newest), "{order}: {taken:?}");
                }
            });
        }
    }
}

#[test]
fn a_slow_context_behind_a_fast_one_and_every_row_is_accounted_for() {
    for policy in ["drop_newest", "drop_oldest"] {
        for order in MergeOrder::ALL {
            watched(move || {
                let program = program(policy, false);
                let events = 50_000;
                let mut engine = Engine::builder(&program).order(order).build().unwrap();
                let mut input = engine.take_input().unwrap();
                let output = engine.take_output().unwrap();
                let taker = thread::spawn(move || rest_after_each(output));
                for n in 1..=events {
                    input.push(tick(&engine, n)).unwrap();
                }
                input.close();
                let taken = taker.join().unwrap();
                let stats = engine.join(SOON).unwrap();
                assert_eq!(stats.dropped.len(), 1);
                assert_eq!(stats.dropped[0].0, "fast -> slow");
                assert_eq!(taken.len() as u64 + stats.dropped[0].1, events as u64, "{stats:?}");
                assert_eq!((came(stats), &stats.undelivered[..]), (taken.len() as u64, &[][..]));
                if policy == "drop_oldest" {
                    let newest: Vec<i64> = (events - CAPACITY as i64 + 1..=events).collect();
                    assert!(taken.ends_with(&newest), "{order}: {taken:?}");
                }
            });
        }
    }
}

/// A run that fails because a context must not be overrun by another one: what it had taken, and what was left, is all there
/// was.
#[test]
fn a_context_that_overruns_one_with_error_fails_the_run_and_everything_is_counted() {
    let program = program("error", false);
    let mut engine = Engine::builder(&program).stepped().batch_limit(8).build().unwrap();
    let mut taken = 0;
    let mut pushed = 0;
    for n in 1..=1_000 {
        // `slow` stands still once its results find no room: nobody takes them.
        if engine.try_push(tick(&engine, n)).is_ok() {
            pushed += 1;
        }
        engine.step();
    }
    let error = engine
        .finish_within(Duration::ZERO, |record| taken += u64::from(shown(&record).is_some()))
        .unwrap_err();
    assert!(error.to_string().contains("the ring fast -> slow is full"), "{error}");
    let stats = engine.stats();
    let left = sum(&stats.undelivered);
    assert_eq!(taken + left, pushed, "{stats:?}");
    assert_eq!(stats.dropped, []);
}

/// The thread that feeds is the one that takes results: it takes them before anything is dropped, so a context that only
/// waits for room in front of its results is not taken for overloaded.
#[test]
fn feeding_and_taking_on_one_thread_counts_exactly_and_live() {
    for policy in ["drop_newest", "drop_oldest"] {
        watched(move || {
            let program = program(policy, true);
            let mut engine = Engine::builder(&program).publish_every(64).build().unwrap();
            let mut taken = 0;
            let mut seen = 0;
            for n in 1..=50_000 {
                let event = tick(&engine, n);
                engine.feed(event, |record| taken += u64::from(shown(&record).is_some())).unwrap();
                if n % 1_000 == 0 {
                    let dropped = sum(&engine.stats().dropped);
                    assert!(dropped >= seen, "a count never falls");
                    seen = dropped;
                }
            }
            let stats = engine.finish(|record| taken += u64::from(shown(&record).is_some())).unwrap();
            assert!(sum(&stats.dropped) >= seen);
            assert_eq!(taken + sum(&stats.dropped), 50_000, "{stats:?}");
            assert_eq!(stats.undelivered, []);
        });
    }
}

/// Closing leaves what waits in front of a full ring to the context: it waits for nobody, and nothing of it is lost.
#[test]
fn an_input_that_is_closed_in_an_overload_goes_at_once_and_the_newest_still_come() {
    watched(|| {
        let program = program("drop_oldest", true);
        let mut engine = Engine::builder(&program).build().unwrap();
        let mut input = engine.take_input().unwrap();
        let output = engine.take_output().unwrap();
        let events = 10_000;
        for n in 1..=events {
            // `fast` may hold its input up.
            match input.try_push(tick(&engine, n)) {
                Ok(()) => {}
                Err(InputError::Full(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let last = input.events() as i64;
        let taker = thread::spawn(move || rest_after_each(output));
        input.close();
        let taken = taker.join().unwrap();
        engine.join(SOON).unwrap();
        assert_eq!(taken.last(), Some(&last));
    });
    // And with a single context, on one thread, where nobody could make room while the input is being closed.
    watched(|| {
        let text = "context slow\nconfig slow { when_full: drop_oldest, capacity: 4 }\n\
            stream Shown = Tick.context(slow).emit(n: n)";
        let mut engine = Engine::builder(&Program::parse(text).unwrap()).build().unwrap();
        let mut input = engine.take_input().unwrap();
        let mut output = engine.take_output().unwrap();
        for n in 1..=10_000 {
            input.push(tick(&engine, n)).unwrap();
        }
        input.close();
        let mut taken = Vec::new();
        while !output.has_ended() {
            taken.extend(output.poll().and_then(|record| shown(&record)));
        }
        let stats = engine.join(SOON).unwrap();
        assert!(taken.ends_with(&[9_997, 9_998, 9_999, 10_000]), "{taken:?}");
        assert_eq!(taken.len() as u64 + sum(&stats.dropped), 10_000);
    });
}

/// Windows, merges and several inputs behind and beside a ring that drops: nobody waits for what never comes.
#[test]
fn what_is_dropped_holds_no_window_and_no_merge_up() {
    for policy in ["drop_newest", "drop_oldest"] {
        for order in MergeOrder::ALL {
            for inputs in [1, 2] {
                watched(move || {
                    let text = format!(
                        "context a
context b
context c
config b {{ when_full: {policy}, capacity: 2 }}
stream Far = Tick
    .context(b)
    .select(n: n)
stream Near = Tick
    .context(a)
    .window(1s)
    .aggregate(n: max(n))
stream Both = merge(Far, Near)
    .context(c)
    .emit(n: n)
"
                    );
                    let program = Program::parse(&text).unwrap();
                    let mut engine =
                        Engine::builder(&program).order(order).inputs(inputs).capacity(4).build().unwrap();
                    let feeders: Vec<_> = (0..inputs)
                        .map(|_| {
                            let mut input = engine.take_input().unwrap();
                            let events: Vec<Event> = (1..=5_000).map(|n| tick(&engine, n)).collect();
                            thread::spawn(move || {
                                for event in events {
                                    input.push(event).unwrap();
                                }
                            })
                        })
                        .collect();
                    let mut output = engine.take_output().unwrap();
                    let mut results = 0;
                    while !output.has_ended() {
                        let taken = output.drain(64, |record| {
                            results += u64::from(record.stream() == "Both");
                        });
                        if taken == 0 {
                            thread::yield_now();
                        }
                    }
                    for feeder in feeders {
                        feeder.join().unwrap();
                    }
                    let stats = engine.join(SOON).unwrap();
                    let far = stats.streams.iter().find(|stream| stream.stream == "Far").unwrap();
                    let near = stats.streams.iter().find(|stream| stream.stream == "Near").unwrap();
                    assert_eq!(far.events + sum(&stats.dropped), 5_000 * inputs as u64, "{stats:?}");
                    assert_eq!(results, far.rows + near.rows, "{stats:?}");
                    assert_eq!((near.events, &stats.undelivered[..]), (5_000 * inputs as u64, &[][..]));
                });
            }
        }
    }
}

/// Live, contexts are told the time by rows of their own. They are no events: one that finds no room is told again by the next.
#[test]
fn live_ticks_are_not_among_what_is_counted() {
    for policy in ["drop_newest", "drop_oldest"] {
        let text = format!(
            "context slow
config slow {{ when_full: {policy}, capacity: 2 }}
stream Shown = Tick
    .context(slow)
    .window(1s)
    .aggregate(n: count())
"
        );
        let program = Program::parse(&text).unwrap();
        let clock = varpin::clock::ManualClock::new(0);
        let mut engine = Engine::builder(&program).stepped().live(clock.clone()).build().unwrap();
        let mut counted = 0;
        let mut note = |record: Record<'_>| match record.get("n") {
            Some(Value::Int(n)) => counted += n,
            other => panic!("{other:?}"),
        };
        for n in 1..=100 {
            // Each event comes with a tick in front of it, and both find the ring full most of the time.
            clock.advance(100_000_000);
            engine.feed(tick(&engine, n * 100_000), &mut note).unwrap();
            if n % 10 == 0 {
                engine.step();
                engine.poll(&mut note);
            }
        }
        let stats = engine.finish(&mut note).unwrap().clone();
        let late: u64 = stats.streams.iter().map(|stream| stream.late).sum();
        assert_eq!(came(&stats) + sum(&stats.dropped), 100, "{stats:?}");
        assert_eq!((counted as u64 + late, &stats.undelivered[..]), (came(&stats), &[][..]), "{stats:?}");
    }
}
