//! The operators of a stream: each name with the arguments it takes.

use super::super::diagnostic::Diagnostic;
use super::super::lexer::{Kind, Token};
use super::super::suggest::closest;
use super::super::syntax::{
    Expr, ExprKind, Name, NamedExpr, Operator, OperatorKind, OrderKey, Span, Step, Trend, WindowSpec,
};
use super::{Parsed, Parser, Stop, is_closing};

/// The operators that varpin has a meaning for, now or with a later issue.
const OPERATORS: [&str; 33] = [
    "context",
    "where",
    "filter",
    "map",
    "select",
    "emit",
    "partition_by",
    "window",
    "aggregate",
    "having",
    "distinct",
    "order_by",
    "limit",
    "watermark",
    "allowed_lateness",
    "print",
    "log",
    "tap",
    "process",
    "on_error",
    "concurrent",
    "to",
    "from",
    "on",
    "within",
    "not",
    "increasing",
    "decreasing",
    "strict",
    "stnm",
    "stam",
    "each",
    "longest",
];

/// The rest of the language's operators: they parse and are refused by name.
const RESERVED: [&str; 10] =
    ["any", "all", "first", "collect", "pattern", "score", "forecast", "trend_aggregate", "enrich", "alert"];

/// Operators that other systems have, and what they are called here.
const FOREIGN: [(&str, &str); 8] = [
    ("group_by", "partition_by"),
    ("key_by", "partition_by"),
    ("sort_by", "order_by"),
    ("sort", "order_by"),
    ("take", "limit"),
    ("reduce", "aggregate"),
    ("unique", "distinct"),
    ("sink", "to"),
];

/// Whether the language has an operator of this name.
pub(super) fn is_operator(name: &str) -> bool {
    OPERATORS.contains(&name) || RESERVED.contains(&name) || matches!(name, "subsets" | "fork")
}

