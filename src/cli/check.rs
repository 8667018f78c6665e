//! `varpin check`: all findings of all programs at once.

use std::path::Path;

use serde::Serialize;
use varpin::context::{order_dependence, topology};
use varpin::engine::{Program, ProgramError};
use varpin::vpl::diagnostic::{Report, Severity, line_column};

use super::args::CheckArgs;
use super::exit::Exit;
use super::messages;
use super::plan::is_deterministic;

/// A finding as `--json` prints it.
#[derive(Serialize)]
struct Finding<'a> {
    file: &'a str,
    /// From 1; none where the whole file is meant.
    line: Option<usize>,
    /// In characters, from 1.
    column: Option<usize>,
    severity: &'static str,
    message: &'a str,
    help: Option<&'a str>,
}

/// Checks programs.
pub(super) fn check(typed: &CheckArgs) -> Exit {
    let mut exit = Exit::Done;
    for path in &typed.programs {
        let mut check = Check { path, json: typed.json, errors: 0, warnings: 0 };
        check.program();
        if check.errors > 0 {
            exit = Exit::Refused;
        } else if typed.strict && check.warnings > 0 {
            check.note(Severity::Error, &messages::strict_refusal(path, check.warnings));
            exit = Exit::Refused;
        }
    }
    exit
}

/// The check of one program.
struct Check<'a> {
    path: &'a Path,
    json: bool,
    errors: usize,
    warnings: usize,
}

impl Check<'_> {
    fn program(&mut self) {
        match Program::load(self.path) {
            Ok(program) => {
                self.report(program.warnings());
                self.plan(&program);
            }
            Err(ProgramError::Program(report)) => self.report(&report),
            Err(other) => self.note(Severity::Error, &other.to_string()),
        }
    }

    fn plan(&mut self, program: &Program) {
        let plan = program.plan();
        if plan.streams.is_empty() {
            self.note(Severity::Warning, &messages::no_streams(self.path));
        }
        if is_deterministic(plan) {
            return;
        }
        for place in order_dependence(plan, &topology(plan)) {
            let stream = &plan.streams[place.stream].name;
            let message = format!(
                "{}: stream {stream}: {}, so results can differ from run to run unless the order is deterministic",
                self.path.display(),
                place.why
            );
            self.note(Severity::Warning, &message);
        }
    }

    fn report(&mut self, report: &Report) {
        for found in &report.diagnostics {
            self.count(found.severity);
            if self.json {
                let place = report.place(found.span);
                let (line, column) = line_column(place.text, place.span.start as usize);
                print(&Finding {
                    file: place.name,
                    line: Some(line),
                    column: Some(column),
                    severity: word(found.severity),
                    message: &found.message,
                    help: found.help.as_deref(),
                });
            }
        }
        if !self.json {
            messages::report(report);
        }
    }

    /// A finding that has no place in the text.
    fn note(&mut self, severity: Severity, message: &str) {
        self.count(severity);
        if self.json {
            let file = &self.path.display().to_string();
            print(&Finding { file, line: None, column: None, severity: word(severity), message, help: None });
        } else {
            messages::say(format_args!("{}: {message}", word(severity)));
        }
    }

    fn count(&mut self, severity: Severity) {
        match severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
        }
    }
}

fn print(finding: &Finding<'_>) {
    // Texts and numbers always have a form in JSON.
    messages::print(&serde_json::to_string(finding).unwrap_or_default());
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}
