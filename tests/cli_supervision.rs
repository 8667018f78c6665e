//! Supervision of the real command: faults on purpose, and what becomes of them. Needs the feature `faults`.
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::thread;
use std::time::Duration;

use command::{Files, Ran, Running, run, varpin};
use serde_json::Value;

/// Contexts a, b and c, one behind the other; `config` are blocks to go with them.
fn three_in_a_row(config: &str) -> String {
    format!(
        "context a context b context c
{config}
stream A = E.context(a).where(id >= 0)
stream B = A.context(b).where(id >= 0)
stream C = B.context(c).emit(id: id, key: key)
"
    )
}

fn numbered(count: usize) -> String {
    let mut text = String::new();
    for id in 0..count {
        writeln!(text, "@{id} E {{ id: {id}, key: {} }}", id % 7).unwrap();
    }
    text
}

const RESTARTS: &str = "restart: on_failure, max_restarts: 100000, restart_window: 30d, backoff_min: 0ms, \
                        backoff_max: 1ms, max_attempts: 1";

/// How a run went: what it printed, and the files that it wrote.
struct Outcome {
    ran: Ran,
    letters: Vec<Value>,
    events: Vec<Value>,
    stats: Value,
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn outcome(program: &str, input: &str, options: &[&str]) -> Outcome {
    let files = Files::new();
    let (program, events) = (files.write("p.vpl", program), files.write("e.evt", input));
    let (letters, told, stats) = (files.name("letters"), files.name("told"), files.name("stats"));
    let arguments =
        ["run", &program, &events, "--dead-letters", &letters, "--events", &told, "--stats-json", &stats];
    let ran = run(arguments.iter().chain(options), "");
    let stats = std::fs::read_to_string(stats).unwrap_or_default();
    Outcome {
        letters: lines(&std::fs::read_to_string(letters).unwrap_or_default()),
        events: lines(&std::fs::read_to_string(told).unwrap_or_default()),
        stats: serde_json::from_str(&stats).unwrap_or_default(),
        ran,
    }
}

impl Outcome {
    /// The ids of the results, in order.
    fn ids(&self) -> Vec<u64> {
        self.ran.lines().iter().map(|line| id(&serde_json::from_str(line).unwrap())).collect()
    }

    /// The ids of the dead letters of one kind.
    fn letter_ids(&self, kind: &str) -> Vec<u64> {
        let of_kind = self.letters.iter().filter(|letter| letter["kind"] == kind);
        of_kind
            .map(|letter| id(if kind == "failed_result" { &letter["result"] } else { &letter["event"] }))
            .collect()
    }

    /// The names of what was told of one context or sink, in order.
    fn told(&self, kind: &str, name: &str) -> Vec<&str> {
        let of = self.events.iter().filter(|event| event[kind] == name);
        of.map(|event| event["event"].as_str().unwrap()).collect()
    }

