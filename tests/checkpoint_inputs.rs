//! Checkpoints of an engine with several inputs: a checkpoint is one place in each of them, and each goes on from there.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

#[path = "common/watchdog.rs"]
mod watchdog;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use varpin::cores::PinPolicy;
use varpin::engine::{CheckpointNews, Checkpoints, Engine, EventType, Input, Program};
use varpin::event::Value;
use varpin::flow::MergeOrder;
use watchdog::watched;

const INPUTS: usize = 3;
const WINDOW: i64 = 5;

/// Each input has a key of its own, so what comes of it does not depend on the others.
const PROGRAM: &str = "context c\ncontext d\n\
    stream Kept = A.context(c).where(v >= 0)\n\
    stream Sums = Kept.context(d).partition_by(k).window(5).aggregate(k: last(k), s: sum(v))";

fn build(
    directory: &Path,
    order: MergeOrder,
    checkpoints: impl FnOnce(Checkpoints) -> Checkpoints,
) -> Engine {
    let program = Program::parse(PROGRAM).unwrap();
    let checkpoints = checkpoints(Checkpoints::in_directory(directory));
    let builder = Engine::builder(&program).inputs(INPUTS).pin(PinPolicy::Off).order(order).publish_every(7);
    builder.checkpoints(checkpoints).build().unwrap()
}

fn push(input: &mut Input, a: &EventType, key: usize, v: i64) {
    let mut event = a.event(v * 1_000);
    event.set(&a.field("k").unwrap(), key as i64).unwrap();
    event.set(&a.field("v").unwrap(), v).unwrap();
    input.push(event).unwrap();
}

type Sums = BTreeMap<i64, Vec<i64>>;

fn note(sums: &mut Sums, result: &varpin::engine::Record<'_>) {
    let number = |field| match result.get(field) {
        Some(&Value::Int(number)) => number,
        other => panic!("{field} is {other:?}"),
    };
    sums.entry(number("k")).or_default().push(number("s"));
}

