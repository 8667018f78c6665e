//! An exact sum of ints beside a compensated sum of floats.
//!
//! Ints are added as i128, which 2^64 of them cannot overflow, so that only the total decides whether the sum is an
//! int. For floats, Neumaier's variant of Kahan's algorithm keeps what each addition rounds away: 1e16 + 1.0 + 1.0 -
//! 1e16 is 2.0.

use crate::event::{Snapshot, SnapshotError, SnapshotReader, Value};

/// A running sum of numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    ints: i128,
    float: f64,
    /// What the additions to `float` have rounded away so far.
    lost: f64,
    /// Numbers of both types.
    count: u64,
    any_float: bool,
}

impl Sum {
    /// Adds a number; skips everything else.
    #[inline]
    pub(super) fn add(&mut self, value: &Value) {
        match value {
            Value::Int(value) => {
                self.ints += i128::from(*value);
                self.count += 1;
            }
            Value::Float(value) => {
                (self.float, self.lost) = neumaier(self.float, self.lost, *value);
                self.count += 1;
                self.any_float = true;
            }
            _ => {}
        }
    }

    /// Adds what another sum has added up.
    pub(super) fn merge(&mut self, later: &Self) {
        self.ints += later.ints;
        self.count += later.count;
        (self.float, self.lost) = neumaier(self.float, self.lost + later.lost, later.float);
        self.any_float |= later.any_float;
    }

    /// The sum: an int if all were ints and the total is an i64, else a float.
    pub(super) fn total(&self) -> Value {
        match i64::try_from(self.ints) {
            Ok(total) if !self.any_float => Value::Int(total),
            _ => Value::Float(self.float_total()),
        }
    }

    /// The total divided by how many there were; null for none.
    pub(super) fn average(&self) -> Value {
        match self.count {
            0 => Value::Null,
            count => Value::Float(self.float_total() / count as f64),
        }
    }

    fn float_total(&self) -> f64 {
        if !self.any_float {
            return self.ints as f64;
        }
        // The ints in two parts, since one float may not hold their total: nearly all of it, and the rest.
        let most = self.ints as f64;
        let rest = (self.ints - most as i128) as f64;
        let (sum, lost) = neumaier(self.float, self.lost, most);
        let (sum, lost) = neumaier(sum, lost, rest);
        // Where the sum has run to an infinity, what was lost is inf - inf, and means nothing.
        if sum.is_finite() { sum + lost } else { sum }
    }
}

impl Snapshot for Sum {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { ints, float, lost, count, any_float } = self;
        ints.write(out);
        float.write(out);
        lost.write(out);
        count.write(out);
        any_float.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Ok(Self {
            ints: Snapshot::read(from)?,
            float: Snapshot::read(from)?,
            lost: Snapshot::read(from)?,
            count: Snapshot::read(from)?,
            any_float: Snapshot::read(from)?,
        })
    }
}

#[inline]
fn neumaier(sum: f64, lost: f64, value: f64) -> (f64, f64) {
    let total = sum + value;
    let rounded_away = if sum.abs() >= value.abs() { (sum - total) + value } else { (value - total) + sum };
    (total, lost + rounded_away)
}
