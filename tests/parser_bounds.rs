//! Bounds: bad input ends in an error, in linear time, on a small stack.

#![cfg(feature = "vpl")]

use varpin::vpl::diagnostic::Diagnostic;
use varpin::vpl::parser::{MAX_NESTING, MAX_SOURCE_BYTES, parse, parse_counted};
use varpin::vpl::print::print;

/// Looks at a token that any text may cost. Measured on real programs: about 20.
const STEPS_PER_TOKEN: u64 = 80;

/// Parses on a stack of 1 MB, drops and prints the tree there too, and counts.
fn bounded(text: String) -> Vec<Diagnostic> {
    let work = move || {
        let (program, diagnostics, stats) = parse_counted(&text);
        let shown: String = text.chars().take(40).collect();
        assert!(
            stats.steps <= STEPS_PER_TOKEN * stats.tokens + 1000,
            "{} steps for {} tokens of {shown}",
            stats.steps,
            stats.tokens
        );
        let _ = print(&program);
        assert!(program == program.clone());
        diagnostics
    };
    let thread =
        std::thread::Builder::new().stack_size(1 << 20).spawn(work).expect("a thread can be started");
    thread.join().expect("parsing neither panics nor overflows the stack")
}

/// About 200 KB of a piece, behind a beginning.
fn repeated(beginning: &str, piece: &str) -> String {
    format!("{beginning}{}", piece.repeat(200_000 / piece.len()))
}

#[test]
fn whatever_nests_too_deep_is_an_error_in_linear_time() {
    for (beginning, piece) in [
        ("x := ", "("),
        ("x := ", "["),
        ("x := ", "{a: "),
        ("x := a", ".b"),
        ("x := a", "?.b"),
        ("x := a", "[0]"),
        ("x := a", "(1)"),
        ("x := ", "f("),
        ("x := ", "f(a, "),
        ("x := ", "a["),
        ("x := ", "x => "),
        ("x := ", "(x, y) => "),
        ("x := ", "x => { "),
        ("x := ", "x => { let a = "),
        ("x := ", "x => {\n"),
        ("x := ", "if a then "),
        ("x := ", "if "),
        ("x := ", "match "),
        ("x := ", "match a { b => "),
        ("x := ", "- "),
        ("x := ", "~"),
        ("x := ", "not "),
        ("x := 1", " ** 1"),
        ("x := 1", " ?? 1"),
        ("x := 1", " + 1"),
        ("x := 1", " and not 1"),
        ("x := ", "(1 + "),
        ("x := ", "a ?? b or c xor d and not e == f | g ^ h & i << j + k * l ** ("),
        ("let x: ", "["),
        ("let x: ", "Stream<"),
        ("let x: ", "{int: "),
        ("let x: int", "?"),
        ("stream S = A", ".fork(a: .where(a)"),
        ("stream S = A where ", "("),
        ("config a { b: ", "["),
        ("fn f():", " if a:"),
        ("fn f():", " while a: for b in c:"),
        ("", "for a in b: "),
        ("fn f(): ", "a => { if b: "),
    ] {
        let diagnostics = bounded(repeated(beginning, piece));
        assert!(!diagnostics.is_empty(), "{beginning}{piece}");
        assert!(
            diagnostics.iter().any(|error| error.message.contains("nests deeper than 200")),
            "{beginning}{piece}: {:?}",
            diagnostics[0]
        );
    }
}

#[test]
fn text_without_end_or_meaning_takes_linear_time() {
    for (beginning, piece) in [
        ("", "stream "),
        ("", "stream S = "),
        ("", "stream S = A\n"),
        ("", "x := "),
        ("", "a "),
        ("", "a\n"),
        ("", ")"),
        ("", "}\n"),
        ("", ";"),
        ("", "fn f():\n"),
        ("", "fn f(x\n"),
        ("", "$"),
        ("", "\"\n"),
        ("", "/*"),
        ("", "/* */"),
        ("stream S = A", " .x"),
        ("stream S = A", ".where("),
        ("stream S = A", "\n.where("),
        ("stream S = A", "\n.emit(a: "),
        ("stream S = A", " -> "),
        ("stream S = A", " -> B where "),
        ("stream S = A", ".where(a b)"),
        ("stream S = merge(", "A, "),
        ("x := ", "(a, "),
        ("x := [", "1, "),
        ("x := [", "(1 2), "),
        ("x := {", "a: ], "),
        ("for i in a:\n", " x_{i}"),
        ("for i in a:\n", "{i}"),
        ("fn f():\n", " a:\n"),
        ("fn f():\n", " return (\n"),
        ("fn f():\n", " if\n"),
        ("config a {", "b: "),
        ("config:\n", " b\n"),
        ("event E:\n", " a: int,\n"),
    ] {
        bounded(repeated(beginning, piece));
    }
}

#[test]
fn what_nests_within_the_bound_is_read() {
    let depth = MAX_NESTING as usize / 2;
    for text in [
        format!("x := {}1{}", "(".repeat(depth), ")".repeat(depth)),
        format!("x := a{}", ".b".repeat(depth)),
        format!("x := {}1", "x => ".repeat(depth)),
        format!("x := 1{}", " + 1".repeat(depth)),
        format!("let x: {}int{} = 1", "[".repeat(depth), "]".repeat(depth)),
    ] {
        assert!(bounded(text.clone()).is_empty(), "{}", &text[..20]);
    }
}

#[test]
fn four_megabytes_of_noise_take_linear_time() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let bytes: Vec<u8> = (0..MAX_SOURCE_BYTES).map(|_| (next() >> 32) as u8).collect();
    let mut noise = String::from_utf8_lossy(&bytes).into_owned();
    let mut end = MAX_SOURCE_BYTES;
    while !noise.is_char_boundary(end) {
        end -= 1;
    }
    noise.truncate(end);
    assert!(!bounded(noise).is_empty());
    let ascii: String = (0..MAX_SOURCE_BYTES).map(|_| char::from((next() >> 32) as u8 & 0x7f)).collect();
    assert!(!bounded(ascii).is_empty());
    // Words and signs of the language in no order.
    let parts = [
        "stream ", "S ", "= ", "(", ")", "{", "}", "[", "]", ":", ",", ".", "where", "if ", "fn ", "\n",
        "    ", "x", "1", "=>", "->", "not ",
    ];
    let words: String = (0..1_000_000).map(|_| parts[(next() >> 32) as usize % parts.len()]).collect();
    assert!(!bounded(words).is_empty());
}

#[test]
fn a_source_beyond_the_bound_is_refused_by_name() {
    let (program, diagnostics) = parse(&" ".repeat(MAX_SOURCE_BYTES + 1));
    assert!(program.statements.is_empty());
    assert!(diagnostics.len() == 1 && diagnostics[0].message.contains("4 MB"), "{diagnostics:?}");
    assert!(parse(&" ".repeat(MAX_SOURCE_BYTES)).1.is_empty());
}
