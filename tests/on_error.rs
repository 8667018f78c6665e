//! `.on_error`: what becomes of an event on which an operator fails, on one thread and on several.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use command::{Ran, run};
use serde_json::Value;
use varpin::engine::Program;

/// Calls itself without end where x is greater than 5.
const DEEP: &str = "fn deep(x):
    if x > 5:
        return deep(x)
    return x
";

struct Outcome {
    ran: Ran,
    letters: Vec<Value>,
    stream: Value,
    dead_letters: u64,
}

/// Runs `stream` over the values 1, 9 and 2; with a context or without.
fn outcome(stream: &str, threads: bool) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let context = if threads { ("context c\n", ".context(c)") } else { ("", "") };
    std::fs::write(path("p.vpl"), format!("{}{DEEP}stream S = E{}{stream}", context.0, context.1)).unwrap();
    std::fs::write(path("e.evt"), "E { v: 1 }\nE { v: 9 }\nE { v: 2 }\n").unwrap();
    let (program, events, letters, stats) = (path("p.vpl"), path("e.evt"), path("letters"), path("stats"));
    let ran = run(
        ["run", &program, &events, "--dead-letters", &letters, "--stats-json", &stats].map(str::to_owned),
        "",
    );
    let lines = std::fs::read_to_string(letters).unwrap();
    let stats: Value = serde_json::from_str(&std::fs::read_to_string(stats).unwrap()).unwrap();
    Outcome {
        ran,
        letters: lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        stream: stats["streams"][0].clone(),
        dead_letters: stats["dead_letters"].as_u64().unwrap(),
    }
}

fn values(ran: &Ran) -> Vec<i64> {
    let value = |line: &&str| serde_json::from_str::<Value>(line).unwrap()["data"]["v"].as_i64().unwrap();
    ran.lines().iter().map(value).collect()
}

#[test]
fn by_default_the_event_goes_to_the_dead_letters_and_the_stream_goes_on() {
    for stream in [".emit(v: deep(v))", ".emit(v: deep(v)).on_error(dead_letter)"] {
        for threads in [false, true] {
            let outcome = outcome(stream, threads);
            assert_eq!((outcome.ran.code, values(&outcome.ran)), (Some(0), vec![1, 2]));
            let [letter] = &outcome.letters[..] else { panic!("{:?}", outcome.letters) };
            assert_eq!((&letter["stream"], &letter["operator"]), (&"S".into(), &"emit".into()));
            assert_eq!((&letter["attempts"], &letter["event"]["data"]["v"]), (&1.into(), &9.into()));
            assert_eq!((outcome.dead_letters, &outcome.stream["failed"]), (1, &1.into()));
        }
    }
}

#[test]
fn skip_only_counts() {
    for threads in [false, true] {
        let outcome = outcome(".on_error(skip).where(deep(v) > 0).emit(v: v)", threads);
        assert_eq!((outcome.ran.code, values(&outcome.ran)), (Some(0), vec![1, 2]));
        assert_eq!((outcome.letters.len(), outcome.dead_letters), (0, 0));
        assert_eq!(outcome.stream["failed"], 1);
        assert_eq!(outcome.ran.stderr, "");
    }
}

#[test]
fn fail_ends_the_run_and_names_stream_and_operator() {
    for threads in [false, true] {
        let outcome = outcome(".emit(v: deep(v)).on_error(fail)", threads);
        assert_eq!(values(&outcome.ran), [1], "what was made before is given, and nothing behind it");
        outcome.ran.says(70, &["stream S", ".emit", "max_call_depth"]);
        assert_eq!(outcome.letters.len(), 1);
    }
}

#[test]
fn fail_at_the_end_of_the_input_ends_with_an_error_too() {
    for threads in [false, true] {
        let outcome =
            outcome(".window(10).aggregate(v: count()).having(deep(9) > 0).on_error(fail)", threads);
        outcome.ran.says(70, &["stream S"]);
    }
}

