//! From the plan's expressions to nodes: constants put in and folded, frequent forms recognised.
//!
//! Only what is constant through and through is folded, and by the code that would run it, so folding cannot change a
//! value.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::event::{Row, Text, Value};
use crate::functions::Builtin;
use crate::vpl::plan::{self, EmitTypePlan, Plan};
use crate::vpl::syntax::{BinaryOp, UnaryOp};

use super::super::env::Env;
use super::super::error::CompileError;
use super::calls::{Body, Effect, Emission, Function, Functions, Items, NO_FUNCTIONS, Statement};
use super::lanes::Lanes;
use super::node::{Arithmetic, Leaf, Node};
use super::numeric;
use super::survey::{MAX_DEPTH, Survey};
use super::truth::Comparison;
use super::{Expr, Needs};

/// Which time `timestamp` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum TimeOf {
    /// The row's own.
    Row,
    /// That of what leaves the window (D5).
    Window,
}

impl TimeOf {
    /// The time over `row`.
    #[inline]
    pub(in super::super) fn of(self, row: &Row, env: &Env) -> i64 {
        match self {
            Self::Row => row.time_ns(),
            Self::Window => env.window.result_ns,
        }
    }
}

/// The types that a `.process` emits.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Emits<'a> {
    pub(in super::super) types: &'a [EmitTypePlan],
    pub(in super::super) rank: u16,
    pub(in super::super) slots: usize,
}

/// Compiles the expressions of one place.
#[derive(Debug)]
pub(in super::super) struct Compiler<'a> {
    plan: &'a Plan,
    /// Values of the globals; `None` while they are being evaluated.
    globals: Option<&'a [Value]>,
    place: Arc<str>,
    time: TimeOf,
    emits: Option<Emits<'a>>,
    /// Compiled when the first expression calls one.
    functions: OnceCell<Arc<Functions>>,
}

impl<'a> Compiler<'a> {
    /// For the values of globals.
    pub(in super::super) fn for_globals(plan: &'a Plan) -> Self {
        let (globals, emits, functions) = (None, None, OnceCell::new());
        Self { plan, globals, place: "globals".into(), time: TimeOf::Row, emits, functions }
    }

    /// For a stream, once the globals have their values.
    pub(in super::super) fn for_stream(plan: &'a Plan, globals: &'a [Value], stream: &str) -> Self {
        let (emits, functions) = (None, OnceCell::new());
        Self { plan, globals: Some(globals), place: stream.into(), time: TimeOf::Row, emits, functions }
    }

    /// The same with another meaning of `timestamp`.
    pub(in super::super) fn with_time(&self, time: TimeOf) -> Self {
        Self { place: Arc::clone(&self.place), functions: OnceCell::new(), time, ..*self }
    }

    /// The same for the call of a `.process`.
    pub(in super::super) fn with_emits(&self, emits: Emits<'a>) -> Self {
        Self { place: Arc::clone(&self.place), functions: OnceCell::new(), emits: Some(emits), ..*self }
    }

    /// What is compiled: the stream's name.
    pub(in super::super) fn place(&self) -> &str {
        &self.place
    }

    /// The time that `timestamp` is.
    pub(in super::super) fn time(&self) -> TimeOf {
        self.time
    }

    /// Compiles an expression.
    pub(in super::super) fn expr(&self, expr: &plan::Expr) -> Result<Expr, CompileError> {
        let mut walk = Survey::default();
        walk.expr(expr, 1);
        if walk.height > MAX_DEPTH {
            return Err(self.error(format!("an expression nests more than {MAX_DEPTH} deep")));
        }
        let node = self.node(expr)?;
        let needs = if walk.calls || walk.locals > 0 {
            let functions = if walk.calls { self.functions()? } else { Arc::default() };
            Some(Needs { functions, locals: walk.locals })
        } else {
            None
        };
        Ok(Expr { node, needs })
    }

    pub(in super::super) fn error(&self, message: impl Into<String>) -> CompileError {
        CompileError::new(&*self.place, message)
    }

    fn functions(&self) -> Result<Arc<Functions>, CompileError> {
        if let Some(functions) = self.functions.get() {
            return Ok(Arc::clone(functions));
        }
        let functions = Arc::new(self.functions_alone()?);
        Ok(Arc::clone(self.functions.get_or_init(|| functions)))
    }

