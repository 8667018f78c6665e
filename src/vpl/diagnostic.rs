//! What is wrong with a program, and where: errors and warnings with a place, a label and a suggestion.

use std::fmt::{self, Write as _};

use miette::{LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

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
    /// It only says that something is not there, which may stand in a part of the program that could not be read.
    pub says_what_is_missing: bool,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        let (message, label, help) = (message.into(), String::new(), None);
        Self { severity: Severity::Error, message, span, label, help, says_what_is_missing: false }
    }

    /// A warning at `span`.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// An error at `span` that only says that something is not there.
    pub fn missing(span: Span, message: impl Into<String>) -> Self {
        Self { says_what_is_missing: true, ..Self::error(span, message) }
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

/// Line and column of byte `offset`, both from 1, columns in characters. Behind the end of the text: its end.
///
/// ```
/// use varpin::vpl::diagnostic::line_column;
/// assert_eq!(line_column("a\nbé c", 5), (2, 3));
/// assert_eq!(line_column("a\n", 99), (2, 1));
/// ```
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let offset = floor_boundary(text, offset);
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
    (line, before[line_start..].chars().count() + 1)
}

/// The nearest character boundary at or before `offset`.
fn floor_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

/// The nearest character boundary at or behind `offset`.
fn ceil_boundary(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset += 1;
    }
    offset
}

/// What is wrong with a program, ready to be shown: every finding with its place, an excerpt and what to do.
///
/// Each begins with a line `error: FILE:LINE:COLUMN (line LINE): message`, whatever the width.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What the program is called, usually its path.
    pub source_name: String,
    /// The program.
    pub text: String,
    /// What the program imports. Places go on behind the program's last byte.
    pub imports: Vec<ImportedText>,
    /// The findings, in the order in which they are shown.
    pub diagnostics: Vec<Diagnostic>,
}

/// A file that a program imports.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportedText {
    /// What it is called, usually its path.
    pub name: String,
    /// The file.
    pub text: String,
    /// The place of its first byte: that of its end is less than the next one's first.
    pub base: u32,
}

/// Where a finding is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place<'a> {
    /// What the file is called.
    pub name: &'a str,
    /// The file.
    pub text: &'a str,
    /// The place within it.
    pub span: Span,
}

impl Report {
    /// Findings about `text`, which messages call `source_name`.
    pub fn new(
        source_name: impl Into<String>,
        text: impl Into<String>,
        diagnostics: Vec<Diagnostic>,
    ) -> Self {
        Self { source_name: source_name.into(), text: text.into(), imports: Vec::new(), diagnostics }
    }

    /// The same, about a program that imports files; they are in the order of their places.
    #[must_use]
    pub fn with_imports(mut self, imports: Vec<ImportedText>) -> Self {
        self.imports = imports;
        self
    }

    /// The file that `span` is in, and where in it.
    pub fn place(&self, span: Span) -> Place<'_> {
        match self.imports.iter().rev().find(|import| import.base <= span.start) {
            None => Place { name: &self.source_name, text: &self.text, span },
            Some(import) => Place {
                name: &import.name,
                text: &import.text,
                span: Span { start: span.start - import.base, end: span.end.saturating_sub(import.base) },
            },
        }
    }

    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|found| found.severity == Severity::Error)
    }

    /// The text of all findings, `width` columns wide where lines can be broken.
    ///
    /// With the feature `cli` the excerpts are drawn, in color if asked for; without it they are told in words.
    pub fn render(&self, color: bool, width: usize) -> String {
        let mut out = String::new();
        for found in &self.diagnostics {
            let word = match found.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let place = self.place(found.span);
            let (line, column) = line_column(place.text, place.span.start as usize);
            let name = visible(place.name);
            let message = visible(&found.message);
            let _ = writeln!(out, "{word}: {name}:{line}:{column} (line {line}): {message}");
            let shown = Shown { excerpt: Excerpt::new(place.text, place.span, line), found };
            let drawn = draw(&shown, color, width);
            // Its first lines repeat the severity of the message, which it is not given.
            let body = drawn.lines().skip_while(|line| line.trim().chars().count() <= 1 || is_severity(line));
            for line in body {
                out.push_str(line.trim_end());
                out.push('\n');
            }
        }
        out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false, 100).trim_end())
    }
}

