//! The built-in functions: their names, how many arguments they take, and where each is done.

use crate::event::{Value, arith};

use super::{collections, convert, math, text};

/// A built-in function. Looked up by name when a program is loaded, called by value when it runs.
///
/// ```
/// use varpin::event::Value;
/// use varpin::functions::{Builtin, CallEnv};
/// let sqrt = Builtin::lookup("sqrt").unwrap();
/// assert_eq!(sqrt.arity(), (1, Some(1)));
/// let env = CallEnv { now_ns: 0 };
/// assert!(matches!(sqrt.call(&[Value::Int(9)], &env), Value::Float(3.0)));
/// assert!(sqrt.call(&[Value::Missing], &env).is_missing());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the function of its name; TABLE spells the names out
pub enum Builtin {
    Abs,
    Sqrt,
    Floor,
    Ceil,
    Round,
    Log,
    Log10,
    Exp,
    Pow,
    Min,
    Max,
    Clamp,
    Len,
    Trim,
    ToUpper,
    ToLower,
    Contains,
    StartsWith,
    EndsWith,
    Replace,
    Split,
    Join,
    Concat,
    Substr,
    First,
    Last,
    Push,
    Pop,
    Reverse,
    Sort,
    Unique,
    Flatten,
    Zip,
    Range,
    Keys,
    Values,
    Sum,
    Avg,
    ToString,
    ToInt,
    ToFloat,
    TypeOf,
    Now,
    Timestamp,
    Format,
    Parse,
    Coalesce,
    IfNull,
    Print,
}

/// What a call can see besides its arguments.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallEnv {
    /// What `now()` is: the event's time in replay, the clock live; nanoseconds since the epoch.
    pub now_ns: i64,
}

/// Name, function, fewest and most arguments. Where two names mean one function, its own name comes first.
const TABLE: &[(&str, Builtin, usize, Option<usize>)] = &[
    ("abs", Builtin::Abs, 1, Some(1)),
    ("sqrt", Builtin::Sqrt, 1, Some(1)),
    ("floor", Builtin::Floor, 1, Some(1)),
    ("ceil", Builtin::Ceil, 1, Some(1)),
    ("round", Builtin::Round, 1, Some(2)),
    ("log", Builtin::Log, 1, Some(1)),
    ("log10", Builtin::Log10, 1, Some(1)),
    ("exp", Builtin::Exp, 1, Some(1)),
    ("pow", Builtin::Pow, 2, Some(2)),
    ("min", Builtin::Min, 1, None),
    ("max", Builtin::Max, 1, None),
    ("clamp", Builtin::Clamp, 3, Some(3)),
    ("len", Builtin::Len, 1, Some(1)),
    ("trim", Builtin::Trim, 1, Some(1)),
    ("to_upper", Builtin::ToUpper, 1, Some(1)),
    ("upper", Builtin::ToUpper, 1, Some(1)),
    ("to_lower", Builtin::ToLower, 1, Some(1)),
    ("lower", Builtin::ToLower, 1, Some(1)),
    ("contains", Builtin::Contains, 2, Some(2)),
    ("starts_with", Builtin::StartsWith, 2, Some(2)),
    ("ends_with", Builtin::EndsWith, 2, Some(2)),
    ("replace", Builtin::Replace, 3, Some(3)),
    ("split", Builtin::Split, 2, Some(2)),
    ("join", Builtin::Join, 2, Some(2)),
    ("concat", Builtin::Concat, 1, None),
    ("substr", Builtin::Substr, 2, Some(3)),
    ("first", Builtin::First, 1, Some(1)),
    ("last", Builtin::Last, 1, Some(1)),
    ("push", Builtin::Push, 2, Some(2)),
    ("pop", Builtin::Pop, 1, Some(1)),
    ("reverse", Builtin::Reverse, 1, Some(1)),
    ("sort", Builtin::Sort, 1, Some(1)),
    ("unique", Builtin::Unique, 1, Some(1)),
    ("flatten", Builtin::Flatten, 1, Some(1)),
    ("zip", Builtin::Zip, 2, Some(2)),
    ("range", Builtin::Range, 1, Some(2)),
    ("keys", Builtin::Keys, 1, Some(1)),
    ("values", Builtin::Values, 1, Some(1)),
    ("sum", Builtin::Sum, 1, Some(1)),
    ("avg", Builtin::Avg, 1, Some(1)),
    ("to_string", Builtin::ToString, 1, Some(1)),
    ("to_int", Builtin::ToInt, 1, Some(1)),
    ("to_float", Builtin::ToFloat, 1, Some(1)),
    ("type_of", Builtin::TypeOf, 1, Some(1)),
    ("now", Builtin::Now, 0, Some(0)),
    ("timestamp", Builtin::Timestamp, 0, Some(1)),
    ("format", Builtin::Format, 1, None),
    ("parse", Builtin::Parse, 1, Some(1)),
    ("coalesce", Builtin::Coalesce, 1, None),
    ("if_null", Builtin::IfNull, 2, Some(2)),
    ("print", Builtin::Print, 1, Some(1)),
];

