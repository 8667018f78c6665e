//! The embedder's end of a threaded engine that results come from, to a thread of its own.

use std::fmt;
use std::time::Duration;

use crate::connect::SinkCounts;
use crate::context::StageCommand;
use crate::event::Row;
use crate::flow::{Drained, FanIn, MergeOrder};
use crate::ring::Receiver;
use crate::supervise::{Called, Rollback, SinkGuard, WhileOpen};
use crate::sync::Arc;

use super::checkpoints::OutputPart;
use super::delivery::Delivery;
use super::error::BuildError;
use super::metrics::EndCounts;
use super::record::Record;
use super::recovery::Recovery;
use super::regroup::Regroup;
use super::sampling::Arrivals;
use super::stats::TakenCounts;
use super::writer::Before;

/// Rows that a poll takes off the rings at once, where they have to be put in order.
const POLL_LIMIT: usize = 256;

/// Where results leave: polled by one thread. It also writes what the program sends to files (`.to`).
pub struct Output {
    rings: FanIn<Row>,
    /// Where it is told of new workers of pools.
    inbox: Receiver<StageCommand>,
    /// Lanes that were added for them.
    added: Vec<usize>,
    regroup: Option<Regroup>,
    delivery: Delivery,
    current: Option<Row>,
    /// A result that a sink could not take yet.
    offered: Option<Row>,
    results: u64,
    taken: Option<Arc<TakenCounts>>,
    watch: OutputWatch,
    checkpoints: Option<Box<OutputPart>>,
    /// Where the engine may have to be rolled back.
    rollback: Option<Arc<Rollback>>,
}

/// What is told of the output while it is used.
pub(super) struct OutputWatch {
    pub(super) counts: Arc<EndCounts>,
    /// Where latencies are sampled.
    pub(super) arrivals: Option<Arrivals>,
}

impl OutputWatch {
    /// A row is handed over.
    #[inline]
    fn row(&mut self, row: &Row) {
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.note(row);
        }
    }
}

/// What became of a result that was offered to a sink.
#[derive(Debug)]
pub enum Offer<'a, E> {
    /// There is none now.
    Nothing,
    /// The sink has taken it.
    Taken,
    /// The sink failed, or its breaker is open: it is offered again, after this time at best.
    Wait {
        /// The failure; none where the sink was not called.
        error: Option<E>,
        /// How long to wait.
        after: Duration,
    },
    /// It is given up, as the guard's policy says.
    GivenUp {
        /// The result.
        record: Record<'a>,
        /// The last failure; none where the sink was not called.
        error: Option<E>,
        /// Whether it is to go to the dead letters or to be dropped.
        to: WhileOpen,
        /// How often the sink was called with it.
        attempts: u32,
    },
}

impl Output {
    pub(super) fn new(
        rings: FanIn<Row>,
        regroup: Option<Regroup>,
        delivery: Delivery,
        inbox: Receiver<StageCommand>,
        watch: OutputWatch,
        rollback: Option<Arc<Rollback>>,
    ) -> Self {
        let (added, current, offered, taken) = (Vec::new(), None, None, None);
        let checkpoints = None;
        Self {
            rings,
            inbox,
            added,
            regroup,
            delivery,
            current,
            offered,
            results: 0,
            taken,
            watch,
            checkpoints,
            rollback,
        }
    }

    /// Whether a context has failed and the engine is to be rolled back to its last checkpoint
    /// ([`Engine::roll_back`](super::Engine::roll_back)): no result comes any more. Drop this output, and take it anew.
    #[inline]
    pub fn needs_roll_back(&self) -> bool {
        is_asked(self.rollback.as_deref())
    }

    /// Takes part in checkpoints from now on, and goes on from the one that there is.
    pub(super) fn keep_checkpoints(&mut self, recovery: &Recovery) -> Result<(), BuildError> {
        let kept = self.delivery.keep_checkpoints(recovery);
        if let Some(found) = &recovery.found {
            self.results = found.resumed.results;
            kept.map_err(|error| found.nonsense(error))?;
        }
        self.checkpoints = Some(Box::new(OutputPart::new(&recovery.settings, &recovery.writer.hub)));
        Ok(())
    }

    /// The checkpoint whose barrier is next: all results in front of it have been handed over.
    fn barrier(&mut self) -> Option<u64> {
        let checkpoint = self.rings.checkpoint()?;
        if let Some(regroup) = &mut self.regroup {
            regroup.advance(self.rings.frontier());
        }
        let is_empty = self.offered.is_none() && self.regroup.as_ref().is_none_or(Regroup::is_empty);
        (is_empty && !self.delivery.has_committed()).then_some(checkpoint)
    }

    /// Whether all results in front of a checkpoint's barrier have been handed over, and those behind it wait for
    /// [`cut`](Self::cut). Only where the embedder cuts by hand
    /// ([`Checkpoints::by_hand`](super::Checkpoints::by_hand)).
    #[inline]
    pub fn at_checkpoint(&mut self) -> bool {
        let waits = self.checkpoints.as_ref().is_some_and(|part| part.by_hand && !part.is_closed);
        waits && !self.needs_roll_back() && self.barrier().is_some()
    }

