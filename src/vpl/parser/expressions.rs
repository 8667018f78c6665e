//! Expressions, by binding powers and with a stack of its own instead of recursion per precedence: the parser recurses
//! for what nests in the text (brackets, lambdas, `if`), never for how operators bind.

use super::super::diagnostic::Diagnostic;
use super::super::lexer::Kind;
use super::super::suggest::closest;
use super::super::syntax::{BinaryOp, Expr, ExprKind, LambdaBody, Literal, Name, Span, UnaryOp};
use super::{MAX_NESTING, Parsed, Parser};

/// The operators that are words: what a misspelt word behind an operand may have been meant as.
pub(super) const WORD_OPERATORS: [&str; 6] = ["and", "or", "xor", "in", "is", "not"];

/// How tightly an infix operator binds; a greater number binds tighter. The printer puts parentheses by the same table.
pub(crate) fn power(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Coalesce => 2,
        BinaryOp::Or => 3,
        BinaryOp::Xor => 4,
        BinaryOp::And => 5,
        BinaryOp::Eq
        | BinaryOp::Ne
        | BinaryOp::Lt
        | BinaryOp::Le
        | BinaryOp::Gt
        | BinaryOp::Ge
        | BinaryOp::In
        | BinaryOp::NotIn
        | BinaryOp::Is => COMPARISON_POWER,
        BinaryOp::BitOr => 8,
        BinaryOp::BitXor => 9,
        BinaryOp::BitAnd => 10,
        BinaryOp::Shl | BinaryOp::Shr => 11,
        BinaryOp::Add | BinaryOp::Sub => 12,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem => 13,
        BinaryOp::Pow => 14,
    }
}

/// Lambdas, `if`: nothing binds looser.
pub(crate) const LOOSEST_POWER: u8 = 0;
/// `..` and `..=`, one per level.
pub(crate) const RANGE_POWER: u8 = 1;
/// Comparisons, one per level.
pub(crate) const COMPARISON_POWER: u8 = 7;
/// Names, literals, brackets and everything with a suffix.
pub(crate) const TIGHTEST_POWER: u8 = 16;

/// How tightly a prefix operator binds: `not` looser than comparisons, the signs tighter than `**`.
pub(crate) fn prefix_power(op: UnaryOp) -> u8 {
    match op {
        UnaryOp::Not => 6,
        UnaryOp::Neg | UnaryOp::BitNot => 15,
    }
}

/// `a op (b op c)` needs no parentheses.
pub(crate) fn is_right_associative(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Pow | BinaryOp::Coalesce)
}

#[derive(Clone, Copy, PartialEq)]
enum Infix {
    Binary(BinaryOp),
    Range { inclusive: bool },
}

impl Infix {
    fn power(self) -> u8 {
        match self {
            Self::Binary(op) => power(op),
            Self::Range { .. } => RANGE_POWER,
        }
    }
}

/// An operator that waits for its right operand.
enum Waiting {
    Prefix { op: UnaryOp, start: u32 },
    Infix { op: Infix, left: Expr, height: u32 },
}

