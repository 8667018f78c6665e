//! The literals of a program, with the errors that their text can hold. A bad one is reported and stands for null, so
//! that the rest of its expression is read.

use super::super::diagnostic::Diagnostic;
use super::super::lexer::{Kind, Token};
use super::super::literal;
use super::super::syntax::{Literal, Span};
use super::{Parsed, Parser};

impl Parser<'_> {
    /// The literal at hand, but for words; none where there is none.
    pub(super) fn literal(&mut self) -> Parsed<Option<Literal>> {
        Ok(Some(match self.peek() {
            Kind::Int | Kind::Float | Kind::Duration => self.number(false),
            Kind::Str => Literal::Str(self.string().0),
            Kind::Timestamp => {
                let token = self.bump();
                match literal::timestamp(self.text_of(token)) {
                    Ok(nanoseconds) => Literal::Timestamp(nanoseconds),
                    Err(why) => {
                        let text = self.text_of(token);
                        self.complain(
                            Diagnostic::error(token.span(), format!("`{text}` is no time")).help(why),
                        );
                        Literal::Null
                    }
                }
            }
            _ => return Ok(None),
        }))
    }

    /// `true`, `false`, `null`
    pub(super) fn word_literal(&mut self) -> Option<Literal> {
        let literal = match self.word(0) {
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "null" => Literal::Null,
            _ => return None,
        };
        self.bump();
        Some(literal)
    }

    /// The int, float or duration at hand. A minus before an int or float counts, because the least int has one more
    /// than the greatest.
    pub(super) fn number(&mut self, negative: bool) -> Literal {
        let token = self.bump();
        let text = self.text_of(token);
        match token.kind {
            Kind::Int => {
                let value =
                    literal::int(text).map(i128::from).map(|value| if negative { -value } else { value });
                let value = value.and_then(|value| i64::try_from(value).ok());
                if value.is_none() {
                    self.int_out_of_range(token);
                }
                value.map_or(Literal::Null, Literal::Int)
            }
            Kind::Float => match literal::float(text) {
                Some(value) => Literal::Float(if negative { -value } else { value }),
                None => self.number_too_large(token, "float"),
            },
            _ => match literal::duration(text) {
                Some(value) => Literal::Duration(value),
                None => self.number_too_large(token, "duration"),
            },
        }
    }

    fn number_too_large(&mut self, token: Token, kind: &str) -> Literal {
        let shown: String = self.text_of(token).chars().take(40).collect();
        let help = match kind {
            "duration" => "a duration is at most 106751 days",
            _ => "a float is at most about 1.8e308",
        };
        self.complain(
            Diagnostic::error(token.span(), format!("the {kind} {shown} is out of range")).help(help),
        );
        Literal::Null
    }

    /// The value of the string token at hand.
    pub(super) fn string(&mut self) -> (String, Span) {
        let token = self.bump();
        let (value, bad) = literal::string(self.text_of(token), token.start as usize);
        for escape in bad {
            self.complain(Diagnostic::error(escape.span, escape.message));
        }
        (value, token.span())
    }

    /// Reports an int literal that no i64 can hold.
    pub(super) fn int_out_of_range(&mut self, token: Token) {
        let mut shown: String = self.text_of(token).chars().take(40).collect();
        if shown.len() < self.text_of(token).len() {
            shown.push('…');
        }
        let message = format!("the int literal {shown} is out of range");
        let error = Diagnostic::error(token.span(), message).help(format!(
            "an int lies between {} and {}",
            i64::MIN,
            i64::MAX
        ));
        self.complain(error);
    }
}
