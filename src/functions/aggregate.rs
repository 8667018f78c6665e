//! The aggregates of windows: their names, their arguments, and the one that must be constant.

use crate::event::Value;

/// What is made of the values of a window's rows.
///
/// ```
/// use varpin::event::Value;
/// use varpin::functions::{Accumulator, Aggregate};
/// let mut sum = Accumulator::new(Aggregate::lookup("sum").unwrap(), 0.0);
/// sum.add(&Value::Int(2));
/// sum.add(&Value::Null);
/// assert!(matches!(sum.finish(), Value::Int(2)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregate {
    /// `count()`: rows; `count(x)`: rows where x has a value.
    Count,
    /// `count_distinct(x)`, and `count(distinct(x))`: different values, numbers by value.
    CountDistinct,
    /// `sum(x)`: of numbers; 0 without any.
    Sum,
    /// `avg(x)`: of numbers, as a float.
    Avg,
    /// `min(x)`: of values of ordered types.
    Min,
    /// `max(x)`: of values of ordered types.
    Max,
    /// `first(x)`: the first value to arrive.
    First,
    /// `last(x)`: the last value to arrive.
    Last,
    /// `stddev(x)`: of a sample; null below two numbers.
    Stddev,
    /// `variance(x)`: of a sample; null below two numbers.
    Variance,
    /// `median(x)`
    Median,
    /// `percentile(x, p)`: with p from 0 to 1, interpolated linearly.
    Percentile,
    /// `p50(x)`
    P50,
    /// `p95(x)`
    P95,
    /// `p99(x)`
    P99,
    /// `ema(x, n)`: the exponential moving average over about n values.
    Ema,
    /// `collect(x)`: the values as an array.
    Collect,
}

const TABLE: &[(&str, Aggregate)] = &[
    ("count", Aggregate::Count),
    ("count_distinct", Aggregate::CountDistinct),
    ("sum", Aggregate::Sum),
    ("avg", Aggregate::Avg),
    ("min", Aggregate::Min),
    ("max", Aggregate::Max),
    ("first", Aggregate::First),
    ("last", Aggregate::Last),
    ("stddev", Aggregate::Stddev),
    ("variance", Aggregate::Variance),
    ("median", Aggregate::Median),
    ("percentile", Aggregate::Percentile),
    ("p50", Aggregate::P50),
    ("p95", Aggregate::P95),
    ("p99", Aggregate::P99),
    ("ema", Aggregate::Ema),
    ("collect", Aggregate::Collect),
];

impl Aggregate {
    /// The aggregate called `name`.
    pub fn lookup(name: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
    }

    /// Every name that [`Aggregate::lookup`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|entry| entry.0)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let entry = TABLE.iter().find(|entry| entry.1 == self);
        entry.expect("TABLE has every aggregate; tests/aggregates.rs looks each up").0
    }

    /// The fewest and the most arguments that it takes, the constant one included.
    pub fn arity(self) -> (usize, Option<usize>) {
        match self {
            Self::Count => (0, Some(1)),
            Self::Percentile | Self::Ema => (2, Some(2)),
            _ => (1, Some(1)),
        }
    }

    /// Whether its second argument is a constant, which [`Aggregate::check_param`] checks and [`Accumulator::new`]
    /// takes.
    ///
    /// [`Accumulator::new`]: super::Accumulator::new
    pub fn takes_param(self) -> bool {
        matches!(self, Self::Percentile | Self::Ema)
    }

    /// The constant argument as [`Accumulator::new`] takes it, or what is wrong with it.
    ///
    /// [`Accumulator::new`]: super::Accumulator::new
    pub fn check_param(self, param: &Value) -> Result<f64, String> {
        let number = match param {
            Value::Int(number) => *number as f64,
            Value::Float(number) => *number,
            _ => f64::NAN,
        };
        match self {
            Self::Percentile if !(0.0..=1.0).contains(&number) => {
                Err("the second argument of percentile must be a number from 0 to 1, such as 0.95".into())
            }
            Self::Ema if !(1.0..f64::INFINITY).contains(&number) => {
                Err("the second argument of ema must be a number from 1 on: over how many values it averages"
                    .into())
            }
            _ => Ok(number),
        }
    }
}
