//! Blocks that `:` opens, by indentation, and the statements of functions and lambdas.
//!
//! A block begins behind its colon: on the same line, where it ends with that line, or on the next, indented deeper
//! than the line that opened it, where it ends before the first line that is indented less. On one line, `;` parts
//! statements; fields and settings may be parted by `,` or nothing as well.

use super::super::diagnostic::Diagnostic;
use super::super::lexer::{Kind, Token};
use super::super::suggest::closest;
use super::super::syntax::{BlockStatement, BlockStatementKind, Expr, ExprKind, LambdaBody, Literal};
use super::{Parsed, Parser, Stop, is_closing};

/// The words that begin a statement of a block.
pub(crate) const BLOCK_WORDS: [&str; 12] =
    ["let", "var", "const", "if", "elif", "else", "for", "while", "break", "continue", "return", "emit"];

impl Parser<'_> {
    /// A colon and the items behind it; at least one. `entries` are `name: ..` items.
    pub(super) fn block<T>(
        &mut self,
        entries: bool,
        item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.expect(Kind::Colon, "`:` and a block")?;
        let before = (self.fence, self.statement_start, self.anchor, self.in_guard, self.in_pattern);
        self.in_guard = false;
        self.in_pattern = false;
        let result = self.measured(|parser| parser.deeper(|parser| parser.indented(entries, item)));
        (self.fence, self.statement_start, self.anchor, self.in_guard, self.in_pattern) = before;
        let (items, height) = result?;
        let height = self.above(height)?;
        self.raise(height);
        Ok(items)
    }

    fn indented<T>(&mut self, entries: bool, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let opener = self.tokens[self.anchor];
        let first = self.raw(0);
        let own_lines = first.first_on_line;
        if first.kind == Kind::End || own_lines && first.column <= opener.column {
            let error = Diagnostic::error(first.span(), "expected an indented block behind `:`")
                .help("indent its lines deeper than the line with the colon");
            return Err(self.stop(error));
        }
        if own_lines && !self.indentation(first).starts_with(self.indentation(opener)) {
            self.mixed_indentation(first);
        }
        self.fence = Some(if own_lines { first.column } else { opener.column });
        let level = self.brackets;
        let mut items = Vec::new();
        loop {
            self.statement_start = self.next;
            let line = self.raw(0);
            if own_lines && line.first_on_line {
                self.anchor = self.next;
            }
            let start = self.next;
            match item(self) {
                Ok(value) => items.push(value),
                Err(Stop) => self.skip_line(level, start),
            }
            if self.same_line_goes_on(entries) {
                continue;
            }
            if !self.raw(0).first_on_line && !self.at_block_end() {
                let Err(Stop) = self.expected::<T>("the end of the line") else { continue };
                self.skip_line(level, start);
                if self.same_line_goes_on(entries) {
                    continue;
                }
            }
            let line = self.raw(0);
            if self.at_block_end() || !own_lines || line.column <= opener.column {
                return Ok(items);
            }
            if line.column != first.column {
                let error = Diagnostic::error(
                    line.span(),
                    "this line is indented like no line of the block around it",
                )
                .label("indented differently");
                self.complain(error);
            } else if self.indentation(line) != self.indentation(first) {
                self.mixed_indentation(line);
            }
        }
    }

    /// Whether another item follows on the same line; takes what parts the two.
    fn same_line_goes_on(&mut self, entries: bool) -> bool {
        let parted = match self.raw(0).kind {
            Kind::Semicolon => true,
            Kind::Comma => entries && (self.raw(1).kind == Kind::Name || self.raw(1).first_on_line),
            Kind::Name => return entries && !self.raw(0).first_on_line && self.raw(1).kind == Kind::Colon,
            _ => false,
        };
        if parted {
            self.bump();
        }
        parted && !self.raw(0).first_on_line && !self.at_block_end()
    }

    /// Where no block goes on, whatever its indentation: what it stands in ends here.
    fn at_block_end(&self) -> bool {
        let token = self.raw(0);
        matches!(token.kind, Kind::End | Kind::Comma)
            || is_closing(token.kind)
            // Behind a block on one line: `if a: b else: c`.
            || token.kind == Kind::Name && !token.first_on_line && matches!(self.text_of(token), "else" | "elif")
    }

    /// Skips to the next line of the block (or beyond it), or to the bracket that closes what it stands in. `start`
    /// is where the bad item began: it is not tried again.
    fn skip_line(&mut self, level: u32, start: usize) {
        let fence = self.fence;
        let from = self.next;
        loop {
            let token = self.raw(0);
            let new_line = token.first_on_line && fence.is_none_or(|column| token.column <= column);
            let at_end =
                token.kind == Kind::End || is_closing(token.kind) && self.brackets <= level && level > 0;
            let at_part = token.kind == Kind::Semicolon && self.brackets <= level;
            if at_end || (new_line || at_part) && self.next > start && !is_closing(token.kind) {
                break;
            }
            self.bump();
        }
        self.brackets = level;
        if self.next > from && self.raw(0).kind != Kind::End {
            self.silent_at = None;
        }
    }

    /// The white space before a token that begins a line.
    fn indentation(&self, token: Token) -> &str {
        &self.text[(token.start - token.column) as usize..token.start as usize]
    }

    fn mixed_indentation(&mut self, line: Token) {
        let blank = |text: &str| text.bytes().all(|byte| matches!(byte, b' ' | b'\t'));
        // A comment before the first token is no indentation to compare.
        if blank(self.indentation(line)) {
            self.complain(Diagnostic::error(line.span(), "this line's indentation mixes tabs and spaces"));
        }
    }

    /// A statement of a function's body or a lambda's block.
    pub(super) fn block_statement(&mut self) -> Parsed<BlockStatement> {
        let start = self.start();
        let kind = self.block_statement_kind()?;
        Ok(BlockStatement { kind, span: self.span_from(start) })
    }

    fn block_statement_kind(&mut self) -> Parsed<BlockStatementKind> {
        if self.at_name_before(Kind::Assign) {
            let (name, value) = self.assignment()?;
            return Ok(BlockStatementKind::Assign { name, value });
        }
        if let Some(kind) = self.binding_kind() {
            return Ok(BlockStatementKind::Binding(self.binding(kind)?));
        }
        let next_is_name = self.nth(1) == Kind::Name;
        match self.word(0) {
            "if" if self.is_prefix_word() => self.if_statement(),
            "for" if next_is_name => {
                self.bump();
                let variable = self.name("the name of the loop's variable")?;
                self.expect_word("in", "and what the loop runs over")?;
                let range = self.expr()?;
                let body = self.block(false, Self::block_statement)?;
                Ok(BlockStatementKind::For { variable, range, body })
            }
            "while" if self.is_prefix_word() => {
                self.bump();
                let condition = self.expr()?;
                let body = self.block(false, Self::block_statement)?;
                Ok(BlockStatementKind::While { condition, body })
            }
            "break" if self.ends_statement(1) => {
                self.bump();
                Ok(BlockStatementKind::Break)
            }
            "continue" if self.ends_statement(1) => {
                self.bump();
                Ok(BlockStatementKind::Continue)
            }
            "return" if self.ends_statement(1) => {
                self.bump();
                Ok(BlockStatementKind::Return(None))
            }
            "return" if self.is_prefix_word() => {
                self.bump();
                Ok(BlockStatementKind::Return(Some(self.expr()?)))
            }
            "emit" if next_is_name => {
                self.bump();
                let event_type = self.name("an event type")?;
                let open = self.expect(Kind::LeftParen, "`(` and fields")?;
                let fields = self.list(open, Kind::RightParen, Self::named_expr)?;
                Ok(BlockStatementKind::Emit { event_type, fields })
            }
            word => {
                let at = self.next;
                let expr = self.expr()?;
                // A name with a name or a colon behind it is a misspelt keyword.
                if self.next == at + 1
                    && matches!(self.peek(), Kind::Name | Kind::Colon)
                    && let Some(near) = closest(word, BLOCK_WORDS)
                {
                    let error = Diagnostic::error(expr.span, format!("expected a statement, found `{word}`"))
                        .help(format!("did you mean `{near}`?"));
                    return Err(self.stop(error));
                }
                Ok(BlockStatementKind::Expr(expr))
            }
        }
    }

    /// Nothing of the statement follows at the token `ahead`.
    fn ends_statement(&self, ahead: usize) -> bool {
        let kind = self.nth(ahead);
        is_closing(kind)
            || matches!(kind, Kind::LineEnd | Kind::End | Kind::Semicolon | Kind::Comma)
            || self.raw(ahead).first_on_line
            || matches!(self.word(ahead), "else" | "elif")
    }

    /// `if` as a statement, or as an expression that is one.
    fn if_statement(&mut self) -> Parsed<BlockStatementKind> {
        let start = self.start();
        let anchor = self.raw(0);
        self.bump();
        let (condition, height) = self.measured(Self::expr)?;
        if self.at_word("then") {
            let expr = self.if_expression(start, condition, height)?;
            return Ok(BlockStatementKind::Expr(expr));
        }
        if self.peek() != Kind::Colon {
            return self.expected("`:` and a block, or `then`");
        }
        self.raise(height);
        let mut branches = vec![(condition, self.block(false, Self::block_statement)?)];
        let mut otherwise = None;
        while let Some(word) = self.else_word(anchor) {
            self.bump();
            if word == "elif" {
                let condition = self.expr()?;
                branches.push((condition, self.block(false, Self::block_statement)?));
            } else {
                otherwise = Some(self.block(false, Self::block_statement)?);
                break;
            }
        }
        Ok(BlockStatementKind::If { branches, otherwise })
    }

    /// `elif` or `else` of the `if` that stands at `anchor`: on the same line, or on a line as deep.
    fn else_word(&self, anchor: Token) -> Option<&'static str> {
        let token = self.raw(0);
        if token.kind != Kind::Name
            || token.first_on_line && token.column != anchor.column
            || self.raw(1).kind == Kind::Assign
        {
            return None;
        }
        match self.text_of(token) {
            "elif" => Some("elif"),
            "else" => Some("else"),
            _ => None,
        }
    }

    /// `{ statements result }` of a lambda.
    pub(super) fn lambda_block(&mut self) -> Parsed<LambdaBody> {
        let open = self.bump();
        let before = (self.statement_start, self.anchor);
        let body = self.bracketed(|parser| parser.braced_statements(open));
        (self.statement_start, self.anchor) = before;
        body
    }

    fn braced_statements(&mut self, open: Token) -> Parsed<LambdaBody> {
        let level = self.brackets;
        let first = self.raw(0);
        // On lines of their own the statements keep to a column, as in a block of `:`.
        self.fence = first.first_on_line.then_some(first.column);
        let mut statements = Vec::new();
        while self.raw(0).kind != Kind::RightBrace {
            self.statement_start = self.next;
            if self.raw(0).first_on_line {
                self.anchor = self.next;
            }
            let start = self.next;
            if let Ok(statement) = self.block_statement() {
                statements.push(statement);
            } else {
                self.skip_line(level, start);
                if self.raw(0).kind == Kind::End || self.at_boundary_of_program() {
                    return Err(Stop);
                }
            }
            let parted = self.raw(0).kind == Kind::Semicolon;
            if parted {
                self.bump();
            } else if !self.raw(0).first_on_line || self.next == start {
                break;
            }
        }
        self.close(open, Kind::RightBrace)?;
        match statements.pop() {
            Some(BlockStatement { kind: BlockStatementKind::Expr(result), .. }) => {
                Ok(LambdaBody::Block { statements, result: Box::new(result) })
            }
            other => {
                let span = other.map_or(open.span(), |statement| statement.span);
                self.complain(
                    Diagnostic::error(span, "the block of a lambda must end with an expression")
                        .help("its value is the value of the block"),
                );
                Ok(LambdaBody::Block {
                    statements,
                    result: Box::new(Expr { kind: ExprKind::Literal(Literal::Null), span }),
                })
            }
        }
    }

    /// A statement of the program begins here, at the left edge.
    fn at_boundary_of_program(&self) -> bool {
        self.raw(0).column == 0 && self.at_boundary()
    }
}
