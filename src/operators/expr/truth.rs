//! Conditions: three-valued, and decided without making values.

use crate::event::{Row, Value, order};

use super::super::env::Env;
use super::calls::Functions;
use super::node::{Node, field};

/// The comparison operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Comparison {
    #[inline]
    pub(super) fn of(self, a: &Value, b: &Value) -> Option<bool> {
        match self {
            Self::Eq => order::eq(a, b),
            Self::Ne => order::ne(a, b),
            Self::Lt => order::lt(a, b),
            Self::Le => order::le(a, b),
            Self::Gt => order::gt(a, b),
            Self::Ge => order::ge(a, b),
        }
    }

    /// The comparison that says the same with its sides exchanged.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Self::Eq | Self::Ne => self,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
        }
    }

    /// For two values of one type that Rust compares as the language does; NaN behaves as D33 says.
    #[inline]
    pub(super) fn holds<T: PartialOrd + Copy>(self, a: T, b: T) -> bool {
        match self {
            Self::Eq => a == b,
            Self::Ne => a != b,
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
        }
    }
}

/// What a value means as a condition: unknown unless it is a bool (D34).
#[inline]
pub(super) fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        _ => None,
    }
}

/// A condition as a value.
#[inline]
pub(super) fn bool_value(truth: Option<bool>) -> Value {
    truth.map_or(Value::Missing, Value::Bool)
}

impl Node {
    /// Its answer where it compares a float with a float, which is the commonest of conditions: decided where it is
    /// asked, because a call would take as long again.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    pub(super) fn test_at_once(&self, row: &Row) -> Option<bool> {
        if let Self::CompareFloat { slot, comparison, constant, .. } = self
            && let Value::Float(field) = field(row, *slot)
        {
            return Some(comparison.holds(*field, *constant));
        }
        None
    }

    /// Whether it is false because a comparison of numbers is, which is itself or what its `and` asks first. False
    /// where more would have to be asked.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    pub(super) fn fails_at_once(&self, row: &Row) -> bool {
        let first = match self {
            Self::And(tests) => tests.first().unwrap_or(self),
            _ => self,
        };
        match first {
            Self::CompareFloat { slot, comparison, constant, .. } => {
                matches!(field(row, *slot), Value::Float(field) if !comparison.holds(*field, *constant))
            }
            Self::CompareInt { slot, comparison, constant, .. } => {
                matches!(field(row, *slot), Value::Int(field) if !comparison.holds(*field, *constant))
            }
            _ => false,
        }
    }

    /// Whether it is true, false, or neither.
    #[inline]
    pub(super) fn test(&self, row: &Row, functions: &Functions, env: &mut Env) -> Option<bool> {
        if let Self::CompareNumbers(test) = self
            && let Some(answer) = test.answer(row, env)
        {
            return Some(answer);
        }
        self.test_by_rules(row, functions, env)
    }

    #[inline(never)]
    fn test_by_rules(&self, row: &Row, functions: &Functions, env: &mut Env) -> Option<bool> {
        match self {
            Self::CompareNumbers(test) => test.tree.test_by_rules(row, functions, env),
            Self::CompareFloat { slot, comparison, constant, value } => match field(row, *slot) {
                Value::Float(field) => Some(comparison.holds(*field, *constant)),
                other => comparison.of(other, value),
            },
            Self::CompareInt { slot, comparison, constant, value } => match field(row, *slot) {
                Value::Int(field) => Some(comparison.holds(*field, *constant)),
                other => comparison.of(other, value),
            },
            Self::CompareLeaves(comparison, a, b) => comparison.of(a.get(row, env), b.get(row, env)),
            Self::CompareLeaf(comparison, sides) => {
                let a = sides.0.eval(row, functions, env);
                let result = comparison.of(&a, sides.1.get(row, env));
                a.discard();
                result
            }
            Self::Compare(comparison, sides) => {
                let [a, b] = &**sides;
                let (mut at_a, mut at_b) = (Value::Missing, Value::Missing);
                let a = a.operand(row, functions, env, &mut at_a);
                let b = b.operand(row, functions, env, &mut at_b);
                comparison.of(a, b)
            }
            Self::And(tests) => {
                let mut result = Some(true);
                for test in tests {
                    match test.test(row, functions, env) {
                        Some(true) => {}
                        Some(false) => return Some(false),
                        None => result = None,
                    }
                }
                result
            }
            Self::Or(tests) => {
                let mut result = Some(false);
                for test in tests {
                    match test.test(row, functions, env) {
                        Some(false) => {}
                        Some(true) => return Some(true),
                        None => result = None,
                    }
                }
                result
            }
            Self::Xor(sides) => {
                let a = sides[0].test(row, functions, env)?;
                let b = sides[1].test(row, functions, env)?;
                Some(a != b)
            }
            Self::Not(inner) => inner.test(row, functions, env).map(|truth| !truth),
            Self::In(sides) => {
                let [item, container] = &**sides;
                let (mut at_item, mut at_container) = (Value::Missing, Value::Missing);
                let item = item.operand(row, functions, env, &mut at_item);
                let container = container.operand(row, functions, env, &mut at_container);
                order::contains(container, item)
            }
            Self::Field(slot) => truth(field(row, *slot)),
            Self::Const(value) => truth(value),
            _ => truth(&self.eval(row, functions, env)),
        }
    }
}
