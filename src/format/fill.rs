//! From fields to slots: what every format does with the fields of an event once it has found them.

use std::borrow::Cow;

use super::scan::Limits;
use super::types::{Field, TypeState};
use crate::event::convert::convert;
use crate::event::{FieldType, Map, Row, ShapeField, Text, Value};

/// Fills one row with the fields of one event.
pub(super) struct Filler<'a> {
    ty: &'a mut TypeState,
    row: &'a mut Row,
    /// How many fields have come.
    place: usize,
    max_fields: usize,
}

impl<'a> Filler<'a> {
    /// Makes `row` one of type `ty` at `time_ns`, without values.
    #[inline]
    pub(super) fn new(ty: &'a mut TypeState, row: &'a mut Row, time_ns: i64, limits: Limits) -> Self {
        row.reset(ty.type_id, time_ns, usize::from(ty.shape.slots));
        if !ty.all.is_empty() {
            // Left behind by an event that was bad input.
            ty.all = Map::default();
        }
        Self { ty, row, place: 0, max_fields: limits.max_fields }
    }

    /// How many fields have come.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    /// The name of the event's type; empty where it is unknown.
    pub(super) fn type_name(&self) -> &str {
        &self.ty.name
    }

    /// Whether the type is declared with a field called `name`.
    pub(super) fn declares(&self, name: &str) -> bool {
        self.ty.shape.declared && self.ty.shape.position(name).is_some()
    }

    /// How much stands before the value of the next field, if `text` begins there as the last event did.
    #[inline]
    pub(super) fn expected(&self, text: &[u8]) -> Option<usize> {
        self.ty.expected(self.place, text)
    }

    /// The next field, where it was expected.
    #[inline]
    pub(super) fn take_expected(&mut self) -> Field {
        self.place += 1;
        self.ty.field_expected(self.place - 1)
    }

    /// Remembers what stood before the value of `field`, the last one that was found.
    pub(super) fn remember(&mut self, lead: &str, field: Field) {
        self.ty.remember(self.place - 1, lead, field);
    }

    /// The next field, by name.
    pub(super) fn named(&mut self, name: &str) -> Result<Field, Cow<'static, str>> {
        self.check_room()?;
        let field = self.ty.find(self.place, name);
        self.place += 1;
        Ok(field)
    }

    /// The next field, by its place.
    pub(super) fn positional(&mut self) -> Result<Field, Cow<'static, str>> {
        self.check_room()?;
        if self.ty.shape.declared && self.place == self.ty.shape.fields.len() {
            return Err(format!("`{}` has only {} fields", self.ty.name, self.place).into());
        }
        let field = self.ty.positional(self.place);
        self.place += 1;
        Ok(field)
    }

    fn check_room(&self) -> Result<(), Cow<'static, str>> {
        if self.place == self.max_fields {
            return Err(format!("an event of more than {} fields", self.max_fields).into());
        }
        Ok(())
    }

    /// The declared type of `field`.
    pub(super) fn declared(&self, field: Field) -> Option<&FieldType> {
        let known = self.ty.shape.fields.get(usize::from(field.index));
        known.filter(|_| self.ty.shape.declared).map(|known| &known.ty)
    }

    /// Puts `value`, which was built if `field.keep`, where it belongs. `name` is asked for only where the shape does
    /// not know the field.
    #[inline]
    pub(super) fn put<'n>(
        &mut self,
        field: Field,
        value: Value,
        name: impl FnOnce() -> Cow<'n, str>,
    ) -> Result<(), Cow<'static, str>> {
        if !field.keep {
            return Ok(());
        }
        let known = self.ty.shape.fields.get(usize::from(field.index));
        let value = match known {
            Some(known) if field.typed && !fits(&value, &known.ty) => {
                convert(value, &known.ty).map_err(|value| self.misfit(known, &value))?
            }
            _ => value,
        };
        if self.ty.shape.rest.is_some() {
            let name = known.map_or_else(|| Text::new(&name()), |known| Text::new(&known.name));
            self.ty.all.insert(name, value.clone());
        }
        if let Some(slot) = field.slot {
            self.row.set(usize::from(slot), value);
        }
        Ok(())
    }

    #[cold]
    fn misfit(&self, known: &ShapeField, value: &Value) -> Cow<'static, str> {
        let kind = match value {
            Value::Missing => "nothing",
            Value::Null => "null",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an int",
            Value::Float(_) => "a float",
            Value::Str(_) => "a str",
            Value::Duration(_) => "a duration",
            Value::Timestamp(_) => "a timestamp",
            Value::Array(_) => "an array",
            Value::Map(_) => "a map",
        };
        format!(
            "field `{}` of `{}` is declared {}, and {kind} does not convert to it without loss",
            known.name, self.ty.name, known.ty
        )
        .into()
    }

    /// The event is complete.
    #[inline]
    pub(super) fn finish(self) {
        debug_assert!(self.place <= self.max_fields, "every way to a field checks the bound");
        if let Some(slot) = self.ty.shape.rest {
            self.row.set(usize::from(slot), Value::map(std::mem::take(&mut self.ty.all)));
        }
    }

    /// The time of the event, where it was found after the fields.
    pub(super) fn set_time_ns(&mut self, time_ns: i64) {
        self.row.set_time_ns(time_ns);
    }
}

/// Whether `value` is of type `ty` as it is. Null fits everywhere: a declared field may have no value.
#[inline]
fn fits(value: &Value, ty: &FieldType) -> bool {
    matches!(
        (value, ty),
        (Value::Null | Value::Missing, _)
            | (_, FieldType::Any)
            | (Value::Int(_), FieldType::Int)
            | (Value::Float(_), FieldType::Float)
            | (Value::Bool(_), FieldType::Bool)
            | (Value::Str(_), FieldType::Str)
    )
}
