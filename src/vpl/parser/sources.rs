//! Where a stream's events come from: types, merges, joins, timers, connectors, and the steps of sequences.

use super::super::lexer::Kind;
use super::super::syntax::{
    Branch, Expr, JoinKind, JoinSide, Name, NamedExpr, SequenceItem, Source, SourceKind, Step, Trend,
};
use super::{Parsed, Parser};

impl Parser<'_> {
    pub(super) fn source(&mut self) -> Parsed<Source> {
        let start = self.start();
        let kind = self.source_kind()?;
        Ok(Source { kind, span: self.span_from(start) })
    }

    fn source_kind(&mut self) -> Parsed<SourceKind> {
        if self.nth(1) == Kind::LeftParen {
            let join = match self.word(0) {
                "merge" => {
                    self.bump();
                    let open = self.bump();
                    return Ok(SourceKind::Merge(self.list(open, Kind::RightParen, Self::branch)?));
                }
                "timer" => return self.timer(),
                "sequence" => {
                    self.bump();
                    let open = self.bump();
                    return Ok(SourceKind::Sequence(self.list(
                        open,
                        Kind::RightParen,
                        Self::sequence_item,
                    )?));
                }
                "join" => JoinKind::Inner,
                "left_join" => JoinKind::Left,
                "right_join" => JoinKind::Right,
                "full_join" => JoinKind::Full,
                word => {
                    let near = super::closest(word, SOURCE_WORDS);
                    let message = format!("`{word}` is no source of a stream");
                    let error = super::Diagnostic::error(self.raw(0).span(), message);
                    return Err(self.stop(match near {
                        Some(near) => error.help(format!("did you mean `{near}`?")),
                        None => error.help(format!(
                            "a source is an event type, a stream, or one of {}",
                            SOURCE_WORDS.join(", ")
                        )),
                    }));
                }
            };
            self.bump();
            let open = self.bump();
            return Ok(SourceKind::Join(join, self.list(open, Kind::RightParen, Self::join_side)?));
        }
        if self.peek() == Kind::Name
            && self.nth(1) == Kind::Dot
            && self.word(2) == "from"
            && self.nth(3) == Kind::LeftParen
        {
            let event_type = self.name_here();
            self.bump();
            self.bump();
            return self.connector_source(event_type);
        }
        Ok(SourceKind::Step(self.step()?))
    }

    fn timer(&mut self) -> Parsed<SourceKind> {
        self.bump();
        let open = self.bump();
        let (interval, initial_delay) = self.bracketed(|parser| {
            let interval = parser.expr()?;
            let mut initial_delay = None;
            if parser.eat(Kind::Comma) && parser.peek() != Kind::RightParen {
                parser.expect_word("initial_delay", "as the second argument")?;
                parser.expect(Kind::Colon, "`:`")?;
                initial_delay = Some(parser.expr()?);
                parser.eat(Kind::Comma);
            }
            Ok((interval, initial_delay))
        })?;
        self.close(open, Kind::RightParen)?;
        Ok(SourceKind::Timer { interval, initial_delay })
    }

    /// `(connector, key: value)` behind `Type.from`.
    fn connector_source(&mut self, event_type: Name) -> Parsed<SourceKind> {
        let open = self.bump();
        let mut connector = None;
        let mut settings = Vec::new();
        self.list(open, Kind::RightParen, |parser| {
            if connector.is_none() {
                connector = Some(parser.name("the name of a connector")?);
            } else {
                settings.push(parser.setting_entry()?);
            }
            Ok(())
        })?;
        match connector {
            Some(connector) => Ok(SourceKind::From { event_type, connector, settings }),
            None => self.fail("`.from` needs the name of a connector"),
        }
    }

    /// `stream name =` before a branch or side.
    fn inline_name(&mut self) -> Parsed<Option<Name>> {
        if !(self.at_word("stream") && self.nth(1) == Kind::Name) {
            return Ok(None);
        }
        self.bump();
        let name = self.name("a name")?;
        self.expect(Kind::Equals, "`=` and a source")?;
        Ok(Some(name))
    }

    fn branch(&mut self) -> Parsed<Branch> {
        let name = self.inline_name()?;
        let source = self.name("an event type or a stream")?;
        let filter = if self.peek() == Kind::Dot { Some(self.suffix("where")?) } else { None };
        Ok(Branch { name, source, filter })
    }

    fn join_side(&mut self) -> Parsed<JoinSide> {
        let name = self.inline_name()?;
        let source = self.name("an event type or a stream")?;
        let on = if self.eat_word("on") {
            Some(self.guard()?)
        } else if self.peek() == Kind::Dot {
            Some(self.suffix("on")?)
        } else {
            None
        };
        Ok(JoinSide { name, source, on })
    }

    /// `.word(e)`
    fn suffix(&mut self, word: &'static str) -> Parsed<Expr> {
        self.expect(Kind::Dot, "`.`")?;
        self.expect_word(word, "here")?;
        let open = self.expect(Kind::LeftParen, "`(`")?;
        self.single(open)
    }

    fn sequence_item(&mut self) -> Parsed<SequenceItem> {
        let alias = self.name("a name for the step, as in `a: Type`")?;
        self.expect(Kind::Colon, "`:` and an event type")?;
        let source = self.name("an event type or a stream")?;
        let filter = if self.eat_word("where") { Some(self.guard()?) } else { None };
        let within = if self.peek() == Kind::Dot { Some(self.suffix("within")?) } else { None };
        Ok(SequenceItem { alias, source, filter, within })
    }

    /// `[all] [NOT] Type [.increasing(f)] [where guard] [as alias]`, the last two in either order.
    pub(super) fn step(&mut self) -> Parsed<Step> {
        let start = self.start();
        let all = self.eat_prefix("all");
        let negated = self.eat_prefix("NOT");
        let source = self.name("an event type or a stream")?;
        let trend = match self.trend_word() {
            Some(trend) => Some((trend, self.trend_field()?)),
            None => None,
        };
        let mut guard = None;
        let mut alias = None;
        loop {
            if guard.is_none() && self.eat_word("where") {
                guard = Some(self.guard()?);
            } else if alias.is_none() && self.eat_word("as") {
                alias = Some(self.name("an alias")?);
            } else {
                break;
            }
        }
        Ok(Step { all, negated, source, trend, guard, alias, span: self.span_from(start) })
    }

    /// `all` or `NOT`, unless it is the name of the source itself.
    fn eat_prefix(&mut self, word: &str) -> bool {
        let behind = self.raw(1);
        let source_follows = self.nth(1) == Kind::Name
            && !matches!(self.word(1), "as" | "where")
            && !(behind.first_on_line
                && matches!(self.nth(2), Kind::Name | Kind::Assign | Kind::Colon | Kind::Str));
        source_follows && self.eat_word(word)
    }

    /// Which of `.increasing(` and `.decreasing(` stands at hand.
    fn trend_word(&self) -> Option<Trend> {
        if self.peek() != Kind::Dot || self.nth(2) != Kind::LeftParen {
            return None;
        }
        match self.word(1) {
            "increasing" => Some(Trend::Increasing),
            "decreasing" => Some(Trend::Decreasing),
            _ => None,
        }
    }

    /// The field of a trend; its dot is at hand.
    fn trend_field(&mut self) -> Parsed<Name> {
        self.bump();
        self.bump();
        let open = self.bump();
        self.single_name(open, "a field")
    }

    /// A name in parentheses; the first was taken.
    pub(super) fn single_name(&mut self, open: super::Token, what: &str) -> Parsed<Name> {
        let name = self.bracketed(|parser| {
            let name = parser.name(what)?;
            parser.eat(Kind::Comma);
            Ok(name)
        })?;
        self.close(open, Kind::RightParen)?;
        Ok(name)
    }

    /// An expression in parentheses; the first was taken.
    pub(super) fn single(&mut self, open: super::Token) -> Parsed<Expr> {
        let expr = self.bracketed(|parser| {
            let expr = parser.expr()?;
            parser.eat(Kind::Comma);
            Ok(expr)
        })?;
        self.close(open, Kind::RightParen)?;
        Ok(expr)
    }

    /// `name: value` or `value`
    pub(super) fn named_expr(&mut self) -> Parsed<NamedExpr> {
        let named = self.at_name_before(Kind::Colon);
        let name = if named {
            let name = self.name("a name")?;
            self.expect(Kind::Colon, "`:`")?;
            Some(name)
        } else {
            None
        };
        Ok(NamedExpr { name, value: self.expr()? })
    }
}

/// The words that begin a source with parentheses.
const SOURCE_WORDS: [&str; 7] =
    ["merge", "join", "left_join", "right_join", "full_join", "timer", "sequence"];
