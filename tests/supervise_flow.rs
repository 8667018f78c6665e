//! Supervised workers, without the language: what they hold goes from thread to thread, and nothing of it is lost.
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

#[path = "common/watchdog.rs"]
mod watchdog;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use varpin::cores::{LowJitter, PinPolicy};
use varpin::flow::{
    Cycle, Envelope, FanIn, LaneOptions, Leftovers, MergeOrder, OutPort, Pulse, Report, Restarting, Stage,
    StateLost, Worker, keep_supervised_panics_quiet, start_supervised,
};
use varpin::idle::Idle;
use varpin::ring;
use varpin::supervise::{
    Activity, Board, Component, Event, EventKind, Events, Member, Restart, RestartPolicy, Strategy,
    Supervised, Supervisor,
};
use watchdog::watched;

type Item = Envelope<u64>;

/// Passes numbers on. Panics at those that `fails` names, as often as it says, and notes on which thread it ran.
struct Pass {
    name: String,
    inputs: FanIn<Item>,
    output: Option<OutPort<Item>>,
    /// Numbers, and how often each makes it fail.
    fails: Vec<(u64, u32)>,
    /// What it has seen since it was started last.
    seen: u64,
    got: Arc<Mutex<Vec<u64>>>,
    threads: Arc<Mutex<Vec<std::thread::ThreadId>>>,
}

impl Stage for Pass {
    fn name(&self) -> &str {
        &self.name
    }

    fn duty_cycle(&mut self) -> Cycle {
        let id = std::thread::current().id();
        let mut threads = self.threads.lock().unwrap();
        if threads.last() != Some(&id) {
            threads.push(id);
        }
        drop(threads);
        if self.output.as_ref().is_some_and(OutPort::is_blocked) {
            self.output.as_mut().unwrap().flush().unwrap();
            return Cycle::Idle;
        }
        let Self { inputs, output, fails, seen, got, name, .. } = self;
        let drained = inputs.drain(7, |_, item| {
            if let Some((_, left)) =
                fails.iter_mut().find(|(number, left)| Some(*number) == item.value && *left > 0)
            {
                *left -= 1;
                panic!("{name} cannot take {:?}", item.value);
            }
            *seen += 1;
            match output {
                Some(port) => port.send(item),
                None => got.lock().unwrap().extend(item.value),
            }
            true
        });
        let published = output.as_mut().map_or(0, |port| port.flush().unwrap());
        if drained.ended && !output.as_ref().is_some_and(OutPort::is_blocked) {
            return Cycle::Done;
        }
        Cycle::of(drained.taken + published)
    }

    fn restart(&mut self, restarting: &Restarting<'_>) -> Result<Vec<StateLost>, String> {
        if restarting.failed.is_some() {
            let head = self.inputs.interrupted().expect("something failed");
            if restarting.max_attempts == 0 {
                let item = self.inputs.take_head(head).expect("the item is still there");
                self.got.lock().unwrap().push(1_000_000 + item.value.unwrap());
            }
        }
        let lost = StateLost { owner: self.name.clone(), keys: self.seen, items: 0, examples: Vec::new() };
        self.seen = 0;
        Ok(vec![lost])
    }

    fn close(&mut self, leftovers: &mut Leftovers) {
        let name = self.name.clone();
        self.inputs.close(&name, leftovers);
        if let Some(port) = &mut self.output {
            leftovers.ring(port.close());
        }
    }
}

struct Line {
    workers: Vec<Worker>,
    feeds: Vec<(usize, usize)>,
    input: OutPort<Item>,
    got: Arc<Mutex<Vec<u64>>>,
    threads: Vec<Arc<Mutex<Vec<std::thread::ThreadId>>>>,
}

