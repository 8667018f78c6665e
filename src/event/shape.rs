//! A shape: which fields the rows under one name have, and in which slots.

use std::fmt;

/// The type of a declared field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// `int`
    Int,
    /// `float`
    Float,
    /// `bool`
    Bool,
    /// `str`
    Str,
    /// `timestamp`
    Timestamp,
    /// `duration`
    Duration,
    /// `[T]`
    Array(Box<FieldType>),
    /// `{str: T}`
    Map(Box<FieldType>),
    /// `type T: field: type ..`: a map of these fields; others are dropped.
    Record(Vec<(String, FieldType)>),
    /// Anything: a type that is not checked.
    Any,
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::Bool => f.write_str("bool"),
            Self::Str => f.write_str("str"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Duration => f.write_str("duration"),
            Self::Array(item) => write!(f, "[{item}]"),
            Self::Map(item) => write!(f, "{{str: {item}}}"),
            Self::Record(fields) => {
                f.write_str("{")?;
                for (at, (name, ty)) in fields.iter().enumerate() {
                    write!(f, "{}{name}: {ty}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
            Self::Any => f.write_str("any"),
        }
    }
}

/// A field that rows of a shape can have.
#[derive(Clone, Debug, PartialEq)]
pub struct ShapeField {
    /// Its name.
    pub name: String,
    /// Its declared type; `Any` where none is declared.
    pub ty: FieldType,
    /// The slot that holds it. None where nothing in the program reads it: it is checked on the way in, and not kept.
    pub slot: Option<u16>,
}

/// The fields of the rows under one name.
///
/// A *declared* shape has just its fields: others are dropped on the way in. An undeclared one lists the fields that
/// the program reads; other fields of an event are dropped, unless `rest` names a slot: that slot then holds a map
/// with *all* fields of the event in their order (for `.emit()`, bare filters, and whatever else needs every field).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// Whether an `event` statement (or an operator that fixes the fields) has declared it.
    pub declared: bool,
    /// Fields in order of declaration, or of first use.
    pub fields: Vec<ShapeField>,
    /// How many slots its rows have.
    pub slots: u16,
    /// The slot with all fields as a map.
    pub rest: Option<u16>,
}

impl Shape {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&ShapeField> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The place of the field called `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// Gives the field at `position` a slot, if it has none, and returns it.
    pub fn keep(&mut self, position: usize) -> u16 {
        let field = &mut self.fields[position];
        *field.slot.get_or_insert_with(|| {
            self.slots += 1;
            self.slots - 1
        })
    }
}
