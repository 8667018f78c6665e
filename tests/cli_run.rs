//! `varpin run`: formats, bad input, files, exit codes, and what it says.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use serde_json::Value;

use command::{Files, Ran, run, varpin};

const KEEP: &str = "stream S = R.where(v > 1).emit(v: v)\n";
const SECOND: &str = r#"{"stream":"S","ts":"1970-01-01T00:00:00.002Z","data":{"v":2}}"#;

fn run_keep(files: &Files, events: &str, options: &[&str]) -> Ran {
    let program = files.write("keep.vpl", KEEP);
    run(["run", &program, events].iter().chain(options), "")
}

#[test]
fn every_format_gives_the_same_results() {
    let files = Files::new();
    let evt = files.write("e.evt", "@1 R { v: 1 }\n@2 R { v: 2 }\n");
    let jsonl =
        files.write("e.jsonl", "{\"type\":\"R\",\"ts\":1,\"v\":1}\n{\"type\":\"R\",\"ts\":2,\"v\":2}\n");
    let csv = files.write("e.csv", "ts,v\n1,1\n2,2\n");
    assert_eq!(run_keep(&files, &evt, &[]).clean().lines(), [SECOND]);
    assert_eq!(run_keep(&files, &jsonl, &[]).clean().lines(), [SECOND]);
    assert_eq!(run_keep(&files, &csv, &["--event-type", "R"]).clean().lines(), [SECOND]);
}

#[test]
fn the_format_can_be_given_and_standard_input_is_evt() {
    let files = Files::new();
    let program = files.write("keep.vpl", KEEP);
    let text = "@1 R { v: 1 }\n@2 R { v: 2 }";
    assert_eq!(run(["run", &program], text).clean().lines(), [SECOND]);
    assert_eq!(run(["run", &program, "-"], text).clean().lines(), [SECOND]);
    let csv = ["run", &program, "-", "--format", "csv", "--event-type", "R"];
    assert_eq!(run(csv, "ts,v\n2,2\n").clean().lines(), [SECOND]);
    let odd = files.write("events.txt", text);
    assert_eq!(run_keep(&files, &odd, &["--format", "evt"]).clean().lines(), [SECOND]);
    run_keep(&files, &odd, &[]).says(2, &["events.txt", "--format"]);
}

#[test]
fn csv_needs_an_event_type_and_nothing_else_takes_one() {
    let files = Files::new();
    let csv = files.write("e.csv", "v\n2\n");
    let evt = files.write("e.evt", "");
    run_keep(&files, &csv, &[]).says(2, &["e.csv", "--event-type"]);
    run_keep(&files, &evt, &["--event-type", "R"]).says(2, &["--event-type", "CSV"]);
}

#[test]
fn what_stands_before_a_bad_line_is_handled_and_then_the_run_fails_with_its_place() {
    let files = Files::new();
    let events = files.write("e.evt", "@2 R { v: 2 }\n\n@3 R { v: }\n@4 R { v: 4 }\n");
    let ran =
        run_keep(&files, &events, &[]).says(1, &["error: ", "e.evt: line 3, column 11: ", "@3 R { v: }"]);
    assert_eq!(ran.lines(), [SECOND]);
}

#[test]
fn a_bad_line_on_standard_input_is_named_too() {
    let files = Files::new();
    let program = files.write("keep.vpl", KEEP);
    run(["run", &program], "@2 R { v: 2 }\nR {").says(1, &["standard input: line 2, column 4"]);
}

#[test]
fn skipped_bad_input_is_counted_and_kept_in_the_dead_letters() {
    let files = Files::new();
    let events = files.write("e.evt", "R { v: }\n@2 R { v: 2 }\n  nonsense\n");
    let letters = files.name("dead.jsonl");
    let stats = files.name("stats.json");
    let options = ["--on-bad-input", "skip", "--dead-letters", &letters, "--stats-json", &stats];
    let ran = run_keep(&files, &events, &options).says(0, &["warning: 2 lines", "line 1, column 8"]);
    assert_eq!(ran.lines(), [SECOND]);
    let text = files.read("dead.jsonl");
    let letters: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 2);
    assert_eq!((&letters[0]["kind"], &letters[0]["line"]), (&"bad_input".into(), &1.into()));
    assert_eq!(letters[0]["text"], "R { v: }");
    assert_eq!((&letters[1]["line"], &letters[1]["column"]), (&3.into(), &11.into()), "{text}");
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert_eq!((&stats["events"], &stats["results"], &stats["bad_lines"]), (&1.into(), &1.into(), &2.into()));
}

