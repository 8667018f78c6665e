//! A context's stage: its streams behind rings.
//!
//! One duty cycle takes what is there (up to a limit), runs it, and publishes everything that came of it at once. While some output is
//! blocked it takes no more input, apart from the rest of the sequence number that it has begun (see `flow::fan_in`).
//!
//! In `deterministic` order a round is run when it is complete: at once where a lane brings one row per sequence number and there is no other
//! lane, else when the fan-in's frontier has passed it. In the other orders every row is a round of its own.

use crate::event::Row;
use crate::flow::{Cycle, FanIn, Leftovers, MergeOrder, OutPort, Ports, Stage};
use crate::sync::{Arc, Mutex};

use super::streams::{Failure, Outlet, Streams};
use crate::operators::StreamStats;

/// What a context's stage is made of.
pub struct StageParts {
    /// Its name.
    pub name: String,
    /// Its streams.
    pub streams: Streams,
    /// The rings that lead to it.
    pub inputs: FanIn<Row>,
    /// Those of them that come from the embedder, by number: they end when the run is asked to, closed or not.
    pub outside: Vec<usize>,
    /// The rings that lead away from it, in the order of the topology's edges; the one for results last.
    pub outputs: Vec<OutPort<Row>>,
    /// Every input brings at most one row per sequence number, and there is just one: a row is a round.
    pub single_rows: bool,
    /// Events per duty cycle.
    pub batch_limit: usize,
    /// Where failures go.
    pub failures: Box<dyn FnMut(Failure) + Send>,
    /// Where the counts go when the stage closes.
    pub stats: Arc<Mutex<Vec<StreamStats>>>,
}

/// A context's streams as a stage.
pub struct ContextStage {
    name: String,
    streams: Streams,
    inputs: FanIn<Row>,
    outside: Vec<usize>,
    rings: Rings,
    /// Rows are rounds: nothing is collected.
    row_by_row: bool,
    batch_limit: usize,
    /// The sequence number of the round that is being collected; 0 where there is none.
    round: u64,
    /// In the orders that don't wait: how far each lane had come when the cycle began.
    lanes: Option<Vec<LaneTime>>,
    flushed: bool,
    stats: Arc<Mutex<Vec<StreamStats>>>,
}

/// How far a lane has come, in sequence and in event time.
#[derive(Clone, Copy)]
struct LaneTime {
    progress: u64,
    last_time_ns: i64,
}

/// The rings that lead away.
struct Rings {
    ports: Ports<Row>,
    results: usize,
    failures: Box<dyn FnMut(Failure) + Send>,
    /// A stream has failed in a way that ends the run.
    fatal: Option<String>,
}

impl Outlet for Rings {
    #[inline]
    fn send(&mut self, port: usize, row: &Row) {
        self.ports.port(port).send(row);
    }

    #[inline]
    fn result(&mut self, row: &Row) {
        self.ports.port(self.results).send(row);
    }

    #[cold]
    fn failed(&mut self, failure: Failure) {
        if failure.fatal {
            self.fatal.get_or_insert_with(|| failure.error.to_string());
        }
        (self.failures)(failure);
    }
}

impl ContextStage {
    /// Puts the parts together.
    pub fn new(parts: StageParts) -> Self {
        let order = parts.inputs.order();
        let deterministic = order == MergeOrder::Deterministic;
        let several = parts.inputs.lanes() > 1;
        let lane = LaneTime { progress: 0, last_time_ns: i64::MIN };
        Self {
            lanes: (several && !deterministic && parts.streams.uses_time())
                .then(|| vec![lane; parts.inputs.lanes()]),
            row_by_row: !deterministic || parts.single_rows,
            name: parts.name,
            streams: parts.streams,
            inputs: parts.inputs,
            outside: parts.outside,
            rings: Rings {
                results: parts.outputs.len().saturating_sub(1),
                ports: parts.outputs.into(),
                failures: parts.failures,
                fatal: None,
            },
            batch_limit: parts.batch_limit,
            round: 0,
            flushed: false,
            stats: parts.stats,
        }
    }

    /// Takes rows up to the limit, or until an output is blocked.
    fn take(&mut self) -> crate::flow::Drained {
        let Self { streams, inputs, rings, round, lanes, .. } = self;
        let blocked = rings.ports.are_blocked();
        if let Some(lanes) = lanes {
            for (at, lane) in lanes.iter_mut().enumerate() {
                lane.progress = inputs.lane_progress(at);
            }
        }
        let row_by_row = self.row_by_row;
        let take = |lane: usize, row: &Row| {
            if row_by_row {
                if let Some(lanes) = lanes {
                    streams.env().time_limit_ns = time_limit(lanes, lane, row);
                }
                streams.run_row(row, rings);
            } else {
                if *round != 0 && *round != row.seq() {
                    streams.run_round(rings);
                }
                *round = row.seq();
                streams.collect(row, rings);
            }
            !rings.ports.are_blocked() && rings.fatal.is_none()
        };
        if blocked {
            inputs.finish_started(self.batch_limit, take)
        } else {
            inputs.drain(self.batch_limit, take)
        }
    }

    /// Runs the collected round if nothing more can come of it, and says how far the stage has come.
    fn finish_round(&mut self) {
        let frontier = self.inputs.frontier();
        if self.round != 0 && self.round <= frontier && !self.rings.ports.are_blocked() {
            self.streams.run_round(&mut self.rings);
            self.round = 0;
        }
        let done = if self.round == 0 { frontier } else { self.round - 1 };
        // The end itself is told by closing the rings.
        self.rings.ports.note_progress(done.min(super::FLUSH_SEQ - 1));
    }
}

/// How far the watermark may move with this row: lanes that may still bring rows from before it hold it back, so that no event becomes
/// late by interleaving.
fn time_limit(lanes: &mut [LaneTime], lane: usize, row: &Row) -> i64 {
    lanes[lane].last_time_ns = lanes[lane].last_time_ns.max(row.time_ns());
    lanes[lane].progress = lanes[lane].progress.max(row.seq().saturating_sub(1));
    let behind = |(at, other): (usize, &LaneTime)| {
        (at != lane && other.progress < row.seq()).then_some(other.last_time_ns)
    };
    lanes.iter().enumerate().filter_map(behind).min().unwrap_or(i64::MAX)
}

impl Stage for ContextStage {
    fn name(&self) -> &str {
        &self.name
    }

    fn duty_cycle(&mut self) -> Cycle {
        let drained = self.take();
        self.finish_round();
        if self.rings.fatal.is_none()
            && drained.ended
            && !self.flushed
            && self.round == 0
            && !self.rings.ports.are_blocked()
        {
            self.streams.env().time_limit_ns = i64::MAX;
            self.streams.flush(&mut self.rings);
            self.flushed = true;
        }
        let flushed = self.rings.ports.flush();
        if let Some(message) = self.rings.fatal.take() {
            return Cycle::Failed(message);
        }
        let published = match flushed {
            Ok(published) => published,
            Err(full) => return Cycle::Failed(full.to_string()),
        };
        if self.flushed && !self.rings.ports.are_blocked() {
            return Cycle::Done;
        }
        Cycle::of(drained.taken + drained.signals + published)
    }

    fn end_inputs(&mut self) {
        for &lane in &self.outside {
            self.inputs.end_lane(lane);
        }
    }

    fn close(&mut self, leftovers: &mut Leftovers) {
        *self.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = self.streams.stats();
        self.inputs.close(&self.name, leftovers);
        self.rings.ports.close_each(|ring| leftovers.ring(ring));
    }
}
