//! Makes the code of a loop for registers of one kind, or says that it is not for them.

use crate::event::Value;
use crate::functions::Builtin;

use super::super::calls::Statement;
use super::super::node::{Arithmetic, Leaf, Node};
use super::super::truth::Comparison;
use super::lane::Lane;
use super::{Code, Kind, OUT, Operation, Place, REGISTERS};

/// What all registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    Floats,
    Ints,
}

/// Makes the code for one kind.
pub(super) struct Maker {
    kind: Numbers,
    /// The local of the `for`.
    turns: Option<usize>,
    operations: Vec<Operation>,
    /// Registers from 0 on.
    places: Vec<Source>,
    loads: Vec<Place>,
    /// Locals that have been set whatever the branches, and all that are.
    certain: Vec<usize>,
    stores: Vec<usize>,
    /// Registers from the last one down: those in use, and the most that were.
    held: usize,
    most_held: usize,
    may_fail: bool,
}

/// What a register is for.
enum Source {
    Place(Place),
    Constant(Value),
}

/// A register with an operand.
#[derive(Clone, Copy)]
struct Operand {
    register: u8,
    /// An int among floats, which is not to be computed with another one as if both were floats.
    int: bool,
}

impl Maker {
    pub(super) fn new(kind: Numbers, turns: Option<usize>) -> Self {
        Self {
            kind,
            turns,
            operations: Vec::new(),
            places: Vec::new(),
            loads: Vec::new(),
            certain: Vec::new(),
            stores: Vec::new(),
            held: 0,
            most_held: 0,
            may_fail: false,
        }
    }

    /// None where something in the loop is not for registers of this kind.
    pub(super) fn code(mut self, condition: Option<&Node>, body: &[Statement]) -> Option<Code> {
        if let Some(condition) = condition {
            let mut jumps = Vec::new();
            self.unless(condition, &mut jumps)?;
            for jump in jumps {
                self.operations[jump].to = OUT;
            }
        }
        self.statements(body)?;
        // What a turn may leave as it was must be there.
        for local in std::mem::take(&mut self.stores) {
            if !self.certain.contains(&local) {
                self.load(Place::Local(local));
            }
            self.stores.push(local);
        }
        if self.places.len() + self.most_held > REGISTERS || self.operations.len() >= usize::from(OUT) {
            return None;
        }
        let register_of = |place: Place| {
            let is = |source: &Source| matches!(source, Source::Place(other) if *other == place);
            self.places.iter().position(is).map(|register| register as u8)
        };
        let loads = self.loads.iter().map(|place| Some((register_of(*place)?, *place)));
        let stores = self.stores.iter().map(|local| Some((register_of(Place::Local(*local))?, *local)));
        let constants = self.places.iter().enumerate().filter_map(|(register, source)| match source {
            Source::Constant(value) => Some((register as u8, value.clone())),
            Source::Place(_) => None,
        });
        Some(Code {
            loads: loads.collect::<Option<_>>()?,
            stores: stores.collect::<Option<_>>()?,
            constants: constants.collect(),
            turn: self.turns.and_then(|local| register_of(Place::Local(local))),
            steps: 1 + body.len() as u64,
            may_fail: self.may_fail,
            operations: self.operations.into(),
        })
    }

    fn statements(&mut self, statements: &[Statement]) -> Option<()> {
        for statement in statements {
            // Jumps have no room for more; so what is tried in vain is short.
            if self.operations.len() >= usize::from(OUT) {
                return None;
            }
            match statement {
                Statement::SetLocal(local, node) => self.set(*local, node)?,
                Statement::If(branches, otherwise) => {
                    let mut to_end = Vec::new();
                    for (condition, body) in branches {
                        let mut to_next = Vec::new();
                        self.unless(condition, &mut to_next)?;
                        self.branch(body)?;
                        to_end.push(self.emit(Kind::Jump, 0, 0, 0));
                        self.land(&to_next)?;
                    }
                    self.branch(otherwise)?;
                    self.land(&to_end)?;
                }
                _ => return None,
            }
        }
        Some(())
    }

    /// Statements that a turn may leave out.
    fn branch(&mut self, body: &[Statement]) -> Option<()> {
        if body.is_empty() {
            return Some(());
        }
        self.emit(Kind::Steps, u8::try_from(body.len()).ok()?, 0, 0);
        self.may_fail = true;
        let certain = self.certain.len();
        self.statements(body)?;
        self.certain.truncate(certain);
        Some(())
    }

    fn set(&mut self, local: usize, node: &Node) -> Option<()> {
        if self.turns == Some(local) {
            return None;
        }
        let register = self.register(Source::Place(Place::Local(local)))?;
        self.make(node, register)?;
        self.certain.push(local);
        if !self.stores.contains(&local) {
            self.stores.push(local);
        }
        Some(())
    }

