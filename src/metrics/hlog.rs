//! The log of histograms over time (`.hlog`) that the tools of all HdrHistograms read: a line for each interval, with
//! the interval's whole histogram in their common encoding (V2, in a zlib envelope, as base64).
//!
//! Counts are packed well by the encoding itself, so the envelope holds them uncompressed: it takes no compressor.

use std::fmt::Write;

use super::Latencies;

/// The cookie of an encoded histogram, and of one in an envelope.
const COOKIE: u32 = 0x1c84_9313;
const ENVELOPE_COOKIE: u32 = 0x1c84_9314;
/// The longest block of a zlib stream that is not compressed.
const BLOCK: usize = 0xffff;

/// Builds the text of a `.hlog`.
///
/// ```
/// use varpin::metrics::{IntervalLog, Latencies};
/// let mut latencies = Latencies::new();
/// latencies.record_ns(1_500_000);
/// let mut log = IntervalLog::new(1_700_000_000.0);
/// log.add("hop", 0.0, 0.5, &latencies);
/// let text = log.finish();
/// assert!(text.lines().last().is_some_and(|line| line.starts_with("Tag=hop,0.000,0.500,1.500,HISTFAAA")));
/// ```
#[derive(Clone, Debug)]
pub struct IntervalLog {
    text: String,
}

impl IntervalLog {
    /// A log whose times count from `start_s`, in seconds since the Unix epoch.
    pub fn new(start_s: f64) -> Self {
        let mut text = String::from("#[Histogram log format version 1.3]\n");
        // Writing into a string cannot fail, here and below.
        let _ = writeln!(text, "#[Logged with varpin {}; values in nanoseconds]", env!("CARGO_PKG_VERSION"));
        let _ = writeln!(text, "#[BaseTime: {start_s:.3} (seconds since epoch)]");
        let _ = writeln!(text, "#[StartTime: {start_s:.3} (seconds since epoch)]");
        text.push_str(
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
        );
        Self { text }
    }

    /// Adds what was recorded from `from_s` on, for `length_s` seconds. `tag` tells apart what is logged together; what
    /// would end it (commas, white space) becomes `_`. The longest latency of the line is in milliseconds.
    pub fn add(&mut self, tag: &str, from_s: f64, length_s: f64, latencies: &Latencies) {
        let tag: String = tag.chars().map(|c| if c == ',' || c.is_whitespace() { '_' } else { c }).collect();
        let max_ms = latencies.max_ns().unwrap_or(0) as f64 / 1e6;
        let encoded = base64(&envelope(&encode(latencies)));
        let _ = writeln!(self.text, "Tag={tag},{from_s:.3},{length_s:.3},{max_ms:.3},{encoded}");
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// The histogram as V2: a header, then the counts in order, zigzag and LEB128; a run of zeros is its negative length.
fn encode(latencies: &Latencies) -> Vec<u8> {
    let histogram = latencies.histogram();
    let mut counts = Vec::new();
    let mut zeros = 0_i64;
    let end_zeros = |zeros: &mut i64, counts: &mut Vec<u8>| match std::mem::take(zeros) {
        0 => {}
        // One zero is a count.
        1 => put_number(counts, 0),
        more => put_number(counts, -more),
    };
    let max = histogram.max();
    for bucket in histogram.iter_all() {
        match bucket.count_at_value() {
            0 => zeros += 1,
            count => {
                end_zeros(&mut zeros, &mut counts);
                put_number(&mut counts, i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        // Behind the last sample nothing is encoded.
        if bucket.value_iterated_to() >= max {
            break;
        }
    }
    end_zeros(&mut zeros, &mut counts);
    let mut out = Vec::with_capacity(40 + counts.len());
    out.extend(COOKIE.to_be_bytes());
    out.extend((counts.len() as u32).to_be_bytes());
    out.extend(0_u32.to_be_bytes()); // the counts are not shifted
    out.extend(u32::from(histogram.sigfig()).to_be_bytes());
    out.extend(histogram.low().to_be_bytes());
    out.extend(histogram.high().to_be_bytes());
    out.extend(1.0_f64.to_be_bytes()); // values are whole nanoseconds
    out.extend(counts);
    out
}

fn put_number(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    // Seven bits a byte; the ninth byte takes the eight that are left.
    for _ in 0..8 {
        if rest < 0x80 {
            break;
        }
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The cookie and length of a zlib stream, and the stream.
fn envelope(content: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = content.chunks(BLOCK).peekable();
    while let Some(block) = blocks.next() {
        stream.push(u8::from(blocks.peek().is_none()));
        let length = block.len() as u16; // at most BLOCK
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(content).to_be_bytes());
    let mut out = Vec::with_capacity(8 + stream.len());
    out.extend(ENVELOPE_COOKIE.to_be_bytes());
    out.extend((stream.len() as u32).to_be_bytes());
    out.extend(stream);
    out
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut a, mut b) = (1, 0);
    for &byte in bytes {
        a = (a + u32::from(byte)) % MODULUS;
        b = (b + a) % MODULUS;
    }
    b << 16 | a
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| group.get(at).map_or(0, |&byte| u32::from(byte));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            // A group of n bytes takes n + 1 digits.
            if digit <= group.len() {
                out.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads_and_adler_sums_as_their_definitions_say() {
        let cases = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (text, encoded) in cases {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn numbers_are_zigzag_and_take_at_most_nine_bytes() {
        let cases: [(i64, &[u8]); 5] = [
            (0, &[0]),
            (-1, &[1]),
            (64, &[0x80, 1]),
            (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            (i64::MIN, &[0xff; 9]),
        ];
        for (number, bytes) in cases {
            let mut out = Vec::new();
            put_number(&mut out, number);
            assert_eq!(out, bytes, "{number}");
        }
    }
}
