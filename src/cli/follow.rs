//! A file that grows: read from its beginning and then on, as lines are added to it.
//!
//! A file that has become shorter was emptied, and is read from its start. A path that names another file than before
//! was rotated: what is left of the old one comes first, then the new one from its start. A path that names nothing for
//! a while is waited for. What was emptied and written again, longer than before, between two looks cannot be told from
//! what has grown.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

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

/// The file, and how far it has been read.
#[derive(Debug)]
pub(super) struct Follow {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    read_bytes: u64,
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
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
        Ok(Self { path, identity: identity(&metadata), file, read_bytes: 0 })
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
            Ok(metadata) if identity(&metadata) != self.identity && metadata.is_file() => {
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
}
