//! Rows that wait for their checkpoint: whoever takes results gets them when it is complete, so that he never has one
//! that a restart would take back.
//!
//! They are part of the checkpoint themselves. So a run that goes on from it begins with handing them over, whether or
//! not the one before had come to that.

use std::collections::VecDeque;

use crate::event::{Row, Snapshot, SnapshotError, SnapshotReader, write_count};
use crate::flow::Verdict;
use crate::sync::Arc;

use super::writer::Hub;

/// With so many waiting the next checkpoint is not waited for: it is asked for.
const ASKS_FROM: usize = 1 << 16;
/// No more wait than this: checkpoints can't be written, then.
pub(super) const MOST: usize = 1 << 20;

/// The rows that wait.
#[derive(Debug)]
pub(super) struct Uncommitted {
    hub: Arc<Hub>,
    /// Behind the last barrier.
    open: VecDeque<Row>,
    /// In front of the barrier of the checkpoint that is being written.
    under_way: Option<(u64, VecDeque<Row>)>,
    /// They are not handed over at the end.
    withholds: bool,
}

impl Uncommitted {
    pub(super) fn new(hub: &Arc<Hub>) -> Self {
        Self { hub: Arc::clone(hub), open: VecDeque::new(), under_way: None, withholds: false }
    }

    /// A row comes out. False if there are more than may wait.
    #[inline]
    pub(super) fn take(&mut self, row: &Row) -> bool {
        self.open.push_back(row.clone());
        self.open.len() < ASKS_FROM || self.is_within_bounds()
    }

    #[cold]
    fn is_within_bounds(&self) -> bool {
        self.hub.ask();
        self.len() < MOST
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.under_way.as_ref().map_or(0, |(_, rows)| rows.len())
    }

    /// Everything that has come is in front of the barrier of this checkpoint.
    pub(super) fn close(&mut self, checkpoint: u64) {
        debug_assert!(self.under_way.is_none(), "one is under way at a time");
        self.under_way = Some((checkpoint, std::mem::take(&mut self.open)));
    }

    /// Puts what is complete by now into `committed`. What belongs to a checkpoint that could not be written waits for
    /// the next one.
    #[inline]
    pub(super) fn look(&mut self, committed: &mut VecDeque<Row>) {
        if let Some((checkpoint, _)) = self.under_way {
            self.settle(self.hub.verdict(checkpoint), committed);
        }
    }

    fn settle(&mut self, verdict: Verdict, committed: &mut VecDeque<Row>) {
        if verdict == Verdict::Open {
            return;
        }
        let Some((_, mut rows)) = self.under_way.take() else { return };
        if verdict == Verdict::Success {
            committed.append(&mut rows);
        } else {
            rows.append(&mut self.open);
            self.open = rows;
        }
    }

    /// What waits at the end is left for the run that goes on.
    pub(super) fn withhold(&mut self) {
        self.withholds = true;
    }

    /// The run has ended. If all of it went well nothing is taken back any more.
    pub(super) fn end(&mut self, committed: &mut VecDeque<Row>) {
        if !self.withholds && self.hub.has_ended_well() {
            committed.extend(self.under_way.take().into_iter().flat_map(|(_, rows)| rows));
            committed.append(&mut self.open);
        }
    }

    /// Writes down what waits, as part of the checkpoint that it waits for.
    pub(super) fn save<'a>(&self, stream_of: impl Fn(&Row) -> &'a str, out: &mut Vec<u8>) {
        save_rows(&self.open, stream_of, out);
    }
}

/// Writes that nothing waits: rows are handed over as they come.
pub(super) fn save_nothing(out: &mut Vec<u8>) {
    save_rows(&VecDeque::new(), |_| "", out);
}

/// Each stream is named once, in front of the rows.
fn save_rows<'a>(rows: &VecDeque<Row>, stream_of: impl Fn(&Row) -> &'a str, out: &mut Vec<u8>) {
    let mut streams: Vec<(u16, &str)> = Vec::new();
    for row in rows {
        if streams.iter().all(|(rank, _)| *rank != row.rank()) {
            streams.push((row.rank(), stream_of(row)));
        }
    }
    write_count(streams.len(), out);
    for (rank, stream) in streams {
        rank.write(out);
        stream.to_owned().write(out);
    }
    write_count(rows.len(), out);
    for row in rows {
        row.write(out);
    }
}

/// What waited, as a checkpoint has it.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) rows: Vec<Row>,
    /// How many there were of streams that have changed: their rows cannot be told any more.
    pub(super) lost: usize,
}

impl Waiting {
    /// Reads what waited, of the streams that are the same.
    pub(super) fn read(
        from: &mut SnapshotReader<'_>,
        is_same: impl Fn(&str) -> bool,
    ) -> Result<Self, SnapshotError> {
        let mut ranks = Vec::new();
        for _ in 0..from.count()? {
            let (rank, stream) = (u16::read(from)?, String::read(from)?);
            ranks.push((rank, is_same(&stream)));
        }
        let mut waiting = Self::default();
        for _ in 0..from.count()? {
            let row = Row::read(from)?;
            match ranks.iter().find(|(rank, _)| *rank == row.rank()) {
                Some((_, true)) => waiting.rows.push(row),
                Some((_, false)) => waiting.lost += 1,
                None => return Err(from.error("the stream of a result")),
            }
        }
        Ok(waiting)
    }
}
