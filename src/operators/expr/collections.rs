//! Members, positions, slices and ranges (D37): out of range there is no value, slices are clamped.

use crate::event::Value;
use crate::functions;

/// `a.b`
pub(super) fn member(object: &Value, name: &str) -> Value {
    match object {
        Value::Map(map) => map.get(name).cloned().unwrap_or_default(),
        _ => Value::Missing,
    }
}

/// `a[i]`
pub(super) fn index(object: &Value, index: &Value) -> Value {
    match (object, index) {
        (Value::Map(map), Value::Str(key)) => map.get(key).cloned().unwrap_or_default(),
        (Value::Array(items), Value::Int(index)) => {
            position(*index, items.len()).map_or(Value::Missing, |index| items[index].clone())
        }
        (Value::Str(text), Value::Int(index)) => {
            let found = if *index >= 0 {
                usize::try_from(*index).ok().and_then(|index| text.char_indices().nth(index))
            } else {
                usize::try_from(-(index + 1)).ok().and_then(|index| text.char_indices().nth_back(index))
            };
            found.map_or(Value::Missing, |(at, char)| Value::from(&text[at..at + char.len_utf8()]))
        }
        _ => Value::Missing,
    }
}

/// `a[from:to]`
pub(super) fn slice(object: &Value, from: Option<&Value>, to: Option<&Value>) -> Value {
    let bounds = |len: usize| {
        let from = bound(from, 0, len)?;
        let to = bound(to, len, len)?;
        Some(from.min(to)..to)
    };
    match object {
        Value::Array(items) => {
            bounds(items.len()).map_or(Value::Missing, |range| Value::array(items[range].to_vec()))
        }
        Value::Str(text) => match bounds(text.chars().count()) {
            Some(range) => {
                // Where the character at a position starts; its end, where there is none.
                let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
                Value::from(&text[byte(range.start)..byte(range.end)])
            }
            None => Value::Missing,
        },
        _ => Value::Missing,
    }
}

/// `from..to`, `from..=to` as an array; none where it would be too long for one.
pub(super) fn range(from: &Value, to: &Value, inclusive: bool) -> Value {
    ends(from, to, inclusive).map_or(Value::Missing, |(from, end)| functions::range(from, end))
}

/// The first int of a range and the one behind its last.
pub(super) fn ends(from: &Value, to: &Value, inclusive: bool) -> Option<(i64, i64)> {
    match (from, to) {
        (Value::Int(from), Value::Int(to)) => Some((*from, if inclusive { to.checked_add(1)? } else { *to })),
        _ => None,
    }
}

/// The place that `index` means among `len`; negative ones count from the end.
fn position(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(i64::try_from(len).ok()?)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

/// A bound of a slice, clamped; `otherwise` where none is written, none where it is no int.
fn bound(value: Option<&Value>, otherwise: usize, len: usize) -> Option<usize> {
    match value {
        None => Some(otherwise),
        Some(Value::Int(index)) if *index < 0 => {
            Some(len.saturating_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)))
        }
        Some(Value::Int(index)) => Some(usize::try_from(*index).unwrap_or(usize::MAX).min(len)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_both_ends() {
        let text = Value::from("aéz");
        assert!(matches!(index(&text, &Value::Int(1)), Value::Str(c) if &*c == "é"));
        assert!(matches!(index(&text, &Value::Int(-1)), Value::Str(c) if &*c == "z"));
        assert!(index(&text, &Value::Int(3)).is_missing());
        assert!(index(&text, &Value::Int(-4)).is_missing());
        assert!(index(&text, &Value::Int(i64::MIN)).is_missing());
        let array = Value::array(vec![Value::Int(7), Value::Int(8)]);
        assert!(matches!(index(&array, &Value::Int(-2)), Value::Int(7)));
        assert!(index(&array, &Value::Int(-3)).is_missing());
    }

    #[test]
    fn slices_are_clamped() {
        let text = Value::from("aéz");
        let cut = |from: i64, to: i64| slice(&text, Some(&Value::Int(from)), Some(&Value::Int(to)));
        assert!(matches!(cut(1, 99), Value::Str(c) if &*c == "éz"));
        assert!(matches!(cut(-2, -1), Value::Str(c) if &*c == "é"));
        assert!(matches!(cut(2, 1), Value::Str(c) if c.is_empty()));
        assert!(matches!(cut(i64::MIN, i64::MAX), Value::Str(c) if &*c == "aéz"));
    }

    #[test]
    fn ranges_do_not_fill_memory() {
        assert!(range(&Value::Int(0), &Value::Int(i64::MAX), false).is_missing());
        assert!(range(&Value::Int(i64::MIN), &Value::Int(i64::MAX), true).is_missing());
        assert!(matches!(range(&Value::Int(2), &Value::Int(0), false), Value::Array(a) if a.is_empty()));
    }
}
