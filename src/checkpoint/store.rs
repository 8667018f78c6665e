//! A directory of checkpoints.
//!
//! A checkpoint is written to a temporary file, synced, renamed, and the directory is synced: after that it is there,
//! whatever happens. The newest ones are kept; those that are damaged are passed over and never removed before a
//! newer one is there.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::disk::{Disk, Step, SystemDisk};
use super::file::{Checkpoint, Damage};
use super::lock::{Lock, NoLock};

/// How many checkpoints are kept unless something else is asked for.
pub const KEPT: usize = 3;

const SUFFIX: &str = ".checkpoint";
const TEMPORARY: &str = "unfinished.tmp";

/// What is wrong with a directory of checkpoints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The directory, or a file in it, cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// The directory or the file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// A checkpoint cannot be written. The ones before it are still there.
    #[error("cannot write a checkpoint to {path}: {error}")]
    Write {
        /// The directory.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// Another engine uses the directory.
    #[error(
        "{path}: another engine keeps its checkpoints there{}",
        .process.map_or_else(String::new, |process| format!(" (process {process})"))
    )]
    Locked {
        /// The directory.
        path: String,
        /// The other process, if it is known.
        process: Option<u32>,
    },
    /// There are checkpoints, and none is whole.
    #[error(
        "{path}: there are {} checkpoints and none is whole ({}); remove them to begin anew",
        .damaged.len(),
        .damaged.iter().map(|(file, damage)| format!("{file}: {damage}")).collect::<Vec<_>>().join("; ")
    )]
    AllDamaged {
        /// The directory.
        path: String,
        /// Each file, and what is wrong with it.
        damaged: Vec<(String, Damage)>,
    },
}

/// A checkpoint that was found, and those that were passed over for it.
#[derive(Debug)]
pub struct Found {
    /// The newest whole one.
    pub checkpoint: Checkpoint,
    /// Its file.
    pub path: PathBuf,
    /// Newer ones that are damaged, the newest first.
    pub passed_over: Vec<(PathBuf, Damage)>,
}

/// A file of a directory of checkpoints.
#[derive(Debug)]
pub struct Listed {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What is in it, or what is wrong with it.
    pub content: Result<Checkpoint, Damage>,
}

