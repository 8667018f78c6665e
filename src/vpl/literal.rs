//! The text of literals, both ways: what the lexer found to values, and values to the text that reads back the same.

use std::fmt::Write as _;

use super::syntax::Span;

/// Units of a duration with their length in nanoseconds, longest first: the order in which a sum is printed.
const UNITS: [(&str, i64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// The magnitude of an int literal; none where even `u64` is too small.
///
/// `u64` and not `i64`, because the sign stands before the literal: 2^63 is right behind a minus.
pub(crate) fn int(text: &str) -> Option<u64> {
    without_underscores(text).parse().ok()
}

/// The value of a float literal; none where it is beyond the largest float.
pub(crate) fn float(text: &str) -> Option<f64> {
    without_underscores(text).parse().ok().filter(|value: &f64| value.is_finite())
}

fn without_underscores(text: &str) -> String {
    text.chars().filter(|&c| c != '_').collect()
}

/// The nanoseconds of a duration literal such as `5s` or `1h30m`; none where they do not fit into an i64.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (_, length) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let number = i64::try_from(int(number)?).ok()?;
        total = total.checked_add(number.checked_mul(*length)?)?;
        rest = tail;
    }
    Some(total)
}

/// The literal of a duration, as a sum with the longest units first: `1h30m`.
pub(crate) fn duration_text(nanoseconds: i64) -> String {
    let mut text = String::new();
    if nanoseconds < 0 {
        text.push('-');
    }
    let mut rest = nanoseconds.unsigned_abs();
    if rest == 0 {
        return "0s".to_owned();
    }
    for (unit, length) in UNITS {
        let count = rest / length.unsigned_abs();
        rest %= length.unsigned_abs();
        if count > 0 {
            let _ = write!(text, "{count}{unit}");
        }
    }
    text
}

/// The nanoseconds since the epoch of a timestamp literal (with its `@`). Without an offset it is in UTC.
pub(crate) fn timestamp(text: &str) -> Result<i64, String> {
    let body = text.strip_prefix('@').unwrap_or(text);
    let full = match body.split_once('T') {
        None => format!("{body}T00:00:00Z"),
        Some((_, time)) if time.contains(['Z', '+', '-']) => body.to_owned(),
        Some(_) => format!("{body}Z"),
    };
    let parsed: jiff::Timestamp = full.parse().map_err(|error: jiff::Error| error.to_string())?;
    i64::try_from(parsed.as_nanosecond()).map_err(|_| "outside the years 1677 to 2262".to_owned())
}

/// The literal of a timestamp.
pub(crate) fn timestamp_text(nanoseconds: i64) -> String {
    format!(
        "@{}",
        jiff::Timestamp::from_nanosecond(i128::from(nanoseconds)).map_or_else(
            |_| unreachable!("every i64 of nanoseconds lies within jiff's years -9999 to 9999"),
            |timestamp| timestamp.to_string(),
        )
    )
}

/// What is wrong inside a string literal, and where.
pub(crate) struct BadEscape {
    /// The escape's place in the source.
    pub(crate) span: Span,
    /// The message.
    pub(crate) message: String,
}

/// The value of a string literal with its quotes, which stands at byte `start` of the source. Bad escapes stay as
/// written and are reported.
pub(crate) fn string(text: &str, start: usize) -> (String, Vec<BadEscape>) {
    let body = &text[1..text.len() - 1];
    let mut value = String::with_capacity(body.len());
    let mut bad = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        value.push_str(&rest[..at]);
        let escape = &rest[at..];
        let (decoded, length) = escaped(escape);
        match decoded {
            Ok(c) => value.push(c),
            Err(message) => {
                let from = start + 1 + (body.len() - escape.len());
                bad.push(BadEscape { span: Span::new(from, from + length), message });
                value.push_str(&escape[..length]);
            }
        }
        rest = &escape[length..];
    }
    value.push_str(rest);
    (value, bad)
}

/// The character of the escape that `text` begins with, and the bytes that the escape takes.
fn escaped(text: &str) -> (Result<char, String>, usize) {
    let Some(letter) = text[1..].chars().next() else { return (Ok('\\'), 1) };
    let length = 1 + letter.len_utf8();
    let simple = match letter {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        '0' => '\0',
        '\\' | '"' | '\'' => letter,
        'u' => return unicode(text),
        _ => {
            return (Err(format!("`\\{letter}` is no escape; a backslash itself is written `\\\\`")), length);
        }
    };
    (Ok(simple), length)
}

/// `\u{1F680}`: one to six hexadecimal digits of a Unicode scalar value.
fn unicode(text: &str) -> (Result<char, String>, usize) {
    let wrong = || Err("`\\u` takes one to six hexadecimal digits in braces, as in `\\u{e9}`".to_owned());
    let Some(body) = text[2..].strip_prefix('{') else { return (wrong(), 2) };
    let digits = body.bytes().take(7).take_while(u8::is_ascii_hexdigit).count();
    if digits == 0 || digits > 6 || body.as_bytes().get(digits) != Some(&b'}') {
        return (wrong(), 2);
    }
    let length = 2 + 1 + digits + 1;
    let value = u32::from_str_radix(&body[..digits], 16).ok().and_then(char::from_u32);
    (value.ok_or_else(|| format!("`{}` is no Unicode character", &text[..length])), length)
}

/// The literal of a string, in double quotes.
pub(crate) fn string_text(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    text.push('"');
    for c in value.chars() {
        match c {
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            '\r' => text.push_str("\\r"),
            '\0' => text.push_str("\\0"),
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            c if c.is_control() => {
                let _ = write!(text, "\\u{{{:x}}}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_parts_and_print_back() {
        assert_eq!(duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(duration("5ns"), Some(5));
        assert_eq!(duration("1_000us"), Some(1_000_000));
        assert_eq!(duration("106751d"), Some(106_751 * 86_400_000_000_000));
        assert_eq!(duration("106752d"), None, "beyond an i64 of nanoseconds");
        assert_eq!(duration("9223372036854775807ns1ns"), None);
        for value in [0, 1, 999, 1_000, 90_061_000_000_001, i64::MAX] {
            assert_eq!(duration(&duration_text(value)), Some(value));
        }
    }

    #[test]
    fn timestamps_read_offsets_and_fractions_and_print_back() {
        assert_eq!(timestamp("@1970-01-01"), Ok(0));
        assert_eq!(timestamp("@1970-01-01T00:00:10Z"), Ok(10_000_000_000));
        assert_eq!(timestamp("@1970-01-01T01:00:00.5+01:00"), Ok(500_000_000));
        assert_eq!(timestamp("@1970-01-01T00:00"), Ok(0));
        assert!(timestamp("@2024-02-30").is_err());
        assert!(timestamp("@9000-01-01").is_err());
        for value in [i64::MIN, -1, 0, 1, 1_705_276_800_123_456_789, i64::MAX] {
            assert_eq!(timestamp(&timestamp_text(value)), Ok(value));
        }
    }
}
