//! The statements of a program, with their types and settings.

use super::super::diagnostic::Diagnostic;
use super::super::lexer::Kind;
use super::super::literal;
use super::super::suggest::closest;
use super::super::syntax::{
    Binding, BindingKind, Expr, FieldDecl, Literal, Name, Param, Program, Setting, SettingKind, Span,
    Statement, StatementKind, StreamDecl, TypeExpr, TypeKind,
};
use super::expressions::WORD_OPERATORS;
use super::{Parsed, Parser, Stop};

/// The words that begin a statement of a program.
const STATEMENT_WORDS: [&str; 13] = [
    "context",
    "config",
    "connector",
    "event",
    "type",
    "let",
    "var",
    "const",
    "fn",
    "import",
    "pattern",
    "stream",
    "for",
];

impl Parser<'_> {
    /// The whole text.
    pub(super) fn program(&mut self) -> Program {
        let mut statements = Vec::new();
        while self.raw(0).kind != Kind::End {
            self.anchor = self.next;
            self.height = 0;
            match self.statement() {
                Ok(statement) => statements.push(statement),
                Err(Stop) => self.skip_statement(),
            }
        }
        Program { statements }
    }

    /// Skips to the next token that begins a line and a statement.
    fn skip_statement(&mut self) {
        let start = self.next;
        while !(self.at_boundary() && self.raw(0).kind == Kind::Name || self.raw(0).kind == Kind::End) {
            self.bump();
        }
        self.brackets = 0;
        // A statement that failed at its own first token must not be tried again.
        if self.next == start && self.anchor == start && self.raw(0).kind != Kind::End {
            self.bump();
            return self.skip_statement();
        }
        self.silent_at = None;
    }

    /// Whether the token at hand, the first of its line, looks like the beginning of a statement. A misspelt keyword
    /// does too: two names side by side, the first at the left edge, are nothing else.
    pub(super) fn begins_statement(&self) -> bool {
        let token = self.raw(0);
        // Deeper than the statement at hand is within it.
        if token.column > self.tokens[self.anchor].column {
            return false;
        }
        let word = self.text_of(token);
        match self.raw(1).kind {
            Kind::Assign => true,
            Kind::Name => {
                let known = STATEMENT_WORDS.contains(&word) && word != "import";
                let infix = |word: &str| WORD_OPERATORS.contains(&word);
                (known || token.column == 0 && !infix(word)) && !infix(self.text_of(self.raw(1)))
            }
            Kind::Colon => word == "config",
            Kind::Str => word == "import",
            _ => false,
        }
    }

    /// The same, and the token at hand is not where the statement at hand began.
    pub(super) fn begins_other_statement(&self) -> bool {
        self.next != self.statement_start && self.next != self.anchor && self.begins_statement()
    }

    /// One statement.
    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        let start = self.start();
        let kind = self.statement_kind()?;
        Ok(Statement { kind, span: self.span_from(start) })
    }

    fn statement_kind(&mut self) -> Parsed<StatementKind> {
        if self.at_name_before(Kind::Assign) {
            let (name, value) = self.assignment()?;
            return Ok(StatementKind::Assign { name, value });
        }
        let word = self.word(0);
        if let Some(kind) = self.binding_kind() {
            return Ok(StatementKind::Binding(self.binding(kind)?));
        }
        match word {
            "context" => self.context(),
            "config" => self.config(),
            "connector" => self.connector(),
            "event" => self.event(),
            "type" => self.type_declaration(),
            "fn" => self.function(),
            "import" => self.import(),
            "pattern" => self.pattern(),
            "stream" => Ok(StatementKind::Stream(self.stream()?)),
            "for" => self.for_each(),
            _ => self.no_statement(word),
        }
    }

    fn no_statement<T>(&mut self, word: &str) -> Parsed<T> {
        let message = format!("expected a statement, found {}", self.found());
        let error = Diagnostic::error(self.raw(0).span(), message);
        let error = match closest(word, STATEMENT_WORDS) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None if self.peek() == Kind::Dot => error.help("operators stand behind the source of a `stream`"),
            None => error.help(format!("a statement begins with one of {}", STATEMENT_WORDS.join(", "))),
        };
        Err(self.stop(error))
    }

    // Bindings; blocks have them too.

    /// Which binding begins here, if one does.
    pub(super) fn binding_kind(&self) -> Option<BindingKind> {
        let kind = match self.word(0) {
            "let" => BindingKind::Let,
            "var" => BindingKind::Var,
            "const" => BindingKind::Const,
            _ => return None,
        };
        matches!(self.nth(1), Kind::Name | Kind::LeftBrace).then_some(kind)
    }

    pub(super) fn binding(&mut self, kind: BindingKind) -> Parsed<Binding> {
        self.bump();
        let name = self.name("a name")?;
        let ty = self.optional_type()?;
        self.expect(Kind::Equals, "`=` and a value")?;
        let value = self.expr()?;
        Ok(Binding { kind, name, ty, value })
    }

    /// `name := value`
    pub(super) fn assignment(&mut self) -> Parsed<(Name, Expr)> {
        let name = self.name("a name")?;
        self.expect(Kind::Assign, "`:=`")?;
        Ok((name, self.expr()?))
    }

    // Contexts, settings, connectors.

    fn context(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let name = self.name("the name of the context")?;
        let mut cores = Vec::new();
        if self.peek() == Kind::LeftParen {
            let open = self.bump();
            self.expect_word("cores", "as in `(cores: [0, 1])`")?;
            self.expect(Kind::Colon, "`:`")?;
            let bracket = self.expect(Kind::LeftBracket, "a list of CPU numbers in `[ ]`")?;
            cores = self.list(bracket, Kind::RightBracket, Self::core)?;
            self.eat(Kind::Comma);
            self.close(open, Kind::RightParen)?;
        }
        Ok(StatementKind::Context { name, cores })
    }

    fn core(&mut self) -> Parsed<(i64, Span)> {
        let token = self.expect(Kind::Int, "a CPU number")?;
        let number = literal::int(self.text_of(token)).and_then(|number| i64::try_from(number).ok());
        if number.is_none() {
            self.int_out_of_range(token);
        }
        Ok((number.unwrap_or(0), token.span()))
    }

    fn config(&mut self) -> Parsed<StatementKind> {
        self.bump();
        if self.peek() == Kind::Colon {
            let settings = self.block(true, Self::setting_entry)?;
            return Ok(StatementKind::Config { name: None, settings });
        }
        let name = self.name("a context's name, `engine`, or `:`")?;
        let open = self.expect(Kind::LeftBrace, "`{` and settings")?;
        let settings = self.bracketed(|parser| {
            let level = parser.brackets;
            let mut settings = Vec::new();
            while parser.peek() == Kind::Name {
                match parser.setting_entry() {
                    Ok(setting) => settings.push(setting),
                    Err(Stop) => parser.skip_setting(level)?,
                }
                parser.eat(Kind::Comma);
            }
            parser.close(open, Kind::RightBrace)?;
            Ok(settings)
        })?;
        Ok(StatementKind::Config { name: Some(name), settings })
    }

    /// Skips to the next setting of a config block: behind a comma, or on the next line.
    fn skip_setting(&mut self, level: u32) -> Parsed<()> {
        loop {
            let token = self.raw(0);
            let next_entry =
                token.kind == Kind::Name && self.raw(1).kind == Kind::Colon && token.first_on_line;
            if self.brackets <= level && (next_entry || matches!(token.kind, Kind::Comma | Kind::RightBrace))
            {
                return Ok(());
            }
            if self.at_boundary() {
                return Err(Stop);
            }
            self.bump();
        }
    }

    /// `name: setting`
    pub(super) fn setting_entry(&mut self) -> Parsed<(Name, Setting)> {
        let name = self.name("the name of a setting")?;
        self.expect(Kind::Colon, "`:` and a value")?;
        Ok((name, self.setting()?))
    }

    fn setting(&mut self) -> Parsed<Setting> {
        let start = self.start();
        let kind = match self.peek() {
            Kind::LeftBracket => {
                let open = self.bump();
                let items = self.deeper(|parser| parser.list(open, Kind::RightBracket, Self::setting))?;
                SettingKind::List(items)
            }
            Kind::Minus if matches!(self.nth(1), Kind::Int | Kind::Float | Kind::Duration) => {
                self.bump();
                match self.number(true) {
                    Literal::Duration(value) => SettingKind::Literal(Literal::Duration(-value)),
                    other => SettingKind::Literal(other),
                }
            }
            Kind::Name => match self.word_literal() {
                Some(literal) => SettingKind::Literal(literal),
                None => SettingKind::Name(self.name_here().text),
            },
            Kind::Int if self.nth(1) == Kind::Slash && self.nth(2) == Kind::Int => {
                let above = self.number(false);
                self.bump();
                match (above, self.number(false)) {
                    (Literal::Int(above), Literal::Int(below)) => SettingKind::Ratio(above, below),
                    // A number that does not fit has been complained of.
                    (other, _) => SettingKind::Literal(other),
                }
            }
            _ => match self.literal()? {
                Some(literal) => SettingKind::Literal(literal),
                None => return self.expected("a literal, a name or a list"),
            },
        };
        Ok(Setting { kind, span: self.span_from(start) })
    }

    fn connector(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let name = self.name("the name of the connector")?;
        self.expect(Kind::Equals, "`=`")?;
        let kind = self.name("the kind of the connector, such as `file`")?;
        let open = self.expect(Kind::LeftParen, "`(` and settings")?;
        let settings = self.list(open, Kind::RightParen, Self::setting_entry)?;
        Ok(StatementKind::Connector { name, kind, settings })
    }

    // Types.

    fn event(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let name = self.name("the name of the event type")?;
        let extends =
            if self.eat_word("extends") { Some(self.name("the type that is extended")?) } else { None };
        let fields = self.block(true, Self::field)?;
        Ok(StatementKind::Event { name, extends, fields })
    }

    fn field(&mut self) -> Parsed<FieldDecl> {
        let name = self.name("a field, as in `name: type`")?;
        self.expect(Kind::Colon, "`:` and a type")?;
        Ok(FieldDecl { name, ty: self.type_expr()? })
    }

    fn type_declaration(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let name = self.name("the name of the type")?;
        if self.eat(Kind::Equals) {
            return Ok(StatementKind::TypeAlias { name, ty: self.type_expr()? });
        }
        if self.peek() != Kind::Colon {
            return self.expected("`=` and a type, or `:` and fields");
        }
        let fields = self.block(true, Self::field)?;
        Ok(StatementKind::TypeRecord { name, fields })
    }

    /// `: type`, where it is written.
    fn optional_type(&mut self) -> Parsed<Option<TypeExpr>> {
        if self.eat(Kind::Colon) { self.type_expr().map(Some) } else { Ok(None) }
    }

    fn type_expr(&mut self) -> Parsed<TypeExpr> {
        let (ty, height) = self.measured(|parser| parser.deeper(Self::type_here))?;
        self.raise(height);
        Ok(ty)
    }

    fn type_here(&mut self) -> Parsed<TypeExpr> {
        let start = self.start();
        let (kind, children) = self.measured(Self::type_kind)?;
        let mut height = self.above(children)?;
        let mut ty = TypeExpr { kind, span: self.span_from(start) };
        loop {
            let optional = match self.peek() {
                Kind::Question => 1,
                Kind::QuestionQuestion => 2,
                _ => break,
            };
            self.bump();
            for _ in 0..optional {
                height = self.above(height)?;
                ty = TypeExpr { kind: TypeKind::Optional(Box::new(ty)), span: self.span_from(start) };
            }
        }
        self.raise(height);
        Ok(ty)
    }

    fn type_kind(&mut self) -> Parsed<TypeKind> {
        match self.peek() {
            Kind::Name => {
                if self.at_word("Stream") && self.nth(1) == Kind::Less {
                    self.bump();
                    self.bump();
                    let inner = self.type_expr()?;
                    self.expect(Kind::Greater, "`>`")?;
                    return Ok(TypeKind::Stream(Box::new(inner)));
                }
                Ok(match self.name_here().text {
                    name if name == "int" => TypeKind::Int,
                    name if name == "float" => TypeKind::Float,
                    name if name == "bool" => TypeKind::Bool,
                    name if name == "str" => TypeKind::Str,
                    name if name == "timestamp" => TypeKind::Timestamp,
                    name if name == "duration" => TypeKind::Duration,
                    name => TypeKind::Named(name),
                })
            }
            Kind::LeftBracket => {
                let open = self.bump();
                let inner = self.bracketed(Self::type_expr)?;
                self.close(open, Kind::RightBracket)?;
                Ok(TypeKind::Array(Box::new(inner)))
            }
            Kind::LeftBrace => {
                let open = self.bump();
                let (key, value) = self.bracketed(|parser| {
                    let key = parser.type_expr()?;
                    parser.expect(Kind::Colon, "`:` and the type of the values")?;
                    Ok((key, parser.type_expr()?))
                })?;
                self.close(open, Kind::RightBrace)?;
                Ok(TypeKind::Map(Box::new(key), Box::new(value)))
            }
            Kind::LeftParen => {
                let open = self.bump();
                Ok(TypeKind::Tuple(self.list(open, Kind::RightParen, Self::type_expr)?))
            }
            _ => self.expected("a type"),
        }
    }

    // Functions, imports, patterns, loops.

    fn function(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let name = self.name("the name of the function")?;
        let open = self.expect(Kind::LeftParen, "`(` and parameters")?;
        let params = self.list(open, Kind::RightParen, |parser| {
            Ok(Param { name: parser.name("a parameter")?, ty: parser.optional_type()? })
        })?;
        let returns = if self.eat(Kind::Arrow) { Some(self.type_expr()?) } else { None };
        let body = self.block(false, Self::block_statement)?;
        Ok(StatementKind::Function { name, params, returns, body })
    }

    fn import(&mut self) -> Parsed<StatementKind> {
        self.bump();
        if self.peek() != Kind::Str {
            return self.expected("the path of a program, in quotes");
        }
        let (path, path_span) = self.string();
        let alias = if self.eat_word("as") { Some(self.name("a name")?) } else { None };
        Ok(StatementKind::Import { path, path_span, alias })
    }

    fn pattern(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let name = self.name("the name of the pattern")?;
        self.expect(Kind::Equals, "`=` and steps")?;
        let mut steps = vec![self.step()?];
        while self.eat(Kind::Arrow) {
            steps.push(self.step()?);
        }
        let within = if self.eat_word("within") { Some(self.expr()?) } else { None };
        let partition_by = if self.eat_word("partition") {
            self.expect_word("by", "behind `partition`")?;
            Some(self.name("a field")?)
        } else {
            None
        };
        if self.peek() == Kind::Dot {
            let error = Diagnostic::error(self.raw(0).span(), "a pattern has no operators").help(
                "write `within 5s` and `partition by field` behind its steps, \
                     and parentheses around a guard that calls a method",
            );
            return Err(self.stop(error));
        }
        Ok(StatementKind::Pattern { name, steps, within, partition_by })
    }

    fn stream(&mut self) -> Parsed<StreamDecl> {
        self.bump();
        let name = self.name("the name of the stream")?;
        let ty = self.optional_type()?;
        self.expect(Kind::Equals, "`=` and a source")?;
        let level = self.brackets;
        let source = self.source();
        if source.is_err() {
            self.skip_operator(level);
        }
        let operators = self.operators();
        Ok(StreamDecl { name, ty, source: source?, operators })
    }

    fn for_each(&mut self) -> Parsed<StatementKind> {
        self.bump();
        let variable = self.name("the name of the loop's variable")?;
        self.expect_word("in", "and what the loop runs over")?;
        let range = self.expr()?;
        self.loops += 1;
        let body = self.block(false, Self::statement);
        self.loops -= 1;
        Ok(StatementKind::For { variable, range, body: body? })
    }
}
