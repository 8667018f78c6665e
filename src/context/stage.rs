//! A context's stage: its streams behind rings.
//!
//! One duty cycle takes what is there (up to a limit), runs it, and publishes everything that came of it at
//! once. While some output is blocked it takes no more input, apart from the rest of the sequence number that
//! it has begun (see `flow::fan_in`).
//!
//! What panics is left so that it can be done again: see `restart`.
//!
//! In `deterministic` order a round is run when it is complete: at once where a lane brings one row per
//! sequence number and there is no other lane, else when the fan-in's frontier has passed it. In the other
//! orders every row is a round of its own.

use crate::event::{Row, Signal, Value};
use crate::flow::{
    Blamed, BlamedItem, Cycle, Drained, FanIn, Leftovers, MergeOrder, OutPort, Ports, Restarting, Stage,
    StateLost,
};
use crate::operators::{CompileError, OperatorError, StreamStats};
use crate::ring::Receiver;
use crate::sync::{Arc, Mutex};

mod resizing;

use resizing::Resizing;

use super::condemned::{Condemned, blamed};
use super::elastic::StageCommand;
use super::gate::{Admission, Gate, GateKeeper, refused};
use super::gauges::{Reporting, StreamGauges};
use super::restart::{Doing, Suspect};
use super::saving::{Saver, SnapshotSink};
use super::skew::PoolSkew;
use super::streams::{Failure, Outlet, Streams};

/// Makes the streams of a stage anew.
pub type Rebuild = Box<dyn FnMut() -> Result<Streams, CompileError> + Send>;

/// Where events go on which a stream has failed.
pub trait FailureSink: Send {
    /// Takes one. It may have to wait; then the stage takes no more input until it is gone.
    fn take(&mut self, failure: Failure);

    /// Tries to get rid of what waits; true while something does.
    fn is_blocked(&mut self) -> bool;

    /// Nothing more will be asked of it: what waits is given up.
    fn close(&mut self);
}

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
    pub failures: Box<dyn FailureSink>,
    /// Where the stage is supervised: how its streams are made anew when it failed.
    pub rebuild: Option<Rebuild>,
    /// After a rollback: what is not run again.
    pub condemned: Option<Box<Condemned>>,
    /// Where a circuit breaker is declared: who says which events are run.
    pub gate: Option<Box<dyn GateKeeper>>,
    /// Where the counts go when the stage closes.
    pub stats: Arc<Mutex<Vec<StreamStats>>>,
    /// Where the keys of pools with the most rows go, by stream, when the stage closes.
    pub hottest: Arc<Mutex<Vec<PoolSkew>>>,
    /// Where they can be read while it runs.
    pub gauges: StreamGauges,
    /// Where its shares of checkpoints go, where there are any.
    pub snapshots: Option<Box<dyn SnapshotSink>>,
    /// Where it is told what a resize of a pool asks of it; none where no pool concerns it.
    pub inbox: Option<Receiver<StageCommand>>,
    /// By lane: the rows of a pool come over it, so more lanes may be added.
    pub from_pool: Vec<bool>,
    /// The same, but only where each worker flushes a part of it: not where all do all, and one tells.
    pub shares_flush: Vec<bool>,
}

