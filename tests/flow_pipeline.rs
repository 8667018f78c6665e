//! Graphs of closures: nothing lost, nothing twice; ways out and in; what is said about a graph that can't be right.

#[path = "common/watchdog.rs"]
mod watchdog;

use std::collections::HashSet;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use varpin::cores::{PinOutcome, PinPolicy};
use varpin::flow::{
    Envelope, FanIn, Flow, Graph, GraphProblem, LaneOptions, MergeOrder, Ordered, OutPort, Output,
    StartError, way_of,
};
use varpin::idle::Idle;
use varpin::ring::{self, PopError, PushError, WriteError};
use watchdog::watched;

const JOIN: Duration = Duration::from_secs(30);

fn collect<T: Clone>(mut output: Output<T>) -> Vec<T> {
    let mut results = Vec::new();
    loop {
        let drained = output.drain(1024, |item| {
            results.extend(item.value.clone());
            true
        });
        if drained.ended {
            return results;
        }
        if drained.is_idle() {
            thread::yield_now();
        }
    }
}

#[test]
fn nothing_is_lost_or_doubled_through_three_stages() {
    for (capacity, items) in [(1, 5_000), (2, 5_000), (1024, 300_000)] {
        for idle in [Idle::Yield, Idle::Backoff, Idle::Park] {
            let results = watched(move || {
                let mut graph = Graph::new().capacity(capacity).idle(idle).pin_policy(PinPolicy::Off);
                let (mut input, numbers) = graph.input::<u64>("numbers");
                let first = graph.stage("first", &numbers, |n: &u64, out| out.send(n + 1));
                let second = graph.stage("second", &first, |n: &u64, out| out.send(n * 2));
                let third = graph.stage("third", &second, |n: &u64, out| out.send(n - 1));
                let output = graph.output("results", &third);
                let running = graph.start().expect("the graph is sound");
                let feeder = thread::spawn(move || {
                    for n in 0..items {
                        input.push(n).expect("nobody leaves before the end");
                    }
                });
                let results = collect(output);
                feeder.join().expect("the feeder doesn't panic");
                let report = running.join(JOIN).expect("every stage was done");
                assert_eq!(report.undelivered, []);
                results
            });
            assert_eq!(results.len() as u64, items, "capacity {capacity}, {idle}");
            let expected = |n: usize| (n as u64 + 1) * 2 - 1;
            assert!(results.iter().enumerate().all(|(n, result)| *result == expected(n)));
        }
    }
}

#[test]
fn every_order_keeps_each_branch_in_order_and_loses_nothing() {
    for order in MergeOrder::ALL {
        let results = watched(move || {
            let mut graph = Graph::new().order(order).capacity(2).pin_policy(PinPolicy::Off);
            let (mut input, numbers) = graph.input::<u64>("numbers");
            let ways = graph.partition("by key", &numbers, 3, |n| *n % 10);
            let doubled: Vec<Flow<(usize, u64)>> = ways
                .iter()
                .enumerate()
                .map(|(way, flow)| {
                    graph.stage(format!("worker {way}"), flow, move |n: &u64, out| out.send((way, *n)))
                })
                .collect();
            let output = graph.output("results", &doubled);
            let running = graph.start().expect("the graph is sound");
            let feeder = thread::spawn(move || {
                for n in 0..5_000 {
                    input.push_at(n, n as i64).expect("nobody leaves before the end");
                }
            });
            let results = collect(output);
            feeder.join().expect("the feeder doesn't panic");
            running.join(JOIN).expect("every stage was done");
            results
        });
        assert_eq!(results.len(), 5_000, "{order}");
        for way in 0..3 {
            let of_way: Vec<u64> = results.iter().filter(|item| item.0 == way).map(|item| item.1).collect();
            let expected: Vec<u64> = (0..5_000).filter(|n| way_of(n % 10, 3) == way).collect();
            assert_eq!(of_way, expected, "{order}");
        }
        if order == MergeOrder::Deterministic {
            assert!(results.iter().map(|item| item.1).eq(0..5_000));
        }
    }
}

