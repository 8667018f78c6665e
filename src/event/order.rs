//! Equality and order, twice: as the operators of the language see values, and as keys.
//!
//! The operators have no answer across types, and NaN equals nothing. Keys (partitions, `distinct`, `order_by`, joins)
//! need a total order in which everything equals itself:
//! null < bool < number < str < timestamp < duration < array < map.
//! In both worlds numbers compare by their exact value, whether int or float.

use std::cmp::Ordering;

use memchr::memmem;
use rapidhash::v3::{RapidSecrets, rapidhash_v3_inline, rapidhash_v3_seeded};

use super::{Map, Text, Value};

/// Whether two values are the same: null equals null and no value, 1 equals 1.0, NaN equals nothing, values of
/// different types differ. Maps are equal whatever the order of their entries.
///
/// ```
/// use varpin::event::{Value, order};
/// assert!(order::equal(&Value::Int(1), &Value::Float(1.0)));
/// assert!(!order::equal(&Value::Int(9_007_199_254_740_993), &Value::Float(9_007_199_254_740_992.0)));
/// ```
#[inline]
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        _ => equal_other(a, b),
    }
}

#[inline(never)]
fn equal_other(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Missing | Value::Null, Value::Missing | Value::Null) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => {
            compare_int_float(*a, *b) == Some(Ordering::Equal)
        }
        (Value::Duration(a), Value::Duration(b)) | (Value::Timestamp(a), Value::Timestamp(b)) => a == b,
        (Value::Array(a), Value::Array(b)) => same_items(a, b, equal),
        (Value::Map(a), Value::Map(b)) => same_entries(a, b, equal),
        _ => false,
    }
}

/// The operator `==`. No value against anything but null has no answer.
#[inline]
pub fn eq(a: &Value, b: &Value) -> Option<bool> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a == b),
        (Value::Str(a), Value::Str(b)) => Some(a == b),
        (Value::Missing, Value::Null) | (Value::Null, Value::Missing) => Some(true),
        (Value::Missing, _) | (_, Value::Missing) => None,
        _ => Some(equal(a, b)),
    }
}

/// The operator `!=`.
#[inline]
pub fn ne(a: &Value, b: &Value) -> Option<bool> {
    eq(a, b).map(|equal| !equal)
}

/// The operator `<`.
#[inline]
pub fn lt(a: &Value, b: &Value) -> Option<bool> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a < b),
        (Value::Float(a), Value::Float(b)) => Some(a < b),
        // A float field against an int literal is common, and nearly every int is exact as a float.
        (Value::Float(a), Value::Int(b)) if is_exact(*b) => Some(*a < *b as f64),
        (Value::Int(a), Value::Float(b)) if is_exact(*a) => Some((*a as f64) < *b),
        _ => relate(a, b).holds(Ordering::is_lt),
    }
}

/// The operator `<=`.
#[inline]
pub fn le(a: &Value, b: &Value) -> Option<bool> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a <= b),
        (Value::Float(a), Value::Float(b)) => Some(a <= b),
        // A float field against an int literal is common, and nearly every int is exact as a float.
        (Value::Float(a), Value::Int(b)) if is_exact(*b) => Some(*a <= *b as f64),
        (Value::Int(a), Value::Float(b)) if is_exact(*a) => Some((*a as f64) <= *b),
        _ => relate(a, b).holds(Ordering::is_le),
    }
}

/// The operator `>`.
#[inline]
pub fn gt(a: &Value, b: &Value) -> Option<bool> {
    lt(b, a)
}

/// The operator `>=`.
#[inline]
pub fn ge(a: &Value, b: &Value) -> Option<bool> {
    le(b, a)
}

/// The order of two values of one ordered type (numbers, str, timestamps, durations). None across types and for NaN.
pub fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match relate(a, b) {
        Relation::Ordered(ordering) => Some(ordering),
        Relation::NotANumber | Relation::Mismatch => None,
    }
}

/// How two values relate for `<` and its siblings.
enum Relation {
    Ordered(Ordering),
    /// Numbers, at least one of them NaN: every operator is false.
    NotANumber,
    /// Types that have no order between them: no operator has an answer.
    Mismatch,
}

impl Relation {
    #[inline]
    fn holds(self, test: impl Fn(Ordering) -> bool) -> Option<bool> {
        match self {
            Self::Ordered(ordering) => Some(test(ordering)),
            Self::NotANumber => Some(false),
            Self::Mismatch => None,
        }
    }
}

