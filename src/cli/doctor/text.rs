//! What was found, for people: the worst first, and in full only where there is something to do.

use super::Examination;
use super::finding::{Finding, Reading, Severity};
use super::look::name;

/// Columns of a line.
const WIDTH: usize = 100;
/// Where an identifier begins, and the details under it.
const INDENT: usize = 9;
/// Where what was found begins.
const FOUND: usize = INDENT + 19;

pub(super) fn print(examination: &Examination) -> String {
    let Examination { machine, cpus, because, findings } = examination;
    let mut out = format!("{}: {because}\n", name(cpus));
    wrap(&mut out, &machine.to_string(), "", 0);
    let mut before = None;
    for finding in findings {
        let has_details = has_details(finding);
        // Findings with details stand apart.
        if has_details || before != Some(has_details) {
            out.push('\n');
        }
        before = Some(has_details);
        print_finding(&mut out, finding);
    }
    let counts: Vec<String> = Severity::ALL
        .map(|severity| (examination.count(severity), severity))
        .into_iter()
        .map(|(count, severity)| counted(count, severity))
        .collect();
    out.push('\n');
    out.push_str(&counts.join(", "));
    out
}

fn has_details(finding: &Finding) -> bool {
    !matches!(finding.severity, Severity::Ok | Severity::Unknown)
}

fn print_finding(out: &mut String, finding: &Finding) {
    let head = format!("{:<INDENT$}{:<18} ", finding.severity.name(), finding.id);
    wrap(out, &finding.found, &head, FOUND);
    if !has_details(finding) {
        return;
    }
    for reading in &finding.read {
        wrap(out, &told(reading), "  read   ", INDENT);
    }
    wrap(out, finding.wanted, "  want   ", INDENT);
    wrap(out, finding.why, "  why    ", INDENT);
    for way in &finding.mend {
        // Not wrapped: it may be meant for a shell.
        out.push_str("  mend   ");
        out.push_str(way);
        out.push('\n');
    }
}

fn told(reading: &Reading) -> String {
    let Reading { path, text, problem } = reading;
    match (text.as_deref(), problem) {
        (Some(""), _) => format!("{path}: empty"),
        (Some(text), _) => format!("{path}: {text}"),
        (None, problem) => format!("{path}: {}", problem.as_deref().unwrap_or("unknown")),
    }
}

fn counted(count: usize, severity: Severity) -> String {
    match (count, severity) {
        (1, _) | (_, Severity::Severe | Severity::Unknown | Severity::Ok) => {
            format!("{count} {}", severity.name())
        }
        (_, Severity::Warning | Severity::Note) => format!("{count} {}s", severity.name()),
    }
}

/// Adds `head` and `text` behind it in lines of at most [`WIDTH`] columns; those after the first begin at `indent`.
fn wrap(out: &mut String, text: &str, head: &str, indent: usize) {
    let mut line = head.to_owned();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let fits = line.chars().count() + word.chars().count() + usize::from(!is_empty) <= WIDTH;
        if !is_empty && !fits {
            out.push_str(line.trim_end());
            out.push('\n');
            line = " ".repeat(indent);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    out.push_str(line.trim_end());
    out.push('\n');
}