#[test]
fn several_threads_feed_and_an_input_that_skips_ahead_holds_nobody_up() {
    let mut graph = Graph::new().order(MergeOrder::Deterministic);
    let (mut left, left_flow) = graph.input::<&str>("left");
    let (mut right, right_flow) = graph.input::<&str>("right");
    let mut output = graph.output("both", [&left_flow, &right_flow]);
    let mut stepper = graph.stepper().expect("the graph is sound");
    stepper.step();
    for item in ["l1", "l2", "l3"] {
        assert_eq!(left.try_push(item), Ok(()));
    }
    assert_eq!(left.flush(), Ok(()));
    assert_eq!(right.try_push("r1"), Ok(()));
    assert_eq!(right.flush(), Ok(()));
    let mut pop_all = || std::iter::from_fn(|| output.pop().ok()).collect::<Vec<_>>();
    // l2 comes before any r2, but nothing of 3 may come before it is known that there is no r2.
    assert_eq!(pop_all(), ["l1", "r1", "l2"]);
    assert_eq!(right.skip_to(5), Ok(()));
    assert_eq!(pop_all(), ["l3"]);
    assert_eq!(right.try_push("r5"), Ok(()));
    right.close();
    assert_eq!(left.pushed(), 3);
    left.close();
    assert_eq!(pop_all(), ["r5"]);
    assert_eq!(output.pop(), Err(PopError::Closed));
}

#[test]
fn a_full_input_gives_the_item_back() {
    let mut graph = Graph::new().capacity(2);
    let (mut input, numbers) = graph.input::<u8>("numbers");
    let mut output = graph.output("results", &numbers);
    // Nothing has started: there is no ring yet.
    assert_eq!(input.try_push(0), Err(PushError::Full(0)));
    let stepper = graph.stepper().expect("the graph is sound");
    assert_eq!((input.try_push(1), input.try_push(2)), (Ok(()), Ok(())));
    assert_eq!(input.try_push(3), Err(PushError::Full(3)));
    // A full ring is shown to who has to make room in it.
    assert_eq!(output.pop(), Ok(1));
    assert_eq!(input.try_push(3), Ok(()));
    drop(output);
    assert_eq!(input.flush(), Err(WriteError::Closed));
    assert_eq!(input.try_push(4), Err(PushError::Closed(4)));
    drop(input);
    let report = stepper.finish().expect("there was no stage to end badly");
    assert_eq!(report.undelivered_items(), 2, "{report:?}");
}

#[test]
fn ends_of_a_graph_that_never_starts_are_closed() {
    let mut graph = Graph::new();
    let (mut input, numbers) = graph.input::<u8>("numbers");
    let mut output = graph.output("results", &numbers);
    drop(graph);
    assert_eq!(input.push(1), Err(PushError::Closed(1)));
    assert_eq!(output.pop(), Err(PopError::Closed));
}

#[test]
fn fused_stages_share_a_thread_and_names_are_threads() {
    watched(|| {
        let mut graph = Graph::new().idle(Idle::Park).pin_policy(PinPolicy::Off);
        let (mut input, numbers) = graph.input::<u8>("numbers");
        let name = || thread::current().name().unwrap_or("none").to_owned();
        let first = graph.stage("first", &numbers, move |_: &u8, out| out.send(vec![name()]));
        let push_name = move |names: &Vec<String>, out: &mut varpin::flow::Out<'_, Vec<String>>| {
            out.send(names.iter().cloned().chain([name()]).collect());
        };
        let second = graph.stage("second", &first, push_name);
        let third = graph.stage("third", &second, push_name);
        graph.fuse("front", ["first", "second"]);
        let output = graph.output("results", &third);
        let running = graph.start().expect("the graph is sound");
        input.push(1).expect("nobody has left");
        input.close();
        assert_eq!(collect(output), [["front", "front", "third"].map(str::to_owned)]);
        let report = running.join(JOIN).expect("every stage was done");
        let workers: Vec<_> =
            report.workers.iter().map(|worker| (worker.name.as_str(), worker.stages.len())).collect();
        assert_eq!(workers, [("front", 2), ("third", 1)]);
    });
}

#[test]
fn pinning_is_read_back_and_a_cpu_that_does_not_exist_is_told_or_refused() {
    let start = |policy, cpu| {
        let mut graph = Graph::new().pin_policy(policy).idle(Idle::Auto);
        let (input, numbers) = graph.input::<u8>("numbers");
        graph.sink("sink", &numbers, |_: &u8| {});
        graph.pin("sink", cpu);
        (graph.start(), input)
    };
    watched(move || {
        let own = varpin::cores::allowed_cpus().expect("the system tells");
        let cpu = own.iter().next().expect("this thread runs somewhere");
        let (running, input) = start(PinPolicy::Strict, cpu);
        let running = running.expect("the CPU is allowed");
        assert_eq!(running.pins(), [("sink".to_owned(), PinOutcome::Pinned(cpu))]);
        drop(input);
        running.join(JOIN).expect("the sink was done");

        let (running, input) = start(PinPolicy::BestEffort, 999);
        let running = running.expect("best effort goes on");
        let pins = running.pins();
        assert!(matches!(&pins[0].1, PinOutcome::Unpinned(error) if error.cpu == 999), "{pins:?}");
        let idles = running.idles();
        assert_eq!(idles[0].1, Idle::Backoff, "{idles:?}");
        assert!(idles[0].2.contains("sink's CPU 999"), "{idles:?}");
        drop(input);
        running.join(JOIN).expect("the sink was done");

        let (refused, input) = start(PinPolicy::Strict, 999);
        let message = refused.expect_err("there is no such CPU").to_string();
        assert!(message.contains("sink") && message.contains("999"), "{message}");
        // The worker that was given up closes its rings, so this ends.
        let mut input = input;
        while input.push(0).is_ok() {}
    });
}

