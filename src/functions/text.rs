//! Functions of text. A character is a Unicode scalar value.

use crate::event::arith::{MAX_TEXT_BYTES, join_text};
use crate::event::json::{push_text, with_scalar_text};
use crate::event::{Text, Value};

use super::MAX_ITEMS;

/// The result `text`, unless it is too long for one.
fn bounded(text: &str) -> Value {
    if text.len() <= MAX_TEXT_BYTES { Value::from(text) } else { Value::Missing }
}

pub(super) fn trim(x: &Value) -> Value {
    match x {
        Value::Str(text) => Value::from(text.trim()),
        _ => Value::Missing,
    }
}

pub(super) fn to_upper(x: &Value) -> Value {
    match x {
        Value::Str(text) => bounded(&text.to_uppercase()),
        _ => Value::Missing,
    }
}

pub(super) fn to_lower(x: &Value) -> Value {
    match x {
        Value::Str(text) => bounded(&text.to_lowercase()),
        _ => Value::Missing,
    }
}

pub(super) fn starts_with(x: &Value, start: &Value) -> Value {
    match (x, start) {
        (Value::Str(text), Value::Str(start)) => Value::Bool(text.starts_with(start.as_str())),
        _ => Value::Missing,
    }
}

pub(super) fn ends_with(x: &Value, end: &Value) -> Value {
    match (x, end) {
        (Value::Str(text), Value::Str(end)) => Value::Bool(text.ends_with(end.as_str())),
        _ => Value::Missing,
    }
}

/// Every `old` replaced by `new`. An empty `old` stands nowhere in particular: no value, as for `split`.
pub(super) fn replace(x: &Value, old: &Value, new: &Value) -> Value {
    match (x, old, new) {
        (Value::Str(text), Value::Str(old), Value::Str(new)) if !old.is_empty() => {
            // Counted first: a short program must not be able to ask for terabytes.
            let grown =
                text.matches(old.as_str()).count().saturating_mul(new.len().saturating_sub(old.len()));
            if text.len().saturating_add(grown) > MAX_TEXT_BYTES {
                return Value::Missing;
            }
            Value::from(text.replace(old.as_str(), new).as_str())
        }
        _ => Value::Missing,
    }
}

pub(super) fn split(x: &Value, separator: &Value) -> Value {
    match (x, separator) {
        (Value::Str(text), Value::Str(separator)) if !separator.is_empty() => {
            let parts: Vec<_> = text.split(separator.as_str()).take(MAX_ITEMS + 1).map(Value::from).collect();
            if parts.len() <= MAX_ITEMS { Value::array(parts) } else { Value::Missing }
        }
        _ => Value::Missing,
    }
}

/// The texts of an array's items, which must be scalars, with `separator` between them.
pub(super) fn join(x: &Value, separator: &Value) -> Value {
    match (x, separator) {
        (Value::Array(values), Value::Str(separator)) => append_all(values, separator),
        _ => Value::Missing,
    }
}

/// The texts of scalars, one behind the other, as `+` would append them.
pub(super) fn concat(parts: &[Value]) -> Value {
    match parts {
        // Two short texts need no allocation.
        [Value::Str(a), Value::Str(b)] => join_text(a, b),
        _ => append_all(parts, ""),
    }
}

fn append_all(values: &[Value], separator: &str) -> Value {
    let mut all = String::new();
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            all.push_str(separator);
        }
        if with_scalar_text(value, |text| all.push_str(text)).is_none() || all.len() > MAX_TEXT_BYTES {
            return Value::Missing;
        }
    }
    Value::from(all.as_str())
}

/// `len` characters from `start` on (all without it), as far as they are there. A negative start counts from the end,
/// a negative length has no meaning.
pub(super) fn substr(x: &Value, start: &Value, len: Option<&Value>) -> Value {
    let (Value::Str(text), Value::Int(start)) = (x, start) else {
        return Value::Missing;
    };
    let len = match len {
        None => usize::MAX,
        Some(Value::Int(len @ 0..)) => *len as usize,
        Some(_) => return Value::Missing,
    };
    let start = if *start < 0 {
        let from_end = start.unsigned_abs() as usize;
        text.chars().count().saturating_sub(from_end)
    } else {
        *start as usize
    };
    let tail = skip_chars(text, start);
    let behind = skip_chars(tail, len);
    Value::from(&tail[..tail.len() - behind.len()])
}

/// What is left of `text` behind its first `count` characters.
fn skip_chars(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).map_or("", |(at, _)| &text[at..])
}

/// `template` with each `{}` replaced by the text of the next of `parts`. A `{}` without a part stays; parts without
/// a `{}` are not used.
pub(super) fn format(template: &Value, parts: &[Value]) -> Value {
    let Value::Str(template) = template else {
        return Value::Missing;
    };
    let mut all = String::with_capacity(template.len());
    let mut rest: &str = Text::as_str(template);
    for part in parts {
        let Some((before, behind)) = rest.split_once("{}") else {
            break;
        };
        all.push_str(before);
        push_text(&mut all, part);
        rest = behind;
        if all.len() > MAX_TEXT_BYTES {
            return Value::Missing;
        }
    }
    all.push_str(rest);
    bounded(&all)
}
