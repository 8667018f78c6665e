//! Lines out of a `Read`, through one buffer that no input can make grow beyond a bound.
//!
//! One call of `fill` is one read, so that a pipe is read as it is written. A line longer than the bound is reported
//! once, as soon as that is known, and passed over: its bytes are dropped as they come. Text is checked to be UTF-8 a
//! block at a time, which costs a fraction of checking line by line.
#![allow(unsafe_code)] // one unchecked conversion of what was checked before: see `text`

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

/// How much is read at a time. Small enough to stay in a core's own cache until it is parsed.
const BLOCK_BYTES: usize = 64 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What ends a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordEnd {
    /// The next newline.
    Newline,
    /// The next newline that is not inside quotes, as in CSV.
    UnquotedNewline,
}

/// A record in the buffer, without its newline.
#[derive(Debug)]
pub(super) enum Record {
    Text {
        bytes: Range<usize>,
        /// The number of its first line.
        line: u64,
    },
    NotUtf8 {
        bytes: Range<usize>,
        line: u64,
        /// How many of the bytes are UTF-8.
        valid: usize,
    },
    TooLong {
        /// How it begins.
        bytes: Range<usize>,
        line: u64,
    },
}

/// Where a field of CSV stands, for telling a newline inside quotes from one that ends the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    /// At the start of a field: a quote opens.
    Start,
    /// In a field without quotes.
    Plain,
    /// Between quotes.
    Inside,
    /// Behind a quote that closes, unless another one follows.
    Closed,
}

/// The place from which a reader can go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The offset of the next record in the input.
    pub(super) offset: u64,
    /// How many lines are before it.
    pub(super) lines: u64,
    /// Whether it is in the middle of a record that was too long.
    pub(super) passing_over: bool,
}

#[derive(Debug)]
pub(super) struct Lines<R> {
    input: R,
    record_end: RecordEnd,
    max_record_bytes: usize,
    /// `buffer[start..end]` has been read and not yet taken.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Up to here there is no end of the record that begins at `start`.
    scanned: usize,
    /// `buffer[valid]` is UTF-8.
    valid: Range<usize>,
    quoting: Quoting,
    place: Place,
}