#[test]
fn retry_counts_its_attempts_and_then_gives_up() {
    for threads in [false, true] {
        let outcome = outcome(".partition_by(v).where(deep(v) > 0).emit(v: v).on_error(retry(3))", threads);
        assert_eq!((outcome.ran.code, values(&outcome.ran)), (Some(0), vec![1, 2]));
        assert_eq!(outcome.letters[0]["attempts"], 4);
        assert_eq!((&outcome.stream["failed"], &outcome.stream["retried"]), (&1.into(), &3.into()));
    }
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    for (stream, words) in [
        (".window(5).on_error(retry(2)).aggregate(n: count())", "`retry` cannot be done here: the window"),
        (".distinct(v).on_error(retry(2))", "`.distinct` remembers"),
        (".limit(3).on_error(retry(2))", "`.limit` counts"),
        (".on_error(retry(0))", "from 1 to 100"),
        (".on_error(retry(1.5))", "from 1 to 100"),
        (".on_error(retry)", "one of: skip, dead_letter, fail, retry(n)"),
        (".on_error(skipp)", "did you mean `skip`?"),
        (".on_error((x, y) => x)", "has one parameter"),
        (".on_error(x => x.eror)", "there is no field `eror` after `.on_error`"),
        (".on_error(5)", "takes skip, dead_letter, fail, retry(n) or a lambda"),
        (".on_error(skip).on_error(fail)", "a stream has one `.on_error`"),
    ] {
        let Err(error) = Program::parse(&format!("stream S = E{stream}")) else { panic!("{stream} loads") };
        assert!(error.to_string().contains(words), "{stream}: {error}");
    }
}

const COUNTING: &str = "var failures = 0
fn note():
    failures := failures + 1
    return failures
fn twice(): note() * 2
";

#[test]
fn a_lambda_is_told_what_a_dead_letter_holds_and_decides() {
    for threads in [false, true] {
        let say = "x => if x.event.v == 9 and contains(x.error, \"max_call\") and x.operator == \"emit\" \
            and x.stream == \"S\" and x.attempts == 1";
        for (decision, code, letters) in [("skip", 0, 0), ("dead_letter", 0, 1), ("fail", 70, 1)] {
            let decide =
                format!(".on_error({say} then \"{decision}\" else \"dead_letter\").emit(v: deep(v))");
            let outcome = outcome(&decide, threads);
            assert_eq!(outcome.ran.code, Some(code), "{decision}: {}", outcome.ran.stderr);
            assert_eq!(
                (outcome.letters.len(), &outcome.stream["failed"]),
                (letters, &1.into()),
                "{decision}"
            );
        }
        // What decides nothing is done for its effect.
        let outcome = outcome(".on_error(x => print(x.event)).emit(v: deep(v))", threads);
        assert_eq!((outcome.ran.code, outcome.letters.len()), (Some(0), 1));
        assert!(outcome.ran.stderr.contains("\"data\":[{\"v\":9}]"), "{}", outcome.ran.stderr);
    }
}

#[test]
fn a_lambda_that_fails_itself_leaves_the_event_to_the_dead_letters() {
    let outcome = outcome(".on_error(x => deep(9)).emit(v: deep(v))", false);
    assert_eq!((outcome.ran.code, values(&outcome.ran), outcome.letters.len()), (Some(0), vec![1, 2], 1));
    assert_eq!(outcome.letters[0]["operator"], "emit");
}

#[test]
fn what_changes_a_variable_is_not_tried_again() {
    for (stream, words) in [
        (".emit(v: note()).on_error(retry(2))", "function `note` changes `var failures`"),
        (".where(twice() > v).on_error(retry(2))", "function `note` changes `var failures`"),
        (
            ".map(x => { failures := failures + 1; { v: failures } }).on_error(retry(2))",
            "a lambda changes `var failures`",
        ),
    ] {
        let Err(error) = Program::parse(&format!("{COUNTING}stream S = E{stream}")) else {
            panic!("{stream} loads")
        };
        assert!(error.to_string().contains(words), "{stream}: {error}");
    }
    Program::parse(&format!("{COUNTING}stream S = E.emit(v: failures).on_error(retry(2))")).unwrap();
}
