//! Hostile input, given to the command as a whole: whatever comes, each line that is no event is counted (under `fail` it
//! ends the run with its place), what is good beside it is handled, and memory stays flat.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::io::Write;

use serde_json::Value;

use command::{Files, Ran, Running, varpin};

const MIB: usize = 1 << 20;
/// How much more memory hostile input may take than a few good lines do. A line of input is at most 1 MiB; its buffer may have
/// twice that, and a message quotes a little of it.
const SLACK_KIB: u64 = 8 * 1024;
const PROGRAM: &str = "stream S = R.where(v > 0).emit(v: v)\n";

/// The formats, each with its options and what stands before the first event.
const FORMATS: [(&str, &[&str], &str); 3] = [
    ("evt", &["--format", "evt"], ""),
    ("jsonl", &["--format", "jsonl"], ""),
    ("csv", &["--format", "csv", "--event-type", "R"], "v,w\n"),
];

/// A line with an event `R` whose field `v` is as given.
fn line(format: &str, v: &str) -> String {
    match format {
        "evt" => format!("R {{ v: {v} }}\n"),
        "jsonl" => format!("{{\"type\":\"R\",\"v\":{v}}}\n"),
        _ => format!("{v},\n"),
    }
}

/// `varpin run` of a program that is fed through a pipe.
struct Fed {
    running: Running,
    stats: String,
}

