//! Where the rows that leave the engine go: results to the embedder, and rows of `.to` to their sinks.

use crate::connect::{SinkCounts, Sinks};
use crate::event::{Row, SnapshotError, SnapshotReader};
use crate::sync::Arc;

use super::record::{Layouts, Record};
use super::writer::Before;

/// Hands rows over, on the thread that takes results.
#[derive(Debug)]
pub(super) struct Delivery {
    layouts: Arc<Layouts>,
    sinks: Option<Box<Sinks>>,
    /// Results that whoever takes them has already.
    passes_over: u64,
}

impl Delivery {
    pub(super) fn new(layouts: Arc<Layouts>, sinks: Option<Sinks>) -> Self {
        Self { layouts, sinks: sinks.map(Box::new), passes_over: 0 }
    }

    /// Hands a row over; whether it was a result.
    #[inline]
    pub(super) fn deliver(&mut self, row: &Row, mut sink: impl FnMut(Record<'_>)) -> bool {
        if let Some(sinks) = &mut self.sinks {
            sinks.write(row);
            if !self.layouts.are_results(row) {
                return false;
            }
        }
        if self.passes_over > 0 {
            self.passes_over -= 1;
        } else {
            sink(self.layouts.record(row));
        }
        true
    }

    /// So many of the next results are not handed over; they count all the same.
    pub(super) fn pass_over(&mut self, results: u64) {
        self.passes_over = results;
    }

    /// A row that is a result.
    #[inline]
    pub(super) fn record<'a>(&'a self, row: &'a Row) -> Record<'a> {
        self.layouts.record(row)
    }

    /// Writes what sinks have collected; see [`Sinks::settle`].
    #[inline]
    pub(super) fn settle(&mut self, is_idle: bool) {
        if let Some(sinks) = &mut self.sinks {
            sinks.settle(is_idle);
        }
    }

    /// Writes what sinks have collected, and writes down how long their files are; they have to be on disk before.
    pub(super) fn save(&mut self, out: &mut Vec<u8>, before: &mut Vec<Before>) {
        if let Some(sinks) = &mut self.sinks {
            for file in sinks.save(out) {
                before.push(Box::new(move || file.sync_data()));
            }
        }
    }

    /// Cuts the files of sinks back to what they were.
    pub(super) fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        match &mut self.sinks {
            Some(sinks) => sinks.restore(from),
            None => Ok(()),
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
        self.sinks.as_ref().is_some_and(|sinks| sinks.have_failed())
    }

    /// What the sinks have taken.
    pub(super) fn counts(&self) -> Vec<SinkCounts> {
        self.sinks.as_ref().map_or_else(Vec::new, |sinks| sinks.counts())
    }
}
