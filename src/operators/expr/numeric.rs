//! Arithmetic over numbers that are there already, as closures: each operator is one, made for where its operands are,
//! and passes its number on in registers, where a tree of values costs a value in memory for each operator and a look
//! at what it is. Where something is no number, or has no result, the tree is asked, which knows all the rules; it may
//! be, because it only reads.

use std::fmt;

use crate::event::{Row, Value};

use super::super::env::Env;
use super::node::{Arithmetic, Leaf, Node, field};

/// An arithmetic expression of at least two operators.
pub(super) struct Numeric {
    compute: Compute,
    pub(super) tree: Node,
}

type Compute = Box<dyn Fn(&Row, &Env) -> Number + Send + Sync>;

/// A number, or none. Two words of plain types, so that it travels in registers.
#[derive(Clone, Copy)]
struct Number {
    kind: Kind,
    bits: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Float,
    None,
}

/// Where a number comes from.
trait Source: Send + Sync + 'static {
    fn number(&self, row: &Row, env: &Env) -> Number;
}

struct Field(usize);
struct Local(usize);
struct Captured(usize);
struct ConstInt(i64);
struct ConstFloat(f64);

/// What stands on one side of an operator.
enum Operand {
    Field(Field),
    Local(Local),
    ConstInt(ConstInt),
    ConstFloat(ConstFloat),
    Made(Compute),
}

impl Numeric {
    /// Its value where all that it meets are numbers and it has one.
    #[inline]
    pub(super) fn value(&self, row: &Row, env: &Env) -> Option<Value> {
        let number = (self.compute)(row, env);
        match number.kind {
            Kind::Float => Some(Value::Float(number.as_float())),
            Kind::Int => Some(Value::Int(number.as_int())),
            Kind::None => None,
        }
    }
}

impl fmt::Debug for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Numeric").field(&self.tree).finish()
    }
}

impl Number {
    const NONE: Self = Self { kind: Kind::None, bits: 0 };

    #[inline]
    fn int(value: i64) -> Self {
        Self { kind: Kind::Int, bits: value as u64 }
    }

    #[inline]
    fn float(value: f64) -> Self {
        Self { kind: Kind::Float, bits: value.to_bits() }
    }

    #[inline]
    fn of(value: &Value) -> Self {
        // One after the other, which is faster than telling all types apart at once.
        if let Value::Float(value) = value {
            Self::float(*value)
        } else if let Value::Int(value) = value {
            Self::int(*value)
        } else {
            Self::NONE
        }
    }

    #[inline]
    fn as_int(self) -> i64 {
        self.bits as i64
    }

    /// The float that it is, or that is next to the int.
    #[inline]
    fn as_float(self) -> f64 {
        if self.kind == Kind::Int { self.as_int() as f64 } else { f64::from_bits(self.bits) }
    }
}

/// What `arith` makes of two numbers, if that is a number.
#[inline]
fn apply(
    a: Number,
    b: Number,
    ints: impl Fn(i64, i64) -> Option<i64>,
    floats: impl Fn(f64, f64) -> Option<f64>,
) -> Number {
    match (a.kind, b.kind) {
        (Kind::Float, Kind::Float) => {
            floats(f64::from_bits(a.bits), f64::from_bits(b.bits)).map_or(Number::NONE, Number::float)
        }
        (Kind::Int, Kind::Int) => ints(a.as_int(), b.as_int()).map_or(Number::NONE, Number::int),
        (Kind::None, _) | (_, Kind::None) => Number::NONE,
        _ => floats(a.as_float(), b.as_float()).map_or(Number::NONE, Number::float),
    }
}

impl Source for Field {
    #[inline]
    fn number(&self, row: &Row, _env: &Env) -> Number {
        Number::of(field(row, self.0))
    }
}

impl Source for Local {
    #[inline]
    fn number(&self, _row: &Row, env: &Env) -> Number {
        env.locals.get(env.frame + self.0).map_or(Number::NONE, Number::of)
    }
}

