//! `varpin run --checkpoint-dir`, killed at any moment and at each step of writing a checkpoint, any number of times, and
//! started again each time: the results are in the end those of a run that nobody has disturbed, byte for byte under
//! `deterministic`, and line for line in some order under the others.
//!
//! `VARPIN_CRASHES=200 cargo test --test cli_crash --features faults` kills so often; the default is fewer.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test that fails panics")]

mod command;
#[path = "common/kept.rs"]
mod kept;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use command::{run, varpin};
use kept::{ANY, ONE, assert_same_results, event_lines, memory_or_disk};
use tempfile::TempDir;

/// A program, and in which orders its results do not depend on the moment.
struct Case {
    name: &'static str,
    text: &'static str,
    orders: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        name: "one thread: variables, limits, distinct values, windows of each kind",
        text: "var seen = 0\n\
               fn next(v: int) -> int:\n    seen := seen + v\n    return seen\n\
               stream Sums = A.where(v > 3).select(sum: next(v))\n\
               stream First = A.partition_by(k).limit(40).emit(k: k, v: v)\n\
               stream New = A.distinct(n % 900).emit(n: n)\n\
               stream Count = A.partition_by(k).window(50, sliding: 20).aggregate(a: avg(w), m: median(v), k: last(k))\n\
               stream Time = A.partition_by(k).window(7s, sliding: 2s).aggregate(n: count(), d: count_distinct(v))\n\
               stream Quiet = B.partition_by(k).window(session: 1s).aggregate(n: count(), k: last(k))\n",
        orders: ONE,
    },
    Case {
        name: "one thread: joins, sequences, timers",
        text: "stream Tick = timer(3s).emit(at: timestamp)\n\
               stream Pairs = left_join(A, B).on(A.k == B.k).window(1s).emit(a: A.n, b: B.n)\n\
               stream Runs = A as a where v == 8 -> all B as b -> A as c where c.v > 6\n    .within(4s).partition_by(k)\n    \
               .emit(n: count(b), from: a.n, to: c.n)\n",
        orders: ONE,
    },
    Case {
        name: "contexts that feed each other",
        text: "context ingest\ncontext analyze\n\
               stream Kept = A.where(v > 1).context(ingest).emit(k: k, v: v, n: n)\n\
               stream Sums = Kept.context(analyze).partition_by(k).window(20).aggregate(k: last(k), s: sum(v), n: last(n))\n\
               stream Back = Sums.context(ingest).window(3).aggregate(s: max(s), n: last(n))\n\
               stream Both = merge(Kept, B).context(analyze).partition_by(k).window(5s).aggregate(k: last(k), c: count())\n",
        orders: ONE,
    },
    Case {
        name: "contexts one behind the other",
        text: "context ingest\ncontext analyze\n\
               stream Kept = A.where(v > 1).context(ingest).emit(k: k, v: v, n: n)\n\
               stream Sums = Kept.context(analyze).partition_by(k).window(20).aggregate(k: last(k), s: sum(v), n: last(n))\n",
        orders: ANY,
    },
    Case {
        name: "pools by key",
        text: "context work\n\
               stream Sums = A.context(work).partition_by(k).concurrent(workers: 3).window(15)\
               .aggregate(k: last(k), s: sum(v), n: last(n))\n",
        orders: ANY,
    },
    Case {
        name: "pools by turns, and windows of time in pools",
        text: "context work\n\
               stream Odd = A.context(work).concurrent(workers: 2, strategy: round_robin).where(v % 2 == 1).emit(n: n)\n\
               stream Time = A.context(work).partition_by(k).concurrent(workers: 2).window(4s)\
               .aggregate(k: last(k), c: count())\n",
        orders: ONE,
    },
];

struct Scene {
    directory: TempDir,
    order: &'static str,
}

impl Scene {
    fn new(case: &Case, order: &'static str, count: usize) -> Self {
        let directory = memory_or_disk();
        fs::write(directory.path().join("program.vpl"), case.text).unwrap();
        fs::write(directory.path().join("events.evt"), event_lines(count).concat()).unwrap();
        Self { directory, order }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn arguments(&self, output: &str) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let mut arguments: Vec<String> = vec!["run".to_owned(), path("program.vpl"), path("events.evt")];
        arguments.extend(["-o".to_owned(), path(output), "--order".to_owned(), self.order.to_owned()]);
        arguments.extend(["--pin".to_owned(), "off".to_owned()]);
        arguments
    }

