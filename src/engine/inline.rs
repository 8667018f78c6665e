//! A program on the caller's thread: its streams, and a queue for what they make.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use crate::connect::{Outcome, SinkCounts, Sources};
use crate::context::{Entry, Failure, LiveClock, Outlet, StreamGauges, Streams, Ticker};
use crate::event::{Row, SnapshotError, SnapshotReader, Value};
use crate::metrics::LatencyWriter;
use crate::operators::StreamStats;
use crate::vpl::plan::Plan;

use super::checkpoints::InlineParts;
use super::delivery::Delivery;
use super::error::{BuildError, EngineError};
use super::input::{restore_sources, save_sources};
use super::metrics::{EndCounts, Registry};
use super::record::Record;
use super::recovery::{Recovery, Restored};
use super::stats::DeadLetter;
use super::writer::Before;

/// Dead letters that are kept until somebody takes them.
pub(super) const DEAD_LETTERS_KEPT: usize = 10_000;

/// Events of sources that one poll feeds.
const SOURCE_EVENTS: usize = 4096;

/// Events between two slices of a state that is being written down.
const EVENTS_PER_SLICE: u32 = 32;

/// A program that runs where it is called.
pub(super) struct Inline {
    front: Front,
    /// Files that come in beside what is fed.
    sources: Option<Sources>,
    /// What has become of them.
    connectors: Outcome,
    delivery: Delivery,
    events: u64,
    /// The input has ended, and what is left of the sources comes.
    closing: bool,
    finished: bool,
    queue: Queue,
    told: Told,
    checkpoints: Option<Box<InlineParts>>,
    /// Until the next slice of the state is written, while that is under way.
    events_to_slice: u32,
}

/// Events after which counts are stored where others can read them.
const REPORT_EVERY: u32 = 256;

/// Where others read what was counted.
struct Told {
    counts: Arc<EndCounts>,
    gauges: StreamGauges,
    unreported: u32,
}

/// Latencies of one event in so many, from when it is fed to when a result is made of it.
pub(super) struct InlineLatency {
    every: u32,
    countdown: u32,
    /// When the event that is being run was fed, if it is measured.
    fed: Option<Instant>,
    latencies: LatencyWriter,
}

impl InlineLatency {
    pub(super) fn new(every: u32, latencies: LatencyWriter) -> Self {
        Self { every, countdown: 1, fed: None, latencies }
    }

    #[inline]
    fn begin(&mut self) {
        self.countdown -= 1;
        self.fed = None;
        if self.countdown == 0 {
            self.countdown = self.every;
            self.fed = Some(Instant::now());
        }
    }

    #[inline]
    fn result(&mut self) {
        if let Some(fed) = self.fed {
            self.latencies.record_ns(fed.elapsed().as_nanos() as u64);
        }
    }
}

/// The streams, and what stands in front of them: numbers, timers, the clock.
struct Front {
    streams: Streams,
    ticker: Ticker,
    /// In a live engine.
    live: Option<LiveClock>,
    last_seq: u64,
}

impl Front {
    /// Runs an event, and before it what is due by then.
    #[inline]
    fn run(&mut self, row: &mut Row, out: &mut impl Outlet) {
        if self.live.is_some() {
            self.be_on_time(row, out);
        } else {
            self.timers(row.time_ns(), out);
        }
        self.number_and_run(row, out);
    }

    /// Runs the ticks of timers up to `time_ns`.
    #[inline]
    fn timers(&mut self, time_ns: i64, out: &mut impl Outlet) {
        while let Some(mut tick) = self.ticker.due(time_ns) {
            self.number_and_run(&mut tick, out);
        }
    }

    /// Gives a row its place in the order of everything, and runs it.
    #[inline(always)]
    #[allow(clippy::inline_always)] // on the way of every event
    fn number_and_run(&mut self, row: &mut Row, out: &mut impl Outlet) {
        self.last_seq += 1;
        row.set_seq(self.last_seq);
        row.set_rank(0);
        self.streams.run_row(row, out);
    }

