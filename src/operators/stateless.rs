//! Operators that keep nothing from one row to the next, and so have nothing to write into a checkpoint.
//!
//! Each is taken apart field by field all the same: one that gets a field must be looked at here again.

use crate::event::{Keeps, Pieces, SnapshotError, SnapshotReader};

use super::filter::Filter;
use super::log::Log;
use super::partition_by::PartitionBy;
use super::process::Process;
use super::project::Project;
use super::replace::Replace;

macro_rules! stateless {
    ($($operator:ident { $($field:ident),* })*) => {$(
        impl Keeps for $operator {
            fn save(&mut self, _out: &mut Vec<u8>) {
                let Self { $($field: _),* } = self;
            }

            fn save_more(&mut self, _pieces: &mut Pieces) {}

            fn restore(&mut self, _from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
                Ok(())
            }
        }
    )*};
}

stateless! {
    Filter { condition }
    Log { verb, level, stream, parts, time }
    PartitionBy { key }
    Process { call }
    Project { verb, at, fields, slots, time, mark }
    Replace { value, fields, rest, slots, time, mark }
}
