//! Arbitrary syntax trees: every form that the parser can give, and none that it cannot.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use varpin::vpl::syntax::*;

/// Names that are keywords somewhere, and some that only begin like one.
const NAMES: [&str; 44] = [
    "a",
    "b",
    "value",
    "_",
    "x1",
    "in",
    "input",
    "order",
    "to",
    "all_day",
    "notional",
    "and",
    "or",
    "xor",
    "not",
    "if",
    "match",
    "then",
    "else",
    "elif",
    "is",
    "desc",
    "asc",
    "stream",
    "let",
    "var",
    "break",
    "return",
    "emit",
    "while",
    "for",
    "where",
    "as",
    "within",
    "partition",
    "by",
    "on",
    "sliding",
    "tumbling",
    "session",
    "count",
    "merge",
    "timer",
    "config",
];

/// Within a `for` of the program.
const TEMPLATES: [&str; 4] = ["s_{i}", "s{i}_x", "a{i}2", "t_{i}_{j}"];

pub(crate) fn plain_text() -> impl Strategy<Value = String> {
    proptest::sample::select(&NAMES[..]).prop_map(str::to_owned)
}

fn text(templates: bool) -> BoxedStrategy<String> {
    if templates {
        prop_oneof![
            3 => plain_text(),
            1 => proptest::sample::select(&TEMPLATES[..]).prop_map(str::to_owned),
        ]
        .boxed()
    } else {
        plain_text().boxed()
    }
}

fn named(text: String) -> Name {
    Name { text, span: Span::default() }
}

fn name(templates: bool) -> impl Strategy<Value = Name> {
    text(templates).prop_map(named)
}

/// The name of a source: the words that may stand before and behind one are read as such.
fn source_name(templates: bool) -> impl Strategy<Value = Name> {
    name(templates)
        .prop_filter("a word of the step itself", |name| !matches!(name.text.as_str(), "as" | "where"))
}

fn literal() -> impl Strategy<Value = Literal> {
    prop_oneof![
        Just(Literal::Null),
        any::<bool>().prop_map(Literal::Bool),
        prop_oneof![Just(i64::MIN), Just(i64::MAX), -3..3i64, any::<i64>()].prop_map(Literal::Int),
        prop_oneof![Just(-0.0), Just(1e300), Just(1.5), any::<f64>()]
            .prop_filter("no literal says inf or NaN", |value| value.is_finite())
            .prop_map(Literal::Float),
        any::<String>().prop_map(Literal::Str),
        "[a-z'\"\\\\\n{}]{0,6}".prop_map(Literal::Str),
        (0..=i64::MAX).prop_map(Literal::Duration),
        any::<i64>().prop_map(Literal::Timestamp),
    ]
}

fn at(kind: ExprKind) -> Expr {
    Expr { kind, span: Span::default() }
}

fn unary() -> impl Strategy<Value = UnaryOp> {
    proptest::sample::select(&[UnaryOp::Neg, UnaryOp::BitNot, UnaryOp::Not][..])
}

fn binary() -> impl Strategy<Value = BinaryOp> {
    use BinaryOp::*;
    proptest::sample::select(
        &[
            Or, Xor, And, Eq, Ne, Lt, Le, Gt, Ge, In, NotIn, Is, BitOr, BitXor, BitAnd, Shl, Shr, Add, Sub,
            Mul, Div, Rem, Pow, Coalesce,
        ][..],
    )
}

pub(crate) fn expr(templates: bool) -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![
        literal().prop_map(|value| at(ExprKind::Literal(value))),
        text(templates).prop_map(|name| at(ExprKind::Name(name))),
        text(templates).prop_map(|name| at(ExprKind::Name(name))),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let item = (option::of(name(templates)), inner.clone()).prop_map(|(name, value)| NamedExpr { name, value });
        prop_oneof![
            2 => (unary(), boxed.clone()).prop_map(|(op, e)| at(ExprKind::Unary(op, e))),
            5 => (binary(), boxed.clone(), boxed.clone()).prop_map(|(op, a, b)| at(ExprKind::Binary(op, a, b))),
            1 => (boxed.clone(), boxed.clone(), any::<bool>())
                .prop_map(|(from, to, inclusive)| at(ExprKind::Range { from, to, inclusive })),
            1 => (boxed.clone(), boxed.clone(), boxed.clone())
                .prop_map(|(condition, then, otherwise)| at(ExprKind::If { condition, then, otherwise })),
            1 => (boxed.clone(), vec((inner.clone(), inner.clone()), 0..3))
                .prop_map(|(subject, arms)| at(ExprKind::Match { subject, arms })),
            2 => (boxed.clone(), name(templates), any::<bool>())
                .prop_map(|(object, name, optional)| at(ExprKind::Member { object, name, optional })),
            1 => (boxed.clone(), boxed.clone()).prop_map(|(object, index)| at(ExprKind::Index(object, index))),
            1 => (boxed.clone(), option::of(boxed.clone()), option::of(boxed.clone()))
                .prop_map(|(object, from, to)| at(ExprKind::Slice { object, from, to })),
            2 => (boxed.clone(), vec(item, 0..3)).prop_map(|(callee, args)| at(ExprKind::Call { callee, args })),
            1 => (vec(name(false), 0..3), lambda_body(inner.clone()))
                .prop_map(|(params, body)| at(ExprKind::Lambda { params, body })),
            1 => vec(inner.clone(), 0..3).prop_map(|items| at(ExprKind::Array(items))),
            1 => vec((prop_oneof![plain_text(), any::<String>()].prop_map(named), inner), 0..3)
                .prop_map(|entries| at(ExprKind::Map(entries))),
        ]
    })
    .boxed()
}

