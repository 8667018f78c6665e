//! `for name in range:` around statements: each turn of the loop is a copy of its statements in which `{name}` has been
//! replaced. Places stay those of the template, so that a finding points at what was written.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::parser::MAX_SOURCE_BYTES;
use crate::vpl::rewrite::{self, Rewrite};
use crate::vpl::syntax::{
    BinaryOp, BindingKind, Expr, ExprKind, Literal, Program, Span, Statement, StatementKind, UnaryOp,
};

use super::findings::Findings;

/// How many statements all loops of a program may make.
pub(super) const MAX_EXPANDED: usize = 10_000;
/// How many `let`s and `const`s may stand between a range and its numbers.
const MAX_CONSTANT_DEPTH: u32 = 32;

/// The program without `for`.
pub(super) fn expand<'p>(program: &'p Program, findings: &mut Findings) -> Cow<'p, Program> {
    let is_loop = |statement: &Statement| matches!(statement.kind, StatementKind::For { .. });
    if !program.statements.iter().any(is_loop) {
        return Cow::Borrowed(program);
    }
    let constants = program.statements.iter().filter_map(|statement| match &statement.kind {
        StatementKind::Binding(binding) if binding.kind != BindingKind::Var => {
            Some((binding.name.text.as_str(), &binding.value))
        }
        _ => None,
    });
    let mut expansion = Expansion {
        constants: constants.collect(),
        variables: Vec::new(),
        statements: 0,
        bytes: 0,
        out: Vec::with_capacity(program.statements.len()),
        findings,
    };
    for statement in &program.statements {
        if !is_loop(statement) {
            expansion.out.push(statement.clone());
        } else if expansion.repeat(statement).is_err() {
            break;
        }
    }
    Cow::Owned(Program { statements: expansion.out })
}

/// A bound is exceeded; it has been told.
struct Exceeded;

/// What a loop runs over.
enum Values {
    Ints(i64, i64),
    Texts(Vec<String>),
}

struct Expansion<'a> {
    constants: HashMap<&'a str, &'a Expr>,
    /// The variables of the loops around, innermost last.
    variables: Vec<String>,
    statements: usize,
    bytes: usize,
    out: Vec<Statement>,
    findings: &'a mut Findings,
}

