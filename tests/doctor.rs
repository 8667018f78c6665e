//! `varpin doctor` on whole systems: one that is tuned, one that is not, one that tells nothing (directories that stand for `/`,
//! in `tests/data/doctor`), and on the machine that runs the test. What each check says of what it reads is tested
//! beside the checks.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use command::{Files, Ran, run, varpin};
use serde_json::Value;

fn system(name: &str) -> String {
    command::repository().join("tests/data/doctor").join(name).to_str().unwrap().to_owned()
}

/// What `doctor --json` says; checked to be as `docs/doctor.md` has it.
fn examine(root: &str, options: &[&str]) -> (Ran, Value) {
    let ran = run(["doctor", "--json", "--root", root].iter().chain(options), "");
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    validate(&document);
    (ran, document)
}

#[track_caller]
fn has_members(value: &Value, names: &[&str]) {
    let members: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, names);
}

#[track_caller]
fn is_text_or_null(value: &Value) {
    assert!(value.is_string() || value.is_null(), "{value}");
}

/// Every member that the documentation names, of the type that it says, and no other.
fn validate(document: &Value) {
    has_members(document, &["format", "version", "machine", "cpus", "because", "counts", "findings"]);
    assert_eq!((&document["format"], &document["version"]), (&"varpin-doctor".into(), &1.into()));
    let machine = &document["machine"];
    let texts = ["cpu_model", "cpus_online", "cpus_allowed", "kernel", "hypervisor", "governor"];
    has_members(machine, &[&texts[..], &["load_average", "memory_bytes", "build"]].concat());
    for name in texts {
        is_text_or_null(&machine[name]);
    }
    assert!(machine["load_average"].is_null() || machine["load_average"].as_array().unwrap().len() == 3);
    assert!(machine["memory_bytes"].is_null() || machine["memory_bytes"].is_u64());
    has_members(&machine["build"], &["version", "profile", "opt_level", "target", "rustc"]);
    assert!(document["cpus"].as_str().unwrap().parse::<varpin::cores::CpuSet>().is_ok());
    assert!(document["because"].is_string());
    let severities = ["severe", "warning", "note", "unknown", "ok"];
    has_members(&document["counts"], &severities);
    let findings = document["findings"].as_array().unwrap();
    let mut before = 0;
    for finding in findings {
        has_members(finding, &["id", "severity", "found", "wanted", "why", "mend", "read"]);
        let severity = finding["severity"].as_str().unwrap();
        let rank = severities.iter().position(|name| *name == severity).expect("a severity");
        assert!(before <= rank, "the worst come first");
        before = rank;
        for name in ["id", "found", "wanted", "why"] {
            assert!(!finding[name].as_str().unwrap().is_empty(), "{finding}");
        }
        let mend = finding["mend"].as_array().unwrap();
        assert!(mend.iter().all(Value::is_string));
        assert_eq!(mend.is_empty(), rank > 2, "what is not as it should be says how to mend it: {finding}");
        let read = finding["read"].as_array().unwrap();
        assert!(!read.is_empty(), "{finding}");
        for reading in read {
            has_members(reading, &["path", "text", "problem"]);
            assert!(reading["path"].as_str().unwrap().starts_with('/'), "{reading}");
            is_text_or_null(&reading["text"]);
            is_text_or_null(&reading["problem"]);
            assert_ne!(reading["text"].is_null(), reading["problem"].is_null(), "{reading}");
        }
    }
    for severity in severities {
        let count = findings.iter().filter(|finding| finding["severity"] == severity).count();
        assert_eq!(document["counts"][severity], count, "{severity}");
    }
}

/// Severity by check.
fn severities(document: &Value) -> BTreeMap<&str, &str> {
    let findings = document["findings"].as_array().unwrap();
    findings
        .iter()
        .map(|finding| (finding["id"].as_str().unwrap(), finding["severity"].as_str().unwrap()))
        .collect()
}

fn found<'a>(document: &'a Value, id: &str) -> &'a str {
    let findings = document["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["id"] == id).unwrap()["found"].as_str().unwrap()
}

#[test]
fn a_tuned_system_has_nothing_to_mend() {
    let (ran, document) = examine(&system("tuned"), &["--cpus", "2-3", "--strict"]);
    ran.clean();
    let severities = severities(&document);
    assert!(severities.values().all(|severity| *severity == "ok"), "{severities:#?}");
    assert_eq!(document["machine"]["hypervisor"], "none");
}

