//! Printing: what `print` writes parses to the tree that it was given.

#![cfg(feature = "vpl")]

mod syntax_trees;

use proptest::prelude::*;
use varpin::vpl::parser::parse;
use varpin::vpl::print::print;
use varpin::vpl::syntax::Program;

fn parsed(text: &str) -> Program {
    let (program, diagnostics) = parse(text);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}\nin\n{text}");
    program
}

/// Programs of real use, one behind the other, each behind a line with its name.
const PROGRAMS: &str = include_str!("data/programs.txt");
/// A program that has every form of the grammar.
const EVERY_FORM: &str = include_str!("data/every_form.vpl");

#[test]
fn real_programs_survive_printing() {
    let mut count = 0;
    for entry in PROGRAMS.split("=== ").skip(1).chain([EVERY_FORM]) {
        let text = entry.split_once('\n').map_or(entry, |(_, text)| text);
        let program = parsed(text);
        assert!(!program.statements.is_empty());
        let printed = print(&program);
        assert!(parsed(&printed) == program, "read back differently:\n{printed}");
        assert_eq!(print(&parsed(&printed)), printed, "printing is canonical");
        count += 1;
    }
    assert!(count > 80, "only {count} programs were found");
}

#[test]
fn parentheses_stand_only_where_they_must() {
    for (written, printed) in [
        ("((a + b)) * c", "(a + b) * c"),
        ("(a * b) + c", "a * b + c"),
        ("a - (b - c)", "a - (b - c)"),
        ("(a - b) - c", "a - b - c"),
        ("(2 ** 3) ** 2", "(2 ** 3) ** 2"),
        ("2 ** (3 ** 2)", "2 ** 3 ** 2"),
        ("(-2) ** 2", "-2 ** 2"),
        ("-(2 ** 2)", "-(2 ** 2)"),
        ("-(2)", "-(2)"),
        ("(-2).abs()", "(-2).abs()"),
        ("-2.abs()", "-2.abs()"),
        ("not (a in b)", "not a in b"),
        ("(not a) in b", "(not a) in b"),
        ("(a < b) < c", "(a < b) < c"),
        ("(if a then b else c) + 1", "(if a then b else c) + 1"),
        ("1 + (if a then b else c)", "1 + (if a then b else c)"),
        ("(x => x)(1)", "(x => x)(1)"),
        ("x => ({id: 1})", "x => {id: 1}"),
        ("(a).b[(c)]", "a.b[c]"),
        ("(a or b) and not (c and d)", "(a or b) and not (c and d)"),
        ("(1..2)", "1..2"),
    ] {
        assert_eq!(print(&parsed(&format!("x := {written}"))), format!("x := {printed}\n"));
    }
}

#[test]
fn a_guard_that_calls_a_method_keeps_its_parentheses() {
    let text = "stream S = A where (xs.contains(3)) and (y.f().z) == f(a.b(c))\n    .emit()\n";
    assert_eq!(print(&parsed(text)), text.replace("(y.f().z)", "(y.f()).z"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn every_tree_survives_printing(program in syntax_trees::program()) {
        let text = print(&program);
        let (again, diagnostics) = parse(&text);
        prop_assert!(diagnostics.is_empty(), "{:#?}\nin\n{}", diagnostics, text);
        prop_assert!(again == program, "read back differently:\n{}\nas\n{}", text, print(&again));
        prop_assert_eq!(print(&again), text);
    }

    #[test]
    fn every_expression_survives_printing(value in syntax_trees::expr(false)) {
        use varpin::vpl::syntax::*;
        let name = Name { text: "x".to_owned(), span: Span::default() };
        let kind = StatementKind::Assign { name, value };
        let program = Program { statements: vec![Statement { kind, span: Span::default() }] };
        let text = print(&program);
        let (again, diagnostics) = parse(&text);
        prop_assert!(diagnostics.is_empty(), "{:#?}\nin\n{}", diagnostics, text);
        prop_assert!(again == program, "read back differently:\n{}\nas\n{}", text, print(&again));
    }
}
