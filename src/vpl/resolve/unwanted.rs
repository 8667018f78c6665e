//! What is legal and surely unwanted is warned of; a `var` that two contexts would share is refused (D41). All of it is
//! seen in the plan, when every stream is resolved.

use crate::event::{FieldType, Value};
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{CapturePlan, Expr, OnErrorPlan, OpPlan, SourcePlan, Statement, StreamPlan};
use crate::vpl::syntax::{BinaryOp, OperatorKind, Program, Span, StatementKind};

use super::Resolver;
use super::functions::walk;
use super::scope::Scope;

impl Resolver<'_> {
    pub(super) fn unwanted(&mut self, program: &Program) {
        self.contexts_without_streams(program);
        self.windows_without_use();
        self.shared_variables();
    }

    fn contexts_without_streams(&mut self, program: &Program) {
        if self.plan.streams.is_empty() {
            return;
        }
        for statement in &program.statements {
            let StatementKind::Context { name, .. } = &statement.kind else { continue };
            let Some(&context) = self.context_ids.get(name.text.as_str()) else { continue };
            let runs = self.plan.streams.iter().any(|stream| stream.context == context);
            // Where events are sent to it, that is what is said.
            let sent_to =
                self.stream_decls.iter().any(|info| info.sends_to.is_some_and(|(to, _)| to == context));
            if !runs && !sent_to {
                let message = format!("no stream runs in context `{}`", name.text);
                self.findings
                    .push(Diagnostic::warning(name.span, message).label("its thread has nothing to do"));
            }
        }
    }

    fn windows_without_use(&mut self) {
        for (stream, info) in self.plan.streams.iter().zip(&self.stream_decls) {
            let together = |op: &OpPlan| {
                matches!(
                    op,
                    OpPlan::Aggregate(_) | OpPlan::OrderBy(_) | OpPlan::Limit(_) | OpPlan::Distinct(_)
                )
            };
            let mut speaks_of_it = false;
            stream_exprs(stream, &mut |expr| {
                each(expr, &mut |part| speaks_of_it |= matches!(part, Expr::WindowStart | Expr::WindowEnd));
            });
            if stream.window.is_none() || stream.after.iter().any(together) || speaks_of_it {
                continue;
            }
            let windows = info.decl.operators.iter();
            let at = windows
                .filter(|op| matches!(op.kind, OperatorKind::Window(_)))
                .map(|op| op.name_span)
                .next_back();
            let message =
                format!("stream `{}` has a window, and nothing uses its rows together", stream.name);
            self.findings.push(
                Diagnostic::warning(at.unwrap_or(stream.span), message)
                    .label("it only holds events back")
                    .help("`.aggregate`, `.order_by`, `.limit` or `.distinct` behind it would"),
            );
        }
    }

    /// Contexts share nothing: a `var` that functions change belongs to one (D41).
    fn shared_variables(&mut self) {
        let changed = |function: &crate::vpl::plan::FunctionPlan| {
            let mut globals = Vec::new();
            walk(&function.body, &mut |statement| {
                if let Statement::SetGlobal(global, _) = statement {
                    globals.push(*global);
                }
            });
            globals
        };
        let mut variables: Vec<usize> = self.plan.functions.iter().flat_map(changed).collect();
        variables.sort_unstable();
        variables.dedup();
        if variables.is_empty() {
            return;
        }
        let used: Vec<Used> = self.plan.streams.iter().map(|stream| self.used_by(stream)).collect();
        for &variable in &variables {
            self.shared_by_workers(variable);
            let mut users =
                self.plan.streams.iter().zip(&used).filter(|(_, used)| used.globals.contains(&variable));
            let Some((first, _)) = users.next() else { continue };
            let Some((other, _)) = users.find(|(other, _)| other.context != first.context) else { continue };
            let name = &self.plan.globals[variable].name;
            let context = |stream: &StreamPlan| &self.plan.contexts[stream.context].name;
            let message = format!(
                "`var {name}` is changed by a function and used in two contexts: by stream `{}` in `{}` and by \
                 stream `{}` in `{}`",
                first.name,
                context(first),
                other.name,
                context(other)
            );
            self.findings.push(
                Diagnostic::error(other.span, message)
                    .help("contexts share nothing: let one of them send the value to the other"),
            );
        }
    }

    /// The workers of a pool share nothing either.
    fn shared_by_workers(&mut self, variable: usize) {
        for at in 0..self.plan.streams.len() {
            let stream = &self.plan.streams[at];
            if stream.pool.is_none() || !self.used_by(&stream.back()).globals.contains(&variable) {
                continue;
            }
            let name = &self.plan.globals[variable].name;
            let message = format!(
                "`var {name}` is changed by a function and used behind `.concurrent` of stream `{}`",
                stream.name
            );
            self.findings.push(
                Diagnostic::error(stream.span, message)
                    .help("workers share nothing: use it in front of `.concurrent`, or in another stream"),
            );
        }
    }

    /// The globals that a stream uses, by itself and in the functions that it calls.
    fn used_by(&self, stream: &StreamPlan) -> Used {
        let mut used = Used::default();
        stream_exprs(stream, &mut |expr| used.take(expr));
        if let OnErrorPlan::Decide(decider) = stream.on_error {
            used.take(&self.plan.deciders[decider]);
        }
        let mut at = 0;
        while let Some(&function) = used.functions.get(at) {
            at += 1;
            let body = &self.plan.functions[function].body;
            used.statements(body);
        }
        used
    }

    /// Who changes a variable while an event goes through a stream, and which: a function, or a lambda of the stream.
    pub(super) fn changes_variable(&self, stream: &StreamPlan) -> Option<(String, String)> {
        let variable = |global: &usize| self.plan.globals[*global].name.clone();
        for function in self.used_by(stream).functions {
            let function = &self.plan.functions[function];
            let mut changed = Vec::new();
            set_globals(&function.body, &mut changed);
            if let Some(global) = changed.first() {
                return Some((format!("function `{}`", function.name), variable(global)));
            }
        }
        let mut changed = Vec::new();
        stream_exprs(stream, &mut |expr| {
            each(expr, &mut |part| {
                if let Expr::Block(statements, _) = part {
                    set_globals(statements, &mut changed);
                }
            });
        });
        changed.first().map(|global| ("a lambda".to_owned(), variable(global)))
    }

    /// A declared field against a constant with which it never compares as true.
    pub(super) fn check_comparison(
        &mut self,
        op: BinaryOp,
        left: &Expr,
        right: &Expr,
        at: Span,
        scope: &Scope,
    ) {
        if !matches!(op, BinaryOp::Eq | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge) {
            return;
        }
        let (slot, name, value) = match (left, right) {
            (Expr::Field(slot, name), Expr::Const(value)) | (Expr::Const(value), Expr::Field(slot, name)) => {
                (*slot, name, value)
            }
            _ => return,
        };
        let Some(row) = scope.row.as_ref().filter(|row| row.sides.is_empty()) else { return };
        let fields = &self.plan.shapes[row.shape].fields;
        let Some(field) = fields.iter().find(|field| field.slot == Some(slot) && field.name == *name) else {
            return;
        };
        let compares = match &field.ty {
            FieldType::Int | FieldType::Float => matches!(value, Value::Int(_) | Value::Float(_)),
            FieldType::Str => matches!(value, Value::Str(_)),
            FieldType::Bool => matches!(value, Value::Bool(_)) && op == BinaryOp::Eq,
            FieldType::Timestamp => matches!(value, Value::Timestamp(_)),
            FieldType::Duration => matches!(value, Value::Duration(_)),
            _ => true,
        };
        if compares || matches!(value, Value::Null | Value::Missing) {
            return;
        }
        let message = format!("this is never true: `{name}` is declared as {}", field.ty);
        self.findings.push(Diagnostic::warning(at, message).label("compares values of different types"));
    }
}

