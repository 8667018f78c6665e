//! The whole `varpin` process on a file of events: how many lines a second, and how much memory at its largest.
//!
//! The peak comes from `wait4`. A child starts with its parent's peak (it shares the parent's memory until it becomes another
//! program), so the process is started by a second copy of this program that has done nothing else: [`launch`].

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::programs::FILTER;
use crate::report::{Outcome, Table};

pub const CASE: &str = "filter, one line in ten passes";
pub const VARPIN: &str = "varpin run";
/// The first argument that makes this program a launcher.
pub const LAUNCH: &str = "launch-and-measure";

/// Writes `lines` readings, of which one in ten is above 90 degrees.
fn write_events(path: &Path, lines: usize) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    for line in 0..lines {
        // Of ten lines one has a temperature in each ten degrees, never at their edge.
        let temperature = (line % 10) as f64 * 10.0 + (line / 10 % 39 + 1) as f64 * 0.25;
        writeln!(
            file,
            r#"SensorReading {{ sensor_id: "S{}", temperature: {temperature:.2}, zone: "north" }}"#,
            line % 100
        )?;
    }
    file.flush()
}

/// Runs `arguments[1..]` with its output in the file `arguments[0]`; prints nanoseconds, peak memory in KiB and the exit code.
pub fn launch(arguments: &[String]) -> Result<(), String> {
    let [output, program, rest @ ..] = arguments else {
        return Err("a file and a program are needed".to_owned());
    };
    let output = File::create(output).map_err(|error| format!("{output}: {error}"))?;
    let started = Instant::now();
    let child = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(output)
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let (code, peak_kib) = wait(child.id())?;
    println!("{} {peak_kib} {code}", started.elapsed().as_nanos());
    Ok(())
}

/// Waits for a child: exit code (or minus the signal) and peak memory in KiB.
fn wait(child: u32) -> Result<(i32, i64), String> {
    let mut status = 0;
    // SAFETY: `rusage` is plain numbers, for which zero bytes are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the types that the call writes.
    let waited = unsafe { libc::wait4(child as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    if waited < 0 {
        return Err(std::io::Error::last_os_error().to_string());
    }
    let code = if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) };
    // macOS counts bytes.
    let unit = if cfg!(target_os = "macos") { 1024 } else { 1 };
    Ok((code, usage.ru_maxrss as i64 / unit))
}

/// One run of `varpin`.
fn run(varpin: &Path, program: &Path, events: &Path, lines: usize) -> Result<Outcome, String> {
    let output = events.with_extension("results.jsonl");
    let itself = std::env::current_exe().map_err(|error| error.to_string())?;
    let launcher = Command::new(itself)
        .arg(LAUNCH)
        .args([output.as_path(), varpin])
        .arg("run")
        .args([program, events])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&launcher.stdout);
    let mut numbers = printed.split_whitespace().map(|number| number.parse::<f64>().ok());
    let (Some(Some(ns)), Some(Some(peak_kib)), Some(Some(code))) =
        (numbers.next(), numbers.next(), numbers.next())
    else {
        return Err("varpin could not be started".to_owned());
    };
    if code != 0.0 {
        return Err(format!("varpin exited with {code}"));
    }
    let results = std::fs::read(&output).map_err(|error| error.to_string())?;
    let results = results.iter().filter(|&&byte| byte == b'\n').count();
    if results != lines / 10 {
        return Err(format!("{results} results instead of {}", lines / 10));
    }
    let figures = vec![lines as f64 / (ns / 1e9), peak_kib / 1024.0];
    Ok(Outcome { figures, remark: Some(format!("{results} results")) })
}

/// `directory` takes the program, the events and the results.
pub fn table(varpin: PathBuf, directory: &Path, quick: bool) -> Result<Table, String> {
    let lines = if quick { 100_000 } else { 1_000_000 };
    let (program, events) = (directory.join("filter.vpl"), directory.join("readings.evt"));
    std::fs::write(&program, FILTER).map_err(|error| error.to_string())?;
    write_events(&events, lines).map_err(|error| error.to_string())?;
    let note = format!(
        "`varpin run` on an .evt file of {lines} lines that is in the page cache, results to another file, from start to exit; one line: \
         `SensorReading {{ sensor_id: \"S17\", temperature: 83.25, zone: \"north\" }}`. Memory is the peak of the resident set."
    );
    let mut table = Table::new("Whole process", note, &["lines/s", "peak MiB"]);
    table.add(CASE, VARPIN, move || run(&varpin, &program, &events, lines));
    Ok(table)
}
