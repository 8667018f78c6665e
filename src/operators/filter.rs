//! `.where`, `.having`, `.filter`: keeps a row exactly when the condition is true of it. What follows `.aggregate` is
//! a filter like any other, so `.having` needs no code of its own.

use crate::event::Row;
use crate::vpl::plan;

use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr};

#[derive(Debug)]
pub(super) struct Filter {
    pub(super) condition: Expr,
}

impl Filter {
    pub(super) fn compile(condition: &plan::Expr, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        Ok(Self { condition: compiler.expr(condition)? })
    }

    /// Whether `row` stays.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    pub(super) fn keeps(&self, row: &Row, env: &mut Env) -> Result<bool, Fault> {
        self.condition.passes(row, env)
    }

    /// Whether `row` does not stay, where that is plain to see.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    pub(super) fn turns_away(&self, row: &Row) -> bool {
        self.condition.fails_at_once(row)
    }
}
