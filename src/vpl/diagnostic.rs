//! What is wrong with a program, and where: errors and warnings with a place, a label and a suggestion.

use super::syntax::Span;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The program does not run.
    Error,
    /// The program runs; it probably does not do what was meant.
    Warning,
}

/// One finding about a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// One sentence without a final period, naming the construct.
    pub message: String,
    /// The place it speaks of.
    pub span: Span,
    /// A few words shown under the place; may be empty.
    pub label: String,
    /// What to do about it ("did you mean `x`?").
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), span, label: String::new(), help: None }
    }

    /// A warning at `span`.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// The same with words under the place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same with a suggestion.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// All findings about one source text.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What messages call the source.
    pub source_name: String,
    /// The source.
    pub text: String,
    /// The findings in the order of the source.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Findings about `text`, which messages call `source_name`.
    pub fn new(
        source_name: impl Into<String>,
        text: impl Into<String>,
        diagnostics: Vec<Diagnostic>,
    ) -> Self {
        Self { source_name: source_name.into(), text: text.into(), diagnostics }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for finding in &self.diagnostics {
            let before = &self.text[..(finding.span.start as usize).min(self.text.len())];
            let line = before.matches('\n').count() + 1;
            writeln!(f, "{:?}: {} (line {line}): {}", finding.severity, self.source_name, finding.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
