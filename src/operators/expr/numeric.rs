//! Arithmetic, functions of numbers and comparisons over what is there already, as closures: each operator is one, made
//! for where its operands are, and passes its number on in registers, where a tree of values costs a value in memory
//! for each operator and a look at what it is. Where something is no number, or has no result, the tree is asked, which
//! knows all the rules; it may be, because it only reads.

use std::fmt;

use crate::event::{Row, Value};
use crate::functions::Builtin;

use super::super::env::Env;
use super::compile::{arithmetic_by_rules, comparison_by_rules};
use super::node::{Arithmetic, Leaf, Node, field};
use super::number::Number;
use super::truth::Comparison;

/// An expression that makes a number of numbers.
pub(super) struct Numeric {
    compute: Compute,
    /// The same by the rules for values; no part of it is a closure.
    pub(super) tree: Node,
}

/// A comparison of two numbers.
pub(super) struct NumericTest {
    answer: Answer,
    /// The same by the rules for values.
    pub(super) tree: Node,
}

type Compute = Box<dyn Fn(&Row, &Env) -> Number + Send + Sync>;
type Answer = Box<dyn Fn(&Row, &Env) -> Option<bool> + Send + Sync>;

/// Where a number comes from.
trait Source: Send + Sync + 'static {
    fn number(&self, row: &Row, env: &Env) -> Number;
}

struct Field(usize);
struct Local(usize);
struct Captured(usize);
struct Const(Number);
/// `a * b` of what is there already: the commonest operand that is none itself.
struct Product<A, B>(A, B);

/// What an operator is applied to.
enum Operand {
    Field(Field),
    Local(Local),
    Captured(Captured),
    Const(Const),
    LocalByConst(Product<Local, Const>),
    LocalByLocal(Product<Local, Local>),
    FieldByConst(Product<Field, Const>),
    FieldByField(Product<Field, Field>),
    Made(Compute),
}

impl Numeric {
    /// Its number, where all that it meets are numbers and it has one.
    #[inline]
    pub(super) fn number(&self, row: &Row, env: &Env) -> Number {
        (self.compute)(row, env)
    }
}

impl NumericTest {
    /// Its answer, where it meets two numbers of one kind.
    #[inline]
    pub(super) fn answer(&self, row: &Row, env: &Env) -> Option<bool> {
        (self.answer)(row, env)
    }
}

impl fmt::Debug for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Numeric").field(&self.tree).finish()
    }
}

impl fmt::Debug for NumericTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NumericTest").field(&self.tree).finish()
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

impl Source for Const {
    #[inline]
    fn number(&self, _row: &Row, _env: &Env) -> Number {
        self.0
    }
}

impl<A: Source, B: Source> Source for Product<A, B> {
    #[inline]
    fn number(&self, row: &Row, env: &Env) -> Number {
        self.0.number(row, env).mul(self.1.number(row, env))
    }
}

impl Source for Compute {
    #[inline]
    fn number(&self, row: &Row, env: &Env) -> Number {
        self(row, env)
    }
}

/// Arithmetic; the operands again, where it need not be one of numbers.
pub(super) fn arithmetic(operator: Arithmetic, sides: [Node; 2]) -> Result<Node, [Node; 2]> {
    use Arithmetic::{Add, Div, Mul, Rem, Sub};
    if !matches!(operator, Add | Sub | Mul | Div | Rem) {
        return Err(sides);
    }
    let [(a, tree_a), (b, tree_b)] = both(sides)?;
    let compute = match operator {
        Sub => sum(a, b, Number::sub),
        Mul => join(a, b, Number::mul),
        Div => join(a, b, Number::div),
        Rem => join(a, b, Number::rem),
        _ => sum(a, b, Number::add),
    };
    Ok(made(compute, arithmetic_by_rules(operator, [tree_a, tree_b])))
}

/// `-x`
pub(super) fn negation(inner: Node) -> Result<Node, Node> {
    let (a, tree) = operand(inner)?;
    Ok(made(map(a, Number::neg), Node::Negate(Box::new(tree))))
}

