//! Where the rows that leave the engine go: results to the embedder, and rows of `.to` to their sinks.

use std::collections::VecDeque;

use crate::connect::{ConnectError, Outcome, SinkCounts, Sinks};
use crate::event::{Row, SnapshotError, SnapshotReader};
use crate::sync::Arc;

use super::record::{Layouts, Record};
use super::recovery::{Recovery, Restored};
use super::uncommitted::{MOST, Uncommitted, save_nothing};
use super::writer::Before;

/// Hands rows over, on the thread that takes results.
#[derive(Debug)]
pub(super) struct Delivery {
    layouts: Arc<Layouts>,
    sinks: Option<Box<Sinks>>,
    /// Results that whoever takes them has already.
    passes_over: u64,
    /// The number and the rank of the last result, and how many came before it with the same.
    last: (u64, u16),
    place: u32,
    /// Rows whose checkpoint is complete: they come before all others.
    committed: VecDeque<Row>,
    /// Where rows wait for that.
    uncommitted: Option<Box<Uncommitted>>,
    /// Where it is told that too many wait.
    outcome: Outcome,
    has_too_many: bool,
}

impl Delivery {
    pub(super) fn new(layouts: Arc<Layouts>, sinks: Option<Sinks>, outcome: Outcome) -> Self {
        Self {
            layouts,
            sinks: sinks.map(Box::new),
            passes_over: 0,
            last: (0, 0),
            place: 0,
            committed: VecDeque::new(),
            uncommitted: None,
            outcome,
            has_too_many: false,
        }
    }

    /// Takes part in checkpoints from now on, and goes on from the one that there is.
    pub(super) fn keep_checkpoints(&mut self, recovery: &Recovery) -> Result<(), SnapshotError> {
        if let Some(found) = &recovery.found {
            self.restore(found)?;
        }
        if recovery.settings.commits {
            self.uncommitted = Some(Box::new(Uncommitted::new(&recovery.writer.hub)));
        }
        Ok(())
    }

    fn restore(&mut self, found: &Restored) -> Result<(), SnapshotError> {
        if let Some(row) = found.waiting.rows.iter().find(|row| !self.layouts.know(row)) {
            let at = usize::from(row.rank());
            return Err(SnapshotError { at, expected: "result of the program" });
        }
        self.committed.extend(found.waiting.rows.iter().cloned());
        self.cut_sinks(&found.output)
    }

    /// Cuts the files of sinks back to what they were.
    pub(super) fn cut_sinks(&mut self, lengths: &[u8]) -> Result<(), SnapshotError> {
        match &mut self.sinks {
            Some(sinks) => sinks.restore(&mut SnapshotReader::new(lengths)),
            None => Ok(()),
        }
    }

    /// How long the files of sinks are, for [`cut_sinks`](Self::cut_sinks).
    pub(super) fn sink_lengths(&mut self) -> Vec<u8> {
        let mut lengths = Vec::new();
        if let Some(sinks) = &mut self.sinks {
            sinks.save(&mut lengths);
        }
        lengths
    }