    /// At a checkpoint: says where the sink is, for [`Resumed::output`](super::Resumed::output), and goes on. What the
    /// sink was given must be safe by now.
    pub fn cut(&mut self, position: &[u8]) {
        self.cut_before(position, Vec::new());
    }

    /// The same where what the sink was given is not safe yet: `sync` makes it so, on the thread that writes
    /// checkpoints, before this one is written. If it fails the checkpoint does.
    pub fn cut_after(
        &mut self,
        position: &[u8],
        sync: impl FnOnce() -> std::io::Result<()> + Send + 'static,
    ) {
        self.cut_before(position, vec![Box::new(sync)]);
    }

    fn cut_before(&mut self, position: &[u8], before: Vec<Before>) {
        let Some(checkpoint) = self.barrier() else { return };
        if let Some(part) = self.checkpoints.as_mut().filter(|part| !part.is_closed) {
            let delivery = &mut self.delivery;
            part.complete(checkpoint, self.results, position, before, |out, before| {
                delivery.save(checkpoint, out, before);
            });
        }
        self.rings.pass_checkpoint();
    }

    /// Whoever called has handled what he was given: a barrier that comes next is passed, unless he says so himself.
    #[inline]
    fn cut_if_due(&mut self) {
        let by_itself = self.checkpoints.as_ref().is_some_and(|part| !part.by_hand || part.is_closed);
        if by_itself && !self.needs_roll_back() && self.rings.checkpoint().is_some() {
            self.cut(&[]);
        }
    }

    /// After a restart: the sink has the first `results` results of all runs together, so those of them that come again
    /// are not handed over. Results have stable numbers only where the same events give the same results in the same
    /// order, or where none is handed over before its checkpoint is complete: false, and nothing is passed over, unless
    /// rows are merged in `deterministic` order, or results wait for their checkpoint.
    pub fn resume_from(&mut self, results: u64) -> bool {
        let is_stable = self.rings.order() == MergeOrder::Deterministic || self.delivery.commits();
        if is_stable {
            self.delivery.pass_over(results.saturating_sub(self.results));
        }
        is_stable
    }

    /// The run ends: no checkpoint is completed any more.
    pub(super) fn close_checkpoints(&mut self) {
        if let Some(part) = &mut self.checkpoints {
            part.is_closed = true;
        }
    }

    /// Takes the rings of new workers.
    fn obey(&mut self) {
        while let Ok(command) = self.inbox.pop() {
            if let StageCommand::Lane { end, taken, .. } = command {
                match self.added.iter().find(|&&lane| self.rings.lane_has_ended(lane)) {
                    Some(&lane) => self.rings.replace(lane, end),
                    None => self.added.push(self.rings.add(end)),
                }
                taken.set();
            }
        }
    }

