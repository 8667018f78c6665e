//! `varpin run` on input that is still coming: results at once, signals, closed pipes, flat memory.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, missing_docs)] // a test that fails panics

mod command;

use std::time::{Duration, Instant};

use command::{Files, Running, varpin};

const INLINE: &str = "stream S = R.emit(v: v)\n";
const CONTEXTS: &str = "context a\ncontext b\n\
    stream T = R.context(a).where(v >= 0)\nstream S = T.context(b).emit(v: v)\n";
const WINDOW: &str = "stream S = R.window(1000).aggregate(n: count())\n";

fn start(files: &Files, program: &str, options: &[&str]) -> Running {
    let program = files.write("p.vpl", program);
    Running::start(varpin(["run", &program].iter().chain(options)))
}

#[test]
fn a_pipe_shows_each_result_at_once() {
    let files = Files::new();
    for (program, order) in [(INLINE, "timestamp"), (CONTEXTS, "timestamp"), (CONTEXTS, "deterministic")] {
        let mut running = start(&files, program, &["--order", order]);
        for number in 0..5 {
            running.feed(&format!("R {{ v: {number} }}\n"));
            let line = running.line();
            assert!(line.contains(&format!("\"v\":{number}")), "{line}");
        }
        running.stdin = None;
        assert_eq!(running.wait().clean().stdout, "");
    }
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let files = Files::new();
    let mut running = start(&files, INLINE, &[]);
    running.feed("R { v: 1 }\nR { v:");
    assert!(running.line().contains("\"v\":1"));
    running.feed(" 2 }\n");
    assert!(running.line().contains("\"v\":2"));
}

#[test]
fn interrupting_drains_and_exits_with_130() {
    let files = Files::new();
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for program in [INLINE, CONTEXTS] {
            let mut running = start(&files, program, &[]);
            running.feed("R { v: 1 }\n");
            running.line();
            running.signal(signal);
            running.wait().says(code, &[]);
        }
        // What is open is closed: the window is no full one, and comes out all the same.
        let mut running = start(&files, &format!("{WINDOW}{}", INLINE.replace('S', "Seen")), &[]);
        running.feed("R { v: 1 }\n");
        running.line();
        running.signal(signal);
        let ran = running.wait().says(code, &[]);
        assert!(ran.stdout.contains("\"n\":1"), "{}", ran.stdout);
    }
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    let files = Files::new();
    let mut command = varpin(["run", &files.write("p.vpl", INLINE), "--output", "/dev/stdout"]);
    // Nobody reads: it hangs in writing, and cannot see the first signal.
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer).stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut stdin = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        // Ends when the command does.
        while std::io::Write::write_all(&mut stdin, b"R { v: 1 }\n").is_ok() {}
    });
    std::thread::sleep(Duration::from_millis(300));
    let send =
        || std::process::Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
    assert!(send().unwrap().success());
    std::thread::sleep(Duration::from_millis(300));
    assert!(send().unwrap().success());
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(start.elapsed() < command::LIMIT, "it still runs");
        std::thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(status.code(), Some(130));
    feeding.join().unwrap();
    drop(reader);
}

#[test]
fn a_closed_output_pipe_ends_quietly() {
    let files = Files::new();
    for program in [INLINE, CONTEXTS] {
        let mut running = start(&files, program, &[]);
        running.feed("R { v: 1 }\n");
        running.line();
        running.close_stdout();
        let start = Instant::now();
        // The reader is gone at the next line that it is sent, at the latest.
        while std::io::Write::write_all(running.stdin.as_mut().unwrap(), b"R { v: 2 }\n").is_ok() {
            assert!(start.elapsed() < command::LIMIT, "it still reads");
            std::thread::sleep(Duration::from_millis(1));
        }
        running.wait().clean();
    }
}

#[test]
fn realtime_keeps_the_distances_of_event_times() {
    let files = Files::new();
    for program in [INLINE, CONTEXTS] {
        let events = files
            .write("e.evt", "@5s R { v: 1 }\n@5300ms R { v: 2 }\n@5100ms R { v: 3 }\n@5600ms R { v: 4 }\n");
        let mut running = start(&files, program, &[&events, "--pace", "realtime", "--order", "arrival"]);
        let first = {
            running.line();
            Instant::now()
        };
        for earliest_ms in [250, 250, 550] {
            let line = running.line();
            let after = first.elapsed();
            assert!(after >= Duration::from_millis(earliest_ms), "{line} came after {after:?}");
        }
        running.wait().clean();
    }
}

#[test]
fn memory_stays_flat_however_long_the_input_is() {
    let files = Files::new();
    let line = "SensorReading { sensor_id: \"S17\", temperature: 83.25, zone: \"north\" }\n";
    let events = files.write("e.evt", &line.repeat(1_000_000));
    let contexts = "context a\ncontext b\nstream T = SensorReading.context(a).where(temperature > 0.0)\n\
        stream S = T.context(b).emit(zone: zone, temperature: temperature)\n";
    let inline =
        "stream S = SensorReading.where(temperature > 0.0).emit(zone: zone, temperature: temperature)\n";
    for program in [inline, contexts] {
        let running = start(&files, program, &[&events, "--output", "/dev/null"]);
        let start = Instant::now();
        let mut peak_kib = 0;
        // Its state is readable until it has been waited for, but then it has no memory any more.
        while let Some(now_kib) = running.peak_memory_kib() {
            peak_kib = peak_kib.max(now_kib);
            assert!(start.elapsed() < command::LIMIT, "it still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
        running.wait().clean();
        assert!(peak_kib > 0, "it was never seen");
        assert!(peak_kib < 64 * 1024, "{peak_kib} KiB");
    }
}
