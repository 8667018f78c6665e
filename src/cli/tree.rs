//! The files in which the system describes itself, read below a directory that stands for `/`. What is not there is no
//! error: it is a fact like any other, with its path and its reason.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// No such file has more to say; `/proc/interrupts` of a large machine is a few hundred KiB.
const MAX_BYTES: u64 = 16 << 20;

/// The system's files.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    root: PathBuf,
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// There is none.
    Absent,
    /// It may not be read.
    Forbidden,
    /// It is none, cannot be read, or is no text.
    Failed(String),
}

impl Tree {
    /// The system's own.
    pub(super) fn here() -> Self {
        Self::new(Path::new("/"))
    }

    /// The files below `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// What stands for `/`.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The text of the file at `path`, which begins without a slash, without white space at its ends.
    pub(super) fn read(&self, path: &str) -> Result<String, Unread> {
        let bytes = self.bytes(path)?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Unread::Failed("it is no text".to_owned()))?;
        Ok(text.trim().to_owned())
    }

    /// What the file at `path` holds.
    pub(super) fn bytes(&self, path: &str) -> Result<Vec<u8>, Unread> {
        let mut bytes = Vec::new();
        let read = File::open(self.root.join(path))
            .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => Unread::Absent,
                ErrorKind::PermissionDenied => Unread::Forbidden,
                _ => Unread::Failed(error.to_string()),
            });
        read.map(|_| bytes)
    }

    /// The same where the reason does not matter.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        self.read(path).ok()
    }

    /// The names in the directory at `path`, those with numbers in the order of these.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        names
    }
}
