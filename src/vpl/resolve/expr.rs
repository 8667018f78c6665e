//! Expressions: names become fields, locals, globals or nothing; calls become functions or aggregates.

use crate::event::{FieldType, ShapeField, Value, arith};
use crate::functions::{Aggregate, Builtin};
use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{AccumulatorPlan, Expr, Statement};
use crate::vpl::suggest::closest;
use crate::vpl::syntax::{self, ExprKind, LambdaBody, Literal, Name, NamedExpr, Span};

use super::Resolver;
use super::bounds::MAX_FIELDS;
use super::scope::{Origin, RowScope, Scope};

/// How deep constants may name each other.
const MAX_CONSTANT_DEPTH: usize = 32;

/// A literal's value.
pub(super) fn literal(literal: &Literal) -> Value {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Int(value) => Value::Int(*value),
        Literal::Float(value) => Value::Float(*value),
        Literal::Str(text) => Value::from(text.as_str()),
        Literal::Duration(ns) => Value::Duration(*ns),
        Literal::Timestamp(ns) => Value::Timestamp(*ns),
    }
}

impl Resolver<'_> {
    /// Resolves `expr`; where that fails there is a finding, and the result has no value.
    pub(super) fn expr(&mut self, expr: &syntax::Expr, scope: &mut Scope) -> Expr {
        let boxed =
            |this: &mut Self, part: &syntax::Expr, scope: &mut Scope| Box::new(this.expr(part, scope));
        // Exhaustive over ExprKind: what the language names gets its meaning, or is refused by name.
        match &expr.kind {
            ExprKind::Literal(value) => Expr::Const(literal(value)),
            ExprKind::Name(name) => self.name(name, expr.span, scope),
            ExprKind::Unary(op, operand) => Expr::Unary(*op, boxed(self, operand, scope)),
            ExprKind::Binary(syntax::BinaryOp::Is, ..) => self.refuse(expr.span, "`is`"),
            ExprKind::Binary(op, left, right) => {
                let left = boxed(self, left, scope);
                let right = boxed(self, right, scope);
                self.check_comparison(*op, &left, &right, expr.span, scope);
                Expr::Binary(*op, left, right)
            }
            ExprKind::Range { from, to, inclusive } => {
                let from = boxed(self, from, scope);
                Expr::Range(from, boxed(self, to, scope), *inclusive)
            }
            ExprKind::If { condition, then, otherwise } => {
                let condition = boxed(self, condition, scope);
                let then = boxed(self, then, scope);
                Expr::If(condition, then, boxed(self, otherwise, scope))
            }
            ExprKind::Match { .. } => self.refuse(expr.span, "`match`"),
            ExprKind::Member { object, name, .. } => self.member(object, name, scope),
            ExprKind::Index(object, index) => {
                let object = boxed(self, object, scope);
                Expr::Index(object, boxed(self, index, scope))
            }
            ExprKind::Slice { object, from, to } => {
                let object = boxed(self, object, scope);
                let from = from.as_ref().map(|part| boxed(self, part, scope));
                let to = to.as_ref().map(|part| boxed(self, part, scope));
                Expr::Slice(object, from, to)
            }
            ExprKind::Call { callee, args } => self.call(callee, args, expr.span, scope),
            ExprKind::Lambda { .. } => self.fail(Diagnostic::error(
                expr.span,
                "a lambda can stand only in `.map(..)`, `.filter(..)` and `.on_error(..)`",
            )),
            ExprKind::Array(items) => Expr::Array(items.iter().map(|item| self.expr(item, scope)).collect()),
            ExprKind::Map(entries) => Expr::Map(
                entries.iter().map(|(key, value)| (key.text.clone(), self.expr(value, scope))).collect(),
            ),
        }
    }

    /// The word of `known` that `word` was most likely meant to be.
    pub(super) fn near<'n>(&self, word: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
        if self.findings.are_many() { None } else { closest(word, known) }
    }

    /// Reports a construct that parses and does not run.
    pub(super) fn refuse(&mut self, span: Span, construct: &str) -> Expr {
        self.fail(Diagnostic::error(span, format!("{construct} is not supported yet")))
    }

    pub(super) fn fail(&mut self, finding: Diagnostic) -> Expr {
        self.findings.push(finding);
        Expr::Const(Value::Missing)
    }

    fn name(&mut self, name: &str, span: Span, scope: &mut Scope) -> Expr {
        if let Some(local) = scope.local(name) {
            return Expr::Local(local);
        }
        let Some(row) = scope.row.clone() else {
            return self.name_without_row(name, span, scope);
        };
        if let Some(found) = self.name_in_sequence(name, span, scope) {
            return Self::over_rows(found, scope);
        }
        let found = if row.names.iter().any(|alias| alias == name) {
            self.all_fields(scope, span)
        } else if row.sides.iter().any(|(side, _)| side == name) {
            self.fail(Diagnostic::error(
                span,
                format!("`{name}` is a whole side of the join; name a field of it"),
            ))
        } else {
            self.field_or_special(name, span, &row, scope)
        };
        Self::over_rows(found, scope)
    }

    /// In `.aggregate`, a field outside any aggregate is its last value.
    fn over_rows(value: Expr, scope: &mut Scope) -> Expr {
        let value = match value {
            // The bounds are of the window, whatever its rows: only the field that may hide them is of a row.
            Expr::OrElse(field, bound) if matches!(*bound, Expr::WindowStart | Expr::WindowEnd) => {
                let field = Self::over_rows(*field, scope);
                return match scope.accumulators {
                    Some(_) => Expr::Binary(syntax::BinaryOp::Coalesce, Box::new(field), bound),
                    None => Expr::OrElse(Box::new(field), bound),
                };
            }
            value => value,
        };
        let is_of_row = matches!(
            value,
            Expr::Field(..) | Expr::RestField(..) | Expr::OrElse(..) | Expr::AllFields { .. } | Expr::Time
        );
        match &mut scope.accumulators {
            Some(accumulators) if is_of_row => {
                accumulators.push(AccumulatorPlan {
                    aggregate: Aggregate::Last,
                    parameter: 0.0,
                    argument: Some(value),
                });
                Expr::Aggregate(accumulators.len() - 1)
            }
            _ => value,
        }
    }

    fn name_without_row(&mut self, name: &str, span: Span, scope: &Scope) -> Expr {
        if let Some(global) = self.global(name) {
            return global;
        }
        let mut finding = Diagnostic::missing(span, format!("unknown name `{name}`"));
        let globals = self.plan.globals.iter().map(|global| global.name.as_str());
        if let Some(near) = self.near(name, scope.local_names().chain(globals)) {
            finding = finding.help(format!("did you mean `{near}`?"));
        } else if let Some(function) = &scope.function {
            finding = finding.help(format!(
                "`{function}` sees its parameters, its locals and the program's let, var and const, \
                 not the event's fields"
            ));
        }
        self.fail(finding)
    }

    /// The program's `let`, `const` or `var` called `name`.
    fn global(&self, name: &str) -> Option<Expr> {
        self.global_ids.get(name).copied().map(Expr::Global)
    }

    /// A field of the row, or one of the names that stand for something about it, or a global.
    fn field_or_special(&mut self, name: &str, span: Span, row: &RowScope, scope: &Scope) -> Expr {
        let hidden = self.special(name, scope);
        if !row.sides.is_empty() {
            return self.field_of_sides(name, span, row, hidden);
        }
        match (self.field(row.shape, name), hidden) {
            // A declared field hides the special name for good; an undeclared one only where the event has it.
            (Some(field), Some(hidden)) if !self.plan.shapes[row.shape].declared => {
                Expr::OrElse(Box::new(field), Box::new(hidden))
            }
            (Some(field), _) => field,
            (None, Some(hidden)) => hidden,
            (None, None) => self.unknown_field(name, span, row),
        }
    }

    /// What `name` means where no field is called so.
    pub(super) fn special(&self, name: &str, scope: &Scope) -> Option<Expr> {
        match name {
            "timestamp" => Some(Expr::Time),
            "_partition" if scope.partitioned => Some(Expr::Key),
            "window_start" if scope.windowed => Some(Expr::WindowStart),
            "window_end" if scope.windowed => Some(Expr::WindowEnd),
            _ => self.global(name),
        }
    }

    /// The field called `name` of a layout; an undeclared layout gets it now. None where a declared one lacks it.
    pub(super) fn field(&mut self, shape: usize, name: &str) -> Option<Expr> {
        let shape = &mut self.plan.shapes[shape];
        let position = match shape.position(name) {
            Some(position) => position,
            None if shape.declared || shape.fields.len() >= MAX_FIELDS => return None,
            None => {
                shape.fields.push(ShapeField { name: name.to_owned(), ty: FieldType::Any, slot: None });
                shape.fields.len() - 1
            }
        };
        Some(Expr::Field(shape.keep(position), name.to_owned()))
    }

    pub(super) fn unknown_field(&mut self, name: &str, span: Span, row: &RowScope) -> Expr {
        let shape = &self.plan.shapes[row.shape];
        let fields = || shape.fields.iter().map(|field| field.name.as_str());
        let message = match &row.origin {
            Origin::Event(event) => format!("event `{event}` has no field `{name}`"),
            Origin::Operator(verb) => format!("there is no field `{name}` after `.{verb}`"),
            Origin::Stream(stream) => format!("stream `{stream}` has no field `{name}`"),
            Origin::Open | Origin::Join { .. } => {
                format!("more than {MAX_FIELDS} fields of one event type; `{name}` is one too many")
            }
        };
        let globals = self.plan.globals.iter().map(|global| global.name.as_str());
        let help = match self.near(name, fields().chain(globals)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if shape.fields.is_empty() => "it has no fields".to_owned(),
            None => format!("its fields: {}", fields().collect::<Vec<_>>().join(", ")),
        };
        if matches!(row.origin, Origin::Stream(_)) {
            self.findings
                .push(Diagnostic::warning(span, message).label("it never has a value here").help(help));
            return Expr::Const(Value::Missing);
        }
        self.fail(Diagnostic::missing(span, message).label("no such field").help(help))
    }

    /// All fields of the row as a map. There must be a row.
    pub(super) fn all_fields(&mut self, scope: &mut Scope, span: Span) -> Expr {
        if let Some(fields) = self.all_fields_of_match(scope, span) {
            return fields;
        }
        let Some(row) = &scope.row else { return Expr::Const(Value::Missing) };
        if !row.sides.is_empty() {
            return self.all_fields_of_sides(&row.clone(), span);
        }
        let fields = self.keep_all(row.shape, span);
        Expr::AllFields { fields, rest: self.plan.shapes[row.shape].rest }
    }

    /// Makes rows of a layout keep all their fields: each in its slot where they are declared (they are returned), as
    /// a map where they are not.
    pub(super) fn keep_all(&mut self, shape: usize, span: Span) -> Vec<(String, u16)> {
        if self.plan.shapes[shape].declared && !self.make_fields(self.plan.shapes[shape].fields.len(), span) {
            return Vec::new();
        }
        let shape = &mut self.plan.shapes[shape];
        if shape.declared {
            (0..shape.fields.len())
                .map(|position| (shape.fields[position].name.clone(), shape.keep(position)))
                .collect()
        } else {
            if shape.rest.is_none() {
                shape.rest = Some(shape.slots);
                shape.slots += 1;
            }
            Vec::new()
        }
    }

    fn member(&mut self, object: &syntax::Expr, name: &Name, scope: &mut Scope) -> Expr {
        if let Some(found) = self.member_in_sequence(object, name, scope) {
            return Self::over_rows(found, scope);
        }
        if let (ExprKind::Name(whole), Some(row)) = (&object.kind, scope.row.clone())
            && scope.local(whole).is_none()
        {
            if row.names.contains(whole) && !row.sides.is_empty() {
                let field = self.field_of_sides(&name.text, name.span, &row, None);
                return Self::over_rows(field, scope);
            }
            if row.names.contains(whole) {
                let field = match self.field(row.shape, &name.text) {
                    Some(field) => field,
                    None if name.text == "timestamp" => Expr::Time,
                    None => self.unknown_field(&name.text, name.span, &row),
                };
                return Self::over_rows(field, scope);
            }
            if row.sides.iter().any(|(side, _)| side == whole) {
                let field = self.field_of_side(whole, name, &row);
                return Self::over_rows(field, scope);
            }
        }
        Expr::Member(Box::new(self.expr(object, scope)), name.text.clone())
    }

    fn call(&mut self, callee: &syntax::Expr, args: &[NamedExpr], span: Span, scope: &mut Scope) -> Expr {
        match &callee.kind {
            ExprKind::Name(name) => self.named_call(name, callee.span, args, span, scope),
            ExprKind::Member { object, name, .. } => self.method(object, name, args, scope),
            _ => self.fail(Diagnostic::error(callee.span, "only a function can be called")),
        }
    }

    /// `array.map(x => e)` and `array.filter(x => e)`.
    fn method(&mut self, object: &syntax::Expr, name: &Name, args: &[NamedExpr], scope: &mut Scope) -> Expr {
        let [NamedExpr { name: None, value: argument }] = args else {
            return self.unknown_method(name);
        };
        if !matches!(name.text.as_str(), "map" | "filter") {
            return self.unknown_method(name);
        }
        let ExprKind::Lambda { params, body } = &argument.kind else {
            let message = format!("`.{}` takes a lambda: x => ..", name.text);
            return self.fail(Diagnostic::error(argument.span, message));
        };
        let [param] = params.as_slice() else {
            let message = format!("the lambda of `.{}` has one parameter", name.text);
            return self.fail(Diagnostic::error(argument.span, message));
        };
        let array = Box::new(self.expr(object, scope));
        let depth = scope.depth();
        let local = scope.declare(&param.text);
        let body = Box::new(self.lambda_body(body, scope));
        scope.leave(depth);
        if name.text == "map" {
            Expr::MapItems(array, local, body)
        } else {
            Expr::FilterItems(array, local, body)
        }
    }

    fn unknown_method(&mut self, name: &Name) -> Expr {
        let mut finding =
            Diagnostic::error(name.span, format!("unknown method `.{}(..)` in an expression", name.text));
        if Builtin::lookup(&name.text).is_some() {
            finding = finding.help(format!("it is a function: {}(value, ..)", name.text));
        } else {
            finding = finding.help("arrays have `.map(x => ..)` and `.filter(x => ..)`");
        }
        self.fail(finding)
    }

    /// The body of a lambda whose parameters are declared already.
    pub(super) fn lambda_body(&mut self, body: &LambdaBody, scope: &mut Scope) -> Expr {
        match body {
            LambdaBody::Expr(value) => self.expr(value, scope),
            LambdaBody::Block { statements, result } => {
                let depth = scope.depth();
                let statements: Vec<Statement> = self.block(statements, scope);
                let result = self.expr(result, scope);
                scope.leave(depth);
                Expr::Block(statements, Box::new(result))
            }
        }
    }

    fn named_call(
        &mut self,
        name: &str,
        at: Span,
        args: &[NamedExpr],
        span: Span,
        scope: &mut Scope,
    ) -> Expr {
        if let Some(named) = args.iter().find_map(|arg| arg.name.as_ref()) {
            let message = format!("`{name}` takes its arguments by place; `{}:` names one", named.text);
            return self.fail(Diagnostic::error(named.span, message));
        }
        if let Some(&function) = self.function_ids.get(name) {
            let params = self.plan.functions[function].params;
            if args.len() != params {
                return self.wrong_count(name, &params.to_string(), args.len(), span);
            }
            let call = Expr::UserCall(function, self.args(args, scope));
            if scope.function.is_none() && !scope.in_process && self.emits(&call) {
                let message = format!("function `{name}` emits events; it can be called only in `.process`");
                return self.fail(Diagnostic::error(at, message));
            }
            return call;
        }
        if scope.accumulators.is_some()
            && let Some(value) = self.aggregate_call(name, args, span, scope)
        {
            return value;
        }
        if let Some(value) = self.call_in_sequence(name, args, span, scope) {
            return value;
        }
        let Some(builtin) = Builtin::lookup(name) else {
            return self.unknown_function(name, at, scope);
        };
        let (min, max) = builtin.arity();
        if args.len() < min || max.is_some_and(|max| args.len() > max) {
            return self.wrong_count(name, &expected_count(min, max), args.len(), span);
        }
        self.plan.logs |= builtin == Builtin::Print;
        self.plan.asks_time |= matches!(builtin, Builtin::Now | Builtin::Timestamp);
        Expr::Call(builtin, self.args(args, scope))
    }

    fn args(&mut self, args: &[NamedExpr], scope: &mut Scope) -> Vec<Expr> {
        args.iter().map(|arg| self.expr(&arg.value, scope)).collect()
    }

    fn wrong_count(&mut self, name: &str, expected: &str, found: usize, span: Span) -> Expr {
        let plural = if expected == "1" { "" } else { "s" };
        let message = format!("function `{name}` takes {expected} argument{plural}, not {found}");
        // A function of the program may have lost parameters that could not be read.
        self.fail(Diagnostic::missing(span, message))
    }

    fn unknown_function(&mut self, name: &str, at: Span, scope: &Scope) -> Expr {
        if Aggregate::lookup(name).is_some() || name == "distinct" {
            let message = format!("`{name}` is an aggregate function; it can stand only in `.aggregate(..)`");
            return self.fail(Diagnostic::error(at, message));
        }
        let mut finding =
            Diagnostic::missing(at, format!("unknown function `{name}`")).label("no such function");
        let aggregates = Aggregate::names().filter(|_| scope.accumulators.is_some());
        let built_in = Builtin::names().chain(aggregates).map(|name| -> &str { name });
        let user = self.plan.functions.iter().map(|function| function.name.as_str());
        let names = user.chain(built_in);
        if let Some(near) = self.near(name, names) {
            finding = finding.help(format!("did you mean `{near}`?"));
        }
        self.fail(finding)
    }

    /// A call in `.aggregate` that is an aggregate of rows; none where it is a function of aggregates.
    pub(super) fn aggregate_call(
        &mut self,
        name: &str,
        args: &[NamedExpr],
        span: Span,
        scope: &mut Scope,
    ) -> Option<Expr> {
        let aggregate = Aggregate::lookup(name)?;
        // `min(a, b)` is the function; `min(a)` the aggregate (D19).
        if Builtin::lookup(name).is_some() && args.len() != 1 {
            return None;
        }
        let (aggregate, args) = match (aggregate, args) {
            (Aggregate::Count, [NamedExpr { value, .. }]) => match distinct_of(value) {
                Some(inner) => (Aggregate::CountDistinct, inner),
                None => (aggregate, args),
            },
            _ => (aggregate, args),
        };
        let (min, max) = aggregate.arity();
        if args.len() < min || max.is_some_and(|max| args.len() > max) {
            return Some(self.wrong_count(name, &expected_count(min, max), args.len(), span));
        }
        // The argument is over rows: names in it are fields again, and aggregates in it are errors.
        let accumulators = scope.accumulators.take();
        let argument = args.first().map(|arg| self.expr(&arg.value, scope));
        scope.accumulators = accumulators;
        let parameter = match args.get(1) {
            None => 0.0,
            Some(arg) => {
                let checked = match self.constant(&arg.value) {
                    Some(value) => aggregate.check_param(&value),
                    None => Err(format!("the second argument of `{name}` must be a constant")),
                };
                match checked {
                    Ok(parameter) => parameter,
                    Err(message) => return Some(self.fail(Diagnostic::error(arg.value.span, message))),
                }
            }
        };
        let accumulators = scope.accumulators.as_mut()?;
        accumulators.push(AccumulatorPlan { aggregate, parameter, argument });
        Some(Expr::Aggregate(accumulators.len() - 1))
    }

    /// The constant that `expr` is: a literal, a `let` or `const` that is one, or arithmetic with such.
    pub(super) fn constant(&mut self, expr: &syntax::Expr) -> Option<Value> {
        match &expr.kind {
            ExprKind::Literal(value) => Some(literal(value)),
            ExprKind::Name(name) => {
                let Some(&global) = self.global_ids.get(name) else {
                    self.unknown_constants.push(expr.span);
                    return None;
                };
                self.constant_global(global, 0)
            }
            ExprKind::Unary(syntax::UnaryOp::Neg, operand) => has_value(arith::neg(&self.constant(operand)?)),
            ExprKind::Binary(op, left, right) => {
                let left = self.constant(left)?;
                arithmetic(*op, &left, &self.constant(right)?)
            }
            _ => None,
        }
    }

    /// The constant that a resolved expression is.
    fn constant_value(&self, expr: &Expr, depth: usize) -> Option<Value> {
        match expr {
            Expr::Const(value) => Some(value.clone()),
            Expr::Global(global) => self.constant_global(*global, depth),
            Expr::Unary(syntax::UnaryOp::Neg, operand) => {
                has_value(arith::neg(&self.constant_value(operand, depth + 1)?))
            }
            Expr::Binary(op, left, right) => {
                let left = self.constant_value(left, depth + 1)?;
                arithmetic(*op, &left, &self.constant_value(right, depth + 1)?)
            }
            _ => None,
        }
    }

    fn constant_global(&self, global: usize, depth: usize) -> Option<Value> {
        let global = &self.plan.globals[global];
        if global.mutable || depth > MAX_CONSTANT_DEPTH {
            return None;
        }
        self.constant_value(&global.value, depth + 1)
    }
}

