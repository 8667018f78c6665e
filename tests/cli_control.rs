//! `varpin run --control` and `varpin ctl`: a run is told something while it runs.
#![cfg(feature = "cli")]

mod command;

use std::path::Path;

use command::{Files, Running, run, varpin};

const PROGRAM: &str = "context c
stream Counts = Reading
    .context(c)
    .partition_by(key)
    .concurrent(workers: 1)
    .window(2)
    .aggregate(key: last(key), sum: sum(v))
";

fn started(files: &Files) -> (Running, String) {
    let program = files.write("p.vpl", PROGRAM);
    let socket = files.name("control.sock");
    let running =
        Running::start(varpin(["run", &program, "-", "--order", "deterministic", "--control", &socket]));
    while !Path::new(&socket).exists() {
        std::thread::yield_now();
    }
    (running, socket)
}

fn readings(from: usize) -> String {
    let line = |n: usize| format!("Reading {{ key: {}, v: {n} }}\n", n % 10);
    (from..from + 20).map(line).collect::<Vec<_>>().concat()
}

/// Windows that were half full when their keys moved are completed where these went.
#[test]
fn a_pool_resized_in_mid_run_completes_what_it_had_begun() {
    let files = Files::new();
    let (mut running, socket) = started(&files);
    running.feed(&readings(0)[..readings(0).len() / 2]);
    let answer = run(["ctl", &socket, "resize", "c", "Counts", "3"], "").clean();
    assert!(answer.stdout.contains(r#""ok":true"#), "{}", answer.stdout);
    running.feed(&readings(0)[readings(0).len() / 2..]);
    let answer = run(["ctl", &socket, "resize", "c", "Counts", "2"], "").clean();
    assert_eq!(answer.code, Some(0));
    let pools = run(["ctl", &socket, "pools"], "").clean();
    assert!(pools.stdout.contains(r#""workers":2"#), "{}", pools.stdout);
    running.feed(&readings(20));
    running.end_input();
    let ran = running.wait().clean();
    let sums: Vec<String> =
        ran.lines().iter().map(|line| line[line.find("data").unwrap()..].to_owned()).collect();
    let expected = |first: usize, key: usize| {
        let sum = first + key + first + key + 10;
        format!("data\":{{\"key\":{key},\"sum\":{sum}}}}}")
    };
    let wanted: Vec<String> =
        (0..10).map(|key| expected(0, key)).chain((0..10).map(|key| expected(20, key))).collect();
    assert_eq!(sums, wanted);
    assert!(!Path::new(&socket).exists(), "the socket goes with the run");
}

#[test]
fn what_cannot_be_done_is_said_with_the_reason() {
    let files = Files::new();
    let (mut running, socket) = started(&files);
    run(["ctl", &socket, "resize", "c", "Nobody", "2"], "").says(1, &["no stream Nobody"]);
    run(["ctl", &socket, "resize", "d", "Counts", "2"], "").says(1, &["runs in context c, not in d"]);
    run(["ctl", &socket, "resize", "c", "Counts", "1000"], "").says(1, &["1 to 256 workers, not 1000"]);
    running.end_input();
    running.wait().clean();
    run(["ctl", &socket, "pools"], "").says(2, &["cannot ask"]);
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let files = Files::new();
    let program = files.write("p.vpl", PROGRAM);
    let file = files.write("precious.txt", "precious");
    run(["run", &program, "--control", &file], "").says(2, &["is no socket"]);
    assert_eq!(files.read("precious.txt"), "precious");
}
