//! Arithmetic on values: what has no result (a mismatch of types, division by zero, overflow) is [`Value::Missing`].
//!
//! Two ints and two floats are decided in place, inlined into the caller; every other pair goes through one call.

use super::json::with_scalar_text;
use super::{Text, Value};

/// The longest text that concatenation and the text functions make; what would be longer has no value. Without it a
/// loop of `s := s + s` would take all memory within forty rounds.
pub const MAX_TEXT_BYTES: usize = 16 << 20;

/// `a + b`: numbers, text and a scalar's text, timestamps and durations.
///
/// ```
/// use varpin::event::{Value, arith};
/// assert!(matches!(arith::add(&Value::Int(2), &Value::Float(0.5)), Value::Float(2.5)));
/// assert!(arith::add(&Value::Int(i64::MAX), &Value::Int(1)).is_missing());
/// ```
#[inline]
pub fn add(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_add(*b)),
        (Value::Float(a), Value::Float(b)) => Value::Float(a + b),
        _ => add_other(a, b),
    }
}

/// `a - b`: numbers, timestamps and durations.
#[inline]
pub fn sub(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_sub(*b)),
        (Value::Float(a), Value::Float(b)) => Value::Float(a - b),
        _ => sub_other(a, b),
    }
}

/// `a * b`: numbers; a duration and an int.
#[inline]
pub fn mul(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(a.checked_mul(*b)),
        (Value::Float(a), Value::Float(b)) => Value::Float(a * b),
        _ => mul_other(a, b),
    }
}

/// `a / b`: ints truncate towards zero; a duration by an int. By zero, also by 0.0: no value.
#[inline]
pub fn div(a: &Value, b: &Value) -> Value {
    match (a, b) {
        // `checked_div` refuses zero, and i64::MIN / -1, which is no i64.
        (Value::Int(a), Value::Int(b)) => int(a.checked_div(*b)),
        (Value::Float(a), Value::Float(b)) => quotient(*a, *b),
        _ => div_other(a, b),
    }
}

/// `a % b`: the sign is that of `a`. By zero, also by 0.0: no value.
#[inline]
pub fn rem(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(_), Value::Int(0)) => Value::Missing,
        // Wrapping, because i64::MIN % -1 is 0, although the division behind it overflows.
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_rem(*b)),
        (Value::Float(a), Value::Float(b)) => remainder(*a, *b),
        _ => match floats(a, b) {
            Some((a, b)) => remainder(a, b),
            None => Value::Missing,
        },
    }
}

/// `a ** b`: an int for an int base and an int exponent from 0 on, else a float.
pub fn pow(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(base), Value::Int(exponent)) if *exponent >= 0 => int_power(*base, *exponent),
        _ => match floats(a, b) {
            Some((a, b)) => Value::Float(a.powf(b)),
            None => Value::Missing,
        },
    }
}

/// `-a`: numbers and durations.
#[inline]
pub fn neg(a: &Value) -> Value {
    match a {
        Value::Int(a) => int(a.checked_neg()),
        Value::Float(a) => Value::Float(-a),
        Value::Duration(a) => duration(a.checked_neg()),
        _ => Value::Missing,
    }
}

/// `a & b`: ints.
#[inline]
pub fn bit_and(a: &Value, b: &Value) -> Value {
    bits(a, b, |a, b| Some(a & b))
}

/// `a | b`: ints.
#[inline]
pub fn bit_or(a: &Value, b: &Value) -> Value {
    bits(a, b, |a, b| Some(a | b))
}

/// `a ^ b`: ints.
#[inline]
pub fn bit_xor(a: &Value, b: &Value) -> Value {
    bits(a, b, |a, b| Some(a ^ b))
}

/// `~a`: ints.
#[inline]
pub fn bit_not(a: &Value) -> Value {
    match a {
        Value::Int(a) => Value::Int(!a),
        _ => Value::Missing,
    }
}

/// `a << b`: ints; bits that leave on the left are gone. A shift outside 0..64 has no value.
#[inline]
pub fn shl(a: &Value, b: &Value) -> Value {
    bits(a, b, |a, b| a.checked_shl(u32::try_from(b).ok()?))
}

/// `a >> b`: ints; the sign stays. A shift outside 0..64 has no value.
#[inline]
pub fn shr(a: &Value, b: &Value) -> Value {
    bits(a, b, |a, b| a.checked_shr(u32::try_from(b).ok()?))
}