    /// The results of a run that nobody disturbs, and how long it takes.
    fn undisturbed(&self) -> (Vec<u8>, Duration) {
        let started = Instant::now();
        run(self.arguments("whole.jsonl"), "").clean();
        (fs::read(self.path("whole.jsonl")).unwrap(), started.elapsed())
    }

    /// A run with checkpoints every so many events; killed after a time, if there is one. How it ended.
    fn disturbed(&self, every: usize, kill_after: Option<Duration>, more: &[&str]) -> ExitStatus {
        let mut arguments = self.arguments("out.jsonl");
        arguments.extend(["--checkpoint-dir".to_owned(), self.path("kept").display().to_string()]);
        arguments.extend(["--checkpoint-events".to_owned(), every.to_string()]);
        // The state is written bit by bit, while it goes on changing; now with more between two bits, now with less.
        arguments
            .extend(["--checkpoint-slice".to_owned(), ["1", "100", "16384", "16384"][every % 4].to_owned()]);
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let log = fs::File::create(self.path("log")).unwrap();
        let mut child =
            varpin(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        if let Some(after) = kill_after {
            thread::sleep(after);
            // It may have ended already.
            let _ = child.kill();
        }
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if started.elapsed() > command::LIMIT {
                let _ = child.kill();
                panic!("it hangs; it said: {}", self.log());
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// The results are those of an undisturbed run.
    #[track_caller]
    fn check(&self, whole: &[u8], what: &str) {
        assert_same_results(self.order, &fs::read(self.path("out.jsonl")).unwrap(), whole, what);
    }
}

/// Each run of a case in each of its orders.
fn scenes(count: usize) -> Vec<(&'static Case, Scene)> {
    let all = CASES.iter().flat_map(|case| case.orders.iter().map(move |order| (case, *order)));
    all.map(|(case, order)| (case, Scene::new(case, order, count))).collect()
}

#[test]
fn a_run_that_is_killed_at_any_moment_gives_what_an_undisturbed_one_gives() {
    let crashes: usize =
        std::env::var("VARPIN_CRASHES").ok().and_then(|crashes| crashes.parse().ok()).unwrap_or(30);
    let scenes = scenes(6000);
    let mut seed = 5_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below.max(1)
    };
    let (mut killed, mut resumed) = (0, 0);
    for (at, (case, scene)) in scenes.iter().enumerate() {
        let (whole, took) = scene.undisturbed();
        assert!(!whole.is_empty(), "{}", case.name);
        let due = crashes * (at + 1) / scenes.len() - crashes * at / scenes.len();
        let mut left = due;
        let mut finished_early = 0;
        while left > 0 {
            // A little longer than a whole run takes, so that each moment of it is hit, the first and the last too.
            let after = Duration::from_nanos(random(took.as_nanos() as u64 * 5 / 4));
            let every = 50 + random(400) as usize;
            // Whether results wait for their checkpoint may be another thing each time.
            let more: &[&str] = if random(2) == 0 { &["--commit-on-checkpoint"] } else { &[] };
            let status = scene.disturbed(every, Some(after), more);
            resumed += usize::from(scene.log().contains("goes on from checkpoint"));
            if status.signal() == Some(9) {
                killed += 1;
                left -= 1;
                continue;
            }
            assert_eq!(status.code(), Some(0), "{}: {}", case.name, scene.log());
            scene.check(&whole, case.name);
            finished_early += 1;
            // From the beginning again, or what is left is always the same end.
            fs::remove_dir_all(scene.path("kept")).unwrap();
            assert!(finished_early < 100 + 10 * due, "no kill comes in time");
        }
        let status = scene.disturbed(200, None, &[]);
        assert_eq!(status.code(), Some(0), "{} under {}: {}", case.name, scene.order, scene.log());
        scene.check(&whole, &format!("{} under {}", case.name, scene.order));
    }
    println!("killed {killed} times; {resumed} runs went on from a checkpoint");
    assert_eq!(killed, crashes);
    assert!(crashes < 20 || resumed > 0, "no run ever went on from a checkpoint");
}

#[test]
fn what_was_written_after_its_checkpoint_stays_in_any_order() {
    // Under `arrival` a run that goes on makes another order of what it makes anew; what has been seen must not change.
    let case = CASES.iter().find(|case| case.name == "contexts one behind the other").unwrap();
    let scene = Scene::new(case, "arrival", 20_000);
    let (whole, took) = scene.undisturbed();
    let (mut seen_before, mut compared) = (Vec::new(), 0);
    for attempt in 0..60 {
        let status = scene.disturbed(100, Some(took * (2 + attempt % 7) / 20), &["--commit-on-checkpoint"]);
        // It may have been killed before there was a file.
        let seen = fs::read(scene.path("out.jsonl")).unwrap_or_default();
        // At the end of the input the rest comes without a checkpoint.
        let is_far_from_the_end = seen.len() < whole.len() * 7 / 10;
        if status.signal() == Some(9) && is_far_from_the_end {
            let both = seen.len().min(seen_before.len());
            assert!(seen[..both] == seen_before[..both], "what was written has changed");
            compared += usize::from(both > 0);
            if seen.len() > seen_before.len() {
                seen_before = seen;
            }
        } else {
            fs::remove_dir_all(scene.path("kept")).unwrap();
            seen_before.clear();
        }
        if compared == 5 {
            break;
        }
    }
    assert_eq!(compared, 5, "no two runs were killed at the right moments");
    let status = scene.disturbed(500, None, &["--commit-on-checkpoint"]);
    assert_eq!(status.code(), Some(0), "{}", scene.log());
    assert!(fs::read(scene.path("out.jsonl")).unwrap().starts_with(&seen_before), "it changes at the end");
    scene.check(&whole, case.name);
}

#[cfg(feature = "faults")]
#[test]
fn a_run_that_is_killed_at_any_step_of_writing_gives_what_an_undisturbed_one_gives() {
    let steps = varpin::checkpoint::Step::ALL;
    for (case, scene) in scenes(2500) {
        let (whole, _) = scene.undisturbed();
        for (number, step) in steps.iter().cycle().take(2 * steps.len()).enumerate() {
            // The first checkpoint of a run, then a later one.
            let nth = if number < steps.len() { 1 } else { 3 };
            let at = format!("{}:{nth}", step.name());
            let more = ["--checkpoint-kill", &at, "--commit-on-checkpoint"];
            let status = scene.disturbed(100, None, &more[..2 + number % 2]);
            if status.signal() != Some(9) {
                // There were not so many left before the end.
                assert_eq!(status.code(), Some(0), "{}: {}", case.name, scene.log());
                scene.check(&whole, case.name);
                fs::remove_dir_all(scene.path("kept")).unwrap();
            }
        }
        let status = scene.disturbed(100, None, &[]);
        assert_eq!(status.code(), Some(0), "{}: {}", case.name, scene.log());
        scene.check(&whole, &format!("{} under {}", case.name, scene.order));
    }
}

/// A run with checkpoints that has ended, and its directory of checkpoints.
fn ended() -> (Scene, PathBuf, Vec<u8>) {
    let scene = Scene::new(&CASES[0], "deterministic", 2000);
    let (whole, _) = scene.undisturbed();
    let kept = scene.path("kept");
    // A run that is quicker than the disk leaves fewer.
    for _ in 0..50 {
        assert_eq!(scene.disturbed(150, None, &[]).code(), Some(0), "{}", scene.log());
        let files = fs::read_dir(&kept).unwrap().map(|entry| entry.unwrap().path());
        // The first is that in front of the first event.
        if files.filter(|path| is_checkpoint(path)).count() >= 3 {
            return (scene, kept, whole);
        }
        fs::remove_dir_all(&kept).unwrap();
    }
    panic!("no run leaves three checkpoints");
}

fn is_checkpoint(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "checkpoint")
}

fn newest(directory: &Path) -> PathBuf {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| is_checkpoint(path)).max().unwrap()
}

