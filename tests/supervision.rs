//! Supervision through the library: what the embedder declares, hears and sees. Needs the feature `faults`.
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

#[path = "common/watchdog.rs"]
mod watchdog;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use varpin::engine::{BuildError, Engine, EngineError, Offer, Program};
use varpin::flow::keep_supervised_panics_quiet;
use varpin::supervise::{
    Activity, BreakerState, Component, Declared, Event, Restart, Status, Strategy, WhileOpen,
};
use watchdog::watched;

const PROGRAM: &str = "context a context b
stream A = E.context(a).where(v >= 0)
stream B = A.context(b).emit(v: v)";

fn restarts() -> Declared {
    Declared {
        restart: Some(Restart::OnFailure),
        max_restarts: Some(1000),
        restart_window: Some(Duration::from_secs(3600)),
        backoff_min: Some(Duration::ZERO),
        ..Declared::default()
    }
}

fn feed(engine: &mut Engine, count: i64) -> Result<Vec<String>, EngineError> {
    let event_type = engine.event_type("E").unwrap();
    let field = event_type.field("v").unwrap();
    let mut results = Vec::new();
    for v in 0..count {
        let mut event = event_type.event(v);
        event.set(&field, v).unwrap();
        engine.feed(event, |result| results.push(result.to_json()))?;
    }
    Ok(results)
}

#[test]
fn what_the_caller_declares_wins_over_the_program_and_one_context_over_all() {
    watched(|| {
        keep_supervised_panics_quiet();
        let source = format!("config b {{ restart: never }} {PROGRAM}");
        let program = Program::parse(&source).unwrap();
        let events: Arc<Mutex<Vec<Event>>> = Arc::default();
        let heard = Arc::clone(&events);
        let mut engine = Engine::builder(&program)
            .supervise(Declared { restart: Some(Restart::Never), ..Declared::default() })
            .supervise_context("b", restarts())
            .strategy(Strategy::OneForAll)
            .capacity(4)
            .fault("panic:stream=B,every=10".parse().unwrap())
            .keep_dead_letters()
            .on_event(move |event| heard.lock().unwrap().push(event.clone()))
            .build()
            .unwrap();
        let mut results = feed(&mut engine, 100).unwrap();
        let stats = engine.finish(|result| results.push(result.to_json())).unwrap().clone();
        assert_eq!(results.len(), 90);
        assert_eq!(engine.take_dead_letters().len(), 10);
        assert_eq!(stats.contexts[1].restarts, 20);
        let names: Vec<&str> = events.lock().unwrap().iter().map(|event| event.kind.name()).collect();
        assert_eq!(names.iter().filter(|name| **name == "failed").count(), 20);
        let because = |event: &&Event| event.component == Component::Context("a".to_owned());
        assert!(events.lock().unwrap().iter().filter(because).any(|event| event.kind.name() == "restarting"));
    });
}

#[test]
fn an_escalation_is_an_error_that_names_the_context_and_the_last_failure() {
    watched(|| {
        keep_supervised_panics_quiet();
        let program = Program::parse(PROGRAM).unwrap();
        let declared = Declared { max_restarts: Some(1), max_attempts: Some(9), ..restarts() };
        let mut engine = Engine::builder(&program)
            .supervise(declared)
            .fault("panic:stream=B,every=10".parse().unwrap())
            .build()
            .unwrap();
        // The engine may notice while it is fed.
        let fed = feed(&mut engine, 100);
        let error = engine.finish(|_| {}).unwrap_err();
        let EngineError::Escalated(escalation) = &error else { panic!("{error}") };
        assert_eq!(escalation.context, "b");
        assert!(error.to_string().contains("stream B, .source: injected panic"), "{error}");
        assert!(fed.is_ok() || matches!(fed, Err(EngineError::Closed)));
        let health = engine.health();
        assert_eq!((health.status, health.is_live, health.is_ready), (Status::Down, false, false));
        assert_eq!(health.components[1].activity, Activity::Failed);
    });
}