/// A function of numbers; its arguments again, where it need not be one.
pub(super) fn function(builtin: Builtin, arguments: Box<[Node]>) -> Result<Node, Box<[Node]>> {
    let fits = match builtin {
        Builtin::Abs
        | Builtin::Sqrt
        | Builtin::Floor
        | Builtin::Ceil
        | Builtin::Round
        | Builtin::Log
        | Builtin::Log10
        | Builtin::Exp
        | Builtin::ToFloat
        | Builtin::ToInt => arguments.len() == 1,
        Builtin::Min | Builtin::Max => arguments.len() > 1,
        _ => false,
    };
    if !fits {
        return Err(arguments);
    }
    let (operands, trees): (Vec<_>, Vec<_>) = all(arguments)?.into_iter().unzip();
    let compute = operands.into_iter().reduce(|a, b| match builtin {
        Builtin::Min => Operand::Made(join(a, b, Number::min)),
        _ => Operand::Made(join(a, b, Number::max)),
    });
    let compute = compute.map(|a| match builtin {
        Builtin::Abs => map(a, Number::abs),
        Builtin::Sqrt => map(a, |x| x.through(f64::sqrt)),
        Builtin::Floor => map(a, |x| x.whole(f64::floor)),
        Builtin::Ceil => map(a, |x| x.whole(f64::ceil)),
        Builtin::Round => map(a, |x| x.whole(f64::round)),
        Builtin::Log => map(a, |x| x.through(f64::ln)),
        Builtin::Log10 => map(a, |x| x.through(f64::log10)),
        Builtin::Exp => map(a, |x| x.through(f64::exp)),
        Builtin::ToFloat => map(a, |x| x.through(|x| x)),
        Builtin::ToInt => map(a, |x| x.whole(f64::trunc)),
        _ => boxed(a),
    });
    let tree = Node::Builtin(builtin, trees.into());
    Ok(match compute {
        Some(compute) => made(compute, tree),
        None => tree,
    })
}

/// A comparison; its sides again, where it need not be one of numbers.
pub(super) fn comparison(comparison: Comparison, sides: [Node; 2]) -> Result<Node, [Node; 2]> {
    use Operand::{Captured, Field, Local};
    let sides = both(sides)?;
    // Where nothing says that it is about numbers, it may as well be about texts.
    if matches!(
        (&sides[0].0, &sides[1].0),
        (Field(_) | Captured(_), Field(_) | Captured(_) | Local(_)) | (Local(_), Field(_) | Captured(_))
    ) {
        return Err(sides.map(again));
    }
    let [(a, tree_a), (b, tree_b)] = sides;
    let answer = match comparison {
        Comparison::Eq => compare(a, b, |a, b| a.compare(Comparison::Eq, b)),
        Comparison::Ne => compare(a, b, |a, b| a.compare(Comparison::Ne, b)),
        Comparison::Lt => compare(a, b, |a, b| a.compare(Comparison::Lt, b)),
        Comparison::Le => compare(a, b, |a, b| a.compare(Comparison::Le, b)),
        Comparison::Gt => compare(a, b, |a, b| a.compare(Comparison::Gt, b)),
        Comparison::Ge => compare(a, b, |a, b| a.compare(Comparison::Ge, b)),
    };
    let tree = comparison_by_rules(comparison, [tree_a, tree_b]);
    Ok(Node::CompareNumbers(Box::new(NumericTest { answer, tree })))
}

fn made(compute: Compute, tree: Node) -> Node {
    Node::Numeric(Box::new(Numeric { compute, tree }))
}

/// A node as an operand, with the same by the rules for values; the node again, where it is none.
fn operand(node: Node) -> Result<(Operand, Node), Node> {
    let operand = match node {
        Node::Numeric(numeric) => {
            let Numeric { compute, tree } = *numeric;
            return Ok((product(&tree).unwrap_or(Operand::Made(compute)), tree));
        }
        Node::Field(slot) => Operand::Field(Field(slot)),
        Node::Local(local) => Operand::Local(Local(local)),
        Node::Captured(index) => Operand::Captured(Captured(index)),
        Node::Const(ref value @ (Value::Int(_) | Value::Float(_))) => {
            Operand::Const(Const(Number::of(value)))
        }
        other => return Err(other),
    };
    Ok((operand, node))
}

