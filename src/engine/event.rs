//! Typed handles: names are looked up once, events are filled by slot.

use crate::event::{FieldType, Row, Shape, Value, convert::convert};

use super::error::EventError;

/// An event type of a program; gives handles for its fields, and events to fill.
#[derive(Clone, Debug)]
pub struct EventType {
    name: String,
    type_id: u32,
    shape: Shape,
    /// The time of events that bring none.
    untimed_ns: i64,
}

/// A field of an event type.
#[derive(Clone, Debug)]
pub struct Field {
    name: String,
    type_id: u32,
    slot: Option<u16>,
    ty: FieldType,
}

/// An event on its way in.
#[derive(Clone, Debug)]
pub struct Event {
    pub(super) row: Row,
}

impl EventType {
    pub(super) fn new(name: &str, type_id: u32, shape: Shape, untimed_ns: i64) -> Self {
        Self { name: name.to_owned(), type_id, shape, untimed_ns }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The field called `name`. A field that nothing in the program reads can be set all the same; it is checked and
    /// dropped.
    pub fn field(&self, name: &str) -> Result<Field, EventError> {
        let (slot, ty) = match self.shape.field(name) {
            Some(field) => (field.slot, field.ty.clone()),
            None if self.shape.declared => {
                return Err(EventError::UnknownField {
                    event_type: self.name.clone(),
                    field: name.to_owned(),
                });
            }
            None if self.shape.rest.is_some() => {
                return Err(EventError::NeedsMap { event_type: self.name.clone(), field: name.to_owned() });
            }
            None => (None, FieldType::Any),
        };
        Ok(Field { name: name.to_owned(), type_id: self.type_id, slot, ty })
    }

    /// An event of this type without values, at `time_ns` nanoseconds since the epoch.
    #[inline]
    pub fn event(&self, time_ns: i64) -> Event {
        Event { row: Row::new(self.type_id, time_ns, usize::from(self.shape.slots)) }
    }

    /// An event without a time of its own: in a [live](super::Builder::live) engine it gets the clock's when it enters,
    /// elsewhere it is at 0.
    #[inline]
    pub fn event_now(&self) -> Event {
        self.event(self.untimed_ns)
    }

    /// An event with these fields by name: slower than handles, and the way to give *all* fields of an undeclared
    /// type to a program that passes all of them on.
    pub fn event_with<'a>(
        &self,
        time_ns: i64,
        fields: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Result<Event, EventError> {
        let mut event = self.event(time_ns);
        let mut all = crate::event::Map::default();
        for (name, value) in fields {
            let ty = match self.shape.field(name) {
                Some(field) => field.ty.clone(),
                None if self.shape.declared => {
                    return Err(EventError::UnknownField {
                        event_type: self.name.clone(),
                        field: name.to_owned(),
                    });
                }
                None => FieldType::Any,
            };
            let value = checked(name, value, &ty)?;
            if let Some(slot) = self.shape.field(name).and_then(|field| field.slot) {
                event.row.set(usize::from(slot), value.clone());
            }
            if self.shape.rest.is_some() {
                all.insert(name.into(), value);
            }
        }
        if let Some(rest) = self.shape.rest {
            event.row.set(usize::from(rest), Value::map(all));
        }
        Ok(event)
    }
}

fn checked(name: &str, value: Value, ty: &FieldType) -> Result<Value, EventError> {
    convert(value, ty).map_err(|value| EventError::WrongType {
        field: name.to_owned(),
        expected: ty.to_string(),
        value: format!("{value:?}"),
    })
}

impl Field {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether anything in the program reads it.
    pub fn is_read(&self) -> bool {
        self.slot.is_some()
    }
}

impl Event {
    /// Sets a field. A declared type takes values that convert to it losslessly.
    #[inline]
    pub fn set(&mut self, field: &Field, value: impl Into<Value>) -> Result<(), EventError> {
        if field.type_id != self.row.type_id() {
            return Err(EventError::OtherType { field: field.name.clone() });
        }
        let value = value.into();
        let fits = matches!(
            (&field.ty, &value),
            (FieldType::Any, _)
                | (FieldType::Int, Value::Int(_))
                | (FieldType::Float, Value::Float(_))
                | (FieldType::Bool, Value::Bool(_))
                | (FieldType::Str, Value::Str(_))
        );
        let value = if fits { value } else { checked(&field.name, value, &field.ty)? };
        if let Some(slot) = field.slot {
            self.row.set(usize::from(slot), value);
        }
        Ok(())
    }

    /// Makes it an event of the same type without values, at another time. With
    /// [`Engine::feed_ref`](super::Engine::feed_ref) one event can so be filled and fed again and again.
    #[inline]
    pub fn reset(&mut self, time_ns: i64) {
        self.row.reset(self.row.type_id(), time_ns, self.row.len());
    }

    /// Event time in nanoseconds since the epoch.
    pub fn time_ns(&self) -> i64 {
        self.row.time_ns()
    }
}
