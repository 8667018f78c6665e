//! Registers give what the statements give, in as many steps.

use proptest::prelude::*;

use crate::event::{Row, Value};
use crate::vpl::parser::parse;
use crate::vpl::resolve::resolve;

use super::super::super::env::Env;
use super::super::super::limits::Limits;
use super::super::calls::{Functions, Statement};
use super::super::compile::Compiler;
use super::super::node::Node;

/// Each with the arguments `x`, `y` and `n`.
const LOOPS: [&str; 14] = [
    "
    var level = x
    for step in 0..n:
        level := level * 0.75 + y * 0.25 + step
    return level
",
    "
    var sum = 0
    for i in 0..=n:
        sum := sum + i * i - x
    return sum
",
    "
    var sum = 0
    for i in 1..n:
        sum := sum + x / i
    return sum
",
    "
    var odd = 0
    for i in 0..n:
        if i % 2 == 1:
            odd := odd + i
        else:
            odd := odd - 1
    return odd
",
    "
    var left = n
    var count = 0
    while left > 0:
        left := left / 10
        count := count + 1
    return count
",
    "
    var level = x
    var last = y
    while level < 100.0 and last > -5.0:
        last := level
        level := level * 1.5 + 1
    return last
",
    "
    var product = x
    for i in 0..n:
        product := product * y
    return product
",
    "
    var a = x
    for i in 0..n:
        let b = a * 0.5
        let c = b + b * b
        a := max(min(c, 8.5), abs(b), y) - sqrt(4.0)
    return a
",
    "
    var a = 1
    for i in 0..n:
        a := max(a, i, x) - min(i, 3)
    return a
",
    "
    var hits = 0
    var level = x
    for i in 0..n:
        level := level - 0.5
        if level > y and i < 7:
            level := -level
        elif i >= 9:
            level := level + i
    return level
",
    "
    var a = 9223372036854775000
    for i in 0..n:
        a := a + x
    return a
",
    "
    var a = x
    for i in n..3:
        a := i
    return a
",
    "
    var a = x
    for i in 0..n:
        if a == y:
            a := a - 1
        if a != y:
            a := a + y % 3
    return a
",
    "
    var a = x
    for i in 0..n:
        a := to_float(i) * 2.0 + log(y) - exp(x) / y
    return a
",
];

fn functions(body: &str) -> Functions {
    let program = format!("fn looped(x, y, n):{body}");
    let (syntax, findings) = parse(&program);
    assert!(findings.is_empty(), "{program}\n{findings:?}");
    let (plan, _) = resolve(&syntax);
    assert_eq!(plan.functions.len(), 1, "{program}");
    Compiler::for_globals(&plan).functions_alone().expect("it compiles")
}

/// How many loops had lanes; they have none any more.
fn strip(statements: &mut [Statement]) -> usize {
    let stripped = statements.iter_mut().map(|statement| match statement {
        Statement::For(_, _, body) | Statement::While(_, body) => usize::from(body.lanes.take().is_some()),
        _ => 0,
    });
    stripped.sum()
}

/// The result, the failure, and how many steps were left.
fn outcome(functions: &Functions, arguments: [&Value; 3], steps: u64) -> String {
    let mut env = Env::bare();
    env.limits = Limits { max_call_steps: steps, ..Limits::default() };
    let row = Row::new(0, 0, 0);
    let arguments = arguments.map(|value| Node::Const(value.clone()));
    let result = env.guarded(0, |env| functions.call(0, &arguments, &row, env));
    let left = if result.is_ok() { env.steps_left } else { 0 };
    format!("{result:?}, {left} steps left")
}

#[test]
fn registers_give_what_statements_give_in_as_many_steps() {
    let numbers = [
        Value::Int(0),
        Value::Int(3),
        Value::Int(-7),
        Value::Int(i64::MAX - 2),
        Value::Float(2.5),
        Value::Float(-0.0),
        Value::Float(f64::NAN),
        Value::Float(1e17),
        Value::from("text"),
        Value::Missing,
    ];
    let turns = [Value::Int(0), Value::Int(1), Value::Int(12), Value::Int(-2), Value::Float(4.0)];
    for body in LOOPS {
        let with_lanes = functions(body);
        let mut without = functions(body);
        assert_eq!(strip(&mut without.list[0].body), 1, "registers are for {body}");
        for x in &numbers {
            for y in &numbers {
                for n in &turns {
                    for steps in (0..45).chain([60, 1_000]) {
                        let of = |functions| outcome(functions, [x, y, n], steps);
                        assert_eq!(
                            of(&with_lanes),
                            of(&without),
                            "{x:?}, {y:?}, {n:?}, {steps} steps:\n{body}"
                        );
                    }
                }
            }
        }
    }
}

