//! The event types that an input can bring, and what is known about each: its shape, and the order in which the fields
//! of its last event came.

use hashbrown::HashMap;
use rapidhash::fast::RandomState;

use crate::event::Shape;

/// No field of the shape.
pub(super) const NO_FIELD: u16 = u16::MAX;
/// How long a field's name may be for its place to be remembered.
const REMEMBERED_BYTES: usize = 29;

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

    /// The place of the last event's type, and the length of its name, if `text` begins with just this name.
    #[inline]
    pub(super) fn again(&self, text: &[u8]) -> Option<(usize, usize)> {
        let name = self.types[self.last].name.as_bytes();
        let follows = !name.is_empty()
            && text.starts_with(name)
            && text.get(name.len()).is_none_or(|&byte| !super::scan::in_name(byte));
        follows.then_some((self.last, name.len()))
    }

    /// The place of the type called `name`.
    pub(super) fn find(&mut self, name: &str) -> usize {
        if self.types[self.last].name != name {
            self.last = self.by_name.get(name).copied().unwrap_or(0);
        }
        self.last
    }

    /// The place of the last event's type.
    pub(super) fn last(&self) -> usize {
        self.last
    }

    #[inline]
    pub(super) fn at(&mut self, place: usize) -> &mut TypeState {
        &mut self.types[place]
    }
}

/// A type, and what the last event of it looked like.
#[derive(Clone, Debug)]
pub(super) struct TypeState {
    pub(super) name: String,
    pub(super) type_id: u32,
    pub(super) shape: Shape,
    /// The field that a value at a place of the form `Type(value, ..)` belongs to.
    positional: Vec<u16>,
    /// The fields of the last event in its order: where the next one has the same, no name is looked up.
    order: Vec<Remembered>,
}

/// A field's name as it stood at some place of the last event, held in place so that remembering never allocates.
#[derive(Clone, Copy, Debug)]
struct Remembered {
    bytes: [u8; REMEMBERED_BYTES],
    /// 0: nothing is remembered.
    len: u8,
    field: u16,
}

impl TypeState {
    fn new(ty: InputType) -> Self {
        let InputType { name, type_id, shape } = ty;
        debug_assert!(shape.fields.len() < usize::from(NO_FIELD), "fields are counted in 16 bits");
        let mut positional = Vec::new();
        if shape.declared {
            positional.extend(0..shape.fields.len() as u16);
        } else {
            for (field, known) in shape.fields.iter().enumerate() {
                // A name that no bound of fields can reach is never positional.
                let Some(place) =
                    known.name.strip_prefix("field_").and_then(|place| place.parse::<u16>().ok())
                else {
                    continue;
                };
                let place = usize::from(place);
                if known.name != positional_name(place) {
                    continue;
                }
                if positional.len() <= place {
                    positional.resize(place + 1, NO_FIELD);
                }
                positional[place] = field as u16;
            }
        }
        Self { name, type_id, shape, positional, order: Vec::new() }
    }

    /// The field and the length of the name, if `text` begins with the name that stood at `place` in the last event, and a
    /// colon right behind it.
    #[inline]
    pub(super) fn expected(&self, place: usize, text: &[u8]) -> Option<(u16, usize)> {
        let known = self.order.get(place)?;
        let len = usize::from(known.len);
        let follows = text.get(len) == Some(&b':') && text[..len] == known.bytes[..len] && len > 0;
        follows.then_some((known.field, len))
    }

    /// The field called `name`, which stands at `place`; remembered for the next event.
    pub(super) fn find(&mut self, place: usize, name: &str) -> u16 {
        if let Some(known) = self.order.get(place)
            && &known.bytes[..usize::from(known.len)] == name.as_bytes()
            && known.len > 0
        {
            return known.field;
        }
        let field = self.shape.position(name).map_or(NO_FIELD, |field| field as u16);
        let empty = Remembered { bytes: [0; REMEMBERED_BYTES], len: 0, field: NO_FIELD };
        if self.order.len() <= place {
            // Bounded, since the number of fields of an event is.
            self.order.resize(place + 1, empty);
        }
        let known = &mut self.order[place];
        *known = empty;
        if name.len() <= REMEMBERED_BYTES {
            known.bytes[..name.len()].copy_from_slice(name.as_bytes());
            known.len = name.len() as u8;
            known.field = field;
        }
        field
    }

    /// The field at `place` of the form `Type(value, ..)`.
    pub(super) fn positional(&self, place: usize) -> u16 {
        self.positional.get(place).copied().unwrap_or(NO_FIELD)
    }
}

/// The name of the field at `place`, where none is declared.
pub(super) fn positional_name(place: usize) -> String {
    format!("field_{place}")
}
