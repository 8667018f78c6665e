//! What supervision costs while nothing fails: the same stream in a context, fed by turns without supervision, with
//! restarts and stall detection, and with a circuit breaker as well.
//!
//! All engines stand ready in one process and park while it is not their turn, so what the machine does meanwhile touches
//! all alike. A round gives each the same events and takes their results. Of all rounds of one set of engines the median
//! of the ratios counts; then the engines are built anew, because where their memory lies makes a difference of its own.
//! Printed is what supervision takes of the throughput, and what it adds to the CPU time of all threads, which others who
//! want the CPUs change much less; with 95 % confidence intervals over the sets (of medians, by order statistics). One engine
//! more has no supervision either: what it seems to cost is what this can't tell apart.
//!
//! - `cargo bench --bench supervision`; `-- --check` ends with 1 where it is surely more than 2 %.
//! - `-- --count KIND EVENTS` feeds one engine, for tools that count (`scripts/supervision-cost.sh`): so many events, the
//!   same again between two system calls that nobody else makes (getppid), and the end.
#![allow(unsafe_code)] // to ask for the CPU time of the process

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use varpin::engine::{Engine, Program, Record};
use varpin::idle::Idle;
use varpin::supervise::{Declared, Restart};

#[path = "common/median.rs"]
mod median;

use median::median;

const PROGRAM: &str = "context c
stream S = E.context(c).where(v % 4 != 0).partition_by(k).window(4).aggregate(k: last(k), sum: sum(v))";

/// The most that supervision may take of the throughput.
const BOUND: f64 = 0.02;

/// Who is compared with the first of them, and the name for `--count`.
const KINDS: [(&str, &str); 4] = [
    ("plain", "without supervision"),
    ("again", "without supervision, too"),
    ("restarts", "restarts and stalls"),
    ("breaker", "restarts, stalls and a breaker"),
];

fn declared(kind: &str) -> Declared {
    let restarts = Declared {
        restart: Some(Restart::OnFailure),
        stall_after: Some(Duration::from_millis(100)),
        ..Declared::default()
    };
    match kind {
        "restarts" => restarts,
        "breaker" => Declared { breaker_failure_rate: Some(0.5), ..restarts },
        _ => Declared::default(),
    }
}

struct Contender {
    engine: Engine,
    /// Events that have been fed.
    fed: i64,
}

impl Contender {
    fn new(kind: &str) -> Self {
        let program = Program::parse(PROGRAM).expect("the program is sound");
        let builder = Engine::builder(&program).publish_every(64).idle(Idle::Park);
        let engine = builder.supervise(declared(kind)).build().expect("the engine can be built");
        Self { engine, fed: 0 }
    }

    /// What so many events take, from the first in to the last result out.
    fn run(&mut self, events: i64) -> Taken {
        let ty = self.engine.event_type("E").expect("the program takes it");
        let (k, v) = (ty.field("k").expect("a field"), ty.field("v").expect("a field"));
        let mut event = ty.event(0);
        let (started, cpu_started) = (Instant::now(), cpu_seconds());
        let mut results = 0;
        for _ in 0..events {
            event.reset(self.fed);
            event.set(&k, self.fed % 100).expect("an int");
            event.set(&v, self.fed).expect("an int");
            self.fed += 1;
            self.engine.feed_ref(&mut event, |result| results += count(&result)).expect("it takes events");
        }
        // Of 400 events, 300 pass; each key has whole windows then.
        while results < events / 4 * 3 / 4 {
            self.engine.poll(|result| results += count(&result));
        }
        // Nobody else in the process has anything to do meanwhile.
        Taken { seconds: started.elapsed().as_secs_f64(), cpu_seconds: cpu_seconds() - cpu_started }
    }

    fn end(mut self) {
        self.engine.finish(|result| _ = black_box(result.time_ns())).expect("the run ends as it should");
    }
}

/// What some events took.
#[derive(Clone, Copy, Default)]
struct Taken {
    seconds: f64,
    /// Of all threads together.
    cpu_seconds: f64,
}

fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for writes, and nothing else is asked of the call.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "the clock is there");
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// One result; it is looked at.
fn count(result: &Record<'_>) -> i64 {
    black_box(result.time_ns());
    1
}

/// By kind: the logarithm of what it took of something in that of what the first kind took.
type Logs = [f64; KINDS.len()];

