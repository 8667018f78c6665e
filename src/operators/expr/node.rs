//! The nodes of a compiled expression and their values.

use std::sync::Arc;

use crate::event::{Map, Row, Text, Value, arith};
use crate::functions::{Builtin, CallEnv};

use super::super::env::{Env, LogLine};
use super::calls::{Functions, Statement, discard_behind};
use super::collections;
use super::compile::TimeOf;
use super::numeric::{Numeric, NumericTest};
use super::truth::{Comparison, bool_value};

/// A node. Those with `Leaf` and `Compare*` are special cases of the general ones below them, for speed.
#[derive(Debug)]
pub(super) enum Node {
    Const(Value),
    Field(usize),
    /// A field of the map in a slot.
    RestField(usize, Box<str>),
    /// All fields as a map.
    AllFields(Box<[(Text, usize)]>),
    /// The time of the row.
    Time,
    /// The time of what leaves the window at hand.
    ResultTime,
    Key,
    WindowStart,
    WindowEnd,
    Global(usize),
    Local(usize),
    /// What a run of a sequence has captured.
    Captured(usize),
    /// The result of an accumulator.
    Accumulator(usize),

    /// A field against a number.
    CompareFloat {
        slot: usize,
        comparison: Comparison,
        constant: f64,
        value: Value,
    },
    CompareInt {
        slot: usize,
        comparison: Comparison,
        constant: i64,
        value: Value,
    },
    CompareLeaves(Comparison, Leaf, Leaf),
    ArithmeticLeaves(Arithmetic, Leaf, Leaf),
    /// A node, then something that is there already; and the other way round.
    CompareLeaf(Comparison, Box<(Node, Leaf)>),
    ArithmeticLeaf(Arithmetic, Box<(Node, Leaf)>),
    LeafArithmetic(Arithmetic, Box<(Leaf, Node)>),
    /// What makes a number of numbers, over what is there already.
    Numeric(Box<Numeric>),
    CompareNumbers(Box<NumericTest>),

    Compare(Comparison, Box<[Node; 2]>),
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Xor(Box<[Node; 2]>),
    Not(Box<Node>),
    /// The item, then what may contain it.
    In(Box<[Node; 2]>),
    Arithmetic(Arithmetic, Box<[Node; 2]>),
    Negate(Box<Node>),
    BitNot(Box<Node>),
    /// The first unless it is absent (null counts as absent, where the flag is set), then the second.
    OrElse(Box<[Node; 2]>, bool),
    /// Condition, then, else.
    If(Box<[Node; 3]>),
    Range(Box<[Node; 2]>, bool),
    Member(Box<Node>, Box<str>),
    Index(Box<[Node; 2]>),
    Slice(Box<Node>, Option<Box<Node>>, Option<Box<Node>>),
    Array(Box<[Node]>),
    Map(Box<[(Text, Node)]>),
    Builtin(Builtin, Box<[Node]>),
    /// `now()`
    Now(TimeOf),
    /// `print(x)` in the stream of that name.
    Print(Box<[Node]>, Arc<str>),
    Call(usize, Box<[Node]>),
    /// An array, the local for its items, the body.
    MapItems(Box<[Node; 2]>, usize),
    FilterItems(Box<[Node; 2]>, usize),
    Block(Box<[Statement]>, Box<Node>),
}

/// An operand that is there already.
#[derive(Debug)]
pub(super) enum Leaf {
    Field(usize),
    Const(Value),
    Local(usize),
    Captured(usize),
}

impl Leaf {
    #[inline]
    pub(super) fn get<'a>(&'a self, row: &'a Row, env: &'a Env) -> &'a Value {
        match self {
            Self::Field(slot) => field(row, *slot),
            Self::Const(value) => value,
            Self::Local(local) => env.locals.get(env.frame + local).unwrap_or(&MISSING),
            Self::Captured(index) => env.captured.get(*index).unwrap_or(&MISSING),
        }
    }
}

/// The operators that make a value of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Pow,
    BitAnd,
    BitOr,
    BitXor,
    Shl,
    Shr,
}

impl Arithmetic {
    #[inline]
    pub(super) fn of(self, a: &Value, b: &Value) -> Value {
        match self {
            Self::Add => arith::add(a, b),
            Self::Sub => arith::sub(a, b),
            Self::Mul => arith::mul(a, b),
            Self::Div => arith::div(a, b),
            Self::Rem => arith::rem(a, b),
            Self::Pow => arith::pow(a, b),
            Self::BitAnd => arith::bit_and(a, b),
            Self::BitOr => arith::bit_or(a, b),
            Self::BitXor => arith::bit_xor(a, b),
            Self::Shl => arith::shl(a, b),
            Self::Shr => arith::shr(a, b),
        }
    }
}

