//! `varpin run --listen`: health and metrics of a run over HTTP.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;

use command::{Files, Running, run, varpin};
use serde_json::Value;

const PROGRAM: &str = "context a context b
config b { breaker_failure_rate: 0.5 }
stream A = E.context(a).where(v >= 0)
stream B = A.context(b).partition_by(v).window(2).aggregate(n: count(), v: last(v))
";

/// A run that listens, and where.
fn started(files: &Files, arguments: &[&str]) -> (Running, String) {
    let program = files.write("p.vpl", PROGRAM);
    let told = files.name("stderr");
    let mut command: Command = varpin(["run", &program, "--listen", "0"]);
    command.args(arguments);
    // The address is told on standard error, which is only known as a whole at the end: so it goes to a file.
    let script = format!("exec \"$0\" \"$@\" 2>'{told}'");
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).arg(command.get_program()).args(command.get_args());
    let running = Running::start(shell);
    let at = loop {
        let text = std::fs::read_to_string(&told).unwrap_or_default();
        // A whole line: it may be on its way.
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix("/\n"));
        if let Some(at) = lines.find_map(|line| line.strip_prefix("note: health and metrics at http://")) {
            break at.to_owned();
        }
        std::thread::yield_now();
    };
    (running, at)
}

/// Sends `request` as it is; the head of the answer and what follows it.
fn ask(at: &str, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.to_owned(), body.to_owned())
}

fn get(at: &str, path: &str) -> (u16, String) {
    let (head, body) = ask(at, &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n"));
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body)
}