    /// The next result, if there is one now.
    pub fn poll(&mut self) -> Option<Record<'_>> {
        self.cut_if_due();
        self.current = self.offered.take().or_else(|| self.next_result());
        self.current.as_ref().map(|row| self.delivery.record(row))
    }

    fn next_result(&mut self) -> Option<Row> {
        self.obey();
        loop {
            let mut is_given = false;
            let (row, is_result) = if self.delivery.has_committed()
                && let Some(row) = self.delivery.next_committed()
            {
                let is_result = self.delivery.hand_over(&row, |_| is_given = true);
                (row, is_result)
            } else if let Some(row) = self.next() {
                if self.needs_roll_back() {
                    return None;
                }
                self.watch.row(&row);
                let is_result = self.delivery.deliver(&row, |_| is_given = true);
                (row, is_result)
            } else {
                self.delivery.settle(true);
                return None;
            };
            if is_result {
                self.results += 1;
                self.watch.counts.set_results(self.results);
                if is_given {
                    return Some(row);
                }
            }
        }
    }

    /// Hands over up to `limit` rows whose checkpoint is complete; returns how many.
    fn drain_committed(&mut self, limit: usize, mut sink: impl FnMut(Record<'_>)) -> usize {
        let mut handed = 0;
        while handed < limit
            && let Some(row) = self.delivery.next_committed()
        {
            self.results += u64::from(self.delivery.hand_over(&row, &mut sink));
            handed += 1;
        }
        self.watch.counts.set_results(self.results);
        handed
    }

    /// Offers the next result to `sink`, through a breaker ([`Engine::sink_guard`](super::Engine::sink_guard)). One
    /// that it could not take stays, and is offered again.
    pub fn offer<E: fmt::Display>(
        &mut self,
        guard: &mut SinkGuard,
        sink: impl FnOnce(Record<'_>) -> Result<(), E>,
    ) -> Offer<'_, E> {
        self.cut_if_due();
        let Some(row) = self.offered.take().or_else(|| self.next_result()) else { return Offer::Nothing };
        let delivery = &self.delivery;
        match guard.call(|| sink(delivery.record(&row))) {
            Called::Done(()) => Offer::Taken,
            Called::Failed { error, after } => {
                self.offered = Some(row);
                Offer::Wait { error: Some(error), after }
            }
            Called::Held { after } => {
                self.offered = Some(row);
                Offer::Wait { error: None, after }
            }
            Called::GivenUp { error, to, attempts } => {
                guard.count_given_up(1);
                let record = self.delivery.record(self.current.insert(row));
                Offer::GivenUp { record, error, to, attempts }
            }
        }
    }

    fn next(&mut self) -> Option<Row> {
        let Some(regroup) = &mut self.regroup else { return self.rings.pop().ok() };
        regroup.pop().or_else(|| {
            let _ = pull(&mut self.rings, regroup, POLL_LIMIT);
            regroup.pop()
        })
    }

    /// Hands over results where they lie, up to `limit` rows; returns how many rows there were. Faster than
    /// [`poll`](Self::poll).
    pub fn drain(&mut self, limit: usize, mut sink: impl FnMut(Record<'_>)) -> usize {
        if self.needs_roll_back() {
            return 0;
        }
        self.cut_if_due();
        self.obey();
        let offered = usize::from(self.offered.is_some());
        if let Some(row) = self.offered.take() {
            sink(self.delivery.record(&row));
        }
        if self.delivery.has_committed() {
            return offered + self.drain_committed(limit, sink);
        }
        let (delivery, results, watch) = (&mut self.delivery, &mut self.results, &mut self.watch);
        let rollback = self.rollback.as_deref();
        if let Some(regroup) = &mut self.regroup {
            let drained = pull(&mut self.rings, regroup, limit);
            let mut handed = 0;
            while handed < limit
                && let Some(row) = regroup.pop()
                && !is_asked(rollback)
            {
                watch.row(&row);
                *results += u64::from(delivery.deliver(&row, &mut sink));
                handed += 1;
            }
            watch.counts.set_results(*results);
            self.delivery.settle(handed == 0 && drained.is_idle());
            return offered + handed + usize::from(!drained.is_idle());
        }
        let drained = self.rings.drain(limit, |_, row| {
            if is_asked(rollback) {
                return false;
            }
            watch.row(row);
            *results += u64::from(delivery.deliver(row, &mut sink));
            true
        });
        if drained.taken > 0 {
            watch.counts.set_results(*results);
        }
        self.delivery.settle(drained.is_idle());
        // Progress alone is news too: it lets the next call hand over what had to wait.
        offered + drained.taken + usize::from(drained.signals > 0)
    }

    /// Whether every result has been taken and none will come; or none before the engine is rolled back.
    pub fn has_ended(&mut self) -> bool {
        if self.needs_roll_back() {
            return true;
        }
        let nothing_comes = self.offered.is_none()
            && self.rings.has_ended()
            && self.regroup.as_ref().is_none_or(Regroup::is_empty);
        if nothing_comes {
            self.delivery.end();
        }
        nothing_comes && !self.delivery.has_committed()
    }

    /// What waits for a checkpoint is not handed over at the end.
    pub(super) fn withhold(&mut self) {
        self.delivery.withhold();
    }

    /// Rows that wait for a checkpoint; see
    /// [`Checkpoints::commit_on_checkpoint`](super::Checkpoints::commit_on_checkpoint).
    pub fn uncommitted(&self) -> u64 {
        self.delivery.uncommitted()
    }

    /// Whether a file cannot be written; [`Engine::join`](super::Engine::join) says which, and why.
    pub fn has_failed(&self) -> bool {
        self.delivery.has_failed()
    }

    /// It was taken: its count is added when it goes.
    pub(super) fn count_into(&mut self, counts: &Arc<TakenCounts>) {
        self.taken = Some(Arc::clone(counts));
        if let Some(rollback) = &self.rollback {
            rollback.end_goes();
        }
    }

    /// How many results were taken.
    pub fn results(&self) -> u64 {
        self.results
    }

    /// What sinks have taken.
    pub(super) fn sink_counts(&self) -> Vec<SinkCounts> {
        self.delivery.counts()
    }

    /// Writes what sinks have collected: nothing more comes. Before a rollback that is given up: it comes again.
    pub(super) fn finish(&mut self) {
        if !self.needs_roll_back() {
            self.delivery.finish();
        }
    }
}

/// Asked after a row was taken from a ring: whether it may have been made of what was left unfinished. See
/// [`Rollback::is_asked`].
#[inline]
fn is_asked(rollback: Option<&Rollback>) -> bool {
    rollback.is_some_and(Rollback::is_asked)
}

/// Takes rows from the rings into the regrouping.
fn pull(rings: &mut FanIn<Row>, regroup: &mut Regroup, limit: usize) -> Drained {
    let drained = rings.drain(limit, |_, row| {
        regroup.take(row);
        true
    });
    regroup.advance(rings.frontier());
    drained
}

impl Drop for Output {
    fn drop(&mut self) {
        self.finish();
        if let Some(counts) = &self.taken {
            counts.add(0, self.results);
        }
        if let Some(rollback) = &self.rollback {
            // Those that are passed over were handed over before.
            rollback.set_handed_over(self.results + self.delivery.passes_over());
            if self.taken.is_some() {
                rollback.end_comes_back();
            }
        }
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("results", &self.results).finish_non_exhaustive()
    }
}
