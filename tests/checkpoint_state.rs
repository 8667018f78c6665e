//! A checkpoint has everything: whatever the program, a run that was ended behind a checkpoint, and begun again from it,
//! gives what an undisturbed one gives, byte for byte; with contexts and pools, and while pools are resized.
//!
//! `VARPIN_CASES=20000 cargo test --release --test checkpoint_state` looks longer.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

#[path = "common/cases.rs"]
mod cases;
#[allow(dead_code, reason = "not every test file needs all of it")]
mod support;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::collections::HashSet;
use std::path::Path;

use cases::cases;
use proptest::prelude::*;
use support::{Case, known};
use varpin::engine::{
    BuildError, Builder, CheckpointNews, Checkpoints, Engine, EngineError, Event, Program, Record,
    RecoveryError, ResizeError,
};
use varpin::event::Value;
use varpin::flow::MergeOrder;
use watchdog::watched;

/// An interruption: a checkpoint behind so many events, and so many more that come before the end.
#[derive(Clone, Copy, Debug)]
struct Interruption {
    behind: usize,
    beyond: usize,
}

fn interruptions() -> impl Strategy<Value = Vec<Interruption>> {
    let one = (1..60_usize, 0..20_usize).prop_map(|(behind, beyond)| Interruption { behind, beyond });
    prop::collection::vec(one, 1..4)
}

/// What came of a run: results, and by stream events, rows and late events.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    lines: Vec<String>,
    counts: Vec<(String, u64, u64, u64)>,
}

fn end(engine: &mut Engine, mut lines: Vec<String>) -> Outcome {
    let stats = engine.finish(|result| lines.push(line(&result))).expect("the run ends as it should");
    assert_eq!(stats.undelivered, []);
    assert_eq!(stats.results, lines.len() as u64, "results of the runs before count, too");
    let ids: HashSet<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(ids.len(), lines.len(), "two results have one name");
    let counts = stats
        .streams
        .iter()
        .map(|counts| (counts.stream.clone(), counts.events, counts.rows, counts.late))
        .collect();
    Outcome { lines, counts }
}

fn undisturbed(program: &Program, events: &dyn Fn(&Engine) -> Vec<Event>) -> Outcome {
    let mut engine = Engine::builder(program).order(MergeOrder::Deterministic).build().unwrap();
    let mut lines = Vec::new();
    for event in events(&engine) {
        engine.feed(event, |result| lines.push(line(&result))).unwrap();
    }
    end(&mut engine, lines)
}

/// A result with its name.
fn line(result: &Record<'_>) -> String {
    format!("{} {}", result.id(), result.to_json())
}

/// Lets everything move once.
fn go(engine: &mut Engine, lines: &mut Vec<String>) -> usize {
    engine.step() + engine.poll(|result| lines.push(line(&result)))
}

