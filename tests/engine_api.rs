//! What an embedder is promised: handles that are checked, work that is given back, ends that can be taken
//! once, counts that add up, and errors that name what is stuck.
#![cfg(feature = "vpl")]

#[path = "common/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::{Duration, Instant};

use varpin::engine::{BuildError, Engine, EngineError, Event, EventError, InputError, Program};
use varpin::event::Value;
use varpin::flow::MergeOrder;
use watchdog::watched;

const DECLARED: &str = "event Reading:
    room: str
    celsius: float
    at: timestamp
stream Hot = Reading
    .where(celsius > 30.0)
    .emit(room: room, celsius: celsius)
";

const THREE: &str = "context a
context b
context c
stream First = Tick
    .context(a)
    .where(n >= 0)
stream Second = First
    .context(b)
    .emit(n: n)
stream Third = Second
    .context(c)
    .where(n % 2 == 0)
    .emit(n: n)
";

fn program(text: &str) -> Program {
    Program::parse(text).unwrap_or_else(|error| panic!("{error:?}"))
}

fn tick(engine: &Engine, n: i64) -> Event {
    let ty = engine.event_type("Tick").expect("the program takes it");
    let mut event = ty.event(n);
    event.set(&ty.field("n").expect("the program reads it"), n).expect("any value fits");
    event
}

fn number_in(event: &Event) -> i64 {
    event.time_ns()
}

#[test]
fn handles_refuse_what_the_program_does_not_know() {
    let engine = Engine::builder(&program(DECLARED)).build().unwrap();
    assert_eq!(engine.event_type("Hotel").unwrap_err(), EventError::UnknownType("Hotel".into()));
    let reading = engine.event_type("Reading").unwrap();
    assert_eq!(reading.name(), "Reading");
    let unknown = reading.field("fahrenheit").unwrap_err();
    assert_eq!(unknown.to_string(), "event Reading has no field fahrenheit");
    assert!(reading.field("celsius").unwrap().is_read());
    assert!(!reading.field("at").unwrap().is_read());
}

#[test]
fn values_of_declared_fields_convert_losslessly_or_are_refused() {
    let engine = Engine::builder(&program(DECLARED)).build().unwrap();
    let reading = engine.event_type("Reading").unwrap();
    let (room, celsius, at) =
        (reading.field("room").unwrap(), reading.field("celsius").unwrap(), reading.field("at").unwrap());
    let mut event = reading.event(0);
    event.set(&celsius, 20_i64).unwrap();
    event.set(&celsius, Value::Null).unwrap();
    event.set(&room, "hall").unwrap();
    let refused = event.set(&celsius, "warm").unwrap_err();
    assert!(matches!(&refused, EventError::WrongType { field, .. } if field == "celsius"), "{refused}");
    assert!(refused.to_string().contains("float"), "{refused}");
    // Nothing reads it, and it is checked all the same.
    event.set(&at, "2024-01-15T10:30:00Z").unwrap();
    event.set(&at, "yesterday").unwrap_err();
}

#[test]
fn a_field_of_another_type_is_refused() {
    let engine = Engine::builder(&program("stream S = merge(A, B).emit(x: x)")).build().unwrap();
    let (a, b) = (engine.event_type("A").unwrap(), engine.event_type("B").unwrap());
    let refused = a.event(0).set(&b.field("x").unwrap(), 1_i64).unwrap_err();
    assert_eq!(refused, EventError::OtherType { field: "x".into() });
}