/// A context's streams as a stage.
pub struct ContextStage {
    name: String,
    pub(super) streams: Streams,
    pub(super) inputs: FanIn<Row>,
    outside: Vec<usize>,
    pub(super) rings: Rings,
    /// Rows are rounds: nothing is collected.
    row_by_row: bool,
    batch_limit: usize,
    /// What streams in front of the stage have made of the end of the input.
    pub(super) ends: Vec<Row>,
    /// The same of the workers of pools. Each brings its share, so by ring they are not in the order of one worker.
    pub(super) ends_of_pools: Vec<Row>,
    /// By lane: whether a worker of a pool sends its share over it. Lanes that are added later do.
    shares_flush: Vec<bool>,
    /// The sequence number of the round that is being collected; 0 where there is none.
    pub(super) round: u64,
    /// Live: the round is that of the clock, which has come to this time.
    pub(super) clock_ns: Option<i64>,
    /// The number of the last clock that was passed on, where it comes over several lanes.
    clock_seq: u64,
    /// Where rows can come in another order than that of the input, watermarks are held back: how far each lane
    /// has come.
    held_back: Option<Vec<u64>>,
    pub(super) flushed: bool,
    pub(super) stats: Arc<Mutex<Vec<StreamStats>>>,
    pub(super) rebuild: Option<Rebuild>,
    pub(super) gate: Option<Gate>,
    pub(super) condemned: Option<Box<Condemned>>,
    /// What is under way, for the case that it panics.
    pub(super) doing: Doing,
    /// What made the stage fail, and how often.
    pub(super) suspect: Option<(Suspect, u32)>,
    /// What its streams had counted before they were made anew.
    pub(super) past: Vec<StreamStats>,
    /// It has ended of its own accord (only an injected fault makes it).
    exited: bool,
    hottest: Arc<Mutex<Vec<PoolSkew>>>,
    gauges: StreamGauges,
    reporting: Reporting,
    saver: Option<Saver>,
    resizing: Option<Box<Resizing>>,
    /// By lane: its rows come out of the order of their numbers. Lanes that are added later are of that kind.
    unordered: Vec<bool>,
}

/// The rings that lead away.
pub(super) struct Rings {
    pub(super) ports: Ports<Row>,
    results: usize,
    /// Counts what is run as one: rows, or rounds that were collected. What is sent can be taken back as long as it is
    /// under way.
    step: u64,
    /// How many of the steps were no events, and which was the last of these.
    asides: u64,
    last_aside: u64,
    pub(super) failures: Box<dyn FailureSink>,
    /// Failures of the step under way.
    fresh: Vec<Failure>,
    /// Failures wait for room on their way out.
    waits: bool,
    /// A stream has failed in a way that ends the run.
    fatal: Option<String>,
    /// What is fatal unwinds to whoever supervises the stage.
    is_supervised: bool,
    /// A gate stands in front of the streams: no event is taken after one that has failed before the gate knows.
    is_gated: bool,
}

impl Rings {
    /// The next row or round begins; what was made of the one before stays.
    #[inline]
    fn begin(&mut self) {
        self.step += 1;
        if !self.fresh.is_empty() {
            self.settle();
        }
    }

    /// The same, of something that is no event.
    #[inline]
    fn begin_aside(&mut self) {
        self.begin();
        self.asides += 1;
        self.last_aside = self.step;
    }

    /// How many events have been begun, and whether the last thing that was begun is one.
    #[inline]
    pub(super) fn events(&self) -> (u64, bool) {
        (self.step - self.asides, self.last_aside != self.step)
    }

    /// Lets go of the failures of the step that is over.
    #[cold]
    pub(super) fn settle(&mut self) {
        for failure in self.fresh.drain(..) {
            self.failures.take(failure);
        }
        self.waits = self.failures.is_blocked();
    }

    /// Takes back what was made of the row or round under way.
    pub(super) fn rewind(&mut self) {
        self.ports.rewind(self.step);
        self.fresh.clear();
    }

    /// Whether no more input is to be taken.
    #[inline]
    fn are_blocked(&self) -> bool {
        self.ports.are_blocked() || self.waits || self.fatal.is_some()
    }
}

impl Outlet for Rings {
    #[inline]
    fn send(&mut self, port: usize, row: &Row) {
        let port = self.ports.port(port);
        port.begin(self.step);
        port.send(row);
    }

    #[inline]
    fn send_tagged(&mut self, port: usize, row: &Row, tags: &[&Value]) {
        let port = self.ports.port(port);
        port.begin(self.step);
        port.send_with(row, |sent| tags.iter().for_each(|tag| sent.push(tag)));
    }

    #[inline]
    fn result(&mut self, row: &Row) {
        self.send(self.results, row);
    }

