//! `varpin bench`: what it prints and writes, and that its latencies are honest. No figure is compared with a fixed time: what a
//! stall must show is compared with the stall itself.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use command::{Files, Ran, repository, run};

/// The options of a short run. On a machine under load it may miss its rate.
const SHORT: [&str; 4] = ["--duration", "200ms", "--warmup", "20ms"];

fn bench(arguments: &[&str]) -> Ran {
    let ran = run(std::iter::once("bench").chain(arguments.iter().copied()), "");
    assert!(matches!(ran.code, Some(0 | 3)), "{:?}: {}", ran.code, ran.stderr);
    ran
}

fn report(arguments: &[&str]) -> Value {
    let ran = bench(&[arguments, &["--json"]].concat());
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(ran.code == Some(3), report["failed"] == true, "exit code and report agree");
    report
}

/// Events that were due in the run are `rate` times its length; on a busy machine not all of them may have been sent.
fn ns(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no time"))
}

const STALL_NS: u64 = 50_000_000;

#[test]
fn a_stall_of_the_receiver_shows_in_the_open_loop_and_in_the_plot() {
    let files = Files::new();
    let svg = files.name("stall.svg");
    let arguments = ["hop", "--rate", "20000", "--duration", "1s", "--warmup", "100ms", "--stall", "50ms"];
    let report = report(&[&arguments[..], &["--svg", &svg]].concat());
    let latency = &report["runs"][0]["latency"];
    // 5 % of all events are due while the receiver stands still, and half of those wait for at least half of it.
    assert!(ns(&latency["percentiles_ns"]["p99.9"]) >= STALL_NS / 2, "{latency}");
    assert!(ns(&latency["max_ns"]) >= STALL_NS - STALL_NS / 100, "{latency}");
    // It comes in the middle of the second.
    let over_time = report["runs"][0]["over_time"]["max_ns"].as_array().unwrap();
    assert_eq!(over_time.len(), 50);
    let from_then_on = over_time[24..].iter().filter_map(Value::as_u64).max();
    assert!(from_then_on >= Some(STALL_NS - STALL_NS / 100), "{over_time:?}");
    // The axes of both drawings end above the stall.
    let drawing = std::fs::read_to_string(&svg).unwrap();
    assert!(["\n100 ms\n", "\n1 s\n", "\n10 s\n"].iter().any(|label| drawing.contains(label)), "{drawing}");
}

/// The tooth of the test above: a closed loop meets the stall with a single item, so there it can't show.
#[test]
fn a_closed_loop_hides_the_same_stall() {
    let report =
        report(&["hop", "--rate", "max", "--duration", "1s", "--warmup", "100ms", "--stall", "50ms"]);
    let latency = &report["runs"][0]["latency"];
    assert!(ns(&latency["max_ns"]) >= STALL_NS / 2 - STALL_NS / 100, "half of one round trip: {latency}");
    // In a second there is time for 20 such trips: with so many others they can't make a thousandth.
    if ns(&latency["samples"]) > 30_000 {
        assert!(ns(&latency["percentiles_ns"]["p99.9"]) < STALL_NS / 2, "{latency}");
    }
}

#[test]
fn a_stall_of_whoever_takes_results_shows_in_a_pipeline() {
    let arguments = ["pipeline", "--contexts", "1", "--rate", "5000", "--duration", "1s", "--stall", "50ms"];
    let report = report(&[&arguments[..], &["--warmup", "100ms"]].concat());
    let run = &report["runs"][0];
    assert!(ns(&run["latency"]["percentiles_ns"]["p99"]) >= STALL_NS / 4, "{run}");
    assert_eq!(run["results"], run["events"], "every event has its result");
}

#[test]
fn every_kind_of_run_reports_what_its_description_says() {
    let files = Files::new();
    let program = files.write(
        "p.vpl",
        "event R:\n    v: int\ncontext a\ncontext b\nstream A = R.context(a).emit(v: v)\nstream B = A.context(b).where(v >= 0).emit(v: v)\n",
    );
    let inline = files.write("i.vpl", "stream A = R.where(v > 1).emit(v: v)\n");
    let events = files.write("e.evt", "R { v: 1 }\nR { v: 2 }\nR { v: 3 }\n");
    let runs: [&[&str]; 8] = [
        &["hop", "--rate", "5k"],
        &["hop", "--rate", "max", "--payload", "64", "--idle", "yield"],
        &["throughput", "--rate", "max,10k", "--batch", "16"],
        &["throughput", "--rate", "max", "--pin", "off", "--idle", "backoff"],
        &["pipeline", "--contexts", "2", "--rate", "1k,max"],
        &["program", &program, "--rate", "1k", "--idle", "park"],
        &["program", &inline, &events, "--rate", "1k"],
        &["program", &inline, &events, "--rate", "max"],
    ];
    let mut members = BTreeSet::new();
    for arguments in runs {
        let report = report(&[arguments, &SHORT].concat());
        for run in report["runs"].as_array().unwrap() {
            assert!(ns(&run["events"]) > 0, "{arguments:?}: {run}");
            assert!(ns(&run["latency"]["samples"]) > 0, "{arguments:?}: {run}");
            assert!(ns(&run["latency"]["samples"]) <= ns(&run["results"]), "{arguments:?}: {run}");
            let percentiles = run["latency"]["percentiles_ns"].as_object().unwrap();
            let known: Vec<u64> = percentiles.values().filter_map(Value::as_u64).collect();
            assert!(known.is_sorted(), "{arguments:?}: {known:?}");
            let few = ns(&run["latency"]["samples"]) < 10_000_000;
            assert_eq!(percentiles["p99.9999"].is_null(), few, "{arguments:?}");
        }
        collect(&report, "", &mut members);
    }
    // The schema in the documentation is that of the report.
    let described: BTreeSet<String> = schema().into_iter().collect();
    assert_eq!(described, members);
}

