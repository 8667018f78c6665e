//! Reports: every finding is shown with its line, an excerpt and what to do, whatever the source looks like.

#![cfg(feature = "vpl")]

use varpin::vpl::diagnostic::{Diagnostic, Report, line_column};
use varpin::vpl::parser::parse;
use varpin::vpl::syntax::Span;

fn report(text: &str) -> Report {
    let (_, diagnostics) = parse(text);
    Report::new("program.vpl", text, diagnostics)
}

fn report_of(text: &str, span: Span) -> String {
    let diagnostics = vec![Diagnostic::error(span, "wrong").label("this")];
    Report::new("p.vpl", text, diagnostics).render(false, 80)
}

#[test]
fn a_finding_shows_its_line_and_what_to_do() {
    let shown = report("stream S = R\n    .wherever(v > 1)\n").render(false, 80);
    assert!(
        shown.starts_with("error: program.vpl:2:6 (line 2): `.wherever` is no operator of a stream\n"),
        "{shown}"
    );
    assert!(shown.contains(".wherever(v > 1)"), "{shown}");
    assert!(shown.contains("did you mean `.where`?"), "{shown}");
}

#[test]
fn the_head_line_is_never_broken() {
    let shown = report("stream S = R\n    .wherever(v > 1)\n").render(false, 20);
    assert!(shown.contains("(line 2): `.wherever` is no operator of a stream"), "{shown}");
}

#[test]
fn color_only_when_asked_for() {
    let report = report("stream S = R\n    .wherever(v > 1)\n");
    assert!(!report.render(false, 80).contains('\u{1b}'));
    assert!(!report.to_string().contains('\u{1b}'));
}

#[test]
fn places_at_the_edges_can_be_shown() {
    for (text, start, end) in [
        ("", 0, 0),
        ("a", 1, 1),
        ("a\n", 2, 2),
        ("a", 0, 99),
        ("a\nb\nc", 0, 5),
        ("é", 1, 1),
        ("\n\n\n", 1, 2),
    ] {
        let shown = report_of(text, Span { start, end });
        assert!(shown.starts_with("error: p.vpl:"), "{text:?} {start}..{end}: {shown}");
    }
}

#[test]
fn a_line_of_megabytes_is_shown_in_part() {
    let text = format!("{}$$${}", "é ".repeat(1 << 20), "x ".repeat(1 << 19));
    let at = text.find('$').unwrap();
    let shown = report_of(&text, Span::new(at, at + 3));
    assert!(shown.contains("$$$"), "{shown}");
    assert!(shown.len() < 2000, "{} bytes", shown.len());
}

#[test]
fn a_program_cannot_steer_the_terminal() {
    let shown = report("stream S = \u{1b}[31m R\n\u{9b}31m").render(false, 80);
    assert!(!shown.contains(['\u{1b}', '\u{9b}']), "{shown:?}");
}

#[test]
fn lines_and_columns_count_from_one_and_in_characters() {
    assert_eq!(line_column("", 0), (1, 1));
    assert_eq!(line_column("é\nüx", 5), (2, 2));
    assert_eq!(line_column("é", 1), (1, 1), "within a character: its beginning");
    assert_eq!(line_column("a\r\nb", 3), (2, 1));
}