    /// Live, in front of an event: tells the time, if that is due, and gives it to an event that brings none.
    fn be_on_time(&mut self, row: &mut Row, out: &mut impl Outlet) {
        if let Some(now_ns) = self.live.as_mut().and_then(LiveClock::before_event) {
            self.clock(now_ns, out);
        }
        if let Some(live) = &self.live
            && row.time_ns() == Row::UNTIMED
        {
            row.set_time_ns(live.now_ns());
        }
    }

    /// Live, where no event comes.
    fn tick(&mut self, out: &mut impl Outlet) {
        if let Some(now_ns) = self.live.as_mut().and_then(LiveClock::while_idle) {
            self.clock(now_ns, out);
        }
    }

    fn clock(&mut self, now_ns: i64, out: &mut impl Outlet) {
        self.timers(now_ns, out);
        self.last_seq += 1;
        self.streams.on_clock(now_ns, self.last_seq, out);
        if let Some(live) = &mut self.live {
            live.ticked();
        }
    }
}

/// What has come out.
pub(super) struct Queue {
    plan: Arc<Plan>,
    pub(super) rows: VecDeque<Row>,
    pub(super) results: u64,
    pub(super) dead: VecDeque<DeadLetter>,
    pub(super) failed: u64,
    pub(super) dead_dropped: u64,
    /// Why the run has ended before the input did (`.on_error(fail)`).
    fatal: Option<String>,
    /// Where latencies are sampled.
    latency: Option<InlineLatency>,
}

impl Queue {
    /// An event comes; what is made from now on is made of it.
    #[inline]
    fn event(&mut self) {
        if let Some(latency) = &mut self.latency {
            latency.begin();
        }
    }

    /// What comes now comes of no event.
    fn no_event(&mut self) {
        if let Some(latency) = &mut self.latency {
            latency.fed = None;
        }
    }

    #[inline]
    fn made(&mut self) {
        if let Some(latency) = &mut self.latency {
            latency.result();
        }
    }

    #[cold]
    fn note(&mut self, failure: Failure) {
        if failure.fatal {
            self.fatal.get_or_insert_with(|| failure.error.to_string());
        }
        self.failed += 1;
        if self.dead.len() < DEAD_LETTERS_KEPT {
            self.dead.push_back(DeadLetter::new(&self.plan, failure));
        } else {
            self.dead_dropped += 1;
        }
    }
}

impl Outlet for Queue {
    fn send(&mut self, _port: usize, _row: &Row) {
        debug_assert!(false, "a program on one thread has no ports");
    }

    fn send_tagged(&mut self, port: usize, row: &Row, _tags: &[&Value]) {
        self.send(port, row);
    }

    #[inline]
    fn result(&mut self, row: &Row) {
        self.made();
        self.rows.push_back(row.clone());
    }

    fn failed(&mut self, failure: Failure) {
        self.note(failure);
    }
}

/// Hands results over as they are made: nothing is queued.
struct Through<'a, F> {
    delivery: &'a mut Delivery,
    sink: F,
    queue: &'a mut Queue,
}

