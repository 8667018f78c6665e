//! What comes due by time: a queue that gives the smallest first. Nearly everything is put in behind all that is there
//! already, because event time goes on, so there is a list for that; only what comes out of order costs a heap.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Items, smallest first.
#[derive(Debug)]
pub(super) struct Due<T> {
    /// Ascending.
    in_order: VecDeque<T>,
    /// Items that were smaller than the last of `in_order` when they came.
    others: BinaryHeap<Reverse<T>>,
}

impl<T: Ord> Due<T> {
    pub(super) fn new() -> Self {
        Self { in_order: VecDeque::new(), others: BinaryHeap::new() }
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        if self.in_order.back().is_none_or(|last| *last <= item) {
            self.in_order.push_back(item);
        } else {
            self.others.push(Reverse(item));
        }
    }

    /// The smallest item.
    #[inline]
    pub(super) fn first(&self) -> Option<&T> {
        let Some(Reverse(other)) = self.others.peek() else { return self.in_order.front() };
        Some(self.in_order.front().map_or(other, |first| first.min(other)))
    }

    /// Takes the smallest item out.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        match (self.in_order.front(), self.others.peek()) {
            (Some(first), Some(Reverse(other))) if other < first => {}
            (None, _) => {}
            (Some(_), _) => return self.in_order.pop_front(),
        }
        self.others.pop().map(|Reverse(other)| other)
    }

    pub(super) fn len(&self) -> usize {
        self.in_order.len() + self.others.len()
    }

    /// Drops the items that `keep` does not want.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.in_order.retain(&mut keep);
        self.others.retain(|Reverse(item)| keep(item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_comes_first_whatever_the_order_of_arrival() {
        let mut due = Due::new();
        for item in [3, 5, 4, 9, 1, 9, 2, 7] {
            due.push(item);
        }
        due.retain(|item| *item != 4);
        let taken: Vec<i32> = std::iter::from_fn(|| {
            let first = due.first().copied();
            assert_eq!(first, due.pop());
            first
        })
        .collect();
        assert_eq!(taken, [1, 2, 3, 5, 7, 9, 9]);
        assert_eq!(due.len(), 0);
    }
}