impl Parser<'_> {
    /// Operators up to the first token that begins none.
    pub(super) fn operators(&mut self) -> Vec<Operator> {
        let mut operators = Vec::new();
        while matches!(self.peek(), Kind::Dot | Kind::Arrow) {
            let level = self.brackets;
            match self.operator() {
                Ok(operator) => operators.push(operator),
                Err(Stop) => self.skip_operator(level),
            }
        }
        operators
    }

    /// Skips to where the next operator, or what follows the operators, may begin; `level` brackets are open around
    /// the operator.
    pub(super) fn skip_operator(&mut self, level: u32) {
        loop {
            let kind = self.raw(0).kind;
            let outside = self.brackets <= level;
            let next_operator = kind == Kind::Dot && self.raw(1).kind == Kind::Name || kind == Kind::Arrow;
            let around = level > 0 && (kind == Kind::Comma || is_closing(kind));
            if outside && (next_operator || around) || self.at_boundary() || self.peek() == Kind::LineEnd {
                break;
            }
            self.bump();
        }
        self.brackets = level;
    }

    /// Whether the name `ahead` has behind it what an operator has: `(`, or `as Type (` behind `emit`.
    pub(super) fn calls_operator(&self, ahead: usize) -> bool {
        if self.word(ahead) == "emit" && self.word(ahead + 1) == "as" {
            let length = self.name_length(ahead + 2);
            return length > 0 && self.nth(ahead + 2 + length) == Kind::LeftParen;
        }
        self.nth(ahead + 1) == Kind::LeftParen
    }

    fn operator(&mut self) -> Parsed<Operator> {
        let start = self.start();
        if self.peek() == Kind::Arrow {
            let name_span = self.bump().span();
            let kind = OperatorKind::FollowedBy(self.step()?);
            return Ok(Operator { kind, span: self.span_from(start), name_span });
        }
        let dot = self.next;
        self.bump();
        let name = self.expect(Kind::Name, "the name of an operator")?;
        let word = self.text_of(name);
        if !is_operator(word) {
            return self.unknown_operator(name, dot);
        }
        let kind = if word == "emit" { self.emit()? } else { self.called(name, word)? };
        Ok(Operator { kind, span: self.span_from(start), name_span: name.span() })
    }

    fn unknown_operator<T>(&mut self, name: Token, dot: usize) -> Parsed<T> {
        let word = self.text_of(name);
        let error = Diagnostic::error(name.span(), format!("`.{word}` is no operator of a stream"));
        let foreign = FOREIGN.iter().find(|(other, _)| *other == word).map(|(_, ours)| *ours);
        let known = OPERATORS.into_iter().chain(["subsets", "fork"]).chain(RESERVED);
        let error = match foreign.or_else(|| closest(word, known)) {
            Some(near) => error.help(format!("did you mean `.{near}`?")),
            None if self.guard_end == dot => error.help(format!(
                "the guard ends at `.{word}(`, which begins an operator; put a guard that calls a method in parentheses"
            )),
            None => error,
        };
        self.complain(error);
        self.silent_at = Some(self.next);
        Err(Stop)
    }

    /// An operator whose name was taken, but for `emit`.
    fn called(&mut self, name: Token, word: &str) -> Parsed<OperatorKind> {
        if self.peek() != Kind::LeftParen {
            let message = format!("expected `(` behind `.{word}`, found {}", self.found());
            return self.fail(message);
        }
        let open = self.bump();
        if self.peek() == Kind::RightParen && takes_one(word) {
            let error = Diagnostic::error(name.span(), format!("`.{word}` needs an argument"));
            self.complain(error);
            self.bump();
            return Err(Stop);
        }
        Ok(match word {
            "context" => OperatorKind::Context(self.single_name(open, "the name of a context")?),
            "where" => OperatorKind::Where(self.single(open)?),
            "filter" => OperatorKind::Filter(self.single(open)?),
            "map" => OperatorKind::Map(self.single(open)?),
            "select" => OperatorKind::Select(self.items(open)?),
            "partition_by" => OperatorKind::PartitionBy(self.single(open)?),
            "window" => OperatorKind::Window(self.window(open)?),
            "aggregate" => OperatorKind::Aggregate(self.items(open)?),
            "having" => OperatorKind::Having(self.single(open)?),
            "distinct" if self.peek() == Kind::RightParen => {
                self.bump();
                OperatorKind::Distinct(None)
            }
            "distinct" => OperatorKind::Distinct(Some(self.single(open)?)),
            "order_by" => OperatorKind::OrderBy(self.list(open, Kind::RightParen, Self::order_key)?),
            "limit" => OperatorKind::Limit(self.single(open)?),
            "watermark" => OperatorKind::Watermark(self.items(open)?),
            "allowed_lateness" => OperatorKind::AllowedLateness(self.single(open)?),
            "print" => OperatorKind::Print(self.items(open)?),
            "log" => OperatorKind::Log(self.items(open)?),
            "tap" => OperatorKind::Tap(self.items(open)?),
            "process" => OperatorKind::Process(self.single(open)?),
            "on_error" => OperatorKind::OnError(self.single(open)?),
            "concurrent" => OperatorKind::Concurrent(self.items(open)?),
            "to" => OperatorKind::To(self.items(open)?),
            "from" => OperatorKind::From(self.items(open)?),
            "on" => OperatorKind::On(self.single(open)?),
            "within" => OperatorKind::Within(self.single(open)?),
            "not" => OperatorKind::Not(self.negated_step(open)?),
            "increasing" => OperatorKind::Trend(Trend::Increasing, self.single_name(open, "a field")?),
            "decreasing" => OperatorKind::Trend(Trend::Decreasing, self.single_name(open, "a field")?),
            "strict" => self.without_arguments(open, OperatorKind::Strict)?,
            "stnm" => self.without_arguments(open, OperatorKind::Stnm)?,
            "stam" => self.without_arguments(open, OperatorKind::Stam)?,
            "each" => self.without_arguments(open, OperatorKind::Each)?,
            "longest" => self.without_arguments(open, OperatorKind::Longest)?,
            "subsets" => self.without_arguments(open, OperatorKind::Subsets)?,
            "fork" => {
                OperatorKind::Fork(self.deeper(|parser| parser.list(open, Kind::RightParen, Self::path))?)
            }
            _ => {
                let args = self.list(open, Kind::RightParen, Self::reserved_argument)?;
                OperatorKind::Reserved { name: word.to_owned(), args }
            }
        })
    }

    /// `name: value` and `value` items up to the closing parenthesis.
    fn items(&mut self, open: Token) -> Parsed<Vec<NamedExpr>> {
        self.list(open, Kind::RightParen, Self::named_expr)
    }

    fn without_arguments(&mut self, open: Token, kind: OperatorKind) -> Parsed<OperatorKind> {
        self.close(open, Kind::RightParen)?;
        Ok(kind)
    }

    /// `[as Type] ( fields )`
    fn emit(&mut self) -> Parsed<OperatorKind> {
        let as_type = if self.eat_word("as") { Some(self.name("an event type")?) } else { None };
        if self.peek() != Kind::LeftParen {
            return self.expected("`(` behind `.emit`");
        }
        let open = self.bump();
        Ok(OperatorKind::Emit { as_type, fields: self.items(open)? })
    }

    fn order_key(&mut self) -> Parsed<OrderKey> {
        let value = self.expr()?;
        let descending = self.eat_word("desc");
        if !descending {
            self.eat_word("asc");
        }
        Ok(OrderKey { value, descending })
    }

    fn negated_step(&mut self, open: Token) -> Parsed<Step> {
        let step = self.bracketed(Self::step)?;
        self.close(open, Kind::RightParen)?;
        Ok(step)
    }

    /// `name: operators` of a fork.
    fn path(&mut self) -> Parsed<(Name, Vec<Operator>)> {
        let name = self.name("a name for the path")?;
        self.expect(Kind::Colon, "`:` and operators")?;
        if !matches!(self.peek(), Kind::Dot | Kind::Arrow) {
            return self.expected("an operator, as in `.where(..)`");
        }
        Ok((name, self.operators()))
    }

    /// An argument of an operator that is refused anyway. `.pattern(p: A -> B)` may hold a sequence there, which the
    /// tree keeps as an array of its steps.
    fn reserved_argument(&mut self) -> Parsed<NamedExpr> {
        let mut item = self.named_expr()?;
        if self.peek() == Kind::Arrow {
            let start = item.value.span.start;
            let mut steps = vec![item.value];
            while self.eat(Kind::Arrow) {
                steps.push(self.expr()?);
            }
            let height = self.above(self.height)?;
            self.raise(height);
            item.value = Expr { kind: ExprKind::Array(steps), span: self.span_from(start) };
        }
        Ok(item)
    }

    /// The arguments of `.window`: the reference's forms and those of the guides.
    fn window(&mut self, open: Token) -> Parsed<WindowSpec> {
        let mut size = None;
        let mut session = None;
        let mut sliding = None;
        let mut policy = None;
        self.list(open, Kind::RightParen, |parser| {
            let start = parser.raw(0).span();
            let name = parser.window_word()?;
            let slot = match name {
                "sliding" => &mut sliding,
                "policy" => &mut policy,
                "session" => &mut session,
                _ => &mut size,
            };
            let value = parser.expr()?;
            if slot.replace(value).is_some() {
                let what = if name.is_empty() { "size" } else { name };
                let error = Diagnostic::error(start, format!("this window's {what} is said twice"));
                parser.complain(error);
            }
            // `sliding 10s by 5s`
            if name == "size" && parser.eat_word("by") {
                sliding = Some(parser.expr()?);
            }
            Ok(())
        })?;
        match (size, session) {
            (Some(size), None) => Ok(WindowSpec::Size { size, sliding, policy }),
            (None, Some(gap)) if sliding.is_none() && policy.is_none() => Ok(WindowSpec::Session { gap }),
            (_, Some(_)) => self.window_error(open, "a session window takes nothing but `session: gap`"),
            (None, None) => self.window_error(open, "this window has no size"),
        }
    }

    fn window_error<T>(&mut self, open: Token, message: &str) -> Parsed<T> {
        let span = Span { start: open.start, end: self.span_from(open.start).end };
        let forms = "as in `.window(5s)`, `.window(10, sliding: 2)`, `.window(session: 30s)`";
        self.complain(Diagnostic::error(span, message).help(forms));
        Err(Stop)
    }

    /// Takes the word that says what the next argument of a window is: `sliding policy session size`, or nothing.
    fn window_word(&mut self) -> Parsed<&'static str> {
        if self.peek() == Kind::Name && self.nth(1) == Kind::Colon {
            let word = self.word(0);
            let name = match word {
                "sliding" => "sliding",
                "policy" => "policy",
                "session" => "session",
                "count" => "count",
                _ => {
                    let error = Diagnostic::error(self.raw(0).span(), format!("a window has no `{word}:`"));
                    let near = closest(word, ["sliding", "policy", "session", "count"]);
                    return Err(self.stop(match near {
                        Some(near) => error.help(format!("did you mean `{near}:`?")),
                        None => error.help("it has `sliding:`, `policy:`, `session:` and `count:`"),
                    }));
                }
            };
            self.bump();
            self.bump();
            return Ok(name);
        }
        // The guides' `tumbling 30s`, `sliding 10s by 5s`, `session 30s`.
        let value_follows = matches!(self.nth(1), Kind::Int | Kind::Duration)
            || self.nth(1) == Kind::Name && !super::expressions::WORD_OPERATORS.contains(&self.word(1));
        let name = match self.word(0) {
            "tumbling" | "sliding" if value_follows => "size",
            "session" if value_follows => "session",
            _ => return Ok(""),
        };
        self.bump();
        Ok(name)
    }
}

/// Operators that mean nothing without an argument, and take just one.
fn takes_one(word: &str) -> bool {
    matches!(
        word,
        "context"
            | "where"
            | "filter"
            | "map"
            | "partition_by"
            | "having"
            | "limit"
            | "allowed_lateness"
            | "process"
            | "on_error"
            | "on"
            | "within"
            | "not"
            | "increasing"
            | "decreasing"
    )
}
