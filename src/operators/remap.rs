//! A row of one layout as a row of another: between what a stream emits and what a consumer of its name reads.

use crate::event::{Map, Row, Text, Value};
use crate::vpl::plan::{self, RestFrom};

/// A compiled [`plan::Remap`].
///
/// ```
/// use varpin::event::{Row, Value};
/// use varpin::operators::Remap;
/// use varpin::vpl::plan;
/// let swap = plan::Remap { from: vec![Some(1), Some(0), None], rest: None };
/// let row = Row::with_values(0, 5, &[Value::Int(1), Value::Int(2)]);
/// let swapped = Remap::new(&swap).apply(&row);
/// assert!(matches!(swapped.values(), [Value::Int(2), Value::Int(1), Value::Missing]));
/// assert_eq!(swapped.time_ns(), 5);
/// ```
#[derive(Clone, Debug)]
pub struct Remap {
    from: Box<[Option<u16>]>,
    rest: Option<(usize, Rest)>,
    slots: usize,
}

#[derive(Clone, Debug)]
enum Rest {
    Slot(usize),
    Fields(Box<[(Text, usize)]>),
}

impl Remap {
    /// Compiles `plan`.
    pub fn new(plan: &plan::Remap) -> Self {
        let rest = plan.rest.as_ref().map(|(slot, from)| {
            let from = match from {
                RestFrom::Slot(slot) => Rest::Slot(usize::from(*slot)),
                RestFrom::Fields(fields) => Rest::Fields(
                    fields.iter().map(|(name, slot)| (Text::new(name), usize::from(*slot))).collect(),
                ),
            };
            (usize::from(*slot), from)
        });
        let slots = plan.from.len().max(rest.as_ref().map_or(0, |(slot, _)| slot + 1));
        Self { from: plan.from.clone().into(), rest, slots }
    }

    /// `row` in the new layout; all but its fields stays.
    pub fn apply(&self, row: &Row) -> Row {
        let values = row.values();
        let mut made = Row::new(row.type_id(), row.time_ns(), self.slots);
        made.set_seq(row.seq());
        made.set_stamp(row.stamp());
        made.set_rank(row.rank());
        made.set_lane(row.lane());
        for (slot, from) in self.from.iter().enumerate() {
            if let Some(value) = from.and_then(|from| values.get(usize::from(from))) {
                made.set(slot, value.clone());
            }
        }
        match &self.rest {
            None => {}
            Some((slot, Rest::Slot(from))) => made.set(*slot, values.get(*from).cloned().unwrap_or_default()),
            Some((slot, Rest::Fields(fields))) => {
                let mut map = Map::with_capacity(fields.len());
                for (name, from) in fields {
                    match values.get(*from) {
                        None | Some(Value::Missing) => {}
                        Some(value) => map.insert(name.clone(), value.clone()),
                    }
                }
                made.set(*slot, Value::map(map));
            }
        }
        made
    }
}
