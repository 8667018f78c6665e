//! JSON values, straight from the text.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::scan::Limits;
use crate::event::{Map, Text, Value};

/// A key, or another string: borrowed from the text where it has no escapes.
pub(super) struct StrSeed;

impl<'de> DeserializeSeed<'de> for StrSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for StrSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// A value inside `depth` others. Where it need not be kept it is checked, and `Missing` is returned.
#[derive(Clone, Copy)]
pub(super) struct ValueSeed {
    pub(super) keep: bool,
    pub(super) depth: usize,
    pub(super) limits: Limits,
}

impl ValueSeed {
    fn inner<E: Error>(self) -> Result<Self, E> {
        if self.depth == self.limits.max_nesting {
            return Err(E::custom(format!("nested deeper than {} levels", self.limits.max_nesting)));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Float(value as f64), Value::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        if text.len() > self.limits.max_string_bytes {
            return Err(E::custom(format!("a string of more than {} bytes", self.limits.max_string_bytes)));
        }
        Ok(if self.keep { Value::Str(Text::new(text)) } else { Value::Missing })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            if self.keep {
                items.push(item);
            }
        }
        Ok(if self.keep { Value::array(items) } else { Value::Missing })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut map = Map::default();
        let mut count = 0;
        while let Some(key) = entries.next_key_seed(StrSeed)? {
            count += 1;
            if count > self.limits.max_fields {
                return Err(A::Error::custom(format!(
                    "a map of more than {} entries",
                    self.limits.max_fields
                )));
            }
            let value = entries.next_value_seed(inner)?;
            if self.keep {
                map.insert(Text::new(&key), value);
            }
        }
        Ok(if self.keep { Value::map(map) } else { Value::Missing })
    }
}