    #[cold]
    fn failed(&mut self, failure: Failure) {
        if failure.fatal {
            if self.is_supervised {
                // The supervisor decides, and the event is still there to be tried again, as after any other panic.
                std::panic::resume_unwind(Box::new(failure.error.message));
            }
            self.fatal.get_or_insert_with(|| failure.error.to_string());
        }
        self.fresh.push(failure);
        // Until it is settled, at the end of the duty cycle at the latest.
        self.waits |= self.is_gated;
    }
}

impl Rings {
    /// Tells the stages behind that the clock has come to `now_ns`: behind all that has come of it here.
    fn pass_clock_on(&mut self, seq: u64, now_ns: i64) {
        let clock = Row::clock(seq, now_ns);
        let results = self.results;
        for port in (0..self.ports.len()).filter(|&port| port != results) {
            self.send(port, &clock);
        }
    }
}

impl ContextStage {
    /// Puts the parts together.
    pub fn new(parts: StageParts) -> Self {
        let deterministic = parts.inputs.order() == MergeOrder::Deterministic;
        let lanes = parts.inputs.lanes();
        let unordered = |lane: usize| {
            parts.inputs.is_unordered(lane) || parts.from_pool.get(lane).is_some_and(|from_pool| *from_pool)
        };
        let unordered: Vec<bool> = (0..lanes).map(unordered).collect();
        let out_of_order = lanes > 1 || unordered.contains(&true);
        // The front of a pool has done it for its workers.
        let is_worker = parts.streams.is_worker();
        let holds_back = !deterministic && out_of_order && parts.streams.uses_time() && !is_worker;
        let results = parts.outputs.len().saturating_sub(1);
        let ports = Ports::from(parts.outputs);
        let mut stage = Self {
            batch_limit: ports.batch_limit(parts.batch_limit),
            held_back: holds_back.then(|| vec![0; lanes]),
            row_by_row: !deterministic || parts.single_rows || is_worker,
            name: parts.name,
            streams: parts.streams,
            inputs: parts.inputs,
            outside: parts.outside,
            rings: Rings {
                results,
                ports,
                step: 0,
                asides: 0,
                last_aside: 0,
                failures: parts.failures,
                fresh: Vec::new(),
                waits: false,
                fatal: None,
                is_supervised: parts.rebuild.is_some(),
                is_gated: parts.gate.is_some(),
            },
            ends: Vec::new(),
            ends_of_pools: Vec::new(),
            shares_flush: parts.shares_flush,
            round: 0,
            clock_ns: None,
            clock_seq: 0,
            flushed: false,
            stats: parts.stats,
            hottest: parts.hottest,
            gauges: parts.gauges,
            reporting: Reporting::default(),
            saver: parts.snapshots.map(Saver::new),
            resizing: parts.inbox.map(|inbox| Box::new(Resizing::new(inbox))),
            rebuild: parts.rebuild,
            gate: parts.gate.map(Gate::new),
            condemned: parts.condemned,
            doing: Doing::Rows,
            suspect: None,
            past: Vec::new(),
            exited: false,
            unordered,
        };
        if stage.rebuild.is_some() && !stage.row_by_row {
            stage.streams.keep_rounds();
        }
        stage.hold_back();
        stage
    }