#[inline(never)]
fn relate(a: &Value, b: &Value) -> Relation {
    let ordering = match (a, b) {
        (Value::Float(a), Value::Int(b)) => compare_int_float(*b, *a).map(Ordering::reverse),
        (Value::Int(a), Value::Float(b)) => compare_int_float(*a, *b),
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        // UTF-8 keeps the order of code points, so bytes may be compared.
        (Value::Str(a), Value::Str(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        (Value::Duration(a), Value::Duration(b)) | (Value::Timestamp(a), Value::Timestamp(b)) => {
            Some(a.cmp(b))
        }
        _ => return Relation::Mismatch,
    };
    ordering.map_or(Relation::NotANumber, Relation::Ordered)
}

/// Whether an int is small enough to be exact as a float, as every int up to 2^53 is.
#[inline]
fn is_exact(a: i64) -> bool {
    a.unsigned_abs() <= 1 << 53
}

/// Compares by exact value: 9007199254740993 is greater than 9007199254740992.0, although it would be the same as a
/// float. None for NaN.
#[inline]
fn compare_int_float(a: i64, b: f64) -> Option<Ordering> {
    /// 2^63, the first float above every i64.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if is_exact(a) {
        (a as f64).partial_cmp(&b)
    } else if b.is_nan() {
        None
    } else if b >= END {
        Some(Ordering::Less)
    } else if b < -END {
        Some(Ordering::Greater)
    } else {
        // Within i64, so truncating is exact; what it cuts off decides where the whole parts are the same.
        let whole = b.trunc();
        Some(a.cmp(&(whole as i64)).then_with(|| whole.total_cmp(&b)))
    }
}

/// The operator `in`, from the container's side: a member of an array, a key of a map, a substring. No answer for
/// other types.
pub fn contains(container: &Value, item: &Value) -> Option<bool> {
    match (container, item) {
        (_, Value::Missing) => None,
        (Value::Array(values), _) => Some(values.iter().any(|value| equal(value, item))),
        (Value::Map(map), Value::Str(key)) => Some(map.get(key).is_some()),
        (Value::Str(text), Value::Str(part)) => {
            Some(memmem::find(text.as_bytes(), part.as_bytes()).is_some())
        }
        _ => None,
    }
}

/// The total order of keys. No value is null; 1 and 1.0 are one key, and so are 0.0 and -0.0; NaN is one key, behind
/// all other numbers.
///
/// ```
/// use varpin::event::{Value, order};
/// let mut keys = [Value::from("a"), Value::Float(1.5), Value::Int(2), Value::Bool(true), Value::Null];
/// keys.sort_by(order::key_cmp);
/// assert!(matches!(keys, [Value::Null, Value::Bool(_), Value::Float(_), Value::Int(_), Value::Str(_)]));
/// ```
pub fn key_cmp(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) | (Value::Duration(a), Value::Duration(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Str(a), Value::Str(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
        (Value::Int(a), Value::Float(b)) => compare_int_float(*a, *b).unwrap_or(Ordering::Less),
        (Value::Float(a), Value::Int(b)) => {
            compare_int_float(*b, *a).map_or(Ordering::Greater, Ordering::reverse)
        }
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => {
            let mut items = a.iter().zip(b.iter()).map(|(a, b)| key_cmp(a, b));
            items.find(|item| item.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
        }
        (Value::Map(a), Value::Map(b)) => map_cmp(a, b),
        _ => rank(a).cmp(&rank(b)),
    }
}

/// Whether two values are the same key: [`key_cmp`] finds them equal, only faster.
#[inline]
pub fn key_eq(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        _ => key_eq_other(a, b),
    }
}

#[inline(never)]
fn key_eq_other(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::Array(a), Value::Array(b)) => same_items(a, b, key_eq),
        (Value::Map(a), Value::Map(b)) => same_entries(a, b, key_eq),
        _ => equal(a, b),
    }
}

// Seeds of the hash, one for each kind of key, so that "" and null or [1] and 1 do not meet.
const NULL: RapidSecrets = RapidSecrets::seed_cpp(0);
const BOOL: RapidSecrets = RapidSecrets::seed_cpp(1);
const NUMBER: RapidSecrets = RapidSecrets::seed_cpp(2);
const FRACTION: RapidSecrets = RapidSecrets::seed_cpp(3);
const STR: RapidSecrets = RapidSecrets::seed_cpp(4);
const TIMESTAMP: RapidSecrets = RapidSecrets::seed_cpp(5);
const DURATION: RapidSecrets = RapidSecrets::seed_cpp(6);
const ARRAY: RapidSecrets = RapidSecrets::seed_cpp(7);
const MAP: RapidSecrets = RapidSecrets::seed_cpp(8);

