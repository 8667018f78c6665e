//! What else is wrong with a program: found beside errors of syntax, and by compiling what has been resolved. So that
//! all errors come at once, when the program is loaded.

use crate::operators::{Env, Limits, StreamRuntime};
use crate::vpl::diagnostic::{Diagnostic, Severity};
use crate::vpl::plan::Plan;
use crate::vpl::syntax::{Program, Span, StatementKind};

/// Of what the resolver has found in a program of which parts could not be read, what is wrong all the same: errors
/// in statements that were read, and none that says only that something is not there.
pub(super) fn beside_syntax(
    tree: &Program,
    syntax: &[Diagnostic],
    found: Vec<Diagnostic>,
) -> impl Iterator<Item = Diagnostic> {
    let mut starts: Vec<u32> = tree.statements.iter().map(|statement| statement.span.start).collect();
    starts.sort_unstable();
    // A statement goes on up to the next one: what could not be read behind it may have been a part of it.
    let statement = move |span: Span| starts.partition_point(|&start| start <= span.start);
    let broken: Vec<usize> = syntax.iter().map(|finding| statement(finding.span)).collect();
    found.into_iter().filter(move |finding| {
        finding.severity == Severity::Error
            && !finding.says_what_is_missing
            && !broken.contains(&statement(finding.span))
    })
}

/// What compiling finds: values of globals that fail, windows and expressions beyond what can run.
pub(super) fn of_compiling(plan: &Plan, tree: &Program) -> Vec<Diagnostic> {
    let limits = Limits::default().with(&plan.engine);
    if let Err(error) = Env::new(plan, &limits) {
        let binding = tree.statements.iter().find_map(|statement| match &statement.kind {
            StatementKind::Binding(binding) if error.place == format!("global {}", binding.name.text) => {
                Some(binding.value.span)
            }
            _ => None,
        });
        return vec![Diagnostic::error(binding.unwrap_or_default(), error.to_string())];
    }
    let errors = plan.streams.iter().enumerate().filter_map(|(at, stream)| {
        let error = StreamRuntime::compile(plan, at, &limits).err()?;
        Some(Diagnostic::error(stream.span, format!("stream `{}`: {}", error.place, error.message)))
    });
    errors.collect()
}
