//! Sequences against a model that copies everything: random patterns over random events, in order of time.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use std::fmt::Write;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use varpin::engine::{Engine, Program};
use varpin::event::Value;

const SECOND: i64 = 1_000_000_000;
const NAMES: [&str; 3] = ["A", "B", "C"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Guard {
    None,
    Above(i64),
    AboveFirst,
    /// `where k == s0.k`
    KeyOfFirst,
    /// `where k == s1.k and v > ..`, of the step before.
    KeyOfLast(i64),
}

impl Guard {
    /// The condition at the step with index `at`.
    fn text(self, at: usize, steps: &[Step]) -> String {
        // What it reads of the step with this index.
        let member = |step: usize, which: &str, field: &str| {
            let which = if steps[step].all { format!(".{which}") } else { String::new() };
            format!("s{step}{which}.{field}")
        };
        match self {
            Self::None => String::new(),
            Self::Above(least) => format!(" where v > {least}"),
            Self::AboveFirst => format!(" where v > {}", member(0, "first", "v")),
            Self::KeyOfFirst => format!(" where {} == k", member(0, "first", "k")),
            Self::KeyOfLast(least) => {
                format!(" where v > {least} and k == {}", member(at - 1, "last", "k"))
            }
        }
    }

    fn passes(self, at: usize, captured: &Captured, event: Event) -> bool {
        match self {
            Self::None => true,
            Self::Above(least) => event.v > least,
            Self::AboveFirst => event.v > captured[0][0].v,
            Self::KeyOfFirst => event.k == captured[0][0].k,
            Self::KeyOfLast(least) => {
                event.v > least && captured[at - 1].last().is_some_and(|last| last.k == event.k)
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Step {
    name: usize,
    guard: Guard,
    all: bool,
    /// `.not(name where ..)` behind it.
    not: Option<(usize, Guard)>,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    name: usize,
    v: i64,
    k: i64,
    seconds: i64,
}

#[derive(Clone, Debug)]
struct Pattern {
    steps: Vec<Step>,
    within: i64,
    keyed: bool,
    selection: &'static str,
    emission: &'static str,
}

impl Pattern {
    fn text(&self) -> String {
        let mut text = "stream S = ".to_owned();
        for (at, step) in self.steps.iter().enumerate() {
            let arrow = if at == 0 { "" } else { " -> " };
            let all = if step.all { "all " } else { "" };
            let guard = step.guard.text(at, &self.steps);
            write!(text, "{arrow}{all}{}{guard} as s{at}", NAMES[step.name]).unwrap();
            if let Some((not, guard)) = step.not {
                write!(text, " .not({}{})", NAMES[not], guard.text(at + 1, &self.steps)).unwrap();
            }
        }
        write!(text, ".within({}s).{}().{}()", self.within, self.selection, self.emission).unwrap();
        if self.keyed {
            text += ".partition_by(k)";
        }
        let field = |(at, step): (usize, &Step)| {
            if step.all { format!("f{at}: collect(s{at}.v)") } else { format!("f{at}: [s{at}.v]") }
        };
        let fields: Vec<String> = self.steps.iter().enumerate().map(field).collect();
        format!("{text}.emit({}, ms: match_duration_ms)", fields.join(", "))
    }
}

/// For each step the events captured for it.
type Captured = Vec<Vec<Event>>;

#[derive(Clone)]
struct Run {
    captured: Captured,
    closed: bool,
}

impl Run {
    fn at(&self) -> usize {
        self.captured.iter().rposition(|events| !events.is_empty()).unwrap()
    }

    fn end(&self, pattern: &Pattern) -> i64 {
        self.captured[0][0].seconds + pattern.within
    }

    fn with(&self, step: usize, event: Event) -> Self {
        let mut run = self.clone();
        run.captured[step].push(event);
        run
    }
}

struct Model<'a> {
    pattern: &'a Pattern,
    runs: Vec<Run>,
    out: Vec<String>,
}

impl Model<'_> {
    fn last(&self) -> &Step {
        self.pattern.steps.last().unwrap()
    }

    fn passes(&self, step: usize, captured: &Captured, event: Event) -> bool {
        let guard = self.pattern.steps[step].guard;
        self.pattern.steps[step].name == event.name && guard.passes(step, captured, event)
    }

    fn give(&mut self, captured: &Captured, seconds: i64) {
        let values = |events: &Vec<Event>| events.iter().map(|event| event.v).collect::<Vec<_>>();
        let ms = (captured.last().unwrap().last().unwrap().seconds - captured[0][0].seconds) * 1000;
        let fields = captured.iter().map(values).collect::<Vec<_>>();
        self.out.push(format!("{fields:?} {ms} @{seconds}"));
    }

    /// The results of a run; where `newest`, those that its newest event adds at its last step.
    fn complete(&mut self, run: &Run, seconds: i64, newest: bool) {
        let all = self.pattern.steps.iter().position(|step| step.all);
        let Some(all) = all.filter(|_| self.pattern.emission != "longest") else {
            return self.give(&run.captured, seconds);
        };
        let whole = run.captured[all].clone();
        let choices: Vec<Vec<usize>> = if self.pattern.emission == "each" {
            let from = if newest { whole.len() } else { 1 };
            (from..=whole.len()).map(|length| (0..length).collect()).collect()
        } else {
            let of = |bits: u32| (0..whole.len()).filter(|at| bits >> at & 1 == 1).collect::<Vec<_>>();
            let mut subsets: Vec<Vec<usize>> = (1..1_u32 << whole.len()).map(of).collect();
            subsets.retain(|subset| !newest || subset.last() == Some(&(whole.len() - 1)));
            subsets.sort_by_key(|subset| (subset.len(), subset.clone()));
            subsets
        };
        for choice in choices {
            let mut captured = run.captured.clone();
            captured[all] = choice.iter().map(|&at| whole[at]).collect();
            self.give(&captured, seconds);
        }
    }

    /// What becomes of a run that has taken an event: it stays, or it is complete.
    fn taken(&mut self, run: Run, seconds: i64, kept: &mut Vec<Run>) {
        if run.at() + 1 < self.pattern.steps.len() || self.last().not.is_some() {
            kept.push(run);
        } else if self.last().all {
            if self.pattern.emission != "longest" {
                self.complete(&run, seconds, true);
            }
            kept.push(run);
        } else {
            self.complete(&run, seconds, false);
        }
    }

    fn expire(&mut self, before: i64) {
        let (pattern, last) = (self.pattern, self.pattern.steps.len() - 1);
        let (ended, runs) = std::mem::take(&mut self.runs)
            .into_iter()
            .partition::<Vec<_>, _>(|run| run.end(pattern) < before);
        self.runs = runs;
        for run in ended {
            let waited = self.last().not.is_some();
            let grown = self.last().all && pattern.emission == "longest";
            if run.at() == last && (waited || grown) {
                self.complete(&run, run.end(pattern), false);
            }
        }
    }

    fn event(&mut self, event: Event) {
        self.expire(event.seconds);
        let (pattern, last) = (self.pattern, self.pattern.steps.len() - 1);
        let mut kept = Vec::new();
        for mut run in std::mem::take(&mut self.runs) {
            if pattern.keyed && run.captured[0][0].k != event.k {
                kept.push(run);
                continue;
            }
            let at = run.at();
            let next = at < last && self.passes(at + 1, &run.captured, event);
            if next {
                self.taken(run.with(at + 1, event), event.seconds, &mut kept);
                if pattern.selection != "stam" {
                    continue;
                }
            }
            if let Some((not, guard)) = pattern.steps[at].not
                && not == event.name
                && guard.passes(at + 1, &run.captured, event)
            {
                continue;
            }
            let more = pattern.steps[at].all && !run.closed && self.passes(at, &run.captured, event);
            if more {
                self.taken(run.with(at, event), event.seconds, &mut kept);
                if pattern.selection != "stam" {
                    continue;
                }
            }
            let takes = !run.closed && (at < last || pattern.steps[last].all);
            if pattern.selection == "strict" && takes && !next && !more {
                if at < last || self.last().not.is_none() {
                    if at == last && pattern.emission == "longest" {
                        self.complete(&run, event.seconds, false);
                    }
                    continue;
                }
                run.closed = true;
            }
            kept.push(run);
        }
        if self.passes(0, &Vec::new(), event) {
            let none = Run { captured: vec![Vec::new(); pattern.steps.len()], closed: false };
            self.taken(none.with(0, event), event.seconds, &mut kept);
        }
        self.runs = kept;
    }
}

fn model(pattern: &Pattern, events: &[Event]) -> Vec<String> {
    let mut model = Model { pattern, runs: Vec::new(), out: Vec::new() };
    // Only events of types that the pattern names reach the stream; others do not move its time.
    let named = |event: &&Event| {
        pattern
            .steps
            .iter()
            .any(|step| step.name == event.name || step.not.is_some_and(|(not, _)| not == event.name))
    };
    events.iter().filter(named).for_each(|event| model.event(*event));
    model.expire(i64::MAX);
    model.out
}

fn engine(pattern: &Pattern, events: &[Event]) -> Vec<String> {
    let text = pattern.text();
    let program = Program::parse(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let mut engine = Engine::builder(&program).build().unwrap();
    let mut out = Vec::new();
    let mut show = |record: varpin::engine::Record<'_>| {
        let fields = record.fields();
        let values = |value: &Value| match value {
            Value::Array(items) => items
                .iter()
                .map(|item| match item {
                    Value::Int(item) => *item,
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let captured: Vec<Vec<i64>> =
            fields[..fields.len() - 1].iter().map(|(_, value)| values(value)).collect();
        let Value::Int(ms) = fields[fields.len() - 1].1 else { panic!("{fields:?}") };
        out.push(format!("{captured:?} {ms} @{}", record.time_ns() / SECOND));
    };
    for event in events {
        let Ok(event_type) = engine.event_type(NAMES[event.name]) else { continue };
        // Numbers are equal by value, whatever their type.
        let k = if event.v % 2 == 0 { Value::Int(event.k) } else { Value::Float(event.k as f64) };
        let fields = [("v", Value::Int(event.v)), ("k", k)];
        let event = event_type.event_with(event.seconds * SECOND, fields).unwrap();
        engine.feed(event, &mut show).unwrap();
    }
    let stats = engine.finish(&mut show).unwrap();
    assert_eq!(stats.dead_letters, 0);
    out
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let guard = prop_oneof![
        3 => Just(Guard::None),
        1 => (0..3_i64).prop_map(Guard::Above),
        1 => Just(Guard::AboveFirst),
        3 => Just(Guard::KeyOfFirst),
        2 => (0..2_i64).prop_map(Guard::KeyOfLast),
    ];
    let forbidden = prop_oneof![
        2 => Just(Guard::Above(2)),
        2 => Just(Guard::KeyOfFirst),
        1 => (0..2_i64).prop_map(Guard::KeyOfLast),
    ];
    let not = prop_oneof![3 => Just(None), 1 => (0..3_usize, forbidden).prop_map(Some)];
    let step = (0..3_usize, guard, not).prop_map(|(name, guard, not)| Step { name, guard, all: false, not });
    let selection = prop_oneof![2 => Just("stnm"), 1 => Just("strict"), 1 => Just("stam")];
    let emission = prop_oneof![Just("each"), Just("longest"), Just("subsets")];
    let steps = (prop::collection::vec(step, 1..4), 0..5_usize);
    (steps, 1..8_i64, any::<bool>(), selection, emission).prop_map(
        |((mut steps, all), within, keyed, selection, emission)| {
            // The first step has nothing to look back at.
            if !matches!(steps[0].guard, Guard::None | Guard::Above(_)) {
                steps[0].guard = Guard::None;
            }
            if let Some(step) = steps.get_mut(all) {
                step.all = true;
            }
            if steps.len() == 1 && !steps[0].all && steps[0].not.is_none() {
                steps[0].all = true; // Else it is no sequence.
            }
            Pattern { steps, within, keyed, selection, emission }
        },
    )
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0..3_usize, 0..5_i64, 0..3_i64, 0..3_i64);
    prop::collection::vec(event, 0..14).prop_map(|events| {
        let mut seconds = 0;
        let timed = events.into_iter().map(|(name, v, k, later)| {
            seconds += later;
            Event { name, v, k, seconds }
        });
        timed.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_gives_what_the_model_gives(pattern in pattern(), events in events()) {
        prop_assert_eq!(engine(&pattern, &events), model(&pattern, &events), "{}", pattern.text());
    }
}

#[test]
fn the_comparison_has_teeth() {
    let mut runner = TestRunner::deterministic();
    let (mut results, mut differences) = (0, 0);
    for _ in 0..1000 {
        let pattern = pattern().new_tree(&mut runner).unwrap().current();
        let events = events().new_tree(&mut runner).unwrap().current();
        let expected = model(&pattern, &events);
        results += usize::from(!expected.is_empty());
        let other = Pattern { within: pattern.within + 1, ..pattern };
        differences += usize::from(engine(&other, &events) != expected);
    }
    assert!(results > 300 && differences > 100, "{results} with results, {differences} differ");
}
