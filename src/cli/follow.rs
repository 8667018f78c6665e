//! A file that grows: read from its beginning and then on, as lines are added to it.
//!
//! A file that has become shorter was emptied, and is read from its start. A path that names another file than before
//! was rotated: what is left of the old one comes first, then the new one from its start. A path that names nothing for
//! a while is waited for. What was emptied and written again, longer than before, between two looks cannot be told from
//! what has grown.
//!
//! A run that goes on from a checkpoint looks for the file that it had, under its name and beside it: where it was
//! rotated meanwhile, what is left of it still comes first.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a look at the file has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// Bytes that have not been read.
    More,
    Nothing,
    /// It was emptied: the next read is that of its start.
    Emptied,
    /// The path names another file: the next read is that of its start.
    Replaced,
}

/// Which file it is, whatever its name: device and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity(u64, u64);

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// The file, and how far it has been read.
#[derive(Debug)]
pub(super) struct Follow {
    path: PathBuf,
    file: File,
    identity: Identity,
    read_bytes: u64,
}

impl Follow {
    /// Follows `path`.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other(
                "it is no regular file, so it cannot be followed (--live reads a pipe)",
            ));
        }
        Ok(Self { path, identity: Identity::of(&metadata), file, read_bytes: 0 })
    }

    /// Follows `path` on, of which so many bytes were read while it named the file of `identity`. None if that file is
    /// gone, or was emptied.
    pub(super) fn reopen(path: &Path, identity: Identity, read_bytes: u64) -> io::Result<Option<Self>> {
        let has_it = |metadata: &Metadata| {
            metadata.is_file() && Identity::of(metadata) == identity && metadata.len() >= read_bytes
        };
        let beside = path.parent().filter(|directory| !directory.as_os_str().is_empty());
        let rotated = std::fs::read_dir(beside.unwrap_or(Path::new(".")))?;
        // A directory that cannot be read to its end is looked through as far as it can.
        let rotated = rotated.map_while(Result::ok).map(|entry| entry.path());
        for candidate in std::iter::once(path.to_owned()).chain(rotated) {
            // What cannot be looked at is not ours, or gone.
            if std::fs::metadata(&candidate).is_ok_and(|metadata| has_it(&metadata)) {
                let mut file = File::open(&candidate)?;
                file.seek(SeekFrom::Start(read_bytes))?;
                return Ok(Some(Self { path: path.to_owned(), file, identity, read_bytes }));
            }
        }
        Ok(None)
    }

    /// Which file is read.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Looks whether something has happened to it.
    pub(super) fn look(&mut self) -> io::Result<News> {
        let length = self.file.metadata()?.len();
        if length < self.read_bytes {
            self.file.seek(SeekFrom::Start(0))?;
            self.read_bytes = 0;
            return Ok(News::Emptied);
        }
        if length > self.read_bytes {
            return Ok(News::More);
        }
        // Only a file that has been read to its end is left for another one.
        match std::fs::metadata(&self.path) {
            Ok(metadata) if Identity::of(&metadata) != self.identity && metadata.is_file() => {
                let next = match Self::open(self.path.clone()) {
                    Ok(next) => next,
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(News::Nothing),
                    Err(error) => return Err(error),
                };
                *self = next;
                Ok(News::Replaced)
            }
            Ok(_) => Ok(News::Nothing),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(News::Nothing),
            Err(error) => Err(error),
        }
    }
}

impl Seek for Follow {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.read_bytes = self.file.seek(to)?;
        Ok(self.read_bytes)
    }
}

impl Read for Follow {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.file.read(buffer)?;
        self.read_bytes += bytes as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn text(follow: &mut Follow) -> String {
        let mut text = String::new();
        follow.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn growth_emptying_and_rotation_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "one\n").unwrap();
        let mut follow = Follow::open(path.clone()).unwrap();
        assert_eq!((follow.look().unwrap(), text(&mut follow).as_str()), (News::More, "one\n"));
        assert_eq!(follow.look().unwrap(), News::Nothing);
        let mut writer = File::options().append(true).open(&path).unwrap();
        writer.write_all(b"two\n").unwrap();
        assert_eq!((follow.look().unwrap(), text(&mut follow).as_str()), (News::More, "two\n"));
        writer.set_len(0).unwrap();
        writer.write_all(b"3\n").unwrap();
        assert_eq!((follow.look().unwrap(), text(&mut follow).as_str()), (News::Emptied, "3\n"));
        // Rotated: what is still added to the old file comes before the new one.
        std::fs::rename(&path, folder.path().join("log.1")).unwrap();
        assert_eq!(follow.look().unwrap(), News::Nothing);
        writer.write_all(b"four\n").unwrap();
        std::fs::write(&path, "five\n").unwrap();
        assert_eq!((follow.look().unwrap(), text(&mut follow).as_str()), (News::More, "four\n"));
        assert_eq!((follow.look().unwrap(), text(&mut follow).as_str()), (News::Replaced, "five\n"));
        assert_eq!(follow.look().unwrap(), News::Nothing);
        assert!(Follow::open(folder.path().to_owned()).is_err());
    }

    #[test]
    fn a_file_is_found_again_by_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (path, rotated) = (folder.path().join("log"), folder.path().join("log.1"));
        std::fs::write(&path, "one\ntwo\n").unwrap();
        let identity = Follow::open(path.clone()).unwrap().identity();
        let reopen = |read_bytes| Follow::reopen(&path, identity, read_bytes).unwrap();
        assert_eq!(text(&mut reopen(4).unwrap()), "two\n");
        std::fs::rename(&path, &rotated).unwrap();
        std::fs::write(&path, "three\n").unwrap();
        let mut follow = reopen(4).unwrap();
        assert_eq!(text(&mut follow), "two\n");
        assert_eq!((follow.look().unwrap(), text(&mut follow).as_str()), (News::Replaced, "three\n"));
        assert!(reopen(9).is_none(), "it is shorter: it was emptied");
        std::fs::remove_file(&rotated).unwrap();
        assert!(reopen(4).is_none());
    }
}
