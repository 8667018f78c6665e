//! `varpin run` with checkpoints and restarts together: a context that fails rolls everything back to the last
//! checkpoint, in the same process, and the results are in the end those of a run in which nothing has failed. Needs the
//! feature `faults`.
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;
#[path = "common/kept.rs"]
mod kept;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use command::{Ran, run, varpin};
use kept::{ANY, ONE, assert_same_results, event_lines, memory_or_disk};
use serde_json::Value;
use tempfile::TempDir;

/// What lets contexts fail as often as they like.
const RESTARTS: &str = "restart: on_failure max_restarts: 100000 backoff_min: 0ms backoff_max: 1ms";
/// The same, and events, too: one that two faults strike in the same context is tried three times.
const PATIENT: &str =
    "restart: on_failure max_restarts: 100000 backoff_min: 0ms backoff_max: 1ms max_attempts: 20";

struct Case {
    name: &'static str,
    text: &'static str,
    /// In which orders its results do not depend on the moment.
    orders: &'static [&'static str],
    /// Where it panics.
    places: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "contexts one behind the other",
        text: "context ingest\ncontext analyze\n\
               stream Kept = A.where(v > 1).context(ingest).emit(k: k, v: v, n: n)\n\
               stream Sums = Kept.context(analyze).partition_by(k).window(20).aggregate(k: last(k), s: sum(v), n: last(n))\n",
        orders: ANY,
        places: &["stream=Kept", "stream=Sums"],
    },
    Case {
        name: "contexts that feed each other, with windows of time",
        text: "context ingest\ncontext analyze\n\
               stream Kept = A.where(v > 1).context(ingest).emit(k: k, v: v, n: n)\n\
               stream Sums = Kept.context(analyze).partition_by(k).window(20).aggregate(k: last(k), s: sum(v), n: last(n))\n\
               stream Back = Sums.context(ingest).window(3).aggregate(s: max(s), n: last(n))\n\
               stream Both = merge(Kept, B).context(analyze).partition_by(k).window(5s).aggregate(k: last(k), c: count())\n",
        orders: ONE,
        places: &["stream=Kept", "stream=Sums", "stream=Back", "stream=Both"],
    },
    Case {
        name: "joins, sequences, timers, sessions",
        text: "context a\ncontext b\n\
               stream Tick = timer(3s).context(a).emit(at: timestamp)\n\
               stream Pairs = left_join(A, B).on(A.k == B.k).window(1s).context(b).emit(a: A.n, b: B.n)\n\
               stream Runs = A as a where v == 8 -> all B as b -> A as c where c.v > 6\n    .within(4s).partition_by(k)\n    \
               .context(a).emit(n: count(b), from: a.n, to: c.n)\n\
               stream Quiet = B.context(b).partition_by(k).window(session: 1s).aggregate(n: count(), k: last(k))\n\
               stream New = A.context(a).distinct(n % 900).emit(n: n)\n",
        orders: ONE,
        places: &["stream=Pairs", "stream=Runs", "stream=Quiet", "stream=New"],
    },
    Case {
        name: "pools by key",
        text: "context work\n\
               stream Sums = A.context(work).partition_by(k).concurrent(workers: 3).window(15)\
               .aggregate(k: last(k), s: sum(v), n: last(n))\n",
        orders: ANY,
        places: &["stream=Sums", "stream=Sums,worker=0", "stream=Sums,worker=1", "stream=Sums,worker=2"],
    },
    Case {
        name: "pools by turns, and windows of time in pools",
        text: "context work\n\
               stream Odd = A.context(work).concurrent(workers: 2, strategy: round_robin).where(v % 2 == 1).emit(n: n)\n\
               stream Time = A.context(work).partition_by(k).concurrent(workers: 2).window(4s)\
               .aggregate(k: last(k), c: count())\n",
        orders: ONE,
        places: &["stream=Odd,worker=1", "stream=Time", "stream=Time,worker=0"],
    },
];

/// A directory with a program and events.
struct Scene {
    directory: TempDir,
    order: &'static str,
}

