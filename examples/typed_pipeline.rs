//! Typed dataflow without any VPL: readings come in on one thread, are cleaned, averaged per sensor on two stages in
//! parallel, merged in an order that doesn't depend on timing, and printed here.
//!
//! ```text
//!                        /-> average 0 -\
//! readings -> plausible ->               -> averages
//!                        \-> average 1 -/
//! ```
//!
//! Run it with `cargo run --example typed_pipeline`, or, to see that it needs no part of the language,
//! `cargo run --no-default-features --example typed_pipeline`.

use std::collections::BTreeMap;
use std::error::Error;
use std::thread;
use std::time::Duration;

use varpin::flow::{Graph, MergeOrder, Operator, Out};
use varpin::idle::{Idle, IdleState};

#[derive(Clone, Debug)]
struct Reading {
    sensor: u64,
    celsius: f64,
}

#[derive(Clone, Debug)]
struct Average {
    sensor: u64,
    readings: u64,
    celsius: f64,
}

/// Averages every `SIZE` readings of a sensor, and what is left at the end.
#[derive(Default)]
struct Averages(BTreeMap<u64, (u64, f64)>);

const SIZE: u64 = 250;

impl Operator<Reading, Average> for Averages {
    fn item(&mut self, reading: &Reading, out: &mut Out<'_, Average>) {
        let (count, sum) = self.0.entry(reading.sensor).or_default();
        *count += 1;
        *sum += reading.celsius;
        if *count == SIZE {
            out.send(Average { sensor: reading.sensor, readings: SIZE, celsius: *sum / SIZE as f64 });
            self.0.remove(&reading.sensor);
        }
    }

    fn end(&mut self, out: &mut Out<'_, Average>) {
        for (&sensor, &(readings, sum)) in &self.0 {
            out.send(Average { sensor, readings, celsius: sum / readings as f64 });
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut graph = Graph::new().order(MergeOrder::Deterministic);
    let (mut input, readings) = graph.input::<Reading>("readings");
    let plausible = graph.stage("plausible", &readings, |reading: &Reading, out| {
        if reading.celsius.is_finite() && reading.celsius > -90.0 {
            out.send(reading.clone());
        }
    });
    // Readings of one sensor stay together and in order.
    let ways = graph.partition("by sensor", &plausible, 2, |reading| reading.sensor);
    let averages = [
        graph.operator("average 0", &ways[0], Averages::default()),
        graph.operator("average 1", &ways[1], Averages::default()),
    ];
    let mut output = graph.output("averages", &averages);
    // Where it runs has nothing to do with what it computes: two of the stages share a thread, one asks for a CPU.
    graph.fuse("front", ["plausible", "by sensor"]);
    graph.pin("front", 0);

    let running = graph.start()?;
    for (worker, idle, reason) in running.idles() {
        println!("{worker}: waits by {idle}, since {reason}");
    }

    let feeder = thread::spawn(move || {
        for n in 0..10_000_u64 {
            let celsius = if n % 1000 == 999 { f64::NAN } else { 20.0 + (n % 17) as f64 / 10.0 };
            // Waits while the rings are full; fails only if nobody is left to take the item.
            if input.push(Reading { sensor: n % 5, celsius }).is_err() {
                return;
            }
        }
        input.close();
    });

    let mut idle = IdleState::new(Idle::Backoff);
    loop {
        let drained = output.drain(256, |item| {
            if let Some(Average { sensor, readings, celsius }) = &item.value {
                println!("sensor {sensor}: {celsius:.3} on average over {readings} readings");
            }
            true
        });
        if drained.ended {
            break;
        }
        idle.idle(drained.taken);
    }
    feeder.join().map_err(|_| "the feeding thread panicked")?;
    let report = running.join(Duration::from_secs(10))?;
    assert_eq!(report.undelivered_items(), 0);
    Ok(())
}
