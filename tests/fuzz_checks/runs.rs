//! Programs that run: no event makes them panic or stop, and contexts do not change what comes of it.
//!
//! An input is a program; behind a line with `EVENTS` in it, events as in an `.evt` file. Where there are none they are
//! made up from what the program takes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use varpin::engine::{BuildError, Engine, EngineError, Program, ProgramError, log_json};
use varpin::event::{FieldType, Row};
use varpin::flow::MergeOrder;
use varpin::format::{EventSource, Format, InputTypes, SourceOptions};
use varpin::operators::Limits;
use varpin::vpl::parser::parse;
use varpin::vpl::print::print;

use super::chance::Chance;
use super::placed::placed;
use super::{Checked, ensure};

/// The line between a program and its events begins with this; to the program it is a comment.
pub const EVENTS: &str = "# === events";
/// The most events of an input that are fed.
const MOST_EVENTS: usize = 64;
/// Events that are made up.
const MADE_EVENTS: usize = 24;
/// No more events are fed to a program that has taken this long.
const LONG_ENOUGH: Duration = Duration::from_millis(150);
/// Longer programs are only parsed and resolved.
const LONGEST_PROGRAM: usize = 20_000;
const MOST_CONTEXTS: usize = 3;

/// Checks a program with its events.
pub fn check(bytes: &[u8]) -> Checked {
    let text = String::from_utf8_lossy(bytes);
    let (program, events) = match text.split_once(EVENTS) {
        Some((program, rest)) => (program, rest.split_once('\n').map(|(_, events)| events)),
        None => (&*text, None),
    };
    check_placement(program, events, &mut |lines| lines)
}

/// The same; `fault` is done to what the program says in contexts, so that the check can be shown to notice.
pub fn check_placement(
    program: &str,
    events: Option<&str>,
    fault: &mut dyn FnMut(Vec<String>) -> Vec<String>,
) -> Checked {
    if program.len() > LONGEST_PROGRAM {
        return Ok(());
    }
    let Ok(loaded) = Program::parse(program) else { return Ok(()) };
    let (tree, _) = parse(program);
    let mut chance = Chance::of(program.as_bytes());
    let made;
    let events = if let Some(events) = events {
        events
    } else {
        made = make_events(&loaded, program, &mut chance);
        &made
    };
    let text = print(&placed(&tree, 0, &mut || None));
    let alone =
        Program::parse(&text).map_err(|error| format!("without contexts it is refused: {error}\n{text}"))?;
    let Some((fed, expected)) = on_one_thread(&alone, events)? else { return Ok(()) };

    for contexts in [1, MOST_CONTEXTS] {
        let text = print(&placed(&tree, contexts, &mut || Some(chance.below(contexts))));
        let placed = match Program::parse(&text) {
            Ok(placed) => placed,
            // Contexts share no variables.
            Err(ProgramError::Program(report)) if report.to_string().contains("used in two contexts") => {
                continue;
            }
            Err(error) => return Err(format!("in contexts it is refused: {error}\n{text}")),
        };
        let setup = Setup {
            capacity: *chance.pick(&[1, 2, 1024]),
            batch_limit: *chance.pick(&[1, 3, 256]),
            publish_every: *chance.pick(&[1, 7]),
        };
        let mut outcome = in_contexts(&placed, events, fed, setup)
            .map_err(|message| format!("{message}\nwith {setup:?}\n{text}"))?;
        if expected.fatal || outcome.fatal {
            // The run ended at an event on which a stream failed; how far other contexts had come is open.
            ensure(expected.fatal == outcome.fatal, || format!("{expected:?}\n{outcome:?}\n{text}"))?;
            continue;
        }
        outcome.results = fault(outcome.results);
        // How much is kept is another number on one thread.
        let mut expected = expected.clone();
        if outcome.cut || expected.cut {
            for told in [&mut outcome, &mut expected] {
                told.cut = true;
                told.failed.clear();
                told.written.clear();
            }
        }
        ensure(outcome == expected, || {
            format!("with {setup:?}\n{text}\ngives {outcome:#?}\ninstead of {expected:#?}\nof\n{events}")
        })?;
    }
    Ok(())
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    results: Vec<String>,
    /// What streams failed on, and what they wrote: sorted, since contexts tell it on their own.
    failed: Vec<String>,
    written: Vec<String>,
    /// Some of that came faster than it was taken, and is only counted.
    cut: bool,
    /// Stream, events, rows, late events, keys.
    counts: Vec<(String, u64, u64, u64, u64)>,
    /// `.on_error(fail)` ended it.
    fatal: bool,
}

