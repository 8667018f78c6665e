//! What was found, for programs: `docs/doctor.md` describes every member. A member that goes, or means something else,
//! raises the version; new ones don't.

use serde::Serialize;

use super::finding::{Finding, Severity};
use super::{Examination, Machine};

const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    version: u32,
    machine: &'a Machine,
    cpus: String,
    because: &'a str,
    counts: Counts,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct Counts {
    severe: usize,
    warning: usize,
    note: usize,
    unknown: usize,
    ok: usize,
}

pub(super) fn print(examination: &Examination) -> String {
    let document = Document {
        format: "varpin-doctor",
        version: VERSION,
        machine: &examination.machine,
        cpus: examination.cpus.to_string(),
        because: &examination.because,
        counts: Counts {
            severe: examination.count(Severity::Severe),
            warning: examination.count(Severity::Warning),
            note: examination.count(Severity::Note),
            unknown: examination.count(Severity::Unknown),
            ok: examination.count(Severity::Ok),
        },
        findings: &examination.findings,
    };
    // Numbers, texts and lists always have a form in JSON.
    serde_json::to_string_pretty(&document).unwrap_or_default()
}