impl Builtin {
    /// The function called `name`.
    pub fn lookup(name: &str) -> Option<Self> {
        TABLE.iter().find(|entry| entry.0 == name).map(|entry| entry.1)
    }

    /// Every name that [`Builtin::lookup`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|entry| entry.0)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.entry().0
    }

    /// The fewest and the most arguments that it takes; no bound above where the second is None.
    pub fn arity(self) -> (usize, Option<usize>) {
        let (_, _, min, max) = *self.entry();
        (min, max)
    }

    /// Whether the same arguments always give the same value and nothing else happens, so that a call with constant
    /// arguments can be done once, when the program is loaded.
    pub fn is_pure(self) -> bool {
        !matches!(self, Self::Now | Self::Timestamp | Self::Print)
    }

    fn entry(self) -> &'static (&'static str, Self, usize, Option<usize>) {
        TABLE
            .iter()
            .find(|entry| entry.1 == self)
            .expect("TABLE has every function; tests/functions.rs looks each up")
    }

    /// Applies it to `args`. A number of arguments outside [`Builtin::arity`] gives no value; programs with one are
    /// refused at load. `print` only gives its argument back: who calls it does the printing.
    pub fn call(self, args: &[Value], env: &CallEnv) -> Value {
        if !matches!(self, Self::Coalesce | Self::IfNull) && args.iter().any(Value::is_missing) {
            return Value::Missing;
        }
        match (self, args) {
            (Self::Abs, [x]) => math::abs(x),
            (Self::Sqrt, [x]) => math::of_float(x, f64::sqrt),
            (Self::Floor, [x]) => math::whole(x, f64::floor),
            (Self::Ceil, [x]) => math::whole(x, f64::ceil),
            (Self::Round, [x]) => math::whole(x, f64::round),
            (Self::Round, [x, digits]) => math::round_to(x, digits),
            (Self::Log, [x]) => math::of_float(x, f64::ln),
            (Self::Log10, [x]) => math::of_float(x, f64::log10),
            (Self::Exp, [x]) => math::of_float(x, f64::exp),
            (Self::Pow, [base, exponent]) => arith::pow(base, exponent),
            (Self::Min, values) => math::min(values),
            (Self::Max, values) => math::max(values),
            (Self::Clamp, [x, low, high]) => math::clamp(x, low, high),

            (Self::Len, [x]) => collections::len(x),
            (Self::Trim, [x]) => text::trim(x),
            (Self::ToUpper, [x]) => text::to_upper(x),
            (Self::ToLower, [x]) => text::to_lower(x),
            (Self::Contains, [x, item]) => collections::contains(x, item),
            (Self::StartsWith, [x, start]) => text::starts_with(x, start),
            (Self::EndsWith, [x, end]) => text::ends_with(x, end),
            (Self::Replace, [x, old, new]) => text::replace(x, old, new),
            (Self::Split, [x, separator]) => text::split(x, separator),
            (Self::Join, [x, separator]) => text::join(x, separator),
            (Self::Concat, parts @ [_, ..]) => text::concat(parts),
            (Self::Substr, [x, start]) => text::substr(x, start, None),
            (Self::Substr, [x, start, len]) => text::substr(x, start, Some(len)),

            (Self::First, [x]) => collections::first(x),
            (Self::Last, [x]) => collections::last(x),
            (Self::Push, [x, item]) => collections::push(x, item),
            (Self::Pop, [x]) => collections::pop(x),
            (Self::Reverse, [x]) => collections::reverse(x),
            (Self::Sort, [x]) => collections::sort(x),
            (Self::Unique, [x]) => collections::unique(x),
            (Self::Flatten, [x]) => collections::flatten(x),
            (Self::Zip, [a, b]) => collections::zip(a, b),
            (Self::Range, [Value::Int(end)]) => collections::range(0, *end),
            (Self::Range, [Value::Int(start), Value::Int(end)]) => collections::range(*start, *end),
            (Self::Keys, [x]) => collections::keys(x),
            (Self::Values, [x]) => collections::values(x),
            (Self::Sum, [x]) => collections::sum(x),
            (Self::Avg, [x]) => collections::avg(x),

            (Self::ToString, [x]) => convert::to_string(x),
            (Self::ToInt, [x]) => convert::to_int(x),
            (Self::ToFloat, [x]) => convert::to_float(x),
            (Self::TypeOf, [x]) => convert::type_of(x),
            (Self::Now | Self::Timestamp, []) => Value::Timestamp(env.now_ns),
            (Self::Timestamp, [x]) => convert::to_timestamp(x),
            (Self::Format, [template, parts @ ..]) => text::format(template, parts),
            (Self::Parse, [x]) => convert::parse(x),
            (Self::Coalesce, values) => convert::coalesce(values),
            (Self::IfNull, [x, fallback]) => if x.is_absent() { fallback } else { x }.clone(),
            (Self::Print, [x]) => x.clone(),
            _ => Value::Missing,
        }
    }
}
