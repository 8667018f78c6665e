//! Runs the models: each in a process of its own, because a failed model leaves loom (and, with a broken ring, memory)
//! in a state that nothing can be concluded from.
//!
//! `varpin-loom-tests` runs all, `varpin-loom-tests NAME...` those named, `--list` prints the table. Prints a line per model with the
//! number of schedules explored, then `N passed, N failed`; exits with 1 unless something ran and nothing failed.

mod models;
mod watch;

use std::io::Read;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use models::{MODELS, Model};

/// A model takes seconds; one that takes this long has lost its bound.
const LIMIT: Duration = Duration::from_secs(100);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--list"] => {
            for model in MODELS {
                println!("{} (claim {}, {})", model.name, model.claim, bound(model));
            }
            ExitCode::SUCCESS
        }
        ["--one", name] => match MODELS.iter().find(|model| model.name == *name) {
            Some(model) => {
                explore(model);
                ExitCode::SUCCESS
            }
            None => ExitCode::FAILURE,
        },
        names => run(names),
    }
}

fn run(names: &[&str]) -> ExitCode {
    if let Some(unknown) = names.iter().find(|name| MODELS.iter().all(|model| model.name != **name)) {
        eprintln!("no model is called {unknown}");
        return ExitCode::FAILURE;
    }
    let (mut passed, mut failed, mut schedules) = (0, 0, 0);
    for model in MODELS.iter().filter(|model| names.is_empty() || names.contains(&model.name)) {
        let started = Instant::now();
        let outcome = in_child(model);
        let seconds = started.elapsed().as_secs_f64();
        match outcome {
            Ok(count) => {
                passed += 1;
                schedules += count;
                let (name, bound) = (model.name, bound(model));
                println!("ok   {name}: claim {}, {count} schedules, {bound}, {seconds:.1} s", model.claim);
            }
            Err(reason) => {
                failed += 1;
                println!("FAIL {}: claim {}, after {seconds:.1} s: {reason}", model.name, model.claim);
            }
        }
    }
    println!("{schedules} schedules");
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Explores the model in a child process; the number of schedules, or why it failed.
fn in_child(model: &Model) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(["--one", model.name])
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.as_mut().map(|pipe| pipe.read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    });
    let started = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if started.elapsed() > LIMIT => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("still exploring after {} s", LIMIT.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let mut output = String::new();
    let _ = stdout.as_mut().map(|pipe| pipe.read_to_string(&mut output));
    if !status.success() {
        let errors = errors.join().unwrap_or_default();
        let noise = |line: &&str| {
            line.trim().is_empty() || ["thread '", "note: "].iter().any(|start| line.starts_with(start))
        };
        let message: Vec<&str> = errors.lines().filter(|line| !noise(line)).take(2).collect();
        return Err(format!("{status}: {}", message.join(" / ")));
    }
    output.trim().parse().map_err(|_| format!("no number of schedules in {output:?}"))
}

/// Explores every schedule of the model (within its bound) and prints how many there were.
fn explore(model: &Model) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = model.preemptions;
    let schedules = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&schedules);
    let body = model.body;
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        body();
    });
    println!("{}", schedules.load(Ordering::Relaxed));
}

fn bound(model: &Model) -> String {
    match model.preemptions {
        Some(count) => format!("bounded to {count} preemptions"),
        None => "exhaustive".to_owned(),
    }
}
