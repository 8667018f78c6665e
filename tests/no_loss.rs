//! Not one event lost, not one doubled, and nothing hangs: whatever the capacity, the number of contexts, who
//! is slow, and who leaves.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // helpers of tests

#[path = "common/watchdog.rs"]
mod watchdog;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use varpin::engine::{Engine, EventType, Field, Input, InputError, Output, Program, Record};
use varpin::event::Value;
use varpin::flow::MergeOrder;
use varpin::idle::Idle;
use varpin::operators::Limits;
use watchdog::watched;

/// The million is for optimised builds.
const EVENTS: i64 = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
const KEYS: i64 = 97;
const SOON: Duration = Duration::from_secs(50);

/// A chain of contexts, each with one stream; the last one's rows are results.
fn chain(contexts: usize) -> Program {
    let mut text = String::new();
    for n in 0..contexts {
        let source = if n == 0 { "Tick".to_owned() } else { format!("S{}", n - 1) };
        let end = if n + 1 == contexts { ".emit(id: id, key: key)" } else { ".where(id >= 0)" };
        let _ = write!(text, "context c{n}\nstream S{n} = {source}\n    .context(c{n})\n    {end}\n");
    }
    Program::parse(&text).expect("the chain is sound")
}

/// Makes events with an id and a key.
struct Ticks {
    ty: EventType,
    id: Field,
    key: Field,
}

impl Ticks {
    fn of(engine: &Engine) -> Self {
        let ty = engine.event_type("Tick").expect("the program takes it");
        let field = |name| ty.field(name).expect("an undeclared type has any field");
        Self { id: field("id"), key: field("key"), ty }
    }

    fn tick(&self, id: i64, key: i64) -> varpin::engine::Event {
        let mut event = self.ty.event(id * 1_000);
        event.set(&self.id, id).expect("any value fits");
        event.set(&self.key, key).expect("any value fits");
        event
    }
}

/// The ids that came, by key, in order.
#[derive(Debug, Default, PartialEq)]
struct Seen(BTreeMap<i64, Vec<i64>>);

impl Seen {
    fn note(&mut self, record: Record<'_>) {
        let int = |name| match record.get(name) {
            Some(Value::Int(int)) => *int,
            other => panic!("{name} is {other:?}"),
        };
        self.0.entry(int("key")).or_default().push(int("id"));
    }

    /// What must come of the ids below `events`.
    fn of(events: i64) -> Self {
        let mut seen = Self::default();
        for id in 0..events {
            seen.0.entry(id % KEYS).or_default().push(id);
        }
        seen
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Compares without printing a million ids.
    fn assert_is(&self, other: &Self) {
        assert_eq!(self.len(), other.len(), "events were lost or doubled");
        for (key, ids) in &other.0 {
            let first_wrong = self.0.get(key).map(|seen| seen.iter().zip(ids).position(|(a, b)| a != b));
            assert_eq!(first_wrong, Some(None), "key {key}: first wrong place");
        }
    }
}

/// Feeds and takes on one thread.
fn run(contexts: usize, events: i64, capacity: usize, idle: Idle, order: MergeOrder) {
    watched(move || {
        let program = chain(contexts);
        let mut engine =
            Engine::builder(&program).capacity(capacity).idle(idle).order(order).build().unwrap();
        let ticks = Ticks::of(&engine);
        let mut seen = Seen::default();
        for id in 0..events {
            engine.feed(ticks.tick(id, id % KEYS), |record| seen.note(record)).unwrap();
        }
        let stats = engine.finish(|record| seen.note(record)).unwrap().clone();
        seen.assert_is(&Seen::of(events));
        assert_eq!((stats.events, stats.results), (events as u64, events as u64));
        assert_eq!(stats.undelivered, []);
        for stream in &stats.streams {
            assert_eq!((stream.events, stream.rows), (events as u64, events as u64), "{}", stream.stream);
        }
    });
}

#[test]
fn a_million_events_pass_three_contexts() {
    for order in MergeOrder::ALL {
        run(3, EVENTS, 1024, Idle::Auto, order);
    }
}

#[test]
fn rings_of_one_slot_lose_nothing() {
    for idle in [Idle::Yield, Idle::Backoff, Idle::Park] {
        run(3, 5_000, 1, idle, MergeOrder::Deterministic);
        run(3, 5_000, 1, idle, MergeOrder::Arrival);
    }
}

#[test]
fn eight_contexts_on_fewer_cores_lose_nothing() {
    for idle in [Idle::Auto, Idle::Park] {
        run(8, EVENTS / 10, 256, idle, MergeOrder::Timestamp);
    }
}

/// Pushes the ids `from, from + step, ..` below `to`, all with the same key.
fn feeder(mut input: Input, ticks: Ticks, key: i64, ids: Vec<i64>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for id in ids {
            input.push(ticks.tick(id, key)).expect("the engine takes events");
        }
        input.close();
    })
}