    pub(super) fn functions_alone(&self) -> Result<Functions, CompileError> {
        let list = self.plan.functions.iter().map(|function| self.function(function));
        Ok(Functions { list: list.collect::<Result<_, _>>()? })
    }

    fn function(&self, function: &plan::FunctionPlan) -> Result<Function, CompileError> {
        let mut walk = Survey::default();
        walk.statements(&function.body, 1);
        if walk.height > MAX_DEPTH {
            return Err(self.error(format!("function {} nests more than {MAX_DEPTH} deep", function.name)));
        }
        Ok(Function {
            params: function.params,
            locals: function.locals.max(walk.locals).max(function.params),
            height: walk.height,
            body: self.statements(&function.body)?,
        })
    }

    fn statements(&self, statements: &[plan::Statement]) -> Result<Box<[Statement]>, CompileError> {
        statements.iter().map(|statement| self.statement(statement)).collect()
    }

    /// What a loop with this condition, or over ints in this local, does in each turn.
    fn body(
        &self,
        local: Option<usize>,
        condition: Option<&Node>,
        body: &[plan::Statement],
    ) -> Result<Body, CompileError> {
        let statements = self.statements(body)?;
        let counts = local.is_some() || condition.is_some();
        let lanes = if counts { Lanes::new(local, condition, &statements).map(Box::new) } else { None };
        Ok(Body { statements, lanes })
    }

    fn statement(&self, statement: &plan::Statement) -> Result<Statement, CompileError> {
        Ok(match statement {
            plan::Statement::SetLocal(local, value) => Statement::SetLocal(*local, self.node(value)?),
            plan::Statement::SetGlobal(global, value) => {
                Statement::Effect(Effect::SetGlobal(*global, self.node(value)?))
            }
            plan::Statement::If(branches, otherwise) => {
                let branches = branches
                    .iter()
                    .map(|(condition, body)| Ok((self.node(condition)?, self.statements(body)?)));
                Statement::If(branches.collect::<Result<_, _>>()?, self.statements(otherwise)?)
            }
            plan::Statement::For(local, items, body) => {
                let items = match items {
                    plan::Expr::Range(from, to, inclusive) => {
                        Items::Range(self.node(from)?, self.node(to)?, *inclusive)
                    }
                    plan::Expr::Call(Builtin::Range, args) if args.len() == 1 => {
                        Items::Range(Node::Const(Value::Int(0)), self.node(&args[0])?, false)
                    }
                    plan::Expr::Call(Builtin::Range, args) if args.len() == 2 => {
                        Items::Range(self.node(&args[0])?, self.node(&args[1])?, false)
                    }
                    other => Items::Array(self.node(other)?),
                };
                let counts = matches!(items, Items::Range(..)).then_some(*local);
                Statement::For(*local, items, self.body(counts, None, body)?)
            }
            plan::Statement::While(condition, body) => {
                let condition = self.node(condition)?;
                let body = self.body(None, Some(&condition), body)?;
                Statement::While(condition, body)
            }
            plan::Statement::Break => Statement::Break,
            plan::Statement::Continue => Statement::Continue,
            plan::Statement::Return(value) => {
                Statement::Return(value.as_ref().map(|value| self.node(value)).transpose()?)
            }
            plan::Statement::Emit { type_name, fields } => {
                Statement::Effect(self.emission(type_name, fields)?)
            }
            plan::Statement::Expr(value) => Statement::Effect(Effect::Expr(self.node(value)?)),
        })
    }

