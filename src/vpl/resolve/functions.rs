//! Functions of the program: parameters and locals become places in a frame, statements stay statements.

use std::collections::{HashMap, HashSet};

use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{Expr, Statement};
use crate::vpl::syntax::{
    self, BindingKind, BlockStatement, BlockStatementKind, ExprKind, Name, Program, Span, StatementKind,
};

use super::Resolver;
use super::bounds::MAX_FIELDS;
use super::scope::Scope;
use super::unwanted::each;

impl<'a> Resolver<'a> {
    pub(super) fn functions(&mut self, program: &'a Program) {
        let mut done: HashSet<&str> = HashSet::new();
        for statement in &program.statements {
            let StatementKind::Function { name, params, body, .. } = &statement.kind else { continue };
            if !done.insert(&name.text) {
                continue;
            }
            let mut scope = Scope { function: Some(name.text.clone()), ..Scope::default() };
            for param in params {
                if scope.local(&param.name.text).is_some() {
                    let message = format!("two parameters are called `{}`", param.name.text);
                    self.findings.push(Diagnostic::error(param.name.span, message));
                }
                scope.declare(&param.name.text);
            }
            let mut body = self.block(body, &mut scope);
            return_last(&mut body);
            let function = &mut self.plan.functions[self.function_ids[&name.text]];
            function.body = body;
            function.locals = scope.max_locals;
        }
        self.find_emitting();
    }

    /// A block. Names declared in it are there until the caller leaves it: the value of a lambda's block still sees
    /// them.
    pub(super) fn block(&mut self, statements: &[BlockStatement], scope: &mut Scope) -> Vec<Statement> {
        statements.iter().map(|statement| self.block_statement(statement, scope)).collect()
    }

    fn block_statement(&mut self, statement: &BlockStatement, scope: &mut Scope) -> Statement {
        // Exhaustive over BlockStatementKind: what the language names gets its meaning, or is refused by name.
        match &statement.kind {
            BlockStatementKind::Binding(binding) => {
                let value = self.expr(&binding.value, scope);
                let local = scope.declare(&binding.name.text);
                if binding.kind != BindingKind::Var {
                    scope.fixed.insert(local);
                }
                Statement::SetLocal(local, value)
            }
            BlockStatementKind::Assign { name, value } => self.assign(name, value, scope),
            BlockStatementKind::If { branches, otherwise } => {
                let branches = branches
                    .iter()
                    .map(|(condition, body)| {
                        let condition = self.expr(condition, scope);
                        (condition, self.inner(body, scope))
                    })
                    .collect();
                let otherwise = otherwise.as_ref().map(|body| self.inner(body, scope)).unwrap_or_default();
                Statement::If(branches, otherwise)
            }
            BlockStatementKind::For { variable, range, body } => {
                let range = self.expr(range, scope);
                let depth = scope.depth();
                let local = scope.declare(&variable.text);
                let body = self.looped(body, scope);
                scope.leave(depth);
                Statement::For(local, range, body)
            }
            BlockStatementKind::While { condition, body } => {
                let condition = self.expr(condition, scope);
                Statement::While(condition, self.looped(body, scope))
            }
            BlockStatementKind::Break | BlockStatementKind::Continue => {
                let is_break = statement.kind == BlockStatementKind::Break;
                if scope.loops == 0 {
                    let word = if is_break { "break" } else { "continue" };
                    self.findings.push(Diagnostic::error(statement.span, format!("`{word}` outside a loop")));
                }
                if is_break { Statement::Break } else { Statement::Continue }
            }
            BlockStatementKind::Return(value) => {
                if scope.function.is_none() {
                    self.findings.push(Diagnostic::error(statement.span, "`return` outside a function"));
                }
                Statement::Return(value.as_ref().map(|value| self.expr(value, scope)))
            }
            BlockStatementKind::Emit { event_type, fields } => {
                if scope.function.is_none() {
                    self.findings.push(Diagnostic::error(statement.span, "`emit` outside a function"));
                }
                let fields = fields
                    .iter()
                    .filter_map(|field| {
                        if let Some(name) = &field.name {
                            return Some((name.text.clone(), self.expr(&field.value, scope)));
                        }
                        let message = "a field of `emit` needs a name: field: value";
                        self.findings.push(Diagnostic::error(field.value.span, message));
                        None
                    })
                    .collect();
                Statement::Emit { type_name: event_type.text.clone(), fields }
            }
            BlockStatementKind::Expr(value) => Statement::Expr(self.expr(value, scope)),
        }
    }

    /// A block inside a statement: its names always end with it.
    fn inner(&mut self, body: &[BlockStatement], scope: &mut Scope) -> Vec<Statement> {
        let depth = scope.depth();
        let body = self.block(body, scope);
        scope.leave(depth);
        body
    }

    fn looped(&mut self, body: &[BlockStatement], scope: &mut Scope) -> Vec<Statement> {
        scope.loops += 1;
        let body = self.inner(body, scope);
        scope.loops -= 1;
        body
    }

