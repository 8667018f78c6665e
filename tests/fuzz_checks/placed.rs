//! The same program in other contexts, or in none: what it means must not change.

use varpin::vpl::syntax::{
    ExprKind, Name, Operator, OperatorKind, Program, Span, Statement, StatementKind, StreamDecl,
};

/// The program with each stream in a context that `choose` gives; where it gives none, without any context. Its
/// `config`s are left out: they are about contexts, and about bounds that the checks set themselves.
pub fn placed(program: &Program, contexts: usize, choose: &mut dyn FnMut() -> Option<usize>) -> Program {
    let declared = names(&program.statements);
    let context = |number| StatementKind::Context { name: name(&context_name(number)), cores: Vec::new() };
    let mut statements: Vec<Statement> =
        (0..contexts).map(|number| Statement { kind: context(number), span: Span::default() }).collect();
    statements.extend(program.statements.iter().filter_map(|statement| moved(statement, &declared, choose)));
    Program { statements }
}

/// How a context of the placed program is called.
fn context_name(number: usize) -> String {
    format!("placed_{number}")
}

fn name(text: &str) -> Name {
    Name { text: text.to_owned(), span: Span::default() }
}

/// The contexts that statements declare.
fn names(statements: &[Statement]) -> Vec<String> {
    let mut found = Vec::new();
    for statement in statements {
        match &statement.kind {
            StatementKind::Context { name, .. } => found.push(name.text.clone()),
            StatementKind::For { body, .. } => found.extend(names(body)),
            _ => {}
        }
    }
    found
}

fn moved(
    statement: &Statement,
    declared: &[String],
    choose: &mut dyn FnMut() -> Option<usize>,
) -> Option<Statement> {
    let mut statement = statement.clone();
    match &mut statement.kind {
        StatementKind::Context { .. } | StatementKind::Config { .. } => return None,
        StatementKind::For { body, .. } => {
            *body = body.iter().filter_map(|inner| moved(inner, declared, choose)).collect();
            if body.is_empty() {
                return None;
            }
        }
        StatementKind::Stream(stream) => place(stream, declared, choose()),
        _ => {}
    }
    Some(statement)
}

fn place(stream: &mut StreamDecl, declared: &[String], context: Option<usize>) {
    stream.operators.retain(|operator| !matches!(operator.kind, OperatorKind::Context(_)));
    for operator in &mut stream.operators {
        let OperatorKind::Emit { fields, .. } = &mut operator.kind else { continue };
        // `context: c` is no field of the result; it says where it is sent.
        fields.retain(|item| {
            let to_context = item.name.as_ref().is_some_and(|name| name.text == "context")
                && matches!(&item.value.kind, ExprKind::Name(name) if declared.contains(name));
            !to_context
        });
    }
    if let Some(number) = context {
        let kind = OperatorKind::Context(name(&context_name(number)));
        stream.operators.push(Operator { kind, span: Span::default(), name_span: Span::default() });
    }
}
