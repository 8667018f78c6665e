//! A walk through a syntax tree that may change every text and every place in it, and nothing else.
//!
//! Names, strings and paths are *texts*; what a `for` around statements replaces is in them. Trees are no higher than
//! the parser's bound, so the walk may recurse.

#![allow(clippy::needless_for_each)] // one line for each member of a node

use super::syntax::{
    Binding, BlockStatement, BlockStatementKind, Branch, Expr, ExprKind, FieldDecl, JoinSide, LambdaBody,
    Literal, Name, NamedExpr, Operator, OperatorKind, Param, SequenceItem, Setting, SettingKind, Source,
    SourceKind, Span, Statement, StatementKind, Step, StreamDecl, TypeExpr, TypeKind, WindowSpec,
};

/// What happens on the way.
pub(crate) trait Rewrite {
    /// A name, where it is declared or used as one.
    fn name(&mut self, _text: &mut String, _span: Span) {}
    /// A string or path.
    fn string(&mut self, _text: &mut String) {}
    /// An expression, before its parts.
    fn expr(&mut self, _expr: &mut Expr) {}
    /// A place.
    fn span(&mut self, _span: &mut Span) {}
}

/// Walks through a statement.
pub(crate) fn statement(statement: &mut Statement, to: &mut impl Rewrite) {
    to.span(&mut statement.span);
    match &mut statement.kind {
        StatementKind::Context { name, cores } => {
            self::name(name, to);
            cores.iter_mut().for_each(|(_, span)| to.span(span));
        }
        StatementKind::Config { name, settings } => {
            name.iter_mut().for_each(|name| self::name(name, to));
            self::settings(settings, to);
        }
        StatementKind::Connector { name, kind, settings } => {
            self::name(name, to);
            self::name(kind, to);
            self::settings(settings, to);
        }
        StatementKind::Event { name, extends, fields } => {
            self::name(name, to);
            extends.iter_mut().for_each(|name| self::name(name, to));
            self::fields(fields, to);
        }
        StatementKind::TypeAlias { name, ty } => {
            self::name(name, to);
            self::ty(ty, to);
        }
        StatementKind::TypeRecord { name, fields } => {
            self::name(name, to);
            self::fields(fields, to);
        }
        StatementKind::Binding(binding) => self::binding(binding, to),
        StatementKind::Function { name, params, returns, body } => {
            self::name(name, to);
            for Param { name, ty } in params {
                self::name(name, to);
                ty.iter_mut().for_each(|ty| self::ty(ty, to));
            }
            returns.iter_mut().for_each(|ty| self::ty(ty, to));
            block(body, to);
        }
        StatementKind::Import { path, path_span, alias } => {
            to.string(path);
            to.span(path_span);
            alias.iter_mut().for_each(|name| self::name(name, to));
        }
        StatementKind::Pattern { name, steps, within, partition_by } => {
            self::name(name, to);
            steps.iter_mut().for_each(|step| self::step(step, to));
            within.iter_mut().for_each(|bound| expr(bound, to));
            partition_by.iter_mut().for_each(|name| self::name(name, to));
        }
        StatementKind::Stream(StreamDecl { name, ty, source, operators }) => {
            self::name(name, to);
            ty.iter_mut().for_each(|ty| self::ty(ty, to));
            self::source(source, to);
            self::operators(operators, to);
        }
        StatementKind::For { variable, range, body } => {
            name(variable, to);
            expr(range, to);
            body.iter_mut().for_each(|inner| self::statement(inner, to));
        }
        StatementKind::Assign { name, value } => {
            self::name(name, to);
            expr(value, to);
        }
    }
}

fn name(name: &mut Name, to: &mut impl Rewrite) {
    to.span(&mut name.span);
    to.name(&mut name.text, name.span);
}

fn settings(settings: &mut [(Name, Setting)], to: &mut impl Rewrite) {
    for (key, value) in settings {
        name(key, to);
        setting(value, to);
    }
}

fn setting(setting: &mut Setting, to: &mut impl Rewrite) {
    to.span(&mut setting.span);
    match &mut setting.kind {
        SettingKind::Literal(Literal::Str(text)) => to.string(text),
        SettingKind::Literal(_) | SettingKind::Ratio(..) => {}
        SettingKind::Name(text) => to.name(text, setting.span),
        SettingKind::List(items) => items.iter_mut().for_each(|item| self::setting(item, to)),
    }
}

