//! `.map(x => e)` where `e` is any expression: its value must be a map, which becomes all fields of the row (D28).

use crate::event::{Row, Value};
use crate::vpl::plan;

use super::emit::{Cause, Mark};
use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr, TimeOf};

#[derive(Debug)]
pub(super) struct Replace {
    pub(super) value: Expr,
    pub(super) fields: Box<[(Box<str>, usize)]>,
    pub(super) rest: Option<usize>,
    pub(super) slots: usize,
    pub(super) time: TimeOf,
    pub(super) mark: Mark,
}

impl Replace {
    pub(super) fn compile(
        value: &plan::Expr,
        fields: &[(String, u16)],
        rest: Option<u16>,
        slots: u16,
        mark: Mark,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let fields: Box<[_]> =
            fields.iter().map(|(name, slot)| (name.as_str().into(), usize::from(*slot))).collect();
        let rest = rest.map(usize::from);
        let needed =
            fields.iter().map(|(_, slot)| slot + 1).chain(rest.map(|slot| slot + 1)).max().unwrap_or(0);
        Ok(Self {
            value: compiler.expr(value)?,
            fields,
            rest,
            slots: usize::from(slots).max(needed),
            time: compiler.time(),
            mark,
        })
    }

    /// The new row.
    pub(super) fn make(&self, row: &Row, env: &mut Env) -> Result<Row, Fault> {
        let Value::Map(map) = self.value.eval(row, env)? else { return Err(Fault::NoMap) };
        let mut made = Row::new(self.mark.type_id, self.time.of(row, env), self.slots);
        made.set_rank(self.mark.rank);
        Cause::of(row).put(&mut made);
        for (name, slot) in &self.fields {
            if let Some(value) = map.get(name) {
                made.set(*slot, value.clone());
            }
        }
        if let Some(rest) = self.rest {
            made.set(rest, Value::Map(map));
        }
        Ok(made)
    }
}