/// A hash of the key, the same for values that [`key_eq`] finds equal, in every run, on every machine, in every build:
/// placement of keys on workers depends on it.
///
/// It is rapidhash V3 (the C++ reference's function, with its default secrets) with the seed of the value's kind,
/// over: the 8 bytes, little endian, of an int, a float with an int's value, a timestamp, a duration; of the bits of
/// other floats (one pattern for NaN); the bytes of a text; one byte for a bool; nothing for null. An array folds the
/// hashes of its items from left to right; a map adds up the hashes of its entries, because their order does not
/// matter.
#[inline]
pub fn key_hash(value: &Value) -> u64 {
    match value {
        Value::Int(value) => hash_word(*value as u64, &NUMBER),
        Value::Str(text) => rapidhash_v3_seeded(text.as_bytes(), &STR),
        _ => hash_other(value),
    }
}

#[inline(never)]
fn hash_other(value: &Value) -> u64 {
    match value {
        Value::Missing | Value::Null => rapidhash_v3_seeded(&[], &NULL),
        Value::Bool(value) => rapidhash_v3_seeded(&[u8::from(*value)], &BOOL),
        Value::Float(value) => hash_float(*value),
        Value::Timestamp(value) => hash_word(*value as u64, &TIMESTAMP),
        Value::Duration(value) => hash_word(*value as u64, &DURATION),
        Value::Array(values) => {
            let start = hash_word(values.len() as u64, &ARRAY);
            values.iter().fold(start, |hash, value| hash_pair(hash, key_hash(value), &ARRAY))
        }
        Value::Map(map) => {
            let entries = map.iter().map(|(name, value)| {
                hash_pair(rapidhash_v3_seeded(name.as_bytes(), &STR), key_hash(value), &MAP)
            });
            hash_pair(map.len() as u64, entries.fold(0, u64::wrapping_add), &MAP)
        }
        Value::Int(_) | Value::Str(_) => key_hash(value),
    }
}

fn hash_float(value: f64) -> u64 {
    /// 2^63: from here on `as i64` would not be exact any more.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if value.is_nan() {
        hash_word(f64::NAN.to_bits(), &FRACTION)
    } else if value.trunc() == value && (-END..END).contains(&value) {
        hash_word(value as i64 as u64, &NUMBER)
    } else {
        hash_word(value.to_bits(), &FRACTION)
    }
}

#[inline]
fn hash_word(word: u64, seed: &RapidSecrets) -> u64 {
    rapidhash_v3_inline::<true, false, false>(&word.to_le_bytes(), seed)
}

#[inline]
fn hash_pair(first: u64, second: u64, seed: &RapidSecrets) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..].copy_from_slice(&second.to_le_bytes());
    rapidhash_v3_inline::<true, false, false>(&bytes, seed)
}

/// The place of a value's kind among keys.
fn rank(value: &Value) -> u8 {
    match value {
        Value::Missing | Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::Float(_) => 2,
        Value::Str(_) => 3,
        Value::Timestamp(_) => 4,
        Value::Duration(_) => 5,
        Value::Array(_) => 6,
        Value::Map(_) => 7,
    }
}

/// Maps as keys: by their entries in order of name.
fn map_cmp(a: &Map, b: &Map) -> Ordering {
    fn sorted(map: &Map) -> Vec<(&Text, &Value)> {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_unstable_by_key(|(name, _)| name.as_bytes());
        entries
    }
    let (a, b) = (sorted(a), sorted(b));
    let mut entries =
        a.iter().zip(&b).map(|((a, x), (b, y))| a.as_bytes().cmp(b.as_bytes()).then_with(|| key_cmp(x, y)));
    entries.find(|entry| entry.is_ne()).unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn same_items(a: &[Value], b: &[Value], same: fn(&Value, &Value) -> bool) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// Names are unique within a map, so equal length and every entry of one found in the other is enough.
fn same_entries(a: &Map, b: &Map, same: fn(&Value, &Value) -> bool) -> bool {
    a.len() == b.len()
        && a.iter().zip(b.iter()).all(|((name, value), (other_name, other))| {
            // Most maps that are equal have their entries in the same order.
            if name == other_name {
                same(value, other)
            } else {
                b.get(name).is_some_and(|other| same(value, other))
            }
        })
}
