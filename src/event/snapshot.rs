//! State as bytes: how values, rows and whatever else must outlive a process are written down and read back.
//!
//! Counts and small numbers are variable in length (seven bits a byte), times have eight bytes. Nothing says of which
//! type it is, except values: whoever reads knows what was written, because the program's fingerprint was compared
//! before. All the same every bound is checked, so bytes that are nonsense are an error and never a panic.

use std::collections::VecDeque;
use std::fmt;

use super::{Map, PartPieces, Pieces, Row, Text, Value};

/// How deep values may nest that are read back.
const MAX_NESTING: usize = 4096;
/// What is reserved before anything was read is no more than this, however many the bytes promise.
const MAX_RESERVED: usize = 1 << 16;

/// Bytes that are no snapshot of what they are read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotError {
    /// Where in the bytes.
    pub at: usize,
    /// What was expected there.
    pub expected: &'static str,
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} at byte {}", self.expected, self.at)
    }
}

impl std::error::Error for SnapshotError {}

/// A value that can be written down and made anew from that.
///
/// ```
/// use varpin::event::{SnapshotReader, Snapshot, Value};
/// let mut bytes = Vec::new();
/// vec![(7_u64, Value::from("seven"))].write(&mut bytes);
/// let mut reader = SnapshotReader::new(&bytes);
/// let read = Vec::<(u64, Value)>::read(&mut reader)?;
/// assert!(matches!(&read[..], [(7, Value::Str(text))] if &**text == "seven"));
/// assert!(reader.is_at_end());
/// # Ok::<(), varpin::event::SnapshotError>(())
/// ```
pub trait Snapshot: Sized {
    /// Appends it to `out`.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads it back.
    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError>;
}

/// Something made from a program that keeps state: the state can be written down, and put into another one that was
/// made from the same program and has seen nothing yet.
///
/// Every operator has to have it, because what holds operators calls it for each; an implementation takes its struct
/// apart field by field, so that a new field does not compile before somebody has decided about it.
///
/// A state may be great, and whoever keeps it has other things to do. So [`save`](Self::save) writes at once what is
/// small, and of what is great it only notes that all of it, as it is now, is to be written; that is done little by
/// little by [`save_more`](Self::save_more), and what is changed meanwhile is written before it is changed.
pub trait Keeps {
    /// Appends the state to `out`; or begins to, where it is great.
    fn save(&mut self, out: &mut Vec<u8>);
    /// Writes more of what `save` has begun, part by part; always the same parts in the same order.
    fn save_more(&mut self, pieces: &mut Pieces);
    /// Takes up a state: what `save` has appended, and the same parts in the same order.
    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError>;
}

/// Reads what was written, in the same order.
#[derive(Debug)]
pub struct SnapshotReader<'a> {
    bytes: &'a [u8],
    at: usize,
    nesting: usize,
    /// What was written part by part.
    parts: std::vec::IntoIter<PartPieces<'a>>,
}

impl<'a> SnapshotReader<'a> {
    /// From the first byte on.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self::with_parts(bytes, Vec::new())
    }

    /// From the first byte on, with what was written part by part beside it.
    pub fn with_parts(bytes: &'a [u8], parts: Vec<PartPieces<'a>>) -> Self {
        Self { bytes, at: 0, nesting: 0, parts: parts.into_iter() }
    }

    /// The pieces of the next part.
    pub fn next_part(&mut self) -> PartPieces<'a> {
        // What has nothing in it may be missing.
        self.parts.next().unwrap_or_default()
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Whether everything has been read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// An error unless everything has been read.
    pub fn end(&self) -> Result<(), SnapshotError> {
        if self.is_at_end() { Ok(()) } else { Err(self.error("end")) }
    }

    /// The error that something else was expected here.
    pub fn error(&self, expected: &'static str) -> SnapshotError {
        SnapshotError { at: self.at, expected }
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        match self.bytes.get(self.at..).and_then(|rest| rest.get(..count)) {
            Some(taken) => {
                self.at += count;
                Ok(taken)
            }
            None => Err(self.error("further bytes")),
        }
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, SnapshotError> {
        Ok(self.take(1)?[0])
    }

    /// How many things follow, of which each takes at least a byte.
    #[inline]
    pub fn count(&mut self) -> Result<usize, SnapshotError> {
        let count = u64::read(self)?;
        match usize::try_from(count) {
            Ok(count) if count <= self.bytes.len() - self.at => Ok(count),
            _ => Err(self.error("count")),
        }
    }
}

/// Writes how many things follow.
pub fn write_count(count: usize, out: &mut Vec<u8>) {
    (count as u64).write(out);
}

/// Writes all of `items`, and how many they are.
pub fn write_all<'i, T: Snapshot + 'i>(items: impl ExactSizeIterator<Item = &'i T>, out: &mut Vec<u8>) {
    write_count(items.len(), out);
    items.for_each(|item| item.write(out));
}

impl Snapshot for u64 {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let mut left = *self;
        while left >= 0x80 {
            out.push(left as u8 | 0x80);
            left >>= 7;
        }
        out.push(left as u8);
    }

    #[inline]
    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = from.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(from.error("number"))
    }
}

impl Snapshot for u8 {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    #[inline]
    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        from.byte()
    }
}

macro_rules! by_u64 {
    ($($type:ty),*) => {$(
        #[allow(clippy::cast_lossless, reason = "one of them is `usize`")]
        impl Snapshot for $type {
            #[inline]
            fn write(&self, out: &mut Vec<u8>) {
                (*self as u64).write(out);
            }

            #[inline]
            fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
                Self::try_from(u64::read(from)?).map_err(|_| from.error("number"))
            }
        }
    )*};
}

