//! A number that travels in registers, and what the rules make of one number, or of two. Where they make no number of
//! them, or make it in a way that is rarely needed, there is none here: then the code that works on values is asked.

use crate::event::Value;
use crate::functions::float_to_int;

use super::truth::Comparison;

/// A number, or none. Two words of plain types, so that no memory is needed to hand it on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    kind: Kind,
    bits: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int,
    Float,
    None,
}

impl Number {
    pub(super) const NONE: Self = Self { kind: Kind::None, bits: 0 };

    #[inline]
    pub(super) fn int(value: i64) -> Self {
        Self { kind: Kind::Int, bits: value as u64 }
    }

    #[inline]
    pub(super) fn float(value: f64) -> Self {
        Self { kind: Kind::Float, bits: value.to_bits() }
    }

    #[inline]
    pub(super) fn of(value: &Value) -> Self {
        // One after the other, which is faster than telling all types apart at once.
        if let Value::Float(value) = value {
            Self::float(*value)
        } else if let Value::Int(value) = value {
            Self::int(*value)
        } else {
            Self::NONE
        }
    }

    /// As a value, where there is one.
    #[inline]
    pub(super) fn value(self) -> Option<Value> {
        match self.kind {
            Kind::Float => Some(Value::Float(self.as_float())),
            Kind::Int => Some(Value::Int(self.as_int())),
            Kind::None => None,
        }
    }

    /// Puts it over `place`; false where there is none.
    #[inline]
    pub(super) fn store(self, place: &mut Value) -> bool {
        // Over a number of its kind, which is what counters and sums are, only the number is written.
        match (self.kind, &mut *place) {
            (Kind::Float, Value::Float(old)) => *old = self.as_float(),
            (Kind::Int, Value::Int(old)) => *old = self.as_int(),
            (Kind::Float, _) => std::mem::replace(place, Value::Float(self.as_float())).discard(),
            (Kind::Int, _) => std::mem::replace(place, Value::Int(self.as_int())).discard(),
            (Kind::None, _) => return false,
        }
        true
    }

    #[inline]
    fn as_int(self) -> i64 {
        self.bits as i64
    }

    /// The float that it is, or that is next to the int.
    #[inline]
    fn as_float(self) -> f64 {
        if self.kind == Kind::Int { self.as_int() as f64 } else { f64::from_bits(self.bits) }
    }

    /// What `ints` or `floats` makes of it.
    #[inline]
    fn map(self, ints: impl Fn(i64) -> Option<i64>, floats: impl Fn(f64) -> Self) -> Self {
        match self.kind {
            Kind::Float => floats(self.as_float()),
            Kind::Int => ints(self.as_int()).map_or(Self::NONE, Self::int),
            Kind::None => Self::NONE,
        }
    }

    /// What `ints` or `floats` makes of two of one kind, `mixed` of an int with a float.
    #[inline]
    fn with(
        self,
        other: Self,
        ints: impl Fn(i64, i64) -> Option<i64>,
        floats: impl Fn(f64, f64) -> Option<f64>,
        mixed: impl Fn(f64, f64) -> Option<f64>,
    ) -> Self {
        match (self.kind, other.kind) {
            (Kind::Float, Kind::Float) => {
                floats(self.as_float(), other.as_float()).map_or(Self::NONE, Self::float)
            }
            (Kind::Int, Kind::Int) => ints(self.as_int(), other.as_int()).map_or(Self::NONE, Self::int),
            (Kind::None, _) | (_, Kind::None) => Self::NONE,
            _ => mixed(self.as_float(), other.as_float()).map_or(Self::NONE, Self::float),
        }
    }

    #[inline]
    pub(super) fn add(self, other: Self) -> Self {
        let floats = |a, b| Some(a + b);
        self.with(other, i64::checked_add, floats, floats)
    }

    #[inline]
    pub(super) fn sub(self, other: Self) -> Self {
        let floats = |a, b| Some(a - b);
        self.with(other, i64::checked_sub, floats, floats)
    }

    #[inline]
    pub(super) fn mul(self, other: Self) -> Self {
        let floats = |a, b| Some(a * b);
        self.with(other, i64::checked_mul, floats, floats)
    }

    #[inline]
    pub(super) fn div(self, other: Self) -> Self {
        let floats = |a: f64, b: f64| (b != 0.0).then(|| a / b);
        // `checked_div` refuses zero, and i64::MIN / -1, which is no i64.
        self.with(other, i64::checked_div, floats, floats)
    }

    #[inline]
    pub(super) fn rem(self, other: Self) -> Self {
        let floats = |a: f64, b: f64| (b != 0.0).then(|| a % b);
        // Wrapping, because i64::MIN % -1 is 0, although the division behind it overflows.
        let ints = |a: i64, b: i64| (b != 0).then(|| a.wrapping_rem(b));
        self.with(other, ints, floats, floats)
    }

    #[inline]
    pub(super) fn neg(self) -> Self {
        self.map(i64::checked_neg, |x| Self::float(-x))
    }

    #[inline]
    pub(super) fn abs(self) -> Self {
        self.map(i64::checked_abs, |x| Self::float(x.abs()))
    }

    /// What a function from float to float makes of it.
    #[inline]
    pub(super) fn through(self, function: impl Fn(f64) -> f64) -> Self {
        if self.kind == Kind::None { Self::NONE } else { Self::float(function(self.as_float())) }
    }

    /// An int; a float made whole by `function`.
    #[inline]
    pub(super) fn whole(self, function: impl Fn(f64) -> f64) -> Self {
        self.map(Some, |x| float_to_int(function(x)).map_or(Self::NONE, Self::int))
    }

    /// The lesser of two of one kind, the first of equals.
    #[inline]
    pub(super) fn min(self, other: Self) -> Self {
        let floats = |a: f64, b: f64| (!a.is_nan() && !b.is_nan()).then_some(if b < a { b } else { a });
        self.with(other, |a, b| Some(a.min(b)), floats, |_, _| None)
    }

    /// The greater of two of one kind, the first of equals.
    #[inline]
    pub(super) fn max(self, other: Self) -> Self {
        let floats = |a: f64, b: f64| (!a.is_nan() && !b.is_nan()).then_some(if b > a { b } else { a });
        self.with(other, |a, b| Some(a.max(b)), floats, |_, _| None)
    }

    /// The answer of a comparison of two of one kind.
    #[inline]
    pub(super) fn compare(self, comparison: Comparison, other: Self) -> Option<bool> {
        match (self.kind, other.kind) {
            (Kind::Float, Kind::Float) => Some(comparison.holds(self.as_float(), other.as_float())),
            (Kind::Int, Kind::Int) => Some(comparison.holds(self.as_int(), other.as_int())),
            _ => None,
        }
    }
}
