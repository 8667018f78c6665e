//! docs/compatibility.md tells the truth: every program in its tables loads, or is refused with the words that stand there.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use varpin::engine::{Engine, Program, ProgramError};
use varpin::vpl::diagnostic::Severity;

/// A row of a table with three columns: line, example, what becomes of it.
struct Row {
    line: usize,
    program: String,
    outcome: String,
}

fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != "## What runs").skip(1);
    // What follows compares with others: nothing that a test could load.
    for (number, line) in lines.take_while(|(_, line)| !line.starts_with("## ")) {
        // A bar in code is written `\|`.
        let line_in_cells = line.replace("\\|", "\u{1}");
        let cells: Vec<&str> = line_in_cells.split('|').map(str::trim).collect();
        let ["", _, example, outcome, ""] = cells[..] else { continue };
        let Some(program) = example.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
            continue;
        };
        // Two pieces of code with words between them are a remark.
        if program.contains('`') {
            continue;
        }
        let program = program.replace('\u{1}', "|").replace(" ⏎ ", "\n");
        rows.push(Row { line: number + 1, program, outcome: outcome.to_owned() });
    }
    rows
}

/// What is wrong with a row, if anything is.
fn fault(row: &Row) -> Option<String> {
    let loaded = Program::parse(&row.program);
    let said = match (&loaded, row.outcome.strip_prefix("refused:")) {
        (Ok(program), None) if row.outcome == "runs" => {
            let folder = tempfile::tempdir().unwrap();
            for file in ["in.evt", "in.csv"] {
                std::fs::write(folder.path().join(file), "").unwrap();
            }
            return match Engine::builder(program).directory(folder.path()).stepped().build() {
                Ok(_) => None,
                Err(error) => Some(format!("is said to run, but: {error}")),
            };
        }
        (Ok(_), Some(_)) => "is said to be refused, but loads".to_owned(),
        (Err(ProgramError::Program(report)), Some(words)) => {
            let errors = report.diagnostics.iter().filter(|found| found.severity == Severity::Error);
            let errors: Vec<&str> = errors.map(|found| found.message.as_str()).collect();
            if errors.iter().any(|error| error.contains(words.trim())) && !words.trim().is_empty() {
                return None;
            }
            format!("is refused with {errors:?}")
        }
        (Err(error), None) if row.outcome == "runs" => format!("is said to run, but: {error:?}"),
        _ => format!("has the outcome {:?}: it is `runs` or `refused: words`", row.outcome),
    };
    Some(said)
}

#[test]
fn the_tables_say_what_becomes_of_each_form() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");
    let rows = rows(&std::fs::read_to_string(path).unwrap());
    assert!(rows.len() > 80, "only {} rows were found", rows.len());
    let faults: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            Some(format!("docs/compatibility.md:{}: {}\n    {}", row.line, row.program, fault(row)?))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_row_that_is_wrong_is_found() {
    let wrong = |program: &str, outcome: &str| {
        fault(&Row { line: 1, program: program.to_owned(), outcome: outcome.to_owned() }).is_some()
    };
    assert!(wrong("stream S = E", "refused: E"));
    assert!(wrong("stream S = E.nowhere()", "runs"));
    assert!(wrong("stream S = E.aggregate(n: count())", "refused: something else"));
    assert!(!wrong("stream S = E", "runs"));
}
