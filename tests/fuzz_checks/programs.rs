//! Programs: whatever the text, it is parsed, printed, parsed again to the same tree, and resolved to the same plan or
//! refused with the same findings.

use std::fmt::Write as _;

use varpin::context::{order_dependence, topology};
use varpin::vpl::diagnostic::{Diagnostic, Report};
use varpin::vpl::parser::parse;
use varpin::vpl::plan::Plan;
use varpin::vpl::plan_print::PlanPrinter;
use varpin::vpl::print::print;
use varpin::vpl::resolve::resolve;
use varpin::vpl::syntax::Program;

use super::{Checked, ensure};

/// Checks a program.
pub fn check(bytes: &[u8]) -> Checked {
    check_printer(bytes, print)
}

/// The same; `printer` prints, so that the check can be shown to notice where it does so wrongly.
pub fn check_printer(bytes: &[u8], printer: impl Fn(&Program) -> String) -> Checked {
    let text = String::from_utf8_lossy(bytes);
    let (tree, findings) = parse(&text);
    shown(&text, &findings)?;
    if !findings.is_empty() {
        return Ok(());
    }
    let printed = printer(&tree);
    let (again, findings) = parse(&printed);
    ensure(findings.is_empty(), || format!("what was printed is refused: {findings:#?}\n{printed}"))?;
    ensure(again == tree, || format!("read back differently:\n{printed}\nas\n{}", printer(&again)))?;
    ensure(printer(&again) == printed, || format!("printed otherwise the second time:\n{printed}"))?;

    let (plan, findings) = resolve(&tree);
    shown(&text, &findings)?;
    let (plan_again, findings_again) = resolve(&again);
    let told = |findings: &[Diagnostic]| -> Vec<_> {
        let told = |found: &Diagnostic| (found.message.clone(), found.help.clone());
        let mut all: Vec<_> = findings.iter().map(told).collect();
        all.sort();
        all
    };
    let (first, second) = (told(&findings), told(&findings_again));
    ensure(first == second, || format!("found {first:#?}, and the second time {second:#?}"))?;
    let report = Report::new("program", text.as_ref(), findings);
    if report.has_errors() {
        return Ok(());
    }
    let (first, second) = (described(&plan), described(&plan_again));
    ensure(first == second, || format!("planned as {first}\nand the second time as {second}"))
}

/// The check with a planted fault, which fuzzing must find: a printer that makes ints even. What fuzzing starts from has
/// none that are odd.
pub fn canary(bytes: &[u8]) -> Checked {
    check_printer(bytes, |program| {
        let even = |piece: &str| {
            let end = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
            match piece[..end].parse::<i64>() {
                Ok(int) => format!("{}{}", int & !1, &piece[end..]),
                Err(_) => piece.to_owned(),
            }
        };
        print(program).split_inclusive(|c: char| !c.is_ascii_digit()).map(even).collect()
    })
}

/// Every finding has a place in the text and can be shown.
fn shown(text: &str, findings: &[Diagnostic]) -> Checked {
    for found in findings {
        let (start, end) = (found.span.start as usize, found.span.end as usize);
        ensure(start <= end && end <= text.len(), || format!("{found:?} is not in the text"))?;
    }
    // Drawing takes longer than all the rest.
    let report = Report::new("program", text, findings.iter().take(3).cloned().collect());
    let rendered = report.render(false, 80);
    ensure(findings.is_empty() || rendered.contains("program:"), || format!("no places in {rendered}"))
}

/// A plan in words.
fn described(plan: &Plan) -> String {
    let printer = PlanPrinter::new(plan);
    let mut text = String::new();
    for stream in &plan.streams {
        let source = printer.source(&stream.source);
        // Writing to a text does not fail.
        let _ = writeln!(text, "{} in {} = {source}", stream.name, stream.context);
        for op in stream.before.iter().chain(&stream.after) {
            let _ = writeln!(text, "{:?}", printer.operator(op));
        }
        text.push_str(&stream.window.as_ref().map_or_else(String::new, |window| printer.window(window)));
    }
    let topology = topology(plan);
    for place in order_dependence(plan, &topology) {
        let _ = writeln!(text, "{}: {}", place.stream, place.why);
    }
    text
}