impl Waiting {
    fn power(&self) -> u8 {
        match self {
            Self::Prefix { op, .. } => prefix_power(*op),
            Self::Infix { op, .. } => op.power(),
        }
    }
}

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.deeper(Self::expr_here)
    }

    fn expr_here(&mut self) -> Parsed<Expr> {
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            let (mut right, mut height) = self.prefixed(&mut waiting)?;
            let Some(op) = self.infix()? else {
                while let Some(top) = waiting.pop() {
                    (right, height) = self.reduce(top, right, height)?;
                }
                self.raise(height);
                return Ok(right);
            };
            let power = op.power();
            let right_first = matches!(op, Infix::Binary(op) if is_right_associative(op));
            while let Some(top) = waiting.last() {
                if top.power() < power || top.power() == power && right_first {
                    break;
                }
                if top.power() == power && matches!(power, RANGE_POWER | COMPARISON_POWER) {
                    self.complain_about_chain(power);
                }
                let Some(top) = waiting.pop() else { break };
                (right, height) = self.reduce(top, right, height)?;
            }
            self.take_infix(op);
            waiting.push(Waiting::Infix { op, left: right, height });
        }
    }

    /// An operand and its height; the prefix operators before it begin to wait.
    fn prefixed(&mut self, waiting: &mut Vec<Waiting>) -> Parsed<(Expr, u32)> {
        loop {
            let start = self.start();
            let op = match self.peek() {
                // A number takes its minus with it, so that the least int can be written.
                Kind::Minus if matches!(self.nth(1), Kind::Int | Kind::Float) && !self.is_suffix(2) => {
                    self.bump();
                    let kind = ExprKind::Literal(self.number(true));
                    return Ok((Expr { kind, span: self.span_from(start) }, 1));
                }
                Kind::Minus => UnaryOp::Neg,
                Kind::Tilde => UnaryOp::BitNot,
                Kind::Name if self.at_word("not") && self.is_prefix_word() => UnaryOp::Not,
                Kind::Bang => {
                    let error = Diagnostic::error(self.raw(0).span(), "`!` is no operator")
                        .help("did you mean `not`?");
                    self.complain(error);
                    UnaryOp::Not
                }
                _ => return self.measured(Self::operand),
            };
            // Each would become a node above the next.
            if waiting.len() >= MAX_NESTING as usize {
                return self.too_deep();
            }
            self.bump();
            waiting.push(Waiting::Prefix { op, start });
        }
    }

    /// Gives a waiting operator its right operand.
    fn reduce(&mut self, waiting: Waiting, right: Expr, right_height: u32) -> Parsed<(Expr, u32)> {
        let end = right.span.end;
        Ok(match waiting {
            Waiting::Prefix { op, start } => {
                let height = self.above(right_height)?;
                (Expr { kind: ExprKind::Unary(op, Box::new(right)), span: Span { start, end } }, height)
            }
            Waiting::Infix { op, left, height } => {
                let height = self.above(height.max(right_height))?;
                let span = left.span.to(right.span);
                let (left, right) = (Box::new(left), Box::new(right));
                let kind = match op {
                    Infix::Binary(op) => ExprKind::Binary(op, left, right),
                    Infix::Range { inclusive } => ExprKind::Range { from: left, to: right, inclusive },
                };
                (Expr { kind, span }, height)
            }
        })
    }

    fn complain_about_chain(&mut self, power: u8) {
        let span = self.raw(0).span();
        self.complain(if power == COMPARISON_POWER {
            Diagnostic::error(span, "comparisons do not chain")
                .help("write `a < b and b < c`, or parentheses around one of them")
        } else {
            Diagnostic::error(span, "ranges do not chain")
        });
    }

    /// The infix operator at hand, not yet taken. What other languages write is reported and understood.
    fn infix(&mut self) -> Parsed<Option<Infix>> {
        let op = match self.peek() {
            Kind::DotDot => return Ok(Some(Infix::Range { inclusive: false })),
            Kind::DotDotEquals => return Ok(Some(Infix::Range { inclusive: true })),
            Kind::QuestionQuestion => BinaryOp::Coalesce,
            Kind::EqualsEquals => BinaryOp::Eq,
            Kind::NotEquals => BinaryOp::Ne,
            Kind::Less => BinaryOp::Lt,
            Kind::LessEquals => BinaryOp::Le,
            Kind::Greater if self.nth(1) == Kind::Greater && self.touches_next(0) => BinaryOp::Shr,
            Kind::Greater => BinaryOp::Gt,
            Kind::GreaterEquals => BinaryOp::Ge,
            Kind::LessLess => BinaryOp::Shl,
            Kind::Pipe => BinaryOp::BitOr,
            Kind::Caret => BinaryOp::BitXor,
            Kind::Ampersand => BinaryOp::BitAnd,
            Kind::Plus => BinaryOp::Add,
            Kind::Minus => BinaryOp::Sub,
            Kind::Star => BinaryOp::Mul,
            Kind::StarStar => BinaryOp::Pow,
            Kind::Slash => BinaryOp::Div,
            Kind::Percent => BinaryOp::Rem,
            Kind::AndAnd => self.meant("`&&` is no operator", "and", BinaryOp::And),
            Kind::PipePipe => self.meant("`||` is no operator", "or", BinaryOp::Or),
            Kind::Equals => self.meant("`=` does not compare", "==", BinaryOp::Eq),
            Kind::Name => return self.word_infix(),
            _ => return Ok(None),
        };
        Ok(Some(Infix::Binary(op)))
    }

    fn meant(&mut self, message: &str, ours: &str, op: BinaryOp) -> BinaryOp {
        let error = Diagnostic::error(self.raw(0).span(), message).help(format!("did you mean `{ours}`?"));
        self.complain(error);
        op
    }

    fn word_infix(&mut self) -> Parsed<Option<Infix>> {
        let word = self.word(0);
        if self.nth(1) == Kind::Assign {
            return Ok(None);
        }
        let op = match word {
            "and" => BinaryOp::And,
            "or" => BinaryOp::Or,
            "xor" => BinaryOp::Xor,
            "in" => BinaryOp::In,
            "is" => {
                if self.word(1) == "not" {
                    let error = Diagnostic::error(self.raw(1).span(), "`is not` is no operator")
                        .help("did you mean `!=`?");
                    return Err(self.stop(error));
                }
                BinaryOp::Is
            }
            "not" if self.word(1) == "in" => BinaryOp::NotIn,
            _ => {
                // Within brackets nothing but an operator can stand here; a word that nearly is one was meant to be.
                let near = closest(word, ["and", "or", "xor"]);
                let operand_follows = begins_operand(self.nth(1));
                let (Some(near), true, true, None) = (near, operand_follows, self.brackets > 0, self.fence)
                else {
                    return Ok(None);
                };
                let error = Diagnostic::error(self.raw(0).span(), format!("`{word}` is no operator"))
                    .help(format!("did you mean `{near}`?"));
                self.complain(error);
                match near {
                    "and" => BinaryOp::And,
                    "or" => BinaryOp::Or,
                    _ => BinaryOp::Xor,
                }
            }
        };
        Ok(Some(Infix::Binary(op)))
    }

    /// Takes the tokens of an operator that [`Parser::infix`] has found.
    fn take_infix(&mut self, op: Infix) {
        self.bump();
        if matches!(op, Infix::Binary(BinaryOp::NotIn | BinaryOp::Shr)) {
            self.bump();
        }
    }

    /// Whether the word at hand, one that may begin something as well as be a name, has an operand behind it.
    pub(super) fn is_prefix_word(&self) -> bool {
        begins_operand(self.nth(1))
    }

    /// Whether the token `ahead` belongs to the operand before it.
    fn is_suffix(&self, ahead: usize) -> bool {
        match self.nth(ahead) {
            Kind::Dot => !self.ends_guard(ahead),
            kind => matches!(kind, Kind::QuestionDot | Kind::LeftBracket | Kind::LeftParen),
        }
    }

    /// Whether the dot `ahead` begins the next operator: the guard is over.
    fn ends_guard(&self, ahead: usize) -> bool {
        self.in_guard && self.nth(ahead + 1) == Kind::Name && self.calls_operator(ahead + 1)
    }

    /// A primary with its suffixes.
    fn operand(&mut self) -> Parsed<Expr> {
        let start = self.start();
        let (mut expr, mut height) = self.measured(Self::primary)?;
        let in_parens = self.closed_from == Some(start);
        if matches!(expr.kind, ExprKind::Lambda { .. } | ExprKind::If { .. }) && !in_parens {
            self.raise(height);
            return Ok(expr);
        }
        loop {
            let (kind, children) = match self.peek() {
                Kind::Dot if self.ends_guard(0) => {
                    self.guard_end = self.next;
                    break;
                }
                optional @ (Kind::Dot | Kind::QuestionDot) => {
                    self.bump();
                    let name = self.name("the name of a member")?;
                    let optional = optional == Kind::QuestionDot;
                    (ExprKind::Member { object: Box::new(expr), name, optional }, 0)
                }
                Kind::LeftBracket => {
                    let ((from, colon, to), children) = self.measured(Self::index)?;
                    let object = Box::new(expr);
                    let kind = match from {
                        Some(index) if !colon => ExprKind::Index(object, Box::new(index)),
                        from => ExprKind::Slice { object, from: from.map(Box::new), to: to.map(Box::new) },
                    };
                    (kind, children)
                }
                Kind::LeftParen => {
                    let open = self.bump();
                    let (args, children) =
                        self.measured(|parser| parser.list(open, Kind::RightParen, Self::named_expr))?;
                    (ExprKind::Call { callee: Box::new(expr), args }, children)
                }
                _ => break,
            };
            height = self.above(height.max(children))?;
            expr = Expr { kind, span: self.span_from(start) };
        }
        self.raise(height);
        Ok(expr)
    }

    /// `[index]` or `[from:to]`: the first, whether there is a colon, the second.
    fn index(&mut self) -> Parsed<(Option<Expr>, bool, Option<Expr>)> {
        let open = self.bump();
        let parts = self.bracketed(|parser| {
            let from = if parser.peek() == Kind::Colon { None } else { Some(parser.expr()?) };
            let colon = parser.eat(Kind::Colon);
            let to = if colon && parser.peek() != Kind::RightBracket { Some(parser.expr()?) } else { None };
            Ok((from, colon, to))
        })?;
        self.close(open, Kind::RightBracket)?;
        Ok(parts)
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let start = self.start();
        let (kind, children) = self.measured(Self::primary_kind)?;
        let kind = match kind {
            Primary::Inner(expr) => {
                self.raise(children);
                return Ok(expr);
            }
            Primary::Kind(kind) => kind,
        };
        let height = self.above(children)?;
        self.raise(height);
        Ok(Expr { kind, span: self.span_from(start) })
    }

    fn primary_kind(&mut self) -> Parsed<Primary> {
        let kind = match self.peek() {
            // An operand is missing at the end of the line before, not here.
            Kind::Name if self.raw(0).first_on_line && self.begins_other_statement() => {
                return self.expected("an expression");
            }
            Kind::Name => return self.word_primary(),
            Kind::LeftParen => {
                if !self.in_pattern
                    && let Some(params) = self.lambda_params()
                {
                    return self.lambda(params);
                }
                return self.parenthesised().map(Primary::Inner);
            }
            Kind::LeftBracket => {
                let open = self.bump();
                ExprKind::Array(self.list(open, Kind::RightBracket, Self::expr)?)
            }
            Kind::LeftBrace if self.at_template() => ExprKind::Name(self.name_here().text),
            Kind::LeftBrace => {
                let open = self.bump();
                ExprKind::Map(self.list(open, Kind::RightBrace, Self::map_entry)?)
            }
            kind if kind.is_reported() && kind != Kind::Bad => {
                // The lexer has told what is wrong with it; that it was meant to be a value is plain.
                self.bump();
                ExprKind::Literal(Literal::Null)
            }
            _ => match self.literal()? {
                Some(literal) => ExprKind::Literal(literal),
                None => return self.expected("an expression"),
            },
        };
        Ok(Primary::Kind(kind))
    }

    fn parenthesised(&mut self) -> Parsed<Expr> {
        let open = self.bump();
        let expr = self.bracketed(Self::expr)?;
        self.close(open, Kind::RightParen)?;
        self.closed_from = Some(open.start);
        Ok(expr)
    }

    fn word_primary(&mut self) -> Parsed<Primary> {
        let start = self.start();
        if !self.in_pattern && self.nth(1) == Kind::FatArrow {
            let param = self.name_here();
            return self.lambda(vec![param]);
        }
        if let Some(literal) = self.word_literal() {
            return Ok(Primary::Kind(ExprKind::Literal(literal)));
        }
        if self.is_prefix_word() {
            if self.at_word("if") {
                self.bump();
                let (condition, height) = self.measured(Self::expr)?;
                return self.if_expression(start, condition, height).map(Primary::Inner);
            }
            if self.at_word("match") {
                return self.match_expression().map(Primary::Kind);
            }
        }
        let name = self.name_here();
        if !self.in_pattern && self.peek() == Kind::FatArrow {
            return self.lambda(vec![name]);
        }
        Ok(Primary::Kind(ExprKind::Name(name.text)))
    }

    /// `then a else b` behind a condition of this height.
    pub(super) fn if_expression(&mut self, start: u32, condition: Expr, height: u32) -> Parsed<Expr> {
        self.expect_word("then", "behind the condition")?;
        let (then, then_height) = self.measured(Self::expr)?;
        self.expect_word("else", "and the other value")?;
        let (otherwise, else_height) = self.measured(Self::expr)?;
        let height = self.above(height.max(then_height).max(else_height))?;
        self.raise(height);
        let kind = ExprKind::If {
            condition: Box::new(condition),
            then: Box::new(then),
            otherwise: Box::new(otherwise),
        };
        Ok(Expr { kind, span: self.span_from(start) })
    }

    /// `match subject { pattern => value, .. }`, or the same with a colon and an arm a line.
    fn match_expression(&mut self) -> Parsed<ExprKind> {
        self.bump();
        // A subject ends at its brace, so that even within a pattern no arrow behind it is the arm's.
        let in_pattern = std::mem::take(&mut self.in_pattern);
        let subject = self.expr();
        self.in_pattern = in_pattern;
        let subject = Box::new(subject?);
        let arms = if self.peek() == Kind::LeftBrace {
            let open = self.bump();
            self.list(open, Kind::RightBrace, Self::arm)?
        } else if self.peek() == Kind::Colon {
            self.block(false, Self::arm)?
        } else {
            return self.expected("`{` and arms, as in `match x { 1 => \"one\", _ => \"many\" }`");
        };
        Ok(ExprKind::Match { subject, arms })
    }

    fn arm(&mut self) -> Parsed<(Expr, Expr)> {
        self.in_pattern = true;
        let pattern = self.expr();
        self.in_pattern = false;
        let pattern = pattern?;
        self.expect(Kind::FatArrow, "`=>` and a value")?;
        Ok((pattern, self.expr()?))
    }

    /// The parameters of a lambda whose parenthesis is at hand, if it is one; else nothing is taken. Looks no further
    /// than names and commas, which no other look at a parenthesis runs over.
    fn lambda_params(&mut self) -> Option<Vec<Name>> {
        let mut at = 1;
        while self.nth(at) == Kind::Name {
            at += 1;
            if self.nth(at) != Kind::Comma {
                break;
            }
            at += 1;
        }
        if self.nth(at) != Kind::RightParen || self.nth(at + 1) != Kind::FatArrow {
            return None;
        }
        self.bump();
        let mut params = Vec::new();
        while self.peek() == Kind::Name {
            let token = self.bump();
            params.push(Name { text: self.text_of(token).to_owned(), span: token.span() });
            self.eat(Kind::Comma);
        }
        self.bump();
        Some(params)
    }

    /// `=> body`
    fn lambda(&mut self, params: Vec<Name>) -> Parsed<Primary> {
        self.expect(Kind::FatArrow, "`=>`")?;
        let body = if self.peek() == Kind::LeftBrace && !self.at_map() {
            self.deeper(Self::lambda_block)?
        } else {
            LambdaBody::Expr(Box::new(self.expr()?))
        };
        Ok(Primary::Kind(ExprKind::Lambda { params, body }))
    }

    /// Whether the brace at hand begins a map: `{}`, `{ name:`, `{ "name":`.
    fn at_map(&self) -> bool {
        match self.raw(1).kind {
            Kind::RightBrace => true,
            Kind::Name | Kind::Str => self.raw(2).kind == Kind::Colon,
            _ => false,
        }
    }

    fn map_entry(&mut self) -> Parsed<(Name, Expr)> {
        let name = if self.peek() == Kind::Str {
            let (text, span) = self.string();
            Name { text, span }
        } else {
            self.name("a name or a string, as in `{ name: value }`")?
        };
        self.expect(Kind::Colon, "`:` and a value")?;
        Ok((name, self.expr()?))
    }

    /// An expression without parentheses around it, which ends before `.name(` on its outermost level.
    pub(super) fn guard(&mut self) -> Parsed<Expr> {
        let before = std::mem::replace(&mut self.in_guard, true);
        let guard = self.expr();
        self.in_guard = before;
        guard
    }
}

/// A primary expression: a kind that gets a node of its own, or an expression that is finished.
enum Primary {
    Kind(ExprKind),
    Inner(Expr),
}

/// Whether an operand can begin with this token.
fn begins_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Name
            | Kind::Int
            | Kind::Float
            | Kind::Duration
            | Kind::Timestamp
            | Kind::Str
            | Kind::LeftParen
            | Kind::LeftBracket
            | Kind::LeftBrace
            | Kind::Minus
            | Kind::Tilde
    )
}
