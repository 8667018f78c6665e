//! Where the files of a program are: in its directory or below, links followed. A file is opened before it is emptied,
//! and none is opened twice, whatever its names.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The directory of a program, and the files that were opened there.
#[derive(Debug)]
pub struct Places {
    directory: PathBuf,
    taken: Vec<((u64, u64), String)>,
}

impl Places {
    /// The places of a program in `directory`.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, taken: Vec::new() }
    }

    /// Opens a file to write it, and to read it where what is there stays; it is not emptied.
    pub fn to_write(&mut self, path: &str, append: bool) -> io::Result<File> {
        let target = self.directory.join(path);
        // The file may not be there yet, but its directory is.
        self.check(target.parent().unwrap_or(&self.directory), path)?;
        if fs::symlink_metadata(&target).is_ok() {
            self.check(&target, path)?;
        }
        let file = OpenOptions::new().read(append).write(true).create(true).truncate(false).open(&target)?;
        self.take(&file.metadata()?, path)?;
        Ok(file)
    }

    /// Opens a file to read it.
    pub fn to_read(&mut self, path: &str) -> io::Result<File> {
        let target = self.directory.join(path);
        self.check(&target, path)?;
        let file = File::open(&target)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        self.take(&metadata, path)?;
        Ok(file)
    }

    fn check(&self, target: &Path, path: &str) -> io::Result<()> {
        let inside = fs::canonicalize(target)?.starts_with(fs::canonicalize(&self.directory)?);
        let message = || format!("\"{path}\" leads out of the directory of the program");
        if inside { Ok(()) } else { Err(io::Error::new(io::ErrorKind::PermissionDenied, message())) }
    }

    fn take(&mut self, metadata: &Metadata, path: &str) -> io::Result<()> {
        if !metadata.is_file() {
            return Ok(());
        }
        let identity = (metadata.dev(), metadata.ino());
        if let Some((_, other)) = self.taken.iter().find(|(taken, _)| *taken == identity) {
            return Err(io::Error::other(format!("it is the same file as {other}")));
        }
        self.taken.push((identity, path.to_owned()));
        Ok(())
    }

    /// Nothing may be written to this file: it is the program itself, or what somebody else reads or writes.
    pub fn reserve(&mut self, file: &Path, what: &str) {
        if let Ok(metadata) = fs::metadata(file)
            && metadata.is_file()
        {
            self.taken.push(((metadata.dev(), metadata.ino()), what.to_owned()));
        }
    }
}
