//! Contexts must not change the answer: whatever the program, its input, its placement into contexts, the
//! capacity of the rings and the way in which threads wait, `deterministic` output is that of the same program
//! without contexts, byte for byte.
//!
//! `VARPIN_CASES=20000 cargo test --release --test transparency` looks longer.
#![cfg(feature = "vpl")]

#[path = "common/cases.rs"]
mod cases;
#[allow(dead_code, reason = "not every test file needs all of it")]
mod support;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::time::Duration;

use cases::cases;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use support::Case;
use support::paths::{Promise, promises};
use varpin::engine::{Engine, Event, InputError, Program, ResizeError, Stats};
use varpin::event::{Row, Value};
use varpin::flow::MergeOrder;
use varpin::format::{EventSource, Format, InputTypes, SourceOptions};
use varpin::idle::Idle;
use watchdog::watched;

/// Rounds in which nothing moves before a run counts as stuck: progress may take one to be told and one to be
/// heard, per stage.
const IDLE_ROUNDS: usize = 4;

/// How an engine is set up.
#[derive(Clone, Copy, Debug)]
struct Setup {
    capacity: usize,
    batch_limit: usize,
    publish_every: usize,
    idle: Idle,
    /// Before every so many events a pool gets another number of workers; never, where this is 0.
    resize_every: usize,
    /// Threads, where there are any, are no more than CPUs.
    is_fused: bool,
}

