//! Functions from one type to another, and of values that may be absent.

use crate::event::convert::convert;
use crate::event::json::{parse_json, push_text, with_scalar_text};
use crate::event::{FieldType, Value};

use super::math;

/// The text that concatenation would append; of null `null`, of arrays and maps their JSON.
pub(super) fn to_string(x: &Value) -> Value {
    with_scalar_text(x, |text| Value::from(text)).unwrap_or_else(|| {
        let mut text = String::new();
        push_text(&mut text, x);
        Value::from(text.as_str())
    })
}

/// Ints, floats (truncated), bools (0 and 1), and the text of an int.
pub(super) fn to_int(x: &Value) -> Value {
    match x {
        Value::Int(_) => x.clone(),
        Value::Float(x) => math::to_int(x.trunc()),
        Value::Bool(x) => Value::Int(i64::from(*x)),
        Value::Str(text) => text.parse().map_or(Value::Missing, Value::Int),
        _ => Value::Missing,
    }
}

/// Numbers, and the text of one.
pub(super) fn to_float(x: &Value) -> Value {
    match x {
        Value::Int(x) => Value::Float(*x as f64),
        Value::Float(_) => x.clone(),
        // Rust's parser also knows `inf` and `NaN`, which are words like any other in event files.
        Value::Str(text) => match text.parse::<f64>() {
            Ok(float) if float.is_finite() => Value::Float(float),
            _ => Value::Missing,
        },
        _ => Value::Missing,
    }
}

/// What a field declared as `timestamp` would make of it: RFC 3339 text, int milliseconds.
pub(super) fn to_timestamp(x: &Value) -> Value {
    match convert(x.clone(), &FieldType::Timestamp) {
        Ok(time @ Value::Timestamp(_)) => time,
        _ => Value::Missing,
    }
}

pub(super) fn type_of(x: &Value) -> Value {
    Value::from(match x {
        Value::Missing => return Value::Missing,
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Str(_) => "string",
        Value::Duration(_) => "duration",
        Value::Timestamp(_) => "timestamp",
        Value::Array(_) => "array",
        Value::Map(_) => "map",
    })
}

/// Reads JSON.
pub(super) fn parse(x: &Value) -> Value {
    match x {
        Value::Str(text) => parse_json(text).unwrap_or_default(),
        _ => Value::Missing,
    }
}

/// The first that has a value other than null; the last where none has.
pub(super) fn coalesce(values: &[Value]) -> Value {
    values.iter().find(|value| !value.is_absent()).or(values.last()).cloned().unwrap_or_default()
}
