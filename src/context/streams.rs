//! The streams of one stage, run in rounds.
//!
//! A *round* is everything with one sequence number. Within it the streams run in order of rank, and each takes
//! everything that its sources made of this input event, source by source, before the next one runs: that is
//! the order which the language defines, and the reason why the results of several threads can be merged into
//! it. A round either consists of a single row ([`Streams::run_row`], which copies nothing), or its rows are
//! collected first ([`Streams::collect`]) and run together ([`Streams::run_round`]).

use std::collections::HashMap;

use crate::event::json::json_text;
use crate::event::{Row, Signal, Value};
use crate::flow::{MergeOrder, StateLost};
use crate::operators::{
    CompileError, Decider, Emit, Env, Limits, Moved, OperatorError, Part, Remap, StreamRuntime, StreamStats,
    Verdict, operator_at,
};
use crate::sync::Arc;
use crate::vpl::plan::{OnErrorPlan, Plan};

use super::FLUSH_SEQ;
use super::dirty::Dirty;
#[cfg(feature = "faults")]
use super::faults::{Fault, SharedFault, StageFaults};
use super::gauges::StreamGauges;
use super::holdback::Holdback;
use super::lanes::lanes_to;
use super::pool::{PoolWorker, Scatter, Tags, tags_by_rank};
use super::skew::PoolSkew;
use super::topology::{From, StageSpec, Topology};

mod state;

/// Keys of a stream that are named where its state is lost.
const EXAMPLE_KEYS: usize = 10;

/// No stream that can turn rows away at once.
const NO_GATE: u32 = u32::MAX;

/// Where rows leave a stage.
pub trait Outlet {
    /// Sends a copy of `row` out through a port.
    fn send(&mut self, port: usize, row: &Row);
    /// Sends a copy of `row` out through a port, with `tags` behind its fields.
    fn send_tagged(&mut self, port: usize, row: &Row, tags: &[&Value]);
    /// Takes a copy of `row` as a result. Its rank says of which stream.
    fn result(&mut self, row: &Row);
    /// Takes note that a stream has failed on an event.
    fn failed(&mut self, failure: Failure);
}

/// A stream that failed on an event; the stream goes on.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What happened, and in which stream and operator.
    pub error: OperatorError,
    /// The event; none where the stream failed at the end of the input.
    pub row: Option<Row>,
    /// The run is to end with this (`.on_error(fail)`).
    pub fatal: bool,
}

/// Rows that wait for a stream, with the input that takes each.
type Queue = Vec<(u16, Row)>;

/// A name that a stream feeds.
struct Feed {
    name: u32,
    remap: Option<Remap>,
    lane: Option<u16>,
    takers: Arc<[Taker]>,
    ports: Vec<usize>,
}

impl Feed {
    /// Whether a row of the stream goes under this name.
    #[inline]
    fn takes(&self, row: &Row) -> bool {
        self.lane.is_none_or(|lane| lane == row.lane())
    }

    /// A row of the stream as a row of the name.
    fn convert(&self, row: &Row) -> Row {
        let mut other = self.remap.as_ref().map_or_else(|| row.clone(), |remap| remap.apply(row));
        other.set_type_id(self.name);
        other
    }
}

/// A stream of this stage that takes a name, and through which of its inputs.
#[derive(Clone, Copy)]
struct Taker {
    at: usize,
    input: u16,
}

/// Where the rows of a stream go.
struct Route {
    result: bool,
    on_error: OnErrorPlan,
    decider: Option<Decider>,
    feeds: Vec<Feed>,
}