/// What expressions use.
#[derive(Default)]
struct Used {
    globals: Vec<usize>,
    functions: Vec<usize>,
}

impl Used {
    fn take(&mut self, expr: &Expr) {
        each(expr, &mut |part| match part {
            Expr::Global(global) => self.globals.push(*global),
            Expr::UserCall(function, _) if !self.functions.contains(function) => {
                self.functions.push(*function);
            }
            Expr::Block(statements, _) => set_globals(statements, &mut self.globals),
            _ => {}
        });
    }

    fn statements(&mut self, body: &[Statement]) {
        set_globals(body, &mut self.globals);
        let mut inner: Vec<&Expr> = Vec::new();
        collect(body, &mut inner);
        for expr in inner {
            self.take(expr);
        }
    }
}

fn set_globals(body: &[Statement], globals: &mut Vec<usize>) {
    walk(body, &mut |statement| {
        if let Statement::SetGlobal(global, _) = statement {
            globals.push(*global);
        }
    });
}

/// The expressions that stand in a stream.
fn stream_exprs(stream: &StreamPlan, visit: &mut impl FnMut(&Expr)) {
    for input in stream.source.inputs() {
        input.filter.iter().for_each(&mut *visit);
    }
    match &stream.source {
        SourcePlan::Join(join) => join.on.iter().flatten().for_each(|(_, side)| visit(side)),
        SourcePlan::Sequence(sequence) => {
            sequence.keys.iter().for_each(&mut *visit);
            for step in &sequence.steps {
                let guards = step.guard.iter().chain(step.nots.iter().filter_map(|not| not.guard.as_ref()));
                for guard in guards {
                    visit(&guard.condition);
                    guard.captured.iter().for_each(|capture| aggregate_of(capture, visit));
                }
            }
            sequence.slots.iter().for_each(|capture| aggregate_of(capture, visit));
        }
        SourcePlan::Name(_) | SourcePlan::Merge(_) => {}
    }
    for op in stream.before.iter().chain(&stream.after) {
        match op {
            OpPlan::Where(value)
            | OpPlan::Replace { value, .. }
            | OpPlan::PartitionBy(value)
            | OpPlan::Process { call: value, .. } => visit(value),
            OpPlan::Project { fields, .. } => fields.iter().for_each(|(_, value)| visit(value)),
            OpPlan::Aggregate(aggregate) => {
                aggregate.accumulators.iter().filter_map(|item| item.argument.as_ref()).for_each(&mut *visit);
                aggregate.fields.iter().for_each(|(_, value)| visit(value));
                aggregate.group_by.iter().for_each(&mut *visit);
            }
            OpPlan::Distinct(by) => by.iter().for_each(&mut *visit),
            OpPlan::OrderBy(by) => by.iter().for_each(|(value, _)| visit(value)),
            OpPlan::Log(log) => log.parts.iter().for_each(|(_, value)| visit(value)),
            OpPlan::Limit(_) => {}
        }
    }
}

