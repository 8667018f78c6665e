//! Floats and ints as registers hold them, with the arithmetic of the language.

use crate::event::Value;

/// Every int up to here is exact as a float.
const EXACT: u64 = 1 << 53;

/// The numbers of one kind. None: no number of this kind, and perhaps no value at all.
pub(super) trait Lane: Copy + PartialOrd {
    const ZERO: Self;
    fn of(value: &Value) -> Option<Self>;
    /// The int, if it is exactly a number of this kind.
    fn of_int(int: i64) -> Option<Self>;
    /// The same of an int between two that are.
    fn of_turn(turn: i64) -> Self;
    fn value(self) -> Value;
    fn add(self, other: Self) -> Option<Self>;
    fn sub(self, other: Self) -> Option<Self>;
    fn mul(self, other: Self) -> Option<Self>;
    fn div(self, other: Self) -> Option<Self>;
    fn rem(self, other: Self) -> Option<Self>;
    fn neg(self) -> Option<Self>;
    fn abs(self) -> Option<Self>;
    fn min(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    /// A function from float to float.
    fn through(self, function: fn(f64) -> f64) -> Option<Self>;
}

impl Lane for f64 {
    const ZERO: Self = 0.0;
    #[inline]
    fn of(value: &Value) -> Option<Self> {
        if let Value::Float(value) = value { Some(*value) } else { None }
    }
    #[inline]
    fn of_int(int: i64) -> Option<Self> {
        (int.unsigned_abs() <= EXACT).then_some(int as Self)
    }
    #[inline]
    fn of_turn(turn: i64) -> Self {
        turn as Self
    }
    #[inline]
    fn value(self) -> Value {
        Value::Float(self)
    }
    #[inline]
    fn add(self, other: Self) -> Option<Self> {
        Some(self + other)
    }
    #[inline]
    fn sub(self, other: Self) -> Option<Self> {
        Some(self - other)
    }
    #[inline]
    fn mul(self, other: Self) -> Option<Self> {
        Some(self * other)
    }
    #[inline]
    fn div(self, other: Self) -> Option<Self> {
        (other != 0.0).then(|| self / other)
    }
    #[inline]
    fn rem(self, other: Self) -> Option<Self> {
        (other != 0.0).then(|| self % other)
    }
    #[inline]
    fn neg(self) -> Option<Self> {
        Some(-self)
    }
    #[inline]
    fn abs(self) -> Option<Self> {
        Some(self.abs())
    }
    // The first of equals; NaN only where there is nothing else.
    #[inline]
    fn min(self, other: Self) -> Self {
        if self.is_nan() || other < self { other } else { self }
    }
    #[inline]
    fn max(self, other: Self) -> Self {
        if self.is_nan() || other > self { other } else { self }
    }
    #[inline]
    fn through(self, function: fn(f64) -> f64) -> Option<Self> {
        Some(function(self))
    }
}

impl Lane for i64 {
    const ZERO: Self = 0;
    #[inline]
    fn of(value: &Value) -> Option<Self> {
        if let Value::Int(value) = value { Some(*value) } else { None }
    }
    #[inline]
    fn of_int(int: i64) -> Option<Self> {
        Some(int)
    }
    #[inline]
    fn of_turn(turn: i64) -> Self {
        turn
    }
    #[inline]
    fn value(self) -> Value {
        Value::Int(self)
    }
    #[inline]
    fn add(self, other: Self) -> Option<Self> {
        self.checked_add(other)
    }
    #[inline]
    fn sub(self, other: Self) -> Option<Self> {
        self.checked_sub(other)
    }
    #[inline]
    fn mul(self, other: Self) -> Option<Self> {
        self.checked_mul(other)
    }
    #[inline]
    fn div(self, other: Self) -> Option<Self> {
        self.checked_div(other)
    }
    #[inline]
    fn rem(self, other: Self) -> Option<Self> {
        // Wrapping, because i64::MIN % -1 is 0, although the division behind it overflows.
        (other != 0).then(|| self.wrapping_rem(other))
    }
    #[inline]
    fn neg(self) -> Option<Self> {
        self.checked_neg()
    }
    #[inline]
    fn abs(self) -> Option<Self> {
        self.checked_abs()
    }
    #[inline]
    fn min(self, other: Self) -> Self {
        Ord::min(self, other)
    }
    #[inline]
    fn max(self, other: Self) -> Self {
        Ord::max(self, other)
    }
    #[inline]
    fn through(self, _function: fn(f64) -> f64) -> Option<Self> {
        None
    }
}
