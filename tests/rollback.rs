//! Rolling back through the library: what the embedder is told, and how it goes on. Needs the feature `faults`.
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

#[path = "common/watchdog.rs"]
mod watchdog;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use varpin::engine::{
    Builder, Checkpoints, Engine, EngineError, Event, EventType, Input, InputError, Output, Program,
};
use varpin::flow::{Blamed, BlamedItem, MergeOrder, keep_supervised_panics_quiet};
use varpin::supervise::{Activity, Component, Declared, EventKind, Memory, Restart, Status};
use watchdog::watched;

const PROGRAM: &str = "context a context b
stream A = E.context(a).where(v >= 0).partition_by(v % 3).window(4).aggregate(k: last(v) % 3, s: sum(v), v: last(v))
stream B = A.context(b).window(2).aggregate(s: sum(s), v: last(v))";

fn restarts() -> Declared {
    Declared {
        restart: Some(Restart::OnFailure),
        max_restarts: Some(1000),
        restart_window: Some(Duration::from_secs(3600)),
        backoff_min: Some(Duration::ZERO),
        backoff_max: Some(Duration::from_millis(1)),
        ..Declared::default()
    }
}

fn builder(text: &str, directory: &Path, every: u64) -> Builder {
    keep_supervised_panics_quiet();
    Engine::builder(&Program::parse(text).unwrap())
        .supervise(restarts())
        .order(MergeOrder::Deterministic)
        .capacity(16)
        .checkpoints(Checkpoints::in_directory(directory).every_events(every))
}

fn event(of: &EventType, v: i64) -> Event {
    let mut event = of.event(v);
    event.set(&of.field("v").unwrap(), v).unwrap();
    event
}

/// What the program gives where nothing fails.
fn undisturbed(text: &str, count: i64) -> Vec<String> {
    let program = Program::parse(text).unwrap();
    let mut engine = Engine::builder(&program).order(MergeOrder::Deterministic).build().unwrap();
    let of = engine.event_type("E").unwrap();
    let mut results = Vec::new();
    for v in 0..count {
        engine.feed(event(&of, v), |result| results.push(result.to_json())).unwrap();
    }
    engine.finish(|result| results.push(result.to_json())).unwrap();
    results
}

/// Feeds all and finishes, going back as often as it is asked to; how often that was.
fn run(engine: &mut Engine, count: i64, results: &mut Vec<String>) -> Result<u64, EngineError> {
    let of = engine.event_type("E").unwrap();
    let mut next = engine.resumed().map_or(0, |resumed| resumed.events as i64);
    loop {
        let fed = if next < count {
            engine.feed(event(&of, next), |result| results.push(result.to_json()))
        } else {
            engine.finish(|result| results.push(result.to_json())).map(drop)
        };
        match fed {
            Ok(()) if next == count => return Ok(engine.stats().rollbacks),
            Ok(()) => next += 1,
            Err(EngineError::RollBack(due)) => {
                assert!(engine.needs_roll_back());
                assert!(due.message.contains("injected panic"), "{}", due.message);
                let back = engine.roll_back()?;
                assert_eq!(back.events, engine.resumed().map_or(0, |resumed| resumed.events));
                assert_eq!(back.results_before as usize, results.len());
                next = back.events as i64;
                results.truncate(back.results as usize);
            }
            Err(error) => return Err(error),
        }
    }
}

