//! A socket through which a run can be told something while it runs: one command a line, one JSON line for an answer.
//!
//! The listener has a thread of its own, which only carries lines: what is asked for is done by the thread that holds
//! the engine, between two events. The socket is a file that only its owner may use, and it goes when the run ends.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use serde_json::{Value, json};
use varpin::engine::{Engine, MetricsReader};
use varpin::sync::spawn_named;

/// The longest line that is read.
const MAX_LINE_BYTES: u64 = 4096;
/// Commands that wait for the run at a time; further ones wait in their connections.
const WAITING: usize = 16;
/// How long the run may take to answer, and a client to send its line.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A line, and where its answer goes.
struct Request {
    line: String,
    answer: SyncSender<String>,
}

/// The listening end.
#[derive(Debug)]
pub(super) struct Control {
    path: PathBuf,
    requests: Receiver<Request>,
}

impl Control {
    /// Listens at `path`. A socket that nobody listens at any more is replaced; any other file is left alone.
    /// What the engine tells of itself is read by the socket's own thread, also while the run waits for something.
    pub(super) fn listen(path: &Path, metrics: MetricsReader) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot listen at {}: {error}", path.display());
        if let Ok(metadata) = fs::symlink_metadata(path) {
            if !metadata.file_type().is_socket() {
                return Err(format!("cannot listen at {}: it exists, and is no socket", path.display()));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(format!("cannot listen at {}: another run listens there", path.display()));
            }
            fs::remove_file(path).map_err(failed)?;
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let (sender, requests) = sync_channel(WAITING);
        // It ends with the process: there is nothing that it could leave half done.
        spawn_named("control", move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is nobody's trouble but its own.
                let _ = serve(&stream, &sender, &metrics);
            }
        })
        .map_err(failed)?;
        Ok(Self { path: path.to_owned(), requests })
    }

    /// Does what has been asked for since the last call.
    pub(super) fn obey(&self, engine: &mut Engine) {
        while let Ok(request) = self.requests.try_recv() {
            let answer = obey(&request.line, engine);
            // A client that has gone needs no answer.
            let _ = request.answer.try_send(answer.to_string());
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Where it is gone already, that is as well.
        let _ = fs::remove_file(&self.path);
    }
}

/// Carries the lines of one client.
fn serve(stream: &UnixStream, requests: &SyncSender<Request>, metrics: &MetricsReader) -> io::Result<()> {
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    let mut line = String::new();
    BufReader::new(stream).take(MAX_LINE_BYTES).read_line(&mut line)?;
    let text = if line.trim() == "metrics" {
        json!({"ok": true, "metrics": metrics.read()}).to_string()
    } else {
        have_done(line, requests)
    };
    let mut stream = stream;
    writeln!(stream, "{text}")
}

/// Has the run do what a line says; its answer.
fn have_done(line: String, requests: &SyncSender<Request>) -> String {
    let (answer, answers) = sync_channel(1);
    match requests.try_send(Request { line, answer }) {
        Ok(()) => answers.recv_timeout(ANSWER_WITHIN).unwrap_or_else(|_| refusal("the run has not answered")),
        Err(_) => refusal("too many commands wait already"),
    }
}

fn refusal(why: &str) -> String {
    json!({"ok": false, "error": why}).to_string()
}

/// Does what a line says.
fn obey(line: &str, engine: &mut Engine) -> Value {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["pools"] => {
            let pool = |(context, stream, workers): (&str, &str, usize)| {
                let entry =
                    [("context", json!(context)), ("stream", json!(stream)), ("workers", json!(workers))];
                Value::Object(entry.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
            };
            json!({"ok": true, "pools": engine.pools().into_iter().map(pool).collect::<Vec<_>>()})
        }
        ["resize", context, stream, workers] => match workers.parse() {
            Ok(workers) => match engine.resize(context, stream, workers) {
                Ok(_) => json!({"ok": true, "context": context, "stream": stream, "workers": workers}),
                Err(error) => json!({"ok": false, "error": error.to_string()}),
            },
            Err(_) => json!({"ok": false, "error": format!("`{workers}` is no number of workers")}),
        },
        _ => json!({"ok": false, "error": "known are: metrics; pools; resize CONTEXT STREAM WORKERS"}),
    }
}