#[test]
fn what_is_wrong_with_a_graph_is_told_at_once_and_by_name() {
    let mut other = Graph::new();
    let (_input, foreign) = other.input::<u8>("foreign");
    let mut graph = Graph::new().capacity(0);
    let (_input, numbers) = graph.input::<u8>("numbers");
    let (_idle, _unused) = graph.input::<u8>("unused");
    let copy = |n: &u8, out: &mut varpin::flow::Out<'_, u8>| out.send(*n);
    graph.stage("copy", [&numbers, &numbers], copy);
    let again = graph.stage("copy", &foreign, copy);
    let _ways = graph.route("ways", &again, 2, |_| 0);
    graph.pin("missing", 0);
    graph.pin("numbers", 0);
    graph.fuse("pair", ["copy", "copy"]);
    let StartError::Graph(error) = graph.start().expect_err("it is full of mistakes") else {
        panic!("not the graph's error")
    };
    let text = |text: &str| text.to_owned();
    let expected = [
        GraphProblem::TakenTwice { stage: text("copy"), flow: text("numbers") },
        GraphProblem::OtherGraph { stage: text("copy"), flow: text("foreign") },
        GraphProblem::NoSource { stage: text("copy") },
        GraphProblem::DuplicateName { name: text("copy") },
        GraphProblem::Untaken { flow: text("unused") },
        GraphProblem::Untaken { flow: text("copy") },
        GraphProblem::Untaken { flow: text("ways.0") },
        GraphProblem::Untaken { flow: text("ways.1") },
        GraphProblem::Zero { setting: "capacity" },
        GraphProblem::FusedTwice { stage: text("copy") },
        GraphProblem::UnknownStage { stage: text("missing") },
        GraphProblem::UnknownStage { stage: text("numbers") },
    ];
    let missing: Vec<_> = expected.iter().filter(|problem| !error.problems.contains(problem)).collect();
    assert!(missing.is_empty(), "not told: {missing:?}; told: {error}");
    assert_eq!(error.problems.len(), expected.len(), "{error}");
    assert!(error.to_string().contains("nobody takes unused"), "{error}");
}

#[test]
fn more_pending_than_allowed_fails_by_name() {
    let mut graph = Graph::new().capacity(1).pending_limit(10);
    let (mut input, numbers) = graph.input::<u64>("numbers");
    let many = graph.stage("many", &numbers, |n: &u64, out| (0..*n).for_each(|m| out.send(m)));
    let mut output = graph.output("results", &many);
    let mut stepper = graph.stepper().expect("the graph is sound");
    assert_eq!(input.try_push(11), Ok(()));
    assert_eq!(input.flush(), Ok(()));
    stepper.step();
    assert_eq!(output.pop(), Ok(0)); // one in the ring and ten pending: allowed
    assert_eq!(input.try_push(12), Ok(()));
    input.close();
    while !stepper.is_done() {
        stepper.step();
        let _ = output.pop();
    }
    drop(output);
    let error = stepper.finish().expect_err("twelve at once are too many");
    let message = error.to_string();
    assert!(message.contains("stage many failed"), "{message}");
    assert!(
        message.contains("more than 10 items are pending in front of the ring many -> results"),
        "{message}"
    );
    assert!(error.report.undelivered_items() > 0);
}

#[test]
fn end_of_stream_waits_for_pending_output() {
    let mut graph = Graph::new().capacity(1);
    let (mut input, numbers) = graph.input::<u64>("numbers");
    let many = graph.stage("many", &numbers, |n: &u64, out| (0..*n).for_each(|m| out.send(m)));
    let mut output = graph.output("results", &many);
    let mut stepper = graph.stepper().expect("the graph is sound");
    assert_eq!(input.try_push(500), Ok(()));
    input.close();
    for expected in 0..500 {
        stepper.step();
        assert!(!stepper.is_done() || expected == 499);
        assert_eq!(output.pop(), Ok(expected));
    }
    stepper.step();
    assert_eq!(output.pop(), Err(PopError::Closed));
    assert!(stepper.is_done());
}

