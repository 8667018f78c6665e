//! An input as a stream of bytes: however it is cut into reads, whatever is in it, the rows are the same, memory is bounded,
//! and a source can go on where another one stopped.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // a test that fails panics

mod format_common;

use std::io::{Cursor, Read};

use format_common::{drain, print, types};
use proptest::prelude::*;
use varpin::event::Row;
use varpin::format::{BadInput, EventSource, Format, SourceOptions};

/// Gives its bytes in pieces of the sizes that it is told.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: std::iter::Cycle<std::slice::Iter<'a, usize>>,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.sizes.next().copied().unwrap_or(1).max(1).min(self.bytes.len()).min(buffer.len());
        let (piece, rest) = self.bytes.split_at(size);
        buffer[..size].copy_from_slice(piece);
        self.bytes = rest;
        Ok(size)
    }
}

/// Endless copies of one byte, then a newline and `tail`.
struct Long<'a> {
    byte: u8,
    left: usize,
    tail: &'a [u8],
}

impl Read for Long<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return self.tail.read(buffer);
        }
        let size = buffer.len().min(self.left);
        buffer[..size].fill(self.byte);
        self.left -= size;
        Ok(size)
    }
}

fn options() -> SourceOptions {
    let mut options = SourceOptions::default();
    options.max_line_bytes = 200;
    options.event_type = Some("E".into());
    options
}

fn in_pieces(bytes: &[u8], format: Format, sizes: &[usize]) -> Vec<Result<String, BadInput>> {
    let input = Pieces { bytes, sizes: sizes.iter().cycle() };
    drain(&mut EventSource::new(input, format, types(), options()).unwrap())
}

/// Lines good and bad, as they come in files of any format.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => Just("E { a: 1, b: \"x\" }".to_owned()),
        2 => Just("@5s R { id: 1, at: 2.5 }".to_owned()),
        2 => Just("{\"type\":\"E\",\"a\":[1,{\"b\":null}],\"ts\":5}".to_owned()),
        1 => Just("# comment".to_owned()),
        1 => Just("BATCH 7".to_owned()),
        1 => Just("a,b,c".to_owned()),
        1 => Just("1,\"two\nlines\",3".to_owned()),
        1 => Just("E { a: \"日本🚀\" }\r".to_owned()),
        1 => Just(format!("E {{ a: {} }}", "x".repeat(300))),
        1 => Just("E { a: }".to_owned()),
        2 => "[ -~é]{0,30}",
    ];
    let line = prop_oneof![
        9 => line.prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join(&b'\n'))
}

fn formats() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Evt), Just(Format::Jsonl), Just(Format::Csv)]
}

proptest! {
    #[test]
    fn rows_do_not_depend_on_how_the_input_is_cut_into_reads(
        bytes in lines(),
        format in formats(),
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let whole = in_pieces(&bytes, format, &[usize::MAX]);
        let cut = in_pieces(&bytes, format, &sizes);
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn any_bytes_give_at_most_one_outcome_a_line(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        format in formats(),
    ) {
        let lines = bytes.split(|&byte| byte == b'\n').count();
        prop_assert!(in_pieces(&bytes, format, &[64]).len() <= lines);
    }

    #[test]
    fn any_text_close_to_an_event_is_read_or_refused(text in "[E@{}():,;\"'\\\\\\[\\]a0-9 .e#/-]{0,40}") {
        let seen = in_pieces(text.as_bytes(), Format::Evt, &[64]);
        prop_assert!(seen.len() <= 1);
    }

    #[test]
    fn a_source_goes_on_where_another_one_stopped(bytes in lines(), format in formats(), stop in 0_usize..12) {
        let whole = in_pieces(&bytes, format, &[usize::MAX]);
        let mut first = EventSource::new(Pieces { bytes: &bytes, sizes: [7].iter().cycle() }, format, types(), options()).unwrap();
        let mut row = Row::new(0, 0, 0);
        let mut seen = Vec::new();
        while seen.len() < stop {
            match first.next(&mut row) {
                Ok(Some(())) => seen.push(Ok(print(&row))),
                Err(bad) => seen.push(Err(bad)),
                Ok(None) if first.fill().unwrap() == 0 => break,
                Ok(None) => {}
            }
        }
        let position = first.position();
        prop_assert_eq!((position.offset, position.lines), (first.offset(), first.line()));
        let mut second = EventSource::new(Cursor::new(&bytes), format, types(), options()).unwrap();
        second.seek(position).unwrap();
        seen.extend(drain(&mut second));
        let kinds = |seen: &[Result<String, BadInput>]| -> Vec<_> {
            seen.iter().map(|outcome| outcome.clone().map_err(|bad| (bad.line, bad.column, bad.message))).collect()
        };
        prop_assert_eq!(kinds(&whole), kinds(&seen));
    }
}

#[test]
fn a_line_too_long_is_one_bad_line_and_passed_over() {
    for format in [Format::Evt, Format::Jsonl] {
        let input = Long {
            byte: b'x',
            left: 50_000_000,
            tail: b"\n{\"type\":\"E\",\"a\":1}\n{\"type\":\"E\",\"a\":2}",
        };
        let mut source = EventSource::new(input, format, types(), SourceOptions::default()).unwrap();
        let seen = drain(&mut source);
        assert_eq!(seen.len(), 3);
        let bad = seen[0].as_ref().unwrap_err();
        assert_eq!(bad.to_string(), "line 1, column 1: longer than 1048576 bytes");
        assert_eq!(bad.text, "x".repeat(256));
        assert!(seen[1].is_ok() && seen[2].is_ok());
        assert_eq!(source.line(), 3);
        assert_eq!(source.offset(), 50_000_038);
    }
}

#[test]
fn one_fill_is_one_read() {
    struct Counted(usize);
    impl Read for Counted {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            buffer[..3].copy_from_slice(b"E{}");
            Ok(3)
        }
    }
    let mut input = Counted(0);
    let mut source = EventSource::new(&mut input, Format::Evt, types(), SourceOptions::default()).unwrap();
    let mut row = Row::new(0, 0, 0);
    for _ in 0..5 {
        assert_eq!(source.fill().unwrap(), 3);
        assert!(source.next(&mut row).unwrap().is_none(), "the line is not complete");
    }
    assert_eq!(input.0, 5);
}

#[test]
fn the_format_follows_from_the_extension() {
    let table = [
        ("a.evt", Some(Format::Evt)),
        ("dir/a.JSONL", Some(Format::Jsonl)),
        ("a.ndjson", Some(Format::Jsonl)),
        ("a.b.csv", Some(Format::Csv)),
        ("a.txt", None),
        ("csv", None),
    ];
    for (path, format) in table {
        assert_eq!(Format::from_path(path), format, "{path}");
    }
}
