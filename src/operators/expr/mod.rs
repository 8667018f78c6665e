//! Expressions, compiled: names have become slots, `let` and `const` constants, the frequent forms nodes of their own.
//!
//! An expression is asked in one of two ways. `eval` makes a value. `passes` asks a condition, and runs through
//! comparisons, `and`, `or` and `not` without making any value in between.

mod calls;
mod collections;
mod compile;
mod lanes;
mod node;
mod number;
mod numeric;
mod survey;
mod truth;

use std::sync::Arc;

use crate::event::{Row, Value};
use crate::vpl::plan;

use super::env::Env;
use super::error::Fault;

pub(super) use compile::{Compiler, Emits, TimeOf};

pub(super) use calls::discard_behind;
use calls::{Functions, NO_FUNCTIONS};
use node::Node;

/// Whether `expr` names a bound of the window, which is known for good when the window closes.
pub(super) fn names_bounds(expr: &plan::Expr) -> bool {
    let mut walk = survey::Survey::default();
    walk.expr(expr, 1);
    walk.bounds
}

/// A compiled expression.
#[derive(Debug)]
pub(super) struct Expr {
    node: Node,
    /// What it needs beyond a row; `None` for expressions that cannot fail and have no locals.
    needs: Option<Needs>,
}

#[derive(Debug)]
struct Needs {
    functions: Arc<Functions>,
    /// How many locals its lambdas and blocks have.
    locals: usize,
}

impl Expr {
    /// Its value over `row`.
    #[inline]
    pub(super) fn eval(&self, row: &Row, env: &mut Env) -> Result<Value, Fault> {
        match &self.needs {
            None => Ok(self.node.eval(row, &NO_FUNCTIONS, env)),
            Some(needs) => env.guarded(needs.locals, |env| self.node.eval(row, &needs.functions, env)),
        }
    }

    /// Whether it is true of `row`; neither where it is false nor where it has no value.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    pub(super) fn passes(&self, row: &Row, env: &mut Env) -> Result<bool, Fault> {
        match self.node.test_at_once(row) {
            Some(truth) => Ok(truth),
            None => self.passes_any(row, env),
        }
    }

    /// Whether it is false of `row`, where that shows in its first comparison. No effect, and no failure.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    pub(super) fn fails_at_once(&self, row: &Row) -> bool {
        self.node.fails_at_once(row)
    }

    #[inline(never)]
    fn passes_any(&self, row: &Row, env: &mut Env) -> Result<bool, Fault> {
        match &self.needs {
            None => Ok(self.node.test(row, &NO_FUNCTIONS, env) == Some(true)),
            Some(needs) => {
                env.guarded(needs.locals, |env| self.node.test(row, &needs.functions, env) == Some(true))
            }
        }
    }

    /// Its value by reference where it is a field or a constant: `None` for everything else.
    #[inline]
    pub(super) fn borrow<'a>(&'a self, row: &'a Row) -> Option<&'a Value> {
        match &self.node {
            Node::Field(slot) => Some(node::field(row, *slot)),
            Node::Const(value) => Some(value),
            _ => None,
        }
    }

    /// Calls `then` with its value, without making one where it is a field.
    #[inline]
    pub(super) fn with<R>(
        &self,
        row: &Row,
        env: &mut Env,
        then: impl FnOnce(&Value) -> R,
    ) -> Result<R, Fault> {
        match self.borrow(row) {
            Some(value) => Ok(then(value)),
            None => self.eval(row, env).map(|value| then(&value)),
        }
    }
}
