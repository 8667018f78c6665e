//! A program: loaded, checked, resolved; ready to become any number of engines.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::context::too_large;
use crate::format::InputType;
use crate::vpl::diagnostic::{Diagnostic, Report};
use crate::vpl::parser::{MAX_SOURCE_BYTES, parse};
use crate::vpl::plan::Plan;
use crate::vpl::resolve::resolve;
use crate::vpl::syntax::{self, Span};

use super::findings;
use super::imports::Imports;

/// A program that can run. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Program {
    plan: Arc<Plan>,
    warnings: Arc<Report>,
    /// Where it was read from: its own file, and those that it imports.
    files: Arc<[PathBuf]>,
}

/// Why a program cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// The file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The text is no program that runs; all its errors and warnings.
    #[error(transparent)]
    Program(Report),
}

impl Program {
    /// Reads a program from text. It cannot import files, since it has no place of its own.
    pub fn parse(text: &str) -> Result<Self, ProgramError> {
        Self::named("program", text.to_owned())
    }

    /// Reads a program from a file, with the files that it imports.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ProgramError> {
        let path = path.as_ref();
        let failed = |error| ProgramError::Io { path: path.to_owned(), error };
        let size = std::fs::metadata(path).map_err(failed)?.len();
        if size > MAX_SOURCE_BYTES as u64 {
            let message = format!("the file has {size} bytes, and a program at most {MAX_SOURCE_BYTES}");
            return Err(failed(std::io::Error::new(std::io::ErrorKind::FileTooLarge, message)));
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let (tree, findings) = parse(&text);
        let mut loaded = Imports::follow(path, text.len(), tree, findings);
        let imports = std::mem::take(&mut loaded.texts);
        let mut program = Self::resolved(
            Report::new(path.display().to_string(), text, loaded.findings).with_imports(imports),
            &loaded.tree,
        )?;
        program.files = std::iter::once(path.to_owned()).chain(loaded.files).collect();
        Ok(program)
    }

    /// Reads a program from text; `name` is what messages call it.
    pub fn named(name: &str, text: String) -> Result<Self, ProgramError> {
        let (tree, findings) = parse(&text);
        Self::resolved(Report::new(name, text, findings), &tree)
    }

    fn resolved(mut report: Report, tree: &syntax::Program) -> Result<Self, ProgramError> {
        let (plan, found) = resolve(tree);
        if report.has_errors() {
            let more = findings::beside_syntax(tree, &report.diagnostics, found).collect::<Vec<_>>();
            report.diagnostics.extend(more);
            report.diagnostics.sort_by_key(|finding| (finding.span.start, finding.span.end));
        } else {
            report.diagnostics.extend(found);
        }
        if !report.has_errors() {
            report.diagnostics.extend(findings::of_compiling(&plan, tree));
        }
        if !report.has_errors()
            && plan.threaded
            && let Some(message) = too_large(&plan)
        {
            let place = plan.streams.first().map_or_else(Span::default, |stream| stream.span);
            report.diagnostics.push(Diagnostic::error(place, message));
        }
        if report.has_errors() {
            return Err(ProgramError::Program(report));
        }
        Ok(Self { plan: Arc::new(plan), warnings: Arc::new(report), files: Arc::default() })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn shared_plan(&self) -> Arc<Plan> {
        Arc::clone(&self.plan)
    }

    /// What is legal and surely not meant. Empty where there is nothing to say.
    pub fn warnings(&self) -> &Report {
        &self.warnings
    }

    /// The files that it was read from, its own first; none where it comes from a text.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// The directory in which its connectors have their files: that of its own file; none where it comes from a text.
    pub fn directory(&self) -> Option<&Path> {
        let parent = self.files.first()?.parent()?;
        Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    }

    /// What a reader of events has to know: the names under which events can come, with their layouts.
    pub fn input_types(&self) -> Vec<InputType> {
        input_types(&self.plan)
    }
}

/// The names under which events can come, with their layouts.
pub(super) fn input_types(plan: &Plan) -> Vec<InputType> {
    plan.names
        .iter()
        .enumerate()
        .map(|(id, name)| InputType {
            name: name.name.clone(),
            type_id: id as u32,
            shape: plan.shapes[name.shape].clone(),
        })
        .collect()
}