/// Stages a, b, c .. one behind the other, each on a worker of its own; `fails` says for each at what it fails.
fn line(idle: Idle, fails: &[&[(u64, u32)]]) -> Line {
    let got = Arc::new(Mutex::new(Vec::new()));
    let mut workers: Vec<Worker> = ["a", "b", "c", "d"][..fails.len()]
        .iter()
        .enumerate()
        .map(|(at, name)| Worker::new(*name, idle).in_group(at))
        .collect();
    let mut receivers = Vec::new();
    let mut ports = Vec::new();
    for at in 0..fails.len() {
        let (mut sender, mut receiver) = ring::bounded(4);
        sender.set_waker(workers[at].waker());
        receiver.set_waker(at.checked_sub(1).and_then(|before| workers[before].waker()));
        receivers.push(receiver);
        ports.push(OutPort::new(format!("-> {at}"), sender));
    }
    let mut ports = ports.into_iter();
    let input = ports.next().unwrap();
    let mut threads = Vec::new();
    for (at, (receiver, fails)) in receivers.into_iter().zip(fails).enumerate() {
        let mut inputs = FanIn::new(MergeOrder::Arrival);
        inputs.add_lane(receiver, LaneOptions::default());
        threads.push(Arc::default());
        workers[at].add(Pass {
            name: ["a", "b", "c", "d"][at].to_owned(),
            inputs,
            output: ports.next(),
            fails: fails.to_vec(),
            seen: 0,
            got: Arc::clone(&got),
            threads: Arc::clone(&threads[at]),
        });
    }
    let feeds = (1..fails.len()).map(|at| (at - 1, at)).collect();
    Line { workers, feeds, input, got, threads }
}

fn policy(max_restarts: u32) -> Supervised {
    let restart = RestartPolicy {
        restart: Restart::OnFailure,
        max_restarts,
        backoff_min: Duration::from_micros(50),
        backoff_max: Duration::from_millis(1),
        restart_window: Duration::from_secs(3600),
        ..RestartPolicy::default()
    };
    Supervised { restart, ..Supervised::default() }
}

struct Outcome {
    report: Result<Report, String>,
    got: Vec<u64>,
    events: Vec<Event>,
    board: Arc<Board>,
    threads: Vec<usize>,
}

impl Outcome {
    /// The names of the events of one component, in order.
    fn of(&self, name: &str) -> Vec<&'static str> {
        let of = |event: &&Event| event.component == Component::Context(name.to_owned());
        self.events.iter().filter(of).map(|event| event.kind.name()).collect()
    }
}

/// Runs the line over the numbers below `count`.
fn run(line: Line, supervised: &[Supervised], strategy: Strategy, count: u64) -> Outcome {
    keep_supervised_panics_quiet();
    let Line { workers, feeds, mut input, got, threads } = line;
    let events = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&events);
    let members = workers.iter().zip(supervised).map(|(worker, supervised)| Member {
        name: worker.name().to_owned(),
        places: Vec::new(),
        stall: supervised.stall,
        breaker: None,
    });
    let board = Arc::new(Board::new(members.collect()));
    let supervisor = Supervisor {
        groups: supervised.to_vec(),
        strategy,
        feeds,
        seed: 1,
        events: Events::to(Box::new(move |event| heard.lock().unwrap().push(event.clone()))),
        board: Arc::clone(&board),
        rollback: None,
    };
    let running =
        start_supervised(workers, PinPolicy::Off, &LowJitter::default(), |ward| supervisor.begin(ward))
            .unwrap();
    board.watch(running.watch());
    for seq in 1..=count {
        input.send(&Envelope { seq, time_ns: 0, rank: 0, place: 0, value: Some(seq) });
        input.flush().unwrap();
        while input.is_blocked() && !input.is_closed() {
            input.flush().unwrap();
            std::thread::yield_now();
        }
    }
    drop(input);
    let report = running.join(Duration::from_secs(60)).map_err(|error| error.to_string());
    let got = got.lock().unwrap().clone();
    let events = events.lock().unwrap().clone();
    let threads = threads.iter().map(|threads| threads.lock().unwrap().len()).collect();
    Outcome { report, got, events, board, threads }
}

#[test]
fn what_is_queued_survives_every_restart_in_order() {
    watched(|| {
        for idle in [Idle::Park, Idle::Backoff, Idle::Yield] {
            let fails: Vec<(u64, u32)> = (1..200).map(|number| (number * 10, 2)).collect();
            let outcome =
                run(line(idle, &[&[], &fails, &[]]), &vec![policy(1000); 3], Strategy::OneForOne, 2000);
            outcome.report.as_ref().unwrap();
            assert_eq!(outcome.got, (1..=2000).collect::<Vec<_>>());
            assert_eq!(outcome.board.restarts(1), 2 * fails.len() as u64);
            // Each restart is another thread; nobody else has moved.
            assert_eq!(outcome.threads, [1, 2 * fails.len() + 1, 1]);
            assert_eq!((outcome.board.restarts(0), outcome.board.restarts(2)), (0, 0));
        }
    });
}