/// The product that a tree is, if it is one of the simplest.
fn product(tree: &Node) -> Option<Operand> {
    let Node::ArithmeticLeaves(Arithmetic::Mul, a, b) = tree else { return None };
    Some(match (a, b) {
        (Leaf::Local(a), Leaf::Local(b)) => Operand::LocalByLocal(Product(Local(*a), Local(*b))),
        (Leaf::Field(a), Leaf::Field(b)) => Operand::FieldByField(Product(Field(*a), Field(*b))),
        // No number depends on which comes first.
        (Leaf::Local(a), Leaf::Const(b)) | (Leaf::Const(b), Leaf::Local(a)) => {
            Operand::LocalByConst(Product(Local(*a), Const(Number::of(b))))
        }
        (Leaf::Field(a), Leaf::Const(b)) | (Leaf::Const(b), Leaf::Field(a)) => {
            Operand::FieldByConst(Product(Field(*a), Const(Number::of(b))))
        }
        _ => return None,
    })
}

/// The node that gave this operand.
fn again((operand, tree): (Operand, Node)) -> Node {
    match operand {
        Operand::Field(_) | Operand::Local(_) | Operand::Captured(_) | Operand::Const(_) => tree,
        operand => made(boxed(operand), tree),
    }
}

fn both([a, b]: [Node; 2]) -> Result<[(Operand, Node); 2], [Node; 2]> {
    match (operand(a), operand(b)) {
        (Ok(a), Ok(b)) => Ok([a, b]),
        (a, b) => Err([a.map_or_else(|node| node, again), b.map_or_else(|node| node, again)]),
    }
}

fn all(nodes: Box<[Node]>) -> Result<Vec<(Operand, Node)>, Box<[Node]>> {
    let operands: Vec<_> = nodes.into_iter().map(operand).collect();
    if operands.iter().all(Result::is_ok) {
        Ok(operands.into_iter().flatten().collect())
    } else {
        Err(operands.into_iter().map(|operand| operand.map_or_else(|node| node, again)).collect())
    }
}

/// A closure that gives the operand.
fn boxed(operand: Operand) -> Compute {
    match operand {
        Operand::Field(a) => Box::new(move |row, env| a.number(row, env)),
        Operand::Local(a) => Box::new(move |row, env| a.number(row, env)),
        Operand::Captured(a) => Box::new(move |row, env| a.number(row, env)),
        Operand::Const(a) => Box::new(move |row, env| a.number(row, env)),
        Operand::LocalByConst(a) => Box::new(move |row, env| a.number(row, env)),
        Operand::LocalByLocal(a) => Box::new(move |row, env| a.number(row, env)),
        Operand::FieldByConst(a) => Box::new(move |row, env| a.number(row, env)),
        Operand::FieldByField(a) => Box::new(move |row, env| a.number(row, env)),
        Operand::Made(a) => a,
    }
}

fn map(a: Operand, function: impl Fn(Number) -> Number + Send + Sync + 'static) -> Compute {
    match a {
        Operand::Local(a) => Box::new(move |row, env| function(a.number(row, env))),
        a => {
            let a = boxed(a);
            Box::new(move |row, env| function(a(row, env)))
        }
    }
}

/// An operator of two numbers; copied into each closure, so it is none itself.
trait Join: Fn(Number, Number) -> Number + Copy + Send + Sync + 'static {}
impl<T: Fn(Number, Number) -> Number + Copy + Send + Sync + 'static> Join for T {}

/// A sum or difference, whose operands are often products.
fn sum(a: Operand, b: Operand, operator: impl Join) -> Compute {
    match a {
        Operand::LocalByConst(a) => sum_with(a, b, operator),
        Operand::LocalByLocal(a) => sum_with(a, b, operator),
        Operand::FieldByConst(a) => sum_with(a, b, operator),
        Operand::FieldByField(a) => sum_with(a, b, operator),
        Operand::Field(a) => sum_with(a, b, operator),
        Operand::Local(a) => sum_with(a, b, operator),
        Operand::Const(a) => sum_with(a, b, operator),
        a @ (Operand::Captured(_) | Operand::Made(_)) => sum_with(boxed(a), b, operator),
    }
}

