//! Live: the clock moves time. All clocks here are moved by hand; nobody sleeps.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

#[path = "common/cases.rs"]
mod cases;
#[allow(dead_code, reason = "not every test file needs all of it")]
mod support;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::time::Duration;

use cases::cases;
use proptest::prelude::*;
use support::paths::{Promise, promises};
use support::{Case, known};
use varpin::clock::ManualClock;
use varpin::engine::{Builder, Engine, Event, InputError, Program};
use varpin::flow::MergeOrder;
use watchdog::watched;

const SECOND_NS: u64 = 1_000_000_000;

/// A program that runs live, and everything that it has printed since it was last asked.
struct Live {
    engine: Engine,
    clock: ManualClock,
}

impl Live {
    fn new(text: &str) -> Self {
        Self::with(text, |builder| builder)
    }

    fn with(text: &str, options: impl FnOnce(Builder) -> Builder) -> Self {
        let program = Program::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        let clock = ManualClock::new(0);
        let engine = options(Engine::builder(&program).live(clock.clone())).build().unwrap();
        Self { engine, clock }
    }

    /// Lets time pass, and gives the `data` of what comes of it.
    fn wait(&mut self, seconds: f64) -> Vec<String> {
        self.clock.advance((seconds * SECOND_NS as f64) as u64);
        self.settle()
    }

    fn settle(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let moved = self.engine.step();
            if moved + self.engine.poll(|result| lines.push(data(&result.to_json()))) == 0 {
                return lines;
            }
        }
    }

    /// An event without a time, with fields `v` and `id`.
    fn event(&mut self, name: &str, v: i64) -> Vec<String> {
        let ty = self.engine.event_type(name).unwrap();
        let mut event = ty.event_now();
        if let Ok(field) = ty.field("v") {
            event.set(&field, v).unwrap();
        }
        self.feed(event)
    }

    fn event_at(&mut self, name: &str, seconds: i64) -> Vec<String> {
        let event = self.engine.event_type(name).unwrap().event(seconds * SECOND_NS as i64);
        self.feed(event)
    }

    fn feed(&mut self, event: Event) -> Vec<String> {
        let mut lines = Vec::new();
        self.engine.feed(event, |result| lines.push(data(&result.to_json()))).unwrap();
        lines.extend(self.settle());
        lines
    }
}

fn data(line: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    line["data"].to_string()
}

fn none() -> [String; 0] {
    []
}

/// `stream S = SOURCE OPERATORS` on the caller's thread, and stepped through contexts in each order: beside another
/// one, behind one that alone tells it the time, and where two rings tell it.
fn everywhere(source: &str, operators: &str, check: impl Fn(Live)) {
    check(Live::new(&format!("stream S = {source} {operators}")));
    let (name, alias) = source.split_at(1);
    let contexts = "context one context two ";
    for text in [
        format!("stream S = {source} {operators}.context(two) stream Beside = Other.context(one)"),
        format!("stream Via = {name}.context(one) stream S = Via{alias} {operators}.context(two)"),
        format!(
            "stream Via = {name}.context(one) stream Both = merge(Via, Other).context(two) \
             stream S = Both{alias} {operators}.context(two)"
        ),
    ] {
        for order in MergeOrder::ALL {
            check(Live::with(&format!("{contexts}{text}"), |builder| builder.stepped().order(order)));
        }
    }
}

#[test]
fn a_session_closes_when_the_clock_has_passed_it() {
    everywhere("E", ".window(session: 5s).aggregate(n: count())", |mut live| {
        live.wait(1.0);
        assert_eq!(live.event("E", 0), none());
        assert_eq!(live.wait(3.0), none());
        assert_eq!(live.event("E", 0), none());
        assert_eq!(live.wait(4.9), none());
        assert_eq!(live.wait(0.2), ["{\"n\":2}"]);
        assert_eq!(live.wait(100.0), none());
        assert_eq!(live.event("E", 0), none());
        assert_eq!(live.wait(6.0), ["{\"n\":1}"]);
    });
}

#[test]
fn a_window_of_time_closes_at_its_end_and_waits_as_long_as_it_is_told() {
    everywhere("E", ".window(10s).aggregate(n: count())", |mut live| {
        live.wait(2.0);
        live.event("E", 0);
        assert_eq!(live.wait(7.9), none());
        assert_eq!(live.wait(0.2), ["{\"n\":1}"]);
    });
    everywhere("E", ".watermark(out_of_order: 2s).window(10s).aggregate(n: count())", |mut live| {
        live.event("E", 0);
        assert_eq!(live.wait(11.0), none());
        assert_eq!(live.event_at("E", 9), none(), "in time, as the clock is 1 s beyond it");
        assert_eq!(live.wait(1.1), ["{\"n\":2}"]);
        assert_eq!(live.event_at("E", 9), none(), "late");
        live.engine.finish(|_| panic!("a window of a late event")).unwrap();
    });
}