#[test]
fn all_fields_of_an_undeclared_type_are_given_by_name_where_the_program_passes_them_on() {
    let mut engine = Engine::builder(&program("stream S = A.where(x > 0)")).build().unwrap();
    let a = engine.event_type("A").unwrap();
    a.field("x").unwrap();
    let needs_map = a.field("y").unwrap_err();
    assert!(matches!(needs_map, EventError::NeedsMap { .. }), "{needs_map}");
    let fields = [("y", Value::from("why")), ("x", Value::Int(1))];
    let event = a.event_with(0, fields).unwrap();
    let mut lines = Vec::new();
    engine.feed(event, |record| lines.push(record.to_json())).unwrap();
    assert_eq!(lines, [r#"{"stream":"S","ts":"1970-01-01T00:00:00.000Z","data":{"y":"why","x":1}}"#]);
}

#[test]
fn a_result_tells_its_stream_type_time_number_and_fields() {
    let mut engine = Engine::builder(&program("stream S = A.emit as T (x: x, y: missing)")).build().unwrap();
    let a = engine.event_type("A").unwrap();
    let mut seen = 0;
    for n in 1..=2 {
        let event = a.event_with(n * 5, [("x", Value::Int(n))]).unwrap();
        let fed = engine.feed(event, |record| {
            assert_eq!((record.stream(), record.type_name()), ("S", "T"));
            assert_eq!((record.time_ns(), record.seq()), (n * 5, n as u64));
            assert!(matches!(record.fields()[..], [("x", Value::Int(x))] if *x == n));
            assert!(record.get("y").is_none());
            seen += 1;
        });
        fed.unwrap();
    }
    assert_eq!(seen, 2);
}

#[test]
fn options_that_make_no_sense_are_refused_by_name() {
    let program = program(THREE);
    let builders = [
        ("capacity", Engine::builder(&program).capacity(0)),
        ("batch_limit", Engine::builder(&program).batch_limit(0)),
        ("publish_every", Engine::builder(&program).publish_every(0)),
        ("inputs", Engine::builder(&program).inputs(0)),
    ];
    for (name, builder) in builders {
        match builder.build() {
            Err(BuildError::Option(message)) => assert!(message.contains(name), "{message}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn try_push_gives_the_event_back_until_results_were_polled() {
    let mut engine =
        Engine::builder(&program("stream S = Tick.emit(n: n)")).results_limit(3).build().unwrap();
    for n in 0..3 {
        engine.try_push(tick(&engine, n)).unwrap();
    }
    match engine.try_push(tick(&engine, 3)) {
        Err(InputError::Full(event)) => assert_eq!(number_in(&event), 3),
        other => panic!("{other:?}"),
    }
    assert_eq!(engine.poll(|_| {}), 3);
    engine.try_push(tick(&engine, 3)).unwrap();
    let mut results = Vec::new();
    engine.finish(|record| results.push(record.time_ns())).unwrap();
    assert_eq!(results, [3]);
    match engine.try_push(tick(&engine, 4)) {
        Err(InputError::Closed(event)) => assert_eq!(number_in(&event), 4),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_ring_gives_the_event_back_and_takes_it_later() {
    watched(|| {
        let mut engine = Engine::builder(&program(THREE)).stepped().capacity(1).build().unwrap();
        let mut results = Vec::new();
        for n in 0..100 {
            let mut event = tick(&engine, n);
            loop {
                match engine.try_push(event) {
                    Ok(()) => break,
                    Err(InputError::Full(back)) => {
                        assert_eq!(number_in(&back), n);
                        event = back;
                    }
                    Err(error) => panic!("{error}"),
                }
                engine.step();
                engine.poll(|record| results.push((record.stream().to_owned(), record.time_ns())));
            }
        }
        engine.finish(|record| results.push((record.stream().to_owned(), record.time_ns()))).unwrap();
        let of = |stream: &str| -> Vec<i64> {
            results.iter().filter(|(name, _)| name == stream).map(|(_, n)| *n).collect()
        };
        assert_eq!(of("Second"), (0..100).collect::<Vec<_>>());
        assert_eq!(of("Third"), (0..100).filter(|n| n % 2 == 0).collect::<Vec<_>>());
    });
}

#[test]
fn nothing_moves_in_a_stepped_engine_unless_it_is_stepped() {
    let mut engine = Engine::builder(&program(THREE)).stepped().build().unwrap();
    engine.try_push(tick(&engine, 2)).unwrap();
    assert_eq!(engine.poll(|_| panic!("nobody has stepped")), 0);
    let mut results = 0;
    while results < 2 {
        assert!(engine.step() > 0, "nothing moves");
        results += engine.poll(|_| {});
    }
    while engine.step() > 0 {}
    assert_eq!(engine.step(), 0);
    let stats = engine.finish(|_| panic!("everything has come out")).unwrap();
    assert_eq!((stats.events, stats.results), (1, 2));
}

#[test]
fn ends_can_be_taken_once_and_only_where_there_are_threads() {
    watched(|| {
        for builder in [
            Engine::builder(&program("stream S = Tick.emit(n: n)")),
            Engine::builder(&program(THREE)).stepped(),
        ] {
            let mut engine = builder.build().unwrap();
            assert!(matches!(engine.take_input(), Err(EngineError::NoThreads("input"))));
            assert!(matches!(engine.take_output(), Err(EngineError::NoThreads("output"))));
        }
        let mut engine = Engine::builder(&program(THREE)).inputs(2).build().unwrap();
        let first = engine.take_input().unwrap();
        let second = engine.take_input().unwrap();
        assert!(matches!(engine.take_input(), Err(EngineError::Taken("input"))));
        let output = engine.take_output().unwrap();
        assert!(matches!(engine.take_output(), Err(EngineError::Taken("output"))));
        assert!(matches!(engine.feed(tick(&engine, 1), |_| {}), Err(EngineError::Taken(_))));
        drop((first, second, output));
        engine.join(Duration::from_secs(30)).unwrap();
        assert!(matches!(engine.take_input(), Err(EngineError::Closed)));
    });
}

#[test]
fn a_program_without_contexts_gets_a_thread_where_it_is_asked_for() {
    watched(|| {
        let mut engine = Engine::builder(&program("stream S = Tick.emit(n: n)")).threaded().build().unwrap();
        assert!(!engine.is_inline());
        let mut input = engine.take_input().unwrap();
        let mut output = engine.take_output().unwrap();
        input.push(tick(&engine, 7)).unwrap();
        input.close();
        let mut results = Vec::new();
        while !output.has_ended() {
            results.extend(output.poll().map(|record| record.time_ns()));
        }
        assert_eq!(results, [7]);
        assert_eq!(output.results(), 1);
        engine.join(Duration::from_secs(30)).unwrap();
    });
}

#[test]
fn finishing_twice_tells_the_same_and_flushes_once() {
    watched(|| {
        let windowed = "stream S = Tick.window(10).aggregate(n: count())";
        let in_context = "context a\nstream S = Tick.context(a).window(10).aggregate(n: count())";
        let engines = [
            Engine::builder(&program(windowed)).build().unwrap(),
            Engine::builder(&program(in_context)).build().unwrap(),
            Engine::builder(&program(in_context)).stepped().build().unwrap(),
        ];
        for mut engine in engines {
            engine.feed(tick(&engine, 1), |_| {}).unwrap();
            let mut results = 0;
            let first = engine.finish(|_| results += 1).unwrap().clone();
            let second = engine.finish(|_| results += 1).unwrap().clone();
            assert_eq!(results, 1, "{engine:?}");
            assert_eq!(format!("{first:?}"), format!("{second:?}"));
            assert_eq!(engine.stats().results, 1);
            assert!(matches!(engine.try_push(tick(&engine, 2)), Err(InputError::Closed(_))), "{engine:?}");
        }
    });
}

#[test]
fn feeding_after_the_end_is_an_error() {
    watched(|| {
        let engines = [
            Engine::builder(&program("stream S = Tick.emit(n: n)")).build().unwrap(),
            Engine::builder(&program(THREE)).build().unwrap(),
            Engine::builder(&program(THREE)).stepped().build().unwrap(),
        ];
        for mut engine in engines {
            engine.finish(|_| {}).unwrap();
            let fed = engine.feed(tick(&engine, 1), |_| panic!("nothing comes after the end"));
            assert!(matches!(fed, Err(EngineError::Closed)), "{engine:?}: {fed:?}");
            assert_eq!(engine.stats().events, 0);
        }
    });
}

#[test]
fn counts_add_up_in_every_mode() {
    watched(|| {
        for order in MergeOrder::ALL {
            let builders = [
                Engine::builder(&program(THREE)).stepped(),
                Engine::builder(&program(THREE)),
                Engine::builder(&program(THREE)).inputs(2),
            ];
            for builder in builders {
                let mut engine = builder.order(order).build().unwrap();
                let mut results = 0;
                for n in -10..90 {
                    engine.feed(tick(&engine, n), |_| results += 1).unwrap();
                }
                let stats = engine.finish(|_| results += 1).unwrap();
                assert_eq!((stats.events, stats.results, results), (100, 135, 135));
                let counts: Vec<_> =
                    stats.streams.iter().map(|s| (&s.stream[..], &s.context[..], s.events, s.rows)).collect();
                let expected = [("First", "a", 100, 90), ("Second", "b", 90, 90), ("Third", "c", 90, 45)];
                assert_eq!(counts, expected);
                assert_eq!(stats.dead_letters, 0);
                assert_eq!(stats.undelivered, []);
            }
        }
    });
}

#[test]
fn every_context_tells_how_it_ran() {
    watched(|| {
        let mut engine = Engine::builder(&program(THREE)).build().unwrap();
        let stats = engine.finish(|_| {}).unwrap();
        let names: Vec<_> = stats.contexts.iter().map(|context| &context.context[..]).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert!(stats.contexts.iter().all(|context| context.idle.contains(": ")), "{:?}", stats.contexts);
    });
}

/// Somebody holds the input open: the run cannot end, and the deadline says who was not done.
#[test]
fn the_deadline_names_what_is_not_done() {
    watched(|| {
        let mut engine = Engine::builder(&program(THREE)).build().unwrap();
        let input = engine.take_input().unwrap();
        let started = Instant::now();
        let error = engine.finish_within(Duration::from_millis(200), |_| {}).unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(20));
        let message = error.to_string();
        assert!(["a", "b", "c"].iter().all(|name| message.contains(name)), "{message}");
        drop(input);
    });
}

/// The results of nobody: a full output ring holds everything up, until the deadline.
#[test]
fn a_deadline_with_results_that_nobody_takes_counts_what_is_lost() {
    watched(|| {
        let mut engine = Engine::builder(&program(THREE)).capacity(2).build().unwrap();
        let output = engine.take_output().unwrap();
        let mut pushed = 0;
        let give_up = Instant::now() + Duration::from_millis(500);
        while Instant::now() < give_up {
            pushed += u64::from(engine.try_push(tick(&engine, 1)).is_ok());
        }
        let error = engine.join(Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("not done at the deadline"), "{error}");
        drop(output);
        let stats = engine.stats();
        assert_eq!(stats.events, pushed);
        assert!(!stats.undelivered.is_empty(), "{stats:?}");
    });
}

/// A context with `when_full: error` does not hold its producer up: an event for which it has no room is given
/// back. With several events between two flushes they used to be taken, and lost.
#[test]
fn a_context_that_must_not_hold_up_gives_the_event_back() {
    watched(|| {
        let failing = "context a
config a {
    when_full: error
    capacity: 4
}
stream S = Tick
    .context(a)
    .emit(n: n)
";
        for publish_every in [1, 100] {
            let mut engine =
                Engine::builder(&program(failing)).stepped().publish_every(publish_every).build().unwrap();
            let mut results = Vec::new();
            let mut taken = Vec::new();
            for n in 0..50 {
                match engine.try_push(tick(&engine, n)) {
                    Ok(()) => taken.push(n),
                    Err(InputError::Overrun(event)) => assert_eq!(number_in(&event), n),
                    Err(error) => panic!("{error}"),
                }
                if n % 10 == 9 {
                    engine.step();
                    engine.poll(|record| results.push(record.time_ns()));
                }
            }
            let stats = engine.finish(|record| results.push(record.time_ns())).unwrap();
            assert_eq!(stats.events, 20, "four of ten fit");
            assert_eq!(results, taken);
        }
    });
}

/// Closing waited for room in front of a full ring, and the one who could make it by polling was the one who
/// waited.
#[test]
fn closing_waits_for_nobody_and_what_pends_is_still_delivered() {
    watched(|| {
        let mut engine = Engine::builder(&program(THREE)).capacity(1).build().unwrap();
        let mut pushed = 0;
        let give_up = Instant::now() + Duration::from_millis(300);
        while Instant::now() < give_up {
            pushed += u64::from(engine.try_push(tick(&engine, 1)).is_ok());
        }
        engine.close();
        assert!(matches!(engine.try_push(tick(&engine, 1)), Err(InputError::Closed(_))));
        let mut results = 0;
        let stats = engine.finish(|_| results += 1).unwrap();
        assert_eq!((stats.events, stats.results, results), (pushed, pushed, pushed));
    });
}

#[test]
fn stop_ends_a_run_whose_input_is_still_open() {
    watched(|| {
        let mut engine = Engine::builder(&program(THREE)).build().unwrap();
        let mut input = engine.take_input().unwrap();
        let mut output = engine.take_output().unwrap();
        for n in 0..100 {
            input.push(tick(&engine, n)).unwrap();
        }
        engine.stop();
        let taker = thread::spawn(move || {
            let mut results = 0;
            while !output.has_ended() {
                results += output.drain(64, |_| {});
            }
            results
        });
        engine.join(Duration::from_secs(30)).unwrap();
        assert!(taker.join().unwrap() >= 150, "what had come in was handled");
        let refused = (0..1_000).any(|n| matches!(input.push(tick(&engine, n)), Err(InputError::Closed(_))));
        assert!(refused, "nobody takes events any more");
    });
}

#[test]
fn dropping_what_was_never_used_ends_at_once() {
    watched(|| {
        drop(Engine::builder(&program(THREE)).build().unwrap());
        drop(Engine::builder(&program(THREE)).stepped().build().unwrap());
        drop(Engine::builder(&program(THREE)).inputs(3).build().unwrap());
        let mut engine = Engine::builder(&program(THREE)).build().unwrap();
        let (input, output) = (engine.take_input().unwrap(), engine.take_output().unwrap());
        drop(engine);
        drop(output);
        drop(input);
    });
}

#[test]
fn rows_that_a_filter_turns_away_have_come_to_its_stream_whatever_their_types() {
    // The values that pass, of those fed below.
    let cases = [
        ("n > 2", vec!["3", "3.5"]),
        ("n <= 2.0", vec!["1", "1.5"]),
        ("n > 2 and m == 1", vec!["3"]),
        ("m == 1 and n > 2", vec!["3"]),
        ("not (n > 2)", vec!["1", "1.5"]),
    ];
    let values =
        [Value::Int(1), Value::Int(3), Value::Float(1.5), Value::Float(3.5), Value::from("x"), Value::Null];
    for (condition, passing) in cases {
        let text = format!("stream S = E.where({condition}).emit(n: n)\n");
        let mut engine = Engine::builder(&program(&text)).build().unwrap();
        let ty = engine.event_type("E").unwrap();
        let mut passed = Vec::new();
        for (at, value) in values.iter().enumerate() {
            let mut event = ty.event(at as i64);
            event.set(&ty.field("n").unwrap(), value.clone()).unwrap();
            if let Ok(m) = ty.field("m") {
                event.set(&m, at as i64).unwrap();
            }
            let told = engine.feed_ref(&mut event, |result| {
                passed.push(match result.get("n") {
                    Some(Value::Int(n)) => n.to_string(),
                    Some(Value::Float(n)) => n.to_string(),
                    other => format!("{other:?}"),
                });
            });
            told.unwrap();
        }
        engine.finish(|_| {}).unwrap();
        assert_eq!(passed, passing, "{condition}");
        assert_eq!(engine.stats().streams[0].events, values.len() as u64, "{condition}");
    }
}
