//! `bench hop` and `bench throughput`: one ring between two threads.

use std::num::NonZeroUsize;

use varpin::metrics::{Load, RingLoad, Timeline};

use super::args::Rate;
use super::measured::Measured;
use super::settings::{Kind, Settings, USUAL_CAPACITY};

/// One run.
pub(super) fn measure(settings: &Settings, rate: Rate) -> Result<Measured, String> {
    let (payload, batch, closed) = match settings.kind {
        Kind::Throughput { payload, batch } => (payload, batch, Load::Flood),
        Kind::Hop { payload } => (payload, 1, Load::RoundTrips),
        Kind::Pipeline { .. } | Kind::Program { .. } => return Err("has more than one ring".to_owned()),
    };
    let load = match rate {
        Rate::Max => closed,
        Rate::Open(rate) => Load::Open(rate),
    };
    let common = &settings.common;
    let mut ring = RingLoad::new(load);
    ring.batch = batch;
    ring.warm_up = common.warmup;
    ring.duration = common.duration;
    ring.capacity = common.capacity.map_or(USUAL_CAPACITY, NonZeroUsize::get);
    ring.payload_bytes = payload;
    ring.idle = settings.idle;
    ring.cpus = [0, 1].map(|at| settings.threads.get(at).and_then(|(_, cpu)| *cpu));
    ring.pin = common.pin;
    ring.stall = common.stall;
    let outcome = ring.run().map_err(|error| error.to_string())?;
    let measures = match load {
        Load::RoundTrips => "half of each round trip; one item under way, so nothing ever waits",
        Load::Flood => "from when an item was sent to when it was taken, one of each batch; rings are full",
        _ => "from when an item was due to when it was taken",
    };
    let rate = outcome.rate();
    let is_open = matches!(load, Load::Open(_));
    let timeline: Timeline = outcome.latencies;
    Ok(Measured {
        events: outcome.sent,
        results: outcome.taken,
        seconds: outcome.took_ns as f64 / 1e9,
        rate,
        measures,
        timeline,
        late_sends: is_open.then_some(outcome.late_sends),
        hops: Vec::new(),
        threads: ["sender", "taker"].map(str::to_owned).into_iter().zip(outcome.cpus).collect(),
        idle: None,
        warnings: Vec::new(),
    })
}
