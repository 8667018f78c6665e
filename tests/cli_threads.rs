//! `varpin run` and threads: none without contexts, one for each context, and not an event lost or doubled between them.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::fmt::Write;
use std::time::Instant;

use command::{Files, Ran, Running, run, varpin};

fn numbered(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        writeln!(text, "@{number} R {{ n: {number} }}").unwrap();
    }
    text
}

fn contexts(count: usize) -> String {
    let mut text = String::new();
    for at in 0..count {
        writeln!(text, "context c{at}").unwrap();
    }
    text
}

/// `count` contexts in a row, each passing on what it gets.
fn pipeline(count: usize) -> String {
    let mut text = contexts(count);
    let mut source = "R".to_owned();
    for at in 0..count - 1 {
        writeln!(text, "stream S{at} = {source}.context(c{at}).where(n >= 0)").unwrap();
        source = format!("S{at}");
    }
    writeln!(text, "stream Last = {source}.context(c{}).emit(n: n)", count - 1).unwrap();
    text
}

/// Each number from 0 to `count` exactly once, and in order.
#[track_caller]
fn has_each_once(ran: &Ran, count: usize) {
    let mut next = 0;
    for line in ran.stdout.lines() {
        let (_, number) = line.split_once("\"n\":").unwrap();
        assert_eq!(number.trim_end_matches('}').parse::<usize>().unwrap(), next, "after {next} results");
        next += 1;
    }
    assert_eq!(next, count);
}

fn run_pipeline(contexts: usize, events: usize, options: &[&str]) {
    let files = Files::new();
    let program = files.write("p.vpl", &pipeline(contexts));
    let input = files.write("e.evt", &numbered(events));
    let ran = run(["run", &program, &input].iter().chain(options), "").clean();
    has_each_once(&ran, events);
}

#[test]
fn a_million_events_through_three_contexts_come_out_once() {
    run_pipeline(3, 1_000_000, &[]);
}

#[test]
fn events_through_rings_of_one_slot_come_out_once() {
    run_pipeline(3, 50_000, &["--capacity", "1"]);
}

#[test]
fn events_through_eight_contexts_come_out_once_in_every_order_and_however_threads_wait() {
    for order in ["arrival", "timestamp", "deterministic"] {
        run_pipeline(8, 100_000, &["--order", order]);
    }
    for idle in ["yield", "backoff", "park"] {
        run_pipeline(8, 20_000, &["--idle", idle]);
    }
    run_pipeline(8, 2_000, &["--capacity", "1", "--order", "deterministic"]);
}

#[test]
fn eight_contexts_that_all_take_the_input_lose_nothing() {
    let mut text = contexts(8);
    for at in 0..8 {
        writeln!(text, "stream S{at} = R.context(c{at}).where(n % 8 == {at}).emit(n: n)").unwrap();
    }
    let files = Files::new();
    let program = files.write("p.vpl", &text);
    let input = files.write("e.evt", &numbered(50_000));
    let ran = run(["run", &program, &input, "--order", "deterministic"], "").clean();
    has_each_once(&ran, 50_000);
}

#[test]
fn without_contexts_there_is_one_thread() {
    let files = Files::new();
    let program =
        files.write("p.vpl", "stream S = R.window(3).aggregate(n: sum(n))\nstream T = R.emit(n: n)\n");
    let mut running = Running::start(varpin(["run", &program]));
    running.feed("R { n: 1 }\n");
    running.line();
    assert_eq!(running.threads(), ["varpin"]);
}

#[test]
fn without_contexts_there_is_one_thread_while_a_file_is_read() {
    let files = Files::new();
    let program = files.write("p.vpl", "stream S = R.emit(n: n)\n");
    let input = files.write("e.evt", &numbered(300_000));
    let mut running = Running::start(varpin(["run", &program, &input]));
    running.line();
    // Nobody takes the other lines now, so it stands still in the middle.
    assert_eq!(running.threads(), ["varpin"]);
    let ran = running.wait().clean();
    assert_eq!(ran.lines().len(), 299_999);
}

#[test]
fn each_context_has_a_thread_of_its_name() {
    let files = Files::new();
    let program = files.write(
        "p.vpl",
        &std::fs::read_to_string(command::repository().join("examples/seed_contexts.vpl")).unwrap(),
    );
    let mut running = Running::start(varpin(["run", &program]));
    running.feed("@1s Sensor { data: \"x\", value: 1.0 }\n");
    running.line();
    let start = Instant::now();
    // A thread gets its name a moment after it was started.
    while running.threads() != ["alert", "analyze", "ingest", "varpin"] {
        assert!(start.elapsed() < command::LIMIT, "{:?}", running.threads());
        std::thread::yield_now();
    }
    running.stdin = None;
    // Two warnings about the program, and those about CPUs that the machine does not have.
    running.wait().says(0, &["value", "alert"]);
}

#[test]
fn strict_pinning_fails_naming_context_and_cpu() {
    let files = Files::new();
    let program =
        files.write("p.vpl", "context work (cores: [4000])\nstream S = R.context(work).emit(n: n)\n");
    run(["run", &program, "--pin", "strict"], "R { n: 1 }").says(2, &["error", "work", "CPU 4000"]);
    let ran = run(["run", &program], "R { n: 1 }").says(0, &["warning", "work", "CPU 4000"]);
    assert_eq!(ran.lines().len(), 1);
    let ran = run(["run", &program, "--pin", "off"], "R { n: 1 }").clean();
    assert_eq!(ran.lines().len(), 1);
}

#[test]
fn a_context_with_a_cpu_is_pinned_to_it() {
    let files = Files::new();
    let allowed = varpin::cores::allowed_cpus().unwrap();
    let cpu = (0..1024).find(|&cpu| allowed.contains(cpu)).unwrap();
    let program = files
        .write("p.vpl", &format!("context work (cores: [{cpu}])\nstream S = R.context(work).emit(n: n)\n"));
    let ran = run(["run", &program, "--pin", "strict", "--stats"], "R { n: 1 }").says(0, &[]);
    let pinned = |line: &str| line.split_whitespace().take(2).eq(["work", &cpu.to_string()]);
    assert!(ran.stderr.lines().any(pinned), "{}", ran.stderr);
}