fn lambda_body(inner: BoxedStrategy<Expr>) -> impl Strategy<Value = LambdaBody> {
    prop_oneof![
        inner.clone().prop_map(|e| LambdaBody::Expr(Box::new(e))),
        (vec(block_statement(inner.clone()), 0..2), inner.prop_map(Box::new))
            .prop_map(|(statements, result)| LambdaBody::Block { statements, result }),
    ]
}

fn binding(value: BoxedStrategy<Expr>, templates: bool) -> impl Strategy<Value = Binding> {
    let kind = proptest::sample::select(&[BindingKind::Let, BindingKind::Var, BindingKind::Const][..]);
    (kind, name(templates), option::of(ty()), value).prop_map(|(kind, name, ty, value)| Binding {
        kind,
        name,
        ty,
        value,
    })
}

fn block_statement(inner: BoxedStrategy<Expr>) -> BoxedStrategy<BlockStatement> {
    let at = |kind| BlockStatement { kind, span: Span::default() };
    let item =
        (option::of(name(false)), inner.clone()).prop_map(|(name, value)| NamedExpr { name, value }).boxed();
    let leaf = prop_oneof![
        2 => binding(inner.clone(), false).prop_map(BlockStatementKind::Binding),
        1 => (name(false), inner.clone()).prop_map(|(name, value)| BlockStatementKind::Assign { name, value }),
        1 => Just(BlockStatementKind::Break),
        1 => Just(BlockStatementKind::Continue),
        1 => option::of(inner.clone()).prop_map(BlockStatementKind::Return),
        1 => (name(false), vec(item, 0..3))
            .prop_map(|(event_type, fields)| BlockStatementKind::Emit { event_type, fields }),
        3 => inner.clone().prop_map(BlockStatementKind::Expr),
    ]
    .prop_map(at);
    leaf.prop_recursive(3, 12, 3, move |nested| {
        let body = vec(nested, 1..3);
        prop_oneof![
            (vec((inner.clone(), body.clone()), 1..3), option::of(body.clone()))
                .prop_map(|(branches, otherwise)| BlockStatementKind::If { branches, otherwise }),
            (name(false), inner.clone(), body.clone())
                .prop_map(|(variable, range, body)| BlockStatementKind::For { variable, range, body }),
            (inner.clone(), body).prop_map(|(condition, body)| BlockStatementKind::While { condition, body }),
        ]
        .prop_map(at)
    })
    .boxed()
}

pub(crate) fn ty() -> BoxedStrategy<TypeExpr> {
    let at = |kind| TypeExpr { kind, span: Span::default() };
    let leaf = prop_oneof![
        Just(TypeKind::Int),
        Just(TypeKind::Float),
        Just(TypeKind::Bool),
        Just(TypeKind::Str),
        Just(TypeKind::Timestamp),
        Just(TypeKind::Duration),
        plain_text().prop_map(TypeKind::Named),
    ]
    .prop_map(at);
    leaf.prop_recursive(4, 12, 3, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed.clone().prop_map(TypeKind::Array),
            (boxed.clone(), boxed.clone()).prop_map(|(key, value)| TypeKind::Map(key, value)),
            vec(inner, 1..3).prop_map(TypeKind::Tuple),
            boxed.clone().prop_map(TypeKind::Stream),
            boxed.prop_map(TypeKind::Optional),
        ]
        .prop_map(at)
    })
    .boxed()
}

fn setting() -> impl Strategy<Value = Setting> {
    let at = |kind| Setting { kind, span: Span::default() };
    let leaf = prop_oneof![
        literal().prop_map(SettingKind::Literal),
        (-i64::MAX..0).prop_map(|value| SettingKind::Literal(Literal::Duration(value))),
        plain_text().prop_map(SettingKind::Name),
        (0..=i64::MAX, 0..=i64::MAX).prop_map(|(above, below)| SettingKind::Ratio(above, below)),
    ]
    .prop_map(at);
    leaf.prop_recursive(2, 6, 3, move |inner| vec(inner, 0..3).prop_map(SettingKind::List).prop_map(at))
}

