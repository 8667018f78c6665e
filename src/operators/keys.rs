//! State per key. A key whose state is idle (nothing open, nothing to remember) may be forgotten; that happens in
//! sweeps, when the table would have to grow, so that known keys cost one look-up and no allocation.

use hashbrown::HashTable;

use crate::event::order::{key_eq, key_hash};
use crate::event::{Keeps, Pieces, Snapshot, SnapshotError, SnapshotReader, Value, write_count};

use super::error::Fault;
use super::kept::{Item, Kept};

/// A map from keys to states; a state is found again by its number as long as it isn't idle.
#[derive(Debug)]
pub(super) struct Keys<S> {
    table: HashTable<Place>,
    /// The key of one that is free is [`Value::Missing`], and no other's is.
    entries: Kept<Entry<S>>,
    /// Numbers of entries that are free; their states are idle, and keep their memory for the next key.
    free: Vec<u32>,
    /// How many states may have become idle since the last sweep.
    maybe_idle: usize,
    limit: usize,
    partitioned: bool,
}

#[derive(Debug)]
pub(super) struct Entry<S> {
    pub(super) key: Value,
    pub(super) state: S,
}

/// The hash stands beside the number, so that growing and most look-ups that find nothing touch no entry.
#[derive(Debug)]
struct Place {
    hash: u64,
    entry: u32,
}

impl<S: Snapshot> Item for Entry<S> {
    fn write(&self, number: usize, out: &mut Vec<u8>) {
        let Self { key, state } = self;
        if !key.is_missing() {
            number.write(out);
            key.write(out);
            state.write(out);
        }
    }
}

impl<S: Default + Snapshot> Keys<S> {
    /// For at most `limit` keys; for the one key null, where the stream is not partitioned.
    pub(super) fn new(partitioned: bool, limit: usize) -> Self {
        let mut entries = Kept::default();
        if !partitioned {
            entries.push(Entry { key: Value::Null, state: S::default() });
        }
        let (table, free) = (HashTable::new(), Vec::new());
        Self { table, entries, free, maybe_idle: 0, limit: limit.min(u32::MAX as usize), partitioned }
    }

    /// The number of the entry of `key`, if it has one.
    #[inline]
    pub(super) fn find(&self, key: &Value) -> Option<usize> {
        if !self.partitioned {
            return Some(0);
        }
        let hash = key_hash(key);
        let is_it = |place: &Place| {
            place.hash == hash
                && self.entries.get(place.entry as usize).is_some_and(|entry| key_eq(&entry.key, key))
        };
        self.table.find(hash, is_it).map(|place| place.entry as usize)
    }

    /// The number of the entry of `key`; a new one, where the key is unknown.
    #[inline]
    pub(super) fn find_or_insert(&mut self, key: &Value, idle: impl Fn(&S) -> bool) -> Result<usize, Fault> {
        if !self.partitioned {
            return Ok(0);
        }
        let hash = key_hash(key);
        let entries = &self.entries;
        let found = self.table.find(hash, |place| {
            place.hash == hash
                && entries.get(place.entry as usize).is_some_and(|entry| key_eq(&entry.key, key))
        });
        match found {
            Some(place) => Ok(place.entry as usize),
            None => self.insert(hash, key, idle),
        }
    }

    #[inline(never)]
    fn insert(&mut self, hash: u64, key: &Value, idle: impl Fn(&S) -> bool) -> Result<usize, Fault> {
        // A sweep looks at every key, so it must have enough to find: then it costs a constant per forgotten key.
        let len = self.table.len();
        if len == self.table.capacity() && self.maybe_idle * 4 >= len
            || len >= self.limit && self.maybe_idle * 16 >= len
        {
            self.sweep(idle);
        }
        if self.table.len() >= self.limit {
            return Err(Fault::Partitions(self.limit));
        }
        let key = there(key.clone());
        let entry = if let Some(free) = self.free.pop() {
            self.entries.change(free as usize).key = key;
            free
        } else {
            self.entries.push(Entry { key, state: S::default() });
            (self.entries.len() - 1) as u32
        };
        self.table.insert_unique(hash, Place { hash, entry }, |place| place.hash);
        Ok(entry as usize)
    }

    fn sweep(&mut self, idle: impl Fn(&S) -> bool) {
        self.maybe_idle = 0;
        let (entries, free) = (&mut self.entries, &mut self.free);
        self.table.retain(|place| {
            let forget = idle(&entries[place.entry as usize].state);
            if forget {
                entries.change(place.entry as usize).key = Value::Missing;
                free.push(place.entry);
            }
            !forget
        });
        // Room for as many again, so that the next sweep is far away.
        let len = self.table.len();
        self.table.reserve(len.max(8), |place| place.hash);
    }

    /// Says that a state may have become idle.
    #[inline]
    pub(super) fn note_idle(&mut self) {
        self.maybe_idle += 1;
    }

    /// An entry by its number, to be changed.
    #[inline]
    pub(super) fn entry(&mut self, number: usize) -> &mut Entry<S> {
        self.entries.change(number)
    }

    /// The key of an entry.
    #[inline]
    pub(super) fn key(&self, number: usize) -> &Value {
        &self.entries[number].key
    }

    /// The state of an entry.
    #[inline]
    pub(super) fn state(&self, number: usize) -> &S {
        &self.entries[number].state
    }