    /// Tells the streams to hold their watermarks back, where that is needed.
    pub(super) fn hold_back(&mut self) {
        if self.held_back.is_some() {
            self.unordered.resize(self.inputs.lanes(), true);
            self.streams.hold_back(&self.unordered);
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
        let Self {
            streams,
            inputs,
            rings,
            round,
            clock_ns,
            clock_seq,
            ends,
            held_back,
            resizing,
            doing,
            gate,
            condemned,
            ..
        } = self;
        let condemned = condemned.as_deref();
        let (ends_of_pools, shares_flush) = (&mut self.ends_of_pools, &self.shares_flush);
        rings.waits = rings.waits && rings.failures.is_blocked();
        let holds = gate.as_mut().is_some_and(|gate| gate.begin(rings.events().0));
        let blocked = rings.ports.are_blocked() || rings.waits || holds || only_started;
        let row_by_row = self.row_by_row;
        // Most rows are events that are just run, with a gate in front of them or without.
        let just_runs = row_by_row && condemned.is_none() && !gate.as_ref().is_some_and(Gate::asks);
        let take = |lane: usize, row: &Row| {
            if just_runs && row.signal() == Signal::Event && row.seq() != super::FLUSH_SEQ {
                rings.begin();
                streams.run_row(row, rings);
                #[cfg(feature = "faults")]
                if streams.is_leaving() {
                    return false;
                }
                return !rings.are_blocked();
            }
            let is_clock = row.signal() == Signal::Clock;
            if row.signal() == Signal::Resize {
                rings.begin_aside();
                streams.run_row(row, rings);
                if let Some(resizing) = resizing {
                    resizing.barriers += 1;
                }
                // Nothing behind it is of its sequence number but other barriers, so no row comes in this call.
                return false;
            }
            if row.seq() == super::FLUSH_SEQ {
                let of_pool = shares_flush.get(lane).is_none_or(|shares| *shares);
                if of_pool { ends_of_pools.push(row.clone()) } else { ends.push(row.clone()) }
            } else if row_by_row && is_clock {
                rings.begin_aside();
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
                if let Some(letter) = condemned.and_then(|condemned| condemned.row(row)) {
                    rings.begin_aside();
                    rings.fresh.push(letter);
                    return !rings.are_blocked();
                }
                match gate {
                    Some(gate) if row.signal() == Signal::Event => ask_and_run(streams, row, gate, rings),
                    _ => {
                        rings.begin_aside();
                        streams.run_row(row, rings);
                    }
                }
            } else {
                if *round != 0 && *round != row.seq() {
                    *doing = Doing::Round;
                    run_round(streams, *round, clock_ns, gate.as_mut(), condemned, rings);
                    *doing = Doing::Rows;
                }
                *round = row.seq();
                if is_clock {
                    *clock_ns = Some(row.time_ns());
                } else {
                    // What is relayed is sent before the round is run, and stays sent if the round fails.
                    rings.begin_aside();
                    streams.collect(row, rings);
                }
            }
            #[cfg(feature = "faults")]
            if streams.is_leaving() {
                return false;
            }
            !rings.are_blocked() && !gate.as_ref().is_some_and(Gate::holds)
        };
        let drained = if blocked {
            inputs.finish_started(self.batch_limit, take)
        } else {
            inputs.drain(self.batch_limit, take)
        };
        if just_runs {
            self.tell_gate();
        }
        drained
    }

    /// Tells the gate of the event that has failed while nobody asked it.
    #[inline]
    fn tell_gate(&mut self) {
        let Some(gate) = &mut self.gate else { return };
        let (events, is_event) = self.rings.events();
        if is_event && !self.rings.fresh.is_empty() {
            gate.failed(events - 1, true);
        }
    }

    /// Runs what can be run now that the lanes have come further, and says how far the stage has come: the
    /// collected round, if nothing more can come of it, and what waits for watermarks that were held back.
    ///
    /// Rows of the end of the input are in no round: they wait for the flush, which goes from stream to stream.
    /// One that was sent nothing is flushed before those behind it take what they were sent.
    fn finish_rounds(&mut self) {
        let frontier = self.inputs.frontier();
        let holds = self.clock_ns.is_none() && self.gate.as_ref().is_some_and(Gate::holds);
        let is_blocked = self.rings.ports.are_blocked();
        if self.round != 0 && self.round <= frontier && !is_blocked && !holds {
            self.doing = Doing::Round;
            let Self { streams, round, clock_ns, gate, condemned, rings, .. } = self;
            run_round(streams, *round, clock_ns, gate.as_mut(), condemned.as_deref(), rings);
            self.round = 0;
        }
        if let Some(progress) = &mut self.held_back {
            if is_blocked {
                return;
            }
            for (lane, progress) in progress.iter_mut().enumerate() {
                *progress = self.inputs.lane_progress(lane);
            }
            self.rings.begin_aside();
            self.doing = Doing::Watermarks;
            self.streams.advance(progress, &mut self.rings);
        }
        self.rings.begin_aside();
        self.streams.settle(&mut self.rings);
        self.doing = Doing::Rows;
        let done = if self.round == 0 { frontier } else { self.round - 1 };
        self.rings.ports.note_progress(done.min(super::FLUSH_SEQ - 1));
    }

    /// The barrier of a checkpoint has come on every lane: everything in front of it has been run, and nothing behind
    /// it. Begins to write the state down and passes the barrier on, behind everything that pends.
    ///
    /// Where an output is blocked the round at hand may not have been run yet: the barrier waits for it. It waits for
    /// nobody else, least of all for room.
    #[cold]
    fn pass_checkpoint(&mut self, checkpoint: u64) {
        let waits_for_mail = self.resizing.as_ref().is_some_and(|resizing| resizing.waits_for_mail());
        if self.round != 0 || self.rings.ports.are_blocked() || waits_for_mail {
            return;
        }
        // Whoever takes results takes what has failed before them, too.
        self.rings.settle();
        if self.rings.waits {
            return;
        }
        if let Some(saver) = &mut self.saver {
            saver.begin(checkpoint, &mut self.streams);
        }
        let seq = self.inputs.frontier();
        self.inputs.pass_checkpoint();
        self.rings.begin_aside();
        let barrier = Row::checkpoint(seq, checkpoint);
        for port in 0..self.rings.ports.len() {
            if !self.rings.ports.port(port).is_closed() {
                self.rings.send(port, &barrier);
            }
        }
    }

    /// Writes more of the state down, while a checkpoint has its barrier behind the stage. Whether it did.
    #[inline]
    fn save_more(&mut self) -> bool {
        match &mut self.saver {
            Some(saver) if saver.is_under_way() => saver.go_on(&mut self.streams),
            _ => false,
        }
    }

    /// Writes all of the state down that is left: the streams end here.
    pub(super) fn finish_saving(&mut self) {
        if let Some(saver) = &mut self.saver {
            saver.finish(&mut self.streams);
        }
    }

    /// The end of the input.
    fn flush(&mut self) {
        self.finish_saving();
        self.rings.begin_aside();
        if let Some(error) = self.condemned.as_ref().and_then(|condemned| condemned.end().cloned()) {
            return self.bury_end(&error);
        }
        self.doing = Doing::Flush;
        // One worker would have flushed them by their times; under `deterministic` their tags say more.
        self.ends_of_pools.sort_by_key(Row::time_ns);
        for row in self.ends.iter().chain(&self.ends_of_pools) {
            self.streams.collect(row, &mut self.rings);
        }
        self.streams.flush(&mut self.rings);
        self.streams.settle(&mut self.rings);
        self.doing = Doing::Rows;
        self.end_flush();
    }

    /// The end has been seen to.
    pub(super) fn end_flush(&mut self) {
        (self.ends, self.ends_of_pools) = (Vec::new(), Vec::new());
        self.flushed = true;
        // A ring is not closed before the others are rid of what pends in front of them, and that may have
        // to wait for somebody who waits for this very end. So it is told as progress, on each ring as soon
        // as there is room.
        self.rings.ports.note_progress(super::FLUSH_SEQ);
    }
}

/// Where nobody closes it, as where an engine is dropped.
impl Drop for ContextStage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish_saving();
        }
    }
}

