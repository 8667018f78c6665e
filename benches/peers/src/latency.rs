//! Latency under load: an open loop sends one number every so often from one thread to another, and each latency counts from when its
//! number was due. So a receiver that stands still is charged for everything that was due meanwhile, whatever the contender.
//!
//! The sender spins on the clock, being the world outside. Over varpin's ring and crossbeam-channel the receiver spins, too; over tokio
//! it is a task of a current-thread runtime that awaits the next number, which is what tokio is made for.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use varpin::cores::allowed_cpus;
use varpin::idle::Idle;
use varpin::metrics::{Latencies, Load, RingLoad, Schedule};

use crate::hop::runtime;
use crate::machine::{on_cpu, pause};
use crate::report::{Outcome, Table};

/// Slots of each ring or channel.
const SLOTS: usize = 1024;
pub const RATES: [u64; 3] = [10_000, 100_000, 1_000_000];
pub const VARPIN: &str = "varpin ring";
pub const TOKIO: &str = "tokio mpsc";
const CROSSBEAM: &str = "crossbeam-channel";
pub const COLUMNS: &[&str] = &["p50 ns", "p99 ns", "p99.9 ns", "p99.99 ns", "longest ns"];
/// How much of its rate a run may miss.
const TOLERANCE: f64 = 0.01;

/// What the case of a rate is called.
pub fn case(rate: u64) -> String {
    format!("{rate} a second")
}

/// How long a run is.
#[derive(Clone, Copy)]
struct Times {
    warm_up: Duration,
    duration: Duration,
}

/// Figures and file of a run that sent `sent` of `wanted` numbers.
fn outcome(latencies: &Latencies, wanted: f64, sent: f64, file: &Path) -> Result<Outcome, String> {
    std::fs::write(file, latencies.to_hgrm()).map_err(|error| format!("{}: {error}", file.display()))?;
    let at = |percentile| latencies.percentile_ns(percentile).map_or(f64::NAN, |ns| ns as f64);
    let longest = latencies.max_ns().map_or(f64::NAN, |ns| ns as f64);
    let missed = sent < wanted * (1.0 - TOLERANCE);
    let remark = missed.then(|| format!("rate missed: {:.1} % sent", 100.0 * sent / wanted));
    Ok(Outcome { figures: vec![at(50.0), at(99.0), at(99.9), at(99.99), longest], remark })
}

fn over_varpin(rate: u64, times: Times, file: &Path) -> Result<Outcome, String> {
    let cpus: Vec<usize> = allowed_cpus().map_err(|error| error.to_string())?.iter().collect();
    let mut ring = RingLoad::new(Load::Open(rate as f64));
    (ring.warm_up, ring.duration, ring.capacity) = (times.warm_up, times.duration, SLOTS);
    if let [first, second, ..] = cpus[..] {
        (ring.cpus, ring.idle) = ([Some(first), Some(second)], Idle::Spin);
    }
    let run = ring.run().map_err(|error| error.to_string())?;
    outcome(&run.latencies.total(), run.wanted as f64, run.rate() * times.duration.as_secs_f64(), file)
}

/// Sends numbers when they are due, from a thread of its own; each is the time when it was due.
fn send_on_time(
    started: Instant,
    rate: u64,
    times: Times,
    mut try_send: impl FnMut(u64) -> bool,
) -> (f64, f64) {
    let schedule = Schedule::per_second(rate as f64);
    let ns = |time: Duration| time.as_nanos() as u64;
    let (warm, end) = (ns(times.warm_up), ns(times.warm_up + times.duration));
    let give_up = end + ns(times.duration) / 10 + 100_000_000;
    let all = schedule.events_in(end);
    let mut number = 0;
    let mut spins = 0;
    while number < all {
        let now = started.elapsed().as_nanos() as u64;
        let due = schedule.due_ns(number);
        if now >= give_up {
            break;
        }
        if now >= due && try_send(due) {
            number += 1;
        } else if now >= due {
            pause(&mut spins);
        }
    }
    let took = (started.elapsed().as_nanos() as u64).max(end) - warm;
    let skipped = schedule.events_in(warm);
    let sent = number.saturating_sub(skipped) as f64 * ns(times.duration) as f64 / took as f64;
    ((all - skipped) as f64, sent)
}