    fn emission(&self, type_name: &str, fields: &[(String, plan::Expr)]) -> Result<Effect, CompileError> {
        let Some(emits) = self.emits else { return Ok(Effect::EmitNowhere) };
        let Some(lane) = emits.types.iter().position(|emitted| emitted.type_name == type_name) else {
            return Ok(Effect::EmitNowhere);
        };
        let mut slots = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            // A field without a slot is one that nobody reads.
            if let Some((_, slot)) = emits.types[lane].fields.iter().find(|(field, _)| field == name) {
                slots.push((usize::from(*slot), self.node(value)?));
            }
        }
        let type_id = self.plan.names.iter().position(|name| name.name == type_name);
        Ok(Effect::Emit(Emission {
            type_id: type_id.map_or(u32::MAX, |id| id as u32),
            rank: emits.rank,
            lane: lane as u16,
            slots: emits.slots,
            time: self.time,
            fields: slots.into(),
        }))
    }

    fn node(&self, expr: &plan::Expr) -> Result<Node, CompileError> {
        let node = match expr {
            plan::Expr::Const(value) => Node::Const(value.clone()),
            plan::Expr::Field(slot, _) => Node::Field(usize::from(*slot)),
            plan::Expr::RestField(slot, name) => Node::RestField(usize::from(*slot), name.as_str().into()),
            plan::Expr::AllFields { rest: Some(slot), .. } => Node::Field(usize::from(*slot)),
            plan::Expr::AllFields { fields, rest: None } => {
                let fields = fields.iter().map(|(name, slot)| (Text::new(name), usize::from(*slot)));
                Node::AllFields(fields.collect())
            }
            plan::Expr::OrElse(first, second) => Node::OrElse(self.pair(first, second)?, false),
            plan::Expr::Time if self.time == TimeOf::Window => Node::ResultTime,
            plan::Expr::Time => Node::Time,
            plan::Expr::Key => Node::Key,
            plan::Expr::WindowStart => Node::WindowStart,
            plan::Expr::WindowEnd => Node::WindowEnd,
            plan::Expr::Global(index) => match self.globals.and_then(|globals| globals.get(*index)) {
                Some(value) if !self.plan.globals[*index].mutable => Node::Const(value.clone()),
                _ => Node::Global(*index),
            },
            plan::Expr::Captured(index, _) => Node::Captured(*index),
            plan::Expr::Local(index) => Node::Local(*index),
            plan::Expr::Aggregate(index) => Node::Accumulator(*index),
            plan::Expr::Unary(operator, inner) => {
                let inner = Box::new(self.node(inner)?);
                match operator {
                    UnaryOp::Neg => Node::Negate(inner),
                    UnaryOp::BitNot => Node::BitNot(inner),
                    UnaryOp::Not => Node::Not(inner),
                }
            }
            plan::Expr::Binary(operator, a, b) => self.binary(*operator, a, b)?,
            plan::Expr::If(condition, then, otherwise) => {
                Node::If(Box::new([self.node(condition)?, self.node(then)?, self.node(otherwise)?]))
            }
            plan::Expr::Range(from, to, inclusive) => Node::Range(self.pair(from, to)?, *inclusive),
            plan::Expr::Member(object, name) => {
                Node::Member(Box::new(self.node(object)?), name.as_str().into())
            }
            plan::Expr::Index(object, index) => Node::Index(self.pair(object, index)?),
            plan::Expr::Slice(object, from, to) => {
                let bound = |bound: &Option<Box<plan::Expr>>| {
                    bound.as_ref().map(|bound| self.node(bound).map(Box::new)).transpose()
                };
                Node::Slice(Box::new(self.node(object)?), bound(from)?, bound(to)?)
            }
            plan::Expr::Array(items) => Node::Array(self.nodes(items)?),
            plan::Expr::Map(entries) => {
                let entries = entries.iter().map(|(name, value)| Ok((Text::new(name), self.node(value)?)));
                Node::Map(entries.collect::<Result<_, _>>()?)
            }
            plan::Expr::Call(builtin, args) => self.builtin(*builtin, args)?,
            plan::Expr::UserCall(function, args) => Node::Call(*function, self.nodes(args)?),
            plan::Expr::MapItems(array, local, body) => Node::MapItems(self.pair(array, body)?, *local),
            plan::Expr::FilterItems(array, local, body) => Node::FilterItems(self.pair(array, body)?, *local),
            plan::Expr::Block(statements, result) => {
                Node::Block(self.statements(statements)?, Box::new(self.node(result)?))
            }
        };
        Ok(specialised(folded(node)))
    }

    fn nodes(&self, exprs: &[plan::Expr]) -> Result<Box<[Node]>, CompileError> {
        exprs.iter().map(|expr| self.node(expr)).collect()
    }

    fn pair(&self, a: &plan::Expr, b: &plan::Expr) -> Result<Box<[Node; 2]>, CompileError> {
        Ok(Box::new([self.node(a)?, self.node(b)?]))
    }

    fn builtin(&self, builtin: Builtin, args: &[plan::Expr]) -> Result<Node, CompileError> {
        let args = self.nodes(args)?;
        Ok(match (builtin, &*args) {
            (Builtin::Now | Builtin::Timestamp, []) => Node::Now(self.time),
            (Builtin::Print, _) => Node::Print(args, Arc::clone(&self.place)),
            _ => Node::Builtin(builtin, args),
        })
    }

    fn binary(&self, operator: BinaryOp, a: &plan::Expr, b: &plan::Expr) -> Result<Node, CompileError> {
        if matches!(operator, BinaryOp::And | BinaryOp::Or) {
            // A chain of one operator becomes one node with all operands.
            let mut tests = Vec::new();
            self.chain(operator, a, &mut tests)?;
            self.chain(operator, b, &mut tests)?;
            let tests = tests.into();
            return Ok(if operator == BinaryOp::And { Node::And(tests) } else { Node::Or(tests) });
        }
        let sides = self.pair(a, b)?;
        let compare = |comparison, sides| Ok(Node::Compare(comparison, sides));
        let arithmetic = |operator, sides| Ok(Node::Arithmetic(operator, sides));
        match operator {
            BinaryOp::Or | BinaryOp::And => unreachable!("done above"),
            BinaryOp::Xor => Ok(Node::Xor(sides)),
            BinaryOp::Eq => compare(Comparison::Eq, sides),
            BinaryOp::Ne => compare(Comparison::Ne, sides),
            BinaryOp::Lt => compare(Comparison::Lt, sides),
            BinaryOp::Le => compare(Comparison::Le, sides),
            BinaryOp::Gt => compare(Comparison::Gt, sides),
            BinaryOp::Ge => compare(Comparison::Ge, sides),
            BinaryOp::In => Ok(Node::In(sides)),
            BinaryOp::NotIn => Ok(Node::Not(Box::new(Node::In(sides)))),
            BinaryOp::Is => Err(self.error("`is` has no meaning in varpin; use `==`")),
            BinaryOp::Coalesce => Ok(Node::OrElse(sides, true)),
            BinaryOp::Add => arithmetic(Arithmetic::Add, sides),
            BinaryOp::Sub => arithmetic(Arithmetic::Sub, sides),
            BinaryOp::Mul => arithmetic(Arithmetic::Mul, sides),
            BinaryOp::Div => arithmetic(Arithmetic::Div, sides),
            BinaryOp::Rem => arithmetic(Arithmetic::Rem, sides),
            BinaryOp::Pow => arithmetic(Arithmetic::Pow, sides),
            BinaryOp::BitAnd => arithmetic(Arithmetic::BitAnd, sides),
            BinaryOp::BitOr => arithmetic(Arithmetic::BitOr, sides),
            BinaryOp::BitXor => arithmetic(Arithmetic::BitXor, sides),
            BinaryOp::Shl => arithmetic(Arithmetic::Shl, sides),
            BinaryOp::Shr => arithmetic(Arithmetic::Shr, sides),
        }
    }

    fn chain(
        &self,
        operator: BinaryOp,
        expr: &plan::Expr,
        tests: &mut Vec<Node>,
    ) -> Result<(), CompileError> {
        match expr {
            plan::Expr::Binary(inner, a, b) if *inner == operator => {
                self.chain(operator, a, tests)?;
                self.chain(operator, b, tests)
            }
            _ => {
                tests.push(self.node(expr)?);
                Ok(())
            }
        }
    }
}