#[test]
fn a_run_that_has_ended_can_be_started_again() {
    let (scene, _, whole) = ended();
    assert_eq!(scene.disturbed(150, None, &[]).code(), Some(0), "{}", scene.log());
    assert!(scene.log().contains("goes on from checkpoint"), "{}", scene.log());
    scene.check(&whole, "again");
}

#[test]
fn checkpoints_are_listed_verified_and_described() {
    let (scene, kept, whole) = ended();
    let directory = kept.display().to_string();
    let listed = run(["checkpoints", &directory], "").clean();
    for word in
        ["checkpoint", "stream Sums: ", "stream First: 4 keys", "input {", "\"output\":", "stage main: "]
    {
        assert!(listed.stdout.contains(word), "{word:?} is not in: {}", listed.stdout);
    }
    let newest = newest(&kept);
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, &bytes).unwrap();
    let listed = run(["checkpoints", &directory, "--json"], "");
    assert_eq!(listed.code, Some(1), "one is damaged");
    let json: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    let all = json["checkpoints"].as_array().unwrap();
    let [.., before, newest] = &all[..] else { panic!("{json}") };
    assert_eq!((&before["whole"], &newest["whole"]), (&true.into(), &false.into()));
    assert!(before["input"]["offset"].as_u64().unwrap() > 0);
    assert!(before["events"].as_u64().unwrap() > 0);
    assert!(before["streams"].as_array().unwrap().len() == 6);
    assert!(newest["damage"].as_str().unwrap().contains("checksum"));
    // The run goes on from the one before, and says so.
    assert_eq!(scene.disturbed(150, None, &[]).code(), Some(0), "{}", scene.log());
    assert!(scene.log().contains("a checkpoint is damaged and was passed over"), "{}", scene.log());
    scene.check(&whole, "from the one before");
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_lost() {
    let (scene, kept, whole) = ended();
    let results = fs::read(scene.path("out.jsonl")).unwrap();
    let refused = |words: &[&str]| {
        let status = scene.disturbed(150, None, &[]);
        assert_eq!(status.code(), Some(2), "{}", scene.log());
        for word in words {
            assert!(scene.log().contains(word), "{word:?} is not in: {}", scene.log());
        }
        assert_eq!(fs::read(scene.path("out.jsonl")).unwrap(), results, "the results are as they were");
    };
    let program = fs::read_to_string(scene.path("program.vpl")).unwrap();
    fs::write(scene.path("program.vpl"), program.replace("limit(40)", "limit(41)")).unwrap();
    refused(&["stream First has changed"]);
    assert_eq!(scene.disturbed(150, None, &["--allow-changed"]).code(), Some(0), "{}", scene.log());
    fs::remove_dir_all(&kept).unwrap();
    fs::write(scene.path("program.vpl"), &program).unwrap();
    assert_eq!(scene.disturbed(150, None, &[]).code(), Some(0), "{}", scene.log());
    scene.check(&whole, "anew");
    // Events that are not those of the checkpoint.
    let all = fs::read(scene.path("events.evt")).unwrap();
    fs::write(scene.path("events.evt"), "@1ms A { k: \"x\" }\n").unwrap();
    refused(&["is shorter than when the checkpoint was made"]);
    fs::write(scene.path("events.evt"), all).unwrap();
    // All are damaged.
    for entry in fs::read_dir(&kept).unwrap() {
        let path = entry.unwrap().path();
        if is_checkpoint(&path) {
            fs::write(path, "nonsense").unwrap();
        }
    }
    refused(&["none is whole", "remove them to begin anew"]);
}

