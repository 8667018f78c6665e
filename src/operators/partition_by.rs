//! `.partition_by(e)`: sets the key for the operators after it. Without a value the key is null.

use crate::event::{Row, Value};
use crate::vpl::plan;

use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr};

#[derive(Debug)]
pub(super) struct PartitionBy {
    pub(super) key: Expr,
}

impl PartitionBy {
    pub(super) fn compile(key: &plan::Expr, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        Ok(Self { key: compiler.expr(key)? })
    }

    /// Makes the key of `row` the current one.
    #[inline(always)]
    #[allow(clippy::inline_always)] // on the way of every event to its key
    pub(super) fn set(&self, row: &Row, env: &mut Env) -> Result<(), Fault> {
        match self.key.borrow(row) {
            Some(Value::Missing) | None => env.key = self.key(row, env)?,
            Some(value) => env.key.assign(value),
        }
        Ok(())
    }

    /// The key of `row`.
    #[inline]
    pub(super) fn key(&self, row: &Row, env: &mut Env) -> Result<Value, Fault> {
        let key = match self.key.borrow(row) {
            Some(value) => value.clone(),
            None => self.key.eval(row, env)?,
        };
        Ok(if key.is_missing() { Value::Null } else { key })
    }
}
