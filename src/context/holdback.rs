//! What holds a watermark back at a merge of rings that does not wait.
//!
//! Where rings are merged by arrival or by time, one can be far ahead of another. An event must not become late
//! by that: only by what came before it in the input. So a stream to which rows come out of order counts a row
//! for its watermark once the input up to that row is complete: once every ring that leads to the stream is
//! known to have brought everything up to the row's sequence number. Rings tell how far they have come also
//! when they bring nothing, so one that is idle does no harm.
//!
//! All watermarks of a stage that are held back move at the end of a duty cycle, in order of rank: what one stream
//! closes is taken by the next one before that one's watermark moves, as it would be if nothing had been held back.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::FLUSH_SEQ;
use crate::event::Row;

/// What one stream has seen beyond the part of the input that is complete.
#[derive(Debug)]
pub(super) struct Holdback {
    /// The lanes that lead to it.
    lanes: Vec<usize>,
    /// The input is complete up to here.
    complete: u64,
    /// The latest time among the rows of the complete part.
    reached_ns: i64,
    /// The rows beyond: sequence number and time, the smallest first. No more than the rings in front of the
    /// stage can bring apart.
    beyond: BinaryHeap<Reverse<(u64, i64)>>,
}

impl Holdback {
    pub(super) fn new(lanes: Vec<usize>) -> Self {
        Self { lanes, complete: 0, reached_ns: i64::MIN, beyond: BinaryHeap::new() }
    }

    /// Another lane leads to it, if that lane does.
    pub(super) fn add_lane(&mut self, beside: usize, lane: usize) {
        if self.lanes.contains(&beside) {
            self.lanes.push(lane);
        }
    }

    /// Takes note of a row that comes to this stream now.
    #[inline]
    pub(super) fn note_row(&mut self, row: &Row) {
        self.beyond.push(Reverse((row.seq(), row.time_ns())));
    }

    /// `progress` says of each lane of the stage up to where everything has been taken.
    pub(super) fn advance(&mut self, progress: &[u64]) {
        let complete = self.lanes.iter().map(|&lane| progress[lane]).min().unwrap_or(0);
        // A ring that has ended is past everything; the end itself comes with the flush.
        self.complete = complete.min(FLUSH_SEQ - 1);
        while let Some(&Reverse((seq, time_ns))) = self.beyond.peek()
            && seq <= self.complete
        {
            self.reached_ns = self.reached_ns.max(time_ns);
            self.beyond.pop();
        }
    }

    /// Goes on behind a checkpoint: everything up to there was complete, and the latest time was this.
    pub(super) fn go_on_at(&mut self, reached_ns: i64) {
        self.reached_ns = reached_ns;
    }

    /// Whether rows wait for the input to be complete.
    pub(super) fn waits(&self) -> bool {
        !self.beyond.is_empty()
    }

    /// How far the watermark may have moved.
    #[inline]
    pub(super) fn limit_ns(&self) -> i64 {
        self.reached_ns
    }

    /// Up to where the input is complete, for this stream.
    pub(super) fn complete(&self) -> u64 {
        self.complete
    }
}

#[cfg(test)]
mod tests {
    use super::Holdback;
    use crate::event::Row;

    #[test]
    fn a_row_counts_once_everything_before_it_has_come() {
        let mut holdback = Holdback::new(vec![0, 2]);
        for (seq, time_ns) in [(7, 50), (5, 10), (6, 5)] {
            let mut row = Row::new(0, time_ns, 0);
            row.set_seq(seq);
            holdback.note_row(&row);
        }
        for (progress, limit_ns) in [([9, 0, 4], i64::MIN), ([6, 0, 9], 10), ([8, 0, 9], 50), ([9, 0, 9], 50)]
        {
            holdback.advance(&progress);
            assert_eq!(holdback.limit_ns(), limit_ns, "{progress:?}");
        }
    }
}
