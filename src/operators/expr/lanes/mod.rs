//! Loops that do nothing but arithmetic, in registers of one kind. What a loop like
//!
//! ```text
//! for step in 0..steps:
//!     level := level * 0.75 + value * 0.25 + step
//! ```
//!
//! reads is mostly all floats or all ints, and stays that: so its body is compiled for each of the two as well, for
//! registers in which nothing has to be looked at to know what it is. Whether they fit is asked when the loop begins.
//! Where an operation has no number for its result, or the steps run out, the turn at hand is as if it had not begun:
//! the statements are run by the rules for values then, which they may be, because a turn changes locals only.

mod lane;
mod maker;
#[cfg(test)]
mod tests;

use crate::event::{Row, Value};

use super::super::env::Env;
use super::calls::Statement;
use super::node::{Node, field};
use super::number::Number;

use lane::Lane;
use maker::{Maker, Numbers};

/// Few enough to be found without a check, enough for bodies of some lines. A power of two.
const REGISTERS: usize = 16;
/// Where a jump ends the loop.
const OUT: u8 = u8::MAX;

/// A loop's condition and body for registers.
#[derive(Debug)]
pub(super) struct Lanes {
    floats: Option<Code>,
    ints: Option<Code>,
}

/// How many turns registers did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turns {
    /// All that there were.
    All,
    /// Those before this one, which is for the statements.
    Upto(i64),
}

/// What a turn does.
#[derive(Debug)]
struct Code {
    operations: Box<[Operation]>,
    /// Registers that must have a number of the kind when the loop begins.
    loads: Box<[(u8, Place)]>,
    constants: Box<[(u8, Value)]>,
    /// Locals that it sets.
    stores: Box<[(u8, usize)]>,
    /// The register of a `for`'s own local, where it is read.
    turn: Option<u8>,
    /// Statements that every turn takes, with one for the turn.
    steps: u64,
    /// Whether a turn may have to be done again.
    may_fail: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Field(usize),
    Local(usize),
    Captured(usize),
}

/// Registers of the operands, and of the result; of a jump, `to` is the next operation.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
struct Operation {
    kind: Kind,
    to: u8,
    a: u8,
    b: u8,
    c: u8,
    d: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Copy,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    /// `a * b + c`
    AddProduct,
    /// `a * b + c * d`
    AddProducts,
    Neg,
    Abs,
    Min,
    Max,
    Sqrt,
    Log,
    Log10,
    Exp,
    /// Goes on at `to`.
    Jump,
    /// Goes on at `to` where the comparison does not hold.
    UnlessEq,
    UnlessNe,
    UnlessLt,
    UnlessLe,
    UnlessGt,
    UnlessGe,
    /// Takes `to` steps.
    Steps,
}

/// How a turn ended.
enum Ended {
    /// With so many steps left.
    Done(u64),
    /// The condition of a `while` does not hold.
    Out,
    /// Where it has no number, or no more steps.
    Failed,
    /// Before anything was done.
    NoSteps,
}

impl Lanes {
    /// For the turns of a `for` with this local, or of a `while` with this condition. None where neither kind fits.
    pub(super) fn new(local: Option<usize>, condition: Option<&Node>, body: &[Statement]) -> Option<Self> {
        let of_kind = |numbers| Maker::new(numbers, local).code(condition, body);
        let lanes = Self { floats: of_kind(Numbers::Floats), ints: of_kind(Numbers::Ints) };
        (lanes.floats.is_some() || lanes.ints.is_some()).then_some(lanes)
    }

    /// Runs the turns of a `for` whose next one is `from`, and whose last is before `end`, as far as it can.
    pub(super) fn count(&self, local: usize, from: i64, end: i64, row: &Row, env: &mut Env) -> Turns {
        let turns = end.abs_diff(from);
        let mut done = None;
        if let Some(code) = &self.floats
            && f64::of_int(from).is_some()
            && f64::of_int(end).is_some()
        {
            done = code.count::<f64>(from, turns, row, env);
        }
        if let (None, Some(code)) = (done, &self.ints) {
            done = code.count::<i64>(from, turns, row, env);
        }
        let done = done.unwrap_or(0);
        if done > 0 {
            env.set_number(local, Number::int(from.wrapping_add_unsigned(done - 1)));
        }
        if done == turns { Turns::All } else { Turns::Upto(from.wrapping_add_unsigned(done)) }
    }

    /// Runs the turns of a `while`, as far as it can; whether its condition has ended them.
    pub(super) fn repeat(&self, row: &Row, env: &mut Env) -> bool {
        let mut ended = None;
        if let Some(code) = &self.floats {
            ended = code.repeat::<f64>(row, env);
        }
        if let (None, Some(code)) = (ended, &self.ints) {
            ended = code.repeat::<i64>(row, env);
        }
        ended == Some(true)
    }
}