impl Scene {
    fn new(text: &str, restarts: &str, order: &'static str, events: &[String]) -> Self {
        let directory = memory_or_disk();
        let program = format!("config engine {{ {restarts} }}\n{text}");
        fs::write(directory.path().join("program.vpl"), program).unwrap();
        fs::write(directory.path().join("events.evt"), events.concat()).unwrap();
        Self { directory, order }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let order = ["--order", self.order, "--pin", "off"].map(str::to_owned);
        let mut arguments = vec!["run".to_owned(), path("program.vpl"), path("events.evt")];
        arguments.extend(order);
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        arguments
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// The results of a run in which nothing fails, and no checkpoint is kept.
    fn undisturbed(&self) -> String {
        let output = self.path("whole.jsonl").display().to_string();
        run(self.arguments(&["-o", &output]), "").clean();
        self.file("whole.jsonl")
    }

    /// The options of a run with a checkpoint every so many events.
    fn keeping(&self, every: usize) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let mut options = Vec::new();
        let pairs = [
            ("-o", path("out.jsonl")),
            ("--checkpoint-dir", path("kept")),
            ("--checkpoint-events", every.to_string()),
            ("--dead-letters", path("letters.jsonl")),
            ("--events", path("told.jsonl")),
            ("--stats-json", path("stats.json")),
        ];
        for (option, value) in pairs {
            options.extend([option.to_owned(), value]);
        }
        options
    }

    fn disturbed(&self, every: usize, faults: &[String]) -> Ran {
        let keeping = self.keeping(every);
        let faults = faults.iter().flat_map(|fault| ["--fault", fault]);
        let options: Vec<&str> = keeping.iter().map(String::as_str).chain(faults).collect();
        run(self.arguments(&options), "")
    }

