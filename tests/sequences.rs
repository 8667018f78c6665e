//! Sequences: each rule of the language's section on them, by programs that run through the engine.
//!
//! Events are written `A5`, or `A5/2@7`: type, field `v`, field `k` (0), and seconds (the place among the events).
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use std::fmt::Write;

use varpin::engine::{Engine, Program, ProgramError, Record, Stats, StreamCounts};
use varpin::event::Value;
use varpin::vpl::diagnostic::{Severity, line_column};

const SECOND: i64 = 1_000_000_000;

fn load(text: &str) -> Program {
    Program::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn show(record: &Record<'_>) -> String {
    let value = |value: &Value| match value {
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Null => "null".into(),
        Value::Array(items) => format!("{items:?}").replace("Int(", "").replace(')', ""),
        Value::Timestamp(ns) => format!("{}s", ns / SECOND),
        other => format!("{other:?}"),
    };
    let fields = record.fields().into_iter().map(|(_, field)| value(field)).collect::<Vec<_>>().join(" ");
    format!("{fields} @{}", record.time_ns() as f64 / SECOND as f64)
}

/// What a program makes of events, and its counts.
fn run_with(program: &Program, events: &str) -> (Vec<String>, Stats) {
    let mut engine = Engine::builder(program).stepped().build().unwrap();
    let mut results = Vec::new();
    for (place, event) in events.split_whitespace().enumerate() {
        let (event, seconds) = match event.split_once('@') {
            Some((event, seconds)) => (event, seconds.parse().unwrap()),
            None => (event, place as f64),
        };
        let (event, key) = event.split_once('/').unwrap_or((event, "0"));
        let (name, v) = event.split_at(1);
        let Ok(event_type) = engine.event_type(name) else { continue };
        let mut fields = vec![("k", Value::Int(key.parse().unwrap()))];
        if !v.is_empty() {
            fields.push(("v", Value::Int(v.parse().unwrap())));
        }
        let event = event_type.event_with((seconds * SECOND as f64) as i64, fields).unwrap();
        engine.feed(event, |record| results.push(show(&record))).unwrap();
    }
    let stats = engine.finish(|record| results.push(show(&record))).unwrap().clone();
    (results, stats)
}

fn run(text: &str, events: &str) -> Vec<String> {
    let (results, stats) = run_with(&load(text), events);
    assert_eq!(stats.dead_letters, 0);
    results
}

/// The results of `stream S = <text>`.
fn matches(text: &str, events: &str) -> Vec<String> {
    run(&format!("stream S = {text}"), events)
}

fn counts(text: &str, events: &str) -> (Vec<String>, StreamCounts) {
    let (results, stats) = run_with(&load(text), events);
    (results, stats.streams[0].clone())
}

/// Line and message of each finding of a severity.
fn findings(text: &str, severity: Severity) -> Vec<String> {
    let report = match Program::parse(text) {
        Ok(program) => program.warnings().clone(),
        Err(ProgramError::Program(report)) => report,
        Err(error) => panic!("{error}"),
    };
    let of_it = report.diagnostics.iter().filter(|finding| finding.severity == severity);
    of_it
        .map(|found| format!("{}: {}", line_column(text, found.span.start as usize).0, found.message))
        .collect()
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    assert_eq!(findings(text, Severity::Error), [expected], "{text}");
}

#[test]
fn every_event_that_satisfies_the_first_step_starts_a_run() {
    let ab = "A as a -> B as b .within(1m).emit(a: a.v, b: b.v)";
    assert_eq!(matches(ab, "A1 A2 B3 B4"), ["1 3 @2", "2 3 @2"]);
    assert_eq!(
        matches("A as a where v > 1 -> B as b .within(1m).emit(a: a.v, b: b.v)", "A1 A2 B3"),
        ["2 3 @2"]
    );
}

#[test]
fn a_condition_sees_earlier_steps_and_the_event_that_it_tests() {
    let rising = "A as a -> A as b where v > a.v -> A as c where c.v > b.v and b.v > a.v .within(1m)
        .emit(a: a.v, b: b.v, c: c.v)";
    assert_eq!(matches(rising, "A1 A5 A3 A7"), ["1 5 7 @3"]);
    // Times of captured events, and that of the tested one.
    let later = "A as a -> B as b where timestamp - a.timestamp >= 3s .within(1m)
        .emit(a: a.timestamp, b: b.timestamp, t: timestamp)";
    assert_eq!(matches(later, "A B B B"), ["0s 3s 3s @3"]);
}

#[test]
fn an_event_never_fills_two_steps_of_a_run_and_may_complete_one_and_start_another() {
    let pairs = "A as x -> A as y .within(1m).emit(x: x.v, y: y.v)";
    assert_eq!(matches(pairs, "A1 A2 A3"), ["1 2 @1", "2 3 @2"]);
}

#[test]
fn next_match_takes_the_first_and_skips_others() {
    let text = "A as a -> B as b where v > 5 -> C as c .within(1m).stnm().emit(b: b.v, c: c.v)";
    assert_eq!(matches(text, "A1 B1 C1 B6 B7 C2 C3"), ["6 2 @5"]);
}

#[test]
fn strict_ends_at_an_event_of_the_pattern_that_does_not_satisfy() {
    let text = "A as a -> B as b where v > 5 .within(1m).strict().emit(a: a.v, b: b.v)";
    assert_eq!(matches(text, "A1 B1 B6"), [""; 0]);
    assert_eq!(matches(text, "A1 A2 B6"), ["2 6 @2"]);
    // Types that the pattern does not name do not count.
    assert_eq!(matches(text, "A1 Z9 B6"), ["1 6 @2"]);
}

#[test]
fn any_match_copies_the_run() {
    let text = "A as a -> B as b -> C as c .within(1m).stam().emit(b: b.v, c: c.v)";
    assert_eq!(matches(text, "A1 B1 B2 C1 C2"), ["1 1 @3", "2 1 @3", "1 2 @4", "2 2 @4"]);
}

#[test]
fn within_bounds_the_time_from_first_to_last_inclusively() {
    let text = "A as a -> B as b .within(5s).emit(a: a.v, b: b.v, ms: match_duration_ms)";
    assert_eq!(matches(text, "A1@0 B2@5"), ["1 2 5000 @5"]);
    assert_eq!(matches(text, "A1@0 B2@5.001"), [""; 0]);
    // A late event is still taken while the watermark allows for it; the order is that of arrival.
    let late = "A as a -> B as b .within(5s).watermark(out_of_order: 10s).emit(a: a.v, b: b.v)";
    assert_eq!(matches(late, "A1@0 B2@9 B3@4"), ["1 3 @4"]);
    assert_eq!(counts("stream S = A as a -> B .within(5s).emit(a: a.v)", "A1@9 A2@1 B1@9").0, ["1 @9"]);
    assert_eq!(counts("stream S = A as a -> B .within(5s).emit(a: a.v)", "A1@9 A2@1 B1@9").1.late, 1);
}

#[test]
fn runs_are_kept_by_key() {
    let text = "A as a -> B as b .within(1m).partition_by(k).emit(k: _partition, a: a.v, b: b.v)";
    assert_eq!(matches(text, "A1/1 A2/2 B3/2 B4/1 B5/3"), ["2 2 3 @2", "1 1 4 @3"]);
    let behind = "A as a -> B as b .within(1m).partition_by(k).limit(1).emit(k: _partition, b: b.v)";
    assert_eq!(matches(behind, "A/1 A/2 B3/2 A/2 B4/2 B5/1"), ["2 3 @2", "1 5 @5"]);
}

#[test]
fn all_takes_one_or_more_and_each_gives_a_result_per_prefix() {
    let text =
        "A as a -> all B as bs -> C as c .within(1m).emit(n: count(bs), s: sum(bs.v), l: last(bs).v, c: c.v)";
    assert_eq!(matches(text, "A1 C1 B1 B2 B3 C2"), ["1 1 1 2 @5", "2 3 2 2 @5", "3 6 3 2 @5"]);
    let several = "all A as xs -> all B as ys -> C .within(1m).emit(x: collect(xs.v), y: collect(ys.v))";
    assert_eq!(matches(several, "A1 A2 B3 C")[..2], ["[1] [3] @3", "[1, 2] [3] @3"]);
}

#[test]
fn longest_gives_one_result_with_all_that_was_captured() {
    let text = "A as a -> all B as bs -> C as c .within(1m).longest().emit(bs: collect(bs.v), c: v)";
    assert_eq!(matches(text, "A1 B1 B2 B3 C9"), ["[1, 2, 3] 9 @4"]);
}

#[test]
fn subsets_gives_a_result_per_subset_by_size() {
    let text = "A as a -> all B as bs -> C .within(1m).subsets().emit(bs: collect(bs.v))";
    let expected = ["[1] @4", "[2] @4", "[3] @4", "[1, 2] @4", "[1, 3] @4", "[2, 3] @4", "[1, 2, 3] @4"];
    assert_eq!(matches(text, "A B1 B2 B3 C"), expected);
    let last = "A as a -> all B as bs .within(1m).subsets().emit(bs: collect(bs.v))";
    assert_eq!(matches(last, "A B1 B2"), ["[1] @1", "[2] @2", "[1, 2] @2"]);
}

#[test]
fn behind_an_all_at_the_end_each_gives_a_result_at_every_event() {
    let text = "A as a -> all B as bs .within(5s).emit(bs: collect(bs.v))";
    assert_eq!(matches(text, "A B1 B2 B3@9"), ["[1] @1", "[1, 2] @2"]);
}

#[test]
fn behind_an_all_at_the_end_longest_gives_its_result_when_the_run_ends() {
    let text =
        "A as a -> all B as bs .within(5s).longest().emit(a: a.v, bs: collect(bs.v), ms: match_duration_ms)";
    assert_eq!(
        matches(text, "A1 B1 B2 A3@5 A4@5.5 B5@6"),
        ["1 [1, 2] 2000 @5", "3 [5] 1000 @10", "4 [5] 500 @10.5"]
    );
    let strict = "A as a -> all B as bs .within(5s).strict().longest().emit(bs: collect(bs.v))";
    assert_eq!(matches(strict, "A B1 B2 A@3 B3@4"), ["[1, 2] @3", "[3] @8"]);
}

#[test]
fn trends_are_strictly_monotonic_and_give_the_longest() {
    let text = "A as a -> all B.increasing(v) as bs -> C .within(1m).emit(bs: collect(bs.v))";
    assert_eq!(matches(text, "A B3 B1 B3 B4 B C"), ["[3, 4] @6"]);
    let falling = "A as a -> all B as bs .decreasing(v).within(1m).emit(bs: collect(bs.v))";
    assert_eq!(matches(falling, "A B3 B5 B2@3"), ["[3, 2] @60"]);
}

#[test]
fn inside_an_all_its_alias_is_what_was_captured_so_far() {
    let text = "A as a -> all B as bs where bs.last.v == null or v > bs.last.v + 1 -> C .within(1m).longest()
        .emit(bs: collect(bs.v), first: bs.first.v)";
    assert_eq!(matches(text, "A B1 B2 B3 B5 C"), ["[1, 3, 5] 1 @5"]);
    let few = "A as a -> all B as bs where count(bs) < 2 and sum(bs.v) < 100 -> C .within(1m).longest()
        .emit(bs: collect(bs.v))";
    assert_eq!(matches(few, "A B200 B2 B3 C"), ["[200] @4"]);
}

#[test]
fn not_between_steps_ends_the_run() {
    let text = "A as a .not(X where x.v == a.v) -> B as b .within(1m).emit(a: a.v, b: b.v)"
        .replace("(X where", "(X as x where");
    assert_eq!(matches(&text, "A1 A2 X1 B3"), ["2 3 @3"]);
    assert_eq!(matches("A as a -> NOT X -> B as b .within(1m).emit(a: a.v)", "A1 X A2 B"), ["2 @3"]);
}

#[test]
fn not_behind_the_last_step_waits_until_within_has_passed() {
    let text = "A as a -> B as b .not(X).within(5s).emit(a: a.v, b: b.v)";
    assert_eq!(matches(text, "A1 B2 Z@4 B3@5.5"), ["1 2 @5"]);
    assert_eq!(matches(text, "A1 B2 X3 B4@9"), [""; 0]);
    // The end of the input comes last of all: nothing came.
    assert_eq!(matches("A as a .not(B where k == a.k).within(5s).emit(k: a.k)", "A/1 A/2 B/1"), ["2 @6"]);
    let every = "A as a -> all B as bs .not(X).within(5s).emit(n: count(bs))";
    assert_eq!(matches(every, "A B B"), ["1 @5", "2 @5"]);
}

#[test]
fn expiries_come_by_their_time_then_by_run_and_before_the_event() {
    let text = "A as a .not(X).within(a_while).partition_by(k).emit(v: a.v)".replace("a_while", "5s");
    assert_eq!(matches(&text, "A1/7@0 A2/1@1 A3/7@1 B@2 A4@20"), ["1 @5", "2 @6", "3 @6", "4 @25"]);
}

#[test]
fn results_of_one_event_come_by_run_then_by_length() {
    let text = "A as a -> all B as bs -> C .within(1m).emit(a: a.v, bs: collect(bs.v))";
    assert_eq!(matches(text, "A1 B1 A2 B2 C"), ["1 [1] @4", "1 [1, 2] @4", "2 [2] @4"]);
}

#[test]
fn patterns_and_sequence_are_other_ways_to_write_it() {
    let expected = ["1 3 @2", "2 5 @4"];
    let events = "A1 A2/1 B3 B1/1 B5/1";
    let pattern = "pattern P = A as a -> B as b where b.v > a.v within 1m partition by k
        stream S = P.emit(a: a.v, b: v)";
    assert_eq!(run(pattern, events), expected);
    let sequence = "sequence(a: A, b: B where b.v > a.v .within(1m)).partition_by(k).emit(a: a.v, b: v)";
    assert_eq!(matches(sequence, events), expected);
}

#[test]
fn matches_go_through_all_operators() {
    let text = "A as a -> B as b .within(1m).partition_by(k).where(b.v > a.v).window(2)
        .aggregate(k: _partition, s: sum(b.v - a.v))";
    assert_eq!(matches(text, "A1 B3 A1 B1 A1 B9"), ["0 10 @5"]);
    let mapped = "A as a -> B as b .within(1m).map(m => { twice: m.v * 2 })";
    assert_eq!(matches(mapped, "A1 B3"), ["6 @1"]);
    let chained = "stream S = A as a -> B as b .within(1m).emit(v: a.v + b.v)
        stream T = S as s -> A as a where v == s.v .within(1m).emit(t: s.v)";
    assert_eq!(run(chained, "A1 B3 A4"), ["4 @1", "4 @2"]);
}

#[test]
fn what_exceeds_a_bound_is_counted() {
    let runs = "config engine { max_runs: 1 }\nstream S = A as a -> B .within(1m).emit(a: a.v)";
    let (results, counted) = counts(runs, "A1 A2 A3 B");
    assert_eq!((results, counted.runs_dropped), (vec!["1 @3".to_owned()], 2));
    let events = "config engine { max_run_events: 3 }
        stream S = A as a -> all B as bs -> C .within(1m).longest().emit(n: count(bs))";
    let (results, counted) = counts(events, "A B B B B C");
    assert_eq!((results, counted.run_events_dropped), (vec!["2 @5".to_owned()], 2));
    let subsets = "config engine { max_subsets: 5 }
        stream S = A as a -> all B as bs -> C .within(1m).subsets().emit(n: count(bs))";
    let (results, counted) = counts(subsets, "A B B B C");
    assert_eq!((results.len(), counted.subsets_dropped), (5, 2));
    let keys =
        "config engine { max_partitions: 1 }\nstream S = A -> B .within(1m).partition_by(k).emit(v: v)";
    assert_eq!(run_with(&load(keys), "A/1 A/2").1.dead_letters, 1);
}

#[test]
fn mistakes_are_refused_by_name() {
    let s = |text: &str| format!("stream S =\n{text}");
    refused(
        &s("A as a -> B as b where c.v > 1 -> C as c .within(5s).emit(v: a.v)"),
        "2: `c` is captured later than this condition is tested",
    );
    refused(
        &s("A as a -> all B as b where b.v > 1 -> C .within(5s).emit(v: a.v)"),
        "2: `b` is all events of its step, not one",
    );
    refused(&s("A as a -> B as a .within(5s).emit(v: a.v)"), "2: two steps are called `a`");
    refused(
        &s("A as a -> B as b .within(5s)\n.emit(v: a)"),
        "3: `a` is a whole event (or several); name a field of it",
    );
    refused(
        &s("A as a -> B as b .within(5s)\n.partition_by(a.k).emit(v: a.v)"),
        "3: the key of a sequence is taken from every event, not only from `a`",
    );
    refused(&s("A as a .within(5s)\n-> B as b .emit(v: a.v)"), "3: `->` stands directly behind a step");
    refused(
        &s("A as a -> B .emit(v: a.v)\n.within(5s)"),
        "3: what belongs to a sequence stands in front of the operators that take its matches",
    );
    refused(
        &s("A as a -> B .within(5s).strict()\n.stam().emit(v: a.v)"),
        "3: a sequence has one of `.stnm .strict .stam`, and one of `.each .longest .subsets`",
    );
    refused(&s("NOT A -> B .within(5s).emit(v: v)"), "2: a sequence cannot begin with what must not come");
    refused(
        &s("A as a -> all B as bs .within(5s).emit(s: sum(bs.v - a.v))"),
        "2: `sum` goes over the events of one step",
    );
    refused(
        "event A: v: int\nstream S = A as a -> B\n.within(5s).emit(v: a.w)",
        "3: event `A` has no field `w`",
    );
}

#[test]
fn what_is_surely_unwanted_is_warned_of() {
    let warnings = |text: &str| findings(text, Severity::Warning);
    assert_eq!(warnings("stream S = A as a -> B .emit(v: a.v)"), ["1: the sequence has no `.within(..)`"]);
    let unused = "pattern P = A -> B within 5s\nstream S = E";
    assert_eq!(warnings(unused), ["1: no stream takes the pattern `P`"]);
    // Without a bound, what is left at the end comes with the time of its last event.
    let text = "A as a -> all B as bs .longest().emit(bs: collect(bs.v))";
    assert_eq!(matches(text, "A B1 A B2"), ["[1, 2] @3", "[2] @3"]);
}

#[test]
fn contexts_do_not_change_what_comes_out() {
    let steps = "A as a -> all B as bs .not(X) -> C as c where v > a.v";
    let rest = ".within(7s).partition_by(k).emit(a: a.v, n: count(bs), c: c.v)";
    let plain = format!(
        "stream Big = B.where(v > 1).emit(v: v, k: k)
        stream S = {} {rest}
        stream T = S.where(n > 1).emit(n: n)",
        steps.replace("all B", "all Big")
    );
    let spread = plain
        .replace("B.where", "B.context(one).where")
        .replace(".within", ".context(two).within")
        .replace("S.where", "S.context(one).where");
    let spread = format!("context one\ncontext two\nconfig engine {{ order: deterministic }}\n{spread}");
    let mut events = String::new();
    let mut random = 7_u32;
    for _ in 0..400 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let pick = |shift: u32, of: u32| (random >> shift) % of;
        let name = ["A", "B", "B", "C", "X"][pick(24, if pick(9, 4) == 0 { 5 } else { 4 }) as usize];
        write!(events, "{name}{}/{} ", pick(16, 5), pick(12, 3)).unwrap();
    }
    let expected = run(&plain, &events);
    assert!(expected.len() > 50, "{}", expected.len());
    assert_eq!(run(&spread, &events), expected);
}

#[test]
fn a_variable_in_a_condition_belongs_to_one_context() {
    let text = "var n = 0
fn count() -> int:
    n := n + 1
    return n
context one
context two
stream S = A as a -> B where count() > 1 .within(5s).context(one).emit(a: a.v)
stream T = A.context(two).emit(n: count())";
    assert_eq!(findings(text, Severity::Error).len(), 1);
}
