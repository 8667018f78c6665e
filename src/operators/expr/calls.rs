//! Functions of the program: statements over a frame of locals. A call is bounded twice, by how deep it nests and by
//! how many steps it takes, so that no program can hang a thread or overflow its stack.

use crate::event::{Row, Value};

use super::super::env::Env;
use super::super::error::Fault;
use super::collections;
use super::compile::TimeOf;
use super::node::Node;

/// How many levels of statements and expressions may be under way on the thread's own stack, over all calls. A level
/// takes some hundred bytes, so this stays far below the 2 MiB that a thread has by default.
const MAX_NESTING: usize = 2_000;

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
    SetGlobal(usize, Node),
    If(Box<[(Node, Box<[Statement]>)]>, Box<[Statement]>),
    For(usize, Items, Box<[Statement]>),
    While(Node, Box<[Statement]>),
    Break,
    Continue,
    Return(Option<Node>),
    Emit(Emission),
    /// `emit` where no `.process` takes it.
    EmitNowhere,
    Expr(Node),
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
        env.locals.truncate(base + function.params);
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
            let flow = self.run_next(statement, row, env);
            if flow != Flow::Next {
                return flow;
            }
        }
        Flow::Next
    }

    /// Takes a step and runs a statement: the commonest without a call.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take as long as the assignment
    fn run_next(&self, statement: &Statement, row: &Row, env: &mut Env) -> Flow {
        if !env.step() {
            env.returned = Value::Missing;
            return Flow::Return;
        }
        match statement {
            Statement::SetLocal(local, node) => {
                let value = node.eval(row, self, env);
                env.set_local(*local, value);
                Flow::Next
            }
            _ => self.run_one(statement, row, env),
        }
    }

    #[inline(never)]
    fn run_one(&self, statement: &Statement, row: &Row, env: &mut Env) -> Flow {
        match statement {
            Statement::SetLocal(local, node) => {
                let value = node.eval(row, self, env);
                env.set_local(*local, value);
                Flow::Next
            }
            Statement::SetGlobal(global, node) => {
                let value = node.eval(row, self, env);
                if let Some(place) = env.globals.get_mut(*global) {
                    *place = value;
                }
                Flow::Next
            }
            Statement::If(branches, otherwise) => {
                for (condition, body) in branches {
                    if condition.test(row, self, env) == Some(true) {
                        return self.run(body, row, env);
                    }
                }
                self.run(otherwise, row, env)
            }
            Statement::For(local, items, body) => self.run_for(*local, items, body, row, env),
            Statement::While(condition, body) => {
                while env.step() && condition.test(row, self, env) == Some(true) {
                    match self.run(body, row, env) {
                        Flow::Next | Flow::Continue => {}
                        Flow::Break => break,
                        Flow::Return => return Flow::Return,
                    }
                }
                Flow::Next
            }
            Statement::Break => Flow::Break,
            Statement::Continue => Flow::Continue,
            Statement::Return(node) => {
                env.returned = node.as_ref().map_or(Value::Missing, |node| node.eval(row, self, env));
                Flow::Return
            }
            Statement::Emit(emission) => {
                self.emit(emission, row, env);
                Flow::Next
            }
            Statement::EmitNowhere => {
                env.fault.get_or_insert(Fault::EmitOutsideProcess);
                Flow::Next
            }
            Statement::Expr(node) => {
                node.eval(row, self, env);
                Flow::Next
            }
        }
    }

    fn run_for(&self, local: usize, items: &Items, body: &[Statement], row: &Row, env: &mut Env) -> Flow {
        match items {
            Items::Range(from, to, inclusive) => {
                let from = from.eval(row, self, env);
                let to = to.eval(row, self, env);
                match collections::ends(&from, &to, *inclusive) {
                    Some((from, end)) => self.turns(local, (from..end).map(Value::Int), body, row, env),
                    None => Flow::Next,
                }
            }
            Items::Array(node) => match node.eval(row, self, env) {
                Value::Array(items) => self.turns(local, items.iter().cloned(), body, row, env),
                _ => Flow::Next,
            },
        }
    }

    /// The turns of a `for`.
    fn turns(
        &self,
        local: usize,
        items: impl Iterator<Item = Value>,
        body: &[Statement],
        row: &Row,
        env: &mut Env,
    ) -> Flow {
        'turns: for item in items {
            if !env.step() {
                break;
            }
            env.set_local(local, item);
            for statement in body {
                match self.run_next(statement, row, env) {
                    Flow::Next => {}
                    Flow::Continue => continue 'turns,
                    Flow::Break => break 'turns,
                    Flow::Return => return Flow::Return,
                }
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
pub(super) fn discard_behind(values: &mut Vec<Value>, len: usize) {
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
