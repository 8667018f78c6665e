//! Text to tokens: kinds and places only, values are read by the parser.
//!
//! Comments and white space are left out, but every token knows whether it is the first of its line and in which
//! column it stands: the parser needs that for the blocks that `:` opens. Bytes that are no token become one
//! [`Kind::Bad`] token per run, already reported, at which the parser stays silent.

use logos::{Lexer, Logos};

use super::diagnostic::Diagnostic;
use super::syntax::Span;

/// What a token is. Words are all [`Kind::Name`]: which of them are keywords depends on where they stand.
#[derive(Logos, Clone, Copy, Debug, PartialEq, Eq)]
#[logos(skip r"[ \t\r\n\f\u{FEFF}]+")]
#[logos(skip(r"(#|//)[^\n]*", allow_greedy = true))]
pub(crate) enum Kind {
    #[regex(r"[A-Za-z_][A-Za-z0-9_]*")]
    Name,
    #[regex(r"[0-9][0-9_]*")]
    Int,
    #[regex(r"[0-9][0-9_]*\.[0-9][0-9_]*([eE][+-]?[0-9]+)?", priority = 20)]
    #[regex(r"[0-9][0-9_]*[eE][+-]?[0-9]+", priority = 20)]
    Float,
    #[regex(r"([0-9][0-9_]*(ns|us|ms|s|m|h|d))+", priority = 20)]
    Duration,
    #[regex(
        r"@[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?",
        priority = 20
    )]
    Timestamp,
    #[regex(r#""([^"\\\n]|\\[^\n])*""#, priority = 20)]
    #[regex(r"'([^'\\\n]|\\[^\n])*'", priority = 20)]
    Str,
    /// Digits with letters that are no unit: `5x`, `1.5s`.
    #[regex(r"[0-9][0-9_]*(\.[0-9][0-9_]*)?[A-Za-z][A-Za-z0-9_]*", priority = 4)]
    BadNumber,
    /// `@` without a date behind it.
    #[regex(r"@[0-9A-Za-z_]*", priority = 4)]
    BadTimestamp,
    /// A string that its line does not close.
    #[regex(r#""([^"\\\n]|\\[^\n])*\\?"#, priority = 4)]
    #[regex(r"'([^'\\\n]|\\[^\n])*\\?", priority = 4)]
    OpenString,
    /// `/*` up to its `*/`, with comments inside; never leaves [`tokens`].
    #[token("/*", block_comment)]
    Comment,
    /// The same without its end.
    OpenComment,
    #[token("(")]
    LeftParen,
    #[token(")")]
    RightParen,
    #[token("[")]
    LeftBracket,
    #[token("]")]
    RightBracket,
    #[token("{")]
    LeftBrace,
    #[token("}")]
    RightBrace,
    #[token(",")]
    Comma,
    #[token(":")]
    Colon,
    #[token(";")]
    Semicolon,
    #[token(":=")]
    Assign,
    #[token("=")]
    Equals,
    #[token(".")]
    Dot,
    #[token("?.")]
    QuestionDot,
    #[token("?")]
    Question,
    #[token("??")]
    QuestionQuestion,
    #[token("..")]
    DotDot,
    #[token("..=")]
    DotDotEquals,
    #[token("->")]
    Arrow,
    #[token("=>")]
    FatArrow,
    #[token("==")]
    EqualsEquals,
    #[token("!=")]
    NotEquals,
    #[token("<")]
    Less,
    #[token("<=")]
    LessEquals,
    /// `>>` is two of these side by side, so that `Stream<Stream<T>>` closes.
    #[token(">")]
    Greater,
    #[token(">=")]
    GreaterEquals,
    #[token("<<")]
    LessLess,
    #[token("+")]
    Plus,
    #[token("-")]
    Minus,
    #[token("*")]
    Star,
    #[token("**")]
    StarStar,
    #[token("/")]
    Slash,
    #[token("%")]
    Percent,
    #[token("|")]
    Pipe,
    #[token("^")]
    Caret,
    #[token("&")]
    Ampersand,
    #[token("~")]
    Tilde,
    /// Not of this language, but written often enough to be answered by name.
    #[token("&&")]
    AndAnd,
    /// As [`Kind::AndAnd`].
    #[token("||")]
    PipePipe,
    /// As [`Kind::AndAnd`].
    #[token("!")]
    Bang,
    /// A run of bytes that are no token.
    Bad,
    /// The end of a statement within a block: what the parser sees instead of the first token of the next line.
    LineEnd,
    /// The end of the text; always the last token.
    End,
}

/// Runs to the end of a `/*` comment, counting the comments inside instead of recursing into them.
fn block_comment(lexer: &mut Lexer<'_, Kind>) -> Kind {
    let rest = lexer.remainder().as_bytes();
    let mut open = 1;
    let mut at = 0;
    while let Some(step) = memchr::memchr2(b'*', b'/', &rest[at..]) {
        at += step;
        let pair = rest.get(at..at + 2).unwrap_or_default();
        match pair {
            b"*/" => open -= 1,
            b"/*" => open += 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if open == 0 {
            lexer.bump(at);
            return Kind::Comment;
        }
    }
    lexer.bump(rest.len());
    Kind::OpenComment
}

/// A token and where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Nothing but white space and comments stands before it on its line.
    pub(crate) first_on_line: bool,
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Bytes between the beginning of the line and the token.
    pub(crate) column: u32,
}

