//! `.distinct(e)`: the first row of each value: per key, and behind a window, of each window. Without a window
//! everything is remembered, up to a bound. Values are compared as keys are: numbers by value, no value like null
//! (D16).

use hashbrown::HashTable;

use crate::event::order::{key_eq, key_hash};
use crate::event::{
    Keeps, Map, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value, write_all, write_count,
};
use crate::vpl::plan;

use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr};
use super::kept::{Item, Kept};

#[derive(Debug)]
pub(super) struct Distinct {
    /// What is compared; all fields, where this is empty.
    by: Vec<Expr>,
    partitioned: bool,
    /// The whole event is compared, as a map of its fields.
    whole: bool,
    table: HashTable<Place>,
    seen: Kept<Seen>,
    /// Numbers of those that are free.
    free: Vec<u32>,
    limit: usize,
    /// The values of the row under way, the key in front.
    values: Vec<Value>,
}

#[derive(Debug)]
struct Place {
    hash: u64,
    seen: u32,
}

/// Values that have been seen together; the key first, where there is one. None where it is free.
#[derive(Debug)]
pub(super) struct Seen {
    hash: u64,
    values: Box<[Value]>,
}

impl Item for Seen {
    fn write(&self, _number: usize, out: &mut Vec<u8>) {
        let Self { hash, values } = self;
        if !values.is_empty() {
            (*hash as i64).write(out);
            write_all(values.iter(), out);
        }
    }
}

impl Distinct {
    pub(super) fn compile(
        by: &[plan::Expr],
        partitioned: bool,
        limit: usize,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let whole = matches!(by, [plan::Expr::AllFields { rest: Some(_), .. }]);
        let by = by.iter().map(|by| compiler.expr(by)).collect::<Result<_, _>>()?;
        let (table, seen, free) = (HashTable::new(), Kept::default(), Vec::new());
        Ok(Self { by, partitioned, whole, table, seen, free, limit, values: Vec::new() })
    }

    /// Whether `row` is the first with its values.
    pub(super) fn is_first(&mut self, row: &Row, env: &mut Env) -> Result<bool, Fault> {
        self.values.clear();
        if self.partitioned {
            self.values.push(env.key.clone());
        }
        if self.by.is_empty() {
            self.values.extend_from_slice(row.values());
        }
        for by in &self.by {
            self.values.push(match by.eval(row, env)? {
                Value::Map(fields) if self.whole => Value::map(with_values(&fields)),
                value => value,
            });
        }
        let hash = self.values.iter().fold(0, |hash: u64, value| hash.rotate_left(23) ^ key_hash(value));
        if self.values.is_empty() {
            // An event without any field: all of them are the same.
            self.values.push(Value::Missing);
        }
        let (values, seen) = (&self.values, &self.seen);
        let same = |place: &Place| {
            let is_same = |seen: &Seen| seen.values.iter().zip(values).all(|(a, b)| key_eq(a, b));
            place.hash == hash && seen.get(place.seen as usize).is_some_and(is_same)
        };
        if self.table.find(hash, same).is_some() {
            return Ok(false);
        }
        if self.table.len() >= self.limit {
            return Err(Fault::Distinct(self.limit));
        }
        let values = self.values.as_slice().into();
        self.insert(Seen { hash, values });
        Ok(true)
    }

    fn insert(&mut self, seen: Seen) {
        let hash = seen.hash;
        let number = if let Some(free) = self.free.pop() {
            *self.seen.change(free as usize) = seen;
            free
        } else {
            self.seen.push(seen);
            (self.seen.len() - 1) as u32
        };
        self.table.insert_unique(hash, Place { hash, seen: number }, |place| place.hash);
    }

    /// Starts anew: for the next window.
    pub(super) fn reset(&mut self) {
        self.table.clear();
        self.seen.clear();
        self.free.clear();
    }

    /// Takes out what it has seen of the keys that leave.
    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Vec<Seen> {
        let Self { table, seen, free, .. } = self;
        let mut left = Vec::new();
        table.retain(|place| {
            let goes = seen[place.seen as usize].values.first().is_some_and(leaves);
            if goes {
                let values = std::mem::take(&mut seen.change(place.seen as usize).values);
                left.push(Seen { hash: place.hash, values });
                free.push(place.seen);
            }
            !goes
        });
        left
    }

    /// Adds what another one has seen.
    pub(super) fn join(&mut self, seen: Vec<Seen>) {
        for seen in seen {
            self.insert(seen);
        }
    }

    /// How many values it remembers.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }
}

impl Keeps for Distinct {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { by: _, partitioned: _, whole: _, table, seen, free: _, limit: _, values: _ } = self;
        write_count(table.len(), out);
        seen.begin_save();
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        self.seen.save_more(pieces);
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        let (count, pieces) = (Snapshot::read(from)?, from.next_part());
        // Each has at least the bytes of its hash.
        let most = pieces.iter().map(|piece| piece.len()).sum::<usize>() / size_of::<i64>();
        self.table.reserve(most.min(count), |place| place.hash);
        self.seen.reserve(most.min(count));
        for piece in pieces {
            let mut piece = SnapshotReader::new(piece);
            while !piece.is_at_end() {
                let hash = i64::read(&mut piece)? as u64;
                self.insert(Seen { hash, values: Vec::read(&mut piece)?.into() });
            }
        }
        if self.table.len() == count { Ok(()) } else { Err(from.error("all values")) }
    }
}

/// The fields that are not null: null is like missing.
fn with_values(fields: &Map) -> Map {
    let there = fields.iter().filter(|(_, value)| !matches!(value, Value::Null));
    there.map(|(name, value)| (name.clone(), value.clone())).collect()
}
