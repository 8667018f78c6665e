//! A plan in words: expressions and operators with the names that the program gave them, for people who want to know
//! what runs.
//!
//! The text is no VPL: slots, keys and rows have been resolved, and parentheses stand wherever two operators meet.

use std::fmt::Write;

use crate::event::Value;
use crate::event::json::{push_text, write_json};

use super::literal::{duration_text, timestamp_text};
use super::plan::{
    AccumulatorPlan, Emission, Expr, GuardPlan, OpPlan, Plan, PoolPlan, Selection, SequencePlan, SourcePlan,
    Strategy, WindowPlan,
};
use super::syntax::{BinaryOp, JoinKind, Trend, UnaryOp};

/// What one operator does: its verb, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// `where`, `emit`, `window` ..
    pub verb: String,
    /// Its arguments.
    pub text: String,
}

impl Described {
    fn new(verb: impl Into<String>, text: impl Into<String>) -> Self {
        Self { verb: verb.into(), text: text.into() }
    }
}

/// Prints parts of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanPrinter<'a> {
    plan: &'a Plan,
    accumulators: &'a [AccumulatorPlan],
}

impl<'a> PlanPrinter<'a> {
    /// A printer for parts of `plan`.
    pub fn new(plan: &'a Plan) -> Self {
        Self { plan, accumulators: &[] }
    }

    /// Where a stream's events come from.
    pub fn source(&self, source: &SourcePlan) -> String {
        let input = |input: &super::plan::InputPlan| {
            let name = &self.plan.names[input.name].name;
            match &input.filter {
                Some(filter) => format!("{name} where {}", self.expr(filter)),
                None => name.clone(),
            }
        };
        match source {
            SourcePlan::Name(only) => input(only),
            SourcePlan::Merge(inputs) => {
                format!("merge({})", inputs.iter().map(input).collect::<Vec<_>>().join(", "))
            }
            SourcePlan::Join(join) => {
                let kind = match join.kind {
                    JoinKind::Inner => "join",
                    JoinKind::Left => "left_join",
                    JoinKind::Right => "right_join",
                    JoinKind::Full => "full_join",
                };
                let sides = join.sides.iter().map(input).collect::<Vec<_>>().join(", ");
                let side = |(side, value): &(usize, Expr)| {
                    let name = &self.plan.names[join.sides[*side].name].name;
                    format!("{name}: {}", self.expr(value))
                };
                let on = join.on.iter().map(|[left, right]| format!("{} == {}", side(left), side(right)));
                let on = on.collect::<Vec<_>>().join(" and ");
                format!("{kind}({sides}) on {on} within {}", duration_text(join.window_ns))
            }
            SourcePlan::Sequence(sequence) => self.sequence(sequence),
        }
    }

    fn sequence(&self, sequence: &SequencePlan) -> String {
        let taken = |input: usize, guard: &Option<GuardPlan>| {
            let name = &self.plan.names[sequence.inputs[input].name].name;
            match guard {
                Some(guard) => format!("{name} where {}", self.expr(&guard.condition)),
                None => name.clone(),
            }
        };
        let mut steps = Vec::new();
        for step in &sequence.steps {
            let all = if step.all { "all " } else { "" };
            let trend = match step.trend {
                Some((Trend::Increasing, _)) => " increasing",
                Some((Trend::Decreasing, _)) => " decreasing",
                None => "",
            };
            steps.push(format!("{all}{}{trend} as {}", taken(step.input, &step.guard), step.name));
            steps.extend(step.nots.iter().map(|not| format!("not {}", taken(not.input, &not.guard))));
        }
        let mut text = steps.join(" -> ");
        if let Some(within_ns) = sequence.within_ns {
            let _ = write!(text, " within {}", duration_text(within_ns));
        }
        if let (Some(key), Some(input)) = (sequence.keys.first(), sequence.inputs.first()) {
            let _ = write!(text, " by {} of {}", self.expr(key), self.plan.names[input.name].name);
        }
        match sequence.selection {
            Selection::NextMatch => {}
            Selection::Strict => text.push_str(", strict"),
            Selection::AnyMatch => text.push_str(", any match"),
        }
        match sequence.emission {
            Emission::Each => {}
            Emission::Longest => text.push_str(", longest"),
            Emission::Subsets => text.push_str(", subsets"),
        }
        text
    }