fn has_value(value: Value) -> Option<Value> {
    (!value.is_missing()).then_some(value)
}

/// The constant that an operator makes of two.
fn arithmetic(op: syntax::BinaryOp, a: &Value, b: &Value) -> Option<Value> {
    has_value(match op {
        syntax::BinaryOp::Add => arith::add(a, b),
        syntax::BinaryOp::Sub => arith::sub(a, b),
        syntax::BinaryOp::Mul => arith::mul(a, b),
        syntax::BinaryOp::Div => arith::div(a, b),
        syntax::BinaryOp::Rem => arith::rem(a, b),
        syntax::BinaryOp::Pow => arith::pow(a, b),
        _ => return None,
    })
}

/// How many arguments a function takes, in words.
fn expected_count(min: usize, max: Option<usize>) -> String {
    match max {
        Some(max) if max == min => min.to_string(),
        Some(max) => format!("{min} to {max}"),
        None => format!("at least {min}"),
    }
}

/// The arguments of `distinct(..)` in `count(distinct(x))`.
fn distinct_of(value: &syntax::Expr) -> Option<&[NamedExpr]> {
    match &value.kind {
        ExprKind::Call { callee, args } => match &callee.kind {
            ExprKind::Name(name) if name == "distinct" && args.len() == 1 => Some(args),
            _ => None,
        },
        _ => None,
    }
}