impl Expansion<'_> {
    fn repeat(&mut self, statement: &Statement) -> Result<(), Exceeded> {
        let StatementKind::For { variable, range, body } = &statement.kind else { return Ok(()) };
        if self.variables.contains(&variable.text) {
            let message = format!("a `for` around this one has the variable `{}` already", variable.text);
            self.findings.push(Diagnostic::error(variable.span, message));
            return Ok(());
        }
        let Some(values) = self.values(range) else {
            let message = "what a `for` around statements runs over is known at load: \
                           a range of ints (0..4, 0..=n) or an array of ints and strings";
            self.findings.push(
                Diagnostic::error(range.span, message)
                    .label("not constant")
                    .help("`let` and `const` may stand in it"),
            );
            return Ok(());
        };
        self.variables.push(variable.text.clone());
        let done = match values {
            Values::Ints(from, to) => {
                (from..to).try_for_each(|value| self.turn(&value.to_string(), body, statement.span))
            }
            Values::Texts(texts) => texts.iter().try_for_each(|text| self.turn(text, body, statement.span)),
        };
        self.variables.pop();
        done
    }

    /// One turn of the innermost loop.
    fn turn(&mut self, value: &str, body: &[Statement], span: Span) -> Result<(), Exceeded> {
        // A turn without statements costs something, too.
        self.count(1, span)?;
        for template in body {
            self.count((template.span.end - template.span.start) as usize, span)?;
            let variable = self.variables.last().map_or("", String::as_str);
            let mut replace = Replace {
                pattern: format!("{{{variable}}}"),
                value,
                room: MAX_SOURCE_BYTES.saturating_sub(self.bytes),
                grown: 0,
            };
            let mut made = template.clone();
            rewrite::statement(&mut made, &mut replace);
            let grown = replace.grown;
            self.count(grown, span)?;
            if matches!(made.kind, StatementKind::For { .. }) {
                self.repeat(&made)?;
                continue;
            }
            self.statements += 1;
            self.count(0, span)?;
            let told = self.findings.len();
            rewrite::statement(&mut made, &mut Check { findings: self.findings });
            // Without names it would be complained of again.
            if self.findings.len() == told {
                self.out.push(made);
            }
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize, span: Span) -> Result<(), Exceeded> {
        self.bytes = self.bytes.saturating_add(bytes);
        let message = if self.statements > MAX_EXPANDED {
            format!("the `for`s of the program make more than {MAX_EXPANDED} statements")
        } else if self.bytes > MAX_SOURCE_BYTES {
            format!("the `for`s of the program make more than {MAX_SOURCE_BYTES} bytes (4 MB) of it")
        } else {
            return Ok(());
        };
        self.findings.push(Diagnostic::error(span, message).label("in this one"));
        Err(Exceeded)
    }

    fn values(&self, range: &Expr) -> Option<Values> {
        match &self.constant(range, 0)?.kind {
            ExprKind::Range { from, to, inclusive } => {
                let to = self.int(to, 0)?;
                Some(Values::Ints(self.int(from, 0)?, if *inclusive { to.checked_add(1)? } else { to }))
            }
            ExprKind::Array(items) => items
                .iter()
                .map(|item| match &self.constant(item, 0)?.kind {
                    ExprKind::Literal(Literal::Str(text)) => Some(text.clone()),
                    _ => self.int(item, 0).map(|value| value.to_string()),
                })
                .collect::<Option<Vec<_>>>()
                .map(Values::Texts),
            _ => None,
        }
    }

    /// The expression itself, or what the `let` or `const` stands for that it names.
    fn constant<'e>(&'e self, expr: &'e Expr, depth: u32) -> Option<&'e Expr> {
        match &expr.kind {
            ExprKind::Name(name) if depth < MAX_CONSTANT_DEPTH => {
                self.constant(self.constants.get(name.as_str())?, depth + 1)
            }
            ExprKind::Name(_) => None,
            _ => Some(expr),
        }
    }

    fn int(&self, expr: &Expr, depth: u32) -> Option<i64> {
        if depth > MAX_CONSTANT_DEPTH {
            return None;
        }
        match &self.constant(expr, 0)?.kind {
            ExprKind::Literal(Literal::Int(value)) => Some(*value),
            ExprKind::Unary(UnaryOp::Neg, operand) => self.int(operand, depth + 1)?.checked_neg(),
            ExprKind::Binary(op, left, right) => {
                let (left, right) = (self.int(left, depth + 1)?, self.int(right, depth + 1)?);
                match op {
                    BinaryOp::Add => left.checked_add(right),
                    BinaryOp::Sub => left.checked_sub(right),
                    BinaryOp::Mul => left.checked_mul(right),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Replaces the variable of one loop.
struct Replace<'v> {
    pattern: String,
    value: &'v str,
    /// Bytes that may still be made.
    room: usize,
    grown: usize,
}

impl Replace<'_> {
    fn replace(&mut self, text: &mut String) {
        let found = text.matches(&self.pattern).count();
        if found == 0 {
            return;
        }
        self.grown = self.grown.saturating_add(found.saturating_mul(self.value.len()));
        if self.grown <= self.room {
            *text = text.replace(&self.pattern, self.value);
        }
    }
}

impl Rewrite for Replace<'_> {
    fn name(&mut self, text: &mut String, _: Span) {
        self.replace(text);
    }

    fn string(&mut self, text: &mut String) {
        self.replace(text);
    }

    /// `{i}` alone, in the place of a value, is the number.
    fn expr(&mut self, expr: &mut Expr) {
        if let ExprKind::Name(name) = &expr.kind
            && *name == self.pattern
            && let Ok(value) = self.value.parse()
        {
            expr.kind = ExprKind::Literal(Literal::Int(value));
        }
    }
}

/// Looks whether what was made of names still are names.
struct Check<'f> {
    findings: &'f mut Findings,
}

impl Rewrite for Check<'_> {
    fn name(&mut self, text: &mut String, span: Span) {
        let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if is_name {
            return;
        }
        let finding = match text.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
            Some((variable, _)) => {
                Diagnostic::error(span, format!("no `for` around this has a variable `{variable}`"))
            }
            None => Diagnostic::error(span, format!("`{text}` is no name"))
                .help("what a `for` puts into a name is letters, digits and `_`, behind a letter or `_`"),
        };
        self.findings.push(finding);
    }
}
