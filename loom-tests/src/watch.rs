//! Makes visible to loom what it can't see: rtrb's slots are raw memory, so each is stood for by a loom cell that
//! the model touches whenever the slot is touched. Two touches that no ordering separates are then a failure.

use loom::cell::UnsafeCell;
use loom::sync::Arc;

/// A row of cells that two threads share.
#[derive(Clone)]
pub struct Cells(Arc<Vec<UnsafeCell<usize>>>);

impl Cells {
    pub fn new(count: usize) -> Self {
        Self(Arc::new((0..count).map(|_| UnsafeCell::new(0)).collect()))
    }

    /// Writes the cell of item number `item`; cells are reused as a ring reuses its slots.
    pub fn write(&self, item: usize, value: usize) {
        self.cell(item).with_mut(|cell| {
            // SAFETY: loom fails the model before it lets another access overlap or race with this one.
            unsafe { *cell = value };
        });
    }

    pub fn read(&self, item: usize) -> usize {
        self.cell(item).with(|cell| {
            // SAFETY: loom fails the model before it lets a write overlap or race with this read.
            unsafe { *cell }
        })
    }

    fn cell(&self, item: usize) -> &UnsafeCell<usize> {
        &self.0[item % self.0.len()]
    }
}

// SAFETY: loom checks every access for races, which is what the cells are for.
unsafe impl Send for Cells {}