#[test]
fn results_that_were_cut_short_by_others_are_noticed() {
    let (scene, ..) = ended();
    fs::write(scene.path("out.jsonl"), "short\n").unwrap();
    let status = scene.disturbed(150, None, &[]);
    assert_eq!(status.code(), Some(2), "{}", scene.log());
    assert!(scene.log().contains("it is not the same file"), "{}", scene.log());
    assert_eq!(fs::read_to_string(scene.path("out.jsonl")).unwrap(), "short\n");
}

#[test]
fn standard_input_and_output_say_what_they_cannot_promise() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program.vpl");
    fs::write(&program, "stream S = A.emit(n: n)").unwrap();
    let kept = directory.path().join("kept").display().to_string();
    let program = program.display().to_string();
    let ran = run(["run", &program, "--checkpoint-dir", &kept], "A { n: 1 }\n");
    assert_eq!(ran.lines().len(), 1);
    ran.says(0, &["at most once from the last checkpoint", "at least once"]);
    run(["run", &program, "--checkpoint-events", "5"], "")
        .says(2, &["--checkpoint-events needs --checkpoint-dir"]);
}

#[test]
fn a_run_that_is_interrupted_goes_on_behind_the_last_event() {
    for contexts in ["", "context work\n"] {
        let files = command::Files::new();
        let context = if contexts.is_empty() { "" } else { ".context(work)" };
        let text = format!(
            "{contexts}stream Each = A{context}.emit(n: n)\n\
             stream Sums = A{context}.window(3).aggregate(s: sum(n))\n"
        );
        let program = files.write("p.vpl", &text);
        let kept = files.path("kept").display().to_string();
        let start = || {
            let arguments = ["run", &program, "--checkpoint-dir", &kept, "--checkpoint-events", "1000000"];
            command::Running::start(varpin(arguments.into_iter().chain(["--order", "deterministic"])))
        };
        let mut running = start();
        for n in 1..=2 {
            running.feed(&format!("A {{ n: {n} }}\n"));
            assert!(running.line().contains(&format!("\"n\":{n}")));
        }
        running.signal("INT");
        running.wait().says(130, &[]);
        let mut running = start();
        running.feed("A { n: 4 }\n");
        running.stdin = None;
        let ran = running.wait();
        assert!(ran.stderr.contains("2 events"), "{}", ran.stderr);
        assert!(ran.stdout.contains("\"s\":7"), "the window goes on: {}", ran.stdout);
    }
}

