//! Errors: all of a program at once, each at its line, with a suggestion where one is near.

#![cfg(feature = "vpl")]

use varpin::vpl::diagnostic::{Diagnostic, line_column};
use varpin::vpl::parser::parse;

/// Line and error of everything that is wrong.
fn errors(text: &str) -> Vec<(usize, Diagnostic)> {
    let (_, diagnostics) = parse(text);
    diagnostics.into_iter().map(|error| (line_column(text, error.span.start as usize).0, error)).collect()
}

fn help_of(text: &str) -> String {
    match errors(text).as_slice() {
        [(_, error)] => error.help.clone().unwrap_or_default(),
        other => panic!("{text}: {other:#?}"),
    }
}

#[test]
fn all_errors_come_at_once() {
    let text = "contxt a
stream A = R
    .wherever(v > 1)
    .where(a < b < c)
    .emit(x: a &&, y: 9223372036854775808, q: 5x)
    .where(v = 3)
straem B = R
stream C = R
    .where((v > 1)
    .emit(x: 1)
fn g(x: int):
    if x > 1
        return 2
    els:
        return 3
    retrun x
stream D = mrge(A, B)
    .where(a adn b)
stream E = \"x
";
    let lines: Vec<usize> = errors(text).iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [1, 3, 4, 5, 5, 5, 5, 6, 7, 9, 13, 14, 16, 17, 18, 19], "{:#?}", errors(text));
}

#[test]
fn what_is_near_is_suggested() {
    for (text, near) in [
        ("stream S = R.wher(v > 1)", ".where"),
        ("stream S = R.wherever(v > 1)", ".where"),
        ("stream S = R.partitionby(v)", ".partition_by"),
        ("stream S = R.group_by(v)", ".partition_by"),
        ("strem S = R", "stream"),
        ("stream S = lef_join(A, B)", "left_join"),
        ("stream S = R.where(a adn b)", "and"),
        ("stream S = R.where(a && b)", "and"),
        ("stream S = R.where(a = b)", "=="),
        ("x := if a than b else c", "then"),
        ("stream S = R.window(5s, slidng: 1s)", "sliding"),
        ("fn f():\n    retrun x", "return"),
    ] {
        let help = help_of(text);
        assert!(help.contains(&format!("did you mean `{near}")), "{text}: {help}");
    }
}

#[test]
fn a_guard_that_calls_a_method_is_told_about_parentheses() {
    assert!(help_of("stream S = A where xs.contains(3)").contains("parentheses"));
}

#[test]
fn what_is_bad_in_one_statement_leaves_the_others() {
    let (program, diagnostics) =
        parse("let a = (1 +\nlet b = 2\nstream S = R\n    .where(\n    .emit(x: 1)\nlet c = 3");
    assert_eq!(diagnostics.len(), 2, "{diagnostics:#?}");
    assert_eq!(program.statements.len(), 3, "b, S with its emit, c");
}

#[test]
fn indentation_is_checked() {
    for (text, line) in [
        ("fn f():\nreturn 1", 2),
        ("fn f():\n    let a = 1\n      let b = 2\n    a", 3),
        ("fn f():\n        let a = 1\n    a", 3),
        ("fn f():\n    let a = 1\n\t\t\t\ta", 3),
        ("event E:\nstream S = E", 2),
        ("fn f():", 1),
    ] {
        let found = errors(text);
        assert_eq!(found.len(), 1, "{text:?}: {found:#?}");
        assert_eq!(found[0].0, line, "{text:?}: {found:#?}");
    }
}

#[test]
fn bad_text_within_literals_is_named() {
    for (text, part) in [
        ("x := \"a\\qb\"", "\\q"),
        ("x := \"\\u{110000}\"", "Unicode"),
        ("x := \"\\u{}\"", "hexadecimal"),
        ("x := 'abc", "closed"),
        ("x := 1e999", "1e999"),
        ("x := 400000000d", "duration"),
        ("x := @2024-02-30", "@2024-02-30"),
        ("x := @12", "timestamp"),
        ("x := 3q", "3q"),
        ("x := 1 /* open", "comment"),
        ("x := 1 $$ §", "$$"),
    ] {
        let found = errors(text);
        assert!(!found.is_empty() && found[0].1.message.contains(part), "{text}: {found:#?}");
    }
}

#[test]
fn errors_are_in_the_order_of_the_text_and_bounded() {
    let text = "x := 9999999999999999999\n".repeat(1000);
    let found = errors(&text);
    assert_eq!(found.len(), 101);
    assert!(found.is_sorted_by_key(|(line, _)| *line));
    assert!(found[100].1.message.contains("900 more errors"), "{:?}", found[100]);
}