/// The medians over so many rounds of one set of engines, of time and of CPU time; and the first one's rate.
fn compare(set: usize, rounds: usize, events: i64) -> ([Logs; 2], f64) {
    let mut contenders = KINDS.map(|_| None);
    // Who is built first changes with each set, and who goes first with each round.
    for turn in 0..KINDS.len() {
        let at = (set + turn) % KINDS.len();
        contenders[at] = Some(Contender::new(KINDS[at].0));
    }
    let mut contenders = contenders.map(|contender| contender.expect("each has had its turn"));
    let mut logs = [(); 2].map(|()| KINDS.map(|_| Vec::new()));
    let mut rates = Vec::new();
    for round in 0..=rounds {
        let mut taken = [Taken::default(); KINDS.len()];
        for turn in 0..KINDS.len() {
            let at = (round + turn) % KINDS.len();
            taken[at] = contenders[at].run(events);
        }
        // The first one fills caches.
        if round > 0 {
            rates.push(events as f64 / taken[0].seconds);
            for (at, own) in taken.iter().enumerate() {
                logs[0][at].push((own.seconds / taken[0].seconds).ln());
                logs[1][at].push((own.cpu_seconds / taken[0].cpu_seconds).ln());
            }
        }
    }
    contenders.into_iter().for_each(Contender::end);
    (logs.map(|logs| logs.map(median)), median(rates))
}

/// Least, middle and most: the median, and the order statistics that make a 95 % interval for it. A set in which somebody
/// else had the machine does not count for more than any other.
fn interval(logs: &[f64]) -> (f64, f64, f64) {
    let mut sorted = logs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() as f64 / 2.0;
    let rank = (half - 0.98 * (2.0 * half).sqrt()).floor().max(1.0) as usize;
    (sorted[rank - 1], median(sorted.clone()), sorted[sorted.len() - rank])
}

/// One line about one kind. True if it is surely beyond the bound.
fn tell(kind: &str, what: &str, least: f64, middle: f64, most: f64) -> bool {
    let (name, is_control) = KINDS
        .iter()
        .find(|known| known.0 == kind)
        .map_or((kind, false), |known| (known.1, known.0 == "again"));
    let verdict = match () {
        () if is_control => "what can't be told apart",
        () if most <= BOUND => "within 2 %",
        () if least > BOUND => "beyond 2 %",
        () => "undecided",
    };
    let percent = |share: f64| share * 100.0;
    println!(
        "supervision: {name}: {:.1} % {what} (95 % interval {:.1} to {:.1}): {verdict}",
        percent(middle),
        percent(least),
        percent(most)
    );
    !is_control && least > BOUND
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let is_asked = |option: &str| arguments.iter().any(|argument| argument == option);
    if let Some(at) = arguments.iter().position(|argument| argument == "--count") {
        let (kind, events) = (&arguments[at + 1], arguments[at + 2].parse().expect("a number of events"));
        let mut contender = Contender::new(kind);
        contender.run(events);
        // Whoever counts system calls finds the part in between.
        black_box(std::os::unix::process::parent_id());
        contender.run(events);
        black_box(std::os::unix::process::parent_id());
        contender.end();
        return ExitCode::SUCCESS;
    }
    // Only whether it works, under `cargo test`.
    let (sets, rounds, events) = if is_asked("--bench") { (24, 40, 40_000) } else { (2, 3, 4_000) };
    let (mut logs, mut rates) = ([(); 2].map(|()| KINDS.map(|_| Vec::new())), Vec::new());
    for set in 0..sets {
        let (of_set, rate) = compare(set, rounds, events);
        for (logs, of_set) in logs.iter_mut().zip(of_set) {
            logs.iter_mut().zip(of_set).for_each(|(logs, log)| logs.push(log));
        }
        rates.push(rate);
    }
    println!("supervision: {}: {:.2} million events a second", KINDS[0].1, median(rates) / 1e6);
    let mut is_beyond = false;
    for (at, (kind, _)) in KINDS.iter().enumerate().skip(1) {
        let (least, middle, most) = interval(&logs[0][at]);
        let lost = |log: f64| 1.0 - (-log).exp();
        is_beyond |= tell(kind, "of the throughput", lost(least), lost(middle), lost(most));
        let (least, middle, most) = interval(&logs[1][at]);
        let more = |log: f64| log.exp() - 1.0;
        is_beyond |= tell(kind, "more CPU time", more(least), more(middle), more(most));
    }
    if is_asked("--check") && is_beyond { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
