//! Which items in a ring are still wanted when the oldest are to be dropped: the newest ones, as many as the ring has
//! slots, those that pend in front of it included.
//!
//! A pure bookkeeping of positions (items and progress notices are numbered from 0 as they are written into the
//! ring). It knows
//! nothing of what the receiver has taken, and needn't: what is asked to be skipped and has been taken was taken in
//! time. Progress notices take slots and are no items, so they are not among the newest, and are never dropped in
//! effect: the receiver takes note of those that it skips.

use std::collections::VecDeque;

/// The newest items of a ring.
#[derive(Debug)]
pub(super) struct Newest {
    capacity: u64,
    /// Items before this position are not among the newest.
    from: u64,
    /// How many items, progress not counted, have been written from there on.
    items: u64,
    /// Something pends: the two above are kept up to date.
    is_overloaded: bool,
}

impl Newest {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity: capacity as u64, from: 0, items: 0, is_overloaded: false }
    }

    /// Notes that `pending` items pend, after `written` items and notices were written into the ring, of which those
    /// at `notices` are none (the last `capacity` positions are enough). Returns the position before which
    /// everything is to be skipped.
    pub(super) fn pends(&mut self, pending: usize, written: u64, notices: &VecDeque<u64>) -> u64 {
        if !self.is_overloaded {
            // What was written before the last `capacity` positions has been taken.
            self.is_overloaded = true;
            self.from = written.saturating_sub(self.capacity);
            let among = notices.len() - notices.partition_point(|&at| at < self.from);
            self.items = written - self.from - among as u64;
        }
        while self.items > 0 && self.items + pending as u64 > self.capacity {
            self.items -= u64::from(notices.binary_search(&self.from).is_err());
            self.from += 1;
        }
        self.from
    }

    /// Notes that an item that pended was written into the ring.
    pub(super) fn moved(&mut self) {
        self.items += 1;
    }

    /// Notes that nothing pends any more.
    pub(super) fn is_over(&mut self) {
        self.is_overloaded = false;
    }
}

#[cfg(test)]
mod tests {
    use super::Newest;

    /// Capacity, written, positions of progress, and the mark after each further item that pends.
    #[test]
    fn the_mark_rises_by_one_item_for_each_that_pends() {
        let table: [(usize, u64, &[u64], &[u64]); 6] = [
            (1, 1, &[], &[1]),
            (3, 3, &[], &[1, 2, 3]),
            (3, 10, &[], &[8, 9, 10]),
            // A notice is no item: as long as there is room for one more nothing is dropped for it.
            (3, 10, &[8], &[7, 8, 10]),
            (3, 10, &[7, 9], &[7, 7, 9]),
            (2, 9, &[2, 4, 7, 8], &[7, 7]),
        ];
        for (capacity, written, progress, marks) in table {
            let progress = progress.iter().copied().collect();
            let mut newest = Newest::new(capacity);
            let found: Vec<u64> =
                (1..=marks.len()).map(|pending| newest.pends(pending, written, &progress)).collect();
            assert_eq!(found, marks, "capacity {capacity}, {written} written, progress at {progress:?}");
        }
    }
}
