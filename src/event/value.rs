//! A value of 16 bytes. `Missing` is a value too, the absence of one: a field that is not there, an overflow.

use std::sync::Arc;

use super::{Map, Text};

/// A value of VPL. 16 bytes; only long text, arrays and maps are behind a pointer.
///
/// ```
/// use varpin::event::Value;
/// assert_eq!(std::mem::size_of::<Value>(), 16);
/// assert!(Value::from("a text longer than fourteen bytes").is_shared());
/// ```
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// No value: a missing field, a type mismatch, division by zero, overflow. Never printed.
    #[default]
    Missing,
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A 64-bit float.
    Float(f64),
    /// Text in UTF-8.
    Str(Text),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// A point in time in nanoseconds since the epoch.
    Timestamp(i64),
    /// An array.
    Array(Arc<Vec<Value>>),
    /// A map.
    Map(Arc<Map>),
}

const _: () = assert!(size_of::<Value>() == 16);

impl Value {
    /// Whether cloning it touches a shared counter and dropping it may free memory.
    #[inline]
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Str(text) => !text.is_inline(),
            Self::Array(_) | Self::Map(_) => true,
            Self::Missing
            | Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::Duration(_)
            | Self::Timestamp(_) => false,
        }
    }

    /// Lets go of it. The same as dropping it, only that nothing is called where nothing is shared.
    #[inline]
    pub fn discard(self) {
        if self.is_shared() {
            drop(self);
        } else {
            // It owns nothing, so nothing is lost.
            std::mem::forget(self);
        }
    }

    /// Whether there is no value.
    #[inline]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// Whether there is no value, or null: what aggregates skip.
    #[inline]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }

    /// An array of `values`.
    pub fn array(values: Vec<Self>) -> Self {
        Self::Array(Arc::new(values))
    }

    /// A map value.
    pub fn map(map: Map) -> Self {
        Self::Map(Arc::new(map))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(Text::new(value))
    }
}
