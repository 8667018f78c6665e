//! Where the rows of a stream go, and what each of them carries.

use crate::event::{Row, Value};

/// Takes the rows that leave a stream. Any `FnMut(&Row)` is one.
///
/// A row has the stream's layout, its rank, and the sequence number (and stamp) of the row that caused it. Its `lane`
/// says which result of the plan it is.
pub trait Emit {
    /// Takes a row; copies it if it is to stay.
    fn emit(&mut self, row: &Row);

    /// Takes a row that leaves a window of `key`.
    fn emit_closed(&mut self, row: &Row, key: &Value) {
        let _ = key;
        self.emit(row);
    }

    /// From the front of a stream with a pool: takes a row for one of the pool's workers, with its key.
    fn scatter(&mut self, row: &Row, key: &Value) {
        let _ = key;
        self.emit(row);
    }

    /// From the front of a stream with a pool: the stream's watermark has moved to `watermark_ns`, by the event with
    /// this sequence number.
    fn watermark(&mut self, watermark_ns: i64, seq: u64) {
        let _ = (watermark_ns, seq);
    }
}

/// Which part of a stream is run. A stream without a pool is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// What stands in front of its pool.
    Front,
    /// What one of the pool's workers runs. Its watermark is told, not found: that of the whole stream.
    Back,
}

impl<F: FnMut(&Row)> Emit for F {
    #[inline]
    fn emit(&mut self, row: &Row) {
        self(row);
    }
}

/// What tells a stream's rows from those of others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// The stream's own name, by index.
    pub(super) type_id: u32,
    pub(super) rank: u16,
}

impl Mark {
    /// Makes `row` one of the stream's.
    #[inline]
    pub(super) fn put(self, row: &mut Row) {
        row.set_type_id(self.type_id);
        row.set_rank(self.rank);
        row.set_lane(0);
    }
}

/// The event that makes something leave a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause {
    pub(super) seq: u64,
    pub(super) stamp: u32,
}

impl Cause {
    #[inline]
    pub(super) fn of(row: &Row) -> Self {
        Self { seq: row.seq(), stamp: row.stamp() }
    }

    /// Says on `row` what has caused it.
    #[inline]
    pub(super) fn put(self, row: &mut Row) {
        row.set_seq(self.seq);
        row.set_stamp(self.stamp);
    }
}