impl Token {
    pub(crate) fn span(self) -> Span {
        Span { start: self.start, end: self.end }
    }
}

impl Kind {
    /// Reported by [`tokens`] already; whoever stumbles over it stays silent.
    pub(crate) fn is_reported(self) -> bool {
        matches!(self, Self::Bad | Self::BadNumber | Self::BadTimestamp | Self::OpenString)
    }
}

/// What is wrong with a token, if anything is.
fn error(text: &str, token: Token) -> Option<Diagnostic> {
    if !token.kind.is_reported() {
        return None;
    }
    let run = &text[token.start as usize..token.end as usize];
    let mut shown: String = run.chars().take(20).flat_map(char::escape_debug).collect();
    if run.chars().nth(20).is_some() {
        shown.push('…');
    }
    let error = |message: String| Diagnostic::error(token.span(), message);
    Some(match token.kind {
        Kind::BadNumber => error(format!("`{shown}` is no number")).help(
            "a duration is a whole number with one of the units ns us ms s m h d, as in `1500ms` or `1h30m`",
        ),
        Kind::BadTimestamp => error(format!("`{shown}` is no timestamp"))
            .help("a timestamp is written `@2024-01-15` or `@2024-01-15T10:30:00Z`"),
        Kind::OpenString => error("this string is not closed on its line".to_owned())
            .help("a line break within a string is written `\\n`"),
        _ => error(format!("`{shown}` has no meaning here")).label("not part of the language"),
    })
}

/// The tokens of a text, [`Kind::End`] last. What is wrong goes to `report`.
pub(crate) fn tokens(text: &str, mut report: impl FnMut(Diagnostic)) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens: Vec<Token> = Vec::with_capacity(text.len() / 4 + 1);
    let mut line_start = 0;
    let mut scanned = 0;
    let mut first_on_line = true;
    let mut add = |tokens: &mut Vec<Token>, kind, start: usize, end: usize| {
        if let Some(newline) = memchr::memrchr(b'\n', &bytes[scanned..start]) {
            line_start = scanned + newline + 1;
            first_on_line = true;
        }
        scanned = start;
        let column = (start - line_start) as u32;
        tokens.push(Token { kind, first_on_line, start: start as u32, end: end as u32, column });
        first_on_line = false;
    };
    let mut lexer = Kind::lexer(text);
    while let Some(token) = lexer.next() {
        let place = lexer.span();
        match token {
            Ok(Kind::Comment) => {}
            Ok(Kind::OpenComment) => {
                report(
                    Diagnostic::error(
                        Span::new(place.start, place.start + 2),
                        "this comment is never closed",
                    )
                    .label("`*/` is missing"),
                );
            }
            Ok(kind) => add(&mut tokens, kind, place.start, place.end),
            Err(()) => match tokens.last_mut() {
                Some(last) if last.kind == Kind::Bad && last.end as usize == place.start => {
                    last.end = place.end as u32;
                }
                _ => add(&mut tokens, Kind::Bad, place.start, place.end),
            },
        }
    }
    for token in &tokens {
        if let Some(error) = error(text, *token) {
            report(error);
        }
    }
    add(&mut tokens, Kind::End, text.len(), text.len());
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text, |_| {}).into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn numbers_units_and_dots_part_where_they_should() {
        use Kind::{BadNumber, Dot, DotDot, Duration, End, Float, Int, Name, Timestamp};
        assert_eq!(kinds("1..4"), [Int, DotDot, Int, End]);
        assert_eq!(kinds("1.5 1e3 1.5e-3 1_000"), [Float, Float, Float, Int, End]);
        assert_eq!(kinds("5s 1h30m 5x 1.5s"), [Duration, Duration, BadNumber, BadNumber, End]);
        assert_eq!(kinds("1.within"), [Int, Dot, Name, End]);
        assert_eq!(kinds("@2024-01-15T10:30:00.5+01:00"), [Timestamp, End]);
        assert_eq!(kinds("notional all_day in1"), [Name, Name, Name, End]);
    }

    #[test]
    fn comments_nest_and_vanish() {
        assert_eq!(
            kinds("a /* x /* y */ z */ b // c\n# d\ne"),
            [Kind::Name; 3].into_iter().chain([Kind::End]).collect::<Vec<_>>()
        );
        assert_eq!(kinds("/**/"), [Kind::End]);
        assert_eq!(kinds("/*/ a */"), [Kind::End]);
        let mut errors = 0;
        tokens("a /* b", |_| errors += 1);
        assert_eq!(errors, 1);
    }

    #[test]
    fn a_run_of_bad_bytes_is_one_error() {
        let mut errors = Vec::new();
        let found = tokens("a $$$€€ b `` \"x", |error| errors.push(error.span));
        assert_eq!(errors.len(), 3, "{errors:?}");
        assert_eq!((errors[0].start, errors[0].end), (2, 11));
        assert_eq!(
            found.iter().map(|token| token.kind).collect::<Vec<_>>(),
            [Kind::Name, Kind::Bad, Kind::Name, Kind::Bad, Kind::OpenString, Kind::End]
        );
    }

    #[test]
    fn tokens_know_their_line_and_column() {
        let found = tokens("a b\n  c /*\n*/ d", |_| {});
        let places: Vec<_> = found.iter().map(|token| (token.first_on_line, token.column)).collect();
        assert_eq!(places[..4], [(true, 0), (false, 2), (true, 2), (true, 3)]);
    }
}