#[test]
fn an_item_that_fails_goes_after_its_attempts_and_the_others_stay_in_order() {
    watched(|| {
        let mut once = policy(1000);
        once.restart.max_attempts = 0;
        let outcome = run(line(Idle::Park, &[&[(5, 9), (6, 9)]]), &[once], Strategy::OneForOne, 10);
        outcome.report.as_ref().unwrap();
        assert_eq!(outcome.got, [1, 2, 3, 4, 1_000_005, 1_000_006, 7, 8, 9, 10]);
        let lost: Vec<u64> = outcome.board.lost(0).iter().map(|lost| lost.keys).collect();
        assert_eq!(lost, [4], "all that it had seen between restarts");
    });
}

#[test]
fn rest_for_one_restarts_those_behind_and_one_for_all_everybody() {
    watched(|| {
        let restarted = ["started", "restarting", "restarted", "ended"];
        let failed = ["started", "failed", "restarting", "restarted", "ended"];
        let left_alone = ["started", "ended"];
        let cases = [
            (Strategy::OneForOne, [&left_alone[..], &failed, &left_alone]),
            (Strategy::RestForOne, [&left_alone[..], &failed, &restarted]),
            (Strategy::OneForAll, [&restarted[..], &failed, &restarted]),
        ];
        for (strategy, expected) in cases {
            for idle in [Idle::Park, Idle::Yield] {
                // Late enough that nobody has ended, early enough that all have something to do afterwards.
                let outcome = run(line(idle, &[&[], &[(500, 1)], &[]]), &vec![policy(5); 3], strategy, 1000);
                outcome.report.as_ref().unwrap();
                assert_eq!(outcome.got, (1..=1000).collect::<Vec<_>>(), "{strategy}");
                for (name, expected) in ["a", "b", "c"].iter().zip(&expected) {
                    assert_eq!(outcome.of(name), *expected, "{strategy}: {name}");
                }
                let because = |event: &Event| match &event.kind {
                    EventKind::Restarting { because, .. } => because.clone(),
                    _ => None,
                };
                assert!(outcome.events.iter().filter_map(because).all(|name| name == "b"));
            }
        }
    });
}

#[test]
fn too_many_failures_end_the_run_and_say_so_once() {
    watched(|| {
        let outcome = run(
            line(Idle::Park, &[&[], &[(100, u32::MAX)], &[]]),
            &vec![policy(3); 3],
            Strategy::OneForOne,
            1000,
        );
        let error = outcome.report.as_ref().unwrap_err();
        assert!(error.contains("stage b failed: b cannot take Some(100)"), "{error}");
        assert_eq!(outcome.got, (1..100).collect::<Vec<_>>(), "what was before it is delivered");
        let (escalation, _) = outcome.board.escalation().unwrap();
        assert_eq!(escalation.context, "b");
        let message = "context b failed again after 3 restarts within 3600s, which are all that are allowed; the last \
                       failure: b cannot take Some(100) (at ";
        assert!(escalation.to_string().starts_with(message), "{escalation}");
        assert_eq!(outcome.of("b").iter().filter(|name| **name == "failed").count(), 4);
        assert_eq!(outcome.of("b").iter().filter(|name| **name == "escalated").count(), 1);
        assert!(!outcome.board.health().is_live);
    });
}

#[test]
fn never_ends_the_run_at_the_first_failure() {
    watched(|| {
        let outcome = run(
            line(Idle::Park, &[&[], &[(100, 1)]]),
            &[Supervised::default(), Supervised::default()],
            Strategy::OneForOne,
            1000,
        );
        outcome.report.as_ref().unwrap_err();
        assert_eq!(outcome.of("b"), ["started", "failed", "escalated"]);
    });
}

/// What a worker stores for those who watch it shares no cache line with anything that a hop touches.
#[test]
fn a_heartbeat_has_a_cache_line_of_its_own() {
    const LINE_BYTES: usize = 64;
    assert!(align_of::<Pulse>() >= LINE_BYTES && size_of::<Pulse>() >= LINE_BYTES);
}

/// Fails, and cannot be helped.
struct Glass;