impl<F: FnMut(Record<'_>)> Outlet for Through<'_, F> {
    fn send(&mut self, _port: usize, _row: &Row) {
        debug_assert!(false, "a program on one thread has no ports");
    }

    fn send_tagged(&mut self, port: usize, row: &Row, _tags: &[&Value]) {
        self.send(port, row);
    }

    #[inline]
    fn result(&mut self, row: &Row) {
        self.queue.made();
        self.queue.results += u64::from(self.delivery.deliver(row, &mut self.sink));
    }

    fn failed(&mut self, failure: Failure) {
        self.queue.note(failure);
    }
}

impl Inline {
    pub(super) fn new(
        plan: Arc<Plan>,
        streams: Streams,
        live: Option<LiveClock>,
        delivery: Delivery,
    ) -> Self {
        let ticker = Ticker::new(&plan);
        let queue = Queue {
            plan,
            rows: VecDeque::new(),
            results: 0,
            dead: VecDeque::new(),
            failed: 0,
            dead_dropped: 0,
            fatal: None,
            latency: None,
        };
        let front = Front { streams, ticker, live, last_seq: 0 };
        let (sources, connectors) = (None, Outcome::default());
        let told = Told { counts: EndCounts::new(1), gauges: StreamGauges::default(), unreported: 0 };
        Self {
            front,
            sources,
            connectors,
            delivery,
            events: 0,
            closing: false,
            finished: false,
            queue,
            told,
            checkpoints: None,
            events_to_slice: 0,
        }
    }

    /// Takes part in checkpoints from now on, and goes on from the one that there is.
    pub(super) fn keep_checkpoints(&mut self, recovery: &Recovery) -> Result<(), BuildError> {
        let kept = self.delivery.keep_checkpoints(recovery);
        if let Some(found) = &recovery.found {
            kept.and_then(|()| self.go_on(found)).map_err(|error| found.nonsense(error))?;
        }
        let parts = InlineParts::new(&recovery.settings, &recovery.writer.hub, self.events);
        self.checkpoints = Some(Box::new(parts));
        Ok(())
    }

    fn go_on(&mut self, found: &Restored) -> Result<(), SnapshotError> {
        let Some((_, bytes)) = found.inputs.first() else { return Ok(()) };
        let mut reader = SnapshotReader::new(bytes);
        if !restore_sources(self.sources.as_mut(), &mut reader)? {
            self.sources = None;
        }
        entry(&mut self.front, &mut self.events).restore(&mut reader, found.keeps_timers)?;
        self.queue.results = found.resumed.results;
        Ok(())
    }

    /// Whether a checkpoint is due and can begin: all results have been handed over.
    #[inline]
    pub(super) fn checkpoint_due(&mut self) -> bool {
        let Some(parts) = &mut self.checkpoints else { return false };
        // Asked for each event, and nearly always not.
        parts.input.is_due(self.events) && self.is_clear()
    }

    /// Nothing waits to be handed over.
    fn is_clear(&mut self) -> bool {
        self.queue.rows.is_empty() && !self.delivery.has_committed()
    }

    /// Writes more of the state down, behind so many events.
    #[inline]
    fn save_more(&mut self, events: u32) {
        if self.events_to_slice > 0 {
            self.events_to_slice = self.events_to_slice.saturating_sub(events);
            if self.events_to_slice == 0 {
                self.save_slice();
            }
        }
    }

    #[cold]
    fn save_slice(&mut self) {
        if let Some(parts) = &mut self.checkpoints {
            parts.stage.go_on(&mut self.front.streams);
            self.events_to_slice = if parts.stage.is_under_way() { EVENTS_PER_SLICE } else { 0 };
        }
    }

    /// Writes all of the state down that is left: the streams end here.
    fn finish_saving(&mut self) {
        if let Some(parts) = &mut self.checkpoints {
            parts.stage.finish(&mut self.front.streams);
            self.events_to_slice = 0;
        }
    }

    #[inline]
    fn checkpoint_if_due(&mut self) {
        if let Some(parts) = &mut self.checkpoints
            && parts.input.is_due_by_itself(self.events)
            && self.is_clear()
        {
            self.checkpoint_by_itself();
        }
    }

    #[cold]
    fn checkpoint_by_itself(&mut self) {
        self.checkpoint(&[]);
        self.cut(&[], Vec::new());
    }

    /// Writes everything down, if nothing waits to be handed over.
    pub(super) fn checkpoint(&mut self, position: &[u8]) -> bool {
        let is_clear = self.is_clear();
        let Self { front, sources, events, checkpoints, .. } = self;
        let Some(parts) = checkpoints.as_mut().filter(|_| is_clear) else { return false };
        let (count, seq) = (*events, front.last_seq);
        parts.under_way = parts.input.begin((count, count), seq, position, |out| {
            save_sources(sources.as_mut(), out);
            entry(front, events).save(out);
        });
        let Some(checkpoint) = parts.under_way else { return false };
        parts.stage.begin(checkpoint, &mut front.streams);
        self.events_to_slice = EVENTS_PER_SLICE;
        true
    }

    /// So many results of all runs together have been taken: those of them that come again are not handed over.
    pub(super) fn resume_from(&mut self, results: u64) {
        self.delivery.pass_over(results.saturating_sub(self.queue.results));
    }

    /// Whether a checkpoint waits to be told where the sink is.
    #[inline]
    pub(super) fn at_checkpoint(&self) -> bool {
        self.checkpoints.as_ref().is_some_and(|parts| parts.under_way.is_some())
    }

    /// Says where the sink is.
    pub(super) fn cut(&mut self, position: &[u8], before: Vec<Before>) {
        let Self { checkpoints, delivery, queue, .. } = self;
        if let Some(parts) = checkpoints
            && let Some(checkpoint) = parts.under_way.take()
        {
            let save = |out: &mut Vec<u8>, before: &mut Vec<Before>| delivery.save(checkpoint, out, before);
            parts.output.complete(checkpoint, queue.results, position, before, save);
        }
    }

    /// Stores what is counted, and measured, in `registry`.
    pub(super) fn told(mut self, registry: &Registry) -> Self {
        self.told.counts = registry.counts();
        self.told.gauges = registry.only_stage();
        self.queue.latency = registry.inline_latency();
        self
    }

    /// An event comes in.
    #[inline]
    fn begin(&mut self) {
        self.events += 1;
        self.queue.event();
        self.told.unreported += 1;
        if self.told.unreported == REPORT_EVERY {
            self.report();
        }
    }

    /// Stores what was counted where others can read it.
    pub(super) fn report(&mut self) {
        self.told.unreported = 0;
        let Told { counts, gauges, .. } = &self.told;
        counts.set_events(0, self.events);
        counts.set_results(self.queue.results);
        counts.set_failed(self.queue.failed);
        self.front.streams.report(gauges, &[]);
    }

    /// Stores what is new.
    fn rest(&mut self) {
        if self.told.unreported > 0 {
            self.report();
        }
    }

    /// Feeds the files of `sources` as well.
    pub(super) fn with_sources(mut self, sources: Option<Sources>, connectors: &Outcome) -> Self {
        self.sources = sources;
        self.connectors = connectors.clone();
        self
    }

    pub(super) fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    pub(super) fn queued(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    #[inline]
    pub(super) fn last_seq(&self) -> u64 {
        self.front.last_seq
    }

    /// Whether nothing can be fed any more.
    pub(super) fn is_finished(&self) -> bool {
        self.finished || self.closing || self.queue.fatal.is_some()
    }

    /// Whether an event can be fed.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        !self.is_finished() && !self.at_checkpoint() && !self.delivery.has_failed()
    }

    /// Why none can.
    #[cold]
    pub(super) fn refusal(&self) -> EngineError {
        match self.check() {
            Err(error) => error,
            Ok(()) if self.at_checkpoint() => EngineError::AtCheckpoint,
            Ok(()) => EngineError::Closed,
        }
    }

    /// An error if a stream has failed in a way that ends the run, or a connector has.
    #[inline]
    pub(super) fn check(&self) -> Result<(), EngineError> {
        if self.delivery.has_failed() {
            return Err(EngineError::Closed);
        }
        self.queue.fatal.as_ref().map_or(Ok(()), |message| Err(fatal(message)))
    }

    pub(super) fn stats(&self) -> Vec<StreamStats> {
        self.front.streams.stats()
    }

    /// What sinks have taken.
    pub(super) fn sink_counts(&self) -> Vec<SinkCounts> {
        self.delivery.counts()
    }

    /// Runs one event; results are queued. False where more than `limit` would be: it was not run then.
    pub(super) fn push(&mut self, row: &mut Row, limit: usize) -> Result<bool, EngineError> {
        while let Some(due) = next(&mut self.sources, Some(row.time_ns()), &self.connectors)? {
            if self.queue.rows.len() >= limit {
                return Ok(false);
            }
            self.events += 1;
            self.queue.event();
            self.front.run(due, &mut self.queue);
            taken(&mut self.sources);
            self.save_more(1);
        }
        if self.queue.rows.len() >= limit {
            return Ok(false);
        }
        self.begin();
        self.front.run(row, &mut self.queue);
        self.save_more(1);
        Ok(true)
    }

    /// Runs one event; results go to `sink` as they are made, behind those that are queued.
    #[inline]
    pub(super) fn feed(
        &mut self,
        row: &mut Row,
        mut sink: impl FnMut(Record<'_>),
    ) -> Result<(), EngineError> {
        if !self.queue.rows.is_empty() || self.delivery.may_have_committed() {
            self.hand_over(&mut sink);
        }
        if self.sources.is_some() {
            self.feed_sources(usize::MAX, Some(row.time_ns()), &mut sink)?;
        }
        self.begin();
        let Self { front, delivery, queue, .. } = self;
        front.run(row, &mut Through { delivery, sink, queue });
        if self.checkpoints.is_some() {
            self.save_more(1);
            self.checkpoint_if_due();
        }
        Ok(())
    }

    /// Runs up to `limit` events of the sources that come before one at `before_ns`; returns how many.
    pub(super) fn feed_sources(
        &mut self,
        limit: usize,
        before_ns: Option<i64>,
        mut sink: impl FnMut(Record<'_>),
    ) -> Result<usize, EngineError> {
        if self.checkpoints.is_some() {
            self.hand_over(&mut sink);
        }
        let mut count = 0;
        while count < limit
            && let Some(row) = next(&mut self.sources, before_ns, &self.connectors)?
        {
            let Self { front, delivery, queue, .. } = self;
            queue.event();
            front.run(row, &mut Through { delivery, sink: &mut sink, queue });
            taken(&mut self.sources);
            self.events += 1;
            self.told.unreported += 1;
            if self.told.unreported == REPORT_EVERY {
                self.report();
            }
            count += 1;
            self.save_more(1);
            self.check()?;
        }
        // Not for each of them: between two events from elsewhere it would not be known where that input is.
        if before_ns.is_none() && self.checkpoints.is_some() {
            self.checkpoint_if_due();
        }
        Ok(count)
    }

    /// The time of the next event of the sources.
    pub(super) fn next_source_ns(&mut self) -> Result<Option<i64>, EngineError> {
        let next = next(&mut self.sources, None, &self.connectors)?;
        Ok(next.map(|row| row.time_ns()))
    }

    /// Hands over what is queued; returns how many results that were.
    fn hand_over(&mut self, mut sink: impl FnMut(Record<'_>)) -> usize {
        let before = self.queue.results;
        // What was made before the last checkpoint was made before what is queued.
        self.hand_over_committed(&mut sink);
        for row in self.queue.rows.drain(..) {
            self.queue.results += u64::from(self.delivery.deliver(&row, &mut sink));
        }
        (self.queue.results - before) as usize
    }

    /// Hands over the rows whose checkpoint is complete by now.
    fn hand_over_committed(&mut self, mut sink: impl FnMut(Record<'_>)) {
        if self.delivery.has_committed() {
            while let Some(row) = self.delivery.next_committed() {
                self.queue.results += u64::from(self.delivery.hand_over(&row, &mut sink));
            }
        }
    }

    /// Nothing more is made: hands over what waits for a checkpoint that will not come, if all went well.
    fn end(&mut self, sink: impl FnMut(Record<'_>)) {
        if self.finished && self.queue.fatal.is_none() {
            if let Some(parts) = &mut self.checkpoints {
                parts.stage.ended();
            }
            self.delivery.end();
            self.hand_over_committed(sink);
        }
    }

    /// What waits for a checkpoint is not handed over at the end.
    pub(super) fn withhold(&mut self) {
        self.delivery.withhold();
    }

    /// Rows that wait for a checkpoint.
    pub(super) fn uncommitted(&self) -> u64 {
        self.delivery.uncommitted()
    }

    /// Hands over what is queued, and live what comes of telling the time; returns how many results that were.
    pub(super) fn poll(&mut self, mut sink: impl FnMut(Record<'_>)) -> usize {
        let before = self.queue.results;
        self.hand_over(&mut sink);
        if !self.is_finished() {
            let Self { front, delivery, queue, .. } = self;
            queue.no_event();
            front.tick(&mut Through { delivery, sink: &mut sink, queue });
        } else if self.closing && !self.finished && self.queue.fatal.is_none() {
            // An error is told by `finish`.
            if self.feed_sources(SOURCE_EVENTS, None, &mut sink).is_ok_and(|fed| fed == SOURCE_EVENTS) {
                return (self.queue.results - before) as usize;
            }
            self.flush(&mut sink);
        }
        self.end(&mut sink);
        self.delivery.settle(true);
        self.rest();
        self.save_more(EVENTS_PER_SLICE);
        if !self.is_finished() {
            self.checkpoint_if_due();
        }
        (self.queue.results - before) as usize
    }

    /// The end of the input.
    pub(super) fn finish(&mut self, mut sink: impl FnMut(Record<'_>)) -> Result<(), EngineError> {
        self.hand_over(&mut sink);
        let mut fed = Ok(0);
        if !self.finished && self.queue.fatal.is_none() {
            fed = self.feed_sources(usize::MAX, None, &mut sink);
            self.flush(&mut sink);
        }
        self.end(&mut sink);
        self.delivery.finish();
        self.report();
        fed.map(drop).and_then(|()| self.check())
    }

    fn flush(&mut self, sink: impl FnMut(Record<'_>)) {
        self.finish_saving();
        self.finished = true;
        if self.queue.fatal.is_none() {
            let Self { front, delivery, queue, .. } = self;
            queue.no_event();
            front.streams.flush(&mut Through { delivery, sink, queue });
        }
    }

    /// The end of the input; results are queued. Where sources are left, they are fed when results are polled.
    pub(super) fn close(&mut self) {
        if self.sources.is_some() {
            self.closing = true;
        } else if !self.is_finished() {
            self.finish_saving();
            self.finished = true;
            self.queue.no_event();
            self.front.streams.flush(&mut self.queue);
        }
        self.report();
    }
}

/// Where nobody has ended the run.
impl Drop for Inline {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish_saving();
        }
    }
}

/// What a checkpoint has of the front.
fn entry<'a>(front: &'a mut Front, events: &'a mut u64) -> Entry<'a> {
    let Front { streams: _, ticker, live, last_seq } = front;
    Entry { last_seq, events, ticker, live }
}

/// The next event of the sources that comes before one at `before_ns`.
#[inline]
fn next<'a>(
    sources: &'a mut Option<Sources>,
    before_ns: Option<i64>,
    connectors: &Outcome,
) -> Result<Option<&'a mut Row>, EngineError> {
    let Some(all) = sources else { return Ok(None) };
    if let Err(error) = all.look() {
        connectors.failed(error);
        // Nothing more is read of them.
        *sources = None;
        return Err(EngineError::Closed);
    }
    Ok(sources.as_mut().and_then(|sources| sources.next_before(before_ns)))
}

/// That event is done with.
fn taken(sources: &mut Option<Sources>) {
    if let Some(sources) = sources {
        sources.taken();
    }
}

#[cold]
fn fatal(message: &str) -> EngineError {
    EngineError::Stage { stage: "main".to_owned(), message: message.to_owned() }
}