impl Setup {
    /// Resizes a pool, if that is due before event `number`. What is refused (a pool of which all workers have all state,
    /// a resize that has to wait for earlier ones) is left alone.
    fn resize(self, engine: &mut Engine, number: usize) {
        if self.resize_every == 0 || !number.is_multiple_of(self.resize_every) {
            return;
        }
        let turn = number / self.resize_every;
        let pools: Vec<(String, String)> = engine
            .pools()
            .iter()
            .map(|(context, stream, _)| ((*context).to_owned(), (*stream).to_owned()))
            .collect();
        if pools.is_empty() {
            return;
        }
        let (context, stream) = &pools[turn % pools.len()];
        match engine.resize(context, stream, 1 + turn * 7 % 4) {
            Ok(_) | Err(ResizeError::Broadcast(_) | ResizeError::Busy(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn setups() -> impl Strategy<Value = Setup> {
    let select = |values: [usize; 3]| prop::sample::select(values.to_vec());
    let idles = vec![Idle::Auto, Idle::Yield, Idle::Backoff, Idle::Park, Idle::Spin];
    let resizes = prop::sample::select(vec![0, 0, 1, 5, 17]);
    let sizes = (select([1, 2, 1024]), select([1, 3, 256]), select([1, 7, 64]));
    (sizes, prop::sample::select(idles), resizes, any::<bool>()).prop_map(
        |((capacity, batch_limit, publish_every), idle, resize_every, is_fused)| Setup {
            capacity,
            batch_limit,
            publish_every,
            idle,
            resize_every,
            is_fused,
        },
    )
}

/// What came of a run, as far as it must not depend on threads.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    lines: Vec<String>,
    dead_letters: u64,
    /// Stream, events, rows, late events, keys.
    counts: Vec<(String, u64, u64, u64, u64)>,
}

impl Outcome {
    /// How many keys whose state is idle are still remembered depends on how many share a table; workers have one
    /// each.
    fn but_keys_of_pools(mut self, case: &Case) -> Self {
        for (stream, .., keys) in &mut self.counts {
            let number: usize = stream[1..].parse().expect("streams are called S0, S1, ..");
            if case.streams[number].pool.is_some() {
                *keys = 0;
            }
        }
        self
    }

    /// The results of a stream.
    fn of(&self, stream: &str) -> Vec<String> {
        let head = format!("{{\"stream\":\"{stream}\",");
        self.lines.iter().filter(|line| line.starts_with(&head)).cloned().collect()
    }

    fn is_same_but_for_order(&self, other: &Self) -> bool {
        let sorted = |outcome: &Self| {
            let mut lines = outcome.lines.clone();
            lines.sort();
            lines
        };
        self.counts == other.counts && sorted(self) == sorted(other)
    }
}

/// The outcome of a run that has ended.
fn outcome(stats: &Stats, lines: Vec<String>) -> Outcome {
    assert_eq!(stats.undelivered, []);
    assert_eq!(stats.results, lines.len() as u64);
    let counts = stats
        .streams
        .iter()
        .map(|counts| (counts.stream.clone(), counts.events, counts.rows, counts.late, counts.keys));
    Outcome { counts: counts.collect(), dead_letters: stats.dead_letters, lines }
}

/// Without contexts, from text: the reader of event files fills the rows.
fn inline(case: &Case) -> Outcome {
    on_one_thread(&case.loaded(false), &case.event_lines()).but_keys_of_pools(case)
}

fn on_one_thread(program: &Program, events: &str) -> Outcome {
    let mut engine = Engine::builder(program).build().expect("the engine can be built");
    let types = InputTypes::new(program.input_types());
    let mut source = EventSource::new(events.as_bytes(), Format::Evt, types, SourceOptions::default())
        .expect("the format needs no event type");
    let mut row = Row::new(0, 0, 0);
    let mut lines = Vec::new();
    while source.fill().expect("memory can be read") > 0 {
        while source.next(&mut row).expect("the events are well-formed").is_some() {
            engine
                .feed_row(&mut row, |result| lines.push(result.to_json()))
                .expect("the engine takes events");
        }
    }
    let stats = engine.finish(|result| lines.push(result.to_json())).expect("the run ends as it should");
    outcome(stats, lines)
}

fn stepped(case: &Case, order: MergeOrder, setup: Setup) -> Outcome {
    step(&case.loaded(true), order, setup, |engine| case.typed_events(engine)).but_keys_of_pools(case)
}

fn step(
    program: &Program,
    order: MergeOrder,
    setup: Setup,
    events: impl FnOnce(&Engine) -> Vec<Event>,
) -> Outcome {
    let Setup { capacity, batch_limit, publish_every, .. } = setup;
    let mut engine = Engine::builder(program)
        .stepped()
        .order(order)
        .capacity(capacity)
        .batch_limit(batch_limit)
        .publish_every(publish_every)
        .build()
        .expect("the engine can be built");
    let mut lines = Vec::new();
    let mut move_on = |engine: &mut Engine| {
        let done = engine.step();
        done + engine.poll(|result| lines.push(result.to_json()))
    };
    for (number, event) in events(&engine).into_iter().enumerate() {
        setup.resize(&mut engine, number);
        let mut event = event;
        let mut idle = 0;
        loop {
            match engine.try_push(event) {
                Ok(()) => break,
                Err(InputError::Full(back)) => event = back,
                Err(error) => panic!("{error}"),
            }
            idle = if move_on(&mut engine) == 0 { idle + 1 } else { 0 };
            assert!(idle < IDLE_ROUNDS, "stuck: no room for an event, and nothing moves");
        }
    }
    engine.close();
    let mut idle = 0;
    while idle < IDLE_ROUNDS {
        idle = if move_on(&mut engine) == 0 { idle + 1 } else { 0 };
    }
    // Everything that can move has moved: were a stage stuck, this would find out.
    let stats = engine.finish_within(Duration::ZERO, |_| panic!("a result after nothing moved"));
    outcome(stats.expect("the run ends as it should"), lines)
}

fn threaded(case: &Case, order: MergeOrder, setup: Setup) -> Outcome {
    // A worker that leaves still needs the CPU to end: hundreds of them would keep two CPUs from everybody else.
    let resize_every = if setup.resize_every == 0 { 0 } else { setup.resize_every.max(20) };
    let setup = Setup { resize_every, ..setup };
    let Setup { capacity, batch_limit, publish_every, idle, is_fused, .. } = setup;
    let case = case.clone();
    watched(move || {
        let program = case.loaded(true);
        let builder = Engine::builder(&program);
        let mut engine = if is_fused { builder.fused() } else { builder }
            .order(order)
            .capacity(capacity)
            .batch_limit(batch_limit)
            .publish_every(publish_every)
            .idle(idle)
            .build()
            .expect("the engine can be built");
        let mut lines = Vec::new();
        for (number, event) in case.typed_events(&engine).into_iter().enumerate() {
            setup.resize(&mut engine, number);
            engine.feed(event, |result| lines.push(result.to_json())).expect("the engine takes events");
        }
        let stats = engine.finish(|result| lines.push(result.to_json()));
        outcome(stats.expect("the run ends as it should"), lines).but_keys_of_pools(&case)
    })
}

/// Whether `left` has the results that an order that does not wait promises, given those without contexts.
fn keeps_its_promises(case: &Case, left: &Outcome, right: &Outcome) -> Result<(), TestCaseError> {
    let program = case.loaded(true);
    let plan = program.plan();
    let spec = |rank: usize| {
        let number: usize = plan.streams[rank].name[1..].parse().expect("streams are called S0, S1, ..");
        &case.streams[number]
    };
    let promises = promises(plan, |rank| spec(rank).is_order_sensitive());
    // A row that comes too late for a window in one order can be in time in another one, where less has been
    // seen when it comes. Where the results are the same though no window closes before the end, there is no
    // such row.
    let time_makes_no_difference = inline(&case.patient()).is_same_but_for_order(right);
    for (stream, promise) in plan.streams.iter().zip(promises) {
        let (mut left, mut right) = (left.of(&stream.name), right.of(&stream.name));
        match promise {
            Promise::Order { is_overtaken, .. } if time_makes_no_difference || !is_overtaken => {}
            Promise::Results if time_makes_no_difference => {
                left.sort();
                right.sort();
            }
            _ => continue,
        }
        prop_assert_eq!(left, right, "stream {}", stream.name);
    }
    Ok(())
}

fn config(default: u32) -> ProptestConfig {
    ProptestConfig { cases: cases(default), max_shrink_iters: 20_000, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn deterministic_output_stepped_by_hand_equals_that_without_contexts(case in support::case(60), setup in setups()) {
        prop_assert_eq!(stepped(&case, MergeOrder::Deterministic, setup), inline(&case));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 300, ..config(64) })]

    #[test]
    fn deterministic_output_of_threads_equals_that_without_contexts(case in support::case(400), setup in setups()) {
        prop_assert_eq!(threaded(&case, MergeOrder::Deterministic, setup), inline(&case));
    }
}

fn orders() -> impl Strategy<Value = MergeOrder> {
    prop::sample::select(vec![MergeOrder::Arrival, MergeOrder::Timestamp])
}

proptest! {
    #![proptest_config(config(512))]

    #[test]
    fn other_orders_stepped_by_hand_keep_their_promises(
        case in support::case(60),
        setup in setups(),
        order in orders(),
    ) {
        keeps_its_promises(&case, &stepped(&case, order, setup), &inline(&case))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 300, ..config(64) })]

    #[test]
    fn other_orders_on_threads_keep_their_promises(
        case in support::case(400),
        setup in setups(),
        order in orders(),
    ) {
        keeps_its_promises(&case, &threaded(&case, order, setup), &inline(&case))?;
    }
}

/// The events `(name, seconds, v)`, stepped by hand through `text` in rings of one slot, and on one thread
/// without its contexts.
fn both_ways(text: &str, events: &[(&str, i64, i64)], order: MergeOrder) -> [Outcome; 2] {
    let program = Program::parse(text).expect("the program is sound");
    let is_about_contexts =
        |line: &&str| line.starts_with("context ") || line.trim().starts_with(".context(");
    let plain: Vec<&str> = text.lines().filter(|line| !is_about_contexts(line)).collect();
    let plain = Program::parse(&plain.join("\n")).expect("the program is sound without contexts");
    let line = |(name, seconds, v): &(&str, i64, i64)| format!("@{seconds}s {name} {{ v: {v} }}\n");
    let lines = events.iter().map(line).collect::<Vec<_>>().concat();
    let setup = Setup {
        capacity: 1,
        batch_limit: 1,
        publish_every: 1,
        idle: Idle::Yield,
        resize_every: 0,
        is_fused: false,
    };
    let left = step(&program, order, setup, |engine| {
        let event = |&(name, seconds, v): &(&str, i64, i64)| {
            let ty = engine.event_type(name).expect("the program takes it");
            ty.event_with(seconds * 1_000_000_000, [("v", Value::Int(v))]).expect("v is an int")
        };
        events.iter().map(event).collect()
    });
    [left, on_one_thread(&plain, &lines)]
}

/// The end of the input came to `Late` in `c` as rows of `Early`, and `c` handled them at once, as it does in
/// the middle of the input: before
/// `Own`, which stands in front of `Late`, had been flushed.
#[test]
fn at_the_end_a_context_flushes_its_streams_in_front_of_what_it_was_sent() {
    let text = "context c
context d
stream Own = B
    .context(c)
    .window(1s)
    .emit(v: v)
stream Early = A
    .context(d)
    .window(1s)
    .emit(v: v)
stream Late = Early
    .context(c)
    .emit(v: v)
";
    let [left, right] = both_ways(text, &[("B", 2, 1), ("A", 2, 2)], MergeOrder::Deterministic);
    assert_eq!(left, right);
}

/// A stage ended when all that it had flushed was in rings. `d` flushed three rows to `c` and to the output;
/// the output waited for what `c` has to say at the end, `c` for the end of its ring from `d`, and `d` for room
/// in front of the output.
#[test]
fn the_end_of_the_input_gets_past_a_result_ring_of_one_slot() {
    let text = "context c
context d
stream Plain = A
    .context(c)
    .emit(v: v)
stream Window = A
    .context(d)
    .window(1s)
stream Here = Window
    .context(d)
    .emit(v: v)
stream There = Window
    .context(c)
    .emit(v: v)
";
    let events = [("A", 2, 1), ("A", 2, 2), ("A", 2, 3)];
    let [left, right] = both_ways(text, &events, MergeOrder::Deterministic);
    assert_eq!(left, right);
}

/// All workers of a broadcast flush all windows, and one of them tells, in the order of one thread. Its rows were put in
/// the order of their times, as the shares of other pools' workers are.
#[test]
fn what_a_broadcast_flushes_stays_in_its_order() {
    let text = "context c
context d
stream Held = A
    .context(c)
    .window(1s)
stream All = Held
    .context(c)
    .partition_by(v)
    .concurrent(workers: 2, strategy: broadcast)
    .window(2)
    .aggregate(v: max(v))
stream Behind = All
    .context(d)
    .emit(v: v)
";
    let without = text.replace("    .concurrent(workers: 2, strategy: broadcast)\n", "");
    let events = [("A", 2, 1), ("A", 3, 2), ("A", 3, 2)];
    for order in MergeOrder::ALL {
        let [left, _] = both_ways(text, &events, order);
        let [_, right] = both_ways(&without, &events, order);
        let (left, right) = (left.of("Behind"), right.of("Behind"));
        assert_eq!(right.len(), 2);
        assert!(!right.is_sorted(), "the order is not that of times");
        assert_eq!(left, right, "{order}");
    }
}

/// `Both` takes rows from another context and of a stream beside it. Those from the other context were queued first, whatever their rank.
#[test]
fn a_stream_takes_its_sources_in_topological_order_wherever_they_run() {
    let text = "context c
context d
stream First = A
    .context(d)
stream Near = First
    .context(c)
stream Far = A
    .context(d)
    .window(1s)
stream Both = merge(Near, Far)
    .context(c)
    .emit(v: v)
";
    let [left, right] = both_ways(text, &[("A", 2, 1), ("A", 3, 2)], MergeOrder::Deterministic);
    assert_eq!(left, right);
}

/// A single ring leads to `c`, and yet `Both` got its rows in the order in which they came over it: what `Near`
/// made of the row of
/// `Made` stood in front of the row of `Second`.
#[test]
fn behind_a_single_ring_the_rows_of_an_event_come_source_by_source_in_every_order() {
    let text = "context c
context d
stream First = A
    .context(d)
    .emit as Made (v: v)
stream Second = A
    .context(d)
    .select(v: v + 1)
stream Near = Made
    .context(c)
stream Both = merge(Near, Second)
    .context(c)
    .emit(v: v)
";
    for order in [MergeOrder::Arrival, MergeOrder::Timestamp] {
        let [left, right] = both_ways(text, &[("A", 2, 10), ("A", 3, 20)], order);
        assert_eq!(left.of("Both"), right.of("Both"), "{order}");
    }
}

/// `B` comes straight from the input, the windows of `A` over another context. The later `B` was there first, and moved the watermark past
/// rows which then were dropped as late; and so it was where the merge and the window are in contexts of their own.
#[test]
fn no_row_becomes_late_because_another_ring_is_faster() {
    let direct = "context c
context d
stream Window = A
    .context(d)
    .window(session: 1s)
stream Merged = merge(Window, B)
    .context(c)
    .window(3s, sliding: 1s)
    .aggregate(n: count())
";
    let in_two_steps = "context c
context d
context e
stream Window = A
    .context(d)
stream Merged = merge(Window, B)
    .context(c)
stream Counted = Merged
    .context(e)
    .window(3s, sliding: 1s)
    .aggregate(n: count())
";
    let events = [("A", 2, 1), ("A", 3, 2), ("A", 6, 3), ("B", 6, 4), ("A", 6, 5)];
    for text in [direct, in_two_steps] {
        for order in [MergeOrder::Arrival, MergeOrder::Timestamp] {
            let [left, right] = both_ways(text, &events, order);
            assert!(left.is_same_but_for_order(&right), "{order}: {left:?}\n{right:?}");
        }
    }
}

/// What a function emits carries its own type, and so it went to another context: nobody there takes `Made`,
/// `Taker` takes `Maker`.
#[test]
fn what_process_emits_reaches_those_who_name_the_stream_in_another_context() {
    let text = "fn spread(v: int):
    for i in 0..v:
        emit Made(v: i)
context c
context d
stream Maker = A
    .context(c)
    .process(spread(v))
stream Taker = Maker
    .context(d)
    .emit(v: v)
";
    let [left, right] = both_ways(text, &[("A", 2, 3)], MergeOrder::Deterministic);
    assert_eq!(left, right);
    assert_eq!(left.lines.iter().filter(|line| line.contains("Taker")).count(), 3);
}

/// Events can come under the name of a stream. The way for those led over a ring of its own, so that a stream
/// with one source had two rings to wait for, and closed its sessions later than without contexts.
#[test]
fn a_stream_whose_sources_come_over_one_ring_merges_nothing() {
    let text = "context c
stream Other = A
stream Plain = C
    .context(c)
stream Window = C
    .context(c)
    .window(1s)
stream Sessions = merge(Window, Plain)
    .window(session: 1s)
    .emit(v: v)
";
    for order in [MergeOrder::Arrival, MergeOrder::Timestamp] {
        let [left, right] = both_ways(text, &[("C", 2, 1), ("A", 3, 2), ("C", 4, 3), ("C", 9, 4)], order);
        assert_eq!(left.of("Sessions"), right.of("Sessions"), "{order}");
    }
}

/// `Sessions` was flushed first and its row, from behind the end of the input, was there before `Windows` had been flushed: it closed the
/// window that the row of `Windows` belongs to.
#[test]
fn rows_of_the_end_of_the_input_wait_for_the_flush_in_every_order() {
    let text = "context c
stream Windows = B
    .context(c)
    .window(1s)
stream Sessions = A
    .window(session: 3s)
stream Both = merge(C, Windows, Sessions)
    .context(c)
    .watermark(out_of_order: 2s)
    .window(1s)
    .aggregate(n: count())
";
    for order in [MergeOrder::Arrival, MergeOrder::Timestamp] {
        let [left, right] = both_ways(text, &[("A", 3, 1), ("B", 2, 2)], order);
        assert!(left.is_same_but_for_order(&right), "{order}: {left:?}\n{right:?}");
    }
}
