//! The format of a checkpoint's file.
//!
//! ```text
//! "VARPINCP"  8 bytes
//! version     u32    all numbers little-endian
//! length      u64    of the whole file
//! id          u64    ids ascend within a directory
//! created_ns  i64    wall clock, nanoseconds since the epoch
//! events      u64    events that had come in
//! seq         u64    the last sequence number that it covers
//! fingerprints       u32 count; each: text, u64
//! sections           u32 count; each: text, u32 count of holdings (text, u64 keys, u64 items), u64 length, bytes
//! checksum    u32    CRC-32C of everything before it
//! ```
//!
//! A text is a u32 length and UTF-8. The checksum is looked at before anything else is believed; what is behind it is
//! still read with every bound checked, because a checksum is no proof of who wrote the file.

use std::fmt;
use std::io::{self, Write};

/// The version of the format that is written. Others are refused.
pub const FORMAT_VERSION: u32 = 3;

const MAGIC: &[u8; 8] = b"VARPINCP";
/// Magic, version, length.
const HEAD_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 4;

/// A part of a program, and a number that changes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// What it is of: `stream Hot`, `contexts`, ...
    pub part: String,
    /// The number.
    pub print: u64,
}

/// What a section holds of one stream, to be told to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The stream.
    pub stream: String,
    /// Keys with state.
    pub keys: u64,
    /// Rows and values that it remembers.
    pub items: u64,
}

/// What one stage, the input or the output has put into a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Whose it is.
    pub name: String,
    /// What it holds, by stream.
    pub holdings: Vec<Holding>,
    /// The state itself; only its owner can read it.
    pub bytes: Vec<u8>,
    /// Where it was not written in one piece: what comes behind `bytes`. In a file all is one, so there is none in a
    /// section that was read.
    pub further: Vec<Vec<u8>>,
}

/// Everything that there is to know at one place between two events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its number; ids ascend within a directory.
    pub id: u64,
    /// When it was made, in nanoseconds since the epoch.
    pub created_ns: i64,
    /// Events that had come in.
    pub events: u64,
    /// The last sequence number that it covers.
    pub seq: u64,
    /// Of the program that made it, part by part.
    pub fingerprints: Vec<Fingerprint>,
    /// The state.
    pub sections: Vec<Section>,
}

/// Why a file is no whole checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// It does not begin as a checkpoint does.
    NoCheckpoint,
    /// It was written in another format.
    Version(u32),
    /// It is shorter or longer than it says.
    Length {
        /// The length that it says.
        told: u64,
        /// The length that it has, in bytes.
        found: u64,
    },
    /// The checksum is that of something else.
    Checksum {
        /// What stands in the file.
        told: u32,
        /// What its bytes give.
        found: u32,
    },
    /// The checksum holds, but what it covers makes no sense at this offset in bytes.
    Content(usize),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCheckpoint => f.write_str("it does not begin as a checkpoint does"),
            Self::Version(version) => {
                write!(f, "it has format {version}, and this program reads format {FORMAT_VERSION}")
            }
            Self::Length { told, found } => write!(f, "it says {told} bytes and has {found}"),
            Self::Checksum { told, found } => {
                write!(f, "its checksum is {told:08x} and that of its content {found:08x}")
            }
            Self::Content(at) => write!(f, "its content makes no sense at byte {at}"),
        }
    }
}

impl std::error::Error for Damage {}

impl Checkpoint {
    /// The section called `name`.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Everything in front of the first section's content.
    fn head(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(1024);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        head.extend_from_slice(&[0; 8]);
        head.extend_from_slice(&self.id.to_le_bytes());
        head.extend_from_slice(&self.created_ns.to_le_bytes());
        head.extend_from_slice(&self.events.to_le_bytes());
        head.extend_from_slice(&self.seq.to_le_bytes());
        count(&mut head, self.fingerprints.len());
        for Fingerprint { part, print } in &self.fingerprints {
            text(&mut head, part);
            head.extend_from_slice(&print.to_le_bytes());
        }
        count(&mut head, self.sections.len());
        head
    }

