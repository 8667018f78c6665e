//! What an aggregate remembers of the rows it has seen: a few words for most, all values for quantiles, `collect` and
//! `count_distinct`.
//!
//! Every aggregate skips null and no value. What is left of a window without any is 0 for counts and sums, an empty
//! array for `collect`, else null.

use std::cell::RefCell;
use std::cmp::Ordering;

use hashbrown::HashTable;

use crate::event::order::{key_cmp, key_eq, key_hash};
use crate::event::{Snapshot, SnapshotError, SnapshotReader, Value, write_all};

use super::Aggregate;
use super::sum::Sum;

/// One aggregate over the rows of one window.
#[derive(Clone, Debug)]
pub struct Accumulator {
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Count(u64),
    CountDistinct(HashTable<Value>),
    Sum(Sum),
    Avg(Sum),
    /// The smallest value; missing before the first.
    Min(Value),
    /// The greatest value; missing before the first.
    Max(Value),
    First(Value),
    Last(Value),
    Stddev(Moments),
    Variance(Moments),
    /// Behind a cell, because finding a quantile reorders the numbers, which changes nothing that can be seen.
    Quantile {
        p: f64,
        numbers: RefCell<Vec<f64>>,
    },
    Ema {
        alpha: f64,
        average: Option<f64>,
    },
    Collect(Vec<Value>),
}

impl Accumulator {
    /// An accumulator that has seen nothing. `param` is the constant argument of `percentile` and `ema`, as
    /// [`Aggregate::check_param`] gives it; others ignore it.
    pub fn new(aggregate: Aggregate, param: f64) -> Self {
        let quantile = |p| State::Quantile { p, numbers: RefCell::default() };
        let state = match aggregate {
            Aggregate::Count => State::Count(0),
            Aggregate::CountDistinct => State::CountDistinct(HashTable::new()),
            Aggregate::Sum => State::Sum(Sum::default()),
            Aggregate::Avg => State::Avg(Sum::default()),
            Aggregate::Min => State::Min(Value::Missing),
            Aggregate::Max => State::Max(Value::Missing),
            Aggregate::First => State::First(Value::Missing),
            Aggregate::Last => State::Last(Value::Missing),
            Aggregate::Stddev => State::Stddev(Moments::default()),
            Aggregate::Variance => State::Variance(Moments::default()),
            Aggregate::Median | Aggregate::P50 => quantile(0.5),
            Aggregate::Percentile => quantile(param),
            Aggregate::P95 => quantile(0.95),
            Aggregate::P99 => quantile(0.99),
            Aggregate::Ema => State::Ema { alpha: 2.0 / (param + 1.0), average: None },
            Aggregate::Collect => State::Collect(Vec::new()),
        };
        Self { state }
    }

    /// The aggregate of all `values`, for one that takes no parameter.
    pub fn over(aggregate: Aggregate, values: &[Value]) -> Value {
        let mut accumulator = Self::new(aggregate, 0.0);
        for value in values {
            accumulator.add(value);
        }
        accumulator.finish()
    }

    /// Takes the value of one row.
    #[inline]
    pub fn add(&mut self, value: &Value) {
        match &mut self.state {
            State::Count(count) => *count += u64::from(!value.is_absent()),
            State::Sum(sum) | State::Avg(sum) => sum.add(value),
            State::Min(best) => keep_extreme(best, value, Ordering::Less),
            State::Max(best) => keep_extreme(best, value, Ordering::Greater),
            State::Last(last) => keep_last(last, value),
            State::First(first) => {
                if first.is_missing() && !value.is_absent() {
                    first.clone_from(value);
                }
            }
            _ => self.add_other(value),
        }
    }

    #[inline(never)]
    fn add_other(&mut self, value: &Value) {
        match &mut self.state {
            State::Stddev(moments) | State::Variance(moments) => {
                if let Some(number) = number(value) {
                    moments.add(number);
                }
            }
            State::Quantile { numbers, .. } => {
                // NaN has no place among ordered numbers, as in min and max.
                if let Some(number) = number(value).filter(|number| !number.is_nan()) {
                    numbers.get_mut().push(number);
                }
            }
            State::Ema { alpha, average } => {
                if let Some(number) = number(value) {
                    *average = Some(average.map_or(number, |last| *alpha * number + (1.0 - *alpha) * last));
                }
            }
            State::Collect(values) => {
                if !value.is_absent() {
                    values.push(value.clone());
                }
            }
            State::CountDistinct(seen) => {
                if !value.is_absent() {
                    let hash = key_hash(value);
                    if seen.find(hash, |other| key_eq(other, value)).is_none() {
                        seen.insert_unique(hash, value.clone(), key_hash);
                    }
                }
            }
            State::Count(_)
            | State::Sum(_)
            | State::Avg(_)
            | State::Min(_)
            | State::Max(_)
            | State::First(_)
            | State::Last(_) => unreachable!("`add` has dealt with these"),
        }
    }

