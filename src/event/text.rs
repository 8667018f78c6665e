//! A string of 15 bytes: up to 14 bytes of text are held in place, longer text is shared behind an `Arc`.
#![allow(unsafe_code)] // one unchecked conversion: see `as_str`

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// How many bytes of text need no allocation.
const SHORT: usize = 14;

/// Text of an event: cloning never copies the bytes of a long one.
///
/// ```
/// use varpin::event::Text;
/// let short = Text::new("north");
/// assert_eq!(&*short, "north");
/// assert!(short.is_inline());
/// assert!(!Text::new("longer than fourteen bytes").is_inline());
/// ```
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    /// `bytes[..len]` is UTF-8 and `len <= SHORT`.
    Short { len: u8, bytes: [u8; SHORT] },
    /// Behind two pointers, so that it fits beside a tag into 16 bytes.
    Long(Arc<Box<str>>),
}

impl Text {
    /// Copies `text`; allocates if it is longer than 14 bytes.
    #[inline]
    pub fn new(text: &str) -> Self {
        if text.len() <= SHORT {
            Self(Repr::Short { len: text.len() as u8, bytes: short(text.as_bytes()) })
        } else {
            Self(Repr::Long(Arc::new(text.into())))
        }
    }

    /// Whether the text is held in place.
    #[inline]
    pub fn is_inline(&self) -> bool {
        matches!(self.0, Repr::Short { .. })
    }

    /// The text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Short { len, bytes } => {
                // SAFETY: `new` is the only place that makes a `Short`, and copies a whole `&str` of `len` bytes into
                // it.
                unsafe { std::str::from_utf8_unchecked(&bytes[..usize::from(*len)]) }
            }
            Repr::Long(text) => text,
        }
    }
}

/// `text`, which is not longer than `SHORT`, with zeros behind it. By overlapping loads of fixed sizes: a call that
/// copies a length known only at run time takes longer than everything else about a short text.
#[inline]
fn short(text: &[u8]) -> [u8; SHORT] {
    let len = text.len();
    let mut both = [0; 16];
    if let (Some(&head), Some(&tail)) = (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        let (head, tail) = (u64::from_le_bytes(head), u64::from_le_bytes(tail));
        // Where the two overlap they hold the same bytes.
        both = (u128::from(head) | u128::from(tail) << (8 * (len - 8))).to_le_bytes();
    } else if let (Some(&head), Some(&tail)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        let tail = u64::from(u32::from_le_bytes(tail)) << (8 * (len - 4));
        both[..8].copy_from_slice(&(u64::from(u32::from_le_bytes(head)) | tail).to_le_bytes());
    } else if len > 0 {
        both[0] = text[0];
        both[len / 2] = text[len / 2];
        both[len - 1] = text[len - 1];
    }
    let mut bytes = [0; SHORT];
    bytes.copy_from_slice(&both[..SHORT]);
    bytes
}

impl Deref for Text {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq for Text {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            // Bytes behind the end are zero in both, so whole arrays compare: no call, no loop over a length.
            (Repr::Short { len: a, bytes: x }, Repr::Short { len: b, bytes: y }) => a == b && x == y,
            _ => self.as_str() == other.as_str(),
        }
    }
}

impl Eq for Text {}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_texts_of_every_length_are_whole_and_equal_to_themselves() {
        let longest = "abcdefghijklmn";
        for len in 0..=SHORT {
            let text = Text::new(&longest[..len]);
            assert_eq!(&*text, &longest[..len]);
            assert!(short(text.as_bytes())[len..].iter().all(|&byte| byte == 0), "zeros behind {len} bytes");
        }
    }
}