#[test]
fn health_names_what_is_stuck_in_stream_and_operator() {
    watched(|| {
        let program = Program::parse(PROGRAM).unwrap();
        let declared = Declared { stall_after: Some(Duration::from_millis(20)), ..Declared::default() };
        let mut engine = Engine::builder(&program)
            .supervise(declared)
            .fault("slow:stream=B,every=5,times=1,for=2s".parse().unwrap())
            .build()
            .unwrap();
        let board = engine.board();
        assert_eq!(board.health().status, Status::Up);
        let mut results = feed(&mut engine, 10).unwrap();
        let stall = loop {
            if let Some(stall) = board.health().components[1].stall.clone() {
                break stall;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!((stall.stage.as_str(), stall.place.as_deref()), ("b", Some("stream B, .source")));
        assert!(stall.since >= Duration::from_millis(20));
        let health = board.health();
        assert_eq!(health.components[0].activity, Activity::Running);
        engine.finish(|result| results.push(result.to_json())).unwrap();
        assert_eq!(results.len(), 10);
        assert!(board.health().components.iter().all(|component| component.activity == Activity::Ended));
    });
}

#[test]
fn a_stepped_engine_refuses_what_nobody_would_do() {
    let program = Program::parse(PROGRAM).unwrap();
    let error = Engine::builder(&program).stepped().supervise(restarts()).build().unwrap_err();
    assert!(matches!(error, BuildError::Unsupervised { .. }), "{error}");
    let error = Engine::builder(&program).supervise_context("z", restarts()).build().unwrap_err();
    assert!(error.to_string().contains("no context `z`"), "{error}");
}

#[test]
fn restarts_that_can_never_escalate_are_warned_of() {
    let program = Program::parse(PROGRAM).unwrap();
    let slow = Declared {
        backoff_min: Some(Duration::from_secs(10)),
        max_restarts: None,
        restart_window: None,
        ..restarts()
    };
    let engine = Engine::builder(&program).supervise_context("b", slow).build().unwrap();
    let [warning] = engine.warnings() else { panic!("{:?}", engine.warnings()) };
    assert!(warning.starts_with("context b: its restarts can never exceed max_restarts"), "{warning}");
}

#[test]
fn results_that_a_consumer_cannot_take_are_offered_again_or_given_up() {
    watched(|| {
        for (policy, expected) in [(WhileOpen::Hold, 100), (WhileOpen::Drop, 75)] {
            let program = Program::parse(PROGRAM).unwrap();
            let mut engine = Engine::builder(&program).build().unwrap();
            let declared = Declared {
                breaker_open: Some(policy),
                breaker_failure_rate: Some(1.0),
                max_attempts: Some(0),
                backoff_min: Some(Duration::ZERO),
                ..Declared::default()
            };
            let mut guard = engine.sink_guard("database", &declared);
            let mut output = engine.take_output().unwrap();
            let mut input = engine.take_input().unwrap();
            let event_type = engine.event_type("E").unwrap();
            let field = event_type.field("v").unwrap();
            for v in 0..100_i64 {
                let mut event = event_type.event(v);
                event.set(&field, v).unwrap();
                input.push(event).unwrap();
            }
            input.close();
            let (mut taken, mut given_up, mut failures, mut calls) = (Vec::new(), 0, 0, 0);
            while !output.has_ended() {
                let offered = output.offer(&mut guard, |record| {
                    calls += 1;
                    // Every fourth call fails.
                    if calls % 4 == 0 {
                        return Err("database is away");
                    }
                    taken.push(record.to_json());
                    Ok(())
                });
                match offered {
                    Offer::Nothing => std::thread::yield_now(),
                    Offer::Taken => {}
                    Offer::Wait { error, .. } => failures += u32::from(error.is_some()),
                    Offer::GivenUp { record, error, attempts, .. } => {
                        assert_eq!((record.stream(), error, attempts), ("B", Some("database is away"), 1));
                        given_up += 1;
                    }
                }
            }
            assert!(taken.is_sorted_by_key(String::len));
            assert_eq!((taken.len(), taken.len() + given_up), (expected, 100), "{policy}");
            assert_eq!(failures > 0, policy == WhileOpen::Hold);
            let health = engine.health();
            let sink = health.components.last().unwrap();
            let breaker = sink.breaker.unwrap();
            assert_eq!((sink.component.name(), breaker.state), ("database", BreakerState::Closed));
            assert_eq!(breaker.dropped, given_up as u64);
            assert_eq!(sink.last_failure.as_deref(), Some("database is away"));
            drop(output);
            engine.join(Duration::from_secs(60)).unwrap();
        }
    });
}