#[test]
fn an_engine_that_is_fed_by_one_thread_goes_back_and_on() {
    watched(|| {
        let whole = undisturbed(PROGRAM, 3000);
        for (every, times) in [(40, 20), (700, 5), (1_000_000, 3)] {
            let directory = tempfile::tempdir().unwrap();
            let told: Arc<Mutex<Vec<varpin::supervise::Event>>> = Arc::default();
            let heard = Arc::clone(&told);
            let mut engine = builder(PROGRAM, directory.path(), every)
                .fault(format!("panic:stream=A,every=101,heals=1,times={times}").parse().unwrap())
                .fault(format!("panic:stream=B,every=43,heals=1,times={times}").parse().unwrap())
                .on_event(move |event| heard.lock().unwrap().push(event.clone()))
                .build()
                .unwrap();
            let (board, reader) = (engine.board(), engine.metrics_reader());
            let mut results = Vec::new();
            let rollbacks = run(&mut engine, 3000, &mut results).unwrap();
            assert!(results == whole, "{} results, not {}", results.len(), whole.len());
            assert!(rollbacks >= times, "{rollbacks}");
            assert!(engine.take_dead_letters().is_empty());
            // Whoever looks from elsewhere sees the engine that there is.
            assert_eq!((board.rollbacks(), board.health().rollbacks), (rollbacks, rollbacks));
            assert_eq!(reader.read().events, 3000);
            let stats = engine.stats();
            assert_eq!((stats.events, stats.results as usize), (3000, whole.len()));
            let restarts: u64 = stats.contexts.iter().map(|context| context.restarts).sum();
            assert!(
                restarts >= rollbacks,
                "two may fail at once: {restarts} restarts, {rollbacks} rollbacks"
            );
            assert!(stats.contexts.iter().all(|context| context.lost.is_empty()), "no state is lost");
            let rolled_back = stats.rolled_back.unwrap();
            assert_eq!(rolled_back.rollbacks, rollbacks);
            // The one at 700 may still be on its way to the disk when the last failure comes.
            if every == 1_000_000 {
                assert_eq!(rolled_back.checkpoint, None);
            }
            if every == 40 {
                assert!(rolled_back.checkpoint.is_some());
                let keys: u64 = rolled_back.keys.iter().map(|(_, keys)| keys).sum();
                assert!(keys >= 3, "{:?}", rolled_back.keys);
            }
            let told = told.lock().unwrap();
            let count = |name: &str| told.iter().filter(|event| event.kind.name() == name).count() as u64;
            assert_eq!((count("rolled_back"), count("rolling_back")), (rollbacks, restarts));
            assert!(count("failed") >= restarts, "one may fail on its way out, too");
            assert_eq!((count("started"), count("restarted")), (2, 2 * rollbacks));
            let first = told.iter().position(|event| event.kind.name() == "failed").unwrap();
            let next = |name| told[first..].iter().find(|event| event.kind.name() == name).unwrap();
            assert_eq!(next("rolling_back").component, told[first].component);
            let EventKind::RolledBack { events, checkpoint, .. } = &next("rolled_back").kind else {
                panic!()
            };
            assert_eq!(*events == 0, checkpoint.is_none());
            assert!(next("rolled_back").to_json().contains(r#""event":"rolled_back""#));
        }
    });
}

/// Pushes events from where the input is, until all are in or a context has failed.
fn feeding(mut input: Input, of: EventType, count: i64) -> thread::JoinHandle<bool> {
    thread::spawn(move || {
        while (input.seek_hint() as i64) < count {
            match input.push(event(&of, input.seek_hint() as i64)) {
                Ok(()) => {}
                Err(InputError::RollBack(back)) => {
                    drop(back);
                    assert!(input.needs_roll_back());
                    return false;
                }
                Err(error) => panic!("{error}"),
            }
        }
        true
    })
}

/// Takes results behind those that there are, until none will come.
fn taking(mut output: Output, mut results: Vec<String>) -> thread::JoinHandle<Vec<String>> {
    thread::spawn(move || {
        // A sink that counts, and gets nothing twice.
        assert!(output.resume_from(results.len() as u64));
        while !output.has_ended() {
            match output.poll() {
                Some(result) => results.push(result.to_json()),
                None => thread::yield_now(),
            }
        }
        results
    })
}

#[test]
fn inputs_and_outputs_on_threads_of_their_own_are_told_and_taken_anew() {
    watched(|| {
        const COUNT: i64 = 3000;
        let whole = undisturbed(PROGRAM, COUNT);
        let directory = tempfile::tempdir().unwrap();
        let mut engine = builder(PROGRAM, directory.path(), 100)
            .fault("panic:stream=A,every=301,heals=1".parse().unwrap())
            .fault("panic:stream=B,every=50,heals=1".parse().unwrap())
            .build()
            .unwrap();
        let (mut results, mut rollbacks) = (Vec::new(), 0);
        loop {
            let of = engine.event_type("E").unwrap();
            let (input, output) = (engine.take_input().unwrap(), engine.take_output().unwrap());
            let (feeding, taking) = (feeding(input, of, COUNT), taking(output, results));
            let is_fed = feeding.join().unwrap();
            results = taking.join().unwrap();
            match engine.join(Duration::from_secs(30)) {
                Ok(_) => {
                    assert!(is_fed);
                    break;
                }
                Err(EngineError::RollBack(_)) => {}
                Err(error) => panic!("{error}"),
            }
            // Asked again it says the same.
            assert!(matches!(engine.join(Duration::ZERO), Err(EngineError::RollBack(_))));
            let back = engine.roll_back().unwrap();
            rollbacks += 1;
            assert_eq!((back.rollbacks, back.results_before), (rollbacks, results.len() as u64));
            assert!(back.results <= back.results_before);
        }
        assert!(rollbacks > 5, "{rollbacks}");
        assert!(results == whole, "{} results, not {}", results.len(), whole.len());
    });
}

#[test]
fn several_inputs_go_back_each_to_its_own_place() {
    watched(|| {
        const COUNT: i64 = 300;
        let text = "context a\nstream A = E.context(a).emit(v: v)";
        let directory = tempfile::tempdir().unwrap();
        let mut engine = builder(text, directory.path(), 60)
            .order(MergeOrder::Arrival)
            .inputs(2)
            .fault("panic:stream=A,every=80,heals=1".parse().unwrap())
            .build()
            .unwrap();
        let mut results: Vec<i64> = Vec::new();
        let take = |engine: &mut Engine, results: &mut Vec<i64>| {
            engine.poll(|result| {
                let json: serde_json::Value = serde_json::from_str(&result.to_json()).unwrap();
                results.push(json["data"]["v"].as_i64().unwrap());
            });
        };
        let mut rollbacks = 0;
        loop {
            let of = engine.event_type("E").unwrap();
            let pushing: Vec<_> = [0, COUNT]
                .into_iter()
                .map(|first| {
                    let (mut input, of) = (engine.take_input().unwrap(), of.clone());
                    thread::spawn(move || {
                        while (input.seek_hint() as i64) < COUNT {
                            match input.push(event(&of, first + input.seek_hint() as i64)) {
                                Ok(()) => {}
                                Err(InputError::RollBack(_)) => break,
                                Err(error) => panic!("{error}"),
                            }
                        }
                    })
                })
                .collect();
            while pushing.iter().any(|thread| !thread.is_finished()) {
                take(&mut engine, &mut results);
                thread::yield_now();
            }
            for thread in pushing {
                thread.join().unwrap();
            }
            let ended = engine.finish(|result| {
                let json: serde_json::Value = serde_json::from_str(&result.to_json()).unwrap();
                results.push(json["data"]["v"].as_i64().unwrap());
            });
            match ended.map(drop) {
                Ok(()) => break,
                Err(EngineError::RollBack(_)) => {
                    let back = engine.roll_back().unwrap();
                    results.truncate(back.results as usize);
                    rollbacks += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(rollbacks > 3, "{rollbacks}");
        results.sort_unstable();
        assert_eq!(results, (0..2 * COUNT).collect::<Vec<_>>());
    });
}

#[test]
fn ends_that_are_still_held_keep_an_engine_from_going_back() {
    watched(|| {
        let directory = tempfile::tempdir().unwrap();
        let mut engine = builder(PROGRAM, directory.path(), 100)
            .fault("panic:stream=A,every=10,heals=1,times=1".parse().unwrap())
            .build()
            .unwrap();
        assert!(matches!(engine.roll_back(), Err(EngineError::NothingToRollBack)));
        let of = engine.event_type("E").unwrap();
        let mut input = engine.take_input().unwrap();
        let output = engine.take_output().unwrap();
        while input.push(event(&of, 1)).is_ok() {}
        assert!(output.needs_roll_back() && engine.needs_roll_back());
        assert!(matches!(engine.roll_back(), Err(EngineError::EndsAway(2))));
        drop(input);
        assert!(matches!(engine.roll_back(), Err(EngineError::EndsAway(1))));
        drop(output);
        let back = engine.roll_back().unwrap();
        assert_eq!((back.checkpoint, back.events, back.context.as_str()), (None, 0, "a"));
        assert_eq!(engine.take_input().unwrap().seek_hint(), 0);
    });
}

#[test]
fn a_poison_event_becomes_a_dead_letter_and_the_rest_is_as_without_it() {
    watched(|| {
        let directory = tempfile::tempdir().unwrap();
        let mut engine = builder(PROGRAM, directory.path(), 50)
            .fault("panic:stream=A,every=400".parse().unwrap())
            .build()
            .unwrap();
        let mut results = Vec::new();
        assert_eq!(run(&mut engine, 700, &mut results).unwrap(), 2);
        let letters = engine.take_dead_letters();
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!((letter.stream.as_str(), letter.attempts), ("A", 2));
        assert_eq!(letter.event.as_ref().unwrap()["data"]["v"], 399);
        let program = Program::parse(PROGRAM).unwrap();
        let mut without = Engine::builder(&program).order(MergeOrder::Deterministic).build().unwrap();
        let of = without.event_type("E").unwrap();
        let mut expected = Vec::new();
        for v in (0..700).filter(|v| *v != 399) {
            without.feed(event(&of, v), |result| expected.push(result.to_json())).unwrap();
        }
        without.finish(|result| expected.push(result.to_json())).unwrap();
        assert!(results == expected, "{} results, not {}", results.len(), expected.len());
    });
}

#[test]
fn a_context_that_fails_too_often_escalates_as_without_checkpoints() {
    watched(|| {
        let directory = tempfile::tempdir().unwrap();
        let declared = Declared { max_restarts: Some(2), max_attempts: Some(100), ..restarts() };
        let mut engine = builder(PROGRAM, directory.path(), 50)
            .supervise(declared)
            .fault("panic:stream=B,every=30".parse().unwrap())
            .build()
            .unwrap();
        let error = run(&mut engine, 2000, &mut Vec::new()).unwrap_err();
        // It may be noticed while the engine is fed.
        let error =
            if matches!(error, EngineError::Closed) { engine.finish(|_| {}).unwrap_err() } else { error };
        let EngineError::Escalated(escalation) = &error else { panic!("{error}") };
        assert_eq!(escalation.context, "b");
        assert!(escalation.reason.contains("after 2 restarts"), "{}", escalation.reason);
        assert!(!engine.needs_roll_back());
        assert!(matches!(engine.roll_back(), Err(EngineError::NothingToRollBack)));
        let health = engine.health();
        assert_eq!((health.status, health.rollbacks), (Status::Down, 2));
        let b =
            health.components.iter().find(|one| one.component == Component::Context("b".to_owned())).unwrap();
        assert_eq!((b.activity, b.restarts, b.failures), (Activity::Failed, 2, 3));
    });
}

#[test]
fn a_context_that_ends_of_its_own_accord_goes_back_where_it_is_always_restarted() {
    watched(|| {
        let whole = undisturbed(PROGRAM, 500);
        let directory = tempfile::tempdir().unwrap();
        let always = Declared { restart: Some(Restart::Always), ..restarts() };
        let mut engine = builder(PROGRAM, directory.path(), 50)
            .supervise(always)
            .fault("exit:stream=A,every=100,heals=1".parse().unwrap())
            .build()
            .unwrap();
        let of = engine.event_type("E").unwrap();
        let (mut next, mut results) = (0, Vec::new());
        let rollbacks = loop {
            let fed = if next < 500 {
                engine.feed(event(&of, next), |result| results.push(result.to_json()))
            } else {
                engine.finish(|result| results.push(result.to_json())).map(drop)
            };
            match fed {
                Ok(()) if next == 500 => break engine.stats().rollbacks,
                Ok(()) => next += 1,
                Err(EngineError::RollBack(_)) => {
                    let back = engine.roll_back().unwrap();
                    next = back.events as i64;
                    results.truncate(back.results as usize);
                }
                Err(error) => panic!("{error}"),
            }
        };
        assert!(rollbacks >= 1 && results == whole, "{rollbacks} rollbacks, {} results", results.len());
    });
}

#[test]
fn files_that_are_added_to_are_cut_back_to_the_beginning_where_there_is_no_checkpoint() {
    watched(|| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("log.csv");
        std::fs::write(&file, "@timestamp,v\nbefore\n").unwrap();
        let text = "context a
stream A = E.context(a).emit(v: v).to(file, path: \"log.csv\", append: true)
stream B = E.context(a).emit(v: v).to(file, path: \"rows.csv\")";
        let mut engine = builder(text, &directory.path().join("kept"), 1_000_000)
            .directory(directory.path())
            .fault("panic:stream=A,every=100,heals=1".parse().unwrap())
            .build()
            .unwrap();
        let rollbacks = run(&mut engine, 350, &mut Vec::new()).unwrap();
        assert_eq!(rollbacks, 3);
        let log = std::fs::read_to_string(&file).unwrap();
        assert!(log.starts_with("@timestamp,v\nbefore\n"), "{log}");
        assert_eq!(log.lines().count(), 352);
        let rows = std::fs::read_to_string(directory.path().join("rows.csv")).unwrap();
        assert_eq!(rows.lines().count(), 351);
    });
}

#[test]
fn a_breaker_that_holds_goes_with_checkpoints_and_is_closed_after_a_rollback() {
    watched(|| {
        let whole = undisturbed(PROGRAM, 1000);
        let directory = tempfile::tempdir().unwrap();
        let declared = Declared {
            breaker_failure_rate: Some(0.5),
            breaker_min_calls: Some(1),
            breaker_window: Some(1),
            breaker_open_for: Some(Duration::from_millis(5)),
            ..restarts()
        };
        let mut engine = builder(PROGRAM, directory.path(), 50)
            .supervise(declared)
            .fault("panic:stream=A,every=200,heals=1".parse().unwrap())
            .build()
            .unwrap();
        let mut results = Vec::new();
        assert!(run(&mut engine, 1000, &mut results).unwrap() >= 4);
        assert!(results == whole, "{} results, not {}", results.len(), whole.len());
        assert!(engine.health().components.iter().all(|component| component.breaker.is_some()));
    });
}

#[test]
fn what_is_remembered_of_items_is_bounded_by_where_the_run_begins_again() {
    let blamed = |seq| Blamed {
        item: BlamedItem::One { seq, content: seq * 7 },
        owner: "S".to_owned(),
        operator: "where",
    };
    let mut memory = Memory::default();
    for (seq, times) in [(3, 2), (8, 1), (9, 2), (12, 3)] {
        for _ in 0..times {
            memory.failed_on("pool#1", &blamed(seq), "boom", 1);
        }
    }
    let items = |memory: &Memory, stage: &str| {
        memory
            .condemned(stage)
            .iter()
            .map(|condemned| (condemned.item(), condemned.attempts))
            .collect::<Vec<_>>()
    };
    let item = |seq| blamed(seq).item;
    assert_eq!(items(&memory, "pool#0"), [(item(3), 2), (item(9), 2), (item(12), 3)], "workers are one");
    assert!(items(&memory, "other").is_empty());
    memory.begins_behind(9);
    assert_eq!(items(&memory, "pool"), [(item(12), 3)]);
    memory.begins_behind(100);
    assert!(items(&memory, "pool").is_empty());
    for _ in 0..2 {
        memory.failed_on("pool", &Blamed { item: BlamedItem::End, ..blamed(0) }, "boom", 1);
    }
    memory.begins_behind(u64::MAX);
    assert_eq!(items(&memory, "pool"), [(BlamedItem::End, 2)], "the end always comes again");
}
