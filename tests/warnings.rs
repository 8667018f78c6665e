//! What is legal and surely unwanted is warned of; what is wanted is not. And a `var` belongs to one context.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use varpin::engine::Program;

fn warnings(text: &str) -> Vec<String> {
    let program = Program::parse(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    program.warnings().diagnostics.iter().map(|found| found.message.clone()).collect()
}

#[track_caller]
fn warns(text: &str, words: &str) {
    let warnings = warnings(text);
    assert!(warnings.len() == 1 && warnings[0].contains(words), "{text}\n{warnings:#?}");
}

#[track_caller]
fn is_quiet(text: &str) {
    assert_eq!(warnings(text), [""; 0], "{text}");
}

#[test]
fn a_window_whose_rows_nothing_uses_together() {
    warns("stream S = E.window(5s).where(v > 1)", "nothing uses its rows together");
    warns("stream S = E.window(5).emit(v: v)", "nothing uses its rows together");
    for wanted in ["aggregate(n: count())", "order_by(v)", "limit(3)", "distinct(v)", "emit(at: window_end)"]
    {
        is_quiet(&format!("stream S = E.window(5s).{wanted}"));
    }
    is_quiet("stream S = join(A, B).on(A.id == B.id).window(10s).emit(id: A.id)");
}

/// Whatever nobody consumes is a result, so only a function that emits nothing leaves a stream without any.
#[test]
fn a_stream_that_nobody_consumes_and_that_has_no_result() {
    warns("stream S = E.process(quiet(v)) fn quiet(x: int): x + 1", "never emits anything");
    is_quiet("stream S = E.process(loud(v)) fn loud(x: int): emit T(v: x)");
    is_quiet("stream S = E.where(v > 1)");
}

#[test]
fn a_connector_that_no_stream_uses() {
    warns("connector out = file (path: \"x.evt\") stream S = E", "connector `out` is used by no stream");
    is_quiet("connector out = file (path: \"x.evt\") stream S = E.to(out)");
}

#[test]
fn a_context_in_which_no_stream_runs() {
    warns("context a context b stream S = E.context(a)", "no stream runs in context `b`");
    is_quiet("context a context b stream S = E.context(a) stream T = E.context(b)");
    is_quiet("context a context main stream S = E.context(a) stream T = E");
}

#[test]
fn a_comparison_that_is_never_true() {
    let declared = "event E: i: int, s: str, f: float, b: bool, t: timestamp\n";
    for never in ["i == \"x\"", "\"x\" == i", "s > 5", "f == true", "b > false", "t > 5s", "b == 1"] {
        warns(&format!("{declared}stream S = E.where({never})"), "this is never true");
    }
    for wanted in
        ["i == 1.0", "f > 1", "s == \"x\"", "b == true", "i == null", "i != \"x\"", "t > @2024-01-01"]
    {
        is_quiet(&format!("{declared}stream S = E.where({wanted})"));
    }
    is_quiet("stream S = E.where(anything == \"x\").where(anything > 5)");
}

/// A function that changes a variable, and one that only calls it.
const COUNTING: &str = "var n = 0
fn next():
    n := n + 1
    return n
fn twice(): next() * 2
";

#[test]
fn a_variable_that_functions_change_belongs_to_one_context() {
    for (a, b) in
        [("next()", "next()"), ("next()", "n"), ("twice()", "n + 1"), ("next()", "[1].map(x => x + n)")]
    {
        let text = format!(
            "context a context b\n{COUNTING}stream S = E.context(a).emit(v: {a})\nstream T = E.context(b).emit(v: {b})"
        );
        let Err(error) = Program::parse(&text) else { panic!("it loads: {text}") };
        let error = error.to_string();
        assert!(error.contains("`var n` is changed by a function and used in two contexts"), "{error}");
        assert!(error.contains("stream `S` in `a`") && error.contains("stream `T` in `b`"), "{error}");
    }
    // In one context, or where nothing changes it, it may be used by several streams.
    is_quiet(&format!(
        "context a\n{COUNTING}stream S = E.context(a).emit(v: next())\nstream T = E.context(a).emit(v: n)"
    ));
    is_quiet(
        "context a context b var n = 1 stream S = E.context(a).emit(v: n) stream T = E.context(b).emit(v: n)",
    );
}
