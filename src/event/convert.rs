//! Values into declared types, without loss or not at all.

use super::time::{parse_duration, parse_rfc3339};
use super::{FieldType, Map, Value};

/// Nanoseconds in a millisecond: ints that stand for a time count these.
const MILLISECOND_NS: i64 = 1_000_000;

/// `value` as a `ty`, or `value` itself back where nothing exact can be made of it.
///
/// int <-> float where exact; RFC 3339 text or int milliseconds to a timestamp; text such as `5s` to a duration; the
/// items of arrays and maps and the fields of records likewise. No value and null fit every type.
///
/// ```
/// use varpin::event::{FieldType, Value, convert::convert};
/// assert!(matches!(convert(Value::Float(2.0), &FieldType::Int), Ok(Value::Int(2))));
/// assert!(matches!(convert(Value::Float(2.5), &FieldType::Int), Err(Value::Float(_))));
/// ```
pub fn convert(value: Value, ty: &FieldType) -> Result<Value, Value> {
    if fits(&value, ty) {
        return Ok(value);
    }
    let converted = match (&value, ty) {
        (Value::Int(int), FieldType::Float) => exact_float(*int).map(Value::Float),
        (Value::Float(float), FieldType::Int) => exact_int(*float).map(Value::Int),
        (Value::Int(ms), FieldType::Timestamp) => ms.checked_mul(MILLISECOND_NS).map(Value::Timestamp),
        (Value::Str(text), FieldType::Timestamp) => parse_rfc3339(text).map(Value::Timestamp),
        (Value::Str(text), FieldType::Duration) => parse_duration(text).map(Value::Duration),
        (Value::Array(values), FieldType::Array(item)) => {
            let values = values.iter().map(|value| convert(value.clone(), item).ok());
            values.collect::<Option<Vec<_>>>().map(Value::array)
        }
        (Value::Map(map), FieldType::Map(item)) => {
            let entries =
                map.iter().map(|(name, value)| Some((name.clone(), convert(value.clone(), item).ok()?)));
            entries.collect::<Option<Map>>().map(Value::map)
        }
        (Value::Map(map), FieldType::Record(fields)) => {
            let declared =
                map.iter().filter_map(|(name, value)| Some((name, value, field_of(fields, name)?)));
            let entries =
                declared.map(|(name, value, ty)| Some((name.clone(), convert(value.clone(), ty).ok()?)));
            entries.collect::<Option<Map>>().map(Value::map)
        }
        _ => None,
    };
    converted.ok_or(value)
}

/// Whether `value` is a `ty` as it stands.
fn fits(value: &Value, ty: &FieldType) -> bool {
    match (value, ty) {
        (Value::Missing | Value::Null, _)
        | (_, FieldType::Any)
        | (Value::Int(_), FieldType::Int)
        | (Value::Float(_), FieldType::Float)
        | (Value::Bool(_), FieldType::Bool)
        | (Value::Str(_), FieldType::Str)
        | (Value::Timestamp(_), FieldType::Timestamp)
        | (Value::Duration(_), FieldType::Duration) => true,
        (Value::Array(values), FieldType::Array(item)) => values.iter().all(|value| fits(value, item)),
        (Value::Map(map), FieldType::Map(item)) => map.iter().all(|(_, value)| fits(value, item)),
        (Value::Map(map), FieldType::Record(fields)) => {
            map.iter().all(|(name, value)| field_of(fields, name).is_some_and(|ty| fits(value, ty)))
        }
        _ => false,
    }
}

/// The type of the field of a record.
fn field_of<'t>(fields: &'t [(String, FieldType)], name: &str) -> Option<&'t FieldType> {
    fields.iter().find(|(field, _)| field == name).map(|(_, ty)| ty)
}

/// The float of the same value, if there is one.
fn exact_float(int: i64) -> Option<f64> {
    let float = int as f64;
    // Through i128, because 2^63, which i64::MAX rounds up to, is no i64 and would saturate back to i64::MAX.
    (float as i128 == i128::from(int)).then_some(float)
}

/// The int of the same value, if there is one.
fn exact_int(float: f64) -> Option<i64> {
    let in_range = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    (in_range && float.trunc() == float).then_some(float as i64)
}
