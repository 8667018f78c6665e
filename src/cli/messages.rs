//! Messages on standard error. A standard error that nobody reads any more stops nothing.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;

use varpin::engine::{Program, ProgramError};
use varpin::format::BadInput;
use varpin::vpl::diagnostic::Report;

/// Columns where the terminal does not say.
const WIDTH: usize = 100;

/// Prints a line to standard error.
pub(super) fn say(line: impl Display) {
    // Whoever has closed standard error does not want to know.
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints `error: ..`.
pub(super) fn error(message: impl Display) {
    say(format_args!("error: {message}"));
}

/// Prints `warning: ..`.
pub(super) fn warning(message: impl Display) {
    say(format_args!("warning: {message}"));
}

/// Prints all findings about a program.
pub(super) fn report(report: &Report) {
    if !report.diagnostics.is_empty() {
        let color =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        say(report.render(color, WIDTH).trim_end());
    }
}

/// Loads a program and prints its findings; none where it has errors, or warnings that are taken for errors.
pub(super) fn load(path: &Path, strict: bool) -> Option<Program> {
    let program = match Program::load(path) {
        Ok(program) => program,
        Err(ProgramError::Program(findings)) => {
            report(&findings);
            return None;
        }
        Err(other) => {
            error(other);
            return None;
        }
    };
    report(program.warnings());
    let mut warnings = program.warnings().diagnostics.len();
    if program.plan().streams.is_empty() {
        warning(no_streams(path));
        warnings += 1;
    }
    if strict && warnings > 0 {
        error(strict_refusal(path, warnings));
        return None;
    }
    Some(program)
}

/// What is to say about a program that does nothing.
pub(super) fn no_streams(path: &Path) -> String {
    format!("{}: the program has no streams, so it does nothing", path.display())
}

/// What is to say about warnings under `--strict`.
pub(super) fn strict_refusal(path: &Path, warnings: usize) -> String {
    let plural = if warnings == 1 { "" } else { "s" };
    format!("{}: {warnings} warning{plural}, and --strict takes warnings for errors", path.display())
}

/// A line that is no event: what is wrong, and the line with a mark under the place.
pub(super) fn bad_input(source: &str, bad: &BadInput) -> String {
    let mut message = format!("{source}: {bad}");
    let column = usize::try_from(bad.column).unwrap_or(usize::MAX);
    // A record of several lines is not shown, nor a line without the place.
    if !bad.text.is_empty() && !bad.text.contains('\n') && column <= bad.text.chars().count() + 1 {
        // One column for each character, and nothing that steers the terminal.
        let shown: String = bad.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        // Writing into a string cannot fail.
        let _ = std::fmt::Write::write_fmt(&mut message, format_args!("\n  | {shown}\n  | {:>column$}", '^'));
    }
    message
}

/// Prints a line to standard output.
pub(super) fn print(line: &str) {
    // Whoever has closed standard output has read enough.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
