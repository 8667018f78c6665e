//! JSON lines: where type, time and fields may stand, and what is bad input.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // a test that fails panics

mod format_common;

use format_common::{read, rows};
use varpin::event::FieldType;
use varpin::format::{EventSource, Format, InputType, InputTypes, SourceOptions};

fn jsonl(text: &str) -> Vec<String> {
    rows(text, Format::Jsonl, SourceOptions::default())
}

#[test]
fn type_time_and_fields_are_found_wherever_they_stand() {
    // Every line stands once behind each other one, since each is first read as the one before it was.
    let table = [
        (r#"{"event_type":"E","data":{"a":1,"b":[1,2]}}"#, r#"1 0 1 [1,2] - {"a":1,"b":[1,2]}"#),
        (r#"{"data":{"a":1},"event_type":"E"}"#, r#"1 0 1 - - {"a":1}"#),
        (r#"{"type":"E","a":1,"timestamp":1000}"#, r#"1 1000000000 1 - - {"a":1}"#),
        (r#"{"a":1,"ts":"1970-01-01T00:00:02.5Z","type":"E"}"#, r#"1 2500000000 1 - - {"a":1}"#),
        (
            r#"{"event_type":"E","@timestamp":7,"data":{"a":"é\n","ts":5}}"#,
            r#"1 7000000 "é\n" - - {"a":"é\n","ts":5}"#,
        ),
        (
            r#"{"type":"a field","event_type":"E","ts":1,"timestamp":2,"@timestamp":3}"#,
            r#"1 3000000 - - - {"type":"a field","ts":1,"timestamp":2}"#,
        ),
        (r#"{"type":"E","data":5,"a":null}"#, r#"1 0 null - - {"data":5,"a":null}"#),
        (r#"{"type":"E","id":"envelope","data":{"a":2}}"#, r#"1 0 2 - - {"a":2}"#),
        (
            r#"{"type":"E","ts":null,"a":9223372036854775808,"b":9007199254740993}"#,
            r#"1 0 9.223372036854776e+18 9007199254740993 - {"a":9.223372036854776e+18,"b":9007199254740993}"#,
        ),
        (
            r#"{"type":"R","id":3.0,"at":4,"other":[1],"due":0}"#,
            r#"2 0 3 4.0 - "1970-01-01T00:00:00.000Z" - -"#,
        ),
        (r#"{"event_type":"R","data":{"tags":[1.0],"pause":"5s"}}"#, "2 0 - - - - 5000000000 [1]"),
        (r#"{"type":"F","a":1}"#, "? 0 "),
        (r#"{"type":"E"}"#, "1 0 - - - {}"),
        (r#"  {"\u0074ype":"\u0045","\u0061":"a\/b"}  "#, r#"1 0 "a/b" - - {"a":"a/b"}"#),
        (r#"{"type":"E","a":1,"b":2,"a":3}"#, r#"1 0 3 2 - {"a":3,"b":2}"#),
    ];
    for (first, expected_first) in table {
        for (second, expected_second) in table {
            let seen = jsonl(&format!("{first}\r\n\n{second}\n"));
            assert_eq!(seen, [expected_first, expected_second], "{first} then {second}");
        }
    }
}

#[test]
fn a_declared_field_may_have_the_name_of_a_control_key() {
    let fields = [("ts", FieldType::Timestamp), ("type", FieldType::Str)];
    let shape = format_common::shape(true, &fields, false);
    let types = InputTypes::new(vec![InputType { name: "E".into(), type_id: 1, shape }]);
    let text = "{\"type\":\"E\",\"ts\":1000}\n{\"type\":\"E\",\"ts\":2000}\n";
    let mut source =
        EventSource::new(text.as_bytes(), Format::Jsonl, types, SourceOptions::default()).unwrap();
    let seen: Vec<_> = format_common::drain(&mut source).into_iter().map(Result::unwrap).collect();
    assert_eq!(
        seen,
        [
            "1 1000000000 \"1970-01-01T00:00:01.000Z\" \"E\"",
            "1 2000000000 \"1970-01-01T00:00:02.000Z\" \"E\"",
        ]
    );
}

#[test]
fn what_is_no_event_is_bad_with_its_column() {
    let table = [
        ("E { a: 1 }", 1, "expected value"),
        ("[1]", 1, "expected an event: an object"),
        ("{\"type\":\"E\",\"a\":}", 17, "expected value"),
        ("{\"type\":\"E\",\"ä\":\"ö\",}", 21, "trailing comma"),
        ("{\"type\":\"E\"", 11, "EOF"),
        ("{\"type\":\"E\"}{}", 13, "trailing characters"),
        ("{\"type\":\"\"}", 11, "must be the name"),
        ("{\"event_type\":null,\"type\":\"E\"}", 30, "`event_type` must be the name"),
        ("{\"data\":{\"type\":\"E\"}}", 21, "no event type"),
        ("{\"type\":\"E\",\"ts\":1.5}", 20, "the time must be"),
        ("{\"type\":\"E\",\"ts\":9223372036854775807}", 36, "out of range"),
        ("{\"type\":\"E\",\"a\":1e999}", 21, "number out of range"),
        ("{\"type\":\"E\",\"a\":\"\u{1}\"}", 18, "control character"),
        ("{\"type\":\"R\",\"id\":true}", 21, "declared int"),
    ];
    for (text, column, message) in table {
        for before in ["{\"type\":\"E\"}", "{\"type\":\"R\",\"ts\":5}"] {
            let seen = read(format!("{before}\n{text}\n{before}"), Format::Jsonl, SourceOptions::default());
            assert_eq!(seen.len(), 3);
            let bad = seen[1].as_ref().unwrap_err();
            assert!(bad.message.contains(message), "{text}: {bad}");
            // serde_json counts what it has read: the column is that of the fault or the one behind it.
            assert!(bad.line == 2 && bad.column.abs_diff(column) <= 1, "{text}: {bad}, not at {column}");
            assert!(seen[0].is_ok() && seen[2].is_ok(), "the lines around {text} are good");
        }
    }
}