    /// Writes the file to `out`, calling `half_way` once in the middle.
    pub fn write_to<W: Write>(
        &self,
        out: &mut W,
        mut half_way: impl FnMut(&mut W) -> io::Result<()>,
    ) -> io::Result<u64> {
        let mut head = self.head();
        let section_heads: Vec<Vec<u8>> = self.sections.iter().map(Section::head).collect();
        let inner: usize =
            self.sections.iter().zip(&section_heads).map(|(section, head)| head.len() + section.len()).sum();
        let length = (head.len() + inner + CHECKSUM_BYTES) as u64;
        head[MAGIC.len() + 4..HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
        let mut sum = 0;
        let mut put = |out: &mut W, bytes: &[u8]| {
            sum = crc32c::crc32c_append(sum, bytes);
            out.write_all(bytes)
        };
        let (first, second) = head.split_at(head.len() / 2);
        put(out, first)?;
        if self.sections.is_empty() {
            half_way(out)?;
        }
        put(out, second)?;
        let middle = self.sections.len() / 2;
        for (at, (section, head)) in self.sections.iter().zip(&section_heads).enumerate() {
            put(out, head)?;
            let (first, second) = section.bytes.split_at(section.bytes.len() / 2);
            put(out, first)?;
            if at == middle && section.further.is_empty() {
                half_way(out)?;
            }
            put(out, second)?;
            for (further, bytes) in section.further.iter().enumerate() {
                if at == middle && further == section.further.len() / 2 {
                    half_way(out)?;
                }
                put(out, bytes)?;
            }
        }
        out.write_all(&sum.to_le_bytes())?;
        Ok(length)
    }

    /// Reads a file's bytes.
    pub fn read_from(bytes: &[u8]) -> Result<Self, Damage> {
        let Some((head, _)) = bytes.split_at_checked(HEAD_BYTES) else {
            let begins = MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]);
            let found = bytes.len() as u64;
            return Err(if begins {
                Damage::Length { told: HEAD_BYTES as u64, found }
            } else {
                Damage::NoCheckpoint
            });
        };
        if !head.starts_with(MAGIC) {
            return Err(Damage::NoCheckpoint);
        }
        let mut reader = Reader { bytes, at: MAGIC.len() };
        let version = reader.u32()?;
        if version != FORMAT_VERSION {
            return Err(Damage::Version(version));
        }
        let (told, found) = (reader.u64()?, bytes.len() as u64);
        if told != found || bytes.len() < HEAD_BYTES + CHECKSUM_BYTES {
            return Err(Damage::Length { told, found });
        }
        let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        let told = u32::from_le_bytes([checksum[0], checksum[1], checksum[2], checksum[3]]);
        let found = crc32c::crc32c(content);
        if told != found {
            return Err(Damage::Checksum { told, found });
        }
        let mut reader = Reader { bytes: content, at: HEAD_BYTES };
        let mut checkpoint = Self {
            id: reader.u64()?,
            created_ns: reader.u64()? as i64,
            events: reader.u64()?,
            seq: reader.u64()?,
            ..Self::default()
        };
        for _ in 0..reader.u32()? {
            checkpoint.fingerprints.push(Fingerprint { part: reader.text()?, print: reader.u64()? });
        }
        for _ in 0..reader.u32()? {
            let mut section = Section { name: reader.text()?, ..Section::default() };
            for _ in 0..reader.u32()? {
                let (stream, keys) = (reader.text()?, reader.u64()?);
                section.holdings.push(Holding { stream, keys, items: reader.u64()? });
            }
            let length = usize::try_from(reader.u64()?).map_err(|_| Damage::Content(reader.at))?;
            section.bytes = reader.take(length)?.to_vec();
            checkpoint.sections.push(section);
        }
        if reader.at == content.len() { Ok(checkpoint) } else { Err(Damage::Content(reader.at)) }
    }
}

impl Section {
    /// How many bytes the state has.
    fn len(&self) -> usize {
        self.bytes.len() + self.further.iter().map(Vec::len).sum::<usize>()
    }

    fn head(&self) -> Vec<u8> {
        let mut head = Vec::new();
        text(&mut head, &self.name);
        count(&mut head, self.holdings.len());
        for Holding { stream, keys, items } in &self.holdings {
            text(&mut head, stream);
            head.extend_from_slice(&keys.to_le_bytes());
            head.extend_from_slice(&items.to_le_bytes());
        }
        head.extend_from_slice(&(self.len() as u64).to_le_bytes());
        head
    }
}

fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&(count as u32).to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let taken = &self.bytes[self.at..end.ok_or(Damage::Content(self.at))?];
        self.at += count;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, Damage> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn u64(&mut self) -> Result<u64, Damage> {
        let (low, high) = (self.u32()?, self.u32()?);
        Ok(u64::from(low) | u64::from(high) << 32)
    }

    fn text(&mut self) -> Result<String, Damage> {
        let at = self.at;
        let length = self.u32()? as usize;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Damage::Content(at))
    }
}
