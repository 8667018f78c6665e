//! `for` around statements: what it makes, what it refuses, and where findings point.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use varpin::engine::{Engine, Program, ProgramError};
use varpin::vpl::diagnostic::line_column;

/// The streams of a program, in order.
fn streams(text: &str) -> Vec<String> {
    let program = Program::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    program.plan().streams.iter().map(|stream| stream.name.clone()).collect()
}

/// Line and message of each error.
fn errors(text: &str) -> Vec<(usize, String)> {
    let Err(ProgramError::Program(report)) = Program::parse(text) else { panic!("it loads: {text}") };
    let place = |at: u32| line_column(text, at as usize).0;
    report.diagnostics.iter().map(|found| (place(found.span.start), found.message.clone())).collect()
}

#[track_caller]
fn refused(text: &str, line: usize, words: &str) {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert!(errors[0].0 == line && errors[0].1.contains(words), "{errors:#?}");
}

#[test]
fn ranges_and_arrays_make_a_turn_for_each_value() {
    assert_eq!(streams("for i in 0..3:\n    stream S{i} = R"), ["S0", "S1", "S2"]);
    assert_eq!(streams("for i in 1..=2:\n    stream S_{i}_x = R"), ["S_1_x", "S_2_x"]);
    assert_eq!(streams("for z in [\"north\", 7]:\n    stream In_{z} = R"), ["In_north", "In_7"]);
    assert_eq!(
        streams("let n = 2\nconst last = n - 1\nfor i in 0..=last:\n    stream S{i} = R"),
        ["S0", "S1"]
    );
    assert_eq!(streams("const zones = [\"a\", \"b\"]\nfor z in zones:\n    stream S{z} = R"), ["Sa", "Sb"]);
    assert_eq!(streams("stream T = R\nfor i in 0..0:\n    stream S{i} = R"), ["T"]);
}

#[test]
fn loops_nest_and_the_inner_range_may_depend_on_the_outer_value() {
    let text = "for i in 1..=2:\n    for j in 0..{i}:\n        stream S{i}_{j} = R\n    stream T{i} = R";
    assert_eq!(streams(text), ["S1_0", "T1", "S2_0", "S2_1", "T2"]);
}

#[test]
fn names_strings_and_numbers_are_replaced_in_every_statement() {
    let text = "for i in 1..=2:
    context c{i}
    fn scale{i}(x): x * {i}
    stream S{i} = Reading as r{i}
        .context(c{i})
        .where(room == \"room {i}\" and r{i}.v > {i})
        .emit(v{i}: scale{i}(v))
    stream All{i} = S{i}.where(v{i} > 0).emit(found: v{i})";
    let program = Program::parse(text).unwrap();
    let mut engine = Engine::builder(&program).stepped().build().unwrap();
    let reading = engine.event_type("Reading").unwrap();
    let mut results = Vec::new();
    for (room, v) in [("room 1", 5), ("room 2", 2), ("room 2", 7), ("room 3", 9)] {
        let mut event = reading.event(0);
        event.set(&reading.field("room").unwrap(), room).unwrap();
        event.set(&reading.field("v").unwrap(), v).unwrap();
        engine.feed(event, |result| results.push(result.to_json())).unwrap();
    }
    engine.finish(|result| results.push(result.to_json())).unwrap();
    results.retain(|line| line.contains("found"));
    assert_eq!(results.len(), 2);
    assert!(
        results[0].contains("\"stream\":\"All1\"") && results[0].contains("{\"found\":5}"),
        "{results:?}"
    );
    assert!(
        results[1].contains("\"stream\":\"All2\"") && results[1].contains("{\"found\":14}"),
        "{results:?}"
    );
}

#[test]
fn an_error_points_at_the_template_and_is_told_once() {
    refused(
        "for i in 0..50:\n    stream S{i} = R\n        .where(unknown(x))",
        3,
        "unknown function `unknown`",
    );
}

#[test]
fn what_cannot_be_known_at_load_is_refused() {
    refused("var n = 3\nfor i in 0..n:\n    stream S{i} = R", 2, "known at load");
    refused("for i in 0..1.5:\n    stream S{i} = R", 1, "known at load");
    let circle = errors("let a = b\nlet b = a\nfor i in a:\n    stream S{i} = R\n");
    assert!(circle.len() == 2 && circle[1].1.contains("known at load"), "{circle:#?}");
}

#[test]
fn what_is_made_is_bounded_in_number_and_in_size() {
    refused("stream T = R\nfor i in 0..10001:\n    stream S{i} = R", 2, "more than 10000 statements");
    refused("for i in 0..1000000000000:\n    for j in 0..0:\n        stream S{i} = R", 1, "bytes (4 MB)");
    let long = "x".repeat(1 << 20);
    refused(&format!("for i in 0..50:\n    stream S{{i}} = R.where(a == \"{long}\")"), 1, "bytes (4 MB)");
    let spread = "{z}".repeat(100_000);
    refused(&format!("for z in [\"{long}\"]:\n    stream S = R.where(a == \"{spread}\")"), 1, "bytes (4 MB)");
}

#[test]
fn what_is_no_name_afterwards_is_refused() {
    refused("for z in [\"a b\"]:\n    stream S_{z} = R", 2, "`S_a b` is no name");
    refused("for i in [-1]:\n    stream S_{i} = R", 2, "`S_-1` is no name");
    refused("for i in 0..2:\n    stream S_{k} = R", 2, "has a variable `k`");
    refused("for i in 0..2:\n    for i in 0..2:\n        stream S_{i} = R", 2, "the variable `i` already");
}

#[test]
fn a_stream_made_twice_is_refused_as_if_written_twice() {
    refused("for i in 0..2:\n    stream S = R", 2, "stream `S` is declared twice");
}