impl<R: Read> Lines<R> {
    pub(super) fn new(input: R, record_end: RecordEnd, max_record_bytes: usize) -> Self {
        Self {
            input,
            record_end,
            max_record_bytes,
            buffer: vec![0; BLOCK_BYTES],
            start: 0,
            end: 0,
            scanned: 0,
            valid: 0..0,
            quoting: Quoting::Start,
            place: Place::default(),
        }
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn input_mut(&mut self) -> &mut R {
        &mut self.input
    }

    /// Forgets what was read, and goes on at `place`, where the input now stands.
    pub(super) fn restart(&mut self, place: Place) {
        self.start = 0;
        self.end = 0;
        self.scanned = 0;
        self.valid = 0..0;
        self.quoting = Quoting::Start;
        self.place = place;
    }

    pub(super) fn max_record_bytes(&self) -> usize {
        self.max_record_bytes
    }

    /// The bytes of a record.
    #[inline]
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// The text of a record that is `Record::Text`.
    ///
    /// # Panics
    /// If the range was not found to be UTF-8.
    #[inline]
    pub(super) fn text(&self, bytes: Range<usize>) -> &str {
        let valid = &self.buffer[self.valid.clone()];
        // SAFETY: `check` alone makes `valid` longer, by what it has found to be UTF-8. Whatever moves or overwrites
        // these bytes empties it: `fill` where it moves them; elsewhere it writes behind `end`, and `valid.end <= end`.
        let valid = unsafe { std::str::from_utf8_unchecked(valid) };
        &valid[bytes.start - self.valid.start..bytes.end - self.valid.start]
    }

    /// How many of `bytes` are UTF-8. Looks at everything that has been read, unless it has done so before.
    #[inline]
    fn check(&mut self, bytes: &Range<usize>) -> usize {
        if bytes.start < self.valid.start || bytes.end > self.valid.end {
            self.check_from(bytes.start);
        }
        self.valid.end.min(bytes.end) - bytes.start
    }

    fn check_from(&mut self, start: usize) {
        let unchecked = &self.buffer[start..self.end];
        let valid = std::str::from_utf8(unchecked).map_or_else(|error| error.valid_up_to(), str::len);
        self.valid = start..start + valid;
    }

    /// Reads once. 0: the input has ended. Where the buffer is full of whole records it reads nothing and returns how
    /// many bytes are waiting.
    pub(super) fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            self.scanned = 0;
            self.valid = 0..0;
        } else if self.buffer.len() - self.end < BLOCK_BYTES / 2 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.scanned -= self.start;
            self.start = 0;
            self.valid = 0..0;
            if self.buffer.len() - self.end < BLOCK_BYTES / 2 {
                let bound = self.max_record_bytes.saturating_add(BLOCK_BYTES);
                let grown = (self.buffer.len() * 2).min(bound).max(self.buffer.len());
                self.buffer.resize(grown, 0);
            }
            if self.end == self.buffer.len() {
                return Ok(self.end);
            }
        }
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(bytes) => {
                    self.end += bytes;
                    return Ok(bytes);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next record that is complete.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Record> {
        loop {
            let Some(newline) = self.find_end() else {
                return self.check_length();
            };
            if let Some(record) = self.take(newline, newline + 1) {
                return Some(record);
            }
        }
    }

    /// The last record, which no newline ended. To be called at the end of the input, when `next` has no more.
    pub(super) fn last(&mut self) -> Option<Record> {
        if self.start == self.end {
            return None;
        }
        self.take(self.end, self.end)
    }

    /// Whether the input ended inside quotes.
    pub(super) fn inside_quotes(&self) -> bool {
        self.quoting == Quoting::Inside
    }

    /// The newline that ends the record at `start`.
    #[inline]
    fn find_end(&mut self) -> Option<usize> {
        if self.record_end == RecordEnd::UnquotedNewline && !self.place.passing_over {
            return self.find_unquoted();
        }
        if let Some(distance) = memchr::memchr(b'\n', &self.buffer[self.scanned..self.end]) {
            return Some(self.scanned + distance);
        }
        self.scanned = self.end;
        None
    }

    fn find_unquoted(&mut self) -> Option<usize> {
        while self.scanned < self.end {
            let byte = self.buffer[self.scanned];
            self.quoting = match (self.quoting, byte) {
                (Quoting::Inside, b'"') => Quoting::Closed,
                (Quoting::Inside, _) => Quoting::Inside,
                (_, b'\n') => {
                    self.quoting = Quoting::Start;
                    return Some(self.scanned);
                }
                (_, b',') => Quoting::Start,
                (Quoting::Start | Quoting::Closed, b'"') => Quoting::Inside,
                _ => Quoting::Plain,
            };
            self.scanned += 1;
        }
        None
    }

    /// Takes the record up to `end`, and goes on at `next`. None if it is the end of one that was reported as too long.
    #[inline]
    fn take(&mut self, end: usize, next: usize) -> Option<Record> {
        let mut bytes = self.start..end;
        if self.place.passing_over {
            self.drop_up_to(next);
            self.place.lines += 1;
            self.place.passing_over = false;
            return None;
        }
        if bytes.len() > self.max_record_bytes {
            return Some(self.too_long());
        }
        if self.place.offset == 0 && self.buffer[bytes.clone()].starts_with(BYTE_ORDER_MARK) {
            bytes.start += BYTE_ORDER_MARK.len();
        }
        let line = self.place.lines + 1;
        self.place.lines = line;
        if self.record_end == RecordEnd::UnquotedNewline {
            self.place.lines += self.count_newlines(bytes.clone());
        }
        self.drop_up_to(next);
        if bytes.end > bytes.start && self.buffer[bytes.end - 1] == b'\r' {
            bytes.end -= 1;
        }
        match self.check(&bytes) {
            valid if valid == bytes.len() => Some(Record::Text { bytes, line }),
            valid => Some(Record::NotUtf8 { bytes, line, valid }),
        }
    }

    /// Reports the record at `start`, if it is longer than the bound already.
    #[inline]
    fn check_length(&mut self) -> Option<Record> {
        if self.place.passing_over {
            self.drop_up_to(self.end);
            return None;
        }
        (self.end - self.start > self.max_record_bytes).then(|| self.too_long())
    }

    /// Starts passing over the record at `start`. What is dropped at once is as long as the bound, however much has
    /// been read, so that the rest does not depend on that: inside quotes it begins at the next newline.
    #[cold]
    fn too_long(&mut self) -> Record {
        let bytes = self.start..self.start + self.max_record_bytes + 1;
        let line = self.place.lines + 1;
        if self.record_end == RecordEnd::UnquotedNewline {
            self.place.lines += self.count_newlines(bytes.clone());
        }
        self.drop_up_to(bytes.end);
        self.quoting = Quoting::Start;
        self.place.passing_over = true;
        Record::TooLong { bytes, line }
    }

    #[inline]
    fn drop_up_to(&mut self, next: usize) {
        self.place.offset += (next - self.start) as u64;
        self.start = next;
        self.scanned = next;
    }

    fn count_newlines(&self, bytes: Range<usize>) -> u64 {
        memchr::memchr_iter(b'\n', &self.buffer[bytes]).count() as u64
    }
}