/// Joins two texts; longer than [`MAX_TEXT_BYTES`]: no value.
pub fn join_text(a: &str, b: &str) -> Value {
    // Most results are short: those are put together on the stack, so that one which fits into a `Text` in place
    // costs no allocation.
    const ON_STACK: usize = 64;
    let len = a.len() + b.len();
    if len <= ON_STACK {
        let mut bytes = [0; ON_STACK];
        bytes[..a.len()].copy_from_slice(a.as_bytes());
        bytes[a.len()..len].copy_from_slice(b.as_bytes());
        let text =
            std::str::from_utf8(&bytes[..len]).expect("two texts in UTF-8, one behind the other, are UTF-8");
        Value::Str(Text::new(text))
    } else if len <= MAX_TEXT_BYTES {
        let mut text = String::with_capacity(len);
        text.push_str(a);
        text.push_str(b);
        Value::from(text.as_str())
    } else {
        Value::Missing
    }
}

#[inline]
fn int(result: Option<i64>) -> Value {
    result.map_or(Value::Missing, Value::Int)
}

#[inline]
fn duration(result: Option<i64>) -> Value {
    result.map_or(Value::Missing, Value::Duration)
}

#[inline]
fn timestamp(result: Option<i64>) -> Value {
    result.map_or(Value::Missing, Value::Timestamp)
}

#[inline]
fn quotient(a: f64, b: f64) -> Value {
    if b == 0.0 { Value::Missing } else { Value::Float(a / b) }
}

#[inline]
fn remainder(a: f64, b: f64) -> Value {
    if b == 0.0 { Value::Missing } else { Value::Float(a % b) }
}

#[inline]
fn bits(a: &Value, b: &Value, operator: impl Fn(i64, i64) -> Option<i64>) -> Value {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => int(operator(*a, *b)),
        _ => Value::Missing,
    }
}

/// Two numbers as floats.
#[inline]
fn floats(a: &Value, b: &Value) -> Option<(f64, f64)> {
    match (a, b) {
        (Value::Int(a), Value::Float(b)) => Some((*a as f64, *b)),
        (Value::Float(a), Value::Int(b)) => Some((*a, *b as f64)),
        (Value::Float(a), Value::Float(b)) => Some((*a, *b)),
        (Value::Int(a), Value::Int(b)) => Some((*a as f64, *b as f64)),
        _ => None,
    }
}

fn int_power(base: i64, exponent: i64) -> Value {
    match u32::try_from(exponent) {
        Ok(exponent) => int(base.checked_pow(exponent)),
        // An exponent beyond u32 leaves only the bases whose powers never grow.
        Err(_) => match base {
            0 | 1 => Value::Int(base),
            -1 => Value::Int(if exponent % 2 == 0 { 1 } else { -1 }),
            _ => Value::Missing,
        },
    }
}

// The rest is kept out of line, so that the two cases above stay small where they are inlined. An int with a float
// comes first: `price * quantity` is no rarity.

#[inline(never)]
fn add_other(a: &Value, b: &Value) -> Value {
    if let Some((a, b)) = floats(a, b) {
        return Value::Float(a + b);
    }
    match (a, b) {
        (Value::Str(a), Value::Str(b)) => join_text(a, b),
        (Value::Str(a), _) => with_scalar_text(b, |b| join_text(a, b)).unwrap_or_default(),
        (Value::Duration(a), Value::Duration(b)) => duration(a.checked_add(*b)),
        (Value::Timestamp(a), Value::Duration(b)) | (Value::Duration(a), Value::Timestamp(b)) => {
            timestamp(a.checked_add(*b))
        }
        _ => Value::Missing,
    }
}

#[inline(never)]
fn sub_other(a: &Value, b: &Value) -> Value {
    if let Some((a, b)) = floats(a, b) {
        return Value::Float(a - b);
    }
    match (a, b) {
        (Value::Timestamp(a), Value::Timestamp(b)) | (Value::Duration(a), Value::Duration(b)) => {
            duration(a.checked_sub(*b))
        }
        (Value::Timestamp(a), Value::Duration(b)) => timestamp(a.checked_sub(*b)),
        _ => Value::Missing,
    }
}

#[inline(never)]
fn mul_other(a: &Value, b: &Value) -> Value {
    if let Some((a, b)) = floats(a, b) {
        return Value::Float(a * b);
    }
    match (a, b) {
        (Value::Duration(a), Value::Int(b)) | (Value::Int(a), Value::Duration(b)) => {
            duration(a.checked_mul(*b))
        }
        _ => Value::Missing,
    }
}

#[inline(never)]
fn div_other(a: &Value, b: &Value) -> Value {
    if let Some((a, b)) = floats(a, b) {
        return quotient(a, b);
    }
    match (a, b) {
        (Value::Duration(a), Value::Int(b)) => duration(a.checked_div(*b)),
        _ => Value::Missing,
    }
}