impl Stage for Glass {
    fn name(&self) -> &'static str {
        "glass"
    }

    fn duty_cycle(&mut self) -> Cycle {
        Cycle::Failed("broken".to_owned())
    }

    fn restart(&mut self, _restarting: &Restarting<'_>) -> Result<Vec<StateLost>, String> {
        panic!("beyond repair")
    }
}

#[test]
fn a_stage_that_cannot_be_restarted_escalates_with_its_reason() {
    // It notes where panics come from.
    keep_supervised_panics_quiet();
    watched(|| {
        let (report, board) = run_one(Glass, policy(10));
        report.unwrap_err();
        let (escalation, _) = board.escalation().unwrap();
        let message = escalation.to_string();
        assert!(message.starts_with("context one cannot be restarted: beyond repair (at "), "{message}");
        assert!(message.ends_with("; the last failure: broken"), "{message}");
    });
}

/// Runs one stage on a worker called `one`.
fn run_one(stage: impl Stage + 'static, supervised: Supervised) -> (Result<Report, String>, Arc<Board>) {
    let mut worker = Worker::new("one", Idle::Park).in_group(0);
    worker.add(stage);
    let stall = supervised.stall;
    let member = Member { name: "one".to_owned(), places: Vec::new(), stall, breaker: None };
    let board = Arc::new(Board::new(vec![member]));
    let supervisor = Supervisor {
        groups: vec![supervised],
        strategy: Strategy::OneForOne,
        feeds: Vec::new(),
        seed: 1,
        events: Events::none(),
        board: Arc::clone(&board),
        rollback: None,
    };
    let running =
        start_supervised(vec![worker], PinPolicy::Off, &LowJitter::default(), |ward| supervisor.begin(ward))
            .unwrap();
    board.watch(running.watch());
    (running.join(Duration::from_secs(60)).map_err(|error| error.to_string()), board)
}

/// Ends of its own accord after each item.
struct Restless {
    left: u32,
}

impl Stage for Restless {
    fn name(&self) -> &'static str {
        "restless"
    }

    fn duty_cycle(&mut self) -> Cycle {
        self.left -= 1;
        Cycle::Done
    }

    fn could_go_on(&self) -> bool {
        self.left > 0
    }

    fn restart(&mut self, _restarting: &Restarting<'_>) -> Result<Vec<StateLost>, String> {
        Ok(Vec::new())
    }
}

#[test]
fn always_restarts_what_ended_of_its_own_accord_and_on_failure_does_not() {
    watched(|| {
        for (restart, restarts) in [(Restart::Always, 3), (Restart::OnFailure, 0)] {
            let mut supervised = policy(10);
            supervised.restart.restart = restart;
            let (report, board) = run_one(Restless { left: 4 }, supervised);
            report.unwrap();
            assert_eq!(board.restarts(0), restarts, "{restart}");
        }
    });
}

#[test]
fn a_run_that_is_given_up_while_a_restart_is_awaited_ends_at_once() {
    watched(|| {
        keep_supervised_panics_quiet();
        let mut slow = policy(10);
        slow.restart.backoff_min = Duration::from_secs(3600);
        slow.restart.backoff_max = Duration::from_secs(3600);
        let Line { workers, feeds, mut input, .. } = line(Idle::Park, &[&[(1, 1)]]);
        let board = Arc::new(Board::new(vec![Member {
            name: "a".to_owned(),
            places: Vec::new(),
            stall: slow.stall,
            breaker: None,
        }]));
        let supervisor = Supervisor {
            groups: vec![slow],
            strategy: Strategy::OneForOne,
            feeds,
            seed: 1,
            events: Events::none(),
            board: Arc::clone(&board),
            rollback: None,
        };
        let running =
            start_supervised(workers, PinPolicy::Off, &LowJitter::default(), |ward| supervisor.begin(ward))
                .unwrap();
        for seq in 1..=3 {
            input.send(&Envelope { seq, time_ns: 0, rank: 0, place: 0, value: Some(seq) });
        }
        input.flush().unwrap();
        board.watch(running.watch());
        while board.health().components[0].activity != Activity::Restarting {
            std::thread::yield_now();
        }
        let outside = varpin::flow::OutsideEnds::new();
        outside.ring(input.close());
        drop(input);
        let error = running.with_outside_ends(outside).join(Duration::ZERO).unwrap_err().report;
        assert_eq!(error.undelivered_items(), 3, "they are still there, and counted: {error:?}");
    });
}
