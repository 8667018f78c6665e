//! The syntax tree of a VPL program: what was written, where it stood, and nothing about what it means.
//!
//! Every node carries its [`Span`]. Two nodes are equal when they say the same thing, wherever they stand: `Span`
//! compares equal to every other `Span`, so `parse(print(tree)) == tree` is an honest statement.

use std::fmt;

/// A range of bytes in the source text.
#[derive(Clone, Copy, Default)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The span from byte `start` to byte `end` (exclusive). Sources are bounded at 4 MB, so `u32` is enough.
    pub fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

impl PartialEq for Span {
    /// Always true: a place is no part of what a program says.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Span {}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The name itself.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// A whole program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Program {
    /// The statements in the order of the source.
    pub statements: Vec<Statement>,
}

/// A top-level statement with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it says.
    pub kind: StatementKind,
    /// From its first to its last byte.
    pub span: Span,
}

/// The statements of a program.
#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// `context name (cores: [..])`
    Context {
        /// The context.
        name: Name,
        /// The listed CPU numbers, each with its place. Empty where none are named.
        cores: Vec<(i64, Span)>,
    },
    /// `config name { .. }` or `config:` and a block.
    Config {
        /// The context or `engine`; none for `config:`.
        name: Option<Name>,
        /// Its settings in order.
        settings: Vec<(Name, Setting)>,
    },
    /// `connector name = kind (key: value, ..)`
    Connector {
        /// The connector's name.
        name: Name,
        /// What it is: `file`, `console` ...
        kind: Name,
        /// Its settings in order.
        settings: Vec<(Name, Setting)>,
    },
    /// `event name [extends base]:` and its fields.
    Event {
        /// The event type.
        name: Name,
        /// The type whose fields come first.
        extends: Option<Name>,
        /// Its own fields.
        fields: Vec<FieldDecl>,
    },
    /// `type name = type`
    TypeAlias {
        /// The new name.
        name: Name,
        /// What it stands for.
        ty: TypeExpr,
    },
    /// `type name:` and its fields.
    TypeRecord {
        /// The record type.
        name: Name,
        /// Its fields.
        fields: Vec<FieldDecl>,
    },
    /// `let name [: type] = value`, and likewise `var` and `const`.
    Binding(Binding),
    /// `fn name(params) [-> type]:` and its block.
    Function {
        /// The function.
        name: Name,
        /// Parameters in order.
        params: Vec<Param>,
        /// The type after `->`.
        returns: Option<TypeExpr>,
        /// The body.
        body: Vec<BlockStatement>,
    },
    /// `import "file" [as name]`
    Import {
        /// The path as written.
        path: String,
        /// Where the path stands.
        path_span: Span,
        /// The name after `as`.
        alias: Option<Name>,
    },
    /// `pattern name = steps [within d] [partition by name]`
    Pattern {
        /// The pattern.
        name: Name,
        /// Its steps in order; at least one.
        steps: Vec<Step>,
        /// The bound after `within`.
        within: Option<Expr>,
        /// The field after `partition by`.
        partition_by: Option<Name>,
    },
    /// `stream name [: type] = source operators`
    Stream(StreamDecl),
    /// `for name in range:` and statements; expanded at load.
    For {
        /// The loop's name, replaced as `{name}` in names and strings.
        variable: Name,
        /// What it runs over.
        range: Expr,
        /// The statements to repeat.
        body: Vec<Statement>,
    },
    /// `name := value`
    Assign {
        /// The variable.
        name: Name,
        /// Its new value.
        value: Expr,
    },
}

/// A setting of a config block or connector.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The value.
    pub kind: SettingKind,
    /// Its place.
    pub span: Span,
}

/// The values that a setting can have.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingKind {
    /// A literal (a leading minus is folded into numbers).
    Literal(Literal),
    /// A bare name such as `on_failure`.
    Name(String),
    /// `1/64`
    Ratio(i64, i64),
    /// `[a, b]`
    List(Vec<Setting>),
}

/// A declared field: `name: type [?]`.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldDecl {
    /// The field.
    pub name: Name,
    /// Its type; `T?` is [`TypeKind::Optional`].
    pub ty: TypeExpr,
}

/// A function's parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The parameter.
    pub name: Name,
    /// Its type, where one is written.
    pub ty: Option<TypeExpr>,
}

/// A type as written.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeExpr {
    /// What it says.
    pub kind: TypeKind,
    /// Its place.
    pub span: Span,
}

