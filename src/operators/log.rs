//! `.print`, `.log`, `.tap`: a line to the log for each row, which goes on unchanged.

use crate::event::Row;
use crate::vpl::plan;

use super::env::{Env, LogLine};
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr, TimeOf};

#[derive(Debug)]
pub(super) struct Log {
    pub(super) verb: &'static str,
    pub(super) level: String,
    pub(super) stream: String,
    pub(super) parts: Vec<(Option<String>, Expr)>,
    pub(super) time: TimeOf,
}

impl Log {
    pub(super) fn compile(plan: &plan::LogPlan, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        let parts = plan.parts.iter().map(|(name, value)| Ok((name.clone(), compiler.expr(value)?)));
        Ok(Self {
            verb: plan.verb,
            level: plan.level.clone(),
            stream: compiler.place().to_owned(),
            parts: parts.collect::<Result<_, _>>()?,
            time: compiler.time(),
        })
    }

    /// Writes the line of `row`.
    pub(super) fn write(&self, row: &Row, env: &mut Env) -> Result<(), Fault> {
        if !env.has_log() {
            return Ok(());
        }
        let parts = self.parts.iter().map(|(name, value)| Ok((name.clone(), value.eval(row, env)?)));
        let parts = parts.collect::<Result<_, _>>()?;
        env.write_log(LogLine {
            stream: self.stream.clone(),
            verb: self.verb,
            level: self.level.clone(),
            time_ns: self.time.of(row, env),
            parts,
        });
        Ok(())
    }
}
