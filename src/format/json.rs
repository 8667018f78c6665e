//! The JSON form of an event: `{"event_type": .., "@timestamp": .., "data": {..}}`, or with the fields beside the type.
//!
//! The type and the time may stand anywhere in an object, under several names, and whether a key is one of them or a
//! field can depend on keys behind it. Lines of one input nearly always look alike, so a line is first read as the
//! last one was (its *envelope*), straight into the row. Where that guess turns out wrong, the envelope is looked up
//! and the line is read again.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};

use super::bad_input::{Fault, Parsed, fault};
use super::fill::Filler;
use super::json_value::{StrSeed, ValueSeed};
use super::scan::Limits;
use super::types::{Field, InputTypes};
use crate::event::time::parse_rfc3339;
use crate::event::{Row, Text, Value};

/// Keys that name the type; the first one present does.
const TYPE_KEYS: [&str; 2] = ["event_type", "type"];
/// Keys that name the time; the first one present does.
pub(super) const TIME_KEYS: [&str; 3] = ["@timestamp", "timestamp", "ts"];
const DATA_KEY: &str = "data";

/// Which keys of an object have which part. A key that has none is a field, also if it could have had one: beside
/// `event_type`, `type` is a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Envelope {
    /// Which of `TYPE_KEYS`.
    type_key: usize,
    /// Which of `TIME_KEYS`; beyond them: none.
    time_key: usize,
    /// Whether the fields are in the object `data`. Keys beside it are then no fields.
    nested: bool,
}

/// Reads events in the JSON form.
#[derive(Debug, Default)]
pub(super) struct Json {
    /// That of the last event.
    envelope: Option<Envelope>,
}

impl Json {
    /// Reads the object `text` into `row`. Its time is `time_ns` if it has none.
    pub(super) fn line(
        &mut self,
        text: &str,
        types: &mut InputTypes,
        limits: Limits,
        time_ns: i64,
        row: &mut Row,
    ) -> Parsed<()> {
        if let Some(envelope) = self.envelope {
            let mut place = types.last();
            let mut known = Known::Nothing;
            loop {
                let filler = Filler::new(types.at(place), row, time_ns, limits);
                let mut reading = Reading::new(filler, envelope, limits, known);
                let outcome = parse(text, &mut reading);
                if outcome.is_ok() && reading.complete() {
                    reading.filler.finish();
                    return Ok(());
                }
                match reading.other_type {
                    Some(name) => {
                        place = types.find(&name);
                        known = Known::Type;
                    }
                    // Where not the guess but the line is wrong, the survey says so too.
                    None => break,
                }
            }
        }
        let (name, envelope) = parse(text, Survey(limits))?;
        let place = types.find(&name);
        let filler = Filler::new(types.at(place), row, time_ns, limits);
        let mut reading = Reading::new(filler, envelope, limits, Known::Everything);
        parse(text, &mut reading)?;
        reading.filler.finish();
        self.envelope = Some(envelope);
        Ok(())
    }
}

/// Lets `seed` read the whole of `text`.
fn parse<'de, S: DeserializeSeed<'de>>(text: &'de str, seed: S) -> Parsed<S::Value> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    value.map_err(|error| locate(text, &error))
}

/// The fault that `error` describes. Its column counts bytes and points at the last one read.
#[cold]
fn locate(text: &str, error: &serde_json::Error) -> Fault {
    let mut at = error.column().saturating_sub(1).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    fault(at, message.to_owned())
}

/// What is known of a line, and not guessed from the line before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Nothing,
    Type,
    /// The type and the envelope.
    Everything,
}

/// Reads an object with a given envelope into a row.
struct Reading<'a, 'de> {
    filler: Filler<'a>,
    envelope: Envelope,
    limits: Limits,
    known: Known,
    type_seen: bool,
    time_seen: bool,
    data_seen: bool,
    /// The type that was found instead of the guessed one.
    other_type: Option<Cow<'de, str>>,
}

impl<'a, 'de> Reading<'a, 'de> {
    fn new(filler: Filler<'a>, envelope: Envelope, limits: Limits, known: Known) -> Self {
        Self {
            filler,
            envelope,
            limits,
            known,
            type_seen: false,
            time_seen: false,
            data_seen: false,
            other_type: None,
        }
    }

    /// Whether everything that the envelope speaks of has been seen.
    fn complete(&self) -> bool {
        self.type_seen
            && self.time_seen == (self.envelope.time_key < TIME_KEYS.len())
            && self.data_seen == self.envelope.nested
    }

    /// Gives up on the guess, where it is one.
    fn wrong<E: Error>(&self) -> Result<(), E> {
        if self.known != Known::Everything {
            return Err(E::custom("not the envelope of the line before"));
        }
        Ok(())
    }

