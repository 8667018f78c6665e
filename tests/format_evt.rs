//! The `.evt` form: every form of value, every error with its line and column.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // a test that fails panics

mod format_common;

use varpin::format::{BadInput, Format, SourceOptions};

fn read(text: impl AsRef<[u8]>) -> Vec<Result<String, BadInput>> {
    read_with(text, SourceOptions::default())
}

fn read_with(text: impl AsRef<[u8]>, options: SourceOptions) -> Vec<Result<String, BadInput>> {
    format_common::read(text, Format::Evt, options)
}

/// The single outcome for one line.
fn line(text: &str) -> Result<String, BadInput> {
    let mut seen = read(text);
    assert_eq!(seen.len(), 1, "one line, one outcome: {text} gave {seen:?}");
    seen.remove(0)
}

#[test]
fn every_form_of_value_is_read() {
    let table = [
        ("5", "5"),
        ("-5", "-5"),
        ("007", "7"),
        ("-0", "0"),
        ("9223372036854775807", "9223372036854775807"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("9223372036854775808", "9.223372036854776e18"),
        ("100000000000000000000", "1e20"),
        ("1.50", "1.5"),
        ("-0.0", "-0.0"),
        ("1e3", "1000.0"),
        ("1E+3", "1000.0"),
        ("25e-1", "2.5"),
        ("0.1", "0.1"),
        ("123456789.123456789", "123456789.12345679"),
        ("9007199254740993.0", "9007199254740992.0"),
        ("4.9e-324", "5e-324"),
        ("1e-400", "0.0"),
        ("179769313486231570000000000000000000000e270", "1.7976931348623157e308"),
        ("true", "true"),
        ("false", "false"),
        ("null", "null"),
        ("nil", "null"),
        ("\"two words\"", "\"two words\""),
        ("'single'", "\"single\""),
        ("'a \"b\" \\'c\\''", "\"a \\\"b\\\" 'c'\""),
        ("\"\"", "\"\""),
        ("\"ends }\"", "\"ends }\""),
        (r#""\"\\\/\b\f\n\r\t\u00e9""#, r#""\"\\/\b\f\n\r\té""#),
        (r#""\ud83d\ude80 and a long tail behind it""#, "\"🚀 and a long tail behind it\""),
        ("日本", "\"日本\""),
        ("bare", "\"bare\""),
        ("True", "\"True\""),
        ("inf", "\"inf\""),
        ("NaN", "\"NaN\""),
        ("5s", "\"5s\""),
        ("0x10", "\"0x10\""),
        ("1.", "\"1.\""),
        ("1e", "\"1e\""),
        (".5", "\".5\""),
        ("-", "\"-\""),
        ("2024-02-29T12:00:00Z", "\"2024-02-29T12:00:00Z\""),
        ("#x", "\"#x\""),
        ("[]", "[]"),
        ("[1, \"x\", [2.5, null], true]", "[1,\"x\",[2.5,null],true]"),
        ("{}", "{}"),
        ("{k: 1, \"quoted key\": [false], 'k': 2}", "{\"k\":2,\"quoted key\":[false]}"),
    ];
    for (text, expected) in table {
        let expected = format!("1 0 {expected} - - {{\"a\":{expected}}}");
        for form in [
            format!("E {{ a: {text} }}"),
            format!("E{{a:{text}}};"),
            format!("\t E \t{{ a :\t{text}}} ;\t\r\n"),
        ] {
            match line(&form) {
                // JSON has two spellings of exponents; both are the same float.
                Ok(read) => assert_eq!(read.replace("e+", "e"), expected.replace("e+", "e"), "{form}"),
                Err(bad) => panic!("{form}: {bad}"),
            }
        }
    }
}

#[test]
fn every_error_points_at_its_column() {
    let table = [
        ("E { a: 1, b: }", 14, "expected a value, found `}`"),
        ("E { a: }", 8, "expected a value, found `}`"),
        ("E { a: 1, }", 11, "expected a field, found `}`"),
        ("E { a: 1 b: 2 }", 10, "expected `,` or `}` after a field, found `b`"),
        ("E { a: 1", 9, "expected `,` or `}` after a field, the line ends"),
        ("E { a 1 }", 7, "expected `:` after the name of a field, found `1`"),
        ("E { \"a\": 1 }", 5, "expected a field, found `\"`"),
        ("E { a: two words }", 12, "expected `,` or `}`"),
        ("E { a: \"open }", 8, "the string is not closed"),
        ("E { a: \"open\\", 13, "the line ends within an escape"),
        ("E { a: \"\\x\" }", 9, "an unknown escape"),
        ("E { a: \"é\\x\" }", 10, "an unknown escape"),
        ("E { a: \"\\u12\" }", 9, "four hexadecimal digits"),
        ("E { a: \"\\ud83d\" }", 9, "surrogate"),
        ("E { a: \"\\ud83d\\u0041\" }", 9, "surrogate"),
        ("E { a: \"\\ude80\" }", 9, "surrogate"),
        ("E { a: 1e400 }", 8, "too large"),
        ("E { a: [1, ] }", 12, "expected a value, found `]`"),
        ("E { a: [1 2] }", 11, "expected `,` or `]`"),
        ("E { a: {1: 2} }", 9, "expected a key, found `1`"),
        ("E { a: {k 2} }", 11, "expected `:` after a key"),
        ("E { a: {k: 2 l: 3} }", 14, "expected `,` or `}` after an entry"),
        ("E { a: 1 } # no comment here", 12, "expected the end of the line, found `#`"),
        ("E { a: 1 };;", 12, "expected the end of the line"),
        ("E", 2, "expected `{` or `(` after the event type, the line ends"),
        ("E [1]", 3, "expected `{` or `(`"),
        ("5 { a: 1 }", 1, "expected an event type, found `5`"),
        ("日 { a: 1 }", 1, "expected an event type, found `日`"),
        ("/ E {}", 1, "expected an event type"),
        ("@ E {}", 2, "expected a time after `@`"),
        ("@1.5s E {}", 2, "a number that is no 64-bit integer"),
        ("@5w E {}", 3, "`w` is no unit of time"),
        ("@5", 3, "expected an event type, the line ends"),
        ("@9223372036854775807 E {}", 2, "the time is out of range"),
        ("@5 BATCH 5", 10, "expected `{` or `(`"),
        ("BATCH", 6, "expected the time of the batch"),
        ("BATCH 5 E {}", 9, "expected the end of the line"),
        ("E(1, 2", 7, "expected `,` or `)` after a value"),
        ("E(1, )", 6, "expected a value, found `)`"),
        ("R(1, 2, x, null, 5s, [], 1)", 26, "`R` has only 6 fields"),
        ("R { id: \"one\" }", 9, "field `id` of `R` is declared int, and a str does not convert"),
        ("R { id: 1.5 }", 9, "declared int"),
        ("R { note: 1 }", 11, "declared str"),
        ("R { due: \"noon\" }", 10, "declared timestamp"),
        ("R { tags: [1, x] }", 11, "declared [int]"),
        ("R { other: [ }", 14, "expected a value, found `}`"),
        ("Unknown { a: }", 14, "expected a value"),
        ("{\"type\": \"E\", \"a\": }", 20, "expected value"),
        ("{\"a\": 1}", 8, "no event type"),
        ("{\"type\": 5}", 11, "must be the name"),
        ("{\"type\": \"R\", \"id\": \"one\"}", 26, "declared int"),
        ("{\"type\": \"E\", \"ts\": \"noon\"}", 27, "no RFC 3339"),
        ("{\"type\": \"E\"} x", 15, "trailing characters"),
    ];
    for (text, column, message) in table {
        let input = format!("# first\nE {{ a: 0 }}\n{text}\nE {{ a: 9 }}\n");
        let seen = read(&input);
        assert_eq!(seen.len(), 3, "{text}: {seen:?}");
        let bad = seen[1].as_ref().expect_err(text);
        assert!(bad.message.contains(message), "{text}: {bad}");
        assert_eq!((bad.line, bad.column), (3, column), "{text}: {bad}");
        assert_eq!(bad.text, text);
        assert_eq!(bad.to_string(), format!("line 3, column {column}: {}", bad.message));
        assert!(seen[0].is_ok() && seen[2].is_ok(), "the lines around {text} are good: {seen:?}");
    }
}

#[test]
fn times_are_those_of_the_line_or_of_the_last_batch() {
    let text = "E {}\n@1500 E {}\n@1500ms E {}\n@3s E {}\n@2m E {}\n@1h E{}\n@1d E{}\n@7us E{}\n@7ns E{}\n@-5 E{}\nE {}\n\
        BATCH 250\nE {}\n@1s E {}\n  BATCH 500  \nE {}\n{\"event_type\": \"E\", \"data\": {}}\n\
        {\"type\": \"E\", \"@timestamp\": \"2024-02-29T12:00:00Z\"}\n{\"event_type\": \"E\", \"ts\": 42, \"data\": {}}\nE{}";
    let times: Vec<i64> =
        read(text).into_iter().map(|row| row.unwrap().split(' ').nth(1).unwrap().parse().unwrap()).collect();
    let ms = 1_000_000;
    let expected = [
        0,
        1500 * ms,
        1500 * ms,
        3000 * ms,
        120_000 * ms,
        3_600_000 * ms,
        86_400_000 * ms,
        7_000,
        7,
        -5 * ms,
        0,
        250 * ms,
        1000 * ms,
        500 * ms,
        500 * ms,
        1_709_208_000_000 * ms,
        42 * ms,
        500 * ms,
    ];
    assert_eq!(times, expected);
}

#[test]
fn positional_values_are_the_declared_fields_or_numbered_ones() {
    assert_eq!(line("R(4, 7, \"K\")").unwrap(), "2 0 4 7.0 \"K\" - - -");
    assert_eq!(line("R()").unwrap(), "2 0 - - - - - -");
    assert_eq!(
        line("E(1, \"two\", 3.0)").unwrap(),
        "1 0 - - \"two\" {\"field_0\":1,\"field_1\":\"two\",\"field_2\":3.0}"
    );
    assert_eq!(line("E { field_1: 9 }").unwrap(), "1 0 - - 9 {\"field_1\":9}");
}

#[test]
fn declared_fields_convert_without_loss_and_others_are_dropped() {
    let seen =
        line("R { tags: [1.0, null], pause: \"1m30s\", due: 1500, at: 2, id: 3.0, other: 1, note: null }");
    assert_eq!(seen.unwrap(), "2 0 3 2.0 null \"1970-01-01T00:00:01.500Z\" 90000000000 [1,null]");
    let seen = line("R { due: \"1970-01-01T01:00:00+01:00\" }").unwrap();
    assert_eq!(seen, "2 0 - - - \"1970-01-01T00:00:00.000Z\" - -");
}

#[test]
fn the_last_of_two_fields_of_one_name_wins() {
    assert_eq!(line("E { a: 1, b: 2, a: 3 }").unwrap(), "1 0 3 2 - {\"a\":3,\"b\":2}");
}

#[test]
fn events_that_nobody_takes_have_no_slots() {
    assert_eq!(line("Other { a: 1, b: [x, {y: 2}] }").unwrap(), "? 0 ");
}

#[test]
fn fields_are_found_in_any_order_and_after_any_other_line() {
    let text = "E { a: 1, b: 2 }\nE { b: 3, a: 4 }\nE { c: 5, b: 6 }\nR { at: 1.0, id: 2 }\nE { a: 7 }\nE { a : 8, b :9 }\n";
    let seen: Vec<_> = read(text).into_iter().map(Result::unwrap).collect();
    assert_eq!(
        seen,
        [
            "1 0 1 2 - {\"a\":1,\"b\":2}",
            "1 0 4 3 - {\"b\":3,\"a\":4}",
            "1 0 - 6 - {\"c\":5,\"b\":6}",
            "2 0 2 1.0 - - - -",
            "1 0 7 - - {\"a\":7}",
            "1 0 8 9 - {\"a\":8,\"b\":9}",
        ]
    );
}

#[test]
fn a_longer_name_is_not_taken_for_the_type_or_field_before_it() {
    let seen: Vec<_> =
        read("E { a: 1 }\nEa { a: 1 }\nE { ab: 1 }\n").into_iter().map(Result::unwrap).collect();
    assert_eq!(seen, ["1 0 1 - - {\"a\":1}", "? 0 ", "1 0 - - - {\"ab\":1}"]);
}

#[test]
fn byte_order_mark_and_carriage_returns_are_no_part_of_a_line() {
    let seen: Vec<_> =
        read("\u{feff}E { a: x }\r\n\r\n# c\r\nE { a: y }\r").into_iter().map(Result::unwrap).collect();
    assert_eq!(seen, ["1 0 \"x\" - - {\"a\":\"x\"}", "1 0 \"y\" - - {\"a\":\"y\"}"]);
}

#[test]
fn bytes_that_are_no_utf8_are_bad_with_their_column() {
    let seen = read(b"E { a: 1 }\nE { a: \"\xc3\xa9\xff\" }\n\xff\nE { a: 2 }\n");
    assert!(seen[0].is_ok() && seen[3].is_ok());
    let places: Vec<_> =
        seen[1..3].iter().map(|bad| bad.as_ref().unwrap_err()).map(|bad| (bad.line, bad.column)).collect();
    assert_eq!(places, [(2, 10), (3, 1)]);
}

#[test]
fn every_bound_has_a_message_that_names_it() {
    let mut options = SourceOptions::default();
    options.max_string_bytes = 10;
    options.max_fields = 3;
    options.max_nesting = 2;
    options.max_line_bytes = 60;
    let table = [
        ("E { a: \"12345678901\" }".to_owned(), "a string of more than 10 bytes"),
        ("E { a: '1234567890\\n' }".to_owned(), "a string of more than 10 bytes"),
        ("E { a: word5678901 }".to_owned(), "a string of more than 10 bytes"),
        ("{\"type\":\"E\",\"a\":\"12345678901\"}".to_owned(), "a string of more than 10 bytes"),
        ("E { a: 1, b: 2, c: 3, d: 4 }".to_owned(), "more than 3 fields"),
        ("E(1, 2, 3, 4)".to_owned(), "more than 3 fields"),
        ("{\"type\":\"E\",\"a\":1,\"b\":1,\"c\":1,\"d\":1}".to_owned(), "more than 3 fields"),
        ("E { a: {a: 1, b: 2, c: 3, d: 4} }".to_owned(), "more than 3 entries"),
        ("E { a: [[[1]]] }".to_owned(), "nested deeper than 2 levels"),
        ("X { a: [{a: {}}] }".to_owned(), "nested deeper than 2 levels"),
        ("{\"type\":\"E\",\"a\":[[[]]]}".to_owned(), "nested deeper than 2 levels"),
        (format!("E {{ a: 1{} }}", " ".repeat(60)), "longer than 60 bytes"),
    ];
    for (text, message) in table {
        let seen = read_with(format!("{text}\nE {{ a: [[1]] }}\n"), options.clone());
        assert_eq!(seen.len(), 2, "{text}: {seen:?}");
        let bad = seen[0].as_ref().unwrap_err();
        assert!(bad.message.contains(message), "{text}: {bad}");
        assert_eq!(bad.line, 1);
        assert!(seen[1].is_ok(), "the line behind {text} is good");
    }
}

#[test]
fn deep_nesting_is_bad_input_and_no_stack_overflow() {
    for open in ["[", "{k: "] {
        let bad = line(&format!("E {{ a: {}", open.repeat(100_000))).unwrap_err();
        assert!(bad.message.contains("nested deeper than 64 levels"), "{bad}");
        assert!(bad.text.chars().count() <= 256, "the excerpt is bounded");
    }
}
