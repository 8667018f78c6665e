//! CSV: headers, quoting, what cells mean, and what is bad input.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // a test that fails panics

mod format_common;

use format_common::{read, rows};
use varpin::format::{BadInput, EventSource, Format, InputTypes, MissingEventType, SourceOptions};

fn of_type(name: &str) -> SourceOptions {
    let mut options = SourceOptions::default();
    options.event_type = Some(name.into());
    options
}

fn bad(text: &str, name: &str) -> BadInput {
    read(text, Format::Csv, of_type(name)).into_iter().find_map(Result::err).expect("something is bad")
}

#[test]
fn cells_are_told_by_their_text() {
    let table = [
        ("5", "5"),
        ("-2.50", "-2.5"),
        ("1e3", "1000.0"),
        ("true", "true"),
        ("", "null"),
        ("True", "\"True\""),
        ("5s", "\"5s\""),
        (" 5", "\" 5\""),
        ("null", "\"null\""),
        ("\"a,b\"", "\"a,b\""),
        ("\"two\nlines\"", "\"two\\nlines\""),
        ("\"say \"\"x\"\"\"", "\"say \\\"x\\\"\""),
        ("in\"side", "\"in\\\"side\""),
        ("ä\r", "\"ä\""),
    ];
    for (cell, expected) in table {
        let seen = rows(format!("b,a\r\n1,{cell}\n"), Format::Csv, of_type("E"));
        assert_eq!(seen, [format!("1 0 {expected} 1 - {{\"b\":1,\"a\":{expected}}}")], "{cell}");
    }
}

#[test]
fn declared_types_tell_what_a_cell_is() {
    let text = "note,id,at,due,pause,tags,other\n5,3.0,4,1500,5s,\"[1, 2]\",x\n,,,1970-01-01T00:00:00Z,,,\n";
    assert_eq!(
        rows(text, Format::Csv, of_type("R")),
        [
            "2 0 3 4.0 \"5\" \"1970-01-01T00:00:01.500Z\" 5000000000 [1,2]",
            "2 0 null null null \"1970-01-01T00:00:00.000Z\" null null",
        ]
    );
}

#[test]
fn a_column_of_times_is_the_time_and_no_field() {
    let text = "ts,a,timestamp\n1,x,1970-01-01T00:00:01Z\n2,y,\n";
    assert_eq!(
        rows(text, Format::Csv, of_type("E")),
        ["1 1000000000 \"x\" - - {\"ts\":1,\"a\":\"x\"}", "1 0 \"y\" - - {\"ts\":2,\"a\":\"y\"}"]
    );
}

#[test]
fn types_that_nobody_takes_and_empty_files_are_fine() {
    assert_eq!(rows("a\n1\n\n2", Format::Csv, of_type("Other")), ["? 0 ", "? 0 "]);
    assert!(rows("", Format::Csv, of_type("E")).is_empty());
    assert!(rows("a,b\n", Format::Csv, of_type("E")).is_empty());
}

#[test]
fn bad_records_are_named_with_line_and_column() {
    let table = [
        ("a,b\n1\n", (2, 2), "1 fields where the header has 2"),
        ("a,b\n1,2,3\n", (2, 5), "3 fields where the header has 2"),
        ("a,a\n", (1, 3), "two columns are called `a`"),
        ("a,,b\n", (1, 3), "a column without a name"),
        ("a,b\n1,\"open\n2,3\n", (2, 3), "the quote is not closed"),
        ("a,b\n\"x\n\",2\n1,2,3\n", (4, 5), "3 fields"),
        ("a,ts\n1,noon\n", (2, 3), "no RFC 3339"),
    ];
    for (text, place, message) in table {
        let bad = bad(text, "E");
        assert!(bad.message.contains(message), "{text}: {bad}");
        assert_eq!((bad.line, bad.column), place, "{text}: {bad}");
    }
    let bad = bad("note,id\n\"é,\n\",one\n", "R");
    assert_eq!((bad.line, bad.column), (3, 3), "{bad}");
    assert!(bad.message.contains("field `id` of `R` is declared int"), "{bad}");
}

#[test]
fn behind_a_bad_header_every_record_is_bad() {
    let seen = read("a,a\n1,2\n3,4\n", Format::Csv, of_type("E"));
    assert_eq!(seen.len(), 3);
    assert!(seen[1..].iter().all(|bad| bad.as_ref().unwrap_err().message.contains("header")));
}

#[test]
fn more_columns_than_the_bound_are_bad_input() {
    let mut options = of_type("E");
    options.max_fields = 3;
    assert_eq!(rows("a,b,c\n1,2,3\n", Format::Csv, options.clone()).len(), 1);
    let seen = read("a,b,c,d\n", Format::Csv, options);
    let bad = seen[0].as_ref().unwrap_err();
    assert!(bad.message.contains("more than 3 fields"), "{bad}");
    assert_eq!(bad.column, 7);
}

#[test]
fn csv_needs_the_type_of_its_events() {
    let types = InputTypes::new(Vec::new());
    let source = EventSource::new(&b""[..], Format::Csv, types, SourceOptions::default());
    let error = source.err().unwrap();
    assert_eq!(error, MissingEventType);
    assert!(error.to_string().contains("--event-type"));
}

/// The crate that splits records took a byte order mark away from each of them, and where nothing else was there it panicked.
#[test]
fn a_byte_order_mark_in_front_of_a_later_record_belongs_to_its_first_cell() {
    let seen = rows("\u{feff}a\n\u{feff}\n\u{feff}5\n5\n", Format::Csv, of_type("E"));
    let row = |value: &str| format!("1 0 {value} - - {{\"a\":{value}}}");
    assert_eq!(seen, [row("\"\u{feff}\""), row("\"\u{feff}5\""), row("5")]);
}
