//! Promises about threads that several contexts share: who sits where, and that a program runs there as it does
//! anywhere.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

#[path = "common/watchdog.rs"]
mod watchdog;

use std::fmt::Write as _;

use proptest::prelude::*;
use varpin::cores::{FusedThread, allowed_cpus, cpu_quota, fuse};
use varpin::engine::{BuildError, Engine, Program};
use varpin::event::Value;
use varpin::flow::MergeOrder;
use watchdog::watched;

fn thread(cpu: Option<usize>, workers: &[usize]) -> FusedThread {
    FusedThread { cpu, workers: workers.to_vec() }
}

#[test]
fn workers_are_dealt_out_in_the_order_of_flow() {
    let free = |count| vec![None; count];
    let table: [(Vec<Option<usize>>, usize, Vec<FusedThread>); 9] = [
        (free(4), 2, vec![thread(None, &[0, 1]), thread(None, &[2, 3])]),
        (free(5), 2, vec![thread(None, &[0, 1, 2]), thread(None, &[3, 4])]),
        (free(2), 8, vec![thread(None, &[0]), thread(None, &[1])]),
        (free(3), 0, vec![thread(None, &[0, 1, 2])]),
        (vec![], 2, vec![]),
        // Who asks for one CPU shares a thread, in the order in which CPUs are named.
        (vec![Some(1), Some(0), Some(1)], 2, vec![thread(Some(1), &[0, 2]), thread(Some(0), &[1])]),
        // A CPU that is asked for has a thread, even where that makes more than were wanted.
        (vec![Some(0), Some(1), Some(2)], 1, (0..3).map(|cpu| thread(Some(cpu), &[cpu])).collect()),
        // The others go where there is least.
        (vec![Some(0), None, None, None], 2, vec![thread(Some(0), &[0, 1]), thread(None, &[2, 3])]),
        (vec![Some(0), None, None], 1, vec![thread(Some(0), &[0, 1, 2])]),
    ];
    for (workers, threads, expected) in table {
        assert_eq!(fuse(&workers, threads), expected, "{workers:?} on {threads}");
    }
}

proptest! {
    #[test]
    fn each_worker_sits_on_one_thread_and_on_its_cpu(
        workers in prop::collection::vec(prop::option::of(0..4_usize), 0..20),
        threads in 0..6_usize,
    ) {
        let fused = fuse(&workers, threads);
        let mut seated: Vec<usize> = fused.iter().flat_map(|thread| thread.workers.clone()).collect();
        seated.sort_unstable();
        prop_assert_eq!(seated, (0..workers.len()).collect::<Vec<_>>());
        for thread in &fused {
            prop_assert!(!thread.workers.is_empty(), "no thread idles for ever");
            for &worker in &thread.workers {
                prop_assert!(workers[worker].is_none() || workers[worker] == thread.cpu);
            }
        }
        let mut cpus: Vec<usize> = workers.iter().flatten().copied().collect();
        cpus.sort_unstable();
        cpus.dedup();
        prop_assert!(fused.len() <= threads.max(cpus.len()).max(1));
    }
}

/// A chain through `contexts` contexts and back: each feeds the next, and the last ones feed the first ones.
fn there_and_back(contexts: usize) -> String {
    let mut text = String::new();
    for context in 0..contexts {
        writeln!(text, "context c{context}").unwrap();
    }
    let places = (0..contexts).chain((0..contexts).rev()).enumerate();
    for (stream, context) in places {
        let source = stream.checked_sub(1).map_or_else(|| "E".to_owned(), |before| format!("S{before}"));
        write!(text, "stream S{stream} = {source}.context(c{context})").unwrap();
        writeln!(text, ".where(v != {stream}).select(v: v + 1)").unwrap();
    }
    text + &format!("stream Last = S{}.context(c0).emit(v: v)\n", 2 * contexts - 1)
}

#[test]
fn sixteen_contexts_that_feed_each_other_in_cycles_finish_on_any_threads() {
    let text = there_and_back(16);
    let plain: String =
        text.lines().filter(|line| !line.starts_with("context")).collect::<Vec<_>>().join("\n");
    let mut plain = plain;
    for context in (0..16).rev() {
        plain = plain.replace(&format!(".context(c{context})"), "");
    }
    let run = |text: &str, is_fused: bool, capacity: usize, events: i64| {
        let program = Program::parse(text).unwrap();
        let builder = Engine::builder(&program).order(MergeOrder::Deterministic).capacity(capacity);
        watched(move || {
            let mut engine = if is_fused { builder.fused() } else { builder }.build().unwrap();
            let ty = engine.event_type("E").unwrap();
            let mut lines = Vec::new();
            for n in 0..events {
                let event = ty.event_with(n, [("v", Value::from(n))]).unwrap();
                engine.feed(event, |result| lines.push(result.to_json())).unwrap();
            }
            engine.finish(|result| lines.push(result.to_json())).unwrap();
            lines
        })
    };
    for (capacity, events) in [(1, 300), (1024, 20_000)] {
        let expected = run(&plain, false, 1024, events);
        assert!(expected.len() as i64 > events / 2);
        for is_fused in [false, true] {
            assert!(
                run(&text, is_fused, capacity, events) == expected,
                "fused {is_fused}, capacity {capacity}"
            );
        }
    }
}

#[test]
fn there_are_no_more_fused_threads_than_cpus() {
    let program = Program::parse(&there_and_back(16)).unwrap();
    let engine = Engine::builder(&program).fused().build().unwrap();
    let threads = engine.metrics_reader().read().workers.len();
    let quota = cpu_quota(std::path::Path::new("/")).map_or(usize::MAX, |quota| quota.ceil() as usize);
    assert_eq!(threads, allowed_cpus().unwrap().len().min(quota).min(16));
}

#[test]
fn what_is_supervised_needs_a_thread_for_each_context() {
    let text = "context c\nconfig c { restart: always }\nstream S = E.context(c)";
    let error = Engine::builder(&Program::parse(text).unwrap()).fused().build().unwrap_err();
    assert!(matches!(error, BuildError::Unsupervised { .. }), "{error}");
    assert!(error.to_string().contains("fused"), "{error}");
}