    fn field<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let field = self.filler.named(name).map_err(A::Error::custom)?;
        let value = map.next_value_seed(ValueSeed { keep: field.keep, depth: 0, limits: self.limits })?;
        self.put(field, value, name)
    }

    fn put<E: Error>(&mut self, field: Field, value: Value, name: &str) -> Result<(), E> {
        self.filler.put(field, value, || Cow::Borrowed(name)).map_err(E::custom)
    }

    /// A key that could name the type, the time or the fields, or else is a field.
    fn key<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let Envelope { type_key, time_key, nested } = self.envelope;
        if let Some(rank) = TYPE_KEYS.iter().position(|&key| key == name) {
            if rank == type_key {
                return self.type_name(name, map);
            }
            if rank < type_key {
                self.wrong()?;
            }
        } else if let Some(rank) = TIME_KEYS.iter().position(|&key| key == name) {
            if rank == time_key {
                return self.time(name, map);
            }
            if rank < time_key {
                self.wrong()?;
            }
        } else if name == DATA_KEY {
            return if nested { map.next_value_seed(Data(self)) } else { self.flat_data(map) };
        }
        if nested {
            map.next_value_seed(ValueSeed { keep: false, depth: 0, limits: self.limits })?;
            return Ok(());
        }
        self.field(name, map)
    }

    fn type_name<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        let name = map.next_value_seed(StrSeed)?;
        self.type_seen = true;
        if name.is_empty() {
            self.wrong()?;
        }
        if self.known == Known::Nothing && name != self.filler.type_name() {
            self.other_type = Some(name);
            self.wrong()?;
        }
        if let Some(field) = self.declared_key(key) {
            let value = Value::Str(Text::new(self.filler.type_name()));
            self.put(field, value, key)?;
        }
        Ok(())
    }

    fn time<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        self.time_seen = true;
        let value = map.next_value_seed(ValueSeed { keep: true, depth: 0, limits: self.limits })?;
        if let Some(time_ns) = event_time(&value).map_err(A::Error::custom)? {
            self.filler.set_time_ns(time_ns);
        }
        match self.declared_key(key) {
            Some(field) => self.put(field, value, key),
            None => Ok(()),
        }
    }

    /// The field called `key`, where one is declared: the key then has two parts.
    fn declared_key(&mut self, key: &str) -> Option<Field> {
        if self.envelope.nested || !self.filler.declares(key) {
            return None;
        }
        self.filler.named(key).ok()
    }

    /// A field called `data`, which is no object.
    fn flat_data<A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        let field = self.filler.named(DATA_KEY).map_err(A::Error::custom)?;
        let value = map.next_value_seed(ValueSeed { keep: true, depth: 0, limits: self.limits })?;
        if matches!(value, Value::Map(_)) {
            self.wrong()?;
        }
        self.put(field, value, DATA_KEY)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Reading<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Reading<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key_seed(StrSeed)? {
            self.key(&name, &mut map)?;
        }
        Ok(())
    }
}

/// The object with the fields.
struct Data<'r, 'a, 'de>(&'r mut Reading<'a, 'de>);

impl<'de> DeserializeSeed<'de> for Data<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Data<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the fields of the event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.0.data_seen = true;
        while let Some(name) = map.next_key_seed(StrSeed)? {
            self.0.field(&name, &mut map)?;
        }
        Ok(())
    }
}

/// Finds out which keys of an object have which part, and the name of its type.
struct Survey(Limits);

impl<'de> DeserializeSeed<'de> for Survey {
    type Value = (Text, Envelope);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Survey {
    type Value = (Text, Envelope);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let any = ValueSeed { keep: true, depth: 0, limits: self.0 };
        let mut types = [Value::Missing, Value::Missing];
        let mut time_key = TIME_KEYS.len();
        let mut nested = false;
        while let Some(name) = map.next_key_seed(StrSeed)? {
            if let Some(rank) = TYPE_KEYS.iter().position(|&key| key == name) {
                types[rank] = map.next_value_seed(any)?;
                continue;
            }
            if name == DATA_KEY {
                nested = matches!(map.next_value_seed(any)?, Value::Map(_));
                continue;
            }
            if let Some(rank) = TIME_KEYS.iter().position(|&key| key == name) {
                time_key = time_key.min(rank);
            }
            map.next_value::<IgnoredAny>()?;
        }
        let type_key = usize::from(types[0].is_missing());
        match &types[type_key] {
            Value::Str(name) if !name.is_empty() => {
                Ok((name.clone(), Envelope { type_key, time_key, nested }))
            }
            Value::Missing => Err(A::Error::custom("no event type: `event_type` or `type` must name it")),
            _ => Err(A::Error::custom(format!(
                "`{}` must be the name of the event's type",
                TYPE_KEYS[type_key]
            ))),
        }
    }
}

/// The event time that `value` gives: RFC 3339 text or an int of milliseconds. Null gives none.
pub(super) fn event_time(value: &Value) -> Result<Option<i64>, &'static str> {
    const RANGE: &str = "the time is out of range: it must fit into 64 bits of nanoseconds";
    match value {
        Value::Null => Ok(None),
        Value::Int(ms) => ms.checked_mul(1_000_000).map(Some).ok_or(RANGE),
        Value::Str(text) => {
            parse_rfc3339(text).map(Some).ok_or("the time is no RFC 3339 text, or out of range")
        }
        _ => Err("the time must be RFC 3339 text or an int of milliseconds"),
    }
}