#[test]
fn events_on_which_a_stream_fails_are_dead_letters_and_the_stream_goes_on() {
    let files = Files::new();
    let program = files.write("p.vpl", "stream S = R.map(x => if x.v == 2 then 7 else x)\n    .emit(v: v)\n");
    let events = files.write("e.evt", "R { v: 1 }\nR { v: 2 }\nR { v: 3 }\n");
    let letters = files.name("dead.jsonl");
    let ran = run(["run", &program, &events, "--dead-letters", &letters], "").clean();
    assert_eq!(ran.lines().len(), 2, "{}", ran.stdout);
    let letter: Value = serde_json::from_str(files.read("dead.jsonl").trim()).unwrap();
    assert_eq!((&letter["kind"], &letter["stream"]), (&"failed_event".into(), &"S".into()));
    assert_eq!(letter["event"]["data"]["v"], 2);
    run(["run", &program, &events], "").says(0, &["warning: 1 events failed", "--dead-letters"]);
}

#[test]
fn results_go_to_the_output_file_and_replace_what_was_there() {
    let files = Files::new();
    let events = files.write("e.evt", "@2 R { v: 2 }\n");
    let output = files.write("out.jsonl", &"something longer than the result, from before\n".repeat(9));
    let ran = run_keep(&files, &events, &["--output", &output]).clean();
    assert_eq!(ran.stdout, "");
    assert_eq!(files.read("out.jsonl"), format!("{SECOND}\n"));
}

#[test]
fn no_file_is_both_read_and_written() {
    let files = Files::new();
    let text = "@2 R { v: 2 }\n";
    let events = files.write("e.evt", text);
    let output = files.name("out.jsonl");
    run_keep(&files, &events, &["--output", &events]).says(2, &["e.evt", "events"]);
    run_keep(&files, &events, &["--dead-letters", &events]).says(2, &["e.evt", "events"]);
    run_keep(&files, &events, &["--output", &files.name("keep.vpl")]).says(2, &["keep.vpl", "program"]);
    run_keep(&files, &events, &["--output", &output, "--stats-json", &output])
        .says(2, &["out.jsonl", "results"]);
    assert_eq!((files.read("e.evt"), files.read("keep.vpl")), (text.to_owned(), KEEP.to_owned()));
    // Also through the shell, and by another name.
    std::fs::hard_link(files.path("e.evt"), files.path("same.evt")).unwrap();
    let append = std::fs::OpenOptions::new().append(true).open(files.path("same.evt")).unwrap();
    let mut command = varpin(["run", &files.name("keep.vpl"), &events]);
    let output = command.stdout(append).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(files.read("e.evt"), text);
}

#[test]
fn a_run_that_cannot_start_empties_no_file() {
    let files = Files::new();
    let program = files.write("p.vpl", "context c (cores: [4000])\nstream S = R.context(c).emit(v: v)\n");
    let events = files.write("e.evt", "R { v: 2 }\n");
    let output = files.write("out.jsonl", "precious\n");
    run(["run", &program, &events, "--pin", "strict", "--output", &output], "")
        .says(2, &["context c", "CPU 4000"]);
    assert_eq!(files.read("out.jsonl"), "precious\n");
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let files = Files::new();
    let program = files.write("p.vpl", KEEP);
    let events = files.write("e.evt", "");
    let directory = files.name("");
    run(["run", &files.name("none.vpl"), &events], "").says(2, &["none.vpl", "No such file"]);
    run(["run", &program, &files.name("none.evt")], "").says(2, &["none.evt", "No such file"]);
    run(["run", &program, &directory, "--format", "evt"], "").says(2, &["directory"]);
    run(["run", &directory, &events], "").says(2, &["directory"]);
    run(["run", &program, &events, "--output", &directory], "").says(2, &["directory"]);
    let missing = files.name("no/such/folder");
    run(["run", &program, &events, "--output", &missing], "").says(2, &["no/such/folder", "No such file"]);
}

