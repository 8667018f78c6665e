//! What is written for the tools of HdrHistogram is read back by its own code: the same counts, the same percentiles.
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use varpin::metrics::{Curve, IntervalLog, LONGEST_NS, Latencies};

/// The values of base64's digits.
fn unbase64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.bytes().filter(|&c| c != b'=').map(digit).collect();
    let group = |group: &[u8]| {
        let bits =
            group.iter().fold(0_u32, |bits, &digit| bits << 6 | u32::from(digit)) << (6 * (4 - group.len()));
        bits.to_be_bytes()[1..group.len()].to_vec()
    };
    digits.chunks(4).flat_map(group).collect()
}

fn samples(kind: &str) -> Latencies {
    let mut latencies = Latencies::new();
    match kind {
        "none" => {}
        "one" => latencies.record_ns(1),
        "every size" => (0..60).for_each(|bit| latencies.record_many_ns(1 << bit, 1 + bit)),
        "many" => (1..200_000).for_each(|ns| latencies.record_ns(ns * 7)),
        "the longest" => latencies.record_many_ns(LONGEST_NS, 3),
        _ => unreachable!("{kind}"),
    }
    latencies
}

const KINDS: [&str; 5] = ["none", "one", "every size", "many", "the longest"];

#[test]
fn interval_logs_are_read_back_by_hdrhistogram() {
    let mut log = IntervalLog::new(1_700_000_000.0);
    for (at, kind) in KINDS.iter().enumerate() {
        log.add(&format!("a, {kind}"), at as f64, 1.0, &samples(kind));
    }
    let text = log.finish();
    let mut kinds = KINDS.iter();
    for entry in IntervalLogIterator::new(text.as_bytes()) {
        let LogEntry::Interval(interval) = entry.unwrap() else { continue };
        let kind = kinds.next().unwrap();
        assert_eq!(interval.tag().unwrap().as_str(), format!("a__{}", kind.replace(' ', "_")));
        let bytes = unbase64(interval.encoded_histogram());
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap();
        let written = samples(kind);
        assert_eq!(read.len(), written.samples(), "{kind}");
        for percentile in [0.0, 10.0, 50.0, 90.0, 99.0] {
            if let Some(ns) = written.percentile_ns(percentile) {
                assert_eq!(read.value_at_percentile(percentile), ns, "{kind} at {percentile}");
            }
        }
        assert_eq!(written.max_ns().unwrap_or(0), read.max(), "{kind}");
    }
    assert_eq!(kinds.next(), None, "every interval was there");
}

#[test]
fn hgrm_texts_are_curves_again() {
    for kind in KINDS {
        let latencies = samples(kind);
        let text = latencies.to_hgrm();
        let written = Curve::of(&latencies);
        if latencies.samples() == 0 {
            assert!(Curve::from_hgrm(&text, 1_000.0).is_err());
            continue;
        }
        let read = Curve::from_hgrm(&text, 1_000.0).unwrap();
        assert_eq!(read.points().len(), written.points().len(), "{kind}");
        for (read, written) in read.points().iter().zip(written.points()) {
            assert_eq!(read.samples, written.samples, "{kind}");
            assert!(
                (read.latency_ns - written.latency_ns).abs() <= written.latency_ns * 1e-9 + 0.5,
                "{kind}"
            );
            assert!((read.percentile - written.percentile).abs() < 1e-9, "{kind}");
        }
    }
}
