//! Bounds on what a program declares: beyond them it is refused with a message that names the bound, and up to them many
//! streams are loaded in one go.
#![cfg(feature = "vpl")]

use varpin::engine::{Program, ProgramError};

/// What is wrong with a program.
fn refused(text: &str) -> String {
    match Program::parse(text) {
        Err(ProgramError::Program(report)) => report.to_string(),
        other => panic!("it is not refused: {:?}", other.map(drop)),
    }
}

#[track_caller]
fn says(text: &str, words: &str) {
    let report = refused(text);
    assert!(report.contains(words), "{words:?} is not in: {report}");
}

/// Lines that `line` makes of the numbers.
fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

#[test]
fn what_is_counted_or_takes_a_thread_has_a_bound() {
    says(&lines(50_001, |at| format!("stream S{at} = E\n")), "50000");
    says(&lines(1_001, |at| format!("context c{at}\n")), "more than 1000 contexts");
    let pools =
        lines(50, |at| format!("stream S{at} = E.concurrent(workers: 64, partition_key: k).emit(k: k)\n"));
    says(&pools, "threads for contexts and workers of pools, and at most 1000 are possible");
}

#[test]
fn what_one_stream_takes_and_makes_has_a_bound() {
    let many = |count, item: fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(", ");
    let fields = many(1_025, |at| format!("f{at}: v"));
    says(&format!("stream S = E.emit({fields})"), "1025 fields");
    let branches = many(1_025, |at| format!("E{at}"));
    says(
        &format!("stream S = merge({branches})"),
        "1025 branches of one `merge`, and at most 1024 are possible",
    );
    let sides = many(65, |at| format!("E{at}"));
    says(&format!("stream S = join({sides}).on(E0.a == E1.a).window(5s)"), "65 sources of one `join`");
}

#[test]
fn few_lines_cannot_ask_for_layouts_without_end() {
    let fields = lines(1_000, |at| format!("    f{at}: int\n"));
    let streams = lines(2_000, |at| format!("stream S{at} = Wide.emit()\n"));
    says(&format!("event Wide:\n{fields}{streams}"), "more than 1000000 fields in all");
}

#[test]
fn many_findings_are_told_up_to_a_bound_and_counted_beyond() {
    let report = refused(&lines(1_000, |at| format!("stream S{at} = E.where(nobody{at}(v))\n")));
    assert!(report.contains("900 more errors were left out"), "{report}");
    assert!(report.contains("nobody0") && report.contains("nobody99"), "the first ones are told: {report}");
}

#[test]
fn a_global_cannot_be_made_by_a_function_that_emits() {
    let function =
        "fn f(v: int) -> int:\n    emit Made(v: v)\n    return v\nfn g(v: int) -> int:\n    return f(v)\n";
    for global in ["let x = g(1)\n", "var x = 1\nx := 1 + f(2)\n"] {
        says(&format!("{function}{global}stream S = E.emit(v: x)\n"), "calls a function that emits events");
    }
}

#[test]
fn tens_of_thousands_of_streams_are_loaded() {
    let chain =
        format!("stream S0 = E.emit(v: v)\n{}", lines(40_000, |at| format!("stream S{} = S{at}\n", at + 1)));
    let program = Program::parse(&chain).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(program.plan().streams.len(), 40_001);
    let one_type = lines(40_000, |at| format!("stream S{at} = E{at}.emit as T (v: v)\n"));
    let program =
        Program::parse(&format!("{one_type}stream Last = T\n")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(program.plan().streams.len(), 40_001);
}
