//! Results of pools, put back into the order of one worker.
//!
//! A deterministic merge gives rows by (sequence number, rank) and, where these agree, ring by ring. Where several
//! workers of a pool make results of one event that is not enough: their rows are held until all of one number and
//! rank are there, and sorted by their tags.

use std::collections::VecDeque;

use crate::context::{Tags, tags_by_rank};
use crate::event::Row;
use crate::flow::MergeOrder;
use crate::vpl::plan::Plan;

/// Rows on their way out, where a program has pools whose results need it.
#[derive(Debug)]
pub(super) struct Regroup {
    tags: Vec<Tags>,
    /// Rows of one sequence number and rank that have come so far.
    group: Vec<Row>,
    /// Rows that are in order.
    ready: VecDeque<Row>,
}

impl Regroup {
    /// None where no row has to wait.
    pub(super) fn new(plan: &Plan, order: MergeOrder) -> Option<Self> {
        let tags = tags_by_rank(plan, order);
        (!tags.is_empty()).then(|| Self { tags, group: Vec::new(), ready: VecDeque::new() })
    }

    /// The next row of the merge.
    pub(super) fn take(&mut self, row: &Row) {
        if self.group.first().is_some_and(|first| (first.seq(), first.rank()) != (row.seq(), row.rank())) {
            self.complete();
        }
        if self.tags_of(row).any() {
            self.group.push(row.clone());
        } else {
            self.ready.push_back(row.clone());
        }
    }

    /// The merge is past everything up to `frontier`.
    pub(super) fn advance(&mut self, frontier: u64) {
        if self.group.first().is_some_and(|first| first.seq() <= frontier) {
            self.complete();
        }
    }

    /// The next row in order.
    pub(super) fn pop(&mut self) -> Option<Row> {
        self.ready.pop_front()
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.group.is_empty() && self.ready.is_empty()
    }

    fn complete(&mut self) {
        let Some(first) = self.group.first() else { return };
        let tags = self.tags_of(first);
        self.group.sort_by(|a, b| tags.compare(a, b));
        self.ready.extend(self.group.drain(..));
    }

    fn tags_of(&self, row: &Row) -> Tags {
        self.tags.get(usize::from(row.rank())).copied().unwrap_or_default()
    }
}