#[test]
fn each_fault_of_a_bad_system_is_found() {
    let (ran, document) = examine(&system("bad"), &["--cpus", "2,3"]);
    ran.clean();
    let expected = [
        ("boost", "note"),
        ("c_states", "warning"),
        ("cgroup_quota", "severe"),
        ("cgroup_throttling", "severe"),
        ("clocksource", "severe"),
        ("cpus_allowed", "severe"),
        ("governor", "warning"),
        ("huge_pages", "warning"),
        ("irq_affinity", "warning"),
        ("isolation", "severe"),
        ("l3_cache", "warning"),
        ("locked_memory", "note"),
        ("nmi_watchdog", "note"),
        ("nohz_full", "warning"),
        ("numa_balancing", "warning"),
        ("numa_placement", "warning"),
        ("rcu_nocbs", "warning"),
        ("realtime_priority", "note"),
        ("rt_throttling", "note"),
        ("smt", "warning"),
        ("steal", "severe"),
        ("swap", "warning"),
        ("timer_slack", "note"),
        ("virtualisation", "warning"),
        ("workqueue", "warning"),
    ];
    assert_eq!(severities(&document), BTreeMap::from(expected));
    assert_eq!(
        found(&document, "cgroup_quota"),
        "1.5 CPUs' worth of time for 2 pinned threads and what feeds them"
    );
    assert_eq!(found(&document, "virtualisation"), "a guest of KVM (Google Compute Engine)");
    // What stands behind `--` on the kernel's command line is not for the kernel.
    assert_eq!(found(&document, "isolation"), "CPUs 2-3 are not isolated");
    let (ran, _) = examine(&system("bad"), &["--cpus", "2,3", "--strict"]);
    assert_eq!(ran.code, Some(1));
}

#[test]
fn a_system_that_tells_nothing_is_unknown_and_no_error() {
    let (ran, document) = examine(&system("empty"), &["--cpus", "2-3", "--strict"]);
    ran.clean();
    let severities = severities(&document);
    assert!(severities.values().all(|severity| *severity == "unknown"), "{severities:#?}");
    run(["doctor", "--root", &system("empty")], "").clean();
}

#[test]
fn every_check_is_documented() {
    let documented = fs::read_to_string(command::repository().join("docs/doctor.md")).unwrap();
    let documented: Vec<&str> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(id, _)| id)
        .collect();
    let (_, document) = examine(&system("tuned"), &["--cpus", "2-3"]);
    for id in severities(&document).keys() {
        assert!(documented.contains(id), "docs/doctor.md has no row for {id}");
    }
}

#[test]
fn text_for_people_fits_a_terminal_and_begins_with_the_worst() {
    let ran = run(["doctor", "--root", &system("bad"), "--cpus", "2-3"], "").clean();
    let mends = |line: &&str| line.starts_with("  mend   ");
    for line in ran.stdout.lines().filter(|line| !mends(line)) {
        assert!(line.chars().count() <= 100, "{line}");
    }
    let first = ran.lines().into_iter().find(|line| line.starts_with("severe")).unwrap();
    assert!(first.starts_with("severe   cpus_allowed       this process may not use CPU 3"), "{first}");
    let last = *ran.lines().last().unwrap();
    assert_eq!(last, "6 severe, 13 warnings, 6 notes, 0 unknown, 0 ok");
    // All of it is quoted: where it was read, what is wanted, why, and what mends it.
    for line in [
        "  read   /proc/sys/kernel/nmi_watchdog: 1",
        "  want   performance",
        "  mend   sudo cpupower -c 2-3 frequency-set -g performance",
        "  mend   echo -1 | sudo tee /sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us",
    ] {
        assert!(ran.stdout.lines().any(|printed| printed == line), "{line:?} is not in\n{}", ran.stdout);
    }
}