fn settings(least: usize) -> impl Strategy<Value = Vec<(Name, Setting)>> {
    vec((name(false), setting()), least..3)
}

fn trend() -> impl Strategy<Value = Trend> {
    proptest::sample::select(&[Trend::Increasing, Trend::Decreasing][..])
}

fn step(templates: bool) -> impl Strategy<Value = Step> {
    (
        any::<bool>(),
        any::<bool>(),
        source_name(templates),
        option::of((trend(), name(false))),
        option::of(expr(templates)),
        option::of(name(templates)),
    )
        .prop_map(|(all, negated, source, trend, guard, alias)| Step {
            all,
            negated,
            source,
            trend,
            guard,
            alias,
            span: Span::default(),
        })
}

fn source(templates: bool) -> impl Strategy<Value = Source> {
    let e = || expr(templates);
    let joins = &[JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full][..];
    let branch = (option::of(name(templates)), name(templates), option::of(e()))
        .prop_map(|(name, source, filter)| Branch { name, source, filter });
    let side = (option::of(name(templates)), name(templates), option::of(e()))
        .prop_map(|(name, source, on)| JoinSide { name, source, on });
    let item = (name(templates), name(templates), option::of(e()), option::of(e()))
        .prop_map(|(alias, source, filter, within)| SequenceItem { alias, source, filter, within });
    prop_oneof![
        1 => vec(branch, 1..3).prop_map(SourceKind::Merge),
        1 => (proptest::sample::select(joins), vec(side, 1..3)).prop_map(|(kind, sides)| SourceKind::Join(kind, sides)),
        1 => (e(), option::of(e()))
            .prop_map(|(interval, initial_delay)| SourceKind::Timer { interval, initial_delay }),
        1 => vec(item, 1..3).prop_map(SourceKind::Sequence),
        1 => (name(false), name(templates), settings(0))
            .prop_map(|(event_type, connector, settings)| SourceKind::From { event_type, connector, settings }),
        4 => step(templates).prop_map(SourceKind::Step),
    ]
    .prop_map(|kind| Source { kind, span: Span::default() })
}

fn operator(templates: bool) -> BoxedStrategy<Operator> {
    let e = move || expr(templates);
    let items = move || {
        vec(
            (option::of(name(templates)), expr(templates))
                .prop_map(|(name, value)| NamedExpr { name, value }),
            0..3,
        )
    };
    let window = prop_oneof![
        (e(), option::of(e()), option::of(e())).prop_map(|(size, sliding, policy)| WindowSpec::Size {
            size,
            sliding,
            policy
        }),
        e().prop_map(|gap| WindowSpec::Session { gap }),
    ];
    let order = (e(), any::<bool>()).prop_map(|(value, descending)| OrderKey { value, descending });
    let reserved = proptest::sample::select(
        &[
            "any",
            "all",
            "first",
            "collect",
            "pattern",
            "score",
            "forecast",
            "trend_aggregate",
            "enrich",
            "alert",
        ][..],
    );
    let streams = prop_oneof![
        step(templates).prop_map(OperatorKind::FollowedBy),
        step(templates).prop_map(OperatorKind::Not),
        (trend(), name(false)).prop_map(|(trend, field)| OperatorKind::Trend(trend, field)),
        proptest::sample::select(
            &[
                OperatorKind::Strict,
                OperatorKind::Stnm,
                OperatorKind::Stam,
                OperatorKind::Each,
                OperatorKind::Longest,
                OperatorKind::Subsets,
            ][..]
        ),
        (reserved, items()).prop_map(|(name, args)| OperatorKind::Reserved { name: name.to_owned(), args }),
        items().prop_map(OperatorKind::To),
        items().prop_map(OperatorKind::From),
        e().prop_map(OperatorKind::On),
        e().prop_map(OperatorKind::Within),
        name(templates).prop_map(OperatorKind::Context),
    ];
    let values = prop_oneof![
        e().prop_map(OperatorKind::Where),
        e().prop_map(OperatorKind::Filter),
        e().prop_map(OperatorKind::Map),
        e().prop_map(OperatorKind::PartitionBy),
        e().prop_map(OperatorKind::Having),
        option::of(e()).prop_map(OperatorKind::Distinct),
        vec(order, 1..3).prop_map(OperatorKind::OrderBy),
        e().prop_map(OperatorKind::Limit),
        e().prop_map(OperatorKind::AllowedLateness),
    ];
    let lists = prop_oneof![
        items().prop_map(OperatorKind::Select),
        (option::of(name(templates)), items())
            .prop_map(|(as_type, fields)| OperatorKind::Emit { as_type, fields }),
        items().prop_map(OperatorKind::Aggregate),
        items().prop_map(OperatorKind::Watermark),
        items().prop_map(OperatorKind::Print),
        items().prop_map(OperatorKind::Log),
        items().prop_map(OperatorKind::Tap),
        e().prop_map(OperatorKind::Process),
        e().prop_map(OperatorKind::OnError),
        items().prop_map(OperatorKind::Concurrent),
        window.prop_map(OperatorKind::Window),
    ];
    let at = |kind| Operator { kind, span: Span::default(), name_span: Span::default() };
    prop_oneof![streams, values, lists]
        .prop_map(at)
        .prop_recursive(2, 4, 2, move |inner| {
            vec((name(templates), vec(inner, 1..3).prop_map(as_parsed)), 1..3)
                .prop_map(OperatorKind::Fork)
                .prop_map(at)
        })
        .boxed()
}