impl Fed {
    fn start(files: &Files, program: &str, options: &[&str]) -> Self {
        let (program, stats) = (files.write("program.vpl", program), files.name("stats.json"));
        let arguments = ["run", &program, "-", "--stats-json", &stats];
        Self { running: Running::start(varpin(arguments.iter().chain(options))), stats }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.running.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The same, of a command that may have ended already.
    fn feed_deaf(&mut self, bytes: &[u8]) {
        let _ = self.running.stdin.as_mut().unwrap().write_all(bytes);
    }

    /// What the field `v` of the next result is. Then everything that was fed before has been handled.
    fn next(&mut self) -> Value {
        let result: Value = serde_json::from_str(&self.running.line()).unwrap();
        result["data"]["v"].clone()
    }

    fn peak_kib(&self) -> u64 {
        self.running.peak_memory_kib().unwrap()
    }

    /// The end, and what was counted.
    fn end(mut self) -> (Ran, Value) {
        self.running.end_input();
        let ran = self.running.wait();
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        let stats = std::fs::read_to_string(&self.stats).unwrap_or_else(|_| "null".to_owned());
        (ran, serde_json::from_str(&stats).unwrap())
    }
}

/// How many of `bytes` there are, a piece at a time.
fn feed_many(fed: &mut Fed, piece: &[u8], bytes: usize) {
    let block = piece.repeat(MIB / piece.len());
    for _ in 0..bytes / block.len() {
        fed.feed_deaf(&block);
    }
}

/// Runs a program over the bytes of a file with some name.
fn run_file(name: &str, bytes: &[u8], options: &[&str]) -> (Ran, Value) {
    let files = Files::new();
    let (program, stats) = (files.write("program.vpl", PROGRAM), files.name("stats.json"));
    std::fs::write(files.path(name), bytes).unwrap();
    let events = files.name(name);
    let ran = command::run(["run", &program, &events, "--stats-json", &stats].iter().chain(options), "");
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
    let stats = std::fs::read_to_string(&stats).unwrap_or_else(|_| "null".to_owned());
    (ran, serde_json::from_str(&stats).unwrap())
}

const SKIP: &[&str] = &["--on-bad-input", "skip"];

/// A file in which line `bad` is no event and all others are: skipped it is counted, else it ends the run.
#[track_caller]
fn one_bad_line(name: &str, bytes: &[u8], bad: usize, results: usize, says: &str) {
    let csv: &[&str] = if name.ends_with("csv") { &["--event-type", "R"] } else { &[] };
    let (ran, stats) = run_file(name, bytes, &[SKIP, csv].concat());
    let ran = ran.says(0, &["warning: 1 line", &format!("line {bad}, "), says]);
    assert_eq!((ran.lines().len(), &stats["bad_lines"]), (results, &1.into()), "{name}");
    let (ran, _) = run_file(name, bytes, csv);
    ran.says(1, &[&format!("{name}: line {bad}, "), says]);
}

#[test]
fn a_line_of_100_megabytes_is_one_bad_line_and_memory_stays_flat() {
    for (format, options, header) in FORMATS {
        let pieces: &[(&str, &str, &str)] = match format {
            "evt" => &[("R { v: [", "[", ""), ("R { v: 1, w: \"", "text ", "\" }")],
            "jsonl" => &[("{\"type\":\"R\",\"v\":", "[{\"v\":", ""), ("{\"type\":\"", "é", "\"}")],
            _ => &[("1,", "plain ", ""), ("1,\"", "\"\"quoted", "\"")],
        };
        for (begin, piece, end) in pieces {
            let files = Files::new();
            let mut fed = Fed::start(&files, PROGRAM, &[options, SKIP].concat());
            fed.feed(header.as_bytes());
            fed.feed(line(format, "1").as_bytes());
            assert_eq!(fed.next(), 1);
            let before_kib = fed.peak_kib();
            fed.feed(begin.as_bytes());
            feed_many(&mut fed, piece.as_bytes(), 100 * MIB);
            fed.feed(end.as_bytes());
            fed.feed(b"\n");
            fed.feed(line(format, "2").as_bytes());
            assert_eq!(fed.next(), 2, "{format}, {piece:?}");
            let grown_kib = fed.peak_kib() - before_kib;
            assert!(grown_kib < SLACK_KIB, "{format}, {piece:?}: {grown_kib} KiB more");
            let (ran, stats) = fed.end();
            ran.says(0, &["warning: 1 line", "longer than 1048576 bytes"]);
            assert_eq!(
                (&stats["events"], &stats["bad_lines"]),
                (&2.into(), &1.into()),
                "{format}, {piece:?}"
            );
        }
        // Otherwise the run ends as soon as the line is too long, without waiting for its end.
        let files = Files::new();
        let mut fed = Fed::start(&files, PROGRAM, options);
        fed.feed(header.as_bytes());
        fed.feed(line(format, "1").as_bytes());
        assert_eq!(fed.next(), 1);
        feed_many(&mut fed, b"endless ", 3 * MIB);
        let place = format!("standard input: line {}, ", header.lines().count() + 2);
        fed.running.wait().says(1, &[&place, "longer than 1048576 bytes"]);
    }
}

#[test]
fn a_quote_that_is_never_closed_costs_one_bad_record() {
    let files = Files::new();
    let options = ["--format", "csv", "--event-type", "R"];
    let mut fed =
        Fed::start(&files, "stream S = R.where(v == 7).emit(v: v)\n", &[&options[..], SKIP].concat());
    fed.feed(b"v,w\n7,\n");
    assert_eq!(fed.next(), 7);
    let before_kib = fed.peak_kib();
    fed.feed(b"1,\"never closed\n");
    // As far as a record may be long these lines belong to it; the others are events again.
    feed_many(&mut fed, b"0,line\n", 20 * MIB);
    fed.feed(b"7,\n");
    assert_eq!(fed.next(), 7);
    let grown_kib = fed.peak_kib() - before_kib;
    assert!(grown_kib < SLACK_KIB, "{grown_kib} KiB more");
    let (ran, stats) = fed.end();
    ran.says(0, &["warning: 1 line", "longer than 1048576 bytes"]);
    let lost = 20 * (MIB / 7) as i64 + 2 - stats["events"].as_i64().unwrap();
    assert!((0..MIB as i64 / 7 + 2).contains(&lost), "{lost} events lost, {stats}");
}

/// Feeds lines that `line` makes of the numbers, a block at a time.
fn feed_lines(fed: &mut Fed, numbers: std::ops::Range<usize>, line: impl Fn(usize, &mut Vec<u8>)) {
    let mut block = Vec::new();
    for number in numbers {
        line(number, &mut block);
        if block.len() > 60_000 {
            fed.feed(&block);
            block.clear();
        }
    }
    fed.feed(&block);
}

#[test]
fn a_million_distinct_keys_cost_as_much_as_their_bound_allows() {
    let program = "config engine { max_partitions: 1000 }\n\
        stream S = R.partition_by(k).window(3).aggregate(v: sum(v))\n";
    let files = Files::new();
    let mut fed = Fed::start(&files, program, &[]);
    let key = |number: usize, block: &mut Vec<u8>| {
        writeln!(block, "R {{ k: \"a key, number {number}\", v: 7 }}").unwrap();
    };
    // Keys within the bound are known from then on; each third event of one gives a result.
    feed_lines(&mut fed, 0..20_000, key);
    feed_lines(&mut fed, 0..1, key);
    feed_lines(&mut fed, 0..1, key);
    assert_eq!(fed.next(), 21);
    let before_kib = fed.peak_kib();
    feed_lines(&mut fed, 20_000..1_000_000, key);
    feed_lines(&mut fed, 999..1_000, key);
    feed_lines(&mut fed, 999..1_000, key);
    assert_eq!(fed.next(), 21);
    let grown_kib = fed.peak_kib() - before_kib;
    assert!(grown_kib < SLACK_KIB, "{grown_kib} KiB more");
    let (ran, stats) = fed.end();
    ran.says(0, &["999000 events failed", "1000"]);
    assert_eq!(stats["streams"][0]["keys"], 1000, "{stats}");
}

#[test]
fn a_million_distinct_types_and_fields_leave_nothing_behind() {
    let files = Files::new();
    let mut fed = Fed::start(&files, "stream S = R.where(v > 0)\n", &["--format", "evt"]);
    let names = |number: usize, block: &mut Vec<u8>| {
        let ty = if number.is_multiple_of(2) { format!("Type{number}") } else { "R".to_owned() };
        writeln!(block, "{ty} {{ field_{number}: \"{number}\", v: 0 }}").unwrap();
    };
    feed_lines(&mut fed, 0..20_000, names);
    fed.feed(b"R { v: 1 }\n");
    assert_eq!(fed.next(), 1);
    let before_kib = fed.peak_kib();
    feed_lines(&mut fed, 20_000..1_000_000, names);
    fed.feed(b"R { v: 2 }\n");
    assert_eq!(fed.next(), 2);
    let grown_kib = fed.peak_kib() - before_kib;
    assert!(grown_kib < SLACK_KIB, "{grown_kib} KiB more");
    let (ran, stats) = fed.end();
    ran.clean();
    assert_eq!(stats["events"], 1_000_002);
}

#[test]
fn a_program_that_nests_deep_is_refused_by_name() {
    let files = Files::new();
    let deep = |open: &str, close: &str| {
        format!("stream S = R.where({}v{} > 0)\n", open.repeat(100_000), close.repeat(100_000))
    };
    for (open, close) in [("(", ")"), ("[", "]"), ("not ", ""), ("f(", ")"), ("x => ", ""), ("{a: ", "}")] {
        let program = files.write("deep.vpl", &deep(open, close));
        let nothing = files.write("e.evt", "");
        for arguments in [&["check", &program][..], &["run", &program, &nothing], &["plan", &program]] {
            command::run(arguments, "").says(2, &["deep.vpl:1:", "nests deeper than 200 levels"]);
        }
    }
}

#[test]
fn an_event_that_nests_deep_is_a_bad_line() {
    // About as deep as a line can be long.
    let depth = 400_000;
    let (arrays, maps) = ("[".repeat(depth), "{\"a\":".repeat(depth / 3));
    let says = "nested deeper than 64 levels";
    for (arrays, says) in [(arrays.clone(), ""), (format!("{arrays}{}", "]".repeat(depth)), says)] {
        one_bad_line("e.evt", format!("R {{ v: {arrays} }}\n{}", line("evt", "2")).as_bytes(), 1, 1, says);
        one_bad_line(
            "e.jsonl",
            format!("{}{}", line("jsonl", &arrays), line("jsonl", "2")).as_bytes(),
            1,
            1,
            says,
        );
        let unread = format!("{{\"type\":\"R\",\"v\":1,\"unread\":{arrays}}}\n");
        one_bad_line("e.jsonl", unread.as_bytes(), 1, 0, says);
    }
    one_bad_line("e.jsonl", line("jsonl", &maps).as_bytes(), 1, 0, "");
    // In a type that nobody reads, too.
    one_bad_line("e.evt", format!("T {{ x: {arrays} }}\n").as_bytes(), 1, 0, "");
    // What nests as deep as it may is read.
    let most = format!("R {{ v: 1, w: {}{} }}\n", "[".repeat(63), "]".repeat(63));
    let (ran, _) = run_file("e.evt", most.as_bytes(), &[]);
    assert_eq!(ran.clean().lines().len(), 1);
}

#[test]
fn what_is_not_utf_8_is_a_bad_line() {
    for (format, _, header) in FORMATS {
        let before = header.lines().count();
        for bad in [&b"\xff"[..], b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x9a"]
        {
            let mut bytes = format!("{header}{}", line(format, "1")).into_bytes();
            let (begin, end) = match format {
                "evt" => ("R { v: 1, w: \"a", "b\" }\n"),
                "jsonl" => ("{\"type\":\"R\",\"v\":1,\"w\":\"a", "b\"}\n"),
                _ => ("1,a", "b\n"),
            };
            for piece in [begin.as_bytes(), bad, end.as_bytes(), line(format, "3").as_bytes()] {
                bytes.extend(piece);
            }
            one_bad_line(&format!("e.{format}"), &bytes, before + 2, 2, "UTF-8");
        }
    }
    // Half of a pair, escaped.
    let half = b"{\"type\":\"R\",\"v\":1,\"w\":\"\\ud800\"}\n";
    one_bad_line("e.jsonl", half, 1, 0, "");
    // A program is text, too.
    let files = Files::new();
    std::fs::write(files.path("p.vpl"), b"stream S = R\n# \xff\n").unwrap();
    command::run(["run", &files.name("p.vpl"), &files.write("e.evt", "")], "").says(2, &["p.vpl", "UTF-8"]);
}

#[test]
fn a_file_cut_in_the_middle_of_a_line_gives_all_lines_before_and_one_bad_one() {
    for (format, _, header) in FORMATS {
        let first = format!("{header}{}{}", line(format, "1"), line(format, "2"));
        let lines = first.lines().count();
        let last = match format {
            "evt" => "R { v: 3, w: \"text\" }",
            "jsonl" => "{\"type\":\"R\",\"v\":3,\"w\":\"text\"}",
            // What is cut of a record without quotes can be told from nothing: its last cell may be that short.
            _ => "3,\"text",
        };
        let cuts = if format == "csv" { 3..last.len() } else { 1..last.len() };
        for cut in cuts.step_by(3) {
            let bytes = format!("{first}{}", &last[..cut]);
            one_bad_line(&format!("e.{format}"), bytes.as_bytes(), lines + 1, 2, "");
        }
    }
    // A character can be cut, too.
    one_bad_line("e.evt", b"R { v: 1 }\nR { w: \"\xc3", 2, 1, "UTF-8");
}

#[test]
fn files_with_nothing_in_them_have_no_events() {
    for bytes in [&b""[..], b"\n", b"\n\n\r\n \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"] {
        for name in ["e.evt", "e.jsonl"] {
            let (ran, stats) = run_file(name, bytes, &[]);
            assert_eq!(ran.clean().stdout, "");
            assert_eq!((&stats["events"], &stats["bad_lines"]), (&0.into(), &0.into()), "{name}");
        }
    }
    for bytes in [&b""[..], b"v\n", b"\xef\xbb\xbfv\n", b"v"] {
        let (ran, stats) = run_file("e.csv", bytes, &["--event-type", "R"]);
        assert_eq!(ran.clean().stdout, "");
        assert_eq!(stats["events"], 0);
    }
}

#[test]
fn bytes_of_zero_are_bad_lines_and_cost_nothing() {
    for (format, options, header) in FORMATS {
        let bytes = format!("{header}{}\0\0\0\n{}", line(format, "1"), line(format, "3"));
        if format != "csv" {
            one_bad_line(&format!("e.{format}"), bytes.as_bytes(), 2, 2, "");
        }
        // A file with a hole in it, as after a crash, has a long line of them.
        let files = Files::new();
        let mut fed = Fed::start(&files, PROGRAM, &[options, SKIP].concat());
        fed.feed(header.as_bytes());
        fed.feed(line(format, "1").as_bytes());
        assert_eq!(fed.next(), 1);
        let before_kib = fed.peak_kib();
        feed_many(&mut fed, &[0], 20 * MIB);
        fed.feed(b"\n");
        fed.feed(line(format, "2").as_bytes());
        assert_eq!(fed.next(), 2, "{format}");
        let grown_kib = fed.peak_kib() - before_kib;
        assert!(grown_kib < SLACK_KIB, "{format}: {grown_kib} KiB more");
        let (_, stats) = fed.end();
        assert_eq!(stats["bad_lines"], 1, "{format}");
    }
}

#[test]
fn huge_numbers_are_values_or_bad_lines() {
    let nines = "9".repeat(400);
    for format in ["evt", "jsonl"] {
        for (number, shown) in [
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9.223372036854776e+18"),
            ("123456789012345678901234567890", "1.2345678901234568e+29"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("1e-999", ""),
        ] {
            let (ran, _) = run_file(&format!("e.{format}"), line(format, number).as_bytes(), &[]);
            let ran = ran.clean();
            let value =
                |result: &&str| serde_json::from_str::<Value>(result).unwrap()["data"]["v"].to_string();
            let values: Vec<String> = ran.lines().iter().map(value).collect();
            let expected: Vec<&str> = Some(shown).into_iter().filter(|shown| !shown.is_empty()).collect();
            assert_eq!(values, expected, "{format}, {number}");
        }
        for number in [nines.as_str(), "1e999", "-1e999", &format!("1e{nines}")] {
            let bytes = format!("{}{}", line(format, number), line(format, "2"));
            one_bad_line(&format!("e.{format}"), bytes.as_bytes(), 1, 1, "");
        }
    }
    // Times, too.
    for time in [&nines[..19], &nines[..20], &nines, "9223372036854775807s", "1e30"] {
        one_bad_line("e.evt", format!("@{time} R {{ v: 1 }}\nR {{ v: 2 }}\n").as_bytes(), 1, 1, "");
    }
    let jsonl = format!("{{\"type\":\"R\",\"ts\":{nines},\"v\":1}}\n");
    one_bad_line("e.jsonl", jsonl.as_bytes(), 1, 0, "");
    one_bad_line("e.evt", b"BATCH 99999999999999999999\nR { v: 1 }\n", 1, 1, "");
}
