//! `varpin run` with less jitter: what was had stands in the statistics, and what is refused ends the command before
//! anything runs, with what would have to be changed.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(unsafe_code, clippy::unwrap_used, missing_docs)] // who runs the test is asked with a system call; a test that fails panics

mod command;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use command::{Files, Running, run, varpin};
use serde_json::Value;

const TWO_CONTEXTS: &str =
    "context a\ncontext b\nstream S = R.context(a).emit(n: n)\nstream T = S.context(b).emit(n: n)\n";

/// What `--stats-json` says of a run with `options` that ends well.
fn statistics(options: &[&str]) -> Value {
    let files = Files::new();
    let (program, json) = (files.write("p.vpl", TWO_CONTEXTS), files.name("stats.json"));
    run(["run", &program, "--stats-json", &json].iter().chain(options), "R { n: 1 }\n").says(0, &[]);
    serde_json::from_str(&files.read("stats.json")).unwrap()
}

#[test]
fn what_was_not_asked_for_is_null_and_what_was_had_is_told() {
    let stats = statistics(&[]);
    assert!(stats["low_jitter"].as_object().unwrap().values().all(Value::is_null), "{stats:#}");
    assert!(stats["contexts"][0]["timer_slack_ns"].is_null());
    let stats = statistics(&["--timer-slack-ns", "1", "--prefault", "--capacity", "100"]);
    assert_eq!(stats["contexts"][1]["timer_slack_ns"], 1);
    assert!(stats["low_jitter"]["prefaulted_bytes"].as_u64().unwrap() > 0);
    assert_eq!(stats["low_jitter"]["prefaulted_bytes"], stats["low_jitter"]["ring_bytes"]);
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let files = Files::new();
    let program = files.write("p.vpl", TWO_CONTEXTS);
    for (option, value) in
        [("--realtime", "0"), ("--realtime", "100"), ("--timer-slack-ns", "0"), ("--timer-slack-ns", "-1")]
    {
        run(["run", &program, &format!("{option}={value}")], "").says(2, &[option]);
    }
    run(["run", &program, "--realtime-force"], "").says(2, &["--realtime"]);
    // Contexts without CPUs.
    run(["run", &program, "--realtime", "10", "--realtime-force"], "").says(2, &["no worker is pinned"]);
}

#[test]
fn memory_is_locked_or_the_limit_is_named() {
    let files = Files::new();
    let (program, json) = (files.write("p.vpl", TWO_CONTEXTS), files.name("stats.json"));
    let ran = run(["run", &program, "--lock-memory", "--stats-json", &json], "R { n: 1 }\n");
    if ran.code == Some(2) {
        ran.says(2, &["memory cannot be locked", "RLIMIT_MEMLOCK"]);
        return;
    }
    ran.says(0, &[]);
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    assert!(stats["low_jitter"]["locked_bytes"].as_u64().unwrap() > 0, "{stats:#}");
}

#[test]
fn who_may_not_lock_memory_learns_of_the_limit() {
    const NOBODY: u32 = 65534;
    let files = Files::new();
    let program = files.write("p.vpl", TWO_CONTEXTS);
    let inside = varpin(["run", &program, "--lock-memory"]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -l 64 && exec \"$@\"", "sh"])
        .arg(inside.get_program())
        .args(inside.get_args());
    // SAFETY: it takes nothing and changes nothing.
    if unsafe { libc::geteuid() } == 0 {
        // No limit holds for root.
        command.uid(NOBODY);
        let directory = files.path("p.vpl").parent().unwrap().to_owned();
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let ran = Running::start(command).wait();
    if !ran.stderr.contains("memory") {
        println!("skipped: the command cannot be run by somebody without privileges here: {}", ran.stderr);
        return;
    }
    ran.says(2, &["memory cannot be locked", "RLIMIT_MEMLOCK allows 64 KiB", "ulimit -l unlimited"]);
}
