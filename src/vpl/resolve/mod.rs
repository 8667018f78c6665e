//! Syntax to plan: every name is found, every construct either gets its meaning or is refused by name and
//! line.
//!
//! Before anything else a `for` around statements is replaced by its turns. Then three passes. *Declarations*
//! collects contexts, events, types, globals, functions and streams, and orders the streams. Then each stream
//! is resolved in that order, so that what it consumes is known. A layout grows while its consumers are
//! resolved (an undeclared event has the fields that somebody reads), so everything that depends on final
//! layouts is filled in by the last pass, *layouts*, which walks the streams backwards.

mod bounds;
mod concurrent;
mod connectors;
mod declarations;
mod expand;
mod expr;
mod findings;
mod functions;
mod join;
mod layouts;
mod merge;
mod on_error;
mod order;
mod scope;
mod sequence;
mod settings;
mod stream;
mod supervision;
mod unwanted;
mod window;

use std::collections::{HashMap, HashSet};

use super::diagnostic::Diagnostic;
use super::plan::{Plan, StreamPlan};
use super::syntax::{Program, Span, StreamDecl};
use declarations::EventDecl;
use findings::Findings;

/// Resolves a program. The plan is meaningful only where no finding is an error; all findings come at once,
/// in the order of the source.
pub fn resolve(program: &Program) -> (Plan, Vec<Diagnostic>) {
    let mut findings = Findings::default();
    let program = expand::expand(program, &mut findings);
    let mut resolver = Resolver { findings, ..Resolver::default() };
    resolver.declarations(&program);
    resolver.streams();
    resolver.unwanted(&program);
    resolver.check_connectors(&program);
    if !resolver.findings.has_errors() {
        resolver.layouts();
    }
    let own_name = |stream: &StreamPlan| resolver.name_ids.get(&stream.name).copied();
    resolver.plan.own_names = resolver.plan.streams.iter().map(own_name).collect();
    resolver.findings.mark_missing(&resolver.unknown_constants);
    (resolver.plan, resolver.findings.finish())
}

#[derive(Default)]
struct Resolver<'a> {
    plan: Plan,
    findings: Findings,
    /// Declared event types.
    events: HashMap<&'a str, EventDecl>,
    /// `type` statements.
    types: HashMap<&'a str, crate::event::FieldType>,
    /// Contexts by name.
    context_ids: HashMap<&'a str, usize>,
    /// Where a constant was asked for and a name stands that means none.
    unknown_constants: Vec<Span>,
    /// `connector` statements by name.
    connectors: HashMap<&'a str, connectors::Connector>,
    /// Functions by name.
    function_ids: HashMap<String, usize>,
    /// Which of them emit, by themselves or through others.
    emitting: Vec<bool>,
    /// Globals by name; of several with one name the last.
    global_ids: HashMap<String, usize>,
    /// Where the value of each global stands.
    global_spans: Vec<Span>,
    /// Names of rows by text.
    name_ids: HashMap<String, usize>,
    /// Streams in the order of their ranks, with what the passes need to know of each.
    stream_decls: Vec<StreamInfo<'a>>,
    /// Stream names to ranks.
    stream_ids: HashMap<&'a str, usize>,
    /// `pattern` statements by name.
    patterns: HashMap<&'a str, sequence::Pattern<'a>>,
    /// Layouts of matches of sequences.
    sequence_shapes: HashSet<usize>,
    /// Every name that some stream takes.
    consumed: HashSet<&'a str>,
    /// See `bounds`.
    fields_made: usize,
    too_large: bool,
    looked_at: usize,
    pool_threads: usize,
}

/// A stream on its way into the plan.
struct StreamInfo<'a> {
    decl: &'a StreamDecl,
    /// The type of `.emit as`, if there is one.
    emit_as: Option<&'a str>,
    /// The context of `.emit(context: ..)` and where it stands.
    sends_to: Option<(usize, Span)>,
    /// The layout of its merged branches or of its join, where it has one of its own.
    merged: Option<usize>,
    /// In a join: the sides, by the name they go under, with their layout.
    sides: Vec<(String, usize)>,
    /// The place of the operator that made the stream's layout, if one did: behind the window, and index.
    shaped_by: Option<(bool, usize)>,
}