/// The streams of one stage.
pub struct Streams {
    runtimes: Vec<StreamRuntime>,
    routes: Vec<Route>,
    /// Rows that wait for each stream, with the input that takes them.
    queues: Vec<Queue>,
    /// Queues that were run, or were being run during a panic, by stream: a round that has to be run again is made of
    /// their rows. Kept only where `keeps_rounds`.
    ran: Vec<(usize, Queue)>,
    keeps_rounds: bool,
    dirty: Dirty,
    /// By name: the streams that take its rows, ascending.
    takers: Vec<Arc<[Taker]>>,
    /// By name: the stream that alone takes its rows and can turn them away at once; else [`NO_GATE`].
    gates: Box<[u32]>,
    /// By name: the ports through which rows from outside go on.
    relays: Vec<Vec<usize>>,
    /// Whether any name has such a port.
    relays_any: bool,
    /// For each stream the lanes of the stage that its rows come over.
    lanes_to: Vec<Vec<usize>>,
    /// For each stream what holds its watermark back. Empty where nothing does.
    holdbacks: Vec<Option<Holdback>>,
    /// For each stream that has its front here what it sends to its pool. Empty where none has.
    scatters: Vec<Option<Scatter>>,
    /// This is a worker of a pool.
    worker: Option<PoolWorker>,
    /// By rank: the tags by which rows of pools are put in order. Empty where none has any.
    tags: Vec<Tags>,
    env: Env,
    /// Streams of which all has been saved, while that is under way.
    saved: usize,
    #[cfg(feature = "faults")]
    faults: StageFaults,
}

/// Where the rows of the stream at a place go. No method, because the stream itself is borrowed beside it.
macro_rules! sink {
    ($streams:ident, $at:expr, $out:expr) => {
        Sink {
            route: &$streams.routes[$at],
            scatter: $streams.scatters.get_mut($at).and_then(Option::as_mut),
            worker: $streams.worker.as_ref(),
            queues: &mut $streams.queues,
            dirty: &mut $streams.dirty,
            out: $out,
        }
    };
}

impl Streams {
    /// Compiles the streams of `stage`, for rows that are merged in `order`. Ports are numbered by the edges that leave
    /// it, in the order of `topology`.
    pub fn compile(
        plan: &Plan,
        topology: &Topology,
        stage: usize,
        order: MergeOrder,
        limits: &Limits,
    ) -> Result<Self, CompileError> {
        let spec = &topology.stages[stage];
        let ports: Vec<_> = topology.edges.iter().filter(|edge| edge.from == From::Stage(stage)).collect();
        let mut takers: Vec<Vec<Taker>> = vec![Vec::new(); plan.names.len()];
        for (at, &stream) in spec.streams.iter().enumerate() {
            for (input, source) in plan.streams[stream].source.inputs().iter().enumerate() {
                // A stream that takes a name through several inputs gets a row once, through the first that
                // accepts it.
                if takers[source.name].last().is_none_or(|last| last.at != at) {
                    takers[source.name].push(Taker { at, input: input as u16 });
                }
            }
        }
        let mut relays: Vec<Vec<usize>> = vec![Vec::new(); plan.names.len()];
        for (port, edge) in ports.iter().enumerate() {
            for &name in &edge.relays {
                relays[name].push(port);
            }
        }
        let takers: Vec<Arc<[Taker]>> = takers.into_iter().map(Arc::from).collect();
        let mut ports_of: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
        for (port, edge) in ports.iter().enumerate() {
            for &feed in &edge.feeds {
                ports_of.entry(feed).or_default().push(port);
            }
        }
        let tags = tags_by_rank(plan, order);
        let mut runtimes = Vec::with_capacity(spec.streams.len());
        let mut routes = Vec::with_capacity(spec.streams.len());
        let mut scatters = Vec::new();
        let mut worker = None;
        let env = Env::new(plan, limits)?;
        for &stream in &spec.streams {
            let part = match (&plan.streams[stream].pool, spec.worker) {
                (None, _) => Part::Whole,
                (Some(_), None) => Part::Front,
                (Some(_), Some(_)) => Part::Back,
            };
            runtimes.push(StreamRuntime::compile_part(plan, stream, part, limits)?);
            // Rank 0 is that of the input.
            let own_tags = tags.get(stream + 1).copied().unwrap_or_default();
            if let (Some(pool), Some(place)) = (&plan.streams[stream].pool, spec.worker) {
                worker = Some(PoolWorker::new(place.index, pool, own_tags));
            }
            if part == Part::Front {
                let workers = (0..ports.len()).filter(|&port| ports[port].scatters == Some(stream));
                let scatter = Scatter::new(plan, stream, own_tags, order, workers.collect());
                scatters.resize_with(runtimes.len() - 1, || None);
                scatters.push(Some(scatter));
            }
            let feeds = plan.streams[stream].feeds.iter().enumerate().map(|(index, feed)| Feed {
                name: feed.name as u32,
                remap: feed.remap.as_ref().map(Remap::new),
                lane: feed.lane,
                takers: Arc::clone(&takers[feed.name]),
                ports: ports_of.remove(&(stream, index)).unwrap_or_default(),
            });
            routes.push(Route {
                decider: Decider::compile(plan, stream, &env)?,
                result: part != Part::Front && plan.streams[stream].leaves_engine(),
                on_error: plan.streams[stream].on_error,
                feeds: feeds.collect(),
            });
        }
        let gate = |(takers, relays): (&Arc<[Taker]>, &Vec<usize>)| match takers[..] {
            // Faults count the events that come to a stream.
            _ if worker.is_some() || cfg!(feature = "faults") => NO_GATE,
            [Taker { at, .. }] if relays.is_empty() && runtimes[at].has_gate() => at as u32,
            _ => NO_GATE,
        };
        let gates = takers.iter().zip(&relays).map(gate).collect();
        let count = spec.streams.len();
        Ok(Self {
            gates,
            runtimes,
            routes,
            queues: (0..count).map(|_| Vec::new()).collect(),
            ran: Vec::new(),
            keeps_rounds: false,
            dirty: Dirty::new(count),
            takers,
            relays_any: relays.iter().any(|ports| !ports.is_empty()),
            relays,
            lanes_to: lanes_to(plan, topology, stage),
            holdbacks: Vec::new(),
            scatters,
            worker,
            tags,
            env,
            saved: 0,
            #[cfg(feature = "faults")]
            faults: StageFaults::default(),
        })
    }