fn sum_with(a: impl Source, b: Operand, operator: impl Join) -> Compute {
    match b {
        Operand::LocalByConst(b) => closure(a, b, operator),
        Operand::LocalByLocal(b) => closure(a, b, operator),
        Operand::FieldByConst(b) => closure(a, b, operator),
        Operand::FieldByField(b) => closure(a, b, operator),
        b => join_with(a, b, operator),
    }
}

fn join(a: Operand, b: Operand, operator: impl Join) -> Compute {
    match a {
        Operand::Field(a) => join_with(a, b, operator),
        Operand::Local(a) => join_with(a, b, operator),
        Operand::Const(a) => join_with(a, b, operator),
        // Rare enough to need no closures of its own for what stands on its other side.
        a => join_with(boxed(a), b, operator),
    }
}

fn join_with(a: impl Source, b: Operand, operator: impl Join) -> Compute {
    match b {
        Operand::Field(b) => closure(a, b, operator),
        Operand::Local(b) => closure(a, b, operator),
        Operand::Const(b) => closure(a, b, operator),
        b => closure(a, boxed(b), operator),
    }
}

fn closure(a: impl Source, b: impl Source, operator: impl Join) -> Compute {
    Box::new(move |row, env| operator(a.number(row, env), b.number(row, env)))
}

trait Compare: Fn(Number, Number) -> Option<bool> + Copy + Send + Sync + 'static {}
impl<T: Fn(Number, Number) -> Option<bool> + Copy + Send + Sync + 'static> Compare for T {}

fn compare(a: Operand, b: Operand, operator: impl Compare) -> Answer {
    match a {
        Operand::Local(a) => compare_with(a, b, operator),
        a => compare_with(boxed(a), b, operator),
    }
}

fn compare_with(a: impl Source, b: Operand, operator: impl Compare) -> Answer {
    match b {
        Operand::Local(b) => question(a, b, operator),
        Operand::Const(b) => question(a, b, operator),
        b => question(a, boxed(b), operator),
    }
}

fn question(a: impl Source, b: impl Source, operator: impl Compare) -> Answer {
    Box::new(move |row, env| operator(a.number(row, env), b.number(row, env)))
}

#[cfg(test)]
mod tests {
    use super::super::calls::NO_FUNCTIONS;
    use super::*;

    const OPERATORS: [Arithmetic; 5] =
        [Arithmetic::Add, Arithmetic::Sub, Arithmetic::Mul, Arithmetic::Div, Arithmetic::Rem];
    const COMPARISONS: [Comparison; 6] =
        [Comparison::Eq, Comparison::Ne, Comparison::Lt, Comparison::Le, Comparison::Gt, Comparison::Ge];
    const NUMBERS: [Value; 8] = [
        Value::Int(7),
        Value::Int(0),
        Value::Int(i64::MIN),
        Value::Int(-1),
        Value::Float(2.5),
        Value::Float(0.0),
        Value::Float(-0.0),
        Value::Float(f64::NAN),
    ];

    fn pairs() -> impl Iterator<Item = (usize, usize)> {
        (0..NUMBERS.len()).flat_map(|a| (0..NUMBERS.len()).map(move |b| (a, b)))
    }

    /// A row and surroundings with all numbers in its fields, its locals, and what is captured.
    fn numbers() -> (Row, Env) {
        let mut env = Env::bare();
        env.locals = NUMBERS.to_vec();
        env.captured = NUMBERS.to_vec();
        (Row::with_values(0, 0, &NUMBERS), env)
    }

    /// Each place where the number `at` is.
    fn places(at: usize) -> [Node; 4] {
        [Node::Field(at), Node::Local(at), Node::Captured(at), Node::Const(NUMBERS[at].clone())]
    }

    /// Whether closures make a number of `node`; it must be the tree's, then.
    fn agree(node: &Node, row: &Row, env: &mut Env) -> bool {
        let Node::Numeric(numeric) = node else { panic!("{node:?} is one of numbers") };
        let expected = numeric.tree.eval(row, &NO_FUNCTIONS, env);
        let found = numeric.number(row, env).value();
        if let Some(found) = &found {
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{node:?}");
        }
        found.is_some() || expected.is_missing()
    }

