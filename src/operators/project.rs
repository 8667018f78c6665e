//! `.select`, `.emit`, `.map(x => {..})`: a new row with the given fields. A field whose expression has no value stays empty.

use crate::event::Row;
use crate::vpl::plan;

use super::emit::{Cause, Mark};
use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr, TimeOf};

#[derive(Debug)]
pub(super) struct Project {
    pub(super) verb: &'static str,
    /// The value of each slot from 0 on.
    fields: Box<[Expr]>,
    slots: usize,
    time: TimeOf,
    mark: Mark,
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
        Ok(Self { verb, fields: fields.collect::<Result<_, _>>()?, slots, time: compiler.time(), mark })
    }

    /// The new row.
    #[inline]
    pub(super) fn make(&self, row: &Row, env: &mut Env) -> Result<Row, Fault> {
        let mut made = Row::new(self.mark.type_id, self.time.of(row, env), self.slots);
        made.set_rank(self.mark.rank);
        Cause::of(row).put(&mut made);
        for (slot, field) in self.fields.iter().enumerate() {
            let value = match field.borrow(row) {
                Some(value) => value.clone(),
                None => field.eval(row, env)?,
            };
            made.set(slot, value);
        }
        Ok(made)
    }
}
