//! A run always ends, and says how: after a panic, a stuck stage, an output that nobody polls or that is gone.

#[path = "common/outputs.rs"]
mod outputs;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use outputs::all_of;
use varpin::cores::PinPolicy;
use varpin::flow::{Cycle, GRACE, Graph, Input, Leftovers, Out, Stage, StageEnd, Worker, start};
use varpin::idle::Idle;
use varpin::ring::{PushError, WriteError};
use watchdog::watched;

const JOIN: Duration = Duration::from_secs(30);

fn graph(idle: Idle) -> Graph {
    Graph::new().idle(idle).pin_policy(PinPolicy::Off).capacity(4)
}

/// Pushes until the graph takes nothing any more; returns how many it took.
fn push_until_closed(input: &mut Input<u64>) -> u64 {
    for n in 0.. {
        if let Err(error) = input.push(n) {
            assert!(matches!(error, PushError::Closed(item) if item == n));
            return n;
        }
    }
    unreachable!("numbers don't end")
}

#[test]
fn a_panicking_stage_ends_the_run_with_its_name() {
    for idle in [Idle::Yield, Idle::Backoff, Idle::Park] {
        watched(move || {
            let mut graph = graph(idle);
            let (mut input, numbers) = graph.input::<u64>("numbers");
            let (_never_closed, others) = graph.input::<u64>("others");
            let copied = graph.stage("copy", &numbers, |n: &u64, out| out.send(*n));
            let fragile = graph.stage("fragile", &copied, |n: &u64, out| {
                assert!(*n != 100, "100 is too much");
                out.send(*n);
            });
            graph.sink("bystander", &others, |_: &u64| {});
            let mut output = graph.output("results", &fragile);
            let running = graph.start().expect("the graph is sound");
            let feeder = thread::spawn(move || push_until_closed(&mut input));
            let results = all_of(&mut output);
            let pushed = feeder.join().expect("the feeder doesn't panic");
            let error = running.join(JOIN).expect_err("a stage has failed");
            assert_eq!(error.failures.len(), 1);
            assert_eq!(error.to_string().split(';').next(), Some("stage fragile failed: 100 is too much"));
            assert_eq!((error.stuck.len(), error.given_up.len()), (0, 0), "{error}");
            assert_eq!(results, (0..100).collect::<Vec<_>>());
            // What entered is accounted for: the results, the item that failed, and the rest.
            assert!(pushed >= 101);
            assert_eq!(error.report.undelivered_items(), pushed - 100, "{error}");
        });
    }
}

#[test]
fn a_stuck_stage_is_named_within_the_deadline() {
    watched(|| {
        let free = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&free);
        let mut graph = graph(Idle::Backoff);
        let (mut input, numbers) = graph.input::<u64>("numbers");
        let stuck = graph.stage("stuck", &numbers, move |n: &u64, out| {
            while !until.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            out.send(*n);
        });
        let after = graph.stage("after", &stuck, |n: &u64, out| out.send(*n));
        graph.fuse("both", ["stuck", "after"]);
        let other = graph.stage("other", &after, |n: &u64, out| out.send(*n));
        let _output = graph.output("results", &other);
        let running = graph.start().expect("the graph is sound");
        input.push(1).expect("nobody has left");
        input.close();
        let begin = Instant::now();
        let deadline = Duration::from_millis(300);
        let error = running.join(deadline).expect_err("it is stuck");
        let took = begin.elapsed();
        assert!(took >= deadline && took < deadline + GRACE + Duration::from_secs(5), "{took:?}");
        assert_eq!(error.stuck, ["stuck"]);
        assert_eq!(error.given_up, ["after", "other"]);
        let message = error.to_string();
        assert!(message.contains("stuck after the deadline, thread left running: stuck"), "{message}");
        free.store(true, Ordering::Relaxed);
    });
}

#[test]
fn an_output_that_nobody_polls_is_given_up_at_the_deadline_and_counted() {
    for idle in [Idle::Backoff, Idle::Park] {
        watched(move || {
            let mut graph = graph(idle);
            let (mut input, numbers) = graph.input::<u64>("numbers");
            let copied = graph.stage("copy", &numbers, |n: &u64, out| out.send(*n));
            let mut output = graph.output("results", &copied);
            let running = graph.start().expect("the graph is sound");
            let mut pushed = 0;
            let full_since = Instant::now();
            while full_since.elapsed() < Duration::from_millis(200) {
                pushed += u64::from(input.try_push(pushed).is_ok());
            }
            input.close();
            let error = running.join(Duration::from_millis(100)).expect_err("the output is full");
            assert_eq!(error.given_up, ["copy"]);
            assert!(error.stuck.is_empty());
            // What is in the last ring is still there to be taken, and only the rest is lost.
            let polled = std::iter::from_fn(|| output.pop().ok()).count() as u64;
            assert_eq!(polled, 4);
            assert_eq!(error.report.undelivered_items(), pushed - polled, "{error}");
        });
    }
}