impl Code {
    /// Fills the registers with what the loop finds; none where something there is of another kind.
    #[inline]
    fn start<T: Lane>(&self, registers: &mut [T; REGISTERS], row: &Row, env: &Env) -> Option<()> {
        for (register, place) in &self.loads {
            let value = match place {
                Place::Local(local) => env.locals.get(env.frame + local)?,
                Place::Field(slot) => field(row, *slot),
                Place::Captured(index) => env.captured.get(*index)?,
            };
            registers[usize::from(*register) % REGISTERS] = T::of(value)?;
        }
        for (register, constant) in &self.constants {
            let constant = match constant {
                Value::Int(constant) => T::of_int(*constant)?,
                other => T::of(other)?,
            };
            registers[usize::from(*register) % REGISTERS] = constant;
        }
        Some(())
    }

    /// The turns of a `for`: how many are done. None where the registers are not for what is there.
    #[inline(never)]
    fn count<T: Lane>(&self, from: i64, turns: u64, row: &Row, env: &mut Env) -> Option<u64> {
        let mut registers = [T::ZERO; REGISTERS];
        self.start(&mut registers, row, env)?;
        let turn = self.turn.map_or(REGISTERS, usize::from);
        let mut steps = env.steps_left;
        let mut before = [T::ZERO; REGISTERS];
        let mut done = 0;
        while done < turns {
            if self.may_fail {
                before = registers;
            }
            if let Some(register) = registers.get_mut(turn) {
                *register = T::of_turn(from.wrapping_add_unsigned(done));
            }
            match self.turn(&mut registers, steps) {
                Ended::Done(left) => steps = left,
                Ended::Failed => {
                    registers = before;
                    break;
                }
                Ended::Out | Ended::NoSteps => break,
            }
            done += 1;
        }
        self.finish(&registers, steps, done > 0, env);
        Some(done)
    }

    /// The turns of a `while`: whether its condition has ended them. None as for [`Code::count`].
    #[inline(never)]
    fn repeat<T: Lane>(&self, row: &Row, env: &mut Env) -> Option<bool> {
        let mut registers = [T::ZERO; REGISTERS];
        self.start(&mut registers, row, env)?;
        let mut steps = env.steps_left;
        let mut before = [T::ZERO; REGISTERS];
        let mut any = false;
        let ended = loop {
            if self.may_fail {
                before = registers;
            }
            match self.turn(&mut registers, steps) {
                Ended::Done(left) => steps = left,
                Ended::Out => {
                    // To ask was a step.
                    steps -= 1;
                    break true;
                }
                Ended::Failed => {
                    registers = before;
                    break false;
                }
                Ended::NoSteps => break false,
            }
            any = true;
        };
        self.finish(&registers, steps, any, env);
        Some(ended)
    }

    /// One turn. Its condition changes no local.
    #[inline(always)]
    #[allow(clippy::inline_always)] // two places, each with registers of its own
    fn turn<T: Lane>(&self, registers: &mut [T; REGISTERS], steps: u64) -> Ended {
        let Some(mut steps) = steps.checked_sub(self.steps) else { return Ended::NoSteps };
        let mut at = 0;
        while let Some(operation) = self.operations.get(at) {
            at += 1;
            let register = |register: u8| registers[usize::from(register) % REGISTERS];
            let (a, b) = (register(operation.a), register(operation.b));
            let result = match operation.kind {
                Kind::Copy => Some(a),
                Kind::Add => a.add(b),
                Kind::Sub => a.sub(b),
                Kind::Mul => a.mul(b),
                Kind::Div => a.div(b),
                Kind::Rem => a.rem(b),
                Kind::Neg => a.neg(),
                Kind::Abs => a.abs(),
                Kind::Min => Some(a.min(b)),
                Kind::Max => Some(a.max(b)),
                Kind::Sqrt => a.through(f64::sqrt),
                Kind::Log => a.through(f64::ln),
                Kind::Log10 => a.through(f64::log10),
                Kind::Exp => a.through(f64::exp),
                Kind::AddProduct => a.mul(b).and_then(|product| product.add(register(operation.c))),
                Kind::AddProducts => {
                    let other = register(operation.c).mul(register(operation.d));
                    a.mul(b).and_then(|product| other.and_then(|other| product.add(other)))
                }
                Kind::Steps => {
                    let Some(left) = steps.checked_sub(u64::from(operation.to)) else {
                        return Ended::Failed;
                    };
                    steps = left;
                    continue;
                }
                jump => {
                    let goes_on = match jump {
                        Kind::UnlessEq => a == b,
                        Kind::UnlessNe => a != b,
                        Kind::UnlessLt => a < b,
                        Kind::UnlessLe => a <= b,
                        Kind::UnlessGt => a > b,
                        Kind::UnlessGe => a >= b,
                        _ => false,
                    };
                    if !goes_on {
                        at = usize::from(operation.to);
                    }
                    continue;
                }
            };
            let Some(result) = result else { return Ended::Failed };
            registers[usize::from(operation.to) % REGISTERS] = result;
        }
        if at == usize::from(OUT) { Ended::Out } else { Ended::Done(steps) }
    }

    fn finish<T: Lane>(&self, registers: &[T; REGISTERS], steps: u64, any: bool, env: &mut Env) {
        env.steps_left = steps;
        if !any {
            return;
        }
        for (register, local) in &self.stores {
            env.set_local(*local, registers[usize::from(*register) % REGISTERS].value());
        }
    }
}
