//! Expressions to text, with parentheses only where the parser's binding powers ask for them.

use super::super::literal;
use super::super::parser::blocks::BLOCK_WORDS;
use super::super::parser::expressions::{
    COMPARISON_POWER, LOOSEST_POWER, RANGE_POWER, TIGHTEST_POWER, is_right_associative, power, prefix_power,
};
use super::super::syntax::{BinaryOp, Expr, ExprKind, LambdaBody, Literal, NamedExpr, UnaryOp};
use super::Printer;

/// How tightly the outermost operator of an expression binds.
fn binding_power(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Lambda { .. } | ExprKind::If { .. } => LOOSEST_POWER,
        ExprKind::Range { .. } => RANGE_POWER,
        ExprKind::Binary(op, ..) => power(*op),
        ExprKind::Unary(op, _) => prefix_power(*op),
        // Its minus would be taken for an operator behind which suffixes bind tighter.
        ExprKind::Literal(value) if is_negative(value) => prefix_power(UnaryOp::Neg),
        _ => TIGHTEST_POWER,
    }
}

fn is_negative(value: &Literal) -> bool {
    match value {
        Literal::Int(value) => *value < 0,
        Literal::Float(value) => value.is_sign_negative(),
        _ => false,
    }
}

pub(in crate::vpl) fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Or => "or",
        BinaryOp::Xor => "xor",
        BinaryOp::And => "and",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::In => "in",
        BinaryOp::NotIn => "not in",
        BinaryOp::Is => "is",
        BinaryOp::BitOr => "|",
        BinaryOp::BitXor => "^",
        BinaryOp::BitAnd => "&",
        BinaryOp::Shl => "<<",
        BinaryOp::Shr => ">>",
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Rem => "%",
        BinaryOp::Pow => "**",
        BinaryOp::Coalesce => "??",
    }
}

impl Printer {
    pub(super) fn expr(&mut self, expr: &Expr) {
        self.operand(expr, LOOSEST_POWER);
    }

    /// An expression where only operators that bind as tight as `least` can stand without parentheses.
    fn operand(&mut self, expr: &Expr, least: u8) {
        // On the outermost level of a guard `.name(` would begin the next operator.
        let ends_guard = self.in_guard
            && matches!(&expr.kind, ExprKind::Call { callee, .. }
                if matches!(callee.kind, ExprKind::Member { optional: false, .. }));
        if binding_power(expr) < least || ends_guard {
            self.within("(", ")", |printer| printer.bare(expr));
        } else {
            self.bare(expr);
        }
    }

