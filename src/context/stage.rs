//! A context's stage: its streams behind rings.
//!
//! One duty cycle takes what is there (up to a limit), runs it, and publishes everything that came of it at
//! once. While some output is blocked it takes no more input, apart from the rest of the sequence number that
//! it has begun (see `flow::fan_in`).
//!
//! In `deterministic` order a round is run when it is complete: at once where a lane brings one row per
//! sequence number and there is no other lane, else when the fan-in's frontier has passed it. In the other
//! orders every row is a round of its own.

use crate::event::{Row, Signal, Value};
use crate::flow::{Cycle, Drained, FanIn, Leftovers, MergeOrder, OutPort, Ports, Stage};
use crate::ring::Receiver;
use crate::sync::{Arc, Mutex};

mod resizing;

use resizing::Resizing;

use super::elastic::StageCommand;
use super::gauges::{Reporting, StreamGauges};
use super::skew::PoolSkew;
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
    /// Where the keys of pools with the most rows go, by stream, when the stage closes.
    pub hottest: Arc<Mutex<Vec<PoolSkew>>>,
    /// Where they can be read while it runs.
    pub gauges: StreamGauges,
    /// Where it is told what a resize of a pool asks of it; none where no pool concerns it.
    pub inbox: Option<Receiver<StageCommand>>,
    /// By lane: the rows of a pool come over it, so more lanes may be added.
    pub from_pool: Vec<bool>,
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
    /// What streams in front of the stage have made of the end of the input.
    ends: Vec<Row>,
    /// The same of the workers of pools. Each brings its share, so by ring they are not in the order of one worker.
    ends_of_pools: Vec<Row>,
    /// By lane: whether a worker of a pool sends over it. Lanes that are added later do.
    from_pool: Vec<bool>,
    /// The sequence number of the round that is being collected; 0 where there is none.
    round: u64,
    /// Live: the round is that of the clock, which has come to this time.
    clock_ns: Option<i64>,
    /// The number of the last clock that was passed on, where it comes over several lanes.
    clock_seq: u64,
    /// Where rows can come in another order than that of the input, watermarks are held back: how far each lane
    /// has come.
    held_back: Option<Vec<u64>>,
    flushed: bool,
    stats: Arc<Mutex<Vec<StreamStats>>>,
    hottest: Arc<Mutex<Vec<PoolSkew>>>,
    gauges: StreamGauges,
    reporting: Reporting,
    resizing: Option<Box<Resizing>>,
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
    fn send_tagged(&mut self, port: usize, row: &Row, tags: &[&Value]) {
        self.ports.port(port).send_with(row, |sent| tags.iter().for_each(|tag| sent.push(tag)));
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

impl Rings {
    /// Tells the stages behind that the clock has come to `now_ns`: behind all that has come of it here.
    fn pass_clock_on(&mut self, seq: u64, now_ns: i64) {
        let clock = Row::clock(seq, now_ns);
        for port in (0..self.ports.len()).filter(|&port| port != self.results) {
            self.ports.port(port).send(&clock);
        }
    }
}

impl ContextStage {
    /// Puts the parts together.
    pub fn new(parts: StageParts) -> Self {
        let order = parts.inputs.order();
        let deterministic = order == MergeOrder::Deterministic;
        let lanes = parts.inputs.lanes();
        let mut streams = parts.streams;
        let unordered = |lane: usize| {
            parts.inputs.is_unordered(lane) || parts.from_pool.get(lane).is_some_and(|from_pool| *from_pool)
        };
        let out_of_order = lanes > 1 || (0..lanes).any(unordered);
        // The front of a pool has done it for its workers.
        let holds_back = !deterministic && out_of_order && streams.uses_time() && !streams.is_worker();
        if holds_back {
            let unordered: Vec<bool> = (0..lanes).map(unordered).collect();
            streams.hold_back(&unordered);
        }
        let results = parts.outputs.len().saturating_sub(1);
        let ports = Ports::from(parts.outputs);
        Self {
            batch_limit: ports.batch_limit(parts.batch_limit),
            held_back: holds_back.then(|| vec![0; lanes]),
            row_by_row: !deterministic || parts.single_rows || streams.is_worker(),
            name: parts.name,
            streams,
            inputs: parts.inputs,
            outside: parts.outside,
            rings: Rings { results, ports, failures: parts.failures, fatal: None },
            ends: Vec::new(),
            ends_of_pools: Vec::new(),
            from_pool: parts.from_pool,
            round: 0,
            clock_ns: None,
            clock_seq: 0,
            flushed: false,
            stats: parts.stats,
            hottest: parts.hottest,
            gauges: parts.gauges,
            reporting: Reporting::default(),
            resizing: parts.inbox.map(|inbox| Box::new(Resizing::new(inbox))),
        }
    }

    /// Takes rows up to the limit, or until an output is blocked.
    fn take(&mut self) -> Drained {
        let mut only_started = false;
        if let Some(resizing) = &self.resizing {
            if resizing.waits_for_mail() {
                return Drained::default();
            }
            only_started = resizing.is_about_to_send_barrier();
        }
        let Self { streams, inputs, rings, round, clock_ns, clock_seq, ends, held_back, resizing, .. } = self;
        let (ends_of_pools, from_pool) = (&mut self.ends_of_pools, &self.from_pool);
        let blocked = rings.ports.are_blocked() || only_started;
        let row_by_row = self.row_by_row;
        let take = |lane: usize, row: &Row| {
            let is_clock = row.signal() == Signal::Clock;
            if row.signal() == Signal::Resize {
                if let Some(resizing) = resizing {
                    resizing.barriers += 1;
                }
                streams.run_row(row, rings);
                // Nothing behind it is of its sequence number but other barriers, so no row comes in this call.
                return false;
            }
            if row.seq() == super::FLUSH_SEQ {
                let of_pool = from_pool.get(lane).is_none_or(|from_pool| *from_pool);
                if of_pool { ends_of_pools.push(row.clone()) } else { ends.push(row.clone()) }
            } else if row_by_row && is_clock {
                if held_back.is_some() {
                    streams.on_clock_of_lane(lane, row, rings);
                } else if row.seq() > *clock_seq {
                    streams.on_clock(row.time_ns(), row.seq(), rings);
                }
                if row.seq() > *clock_seq {
                    *clock_seq = row.seq();
                    rings.pass_clock_on(row.seq(), row.time_ns());
                }
            } else if row_by_row {
                streams.run_row(row, rings);
            } else {
                if *round != 0 && *round != row.seq() {
                    run_round(streams, *round, clock_ns.take(), rings);
                }
                *round = row.seq();
                if is_clock {
                    *clock_ns = Some(row.time_ns());
                } else {
                    streams.collect(row, rings);
                }
            }
            !rings.ports.are_blocked() && rings.fatal.is_none()
        };
        if blocked {
            inputs.finish_started(self.batch_limit, take)
        } else {
            inputs.drain(self.batch_limit, take)
        }
    }

    /// Runs what can be run now that the lanes have come further, and says how far the stage has come: the
    /// collected round, if nothing more can come of it, and what waits for watermarks that were held back.
    ///
    /// Rows of the end of the input are in no round: they wait for the flush, which goes from stream to stream.
    /// One that was sent nothing is flushed before those behind it take what they were sent.
    fn finish_rounds(&mut self) {
        let frontier = self.inputs.frontier();
        let is_blocked = self.rings.ports.are_blocked();
        if self.round != 0 && self.round <= frontier && !is_blocked {
            run_round(&mut self.streams, self.round, self.clock_ns.take(), &mut self.rings);
            self.round = 0;
        }
        if let Some(progress) = &mut self.held_back {
            if is_blocked {
                return;
            }
            for (lane, progress) in progress.iter_mut().enumerate() {
                *progress = self.inputs.lane_progress(lane);
            }
            self.streams.advance(progress, &mut self.rings);
        }
        self.streams.settle(&mut self.rings);
        let done = if self.round == 0 { frontier } else { self.round - 1 };
        self.rings.ports.note_progress(done.min(super::FLUSH_SEQ - 1));
    }
}

/// Runs the round that was collected: that of an event, or that of the clock.
fn run_round(streams: &mut Streams, round: u64, clock_ns: Option<i64>, rings: &mut Rings) {
    match clock_ns {
        None => streams.run_round(rings),
        Some(now_ns) => {
            streams.on_clock(now_ns, round, rings);
            rings.pass_clock_on(round, now_ns);
        }
    }
}

impl Stage for ContextStage {
    fn name(&self) -> &str {
        &self.name
    }

    fn duty_cycle(&mut self) -> Cycle {
        if self.resizing.is_some() {
            self.obey();
        }
        let drained = self.take();
        if self.resizing.as_ref().is_some_and(|resizing| resizing.barriers > 0) {
            self.pass_barriers();
        }
        self.finish_rounds();
        if self.resizing.is_some() {
            self.send_barrier();
        }
        let has_all_mail = !self.resizing.as_ref().is_some_and(|resizing| resizing.waits_for_mail());
        let has_everything = has_all_mail && (drained.ended || self.inputs.frontier() >= super::FLUSH_SEQ);
        if self.rings.fatal.is_none()
            && has_everything
            && !self.flushed
            && self.round == 0
            && !self.rings.ports.are_blocked()
        {
            // One worker would have flushed them by their times; under `deterministic` their tags say more.
            self.ends_of_pools.sort_by_key(Row::time_ns);
            for row in self.ends.drain(..).chain(self.ends_of_pools.drain(..)) {
                self.streams.collect(&row, &mut self.rings);
            }
            self.streams.flush(&mut self.rings);
            self.streams.settle(&mut self.rings);
            self.flushed = true;
            // A ring is not closed before the others are rid of what pends in front of them, and that may have
            // to wait for somebody who waits for this very end. So it is told as progress, on each ring as soon
            // as there is room.
            self.rings.ports.note_progress(super::FLUSH_SEQ);
        }
        let flushed = self.rings.ports.flush();
        if self.resizing.is_some() {
            self.let_workers_leave();
        }
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
        let work = drained.taken + drained.signals + published;
        if self.reporting.is_due(work > 0) {
            self.streams.report(&self.gauges);
        }
        Cycle::of(work)
    }

    fn end_inputs(&mut self) {
        for &lane in &self.outside {
            self.inputs.end_lane(lane);
        }
    }

    fn close(&mut self, leftovers: &mut Leftovers) {
        self.streams.report(&self.gauges);
        *self.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = self.streams.stats();
        *self.hottest.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = self.streams.hottest_keys();
        self.inputs.close(&self.name, leftovers);
        for ring in self.resizing.iter_mut().flat_map(|resizing| resizing.left.drain(..)) {
            leftovers.ring(ring);
        }
        self.rings.ports.close_each(|ring| leftovers.ring(ring));
    }
}
