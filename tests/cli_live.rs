//! `varpin run --live` and `--follow`: the clock closes what is open, and a growing file is read as it grows.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::io::Write;

use command::{Files, Running, run, varpin};

const INLINE: &str = "stream S = R.emit(v: v)\n";
const SESSIONS: &str = "stream S = R.window(session: 50ms).aggregate(n: count())\n";
const IN_CONTEXTS: &str = "context a\ncontext b\nstream Pass = R.context(a)\n\
    stream S = Pass.context(b).window(session: 50ms).aggregate(n: count())\n";
const JOIN_AND_TIMER: &str = "stream J = left_join(R, Other).on(R.v == Other.v).window(20ms).emit(v: R.v)\n\
    stream T = timer(30ms).limit(1).emit(at: now())\n";

fn start(files: &Files, program: &str, options: &[&str]) -> Running {
    let program = files.write("p.vpl", program);
    Running::start(varpin(["run", &program].iter().chain(options)))
}

#[test]
fn a_pipe_that_stays_open_has_its_sessions_closed_by_the_clock() {
    let files = Files::new();
    for program in [SESSIONS, IN_CONTEXTS] {
        for order in ["arrival", "timestamp", "deterministic"] {
            let mut running = start(&files, program, &["--live", "--order", order]);
            running.feed("R { v: 1 }\n");
            let line = running.line();
            assert!(line.contains("\"data\":{\"n\":1}"), "{line}");
            assert!(!line.contains("1970"), "an event without a time has the clock's: {line}");
            running.stdin = None;
            running.wait().clean();
        }
    }
}

#[test]
fn joins_and_timers_go_by_the_clock_too() {
    let files = Files::new();
    let mut running = start(&files, JOIN_AND_TIMER, &["--live"]);
    running.feed("R { v: 5 }\n");
    let mut lines = [running.line(), running.line()];
    lines.sort();
    assert!(lines[0].contains("\"stream\":\"J\"") && lines[0].contains("\"v\":5"), "{lines:?}");
    assert!(lines[1].contains("\"stream\":\"T\"") && !lines[1].contains("1970"), "{lines:?}");
}

#[test]
fn without_being_told_a_pipe_is_a_replay() {
    let files = Files::new();
    let events = "R { v: 1 }\n@10ms R { v: 2 }\n@500ms R { v: 3 }\n";
    let program = files.write("p.vpl", &format!("{SESSIONS}stream N = R.emit(at: now())\n"));
    let from_file = run(["run", &program, &files.write("e.evt", events)], "").clean();
    for _ in 0..2 {
        assert_eq!(run(["run", &program], events).clean().stdout, from_file.stdout);
    }
    assert!(from_file.stdout.contains("\"n\":2") && from_file.stdout.contains("1970"));
}

#[test]
fn a_growing_file_is_followed_through_emptying_and_rotation() {
    let files = Files::new();
    let events = files.write("e.evt", "R { v: 1 }\n");
    let mut running = start(&files, INLINE, &[&events, "--follow"]);
    let mut expect = |v: i64| {
        let line = running.line();
        assert!(line.contains(&format!("\"v\":{v}}}")), "{v}: {line}");
    };
    expect(1);
    let mut writer = std::fs::File::options().append(true).open(&events).unwrap();
    let mut write = |text: &str| writer.write_all(text.as_bytes()).unwrap();
    write("R { v: 2 }\nR { v:");
    expect(2);
    write(" 3 }\n");
    expect(3);
    // Emptied, and shorter than before.
    std::fs::write(&events, "R { v: 4 }\n").unwrap();
    expect(4);
    // Rotated; the last line of the old file has no end.
    std::fs::rename(&events, files.path("e.1")).unwrap();
    std::fs::OpenOptions::new()
        .append(true)
        .open(files.path("e.1"))
        .unwrap()
        .write_all(b"R { v: 5 }")
        .unwrap();
    files.write("e.evt", "R { v: 6 }\n");
    expect(5);
    expect(6);
    running.signal("INT");
    let ran = running.wait().says(130, &["was emptied", "was replaced"]);
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_followed_file_is_gone_on_with_where_the_checkpoint_has_it() {
    let files = Files::new();
    let events = files.write("e.evt", "R { v: 1 }\nR { v: 2 }\n");
    let kept = files.name("kept");
    let arguments = [&events, "--follow", "--checkpoint-dir", &kept, "--checkpoint-events", "1"];
    let start = |arguments: &[&str]| start(&files, INLINE, arguments);
    let expect = |running: &mut Running, v: i64| {
        let line = running.line();
        assert!(line.contains(&format!("\"v\":{v}}}")), "{v}: {line}");
    };
    let mut running = start(&arguments);
    expect(&mut running, 1);
    expect(&mut running, 2);
    running.signal("INT");
    running.wait().says(130, &[]);
    // Added to, and rotated, while nobody looks.
    let append = |name: &str, text: &str| {
        let mut file = std::fs::OpenOptions::new().append(true).open(files.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    append("e.evt", "R { v: 3 }\n");
    std::fs::rename(&events, files.path("e.1")).unwrap();
    files.write("e.evt", "R { v: 4 }\n");
    let mut running = start(&arguments);
    expect(&mut running, 3);
    expect(&mut running, 4);
    append("e.evt", "R { v: 5 }\n");
    expect(&mut running, 5);
    running.signal("INT");
    let ran = running.wait().says(130, &["goes on from checkpoint", "was replaced"]);
    assert_eq!(ran.stdout, "");
    // In the new file, too; then it is emptied.
    append("e.evt", "R { v: 6 }\n");
    let mut running = start(&arguments);
    expect(&mut running, 6);
    running.signal("INT");
    running.wait().says(130, &[]);
    std::fs::write(&events, "R { v: 7 }\n").unwrap();
    let mut running = start(&arguments);
    expect(&mut running, 7);
    running.signal("INT");
    running.wait().says(130, &["is lost, and", "is read from its start"]);
}

#[test]
fn a_followed_file_is_live() {
    let files = Files::new();
    let events = files.write("e.jsonl", "{\"type\":\"R\",\"v\":1}\n");
    let mut running = start(&files, SESSIONS, &["--follow", &events]);
    let line = running.line();
    assert!(line.contains("\"n\":1"), "{line}");
    running.signal("TERM");
    running.wait().says(143, &[]);
}

#[test]
fn bad_lines_of_a_followed_file_have_their_numbers_in_it() {
    let files = Files::new();
    let events = files.write("e.evt", "R { v: 1 }\n");
    let mut running = start(&files, INLINE, &["--follow", &events]);
    running.line();
    std::fs::write(&events, "R { }\nR\n").unwrap();
    running.wait().says(1, &["line 2, column 2"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let files = Files::new();
    let program = files.write("p.vpl", INLINE);
    run(["run", &program, "--follow"], "").says(2, &["--follow needs the file that grows"]);
    run(["run", &program, "-", "--live", "--pace", "realtime"], "").says(2, &["--live", "--pace"]);
    let folder = files.name("");
    run(["run", &program, &folder, "--follow", "--format", "evt"], "").says(2, &["directory"]);
}
