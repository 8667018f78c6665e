//! The event types that an input can bring, and what is known about each: its shape, and the order in which the fields
//! of its last event came.

use hashbrown::HashMap;
use rapidhash::fast::RandomState;

use crate::event::{FieldType, Map, Shape};

/// How long the name of a field may be for its place to be remembered.
const REMEMBERED_NAME: usize = 29;
/// How long the text between two values may be to be remembered.
const REMEMBERED_LEAD: usize = 61;

/// What to do with the value of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Its place in the shape; beyond the last: the shape does not know it.
    pub(super) index: u16,
    /// Where it goes.
    pub(super) slot: Option<u16>,
    /// Whether its value must be built; else it is enough to check it.
    pub(super) keep: bool,
    /// Whether it must be of a declared type.
    pub(super) typed: bool,
}

/// An event type that some stream takes.
#[derive(Clone, Debug)]
pub struct InputType {
    /// Its name, as input spells it.
    pub name: String,
    /// What rows of it carry as their type.
    pub type_id: u32,
    /// Its fields and their slots.
    pub shape: Shape,
}

/// The event types that streams take, by name. Events of other types become rows of type [`InputTypes::UNKNOWN`]
/// without slots; their syntax is checked all the same.
#[derive(Clone, Debug)]
pub struct InputTypes {
    /// Place 0 is the type of unknown events.
    types: Vec<TypeState>,
    by_name: HashMap<String, usize, RandomState>,
    /// The type of the last event: the first guess for the next one.
    last: usize,
}

impl InputTypes {
    /// The type of rows whose event type nobody takes.
    pub const UNKNOWN: u32 = u32::MAX;

    /// Knows `types`; their names differ.
    pub fn new(types: Vec<InputType>) -> Self {
        let unknown = InputType { name: String::new(), type_id: Self::UNKNOWN, shape: Shape::default() };
        let types: Vec<_> = std::iter::once(unknown).chain(types).map(TypeState::new).collect();
        let by_name = types.iter().enumerate().skip(1).map(|(place, ty)| (ty.name.clone(), place)).collect();
        Self { types, by_name, last: 0 }
    }

    /// The place of the type called `name`.
    pub(super) fn find(&mut self, name: &str) -> usize {
        if self.types[self.last].name != name {
            self.last = self.by_name.get(name).copied().unwrap_or(0);
        }
        self.last
    }

    /// The place of the last event's type.
    #[inline]
    pub(super) fn last(&self) -> usize {
        self.last
    }

    #[inline]
    pub(super) fn at(&mut self, place: usize) -> &mut TypeState {
        &mut self.types[place]
    }
}

/// A type, and what the last event of it looked like. Where the next one looks the same, no name is looked up.
#[derive(Clone, Debug)]
pub(super) struct TypeState {
    pub(super) name: String,
    pub(super) type_id: u32,
    pub(super) shape: Shape,
    /// The fields of the shape, and behind them what to do with any other.
    fields: Vec<Field>,
    /// The field that a value at a place of the form `Type(value, ..)` belongs to.
    positional: Vec<u16>,
    /// By place: the name of the field there.
    names: Vec<Remembered<REMEMBERED_NAME>>,
    /// By place: the text between the value before and the value of the field there, such as `, name: `; before the
    /// first value all that stands there from the name of the type on.
    leads: Vec<Remembered<REMEMBERED_LEAD>>,
    /// All fields of the event that is being read, where the shape wants them.
    pub(super) all: Map,
}

/// A text that stood at some place of the last event, held in place so that remembering never allocates.
#[derive(Clone, Copy, Debug)]
struct Remembered<const BYTES: usize> {
    bytes: [u8; BYTES],
    /// 0: nothing is remembered.
    len: u8,
    field: Field,
}

impl<const BYTES: usize> Remembered<BYTES> {
    /// Remembers that `text` at `place` means `field`. Places are bounded, since the number of fields of an event is.
    fn put(all: &mut Vec<Self>, place: usize, text: &[u8], field: Field) {
        if all.len() <= place {
            all.resize(place + 1, Self { bytes: [0; BYTES], len: 0, field });
        }
        let remembered = &mut all[place];
        remembered.len = 0;
        if let Some(bytes) = remembered.bytes.get_mut(..text.len()) {
            bytes.copy_from_slice(text);
            remembered.len = text.len() as u8;
            remembered.field = field;
        }
    }

    #[inline]
    fn text(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl TypeState {
    fn new(ty: InputType) -> Self {
        let InputType { name, type_id, shape } = ty;
        let count =
            u16::try_from(shape.fields.len()).expect("slots are counted in 16 bits, so fields are too");
        let known = shape.fields.iter().zip(0..).map(|(field, index)| Field {
            index,
            slot: field.slot,
            keep: field.slot.is_some() || shape.declared || shape.rest.is_some(),
            typed: shape.declared && field.ty != FieldType::Any,
        });
        let unknown =
            Field { index: count, slot: None, keep: shape.rest.is_some() && !shape.declared, typed: false };
        let fields = known.chain([unknown]).collect();
        let positional = positional_fields(&shape, count);
        Self {
            name,
            type_id,
            shape,
            fields,
            positional,
            names: Vec::new(),
            leads: Vec::new(),
            all: Map::default(),
        }
    }

    /// The length of all that stands before the value at `place`, if `text` begins as the last event did there.
    #[inline]
    pub(super) fn expected(&self, place: usize, text: &[u8]) -> Option<usize> {
        let lead = self.leads.get(place)?;
        (lead.len > 0 && text.starts_with(lead.text())).then_some(usize::from(lead.len))
    }

    /// The field at `place`, where `expected` has found what stands before its value.
    #[inline]
    pub(super) fn field_expected(&self, place: usize) -> Field {
        self.leads[place].field
    }

    /// Remembers that `lead` stood before the value of `field` at `place`.
    pub(super) fn remember(&mut self, place: usize, lead: &str, field: Field) {
        Remembered::put(&mut self.leads, place, lead.as_bytes(), field);
    }

    /// The field called `name`, which stands at `place`.
    pub(super) fn find(&mut self, place: usize, name: &str) -> Field {
        if let Some(known) = self.names.get(place)
            && known.len > 0
            && known.text() == name.as_bytes()
        {
            return known.field;
        }
        let field = self.fields[self.shape.position(name).unwrap_or(self.shape.fields.len())];
        Remembered::put(&mut self.names, place, name.as_bytes(), field);
        field
    }

    /// The field at `place` of the form `Type(value, ..)`.
    pub(super) fn positional(&self, place: usize) -> Field {
        let unknown = self.shape.fields.len();
        self.fields[self.positional.get(place).map_or(unknown, |&field| usize::from(field))]
    }
}

/// The fields of `shape` by their place in `Type(value, ..)`; `unknown` where it knows none.
fn positional_fields(shape: &Shape, unknown: u16) -> Vec<u16> {
    if shape.declared {
        return (0..unknown).collect();
    }
    let mut positional = Vec::new();
    for (field, index) in shape.fields.iter().zip(0..) {
        // A place beyond 16 bits is beyond every bound of fields, too.
        let place =
            field.name.strip_prefix("field_").and_then(|place| place.parse::<u16>().ok()).map(usize::from);
        // Parsing takes `field_01` and `field_+1`, too, which are no positional names.
        let Some(place) = place.filter(|&place| field.name == positional_name(place)) else { continue };
        if positional.len() <= place {
            positional.resize(place + 1, unknown);
        }
        positional[place] = index;
    }
    positional
}

/// The name of the field at `place`, where none is declared.
pub(super) fn positional_name(place: usize) -> String {
    format!("field_{place}")
}
