//! Tokens to the syntax tree: recursive descent that always ends, in linear time and bounded depth, with *all* errors.
//!
//! A function that cannot go on reports why and returns `Stop`; the nearest list, operator, line of a block or
//! statement around it skips to where it can start afresh. Until a token has been taken after an error, further errors
//! at the same token are echoes and stay silent.
//!
//! Bounds, each with its own message: [`MAX_SOURCE_BYTES`], [`MAX_NESTING`], [`MAX_DIAGNOSTICS`]. The nesting bound
//! holds for the recursion of the parser (`depth`) and for the height of every finished tree (`height`), so that
//! whoever walks or drops a tree may recurse as well. Time is linear because every token is taken once, is skipped
//! at most once, and lookahead never runs over the same tokens twice; [`ParseStats`] counts it.
//!
//! Layout: newlines mean nothing, except that within a block opened by `:` a token that begins a line at or before the
//! block's column (`fence`) ends the statement before it. Brackets lift the fence.

pub(super) mod blocks;
pub(super) mod expressions;
mod literals;
mod operators;
mod sources;
mod statements;

use std::cell::Cell;

use super::diagnostic::Diagnostic;
use super::lexer::{self, Kind, Token};
use super::suggest::closest;
use super::syntax::{Name, Program, Span};

/// The longest source that is read, in bytes.
pub const MAX_SOURCE_BYTES: usize = 4 << 20;
/// How deep anything may nest: brackets, lambdas, blocks, types, chains of operators.
pub const MAX_NESTING: u32 = 200;
/// How many errors are told; one more says how many were left out.
pub const MAX_DIAGNOSTICS: usize = 100;

/// What a parse cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseStats {
    /// Tokens of the text, comments not counted, the end counted.
    pub tokens: u64,
    /// How often the parser looked at a token.
    pub steps: u64,
}

/// Reads a program. Whatever is wrong is in the diagnostics, in the order of the text; what could be read in spite of
/// it is in the program.
///
/// ```
/// let (program, diagnostics) = varpin::vpl::parser::parse("stream Hot = Sensor.where(t > 80.0)");
/// assert!(diagnostics.is_empty());
/// assert_eq!(program.statements.len(), 1);
///
/// let (_, diagnostics) = varpin::vpl::parser::parse("stream Hot = Sensor.wher(t > 80.0)");
/// assert_eq!(diagnostics[0].help.as_deref(), Some("did you mean `.where`?"));
/// ```
pub fn parse(text: &str) -> (Program, Vec<Diagnostic>) {
    let (program, diagnostics, _) = parse_counted(text);
    (program, diagnostics)
}

/// As [`parse`], and says what it cost.
pub fn parse_counted(text: &str) -> (Program, Vec<Diagnostic>, ParseStats) {
    if text.len() > MAX_SOURCE_BYTES {
        let message = format!(
            "the program is {} bytes long; at most {MAX_SOURCE_BYTES} bytes (4 MB) are read",
            text.len()
        );
        let error = Diagnostic::error(Span::new(0, 0), message);
        return (Program::default(), vec![error], ParseStats { tokens: 0, steps: 0 });
    }
    let mut findings = Findings::default();
    let tokens = lexer::tokens(text, |error| findings.add(error));
    let mut parser = Parser::new(text, tokens, findings);
    let program = parser.program();
    let stats = ParseStats { tokens: parser.tokens.len() as u64, steps: parser.steps.get() };
    (program, parser.findings.finish(), stats)
}

/// The errors so far, bounded.
#[derive(Default)]
struct Findings {
    /// By the lexer and by the parser, each in the order of the text.
    told: Vec<Diagnostic>,
    left_out: usize,
}

impl Findings {
    fn add(&mut self, error: Diagnostic) {
        // Twice the bound, because the lexer's and the parser's errors only then are put in order and cut.
        if self.told.len() < 2 * MAX_DIAGNOSTICS {
            self.told.push(error);
        } else {
            self.left_out += 1;
        }
    }

    fn finish(mut self) -> Vec<Diagnostic> {
        self.told.sort_by_key(|error| error.span.start);
        let kept = self.told.len().min(MAX_DIAGNOSTICS);
        self.left_out += self.told.len() - kept;
        if self.left_out > 0
            && let Some(first) = self.told.get(kept)
        {
            let more = format!("{} more errors were left out", self.left_out);
            let rest = Diagnostic::error(first.span, more).label("the first of them");
            self.told.truncate(kept);
            self.told.push(rest);
        }
        self.told
    }
}

