//! Every error of a program comes at once, whoever finds it, and no error comes of another one.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use proptest::prelude::*;
use varpin::engine::{Program, ProgramError};
use varpin::vpl::diagnostic::{Severity, line_column};

/// Line and message of every error.
fn errors(text: &str) -> Vec<(usize, String)> {
    match Program::parse(text) {
        Ok(_) => Vec::new(),
        Err(ProgramError::Program(report)) => report
            .diagnostics
            .iter()
            .filter(|finding| finding.severity == Severity::Error)
            .map(|finding| (line_column(text, finding.span.start as usize).0, finding.message.clone()))
            .collect(),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn has(text: &str, expected: &[(usize, &str)]) {
    let found = errors(text);
    assert_eq!(found.len(), expected.len(), "{text}\n{found:#?}");
    for ((line, words), (found_line, message)) in expected.iter().zip(&found) {
        assert!(line == found_line && message.contains(words), "{line}: {words}\n{found:#?}");
    }
}

#[test]
fn what_can_be_read_is_checked_although_something_else_cannot() {
    has(
        "context a
stream S = R
    .context(a)
    .where(v >)
stream T = R
    .window(0)
    .aggregate(n: count())
stream U = R.emit(x: replace(s, \"a\"), y: count(v)).limit(-1)
connector m = mqtt (url: \"x\")
",
        &[
            (4, "expected"),
            (6, "greater than 0"),
            (8, "aggregate function"),
            (8, "`.limit` takes"),
            (9, "mqtt"),
        ],
    );
}

#[test]
fn what_may_stand_in_what_cannot_be_read_is_not_missed() {
    // A context, a function, an event, a constant and a connector could not be read.
    has(
        "context a (cores: [x])
fn twice(x: ): return x
event E: v:
let size = )
connector out = file (path \"x.evt\")
stream S = E
    .context(a)
    .where(twice(v) > 1 and w > 2)
    .window(size)
    .aggregate(n: count())
    .to(out)
",
        &[(1, "a CPU number"), (2, "a type"), (4, "a type"), (4, "an expression"), (5, "a value")],
    );
}

#[test]
fn a_stream_that_could_not_be_read_is_not_checked() {
    // Without its window, which could not be read, the aggregate would be wrong.
    has(
        "stream S = R\n    .window(5 5)\n    .aggregate(n: count())\nstream T = R.order_by(v)",
        &[(2, ""), (4, "order_by")],
    );
}

#[test]
fn what_compiling_finds_comes_at_load_with_its_line() {
    has(
        "fn deep(n): return deep(n + 1)\nlet limit = deep(0)\nstream S = R.where(v > limit)",
        &[(2, "more than 128 deep")],
    );
    has(
        "stream S = R.emit(v: v)\nstream T = R.window(1d, sliding: 1ms).aggregate(n: count())\n\
         stream U = R.window(2d, sliding: 1ms).aggregate(n: count())",
        &[(2, "more than 100000 windows"), (3, "more than 100000 windows")],
    );
}

/// Programs with every form of the language.
const PROGRAMS: [&str; 3] = [
    include_str!("data/every_form.vpl"),
    include_str!("../examples/iot_pipeline.vpl"),
    include_str!("../examples/user_sessions.vpl"),
];

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::with_cases(400) })]

    /// What is left of a damaged program is checked, so it must not take the rest for sound.
    #[test]
    fn a_damaged_program_never_panics(
        which in 0..PROGRAMS.len(),
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize), 1..4),
        put in prop::sample::select(vec!["", ")", "(", "}", ".", "=>", "->", "\"", "5s", "stream X = ", "\n", ":"]),
    ) {
        let mut chars: Vec<char> = PROGRAMS[which].chars().collect();
        for (at, length) in cuts {
            let at = at.index(chars.len().max(1)).min(chars.len());
            let end = (at + length).min(chars.len());
            chars.splice(at..end, put.chars());
        }
        let text: String = chars.into_iter().collect();
        let _ = errors(&text);
    }
}