/// The letters of rows that are given up with this error; where no event is to blame, one without any.
pub(super) fn letters_of(rows: Vec<Row>, error: &OperatorError) -> Vec<Failure> {
    let letter = |row| Failure { error: error.clone(), row, fatal: false };
    let events = rows.into_iter().filter(|row| row.signal() == Signal::Event);
    let letters: Vec<Failure> = events.map(|row| letter(Some(row))).collect();
    if letters.is_empty() { vec![letter(None)] } else { letters }
}

/// Runs an event if the gate lets it through.
#[inline(never)]
fn ask_and_run(streams: &mut Streams, row: &Row, gate: &mut Gate, rings: &mut Rings) {
    match gate.admit() {
        Admission::Run => {
            rings.begin();
            streams.run_row(row, rings);
            tell(gate, rings);
        }
        Admission::DeadLetter => {
            rings.begin_aside();
            rings.fresh.push(refused(streams.taker_of(row), row));
        }
        Admission::Drop => rings.begin_aside(),
    }
}

/// Runs the round that was collected: that of an event, if the gate lets it through, or that of the clock.
fn run_round(
    streams: &mut Streams,
    round: u64,
    clock_ns: &mut Option<i64>,
    gate: Option<&mut Gate>,
    condemned: Option<&Condemned>,
    rings: &mut Rings,
) {
    if let Some(error) = condemned.and_then(|condemned| condemned.round(round)) {
        rings.begin_aside();
        *clock_ns = None;
        let letters = letters_of(streams.drain_round(), error);
        return rings.fresh.extend(letters);
    }
    if let Some(now_ns) = *clock_ns {
        rings.begin_aside();
        streams.on_clock(now_ns, round, rings);
        rings.pass_clock_on(round, now_ns);
        *clock_ns = None;
        return;
    }
    let Some(gate) = gate else {
        rings.begin();
        return streams.run_round(rings);
    };
    match gate.admit() {
        Admission::Run => {
            rings.begin();
            streams.run_round(rings);
            tell(gate, rings);
        }
        Admission::DeadLetter => {
            rings.begin_aside();
            for row in streams.drain_round() {
                rings.fresh.push(refused(streams.taker_of(&row), &row));
            }
        }
        Admission::Drop => {
            rings.begin_aside();
            drop(streams.drain_round());
        }
    }
}