    /// Holds the watermarks of streams back whose rows can come in another order than that of the input.
    /// `unordered` says of each lane whether its rows come out of the order of their sequence numbers.
    pub(super) fn hold_back(&mut self, unordered: &[bool]) {
        let holdback = |(runtime, lanes): (&StreamRuntime, &Vec<usize>)| {
            let out_of_order = lanes.len() > 1 || lanes.iter().any(|&lane| unordered[lane]);
            (runtime.uses_time() && out_of_order).then(|| Holdback::new(lanes.clone()))
        };
        self.holdbacks = self.runtimes.iter().zip(&self.lanes_to).map(holdback).collect();
        self.hold_back_from_here();
    }

    /// The lanes have come as far as `progress` says: moves the watermarks that they held back, in order of rank.
    pub(super) fn advance(&mut self, progress: &[u64], out: &mut impl Outlet) {
        for at in 0..self.holdbacks.len() {
            self.run_below(at + 1, out);
            let Some(holdback) = &mut self.holdbacks[at] else { continue };
            holdback.advance(progress);
            let (limit_ns, complete) = (holdback.limit_ns(), holdback.complete());
            if limit_ns > self.runtimes[at].watermark_ns() {
                self.env.time_limit_ns = limit_ns;
                let mut sink = sink!(self, at, out);
                let moved = self.runtimes[at].on_clock(limit_ns, complete, &mut self.env, &mut sink);
                if let Err(error) = moved {
                    sink.failed(error, None, &mut self.env);
                }
            }
        }
        self.run_below(usize::MAX, out);
    }

    /// What the streams share: `var`s, the clock, the log.
    pub fn env(&mut self) -> &mut Env {
        &mut self.env
    }