    /// Takes one row for `count()`, which looks at no value.
    #[inline]
    pub fn count_row(&mut self) {
        if let State::Count(count) = &mut self.state {
            *count += 1;
        } else {
            debug_assert!(false, "only count() takes rows without a value");
        }
    }

    /// The result over what it has seen so far.
    pub fn finish(&self) -> Value {
        let float_or_null = |float: Option<f64>| float.map_or(Value::Null, Value::Float);
        match &self.state {
            State::Count(count) => Value::Int(*count as i64),
            State::CountDistinct(seen) => Value::Int(seen.len() as i64),
            State::Sum(sum) => sum.total(),
            State::Avg(sum) => sum.average(),
            State::Min(value) | State::Max(value) | State::First(value) | State::Last(value) => match value {
                Value::Missing => Value::Null,
                value => value.clone(),
            },
            State::Stddev(moments) => float_or_null(moments.variance().map(f64::sqrt)),
            State::Variance(moments) => float_or_null(moments.variance()),
            State::Quantile { p, numbers } => float_or_null(quantile(&mut numbers.borrow_mut(), *p)),
            State::Ema { average, .. } => float_or_null(*average),
            State::Collect(values) => Value::array(values.clone()),
        }
    }

    /// The result of another aggregate that remembers the same: a sum is also an average, and the other way round.
    pub fn finish_as(&self, aggregate: Aggregate) -> Value {
        match (&self.state, aggregate) {
            (State::Sum(sum) | State::Avg(sum), Aggregate::Sum) => sum.total(),
            (State::Sum(sum) | State::Avg(sum), Aggregate::Avg) => sum.average(),
            _ => self.finish(),
        }
    }

    /// Takes what another accumulator of the same kind has seen, as if its rows had come behind those seen here. (The
    /// moving average cannot: it takes the other's average as one more value.)
    pub fn merge(&mut self, later: &Self) {
        match (&mut self.state, &later.state) {
            (State::Count(count), State::Count(later)) => *count += later,
            (State::CountDistinct(_), State::CountDistinct(later)) => {
                later.iter().for_each(|value| self.add_other(value));
            }
            (State::Sum(sum), State::Sum(later)) | (State::Avg(sum), State::Avg(later)) => sum.merge(later),
            (State::Min(_), State::Min(value))
            | (State::Max(_), State::Max(value))
            | (State::First(_), State::First(value))
            | (State::Last(_), State::Last(value)) => self.add(value),
            (State::Stddev(moments), State::Stddev(later))
            | (State::Variance(moments), State::Variance(later)) => moments.merge(later),
            (State::Quantile { numbers, .. }, State::Quantile { numbers: later, .. }) => {
                numbers.get_mut().extend_from_slice(&later.borrow());
            }
            (State::Ema { .. }, State::Ema { average, .. }) => {
                if let Some(average) = average {
                    self.add_other(&Value::Float(*average));
                }
            }
            (State::Collect(values), State::Collect(later)) => values.extend_from_slice(later),
            _ => debug_assert!(false, "accumulators of different kinds do not merge"),
        }
    }

    /// Forgets what it has seen and keeps the memory that it has.
    pub fn reset(&mut self) {
        match &mut self.state {
            State::Count(count) => *count = 0,
            State::CountDistinct(seen) => seen.clear(),
            State::Sum(sum) | State::Avg(sum) => *sum = Sum::default(),
            State::Min(value) | State::Max(value) | State::First(value) | State::Last(value) => {
                *value = Value::Missing;
            }
            State::Stddev(moments) | State::Variance(moments) => *moments = Moments::default(),
            State::Quantile { numbers, .. } => numbers.get_mut().clear(),
            State::Ema { average, .. } => *average = None,
            State::Collect(values) => values.clear(),
        }
    }
}

