//! Connectors: what `.to` writes and `.from` reads, where files may be, and what happens when they cannot be used.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use command::{Files, Ran, run};
use varpin::engine::{Engine, EngineError, Program};
use varpin::flow::MergeOrder;
use watchdog::watched;

const EVENTS: &str = "@1s R { v: 1 }\n@2s R { v: 2 }\n@3s R { v: 3 }\n";

/// So many events of a type, one each millisecond.
fn lines(count: usize, name: &str) -> String {
    (0..count).fold(String::new(), |lines, v| lines + &format!("@{v}ms {name} {{ v: {v} }}\n"))
}

/// Runs `program` over `events`, with further arguments.
fn go(files: &Files, program: &str, events: &str, options: &[&str]) -> Ran {
    let program = files.write("p.vpl", program);
    run(["run", &program, "-"].iter().chain(options), events)
}

/// Runs `program` without any EVENTS.
fn alone(files: &Files, program: &str, options: &[&str]) -> Ran {
    let program = files.write("p.vpl", program);
    run(["run", &program].iter().chain(options), "R { v: \"standard input was read\" }\n")
}

#[test]
fn a_file_gets_what_is_printed_and_it_is_printed_all_the_same() {
    let files = Files::new();
    let ran = go(&files, "stream S = R.emit(v: v).to(file, path: \"out.jsonl\")", EVENTS, &[]).clean();
    assert_eq!(ran.lines().len(), 3);
    assert_eq!(files.read("out.jsonl"), ran.stdout);
    // The next run writes it anew, also where it has nothing to write.
    go(&files, "stream S = R.emit(v: v).to(file, path: \"out.jsonl\")", "", &[]).clean();
    assert_eq!(files.read("out.jsonl"), "");
}

#[test]
fn what_only_feeds_others_goes_to_its_file_and_is_no_result() {
    let files = Files::new();
    let program = "connector all = file (path: \"all.jsonl\")\n\
        stream Seen = R.where(v > 1).to(all)\nstream S = Seen.where(v > 2).emit(v: v)";
    let ran = go(&files, program, EVENTS, &[]).clean();
    assert_eq!(ran.stdout, "{\"stream\":\"S\",\"ts\":\"1970-01-01T00:00:03.000Z\",\"data\":{\"v\":3}}\n");
    let lines: Vec<String> = files.read("all.jsonl").lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "{\"stream\":\"Seen\",\"ts\":\"1970-01-01T00:00:02.000Z\",\"data\":{\"v\":2}}");
    assert_eq!(lines.len(), 2);
}

const TOGETHER: &str = "context a\ncontext b\nconnector log = file (path: \"log.jsonl\")\n\
    stream A = R.context(a).emit(v: v, text: \"a line that is a bit longer than the others\").to(log)\n\
    stream B = A.context(b).where(v % 2 == 0).emit(v: v).to(log)\n\
    stream C = R.context(b).window(10).aggregate(n: count()).to(log)\n";

#[test]
fn several_streams_to_one_file_keep_whole_lines_and_the_order_of_the_results() {
    let files = Files::new();
    let events = lines(5_000, "R");
    let plain: String =
        TOGETHER.lines().filter(|line| !line.starts_with("context ")).collect::<Vec<_>>().join("\n");
    let plain = plain.replace(".context(a)", "").replace(".context(b)", "");
    let expected = go(&files, &plain, &events, &[]).clean().stdout;
    assert_eq!(files.read("log.jsonl"), expected);
    for (order, capacity) in [("deterministic", "1"), ("deterministic", "1024"), ("arrival", "7")] {
        let ran = go(&files, TOGETHER, &events, &["--order", order, "--capacity", capacity]).clean();
        let log = files.read("log.jsonl");
        assert_eq!(log, ran.stdout);
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&log), sorted(&expected), "{order}");
        if order == "deterministic" {
            assert_eq!(log, expected);
        }
    }
}