/// What an aggregate over the events of a run goes over.
fn aggregate_of(capture: &CapturePlan, visit: &mut impl FnMut(&Expr)) {
    if let CapturePlan::Aggregate(_, aggregate) = capture {
        aggregate.argument.iter().for_each(visit);
    }
}

/// An expression and all its parts, each before its own.
pub(super) fn each(expr: &Expr, visit: &mut impl FnMut(&Expr)) {
    visit(expr);
    match expr {
        Expr::Unary(_, a) | Expr::Member(a, _) => each(a, visit),
        Expr::OrElse(a, b)
        | Expr::Binary(_, a, b)
        | Expr::Range(a, b, _)
        | Expr::Index(a, b)
        | Expr::MapItems(a, _, b)
        | Expr::FilterItems(a, _, b) => {
            each(a, visit);
            each(b, visit);
        }
        Expr::If(a, b, c) => [a, b, c].into_iter().for_each(|part| each(part, visit)),
        Expr::Slice(a, b, c) => {
            each(a, visit);
            b.iter().chain(c).for_each(|part| each(part, visit));
        }
        Expr::Array(items) | Expr::Call(_, items) | Expr::UserCall(_, items) => {
            for item in items {
                each(item, visit);
            }
        }
        Expr::Map(entries) => entries.iter().for_each(|(_, item)| each(item, visit)),
        Expr::Block(body, result) => {
            let mut inner: Vec<&Expr> = Vec::new();
            collect(body, &mut inner);
            for value in inner {
                each(value, visit);
            }
            each(result, visit);
        }
        Expr::Const(_)
        | Expr::Field(..)
        | Expr::RestField(..)
        | Expr::AllFields { .. }
        | Expr::Time
        | Expr::Key
        | Expr::WindowStart
        | Expr::WindowEnd
        | Expr::Global(_)
        | Expr::Local(_)
        | Expr::Captured(..)
        | Expr::Aggregate(_) => {}
    }
}

/// The expressions of statements and of those in them.
fn collect<'s>(body: &'s [Statement], into: &mut Vec<&'s Expr>) {
    for statement in body {
        match statement {
            Statement::SetLocal(_, value)
            | Statement::SetGlobal(_, value)
            | Statement::Return(Some(value))
            | Statement::Expr(value) => into.push(value),
            Statement::If(branches, otherwise) => {
                for (condition, body) in branches {
                    into.push(condition);
                    collect(body, into);
                }
                collect(otherwise, into);
            }
            Statement::For(_, value, body) | Statement::While(value, body) => {
                into.push(value);
                collect(body, into);
            }
            Statement::Emit { fields, .. } => into.extend(fields.iter().map(|(_, value)| value)),
            Statement::Return(None) | Statement::Break | Statement::Continue => {}
        }
    }
}