    /// A row comes out: it is handed over, or waits for its checkpoint. Whether a result was handed over.
    #[inline]
    pub(super) fn deliver(&mut self, row: &Row, sink: impl FnMut(Record<'_>)) -> bool {
        if self.uncommitted.is_some() {
            self.hold(row);
            return false;
        }
        self.hand_over(row, sink)
    }

    #[cold]
    fn hold(&mut self, row: &Row) {
        if let Some(uncommitted) = &mut self.uncommitted
            && !uncommitted.take(row)
            && !self.has_too_many
        {
            self.has_too_many = true;
            self.outcome.failed(ConnectError::Uncommitted { most: MOST });
        }
    }

    /// Looks for rows whose checkpoint is complete by now. Whether there are any to be handed over.
    #[inline]
    pub(super) fn has_committed(&mut self) -> bool {
        if let Some(uncommitted) = &mut self.uncommitted {
            uncommitted.look(&mut self.committed);
        }
        !self.committed.is_empty()
    }

    /// Whether there could be some.
    #[inline]
    pub(super) fn may_have_committed(&self) -> bool {
        self.uncommitted.is_some() || !self.committed.is_empty()
    }

    /// The next row whose checkpoint is complete.
    pub(super) fn next_committed(&mut self) -> Option<Row> {
        self.committed.pop_front()
    }

    /// Nothing more comes out. What waits is handed over all the same, if the whole run ended well.
    pub(super) fn end(&mut self) {
        if let Some(uncommitted) = &mut self.uncommitted {
            uncommitted.look(&mut self.committed);
            if !self.has_too_many {
                uncommitted.end(&mut self.committed);
            }
        }
    }

    /// What waits for a checkpoint is not handed over at the end.
    pub(super) fn withhold(&mut self) {
        if let Some(uncommitted) = &mut self.uncommitted {
            uncommitted.withhold();
        }
    }

    /// Whether rows wait for their checkpoint.
    pub(super) fn commits(&self) -> bool {
        self.uncommitted.is_some()
    }

    /// Rows that wait for a checkpoint.
    pub(super) fn uncommitted(&self) -> u64 {
        self.uncommitted.as_ref().map_or(0, |uncommitted| uncommitted.len() as u64)
    }

    /// Hands a row over; whether it was a result.
    #[inline]
    pub(super) fn hand_over(&mut self, row: &Row, mut sink: impl FnMut(Record<'_>)) -> bool {
        if let Some(sinks) = &mut self.sinks {
            sinks.write(row);
            if !self.layouts.are_results(row) {
                return false;
            }
        }
        let number = (row.seq(), row.rank());
        self.place = if number == self.last { self.place.saturating_add(1) } else { 0 };
        self.last = number;
        if self.passes_over > 0 {
            self.passes_over -= 1;
        } else {
            sink(self.layouts.record(row, self.place));
        }
        true
    }

    /// So many of the next results are not handed over; they count all the same.
    pub(super) fn pass_over(&mut self, results: u64) {
        self.passes_over = results;
    }

    /// How many that still are.
    pub(super) fn passes_over(&self) -> u64 {
        self.passes_over
    }

    /// The result that was handed over last.
    #[inline]
    pub(super) fn record<'a>(&'a self, row: &'a Row) -> Record<'a> {
        self.layouts.record(row, self.place)
    }

    /// Writes what sinks have collected; see [`Sinks::settle`].
    #[inline]
    pub(super) fn settle(&mut self, is_idle: bool) {
        if let Some(sinks) = &mut self.sinks {
            sinks.settle(is_idle);
        }
    }

    /// Everything in front of the barrier of `checkpoint` has come. Writes down what of it waits; writes what sinks
    /// have collected, and how long their files are: they have to be on disk before.
    pub(super) fn save(&mut self, checkpoint: u64, out: &mut Vec<u8>, before: &mut Vec<Before>) {
        match &mut self.uncommitted {
            Some(uncommitted) => {
                uncommitted.save(|row| self.layouts.stream_of(row), out);
                uncommitted.close(checkpoint);
            }
            None => save_nothing(out),
        }
        if let Some(sinks) = &mut self.sinks {
            for file in sinks.save(out) {
                before.push(Box::new(move || file.sync_data()));
            }
        }
    }

    /// Writes what is left.
    pub(super) fn finish(&mut self) {
        if let Some(sinks) = &mut self.sinks {
            sinks.finish();
        }
    }

    /// Whether a sink has failed: nothing more should be fed then.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.has_too_many || self.sinks.as_ref().is_some_and(|sinks| sinks.have_failed())
    }

    /// What the sinks have taken.
    pub(super) fn counts(&self) -> Vec<SinkCounts> {
        self.sinks.as_ref().map_or_else(Vec::new, |sinks| sinks.counts())
    }
}