/// An accumulator says of which kind it is, so that a window can be read back without its aggregate.
impl Snapshot for Accumulator {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { state } = self;
        let kind: u16 = match state {
            State::Count(_) => 0,
            State::CountDistinct(_) => 1,
            State::Sum(_) => 2,
            State::Avg(_) => 3,
            State::Min(_) => 4,
            State::Max(_) => 5,
            State::First(_) => 6,
            State::Last(_) => 7,
            State::Stddev(_) => 8,
            State::Variance(_) => 9,
            State::Quantile { .. } => 10,
            State::Ema { .. } => 11,
            State::Collect(_) => 12,
        };
        kind.write(out);
        match state {
            State::Count(count) => count.write(out),
            State::CountDistinct(seen) => write_all(seen.iter(), out),
            State::Sum(sum) | State::Avg(sum) => sum.write(out),
            State::Min(value) | State::Max(value) | State::First(value) | State::Last(value) => {
                value.write(out);
            }
            State::Stddev(moments) | State::Variance(moments) => {
                let Moments { count, mean, squares } = moments;
                count.write(out);
                mean.write(out);
                squares.write(out);
            }
            State::Quantile { p, numbers } => {
                p.write(out);
                numbers.borrow().write(out);
            }
            State::Ema { alpha, average } => {
                alpha.write(out);
                average.write(out);
            }
            State::Collect(values) => values.write(out),
        }
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let moments = |from: &mut SnapshotReader<'_>| {
            let count = Snapshot::read(from)?;
            Ok(Moments { count, mean: Snapshot::read(from)?, squares: Snapshot::read(from)? })
        };
        let state = match u16::read(from)? {
            0 => State::Count(Snapshot::read(from)?),
            1 => {
                let mut seen = HashTable::new();
                for value in Vec::<Value>::read(from)? {
                    seen.insert_unique(key_hash(&value), value, key_hash);
                }
                State::CountDistinct(seen)
            }
            2 => State::Sum(Snapshot::read(from)?),
            3 => State::Avg(Snapshot::read(from)?),
            4 => State::Min(Snapshot::read(from)?),
            5 => State::Max(Snapshot::read(from)?),
            6 => State::First(Snapshot::read(from)?),
            7 => State::Last(Snapshot::read(from)?),
            8 => State::Stddev(moments(from)?),
            9 => State::Variance(moments(from)?),
            10 => {
                let p = Snapshot::read(from)?;
                State::Quantile { p, numbers: RefCell::new(Snapshot::read(from)?) }
            }
            11 => State::Ema { alpha: Snapshot::read(from)?, average: Snapshot::read(from)? },
            12 => State::Collect(Snapshot::read(from)?),
            _ => return Err(from.error("aggregate")),
        };
        Ok(Self { state })
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

/// Puts `value` in place of `last`. A number after a number of its kind, which is nearly all there ever is, is only
/// overwritten: nothing to drop, nothing to share.
#[inline]
fn keep_last(last: &mut Value, value: &Value) {
    match (&mut *last, value) {
        (Value::Int(last), Value::Int(value)) => *last = *value,
        (Value::Float(last), Value::Float(value)) => *last = *value,
        (_, Value::Missing | Value::Null) => {}
        _ => last.assign(value),
    }
}

/// Puts `value` in place of `best` if it is further in the direction of `better`; the first of equals stays.
#[inline]
fn keep_extreme(best: &mut Value, value: &Value, better: Ordering) {
    match (&mut *best, value) {
        (Value::Int(best), Value::Int(value)) => {
            if value.cmp(best) == better {
                *best = *value;
            }
        }
        (Value::Float(best), Value::Float(value)) => {
            // NaN compares to nothing, so it is never kept.
            if value.partial_cmp(best) == Some(better) {
                *best = *value;
            }
        }
        _ => keep_other_extreme(best, value, better),
    }
}

#[inline(never)]
fn keep_other_extreme(best: &mut Value, value: &Value, better: Ordering) {
    let ordered = match value {
        Value::Int(_) | Value::Str(_) | Value::Duration(_) | Value::Timestamp(_) => true,
        Value::Float(value) => !value.is_nan(),
        Value::Missing | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Map(_) => false,
    };
    if ordered && (best.is_missing() || key_cmp(value, best) == better) {
        best.clone_from(value);
    }
}

/// Welford's running mean and sum of squared distances from it: stable where all numbers are large and close together.
#[derive(Clone, Debug, Default)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, number: f64) {
        self.count += 1;
        let before = number - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (number - self.mean);
    }

    /// Chan's update for two parts.
    fn merge(&mut self, later: &Self) {
        let count = self.count + later.count;
        if later.count > 0 {
            let share = later.count as f64 / count as f64;
            let apart = later.mean - self.mean;
            self.mean += apart * share;
            self.squares += later.squares + apart * apart * self.count as f64 * share;
            self.count = count;
        }
    }

    /// Of a sample: divided by one less than the count.
    fn variance(&self) -> Option<f64> {
        (self.count >= 2).then(|| self.squares / (self.count - 1) as f64)
    }
}

/// The number below which the share `p` of `numbers` lies, on the line between the two nearest.
fn quantile(numbers: &mut [f64], p: f64) -> Option<f64> {
    let last = numbers.len().checked_sub(1)?;
    let place = p * last as f64;
    let below = (place.floor() as usize).min(last);
    let share = place - below as f64;
    let (_, low, above) = numbers.select_nth_unstable_by(below, f64::total_cmp);
    let low = *low;
    let high = above.iter().copied().min_by(f64::total_cmp).unwrap_or(low);
    // Without a share of it the upper neighbour must not count: an infinite one would make NaN.
    Some(if share == 0.0 || low == high { low } else { low + (high - low) * share })
}