/// The paths of all members that the documentation describes on their own.
fn collect(value: &Value, path: &str, members: &mut BTreeSet<String>) {
    const WHOLE: [&str; 3] = ["machine", "runs[].times_floor", "settings.threads"];
    match value {
        Value::Object(object) if !WHOLE.contains(&path) && !object.contains_key("percentiles_ns") => {
            for (name, value) in object {
                let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(value, &below, members);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            if path == "runs" {
                members.insert(path.to_owned());
            }
            for item in items {
                collect(item, &format!("{path}[]"), members);
            }
        }
        // Two threads that have no CPUs of their own have no floor.
        Value::Null if path == "floor" => {
            members.extend(["floor.cpus", "floor.one_way", "floor.hops"].map(str::to_owned));
        }
        // A list of distributions is described as a whole.
        _ => {
            members.insert(path.strip_suffix("[]").unwrap_or(path).to_owned());
        }
    }
}

fn schema() -> Vec<String> {
    let text = std::fs::read_to_string(repository().join("docs/bench.md")).unwrap();
    let (_, table) = text.split_once("| member | meaning |").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    rows.flat_map(|cell| cell.trim_end_matches('`').split("`, `").map(str::to_owned)).collect()
}

#[test]
fn a_rate_that_cannot_be_kept_up_fails() {
    let arguments = ["hop", "--rate", "1000000000", "--json"];
    let ran = run(["bench"].into_iter().chain(arguments).chain(SHORT), "");
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["failed"], &report["runs"][0]["failed"]), (&Value::Bool(true), &Value::Bool(true)));
    let ran = run(["bench", "hop", "--rate", "1000000000"].into_iter().chain(SHORT), "");
    assert!(ran.stdout.contains("FAILED"), "{}", ran.stdout);
}

#[test]
fn people_get_a_table() {
    let ran = bench(&[&["hop", "--rate", "5k,max"], &SHORT[..]].concat());
    for word in ["machine", "5,000/s", "p99.9999", "n/a", "empty loop", "due to when", "round trip"] {
        assert!(ran.stdout.contains(word), "{word} is not in:\n{}", ran.stdout);
    }
}

#[test]
fn distributions_are_written_for_each_rate_and_drawn_together() {
    let files = Files::new();
    let (hgrm, hlog, svg) = (files.name("d.hgrm"), files.name("d.hlog"), files.name("d.svg"));
    let options = ["--hgrm", &hgrm, "--hlog", &hlog, "--svg", &svg];
    bench(&[&["hop", "--rate", "2k,4k"], &SHORT[..], &options].concat());
    let log = std::fs::read_to_string(&hlog).unwrap();
    for rate in ["2000", "4000"] {
        assert_eq!(log.lines().filter(|line| line.starts_with(&format!("Tag={rate},"))).count(), 50);
        assert!(Path::new(&files.name(&format!("d-{rate}.hgrm"))).exists());
    }
    assert!(std::fs::read_to_string(&svg).unwrap().contains("4,000/s"));
    let (slow, fast) = (files.name("d-2000.hgrm"), files.name("d-4000.hgrm"));
    let both = files.name("both.svg");
    run(["bench", "plot", &format!("slow={slow}"), &fast, "--svg", &both], "").clean();
    let drawing = std::fs::read_to_string(&both).unwrap();
    assert!(drawing.contains("slow") && drawing.contains("d-4000"), "{drawing}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_its_reason() {
    let files = Files::new();
    let undeclared = files.write("u.vpl", "stream A = R.emit(v: v)\n");
    let bad = files.write("bad.evt", "R { v: 1\n");
    let empty = files.write("empty.evt", "\n");
    let cases: [(&[&str], i32, &str); 11] = [
        (&["hop", "--rate", "fast"], 2, "events a second"),
        (&["hop", "--duration", "0s"], 2, "no time"),
        (&["hop", "--stall", "2s"], 2, "shorter"),
        (&["hop", "--cpus", "0"], 2, "2 threads need"),
        (&["hop", "--cpus", "0,0"], 2, "twice"),
        (&["hop", "--payload", "9"], 1, "known are 8, 16"),
        (&["pipeline", "--payload", "20"], 2, "16 each"),
        (&["pipeline", "--contexts", "0"], 2, "1 to 64"),
        (&["program", &undeclared], 1, "give a file of events"),
        (&["program", &undeclared, &bad], 1, "bad.evt"),
        (&["program", &undeclared, &empty], 1, "no event"),
    ];
    for (arguments, code, words) in cases {
        run(["bench"].into_iter().chain(arguments.iter().copied()), "").says(code, &[words]);
    }
    let plot = ["bench", "plot", &empty, "--svg", &files.name("x.svg")];
    run(plot, "").says(2, &["empty.evt", "no percentile"]);
}