fn fields(fields: &mut [FieldDecl], to: &mut impl Rewrite) {
    for FieldDecl { name, ty } in fields {
        self::name(name, to);
        self::ty(ty, to);
    }
}

fn ty(ty: &mut TypeExpr, to: &mut impl Rewrite) {
    to.span(&mut ty.span);
    match &mut ty.kind {
        TypeKind::Int
        | TypeKind::Float
        | TypeKind::Bool
        | TypeKind::Str
        | TypeKind::Timestamp
        | TypeKind::Duration => {}
        TypeKind::Named(text) => to.name(text, ty.span),
        TypeKind::Array(inner) | TypeKind::Stream(inner) | TypeKind::Optional(inner) => self::ty(inner, to),
        TypeKind::Map(key, value) => {
            self::ty(key, to);
            self::ty(value, to);
        }
        TypeKind::Tuple(parts) => parts.iter_mut().for_each(|part| self::ty(part, to)),
    }
}

fn binding(binding: &mut Binding, to: &mut impl Rewrite) {
    name(&mut binding.name, to);
    binding.ty.iter_mut().for_each(|ty| self::ty(ty, to));
    expr(&mut binding.value, to);
}

fn source(source: &mut Source, to: &mut impl Rewrite) {
    to.span(&mut source.span);
    match &mut source.kind {
        SourceKind::Merge(branches) => {
            for Branch { name, source, filter } in branches {
                name.iter_mut().for_each(|name| self::name(name, to));
                self::name(source, to);
                filter.iter_mut().for_each(|filter| expr(filter, to));
            }
        }
        SourceKind::Join(_, sides) => {
            for JoinSide { name, source, on } in sides {
                name.iter_mut().for_each(|name| self::name(name, to));
                self::name(source, to);
                on.iter_mut().for_each(|on| expr(on, to));
            }
        }
        SourceKind::Timer { interval, initial_delay } => {
            expr(interval, to);
            initial_delay.iter_mut().for_each(|delay| expr(delay, to));
        }
        SourceKind::Sequence(items) => {
            for SequenceItem { alias, source, filter, within } in items {
                name(alias, to);
                name(source, to);
                filter.iter_mut().chain(within).for_each(|part| expr(part, to));
            }
        }
        SourceKind::From { event_type, connector, settings } => {
            name(event_type, to);
            name(connector, to);
            self::settings(settings, to);
        }
        SourceKind::Step(step) => self::step(step, to),
    }
}

fn step(step: &mut Step, to: &mut impl Rewrite) {
    to.span(&mut step.span);
    name(&mut step.source, to);
    step.trend.iter_mut().for_each(|(_, field)| name(field, to));
    step.guard.iter_mut().for_each(|guard| expr(guard, to));
    step.alias.iter_mut().for_each(|alias| name(alias, to));
}

fn operators(operators: &mut [Operator], to: &mut impl Rewrite) {
    for operator in operators {
        to.span(&mut operator.span);
        to.span(&mut operator.name_span);
        match &mut operator.kind {
            OperatorKind::FollowedBy(step) | OperatorKind::Not(step) => self::step(step, to),
            OperatorKind::Context(name) | OperatorKind::Trend(_, name) => self::name(name, to),
            OperatorKind::Where(value)
            | OperatorKind::Filter(value)
            | OperatorKind::Map(value)
            | OperatorKind::PartitionBy(value)
            | OperatorKind::Having(value)
            | OperatorKind::Limit(value)
            | OperatorKind::AllowedLateness(value)
            | OperatorKind::Process(value)
            | OperatorKind::OnError(value)
            | OperatorKind::On(value)
            | OperatorKind::Within(value) => expr(value, to),
            OperatorKind::Distinct(value) => value.iter_mut().for_each(|value| expr(value, to)),
            OperatorKind::Emit { as_type, fields } => {
                as_type.iter_mut().for_each(|name| self::name(name, to));
                named(fields, to);
            }
            OperatorKind::Select(args)
            | OperatorKind::Aggregate(args)
            | OperatorKind::Watermark(args)
            | OperatorKind::Print(args)
            | OperatorKind::Log(args)
            | OperatorKind::Tap(args)
            | OperatorKind::Concurrent(args)
            | OperatorKind::To(args)
            | OperatorKind::From(args)
            | OperatorKind::Reserved { args, .. } => named(args, to),
            OperatorKind::Window(WindowSpec::Size { size, sliding, policy }) => {
                expr(size, to);
                sliding.iter_mut().chain(policy).for_each(|part| expr(part, to));
            }
            OperatorKind::Window(WindowSpec::Session { gap }) => expr(gap, to),
            OperatorKind::OrderBy(keys) => keys.iter_mut().for_each(|key| expr(&mut key.value, to)),
            OperatorKind::Fork(branches) => {
                for (name, inner) in branches {
                    self::name(name, to);
                    self::operators(inner, to);
                }
            }
            OperatorKind::Strict
            | OperatorKind::Stnm
            | OperatorKind::Stam
            | OperatorKind::Each
            | OperatorKind::Longest
            | OperatorKind::Subsets => {}
        }
    }
}

