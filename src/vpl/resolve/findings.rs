//! Findings while they are made: each once, and no more of them than anybody reads.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::vpl::diagnostic::{Diagnostic, Severity};
use crate::vpl::parser::MAX_DIAGNOSTICS;
use crate::vpl::syntax::Span;

/// Findings of one severity.
#[derive(Debug, Default)]
struct Told {
    all: Vec<Diagnostic>,
    /// How many are beyond the bound, and where the first of them is.
    left_out: usize,
    first_left_out: Span,
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    errors: Told,
    warnings: Told,
    /// Hashes of place and message: the turns of a loop share theirs, and say the same again.
    said: HashSet<u64>,
    /// What is found now has been told in other words.
    hushed: bool,
}

impl Findings {
    /// Adds a finding, unless the same was said of the same place.
    pub(super) fn push(&mut self, finding: Diagnostic) {
        if self.hushed {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (finding.span.start, finding.span.end, &finding.message).hash(&mut hasher);
        if !self.said.insert(hasher.finish()) {
            return;
        }
        let told = match finding.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        // Twice the bound, because they are put in order and cut only in the end.
        if told.all.len() < 2 * MAX_DIAGNOSTICS {
            told.all.push(finding);
        } else {
            if told.left_out == 0 {
                told.first_left_out = finding.span;
            }
            told.left_out += 1;
        }
    }

    /// What is found from now on is not told, or is told again. Says how it was.
    pub(super) fn hush(&mut self, hushed: bool) -> bool {
        std::mem::replace(&mut self.hushed, hushed)
    }

    /// How many have been told.
    pub(super) fn len(&self) -> usize {
        self.errors.all.len() + self.warnings.all.len()
    }

    /// Whether there is an error.
    pub(super) fn has_errors(&self) -> bool {
        !self.errors.all.is_empty()
    }

    /// Whether so much is wrong that suggestions are no help any more; finding them takes long where much is declared.
    pub(super) fn are_many(&self) -> bool {
        self.len() >= 2 * MAX_DIAGNOSTICS
    }

    /// Whether `of` holds for one of them.
    pub(super) fn any(&self, of: impl Fn(&Diagnostic) -> bool) -> bool {
        self.errors.all.iter().chain(&self.warnings.all).any(of)
    }

    /// Says of errors around one of `places` that they are about something that is missing.
    pub(super) fn mark_missing(&mut self, places: &[Span]) {
        for finding in &mut self.errors.all {
            let is_about = |at: &Span| finding.span.start <= at.start && at.end <= finding.span.end;
            finding.says_what_is_missing |= places.iter().any(is_about);
        }
    }

    /// All of them in the order of the text, the first hundred errors and the first hundred warnings.
    pub(super) fn finish(self) -> Vec<Diagnostic> {
        let mut all = self.errors.finish("errors", Diagnostic::error);
        all.extend(self.warnings.finish("warnings", Diagnostic::warning));
        all.sort_by_key(|finding| (finding.span.start, finding.span.end));
        all
    }
}

impl Told {
    fn finish(mut self, word: &str, make: fn(Span, String) -> Diagnostic) -> Vec<Diagnostic> {
        self.all.sort_by_key(|finding| (finding.span.start, finding.span.end));
        let mut first = self.first_left_out;
        if let Some(cut) = self.all.get(MAX_DIAGNOSTICS) {
            first = cut.span;
            self.left_out += self.all.len() - MAX_DIAGNOSTICS;
            self.all.truncate(MAX_DIAGNOSTICS);
        }
        if self.left_out > 0 {
            let message = format!("{} more {word} were left out", self.left_out);
            self.all.push(make(first, message).label("one of them"));
        }
        self.all
    }
}