impl Source for Captured {
    #[inline]
    fn number(&self, _row: &Row, env: &Env) -> Number {
        env.captured.get(self.0).map_or(Number::NONE, Number::of)
    }
}

impl Source for ConstInt {
    #[inline]
    fn number(&self, _row: &Row, _env: &Env) -> Number {
        Number::int(self.0)
    }
}

impl Source for ConstFloat {
    #[inline]
    fn number(&self, _row: &Row, _env: &Env) -> Number {
        Number::float(self.0)
    }
}

impl Source for Compute {
    #[inline]
    fn number(&self, row: &Row, env: &Env) -> Number {
        self(row, env)
    }
}

/// The node as closures, where it is arithmetic of two operators or more over what is there already.
pub(super) fn numeric(node: Node) -> Node {
    let operators = match &node {
        Node::ArithmeticLeaf(..) | Node::LeafArithmetic(..) | Node::Arithmetic(..) => operand(&node),
        _ => None,
    };
    match operators {
        Some(Operand::Made(compute)) => Node::Numeric(Box::new(Numeric { compute, tree: node })),
        _ => node,
    }
}

/// What a node is as an operand. None where it is no such arithmetic.
fn operand(node: &Node) -> Option<Operand> {
    match node {
        Node::Field(slot) => Some(Operand::Field(Field(*slot))),
        Node::Local(local) => Some(Operand::Local(Local(*local))),
        Node::Captured(index) => Some(captured(*index)),
        Node::Const(value) => constant(value),
        Node::ArithmeticLeaves(operator, a, b) => join(*operator, leaf(a)?, leaf(b)?),
        Node::ArithmeticLeaf(operator, sides) => join(*operator, operand(&sides.0)?, leaf(&sides.1)?),
        Node::LeafArithmetic(operator, sides) => join(*operator, leaf(&sides.0)?, operand(&sides.1)?),
        Node::Arithmetic(operator, sides) => join(*operator, operand(&sides[0])?, operand(&sides[1])?),
        _ => None,
    }
}

fn leaf(leaf: &Leaf) -> Option<Operand> {
    match leaf {
        Leaf::Field(slot) => Some(Operand::Field(Field(*slot))),
        Leaf::Local(local) => Some(Operand::Local(Local(*local))),
        Leaf::Captured(index) => Some(captured(*index)),
        Leaf::Const(value) => constant(value),
    }
}

/// Rare enough to need no closures of its own for what stands on its other side.
fn captured(index: usize) -> Operand {
    let source = Captured(index);
    Operand::Made(Box::new(move |row, env| source.number(row, env)))
}

fn constant(value: &Value) -> Option<Operand> {
    match value {
        Value::Int(value) => Some(Operand::ConstInt(ConstInt(*value))),
        Value::Float(value) => Some(Operand::ConstFloat(ConstFloat(*value))),
        _ => None,
    }
}

fn join(operator: Arithmetic, a: Operand, b: Operand) -> Option<Operand> {
    let compute = match a {
        Operand::Field(a) => join_to(operator, a, b),
        Operand::Local(a) => join_to(operator, a, b),
        Operand::ConstInt(a) => join_to(operator, a, b),
        Operand::ConstFloat(a) => join_to(operator, a, b),
        Operand::Made(a) => join_to(operator, a, b),
    };
    compute.map(Operand::Made)
}

fn join_to(operator: Arithmetic, a: impl Source, b: Operand) -> Option<Compute> {
    match b {
        Operand::Field(b) => closure(operator, a, b),
        Operand::Local(b) => closure(operator, a, b),
        Operand::ConstInt(b) => closure(operator, a, b),
        Operand::ConstFloat(b) => closure(operator, a, b),
        Operand::Made(b) => closure(operator, a, b),
    }
}