    fn assign(&mut self, name: &Name, value: &syntax::Expr, scope: &mut Scope) -> Statement {
        let value = self.expr(value, scope);
        if let Some(local) = scope.local(&name.text) {
            if scope.fixed.contains(&local) {
                let message = format!("`{}` is no `var`; it cannot be assigned", name.text);
                self.findings.push(Diagnostic::error(name.span, message));
            }
            return Statement::SetLocal(local, value);
        }
        match self.global_ids.get(&name.text).copied() {
            Some(global) if self.plan.globals[global].mutable => Statement::SetGlobal(global, value),
            Some(_) => {
                let message = format!("`{}` is no `var`; it cannot be assigned", name.text);
                self.findings.push(Diagnostic::error(name.span, message));
                Statement::Expr(value)
            }
            None => {
                let message = format!("`{}` is not declared", name.text);
                let help = format!("declare it first: var {} = ..", name.text);
                self.findings.push(Diagnostic::missing(name.span, message).help(help));
                Statement::Expr(value)
            }
        }
    }

    /// Whether a resolved call can emit anything. As long as the bodies of functions are not resolved nothing is known
    /// to; of globals, which come before them, see `emitting_globals`.
    pub(super) fn emits(&self, call: &Expr) -> bool {
        let mut calls: Vec<usize> = Vec::new();
        called(call, &mut calls);
        calls.iter().any(|&function| self.emitting.get(function).is_some_and(|emits| *emits))
    }

    /// Refuses globals whose value calls a function that emits.
    pub(super) fn emitting_globals(&mut self) {
        for global in 0..self.plan.globals.len() {
            if self.emits(&self.plan.globals[global].value) {
                let name = &self.plan.globals[global].name;
                let message = format!(
                    "the value of `{name}` calls a function that emits events; it can be called only in `.process`"
                );
                self.findings.push(Diagnostic::error(self.global_spans[global], message));
            }
        }
    }

    /// Finds the functions that emit, by themselves or through others.
    fn find_emitting(&mut self) {
        let count = self.plan.functions.len();
        let mut callers: Vec<Vec<usize>> = vec![Vec::new(); count];
        self.emitting = vec![false; count];
        let mut waiting: Vec<usize> = Vec::new();
        for (at, function) in self.plan.functions.iter().enumerate() {
            let mut inner: Vec<usize> = Vec::new();
            walk(&function.body, &mut |statement| {
                if matches!(statement, Statement::Emit { .. }) {
                    waiting.push(at);
                }
                expressions(statement, &mut |value| called(value, &mut inner));
            });
            for callee in inner {
                callers[callee].push(at);
            }
        }
        while let Some(function) = waiting.pop() {
            if !std::mem::replace(&mut self.emitting[function], true) {
                waiting.extend(&callers[function]);
            }
        }
    }

    /// The types that a resolved call can emit, in the order of their first `emit`, each with its fields in the order
    /// of theirs: those of the called functions, and of all that they call.
    pub(super) fn emits_of(&mut self, call: &Expr, span: Span) -> Vec<(String, Vec<String>)> {
        let mut types: Vec<(String, Vec<String>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut seen: HashSet<usize> = HashSet::new();
        let mut calls: Vec<usize> = Vec::new();
        called(call, &mut calls);
        calls.reverse();
        while let Some(function) = calls.pop() {
            if !self.emitting[function] || !seen.insert(function) {
                continue;
            }
            if !self.look_at_function(span) {
                break;
            }
            let mut inner: Vec<usize> = Vec::new();
            walk(&self.plan.functions[function].body, &mut |statement| {
                if let Statement::Emit { type_name, fields } = statement {
                    let at = *places.entry(type_name.clone()).or_insert_with(|| {
                        types.push((type_name.clone(), Vec::new()));
                        types.len() - 1
                    });
                    for (field, _) in fields {
                        // One more than there can be is enough to tell.
                        if types[at].1.len() <= MAX_FIELDS && !types[at].1.contains(field) {
                            types[at].1.push(field.clone());
                        }
                    }
                }
                expressions(statement, &mut |value| called(value, &mut inner));
            });
            inner.reverse();
            calls.extend(inner);
        }
        types
    }
}

/// Every statement of a body, in order.
pub(super) fn walk(body: &[Statement], visit: &mut impl FnMut(&Statement)) {
    for statement in body {
        visit(statement);
        match statement {
            Statement::If(branches, otherwise) => {
                for (_, body) in branches {
                    walk(body, visit);
                }
                walk(otherwise, visit);
            }
            Statement::For(_, _, body) | Statement::While(_, body) => walk(body, visit),
            _ => {}
        }
    }
}

/// The expressions that stand directly in a statement.
fn expressions(statement: &Statement, visit: &mut impl FnMut(&Expr)) {
    match statement {
        Statement::SetLocal(_, value)
        | Statement::SetGlobal(_, value)
        | Statement::For(_, value, _)
        | Statement::While(value, _)
        | Statement::Return(Some(value))
        | Statement::Expr(value) => visit(value),
        Statement::If(branches, _) => branches.iter().for_each(|(condition, _)| visit(condition)),
        Statement::Emit { fields, .. } => fields.iter().for_each(|(_, value)| visit(value)),
        Statement::Return(None) | Statement::Break | Statement::Continue => {}
    }
}

/// The functions that an expression calls, in order.
fn called(value: &Expr, calls: &mut Vec<usize>) {
    each(value, &mut |part| {
        if let Expr::UserCall(function, _) = part {
            calls.push(*function);
        }
    });
}

/// What a function emits and what it calls, by syntax: what the order of the streams needs before anything is resolved.
/// It may name too many (a function that is named but not called), never too few.
#[derive(Default)]
pub(super) struct Written<'a> {
    types: Vec<&'a str>,
    calls: Vec<&'a str>,
}

