//! Everything that fuzzing has found, and what it starts from, checked again: the seeds in `fuzz_seeds/`, the programs and
//! events of the golden cases and the examples. Here too: each check notices a planted fault.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // a test that fails panics

mod fuzz_checks;

use std::path::{Path, PathBuf};

use fuzz_checks::{Checked, events, programs, runs};
use varpin::format::Format;

/// The files below `directory` of the repository whose names end with `end`, with what is in them.
fn files(directory: &str, end: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_str().unwrap().ends_with(end) {
                let bytes = std::fs::read(&path).unwrap();
                found.push((path, bytes));
            }
        }
    }
    found.sort();
    found
}

/// Checks all of `inputs`, of which there are at least `least`.
#[track_caller]
fn check_all(least: usize, inputs: Vec<(PathBuf, Vec<u8>)>, check: impl Fn(&[u8]) -> Checked) {
    assert!(inputs.len() >= least, "only {} inputs", inputs.len());
    for (path, bytes) in inputs {
        if let Err(message) = check(&bytes) {
            panic!("{}: {message}", path.display());
        }
    }
}

/// Programs of the repository: their text alone.
fn known_programs() -> Vec<(PathBuf, Vec<u8>)> {
    [files("tests/golden", ".vpl"), files("examples", ".vpl"), files("tests/data", ".vpl")].concat()
}

#[test]
fn every_program_is_printed_and_resolved_the_same_twice() {
    check_all(100, [known_programs(), files("tests/fuzz_seeds/programs", "")].concat(), programs::check);
    check_all(1, files("tests/fuzz_seeds/runs", ""), programs::check);
}

#[test]
fn contexts_do_not_change_what_comes_of_made_up_events() {
    check_all(90, known_programs(), runs::check);
    check_all(1, files("tests/fuzz_seeds/runs", ""), runs::check);
}

#[test]
fn contexts_do_not_change_what_comes_of_golden_events() {
    let with_events = files("tests/golden", "program.vpl").into_iter().filter_map(|(path, program)| {
        let events = std::fs::read(path.with_file_name("events.evt")).ok()?;
        let between = format!("\n{}\n", runs::EVENTS).into_bytes();
        Some((path, [program, between, events].concat()))
    });
    check_all(50, with_events.collect(), runs::check);
}

#[test]
fn event_files_are_read_the_same_however_they_are_cut() {
    for (format, name, least) in
        [(Format::Evt, "evt", 50), (Format::Jsonl, "jsonl", 0), (Format::Csv, "csv", 0)]
    {
        let end = format!(".{name}");
        let known = [files("tests/golden", &end), files("examples", &end)].concat();
        let seeds = files(&format!("tests/fuzz_seeds/{name}"), "");
        check_all(least, known, |bytes| events::check(bytes, format));
        check_all(1, seeds, |bytes| events::check(bytes, format));
    }
}

#[test]
fn a_printer_that_makes_ints_even_is_noticed() {
    assert!(programs::canary(b"let limit = 3").is_err());
    // What fuzzing starts from does not show the fault by itself.
    check_all(1, files("tests/fuzz_seeds/canary", ""), programs::canary);
}

#[test]
fn a_reader_that_loses_the_end_of_a_piece_is_noticed() {
    let lines = b"E { a: 1 }\nE { a: 2, b: \"text\" }\n";
    assert!(events::check_pieces(lines, Format::Evt, |size| if size > 3 { size - 1 } else { size }).is_err());
    assert_eq!(events::check(lines, Format::Evt), Ok(()));
}

#[test]
fn a_context_that_swaps_results_is_noticed() {
    let program = "stream S = A.emit(v: v)\nstream T = S.emit(v: v + 1)\n";
    let events = Some("A { v: 1 }\nA { v: 2 }\n");
    let mut swap = |mut lines: Vec<String>| {
        lines.swap(0, 1);
        lines
    };
    assert!(runs::check_placement(program, events, &mut swap).is_err());
    assert_eq!(runs::check_placement(program, events, &mut |lines| lines), Ok(()));
}
