//! `import "file.vpl"`: the statements of the file take the place of the import, each file once. With `as x` its
//! functions and values can be told from others as `x.name`, too.
//!
//! A path is relative to the file that names it, and leads to a file in that file's own directory or below, links
//! followed. Places of imported statements are moved behind those of all files before, so that one number still says
//! which file is meant and where.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::vpl::diagnostic::{Diagnostic, ImportedText};
use crate::vpl::parser::{MAX_SOURCE_BYTES, parse};
use crate::vpl::rewrite::{self, Rewrite};
use crate::vpl::syntax::{Program, Span, Statement, StatementKind};

use super::import_names::{self, Named};

/// How deep imports may lead.
const MAX_DEPTH: usize = 32;
/// How many files a program may import.
const MAX_FILES: usize = 1_000;

/// A program with all that it imports.
pub(super) struct Imports {
    pub(super) tree: Program,
    /// The imported files, by their places.
    pub(super) texts: Vec<ImportedText>,
    pub(super) files: Vec<PathBuf>,
    pub(super) findings: Vec<Diagnostic>,
}

/// Imports on their way.
struct Follow {
    done: Imports,
    /// Files that have been read, with links resolved.
    seen: Vec<PathBuf>,
    /// What each of them declares that expressions can name.
    names: HashMap<PathBuf, HashSet<String>>,
    /// Those whose imports are being followed, outermost first.
    open: Vec<PathBuf>,
    next_base: usize,
    bytes: usize,
}

impl Imports {
    /// Follows the imports of the program at `path`, which is `bytes` long and was read into `tree`.
    pub(super) fn follow(path: &Path, bytes: usize, tree: Program, findings: Vec<Diagnostic>) -> Self {
        let (texts, files) = (Vec::new(), Vec::new());
        let done = Self { tree: Program::default(), texts, files, findings };
        let imports = |statement: &Statement| matches!(statement.kind, StatementKind::Import { .. });
        if !tree.statements.iter().any(imports) {
            return Self { tree, ..done };
        }
        // The directory is that of the path as it was given: a link to a program imports what lies beside the link.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = parent.unwrap_or(Path::new(".")).to_owned();
        let file = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut follow = Follow {
            done,
            seen: vec![file.clone()],
            names: HashMap::new(),
            open: vec![file],
            next_base: bytes + 1,
            bytes,
        };
        follow.file(&directory, tree);
        // Files are read where they are imported, so places do not come in order.
        follow.done.findings.sort_by_key(|finding| (finding.span.start, finding.span.end));
        follow.done
    }
}

impl Follow {
    /// Takes the statements of a file that lies in `directory`.
    fn file(&mut self, directory: &Path, tree: Program) {
        let mut own: Vec<usize> = Vec::new();
        let mut imports: Vec<Named> = Vec::new();
        for statement in tree.statements {
            let StatementKind::Import { path, path_span, alias } = &statement.kind else {
                own.push(self.done.tree.statements.len());
                self.done.tree.statements.push(statement);
                continue;
            };
            match (self.import(directory, path, *path_span), alias) {
                (Ok(file), Some(alias)) => {
                    if imports.iter().any(|known| known.alias == alias.text) {
                        let message = format!("two imports are called `{}`", alias.text);
                        self.done.findings.push(Diagnostic::error(alias.span, message));
                    }
                    let values = self.names.get(&file).cloned().unwrap_or_default();
                    imports.push(Named { alias: alias.text.clone(), path: path.clone(), values });
                }
                (Ok(_), None) => {}
                (Err(finding), _) => self.done.findings.push(finding),
            }
        }
        if !imports.is_empty() {
            for at in own {
                import_names::resolve(&mut self.done.tree.statements[at], &imports, &mut self.done.findings);
            }
        }
    }