/// The forms of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeKind {
    /// `int`
    Int,
    /// `float`
    Float,
    /// `bool`
    Bool,
    /// `str`
    Str,
    /// `timestamp`
    Timestamp,
    /// `duration`
    Duration,
    /// A declared type.
    Named(String),
    /// `[T]`
    Array(Box<TypeExpr>),
    /// `{K: V}`
    Map(Box<TypeExpr>, Box<TypeExpr>),
    /// `(A, B)`
    Tuple(Vec<TypeExpr>),
    /// `Stream<T>`
    Stream(Box<TypeExpr>),
    /// `T?`
    Optional(Box<TypeExpr>),
}

/// How a name is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingKind {
    /// `let`: fixed.
    Let,
    /// `var`: may be assigned with `:=`.
    Var,
    /// `const`: fixed.
    Const,
}

/// `let name [: type] = value` and its siblings.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Which of the three.
    pub kind: BindingKind,
    /// The name.
    pub name: Name,
    /// Its type, where one is written.
    pub ty: Option<TypeExpr>,
    /// Its value.
    pub value: Expr,
}

/// `stream name [: type] = source operators`
#[derive(Clone, Debug, PartialEq)]
pub struct StreamDecl {
    /// The stream.
    pub name: Name,
    /// The type after the name.
    pub ty: Option<TypeExpr>,
    /// Where its events come from.
    pub source: Source,
    /// Its operators in order.
    pub operators: Vec<Operator>,
}

/// A stream's source with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// What it is.
    pub kind: SourceKind,
    /// Its place.
    pub span: Span,
}

/// The forms of a source.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceKind {
    /// `merge(A, stream X = B.where(e))`
    Merge(Vec<Branch>),
    /// `join(A, B)` and its siblings.
    Join(JoinKind, Vec<JoinSide>),
    /// `timer(interval, initial_delay: d)`
    Timer {
        /// Time between two events.
        interval: Expr,
        /// Time before the first.
        initial_delay: Option<Expr>,
    },
    /// `sequence(x: A, y: B where .. .within(..))`
    Sequence(Vec<SequenceItem>),
    /// `Type.from(connector, key: value)`
    From {
        /// The event type.
        event_type: Name,
        /// The connector.
        connector: Name,
        /// Settings in order.
        settings: Vec<(Name, Setting)>,
    },
    /// One step: `[all] [NOT] Type [where guard] [as alias]`. A plain `Type` or stream name is a step without extras.
    Step(Step),
}

/// A branch of a merge.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// The name given with `stream name =`.
    pub name: Option<Name>,
    /// The event type or stream.
    pub source: Name,
    /// The condition of `.where(..)`.
    pub filter: Option<Expr>,
}

/// The four joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// `join`
    Inner,
    /// `left_join`
    Left,
    /// `right_join`
    Right,
    /// `full_join`
    Full,
}

/// A side of a join.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinSide {
    /// The name given with `stream name =`.
    pub name: Option<Name>,
    /// The event type or stream.
    pub source: Name,
    /// The condition of `on` or `.on(..)`.
    pub on: Option<Expr>,
}

/// One item of `sequence(..)`.
#[derive(Clone, Debug, PartialEq)]
pub struct SequenceItem {
    /// The alias before the colon.
    pub alias: Name,
    /// The event type or stream.
    pub source: Name,
    /// The condition after `where`.
    pub filter: Option<Expr>,
    /// The bound of `.within(..)`.
    pub within: Option<Expr>,
}

/// A step of a sequence, or a plain source.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// `all` stands before it.
    pub all: bool,
    /// `NOT` stands before it.
    pub negated: bool,
    /// The event type or stream.
    pub source: Name,
    /// `.increasing(field)` or `.decreasing(field)`.
    pub trend: Option<(Trend, Name)>,
    /// The guard after `where`.
    pub guard: Option<Expr>,
    /// The alias after `as`.
    pub alias: Option<Name>,
    /// Its place.
    pub span: Span,
}

/// The direction of `.increasing(..)` and `.decreasing(..)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// Each value is greater than the one before.
    Increasing,
    /// Each value is smaller than the one before.
    Decreasing,
}

/// An operator of a stream with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// What it is.
    pub kind: OperatorKind,
    /// From the dot (or arrow) to its last byte.
    pub span: Span,
    /// Where its name stands.
    pub name_span: Span,
}

