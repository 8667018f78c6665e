//! Which keys of a pool have the most rows: a space-saving sketch (Metwally, Agrawal, El Abbadi, 2005) over a sample.
//!
//! It keeps a fixed number of keys with counts. A key that is not among them takes the place of the one with the least
//! count and goes on from that count; so a count is too high by at most that, and every key with more than one in
//! [`KEPT`] of the rows is among them. One row in [`EVERY`] is looked at, which keeps its cost out of the way of the
//! others.

use crate::event::Value;
use crate::event::order::key_eq;

/// Keys that are kept.
const KEPT: usize = 32;
/// One in so many rows is looked at.
pub(super) const EVERY: u32 = 16;

/// The keys of a pool with the most rows.
#[derive(Clone, Debug)]
pub struct PoolSkew {
    /// The stream that has the pool.
    pub stream: usize,
    /// The keys, and about how many rows each has; the most first.
    pub hottest: Vec<(Value, u64)>,
}

/// The sketch.
#[derive(Debug, Default)]
pub(super) struct Skew {
    kept: Vec<Kept>,
    rows: u32,
}

#[derive(Debug)]
struct Kept {
    hash: u64,
    key: Value,
    count: u64,
}

impl Skew {
    /// Takes note of a row with this key, of which `hash` is the hash.
    #[inline]
    pub(super) fn note(&mut self, hash: u64, key: &Value) {
        self.rows += 1;
        if self.rows >= EVERY {
            self.rows = 0;
            self.count(hash, key);
        }
    }

    #[inline(never)]
    fn count(&mut self, hash: u64, key: &Value) {
        let known = self.kept.iter_mut().find(|kept| kept.hash == hash && key_eq(&kept.key, key));
        if let Some(kept) = known {
            kept.count += 1;
        } else if self.kept.len() < KEPT {
            self.kept.push(Kept { hash, key: key.clone(), count: 1 });
        } else if let Some(least) = self.kept.iter_mut().min_by_key(|kept| kept.count) {
            *least = Kept { hash, key: key.clone(), count: least.count + 1 };
        }
    }

    /// The keys with the most rows and about how many these are, the most first.
    pub(super) fn hottest(&self, most: usize) -> Vec<(Value, u64)> {
        let mut kept: Vec<&Kept> = self.kept.iter().collect();
        kept.sort_by_key(|kept| std::cmp::Reverse(kept.count));
        kept.iter().take(most).map(|kept| (kept.key.clone(), kept.count * u64::from(EVERY))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{EVERY, KEPT, Skew};
    use crate::event::Value;
    use crate::event::order::key_hash;

    #[test]
    fn a_key_with_a_tenth_of_the_rows_is_found_among_a_thousand_others() {
        let mut skew = Skew::default();
        for row in 0..100_000_i64 {
            let key = Value::Int(if row / i64::from(EVERY) % 10 == 0 { -1 } else { row % 1000 });
            skew.note(key_hash(&key), &key);
        }
        let hottest = skew.hottest(3);
        assert!(matches!(hottest[0].0, Value::Int(-1)), "{hottest:?}");
        assert!((10_000..14_000).contains(&hottest[0].1), "{hottest:?}");
        assert_eq!(skew.kept.len(), KEPT);
    }
}