    /// A round of one row.
    #[inline]
    pub fn run_row(&mut self, row: &Row, out: &mut impl Outlet) {
        // Most rows end at a filter, so that is asked before anything else.
        if !self.turns_away(row) {
            self.run_row_let_in(row, out);
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    fn turns_away(&mut self, row: &Row) -> bool {
        let gate = self.gates.get(row.type_id() as usize).copied().unwrap_or(NO_GATE);
        match self.runtimes.get_mut(gate as usize) {
            Some(runtime) if self.dirty.is_empty() => runtime.turns_away(row),
            _ => false,
        }
    }

    #[inline(never)]
    fn run_row_let_in(&mut self, row: &Row, out: &mut impl Outlet) {
        if self.worker.is_some() {
            return self.run_on_worker(row, out);
        }
        let name = row.type_id() as usize;
        if self.relays_any && row.rank() == 0 {
            for &port in self.relays.get(name).into_iter().flatten() {
                out.send(port, row);
            }
        }
        for index in 0..self.takers.get(name).map_or(0, |takers| takers.len()) {
            let Taker { at, input } = self.takers[name][index];
            // What earlier streams have made of the row comes first, where the streams between here and there
            // take it.
            self.run_below(at, out);
            self.step(at, input, row, out);
        }
        self.run_below(usize::MAX, out);
    }

    /// A row or a signal from the front of a pool.
    fn run_on_worker(&mut self, row: &Row, out: &mut impl Outlet) {
        let Some(worker) = &mut self.worker else { return };
        let is_row = row.signal() == Signal::Event;
        let key = worker.begin(row, is_row);
        self.env.mute = worker.is_mute(row.seq());
        if is_row {
            self.env.set_key(key.unwrap_or_default());
            self.step(0, 0, row, out);
        } else {
            let mut sink = sink!(self, 0, out);
            if let Err(error) =
                self.runtimes[0].on_watermark(row.time_ns(), row.seq(), &mut self.env, &mut sink)
            {
                sink.failed(error, None, &mut self.env);
            }
        }
    }

    /// A lane has come beside another one: what takes rows from that takes them from this one too.
    pub(super) fn add_lane(&mut self, beside: usize, lane: usize) {
        for lanes in self.lanes_to.iter_mut().filter(|lanes| lanes.contains(&beside)) {
            lanes.push(lane);
        }
        for holdback in self.holdbacks.iter_mut().flatten() {
            holdback.add_lane(beside, lane);
        }
    }

    /// Sends the barrier: from here on the pool of `stream` has this many workers, the new ones behind `ports`. Gives
    /// back the ports of those that leave.
    pub(super) fn resize_pool(
        &mut self,
        stream: usize,
        workers: usize,
        ports: &[usize],
        seq: u64,
        out: &mut impl Outlet,
    ) -> Vec<usize> {
        let scatter = self.scatters.iter_mut().flatten().find(|scatter| scatter.is_of(stream));
        scatter.map_or_else(Vec::new, |scatter| scatter.resize(workers, ports, seq, out))
    }

    /// Of a worker: takes out what it has kept for the keys that leave it.
    pub(super) fn let_go(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Moved {
        self.runtimes.first_mut().map_or_else(Moved::default, |runtime| runtime.let_go(leaves))
    }

    /// Of a worker: takes up what another one has kept.
    pub(super) fn take_up(&mut self, moved: Moved) {
        if let Some(runtime) = self.runtimes.first_mut() {
            runtime.take_up(moved);
        }
    }

    /// Whether this is a worker of a pool.
    pub fn is_worker(&self) -> bool {
        self.worker.is_some()
    }

    /// The end of a duty cycle: the workers of pools hear of watermarks that they have not heard of.
    pub fn settle(&mut self, out: &mut impl Outlet) {
        for scatter in self.scatters.iter_mut().flatten() {
            scatter.settle(out);
        }
    }

    /// Adds a row to the round.
    #[inline]
    pub fn collect(&mut self, row: &Row, out: &mut impl Outlet) {
        if self.worker.is_some() {
            // What the front has flushed: a worker has one stream, and takes each row at once.
            return self.run_on_worker(row, out);
        }
        let name = row.type_id() as usize;
        if row.rank() == 0 {
            for &port in &self.relays[name] {
                out.send(port, row);
            }
        }
        for taker in self.takers[name].iter() {
            self.queues[taker.at].push((taker.input, row.clone()));
            self.dirty.insert(taker.at);
        }
    }

    /// Runs the round that was collected.
    #[inline]
    pub fn run_round(&mut self, out: &mut impl Outlet) {
        self.run_below(usize::MAX, out);
        self.forget_round();
    }

    /// Rounds that are collected will have to be run again if a panic ends them: their rows are kept until they are
    /// over.
    pub(super) fn keep_rounds(&mut self) {
        self.keeps_rounds = true;
    }

    /// Takes over from `old`, which a panic may have left half-changed: its log and its place, and, if `with_round`,
    /// the rows that were collected for the round at hand. Its state stays behind.
    pub(super) fn take_over(&mut self, old: &mut Self, with_round: bool) {
        self.env.place = old.env.place.clone();
        self.env.clock_ns = old.env.clock_ns;
        if let Some(log) = old.env.take_log() {
            self.env.set_log(log);
        }
        self.keeps_rounds = old.keeps_rounds;
        for (fresh, old) in self.runtimes.iter_mut().zip(&old.runtimes) {
            fresh.continue_time(old);
        }
        // What a resize has changed stays changed.
        self.lanes_to = std::mem::take(&mut old.lanes_to);
        self.scatters = std::mem::take(&mut old.scatters);
        self.scatters.iter_mut().flatten().for_each(Scatter::forget);
        self.worker = old.worker.take().or(self.worker.take());
        #[cfg(feature = "faults")]
        {
            self.faults = std::mem::take(&mut old.faults);
        }
        let ran = old.ran.drain(..);
        let waiting = old.queues.iter_mut().map(std::mem::take).enumerate();
        for (at, queue) in ran.chain(waiting).filter(|_| with_round) {
            // What streams of this stage have made of the round will be made again.
            let own = |row: &Row| old.runtimes.iter().any(|runtime| runtime.rank() == row.rank());
            for (input, row) in queue.into_iter().filter(|(_, row)| !own(row)) {
                self.queues[at].push((input, row));
                self.dirty.insert(at);
            }
        }
    }

    /// Lets a fault strike at a stream of this stage; false if it is none of these.
    #[cfg(feature = "faults")]
    pub fn arm(&mut self, fault: &Fault, armed: &SharedFault) -> bool {
        let is_here = self.worker.as_ref().map(PoolWorker::index) == fault.worker;
        let at = self.runtimes.iter().position(|runtime| is_here && runtime.name() == fault.stream);
        if let Some(at) = at {
            self.faults.arm(at, armed);
        }
        at.is_some()
    }

    /// Whether a fault has the context end of its own accord.
    #[cfg(feature = "faults")]
    pub(super) fn is_leaving(&self) -> bool {
        self.faults.exits
    }

    /// The same, once.
    #[cfg(feature = "faults")]
    pub(super) fn exits(&mut self) -> bool {
        std::mem::take(&mut self.faults.exits)
    }

    /// Takes the rows out that were collected for the round, each once.
    pub(super) fn drain_round(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        while let Some(at) = self.dirty.pop_below(usize::MAX) {
            let first = |row: &Row| self.takers[row.type_id() as usize].first().map(|taker| taker.at);
            let queue = std::mem::take(&mut self.queues[at]);
            rows.extend(queue.into_iter().map(|(_, row)| row).filter(|row| first(row) == Some(at)));
        }
        rows
    }

    /// The name of the first stream of this stage that takes `row`.
    pub(super) fn taker_of(&self, row: &Row) -> &str {
        let takers = self.takers.get(row.type_id() as usize).map_or(&[][..], |takers| takers);
        takers.first().map_or("", |taker| self.runtimes[taker.at].name())
    }

    /// The stream and the operator that are at work, or were last.
    pub(super) fn place(&self) -> Option<(&str, &'static str)> {
        let (rank, operator) = operator_at(self.env.place.get())?;
        let stream = self.runtimes.iter().find(|runtime| runtime.rank() == rank)?;
        Some((stream.name(), operator))
    }

    /// What the streams remember of earlier events: what a restart loses.
    pub(super) fn state(&self) -> Vec<StateLost> {
        let state = |runtime: &StreamRuntime| {
            let stats = runtime.stats();
            let items = (stats.window_rows + stats.distinct_values) as u64;
            let examples = runtime.example_keys(EXAMPLE_KEYS).iter().map(json_text).collect();
            StateLost { owner: runtime.name().to_owned(), keys: stats.keys as u64, items, examples }
        };
        self.runtimes.iter().map(state).filter(|state| state.keys + state.items > 0).collect()
    }

    /// The round is over.
    fn forget_round(&mut self) {
        for (at, mut queue) in self.ran.drain(..) {
            queue.clear();
            // The buffer is used again.
            if self.queues[at].capacity() == 0 {
                self.queues[at] = queue;
            }
        }
    }

    /// Runs the streams in front of `end` that have rows waiting.
    #[inline]
    fn run_below(&mut self, end: usize, out: &mut impl Outlet) {
        if !self.dirty.is_empty() {
            self.run_dirty(end, out);
        }
    }

    #[inline(never)]
    fn run_dirty(&mut self, end: usize, out: &mut impl Outlet) {
        while let Some(at) = self.dirty.pop_below(end) {
            self.run_queue(at, out);
        }
    }

    fn run_queue(&mut self, at: usize, out: &mut impl Outlet) {
        let mut queue = std::mem::take(&mut self.queues[at]);
        // Source by source: what a stream of this stage has made now stands behind what was collected, though
        // its rank may be smaller.
        if !queue.is_sorted_by_key(|(_, row)| row.rank()) {
            queue.sort_by_key(|(_, row)| row.rank());
        }
        if !self.tags.is_empty() {
            sort_pools(&mut queue, &self.tags);
        }
        let run = QueueRun { streams: self, at, queue };
        for (input, row) in &run.queue {
            run.streams.step(at, *input, row, out);
        }
    }

    #[inline]
    fn step(&mut self, at: usize, input: u16, row: &Row, out: &mut impl Outlet) {
        if let Some(holdback) = self.holdbacks.get_mut(at) {
            self.env.time_limit_ns = holdback.as_mut().map_or(i64::MAX, |holdback| {
                holdback.note_row(row);
                holdback.limit_ns()
            });
        }
        let mut sink = sink!(self, at, out);
        #[cfg(feature = "faults")]
        {
            self.runtimes[at].enter(&mut self.env);
            if self.faults.before(at, row) {
                return sink.failed(self.runtimes[at].fail("injected error"), Some(row), &mut self.env);
            }
        }
        if let Err(error) = self.runtimes[at].on_row(usize::from(input), row, &mut self.env, &mut sink) {
            sink.failed(error, Some(row), &mut self.env);
        }
    }

    /// The end of the input: in order of rank, each stream takes what its sources have flushed and is flushed
    /// itself (D4).
    pub fn flush(&mut self, out: &mut impl Outlet) {
        self.holdbacks.clear();
        self.env.time_limit_ns = i64::MAX;
        if let Some(worker) = &mut self.worker {
            worker.end();
        }
        for at in 0..self.runtimes.len() {
            self.run_below(at + 1, out);
            let mut sink = sink!(self, at, out);
            self.env.mute = self.worker.as_ref().is_some_and(|worker| worker.is_mute(FLUSH_SEQ));
            if let Err(error) = self.runtimes[at].flush(FLUSH_SEQ, &mut self.env, &mut sink) {
                sink.failed(error, None, &mut self.env);
            }
        }
        self.forget_round();
    }

    /// Live, the clock has come to `now_ns`, as the input with number `seq`: in order of rank, each stream takes what
    /// its sources made of that, and then makes of it what it has to.
    pub fn on_clock(&mut self, now_ns: i64, seq: u64, out: &mut impl Outlet) {
        self.env.clock_ns = Some(now_ns);
        if self.worker.is_some() {
            // The front tells it the watermark.
            return;
        }
        self.env.time_limit_ns = i64::MAX;
        for at in 0..self.runtimes.len() {
            self.run_below(at + 1, out);
            self.clock_at(at, now_ns, seq, out);
        }
        self.run_below(usize::MAX, out);
        self.forget_round();
    }

    /// The same where watermarks are held back, and the clock comes over each lane. A stream that is not held back
    /// has one lane, and is told by that; the others once the input is complete up to there.
    pub(super) fn on_clock_of_lane(&mut self, lane: usize, clock: &Row, out: &mut impl Outlet) {
        self.env.clock_ns = self.env.clock_ns.max(Some(clock.time_ns()));
        for at in 0..self.runtimes.len() {
            self.run_below(at + 1, out);
            match self.holdbacks.get_mut(at).and_then(Option::as_mut) {
                Some(holdback) => holdback.note_row(clock),
                None if self.lanes_to[at].contains(&lane) => {
                    self.env.time_limit_ns = i64::MAX;
                    self.clock_at(at, clock.time_ns(), clock.seq(), out);
                }
                None => {}
            }
        }
        self.run_below(usize::MAX, out);
    }

    fn clock_at(&mut self, at: usize, now_ns: i64, seq: u64, out: &mut impl Outlet) {
        let mut sink = sink!(self, at, out);
        if let Err(error) = self.runtimes[at].on_clock(now_ns, seq, &mut self.env, &mut sink) {
            sink.failed(error, None, &mut self.env);
        }
    }

    /// What the streams have counted, in order.
    pub fn stats(&self) -> Vec<StreamStats> {
        self.runtimes.iter().map(StreamRuntime::stats).collect()
    }

    /// Of each stream with a pool that has its front here: the keys with the most rows, and about how many.
    pub fn hottest_keys(&self) -> Vec<PoolSkew> {
        self.scatters.iter().flatten().map(Scatter::hottest).collect()
    }

    /// Watermarks that are held back go on where they were.
    pub(super) fn hold_back_from_here(&mut self) {
        for (runtime, holdback) in self.runtimes.iter().zip(&mut self.holdbacks) {
            if let Some(holdback) = holdback {
                holdback.go_on_at(runtime.largest_ns());
            }
        }
    }

    /// Stores what the streams have counted where others can read it.
    /// `past` is what streams had counted that stood in their place before.
    pub fn report(&self, gauges: &StreamGauges, past: &[StreamStats]) {
        for (at, runtime) in self.runtimes.iter().enumerate() {
            let mut stats = runtime.stats();
            if let Some(past) = past.get(at) {
                stats.add_past(past);
            }
            gauges.store(at, &stats);
        }
    }

    /// Whether some stream's result depends on where the watermark is.
    pub fn uses_time(&self) -> bool {
        self.runtimes.iter().any(StreamRuntime::uses_time)
    }
}

/// Puts what the workers of each pool have made of one event into the order of one worker. Ranks ascend already.
fn sort_pools(queue: &mut [(u16, Row)], tags: &[Tags]) {
    for rows in queue.chunk_by_mut(|(_, a), (_, b)| a.rank() == b.rank()) {
        let tags = rows.first().and_then(|(_, row)| tags.get(usize::from(row.rank())).copied());
        if let Some(tags) = tags.filter(|tags| tags.any() && rows.len() > 1) {
            rows.sort_by(|(_, a), (_, b)| tags.compare(a, b));
        }
    }
}

/// A queue that is being run. It is not lost if that panics.
struct QueueRun<'a> {
    streams: &'a mut Streams,
    at: usize,
    queue: Queue,
}

impl Drop for QueueRun<'_> {
    #[inline]
    fn drop(&mut self) {
        let mut queue = std::mem::take(&mut self.queue);
        if self.streams.keeps_rounds {
            self.streams.ran.push((self.at, queue));
        } else {
            // Nothing was added meanwhile: streams form no cycle. The buffer is used again.
            queue.clear();
            self.streams.queues[self.at] = queue;
        }
    }
}

/// Takes the rows of one stream to where they go.
struct Sink<'a, O> {
    route: &'a Route,
    scatter: Option<&'a mut Scatter>,
    worker: Option<&'a PoolWorker>,
    queues: &'a mut [Vec<(u16, Row)>],
    dirty: &'a mut Dirty,
    out: &'a mut O,
}