/// A value with an optional name: `name: value`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedExpr {
    /// The name before the colon.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
}

/// What `.window(..)` asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowSpec {
    /// `.window(size)`, `.window(size, sliding: slide)`, `.window(size, policy: p)`, and the guides' spellings
    /// `tumbling size`, `sliding size by slide`, `count: size`.
    Size {
        /// Length in time or in events.
        size: Expr,
        /// The slide.
        sliding: Option<Expr>,
        /// The policy.
        policy: Option<Expr>,
    },
    /// `.window(session: gap)`
    Session {
        /// The inactivity that closes a session.
        gap: Expr,
    },
}

/// One key of `.order_by(..)`.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderKey {
    /// What to order by.
    pub value: Expr,
    /// `desc` stands behind it.
    pub descending: bool,
}

/// The operators of a stream. Each known operator has its own variant, so that the resolver must say for each what
/// becomes of it; a name that is none of them is a syntax error with a suggestion.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorKind {
    /// `-> step`
    FollowedBy(Step),
    /// `.context(name)`
    Context(Name),
    /// `.where(e)`
    Where(Expr),
    /// `.filter(x => e)` or `.filter(e)`
    Filter(Expr),
    /// `.map(x => e)`
    Map(Expr),
    /// `.select(a, b: e)`
    Select(Vec<NamedExpr>),
    /// `.emit [as T] (f: e, ..)`
    Emit {
        /// The type after `as`.
        as_type: Option<Name>,
        /// The fields. An item `context: name` stays an item here; the resolver decides.
        fields: Vec<NamedExpr>,
    },
    /// `.partition_by(e)`
    PartitionBy(Expr),
    /// `.window(..)`
    Window(WindowSpec),
    /// `.aggregate(name: e, ..)`
    Aggregate(Vec<NamedExpr>),
    /// `.having(e)`
    Having(Expr),
    /// `.distinct()` or `.distinct(e)`
    Distinct(Option<Expr>),
    /// `.order_by(e desc, ..)`
    OrderBy(Vec<OrderKey>),
    /// `.limit(n)`
    Limit(Expr),
    /// `.watermark(out_of_order: d)`
    Watermark(Vec<NamedExpr>),
    /// `.allowed_lateness(d)`
    AllowedLateness(Expr),
    /// `.print(..)`
    Print(Vec<NamedExpr>),
    /// `.log(level:, message:, data:)`
    Log(Vec<NamedExpr>),
    /// `.tap(..)`
    Tap(Vec<NamedExpr>),
    /// `.process(f(x))`
    Process(Expr),
    /// `.on_error(skip | dead_letter | fail | retry(n) | x => ..)`
    OnError(Expr),
    /// `.concurrent(workers: N, ..)`
    Concurrent(Vec<NamedExpr>),
    /// `.to(connector, ..)`
    To(Vec<NamedExpr>),
    /// `.from(connector, ..)` behind other operators.
    From(Vec<NamedExpr>),
    /// `.on(e)` of a join.
    On(Expr),
    /// `.within(d)`
    Within(Expr),
    /// `.not(X where c)`
    Not(Step),
    /// `.increasing(f)` or `.decreasing(f)` behind a step.
    Trend(Trend, Name),
    /// `.strict()`
    Strict,
    /// `.stnm()`
    Stnm,
    /// `.stam()`
    Stam,
    /// `.each()`
    Each,
    /// `.longest()`
    Longest,
    /// `.subsets()`
    Subsets,
    /// `.fork(name: operators, ..)`
    Fork(Vec<(Name, Vec<Operator>)>),
    /// One of the operators that the language names and varpin refuses: `any all first collect pattern score forecast
    /// trend_aggregate enrich alert`.
    Reserved {
        /// Its name.
        name: String,
        /// Its arguments.
        args: Vec<NamedExpr>,
    },
}

/// An expression with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place.
    pub span: Span,
}

/// A literal.
#[derive(Clone, Debug)]
pub enum Literal {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// `42`
    Int(i64),
    /// `1.5`
    Float(f64),
    /// `"text"`
    Str(String),
    /// `5s`, in nanoseconds.
    Duration(i64),
    /// `@2024-01-15`, in nanoseconds since the epoch.
    Timestamp(i64),
}

