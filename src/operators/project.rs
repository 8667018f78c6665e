//! `.select`, `.emit`, `.map(x => {..})`: a new row with the given fields. A field whose expression has no value
//! stays empty.

use crate::event::{INLINE_FIELDS, Row, Value};
use crate::vpl::plan;

use super::at::At;
use super::emit::{Cause, Mark};
use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr, TimeOf};

#[derive(Debug)]
pub(super) struct Project {
    pub(super) verb: &'static str,
    pub(super) at: At,
    /// The value of each slot from 0 on.
    pub(super) fields: Box<[Expr]>,
    pub(super) slots: usize,
    pub(super) time: TimeOf,
    pub(super) mark: Mark,
}

impl Project {
    pub(super) fn compile(
        verb: &'static str,
        fields: &[(String, plan::Expr)],
        slots: u16,
        mark: Mark,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let slots = usize::from(slots).max(fields.len());
        let fields = fields.iter().map(|(_, value)| compiler.expr(value));
        let at = if verb == "emit" { At::Emit } else { At::Select };
        Ok(Self { verb, at, fields: fields.collect::<Result<_, _>>()?, slots, time: compiler.time(), mark })
    }

    /// The new row, still empty. Filling it is a step of its own, so that it is made where it stays, and not moved.
    #[inline]
    pub(super) fn blank(&self, row: &Row, env: &Env) -> Row {
        // A wide row has its slots at once, a narrow one gets them one by one.
        let slots = if self.slots <= INLINE_FIELDS { 0 } else { self.slots };
        let mut made = Row::new(self.mark.type_id, self.time.of(row, env), slots);
        made.set_rank(self.mark.rank);
        Cause::of(row).put(&mut made);
        made
    }

    /// Fills the new row from the old one.
    #[inline]
    pub(super) fn fill(&self, made: &mut Row, row: &Row, env: &mut Env) -> Result<(), Fault> {
        if self.slots > INLINE_FIELDS {
            return self.fill_wide(made, row, env);
        }
        for field in &self.fields {
            match field.borrow(row) {
                Some(value) => made.push(value),
                None => made.push(&field.eval(row, env)?),
            }
        }
        for _ in self.fields.len()..self.slots {
            made.push(&Value::Missing);
        }
        Ok(())
    }

    #[inline(never)]
    fn fill_wide(&self, made: &mut Row, row: &Row, env: &mut Env) -> Result<(), Fault> {
        for (slot, field) in self.fields.iter().enumerate() {
            made.set(slot, field.eval(row, env)?);
        }
        Ok(())
    }
}
