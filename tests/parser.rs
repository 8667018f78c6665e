//! The grammar: what the language's own parser gets wrong, what binds how, and which words are names.

#![cfg(feature = "vpl")]

use varpin::vpl::parser::parse;
use varpin::vpl::syntax::*;

fn parsed(text: &str) -> Program {
    let (program, diagnostics) = parse(text);
    assert!(diagnostics.is_empty(), "{diagnostics:#?}\nin\n{text}");
    program
}

fn expr(text: &str) -> Expr {
    let program = parsed(&format!("x := {text}"));
    match program.statements.into_iter().next().map(|statement| statement.kind) {
        Some(StatementKind::Assign { value, .. }) => value,
        other => panic!("{text}: {other:?}"),
    }
}

fn same(text: &str, with_parentheses: &str) {
    assert_eq!(expr(text), expr(with_parentheses), "{text}");
}

fn operators(text: &str) -> Vec<OperatorKind> {
    match parsed(text).statements.into_iter().next().map(|statement| statement.kind) {
        Some(StatementKind::Stream(stream)) => {
            stream.operators.into_iter().map(|operator| operator.kind).collect()
        }
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_name_that_begins_with_not_is_a_name() {
    let ExprKind::Binary(BinaryOp::Gt, left, _) = expr("notional > 5").kind else { panic!() };
    assert_eq!(left.kind, ExprKind::Name("notional".to_owned()));
}

#[test]
fn shifts_keep_their_direction() {
    assert!(matches!(expr("x >> 1").kind, ExprKind::Binary(BinaryOp::Shr, ..)));
    assert!(matches!(expr("x << 1").kind, ExprKind::Binary(BinaryOp::Shl, ..)));
}

#[test]
fn order_by_keeps_its_directions() {
    let found = operators("stream S = R.window(5).order_by(v desc, w asc, desc, u)");
    let OperatorKind::OrderBy(keys) = &found[1] else { panic!("{found:?}") };
    assert_eq!(keys.iter().map(|key| key.descending).collect::<Vec<_>>(), [true, false, false, false]);
}

#[test]
fn ints_end_where_i64_ends() {
    assert_eq!(expr("9223372036854775807").kind, ExprKind::Literal(Literal::Int(i64::MAX)));
    assert_eq!(expr("-9223372036854775808").kind, ExprKind::Literal(Literal::Int(i64::MIN)));
    for text in ["9223372036854775808", "-9223372036854775809", "- (9223372036854775808)"] {
        let (_, diagnostics) = parse(&format!("x := {text}"));
        assert_eq!(diagnostics.len(), 1, "{text}");
        assert!(diagnostics[0].message.contains("922337203685477580"), "{diagnostics:?}");
    }
}

#[test]
fn any_name_can_be_a_field() {
    let words =
        ["input", "order", "to", "in", "all_day", "from", "where", "stream", "window", "then", "is", "desc"];
    for word in words {
        for text in [
            format!("stream S = R.where({word} > 5 and e.{word} == {word}).emit({word}: {word}, x: {word})"),
            format!("event E:\n    {word}: int\n    other: str"),
            format!("stream S = R.partition_by({word}).order_by({word} desc).select({word}, a: {word} + 1)"),
        ] {
            parsed(&text);
        }
    }
}

#[test]
fn operators_bind_as_documented() {
    same("-2 ** 2", "(-2) ** 2");
    same("2 ** 3 ** 2", "2 ** (3 ** 2)");
    same("a - b - c", "(a - b) - c");
    same("not a in b", "not (a in b)");
    same("not a == b and c", "(not (a == b)) and c");
    same("a or b xor c and d", "a or (b xor (c and d))");
    same("a ?? b or c", "a ?? (b or c)");
    same("a ?? b ?? c", "a ?? (b ?? c)");
    same("a | b ^ c & d << 1 + 2 * 3", "a | (b ^ (c & (d << (1 + (2 * 3)))))");
    same("a & b == c", "(a & b) == c");
    same("1 .. a + 1", "1 .. (a + 1)");
    same("-a.b[0]", "-(a.b[0])");
    same("x => a + b", "x => (a + b)");
    same("if a then b else c + 1", "if a then b else (c + 1)");
    same("a not in b", "(a) not in (b)");
}

#[test]
fn comparisons_and_ranges_do_not_chain() {
    for text in ["a < b < c", "a == b != c", "a in b in c", "1..2..3"] {
        let (_, diagnostics) = parse(&format!("x := {text}"));
        assert_eq!(diagnostics.len(), 1, "{text}: {diagnostics:?}");
        assert!(diagnostics[0].message.contains("chain"), "{diagnostics:?}");
    }
}

#[test]
fn braces_behind_an_arrow_are_a_map_or_a_block() {
    let body = |text: &str| match expr(text).kind {
        ExprKind::Lambda { body, .. } => body,
        other => panic!("{text}: {other:?}"),
    };
    assert!(matches!(body("x => { id: x.id }"), LambdaBody::Expr(e) if matches!(e.kind, ExprKind::Map(_))));
    assert!(
        matches!(body("x => { \"id\": x.id }"), LambdaBody::Expr(e) if matches!(e.kind, ExprKind::Map(_)))
    );
    assert!(matches!(body("x => {}"), LambdaBody::Expr(e) if matches!(e.kind, ExprKind::Map(_))));
    for text in ["x => { let y = x + 1; y * 2 }", "x => {\n    let y = x + 1\n    y * 2\n}"] {
        let LambdaBody::Block { statements, .. } = body(text) else { panic!("{text}") };
        assert_eq!(statements.len(), 1, "no statement of the block vanishes");
    }
}

#[test]
fn a_guard_ends_at_the_next_operator() {
    let found =
        operators("stream S = A as a -> B as b where b.x > a.x.within(5m).not(C where d == 1).emit(x: a.x)");
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(matches!(&found[1], OperatorKind::Within(_)));
    assert!(matches!(&found[2], OperatorKind::Not(step) if step.guard.is_some()));
    let found = operators("stream S = A where (xs.contains(3)).emit as T (x: 1)");
    assert!(matches!(&found[..], [OperatorKind::Emit { as_type: Some(_), .. }]));
}

#[test]
fn windows_can_be_written_as_in_the_guides() {
    let window = |text: &str| operators(&format!("stream S = R.window({text})"));
    assert_eq!(window("tumbling 30s"), window("30s"));
    assert_eq!(window("sliding 10s by 5s"), window("10s, sliding: 5s"));
    assert_eq!(window("count: 5"), window("5"));
    assert_eq!(window("tumbling"), operators("stream S = R.window((tumbling))"), "a constant of that name");
}

#[test]
fn blocks_are_indented_or_stand_on_the_line() {
    let long = "fn f(x: int) -> int:\n    if x > 1:\n        return 1\n    elif x > 0:\n        return 2\n    else:\n        return 3\n    (x)\n";
    let short =
        "fn f(x: int) -> int:\n\tif x > 1: return 1\n\telif x > 0: return 2\n\telse: return 3\n\t(x)\n";
    assert_eq!(parsed(long), parsed(short));
    assert_eq!(
        parsed("event R: k: str, v: float?\nstream S = R"),
        parsed("event R:\n  k: str\n  v: float?\nstream S = R")
    );
    let StatementKind::Function { body, .. } = &parsed(long).statements[0].kind else { panic!() };
    assert_eq!(body.len(), 2, "a line that begins with a parenthesis is no call of the line before");
}

#[test]
fn loops_of_the_program_keep_their_templates() {
    let program = parsed(
        "for i in 0..3:\n    stream S_{i} = R\n        .where(zone == \"z{i}\")\n        .emit(v{i}x: v{i})\n",
    );
    let StatementKind::For { body, .. } = &program.statements[0].kind else { panic!() };
    let StatementKind::Stream(stream) = &body[0].kind else { panic!() };
    assert_eq!(stream.name.text, "S_{i}");
    let OperatorKind::Emit { fields, .. } = &stream.operators[1].kind else { panic!() };
    assert_eq!(fields[0].name.as_ref().map(|name| name.text.as_str()), Some("v{i}x"));
    assert_eq!(fields[0].value.kind, ExprKind::Name("v{i}".to_owned()));
}

#[test]
fn literals_mean_what_the_reference_says() {
    let literal = |text: &str| match expr(text).kind {
        ExprKind::Literal(value) => value,
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(literal("1h30m"), Literal::Duration(5_400_000_000_000));
    assert_eq!(literal("1_000"), Literal::Int(1000));
    assert_eq!(literal("1.5e-3"), Literal::Float(0.0015));
    assert_eq!(literal("@1970-01-01T00:00:10Z"), Literal::Timestamp(10_000_000_000));
    assert_eq!(literal(r#""a\tb\"\\\u{1F680}\0""#), Literal::Str("a\tb\"\\🚀\0".to_owned()));
    assert_eq!(literal(r"'it\'s'"), Literal::Str("it's".to_owned()));
}

#[test]
fn spans_point_at_the_text() {
    let text = "stream S = R\n    .where(a + bb > 1)";
    let program = parsed(text);
    let StatementKind::Stream(stream) = &program.statements[0].kind else { panic!() };
    let operator = &stream.operators[0];
    assert_eq!(&text[operator.span.start as usize..operator.span.end as usize], ".where(a + bb > 1)");
    assert_eq!(&text[operator.name_span.start as usize..operator.name_span.end as usize], "where");
    let OperatorKind::Where(value) = &operator.kind else { panic!() };
    assert_eq!(&text[value.span.start as usize..value.span.end as usize], "a + bb > 1");
}