    /// Takes the statements of a file, if that hasn't been done. The file, with links resolved.
    fn import(&mut self, directory: &Path, path: &str, at: Span) -> Result<PathBuf, Diagnostic> {
        let target = directory.join(path);
        let file = checked(directory, path, &target, at)?;
        if let Some(first) = self.open.iter().position(|open| *open == file) {
            let names = self.open[first..].iter().chain([&file]).map(|file| short(file));
            let names = names.collect::<Vec<_>>().join(" -> ");
            return Err(Diagnostic::error(at, format!("files import each other in a circle: {names}")));
        }
        if self.seen.contains(&file) {
            return Ok(file);
        }
        if self.open.len() > MAX_DEPTH {
            return Err(Diagnostic::error(at, format!("imports lead more than {MAX_DEPTH} files deep")));
        }
        if self.seen.len() > MAX_FILES {
            return Err(Diagnostic::error(at, format!("a program imports at most {MAX_FILES} files")));
        }
        let failed = |error| Diagnostic::error(at, format!("cannot read {}: {error}", target.display()));
        let size = fs::metadata(&file).map_err(failed)?.len();
        if size.saturating_add(self.bytes as u64) > MAX_SOURCE_BYTES as u64 {
            let message = format!(
                "with {} the program has more than {MAX_SOURCE_BYTES} bytes (4 MB)",
                target.display()
            );
            return Err(Diagnostic::error(at, message));
        }
        let text = fs::read_to_string(&file).map_err(failed)?;
        let base = self.next_base as u32;
        self.next_base += text.len() + 1;
        self.bytes += text.len();
        let (mut tree, findings) = parse(&text);
        let mut shift = Shift(base);
        tree.statements.iter_mut().for_each(|statement| rewrite::statement(statement, &mut shift));
        for mut finding in findings {
            shift.span(&mut finding.span);
            self.done.findings.push(finding);
        }
        self.done.files.push(file.clone());
        self.done.texts.push(ImportedText { name: target.display().to_string(), text, base });
        self.names.insert(file.clone(), tree.statements.iter().filter_map(named).collect());
        self.seen.push(file.clone());
        self.open.push(file.clone());
        self.file(target.parent().unwrap_or(directory), tree);
        self.open.pop();
        Ok(file)
    }
}

/// The file that an import names, with links resolved, if it is one that may be imported.
fn checked(directory: &Path, path: &str, target: &Path, at: Span) -> Result<PathBuf, Diagnostic> {
    if Path::new(path).is_absolute() {
        let message = "the path of an `import` is relative to the file in which it stands";
        return Err(Diagnostic::error(at, message));
    }
    let failed = |error| Diagnostic::error(at, format!("cannot read {}: {error}", target.display()));
    let leaves =
        || Diagnostic::error(at, format!("`import` cannot leave the directory of its file: \"{path}\" does"));
    if climbs_out(Path::new(path)) {
        return Err(leaves()); // Whatever is there is nobody's business.
    }
    let file = fs::canonicalize(target).map_err(failed)?;
    if !file.starts_with(fs::canonicalize(directory).map_err(failed)?) {
        return Err(leaves());
    }
    if !fs::metadata(&file).map_err(failed)?.is_file() {
        return Err(Diagnostic::error(at, format!("cannot import {}: it is no file", target.display())));
    }
    Ok(file)
}

/// Whether a path leads out of where it starts, links aside.
fn climbs_out(path: &Path) -> bool {
    let mut depth = 0;
    path.components().any(|component| {
        match component {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
        depth < 0
    })
}

/// What a statement declares that expressions can name.
fn named(statement: &Statement) -> Option<String> {
    match &statement.kind {
        StatementKind::Function { name, .. } => Some(name.text.clone()),
        StatementKind::Binding(binding) => Some(binding.name.text.clone()),
        _ => None,
    }
}

/// The last part of a path.
fn short(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Moves places.
struct Shift(u32);

impl Rewrite for Shift {
    fn span(&mut self, span: &mut Span) {
        span.start += self.0;
        span.end += self.0;
    }
}