#[test]
fn binary_files_are_refused_with_a_place() {
    let files = Files::new();
    std::fs::write(files.path("p.vpl"), [0xff, 0xfe, 0]).unwrap();
    std::fs::write(files.path("e.evt"), b"R { v: 1 }\nR { v: \"\xff\" }\n").unwrap();
    run(["run", &files.name("p.vpl")], "").says(2, &["p.vpl", "UTF-8"]);
    run_keep(&files, &files.name("e.evt"), &[]).says(1, &["line 2, column 9", "UTF-8"]);
}

#[test]
fn an_empty_input_is_fine_and_an_empty_program_is_a_warning() {
    let files = Files::new();
    let empty = files.write("empty.evt", "");
    assert_eq!(run_keep(&files, &empty, &[]).clean().stdout, "");
    let program = files.write("empty.vpl", "# nothing\n");
    run(["run", &program, &empty], "").says(0, &["warning", "empty.vpl", "no streams"]);
    run(["run", &program, &empty, "--strict"], "").says(2, &["no streams", "--strict"]);
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_known() {
    let files = Files::new();
    let events = files.write("e.evt", "");
    run(["run"], "").says(2, &["PROGRAM"]);
    run(["walk"], "").says(2, &["walk"]);
    run_keep(&files, &events, &["--order", "random"])
        .says(2, &["random", "arrival, timestamp, deterministic"]);
    run_keep(&files, &events, &["--idle", "nap"]).says(2, &["nap", "spin"]);
    run_keep(&files, &events, &["--pin", "hard"]).says(2, &["hard", "strict"]);
    run_keep(&files, &events, &["--capacity", "0"]).says(2, &["--capacity"]);
    run_keep(&files, &events, &["--pace", "slow"]).says(2, &["realtime"]);
}

#[test]
fn help_has_the_exit_codes() {
    let ran = run(["--help"], "").clean();
    assert!(ran.stdout.contains("130  interrupted"), "{}", ran.stdout);
}

#[test]
fn no_color_where_standard_error_is_no_terminal() {
    let files = Files::new();
    let program = files.write("p.vpl", "stream S = R.wherever(v > 1)\n");
    let ran = run(["run", &program], "").says(2, &["line 1"]);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

#[test]
fn a_bad_line_does_not_steer_the_terminal() {
    let files = Files::new();
    let events = files.write("e.evt", "R { v: \u{1b}[31m }\n");
    let ran = run_keep(&files, &events, &[]).says(1, &["line 1"]);
    assert!(!ran.stderr.contains('\u{1b}'), "{:?}", ran.stderr);
}

#[test]
fn the_summary_counts_by_stream_and_context() {
    let files = Files::new();
    let program = files.write("p.vpl", "context work\nstream S = R.context(work).where(v > 1).emit(v: v)\n");
    let events = files.write("e.evt", "R { v: 1 }\nR { v: 2 }\nR { v: 3 }\n");
    let ran =
        run(["run", &program, &events, "--stats", "--idle", "park"], "").says(0, &["events", "S", "work"]);
    let has = |words: &[&str]| {
        ran.stderr.lines().any(|line| line.split_whitespace().collect::<Vec<_>>().starts_with(words))
    };
    assert!(has(&["events", "3"]) && has(&["results", "2"]), "{}", ran.stderr);
    assert!(has(&["S", "work", "3", "2", "0"]), "{}", ran.stderr);
    let waits = |line: &str| {
        line.starts_with("work ") && line.contains(" any ") && line.contains(" park: asked for ")
    };
    assert!(ran.stderr.lines().any(waits), "{}", ran.stderr);
    let inline = files.write("inline.vpl", KEEP);
    run(["run", &inline, &events, "--stats"], "").says(0, &["one thread"]);
}

#[test]
fn a_full_disk_fails_the_run() {
    let files = Files::new();
    let events = files.write("e.evt", "@2 R { v: 2 }\n");
    run_keep(&files, &events, &["--output", "/dev/full"]).says(1, &["cannot write results", "No space"]);
}