/// Pushes from a thread for each input, from where it is up to (not with) `until`, and takes what comes of it. How many
/// checkpoints were written meanwhile, and where the inputs were before.
fn run(engine: &mut Engine, until: [i64; INPUTS], sums: &mut Sums) -> (usize, Vec<i64>) {
    let a = engine.event_type("A").unwrap();
    let mut hints = Vec::new();
    let feeding: Vec<_> = until
        .into_iter()
        .enumerate()
        .map(|(key, until)| {
            let (mut input, a) = (engine.take_input().unwrap(), a.clone());
            hints.push(input.seek_hint() as i64);
            std::thread::spawn(move || {
                for v in input.seek_hint() as i64..until {
                    push(&mut input, &a, key, v);
                    if v % 50 == 0 {
                        // Or everything is over before a checkpoint has been written.
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
            })
        })
        .collect();
    let mut output = engine.take_output().unwrap();
    while !output.has_ended() {
        if output.drain(256, |result| note(sums, &result)) == 0 {
            std::thread::yield_now();
        }
    }
    for thread in feeding {
        thread.join().unwrap();
    }
    engine.join(watchdog::LIMIT).unwrap();
    let news = engine.take_checkpoint_news();
    let written = news.iter().filter(|news| matches!(news, CheckpointNews::Written { .. })).count();
    (written, hints)
}

/// The windows that are full, and at the end what is left, from the event at `from` on.
fn expected(from: i64, until: i64) -> Vec<i64> {
    let first = from / WINDOW * WINDOW;
    let windows = (first..until).step_by(WINDOW as usize);
    windows.map(|at| (at..until.min(at + WINDOW)).sum()).collect()
}

#[test]
fn each_input_goes_on_where_the_checkpoint_has_it() {
    watched(|| {
        for order in [MergeOrder::Arrival, MergeOrder::Timestamp, MergeOrder::Deterministic] {
            let directory = tempfile::tempdir().unwrap();
            let ends = [4000, 1000, 2500];
            let mut engine = build(directory.path(), order, |checkpoints| checkpoints.every_events(40));
            let mut sums = Sums::new();
            let (written, _) = run(&mut engine, ends, &mut sums);
            for (key, end) in ends.into_iter().enumerate() {
                assert!(sums[&(key as i64)] == expected(0, end), "{order:?}: input {key}");
            }
            drop(engine);
            // What the last checkpoint does not have comes again, and more.
            let further = [5000, 1200, 2500];
            let mut engine = build(directory.path(), order, |checkpoints| checkpoints.every_events(40));
            let resumed = engine.resumed().expect("checkpoints were written").clone();
            let mut sums = Sums::new();
            let (_, hints) = run(&mut engine, further, &mut sums);
            assert_eq!(hints.iter().sum::<i64>(), resumed.events as i64, "{written} were written");
            for (key, end) in further.into_iter().enumerate() {
                let found = sums.remove(&(key as i64)).unwrap_or_default();
                assert!(found == expected(hints[key], end), "{order:?}: input {key} from {}", hints[key]);
            }
        }
    });
}

#[test]
fn an_input_that_is_closed_holds_no_checkpoint_up() {
    watched(|| {
        let directory = tempfile::tempdir().unwrap();
        let arrival = MergeOrder::Arrival;
        let mut engine = build(directory.path(), arrival, |checkpoints| checkpoints.every_events(10));
        let a = engine.event_type("A").unwrap();
        let mut inputs: Vec<Input> = (0..INPUTS).map(|_| engine.take_input().unwrap()).collect();
        (0..3).for_each(|v| push(&mut inputs[2], &a, 2, v));
        inputs.truncate(2);
        let mut written = 0;
        for v in 0.. {
            push(&mut inputs[0], &a, 0, v);
            inputs[0].flush();
            // It has nothing to push, and is flushed as it should be.
            inputs[1].flush();
            engine.poll(|_| {});
            let news = engine.take_checkpoint_news();
            written += news.iter().filter(|news| matches!(news, CheckpointNews::Written { .. })).count();
            if written >= 3 {
                break;
            }
        }
        drop(inputs);
        drop(engine);
        let mut engine = build(directory.path(), arrival, |checkpoints| checkpoints);
        let hints = [(); INPUTS].map(|()| engine.take_input().unwrap().seek_hint());
        assert!(hints[0] >= 30 && hints[1..] == [0, 3], "{hints:?}");
    });
}

#[test]
fn each_input_says_by_hand_where_it_is() {
    watched(|| {
        let directory = tempfile::tempdir().unwrap();
        let arrival = MergeOrder::Arrival;
        let by_hand = |checkpoints: Checkpoints| checkpoints.by_hand().every_events(20);
        let mut engine = build(directory.path(), arrival, by_hand);
        let a = engine.event_type("A").unwrap();
        let mut inputs: Vec<Input> = (0..INPUTS).map(|_| engine.take_input().unwrap()).collect();
        let mut begun = 0;
        for v in 0..200 {
            for (key, input) in inputs.iter_mut().enumerate() {
                push(input, &a, key, v);
                input.flush();
                if input.checkpoint_due() {
                    let position = format!("{key}: {}", v + 1);
                    begun += usize::from(input.checkpoint(position.as_bytes()));
                }
            }
            engine.poll(|_| {});
            if engine.at_checkpoint() {
                engine.cut(b"");
            }
        }
        assert!(begun >= INPUTS, "each joins what one of them begins");
        while engine.take_checkpoint_news().is_empty() {
            for input in &mut inputs {
                if input.checkpoint_due() {
                    input.checkpoint(b"later");
                }
                input.flush();
            }
            engine.poll(|_| {});
            if engine.at_checkpoint() {
                engine.cut(b"");
            }
        }
        drop(inputs);
        drop(engine);
        let mut engine = build(directory.path(), arrival, by_hand);
        for key in 0..INPUTS {
            let input = engine.take_input().unwrap();
            let position = String::from_utf8(input.resumed_at().unwrap().to_vec()).unwrap();
            assert!(position == format!("{key}: {}", input.seek_hint()) || position == "later", "{position}");
        }
    });
}

#[test]
fn another_number_of_inputs_is_another_program() {
    watched(|| {
        let directory = tempfile::tempdir().unwrap();
        let mut engine =
            build(directory.path(), MergeOrder::Arrival, |checkpoints| checkpoints.every_events(20));
        run(&mut engine, [1000, 1000, 1000], &mut Sums::new());
        drop(engine);
        let program = Program::parse(PROGRAM).unwrap();
        let checkpoints = Checkpoints::in_directory(directory.path()).allow_changed();
        let error =
            Engine::builder(&program).inputs(2).checkpoints(checkpoints).build().unwrap_err().to_string();
        assert!(error.contains("number of inputs has changed"), "{error}");
    });
}