/// The node, or its value where all that it works on is constant.
fn folded(node: Node) -> Node {
    let constant = |node: &Node| matches!(node, Node::Const(_));
    let foldable = match &node {
        Node::Compare(_, sides)
        | Node::Arithmetic(_, sides)
        | Node::Xor(sides)
        | Node::In(sides)
        | Node::OrElse(sides, _)
        | Node::Range(sides, _)
        | Node::Index(sides) => sides.iter().all(constant),
        Node::And(items) | Node::Or(items) | Node::Array(items) => items.iter().all(constant),
        Node::Builtin(builtin, args) => builtin.is_pure() && args.iter().all(constant),
        Node::Not(inner) | Node::Negate(inner) | Node::BitNot(inner) | Node::Member(inner, _) => {
            constant(inner)
        }
        Node::If(parts) => parts.iter().all(constant),
        Node::Map(entries) => entries.iter().all(|(_, node)| constant(node)),
        _ => false,
    };
    if foldable { Node::Const(node.eval(&Row::new(0, 0, 0), &NO_FUNCTIONS, &mut Env::bare())) } else { node }
}

/// The special case of a node, where it is one.
fn specialised(node: Node) -> Node {
    match node {
        Node::Compare(comparison, sides) => match *sides {
            [Node::Field(slot), Node::Const(value)] => compare_field(slot, comparison, value),
            [Node::Const(value), Node::Field(slot)] => compare_field(slot, comparison.mirrored(), value),
            sides => numeric::comparison(comparison, sides)
                .unwrap_or_else(|sides| comparison_by_rules(comparison, sides)),
        },
        Node::Arithmetic(operator, sides) => {
            numeric::arithmetic(operator, *sides).unwrap_or_else(|sides| arithmetic_by_rules(operator, sides))
        }
        Node::Negate(inner) => {
            numeric::negation(*inner).unwrap_or_else(|inner| Node::Negate(Box::new(inner)))
        }
        Node::Builtin(builtin, arguments) => numeric::function(builtin, arguments)
            .unwrap_or_else(|arguments| Node::Builtin(builtin, arguments)),
        other => other,
    }
}