/// Takes everything on a thread of its own, resting every so many results.
fn taker(mut output: Output, rest_every: usize) -> thread::JoinHandle<Seen> {
    thread::spawn(move || {
        let mut seen = Seen::default();
        while !output.has_ended() {
            let before = seen.len();
            output.drain(64, |record| seen.note(record));
            if seen.len() == before {
                thread::yield_now();
            } else if rest_every > 0 && seen.len() / rest_every > before / rest_every {
                thread::sleep(Duration::from_millis(1));
            }
        }
        seen
    })
}

#[test]
fn three_inputs_on_three_threads_lose_nothing_and_keep_their_own_order() {
    for order in MergeOrder::ALL {
        watched(move || {
            let each = EVENTS / 10;
            let program = chain(3);
            let mut engine =
                Engine::builder(&program).inputs(3).order(order).publish_every(16).build().unwrap();
            let feeders: Vec<_> = (0..3)
                .map(|key| {
                    let ids = (0..each).map(|n| n * 3 + key).collect();
                    feeder(engine.take_input().unwrap(), Ticks::of(&engine), key, ids)
                })
                .collect();
            let taker = taker(engine.take_output().unwrap(), 0);
            for feeder in feeders {
                feeder.join().unwrap();
            }
            let seen = taker.join().unwrap();
            let stats = engine.join(SOON).unwrap();
            let expected = (0..3).map(|key| (key, (0..each).map(|n| n * 3 + key).collect()));
            seen.assert_is(&Seen(expected.collect()));
            assert_eq!(stats.undelivered, []);
        });
    }
}

#[test]
fn a_slow_consumer_holds_up_and_loses_nothing() {
    watched(|| {
        let program = chain(3);
        let mut engine = Engine::builder(&program).capacity(2).idle(Idle::Park).build().unwrap();
        let ids: Vec<i64> = (0..2_000).collect();
        let feeder = feeder(engine.take_input().unwrap(), Ticks::of(&engine), 0, ids.clone());
        let taker = taker(engine.take_output().unwrap(), 20);
        feeder.join().unwrap();
        taker.join().unwrap().assert_is(&Seen([(0, ids)].into()));
        engine.join(SOON).unwrap();
    });
}

/// What was flushed comes out although nothing follows and the batch is not full.
#[test]
fn a_slow_producer_gets_its_results_after_each_flush() {
    for order in MergeOrder::ALL {
        watched(move || {
            let program = chain(3);
            let mut engine =
                Engine::builder(&program).publish_every(1_000).idle(Idle::Park).order(order).build().unwrap();
            let ticks = Ticks::of(&engine);
            let mut input = engine.take_input().unwrap();
            let mut output = engine.take_output().unwrap();
            let mut seen = Seen::default();
            for round in 0..20 {
                for id in round * 10..(round + 1) * 10 {
                    input.push(ticks.tick(id, id % KEYS)).unwrap();
                }
                input.flush();
                while seen.len() < ((round + 1) * 10) as usize {
                    if let Some(record) = output.poll() {
                        seen.note(record);
                    }
                }
            }
            drop(input);
            engine.join(SOON).unwrap();
            seen.assert_is(&Seen::of(200));
        });
    }
}

