//! What is legal and surely unwanted is warned of; a `var` that two contexts would share is refused (D41). All of it is
//! seen in the plan, when every stream is resolved.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::event::{FieldType, Value};
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{CapturePlan, Expr, OnErrorPlan, OpPlan, Plan, SourcePlan, Statement, StreamPlan};
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
        let runs: HashSet<usize> = self.plan.streams.iter().map(|stream| stream.context).collect();
        // Where events are sent to it, that is what is said.
        let sent_to: HashSet<usize> =
            self.stream_decls.iter().filter_map(|info| info.sends_to).map(|(to, _)| to).collect();
        for statement in &program.statements {
            let StatementKind::Context { name, .. } = &statement.kind else { continue };
            let Some(&context) = self.context_ids.get(name.text.as_str()) else { continue };
            if !runs.contains(&context) && !sent_to.contains(&context) {
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
        let variables: BTreeSet<usize> = self.plan.functions.iter().flat_map(changed).collect();
        if variables.is_empty() {
            return;
        }
        self.shared_by_workers(&variables);
        for (variable, [first, other]) in self.shared_by_contexts(&variables) {
            let name = &self.plan.globals[variable].name;
            let [first, other] = [first, other].map(|stream| &self.plan.streams[stream]);
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

    /// Of those variables that several contexts use, the first two streams that do so in different ones. Each function
    /// is looked at for two contexts at most: what those use that it calls is known then.
    fn shared_by_contexts(&self, variables: &BTreeSet<usize>) -> Vec<(usize, [usize; 2])> {
        let functions: Vec<Used> =
            self.plan.functions.iter().map(|function| Used::by(&function.body)).collect();
        let mut contexts_of: Vec<Vec<usize>> = vec![Vec::new(); functions.len()];
        let mut users: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut note = |variable: usize, stream: usize| {
            let users = users.entry(variable).or_default();
            let context = |stream: usize| self.plan.streams[stream].context;
            if users.len() < 2 && users.iter().all(|&user| context(user) != context(stream)) {
                users.push(stream);
            }
        };
        for (at, stream) in self.plan.streams.iter().enumerate() {
            let used = Used::in_stream(&self.plan, stream);
            used.globals.iter().for_each(|&variable| note(variable, at));
            let mut waiting: Vec<usize> = used.functions.into_iter().collect();
            while let Some(function) = waiting.pop() {
                let contexts = &mut contexts_of[function];
                if contexts.len() == 2 || contexts.contains(&stream.context) {
                    continue;
                }
                contexts.push(stream.context);
                functions[function].globals.iter().for_each(|&variable| note(variable, at));
                waiting.extend(&functions[function].functions);
            }
        }
        let shared = |(variable, users): (usize, Vec<usize>)| match users[..] {
            [first, other] if variables.contains(&variable) => Some((variable, [first, other])),
            _ => None,
        };
        users.into_iter().filter_map(shared).collect()
    }

    /// The workers of a pool share nothing either.
    fn shared_by_workers(&mut self, variables: &BTreeSet<usize>) {
        for at in 0..self.plan.streams.len() {
            let stream = &self.plan.streams[at];
            if stream.pool.is_none() {
                continue;
            }
            let used = self.used_by(&stream.back());
            let span = stream.span;
            for &variable in variables.iter().filter(|variable| used.globals.contains(variable)) {
                let message = format!(
                    "`var {}` is changed by a function and used behind `.concurrent` of stream `{}`",
                    self.plan.globals[variable].name, self.plan.streams[at].name
                );
                self.findings.push(
                    Diagnostic::error(span, message).help(
                        "workers share nothing: use it in front of `.concurrent`, or in another stream",
                    ),
                );
            }
        }
    }

    /// What a stream uses, by itself and in the functions that it calls.
    fn used_by(&self, stream: &StreamPlan) -> Used {
        let mut used = Used::in_stream(&self.plan, stream);
        let mut waiting: Vec<usize> = used.functions.iter().copied().collect();
        while let Some(function) = waiting.pop() {
            let more = Used::by(&self.plan.functions[function].body);
            used.globals.extend(more.globals);
            waiting.extend(more.functions.into_iter().filter(|&function| used.functions.insert(function)));
        }
        used
    }

    /// Who changes a variable while an event goes through a stream, and which: a function, or a lambda of the stream.
    pub(super) fn changes_variable(&self, stream: &StreamPlan) -> Option<(String, String)> {
        let variable = |global: &usize| self.plan.globals[*global].name.clone();
        for function in self.used_by(stream).functions {
            let function = &self.plan.functions[function];
            let mut changed = BTreeSet::new();
            set_globals(&function.body, &mut changed);
            if let Some(global) = changed.first() {
                return Some((format!("function `{}`", function.name), variable(global)));
            }
        }
        let mut changed = BTreeSet::new();
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
    globals: BTreeSet<usize>,
    functions: BTreeSet<usize>,
}

impl Used {
    /// By the expressions of a stream, functions not looked into.
    fn in_stream(plan: &Plan, stream: &StreamPlan) -> Self {
        let mut used = Self::default();
        stream_exprs(stream, &mut |expr| used.take(expr));
        if let OnErrorPlan::Decide(decider) = stream.on_error {
            used.take(&plan.deciders[decider]);
        }
        used
    }

    /// By a body, functions not looked into.
    fn by(body: &[Statement]) -> Self {
        let mut used = Self::default();
        set_globals(body, &mut used.globals);
        let mut inner: Vec<&Expr> = Vec::new();
        collect(body, &mut inner);
        for expr in inner {
            used.take(expr);
        }
        used
    }

    fn take(&mut self, expr: &Expr) {
        each(expr, &mut |part| match part {
            Expr::Global(global) => drop(self.globals.insert(*global)),
            Expr::UserCall(function, _) => drop(self.functions.insert(*function)),
            Expr::Block(statements, _) => set_globals(statements, &mut self.globals),
            _ => {}
        });
    }
}

fn set_globals(body: &[Statement], globals: &mut BTreeSet<usize>) {
    walk(body, &mut |statement| {
        if let Statement::SetGlobal(global, _) = statement {
            globals.insert(*global);
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