#[test]
fn results_that_wait_for_checkpoints_come_while_the_run_lives_and_after_an_interrupt() {
    let files = command::Files::new();
    let program = files.write(
        "p.vpl",
        "config engine { commit_on_checkpoint: true checkpoint_dir: \"kept\" checkpoint_interval: 20ms }\n\
         stream Each = A.emit(n: n)\n",
    );
    let mut running = command::Running::start(varpin(["run", &program]));
    for n in 1..=3 {
        running.feed(&format!("A {{ n: {n} }}\n"));
        assert!(running.line().contains(&format!("\"n\":{n}")));
    }
    running.signal("INT");
    let ran = running.wait().says(130, &[]);
    assert_eq!(ran.stdout, "", "each comes once");
    assert_eq!(run(["run", &program], "").says(0, &["3 events, 3 results"]).stdout, "");
}

#[test]
fn two_runs_on_one_directory_are_one_too_many() {
    let (scene, kept, _) = ended();
    let store = varpin::checkpoint::Store::open(&kept, 3).unwrap();
    assert_eq!(scene.disturbed(150, None, &[]).code(), Some(2));
    assert!(scene.log().contains("another engine keeps its checkpoints there"), "{}", scene.log());
    drop(store);
    assert_eq!(scene.disturbed(150, None, &[]).code(), Some(0), "{}", scene.log());
}

/// A program that reads a file of its own and writes two.
const FILES: Case = Case {
    name: "files of the program",
    text: "stream More = C.from(file, path: \"more.evt\").emit(n: n)\n\
           stream Rows = merge(A, More).emit(n: n).to(file, path: \"rows.jsonl\")\n\
           stream Log = A.where(v == 3).emit(n: n).to(file, path: \"log.csv\", append: true)\n\
           stream Sums = merge(A, More).window(9).aggregate(s: sum(n))\n",
    orders: ONE,
};

#[test]
fn files_that_the_program_itself_reads_and_writes_go_on_too() {
    let scene = Scene::new(&FILES, "deterministic", 3000);
    let more = (0..2000).fold(String::new(), |mut more, n| {
        let _ = writeln!(more, "@{}ms C {{ n: {} }}", n * 60 + 7, 100_000 + n);
        more
    });
    fs::write(scene.path("more.evt"), more).unwrap();
    // What was in the file before stays there, however often the run is killed.
    let log = "@timestamp,n\n1970-01-01T00:00:00.000Z,0\n";
    fs::write(scene.path("log.csv"), log).unwrap();
    let (whole, took) = scene.undisturbed();
    let files = || ["rows.jsonl", "log.csv"].map(|name| fs::read(scene.path(name)).unwrap());
    let expected = files();
    for round in 0..3 {
        fs::write(scene.path("log.csv"), log).unwrap();
        fs::write(scene.path("rows.jsonl"), "left by others\n").unwrap();
        for part in 1..6 {
            scene.disturbed(40 + 60 * round, Some(took * part / 6), &[]);
        }
        let status = scene.disturbed(100, None, &[]);
        assert_eq!(status.code(), Some(0), "{}", scene.log());
        scene.check(&whole, FILES.name);
        assert!(files() == expected, "round {round}: rows as in an undisturbed run");
        fs::remove_dir_all(scene.path("kept")).unwrap();
    }
}
