//! What the resolver accepts, refuses and warns of, and in which words.
#![cfg(feature = "vpl")]

use varpin::vpl::diagnostic::{Diagnostic, Severity};
use varpin::vpl::plan::Plan;
use varpin::vpl::{parser::parse, resolve::resolve};

fn load(text: &str) -> (Plan, Vec<Diagnostic>) {
    let (program, mut findings) = parse(text);
    let (plan, more) = resolve(&program);
    findings.extend(more);
    (plan, findings)
}

/// The line of each finding, with its message.
fn findings(text: &str, severity: Severity) -> Vec<String> {
    let (_, findings) = load(text);
    let line = |at: u32| text[..at as usize].matches('\n').count() + 1;
    findings
        .iter()
        .filter(|finding| finding.severity == severity)
        .map(|finding| {
            format!(
                "{}: {} / {}",
                line(finding.span.start),
                finding.message,
                finding.help.as_deref().unwrap_or("")
            )
        })
        .collect()
}

fn errors(text: &str) -> Vec<String> {
    findings(text, Severity::Error)
}

/// Asserts one error on `line` that contains every one of `words`.
fn refused(text: &str, line: usize, words: &[&str]) {
    let errors = errors(text);
    assert_eq!(errors.len(), 1, "{text}\n{errors:#?}");
    assert!(errors[0].starts_with(&format!("{line}: ")), "{text}\n{errors:#?}");
    for word in words {
        assert!(errors[0].contains(word), "{word} is missing in {errors:#?}");
    }
}

#[test]
fn both_seed_programs_load_and_warn_where_they_should() {
    let text = "context ingest (cores: [0, 1])
context analyze (cores: [2, 3])
context alert (cores: [4])

stream RawEvents = Sensor
    .context(ingest)
    .emit(context: analyze, data: data)

stream Stats = RawEvents
    .context(analyze)
    .window(1m)
    .aggregate(avg: avg(value))
    .emit(context: alert, avg: avg)
";
    let (plan, found) = load(text);
    assert!(found.iter().all(|finding| finding.severity == Severity::Warning), "{found:#?}");
    let warnings = findings(text, Severity::Warning);
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].starts_with("12: ") && warnings[0].contains("value"));
    assert!(warnings[1].starts_with("13: ") && warnings[1].contains("alert"));
    assert_eq!(plan.streams.len(), 2);
    assert_eq!(plan.contexts.len(), 3);
    let (_, found) = load(
        "context fast_lane (cores: [0, 1])
stream OrderProcessing = Orders
    .context(fast_lane)
    .partition_by(customer_id)
    .where(quantity > 0 and price > 0)
    .emit(order_id: id, total: price * quantity)",
    );
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_cannot_run_is_refused_by_name_and_line() {
    refused("stream S = R\n    .aggregate(n: count())\n", 2, &["aggregate", "window"]);
    refused("stream S = R\n    .emit(x: replace(s, \"a\"))", 2, &["replace", "argument"]);
    refused(
        "stream Ping = Pong\n    .emit(v: v)\nstream Pong = Ping\n    .emit(v: v)",
        1,
        &["cycle", "Ping", "Pong"],
    );
    refused(
        "context ingest\ncontext ingest (cores: [1])\nstream S = R\n .context(ingest).emit(v: v)",
        2,
        &["context", "ingest"],
    );
    refused(
        "context work\nconfig work { capacitee: 64 }\nstream S = R.context(work)",
        2,
        &["capacitee", "capacity"],
    );
    refused(
        "context work\nconfig work { restart: sometimes }\nstream S = R.context(work)",
        2,
        &["restart", "on_failure"],
    );
    refused("context analyze\nstream S = R\n    .context(analyse)", 3, &["context", "analyse", "analyze"]);
    refused(
        "event R:\n    temperature: float\nstream S = R\n    .where(temperatur > 3.0)",
        4,
        &["temperatur", "temperature"],
    );
    refused("stream S = R\n    .emit(x: sqroot(v))", 2, &["function", "sqroot", "sqrt"]);
    refused("stream S = R\n    .forecast(confidence: 0.7)\n    .emit(v: v)", 2, &["forecast"]);
    refused("stream S = R\n    .window(2s, sliding: 5s)\n    .aggregate(n: count())", 2, &["slid"]);
    refused("stream S = R\n    .window(0)\n    .aggregate(n: count())", 2, &["window"]);
    refused("stream S = R\n    .window(2.5)", 2, &["window"]);
    refused("stream S = R\n    .window(5).window(5)", 2, &["one `.window`"]);
    refused("stream S = R.select(a).emit(b: c)", 1, &["`c`", "select"]);
    refused("stream S = R.order_by(v)", 1, &["order_by", "window"]);
    refused("stream S = R.emit(n: count(v))", 1, &["aggregate"]);
    refused("stream S = R.emit(context: nowhere, v: v)", 1, &["nowhere"]);
    refused("stream S = R\nstream S = R", 2, &["twice"]);
    refused("import \"x.vpl\"\nstream S = R", 1, &["import"]);
}

#[test]
fn every_error_of_a_program_comes_at_once_in_the_order_of_the_source() {
    let found = errors(
        "context a
stream S = R
    .context(b)
    .where(sqroot(v) > 1)
    .forecast()
    .emit(n: count())",
    );
    let lines: Vec<&str> = found.iter().map(|error| &error[..2]).collect();
    assert_eq!(lines, ["3:", "4:", "5:", "6:"], "{found:#?}");
}

#[test]
fn fields_come_first_then_the_programs_names() {
    let (plan, found) = load("let limit = 10\nstream T = M.emit(l: limit)\nstream U = M.emit(l: other)");
    assert!(found.is_empty());
    // Both names are fields of M, whose events may have any.
    let names: Vec<&str> = plan.shapes[0].fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["limit", "other"]);
}