/// An expression over `a`, `b`, `x`, `y` and the turn `i`.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(&["a", "b", "x", "y", "i", "0", "1", "7", "0.5", "-2.0"][..]);
    leaf.prop_map(str::to_owned).prop_recursive(3, 12, 2, |inner| {
        let operator = prop::sample::select(&["+", "-", "*", "/", "%"][..]);
        let function = prop::sample::select(&["min", "max"][..]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone()).prop_map(|(a, by, b)| format!("({a} {by} {b})")),
            1 => (function, inner.clone(), inner.clone()).prop_map(|(f, a, b)| format!("{f}({a}, {b})")),
            1 => inner.clone().prop_map(|a| format!("abs({a})")),
            1 => inner.prop_map(|a| format!("-({a})")),
        ]
    })
}

/// Statements that change `a` and `b`, each line indented by so many spaces.
fn statements(indent: usize, depth: u32) -> BoxedStrategy<String> {
    let space = " ".repeat(indent);
    let set = (prop::sample::select(&["a", "b"][..]), expression());
    let set = set.prop_map({
        let space = space.clone();
        move |(local, value)| format!("{space}{local} := {value}\n")
    });
    let one = if depth == 0 {
        set.boxed()
    } else {
        let comparison = prop::sample::select(&["<", "<=", ">", ">=", "==", "!="][..]);
        let inner = || statements(indent + 4, depth - 1);
        let branches = (expression(), comparison, expression(), inner(), inner()).prop_map(
            move |(left, comparison, right, then, otherwise)| {
                format!("{space}if {left} {comparison} {right}:\n{then}{space}else:\n{otherwise}")
            },
        );
        prop_oneof![3 => set, 1 => branches].boxed()
    };
    prop::collection::vec(one, 1..4).prop_map(|lines| lines.concat()).boxed()
}

proptest! {
    #[test]
    fn registers_give_what_statements_give_whatever_the_loop(turn in statements(8, 2), steps in 1..200_u64) {
        let both = "    return [a, b]\n";
        for head in ["for i in 0..n", "for i in -2..=n", "while a < b"] {
            let i = if head.starts_with("for") { "" } else { "    let i = n\n" };
            let body = format!("\n    var a = x\n    var b = y\n{i}    {head}:\n{turn}{both}");
            let with_lanes = functions(&body);
            let mut without = functions(&body);
            strip(&mut without.list[0].body);
            let numbers = [Value::Int(3), Value::Float(-1.5), Value::Int(i64::MIN), Value::Float(0.0)];
            for x in &numbers {
                for y in &numbers {
                    let arguments = [x, y, &Value::Int(4)];
                    let (found, expected) =
                        (outcome(&with_lanes, arguments, steps), outcome(&without, arguments, steps));
                    prop_assert_eq!(found, expected, "{:?}, {:?}, {} steps: {}", x, y, steps, body);
                }
            }
        }
    }
}

#[test]
fn turns_are_done_in_registers() {
    let functions = functions(LOOPS[0]);
    let Statement::For(local, _, body) = &functions.list[0].body[1] else { panic!("it is a loop") };
    let lanes = body.lanes.as_ref().expect("it is for registers");
    let mut env = Env::bare();
    env.locals = [2.0, 4.0].map(Value::Float).to_vec();
    env.locals.extend([Value::Int(3), Value::Float(2.0), Value::Missing]);
    env.steps_left = 7;
    let row = Row::new(0, 0, 0);
    // Two steps a turn, so a fourth one is not for the steps that are left.
    assert_eq!(lanes.count(*local, 0, 4, &row, &mut env), super::Turns::Upto(3));
    assert_eq!(env.steps_left, 1);
    assert!(matches!(env.locals[*local], Value::Int(2)));
    env.steps_left = 7;
    assert_eq!(lanes.count(*local, 3, 4, &row, &mut env), super::Turns::All);
    assert_eq!(env.steps_left, 5);
}

#[test]
fn what_does_more_than_arithmetic_is_not_for_registers() {
    for body in [
        "\n    for i in 0..n:\n        if i > x:\n            break\n    return x\n",
        "\n    var text = \"\"\n    for i in 0..n:\n        text := text + \"a\"\n    return text\n",
        "\n    for i in 0..n:\n        for j in 0..i:\n            print(j)\n    return x\n",
        "\n    var a = 0\n    for i in 0..n:\n        a := looped(a, y, 0)\n    return a\n",
    ] {
        assert_eq!(strip(&mut functions(body).list[0].body), 0, "{body}");
    }
}