#[test]
fn the_extension_says_what_lines_look_like_or_format_does() {
    let files = Files::new();
    let program = "stream S = R.emit as T (v: v, text: \"a, \\\"b\\\"\", part: v / 2.0, none: null)
        .to(file, path: \"o.evt\").to(file, path: \"o.csv\").to(file, path: \"o.log\", format: jsonl)";
    let ran = go(&files, program, "@1500ms R { v: 1 }\n@2ns R { v: 2 }\n", &[]).clean();
    assert_eq!(files.read("o.log"), ran.stdout);
    assert_eq!(
        files.read("o.evt"),
        "@1500ms T { v: 1, text: \"a, \\\"b\\\"\", part: 0.5, none: null }\n\
         @2ns T { v: 2, text: \"a, \\\"b\\\"\", part: 1.0, none: null }\n"
    );
    assert_eq!(
        files.read("o.csv"),
        "@timestamp,v,text,part,none\n1970-01-01T00:00:01.500Z,1,\"a, \"\"b\"\"\",0.5,\n\
         1970-01-01T00:00:00.000000002Z,2,\"a, \"\"b\"\"\",1.0,\n"
    );
}

#[test]
fn what_was_written_can_be_read_again() {
    let files = Files::new();
    // All fields, whatever they are called: the second event is not in the `.evt` form itself.
    let events = "@1ms R { v: 1, text: \"x,y\", list: [1, 2], map: {a: 1} }\n\
        {\"type\":\"R\",\"ts\":2,\"data\":{\"two words\":true}}\n";
    go(&files, "stream W = R.emit as Copy ().to(file, path: \"x.evt\")", events, &[]).clean();
    assert_eq!(
        files.read("x.evt"),
        "@1ms Copy { v: 1, text: \"x,y\", list: [1,2], map: {\"a\":1} }\n\
         {\"type\":\"Copy\",\"ts\":\"1970-01-01T00:00:00.002Z\",\"data\":{\"two words\":true}}\n"
    );
    let first = alone(&files, "stream S = Copy.from(file, path: \"x.evt\").emit()", &[]).clean();
    assert_eq!(
        first.stdout,
        "{\"stream\":\"S\",\"ts\":\"1970-01-01T00:00:00.001Z\",\"data\":{\"v\":1,\"text\":\"x,y\",\"list\":[1,2],\"map\":{\"a\":1}}}\n\
         {\"stream\":\"S\",\"ts\":\"1970-01-01T00:00:00.002Z\",\"data\":{\"two words\":true}}\n"
    );
    let program = "stream S = R.emit(v: v, text: text).to(file, path: \"r.csv\")";
    go(&files, program, EVENTS, &[]).clean();
    let back =
        alone(&files, "stream S = Row.from(file, path: \"r.csv\").emit(v: v, at: timestamp)", &[]).clean();
    assert!(back.stdout.contains("{\"v\":2,\"at\":\"1970-01-01T00:00:02.000Z\"}"), "{}", back.stdout);
}

#[test]
fn the_console_shows_each_line_once() {
    let files = Files::new();
    let program = "stream Seen = R.to(console)\nstream S = Seen.emit(v: v).to(console)";
    let ran = go(&files, program, "R { v: 1 }\n", &[]).clean();
    let (seen, s) = ("\"stream\":\"Seen\"", "\"stream\":\"S\"");
    assert_eq!(ran.lines().len(), 2, "{}", ran.stdout);
    assert!(ran.lines()[0].contains(seen) && ran.lines()[1].contains(s));
    // Where results go to a file, the console is another place.
    let program = format!("{program}\nstream Quiet = R.emit(w: v)");
    let output = files.name("results.jsonl");
    let ran = go(&files, &program, "R { v: 1 }\n", &["--output", &output]).clean();
    assert_eq!(ran.lines().len(), 2, "{}", ran.stdout);
    assert_eq!(files.read("results.jsonl").lines().count(), 3);
}

#[test]
fn append_keeps_what_is_there() {
    let files = Files::new();
    let program = "stream S = R.emit(v: v).to(file, path: \"log.csv\", append: true)";
    files.write("log.csv", "");
    go(&files, program, "R { v: 1 }\n", &[]).clean();
    go(&files, program, "R { v: 2 }\n", &[]).clean();
    let time = "1970-01-01T00:00:00.000Z";
    assert_eq!(files.read("log.csv"), format!("@timestamp,v\n{time},1\n{time},2\n"));
    files.write("log.csv", "half a line");
    go(&files, program, "R { v: 3 }\n", &[]).clean();
    assert_eq!(files.read("log.csv"), format!("half a line\n{time},3\n"));
}

#[test]
fn a_sink_that_cannot_be_opened_ends_with_1_and_names_stream_and_file() {
    let files = Files::new();
    std::fs::create_dir(files.path("folder.jsonl")).unwrap();
    for path in ["folder.jsonl", "missing/out.jsonl"] {
        for context in ["", "context c\n"] {
            let place = if context.is_empty() { "" } else { ".context(c)" };
            let program = format!("{context}stream Hot = R{place}.emit(v: v).to(file, path: \"{path}\")");
            go(&files, &program, EVENTS, &[]).says(1, &["stream Hot", path, "cannot write"]);
        }
    }
}

#[test]
fn a_sink_that_cannot_be_written_ends_with_1_and_names_stream_and_file() {
    let files = Files::new();
    let events = files.write("e.evt", &"R { v: 1 }\n".repeat(100_000));
    for context in ["", "context c\n"] {
        let place = if context.is_empty() { "" } else { ".context(c)" };
        let program = files.write(
            "p.vpl",
            &format!("{context}stream Hot = R{place}.emit(v: v).to(file, path: \"out.jsonl\")"),
        );
        // No file may become longer than this, as if the disk were full.
        let limited = "ulimit -f 100; trap '' XFSZ; exec \"$@\"";
        let mut command = std::process::Command::new("sh");
        command.args(["-c", limited, "sh", env!("CARGO_BIN_EXE_varpin"), "run", &program, &events]);
        let output = command.output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("cannot write the rows of stream Hot to out.jsonl"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn no_file_is_used_for_two_things() {
    let files = Files::new();
    let events = files.write("e.jsonl", "{\"type\":\"R\",\"v\":1}\n");
    let program = files.write("p.vpl", "stream S = R.emit(v: v).to(file, path: \"e.jsonl\")");
    run(["run", &program, &events], "").says(1, &["stream S", "the events"]);
    assert_eq!(files.read("e.jsonl").lines().count(), 1, "it was not emptied");
    let output = files.name("o.jsonl");
    let program = files.write("p.vpl", "stream S = R.emit(v: v).to(file, path: \"o.jsonl\")");
    run(["run", &program, &events, "--output", &output], "").says(1, &["the results"]);
    let program = files.write("p.vpl", "stream S = R.emit(v: v).to(file, path: \"p.vpl\", format: jsonl)");
    run(["run", &program, &events], "").says(1, &["the program"]);
    // Two names of one file.
    files.write("a.jsonl", "");
    std::fs::hard_link(files.path("a.jsonl"), files.path("b.jsonl")).unwrap();
    let program = files
        .write("p.vpl", "stream S = R.emit(v: v).to(file, path: \"a.jsonl\").to(file, path: \"b.jsonl\")");
    run(["run", &program, &events], "").says(1, &["the same file as a.jsonl"]);
}

#[test]
fn links_lead_nowhere_else() {
    let (files, other) = (Files::new(), Files::new());
    other.write("o.jsonl", "kept\n");
    other.write("in.evt", "R { v: 1 }\n");
    std::os::unix::fs::symlink(other.path(""), files.path("out")).unwrap();
    std::os::unix::fs::symlink(other.path("o.jsonl"), files.path("o.jsonl")).unwrap();
    for path in ["out/new.jsonl", "o.jsonl"] {
        go(&files, &format!("stream S = R.emit(v: v).to(file, path: \"{path}\")"), EVENTS, &[])
            .says(1, &["leads out of the directory of the program"]);
    }
    alone(&files, "stream S = R.from(file, path: \"out/in.evt\").emit(v: v)", &[])
        .says(1, &["leads out of the directory of the program"]);
    assert_eq!(other.read("o.jsonl"), "kept\n");
    assert!(!other.path("new.jsonl").exists());
}

const READINGS: &str = "connector readings = file (path: \"data/readings.csv\")\n";

#[test]
fn a_source_is_read_where_there_is_no_other_input() {
    let files = Files::new();
    std::fs::create_dir(files.path("data")).unwrap();
    files.write("data/readings.csv", "ts,v\n1000,1\n2000,2\n");
    for contexts in ["", "context c\n"] {
        let place = if contexts.is_empty() { "" } else { ".context(c)" };
        let program = format!(
            "{contexts}{READINGS}stream S = Reading.from(readings){place}.window(10s).aggregate(sum: sum(v))"
        );
        let ran = alone(&files, &program, &[]).clean();
        assert_eq!(ran.lines().len(), 1);
        assert!(ran.stdout.contains("{\"sum\":3}"), "{}", ran.stdout);
    }
}

#[test]
fn sources_are_merged_by_time_and_what_is_given_comes_first_of_the_same_time() {
    let files = Files::new();
    files
        .write("a.evt", "@1s A { n: \"a1\" }\n@3s A { n: \"a2\" }\n@2s A { n: \"a3\" }\n@9s A { n: \"a4\" }");
    files.write("b.evt", "@1s B { n: \"b1\" }\n@3s B { n: \"b2\" }\n");
    let body = "stream S = merge(A, B, R).emit(n: n)\nstream P = A.from(file, path: \"a.evt\").where(false)\n\
        stream Q = B.from(file, path: \"b.evt\").where(false)\n";
    let events = "@1s R { n: \"r1\" }\n@3s R { n: \"r2\" }\n@4s R { n: \"r3\" }\n";
    let expected = ["r1", "a1", "b1", "r2", "a2", "a3", "b2", "r3", "a4"];
    for (contexts, capacity) in [(false, 1), (true, 1), (true, 1000)] {
        let program = if contexts { body.replace(".emit", ".context(c).emit") } else { body.to_owned() };
        let program = if contexts { format!("context c\n{program}") } else { program };
        let options = ["--order", "deterministic", "--capacity", &capacity.to_string()];
        let ran = go(&files, &program, events, &options).clean();
        let names: Vec<String> = ran
            .lines()
            .iter()
            .filter(|line| line.contains("\"S\""))
            .map(|line| line[line.len() - 5..line.len() - 3].to_owned())
            .collect();
        assert_eq!(names, expected);
    }
}

#[test]
fn events_of_sources_are_paced_too() {
    let files = Files::new();
    files.write("a.evt", "A { n: 1 }\n@40ms A { n: 3 }\n@80ms A { n: 4 }\n");
    let program =
        "stream S = merge(A, R).emit(n: n)\nstream P = A.from(file, path: \"a.evt\").where(false)\n";
    let started = std::time::Instant::now();
    let ran = go(&files, program, "@20ms R { n: 2 }\n", &["--pace", "realtime"]).clean();
    assert!(started.elapsed() >= Duration::from_millis(80), "{:?}", started.elapsed());
    let names: Vec<&str> = ran.lines().iter().map(|line| &line[line.len() - 3..line.len() - 2]).collect();
    assert_eq!(names, ["1", "2", "3", "4"]);
}

#[test]
fn what_a_file_brings_reaches_every_stream_that_names_its_type() {
    let files = Files::new();
    files.write("a.evt", "A { v: 1 }\nOther { v: 2 }\n");
    let program = "stream S = A.from(file, path: \"a.evt\").emit(v: v)\nstream T = A.emit(w: v)\n\
        stream U = Other.emit(o: v)";
    let ran = alone(&files, program, &[]).clean();
    assert_eq!(ran.lines().len(), 3, "{}", ran.stdout);
}

#[test]
fn a_bad_line_of_a_source_has_its_file_and_its_place() {
    let files = Files::new();
    files.write("a.evt", "A { v: 1 }\nA { v }\nA { v: 3 }\n");
    let program = "stream S = A.from(file, path: \"a.evt\").emit(v: v)";
    let letters = files.name("letters");
    for contexts in [false, true] {
        let program = if contexts {
            format!("context c {}", program.replace(".emit", ".context(c).emit"))
        } else {
            program.to_owned()
        };
        let ran =
            alone(&files, &program, &["--dead-letters", &letters]).says(1, &["a.evt: line 2, column 7"]);
        assert_eq!(ran.lines().len(), 1);
        assert!(files.read("letters").contains("\"source\":\"a.evt\",\"line\":2"));
        let options = ["--on-bad-input", "skip", "--dead-letters", &letters];
        let ran = alone(&files, &program, &options).says(0, &["1 lines that are no events were skipped"]);
        assert_eq!(ran.lines().len(), 2);
        assert!(files.read("letters").contains("\"source\":\"a.evt\",\"line\":2"));
    }
    alone(&files, "stream S = A.from(file, path: \"none.evt\").emit(v: v)", &[])
        .says(1, &["cannot read events from none.evt"]);
}

#[test]
fn the_console_is_standard_input() {
    let files = Files::new();
    let program = files.write("p.vpl", "stream S = R.from(console, format: csv).emit(v: v)");
    let ran = run(["run", &program], "v\n1\n2\n").clean();
    assert_eq!(ran.lines().len(), 2);
    run(["run", &program, &files.write("e.evt", "")], "").says(2, &["standard input"]);
}

#[test]
fn what_cannot_be_is_refused_at_load_by_name() {
    for (program, words) in [
        ("connector m = mqtt (url: \"x\") stream S = R", "connectors of kind `mqtt` are not supported"),
        ("stream S = R.to(kafka, topic: \"x\")", "no connector is called `kafka`"),
        ("connector out = file (path: \"x.evt\") stream S = R.to(outt)", "did you mean `out`?"),
        ("connector out = file (path: \"x.evt\", pat: 1) stream S = R.to(out)", "did you mean `path`?"),
        ("connector out = file () stream S = R.to(out)", "a `file` needs a path"),
        ("stream S = R.to(file, path: \"../x.evt\")", "cannot leave the directory of the program"),
        ("stream S = R.to(file, path: \"/x.evt\")", "is relative to the program"),
        ("stream S = R.to(file, path: 5)", "`path` is a text"),
        ("stream S = R.to(file, path: \"x\")", "does not say what its lines look like"),
        ("stream S = R.to(file, path: \"x\", format: xml)", "one of: evt, jsonl, csv"),
        ("stream S = R.to(file, path: \"x.evt\", append: 1)", "true or false"),
        ("stream S = R.to(console, format: csv)", "the console prints JSON lines"),
        ("stream S = R.to(console, color: red)", "unknown setting `color`"),
        ("stream S = R.to()", "`.to` needs a connector"),
        ("stream S = R.to(\"x.evt\")", "the connector of `.to` is a name"),
        ("stream S = R.to(file, \"x.evt\")", "takes settings: name: value"),
        ("stream S = R.to(file, path: \"x.evt\").where(v > 1)", "`.where` cannot stand behind `.to`"),
        ("stream S = R.to(file, path: \"x.evt\").to(file, path: \"./x.evt\")", "goes to x.evt twice"),
        (
            "stream S = R.to(file, path: \"x.evt\") stream T = Q.to(file, path: \"x.evt\", append: true)",
            "written in another way elsewhere",
        ),
        ("stream S = R.to(file, path: \"x.csv\")", "passes all fields on"),
        (
            "stream S = R.emit(a: v).to(file, path: \"x.csv\") stream T = R.emit(b: v).to(file, path: \"x.csv\")",
            "CSV with the columns a, and stream `T` has b",
        ),
        ("stream S = R.from(file, path: \"x.evt\", append: true)", "`append` says how a file is written"),
        ("stream S = R stream T = S.from(file, path: \"x.evt\")", "`S` is a stream"),
        ("stream S = R.where(v > 1).from(file, path: \"x.evt\")", "stands right behind an event type"),
        (
            "stream S = A.from(file, path: \"x.csv\") stream T = B.from(file, path: \"x.csv\")",
            "all its events are of one type, and `A` is read from it",
        ),
        (
            "stream S = A.from(file, path: \"x.evt\").to(file, path: \"x.evt\")",
            "cannot be read and written in one program",
        ),
        ("connector a = console () connector a = console () stream S = R.to(a)", "declared twice"),
    ] {
        let Err(error) = Program::parse(program) else { panic!("it loads: {program}") };
        assert!(error.to_string().contains(words), "{program}\n{error}");
    }
    let program = Program::parse("connector a = console () stream S = R").unwrap();
    assert!(program.warnings().to_string().contains("connector `a` is used by no stream"));
}

// The library.

/// What was written, wherever it was.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Takes lines slowly, and fails from some byte on.
struct Slow {
    written: Written,
    fails_at: usize,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        std::thread::yield_now();
        let mut written = self.written.0.lock().unwrap();
        if written.len() >= self.fails_at {
            return Err(io::Error::other("the other side is gone"));
        }
        let taken = bytes.len().min(7);
        written.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn with_writer(text: &str, fails_at: usize, threaded: bool) -> (Engine, Written) {
    let program = Program::parse(text).unwrap_or_else(|error| panic!("{error}"));
    let written = Written::default();
    let open = written.clone();
    let builder = Engine::builder(&program).capacity(4).order(MergeOrder::Deterministic);
    let builder = if threaded { builder.threaded() } else { builder };
    let engine = builder.writer("out", move || Ok(Box::new(Slow { written: open.clone(), fails_at })));
    (engine.build().unwrap(), written)
}

const OUT: &str = "connector out = file (path: \"x.jsonl\")\nstream S = R.emit(v: v).to(out)\n";

#[test]
fn a_slow_sink_holds_everything_up_and_loses_nothing() {
    for threaded in [false, true] {
        watched(move || {
            let (mut engine, written) = with_writer(OUT, usize::MAX, threaded);
            let ty = engine.event_type("R").unwrap();
            let v = ty.field("v").unwrap();
            let mut results = String::new();
            for number in 0..3_000_i64 {
                let mut event = ty.event(number);
                event.set(&v, number).unwrap();
                engine.feed(event, |result| results += &(result.to_json() + "\n")).unwrap();
            }
            let stats = engine.finish(|result| results += &(result.to_json() + "\n")).unwrap();
            assert_eq!((stats.results, stats.sinks[0].rows, stats.sinks[0].unwritten), (3_000, 3_000, 0));
            assert_eq!(stats.sinks[0].bytes, results.len() as u64);
            assert_eq!(written.text(), results);
        });
    }
}

#[test]
fn a_failing_sink_ends_the_run_and_says_which_it_is() {
    for threaded in [false, true] {
        watched(move || {
            let (mut engine, _) = with_writer(OUT, 100_000, threaded);
            let ty = engine.event_type("R").unwrap();
            let mut fed = 0_u64;
            while engine.feed(ty.event(0), |_| {}).is_ok() {
                fed += 1;
                assert!(fed < 1_000_000, "nobody has said that the sink failed");
            }
            let Err(error) = engine.finish(|_| {}).map(drop) else { panic!("the run ended well") };
            assert!(matches!(&error, EngineError::Connector(_)), "{error:?}");
            assert_eq!(
                error.to_string(),
                "cannot write the rows of stream S to x.jsonl: the other side is gone"
            );
            let stats = engine.stats();
            assert!(stats.sinks[0].unwritten > 0 && stats.sinks[0].bytes < 200_000);
        });
    }
}

#[test]
fn an_output_in_other_hands_writes_too_and_sources_come_with_the_input() {
    watched(|| {
        let files = Files::new();
        files.write("a.evt", &lines(1_000, "A"));
        let text = "context c\nconnector out = file (path: \"o.jsonl\")\nstream P = A.from(file, path: \"a.evt\").where(false)\n\
            stream S = merge(A, R).context(c).emit(v: v).to(out)";
        let program = Program::parse(text).unwrap();
        let mut engine = Engine::builder(&program).directory(files.path("")).capacity(8).build().unwrap();
        let ty = engine.event_type("R").unwrap();
        let v = ty.field("v").unwrap();
        let (mut input, mut output) = (engine.take_input().unwrap(), engine.take_output().unwrap());
        let feeding = std::thread::spawn(move || {
            for number in [500_i64, 2_000] {
                let mut event = ty.event(number * 1_000_000);
                event.set(&v, -number).unwrap();
                input.push(event).unwrap();
            }
        });
        let mut values = Vec::new();
        while !output.has_ended() {
            while let Some(result) = output.poll() {
                values.push(result.to_json());
            }
        }
        feeding.join().unwrap();
        drop(output);
        let stats = engine.join(Duration::from_secs(60)).unwrap();
        assert_eq!((stats.sinks[0].rows, stats.events), (1_002, 1_002));
        assert!(
            values[500].contains("-500") && values[1_001].contains("-2000"),
            "{} {}",
            values[500],
            values[1_001]
        );
        assert_eq!(files.read("o.jsonl"), values.join("\n") + "\n");
    });
}

#[test]
fn a_program_from_a_text_has_to_be_told_its_directory() {
    let program = Program::parse("stream S = R.to(file, path: \"x.evt\")").unwrap();
    let Err(error) = Engine::builder(&program).build() else { panic!("it was built") };
    assert!(error.to_string().contains("Builder::directory"), "{error}");
    let Err(error) = Engine::builder(&program).writer("y", || Ok(Box::new(io::sink()))).build() else {
        panic!("it was built")
    };
    assert!(error.to_string().contains("no connector called y"), "{error}");
}

/// Takes what it is given, but fails as often as it is told to, in the order of the calls.
struct Moody {
    calls: usize,
    fails: fn(usize) -> bool,
    taken: Arc<Mutex<Vec<u8>>>,
}

impl Write for Moody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        if (self.fails)(self.calls) {
            return Err(io::Error::other("in a bad mood"));
        }
        // Never all at once, so that rows are torn.
        let some = bytes.len().min(700);
        self.taken.lock().unwrap().extend_from_slice(&bytes[..some]);
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Each sink has a breaker where `config output` declares one: rows that it cannot take are held, or given up whole.
#[test]
fn a_sink_that_fails_holds_dead_letters_or_drops_whole_rows() {
    const COUNT: i64 = 5_000;
    for (policy, contexts) in
        [("hold", ""), ("dead_letter", ""), ("drop", ""), ("hold", "c"), ("dead_letter", "c")]
    {
        for format in ["csv", "jsonl"] {
            let (context, of) = if contexts.is_empty() { ("", "") } else { ("context c\n", ".context(c)") };
            let text = format!(
                "{context}connector out = file (path: \"out.{format}\")
config output {{ max_attempts: 1, breaker_open: {policy}, breaker_min_calls: 4, breaker_window: 4,
                 breaker_open_for: 2ms, backoff_min: 0ms, backoff_max: 1ms }}
stream S = E{of}.emit(v: v, text: \"two\\nlines, \\\"quoted\\\"\").to(out)"
            );
            let program = Program::parse(&text).unwrap();
            let taken: Arc<Mutex<Vec<u8>>> = Arc::default();
            let writes = Arc::clone(&taken);
            let mut engine = Engine::builder(&program)
                .keep_dead_letters()
                .writer("out", move || {
                    let taken = Arc::clone(&writes);
                    // A bad time, at first and later; good in the end, else what was begun could not be finished.
                    let fails = |call| call < 8 || call % 5 == 0 && call < 400;
                    Ok(Box::new(Moody { calls: 0, fails, taken }))
                })
                .build()
                .unwrap();
            let ty = engine.event_type("E").unwrap();
            let field = ty.field("v").unwrap();
            let mut results = 0;
            for v in 0..COUNT {
                let mut event = ty.event(v);
                event.set(&field, v).unwrap();
                engine.feed(event, |_| results += 1).unwrap();
                if v % 10 == 0 {
                    // Rows go out little by little.
                    engine.poll(|_| results += 1);
                }
            }
            let stats = engine.finish(|_| results += 1).unwrap().clone();
            let letters = engine.take_unwritten_rows();
            let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
            let written: Vec<i64> = if format == "csv" {
                let rows =
                    text.strip_prefix("@timestamp,v,text\n").unwrap_or_else(|| panic!("no head: {text:.60}"));
                let number = |row: &str| {
                    let mut fields = row.splitn(3, ',').skip(1);
                    let number = fields.next().unwrap().parse().unwrap();
                    assert_eq!(fields.next(), Some("\"two\nlines, \"\"quoted\"\"\""));
                    number
                };
                rows.split_terminator("\"\n").map(|text| number(&format!("{text}\""))).collect()
            } else {
                text.lines()
                    .map(|line| {
                        serde_json::from_str::<serde_json::Value>(line).unwrap()["data"]["v"]
                            .as_i64()
                            .unwrap()
                    })
                    .collect()
            };
            let sink = &stats.sinks[0];
            assert_eq!(results, COUNT);
            assert!(written.is_sorted_by(|a, b| a < b), "whole rows, in order: {policy} {format}");
            assert_eq!(written.len() as u64, sink.rows, "{policy} {format}");
            assert_eq!(sink.rows + sink.dead_letters + sink.dropped, COUNT as u64, "{policy} {format}");
            assert_eq!(letters.len() as u64, sink.dead_letters);
            match policy {
                "hold" => assert_eq!(sink.rows, COUNT as u64),
                "drop" => assert!(sink.dropped > 0 && sink.dead_letters == 0),
                _ => {
                    assert!(sink.dead_letters > 0 && sink.dropped == 0);
                    assert!(
                        letters.iter().all(|row| row.sink == format!("out.{format}") && !row.line.is_empty())
                    );
                    assert!(letters.iter().any(|row| row.error == "in a bad mood" && row.attempts == 2));
                }
            }
            let health = engine.health();
            let of_sink =
                health.components.iter().find(|component| component.component.name() == sink.sink).unwrap();
            assert!(of_sink.failures > 0 && of_sink.last_failure.as_deref() == Some("in a bad mood"));
        }
    }
}