impl PartialEq for Literal {
    /// Floats by their bits, so that a tree equals itself.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Int(a), Self::Int(b))
            | (Self::Duration(a), Self::Duration(b))
            | (Self::Timestamp(a), Self::Timestamp(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a.to_bits() == b.to_bits(),
            (Self::Str(a), Self::Str(b)) => a == b,
            _ => false,
        }
    }
}

/// Prefix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `~`
    BitNot,
    /// `not`
    Not,
}

/// Infix operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `xor`
    Xor,
    /// `and`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `in`
    In,
    /// `not in`
    NotIn,
    /// `is`
    Is,
    /// `|`
    BitOr,
    /// `^`
    BitXor,
    /// `&`
    BitAnd,
    /// `<<`
    Shl,
    /// `>>`
    Shr,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
    /// `**`
    Pow,
    /// `??`
    Coalesce,
}

/// The forms of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A literal.
    Literal(Literal),
    /// A name.
    Name(String),
    /// `-x`, `~x`, `not x`
    Unary(UnaryOp, Box<Expr>),
    /// `a op b`
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `a..b`, `a..=b`
    Range {
        /// The first value.
        from: Box<Expr>,
        /// The last.
        to: Box<Expr>,
        /// `..=`
        inclusive: bool,
    },
    /// `if c then a else b`
    If {
        /// The condition.
        condition: Box<Expr>,
        /// Where it is true.
        then: Box<Expr>,
        /// Where it is not.
        otherwise: Box<Expr>,
    },
    /// `match ..`: parses, and is refused by the resolver.
    Match {
        /// What is matched.
        subject: Box<Expr>,
        /// Pattern and value of each arm.
        arms: Vec<(Expr, Expr)>,
    },
    /// `a.b` and `a?.b`
    Member {
        /// The left side.
        object: Box<Expr>,
        /// The member.
        name: Name,
        /// `?.`
        optional: bool,
    },
    /// `a[i]`
    Index(Box<Expr>, Box<Expr>),
    /// `a[from:to]`
    Slice {
        /// The left side.
        object: Box<Expr>,
        /// The first position.
        from: Option<Box<Expr>>,
        /// One past the last.
        to: Option<Box<Expr>>,
    },
    /// `f(a, name: b)`; `a.f(b)` is a call whose callee is a member.
    Call {
        /// What is called.
        callee: Box<Expr>,
        /// The arguments.
        args: Vec<NamedExpr>,
    },
    /// `x => e`, `(x, y) => { .. }`
    Lambda {
        /// Parameters in order.
        params: Vec<Name>,
        /// The body.
        body: LambdaBody,
    },
    /// `[a, b]`
    Array(Vec<Expr>),
    /// `{ k: v, "key": v }`
    Map(Vec<(Name, Expr)>),
}

/// The body of a lambda.
#[derive(Clone, Debug, PartialEq)]
pub enum LambdaBody {
    /// An expression; `{ k: v }` is a map literal.
    Expr(Box<Expr>),
    /// `{ statements; result }`
    Block {
        /// The statements.
        statements: Vec<BlockStatement>,
        /// The value of the block.
        result: Box<Expr>,
    },
}

/// A statement of a function's body or a lambda's block.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockStatement {
    /// What it is.
    pub kind: BlockStatementKind,
    /// Its place.
    pub span: Span,
}

/// The statements of a block.
#[derive(Clone, Debug, PartialEq)]
pub enum BlockStatementKind {
    /// `let`, `var`, `const`
    Binding(Binding),
    /// `name := value`
    Assign {
        /// The variable.
        name: Name,
        /// Its new value.
        value: Expr,
    },
    /// `if` with any number of `elif`, and `else`.
    If {
        /// Condition and block of `if` and each `elif`.
        branches: Vec<(Expr, Vec<BlockStatement>)>,
        /// The block of `else`.
        otherwise: Option<Vec<BlockStatement>>,
    },
    /// `for name in range:`
    For {
        /// The loop's variable.
        variable: Name,
        /// What it runs over.
        range: Expr,
        /// The block.
        body: Vec<BlockStatement>,
    },
    /// `while condition:`
    While {
        /// The condition.
        condition: Expr,
        /// The block.
        body: Vec<BlockStatement>,
    },
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `return [value]`
    Return(Option<Expr>),
    /// `emit Type(name: value, ..)`
    Emit {
        /// The event type.
        event_type: Name,
        /// Its fields.
        fields: Vec<NamedExpr>,
    },
    /// An expression on its own.
    Expr(Expr),
}