by_u64!(usize, u32, u16);

/// Eight bytes: mostly times, which are great.
impl Snapshot for i64 {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    #[inline]
    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(from.take(8)?);
        Ok(Self::from_le_bytes(bytes))
    }
}

impl Snapshot for f64 {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        (self.to_bits() as i64).write(out);
    }

    #[inline]
    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Ok(Self::from_bits(i64::read(from)? as u64))
    }
}

impl Snapshot for i128 {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(from.take(16)?);
        Ok(Self::from_le_bytes(bytes))
    }
}

impl Snapshot for bool {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    #[inline]
    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        match from.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(from.error("yes or no")),
        }
    }
}

impl Snapshot for String {
    fn write(&self, out: &mut Vec<u8>) {
        write_text(self, out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        read_text(from).map(str::to_owned)
    }
}

#[inline]
fn write_text(text: &str, out: &mut Vec<u8>) {
    write_count(text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

#[inline]
fn read_text<'a>(from: &mut SnapshotReader<'a>) -> Result<&'a str, SnapshotError> {
    let count = from.count()?;
    std::str::from_utf8(from.take(count)?).map_err(|_| from.error("text"))
}

impl<T: Snapshot> Snapshot for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.is_some().write(out);
        if let Some(value) = self {
            value.write(out);
        }
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Ok(if bool::read(from)? { Some(T::read(from)?) } else { None })
    }
}

impl<A: Snapshot, B: Snapshot> Snapshot for (A, B) {
    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
        self.1.write(out);
    }

    #[inline]
    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Ok((A::read(from)?, B::read(from)?))
    }
}

impl<T: Snapshot> Snapshot for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        write_all(self.iter(), out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let count = from.count()?;
        let mut items = Self::with_capacity(count.min(MAX_RESERVED));
        for _ in 0..count {
            items.push(T::read(from)?);
        }
        Ok(items)
    }
}

impl<T: Snapshot> Snapshot for VecDeque<T> {
    fn write(&self, out: &mut Vec<u8>) {
        write_all(self.iter(), out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Vec::read(from).map(Self::from)
    }
}

const MISSING: u8 = 0;
const NULL: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const INT: u8 = 4;
const FLOAT: u8 = 5;
const STR: u8 = 6;
const DURATION: u8 = 7;
const TIMESTAMP: u8 = 8;
const ARRAY: u8 = 9;
const MAP: u8 = 10;

impl Snapshot for Value {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Missing => out.push(MISSING),
            Self::Null => out.push(NULL),
            Self::Bool(false) => out.push(FALSE),
            Self::Bool(true) => out.push(TRUE),
            Self::Int(value) => {
                out.push(INT);
                // Small numbers of either sign are short.
                ((value << 1) as u64 ^ (value >> 63) as u64).write(out);
            }
            Self::Float(value) => {
                out.push(FLOAT);
                value.write(out);
            }
            Self::Str(text) => {
                out.push(STR);
                write_text(text, out);
            }
            Self::Duration(ns) => {
                out.push(DURATION);
                ns.write(out);
            }
            Self::Timestamp(ns) => {
                out.push(TIMESTAMP);
                ns.write(out);
            }
            Self::Array(values) => {
                out.push(ARRAY);
                values.write(out);
            }
            Self::Map(map) => {
                out.push(MAP);
                write_count(map.len(), out);
                for (key, value) in map.iter() {
                    write_text(key, out);
                    value.write(out);
                }
            }
        }
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Ok(match from.byte()? {
            MISSING => Self::Missing,
            NULL => Self::Null,
            FALSE => Self::Bool(false),
            TRUE => Self::Bool(true),
            INT => {
                let value = u64::read(from)?;
                Self::Int((value >> 1) as i64 ^ -((value & 1) as i64))
            }
            FLOAT => Self::Float(f64::read(from)?),
            STR => Self::Str(Text::new(read_text(from)?)),
            DURATION => Self::Duration(i64::read(from)?),
            TIMESTAMP => Self::Timestamp(i64::read(from)?),
            kind @ (ARRAY | MAP) => {
                from.nesting += 1;
                if from.nesting > MAX_NESTING {
                    return Err(from.error("value that nests less"));
                }
                let value =
                    if kind == ARRAY { Self::array(Vec::read(from)?) } else { Self::map(read_map(from)?) };
                from.nesting -= 1;
                value
            }
            _ => return Err(from.error("value")),
        })
    }
}

fn read_map(from: &mut SnapshotReader<'_>) -> Result<Map, SnapshotError> {
    let count = from.count()?;
    let mut map = Map::with_capacity(count.min(MAX_RESERVED));
    for _ in 0..count {
        let key = Text::new(read_text(from)?);
        map.insert(key, Value::read(from)?);
    }
    Ok(map)
}

/// An event. Its latency stamp is left out: when it was due, nobody measures after a restart.
impl Snapshot for Row {
    fn write(&self, out: &mut Vec<u8>) {
        self.seq().write(out);
        self.time_ns().write(out);
        self.type_id().write(out);
        self.rank().write(out);
        self.lane().write(out);
        write_all(self.values().iter(), out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (seq, time_ns, type_id) = (u64::read(from)?, i64::read(from)?, u32::read(from)?);
        let (rank, lane, count) = (u16::read(from)?, u16::read(from)?, from.count()?);
        if count > usize::from(u16::MAX) {
            return Err(from.error("row"));
        }
        let mut row = Self::new(type_id, time_ns, count);
        row.set_seq(seq);
        row.set_rank(rank);
        row.set_lane(lane);
        for slot in 0..count {
            row.set(slot, Value::read(from)?);
        }
        Ok(row)
    }
}