    fn bare(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Literal(value) => self.literal(value),
            ExprKind::Name(name) => {
                // These would begin something else; `{i}_x` would begin a block.
                if matches!(name.as_str(), "not" | "if" | "match") || name.starts_with('{') {
                    self.within("(", ")", |printer| printer.put(name));
                } else {
                    self.put(name);
                }
            }
            ExprKind::Unary(op, operand) => self.unary(*op, operand),
            ExprKind::Binary(op, left, right) => {
                let power = power(*op);
                let (on_left, on_right) = match op {
                    _ if power == COMPARISON_POWER => (power + 1, power + 1),
                    op if is_right_associative(*op) => (power + 1, power),
                    _ => (power, power + 1),
                };
                self.operand(left, on_left);
                self.put(" ");
                self.put(symbol(*op));
                self.put(" ");
                self.operand(right, on_right);
            }
            ExprKind::Range { from, to, inclusive } => {
                self.operand(from, RANGE_POWER + 1);
                self.put(if *inclusive { "..=" } else { ".." });
                self.operand(to, RANGE_POWER + 1);
            }
            ExprKind::If { condition, then, otherwise } => {
                self.put("if ");
                self.expr(condition);
                self.put(" then ");
                self.expr(then);
                self.put(" else ");
                self.expr(otherwise);
            }
            ExprKind::Match { subject, arms } => {
                self.put("match ");
                self.expr(subject);
                self.within(" { ", " }", |printer| {
                    printer.commas(arms, |printer, (pattern, value)| {
                        // A lambda in a pattern would take the arm's arrow.
                        printer.operand(pattern, RANGE_POWER);
                        printer.put(" => ");
                        printer.expr(value);
                    });
                });
            }
            ExprKind::Member { object, name, optional } => {
                self.operand(object, TIGHTEST_POWER);
                self.put(if *optional { "?." } else { "." });
                self.name(name);
            }
            ExprKind::Index(object, index) => {
                self.operand(object, TIGHTEST_POWER);
                self.within("[", "]", |printer| printer.expr(index));
            }
            ExprKind::Slice { object, from, to } => {
                self.operand(object, TIGHTEST_POWER);
                self.within("[", "]", |printer| {
                    if let Some(from) = from {
                        printer.expr(from);
                    }
                    printer.put(":");
                    if let Some(to) = to {
                        printer.expr(to);
                    }
                });
            }
            ExprKind::Call { callee, args } => {
                self.operand(callee, TIGHTEST_POWER);
                self.within("(", ")", |printer| printer.commas(args, Self::named_expr));
            }
            ExprKind::Lambda { params, body } => {
                if let [param] = params.as_slice() {
                    self.name(param);
                } else {
                    self.within("(", ")", |printer| printer.commas(params, Self::name));
                }
                self.put(" => ");
                self.lambda_body(body);
            }
            ExprKind::Array(items) => self.within("[", "]", |printer| printer.commas(items, Self::expr)),
            ExprKind::Map(entries) => self.within("{", "}", |printer| {
                printer.commas(entries, |printer, (name, value)| {
                    if is_plain_name(&name.text) {
                        printer.name(name);
                    } else {
                        printer.put(&literal::string_text(&name.text));
                    }
                    printer.put(": ");
                    printer.expr(value);
                });
            }),
        }
    }

    fn unary(&mut self, op: UnaryOp, operand: &Expr) {
        self.put(match op {
            UnaryOp::Neg => "-",
            UnaryOp::BitNot => "~",
            UnaryOp::Not => "not ",
        });
        // A minus right before a number is part of the number.
        let number = matches!(operand.kind, ExprKind::Literal(Literal::Int(_) | Literal::Float(_)))
            && binding_power(operand) == TIGHTEST_POWER;
        if op == UnaryOp::Neg && number {
            self.within("(", ")", |printer| printer.expr(operand));
        } else {
            self.operand(operand, prefix_power(op));
        }
    }

    fn lambda_body(&mut self, body: &LambdaBody) {
        match body {
            LambdaBody::Expr(value) => self.expr(value),
            LambdaBody::Block { statements, result } => {
                self.within("{\n", "}", |printer| {
                    printer.block(statements);
                    printer.indented(|printer| printer.line(|printer| printer.statement_expr(result)));
                    printer.begin_line();
                });
            }
        }
    }

    /// An expression where a statement can begin: a name that would begin one goes into parentheses.
    pub(super) fn statement_expr(&mut self, expr: &Expr) {
        let start = self.out.len();
        self.expr(expr);
        let text = &self.out[start..];
        let word = &text[..text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())];
        // `if` as a name stands in parentheses already; without them it is the beginning of an expression.
        if BLOCK_WORDS.contains(&word) && word != "if" {
            self.out.insert(start, '(');
            self.out.push(')');
        }
    }

    pub(super) fn named_expr(&mut self, item: &NamedExpr) {
        if let Some(name) = &item.name {
            self.name(name);
            self.put(": ");
        }
        self.expr(&item.value);
    }

    pub(super) fn literal(&mut self, value: &Literal) {
        match value {
            Literal::Null => self.put("null"),
            Literal::Bool(value) => self.put(if *value { "true" } else { "false" }),
            Literal::Int(value) => self.put(&value.to_string()),
            // `Debug` gives the shortest text that reads back the same, always with a point or an exponent.
            Literal::Float(value) => self.put(&format!("{value:?}")),
            Literal::Str(value) => self.put(&literal::string_text(value)),
            Literal::Duration(value) => self.put(&literal::duration_text(*value)),
            Literal::Timestamp(value) => self.put(&literal::timestamp_text(*value)),
        }
    }
}

/// Whether the lexer reads it as one name.
fn is_plain_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
