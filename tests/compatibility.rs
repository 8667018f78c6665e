//! docs/compatibility.md tells the truth: every program in its tables loads, or is refused with the words that stand there.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use varpin::cores::PinPolicy;
use varpin::engine::{BuildError, Engine, Program, ProgramError};
use varpin::vpl::diagnostic::Severity;
use varpin::vpl::syntax;

/// A row of a table with three columns: line, example, what becomes of it.
struct Row {
    line: usize,
    program: String,
    outcome: String,
}

fn rows(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let lines = text.lines().enumerate().skip_while(|(_, line)| *line != "## What runs").skip(1);
    // What follows compares with others: nothing that a test could load.
    for (number, line) in lines.take_while(|(_, line)| !line.starts_with("## ")) {
        // A bar in code is written `\|`.
        let line_in_cells = line.replace("\\|", "\u{1}");
        let cells: Vec<&str> = line_in_cells.split('|').map(str::trim).collect();
        let ["", _, example, outcome, ""] = cells[..] else { continue };
        let Some(program) = example.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) else {
            continue;
        };
        // Two pieces of code with words between them are a remark.
        if program.contains('`') {
            continue;
        }
        let program = program.replace('\u{1}', "|").replace(" ⏎ ", "\n");
        rows.push(Row { line: number + 1, program, outcome: outcome.to_owned() });
    }
    rows
}

/// What is wrong with a row, if anything is.
fn fault(row: &Row) -> Option<String> {
    let loaded = Program::parse(&row.program);
    let said = match (&loaded, row.outcome.strip_prefix("refused:")) {
        (Ok(program), None) if row.outcome == "runs" => {
            let folder = tempfile::tempdir().unwrap();
            for file in ["in.evt", "in.csv"] {
                std::fs::write(folder.path().join(file), "").unwrap();
            }
            let builder = Engine::builder(program).directory(folder.path()).pin(PinPolicy::Off);
            let built = match builder.clone().stepped().build() {
                // What is supervised has threads.
                Err(BuildError::Unsupervised { .. }) => builder.build(),
                built => built,
            };
            return built.err().map(|error| format!("is said to run, but: {error}"));
        }
        (Ok(_), Some(_)) => "is said to be refused, but loads".to_owned(),
        (Err(ProgramError::Program(report)), Some(words)) => {
            let errors = report.diagnostics.iter().filter(|found| found.severity == Severity::Error);
            let errors: Vec<&str> = errors.map(|found| found.message.as_str()).collect();
            if errors.iter().any(|error| error.contains(words.trim())) && !words.trim().is_empty() {
                return None;
            }
            format!("is refused with {errors:?}")
        }
        (Err(error), None) if row.outcome == "runs" => format!("is said to run, but: {error:?}"),
        _ => format!("has the outcome {:?}: it is `runs` or `refused: words`", row.outcome),
    };
    Some(said)
}

#[test]
fn the_tables_say_what_becomes_of_each_form() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");
    let rows = rows(&std::fs::read_to_string(path).unwrap());
    assert!(rows.len() > 80, "only {} rows were found", rows.len());
    let faults: Vec<String> = rows
        .iter()
        .filter_map(|row| {
            Some(format!("docs/compatibility.md:{}: {}\n    {}", row.line, row.program, fault(row)?))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_row_that_is_wrong_is_found() {
    let wrong = |program: &str, outcome: &str| {
        fault(&Row { line: 1, program: program.to_owned(), outcome: outcome.to_owned() }).is_some()
    };
    assert!(wrong("stream S = E", "refused: E"));
    assert!(wrong("stream S = E.nowhere()", "runs"));
    assert!(wrong("stream S = E.aggregate(n: count())", "refused: something else"));
    assert!(!wrong("stream S = E", "runs"));
}

/// Names of variants. Whoever adds one is told by the compiler that it belongs here too.
macro_rules! variants {
    ($check:ident, $all:ident, $ty:ident, $($name:ident),+) => {
        const $all: &[&str] = &[$(stringify!($name)),+];
        #[allow(dead_code)] // it is compiled, and that is all it is for
        fn $check(value: &syntax::$ty) {
            match value {
                $(syntax::$ty::$name { .. } => {})+
            }
        }
    };
}

variants!(
    statements,
    STATEMENTS,
    StatementKind,
    Context,
    Config,
    Connector,
    Event,
    TypeAlias,
    TypeRecord,
    Binding,
    Function,
    Import,
    Pattern,
    Stream,
    For,
    Assign
);
variants!(sources, SOURCES, SourceKind, Merge, Join, Timer, Sequence, From, Step);
variants!(
    operators,
    OPERATORS,
    OperatorKind,
    FollowedBy,
    Context,
    Where,
    Filter,
    Map,
    Select,
    Emit,
    PartitionBy,
    Window,
    Aggregate,
    Having,
    Distinct,
    OrderBy,
    Limit,
    Watermark,
    AllowedLateness,
    Print,
    Log,
    Tap,
    Process,
    OnError,
    Concurrent,
    To,
    From,
    On,
    Within,
    Not,
    Trend,
    Strict,
    Stnm,
    Stam,
    Each,
    Longest,
    Subsets,
    Fork,
    Reserved
);
variants!(
    expressions,
    EXPRESSIONS,
    ExprKind,
    Literal,
    Name,
    Unary,
    Binary,
    Range,
    If,
    Match,
    Member,
    Index,
    Slice,
    Call,
    Lambda,
    Array,
    Map
);
variants!(
    blocks,
    BLOCKS,
    BlockStatementKind,
    Binding,
    Assign,
    If,
    For,
    While,
    Break,
    Continue,
    Return,
    Emit,
    Expr
);
variants!(
    binary, BINARY, BinaryOp, Or, Xor, And, Eq, Ne, Lt, Le, Gt, Ge, In, NotIn, Is, BitOr, BitXor, BitAnd,
    Shl, Shr, Add, Sub, Mul, Div, Rem, Pow, Coalesce
);
variants!(
    types, TYPES, TypeKind, Int, Float, Bool, Str, Timestamp, Duration, Named, Array, Map, Tuple, Stream,
    Optional
);

#[test]
fn every_form_of_the_grammar_has_a_row() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/compatibility.md");
    let mut seen = std::collections::BTreeSet::new();
    for row in rows(&std::fs::read_to_string(path).unwrap()) {
        // The names of the variants stand in what a tree prints of itself, behind the member that holds them.
        let tree = format!("{:?}", varpin::vpl::parser::parse(&row.program).0);
        let words = tree.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_owned);
        seen.extend(words);
    }
    let all = [STATEMENTS, SOURCES, OPERATORS, EXPRESSIONS, BLOCKS, BINARY, TYPES].concat();
    let without: Vec<&str> = all.into_iter().filter(|name| !seen.contains(*name)).collect();
    assert!(without.is_empty(), "no row of docs/compatibility.md has {without:?}");
}