fn closure(operator: Arithmetic, a: impl Source, b: impl Source) -> Option<Compute> {
    Some(match operator {
        Arithmetic::Add => Box::new(move |row, env| {
            apply(a.number(row, env), b.number(row, env), i64::checked_add, |a, b| Some(a + b))
        }),
        Arithmetic::Sub => Box::new(move |row, env| {
            apply(a.number(row, env), b.number(row, env), i64::checked_sub, |a, b| Some(a - b))
        }),
        Arithmetic::Mul => Box::new(move |row, env| {
            apply(a.number(row, env), b.number(row, env), i64::checked_mul, |a, b| Some(a * b))
        }),
        // `checked_div` refuses zero, and i64::MIN / -1, which is no i64.
        Arithmetic::Div => Box::new(move |row, env| {
            let quotient = |a: f64, b: f64| (b != 0.0).then(|| a / b);
            apply(a.number(row, env), b.number(row, env), i64::checked_div, quotient)
        }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::calls::NO_FUNCTIONS;
    use super::*;

    const OPERATORS: [Arithmetic; 4] = [Arithmetic::Add, Arithmetic::Sub, Arithmetic::Mul, Arithmetic::Div];
    /// Two of the three operands come from fields and locals.
    const NUMBERS: [Value; 7] = [
        Value::Int(7),
        Value::Int(0),
        Value::Int(i64::MIN),
        Value::Int(-1),
        Value::Float(2.5),
        Value::Float(0.0),
        Value::Float(f64::NAN),
    ];

    #[test]
    fn closures_compute_what_the_tree_computes() {
        let mut env = Env::bare();
        env.locals = NUMBERS.to_vec();
        let row = Row::with_values(0, 0, &NUMBERS);
        let numbers = 0..NUMBERS.len();
        let mut computed = 0;
        for first in OPERATORS {
            for second in OPERATORS {
                for a in numbers.clone() {
                    for b in numbers.clone() {
                        for c in &NUMBERS {
                            let constant = || Leaf::Const(c.clone());
                            let inner =
                                |operator| Node::ArithmeticLeaves(operator, Leaf::Field(a), Leaf::Local(b));
                            let trees = [
                                Node::ArithmeticLeaf(second, Box::new((inner(first), constant()))),
                                Node::LeafArithmetic(second, Box::new((constant(), inner(first)))),
                                Node::Arithmetic(second, Box::new([inner(first), inner(second)])),
                                Node::LeafArithmetic(
                                    first,
                                    Box::new((
                                        Leaf::Local(a),
                                        Node::ArithmeticLeaves(second, constant(), Leaf::Field(b)),
                                    )),
                                ),
                            ];
                            for tree in trees {
                                let Node::Numeric(numeric) = numeric(tree) else {
                                    panic!("it is arithmetic")
                                };
                                let expected = numeric.tree.eval(&row, &NO_FUNCTIONS, &mut env);
                                if let Some(found) = numeric.value(&row, &env) {
                                    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
                                    computed += 1;
                                } else {
                                    assert!(expected.is_missing(), "{numeric:?} is {expected:?}");
                                }
                            }
                        }
                    }
                }
            }
        }
        assert!(computed > 10_000, "{computed}");
    }

    #[test]
    fn what_is_no_number_is_left_to_the_tree() {
        let text = Leaf::Const(Value::from("t"));
        let sum = Node::ArithmeticLeaves(Arithmetic::Add, Leaf::Field(0), Leaf::Field(1));
        assert!(matches!(
            numeric(Node::ArithmeticLeaf(Arithmetic::Add, Box::new((sum, text)))),
            Node::ArithmeticLeaf(..)
        ));
        let row = Row::with_values(0, 0, &[Value::from("a"), Value::from("b")]);
        let sum = Node::ArithmeticLeaves(Arithmetic::Add, Leaf::Field(0), Leaf::Field(1));
        let sum = numeric(Node::ArithmeticLeaf(Arithmetic::Add, Box::new((sum, Leaf::Field(0)))));
        let value = sum.eval(&row, &NO_FUNCTIONS, &mut Env::bare());
        assert!(matches!(&value, Value::Str(text) if &**text == "aba"), "{value:?}");
    }
}