    fn context(&self, name: &str) -> &Value {
        self.stats["contexts"].as_array().unwrap().iter().find(|context| context["context"] == name).unwrap()
    }
}

fn id(event: &Value) -> u64 {
    event["data"]["id"].as_u64().unwrap_or_else(|| panic!("no id: {event}"))
}

#[test]
fn a_million_events_through_a_panicking_context_and_a_failing_sink_are_all_accounted_for() {
    const COUNT: usize = 1_000_000;
    let config = format!(
        "config b {{ {RESTARTS} }}
config output {{ max_attempts: 2, breaker_open: dead_letter, backoff_min: 0ms, backoff_max: 1ms }}"
    );
    let faults = ["--fault", "panic:stream=B,every=10000", "--fault", "sink-fail:rate=0.3,seed=7"];
    let outcome = outcome(&three_in_a_row(&config), &numbered(COUNT), &faults);
    assert_eq!((outcome.ran.code, outcome.ran.stderr.as_str()), (Some(0), ""));
    let (results, poison, unwritten) =
        (outcome.ids(), outcome.letter_ids("failed_event"), outcome.letter_ids("failed_result"));
    assert!(results.is_sorted(), "order holds");
    assert_eq!(results.len() + poison.len() + unwritten.len(), COUNT);
    let all: BTreeSet<u64> = results.iter().chain(&poison).chain(&unwritten).copied().collect();
    assert_eq!(all.len(), COUNT, "none twice, none lost");
    // Every 10,000th event, each tried twice.
    assert_eq!(poison, (1..=100).map(|nth| nth * 10_000 - 1).collect::<Vec<_>>());
    let failed = outcome.letters.iter().filter(|letter| letter["kind"] == "failed_event");
    for letter in failed {
        assert_eq!((&letter["attempts"], &letter["stream"]), (&2.into(), &"B".into()));
        assert!(letter["error"].as_str().unwrap().contains("injected panic"), "{letter}");
    }
    assert_eq!(outcome.context("b")["restarts"], 200);
    assert!(outcome.stats["rejected"]["failures"].as_u64().unwrap() > 10);
}

#[test]
fn what_fails_once_and_then_succeeds_changes_no_byte_of_the_output() {
    // Rounds are collected behind the diamond, and rows of several rings are merged.
    let program = |config: &str| {
        format!(
            "context a context b context c context d
{config}
config engine {{ order: deterministic }}
stream A = E.context(a).where(id % 3 != 1)
stream B = A.context(b).select(id: id, by: \"b\")
stream C = A.context(c).select(id: id, by: \"c\").process(twice(id))
stream Both = merge(B, C, E).context(d).emit(id: id, by: by)
stream Odd = Both.context(d).where(id % 2 == 1).emit(odd: id)
fn twice(id: int):
    emit C(id: id, by: \"c1\")
    emit C(id: id, by: \"c2\")
"
        )
    };
    let config: String =
        ["a", "b", "c", "d"].map(|name| format!("config {name} {{ {RESTARTS} }}\n")).concat();
    let input = numbered(2_000);
    let undisturbed = outcome(&program(""), &input, &[]);
    assert_eq!(undisturbed.ran.code, Some(0), "{}", undisturbed.ran.stderr);
    for streams in [&["A"][..], &["B", "C"], &["Both"], &["Odd"], &["A", "B", "C", "Both", "Odd"]] {
        for capacity in ["1", "64"] {
            // No event is struck twice: it would have used up its attempts.
            let faults = streams.iter().zip([37, 41, 43, 47, 53]);
            let faults = faults.map(|(stream, every)| format!("panic:stream={stream},every={every},heals=1"));
            let faults: Vec<String> = faults.flat_map(|fault| ["--fault".to_owned(), fault]).collect();
            let options: Vec<&str> =
                faults.iter().map(String::as_str).chain(["--capacity", capacity, "--idle", "park"]).collect();
            let disturbed = outcome(&program(&config), &input, &options);
            assert_eq!(disturbed.ran.code, Some(0), "{}", disturbed.ran.stderr);
            assert_eq!(disturbed.letters.len(), 0);
            assert!(
                disturbed.stats["contexts"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|context| context["restarts"] != 0)
            );
            assert_eq!(disturbed.ran.stdout, undisturbed.ran.stdout, "{streams:?}, capacity {capacity}");
        }
    }
}

#[test]
fn rest_for_one_restarts_the_failed_context_and_those_behind_it() {
    let behind = ["started", "restarting", "restarted", "ended"];
    let failed = ["started", "failed", "restarting", "restarted", "ended"];
    let left_alone = ["started", "ended"];
    for (strategy, expected) in [
        ("one_for_one", [&left_alone[..], &failed, &left_alone]),
        ("rest_for_one", [&left_alone[..], &failed, &behind]),
        ("one_for_all", [&behind[..], &failed, &behind]),
    ] {
        let config = format!("config b {{ {RESTARTS} }} config engine {{ strategy: {strategy} }}");
        let files = Files::new();
        let program = files.write("p.vpl", &three_in_a_row(&config));
        let told = files.name("told");
        let fault = "panic:stream=B,every=500,times=1";
        let mut running = Running::start(varpin(["run", &program, "--events", &told, "--fault", fault]));
        running.feed(&numbered(1000));
        for id in 0..1000 {
            let line = running.line();
            assert!(line.contains(&format!("\"id\":{id},")), "{line}");
        }
        // All of them are still there, so that nobody has ended before.
        drop(running.stdin.take());
        running.wait().clean();
        let outcome = Outcome {
            ran: Ran { code: Some(0), stdout: String::new(), stderr: String::new() },
            letters: Vec::new(),
            events: lines(&files.read("told")),
            stats: Value::Null,
        };
        for (name, expected) in ["a", "b", "c"].iter().zip(expected) {
            assert_eq!(outcome.told("context", name), expected, "{strategy}: {name}");
        }
    }
}

/// The workers of a pool are supervised each by itself, by what their context declares.
#[test]
fn workers_of_pools_are_restarted_one_by_one_and_lose_nothing_that_is_queued() {
    const COUNT: usize = 20_000;
    let program = |config: &str| {
        format!(
            "context c
config c {{ {RESTARTS} }}
{config}
stream P = E.context(c).partition_by(key).concurrent(workers: 3).where(id >= 0).emit(id: id, key: key)"
        )
    };
    // Each worker counts its own events.
    let faults = ["panic:stream=P,worker=0,every=1000", "panic:stream=P,worker=2,every=1500"];
    let fault = ["--fault", faults[0], "--fault", faults[1], "--order", "deterministic"];
    let outcome = outcome(&program(""), &numbered(COUNT), &fault);
    assert_eq!((outcome.ran.code, outcome.ran.stderr.as_str()), (Some(0), ""));
    let (results, letters) = (outcome.ids(), outcome.letter_ids("failed_event"));
    assert!(results.is_sorted(), "order holds");
    let all: BTreeSet<u64> = results.iter().chain(&letters).copied().collect();
    assert_eq!((results.len() + letters.len(), all.len()), (COUNT, COUNT), "none twice, none lost");
    assert!(letters.len() >= 5, "{letters:?}");
    let restarts: Vec<(String, u64)> = outcome.stats["contexts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|thread| (thread["context"].as_str().unwrap().to_owned(), thread["restarts"].as_u64().unwrap()))
        .collect();
    let total: u64 = restarts.iter().map(|(_, restarts)| restarts).sum();
    assert_eq!(total, 2 * letters.len() as u64, "{restarts:?}");
    let struck: Vec<&str> =
        restarts.iter().filter(|(_, restarts)| *restarts > 0).map(|(name, _)| name.as_str()).collect();
    assert_eq!(struck, ["P#0", "P#2"]);
    for (name, restarts) in &restarts {
        let told = outcome.told("context", name);
        assert_eq!(told.iter().filter(|told| **told == "restarted").count() as u64, *restarts, "{name}");
    }
}

#[test]
fn a_failing_context_escalates_with_one_readable_message() {
    let config = "config b { restart: on_failure, max_restarts: 3, backoff_min: 1ms, backoff_max: 2ms, max_attempts: 99 }";
    let outcome = outcome(&three_in_a_row(config), &numbered(1000), &["--fault", "panic:stream=B,every=100"]);
    assert_eq!(outcome.ran.code, Some(70), "{}", outcome.ran.stderr);
    let message = "error: context b failed again after 3 restarts within 10s, which are all that are allowed; the last \
                   failure: stream B, .where: injected panic (at ";
    assert!(outcome.ran.stderr.starts_with(message), "{}", outcome.ran.stderr);
    assert_eq!(outcome.ran.stderr.lines().count(), 1, "{}", outcome.ran.stderr);
    assert_eq!(outcome.ids(), (0..99).collect::<Vec<_>>(), "what was in front of it is delivered");
    let told = outcome.told("context", "b");
    assert_eq!(told.iter().filter(|name| **name == "failed").count(), 4);
    assert_eq!(told.last(), Some(&"escalated"));
}

#[test]
fn never_ends_at_the_first_failure() {
    for config in ["config b { restart: never, stall_after: 5s }", ""] {
        let outcome =
            outcome(&three_in_a_row(config), &numbered(100), &["--fault", "panic:stream=B,every=50"]);
        assert_eq!(outcome.ran.code, Some(70), "{}", outcome.ran.stderr);
        assert_eq!(outcome.told("context", "b"), ["started", "failed", "escalated"]);
        assert_eq!(outcome.ids(), (0..49).collect::<Vec<_>>());
    }
}

#[test]
fn always_restarts_a_context_that_ended_of_its_own_accord() {
    let fault = ["--fault", "exit:stream=B,every=100"];
    let config = format!("config b {{ {RESTARTS} }}");
    let always = outcome(&three_in_a_row(&config.replace("on_failure", "always")), &numbered(1000), &fault);
    assert_eq!((always.ran.code, always.ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(always.ids(), (0..1000).collect::<Vec<_>>());
    assert_eq!(always.context("b")["restarts"], 10);
    // Without that it stays ended; what it had is delivered, the rest is left on its ring.
    let files = Files::new();
    let (program, events) =
        (files.write("p.vpl", &three_in_a_row(&config)), files.write("e.evt", &numbered(150)));
    let ran = run(["run", &program, &events].iter().chain(&fault), "");
    assert_eq!(ran.lines().len(), 100, "{}", ran.stderr);
}

#[test]
fn on_error_fail_is_a_failure_like_any_other_where_the_context_is_supervised() {
    let program = format!(
        "context b config b {{ {RESTARTS} }}
stream B = E.context(b).emit(id: id).on_error(fail)"
    );
    let outcome = outcome(&program, &numbered(100), &["--fault", "error:stream=B,every=10"]);
    assert_eq!((outcome.ran.code, outcome.ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.letter_ids("failed_event"), (1..=10).map(|nth| nth * 10 - 1).collect::<Vec<_>>());
    assert_eq!(outcome.ids().len(), 90);
    assert_eq!(outcome.letters[0]["attempts"], 2);
}

#[test]
fn lost_state_is_told_and_counted() {
    let program = format!(
        "context b config b {{ {RESTARTS} }}
stream B = E.context(b).partition_by(key).window(1000).aggregate(n: count(), id: last(id))"
    );
    let outcome = outcome(&program, &numbered(100), &["--fault", "panic:stream=B,every=50,times=1"]);
    assert_eq!(outcome.ran.code, Some(0), "{}", outcome.ran.stderr);
    let lost = &outcome.context("b")["lost"][0];
    assert_eq!((&lost["stream"], &lost["keys"]), (&"B".into(), &7.into()));
    let mut keys: Vec<i64> = lost["example_keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_str().unwrap().parse().unwrap())
        .collect();
    keys.sort_unstable();
    assert_eq!(keys, [0, 1, 2, 3, 4, 5, 6]);
    let restarted = outcome.events.iter().find(|event| event["event"] == "restarted").unwrap();
    assert_eq!(restarted["lost"][0]["keys"], 7);
    let counted: i64 =
        outcome.ran.lines().iter().map(|line| lines(line)[0]["data"]["n"].as_i64().unwrap()).sum();
    assert_eq!(counted, 51, "those before the failure are gone with the state");
}

#[test]
fn no_dead_letter_is_lost_where_they_are_kept_in_a_file() {
    let outcome = outcome(&three_in_a_row(""), &numbered(50_000), &["--fault", "error:stream=B"]);
    assert_eq!(outcome.ran.code, Some(0), "{}", outcome.ran.stderr);
    assert_eq!(outcome.letter_ids("failed_event"), (0..50_000).collect::<Vec<_>>());
    assert_eq!(outcome.stats["dead_letters_dropped"], 0);
}

#[test]
fn a_breaker_of_a_context_holds_dead_letters_or_drops() {
    let all = 3_000;
    for policy in ["hold", "dead_letter", "drop"] {
        let config = format!(
            "config b {{ breaker_failure_rate: 0.5, breaker_min_calls: 10, breaker_window: 20, breaker_open_for: 20ms,
                         breaker_probes: 2, breaker_open: {policy} }}"
        );
        for order in ["timestamp", "deterministic"] {
            // The first fifty events fail, whenever they are tried; the others don't.
            let options = ["--fault", "error:stream=B,times=50", "--order", order];
            let outcome = outcome(&three_in_a_row(&config), &numbered(all), &options);
            assert_eq!((outcome.ran.code, outcome.ran.stderr.as_str()), (Some(0), ""), "{policy}");
            let breaker = &outcome.context("b")["breaker"];
            let (results, letters) = (outcome.ids(), outcome.letter_ids("failed_event"));
            let dropped = breaker["dropped"].as_u64().unwrap() as usize;
            assert_eq!(results.len() + letters.len() + dropped, all, "{policy} {order}");
            assert!(results.is_sorted());
            let told = outcome.told("context", "b");
            assert!(told.starts_with(&["started", "breaker_opened"]), "{policy}: {told:?}");
            let refused = outcome.letters.iter().filter(|letter| letter["operator"] == "breaker").count();
            match policy {
                "hold" => {
                    assert_eq!((letters.len(), dropped, refused), (50, 0, 0));
                    // Ten failures open it; then two probes fail each time, until the fault is used up.
                    assert_eq!((&breaker["opened"], &breaker["held"]), (&21.into(), &21.into()));
                    assert_eq!(told.last(), Some(&"ended"));
                    assert!(told.contains(&"breaker_closed"));
                }
                "dead_letter" => {
                    assert_eq!(dropped, 0);
                    assert_eq!(breaker["dead_lettered"].as_u64(), Some(refused as u64));
                    assert!(refused > 0);
                }
                _ => {
                    assert_eq!(refused, 0);
                    assert!(dropped > 0);
                }
            }
        }
    }
}

#[test]
fn a_failing_sink_holds_dead_letters_or_drops() {
    let count = 20_000;
    for policy in ["hold", "dead_letter", "drop"] {
        let config = format!(
            "config output {{ max_attempts: 1, breaker_open: {policy}, breaker_min_calls: 4, breaker_window: 4,
                              breaker_open_for: 5ms, backoff_min: 1ms, backoff_max: 2ms }}"
        );
        let fault = ["--fault", "sink-fail:every=1,times=12"];
        let outcome = outcome(&three_in_a_row(&config), &numbered(count), &fault);
        assert_eq!((outcome.ran.code, outcome.ran.stderr.as_str()), (Some(0), ""), "{policy}");
        let rejected = &outcome.stats["rejected"];
        let (results, letters) = (outcome.ids(), outcome.letter_ids("failed_result"));
        let dropped = rejected["dropped"].as_u64().unwrap() as usize;
        assert_eq!(results.len() + letters.len() + dropped, count, "{policy}");
        assert!(results.is_sorted());
        match policy {
            "hold" => {
                assert_eq!(results.len(), count);
                assert!(outcome.told("sink", "output").contains(&"breaker_opened"), "{:?}", outcome.events);
                assert!(outcome.told("sink", "output").contains(&"breaker_closed"));
            }
            "dead_letter" => assert!(dropped == 0 && !letters.is_empty()),
            _ => assert!(dropped > 0 && letters.is_empty()),
        }
    }
}

#[test]
fn a_stuck_context_is_named_and_the_others_go_on() {
    let files = Files::new();
    let program = files.write(
        "p.vpl",
        "context stuck context busy
config stuck { stall_after: 200ms }
stream S = X.context(stuck).where(id > 0).emit(id: id)
stream B = E.context(busy).emit(id: id, key: key)
",
    );
    let told = files.name("told");
    let fault = "stall:stream=S,every=1";
    let mut running = Running::start(varpin(["run", &program, "--events", &told, "--fault", fault]));
    running.feed("@1 X { id: 1 }\n");
    let stalled = loop {
        let events = lines(&std::fs::read_to_string(&told).unwrap_or_default());
        if let Some(event) = events.iter().find(|event| event["event"] == "stalled") {
            break event.clone();
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!((&stalled["context"], &stalled["stage"]), (&"stuck".into(), &"stuck".into()));
    assert_eq!(stalled["place"], "stream S, .where");
    let after_ms = stalled["for_ms"].as_f64().unwrap();
    assert!((200.0..400.0).contains(&after_ms) || after_ms > 400.0 && is_busy(), "found after {after_ms} ms");
    // The other one keeps on.
    for _ in 0..100 {
        // Little by little, since nobody reads results while this is written.
        running.feed(&numbered(100));
        for id in 0..100 {
            let line = running.line();
            assert!(line.contains(&format!("\"id\":{id},")), "{line}");
        }
    }
    running.signal("INT");
    let ran = running.wait();
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("stuck after the deadline, thread left running: stuck"), "{}", ran.stderr);
}

#[test]
fn an_interrupt_gives_up_what_is_stuck_also_behind_the_end_of_the_input() {
    let files = Files::new();
    let program =
        files.write("p.vpl", "context stuck\nstream S = X.context(stuck).where(id > 0).emit(id: id)\n");
    let told = files.name("told");
    let options = ["--events", &told, "--fault", "stall:stream=S,every=1"];
    let mut running = Running::start(varpin(["run", &program].into_iter().chain(options)));
    running.feed("X { id: 1 }\n");
    running.end_input();
    while !std::fs::read_to_string(&told).unwrap_or_default().contains("\"stalled\"") {
        thread::sleep(Duration::from_millis(5));
    }
    running.signal("INT");
    let ran = running.wait();
    assert!(ran.stderr.contains("thread left running: stuck"), "{}", ran.stderr);
    assert_ne!(ran.code, Some(0));
}

/// On a machine with more to do than CPUs nobody can promise when a thread runs.
fn is_busy() -> bool {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(99.0);
    load > thread::available_parallelism().map_or(1.0, |cpus| cpus.get() as f64) / 2.0
}

#[test]
fn a_stall_that_escalates_ends_the_run_although_the_thread_does_not() {
    let config = "config b { stall_after: 100ms, on_stall: escalate }";
    let outcome =
        outcome(&three_in_a_row(config), &numbered(5_000), &["--fault", "stall:stream=B,after=100"]);
    assert_eq!(outcome.ran.code, Some(70), "{}", outcome.ran.stderr);
    assert!(
        outcome.ran.stderr.contains("context b is stuck; the last failure: stream B, .where"),
        "{}",
        outcome.ran.stderr
    );
    assert_eq!(outcome.ids(), Vec::<u64>::new(), "they were in the batch that did not come back");
}

#[test]
fn a_slow_context_recovers_and_says_so() {
    let config = "config b { stall_after: 50ms }";
    let fault = ["--fault", "slow:stream=B,every=100,times=1,for=300ms"];
    let outcome = outcome(&three_in_a_row(config), &numbered(1_000), &fault);
    assert_eq!((outcome.ran.code, outcome.ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(outcome.told("context", "b"), ["started", "stalled", "recovered", "ended"]);
    assert_eq!(outcome.ids().len(), 1_000);
}

#[test]
fn a_program_without_contexts_is_supervised_on_a_thread_of_its_own() {
    let program = format!("config engine {{ {RESTARTS} }} stream S = E.emit(id: id)");
    let outcome = outcome(&program, &numbered(100), &["--fault", "panic:stream=S,every=10"]);
    assert_eq!((outcome.ran.code, outcome.ran.stderr.as_str()), (Some(0), ""));
    assert_eq!((outcome.ids().len(), outcome.letters.len()), (90, 10));
    assert_eq!(outcome.context("main")["restarts"], 20);
}

#[test]
fn a_bad_fault_is_refused_with_its_reason() {
    for (fault, reason) in [
        ("boom:stream=B", "`boom` is no kind of fault"),
        ("panic:every=3", "needs stream=NAME"),
        ("panic:stream=B,often=3", "`often` is no setting"),
        ("panic:stream=B,every=x", "every takes a whole number"),
        ("slow:stream=B", "needs for=TIME"),
        ("panic:stream=Nobody", "the program has no stream `Nobody`"),
        ("panic:stream=B,worker=1", "the program has no stream `B` with a worker 1"),
    ] {
        let outcome = outcome(&three_in_a_row(""), "", &["--fault", fault]);
        outcome.ran.says(2, &[reason]);
    }
}