impl<O: Outlet> Emit for Sink<'_, O> {
    #[inline]
    fn emit(&mut self, row: &Row) {
        match self.worker {
            None => self.pass(row),
            Some(worker) => self.pass_tagged(row, &Value::Null, worker),
        }
    }

    #[inline]
    fn emit_closed(&mut self, row: &Row, key: &Value) {
        match self.worker {
            None => self.pass(row),
            Some(worker) => self.pass_tagged(row, key, worker),
        }
    }

    #[inline]
    fn scatter(&mut self, row: &Row, key: &Value) {
        if let Some(scatter) = &mut self.scatter {
            scatter.row(row, key, self.out);
        }
    }

    #[inline]
    fn watermark(&mut self, watermark_ns: i64, seq: u64) {
        if let Some(scatter) = &mut self.scatter {
            scatter.watermark(watermark_ns, seq, self.out);
        }
    }
}

impl<O: Outlet> Sink<'_, O> {
    /// Sends a row that leaves a worker of a pool on, unless that is another worker's to do.
    fn pass_tagged(&mut self, row: &Row, key: &Value, worker: &PoolWorker) {
        if worker.is_mute(row.seq()) {
            return;
        }
        if !worker.tags_rows() {
            return self.pass(row);
        }
        if self.route.result {
            let mut tagged = row.clone();
            worker.tag(&mut tagged, key);
            self.out.result(&tagged);
        }
        for feed in &self.route.feeds {
            if feed.takes(row) {
                let mut other = feed.convert(row);
                worker.tag(&mut other, key);
                self.feed(feed, &other);
            }
        }
    }

    #[inline]
    fn pass(&mut self, row: &Row) {
        if self.route.result {
            self.out.result(row);
        }
        for feed in &self.route.feeds {
            if !feed.takes(row) {
                continue;
            }
            // What `.process` emits carries its own type, also where it is taken under the stream's name.
            if feed.remap.is_none() && feed.name == row.type_id() {
                self.feed(feed, row);
            } else {
                self.feed(feed, &feed.convert(row));
            }
        }
    }

    /// The stream has failed: its program says what becomes of that. The stream itself counts it.
    #[cold]
    fn failed(&mut self, error: OperatorError, row: Option<&Row>, env: &mut Env) {
        if let (Some(worker), Some(row)) = (self.worker, row)
            && worker.is_mute(row.seq())
        {
            return;
        }
        let mut decided = || self.route.decider.as_ref().map(|decider| decider.decide(&error, row, env));
        let verdict = match self.route.on_error {
            OnErrorPlan::Skip => Verdict::Skip,
            OnErrorPlan::Fail => Verdict::Fail,
            OnErrorPlan::DeadLetter | OnErrorPlan::Retry(_) => Verdict::DeadLetter,
            OnErrorPlan::Decide(_) => decided().unwrap_or(Verdict::DeadLetter),
        };
        if verdict == Verdict::Skip {
            return;
        }
        let fatal = verdict == Verdict::Fail;
        self.out.failed(Failure { error, row: row.cloned(), fatal });
    }

    #[inline]
    fn feed(&mut self, feed: &Feed, row: &Row) {
        for taker in feed.takers.iter() {
            self.queues[taker.at].push((taker.input, row.clone()));
            self.dirty.insert(taker.at);
        }
        for &port in &feed.ports {
            self.out.send(port, row);
        }
    }
}

/// A name for messages.
impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").field("streams", &self.runtimes.len()).finish_non_exhaustive()
    }
}

impl StageSpec {
    /// Whether the stage has streams at all.
    pub fn is_empty(&self) -> bool {
        self.streams.is_empty()
    }
}
