//! Functions of numbers.

use std::cmp::Ordering;

use crate::event::{Value, arith, order};

use super::{Accumulator, Aggregate};

/// A number as a float.
fn float(x: &Value) -> Option<f64> {
    match x {
        Value::Int(x) => Some(*x as f64),
        Value::Float(x) => Some(*x),
        _ => None,
    }
}

/// A function from float to float.
pub(super) fn of_float(x: &Value, function: fn(f64) -> f64) -> Value {
    float(x).map_or(Value::Missing, |x| Value::Float(function(x)))
}

/// A float made whole by `function`, as an int. No value where it is no i64.
pub(super) fn whole(x: &Value, function: fn(f64) -> f64) -> Value {
    match x {
        Value::Int(_) => x.clone(),
        Value::Float(x) => to_int(function(*x)),
        _ => Value::Missing,
    }
}

/// The int that `x`, truncated, is. No value for NaN and for what is no i64.
pub(super) fn to_int(x: f64) -> Value {
    float_to_int(x).map_or(Value::Missing, Value::Int)
}

/// The int that `x`, truncated, is; none for NaN and for what is no i64.
///
/// ```
/// use varpin::functions::float_to_int;
/// assert_eq!(float_to_int(-2.5), Some(-2));
/// assert_eq!(float_to_int(1e19), None);
/// ```
#[inline]
pub fn float_to_int(x: f64) -> Option<i64> {
    /// 2^63
    const END: f64 = 9_223_372_036_854_775_808.0;
    (-END..END).contains(&x).then_some(x as i64)
}

pub(super) fn abs(x: &Value) -> Value {
    match x {
        Value::Float(x) => Value::Float(x.abs()),
        Value::Int(0..) | Value::Duration(0..) => x.clone(),
        _ => arith::neg(x),
    }
}

/// Rounds to `digits` decimals, half away from zero; negative digits are those before the point.
pub(super) fn round_to(x: &Value, digits: &Value) -> Value {
    let (Some(x), Value::Int(digits)) = (float(x), digits) else {
        return Value::Missing;
    };
    /// No float has more decimals, and 10^308 is the last power of ten that is a float.
    const MOST: i64 = 308;
    let power = 10_f64.powi(digits.unsigned_abs().min(MOST as u64) as i32);
    let rounded = if *digits < 0 { (x / power).round() * power } else { (x * power).round() / power };
    // A number that is too large for the multiplication has no decimals to round.
    Value::Float(if rounded.is_finite() { rounded } else { x })
}

pub(super) fn min(values: &[Value]) -> Value {
    extreme(values, Aggregate::Min, Ordering::Less)
}

pub(super) fn max(values: &[Value]) -> Value {
    extreme(values, Aggregate::Max, Ordering::Greater)
}

/// The extreme of two or more values of one ordered type, or of one array by the rules of `aggregate`. The first of
/// equals. NaN counts only where there is nothing else.
fn extreme(values: &[Value], aggregate: Aggregate, better: Ordering) -> Value {
    let mut best = match values {
        [Value::Array(values)] => return Accumulator::over(aggregate, values),
        [first, _, ..] => first,
        _ => return Value::Missing,
    };
    for value in values {
        match order::compare(value, best) {
            Some(ordering) if ordering == better => best = value,
            Some(_) => {}
            None => match (value, best) {
                (Value::Float(x), Value::Int(_) | Value::Float(_)) if x.is_nan() => {}
                (Value::Int(_) | Value::Float(_), Value::Float(x)) if x.is_nan() => best = value,
                _ => return Value::Missing,
            },
        }
    }
    best.clone()
}

/// `x` brought between `low` and `high`; no value where `low` is above `high`, and across types.
pub(super) fn clamp(x: &Value, low: &Value, high: &Value) -> Value {
    match (order::gt(low, high), order::lt(x, low), order::gt(x, high)) {
        (Some(false), Some(true), Some(_)) => low.clone(),
        (Some(false), Some(false), Some(true)) => high.clone(),
        (Some(false), Some(false), Some(false)) => x.clone(),
        _ => Value::Missing,
    }
}