#[derive(Clone, Copy, Debug)]
struct Setup {
    capacity: usize,
    batch_limit: usize,
    publish_every: usize,
}

/// Small bounds, so that they are met.
fn limits() -> Limits {
    Limits {
        max_partitions: 8,
        max_distinct: 16,
        max_window_rows: 200,
        max_runs: 20,
        max_run_events: 10,
        max_subsets: 30,
        max_call_depth: 30,
        max_call_steps: 3_000,
    }
}

/// Takes what a run says on the way.
#[derive(Default)]
struct Taken {
    results: Vec<String>,
    failed: Vec<String>,
    written: Vec<String>,
}

impl Taken {
    fn letters(&mut self, engine: &mut Engine) {
        let json = |letter| serde_json::to_string(&letter).unwrap();
        self.failed.extend(engine.take_dead_letters().into_iter().map(json));
        self.written.extend(engine.take_log_lines().iter().map(log_json));
    }

    /// What it all comes to, at the end of a run.
    fn outcome(mut self, engine: &mut Engine, fatal: bool) -> Result<Outcome, String> {
        self.letters(engine);
        let stats = engine.stats();
        let results = self.results.len() as u64;
        if !fatal {
            ensure(stats.undelivered.is_empty(), || format!("undelivered: {:?}", stats.undelivered))?;
            ensure(stats.results == results, || {
                format!("{} results counted, {results} seen", stats.results)
            })?;
        }
        for line in self.results.iter().chain(&self.failed).chain(&self.written) {
            serde_json::from_str::<serde_json::Value>(line).map_err(|error| format!("{error} in {line}"))?;
        }
        // What comes faster than it is taken is only counted.
        let cut = stats.dead_letters_dropped > 0 || stats.log_lines_dropped > 0;
        self.failed.sort();
        self.written.sort();
        let counts = stats
            .streams
            .iter()
            .map(|counts| (counts.stream.clone(), counts.events, counts.rows, counts.late, counts.keys));
        let counts = counts.collect();
        Ok(Outcome { results: self.results, failed: self.failed, written: self.written, cut, counts, fatal })
    }
}

fn rows(program: &Program, events: &str, mut take: impl FnMut(&mut Row) -> Result<bool, String>) -> Checked {
    let types = InputTypes::new(program.input_types());
    let mut source =
        EventSource::new(events.as_bytes(), Format::Evt, types, SourceOptions::default()).unwrap();
    let mut row = Row::new(0, 0, 0);
    loop {
        match source.next(&mut row) {
            Ok(Some(())) => {
                if !take(&mut row)? {
                    return Ok(());
                }
            }
            Err(_) => {}
            Ok(None) if source.fill().unwrap() == 0 => return Ok(()),
            Ok(None) => {}
        }
    }
}