#[test]
fn a_stage_with_a_blocked_port_still_announces_on_the_others() {
    let (blocked_sender, mut blocked) = ring::bounded(1);
    let (open_sender, mut open) = ring::bounded(4);
    let item = |seq| Envelope::new(seq, 1, 0, ());
    let mut first = OutPort::new("first", blocked_sender).announces_progress();
    let mut second = OutPort::new("second", open_sender).announces_progress();
    (1..=3).for_each(|seq| first.send(&item(seq)));
    for port in [&mut first, &mut second] {
        port.note_progress(3);
        port.flush().expect("nothing overflows");
    }
    assert!(first.is_blocked() && !second.is_blocked());
    assert_eq!(open.pop(), Ok(Envelope::progress(3)));
    // Told once, not again and again.
    assert_eq!(second.flush(), Ok(0));
    // The blocked one announces nothing before what pends is gone.
    for seq in 1..=3 {
        assert_eq!(blocked.pop(), Ok(item(seq)));
        assert_eq!(blocked.pop(), Err(PopError::Empty));
        first.flush().expect("nothing overflows");
    }
    assert_eq!(blocked.pop(), Ok(Envelope::progress(3)));
}

#[test]
fn one_item_per_sequence_number_needs_no_progress_behind_it() {
    let (sender, receiver) = ring::bounded(8);
    let mut port = OutPort::new("source", sender).announces_progress().one_per_seq();
    let mut merged = FanIn::new(MergeOrder::Deterministic);
    merged.add_lane(receiver, LaneOptions { one_per_seq: true, ..LaneOptions::default() });
    port.send(&Envelope::new(4, 0, 0, ()));
    port.note_progress(4);
    assert_eq!(port.flush(), Ok(1));
    assert_eq!((merged.drain(9, |_, _| true).taken, merged.frontier()), (1, 4));
    port.note_progress(6);
    assert_eq!(port.flush(), Ok(1));
    let drained = merged.drain(9, |_, _| true);
    assert_eq!((drained.taken, drained.signals, merged.frontier()), (0, 1, 6));
}

#[test]
fn items_left_behind_are_counted_exactly_and_progress_is_not() {
    for taken in 0..=12_usize {
        let (sender, mut receiver) = ring::bounded(8);
        let mut port = OutPort::new("a -> b", sender).announces_progress();
        let mut items_taken = 0;
        let mut popped = 0;
        for seq in 1..=8 {
            port.send(&Envelope::new(seq, 1, 0, seq));
            port.note_progress(seq);
            port.flush().expect("nothing overflows");
            while popped < taken {
                let Ok(item) = receiver.pop() else { break };
                popped += 1;
                items_taken += u64::from(!item.is_progress());
            }
        }
        let left = port.close();
        assert_eq!(left.undelivered(), None);
        drop(receiver);
        drop(port);
        assert_eq!(left.undelivered(), Some(8 - items_taken), "after {taken} were taken");
    }
}

#[test]
fn keys_keep_their_way_and_spread() {
    let ways: HashSet<usize> = (0..1000).map(|key| way_of(key, 7)).collect();
    assert_eq!(ways.len(), 7);
    // Fixed for ever: a change would send keys to other workers than before.
    let fixed: Vec<usize> = [0, 1, 42, u64::MAX].iter().map(|&key| way_of(key, 10)).collect();
    assert_eq!(fixed, [8, 9, 0, 3]);
    for key in 0..5_000 {
        let (before, after) = (way_of(key, 5), way_of(key, 6));
        assert!(after == before || after == 5, "key {key} moved from {before} to {after}");
    }
}

#[test]
fn ends_may_be_moved_to_other_threads() {
    watched(|| {
        let mut graph = Graph::new().pin_policy(PinPolicy::Off);
        let (mut input, numbers) = graph.input::<String>("words");
        let output = graph.output("same words", &numbers);
        let running = graph.start().expect("the graph is sound");
        let (send, receive) = channel();
        let poller = thread::spawn(move || send.send(collect(output)));
        let feeder = thread::spawn(move || {
            input.push("one".to_owned()).expect("nobody has left");
            input.push("two".to_owned()).expect("nobody has left");
        });
        feeder.join().expect("the feeder doesn't panic");
        assert_eq!(receive.recv(), Ok(vec!["one".to_owned(), "two".to_owned()]));
        poller.join().expect("the poller doesn't panic").expect("somebody listens");
        running.join(JOIN).expect("there are no stages");
    });
}