    /// Operations that jump where `condition` does not hold; what they are is added to `jumps`.
    fn unless(&mut self, condition: &Node, jumps: &mut Vec<usize>) -> Option<()> {
        let held = self.held;
        let (comparison, a, b) = match condition {
            Node::CompareNumbers(test) => return self.unless(&test.tree, jumps),
            Node::And(tests) => return tests.iter().try_for_each(|test| self.unless(test, jumps)),
            Node::CompareLeaves(comparison, a, b) => (*comparison, self.leaf(a)?, self.leaf(b)?),
            Node::CompareLeaf(comparison, sides) => {
                (*comparison, self.operand(&sides.0)?, self.leaf(&sides.1)?)
            }
            Node::Compare(comparison, sides) => {
                (*comparison, self.operand(&sides[0])?, self.operand(&sides[1])?)
            }
            Node::CompareFloat { slot, comparison, value, .. }
            | Node::CompareInt { slot, comparison, value, .. } => {
                (*comparison, self.read(Place::Field(*slot))?, self.constant(value)?)
            }
            _ => return None,
        };
        self.held = held;
        // Whatever their kinds: each is exact as a float.
        let kind = match comparison {
            Comparison::Eq => Kind::UnlessEq,
            Comparison::Ne => Kind::UnlessNe,
            Comparison::Lt => Kind::UnlessLt,
            Comparison::Le => Kind::UnlessLe,
            Comparison::Gt => Kind::UnlessGt,
            Comparison::Ge => Kind::UnlessGe,
        };
        jumps.push(self.emit(kind, 0, a.register, b.register));
        Some(())
    }

    /// Lets jumps go on here.
    fn land(&mut self, jumps: &[usize]) -> Option<()> {
        let here = u8::try_from(self.operations.len()).ok()?;
        for jump in jumps {
            self.operations[*jump].to = here;
        }
        Some(())
    }

    /// Makes `node` in the register `to`.
    fn make(&mut self, node: &Node, to: u8) -> Option<()> {
        let held = self.held;
        let (kind, a, b) = match node {
            Node::Numeric(numeric) => return self.make(&numeric.tree, to),
            Node::ArithmeticLeaves(operator, a, b) => (of(*operator)?, self.leaf(a)?, self.leaf(b)?),
            Node::ArithmeticLeaf(operator, sides) => {
                (of(*operator)?, self.operand(&sides.0)?, self.leaf(&sides.1)?)
            }
            Node::LeafArithmetic(operator, sides) => {
                (of(*operator)?, self.leaf(&sides.0)?, self.operand(&sides.1)?)
            }
            Node::Arithmetic(operator, sides) => {
                (of(*operator)?, self.operand(&sides[0])?, self.operand(&sides[1])?)
            }
            Node::Negate(inner) => {
                let a = self.operand(inner)?;
                (Kind::Neg, a, a)
            }
            Node::Builtin(builtin, arguments) => {
                let (first, others) = arguments.split_first()?;
                let kind = self.function(*builtin)?;
                let mut a = self.operand(first)?;
                if matches!(kind, Kind::Min | Kind::Max) {
                    let (last, between) = others.split_last()?;
                    for other in between {
                        let b = self.operand(other)?;
                        let to = self.hold()?;
                        self.compute(kind, to, a, b)?;
                        a = Operand { register: to, int: false };
                    }
                    (kind, a, self.operand(last)?)
                } else {
                    // A function from float to float takes an int for one.
                    a.int &= matches!(kind, Kind::Abs);
                    (others.is_empty().then_some(kind)?, a, a)
                }
            }
            leaf => {
                let a = self.operand(leaf)?;
                (Kind::Copy, a, a)
            }
        };
        self.held = held;
        self.compute(kind, to, a, b)
    }

    fn compute(&mut self, kind: Kind, to: u8, a: Operand, b: Operand) -> Option<()> {
        if a.int && b.int {
            return None;
        }
        // The lesser of an int and a float may be the int.
        if matches!(kind, Kind::Min | Kind::Max) && (a.int || b.int) {
            return None;
        }
        self.may_fail |= match kind {
            Kind::Div | Kind::Rem => true,
            Kind::Add | Kind::Sub | Kind::Mul | Kind::Neg | Kind::Abs => self.kind == Numbers::Ints,
            _ => false,
        };
        if kind == Kind::Add && self.add_to_product(to, a.register, b.register) {
            return Some(());
        }
        self.emit(kind, to, a.register, b.register);
        Some(())
    }