/// What the receiver records.
struct Recorder {
    started: Instant,
    warm: u64,
    latencies: Latencies,
}

impl Recorder {
    fn new(started: Instant, times: Times) -> Self {
        Self { started, warm: times.warm_up.as_nanos() as u64, latencies: Latencies::new() }
    }

    #[inline]
    fn record(&mut self, due: u64) {
        if due >= self.warm {
            let now = self.started.elapsed().as_nanos() as u64;
            self.latencies.record_ns(now.saturating_sub(due));
        }
    }
}

/// Puts sender and receiver on two CPUs.
fn race(
    rate: u64,
    times: Times,
    file: &Path,
    mut try_send: impl FnMut(u64) -> bool + Send + 'static,
    receive: impl FnOnce(&mut Recorder) + Send + 'static,
) -> Result<Outcome, String> {
    let started = Instant::now();
    let receiving = on_cpu(1, move || {
        let mut recorder = Recorder::new(started, times);
        receive(&mut recorder);
        recorder.latencies
    });
    let sending = on_cpu(0, move || send_on_time(started, rate, times, &mut try_send));
    let (wanted, sent) = sending.join().map_err(|_| "the sender panicked")?;
    let latencies = receiving.join().map_err(|_| "the receiver panicked")?;
    outcome(&latencies, wanted, sent, file)
}

fn over_crossbeam(rate: u64, times: Times, file: &Path) -> Result<Outcome, String> {
    let (sender, receiver) = crossbeam_channel::bounded::<u64>(SLOTS);
    race(
        rate,
        times,
        file,
        move |due| sender.try_send(due).is_ok(),
        move |recorder| {
            let mut spins = 0;
            loop {
                match receiver.try_recv() {
                    Ok(due) => recorder.record(due),
                    Err(crossbeam_channel::TryRecvError::Empty) => pause(&mut spins),
                    Err(crossbeam_channel::TryRecvError::Disconnected) => break,
                }
            }
        },
    )
}

fn over_tokio(rate: u64, times: Times, file: &Path) -> Result<Outcome, String> {
    let (sender, mut receiver) = mpsc::channel::<u64>(SLOTS);
    race(
        rate,
        times,
        file,
        move |due| sender.try_send(due).is_ok(),
        move |recorder| {
            runtime().block_on(async {
                while let Some(due) = receiver.recv().await {
                    recorder.record(due);
                }
            });
        },
    )
}

/// The table; the distribution of each contender's last round goes into `directory` as a `.hgrm` file.
pub fn table(directory: &Path, quick: bool) -> Table {
    let times = if quick {
        Times { warm_up: Duration::from_millis(20), duration: Duration::from_millis(200) }
    } else {
        Times { warm_up: Duration::from_millis(500), duration: Duration::from_secs(5) }
    };
    let note = format!(
        "One `u64` every so often from one thread to another, threads on two CPUs, {SLOTS} slots; {} s a round. Latency counts from when a \
         number was *due* (open loop), so whatever a pause held up is charged for it. n/a: fewer than ten samples above. The sender \
         spins; so does the receiver over varpin and crossbeam-channel, while tokio's task is woken.",
        times.duration.as_secs_f64()
    );
    let mut table = Table::new("Latency under load", note, COLUMNS);
    type Contender = fn(u64, Times, &Path) -> Result<Outcome, String>;
    let contenders: [(&str, &str, Contender); 3] = [
        (VARPIN, "varpin", over_varpin),
        (CROSSBEAM, "crossbeam", over_crossbeam),
        (TOKIO, "tokio", over_tokio),
    ];
    for rate in RATES {
        for (name, stem, run) in contenders {
            let file: PathBuf = directory.join(format!("latency-{stem}-{rate}.hgrm"));
            table.add(&case(rate), name, move || run(rate, times, &file));
        }
    }
    table
}
