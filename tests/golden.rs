//! Every golden case gives what it should: in order under `deterministic`, as a multiset per stream under the other orders.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::path::{Path, PathBuf};

use serde_json::Value;

use command::{Ran, repository, run};

/// The folders with a program right under `parent`, and their names.
fn cases(parent: &Path) -> Vec<(String, PathBuf)> {
    let folders = std::fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<(String, PathBuf)> = folders
        .filter(|folder| folder.join("program.vpl").exists())
        .map(|folder| (folder.file_name().unwrap().to_str().unwrap().to_owned(), folder))
        .collect();
    cases.sort();
    assert!(!cases.is_empty(), "no cases in {}", parent.display());
    cases
}

fn run_case(folder: &Path, options: &[&str]) -> Ran {
    let mut arguments = vec!["run".to_owned(), folder.join("program.vpl").to_str().unwrap().to_owned()];
    let events = ["evt", "jsonl", "csv"].map(|extension| folder.join(format!("events.{extension}")));
    let events = events.iter().find(|path| path.exists());
    arguments.extend(events.map(|path| path.to_str().unwrap().to_owned()));
    arguments.extend(options.iter().map(|&option| option.to_owned()));
    run(arguments, "")
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// Equal by value: keys in order, `2` and `2.0` differ, floats to a relative 1e-12.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|((a_key, a), (b_key, b))| a_key == b_key && same(a, b))
        }
        _ => a == b,
    }
}

/// A result with its time as an instant: however many digits it was printed with.
fn with_instant(result: &Value) -> Value {
    let mut result = result.clone();
    let instant = result.get("ts").and_then(Value::as_str).map(varpin::event::time::parse_rfc3339);
    if let Some(instant) = instant {
        result["ts"] = instant.expect("the time of a result is a time").into();
    }
    result
}

fn same_result(a: &Value, b: &Value) -> bool {
    same(&with_instant(a), &with_instant(b))
}

/// The first line that differs, if there is one.
fn difference(expected: &[Value], got: &[Value]) -> Option<String> {
    if let Some(at) = expected.iter().zip(got).position(|(expected, got)| !same_result(expected, got)) {
        return Some(format!("line {}: expected {}, got {}", at + 1, expected[at], got[at]));
    }
    (expected.len() != got.len()).then(|| format!("expected {} lines, got {}", expected.len(), got.len()))
}

/// What is wrong with the results of a run of a case, if anything is.
fn fault(folder: &Path, order: &str, ran: &Ran) -> Option<String> {
    if ran.code != Some(0) {
        return Some(format!("exit code {:?}: {}", ran.code, ran.stderr));
    }
    let mut expected = parsed(&std::fs::read_to_string(folder.join("expected.jsonl")).unwrap());
    let mut got = parsed(&ran.stdout);
    if order != "deterministic" {
        // A multiset for each stream: the text of a result begins with its stream.
        expected.sort_by_key(ToString::to_string);
        got.sort_by_key(ToString::to_string);
    }
    difference(&expected, &got)
}

/// What is wrong with a case under any order, if anything is.
fn faults(name: &str, folder: &Path) -> Option<String> {
    ["deterministic", "arrival", "timestamp"].iter().find_map(|order| {
        let ran = run_case(folder, &["--order", order]);
        fault(folder, order, &ran).map(|fault| format!("{name} under {order}: {fault}"))
    })
}

/// What of `words` (a line `line N or M`, then key words) is not on standard error, if anything is.
fn unsaid(words: &str, stderr: &str) -> Option<String> {
    let mut words = words.lines();
    let place = words.next().unwrap();
    let mut lines = place.trim_start_matches("line ").split(" or ").map(|line| format!("line {line}"));
    if !lines.any(|line| stderr.contains(&line)) {
        return Some(format!("{place} is not named in: {stderr}"));
    }
    words.find(|word| !stderr.contains(word)).map(|word| format!("{word:?} is not named in: {stderr}"))
}

fn error_fault(folder: &Path) -> Option<String> {
    let ran = run_case(folder, &[]);
    if matches!(ran.code, None | Some(0 | 101)) {
        return Some(format!("exit code {:?}: {}", ran.code, ran.stderr));
    }
    unsaid(&std::fs::read_to_string(folder.join("expected-error.txt")).unwrap(), &ran.stderr)
}

fn warning_fault(folder: &Path) -> Option<String> {
    let words = std::fs::read_to_string(folder.join("expected-warning.txt")).unwrap();
    let ran = run_case(folder, &["--order", "deterministic"]);
    let strict = run_case(folder, &["--strict"]);
    fault(folder, "deterministic", &ran)
        .or_else(|| unsaid(&words, &ran.stderr))
        .or_else(|| (strict.code == Some(0)).then(|| "--strict lets the warning pass".to_owned()))
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "{} cases fail:\n{}", faults.len(), faults.join("\n"));
}

fn golden() -> PathBuf {
    repository().join("tests/golden")
}

#[test]
fn every_case_gives_what_it_should() {
    let faults: Vec<String> =
        cases(&golden()).iter().filter_map(|(name, folder)| faults(name, folder)).collect();
    assert_none(&faults);
}

#[test]
fn every_wrong_program_and_input_is_refused_by_name_and_line() {
    let fault =
        |(name, folder): &(String, PathBuf)| error_fault(folder).map(|fault| format!("{name}: {fault}"));
    assert_none(&cases(&golden().join("errors")).iter().filter_map(fault).collect::<Vec<_>>());
}

#[test]
fn every_warning_is_given_and_strict_takes_it_for_an_error() {
    let fault =
        |(name, folder): &(String, PathBuf)| warning_fault(folder).map(|fault| format!("{name}: {fault}"));
    assert_none(&cases(&golden().join("warnings")).iter().filter_map(fault).collect::<Vec<_>>());
}

/// Cases that are kept beside the repository, if they are there: also those that this version refuses.
#[test]
fn cases_beside_the_repository_pass_or_are_refused_as_not_supported() {
    let beside = repository().join("../shared/golden");
    if !beside.exists() {
        println!("no cases beside the repository");
        return;
    }
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for (name, folder) in cases(&beside) {
        let ran = run_case(&folder, &["--order", "deterministic"]);
        if ran.code == Some(2) && ran.stderr.contains("not supported") {
            refused.push(name);
        } else {
            found.extend(faults(&name, &folder));
        }
    }
    for (name, folder) in cases(&beside.join("errors")) {
        found.extend(error_fault(&folder).map(|fault| format!("{name}: {fault}")));
    }
    for (name, folder) in cases(&beside.join("warnings")) {
        found.extend(warning_fault(&folder).map(|fault| format!("{name}: {fault}")));
    }
    println!("refused as not supported: {}", refused.join(", "));
    assert_none(&found);
}

#[test]
fn the_comparison_has_teeth() {
    let equal = |a: &str, b: &str| difference(&parsed(a), &parsed(b)).is_none();
    assert!(equal(
        r#"{"ts":"1970-01-01T00:00:01Z","data":{"x":0.3}}"#,
        r#"{"ts":"1970-01-01T00:00:01.000Z","data":{"x":0.30000000000000004}}"#
    ));
    assert!(!equal(r#"{"x":2}"#, r#"{"x":2.0}"#));
    assert!(!equal(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#));
    assert!(!equal(r#"{"x":1.0}"#, r#"{"x":1.0000001}"#));
    assert!(!equal("{}\n{}", "{}"));
}