    /// Adds to the product that was made last, or the last two products, in one operation. What is held is needed
    /// once, so nobody misses a product by itself.
    fn add_to_product(&mut self, to: u8, a: u8, b: u8) -> bool {
        let held = |register: u8| usize::from(register) >= REGISTERS - self.most_held;
        let is_product = |of: &Operation, register: u8| {
            of.kind == Kind::Mul && of.to == register && held(register) && a != b
        };
        match self.operations.as_mut_slice() {
            [.., first, second] if is_product(first, a) && is_product(second, b) => {
                *first = Operation { kind: Kind::AddProducts, to, c: second.a, d: second.b, ..*first };
                self.operations.pop();
                true
            }
            [.., last] if is_product(last, a) => {
                *last = Operation { kind: Kind::AddProduct, to, c: b, ..*last };
                true
            }
            [.., last] if is_product(last, b) => {
                *last = Operation { kind: Kind::AddProduct, to, c: a, ..*last };
                true
            }
            _ => false,
        }
    }

    /// What a function is among numbers of this kind, if its result is of the kind.
    fn function(&self, builtin: Builtin) -> Option<Kind> {
        Some(match (self.kind, builtin) {
            (_, Builtin::Abs) => Kind::Abs,
            (_, Builtin::Min) => Kind::Min,
            (_, Builtin::Max) => Kind::Max,
            (Numbers::Floats, Builtin::Sqrt) => Kind::Sqrt,
            (Numbers::Floats, Builtin::Log) => Kind::Log,
            (Numbers::Floats, Builtin::Log10) => Kind::Log10,
            (Numbers::Floats, Builtin::Exp) => Kind::Exp,
            (Numbers::Floats, Builtin::ToFloat) => Kind::Copy,
            (Numbers::Ints, Builtin::Floor | Builtin::Ceil | Builtin::Round | Builtin::ToInt) => Kind::Copy,
            _ => return None,
        })
    }

    /// The register where `node` is, or is made.
    fn operand(&mut self, node: &Node) -> Option<Operand> {
        match node {
            Node::Field(slot) => self.read(Place::Field(*slot)),
            Node::Local(local) => self.read(Place::Local(*local)),
            Node::Captured(index) => self.read(Place::Captured(*index)),
            Node::Const(value) => self.constant(value),
            node => {
                let register = self.hold()?;
                self.make(node, register)?;
                Some(Operand { register, int: false })
            }
        }
    }

    fn leaf(&mut self, leaf: &Leaf) -> Option<Operand> {
        match leaf {
            Leaf::Field(slot) => self.read(Place::Field(*slot)),
            Leaf::Local(local) => self.read(Place::Local(*local)),
            Leaf::Captured(index) => self.read(Place::Captured(*index)),
            Leaf::Const(value) => self.constant(value),
        }
    }

    fn read(&mut self, place: Place) -> Option<Operand> {
        let register = self.register(Source::Place(place))?;
        match place {
            Place::Local(local) if self.turns == Some(local) => {
                return Some(Operand { register, int: self.kind == Numbers::Floats });
            }
            Place::Local(local) if self.certain.contains(&local) => {}
            place => self.load(place),
        }
        Some(Operand { register, int: false })
    }

    fn load(&mut self, place: Place) {
        if !self.loads.contains(&place) {
            self.loads.push(place);
        }
    }

    fn constant(&mut self, value: &Value) -> Option<Operand> {
        let int = match (self.kind, value) {
            (Numbers::Floats, Value::Int(int)) if f64::of_int(*int).is_some() => true,
            (Numbers::Floats, Value::Float(_)) | (Numbers::Ints, Value::Int(_)) => false,
            _ => return None,
        };
        let register = self.register(Source::Constant(value.clone()))?;
        Some(Operand { register, int })
    }

    /// The register for a source: constants have one each, wherever they stand.
    fn register(&mut self, source: Source) -> Option<u8> {
        let known = match &source {
            Source::Place(place) => {
                self.places.iter().position(|known| matches!(known, Source::Place(known) if known == place))
            }
            Source::Constant(_) => None,
        };
        let register = known.unwrap_or(self.places.len());
        if known.is_none() {
            self.places.push(source);
        }
        (register < REGISTERS).then_some(register as u8)
    }

    /// A register for what is only needed until it is taken up.
    fn hold(&mut self) -> Option<u8> {
        self.held += 1;
        self.most_held = self.most_held.max(self.held);
        REGISTERS.checked_sub(self.held).map(|register| register as u8)
    }

    fn emit(&mut self, kind: Kind, to: u8, a: u8, b: u8) -> usize {
        self.operations.push(Operation { kind, to, a, b, c: 0, d: 0 });
        self.operations.len() - 1
    }
}

/// What an operator is among numbers of one kind.
fn of(operator: Arithmetic) -> Option<Kind> {
    Some(match operator {
        Arithmetic::Add => Kind::Add,
        Arithmetic::Sub => Kind::Sub,
        Arithmetic::Mul => Kind::Mul,
        Arithmetic::Div => Kind::Div,
        Arithmetic::Rem => Kind::Rem,
        _ => return None,
    })
}
