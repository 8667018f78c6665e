//! What supervision costs while nothing fails: the same stream in a context, fed by turns without supervision, with
//! restarts and stall detection, and with a circuit breaker as well.
//!
//! All three engines stand ready in one process and park while it is not their turn, so what the machine does meanwhile
//! touches all alike. A round gives each the same events and takes their results; printed is the share of throughput
//! that supervision takes, with a 95 % confidence interval from the logarithms of the ratios within each round.
//!
//! `cargo bench --bench supervision`; `-- --check` ends with 1 where it is surely more than 2 %.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use varpin::engine::{Engine, Program, Record};
use varpin::idle::Idle;
use varpin::supervise::{Declared, Restart};

const PROGRAM: &str = "context c
stream S = E.context(c).where(v % 4 != 0).partition_by(k).window(4).aggregate(k: last(k), sum: sum(v))";

/// The most that supervision may take of the throughput.
const BOUND: f64 = 0.02;

struct Contender {
    name: &'static str,
    engine: Engine,
    /// Events that have been fed.
    fed: i64,
}

impl Contender {
    fn new(name: &'static str, declared: &Declared) -> Self {
        let program = Program::parse(PROGRAM).expect("the program is sound");
        let builder = Engine::builder(&program).publish_every(64).idle(Idle::Park);
        let engine = builder.supervise(declared.clone()).build().expect("the engine can be built");
        Self { name, engine, fed: 0 }
    }

    /// The time for so many events, from the first in to the last result out.
    fn run(&mut self, events: i64) -> Duration {
        let ty = self.engine.event_type("E").expect("the program takes it");
        let (k, v) = (ty.field("k").expect("a field"), ty.field("v").expect("a field"));
        let mut event = ty.event(0);
        let started = Instant::now();
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
        started.elapsed()
    }
}

/// One result; it is looked at.
fn count(result: &Record<'_>) -> i64 {
    black_box(result.time_ns());
    1
}

fn main() -> ExitCode {
    let is_asked = |option: &str| std::env::args().any(|argument| argument == option);
    // Only whether it works, under `cargo test`.
    let (rounds, events) = if is_asked("--bench") { (60, 400_000) } else { (3, 4_000) };
    let restarts = Declared {
        restart: Some(Restart::OnFailure),
        stall_after: Some(Duration::from_millis(100)),
        ..Declared::default()
    };
    let breaker = Declared { breaker_failure_rate: Some(0.5), ..restarts.clone() };
    let mut contenders = [
        Contender::new("none", &Declared::default()),
        Contender::new("restarts and stalls", &restarts),
        Contender::new("with a breaker", &breaker),
    ];
    let mut seconds: Vec<[f64; 3]> = Vec::new();
    for round in 0..=rounds {
        let mut round_seconds = [0.0; 3];
        // Who goes first changes with each round.
        for turn in 0..3 {
            let at = (round + turn) % 3;
            round_seconds[at] = contenders[at].run(events).as_secs_f64();
        }
        // The first one fills caches.
        if round > 0 {
            seconds.push(round_seconds);
        }
    }
    let rate = seconds.iter().map(|round| events as f64 / round[0]).sum::<f64>() / rounds as f64;
    println!("supervision: {}: {:.2} million events a second", contenders[0].name, rate / 1e6);
    let mut is_beyond = false;
    for at in 1..3 {
        let logs: Vec<f64> = seconds.iter().map(|round| (round[0] / round[at]).ln()).collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // Student's t is about 2 for this many rounds.
        let half = 2.0 * (variance / count).sqrt();
        let taken = |log: f64| 1.0 - log.exp();
        println!(
            "supervision: {}: takes {:.1} % of the throughput (95 % interval {:.1} to {:.1})",
            contenders[at].name,
            taken(mean) * 100.0,
            taken(mean + half) * 100.0,
            taken(mean - half) * 100.0
        );
        is_beyond |= taken(mean + half) > BOUND;
    }
    for contender in contenders {
        let mut engine = contender.engine;
        engine.finish(|result| _ = black_box(result.time_ns())).expect("the run ends as it should");
    }
    if is_asked("--check") && is_beyond { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
