//! `.process(f(x))`: calls a function for its effect. Each `emit T(..)` that it comes to is a row, in order; the
//! value of the call is dropped.

use crate::event::Row;
use crate::vpl::plan::{self, EmitTypePlan};

use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Emits, Expr};

#[derive(Debug)]
pub(super) struct Process {
    pub(super) call: Expr,
}

impl Process {
    /// `slots`: how many the emitted rows have.
    pub(super) fn compile(
        call: &plan::Expr,
        types: &[EmitTypePlan],
        slots: usize,
        rank: u16,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let needed = types.iter().flat_map(|emitted| &emitted.fields).map(|(_, slot)| usize::from(*slot) + 1);
        let slots = slots.max(needed.max().unwrap_or(0));
        Ok(Self { call: compiler.with_emits(Emits { types, rank, slots }).expr(call)? })
    }

    /// Calls the function on `row`: what it emits is appended to the environment's `emitted`. Nothing is, where it
    /// fails.
    pub(super) fn run(&self, row: &Row, env: &mut Env) -> Result<(), Fault> {
        let before = env.emitted.len();
        let result = self.call.eval(row, env);
        if result.is_err() {
            env.emitted.truncate(before);
        }
        result.map(|_| ())
    }
}