/// A comparison of values, whatever they are.
pub(super) fn comparison_by_rules(comparison: Comparison, [a, b]: [Node; 2]) -> Node {
    match (Leaf::of(a), Leaf::of(b)) {
        (Ok(a), Ok(b)) => Node::CompareLeaves(comparison, a, b),
        (Err(a), Ok(b)) => Node::CompareLeaf(comparison, Box::new((a, b))),
        (Ok(a), Err(b)) if a.stays_over(&b) => Node::CompareLeaf(comparison.mirrored(), Box::new((b, a))),
        (a, b) => Node::Compare(comparison, Box::new([Leaf::or_node(a), Leaf::or_node(b)])),
    }
}

/// Arithmetic of values, whatever they are.
pub(super) fn arithmetic_by_rules(operator: Arithmetic, [a, b]: [Node; 2]) -> Node {
    match (Leaf::of(a), Leaf::of(b)) {
        (Ok(a), Ok(b)) => Node::ArithmeticLeaves(operator, a, b),
        (Err(a), Ok(b)) => Node::ArithmeticLeaf(operator, Box::new((a, b))),
        (Ok(a), Err(b)) if a.stays_over(&b) => Node::LeafArithmetic(operator, Box::new((a, b))),
        (a, b) => Node::Arithmetic(operator, Box::new([Leaf::or_node(a), Leaf::or_node(b)])),
    }
}

impl Leaf {
    /// The leaf that a node is; else the node.
    fn of(node: Node) -> Result<Self, Node> {
        match node {
            Node::Field(slot) => Ok(Self::Field(slot)),
            Node::Const(value) => Ok(Self::Const(value)),
            Node::Local(local) => Ok(Self::Local(local)),
            Node::Captured(index) => Ok(Self::Captured(index)),
            other => Err(other),
        }
    }

    /// The node again.
    fn or_node(leaf: Result<Self, Node>) -> Node {
        match leaf {
            Ok(Self::Field(slot)) => Node::Field(slot),
            Ok(Self::Const(value)) => Node::Const(value),
            Ok(Self::Local(local)) => Node::Local(local),
            Ok(Self::Captured(index)) => Node::Captured(index),
            Err(node) => node,
        }
    }

    /// Whether it is the same before and behind `node`: only a statement changes a local.
    fn stays_over(&self, node: &Node) -> bool {
        !matches!(self, Self::Local(_)) || is_arithmetic(node)
    }
}

/// Whether a node only computes from what is there already.
fn is_arithmetic(node: &Node) -> bool {
    match node {
        Node::ArithmeticLeaves(..) | Node::Numeric(_) => true,
        Node::ArithmeticLeaf(_, sides) => is_arithmetic(&sides.0),
        Node::LeafArithmetic(_, sides) => is_arithmetic(&sides.1),
        Node::Arithmetic(_, sides) => sides.iter().all(is_arithmetic),
        _ => false,
    }
}

fn compare_field(slot: usize, comparison: Comparison, value: Value) -> Node {
    match value {
        Value::Float(constant) => Node::CompareFloat { slot, comparison, constant, value },
        Value::Int(constant) => Node::CompareInt { slot, comparison, constant, value },
        value => Node::CompareLeaves(comparison, Leaf::Field(slot), Leaf::Const(value)),
    }
}