/// How many events were fed, and what came of it; nothing where the engine cannot be built.
fn on_one_thread(program: &Program, events: &str) -> Result<Option<(usize, Outcome)>, String> {
    // A pool takes threads here, too; in this order they give one answer.
    let engine = Engine::builder(program).order(MergeOrder::Deterministic).limits(limits());
    let mut engine = match engine.build() {
        Ok(engine) => engine,
        Err(BuildError::Compile(_)) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let started = Instant::now();
    let mut taken = Taken::default();
    let (mut fed, mut fatal) = (0, false);
    rows(program, events, |row| {
        if fed == MOST_EVENTS || started.elapsed() > LONG_ENOUGH {
            return Ok(false);
        }
        fed += 1;
        fatal = engine.feed_row(row, |result| taken.results.push(result.to_json())).is_err();
        taken.letters(&mut engine);
        Ok(!fatal)
    })?;
    fatal |= engine.finish(|result| taken.results.push(result.to_json())).is_err();
    taken.outcome(&mut engine, fatal).map(|outcome| Some((fed, outcome)))
}

/// Stepped by hand, with the first `fed` events.
fn in_contexts(program: &Program, events: &str, fed: usize, setup: Setup) -> Result<Outcome, String> {
    let mut engine = Engine::builder(program)
        .stepped()
        .order(MergeOrder::Deterministic)
        .limits(limits())
        .capacity(setup.capacity)
        .batch_limit(setup.batch_limit)
        .publish_every(setup.publish_every)
        .build()
        .map_err(|error| error.to_string())?;
    let mut taken = Taken::default();
    let (mut left, mut fatal) = (fed, false);
    rows(program, events, |row| {
        if left == 0 {
            return Ok(false);
        }
        left -= 1;
        fatal = engine.feed_row(row, |result| taken.results.push(result.to_json())).is_err();
        engine.step();
        taken.letters(&mut engine);
        engine.poll(|result| taken.results.push(result.to_json()));
        Ok(!fatal)
    })?;
    // Everything that can move moves; what has not ended then is stuck.
    engine.close();
    let patience = 4 * (program.plan().streams.len() + 2);
    let mut idle = 0;
    while idle < patience {
        let done = engine.step() + engine.poll(|result| taken.results.push(result.to_json()));
        taken.letters(&mut engine);
        idle = if done == 0 { idle + 1 } else { 0 };
    }
    match engine.finish_within(Duration::ZERO, |result| taken.results.push(result.to_json())) {
        Ok(_) => {}
        Err(EngineError::GivenUp(stages)) if !fatal => return Err(format!("stuck: {stages:?}")),
        Err(_) => fatal = true,
    }
    taken.outcome(&mut engine, fatal)
}

/// Events of the types that a program takes, with values of its own text among others.
fn make_events(program: &Program, text: &str, chance: &mut Chance) -> String {
    let plan = program.plan();
    let types: Vec<_> = plan.names.iter().filter(|name| !name.name.contains(' ')).collect();
    let mut out = String::new();
    if types.is_empty() {
        return out;
    }
    let words: Vec<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut time_ms = 0_i64;
    for _ in 0..MADE_EVENTS {
        time_ms += chance.pick(&[0, 1, 250, 1_000, 1_000, 5_000, 60_000, -500, 3_600_000]);
        let ty = chance.pick(&types);
        let shape = &plan.shapes[ty.shape];
        let mut fields = Vec::new();
        for field in &shape.fields {
            if chance.below(8) > 0 {
                fields.push(format!("{}: {}", field.name, value(&field.ty, &words, chance)));
            }
        }
        if !shape.declared && chance.below(4) == 0 {
            fields.push(format!("other: {}", value(&FieldType::Any, &words, chance)));
        }
        let _ = writeln!(out, "@{time_ms}ms {} {{ {} }}", ty.name, fields.join(", "));
    }
    out
}

fn value(ty: &FieldType, words: &[&str], chance: &mut Chance) -> String {
    let pick = |choices: &[&str], chance: &mut Chance| (*chance.pick(choices)).to_owned();
    match ty {
        FieldType::Int => match chance.below(8) {
            0 => pick(&["9223372036854775807", "-9223372036854775808", "4294967296"], chance),
            _ => (chance.below(9) as i64 - 2).to_string(),
        },
        FieldType::Float => {
            pick(&["0.0", "-0.0", "0.5", "1.5", "2.0", "-3.25", "1e300", "5e-324", "1e18", "3"], chance)
        }
        FieldType::Bool => pick(&["true", "false", "true", "false", "null"], chance),
        FieldType::Str => match chance.below(3) {
            0 if !words.is_empty() => format!("\"{}\"", chance.pick(words)),
            _ => pick(&["\"\"", "\"a\"", "\"b\"", "\"é🚀\"", "\"quite a long text of its own\""], chance),
        },
        FieldType::Timestamp => {
            pick(&["0", "1500", "\"2024-01-15T10:30:00.5Z\"", "\"1970-01-01T00:00:01Z\""], chance)
        }
        FieldType::Duration => pick(&["\"5s\"", "\"0s\"", "\"1h30m\"", "\"1ns\""], chance),
        FieldType::Array(item) => {
            let items: Vec<_> = (0..chance.below(4)).map(|_| value(item, words, chance)).collect();
            format!("[{}]", items.join(", "))
        }
        FieldType::Map(item) => {
            let keys = ["a", "x", "id"];
            let entries: Vec<_> = keys[..chance.below(4)]
                .iter()
                .map(|key| format!("{key}: {}", value(item, words, chance)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        FieldType::Record(fields) => {
            let mut entries = Vec::new();
            for (name, ty) in fields {
                if chance.below(8) > 0 {
                    entries.push(format!("{name}: {}", value(ty, words, chance)));
                }
            }
            format!("{{{}}}", entries.join(", "))
        }
        FieldType::Any => {
            let types = [
                FieldType::Int,
                FieldType::Int,
                FieldType::Float,
                FieldType::Str,
                FieldType::Str,
                FieldType::Bool,
                FieldType::Array(Box::new(FieldType::Int)),
                FieldType::Map(Box::new(FieldType::Float)),
            ];
            value(chance.pick(&types), words, chance)
        }
    }
}