fn named(args: &mut [NamedExpr], to: &mut impl Rewrite) {
    for NamedExpr { name, value } in args {
        name.iter_mut().for_each(|name| self::name(name, to));
        expr(value, to);
    }
}

fn expr(value: &mut Expr, to: &mut impl Rewrite) {
    to.span(&mut value.span);
    to.expr(value);
    match &mut value.kind {
        ExprKind::Literal(Literal::Str(text)) => to.string(text),
        ExprKind::Literal(_) => {}
        ExprKind::Name(text) => to.name(text, value.span),
        ExprKind::Unary(_, operand) => expr(operand, to),
        ExprKind::Binary(_, left, right)
        | ExprKind::Index(left, right)
        | ExprKind::Range { from: left, to: right, .. } => {
            expr(left, to);
            expr(right, to);
        }
        ExprKind::If { condition, then, otherwise } => {
            expr(condition, to);
            expr(then, to);
            expr(otherwise, to);
        }
        ExprKind::Match { subject, arms } => {
            expr(subject, to);
            for (pattern, arm) in arms {
                expr(pattern, to);
                expr(arm, to);
            }
        }
        ExprKind::Member { object, name, .. } => {
            expr(object, to);
            self::name(name, to);
        }
        ExprKind::Slice { object, from, to: end } => {
            expr(object, to);
            from.iter_mut().chain(end).for_each(|bound| expr(bound, to));
        }
        ExprKind::Call { callee, args } => {
            expr(callee, to);
            named(args, to);
        }
        ExprKind::Lambda { params, body } => {
            params.iter_mut().for_each(|param| name(param, to));
            match body {
                LambdaBody::Expr(value) => expr(value, to),
                LambdaBody::Block { statements, result } => {
                    block(statements, to);
                    expr(result, to);
                }
            }
        }
        ExprKind::Array(items) => items.iter_mut().for_each(|item| expr(item, to)),
        ExprKind::Map(entries) => {
            for (key, value) in entries {
                // A key may be any text.
                to.span(&mut key.span);
                to.string(&mut key.text);
                expr(value, to);
            }
        }
    }
}

fn block(statements: &mut [BlockStatement], to: &mut impl Rewrite) {
    for statement in statements {
        to.span(&mut statement.span);
        match &mut statement.kind {
            BlockStatementKind::Binding(binding) => self::binding(binding, to),
            BlockStatementKind::Assign { name, value } => {
                self::name(name, to);
                expr(value, to);
            }
            BlockStatementKind::If { branches, otherwise } => {
                for (condition, body) in branches {
                    expr(condition, to);
                    block(body, to);
                }
                otherwise.iter_mut().for_each(|body| block(body, to));
            }
            BlockStatementKind::For { variable, range, body } => {
                name(variable, to);
                expr(range, to);
                block(body, to);
            }
            BlockStatementKind::While { condition, body } => {
                expr(condition, to);
                block(body, to);
            }
            BlockStatementKind::Break | BlockStatementKind::Continue | BlockStatementKind::Return(None) => {}
            BlockStatementKind::Return(Some(value)) | BlockStatementKind::Expr(value) => expr(value, to),
            BlockStatementKind::Emit { event_type, fields } => {
                name(event_type, to);
                named(fields, to);
            }
        }
    }
}