/// An error was reported; start afresh further on.
#[derive(Debug)]
struct Stop;

type Parsed<T> = Result<T, Stop>;

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    /// Index of the token that is looked at.
    next: usize,
    /// See [`ParseStats`].
    steps: Cell<u64>,
    findings: Findings,
    /// Index of a token at which errors are echoes of one told before.
    silent_at: Option<usize>,
    /// How deep the parser has recursed: `0 ..= MAX_NESTING`.
    depth: u32,
    /// The greatest height of the trees finished since this was last reset: `0 ..= MAX_NESTING`.
    height: u32,
    /// Brackets open before `next`.
    brackets: u32,
    /// The column of the block around, within which a token that begins a line at or before it ends the statement.
    fence: Option<u32>,
    /// Index of the token that begins the statement at hand, which the fence does not hold back.
    statement_start: usize,
    /// Index of the first token of the line or statement from which blocks must be indented.
    anchor: usize,
    /// Within a guard's outermost level, where `.name(` is the next operator.
    in_guard: bool,
    /// Index of the dot at which a guard ended, for the hint that parentheses help.
    guard_end: usize,
    /// Where the parenthesis began that was closed last: parentheses are not in the tree.
    closed_from: Option<u32>,
    /// Within the pattern of a `match`, where `x =>` is no lambda.
    in_pattern: bool,
    /// Top-level `for`s around, within which names may hold `{name}`.
    loops: u32,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, tokens: Vec<Token>, findings: Findings) -> Self {
        Self {
            text,
            tokens,
            next: 0,
            steps: Cell::new(0),
            findings,
            silent_at: None,
            depth: 0,
            height: 0,
            brackets: 0,
            fence: None,
            statement_start: 0,
            anchor: 0,
            in_guard: false,
            guard_end: usize::MAX,
            closed_from: None,
            in_pattern: false,
            loops: 0,
        }
    }

    // Looking at tokens. Every look goes through `raw`, which counts it.

    /// The token `ahead` of the next one, whatever the fence says.
    fn raw(&self, ahead: usize) -> Token {
        self.steps.set(self.steps.get() + 1);
        let last = self.tokens.len() - 1;
        self.tokens[(self.next + ahead).min(last)]
    }

    /// The kind of the token `ahead` of the next one; the fence is a [`Kind::LineEnd`].
    fn nth(&self, ahead: usize) -> Kind {
        let token = self.raw(ahead);
        let held_back = self.fence.is_some_and(|column| token.column <= column)
            && token.first_on_line
            && self.next + ahead != self.statement_start
            && !continues_line(token.kind);
        if held_back { Kind::LineEnd } else { token.kind }
    }

    fn peek(&self) -> Kind {
        self.nth(0)
    }

    fn text_of(&self, token: Token) -> &'t str {
        &self.text[token.start as usize..token.end as usize]
    }

    /// The text of the name `ahead`; empty where there is none.
    fn word(&self, ahead: usize) -> &'t str {
        if self.nth(ahead) == Kind::Name { self.text_of(self.raw(ahead)) } else { "" }
    }

    fn at_word(&self, word: &str) -> bool {
        self.word(0) == word
    }

    /// Whether the tokens `ahead` and the one behind it touch.
    fn touches_next(&self, ahead: usize) -> bool {
        self.raw(ahead).end == self.raw(ahead + 1).start
    }

    // Taking tokens.

    fn bump(&mut self) -> Token {
        let token = self.raw(0);
        match token.kind {
            Kind::LeftParen | Kind::LeftBracket | Kind::LeftBrace => self.brackets += 1,
            Kind::RightParen | Kind::RightBracket | Kind::RightBrace => {
                self.brackets = self.brackets.saturating_sub(1);
            }
            _ => {}
        }
        if token.kind != Kind::End {
            self.next += 1;
        }
        token
    }

    fn eat(&mut self, kind: Kind) -> bool {
        let found = self.peek() == kind;
        if found {
            self.bump();
        }
        found
    }

    /// Takes a word that goes on with what stands before it; in front of `:=` it is a name that begins a statement.
    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word) && self.nth(1) != Kind::Assign;
        if found {
            self.bump();
        }
        found
    }

    fn expect(&mut self, kind: Kind, what: &str) -> Parsed<Token> {
        if self.peek() == kind { Ok(self.bump()) } else { self.expected(what) }
    }

    fn expect_word(&mut self, word: &'static str, purpose: &str) -> Parsed<Token> {
        if self.at_word(word) {
            return Ok(self.bump());
        }
        let near = closest(self.word(0), [word]).is_some();
        let message = format!("expected `{word}` {purpose}, found {}", self.found());
        let error = Diagnostic::error(self.raw(0).span(), message);
        Err(self.stop(if near { error.help(format!("did you mean `{word}`?")) } else { error }))
    }

    /// A name; within a `for` of the program it may hold `{name}` pieces, which stay in its text.
    fn name(&mut self, what: &str) -> Parsed<Name> {
        if self.peek() == Kind::Name || self.at_template() {
            Ok(self.name_here())
        } else {
            self.expected(what)
        }
    }

    /// Within a `for`: `{name}` without a space.
    fn at_template(&self) -> bool {
        self.loops > 0 && self.peek() == Kind::LeftBrace && self.template_at(0)
    }

    fn template_at(&self, ahead: usize) -> bool {
        self.nth(ahead) == Kind::LeftBrace
            && self.nth(ahead + 1) == Kind::Name
            && self.nth(ahead + 2) == Kind::RightBrace
            && self.touches_next(ahead)
            && self.touches_next(ahead + 1)
    }

    /// Whether a name is at hand, with all its pieces, and a token of this kind behind it.
    fn at_name_before(&self, kind: Kind) -> bool {
        let length = self.name_length(0);
        length > 0 && self.nth(length) == kind
    }

    /// How many tokens the name `ahead` takes, its template pieces counted; 0 where there is none.
    fn name_length(&self, ahead: usize) -> usize {
        let piece = |at| match self.nth(at) {
            Kind::Name => 1,
            Kind::Int if at > ahead => 1,
            Kind::LeftBrace if self.loops > 0 && self.template_at(at) => 3,
            _ => 0,
        };
        let mut length = piece(ahead);
        while length > 0 && self.loops > 0 && self.touches_next(ahead + length - 1) {
            match piece(ahead + length) {
                0 => break,
                more => length += more,
            }
        }
        length
    }

    /// The name at hand with its template pieces.
    fn name_here(&mut self) -> Name {
        let first = self.raw(0);
        let mut end = first.start;
        for _ in 0..self.name_length(0) {
            end = self.bump().end;
        }
        let span = Span { start: first.start, end };
        Name { text: self.text[first.start as usize..end as usize].to_owned(), span }
    }

    /// From `start` to the end of the token taken last.
    fn span_from(&self, start: u32) -> Span {
        let end = if self.next == 0 { start } else { self.tokens[self.next - 1].end };
        Span { start, end: end.max(start) }
    }

    /// Where the token at hand begins.
    fn start(&self) -> u32 {
        self.raw(0).start
    }

    // Bounds.

    /// Runs `inner` one level deeper, if there is one.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_NESTING {
            return self.too_deep();
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn too_deep<T>(&mut self) -> Parsed<T> {
        let message = format!("this nests deeper than {MAX_NESTING} levels");
        let error =
            Diagnostic::error(self.raw(0).span(), message).help("give parts of it names of their own");
        Err(self.stop(error))
    }

    /// Runs `inner` and says how high the trees are that it finished.
    fn measured<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<(T, u32)> {
        let before = std::mem::take(&mut self.height);
        let result = inner(self);
        let height = std::mem::replace(&mut self.height, before);
        result.map(|value| (value, height))
    }

    /// The height of a tree whose highest child is `children` high.
    fn above(&mut self, children: u32) -> Parsed<u32> {
        if children >= MAX_NESTING { self.too_deep() } else { Ok(children + 1) }
    }

    /// Notes that a tree of this height is finished.
    fn raise(&mut self, height: u32) {
        self.height = self.height.max(height);
    }

    // Errors and starting afresh.

    /// Reports an error at the token at hand, unless it is an echo.
    fn stop(&mut self, error: Diagnostic) -> Stop {
        if self.silent_at != Some(self.next) && !self.raw(0).kind.is_reported() {
            self.findings.add(error);
        }
        self.silent_at = Some(self.next);
        Stop
    }

    fn fail<T>(&mut self, message: impl Into<String>) -> Parsed<T> {
        let error = Diagnostic::error(self.raw(0).span(), message);
        Err(self.stop(error))
    }

    fn expected<T>(&mut self, what: &str) -> Parsed<T> {
        let message = format!("expected {what}, found {}", self.found());
        self.fail(message)
    }

    /// Reports an error that does not keep the parser from going on.
    fn complain(&mut self, error: Diagnostic) {
        self.findings.add(error);
    }

    /// What stands at hand, in words.
    fn found(&self) -> String {
        let token = self.raw(0);
        match (self.peek(), token.kind) {
            (_, Kind::End) => "the end of the text".to_owned(),
            (Kind::LineEnd, _) => "the end of the line".to_owned(),
            _ => {
                let text = self.text_of(token);
                let mut shown: String = text.chars().take(40).collect();
                if shown.len() < text.len() {
                    shown.push('…');
                }
                format!("`{shown}`")
            }
        }
    }

    /// A statement or operator begins a line here: nothing that is open reaches beyond.
    fn at_boundary(&self) -> bool {
        let token = self.raw(0);
        token.kind == Kind::End
            || token.first_on_line
                && match token.kind {
                    Kind::Name => self.begins_statement(),
                    Kind::Dot => operators::is_operator(self.word(1)) && self.calls_operator(1),
                    Kind::Arrow => true,
                    _ => false,
                }
    }

    // Lists and brackets.

    /// Runs `inner` as within brackets: no fence, no guard, no pattern.
    fn bracketed<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let fence = self.fence.take();
        let in_guard = std::mem::take(&mut self.in_guard);
        let in_pattern = std::mem::take(&mut self.in_pattern);
        let result = inner(self);
        self.fence = fence;
        self.in_guard = in_guard;
        self.in_pattern = in_pattern;
        result
    }

    /// Items between commas up to and with `close`; `open` was taken. A bad item is left out and the list goes on.
    fn list<T>(
        &mut self,
        open: Token,
        close: Kind,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.bracketed(|parser| {
            let level = parser.brackets;
            let mut items = Vec::new();
            while parser.peek() != close {
                match item(parser) {
                    Ok(value) => items.push(value),
                    Err(Stop) => parser.skip_item(level)?,
                }
                if !parser.eat(Kind::Comma) {
                    break;
                }
            }
            parser.close(open, close)?;
            Ok(items)
        })
    }

    /// Skips to the comma or bracket that ends the item of a list within `level` brackets.
    fn skip_item(&mut self, level: u32) -> Parsed<()> {
        loop {
            let kind = self.raw(0).kind;
            if self.brackets <= level && (kind == Kind::Comma || is_closing(kind)) {
                return Ok(());
            }
            if self.at_boundary() {
                self.silent_at = Some(self.next);
                return Err(Stop);
            }
            self.bump();
        }
    }

    /// The bracket that ends what `open` began.
    fn close(&mut self, open: Token, close: Kind) -> Parsed<Token> {
        if self.peek() == close {
            return Ok(self.bump());
        }
        let mark = match close {
            Kind::RightParen => ")",
            Kind::RightBracket => "]",
            _ => "}",
        };
        if self.at_boundary() {
            // What is missing is the bracket, and it is missing further up.
            let message = format!("this `{}` is never closed", self.text_of(open));
            return Err(
                self.stop(Diagnostic::error(open.span(), message).label(format!("no `{mark}` for it")))
            );
        }
        let message = format!("expected `,` or `{mark}`, found {}", self.found());
        let error = Diagnostic::error(self.raw(0).span(), message);
        let error = match closest(self.word(0), expressions::WORD_OPERATORS) {
            Some(near) if !self.raw(0).first_on_line => error.help(format!("did you mean `{near}`?")),
            _ => error.help(format!("the `{}` before it is open here", self.text_of(open))),
        };
        Err(self.stop(error))
    }
}

fn is_closing(kind: Kind) -> bool {
    matches!(kind, Kind::RightParen | Kind::RightBracket | Kind::RightBrace)
}

/// A line that begins so goes on with what the line before it said: no statement can begin like this.
fn continues_line(kind: Kind) -> bool {
    is_closing(kind) || matches!(kind, Kind::Dot | Kind::QuestionDot | Kind::Arrow | Kind::Comma | Kind::End)
}