    /// A window.
    pub fn window(&self, window: &WindowPlan) -> String {
        match *window {
            WindowPlan::Time { size_ns, slide_ns } if size_ns == slide_ns => {
                format!("{} of event time", duration_text(size_ns))
            }
            WindowPlan::Time { size_ns, slide_ns } => {
                format!("{} of event time, sliding by {}", duration_text(size_ns), duration_text(slide_ns))
            }
            WindowPlan::FirstEvent { size_ns } => {
                format!("{} of event time, from the first event", duration_text(size_ns))
            }
            WindowPlan::Count { size, slide } if size == slide => format!("{size} events"),
            WindowPlan::Count { size, slide } => format!("{size} events, sliding by {slide}"),
            WindowPlan::Session { gap_ns } => {
                format!("session, closed by a gap of more than {}", duration_text(gap_ns))
            }
        }
    }

    /// A pool.
    pub fn pool(&self, pool: &PoolPlan) -> String {
        let workers = match pool.workers {
            1 => "1 worker".to_owned(),
            workers => format!("{workers} workers"),
        };
        match (pool.strategy, &pool.key) {
            (Strategy::ConsistentHash, Some(key)) => {
                format!("{workers}, consistent hash of {}", self.expr(key))
            }
            (Strategy::ConsistentHash, None) => format!("{workers}, consistent hash of the key"),
            (Strategy::RoundRobin, _) => format!("{workers}, by turns"),
            (Strategy::Broadcast, _) => format!("{workers}, every row to each; one of them has the results"),
        }
    }

    /// An operator; `.aggregate` with its group comes as two.
    pub fn operator(&self, operator: &OpPlan) -> Vec<Described> {
        let one = |verb: &str, text: String| vec![Described::new(verb, text)];
        match operator {
            OpPlan::Where(condition) => one("where", self.expr(condition)),
            OpPlan::Project { verb, fields, .. } => one(verb, self.fields(fields)),
            OpPlan::Replace { value, .. } => one("map", self.expr(value)),
            OpPlan::PartitionBy(key) => one("partition by", self.expr(key)),
            OpPlan::Aggregate(aggregate) => {
                let inside = PlanPrinter { accumulators: &aggregate.accumulators, plan: self.plan };
                let mut described = Vec::new();
                if let Some(key) = &aggregate.group_by {
                    described.push(Described::new("partition by", self.expr(key)));
                }
                described.push(Described::new("aggregate", inside.fields(&aggregate.fields)));
                described
            }
            OpPlan::Distinct(by) if by.is_empty() => one("distinct", "all fields".to_owned()),
            OpPlan::Distinct(by) => one("distinct", self.list(by)),
            OpPlan::OrderBy(by) => {
                let key = |(key, descends): &(Expr, bool)| {
                    format!("{}{}", self.expr(key), if *descends { " desc" } else { "" })
                };
                one("order by", by.iter().map(key).collect::<Vec<_>>().join(", "))
            }
            OpPlan::Limit(rows) => one("limit", rows.to_string()),
            OpPlan::Log(log) => {
                let part = |(name, value): &(Option<String>, Expr)| match name {
                    Some(name) => format!("{name}: {}", self.expr(value)),
                    None => self.expr(value),
                };
                one(log.verb, log.parts.iter().map(part).collect::<Vec<_>>().join(", "))
            }
            OpPlan::Process { call, emits } => {
                let types = emits.iter().map(|emit| emit.type_name.as_str()).collect::<Vec<_>>().join(", ");
                one("process", format!("{} emits {types}", self.expr(call)))
            }
        }
    }

    fn fields(&self, fields: &[(String, Expr)]) -> String {
        if fields.is_empty() {
            return "no fields".to_owned();
        }
        let field = |(name, value): &(String, Expr)| {
            let text = self.expr(value);
            if *name == text { text } else { format!("{name}: {text}") }
        };
        fields.iter().map(field).collect::<Vec<_>>().join(", ")
    }

    fn list(&self, items: &[Expr]) -> String {
        items.iter().map(|item| self.expr(item)).collect::<Vec<_>>().join(", ")
    }