/// A directory of checkpoints, held by this engine alone.
pub struct Store {
    directory: PathBuf,
    kept: usize,
    next_id: u64,
    /// Ids of files that are known to be damaged.
    damaged: Vec<u64>,
    disk: RefCell<Box<dyn Disk>>,
    _lock: Lock,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("directory", &self.directory)
            .field("next_id", &self.next_id)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens `directory`, which is made if it is not there, and keeps the newest `kept` checkpoints in it (at least
    /// one). An error if another engine uses it.
    ///
    /// ```
    /// use varpin::checkpoint::{Checkpoint, Store, StoreError};
    /// let directory = std::env::temp_dir().join(format!("varpin-doc-{}", std::process::id()));
    /// let mut store = Store::open(&directory, 3)?;
    /// assert!(matches!(Store::open(&directory, 3), Err(StoreError::Locked { .. })));
    /// let mut checkpoint = Checkpoint { events: 10, ..Checkpoint::default() };
    /// store.write(&mut checkpoint)?;
    /// let found = store.newest()?.expect("one was written");
    /// assert_eq!((found.checkpoint.id, found.checkpoint.events), (1, 10));
    /// # drop(store);
    /// # std::fs::remove_dir_all(directory).unwrap();
    /// # Ok::<(), StoreError>(())
    /// ```
    pub fn open(directory: impl Into<PathBuf>, kept: usize) -> Result<Self, StoreError> {
        let directory = directory.into();
        let failed = |error| StoreError::Write { path: directory.display().to_string(), error };
        fs::create_dir_all(&directory).map_err(failed)?;
        let lock = Lock::take(&directory).map_err(|no| match no {
            NoLock::Taken(process) => StoreError::Locked { path: directory.display().to_string(), process },
            NoLock::Io(error) => failed(error),
        })?;
        // What a process left that was killed while it wrote.
        match fs::remove_file(directory.join(TEMPORARY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let last = files(&directory)?.last().map_or(0, |(id, _)| *id);
        Ok(Self {
            next_id: last + 1,
            kept: kept.max(1),
            damaged: Vec::new(),
            disk: RefCell::new(Box::new(SystemDisk)),
            directory,
            _lock: lock,
        })
    }

    /// Writes through another disk.
    #[must_use]
    pub fn on(mut self, disk: impl Disk + 'static) -> Self {
        self.disk = RefCell::new(Box::new(disk));
        self
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The newest whole checkpoint; none where there are no checkpoints at all. Where there are some and none is
    /// whole, that is an error: to begin anew would throw away what they stood for.
    pub fn newest(&mut self) -> Result<Option<Found>, StoreError> {
        let mut passed_over = Vec::new();
        for (id, path) in files(&self.directory)?.into_iter().rev() {
            match read(&path)? {
                Ok(checkpoint) => return Ok(Some(Found { checkpoint, path, passed_over })),
                Err(damage) => {
                    self.damaged.push(id);
                    passed_over.push((path, damage));
                }
            }
        }
        if passed_over.is_empty() {
            return Ok(None);
        }
        let name =
            |path: &PathBuf| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
        let damaged = passed_over.iter().map(|(path, damage)| (name(path), damage.clone())).collect();
        Err(StoreError::AllDamaged { path: self.directory.display().to_string(), damaged })
    }

    /// Writes `checkpoint`, gives it the next id, and removes the oldest. Returns how many bytes it has. After an error
    /// everything is as it was before.
    pub fn write(&mut self, checkpoint: &mut Checkpoint) -> Result<u64, StoreError> {
        checkpoint.id = self.next_id;
        let written = self.try_write(checkpoint);
        let bytes = written.map_err(|error| {
            // There may be no room for it, and the next one needs some.
            let _ = fs::remove_file(self.directory.join(TEMPORARY));
            StoreError::Write { path: self.directory.display().to_string(), error }
        })?;
        self.next_id += 1;
        // A file too many does no harm; the next checkpoint tries again.
        let _ = self.prune();
        Ok(bytes)
    }

    fn try_write(&self, checkpoint: &Checkpoint) -> io::Result<u64> {
        let temporary = self.directory.join(TEMPORARY);
        let at = |step| self.disk.borrow_mut().at(step);
        at(Step::BeforeWrite)?;
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        let mut out = BufWriter::with_capacity(1 << 16, Through { file, disk: &self.disk });
        let bytes = checkpoint.write_to(&mut out, |out| out.flush().and_then(|()| at(Step::HalfWritten)))?;
        let Through { file, .. } = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        at(Step::BeforeSync)?;
        file.sync_all()?;
        at(Step::BeforeRename)?;
        fs::rename(&temporary, self.directory.join(file_name(checkpoint.id)))?;
        at(Step::AfterRename)?;
        File::open(&self.directory)?.sync_all()?;
        at(Step::BeforePrune)?;
        Ok(bytes)
    }

    /// Removes all but the newest that are to be kept; damaged ones don't count, and go with those that are older than
    /// all that is kept.
    fn prune(&mut self) -> io::Result<()> {
        let all = files(&self.directory).map_err(|_| io::Error::other("unreadable"))?;
        let whole: Vec<u64> = all.iter().map(|(id, _)| *id).filter(|id| !self.damaged.contains(id)).collect();
        let Some(oldest) = whole.len().checked_sub(self.kept).and_then(|at| whole.get(at)) else {
            return Ok(());
        };
        for (_, path) in all.iter().take_while(|(id, _)| id < oldest) {
            fs::remove_file(path)?;
        }
        self.damaged.retain(|id| id >= oldest);
        Ok(())
    }
}

/// Every checkpoint of a directory, the oldest first, read and verified. Needs no lock: files are whole or not there.
pub fn list(directory: &Path) -> Result<Vec<Listed>, StoreError> {
    let mut listed = Vec::new();
    for (_, path) in files(directory)? {
        let bytes = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            // An engine at work has removed it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::Read { path: path.display().to_string(), error }),
        };
        let content = match read(&path) {
            Err(StoreError::Read { error, .. }) if error.kind() == io::ErrorKind::NotFound => continue,
            content => content?,
        };
        listed.push(Listed { path, bytes, content });
    }
    Ok(listed)
}

fn file_name(id: u64) -> String {
    format!("{id:012}{SUFFIX}")
}

/// The checkpoints of a directory by id, ascending.
fn files(directory: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let failed = |error| StoreError::Read { path: directory.display().to_string(), error };
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).and_then(|id| id.parse().ok());
        files.extend(id.map(|id: u64| (id, entry.path())));
    }
    files.sort_unstable();
    Ok(files)
}

fn read(path: &Path) -> Result<Result<Checkpoint, Damage>, StoreError> {
    let bytes =
        fs::read(path).map_err(|error| StoreError::Read { path: path.display().to_string(), error })?;
    Ok(Checkpoint::read_from(&bytes))
}

/// A file behind a disk.
struct Through<'a> {
    file: File,
    disk: &'a RefCell<Box<dyn Disk>>,
}

impl Write for Through<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.borrow_mut().write(&mut self.file, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