static MISSING: Value = Value::Missing;

/// A clone, without a call where it is a number.
#[inline]
fn copy(value: &Value) -> Value {
    match value {
        Value::Float(value) => Value::Float(*value),
        Value::Int(value) => Value::Int(*value),
        other => other.clone(),
    }
}

/// The value in `slot`; a row that is too short has none there.
#[inline]
pub(super) fn field(row: &Row, slot: usize) -> &Value {
    row.values().get(slot).unwrap_or(&MISSING)
}

impl Node {
    /// Its value. Arithmetic and functions have calls of their own, so they are spared another.
    #[inline]
    pub(super) fn eval(&self, row: &Row, functions: &Functions, env: &mut Env) -> Value {
        match self {
            Self::Numeric(numeric) => match numeric.number(row, env).value() {
                Some(value) => value,
                None => numeric.tree.eval_by_rules(row, functions, env),
            },
            Self::Call(function, arguments) => functions.call(*function, arguments, row, env),
            _ => self.eval_by_rules(row, functions, env),
        }
    }

    /// Its value where it mostly is there already: an argument, what is assigned or returned.
    #[inline]
    pub(super) fn eval_argument(&self, row: &Row, functions: &Functions, env: &mut Env) -> Value {
        match self {
            Self::Field(slot) => copy(field(row, *slot)),
            Self::Const(value) => copy(value),
            Self::Local(index) => match env.locals.get(env.frame + index) {
                Some(value) => copy(value),
                None => Value::Missing,
            },
            _ => self.eval(row, functions, env),
        }
    }