/// The value of the sample with this name and these labels.
fn sample(text: &str, sample: &str) -> f64 {
    let line = text.lines().find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')));
    let line = line.unwrap_or_else(|| panic!("no {sample} in:\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn health_and_metrics_are_told_while_events_run() {
    let files = Files::new();
    let (mut running, at) = started(&files, &[]);
    running.feed("E { v: 1 }\nE { v: 1 }\nE { v: 2 }\n");
    assert!(running.line().contains(r#""n":2"#));
    assert_eq!(get(&at, "/health/live"), (200, "{\"live\":true}\n".to_owned()));
    assert_eq!(get(&at, "/health/ready"), (200, "{\"ready\":true}\n".to_owned()));
    let (code, body) = get(&at, "/health");
    let health: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((code, &health["status"]), (200, &"up".into()));
    let named = |kind: &str, name: &str| {
        let all = health["components"].as_array().unwrap();
        all.iter().find(|component| component[kind] == name).unwrap_or_else(|| panic!("{health}")).clone()
    };
    assert_eq!(named("context", "a")["activity"], "running");
    assert_eq!(named("context", "b")["breaker"]["state"], "closed");
    assert_eq!(named("sink", "output")["status"], "up");
    // What threads count they publish a little later.
    let text = loop {
        let (code, text) = get(&at, "/metrics");
        assert_eq!(code, 200);
        if sample(&text, r#"varpin_stream_events_total{context="b",stream="B"}"#) == 3.0 {
            break text;
        }
        std::thread::yield_now();
    };
    assert_eq!(sample(&text, "varpin_events_total"), 3.0);
    assert_eq!(sample(&text, "varpin_results_total"), 1.0);
    assert_eq!(sample(&text, "varpin_ready"), 1.0);
    assert_eq!(sample(&text, r#"varpin_stream_keys{context="b",stream="B"}"#), 2.0);
    assert_eq!(sample(&text, r#"varpin_restarts_total{context="a"}"#), 0.0);
    assert_eq!(sample(&text, r#"varpin_breaker_state{kind="context",name="b",state="closed"}"#), 1.0);
    assert_eq!(sample(&text, r#"varpin_ring_capacity_rows{ring="a -> b"}"#), 1024.0);
    let idle = sample(&text, r#"varpin_worker_idle_ratio{worker="a"}"#);
    assert!((0.0..=1.0).contains(&idle), "{idle}");
    running.end_input();
    assert_eq!(running.wait().code, Some(0));
}

/// As strict as the format is, in what of it is used here.
#[test]
fn the_text_is_what_prometheus_reads() {
    let files = Files::new();
    let (mut running, at) = started(&files, &["--latency-sample", "1"]);
    for _ in 0..100 {
        running.feed("E { v: 1 }\nE { v: 1 }\n");
        running.line();
    }
    let (_, text) = get(&at, "/metrics");
    let mut kind = ("", "");
    let (mut families, mut samples) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').unwrap();
            assert!(families.insert(name) && help.ends_with('.'), "{line}");
        } else if let Some(told) = line.strip_prefix("# TYPE ") {
            kind = told.split_once(' ').unwrap();
            assert_eq!(families.len(), families.union(&BTreeSet::from([kind.0])).count(), "help comes first");
            assert_eq!(kind.1 == "counter", kind.0.ends_with("_total"), "{line}");
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            assert!(samples.insert(sample), "{sample} is there twice");
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{line}");
            let name = sample.split('{').next().unwrap();
            let of_summary = ["", "_sum", "_count"].map(|suffix| format!("{}{suffix}", kind.0));
            assert!(name == kind.0 || kind.1 == "summary" && of_summary.contains(&name.to_owned()), "{line}");
        }
    }
    assert!(text.contains("varpin_latency_seconds{quantile=\"0.5\"} "), "{text}");
    assert!(text.contains("varpin_hop_latency_seconds_count{ring=\"a -> b\"} "), "{text}");
    running.end_input();
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn bad_requests_and_slow_clients_harm_nobody() {
    let files = Files::new();
    let (mut running, at) = started(&files, &[]);
    let code = |request: &str| ask(&at, request).0.split(' ').nth(1).unwrap().to_owned();
    assert_eq!(get(&at, "/nothing").0, 404);
    assert_eq!(code("POST /metrics HTTP/1.1\r\n\r\n"), "405");
    assert_eq!(code("good morning\r\n\r\n"), "400");
    let (head, body) = ask(&at, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && body.is_empty(), "{head}");
    // Some that say nothing, fewer than there is room for.
    let silent: Vec<TcpStream> = (0..5).map(|_| TcpStream::connect(&at).unwrap()).collect();
    assert_eq!(get(&at, "/health/live").0, 200);
    // So many that there is no room: whoever comes then is told so, or served, once others are gone.
    let crowd: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&at).unwrap()).collect();
    let mut refused = 0;
    for stream in &crowd {
        let mut line = String::new();
        // Those that are served say nothing, so their connections are closed; in time.
        let _ = BufReader::new(stream).read_line(&mut line);
        refused += usize::from(line.starts_with("HTTP/1.1 503 "));
    }
    assert!(refused >= 20 - 8, "{refused} were refused");
    drop((silent, crowd));
    // As soon as those that left are noticed.
    let is_served = || {
        let mut stream = TcpStream::connect(&at).unwrap();
        let mut answer = String::new();
        // One that is refused may be gone before its request is.
        let asked = stream.write_all(b"GET /health/live HTTP/1.1\r\n\r\n");
        asked.and_then(|()| stream.read_to_string(&mut answer)).is_ok() && answer.starts_with("HTTP/1.1 200 ")
    };
    while !is_served() {
        std::thread::yield_now();
    }
    running.feed("E { v: 1 }\nE { v: 1 }\n");
    running.line();
    running.end_input();
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn an_address_that_is_taken_or_is_none_is_refused_before_anything_runs() {
    let files = Files::new();
    let program = files.write("p.vpl", PROGRAM);
    run(["run", &program, "--listen", "nowhere"], "").says(2, &["an address is 127.0.0.1:PORT"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    run(["run", &program, "--listen", &at], "").says(2, &[&format!("cannot listen at {at}: ")]);
}