/// Nobody is left to take results: what there is of them is counted, and the run still ends.
#[test]
fn a_consumer_that_goes_away_holds_nobody_up_and_what_it_left_is_counted() {
    watched(|| {
        let program = chain(3);
        let mut engine = Engine::builder(&program).capacity(8).build().unwrap();
        let ticks = Ticks::of(&engine);
        let mut input = engine.take_input().unwrap();
        let mut output = engine.take_output().unwrap();
        let events = 10_000;
        let taker = thread::spawn(move || {
            let mut taken = 0;
            while taken < 100 {
                taken += u64::from(output.poll().is_some());
            }
            taken
        });
        let mut pushed = 0;
        for id in 0..events {
            match input.push(ticks.tick(id, 0)) {
                Ok(()) => pushed += 1,
                Err(InputError::Closed(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        drop(input);
        let taken = taker.join().unwrap();
        let stats = match engine.join(SOON) {
            Ok(stats) => stats.clone(),
            Err(_) => engine.stats(),
        };
        let undelivered: u64 = stats.undelivered.iter().map(|(_, items)| items).sum();
        assert_eq!(taken + undelivered, pushed, "{stats:?}");
    });
}

#[test]
fn an_engine_dropped_in_the_middle_tells_its_input_and_hangs_nobody() {
    for idle in [Idle::Yield, Idle::Backoff, Idle::Park] {
        watched(move || {
            let program = chain(3);
            let mut engine = Engine::builder(&program).capacity(4).idle(idle).build().unwrap();
            let ticks = Ticks::of(&engine);
            let mut input = engine.take_input().unwrap();
            let feeder = thread::spawn(move || {
                let mut id = 0;
                while input.push(ticks.tick(id, 0)).is_ok() {
                    id += 1;
                }
                id
            });
            let mut taken = 0;
            while taken < 50 {
                taken += engine.poll(|_| {});
            }
            drop(engine);
            assert!(feeder.join().unwrap() >= 50);
        });
    }
}

#[test]
fn an_engine_dropped_with_its_input_and_results_waiting_hangs_nobody() {
    watched(|| {
        let program = chain(3);
        let mut engine = Engine::builder(&program).capacity(4).idle(Idle::Park).build().unwrap();
        let ticks = Ticks::of(&engine);
        let mut id = 0;
        while engine.try_push(ticks.tick(id, 0)).is_ok() || id < 10 {
            id += 1;
        }
        drop(engine);
    });
}

/// A stream that may hold ten keys fails on every event of another one; those are dead letters, and everything
/// else goes on.
#[test]
fn events_that_an_operator_fails_on_are_dead_letters_and_nothing_else_is_lost() {
    let text = "context a
context b
stream PerKey = Tick
    .context(a)
    .partition_by(key)
    .window(1000)
    .aggregate(key: max(key), id: count())
stream All = Tick
    .context(b)
    .emit(key: key, id: id)
";
    watched(move || {
        let program = Program::parse(text).unwrap();
        let limits = Limits { max_partitions: 10, ..Limits::default() };
        let mut engine = Engine::builder(&program).limits(limits).capacity(16).build().unwrap();
        let ticks = Ticks::of(&engine);
        let (mut all, mut counts) = (Seen::default(), Seen::default());
        let events = 5_000;
        let mut note = |record: Record<'_>| match record.stream() {
            "All" => all.note(record),
            _ => counts.note(record),
        };
        for id in 0..events {
            engine.feed(ticks.tick(id, id % 20), &mut note).unwrap();
        }
        let stats = engine.finish(&mut note).unwrap().clone();
        assert_eq!(all.len(), events as usize);
        assert_eq!(counts, Seen((0..10).map(|key| (key, vec![events / 20])).collect()));
        assert_eq!(stats.dead_letters, events as u64 / 2);
        let letters = engine.take_dead_letters();
        assert_eq!(letters.len() as u64 + stats.dead_letters_dropped, stats.dead_letters);
        assert!(letters.iter().all(|letter| letter.stream == "PerKey"), "{:?}", letters.first());
        assert!(letters[0].error.contains("max_partitions"), "{}", letters[0].error);
    });
}
