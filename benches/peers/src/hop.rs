//! Hops: one number goes to another thread and comes back; a hop is half of that. Both threads spin where the contender lets them
//! (tokio's sleep and are woken, which is what it is made for).

use std::time::Instant;

use hdrhistogram::Histogram;
use tokio::sync::mpsc;

use crate::machine::{on_cpu, spin_until};
use crate::report::{Outcome, Table};

/// Slots of each ring; one is used.
const SLOTS: usize = 64;
/// Round trips that are not recorded.
const WARM_UP: u64 = 1_000;
const LONGEST_NS: u64 = 10_000_000_000;

pub const RTRB: &str = "rtrb";
pub const VARPIN: &str = "varpin ring";
pub const TOKIO: &str = "tokio mpsc";
pub const CASE: &str = "round trip / 2";

/// Round trips and their times.
struct Recorder {
    times: Histogram<u64>,
    done: u64,
}

impl Recorder {
    fn new() -> Self {
        let times = Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("these bounds are valid");
        Self { times, done: 0 }
    }

    #[inline]
    fn record(&mut self, started: Instant) {
        let round_trip_ns = started.elapsed().as_nanos() as u64;
        self.done += 1;
        if self.done > WARM_UP {
            self.times.saturating_record(round_trip_ns);
        }
    }

    /// Hops at p50, p99 and p99.9, in nanoseconds.
    fn outcome(&self) -> Outcome {
        let figures = [0.5, 0.99, 0.999].map(|quantile| self.times.value_at_quantile(quantile) as f64 / 2.0);
        Outcome { figures: figures.to_vec(), remark: None }
    }
}

/// Sends numbers and waits for each to come back.
fn ping(
    round_trips: u64,
    mut send: impl FnMut(u64) + Send + 'static,
    mut receive: impl FnMut() -> Option<u64> + Send + 'static,
    echo: impl FnOnce(u64) + Send + 'static,
) -> Result<Outcome, String> {
    let all = round_trips + WARM_UP;
    let echo = on_cpu(1, move || echo(all));
    let pinging = on_cpu(0, move || {
        let mut recorder = Recorder::new();
        for number in 0..all {
            let started = Instant::now();
            send(number);
            let back = spin_until(&mut receive);
            recorder.record(started);
            assert_eq!(back, number, "what was sent comes back");
        }
        recorder.outcome()
    });
    let outcome = pinging.join().map_err(|_| "the pinging thread panicked")?;
    echo.join().map_err(|_| "the echoing thread panicked")?;
    Ok(outcome)
}

fn over_rtrb(round_trips: u64) -> Result<Outcome, String> {
    let (mut there, mut arriving) = rtrb::RingBuffer::<u64>::new(SLOTS);
    let (mut back, mut returning) = rtrb::RingBuffer::<u64>::new(SLOTS);
    ping(
        round_trips,
        move |number| there.push(number).expect("one of 64 slots is used"),
        move || returning.pop().ok(),
        move |count| {
            for _ in 0..count {
                let number = spin_until(|| arriving.pop().ok());
                back.push(number).expect("one of 64 slots is used");
            }
        },
    )
}

fn over_varpin(round_trips: u64) -> Result<Outcome, String> {
    let (mut there, mut arriving) = varpin::ring::bounded::<u64>(SLOTS);
    let (mut back, mut returning) = varpin::ring::bounded::<u64>(SLOTS);
    ping(
        round_trips,
        move |number| there.push(number).expect("one of 64 slots is used"),
        move || returning.pop().ok(),
        move |count| {
            for _ in 0..count {
                let number = spin_until(|| arriving.pop().ok());
                // The last answer may find that the other end has all it waits for and is gone.
                let _ = back.push(number);
            }
        },
    )
}

fn over_crossbeam(round_trips: u64) -> Result<Outcome, String> {
    let (there, arriving) = crossbeam_channel::bounded::<u64>(SLOTS);
    let (back, returning) = crossbeam_channel::bounded::<u64>(SLOTS);
    ping(
        round_trips,
        move |number| there.try_send(number).expect("one of 64 slots is used"),
        move || returning.try_recv().ok(),
        move |count| {
            for _ in 0..count {
                let number = spin_until(|| arriving.try_recv().ok());
                let _ = back.try_send(number);
            }
        },
    )
}

fn over_disruptor(round_trips: u64) -> Result<Outcome, String> {
    use disruptor::{BusySpin, Producer, build_single_producer};
    let (mut arriving, there) = build_single_producer(SLOTS, || 0_u64, BusySpin).new_event_poller();
    let (mut returning, back) = build_single_producer(SLOTS, || 0_u64, BusySpin).new_event_poller();
    let (mut there, mut back) = (there.build(), back.build());
    ping(
        round_trips,
        move |number| there.publish(|slot| *slot = number),
        move || returning.poll().ok().and_then(|mut events| (&mut events).next().copied()),
        move |count| {
            for _ in 0..count {
                let number =
                    spin_until(|| arriving.poll().ok().and_then(|mut events| (&mut events).next().copied()));
                back.publish(|slot| *slot = number);
            }
        },
    )
}

/// A runtime of the smallest kind, for the current thread.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers needs nothing")
}

fn over_tokio(round_trips: u64) -> Result<Outcome, String> {
    let (there, mut arriving) = mpsc::channel::<u64>(SLOTS);
    let (back, mut returning) = mpsc::channel::<u64>(SLOTS);
    let echo = on_cpu(1, move || {
        runtime().block_on(async move {
            while let Some(number) = arriving.recv().await {
                let _ = back.send(number).await;
            }
        });
    });
    let pinging = on_cpu(0, move || {
        runtime().block_on(async move {
            let mut recorder = Recorder::new();
            for number in 0..round_trips + WARM_UP {
                let started = Instant::now();
                let _ = there.send(number).await;
                let back = returning.recv().await;
                recorder.record(started);
                assert_eq!(back, Some(number), "what was sent comes back");
            }
            recorder.outcome()
        })
    });
    let outcome = pinging.join().map_err(|_| "the pinging thread panicked")?;
    echo.join().map_err(|_| "the echoing thread panicked")?;
    Ok(outcome)
}

pub fn table(quick: bool) -> Table {
    let spinning = if quick { 20_000 } else { 500_000 };
    let sleeping = if quick { 2_000 } else { 20_000 };
    let note = format!(
        "One `u64` to another thread and back over two rings of {SLOTS} slots, half of the time of it; threads on two CPUs. \
         {spinning} round trips a round where both threads spin, {sleeping} over tokio (two current-thread runtimes). The clock is \
         read twice in each round trip, which all contenders pay."
    );
    let mut table = Table::new("Hop between two threads", note, &["p50 ns", "p99 ns", "p99.9 ns"]);
    table.add(CASE, RTRB, move || over_rtrb(spinning));
    table.add(CASE, VARPIN, move || over_varpin(spinning));
    table.add(CASE, "disruptor", move || over_disruptor(spinning));
    table.add(CASE, "crossbeam-channel", move || over_crossbeam(spinning));
    table.add(CASE, TOKIO, move || over_tokio(sleeping));
    table
}