    #[inline(never)]
    fn eval_by_rules(&self, row: &Row, functions: &Functions, env: &mut Env) -> Value {
        match self {
            Self::Const(value) => value.clone(),
            Self::Field(slot) => field(row, *slot).clone(),
            Self::Local(index) => env.locals.get(env.frame + index).cloned().unwrap_or_default(),
            Self::Numeric(numeric) => numeric.tree.eval_by_rules(row, functions, env),
            Self::ArithmeticLeaves(operator, a, b) => operator.of(a.get(row, env), b.get(row, env)),
            Self::ArithmeticLeaf(operator, sides) => {
                let a = sides.0.eval(row, functions, env);
                let result = operator.of(&a, sides.1.get(row, env));
                a.discard();
                result
            }
            Self::LeafArithmetic(operator, sides) => {
                let b = sides.1.eval(row, functions, env);
                let result = operator.of(sides.0.get(row, env), &b);
                b.discard();
                result
            }
            Self::Arithmetic(operator, sides) => {
                let [a, b] = &**sides;
                let (mut at_a, mut at_b) = (Value::Missing, Value::Missing);
                let a = a.operand(row, functions, env, &mut at_a);
                let b = b.operand(row, functions, env, &mut at_b);
                operator.of(a, b)
            }
            Self::Time => Value::Timestamp(row.time_ns()),
            Self::ResultTime => Value::Timestamp(env.window.result_ns),
            Self::Key => env.key.clone(),
            Self::WindowStart => Value::Timestamp(env.window.start_ns),
            Self::WindowEnd => Value::Timestamp(env.window.end_ns),
            Self::Global(index) => env.globals.get(*index).cloned().unwrap_or_default(),
            Self::Captured(index) => env.captured.get(*index).cloned().unwrap_or_default(),
            Self::Accumulator(index) => env.finished.get(*index).cloned().unwrap_or_default(),
            Self::CompareFloat { .. }
            | Self::CompareInt { .. }
            | Self::CompareLeaves(..)
            | Self::CompareLeaf(..)
            | Self::CompareNumbers(_)
            | Self::Compare(..)
            | Self::And(_)
            | Self::Or(_)
            | Self::Xor(_)
            | Self::Not(_)
            | Self::In(_) => bool_value(self.test(row, functions, env)),
            Self::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                let chosen = if condition.test(row, functions, env) == Some(true) { then } else { otherwise };
                chosen.eval(row, functions, env)
            }
            Self::OrElse(sides, null_too) => {
                let first = sides[0].eval(row, functions, env);
                if first.is_missing() || (*null_too && first.is_absent()) {
                    sides[1].eval(row, functions, env)
                } else {
                    first
                }
            }
            Self::Call(function, arguments) => functions.call(*function, arguments, row, env),
            Self::Builtin(builtin, arguments) => builtin_value(*builtin, arguments, row, functions, env),
            _ => self.eval_rare(row, functions, env),
        }
    }

    /// The nodes that work on collections: out of line, so that the frequent ones keep a small frame.
    #[inline(never)]
    fn eval_rare(&self, row: &Row, functions: &Functions, env: &mut Env) -> Value {
        match self {
            Self::RestField(slot, name) => collections::member(field(row, *slot), name),
            Self::AllFields(fields) => {
                let mut map = Map::with_capacity(fields.len());
                for (name, slot) in fields {
                    let value = field(row, *slot);
                    if !value.is_missing() {
                        map.insert(name.clone(), value.clone());
                    }
                }
                Value::map(map)
            }
            Self::Negate(inner) => {
                let mut place = Value::Missing;
                arith::neg(inner.operand(row, functions, env, &mut place))
            }
            Self::BitNot(inner) => {
                let mut place = Value::Missing;
                arith::bit_not(inner.operand(row, functions, env, &mut place))
            }
            Self::Range(ends, inclusive) => {
                let from = ends[0].eval(row, functions, env);
                let to = ends[1].eval(row, functions, env);
                collections::range(&from, &to, *inclusive)
            }
            Self::Member(object, name) => {
                let mut place = Value::Missing;
                collections::member(object.operand(row, functions, env, &mut place), name)
            }
            Self::Index(parts) => {
                let (mut at_object, mut at_index) = (Value::Missing, Value::Missing);
                let object = parts[0].operand(row, functions, env, &mut at_object);
                let index = parts[1].operand(row, functions, env, &mut at_index);
                collections::index(object, index)
            }
            Self::Slice(object, from, to) => {
                let mut bound =
                    |node: &Option<Box<Self>>| node.as_ref().map(|node| node.eval(row, functions, env));
                let (from, to) = (bound(from), bound(to));
                let mut place = Value::Missing;
                let object = object.operand(row, functions, env, &mut place);
                collections::slice(object, from.as_ref(), to.as_ref())
            }
            Self::Array(items) => {
                let items = items.iter().map(|item| match item.eval(row, functions, env) {
                    Value::Missing => Value::Null,
                    value => value,
                });
                Value::array(items.collect())
            }
            Self::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for (name, node) in entries {
                    let value = node.eval(row, functions, env);
                    if !value.is_missing() {
                        map.insert(name.clone(), value);
                    }
                }
                Value::map(map)
            }
            Self::MapItems(parts, local) => {
                let [array, body] = &**parts;
                let Value::Array(items) = array.eval(row, functions, env) else { return Value::Missing };
                let mut results = Vec::with_capacity(items.len());
                for item in items.iter() {
                    env.set_local(*local, item.clone());
                    results.push(match body.eval(row, functions, env) {
                        Value::Missing => Value::Null,
                        value => value,
                    });
                }
                Value::array(results)
            }
            Self::FilterItems(parts, local) => {
                let [array, body] = &**parts;
                let Value::Array(items) = array.eval(row, functions, env) else { return Value::Missing };
                let mut results = Vec::new();
                for item in items.iter() {
                    env.set_local(*local, item.clone());
                    if body.test(row, functions, env) == Some(true) {
                        results.push(item.clone());
                    }
                }
                Value::array(results)
            }
            Self::Now(time) => Value::Timestamp(env.clock_ns.unwrap_or_else(|| time.of(row, env))),
            Self::Print(arguments, stream) => {
                let value = arguments.first().map_or(Value::Missing, |node| node.eval(row, functions, env));
                if !value.is_missing() && env.has_log() {
                    env.write_log(LogLine {
                        stream: stream.to_string(),
                        verb: "print",
                        level: "info".into(),
                        time_ns: row.time_ns(),
                        parts: vec![(None, value.clone())],
                    });
                }
                value
            }
            Self::Block(statements, result) => functions.run_block(statements, result, row, env),
            _ => Value::Missing,
        }
    }

    /// Its value by reference, where it is there already; else made in `place`.
    #[inline]
    pub(super) fn operand<'a>(
        &'a self,
        row: &'a Row,
        functions: &Functions,
        env: &mut Env,
        place: &'a mut Value,
    ) -> &'a Value {
        match self {
            Self::Field(slot) => field(row, *slot),
            Self::Const(value) => value,
            _ => {
                *place = self.eval(row, functions, env);
                place
            }
        }
    }
}

/// Applies a built-in function. Arguments lie on a stack of the environment, so that a call allocates nothing.
#[inline(never)]
fn builtin_value(
    builtin: Builtin,
    arguments: &[Node],
    row: &Row,
    functions: &Functions,
    env: &mut Env,
) -> Value {
    let base = env.arguments.len();
    for argument in arguments {
        let value = argument.eval_argument(row, functions, env);
        env.arguments.push(value);
    }
    let result = builtin.call(&env.arguments[base..], &CallEnv { now_ns: row.time_ns() });
    discard_behind(&mut env.arguments, base);
    result
}