#[test]
fn a_closed_output_ends_the_run_quietly_and_counts_what_was_undelivered() {
    for idle in [Idle::Yield, Idle::Backoff, Idle::Park] {
        watched(move || {
            let mut graph = graph(idle);
            let (mut input, numbers) = graph.input::<u64>("numbers");
            let first = graph.stage("first", &numbers, |n: &u64, out| out.send(*n));
            let second = graph.stage("second", &first, |n: &u64, out| out.send(*n));
            let mut output = graph.output("results", &second);
            let running = graph.start().expect("the graph is sound");
            let feeder = thread::spawn(move || push_until_closed(&mut input));
            let mut taken = 0;
            while taken < 10 {
                taken += u64::from(output.pop().is_ok());
            }
            drop(output);
            let pushed = feeder.join().expect("the feeder doesn't panic");
            let report = running.join(JOIN).expect("nothing failed");
            assert_eq!(report.undelivered_items(), pushed - taken, "{report:?}");
            let ends = report.workers.iter().flat_map(|worker| &worker.stages).map(|stage| &stage.end);
            assert!(ends.into_iter().all(|end| *end == StageEnd::Done));
        });
    }
}

#[test]
fn one_closed_output_of_two_leaves_the_other_alone() {
    watched(|| {
        let mut graph = graph(Idle::Park);
        let (mut input, numbers) = graph.input::<u64>("numbers");
        let copied = graph.stage("copy", &numbers, |n: &u64, out| out.send(*n));
        let gone = graph.output("gone", &copied);
        let mut stays = graph.output("stays", &copied);
        drop(gone);
        let running = graph.start().expect("the graph is sound");
        let feeder = thread::spawn(move || (0..1000).for_each(|n| input.push(n).expect("one is left")));
        let results = all_of(&mut stays);
        feeder.join().expect("the feeder doesn't panic");
        let report = running.join(JOIN).expect("nothing failed");
        assert_eq!(results, (0..1000).collect::<Vec<_>>());
        assert_eq!(report.undelivered.len(), 1, "{report:?}");
        assert_eq!((report.undelivered[0].ring.as_str(), report.undelivered_items()), ("copy -> gone", 1000));
    });
}

#[test]
fn a_stopped_run_still_handles_what_had_entered() {
    for idle in [Idle::Yield, Idle::Backoff, Idle::Park] {
        watched(move || {
            let mut graph = graph(idle);
            let (mut input, numbers) = graph.input::<u64>("numbers");
            let mut slow = 0_u64;
            let copied = graph.stage("copy", &numbers, move |n: &u64, out: &mut Out<'_, u64>| {
                slow += 1;
                thread::sleep(Duration::from_millis(u64::from(slow < 4)));
                out.send(*n);
            });
            let mut output = graph.output("results", &copied);
            let running = graph.start().expect("the graph is sound");
            (0..4).for_each(|n| input.push(n).expect("nobody has left"));
            input.flush().expect("nobody has left");
            running.stop();
            let results = all_of(&mut output);
            assert_eq!(results, [0, 1, 2, 3]);
            let report = running.join(JOIN).expect("nothing failed");
            assert_eq!(report.undelivered, []);
            assert_eq!(input.flush(), Err(WriteError::Closed));
        });
    }
}

/// A stage that misbehaves when told to.
struct Bad {
    on_close: bool,
}

impl Stage for Bad {
    fn name(&self) -> &'static str {
        "bad"
    }

    fn duty_cycle(&mut self) -> Cycle {
        if self.on_close { Cycle::Done } else { Cycle::Failed("no disk".to_owned()) }
    }

    fn close(&mut self, leftovers: &mut Leftovers) {
        leftovers.held("desk", 3);
        assert!(!self.on_close, "while tidying up");
    }
}

#[test]
fn failures_are_reported_whether_returned_or_raised_while_closing() {
    for (on_close, expected) in
        [(false, "stage bad failed: no disk"), (true, "stage bad failed: while closing: while tidying up")]
    {
        watched(move || {
            let mut worker = Worker::new("bad", Idle::Backoff);
            worker.add(Bad { on_close });
            let running = start(vec![worker], PinPolicy::Off).expect("a thread can be started");
            let error = running.join(JOIN).expect_err("it fails");
            assert_eq!(error.failures[0].to_string(), expected);
            assert_eq!(error.report.undelivered_items(), 3);
        });
    }
}

#[test]
fn no_workers_is_a_run_that_is_over() {
    let running = start(Vec::new(), PinPolicy::Strict).expect("nothing can fail");
    assert!(running.is_finished());
    assert_eq!(running.join(JOIN).map(|report| report.workers.len()), Ok(0));
}
