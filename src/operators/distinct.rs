//! `.distinct(e)`: the first row of each value: per key, and behind a window, of each window. Without a window
//! everything is remembered, up to a bound. Values are compared as keys are: numbers by value, no value like null
//! (D16).

use hashbrown::HashTable;

use crate::event::order::{key_eq, key_hash};
use crate::event::{Keeps, Map, Row, Snapshot, SnapshotError, SnapshotReader, Value, write_all, write_count};
use crate::vpl::plan;

use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr};

#[derive(Debug)]
pub(super) struct Distinct {
    /// What is compared; all fields, where this is empty.
    by: Vec<Expr>,
    partitioned: bool,
    /// The whole event is compared, as a map of its fields.
    whole: bool,
    seen: HashTable<Seen>,
    limit: usize,
    /// The values of the row under way, the key in front.
    values: Vec<Value>,
}

/// Values that have been seen together; the key first, where there is one.
#[derive(Debug)]
pub(super) struct Seen {
    hash: u64,
    values: Box<[Value]>,
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
        Ok(Self { by, partitioned, whole, seen: HashTable::new(), limit, values: Vec::new() })
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
        let values = &self.values;
        let same =
            |seen: &Seen| seen.hash == hash && seen.values.iter().zip(values).all(|(a, b)| key_eq(a, b));
        if self.seen.find(hash, same).is_some() {
            return Ok(false);
        }
        if self.seen.len() >= self.limit {
            return Err(Fault::Distinct(self.limit));
        }
        self.seen.insert_unique(hash, Seen { hash, values: values.as_slice().into() }, |seen| seen.hash);
        Ok(true)
    }

    /// Starts anew: for the next window.
    pub(super) fn reset(&mut self) {
        self.seen.clear();
    }

    /// Takes out what it has seen of the keys that leave.
    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Vec<Seen> {
        let goes = |seen: &mut Seen| seen.values.first().is_some_and(leaves);
        self.seen.extract_if(goes).collect()
    }

    /// Adds what another one has seen.
    pub(super) fn join(&mut self, seen: Vec<Seen>) {
        for seen in seen {
            self.seen.insert_unique(seen.hash, seen, |seen| seen.hash);
        }
    }

    /// How many values it remembers.
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }
}

impl Keeps for Distinct {
    fn save(&self, out: &mut Vec<u8>) {
        let Self { by: _, partitioned: _, whole: _, seen, limit: _, values: _ } = self;
        write_count(seen.len(), out);
        for Seen { hash, values } in seen {
            (*hash as i64).write(out);
            write_all(values.iter(), out);
        }
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        let count = from.count()?;
        self.seen.reserve(count, |seen| seen.hash);
        for _ in 0..count {
            let hash = i64::read(from)? as u64;
            let seen = Seen { hash, values: Vec::read(from)?.into() };
            self.seen.insert_unique(hash, seen, |seen| seen.hash);
        }
        Ok(())
    }
}

/// The fields that are not null: null is like missing.
fn with_values(fields: &Map) -> Map {
    let there = fields.iter().filter(|(_, value)| !matches!(value, Value::Null));
    there.map(|(name, value)| (name.clone(), value.clone())).collect()
}