    /// Numbers of entries that are in use, in no order.
    pub(super) fn numbers(&self) -> Vec<usize> {
        if self.partitioned { self.table.iter().map(|place| place.entry as usize).collect() } else { vec![0] }
    }

    /// Takes out the keys that leave, with their states.
    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Vec<(Value, S)> {
        let (entries, free) = (&mut self.entries, &mut self.free);
        let mut left = Vec::new();
        self.table.retain(|place| {
            let goes = leaves(&entries[place.entry as usize].key);
            if goes {
                let entry = entries.change(place.entry as usize);
                let key = std::mem::replace(&mut entry.key, Value::Missing);
                left.push((key, std::mem::take(&mut entry.state)));
                free.push(place.entry);
            }
            !goes
        });
        left
    }

    /// Puts keys in that another table has let go of. They were within a bound there, so none is looked at here.
    pub(super) fn join(&mut self, moved: Vec<(Value, S)>) {
        for (key, state) in moved {
            self.put(key, state);
        }
    }

    fn put(&mut self, key: Value, state: S) {
        if let Some(number) = self.find(&key) {
            self.entries.change(number).state = state;
            return;
        }
        let hash = key_hash(&key);
        let entry = Entry { key: there(key), state };
        let number = if let Some(free) = self.free.pop() {
            *self.entries.change(free as usize) = entry;
            free
        } else {
            self.entries.push(entry);
            (self.entries.len() - 1) as u32
        };
        self.table.insert_unique(hash, Place { hash, entry: number }, |place| place.hash);
    }

    /// Takes up a state, and says of each entry which number it had and which it has now.
    pub(super) fn restore_noting(
        &mut self,
        from: &mut SnapshotReader<'_>,
        mut note: impl FnMut(u32, u32),
    ) -> Result<(), SnapshotError> {
        self.maybe_idle = Snapshot::read(from)?;
        if !self.partitioned {
            self.entries.change(0).state = S::read(from)?;
            note(0, 0);
            return Ok(());
        }
        let (count, pieces): (usize, _) = (Snapshot::read(from)?, from.next_part());
        // An entry takes at least a byte for its number, its key and its state.
        if count > pieces.iter().map(|piece| piece.len()).sum::<usize>() {
            return Err(from.error("number of keys"));
        }
        self.table.reserve(count, |place| place.hash);
        self.entries.reserve(count);
        for piece in pieces {
            let mut piece = SnapshotReader::new(piece);
            while !piece.is_at_end() {
                let number = u32::read(&mut piece)?;
                let (key, state) = (there(Value::read(&mut piece)?), S::read(&mut piece)?);
                let entry = u32::try_from(self.entries.len()).map_err(|_| from.error("fewer keys"))?;
                let hash = key_hash(&key);
                self.entries.push(Entry { key, state });
                self.table.insert_unique(hash, Place { hash, entry }, |place| place.hash);
                note(number, entry);
            }
        }
        if self.table.len() == count { Ok(()) } else { Err(from.error("all keys")) }
    }

    /// Up to `limit` of the keys that have an entry.
    pub(super) fn examples(&self, limit: usize) -> Vec<Value> {
        let keys = self.table.iter().take(limit);
        keys.map(|place| self.entries[place.entry as usize].key.clone()).collect()
    }

    /// How many keys have an entry.
    pub(super) fn len(&self) -> usize {
        if self.partitioned { self.table.len() } else { 0 }
    }
}

/// A key that is there: as a key, no value is like null.
fn there(key: Value) -> Value {
    if key.is_missing() { Value::Null } else { key }
}

/// Keys with their states. Numbers of entries will be others: who refers to entries finds out anew, or is told
/// ([`Keys::restore_noting`]).
impl<S: Default + Snapshot> Keeps for Keys<S> {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { table, entries, free: _, maybe_idle, limit: _, partitioned } = self;
        maybe_idle.write(out);
        if *partitioned {
            write_count(table.len(), out);
            entries.begin_save();
        } else {
            entries[0].state.write(out);
        }
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        if self.partitioned {
            self.entries.save_more(pieces);
        }
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.restore_noting(from, |_, _| {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_keys_make_room_for_new_ones() {
        let mut keys = Keys::<bool>::new(true, 4);
        let idle = |live: &bool| !live;
        for key in 0..1000 {
            let number = keys.find_or_insert(&Value::Int(key), idle).expect("idle keys are forgotten");
            keys.entry(number).state = true;
            keys.entry(number).state = false;
            keys.note_idle();
        }
        assert!(keys.entries.len() <= 4);
    }

    #[test]
    fn live_keys_are_never_forgotten() {
        let mut keys = Keys::<Option<i64>>::new(true, 100);
        for key in 0..100 {
            let number = keys.find_or_insert(&Value::Int(key), Option::is_none).unwrap();
            keys.entry(number).state = Some(key);
            keys.note_idle();
        }
        assert_eq!(keys.find_or_insert(&Value::Int(100), Option::is_none), Err(Fault::Partitions(100)));
        for key in 0..100 {
            let number = keys.find_or_insert(&Value::Float(key as f64), Option::is_none).unwrap();
            assert_eq!(*keys.state(number), Some(key));
        }
    }
}
