//! A cursor over one line: the values of the `.evt` form.

use super::bad_input::{Fault, Parsed, fault};
use super::number::{Number, number};
use crate::event::{Map, Text, Value};

/// What stands behind the last byte of a line. A line cannot contain it.
pub(super) const END: u8 = b'\n';

/// Bounds on what one event may hold.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names)] // the same words as in `SourceOptions`
pub(super) struct Limits {
    pub(super) max_string_bytes: usize,
    /// Also for the entries of a map value.
    pub(super) max_fields: usize,
    pub(super) max_nesting: usize,
}

/// A place in a line.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    limits: Limits,
    /// Where strings with escapes are put together.
    scratch: &'a mut String,
}

/// Whether `byte` can be part of a name.
#[inline]
fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether `byte` ends a bare word or a number.
#[inline]
fn ends_word(byte: u8) -> bool {
    byte <= b' '
        || matches!(byte, b',' | b'}' | b']' | b')' | b';' | b'{' | b'[' | b'(' | b'"' | b'\'' | b'\\' | 0x7f)
}

impl<'a> Scanner<'a> {
    #[inline]
    pub(super) fn new(text: &'a str, limits: Limits, scratch: &'a mut String) -> Self {
        Self { text, at: 0, limits, scratch }
    }

    /// Where the cursor is, in bytes.
    #[inline]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text between two places.
    #[inline]
    pub(super) fn slice(&self, from: usize, to: usize) -> &'a str {
        &self.text[from..to]
    }

    /// The bytes from the cursor on.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    /// The byte at the cursor, `END` behind the last one.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(END)
    }

    /// Moves on by `bytes`, which the caller has seen.
    #[inline]
    pub(super) fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        debug_assert!(self.at <= self.text.len(), "skipped more than was seen");
    }

    /// Skips spaces and tabs.
    #[inline]
    pub(super) fn space(&mut self) {
        let bytes = self.text.as_bytes();
        while self.at < bytes.len() && (bytes[self.at] == b' ' || bytes[self.at] == b'\t') {
            self.at += 1;
        }
    }

    /// Skips `byte`, which must be here.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, place: &'static str) -> Parsed<()> {
        if self.peek() != byte {
            return Err(self.unexpected(&format!("expected `{}` {place}", char::from(byte))));
        }
        self.at += 1;
        Ok(())
    }

    /// The fault that something else was expected here.
    #[cold]
    pub(super) fn unexpected(&self, expected: &str) -> Fault {
        let found = match self.text[self.at..].chars().next() {
            Some(character) if character.is_control() => format!("found `{}`", character.escape_default()),
            Some(character) => format!("found `{character}`"),
            None => "the line ends".into(),
        };
        fault(self.at, format!("{expected}, {found}"))
    }

    /// A name: an ASCII identifier.
    pub(super) fn name(&mut self, what: &'static str) -> Parsed<&'a str> {
        let start = self.at;
        if !(self.peek().is_ascii_alphabetic() || self.peek() == b'_') {
            return Err(self.unexpected(&format!("expected {what}")));
        }
        while in_name(self.peek()) {
            self.at += 1;
        }
        Ok(self.slice(start, self.at))
    }

    /// A value. Where it need not be kept it is checked, and `Missing` is returned.
    #[inline]
    pub(super) fn value(&mut self, keep: bool) -> Parsed<Value> {
        match self.peek() {
            quote @ (b'"' | b'\'') => {
                let text = self.string(quote)?;
                Ok(if keep { Value::Str(Text::new(text)) } else { Value::Missing })
            }
            b'0'..=b'9' | b'-' => match number(self.text, self.at) {
                Number::Some(value, len) if self.ends_at(self.at + len) => {
                    self.at += len;
                    Ok(value)
                }
                Number::TooLarge(len) if self.ends_at(self.at + len) => {
                    Err(fault(self.at, "the number is too large"))
                }
                _ => self.word(keep),
            },
            _ => self.other(keep, 1),
        }
    }

    #[inline]
    fn ends_at(&self, at: usize) -> bool {
        self.text.as_bytes().get(at).is_none_or(|&byte| ends_word(byte))
    }

    /// A value inside `depth` others.
    fn nested(&mut self, keep: bool, depth: usize) -> Parsed<Value> {
        match self.peek() {
            b'[' | b'{' => self.other(keep, depth + 1),
            _ => self.value(keep),
        }
    }

    fn other(&mut self, keep: bool, depth: usize) -> Parsed<Value> {
        match self.peek() {
            b'[' | b'{' if depth > self.limits.max_nesting => {
                Err(fault(self.at, format!("nested deeper than {} levels", self.limits.max_nesting)))
            }
            b'[' => self.array(keep, depth),
            b'{' => self.map(keep, depth),
            _ => self.word(keep),
        }
    }

    fn array(&mut self, keep: bool, depth: usize) -> Parsed<Value> {
        self.at += 1;
        self.space();
        let mut items = Vec::new();
        if self.peek() != b']' {
            loop {
                let item = self.nested(keep, depth)?;
                if keep {
                    items.push(item);
                }
                self.space();
                match self.peek() {
                    b',' => self.at += 1,
                    b']' => break,
                    _ => return Err(self.unexpected("expected `,` or `]` after an item of an array")),
                }
                self.space();
            }
        }
        self.at += 1;
        Ok(if keep { Value::array(items) } else { Value::Missing })
    }

    fn map(&mut self, keep: bool, depth: usize) -> Parsed<Value> {
        self.at += 1;
        self.space();
        let mut map = Map::default();
        let mut entries = 0;
        if self.peek() != b'}' {
            loop {
                entries += 1;
                if entries > self.limits.max_fields {
                    return Err(fault(
                        self.at,
                        format!("a map of more than {} entries", self.limits.max_fields),
                    ));
                }
                let key = match self.peek() {
                    quote @ (b'"' | b'\'') => Text::new(self.string(quote)?),
                    _ => Text::new(self.name("a key")?),
                };
                self.space();
                self.expect(b':', "after a key")?;
                self.space();
                let value = self.nested(keep, depth)?;
                if keep {
                    map.insert(key, value);
                }
                self.space();
                match self.peek() {
                    b',' => self.at += 1,
                    b'}' => break,
                    _ => return Err(self.unexpected("expected `,` or `}` after an entry of a map")),
                }
                self.space();
            }
        }
        self.at += 1;
        Ok(if keep { Value::map(map) } else { Value::Missing })
    }

    /// A bare word: `true`, `false`, `null`, `nil`, or text without quotes.
    fn word(&mut self, keep: bool) -> Parsed<Value> {
        let start = self.at;
        let len = self.rest().iter().position(|&byte| ends_word(byte)).unwrap_or(self.rest().len());
        if len == 0 {
            return Err(self.unexpected("expected a value"));
        }
        self.check_string(start, len)?;
        self.at += len;
        Ok(match self.slice(start, self.at) {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" | "nil" => Value::Null,
            word if keep => Value::Str(Text::new(word)),
            _ => Value::Missing,
        })
    }

    #[inline]
    fn check_string(&self, start: usize, len: usize) -> Parsed<()> {
        if len > self.limits.max_string_bytes {
            return Err(fault(
                start,
                format!("a string of more than {} bytes", self.limits.max_string_bytes),
            ));
        }
        Ok(())
    }

    /// The text of the string whose opening `quote` is here.
    #[inline]
    fn string(&mut self, quote: u8) -> Parsed<&str> {
        let start = self.at + 1;
        let end = find_either(self.text.as_bytes(), start, quote, b'\\');
        if self.text.as_bytes().get(end) == Some(&quote) {
            self.check_string(start, end - start)?;
            self.at = end + 1;
            return Ok(self.slice(start, end));
        }
        self.escaped(quote, start, end)
    }

    /// As `string`, where the text from `start` up to `plain_end` has neither the quote nor an escape.
    fn escaped(&mut self, quote: u8, start: usize, mut plain_end: usize) -> Parsed<&str> {
        self.scratch.clear();
        let mut plain = start;
        loop {
            self.scratch.push_str(&self.text[plain..plain_end]);
            self.check_string(start, self.scratch.len())?;
            self.at = plain_end;
            match self.peek() {
                b'\\' => {
                    let character = self.escape()?;
                    self.scratch.push(character);
                }
                END => return Err(fault(start - 1, "the string is not closed")),
                _ => break,
            }
            plain = self.at;
            plain_end = find_either(self.text.as_bytes(), plain, quote, b'\\');
        }
        self.at += 1;
        Ok(self.scratch)
    }

    /// The character that the escape here stands for.
    fn escape(&mut self) -> Parsed<char> {
        let start = self.at;
        self.at += 1;
        let character = match self.peek() {
            byte @ (b'"' | b'\'' | b'\\' | b'/') => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(start),
            END => return Err(fault(start, "the line ends within an escape")),
            _ => return Err(fault(start, "an unknown escape")),
        };
        self.at += 1;
        Ok(character)
    }

    /// `uXXXX`, or a pair of them for a character beyond 16 bits.
    fn unicode(&mut self, start: usize) -> Parsed<char> {
        let first = self.hex(start)?;
        if let Some(character) = char::from_u32(first) {
            return Ok(character);
        }
        let lone = || fault(start, "half of a surrogate pair");
        if first >= 0xdc00 || !self.rest().starts_with(b"\\u") {
            return Err(lone());
        }
        self.at += 1;
        let second = self.hex(start)?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(lone());
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or_else(lone)
    }

    /// The four digits behind the `u` here.
    fn hex(&mut self, start: usize) -> Parsed<u32> {
        let mut code = 0;
        for _ in 0..4 {
            self.at += 1;
            let digit = char::from(self.peek()).to_digit(16);
            code = code * 16 + digit.ok_or_else(|| fault(start, "`\\u` needs four hexadecimal digits"))?;
        }
        self.at += 1;
        Ok(code)
    }

    /// An integer with its sign, as in `@TIME` and `BATCH`.
    pub(super) fn int(&mut self, what: &'static str) -> Parsed<i64> {
        let start = self.at;
        match number(self.text, start) {
            Number::Some(Value::Int(int), len) => {
                self.at += len;
                Ok(int)
            }
            Number::None => Err(self.unexpected(&format!("expected {what}"))),
            _ => Err(fault(start, format!("expected {what}, found a number that is no 64-bit integer"))),
        }
    }
}

/// The first place from `at` on that holds `a` or `b`; the length if there is none. Looks at eight bytes at a time:
/// strings in events are short, so a call to a vectorised search would cost more than it saves.
#[inline]
fn find_either(bytes: &[u8], mut at: usize, a: u8, b: u8) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The lowest bit set marks the first zero byte; bits above it may be wrong.
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (a_mask, b_mask) = (u64::from(a) * ONES, u64::from(b) * ONES);
    while let Some(&chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(chunk);
        let found = zero_bytes(word ^ a_mask) | zero_bytes(word ^ b_mask);
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while at < bytes.len() && bytes[at] != a && bytes[at] != b {
        at += 1;
    }
    at
}