/// That of all functions, by name.
pub(super) fn written(program: &Program) -> HashMap<&str, Written<'_>> {
    let mut all: HashMap<&str, Written<'_>> = HashMap::new();
    for statement in &program.statements {
        let StatementKind::Function { name, body, .. } = &statement.kind else { continue };
        let Written { types, calls } = all.entry(&name.text).or_default();
        emits(body, types, calls);
    }
    all
}

impl<'a> Resolver<'a> {
    /// The types that the functions reachable from a call emit.
    pub(super) fn types_emitted_by(
        &mut self,
        call: &'a syntax::Expr,
        written: &HashMap<&'a str, Written<'a>>,
    ) -> Vec<&'a str> {
        let mut names: Vec<&'a str> = Vec::new();
        call_names(call, &mut names);
        let mut types: Vec<&'a str> = Vec::new();
        let mut seen: HashSet<&'a str> = HashSet::new();
        while let Some(name) = names.pop() {
            let Some(function) = written.get(name).filter(|_| seen.insert(name)) else { continue };
            if !self.look_at_function(call.span) {
                break;
            }
            types.extend(&function.types);
            names.extend(&function.calls);
        }
        types
    }
}

fn emits<'a>(body: &'a [BlockStatement], types: &mut Vec<&'a str>, names: &mut Vec<&'a str>) {
    for statement in body {
        match &statement.kind {
            BlockStatementKind::Emit { event_type, fields } => {
                types.push(&event_type.text);
                for field in fields {
                    call_names(&field.value, names);
                }
            }
            BlockStatementKind::Binding(binding) => call_names(&binding.value, names),
            BlockStatementKind::Assign { value, .. } | BlockStatementKind::Expr(value) => {
                call_names(value, names);
            }
            BlockStatementKind::Return(value) => value.iter().for_each(|value| call_names(value, names)),
            BlockStatementKind::If { branches, otherwise } => {
                for (condition, body) in branches {
                    call_names(condition, names);
                    emits(body, types, names);
                }
                if let Some(body) = otherwise {
                    emits(body, types, names);
                }
            }
            BlockStatementKind::For { range: value, body, .. }
            | BlockStatementKind::While { condition: value, body } => {
                call_names(value, names);
                emits(body, types, names);
            }
            BlockStatementKind::Break | BlockStatementKind::Continue => {}
        }
    }
}

/// Every name that is called somewhere in an expression.
fn call_names<'a>(expr: &'a syntax::Expr, names: &mut Vec<&'a str>) {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Name(_) => {}
        ExprKind::Unary(_, a) | ExprKind::Member { object: a, .. } => call_names(a, names),
        ExprKind::Binary(_, a, b) | ExprKind::Index(a, b) | ExprKind::Range { from: a, to: b, .. } => {
            call_names(a, names);
            call_names(b, names);
        }
        ExprKind::If { condition, then, otherwise } => {
            for part in [condition, then, otherwise] {
                call_names(part, names);
            }
        }
        ExprKind::Match { subject, arms } => {
            call_names(subject, names);
            for (_, value) in arms {
                call_names(value, names);
            }
        }
        ExprKind::Slice { object, from, to } => {
            call_names(object, names);
            from.iter().chain(to).for_each(|part| call_names(part, names));
        }
        ExprKind::Call { callee, args } => {
            match &callee.kind {
                ExprKind::Name(name) => names.push(name),
                _ => call_names(callee, names),
            }
            for arg in args {
                call_names(&arg.value, names);
            }
        }
        ExprKind::Lambda { body, .. } => match body {
            syntax::LambdaBody::Expr(value) => call_names(value, names),
            syntax::LambdaBody::Block { statements, result } => {
                let mut types = Vec::new();
                emits(statements, &mut types, names);
                call_names(result, names);
            }
        },
        ExprKind::Array(items) => items.iter().for_each(|item| call_names(item, names)),
        ExprKind::Map(entries) => entries.iter().for_each(|(_, value)| call_names(value, names)),
    }
}

/// Without `return` the value is that of the last expression (D40), also where that stands in an `if`.
fn return_last(body: &mut [Statement]) {
    match body.last_mut() {
        Some(Statement::If(branches, otherwise)) => {
            for (_, body) in branches {
                return_last(body);
            }
            return_last(otherwise);
        }
        Some(last) => {
            if let Statement::Expr(value) = last {
                let value = std::mem::replace(value, Expr::Const(crate::event::Value::Missing));
                *last = Statement::Return(Some(value));
            }
        }
        None => {}
    }
}
