//! `.on_error(x => ..)`: a lambda that is told of a failure, and decides what becomes of the event.
//!
//! It sees what a dead letter would hold. `"skip"`, `"fail"` and `"dead_letter"` are decisions; whatever else it
//! gives, or a failure of its own, leaves the event to the dead letters.

use crate::event::{Map, Row, Text, Value};
use crate::vpl::plan::{self, OnErrorPlan, Plan};

use super::env::Env;
use super::error::{CompileError, OperatorError};
use super::expr::{Compiler, Expr};

/// What becomes of an event on which a stream has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the dead letters.
    DeadLetter,
    /// It is counted.
    Skip,
    /// The run ends.
    Fail,
}

/// The lambda of one stream.
#[derive(Debug)]
pub struct Decider {
    value: Expr,
    /// By name: the fields that rows of it hold, and where; or the slot with all of them.
    layouts: Vec<Layout>,
}

#[derive(Debug)]
struct Layout {
    fields: Vec<(Text, usize)>,
    rest: Option<usize>,
}

impl Decider {
    /// The lambda of the stream with index `stream`; none where its `.on_error` is none.
    pub fn compile(plan: &Plan, stream: usize, env: &Env) -> Result<Option<Self>, CompileError> {
        let OnErrorPlan::Decide(decider) = plan.streams[stream].on_error else { return Ok(None) };
        let compiler = Compiler::for_stream(plan, &env.globals, &plan.streams[stream].name);
        let layouts = plan.names.iter().map(|name| {
            let shape = &plan.shapes[name.shape];
            let kept = |field: &crate::event::ShapeField| Some((Text::new(&field.name), field.slot?));
            Layout {
                fields: shape
                    .fields
                    .iter()
                    .filter_map(kept)
                    .map(|(name, slot)| (name, usize::from(slot)))
                    .collect(),
                rest: shape.rest.map(usize::from),
            }
        });
        let layouts = layouts.collect();
        Ok(Some(Self { value: compiler.expr(&plan.deciders[decider])?, layouts }))
    }

    /// Asks the lambda.
    pub fn decide(&self, error: &OperatorError, row: Option<&Row>, env: &mut Env) -> Verdict {
        let event = row.map_or(Value::Null, |row| self.event(row));
        let text = |text: &str| Value::from(text);
        let parts: [Value; plan::FAILURE_FIELDS.len()] = [
            event,
            text(&error.message),
            text(&error.stream),
            text(error.operator),
            Value::Int(i64::from(error.attempts)),
        ];
        let mut failure = Row::with_values(u32::MAX, row.map_or(0, Row::time_ns), &parts);
        if let Some(row) = row {
            failure.set_seq(row.seq());
        }
        match self.value.eval(&failure, env) {
            Ok(Value::Str(decision)) if &*decision == "skip" => Verdict::Skip,
            Ok(Value::Str(decision)) if &*decision == "fail" => Verdict::Fail,
            Ok(_) | Err(_) => Verdict::DeadLetter,
        }
    }

    /// The fields of an event, as far as its row holds them.
    fn event(&self, row: &Row) -> Value {
        let Some(layout) = self.layouts.get(row.type_id() as usize) else { return Value::Null };
        if let Some(Value::Map(all)) = layout.rest.and_then(|slot| row.values().get(slot)) {
            return Value::Map(all.clone());
        }
        let mut map = Map::with_capacity(layout.fields.len());
        for (name, slot) in &layout.fields {
            if let Some(value) = row.values().get(*slot).filter(|value| !value.is_missing()) {
                map.insert(name.clone(), value.clone());
            }
        }
        Value::map(map)
    }
}
