//! Values as JSON, and the plain text of scalars.
//!
//! Floats are written in the shortest form that reads back the same, always with a `.` or an exponent, so that a float
//! never comes back as an int; NaN and the infinities are null. Timestamps are RFC 3339 texts, durations int
//! nanoseconds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::time::{with_rfc3339, write_rfc3339};
use super::{Map, Text, Value};

/// How many entries a map that comes from JSON may have: maps are searched by walking, so that adding `n` entries
/// takes `n²` steps.
pub const MAX_MAP_ENTRIES: usize = 4096;

/// `value` as JSON; a value that is missing as null.
pub fn json_text(value: &Value) -> String {
    if value.is_missing() {
        return "null".to_owned();
    }
    let mut text = Vec::new();
    write_json(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}

/// Appends `value` as JSON. No value is written as null in an array, and not at all in a map.
///
/// ```
/// use varpin::event::{Value, json};
/// let mut out = Vec::new();
/// json::write_json(&mut out, &Value::array(vec![Value::Float(2.0), Value::from("a\"b"), Value::Null]));
/// assert_eq!(out, br#"[2.0,"a\"b",null]"#);
/// ```
pub fn write_json(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Int(value) | Value::Duration(value) => write_int(out, *value),
        Value::Float(value) => write_float(out, *value),
        Value::Str(text) => write_str(out, text),
        Value::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Value::Missing | Value::Null => out.extend_from_slice(b"null"),
        Value::Timestamp(ns) => {
            out.push(b'"');
            write_rfc3339(out, *ns);
            out.push(b'"');
        }
        Value::Array(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(out, value);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            let mut first = true;
            for (name, value) in map.iter().filter(|(_, value)| !value.is_missing()) {
                if !first {
                    out.push(b',');
                }
                first = false;
                write_str(out, name);
                out.push(b':');
                write_json(out, value);
            }
            out.push(b'}');
        }
    }
}

/// Appends an int.
#[inline]
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a float; null if it is not finite.
#[inline]
pub fn write_float(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends `text` in quotes, with what JSON does not allow inside them escaped.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if needs_escape(bytes) {
        write_escaped(out, bytes);
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

/// Whether a byte must be escaped. Looks at eight bytes at a time, since hardly any text has one.
#[inline]
fn needs_escape(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| found | escape_bits(*word));
    match bytes.last_chunk::<8>() {
        // The last eight once more, in part, are cheaper than the rest byte by byte.
        Some(last) => found | escape_bits(*last) != 0,
        None => rest.iter().any(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\'),
    }
}

/// The high bit of each byte that must be escaped, and perhaps that of bytes above such a one; 0 if there is none.
#[inline]
fn escape_bits(word: [u8; 8]) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let word = u64::from_le_bytes(word);
    // Subtracting n from a byte sets its high bit if the byte is less than n (and was not >= 128 before).
    let below = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    below(word, 0x20) | quote | backslash
}

#[cold]
fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &byte in bytes {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
}

/// Calls `then` with the text of a scalar, as concatenation appends it: as in JSON, without quotes. Floats that are
/// not finite are `NaN`, `inf` and `-inf`. None for null, no value, arrays and maps, which are no scalars.
pub fn with_scalar_text<R>(value: &Value, then: impl FnOnce(&str) -> R) -> Option<R> {
    Some(match value {
        Value::Str(text) => then(text),
        Value::Int(value) | Value::Duration(value) => then(itoa::Buffer::new().format(*value)),
        Value::Float(value) => then(zmij::Buffer::new().format(*value)),
        Value::Bool(value) => then(if *value { "true" } else { "false" }),
        Value::Timestamp(ns) => with_rfc3339(*ns, then),
        Value::Missing | Value::Null | Value::Array(_) | Value::Map(_) => return None,
    })
}

/// Appends the text of any value: that of a scalar, and JSON for everything else.
pub fn push_text(out: &mut String, value: &Value) {
    if with_scalar_text(value, |text| out.push_str(text)).is_none() {
        let mut json = Vec::new();
        write_json(&mut json, value);
        out.push_str(std::str::from_utf8(&json).expect("JSON of texts in UTF-8 is UTF-8"));
    }
}

/// Reads one JSON value. Maps keep their order, and the last of two entries with one name wins; ints outside i64
/// become floats. None if it is no JSON, nests deeper than 127, or has a map with more than [`MAX_MAP_ENTRIES`].
///
/// ```
/// use varpin::event::{Value, json};
/// assert!(matches!(json::parse_json("[1, 2.5]"), Some(Value::Array(values)) if values.len() == 2));
/// assert!(json::parse_json("[1,").is_none());
/// ```
pub fn parse_json(text: &str) -> Option<Value> {
    serde_json::from_str::<Parsed>(text).ok().map(|parsed| parsed.0)
}

/// A value that can be read: kept apart from [`Value`], whose readers and writers for other formats have other rules.
struct Parsed(Value);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor).map(Self)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Parsed(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::default();
        while let Some(Name(name)) = entries.next_key()? {
            let Parsed(value) = entries.next_value()?;
            map.insert(name, value);
            if map.len() > MAX_MAP_ENTRIES {
                return Err(A::Error::custom("too many entries"));
            }
        }
        Ok(Value::map(map))
    }
}

/// The name of an entry, read without a `String` in between.
struct Name(Text);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(Text::new(text)))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}
