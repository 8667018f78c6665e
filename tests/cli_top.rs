//! What a run tells of itself: `varpin top`, `varpin ctl SOCKET metrics`, and `--stats` with sampled latencies.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::path::Path;

use serde_json::Value;

use command::{Files, Running, run, varpin};

const PROGRAM: &str = "context a
context b
stream Even = Reading.context(a).where(v % 2 == 0).emit(v: v)
stream Big = Even.context(b).where(v >= 10).emit(v: v)
";

fn readings(count: usize) -> String {
    (0..count).map(|v| format!("Reading {{ v: {v} }}\n")).collect::<Vec<_>>().concat()
}

fn metrics(socket: &str) -> Value {
    let answer = run(["ctl", socket, "metrics"], "").clean();
    let answer: Value = serde_json::from_str(&answer.stdout).unwrap();
    answer["metrics"].clone()
}

#[test]
fn a_run_is_watched_while_it_runs() {
    let files = Files::new();
    let (program, socket) = (files.write("p.vpl", PROGRAM), files.name("r.sock"));
    let mut running =
        Running::start(varpin(["run", &program, "-", "--control", &socket, "--latency-sample", "1"]));
    while !Path::new(&socket).exists() {
        std::thread::yield_now();
    }
    running.feed(&readings(100));
    // Each thread tells what it has done as soon as it has nothing to do.
    let told = loop {
        let told = metrics(&socket);
        if told["streams"][1]["rows"] == 45 && told["results"] == 95 {
            break told;
        }
        std::thread::yield_now();
    };
    assert_eq!((&told["events"], &told["streams"][0]["rows"]), (&100.into(), &50.into()));
    assert_eq!(told["workers"].as_array().unwrap().len(), 2);
    assert_eq!(told["latency"]["samples"], 95, "of each result");
    let top = run(["top", &socket, "--once"], "").clean().stdout;
    for word in ["events 100 (", "latency (1/1)", "input -> a", "a -> b", "asleep", "Even", "Big"] {
        assert!(top.contains(word), "{word} is not in:\n{top}");
    }
    running.end_input();
    assert_eq!(running.wait().clean().lines().len(), 95);
    run(["top", &socket], "").says(2, &["cannot ask"]);
}

#[test]
fn statistics_show_threads_rings_and_sampled_latencies() {
    let files = Files::new();
    let (program, json) = (files.write("p.vpl", PROGRAM), files.name("stats.json"));
    let arguments = ["run", &program, "-", "--stats", "--stats-json", &json, "--latency-sample", "1"];
    let ran = run(arguments, &readings(100));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for word in ["busy", "asleep", "input -> a", "b -> output", "hop p50", "latency of 1/1", "in to out"] {
        assert!(ran.stderr.contains(word), "{word} is not in:\n{}", ran.stderr);
    }
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    let told = &stats["metrics"];
    assert_eq!(
        (&told["events"], &told["results"], &told["latency_sample"]),
        (&100.into(), &95.into(), &1.into())
    );
    assert_eq!(told["latency"]["samples"], 95);
    for ring in told["rings"].as_array().unwrap() {
        assert!(ring["high_water"].as_u64() <= ring["capacity"].as_u64(), "{ring}");
        assert!(ring["hop"]["samples"].as_u64() > Some(0), "{ring}");
    }
}