#[test]
fn cpus_that_make_no_sense_are_refused_or_found_missing() {
    for bad in ["x", "3-1", "1,,2", "-1", "99999999", "2;3"] {
        run(["doctor", &format!("--cpus={bad}")], "").says(2, &["--cpus", "list of CPUs"]);
    }
    run(["doctor", "--cpus", ""], "").says(2, &["names no CPU"]);
    run(["doctor", "--root", "/nowhere/at/all"], "").says(2, &["no directory"]);
    let (ran, document) = examine("/", &["--cpus", "65535", "--strict"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(severities(&document)["cpus_allowed"], "severe");
}

#[test]
fn the_cpus_of_a_program_are_those_that_its_contexts_name() {
    let files = Files::new();
    let program = files.write(
        "p.vpl",
        "context a (cores: [2])\ncontext b (cores: [3])\nstream S = R.context(a).emit(n: n)\nstream T = S.context(b).emit(n: n)\n",
    );
    let (ran, document) = examine(&system("tuned"), &["--program", &program]);
    ran.clean();
    assert_eq!(document["cpus"], "2-3");
    let without = files.write("q.vpl", "stream S = R.emit(n: n)\n");
    let (_, document) = examine(&system("tuned"), &["--program", &without]);
    assert_eq!(document["cpus"], "0-3");
    run(["doctor", "--program", &files.name("none.vpl")], "").says(2, &["none.vpl"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_restricted_mask_is_seen() {
    // The command inherits the mask of the thread that starts it.
    let allowed = varpin::cores::allowed_cpus().unwrap();
    let only = allowed.iter().last().unwrap();
    let ran = std::thread::spawn(move || {
        varpin::cores::pin_current("test", Some(only), varpin::cores::PinPolicy::Strict).unwrap();
        run(["doctor", "--json"], "")
    });
    let document: Value = serde_json::from_str(&ran.join().unwrap().stdout).unwrap();
    validate(&document);
    assert_eq!(document["cpus"], only.to_string());
    assert_eq!(document["machine"]["cpus_allowed"], only.to_string());
    assert_eq!(severities(&document)["cpus_allowed"], "note");
    if let Some(other) = allowed.iter().find(|cpu| *cpu != only) {
        let ran = std::thread::spawn(move || {
            varpin::cores::pin_current("test", Some(only), varpin::cores::PinPolicy::Strict).unwrap();
            run(["doctor", "--json", "--strict", "--cpus", &other.to_string()], "")
        });
        let ran = ran.join().unwrap();
        assert_eq!(ran.code, Some(1));
        let document: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(found(&document, "cpus_allowed").contains("may not use"), "{document:#}");
    }
}

/// A control group with a quota of half a CPU, removed behind the test; none where this process may not make one.
struct HalfACpu {
    directory: std::path::PathBuf,
}

impl HalfACpu {
    fn new() -> Result<Self, String> {
        let refused = |path: &Path| {
            let path = path.display().to_string();
            move |error: std::io::Error| format!("{path}: {error}")
        };
        let hierarchies = [
            ("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", "50000"),
            ("/sys/fs/cgroup", "cpu.max", "50000 100000"),
        ];
        let (hierarchy, file, quota) = hierarchies
            .into_iter()
            .find(|(hierarchy, ..)| Path::new(hierarchy).join("cgroup.procs").exists())
            .ok_or("no control groups are mounted where they usually are")?;
        let directory = Path::new(hierarchy).join(format!("varpin-test-{}", std::process::id()));
        fs::create_dir(&directory).map_err(refused(&directory))?;
        let group = Self { directory };
        let file = group.directory.join(file);
        fs::write(&file, quota).map_err(refused(&file))?;
        Ok(group)
    }

    /// `doctor --json` inside the group.
    fn examine(&self) -> Result<Ran, String> {
        let mut command = std::process::Command::new("sh");
        let inside = varpin(["doctor", "--json"]);
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.directory.display());
        command.args(["-c", &script, "sh"]).arg(inside.get_program()).args(inside.get_args());
        let ran = command::Running::start(command).wait();
        if ran.code == Some(0) { Ok(ran) } else { Err(ran.stderr) }
    }
}

impl Drop for HalfACpu {
    fn drop(&mut self) {
        // Only an empty group can be removed, and the command has ended.
        let _ = fs::remove_dir(&self.directory);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_quota_of_a_control_group_is_severe() {
    let ran = match HalfACpu::new().and_then(|group| group.examine()) {
        Ok(ran) => ran,
        Err(reason) => {
            println!("skipped: this process may make no control group with a quota: {reason}");
            return;
        }
    };
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    validate(&document);
    assert_eq!(severities(&document)["cgroup_quota"], "severe");
    assert!(found(&document, "cgroup_quota").starts_with("0.5 CPUs' worth"), "{document:#}");
}

#[test]
fn statistics_quote_what_is_severe_about_pinned_cpus() {
    let files = Files::new();
    let cpu = varpin::cores::allowed_cpus().unwrap().iter().next().unwrap();
    let text = format!("context work (cores: [{cpu}])\nstream S = R.context(work).emit(n: n)\n");
    let (program, json) = (files.write("p.vpl", &text), files.name("stats.json"));
    let ran = run(["run", &program, "--stats", "--stats-json", &json], "R { n: 1 }").says(0, &[]);
    let (_, document) = examine("/", &["--cpus", &cpu.to_string()]);
    // How much time the host took may pass its bound between the two looks.
    let severe: Vec<&str> = severities(&document)
        .into_iter()
        .filter(|(id, severity)| *severity == "severe" && *id != "steal")
        .map(|(id, _)| id)
        .collect();
    for id in &severe {
        assert!(ran.stderr.contains(&format!("\n  {id} ")), "{id} is not in: {}", ran.stderr);
    }
    let stats: Value = serde_json::from_str(&files.read("stats.json")).unwrap();
    let mut quoted: Vec<&str> =
        stats["severe"].as_array().unwrap().iter().map(|finding| finding["id"].as_str().unwrap()).collect();
    quoted.sort_unstable();
    quoted.retain(|id| *id != "steal");
    assert_eq!(quoted, severe);
    // Where nothing is pinned there is nothing to say.
    let ran = run(["run", &program, "--stats", "--pin", "off"], "R { n: 1 }").says(0, &[]);
    assert!(!ran.stderr.contains("severe"), "{}", ran.stderr);
}
