//! Functions of the program: statements over a frame of locals. A call is bounded twice, by how deep it nests and by
//! how many steps it takes, so that no program can hang a thread or overflow its stack.

use crate::event::{Row, Value};

use super::super::env::Env;
use super::super::error::Fault;
use super::collections;
use super::compile::TimeOf;
use super::lanes::{Lanes, Turns};
use super::node::Node;
use super::number::Number;

/// How many levels of statements and expressions may be under way on the thread's own stack, over all calls. A level
/// takes some hundred bytes, so this stays far below the 2 MiB that a thread has by default.
const MAX_NESTING: usize = 2_000;

/// How often a loop tries whether its turns are for registers: at its start, and once again, because a local that
/// begins as `0` is no float before the first turn.
const TRIES: u32 = 2;

/// The functions that an expression can call.
#[derive(Debug, Default)]
pub(super) struct Functions {
    pub(super) list: Vec<Function>,
}

/// For expressions that call none.
pub(super) static NO_FUNCTIONS: Functions = Functions { list: Vec::new() };

#[derive(Debug)]
pub(super) struct Function {
    /// Parameters come first.
    pub(super) params: usize,
    pub(super) locals: usize,
    /// Levels that its body nests at most.
    pub(super) height: usize,
    pub(super) body: Box<[Statement]>,
}

#[derive(Debug)]
pub(super) enum Statement {
    SetLocal(usize, Node),
    If(Box<[(Node, Box<[Statement]>)]>, Box<[Statement]>),
    For(usize, Items, Body),
    While(Node, Body),
    Break,
    Continue,
    Return(Option<Node>),
    Effect(Effect),
}

/// A statement that is there for its effect outside of the call.
#[derive(Debug)]
pub(super) enum Effect {
    SetGlobal(usize, Node),
    Emit(Emission),
    /// `emit` where no `.process` takes it.
    EmitNowhere,
    Expr(Node),
}

/// What a loop does in each turn.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) statements: Box<[Statement]>,
    /// The same for registers, where it is nothing but arithmetic.
    pub(super) lanes: Option<Box<Lanes>>,
}

/// What a `for` runs over.
#[derive(Debug)]
pub(super) enum Items {
    /// Ints, which need no array.
    Range(Node, Node, bool),
    /// The items of an array.
    Array(Node),
}

/// A row that a function emits.
#[derive(Debug)]
pub(super) struct Emission {
    pub(super) type_id: u32,
    pub(super) rank: u16,
    /// The place of its type among those that the `.process` emits.
    pub(super) lane: u16,
    pub(super) slots: usize,
    pub(super) time: TimeOf,
    pub(super) fields: Box<[(usize, Node)]>,
}

/// How a statement ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
    /// With the value in the environment's `returned`.
    Return,
}

impl Functions {
    /// Calls a function.
    #[inline(never)]
    pub(super) fn call(&self, function: usize, arguments: &[Node], row: &Row, env: &mut Env) -> Value {
        let Some(function) = self.list.get(function) else { return Value::Missing };
        if !env.step() || !env.descend(function.height) {
            return Value::Missing;
        }
        // Arguments still see the caller's frame; what they call comes and goes above what is pushed here.
        let base = env.locals.len();
        for argument in arguments {
            let value = argument.eval_argument(row, self, env);
            env.locals.push(value);
        }
        discard_behind(&mut env.locals, base + function.params);
        while env.locals.len() < base + function.locals {
            env.locals.push(Value::Missing);
        }
        let frame = std::mem::replace(&mut env.frame, base);
        let result = match self.run(&function.body, row, env) {
            Flow::Return => std::mem::take(&mut env.returned),
            Flow::Next | Flow::Break | Flow::Continue => Value::Missing,
        };
        env.frame = frame;
        discard_behind(&mut env.locals, base);
        env.ascend(function.height);
        if env.fault.is_some() { Value::Missing } else { result }
    }

    /// Runs the statements of a lambda's block, then its value.
    pub(super) fn run_block(
        &self,
        statements: &[Statement],
        result: &Node,
        row: &Row,
        env: &mut Env,
    ) -> Value {
        match self.run(statements, row, env) {
            Flow::Return => std::mem::take(&mut env.returned),
            Flow::Next | Flow::Break | Flow::Continue => result.eval(row, self, env),
        }
    }