    /// The results are those of an undisturbed run.
    #[track_caller]
    fn check(&self, whole: &str, what: &str) {
        assert_same_results(self.order, self.file("out.jsonl").as_bytes(), whole.as_bytes(), what);
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        self.file(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How often everything was rolled back.
    fn rollbacks(&self) -> usize {
        self.lines("told.jsonl").iter().filter(|event| event["event"] == "rolled_back").count()
    }
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// The lines of one stream.
fn of_stream(text: &str, stream: &str) -> String {
    let head = format!("{{\"stream\":\"{stream}\"");
    text.split_inclusive('\n').filter(|line| line.starts_with(&head)).collect()
}

#[test]
fn contexts_that_panic_at_many_moments_change_nothing() {
    let events = event_lines(2500);
    let mut rollbacks = 0;
    for (at, case) in CASES.iter().enumerate() {
        for &order in case.orders {
            let scene = Scene::new(case.text, PATIENT, order, &events);
            let whole = scene.undisturbed();
            assert!(!whole.is_empty(), "{}", case.name);
            for (round, every) in [70, 300].into_iter().enumerate() {
                // Each event that is struck fails once: more often it would be a dead letter.
                let fault =
                    |(place, seed): (&&str, usize)| format!("panic:{place},rate=0.004,heals=1,seed={seed}");
                let faults: Vec<String> = case.places.iter().zip(10 * at + round..).map(fault).collect();
                let ran = scene.disturbed(every, &faults);
                assert_eq!(ran.code, Some(0), "{} under {order}: {}", case.name, ran.stderr);
                scene.check(&whole, case.name);
                assert_eq!(scene.file("letters.jsonl"), "", "{} under {order}", case.name);
                let stats: Value = serde_json::from_str(&scene.file("stats.json")).unwrap();
                assert_eq!(stats["rollbacks"], scene.rollbacks());
                assert_eq!(
                    (&stats["events"], &stats["results"]),
                    (&2500.into(), &whole.lines().count().into())
                );
                rollbacks += scene.rollbacks();
                fs::remove_dir_all(scene.path("kept")).unwrap();
            }
        }
    }
    println!("{rollbacks} rollbacks");
    assert!(rollbacks > 100, "{rollbacks}");
}

#[test]
fn a_poison_event_costs_exactly_that_event() {
    let events = event_lines(2500);
    let case = &CASES[0];
    for order in ANY {
        // In front of everything: the rest is what a run without the event gives.
        let scene = Scene::new(case.text, RESTARTS, order, &events);
        let ran = scene.disturbed(90, &["panic:stream=Kept,every=1200".to_owned()]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let letters = scene.lines("letters.jsonl");
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        assert_eq!((&letter["attempts"], &letter["stream"]), (&2.into(), &"Kept".into()));
        assert!(letter["error"].as_str().unwrap().contains("injected panic"), "{letter}");
        assert_eq!(scene.rollbacks(), 2, "it was tried twice");
        let n = letter["event"]["data"]["n"].as_u64().unwrap() as usize;
        let mut others = events.clone();
        assert!(others.remove(n).contains(&format!("n: {n} }}")));
        let whole = Scene::new(case.text, RESTARTS, order, &others).undisturbed();
        scene.check(&whole, "without the event");
        // Further down: only there it is missing.
        let scene = Scene::new(case.text, RESTARTS, order, &events);
        let ran = scene.disturbed(90, &["panic:stream=Sums,every=500,times=2".to_owned()]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let letters = scene.lines("letters.jsonl");
        let [letter] = &letters[..] else { panic!("{letters:?}") };
        let n = letter["event"]["data"]["n"].as_u64().unwrap() as usize;
        let mut others = events.clone();
        others.remove(n);
        let without = Scene::new(case.text, RESTARTS, order, &others).undisturbed();
        let with = scene.undisturbed();
        let found = scene.file("out.jsonl");
        for (stream, expected) in [("Kept", &with), ("Sums", &without)] {
            assert_eq!(sorted(&of_stream(&found, stream)), sorted(&of_stream(expected, stream)), "{order}");
        }
    }
}

#[test]
fn a_poison_event_in_a_pool_or_a_round_is_known_again() {
    let events = event_lines(1500);
    for (case, places) in [
        (&CASES[3], &["stream=Sums,worker=0", "stream=Sums,worker=1", "stream=Sums,worker=2"][..]),
        (&CASES[1], &["stream=Both"]),
    ] {
        let restarts = format!("{RESTARTS} max_attempts: 2");
        let scene = Scene::new(case.text, &restarts, "deterministic", &events);
        let faults: Vec<String> =
            places.iter().map(|place| format!("panic:{place},every=100,times=3")).collect();
        let ran = scene.disturbed(60, &faults);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let letters = scene.lines("letters.jsonl");
        assert!(!letters.is_empty(), "{}", case.name);
        assert!(letters.iter().all(|letter| letter["attempts"] == 3), "{letters:?}");
        // Two may fail at once, and then go back together.
        let rollbacks = scene.rollbacks();
        assert!((3..=3 * places.len()).contains(&rollbacks), "{rollbacks}");
    }
}

#[test]
fn kills_and_panics_together_change_nothing() {
    let events = event_lines(4000);
    let mut seed = 5_u64;
    let mut random = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let (mut killed, mut rolled_back) = (0, 0);
    for case in [&CASES[0], &CASES[2], &CASES[3]] {
        let scene = Scene::new(case.text, PATIENT, "deterministic", &events);
        let whole = scene.undisturbed();
        for attempt in 0..12 {
            let seed = random(1000);
            let faults: Vec<String> = case
                .places
                .iter()
                .flat_map(|place| {
                    ["--fault".to_owned(), format!("panic:{place},rate=0.005,heals=1,seed={seed}")]
                })
                .collect();
            let keeping = scene.keeping(60 + random(300) as usize);
            let options: Vec<&str> = keeping.iter().chain(&faults).map(String::as_str).collect();
            let log = fs::File::create(scene.path("log")).unwrap();
            let mut child = varpin(scene.arguments(&options))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap();
            if attempt < 11 {
                thread::sleep(Duration::from_millis(random(150)));
                // It may have ended already.
                let _ = child.kill();
            }
            let status = child.wait().unwrap();
            let log = scene.file("log");
            rolled_back += usize::from(log.contains("rolled back to checkpoint"));
            if status.code().is_none() {
                killed += 1;
                continue;
            }
            assert_eq!(status.code(), Some(0), "{}: {log}", case.name);
            scene.check(&whole, case.name);
            fs::remove_dir_all(scene.path("kept")).unwrap();
        }
    }
    println!("killed {killed} times; {rolled_back} runs were rolled back");
    assert!(killed > 5 && rolled_back > 5, "{killed} {rolled_back}");
}

#[test]
fn what_fails_for_ever_ends_the_run_with_70() {
    let restarts = "restart: on_failure max_restarts: 3 backoff_min: 0ms max_attempts: 100";
    let scene = Scene::new(CASES[0].text, restarts, "deterministic", &event_lines(1000));
    let ran = scene.disturbed(100, &["panic:stream=Sums,every=500".to_owned()]);
    assert_eq!(scene.rollbacks(), 3);
    ran.says(
        70,
        &["context analyze failed again after 3 restarts within 10s", "stream Sums, .source: injected panic"],
    );
    // Gone on with in another process, it ends as if nothing had been.
    let ran = scene.disturbed(100, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    scene.check(&scene.undisturbed(), "afterwards");
}

#[test]
fn a_failure_at_the_end_of_the_input_goes_back_as_well() {
    let text = "context a\ncontext b\n\
                stream Sums = A.context(a).window(20).aggregate(s: sum(v), n: last(n))\n\
                stream Out = Sums.context(b).emit(s: s, n: n)\n";
    let events: Vec<String> =
        (0..45).map(|n| format!("@{n}s A {{ k: \"k\", v: {n}, w: 0.5, n: {n} }}\n")).collect();
    let scene = Scene::new(text, RESTARTS, "deterministic", &events);
    let whole = scene.undisturbed();
    assert_eq!(whole.lines().count(), 6);
    // The third row of the sums is that of the end.
    let ran = scene.disturbed(10, &["panic:stream=Out,after=2,heals=1".to_owned()]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(scene.rollbacks(), 1);
    scene.check(&whole, "at the end");
    // If it fails each time, the end is given up there; what had come before stays.
    fs::remove_dir_all(scene.path("kept")).unwrap();
    let ran = scene.disturbed(10, &["panic:stream=Out,after=2".to_owned()]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(scene.rollbacks(), 2);
    assert_eq!(of_stream(&scene.file("out.jsonl"), "Sums"), of_stream(&whole, "Sums"));
    assert_eq!(of_stream(&scene.file("out.jsonl"), "Out").lines().count(), 2);
    assert!(!scene.lines("letters.jsonl").is_empty());
}

#[test]
fn files_of_the_program_and_lines_that_are_no_events_go_back_too() {
    let text = "context a\n\
                stream More = C.from(file, path: \"more.evt\").context(a).emit(n: n)\n\
                stream Rows = merge(A, More).context(a).emit(n: n).to(file, path: \"rows.jsonl\")\n\
                stream Log = A.context(a).where(v == 3).emit(n: n).to(file, path: \"log.csv\", append: true)\n\
                stream Sums = merge(A, More).context(a).window(9).aggregate(s: sum(n))\n";
    let mut lines = event_lines(1500);
    for at in [100, 700, 1400] {
        lines.insert(at, "no event\n".to_owned());
    }
    let more: Vec<String> = (0..400).map(|n| format!("@{}ms C {{ n: {n} }}\n", n * 130)).collect();
    let scene = |restarts| {
        let scene = Scene::new(text, restarts, "deterministic", &lines);
        fs::write(scene.path("more.evt"), more.concat()).unwrap();
        fs::write(scene.path("log.csv"), "@timestamp,n\nbefore\n").unwrap();
        scene
    };
    let quiet = scene(PATIENT);
    let options: Vec<String> =
        quiet.keeping(100).into_iter().chain(["--on-bad-input=skip".to_owned()]).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let ran = run(quiet.arguments(&options), "");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let loud = scene(PATIENT);
    let options: Vec<String> =
        loud.keeping(100).into_iter().chain(["--on-bad-input=skip".to_owned()]).collect();
    let faults =
        ["--fault", "panic:stream=Rows,rate=0.01,heals=1", "--fault", "panic:stream=Log,every=60,heals=1"];
    let options: Vec<&str> = options.iter().map(String::as_str).chain(faults).collect();
    let ran = run(loud.arguments(&options), "");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(loud.rollbacks() > 5);
    for name in ["out.jsonl", "rows.jsonl", "log.csv"] {
        assert_eq!(loud.file(name), quiet.file(name), "{name}");
    }
    // Letters of lines behind a checkpoint may be in front of its cut, and come again then.
    let letters = |scene: &Scene| {
        let text = scene.file("letters.jsonl").replace(&scene.path("").display().to_string(), "");
        let mut letters: Vec<String> = sorted(&text).into_iter().map(str::to_owned).collect();
        letters.dedup();
        letters
    };
    assert_eq!(letters(&loud), letters(&quiet));
    assert!(loud.file("log.csv").starts_with("@timestamp,n\nbefore\n"));
    let bad_lines = |scene: &Scene| {
        let stats: Value = serde_json::from_str(&scene.file("stats.json")).unwrap();
        stats["bad_lines"].clone()
    };
    assert_eq!((bad_lines(&loud), bad_lines(&quiet)), (3.into(), 3.into()));
}

#[test]
fn csv_is_read_again_with_its_header() {
    let text = "context a\nevent A: k: str v: int n: int\nstream S = A.context(a).partition_by(k).window(7).aggregate(k: last(k), s: sum(v), n: last(n))\n";
    let text =
        text.replace("event A: k: str v: int n: int", "event A:\n    k: str\n    v: int\n    n: int\n");
    let scene = Scene::new(&text, RESTARTS, "deterministic", &[]);
    let rows: Vec<String> = (0..900).map(|n| format!("{},{},{n}\n", ["x", "y"][n % 2], n % 7)).collect();
    fs::write(scene.path("events.csv"), format!("k,v,n\n{}", rows.concat())).unwrap();
    let path = |name: &str| scene.path(name).display().to_string();
    let csv = ["--format", "csv", "--event-type", "A", "--order", "deterministic", "--pin", "off"]
        .map(str::to_owned);
    let run = |more: &[String]| {
        let arguments =
            ["run".to_owned(), path("program.vpl"), path("events.csv")].into_iter().chain(csv.clone());
        run(arguments.chain(more.iter().cloned()), "")
    };
    run(&["-o".to_owned(), path("whole.jsonl")]).clean();
    let whole = scene.file("whole.jsonl");
    assert!(whole.lines().count() > 100);
    // Before the second checkpoint, so that the header is read again, and later.
    let fault = ["--fault".to_owned(), "panic:stream=S,every=40,heals=1".to_owned()];
    let ran = run(&[&scene.keeping(100)[..], &fault[..]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(scene.rollbacks() > 10);
    scene.check(&whole, "csv");
}

#[test]
fn results_on_standard_output_come_once_where_they_can_be_told_apart() {
    let scene = Scene::new(CASES[0].text, RESTARTS, "deterministic", &event_lines(1500));
    let kept = scene.path("kept").display().to_string();
    let whole = scene.undisturbed();
    let options = [
        "--checkpoint-dir",
        &kept,
        "--checkpoint-events",
        "100",
        "--fault",
        "panic:stream=Sums,rate=0.01,heals=1",
    ];
    let ran = run(scene.arguments(&options), "");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("rolled back to checkpoint"), "{}", ran.stderr);
    assert!(ran.stdout == whole, "{} bytes, not {}", ran.stdout.len(), whole.len());
}

#[test]
fn standard_input_goes_on_and_says_what_is_lost() {
    let scene = Scene::new("context a\nstream S = A.context(a).emit(n: n)\n", RESTARTS, "deterministic", &[]);
    let path = |name: &str| scene.path(name).display().to_string();
    let mut input = String::new();
    for n in 0..20_000 {
        let _ = writeln!(input, "A {{ n: {n} }}");
    }
    let mut arguments = vec!["run".to_owned(), path("program.vpl"), "--order=deterministic".to_owned()];
    arguments.extend(scene.keeping(200));
    arguments.extend(["--fault".to_owned(), "panic:stream=S,every=6000".to_owned()]);
    let ran = run(&arguments, &input);
    let ran = ran.says(0, &["rolled back to", "standard input cannot be read again", "are lost"]);
    let found = scene.lines("out.jsonl");
    let ids: Vec<u64> = found.iter().map(|line| line["data"]["n"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] < pair[1]), "at most once");
    // How many are lost depends on how far the disk is behind.
    assert!(ids.len() < 20_000, "{}", ids.len());
    let lost = |line: &str| line.split(" events behind").next()?.rsplit(' ').next()?.parse::<usize>().ok();
    let lost: usize = ran
        .stderr
        .lines()
        .filter(|line| line.contains("are lost") && !line.contains("after a crash"))
        .filter_map(lost)
        .sum();
    assert_eq!(ids.len() + lost, 20_000, "each is there, or said to be lost");
}

#[test]
fn results_that_wait_for_their_checkpoint_are_never_taken_back() {
    for order in ["deterministic", "arrival"] {
        let scene = Scene::new(CASES[0].text, RESTARTS, order, &event_lines(2000));
        let kept = scene.path("kept").display().to_string();
        let whole = scene.undisturbed();
        let options = [
            "--checkpoint-dir",
            &kept,
            "--checkpoint-events",
            "100",
            "--commit-on-checkpoint",
            "--fault",
            "panic:stream=Sums,rate=0.01,heals=1",
        ];
        let ran = run(scene.arguments(&options), "");
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert!(ran.stderr.contains("rolled back to checkpoint"), "{}", ran.stderr);
        assert!(sorted(&ran.stdout) == sorted(&whole), "{order}: {} lines", ran.stdout.lines().count());
    }
}

#[test]
fn the_plan_says_what_a_restart_is_where_checkpoints_are_kept() {
    let text = "context a\nstream S = A.context(a).emit(n: n)\n";
    let scene = Scene::new(text, &format!("{RESTARTS} checkpoint_dir: \"kept\""), "deterministic", &[]);
    let plan = run(["plan", &scene.path("program.vpl").display().to_string()], "").clean();
    let line = "a restart: everything goes back to the last checkpoint";
    assert!(plan.stdout.contains(line), "{}", plan.stdout);
    let scene = Scene::new(text, RESTARTS, "deterministic", &[]);
    let plan = run(["plan", &scene.path("program.vpl").display().to_string()], "").clean();
    assert!(!plan.stdout.contains(line), "{}", plan.stdout);
}