#[test]
fn a_sequence_ends_by_the_clock() {
    everywhere("A as a", ".not(B).within(3s).emit(v: a.v)", |mut live| {
        live.event("A", 1);
        live.wait(1.0);
        live.event("A", 2);
        assert_eq!(live.wait(2.1), ["{\"v\":1}"]);
        assert_eq!(live.event("B", 0), none());
        assert_eq!(live.wait(10.0), none());
    });
}

#[test]
fn an_outer_join_gives_up_by_the_clock() {
    let text = "stream S = left_join(A, B).on(A.v == B.v).window(2s).emit(v: A.v)";
    let mut live = Live::new(text);
    live.event("A", 7);
    assert_eq!(live.wait(1.9), none());
    assert_eq!(live.wait(0.2), ["{\"v\":7}"]);
}

#[test]
fn timers_tick_by_the_clock_and_not_by_the_events() {
    for threads in [false, true] {
        let mut live =
            Live::with("stream S = timer(2s).emit(at: timestamp) stream T = E.emit(v: v)", |builder| {
                if threads { builder.stepped() } else { builder }
            });
        assert_eq!(live.wait(1.0), none());
        assert_eq!(live.event_at("E", 1_000).len(), 1, "an event far ahead moves no timer");
        assert_eq!(live.wait(1.0), ["{\"at\":\"1970-01-01T00:00:02.000Z\"}"]);
        assert_eq!(live.wait(4.5).len(), 2);
    }
}

#[test]
fn now_is_the_clock() {
    let mut live = Live::new("let start = now() stream S = E.emit(at: now(), since: now() - start)");
    live.wait(3.0);
    assert_eq!(
        live.event("E", 0),
        ["{\"at\":\"1970-01-01T00:00:03.000Z\",\"since\":3000000000}"],
        "also where the event brings another time"
    );
    live.clock.advance(2_000_000);
    assert!(live.event_at("E", 1)[0].starts_with("{\"at\":\"1970-01-01T00:00:03.002Z\""));
}

#[test]
fn in_replay_an_event_without_a_time_is_at_the_beginning_and_no_clock_moves_anything() {
    let program = Program::parse("stream S = E.window(session: 1s).aggregate(at: max(timestamp))").unwrap();
    let mut engine = Engine::builder(&program).build().unwrap();
    let event = engine.event_type("E").unwrap().event_now();
    engine.feed(event, |_| panic!("nothing closes")).unwrap();
    std::thread::yield_now();
    assert_eq!(engine.poll(|_| panic!("nothing closes")), 0);
    let mut lines = Vec::new();
    engine.finish(|result| lines.push(data(&result.to_json()))).unwrap();
    assert_eq!(lines, ["{\"at\":\"1970-01-01T00:00:00.000Z\"}"]);
}

#[test]
fn an_event_without_a_time_is_never_late() {
    // Ticks and events by turns: whatever the clock was told before, the event's time is not behind it.
    let mut live = Live::new("stream S = E.window(1s).aggregate(n: count())");
    let mut counted = 0;
    for turn in 0..1_000_u64 {
        live.clock.advance(turn % 7 * 999_983);
        counted += live.event("E", 0).len();
        live.clock.advance(turn % 3 * 10_000_019);
        counted += live.settle().len();
    }
    let stats = live.engine.finish(|_| counted += 1).unwrap();
    assert_eq!(stats.streams[0].late, 0);
    assert!(counted > 5);
}

#[test]
fn threads_of_the_embedder_tell_the_time_by_flushing() {
    watched(|| {
        for inputs in [1, 2] {
            let text = "context c\nstream S = E.context(c).window(session: 5s).aggregate(n: count())";
            let program = Program::parse(text).unwrap();
            let clock = ManualClock::new(0);
            let builder = Engine::builder(&program).live(clock.clone()).inputs(inputs);
            let mut engine = builder.build().unwrap();
            let mut ends: Vec<_> = (0..inputs).map(|_| engine.take_input().unwrap()).collect();
            let mut output = engine.take_output().unwrap();
            ends[0].push(engine.event_type("E").unwrap().event_now()).unwrap();
            ends[0].flush();
            let line = loop {
                clock.advance(SECOND_NS);
                for end in &mut ends {
                    end.flush();
                }
                if let Some(result) = output.poll() {
                    break result.to_json();
                }
                std::thread::yield_now();
            };
            assert_eq!(data(&line), "{\"n\":1}");
            drop(ends);
            while !output.has_ended() {
                assert!(output.poll().is_none());
            }
            engine.join(Duration::from_secs(60)).unwrap();
        }
    });
}

