//! Bounds on what a program may declare, beyond those of its text: what is counted in 16 bits, what takes a thread, and
//! how much can be made of a few lines. Each has a message that names it.

use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::syntax::Span;

use super::Resolver;

/// Streams. Their ranks are counted in 16 bits.
pub(super) const MAX_STREAMS: usize = 50_000;
/// Contexts and workers of pools: each is a thread.
pub(super) const MAX_THREADS: usize = 1_000;
/// The fields of one layout.
pub(super) const MAX_FIELDS: usize = 1_024;
/// The names that a stream takes, and the types that a function may emit to it.
pub(super) const MAX_SOURCES: usize = 1_024;
/// The fields of all layouts, and of all that goes over all fields of one: a line that says `.emit()` can make a
/// thousand.
const MAX_ALL_FIELDS: usize = 1_000_000;
/// Functions that are looked at, in all, to find what calls of functions lead to.
const MAX_LOOKED_AT: usize = 10_000_000;

impl Resolver<'_> {
    /// Counts `fields` more that are made; false beyond the bound, which is told once.
    pub(super) fn make_fields(&mut self, fields: usize, span: Span) -> bool {
        self.fields_made = self.fields_made.saturating_add(fields);
        if self.fields_made > MAX_ALL_FIELDS && !std::mem::replace(&mut self.too_large, true) {
            let message = format!("the layouts of the program have more than {MAX_ALL_FIELDS} fields in all");
            self.findings.push(Diagnostic::error(span, message).label("here at the latest"));
        }
        self.fields_made <= MAX_ALL_FIELDS
    }

    /// Counts a function that is looked at; false beyond the bound, which is told once.
    pub(super) fn look_at_function(&mut self, span: Span) -> bool {
        self.looked_at += 1;
        if self.looked_at == MAX_LOOKED_AT {
            let message = "the functions of the program call each other in too many ways to follow";
            self.findings.push(Diagnostic::error(span, message));
        }
        self.looked_at < MAX_LOOKED_AT
    }

    /// Whether `count` of `what` are not more than `most`; else that is told.
    pub(super) fn within(&mut self, count: usize, most: usize, what: &str, span: Span) -> bool {
        if count > most {
            self.findings
                .push(Diagnostic::error(span, format!("{count} {what}, and at most {most} are possible")));
        }
        count <= most
    }
}