impl std::error::Error for Report {}

#[cfg(feature = "cli")]
fn draw(shown: &Shown<'_>, color: bool, width: usize) -> String {
    use miette::{GraphicalReportHandler, GraphicalTheme};
    let theme = if color { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    // Where a piece of a long line is shown, miette's column would be that within the piece.
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false)
        .without_primary_span_start();
    let mut out = String::new();
    // Writing into a string cannot fail, and a place that cannot be drawn leaves the head line.
    let _ = handler.render_report(&mut out, shown);
    out
}

#[cfg(not(feature = "cli"))]
fn draw(shown: &Shown<'_>, _color: bool, _width: usize) -> String {
    let mut out = String::new();
    // As above.
    let _ = miette::NarratableReportHandler::new().render_report(&mut out, shown);
    out
}

/// A line of the drawing that says no more than how bad it is.
fn is_severity(line: &str) -> bool {
    line.contains("Diagnostic severity:") || line.trim_matches(|c: char| !c.is_alphanumeric()).is_empty()
}

/// Control characters as escapes: a program must not steer the terminal.
fn visible(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_debug().collect() } else { vec![c] }).collect()
}

/// A finding in miette's terms. Its message is empty, because the head line has it.
#[derive(Debug)]
struct Shown<'a> {
    found: &'a Diagnostic,
    excerpt: Excerpt,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Shown<'_> {}

impl miette::Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.found.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.found.help.as_deref()?;
        Some(Box::new(visible(help)))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.excerpt)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = if self.found.label.is_empty() { "here" } else { &self.found.label };
        let place = LabeledSpan::new_with_span(Some(visible(label)), self.excerpt.place);
        Some(Box::new(std::iter::once(place)))
    }
}

/// How many bytes of a line are shown before and behind the place.
const SHOWN_BEFORE: usize = 80;
const SHOWN_BEHIND: usize = 160;

/// The part of the text that is shown: a few lines around the place, or a piece of a line that is very long. Miette
/// would look for lines from the beginning of the text, for each finding, and show them in full.
#[derive(Debug)]
struct Excerpt {
    text: String,
    /// The number of its first line, from 0.
    first_line: usize,
    /// The place within `text`.
    place: SourceSpan,
}

impl Excerpt {
    /// The surroundings of a place that begins in line `line` (from 1).
    fn new(text: &str, span: Span, line: usize) -> Self {
        let start = floor_boundary(text, span.start as usize);
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        // A place that spans lines is shown up to the end of its first.
        let end = ceil_boundary(text, (span.end as usize).max(start)).min(line_end);

        let mut from = floor_boundary(text, line_start.max(start.saturating_sub(SHOWN_BEFORE)));
        let to = ceil_boundary(text, line_end.min(start + SHOWN_BEHIND));
        let mut first_line = line - 1;
        // The line before helps to find the place.
        if from == line_start && line_start > 0 {
            let before = text[..line_start - 1].rfind('\n').map_or(0, |newline| newline + 1);
            if line_start - before <= SHOWN_BEFORE + SHOWN_BEHIND {
                from = before;
                first_line -= 1;
            }
        }
        let shown = &text[from..to];
        // Replaced byte by byte, so that the place stays where it is.
        let clean = shown
            .chars()
            .flat_map(|c| {
                let hidden = c.is_control() && !matches!(c, '\n' | '\t');
                let replacement = if c == '\r' { ' ' } else { '?' };
                std::iter::repeat_n(
                    if hidden { replacement } else { c },
                    if hidden { c.len_utf8() } else { 1 },
                )
            })
            .collect();
        Self { text: clean, first_line, place: (start - from, end.min(to) - start).into() }
    }
}

impl SourceCode for Excerpt {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_behind: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let contents = self.text.read_span(span, lines_before, lines_behind)?;
        Ok(Box::new(MietteSpanContents::new(
            contents.data(),
            *contents.span(),
            self.first_line + contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}