    fn run(&self, statements: &[Statement], row: &Row, env: &mut Env) -> Flow {
        for statement in statements {
            if !env.step() {
                env.returned = Value::Missing;
                return Flow::Return;
            }
            // The commonest statements without another call.
            let flow = match statement {
                Statement::SetLocal(local, node) => {
                    match node {
                        Node::Numeric(numeric) => {
                            if !env.set_number(*local, numeric.number(row, env)) {
                                let value = numeric.tree.eval(row, self, env);
                                env.set_local(*local, value);
                            }
                        }
                        node => {
                            let value = node.eval_argument(row, self, env);
                            env.set_local(*local, value);
                        }
                    }
                    continue;
                }
                Statement::If(branches, otherwise) => {
                    let chosen = branches.iter().find(|branch| branch.0.test(row, self, env) == Some(true));
                    let body = chosen.map_or(otherwise, |branch| &branch.1);
                    if body.is_empty() {
                        continue;
                    }
                    self.run(body, row, env)
                }
                Statement::Return(node) => {
                    env.returned =
                        node.as_ref().map_or(Value::Missing, |node| node.eval_argument(row, self, env));
                    return Flow::Return;
                }
                Statement::Break => return Flow::Break,
                Statement::Continue => return Flow::Continue,
                Statement::For(local, items, body) => self.run_for(*local, items, body, row, env),
                Statement::While(condition, body) => self.run_while(condition, body, row, env),
                Statement::Effect(effect) => {
                    self.run_effect(effect, row, env);
                    continue;
                }
            };
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    #[inline(never)]
    fn run_effect(&self, effect: &Effect, row: &Row, env: &mut Env) {
        match effect {
            Effect::SetGlobal(global, node) => {
                let value = node.eval(row, self, env);
                if let Some(place) = env.globals.get_mut(*global) {
                    *place = value;
                }
            }
            Effect::Emit(emission) => self.emit(emission, row, env),
            Effect::EmitNowhere => {
                env.fault.get_or_insert(Fault::EmitOutsideProcess);
            }
            Effect::Expr(node) => node.eval(row, self, env).discard(),
        }
    }

    #[inline(never)]
    fn run_while(&self, condition: &Node, body: &Body, row: &Row, env: &mut Env) -> Flow {
        let mut tries = TRIES;
        loop {
            if let Some(lanes) = &body.lanes
                && tries > 0
            {
                tries -= 1;
                if lanes.repeat(row, env) {
                    return Flow::Next;
                }
            }
            if !env.step() || condition.test(row, self, env) != Some(true) {
                return Flow::Next;
            }
            match self.run(&body.statements, row, env) {
                Flow::Next | Flow::Continue => {}
                Flow::Break => return Flow::Next,
                Flow::Return => return Flow::Return,
            }
        }
    }

    #[inline(never)]
    fn run_for(&self, local: usize, items: &Items, body: &Body, row: &Row, env: &mut Env) -> Flow {
        match items {
            Items::Range(from, to, inclusive) => {
                let from = from.eval_argument(row, self, env);
                let to = to.eval_argument(row, self, env);
                match collections::ends(&from, &to, *inclusive) {
                    Some((from, end)) => self.count(local, from, end, body, row, env),
                    None => Flow::Next,
                }
            }
            Items::Array(node) => match node.eval(row, self, env) {
                Value::Array(items) => self.walk(local, &items, body, row, env),
                _ => Flow::Next,
            },
        }
    }

    /// The turns of a `for` over ints.
    fn count(&self, local: usize, from: i64, end: i64, body: &Body, row: &Row, env: &mut Env) -> Flow {
        let (mut next, mut tries) = (from, TRIES);
        while next < end {
            if let Some(lanes) = &body.lanes
                && tries > 0
            {
                tries -= 1;
                match lanes.count(local, next, end, row, env) {
                    Turns::All => break,
                    Turns::Upto(turn) => next = turn,
                }
            }
            if !env.step() {
                break;
            }
            env.set_number(local, Number::int(next));
            match self.run(&body.statements, row, env) {
                Flow::Next | Flow::Continue => {}
                Flow::Break => break,
                Flow::Return => return Flow::Return,
            }
            next += 1;
        }
        Flow::Next
    }

    /// The turns of a `for` over an array.
    fn walk(&self, local: usize, items: &[Value], body: &Body, row: &Row, env: &mut Env) -> Flow {
        for item in items {
            if !env.step() {
                break;
            }
            env.set_local(local, item.clone());
            match self.run(&body.statements, row, env) {
                Flow::Next | Flow::Continue => {}
                Flow::Break => break,
                Flow::Return => return Flow::Return,
            }
        }
        Flow::Next
    }

    // Out of line, because a row is large, and aligned.
    #[inline(never)]
    fn emit(&self, emission: &Emission, row: &Row, env: &mut Env) {
        let mut emitted = Row::new(emission.type_id, emission.time.of(row, env), emission.slots);
        emitted.set_seq(row.seq());
        emitted.set_stamp(row.stamp());
        emitted.set_rank(emission.rank);
        emitted.set_lane(emission.lane);
        for (slot, node) in &emission.fields {
            emitted.set(*slot, node.eval(row, self, env));
        }
        env.emitted.push(emitted);
    }
}

/// Lets go of the values behind the first `len`.
#[inline]
pub(in super::super) fn discard_behind(values: &mut Vec<Value>, len: usize) {
    while values.len() > len
        && let Some(value) = values.pop()
    {
        value.discard();
    }
}

impl Env {
    /// Sets a local of the call under way.
    #[inline]
    pub(super) fn set_local(&mut self, local: usize, value: Value) {
        let place = self.frame + local;
        if let Some(place) = self.locals.get_mut(place) {
            // A number over a number of its kind, which is what counters and sums are, is only overwritten.
            if let (Value::Float(old), Value::Float(new)) = (&mut *place, &value) {
                *old = *new;
            } else if let (Value::Int(old), Value::Int(new)) = (&mut *place, &value) {
                *old = *new;
            } else {
                std::mem::replace(place, value).discard();
            }
        }
    }

    /// Sets a local of the call under way to a number; false where there is none.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take as long as the assignment
    pub(super) fn set_number(&mut self, local: usize, number: Number) -> bool {
        match self.locals.get_mut(self.frame + local) {
            Some(place) => number.store(place),
            None => false,
        }
    }

    /// Begins a call whose body nests `height` levels; false where that is too deep.
    fn descend(&mut self, height: usize) -> bool {
        if self.depth >= self.limits.max_call_depth {
            self.fault.get_or_insert(Fault::CallDepth(self.limits.max_call_depth));
        } else if self.nesting + height > MAX_NESTING {
            self.fault.get_or_insert(Fault::CallNesting(MAX_NESTING));
        } else {
            self.depth += 1;
            self.nesting += height;
        }
        self.fault.is_none()
    }

    /// Ends it.
    fn ascend(&mut self, height: usize) {
        self.depth -= 1;
        self.nesting -= height;
    }
}