    /// An expression.
    pub fn expr(&self, expr: &Expr) -> String {
        match expr {
            Expr::Const(value) => constant(value),
            Expr::Field(_, name) | Expr::RestField(_, name) => name.clone(),
            Expr::AllFields { .. } => "all fields".to_owned(),
            // Both have the same name; the program's own is meant where the event has none.
            Expr::OrElse(field, _) => self.expr(field),
            Expr::Time => "timestamp".to_owned(),
            Expr::Key => "_partition".to_owned(),
            Expr::WindowStart => "window_start".to_owned(),
            Expr::WindowEnd => "window_end".to_owned(),
            Expr::Global(index) => self.plan.globals[*index].name.clone(),
            Expr::Local(index) => local(*index),
            Expr::Aggregate(index) => self.accumulator(*index),
            Expr::Captured(_, name) => name.clone(),
            Expr::Unary(op, operand) => format!("{}{}", unary(*op), self.inner(operand)),
            Expr::Binary(op, left, right) => {
                format!("{} {} {}", self.inner(left), binary(*op), self.inner(right))
            }
            Expr::If(condition, then, otherwise) => {
                let [condition, then, otherwise] = [condition, then, otherwise].map(|part| self.inner(part));
                format!("if {condition} then {then} else {otherwise}")
            }
            Expr::Range(from, to, closed) => {
                format!("{}{}{}", self.inner(from), if *closed { "..=" } else { ".." }, self.inner(to))
            }
            Expr::Member(map, name) => format!("{}.{name}", self.inner(map)),
            Expr::Index(of, index) => format!("{}[{}]", self.inner(of), self.expr(index)),
            Expr::Slice(of, from, to) => {
                let bound =
                    |bound: &Option<Box<Expr>>| bound.as_ref().map_or_else(String::new, |b| self.expr(b));
                format!("{}[{}:{}]", self.inner(of), bound(from), bound(to))
            }
            Expr::Array(items) => format!("[{}]", self.list(items)),
            Expr::Map(entries) if entries.is_empty() => "{}".to_owned(),
            Expr::Map(entries) => format!("{{{}}}", self.fields(entries)),
            Expr::Call(function, arguments) => format!("{}({})", function.name(), self.list(arguments)),
            Expr::UserCall(function, arguments) => {
                format!("{}({})", self.plan.functions[*function].name, self.list(arguments))
            }
            Expr::MapItems(of, item, body) => {
                format!("{}.map({} => {})", self.inner(of), local(*item), self.expr(body))
            }
            Expr::FilterItems(of, item, body) => {
                format!("{}.filter({} => {})", self.inner(of), local(*item), self.expr(body))
            }
            Expr::Block(_, value) => format!("{{ ..; {} }}", self.expr(value)),
        }
    }

    /// An expression inside another one.
    fn inner(&self, expr: &Expr) -> String {
        let text = self.expr(expr);
        match expr {
            Expr::Unary(..) | Expr::Binary(..) | Expr::If(..) | Expr::Range(..) => format!("({text})"),
            _ => text,
        }
    }

    fn accumulator(&self, index: usize) -> String {
        let Some(accumulator) = self.accumulators.get(index) else { return format!("aggregate {index}") };
        let mut text = format!("{}(", accumulator.aggregate.name());
        if let Some(argument) = &accumulator.argument {
            text.push_str(&self.expr(argument));
        }
        if accumulator.aggregate.takes_param() {
            // Writing into a string cannot fail.
            let _ = write!(text, ", {}", accumulator.parameter);
        }
        text.push(')');
        text
    }
}

/// Parameters and locals have lost their names.
fn local(index: usize) -> String {
    format!("x{index}")
}

fn constant(value: &Value) -> String {
    match value {
        Value::Duration(ns) => duration_text(*ns),
        Value::Timestamp(ns) => timestamp_text(*ns),
        Value::Missing => "no value".to_owned(),
        Value::Str(_) | Value::Array(_) | Value::Map(_) => {
            let mut json = Vec::new();
            write_json(&mut json, value);
            String::from_utf8_lossy(&json).into_owned()
        }
        other => {
            let mut text = String::new();
            push_text(&mut text, other);
            text
        }
    }
}

fn unary(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Neg => "-",
        UnaryOp::BitNot => "~",
        UnaryOp::Not => "not ",
    }
}

fn binary(op: BinaryOp) -> &'static str {
    super::print::expressions::symbol(op)
}