    #[test]
    fn closures_compute_what_the_tree_computes() {
        let (row, mut env) = numbers();
        for first in OPERATORS {
            for (a, b) in pairs() {
                for (left, right) in places(a).into_iter().zip(places(b).into_iter().rev()) {
                    let node = arithmetic(first, [left, right]).expect("numbers");
                    assert!(agree(&node, &row, &mut env), "{node:?}");
                }
                for second in OPERATORS {
                    let inner =
                        || arithmetic(first, [Node::Field(a), Node::Local(b)]).expect("they are numbers");
                    for outer in places((a + b) % NUMBERS.len()) {
                        let node = arithmetic(second, [outer, inner()]).expect("numbers");
                        assert!(agree(&node, &row, &mut env), "{node:?}");
                    }
                    for outer in places((a + b) % NUMBERS.len()) {
                        let node = arithmetic(second, [inner(), outer]).expect("numbers");
                        assert!(agree(&node, &row, &mut env), "{node:?}");
                    }
                    let node = negation(arithmetic(second, [inner(), inner()]).expect("numbers"));
                    assert!(agree(&node.expect("a number"), &row, &mut env));
                }
            }
        }
    }

    #[test]
    fn closures_call_functions_as_the_tree_does() {
        let (row, mut env) = numbers();
        const OF_ONE: [Builtin; 10] = [
            Builtin::Abs,
            Builtin::Sqrt,
            Builtin::Floor,
            Builtin::Ceil,
            Builtin::Round,
            Builtin::Log,
            Builtin::Log10,
            Builtin::Exp,
            Builtin::ToFloat,
            Builtin::ToInt,
        ];
        for builtin in OF_ONE {
            for node in (0..NUMBERS.len()).flat_map(places) {
                let node = function(builtin, Box::new([node])).expect("a number");
                assert!(agree(&node, &row, &mut env), "{node:?}");
            }
        }
        let mut computed = 0;
        for builtin in [Builtin::Min, Builtin::Max] {
            for (a, b) in pairs() {
                for c in 0..NUMBERS.len() {
                    let node = function(builtin, Box::new([Node::Local(a), Node::Field(b), Node::Local(c)]));
                    // Of an int and a float the tree alone knows the lesser.
                    computed += usize::from(agree(&node.expect("numbers"), &row, &mut env));
                }
            }
        }
        assert!(computed > 150, "{computed}");
    }

    #[test]
    fn closures_compare_as_the_tree_does() {
        let (row, mut env) = numbers();
        let mut answered = 0;
        for operator in COMPARISONS {
            for (a, b) in pairs() {
                let made = |at| negation(Node::Local(at)).expect("a number");
                let sides = places(b).map(|node| [Node::Local(a), node]);
                let sides = sides.into_iter().chain(places(b).map(|node| [node, made(a)]));
                for sides in sides.chain(places(b).map(|node| [made(a), node])) {
                    let Ok(Node::CompareNumbers(test)) = comparison(operator, sides) else { continue };
                    if let Some(answer) = test.answer(&row, &env) {
                        let expected = test.tree.test(&row, &NO_FUNCTIONS, &mut env);
                        assert_eq!(Some(answer), expected, "{test:?}");
                        answered += 1;
                    }
                }
            }
        }
        assert!(answered > 1_500, "{answered}");
    }

    #[test]
    fn what_is_no_number_is_left_to_the_tree() {
        let text = || Node::Const(Value::from("t"));
        let fields = || [Node::Field(0), Node::Field(1)];
        let sum = arithmetic(Arithmetic::Add, fields()).expect("they may be numbers");
        assert!(arithmetic(Arithmetic::Add, [sum, text()]).is_err());
        assert!(comparison(Comparison::Lt, [text(), Node::Local(0)]).is_err());
        let row = Row::with_values(0, 0, &[Value::from("a"), Value::from("b")]);
        let sum = arithmetic(Arithmetic::Add, fields()).expect("they may be numbers");
        let sum = arithmetic(Arithmetic::Add, [sum, Node::Field(0)]).expect("they may be numbers");
        let value = sum.eval(&row, &NO_FUNCTIONS, &mut Env::bare());
        assert!(matches!(&value, Value::Str(text) if &**text == "aba"), "{value:?}");
    }
}