/// When an event comes, and what the clock does before.
#[derive(Clone, Copy, Debug)]
struct Moment {
    wait_ms: u16,
    /// It brings a time.
    timed: bool,
    /// The clock is looked at before it comes.
    idle: bool,
}

fn moments() -> impl Strategy<Value = Vec<Moment>> {
    let waits = prop_oneof![3 => Just(0_u16), 2 => 0..5_u16, 2 => 200..1_500_u16];
    let moment = (waits, any::<bool>(), any::<bool>()).prop_map(|(wait_ms, timed, idle)| Moment {
        wait_ms,
        timed,
        idle,
    });
    prop::collection::vec(moment, 1..20)
}

/// Results by stream, in order; and how many events were late.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    lines: Vec<String>,
    late: u64,
}

/// Runs a case live: the same events at the same moments, whatever runs them.
fn run(case: &Case, moments: &[Moment], contexts: bool, options: impl FnOnce(Builder) -> Builder) -> Outcome {
    let text = case.program(contexts);
    let mut live = Live::with(&text, options);
    let mut lines = Vec::new();
    for (event, moment) in case.events().into_iter().zip(moments.iter().cycle()) {
        live.clock.advance(u64::from(moment.wait_ms) * 1_000_000);
        // Where there is no room the clock is not told, so whoever wants the same ticks makes room first.
        let mut moved = usize::from(moment.idle);
        while moved > 0 {
            moved = live.engine.step();
            moved += live.engine.poll(|result| lines.push(result.to_json()));
        }
        let Ok(ty) = live.engine.event_type(&event.name) else { continue };
        let fields = known(&ty, event.fields);
        let time_ns = if moment.timed { event.time_ns } else { ty.event_now().time_ns() };
        let mut event = ty.event_with(time_ns, fields).unwrap();
        loop {
            match live.engine.try_push(event) {
                Ok(()) => break,
                Err(InputError::Full(back)) => event = back,
                Err(error) => panic!("{error}"),
            }
            live.engine.step();
            live.engine.poll(|result| lines.push(result.to_json()));
        }
    }
    let stats = live.engine.finish(|result| lines.push(result.to_json())).unwrap();
    assert_eq!(stats.undelivered, []);
    Outcome { late: stats.streams.iter().map(|stream| stream.late).sum(), lines }
}

fn setups() -> impl Strategy<Value = (usize, usize)> {
    (prop::sample::select(vec![1, 2, 1024]), prop::sample::select(vec![1, 3, 256]))
}

fn config(default: u32) -> ProptestConfig {
    ProptestConfig { cases: cases(default), max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn told_the_same_times_contexts_give_the_same_output(
        case in support::case(60),
        moments in moments(),
        (capacity, batch) in setups(),
    ) {
        let stepped = |builder: Builder| {
            builder.stepped().order(MergeOrder::Deterministic).capacity(capacity).batch_limit(batch)
        };
        prop_assert_eq!(run(&case, &moments, true, stepped), run(&case, &moments, false, |builder| builder));
    }

    #[test]
    fn orders_that_do_not_wait_give_the_same_results_where_nothing_is_late(
        case in support::case(60),
        moments in moments(),
        (capacity, batch) in setups(),
        order in prop::sample::select(vec![MergeOrder::Arrival, MergeOrder::Timestamp]),
    ) {
        let alone = run(&case, &moments, false, |builder| builder);
        if alone.late > 0 {
            // About every other case: there the orders may differ by what is late.
            return Ok(());
        }
        let stepped =
            run(&case, &moments, true, |builder| builder.stepped().order(order).capacity(capacity).batch_limit(batch));
        let program = Program::parse(&case.program(true)).unwrap();
        let plan = program.plan();
        let spec = |rank: usize| &case.streams[plan.streams[rank].name[1..].parse::<usize>().unwrap()];
        for (stream, promise) in plan.streams.iter().zip(promises(plan, |rank| spec(rank).is_order_sensitive())) {
            let results = |outcome: &Outcome| -> Vec<String> {
                let head = format!("{{\"stream\":\"{}\",", stream.name);
                let mut lines: Vec<_> = outcome.lines.iter().filter(|line| line.starts_with(&head)).cloned().collect();
                lines.sort();
                lines
            };
            if promise != Promise::Nothing {
                prop_assert_eq!(results(&stepped), results(&alone), "stream {}", stream.name);
            }
        }
    }
}