/// Feeds an event; where a checkpoint waits to be cut, cuts it. Gives back how many results were before the cut.
fn feed(engine: &mut Engine, event: &Event, lines: &mut Vec<String>) -> Option<usize> {
    let mut kept = None;
    loop {
        match engine.feed(event.clone(), |result| lines.push(line(&result))) {
            Ok(()) => return kept,
            Err(EngineError::AtCheckpoint) => {
                engine.cut(b"sink");
                kept = Some(lines.len());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A run that is interrupted. `resize_every`: before every so many events a pool gets another number of workers.
fn disturbed(
    builder: &dyn Fn() -> Builder,
    events: &dyn Fn(&Engine) -> Vec<Event>,
    interruptions: &[Interruption],
    resize_every: usize,
    directory: &Path,
) -> Outcome {
    let mut lines = Vec::new();
    let mut done = 0;
    // Whether results wait for their checkpoint must not matter, and may be another thing after a restart. Now nearly
    // nothing of the state is written between two events, now some of it, now all.
    let build = |commits: bool, slice: usize| {
        let slice_bytes = [1, 50, 300, 1 << 14][slice % 4];
        let checkpoints = Checkpoints::in_directory(directory).by_hand().slice_bytes(slice_bytes);
        let checkpoints = if commits { checkpoints.commit_on_checkpoint() } else { checkpoints };
        builder().checkpoints(checkpoints).build().expect("the engine can be built")
    };
    let first = interruptions.first().map_or(0, |first| first.behind);
    let mut engine = build(!interruptions.is_empty() && first.is_multiple_of(2), first / 2);
    let all = events(&engine);
    let resize = |engine: &mut Engine, number: usize| {
        if resize_every == 0 || !number.is_multiple_of(resize_every) {
            return;
        }
        let pools: Vec<(String, String)> = engine
            .pools()
            .iter()
            .map(|(context, stream, _)| ((*context).to_owned(), (*stream).to_owned()))
            .collect();
        if let Some((context, stream)) = pools.get(number / resize_every % pools.len().max(1)) {
            match engine.resize(context, stream, 1 + number * 7 % 4) {
                Ok(_)
                | Err(ResizeError::Broadcast(_) | ResizeError::Busy(_) | ResizeError::AtCheckpoint(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    for (number, interruption) in interruptions.iter().enumerate() {
        let behind = (done + interruption.behind).min(all.len());
        for (at, event) in all.iter().enumerate().take(behind).skip(done) {
            resize(&mut engine, at);
            feed(&mut engine, event, &mut lines);
        }
        if behind == done {
            continue;
        }
        // A pool that is being resized comes first.
        let mut tries = 0;
        while !engine.checkpoint(number.to_string().as_bytes()) {
            go(&mut engine, &mut lines);
            tries += 1;
            assert!(tries < 1_000_000, "no checkpoint can begin");
        }
        let mut kept = None;
        let beyond = (behind + interruption.beyond).min(all.len());
        for event in &all[behind..beyond] {
            kept = kept.or(feed(&mut engine, event, &mut lines));
        }
        let mut idle = 0;
        while kept.is_none() {
            idle = if go(&mut engine, &mut lines) == 0 { idle + 1 } else { 0 };
            if engine.at_checkpoint() {
                engine.cut(b"sink");
                kept = Some(lines.len());
            }
            assert!(idle < 10_000_000, "the barrier does not come");
        }
        for _ in 0..interruption.beyond {
            go(&mut engine, &mut lines);
        }
        // What is complete is written before the engine is gone.
        drop(engine);
        lines.truncate(kept.unwrap_or_default());
        engine = build(interruption.behind.is_multiple_of(3), number);
        let resumed = engine.resumed().expect("there is a checkpoint");
        assert_eq!(resumed.events, behind as u64);
        assert_eq!(resumed.results, lines.len() as u64);
        assert_eq!((&resumed.input[..], &resumed.output[..]), (number.to_string().as_bytes(), &b"sink"[..]));
        done = behind;
    }
    for event in &all[done..] {
        feed(&mut engine, event, &mut lines);
    }
    end(&mut engine, lines)
}

#[derive(Clone, Copy, Debug)]
enum How {
    Inline,
    Stepped,
    Threads,
}

fn run(
    case: &Case,
    interruptions: &[Interruption],
    how: How,
    capacity: usize,
    resize_every: usize,
) -> Outcome {
    let directory = tempfile::tempdir().unwrap();
    let program = case.loaded(!matches!(how, How::Inline));
    let builder = || {
        let builder =
            Engine::builder(&program).order(MergeOrder::Deterministic).capacity(capacity).batch_limit(7);
        match how {
            How::Inline | How::Threads => builder,
            How::Stepped => builder.stepped(),
        }
    };
    disturbed(&builder, &|engine| case.typed_events(engine), interruptions, resize_every, directory.path())
}

fn config(default: u32) -> ProptestConfig {
    ProptestConfig { cases: cases(default), max_shrink_iters: 5_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn on_one_thread_nothing_is_forgotten(case in support::case(100), interruptions in interruptions()) {
        prop_assert_eq!(run(&case, &interruptions, How::Inline, 8, 0), run(&case, &[], How::Inline, 8, 0));
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn stepped_by_hand_nothing_is_forgotten(
        case in support::case(100),
        interruptions in interruptions(),
        capacity in prop::sample::select(vec![1, 2, 64]),
        resize_every in prop::sample::select(vec![0, 0, 5, 17]),
    ) {
        let whole = run(&case, &[], How::Stepped, capacity, 0);
        let disturbed = run(&case, &interruptions, How::Stepped, capacity, resize_every);
        prop_assert_eq!(&disturbed.lines, &whole.lines);
        // A worker that has left has left its counts behind, which are in no checkpoint.
        prop_assert!(resize_every > 0 || disturbed.counts == whole.counts);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..config(16) })]

    #[test]
    fn on_threads_nothing_is_forgotten(
        case in support::case(300),
        interruptions in interruptions(),
        capacity in prop::sample::select(vec![1, 2, 64]),
        resize_every in prop::sample::select(vec![0, 0, 5, 17]),
    ) {
        let (disturbed, whole) = watched(move || {
            let disturbed = run(&case, &interruptions, How::Threads, capacity, resize_every);
            (disturbed, run(&case, &[], How::Threads, capacity, 0))
        });
        prop_assert_eq!(&disturbed.lines, &whole.lines);
        prop_assert!(resize_every > 0 || disturbed.counts == whole.counts);
    }
}

/// Programs with state that the random ones have not.
const PROGRAMS: &[&str] = &[
    "var seen = 0\nfn next(v: int) -> int:\n    seen := seen + v\n    return seen\nstream S = A.select(sum: next(v))",
    "stream S = A.partition_by(k).limit(3).emit(k: k, v: v)",
    "stream S = A.distinct(v % 5).emit(v: v)",
    "stream S = A.partition_by(k).window(4).aggregate(a: avg(w), m: median(v), d: count_distinct(v), c: collect(v), \
     e: ema(w, 3), s: stddev(w), f: first(v), l: last(v), lo: min(w), hi: max(w), p: p95(w))",
    "stream S = A.partition_by(k).window(7, sliding: 2).aggregate(s: sum(v), k: last(k))",
    "stream S = A.partition_by(k).window(9s, sliding: 3s).aggregate(n: count(), s: sum(w)).order_by(n desc).limit(2)",
    "stream S = A.partition_by(k).window(session: 2s).aggregate(n: count(), k: last(k))",
    "stream S = A.partition_by(k).window(5s, policy: \"first_event\").aggregate(n: count())",
    "stream S = A.watermark(out_of_order: 2s).partition_by(k).window(4s).allowed_lateness(2s).aggregate(n: count())",
    "stream T = timer(3s).emit(at: timestamp)\nstream S = A.emit(v: v)",
    "stream S = full_join(A, B).on(A.k == B.k).window(4s).emit(a: A.v, b: B.v)",
    "stream S = A as a -> all B as b -> A as c where c.v > a.v .within(20s).partition_by(k).emit(n: count(b), v: c.v)",
    "stream S = A as a -> B where k == a.k and v > 1 as b -> A where k == a.k as c .within(30s).emit(a: a.v, b: b.v, c: c.v)",
    "stream S = A as a -> all B as b .within(9s).partition_by(k).emit(n: count(b), a: a.v)",
    "context c\nstream S = A.context(c).concurrent(workers: 3, strategy: round_robin).where(v > 2).emit(v: v)",
    "context c\nstream S = A.context(c).partition_by(k).concurrent(workers: 3).window(4s).aggregate(n: count(), k: last(k))\n\
     stream D = S.context(c).distinct(n).emit(n: n)",
    "context a\ncontext b\nstream S = A.context(a).partition_by(k).window(3).aggregate(v: sum(v), k: last(k))\n\
     stream T = merge(S, B).context(b).partition_by(k).window(5).aggregate(n: count(), v: sum(v))\n\
     stream U = T.context(a).window(2).aggregate(v: max(v))",
];

fn plain_events(engine: &Engine, count: i64) -> Vec<Event> {
    let mut seed = 7_u64;
    let mut next = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let event = |number: i64| {
        let name = if next(3) == 0 { "B" } else { "A" };
        let (key, v, late) = (next(4), next(9), next(4) as i64);
        let ty = engine.event_type(name).ok()?;
        let fields = [
            ("k", Value::from(["north", "south", "east", "a key longer than fourteen bytes"][key as usize])),
            ("v", Value::Int(v as i64)),
            ("w", Value::Float(v as f64 / 3.0)),
        ];
        Some(ty.event_with((number - late) * 400_000_000, known(&ty, fields)).unwrap())
    };
    (0..count).filter_map(event).collect()
}

#[test]
fn every_kind_of_state_is_kept() {
    for text in PROGRAMS {
        let program = Program::parse(text).unwrap_or_else(|error| panic!("{text}\n{error:?}"));
        let events = |engine: &Engine| plain_events(engine, 150);
        let whole = undisturbed(&program, &events);
        assert!(!whole.lines.is_empty(), "{text}");
        for behind in [1, 10, 33, 70] {
            let interruptions = [Interruption { behind, beyond: 9 }, Interruption { behind: 25, beyond: 0 }];
            for stepped in [false, true] {
                let directory = tempfile::tempdir().unwrap();
                let builder = || {
                    let builder = Engine::builder(&program).order(MergeOrder::Deterministic).capacity(4);
                    if stepped { builder.stepped() } else { builder }
                };
                let disturbed = disturbed(&builder, &events, &interruptions, 0, directory.path());
                assert_eq!(disturbed.lines, whole.lines, "{text}\nbehind {behind}, stepped: {stepped}");
                // Dropped rows of round-robin and others count alike.
                assert_eq!(disturbed.counts, whole.counts, "{text}\nbehind {behind}, stepped: {stepped}");
            }
        }
    }
}

/// Runs `text` up to a checkpoint in `directory`.
fn leave_checkpoint(text: &str, directory: &Path) {
    let program = Program::parse(text).unwrap();
    let checkpoints = Checkpoints::in_directory(directory).every_events(1);
    let mut engine = Engine::builder(&program).checkpoints(checkpoints).build().unwrap();
    for event in plain_events(&engine, 20) {
        engine.feed(event, |_| {}).unwrap();
        while engine.take_checkpoint_news().is_empty() {
            engine.poll(|_| {});
        }
    }
}

fn rebuild(text: &str, directory: &Path, changed: bool) -> Result<Engine, BuildError> {
    let checkpoints = Checkpoints::in_directory(directory);
    let checkpoints = if changed { checkpoints.allow_changed() } else { checkpoints };
    Engine::builder(&Program::parse(text).unwrap()).checkpoints(checkpoints).build()
}

#[test]
fn another_program_is_refused_by_the_names_of_its_streams() {
    let before = "stream S = A.window(50).aggregate(n: count())\nstream T = A.limit(3).emit(v: v)";
    for (after, says) in [
        (
            "stream S = A.window(51).aggregate(n: count())\nstream T = A.limit(3).emit(v: v)",
            "stream S has changed",
        ),
        ("stream S = A.window(50).aggregate(n: count())", "stream T is gone"),
        (
            "stream S = A.window(50).aggregate(n: count())\nstream T = A.limit(3).emit(v: v)\nstream U = A.emit(v: v)",
            "stream U is new",
        ),
        ("stream Z = timer(1s).emit(t: timestamp)", "timers has changed"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        leave_checkpoint(before, directory.path());
        let error = rebuild(after, directory.path(), false).unwrap_err();
        assert!(matches!(&error, BuildError::Recovery(RecoveryError::Changed { .. })), "{error}");
        assert!(error.to_string().contains(says), "{error}");
        rebuild(before, directory.path(), false).expect("the same program goes on");
    }
}

#[test]
fn where_changes_are_allowed_streams_that_are_the_same_keep_their_state() {
    let directory = tempfile::tempdir().unwrap();
    let window = |size: usize| format!("stream S = A.window({size}).aggregate(n: count(), v: sum(v))");
    leave_checkpoint(&format!("{}\nstream T = A.limit(3).emit(v: v)", window(50)), directory.path());
    // The limit is used up, and the window has begun anew.
    let text = format!("{}\nstream T = A.limit(3).emit(v: v)", window(2));
    let mut engine = rebuild(&text, directory.path(), true).unwrap();
    assert_eq!(engine.resumed().unwrap().changed, ["stream S has changed"]);
    let mut lines = Vec::new();
    for event in plain_events(&engine, 4) {
        engine.feed(event, |result| lines.push(result.to_json())).unwrap();
    }
    assert!(lines.iter().all(|line| line.contains("\"S\"") && line.contains("\"n\":2")), "{lines:?}");
    assert!(!lines.is_empty());
}

#[test]
fn what_cannot_be_kept_is_refused() {
    let refused = |text: &str| {
        let directory = tempfile::tempdir().unwrap();
        let program = Program::parse(text).unwrap();
        let checkpoints = Checkpoints::in_directory(directory.path());
        let built = Engine::builder(&program).checkpoints(checkpoints).build();
        built.map(drop).unwrap_err().to_string()
    };
    let in_context =
        |config: &str| format!("context c\nconfig c {{ {config} }}\nstream S = A.context(c).emit(v: v)");
    for (text, says) in [
        (in_context("when_full: drop_oldest"), "when_full: drop_oldest"),
        (in_context("breaker_open: drop"), "breaker_open: drop"),
        (in_context("breaker_open: dead_letter"), "circuit breaker"),
        ("config output { breaker_open: drop }\nstream S = A.emit(v: v)".to_owned(), "breaker_open: drop"),
    ] {
        let error = refused(&text);
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn two_engines_on_one_directory_are_one_too_many() {
    let directory = tempfile::tempdir().unwrap();
    let text = "stream S = A.emit(v: v)";
    let first = rebuild(text, directory.path(), false).unwrap();
    let error = rebuild(text, directory.path(), false).unwrap_err().to_string();
    assert!(error.contains("another engine keeps its checkpoints there"), "{error}");
    drop(first);
    rebuild(text, directory.path(), false).unwrap();
}

#[test]
fn checkpoints_come_by_themselves_where_nobody_says_when() {
    for text in ["stream S = A.emit(v: v)", "context c\nstream S = A.context(c).emit(v: v)"] {
        let directory = tempfile::tempdir().unwrap();
        let program = Program::parse(text).unwrap();
        let path = directory.path().to_owned();
        let written = watched(move || {
            let checkpoints = Checkpoints::in_directory(path).every_events(10);
            let mut engine = Engine::builder(&program).checkpoints(checkpoints).build().unwrap();
            let mut written = 0;
            for event in plain_events(&engine, 100).iter().cycle() {
                engine.feed(event.clone(), |_| {}).unwrap();
                engine.poll(|_| {});
                for news in engine.take_checkpoint_news() {
                    match news {
                        CheckpointNews::Written { bytes, .. } if bytes > 100 => written += 1,
                        other => panic!("{other:?}"),
                    }
                }
                if written == 5 {
                    break;
                }
            }
            engine.finish(|_| {}).unwrap();
            written
        });
        assert_eq!(written, 5);
    }
}

#[test]
fn a_sink_that_has_counted_gets_no_result_twice() {
    for text in ["stream S = A.emit(v: v)", "context c\nstream S = A.context(c).emit(v: v)"] {
        let directory = tempfile::tempdir().unwrap();
        let program = Program::parse(text).unwrap();
        let path = directory.path().to_owned();
        watched(move || {
            let build = || {
                let checkpoints = Checkpoints::in_directory(&path).every_events(10);
                let builder = Engine::builder(&program).order(MergeOrder::Deterministic).stepped();
                builder.checkpoints(checkpoints).build().unwrap()
            };
            let mut engine = build();
            let events = plain_events(&engine, 100);
            let mut sink = Vec::new();
            for event in &events[..45] {
                engine.feed(event.clone(), |result| sink.push(line(&result))).unwrap();
                go(&mut engine, &mut sink);
            }
            while engine.take_checkpoint_news().is_empty() {
                go(&mut engine, &mut sink);
            }
            drop(engine);
            let mut engine = build();
            let resumed = engine.resumed().unwrap().clone();
            assert!(resumed.results < sink.len() as u64, "something comes again");
            assert!(engine.resume_from(sink.len() as u64));
            for event in &events[resumed.events as usize..] {
                engine.feed(event.clone(), |result| sink.push(line(&result))).unwrap();
            }
            let sink = end_with(&mut engine, sink);
            let whole = undisturbed(&program, &|engine| plain_events(engine, 100));
            assert_eq!(sink, whole.lines);
        });
    }
}

fn end_with(engine: &mut Engine, mut lines: Vec<String>) -> Vec<String> {
    engine.finish(|result| lines.push(line(&result))).unwrap();
    lines
}
