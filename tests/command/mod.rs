//! What the tests of the command share: running it with a watchdog, and looking at it while it runs.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)] // a test that fails panics; not every test uses all

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything may take; on a machine under load, far more than it should. A test that hangs takes this long and fails.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The command with `arguments`.
pub fn varpin<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_varpin"));
    command.args(arguments).env_remove("NO_COLOR");
    command
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// It ended well and said nothing.
    #[track_caller]
    pub fn clean(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self
    }

    /// It ended with `code`, and standard error has every one of `words`.
    #[track_caller]
    pub fn says(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }
}

/// Runs `varpin` with `arguments` to its end; `input` is its standard input.
pub fn run<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>, input: &str) -> Ran {
    let mut running = Running::start(varpin(arguments));
    let mut stdin = running.stdin.take().unwrap();
    let input = input.to_owned();
    // The command may end before it has read everything.
    let feeding = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let ran = running.wait();
    feeding.join().unwrap();
    ran
}

/// A command on its way. Killed when the test is over.
pub struct Running {
    child: Child,
    pub stdin: Option<ChildStdin>,
    lines: Option<Receiver<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts it with pipes at all ends.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take();
        // A command whose lines nobody takes stands still soon.
        let (send, lines) = sync_channel(16);
        let stdout = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            // Ends with the pipe, or when the test has heard enough.
            for line in stdout.lines() {
                if send.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        let mut pipe = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            pipe.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, stdin, lines: Some(lines), stderr: Some(stderr) }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input.
    pub fn feed(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Its standard input has no more.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The next line that it prints.
    #[track_caller]
    pub fn line(&mut self) -> String {
        self.lines.as_ref().unwrap().recv_timeout(LIMIT).expect("a line in time")
    }

    /// Nobody reads what it prints any more.
    pub fn close_stdout(&mut self) {
        self.lines = None;
    }

    /// Sends it a signal: `INT`, `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status().unwrap();
        assert!(sent.success());
    }

    fn status(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LIMIT, "the command still runs");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits for its end and gives everything that it printed and that was not read yet.
    pub fn wait(mut self) -> Ran {
        let lines = self.lines.take();
        let collecting = thread::spawn(move || {
            lines.map_or_else(String::new, |lines| lines.iter().map(|line| line + "\n").collect::<String>())
        });
        let status = self.status();
        let stdout = collecting.join().unwrap();
        let stderr = self.stderr.take().unwrap().join().unwrap();
        Ran { code: status.code(), stdout, stderr }
    }

    /// The names of its threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
        let mut names: Vec<String> =
            tasks.filter_map(|task| name(task.ok()?)).map(|name| name.trim_end().to_owned()).collect();
        names.sort();
        names
    }

    /// The most memory that it has had, in KiB; none where it has ended.
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Files for one test, deleted behind it.
pub struct Files(tempfile::TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives its path.
    pub fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.path(name), text).unwrap();
        self.name(name)
    }

    /// The path of a file as text.
    pub fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

/// Where the repository is.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
