//! Numbers by their text: `-?digits`, optionally `.digits`, optionally an exponent. Anything else is a word.
//!
//! Small decimal fractions need no general algorithm: where the digits fit into 53 bits and the power of ten is one
//! that a float holds exactly, one multiplication or division of two exact floats is rounded correctly by itself
//! (Clinger).

use crate::event::Value;

/// The powers of ten that a float holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];
/// Below this many digits a `u64` cannot overflow.
const SAFE_DIGITS: usize = 19;

/// What a text begins with.
pub(super) enum Number {
    /// No number.
    None,
    /// A number of this many bytes.
    Some(Value, usize),
    /// A number of this many bytes that no float can hold.
    TooLarge(usize),
}

/// The number that `text` begins with at byte `start`. What stands behind it, the caller judges.
#[inline]
pub(super) fn number(text: &str, start: usize) -> Number {
    let bytes = text.as_bytes();
    let mut at = start;
    let negative = bytes.get(at) == Some(&b'-');
    at += usize::from(negative);
    let (mut mantissa, whole) = digits(bytes, at, 0);
    if whole == 0 {
        return Number::None;
    }
    at += whole;
    let mut exact = whole <= SAFE_DIGITS;
    if !matches!(bytes.get(at), Some(b'.' | b'e' | b'E')) {
        if exact && let Ok(magnitude) = i64::try_from(mantissa) {
            return Number::Some(Value::Int(if negative { -magnitude } else { magnitude }), at - start);
        }
        return long_int(&text[start..at]);
    }
    let mut power: i32 = 0;
    if bytes[at] == b'.' {
        let (grown, fraction) = digits(bytes, at + 1, mantissa);
        if fraction == 0 {
            return Number::None;
        }
        mantissa = grown;
        at += 1 + fraction;
        exact = whole + fraction <= SAFE_DIGITS;
        if exact {
            power = -(fraction as i32);
        }
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let Some((exponent, end)) = exponent(bytes, at + 1) else { return Number::None };
        power += exponent;
        at = end;
    }
    if exact && mantissa <= 1 << f64::MANTISSA_DIGITS && power.unsigned_abs() < EXACT_POWERS.len() as u32 {
        let scale = EXACT_POWERS[power.unsigned_abs() as usize];
        let magnitude = if power < 0 { mantissa as f64 / scale } else { mantissa as f64 * scale };
        return Number::Some(Value::Float(if negative { -magnitude } else { magnitude }), at - start);
    }
    general(&text[start..at])
}

/// Adds the digits from `at` on to `mantissa` (wrapping), and says how many there are.
#[inline]
fn digits(bytes: &[u8], at: usize, mut mantissa: u64) -> (u64, usize) {
    let mut count = 0;
    while let Some(byte) = bytes.get(at + count) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    (mantissa, count)
}

/// The exponent whose sign or first digit is at `at`, and where it ends. Beyond any float's it saturates.
fn exponent(bytes: &[u8], mut at: usize) -> Option<(i32, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    if matches!(bytes.get(at), Some(b'-' | b'+')) {
        at += 1;
    }
    let first = at;
    let mut exponent: i32 = 0;
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        exponent = (exponent * 10 + i32::from(digit - b'0')).min(100_000);
        at += 1;
    }
    (at > first).then_some((if negative { -exponent } else { exponent }, at))
}

#[cold]
fn long_int(text: &str) -> Number {
    match text.parse() {
        Ok(int) => Number::Some(Value::Int(int), text.len()),
        Err(_) => general(text),
    }
}

#[cold]
fn general(text: &str) -> Number {
    match text.parse::<f64>() {
        Ok(float) if float.is_finite() => Number::Some(Value::Float(float), text.len()),
        _ => Number::TooLarge(text.len()),
    }
}

/// The value of a whole text that is a number.
pub(super) fn whole_number(text: &str) -> Option<Value> {
    match number(text, 0) {
        Number::Some(value, len) if len == text.len() => Some(value),
        _ => None,
    }
}