/// Tells the gate how the event went that was just run.
fn tell(gate: &mut Gate, rings: &Rings) {
    let (events, _) = rings.events();
    if rings.fresh.is_empty() { gate.succeeded(events) } else { gate.failed(events - 1, true) }
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
        if let Some(checkpoint) = self.inputs.checkpoint() {
            self.pass_checkpoint(checkpoint);
        }
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
            self.flush();
        }
        if !self.rings.fresh.is_empty() {
            self.rings.settle();
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
        #[cfg(feature = "faults")]
        if self.streams.exits() {
            self.exited = true;
            return Cycle::Done;
        }
        if self.flushed && !self.rings.ports.are_blocked() && !self.rings.waits {
            if let Some(saver) = &mut self.saver {
                saver.ended();
            }
            return Cycle::Done;
        }
        // Behind what was published, so that nothing waits for it that is done.
        let saved = self.save_more();
        let work = drained.taken + drained.signals + published + usize::from(saved);
        if self.reporting.is_due(work > 0) {
            self.streams.report(&self.gauges, &self.past);
        }
        Cycle::of(work)
    }

    fn could_go_on(&self) -> bool {
        self.exited
    }

    fn restart(&mut self, restarting: &Restarting<'_>) -> Result<Vec<StateLost>, String> {
        self.exited = false;
        self.start_again(restarting)
    }

    fn blamed(&mut self) -> Option<Blamed> {
        let row = self.inputs.interrupted();
        let item = match self.doing {
            Doing::Rows => blamed(&self.inputs.take_head(row?)?),
            Doing::Round => BlamedItem::Round(self.round),
            Doing::Watermarks => return None,
            Doing::Flush => BlamedItem::End,
        };
        let (owner, operator) = self.streams.place().unwrap_or_default();
        Some(Blamed { item, owner: owner.to_owned(), operator })
    }

    fn place(&self) -> Option<String> {
        self.streams.place().map(|(stream, operator)| format!("stream {stream}, .{operator}"))
    }

    fn end_inputs(&mut self) {
        for &lane in &self.outside {
            self.inputs.end_lane(lane);
        }
    }

    fn close(&mut self, leftovers: &mut Leftovers) {
        self.finish_saving();
        self.rings.settle();
        self.rings.failures.close();
        *self.stats.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = self.counts();
        self.streams.report(&self.gauges, &self.past);
        *self.hottest.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = self.streams.hottest_keys();
        self.inputs.close(&self.name, leftovers);
        for ring in self.resizing.iter_mut().flat_map(|resizing| resizing.left.drain(..)) {
            leftovers.ring(ring);
        }
        self.rings.ports.close_each(|ring| leftovers.ring(ring));
    }
}