/// Leaves out a trend behind a bare step, which the parser takes into the step.
fn as_parsed(operators: Vec<Operator>) -> Vec<Operator> {
    let mut bare = false;
    let keep = |operator: &Operator| {
        let kept = !(bare && matches!(operator.kind, OperatorKind::Trend(..)));
        bare = matches!(&operator.kind, OperatorKind::FollowedBy(step) if takes_trend(step));
        kept
    };
    operators.into_iter().filter(keep).collect()
}

fn takes_trend(step: &Step) -> bool {
    step.trend.is_none() && step.guard.is_none() && step.alias.is_none()
}

fn stream(templates: bool) -> impl Strategy<Value = StatementKind> {
    (name(templates), option::of(ty()), source(templates), vec(operator(templates), 0..4)).prop_map(
        |(name, ty, source, mut operators)| {
            if let SourceKind::Step(step) = &source.kind
                && takes_trend(step)
                && operators.first().is_some_and(|first| {
                    matches!(first.kind, OperatorKind::Trend(..) | OperatorKind::From(_))
                })
            {
                operators.remove(0);
                operators.retain(|operator| {
                    !matches!(operator.kind, OperatorKind::Trend(..) | OperatorKind::From(_))
                });
            }
            StatementKind::Stream(StreamDecl { name, ty, source, operators: as_parsed(operators) })
        },
    )
}

pub(crate) fn statement(templates: bool) -> BoxedStrategy<Statement> {
    let e = move || expr(templates);
    let n = move || name(templates);
    let fields = || vec((name(false), ty()).prop_map(|(name, ty)| FieldDecl { name, ty }), 1..3);
    let params = vec((name(false), option::of(ty())).prop_map(|(name, ty)| Param { name, ty }), 0..3);
    let declarations = prop_oneof![
        (n(), vec((0..=i64::MAX).prop_map(|core| (core, Span::default())), 0..3))
            .prop_map(|(name, cores)| StatementKind::Context { name, cores }),
        (n(), settings(0)).prop_map(|(name, settings)| StatementKind::Config { name: Some(name), settings }),
        settings(1).prop_map(|settings| StatementKind::Config { name: None, settings }),
        (n(), n(), settings(0)).prop_map(|(name, kind, settings)| StatementKind::Connector {
            name,
            kind,
            settings
        }),
        (n(), option::of(n()), fields()).prop_map(|(name, extends, fields)| StatementKind::Event {
            name,
            extends,
            fields
        }),
        (n(), ty()).prop_map(|(name, ty)| StatementKind::TypeAlias { name, ty }),
        (n(), fields()).prop_map(|(name, fields)| StatementKind::TypeRecord { name, fields }),
    ];
    let rest = prop_oneof![
        binding(e(), templates).prop_map(StatementKind::Binding),
        (n(), params, option::of(ty()), vec(block_statement(e()), 1..4)).prop_map(
            |(name, params, returns, body)| StatementKind::Function { name, params, returns, body }
        ),
        (any::<String>(), option::of(n())).prop_map(|(path, alias)| StatementKind::Import {
            path,
            path_span: Span::default(),
            alias
        }),
        (n(), vec(step(templates), 1..3), option::of(e()), option::of(n())).prop_map(
            |(name, steps, within, partition_by)| StatementKind::Pattern {
                name,
                steps,
                within,
                partition_by
            }
        ),
        (n(), e()).prop_map(|(name, value)| StatementKind::Assign { name, value }),
    ];
    prop_oneof![2 => declarations, 3 => rest, 4 => stream(templates)]
        .prop_map(|kind| Statement { kind, span: Span::default() })
        .boxed()
}

pub(crate) fn program() -> impl Strategy<Value = Program> {
    let looped =
        (name(false), expr(false), vec(statement(true), 1..3)).prop_map(|(variable, range, body)| {
            Statement { kind: StatementKind::For { variable, range, body }, span: Span::default() }
        });
    vec(prop_oneof![6 => statement(false), 1 => looped], 0..4).prop_map(|statements| Program { statements })
}
