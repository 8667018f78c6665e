//! A program on the caller's thread: its streams, and a queue for what they make.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::context::{Failure, LiveClock, Outlet, Streams, Ticker};
use crate::event::{Row, Value};
use crate::operators::StreamStats;
use crate::vpl::plan::Plan;

use super::error::EngineError;
use super::record::{Layouts, Record};
use super::stats::DeadLetter;

/// Dead letters that are kept until somebody takes them.
pub(super) const DEAD_LETTERS_KEPT: usize = 10_000;

/// A program that runs where it is called.
pub(super) struct Inline {
    front: Front,
    events: u64,
    finished: bool,
    queue: Queue,
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
    #[inline]
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
}

impl Queue {
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
        self.results += 1;
        self.rows.push_back(row.clone());
    }

    fn failed(&mut self, failure: Failure) {
        self.note(failure);
    }
}

/// Hands results over as they are made: nothing is queued.
struct Through<'a, F> {
    layouts: &'a Layouts,
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
        self.queue.results += 1;
        (self.sink)(self.layouts.record(row));
    }

    fn failed(&mut self, failure: Failure) {
        self.queue.note(failure);
    }
}

impl Inline {
    pub(super) fn new(plan: Arc<Plan>, streams: Streams, live: Option<LiveClock>) -> Self {
        let ticker = Ticker::new(&plan);
        let queue = Queue {
            plan,
            rows: VecDeque::new(),
            results: 0,
            dead: VecDeque::new(),
            failed: 0,
            dead_dropped: 0,
            fatal: None,
        };
        let front = Front { streams, ticker, live, last_seq: 0 };
        Self { front, events: 0, finished: false, queue }
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

    pub(super) fn is_finished(&self) -> bool {
        self.finished || self.queue.fatal.is_some()
    }

    /// An error if a stream has failed in a way that ends the run.
    #[inline]
    pub(super) fn check(&self) -> Result<(), EngineError> {
        self.queue.fatal.as_ref().map_or(Ok(()), |message| Err(fatal(message)))
    }

    pub(super) fn stats(&self) -> Vec<StreamStats> {
        self.front.streams.stats()
    }

    /// Runs one event; results are queued.
    pub(super) fn push(&mut self, row: &mut Row) {
        self.events += 1;
        self.front.run(row, &mut self.queue);
    }

    /// Runs one event; results go to `sink` as they are made, behind those that are queued.
    #[inline]
    pub(super) fn feed(&mut self, row: &mut Row, layouts: &Layouts, mut sink: impl FnMut(Record<'_>)) {
        self.events += 1;
        if !self.queue.rows.is_empty() {
            for row in self.queue.rows.drain(..) {
                sink(layouts.record(&row));
            }
        }
        self.front.run(row, &mut Through { layouts, sink, queue: &mut self.queue });
    }

    /// Hands over what is queued, and live what comes of telling the time; returns how many results that were.
    pub(super) fn poll(&mut self, layouts: &Layouts, mut sink: impl FnMut(Record<'_>)) -> usize {
        let queued = self.queue.rows.len();
        for row in self.queue.rows.drain(..) {
            sink(layouts.record(&row));
        }
        let before = self.queue.results;
        if !self.is_finished() {
            self.front.tick(&mut Through { layouts, sink, queue: &mut self.queue });
        }
        queued + (self.queue.results - before) as usize
    }

    /// The end of the input.
    pub(super) fn finish(&mut self, layouts: &Layouts, mut sink: impl FnMut(Record<'_>)) {
        for row in self.queue.rows.drain(..) {
            sink(layouts.record(&row));
        }
        if !self.is_finished() {
            self.finished = true;
            self.front.streams.flush(&mut Through { layouts, sink, queue: &mut self.queue });
        }
    }

    /// The end of the input; results are queued.
    pub(super) fn close(&mut self) {
        if !self.is_finished() {
            self.finished = true;
            self.front.streams.flush(&mut self.queue);
        }
    }
}

#[cold]
fn fatal(message: &str) -> EngineError {
    EngineError::Stage { stage: "main".to_owned(), message: message.to_owned() }
}
