//! Functions of arrays and maps.

use hashbrown::HashTable;

use crate::event::order::{self, key_cmp, key_eq, key_hash};
use crate::event::{Map, Value};

use super::{Accumulator, Aggregate};

/// The most items that a function puts into an array; with more there is no value. `range(10 ** 12)` must not take
/// all memory.
pub const MAX_ITEMS: usize = 1 << 20;

/// The array `[start, start + 1, ..]` up to, not including, `end`; empty where `end` is not greater. No value with
/// more than [`MAX_ITEMS`].
pub fn range(start: i64, end: i64) -> Value {
    if start >= end {
        return Value::array(Vec::new());
    }
    if end.abs_diff(start) > MAX_ITEMS as u64 {
        return Value::Missing;
    }
    Value::array((start..end).map(Value::Int).collect())
}

/// `function` of an array's items; no value for anything else.
fn of_array(x: &Value, function: impl FnOnce(&[Value]) -> Value) -> Value {
    match x {
        Value::Array(values) => function(values),
        _ => Value::Missing,
    }
}

fn of_map(x: &Value, function: impl FnOnce(&Map) -> Value) -> Value {
    match x {
        Value::Map(map) => function(map),
        _ => Value::Missing,
    }
}

/// Characters of a text, items of an array, entries of a map.
pub(super) fn len(x: &Value) -> Value {
    match x {
        Value::Str(text) => Value::Int(text.chars().count() as i64),
        Value::Array(values) => Value::Int(values.len() as i64),
        Value::Map(map) => Value::Int(map.len() as i64),
        _ => Value::Missing,
    }
}

pub(super) fn contains(x: &Value, item: &Value) -> Value {
    order::contains(x, item).map_or(Value::Missing, Value::Bool)
}

pub(super) fn first(x: &Value) -> Value {
    of_array(x, |values| values.first().cloned().unwrap_or_default())
}

pub(super) fn last(x: &Value) -> Value {
    of_array(x, |values| values.last().cloned().unwrap_or_default())
}

pub(super) fn push(x: &Value, item: &Value) -> Value {
    of_array(x, |values| {
        if values.len() >= MAX_ITEMS {
            return Value::Missing;
        }
        let mut longer = Vec::with_capacity(values.len() + 1);
        longer.extend_from_slice(values);
        longer.push(item.clone());
        Value::array(longer)
    })
}

/// The array without its last item; an empty one has none to take.
pub(super) fn pop(x: &Value) -> Value {
    of_array(x, |values| values.split_last().map_or(Value::Missing, |(_, rest)| Value::array(rest.to_vec())))
}

pub(super) fn reverse(x: &Value) -> Value {
    match x {
        Value::Str(text) => Value::from(text.chars().rev().collect::<String>().as_str()),
        _ => of_array(x, |values| Value::array(values.iter().rev().cloned().collect())),
    }
}

/// Ascending, in the order of keys; what is equal stays in its order.
pub(super) fn sort(x: &Value) -> Value {
    of_array(x, |values| {
        let mut values = values.to_vec();
        values.sort_by(key_cmp);
        Value::array(values)
    })
}

/// The first of each value, compared as keys.
pub(super) fn unique(x: &Value) -> Value {
    of_array(x, |values| {
        let mut seen: HashTable<&Value> = HashTable::new();
        let mut kept = Vec::new();
        for value in values {
            let hash = key_hash(value);
            if seen.find(hash, |other| key_eq(other, value)).is_none() {
                seen.insert_unique(hash, value, |other| key_hash(other));
                kept.push(value.clone());
            }
        }
        Value::array(kept)
    })
}

/// Arrays within the array replaced by their items, one level deep.
pub(super) fn flatten(x: &Value) -> Value {
    of_array(x, |values| {
        let mut flat = Vec::new();
        for value in values {
            match value {
                Value::Array(items) => flat.extend_from_slice(items),
                _ => flat.push(value.clone()),
            }
            if flat.len() > MAX_ITEMS {
                return Value::Missing;
            }
        }
        Value::array(flat)
    })
}

/// Pairs of the items at the same place, as many as the shorter array has.
pub(super) fn zip(a: &Value, b: &Value) -> Value {
    of_array(a, |a| {
        of_array(b, |b| {
            Value::array(a.iter().zip(b).map(|(a, b)| Value::array(vec![a.clone(), b.clone()])).collect())
        })
    })
}

pub(super) fn keys(x: &Value) -> Value {
    of_map(x, |map| Value::array(map.iter().map(|(name, _)| Value::Str(name.clone())).collect()))
}

pub(super) fn values(x: &Value) -> Value {
    of_map(x, |map| Value::array(map.iter().map(|(_, value)| value.clone()).collect()))
}

/// As the aggregate of the same name.
pub(super) fn sum(x: &Value) -> Value {
    of_array(x, |values| Accumulator::over(Aggregate::Sum, values))
}

/// As the aggregate of the same name.
pub(super) fn avg(x: &Value) -> Value {
    of_array(x, |values| Accumulator::over(Aggregate::Avg, values))
}
