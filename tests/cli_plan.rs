//! `varpin plan` and `varpin check`: what they print, compared with files in `tests/plans`. After a wanted change, run with
//! `VARPIN_UPDATE=1` and read the difference.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use serde_json::Value;

use command::{Files, repository, run};

#[track_caller]
fn compare(name: &str, printed: &str) {
    let path = repository().join("tests/plans").join(name);
    if std::env::var_os("VARPIN_UPDATE").is_some() {
        std::fs::write(&path, printed).unwrap();
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(printed, wanted, "{name} differs");
}

fn plan(program: &str, format: &str) -> String {
    let program = repository().join(program);
    let ran = run(["plan", program.to_str().unwrap(), "--format", format], "");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout
}

const MERGED: &str = "context a\ncontext b\ncontext c\nconfig c { capacity: 64, idle: park }\n\
    stream A = R.context(a).emit(v: v)\nstream B = R.context(b).where(v > 1).emit(v: v)\n\
    stream Both = merge(A, B).context(c).window(10).aggregate(last: last(v))\n\
    stream Loop = Both.context(a).where(last > 3).emit(last: last)\n";

#[test]
fn text_explains_threads_rings_and_streams() {
    compare("iot_pipeline.txt", &plan("examples/iot_pipeline.vpl", "text"));
    compare("seed_contexts.txt", &plan("examples/seed_contexts.vpl", "text"));
}

#[test]
fn text_of_a_program_without_contexts_says_that_there_is_no_thread() {
    compare("user_sessions.txt", &plan("examples/user_sessions.vpl", "text"));
}

#[test]
fn text_marks_what_depends_on_the_order_of_rings() {
    let files = Files::new();
    let ran = run(["plan", &files.write("p.vpl", MERGED)], "").clean();
    compare("merged.txt", &ran.stdout);
}

#[test]
fn json_is_json() {
    let text = plan("examples/iot_pipeline.vpl", "json");
    compare("iot_pipeline.json", &text);
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(plan["contexts"][1]["name"], "analyze");
    assert_eq!(plan["rings"][0]["from"], "input");
    assert_eq!(plan["streams"][2]["rank"], 3);
    assert_eq!(plan["streams"][2]["order_dependence"], Value::Null);
}

#[test]
fn dot_draws_contexts_and_rings() {
    compare("iot_pipeline.dot", &plan("examples/iot_pipeline.vpl", "dot"));
}

const SUPERVISED: &str = "context a\ncontext b\nconfig engine { strategy: rest_for_one }\n\
    config a { restart: on_failure, max_restarts: 3, breaker_failure_rate: 0.25, breaker_slow_call: 10ms, breaker_open: drop }\n\
    config b { stall_after: 250ms, on_stall: escalate }\nconfig output { max_attempts: 3, breaker_open: dead_letter }\n\
    stream A = R.context(a).emit(v: v)\nstream B = A.context(b).emit(v: v)\n";

#[test]
fn policies_are_told_with_their_defaults() {
    let files = Files::new();
    let program = files.write("p.vpl", SUPERVISED);
    compare("supervised.txt", &run(["plan", &program], "").clean().stdout);
    let json = run(["plan", &program, "--format", "json"], "").clean().stdout;
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["strategy"], "rest_for_one");
    let [a, b] = [&plan["contexts"][0]["policies"], &plan["contexts"][1]["policies"]];
    assert_eq!(
        (&a["restart"], &a["max_restarts"], &a["backoff_min_ms"]),
        (&"on_failure".into(), &3.into(), &100.0.into())
    );
    assert_eq!((&a["breaker"]["failure_rate"], &a["breaker"]["open"]), (&0.25.into(), &"drop".into()));
    assert_eq!(
        (&b["restart"], &b["on_stall"], &b["breaker"]),
        (&"never".into(), &"escalate".into(), &Value::Null)
    );
    assert_eq!(plan["sink_policies"]["output"]["max_attempts"], 3);
}

#[test]
fn no_plan_for_a_wrong_program() {
    let files = Files::new();
    let ran = run(["plan", &files.write("p.vpl", "stream S = R.windw(1)\n")], "").says(2, &["line 1"]);
    assert_eq!(ran.stdout, "");
}

#[test]
fn check_tells_all_findings_of_all_programs() {
    let files = Files::new();
    let good = files.write("good.vpl", "stream S = R.emit(v: v)\n");
    let bad = files.write("bad.vpl", "stream S = R.emit(v: sqroot(v))\nstream T = R.emit(v: replace(v))\n");
    let warned =
        files.write("warned.vpl", "stream S = R.emit(v: v)\nstream T = S.where(w == null).emit(v: v)\n");
    let ran = run(["check", &good], "").clean();
    assert_eq!(ran.stdout, "");
    let ran = run(["check", &good, &bad, &warned, &files.name("none.vpl")], "");
    ran.says(2, &["bad.vpl:1", "sqroot", "bad.vpl:2", "replace", "warned.vpl:2", "`w`", "none.vpl"]);
    run(["check", &warned], "").says(0, &["warning: ", "`w`"]);
    run(["check", &warned, "--strict"], "").says(2, &["`w`", "--strict"]);
}

#[test]
fn check_as_json_has_a_finding_a_line() {
    let files = Files::new();
    let bad = files.write(
        "bad.vpl",
        "stream S = R\n    .emit(v: sqroot(v))\nstream T = R.window(0).aggregate(n: count())\n",
    );
    let ran = run(["check", "--json", &bad, &files.name("none.vpl")], "").says(2, &[]);
    let findings: Vec<Value> =
        ran.lines().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((findings.len(), ran.stderr.as_str()), (3, ""));
    assert_eq!(
        (&findings[0]["line"], &findings[0]["column"], &findings[0]["severity"]),
        (&2.into(), &14.into(), &"error".into())
    );
    assert!(findings[0]["message"].as_str().unwrap().contains("sqroot"));
    assert_eq!(findings[1]["line"], 3);
    assert_eq!(findings[2]["line"], Value::Null);
}

#[test]
fn check_warns_of_what_depends_on_the_order_of_rings_unless_it_is_deterministic() {
    let files = Files::new();
    let program = files.write("p.vpl", MERGED);
    run(["check", &program], "").says(0, &["warning", "Both", "a count window", "a/0 and b"]);
    run(["check", &program, "--strict"], "").says(2, &["Both"]);
    let settled = files.write("d.vpl", &format!("config engine {{ order: deterministic }}\n{MERGED}"));
    run(["check", &settled, "--strict"], "").clean();
}

#[test]
fn an_empty_program_is_a_warning() {
    let files = Files::new();
    run(["check", &files.write("p.vpl", "")], "").says(0, &["warning", "no streams"]);
}
