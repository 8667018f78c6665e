//! Text of points and spans of time: RFC 3339 for timestamps, `1h30m` for durations.
//!
//! Writing is done by hand, because every result carries a timestamp: calendar arithmetic on plain integers into a
//! buffer on the stack costs a tenth of a general formatter. Reading goes through jiff, which knows the rules for
//! offsets.

/// Nanoseconds in a second.
pub const SECOND_NS: i64 = 1_000_000_000;

/// The longest text of a timestamp: `2024-01-15T10:30:00.123456789Z`.
const LONGEST: usize = 30;

const DAY_NS: i64 = 86_400 * SECOND_NS;

/// Appends the time `ns` after the epoch as RFC 3339 in UTC, with 3, 6 or 9 digits behind the second, as few as are
/// exact.
///
/// ```
/// let mut out = Vec::new();
/// varpin::event::time::write_rfc3339(&mut out, 140_000_000);
/// assert_eq!(out, b"1970-01-01T00:00:00.140Z");
/// ```
pub fn write_rfc3339(out: &mut Vec<u8>, ns: i64) {
    let mut buffer = [0; LONGEST];
    let len = fill(&mut buffer, ns);
    out.extend_from_slice(&buffer[..len]);
}

/// Calls `then` with the text that [`write_rfc3339`] would append.
pub fn with_rfc3339<R>(ns: i64, then: impl FnOnce(&str) -> R) -> R {
    let mut buffer = [0; LONGEST];
    let len = fill(&mut buffer, ns);
    then(std::str::from_utf8(&buffer[..len]).expect("digits and separators are ASCII"))
}

/// Writes the text to the front of `buffer` and returns its length.
fn fill(buffer: &mut [u8; LONGEST], ns: i64) -> usize {
    let (days, in_day) = (ns.div_euclid(DAY_NS), ns.rem_euclid(DAY_NS));
    let (year, month, day) = civil(days);
    let seconds = (in_day / SECOND_NS) as u32;
    let fraction = (in_day % SECOND_NS) as u32;

    // i64 nanoseconds reach from 1677 to 2262, so a year has four digits.
    put_pair(buffer, 0, year / 100);
    put_pair(buffer, 2, year % 100);
    buffer[4] = b'-';
    put_pair(buffer, 5, month);
    buffer[7] = b'-';
    put_pair(buffer, 8, day);
    buffer[10] = b'T';
    put_pair(buffer, 11, seconds / 3600);
    buffer[13] = b':';
    put_pair(buffer, 14, seconds / 60 % 60);
    buffer[16] = b':';
    put_pair(buffer, 17, seconds % 60);
    buffer[19] = b'.';
    put_triple(buffer, 20, fraction / 1_000_000);
    let mut end = 23;
    if !fraction.is_multiple_of(1_000_000) {
        put_triple(buffer, 23, fraction / 1_000 % 1_000);
        end = 26;
        if !fraction.is_multiple_of(1_000) {
            put_triple(buffer, 26, fraction % 1_000);
            end = 29;
        }
    }
    buffer[end] = b'Z';
    end + 1
}

#[inline]
fn put_pair(buffer: &mut [u8; LONGEST], at: usize, number: u32) {
    buffer[at] = b'0' + (number / 10) as u8;
    buffer[at + 1] = b'0' + (number % 10) as u8;
}

#[inline]
fn put_triple(buffer: &mut [u8; LONGEST], at: usize, number: u32) {
    buffer[at] = b'0' + (number / 100) as u8;
    put_pair(buffer, at + 1, number % 100);
}

/// Year, month and day of the day that lies `days` after the epoch.
///
/// Years are counted from the first of March, so that the leap day is a year's last, and in eras of 400 years, which
/// all have the same 146,097 days (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(days: i64) -> (u32, u32, u32) {
    // 719,468 days lie between 0000-03-01 and the epoch; the sum is positive for every i64 of nanoseconds.
    let days = (days + 719_468) as u32;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u32::from(month <= 2), month, day)
}

/// Nanoseconds since the epoch of an RFC 3339 text such as `2024-01-15T10:30:00.5+01:00`. None if it is none, or out of
/// range.
///
/// ```
/// use varpin::event::time::parse_rfc3339;
/// assert_eq!(parse_rfc3339("1970-01-01T01:00:01.5+01:00"), Some(1_500_000_000));
/// assert_eq!(parse_rfc3339("yesterday"), None);
/// ```
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    // jiff reads more than RFC 3339 has: a zone in brackets, an offset with seconds, hours without minutes.
    let zone = text.get(19..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let known = matches!(zone.as_bytes(), [b'Z' | b'z'] | [b'+' | b'-', _, _, b':', _, _]);
    if !known {
        return None;
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Nanoseconds of a duration as programs write it: whole numbers with the units ns us ms s m h d, one behind the other.
///
/// ```
/// use varpin::event::time::parse_duration;
/// assert_eq!(parse_duration("1h30m"), Some(5_400_000_000_000));
/// assert_eq!(parse_duration("5"), None);
/// ```
pub fn parse_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total: i64 = 0;
    loop {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let part = number.parse::<i64>().ok()?.checked_mul(unit_ns(unit)?)?;
        total = total.checked_add(part)?;
        if tail.is_empty() {
            return Some(total);
        }
        rest = tail;
    }
}

/// How many nanoseconds a unit of time has.
pub fn unit_ns(unit: &str) -> Option<i64> {
    Some(match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND_NS,
        "m" => 60 * SECOND_NS,
        "h" => 3_600 * SECOND_NS,
        "d" => DAY_NS,
        _ => return None,
    })
}
