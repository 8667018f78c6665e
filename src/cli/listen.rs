//! `--listen`: health and metrics of a run over HTTP, for probes and for Prometheus.
//!
//! | path | answer |
//! |---|---|
//! | `/health/live` | 200, or 503 where something is beyond help |
//! | `/health/ready` | 200, or 503 where something does not run, or a breaker is open |
//! | `/health` | all components as JSON; 503 where the worst of them is down |
//! | `/metrics` | Prometheus' text |
//!
//! A thread of its own takes connections, and each is served by a thread that ends with it: a client that dawdles holds
//! up nobody, and there are never more than a few. Nothing is asked of the threads that work: what is told lies in
//! words that they store anyway. Nobody can change anything here, and of a request only its first line is looked at.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use varpin::engine::{MetricsReader, prometheus};
use varpin::metrics::Exposition;
use varpin::supervise::{Board, Status};
use varpin::sync::spawn_named;

/// Connections that are served at a time; further ones are told to come later.
const AT_ONCE: usize = 8;
/// The longest request, to the end of its headers.
const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The most headers of a request.
const MAX_HEADERS: usize = 64;
/// How long a client may take to send its request, and to read a piece of the answer.
const WITHIN: Duration = Duration::from_secs(2);
/// How long no connection is taken after taking one has failed: most likely there are too many open files.
const PAUSE: Duration = Duration::from_millis(50);

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// Where to listen: `127.0.0.1:9000`, `[::1]:9000`, `localhost:9000`; a port alone stands for the loopback address.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    let loopback = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Ok(port) = text.strip_prefix("localhost:").unwrap_or(text).parse() {
        return Ok(loopback(port));
    }
    text.parse().map_err(|_| "an address is 127.0.0.1:PORT, or PORT alone".to_owned())
}

/// A port that is taken; nobody is served yet.
#[derive(Debug)]
pub(super) struct Listener(TcpListener);

impl Listener {
    /// Takes the port.
    pub(super) fn bind(at: SocketAddr) -> Result<Self, String> {
        TcpListener::bind(at).map(Self).map_err(|error| format!("cannot listen at {at}: {error}"))
    }

    /// Serves whoever comes, until the process ends; where.
    pub(super) fn serve(self, metrics: MetricsReader, board: Arc<Board>) -> Result<SocketAddr, String> {
        let failed = |error: io::Error| format!("cannot serve health and metrics: {error}");
        let at = self.0.local_addr().map_err(failed)?;
        let pages = Arc::new(Pages { metrics, board });
        spawn_named("http", move || accept(&self.0, &pages)).map_err(failed)?;
        Ok(at)
    }
}

/// Takes connections.
fn accept(listener: &TcpListener, pages: &Arc<Pages>) {
    // Each connection at hand has one of these.
    let tickets = Arc::new(());
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            varpin::sync::sleep(PAUSE);
            continue;
        };
        let (pages, ticket) = (Arc::clone(pages), Arc::clone(&tickets));
        let is_too_much = Arc::strong_count(&tickets) > AT_ONCE + 1;
        let answer = move || {
            // A client that goes away is nobody's trouble but its own.
            let _ = if is_too_much { put(&stream, &Answer::later(), true) } else { serve(&stream, &pages) };
            drop(ticket);
        };
        if is_too_much {
            answer();
        } else {
            // Where no thread can be had, the connection is closed.
            let _ = spawn_named("http client", answer);
        }
    }
}

/// Reads one request and answers it.
fn serve(stream: &TcpStream, pages: &Pages) -> io::Result<()> {
    stream.set_write_timeout(Some(WITHIN))?;
    let (answer, with_body) = match read_request(stream)? {
        Request::Get(path) => (pages.answer(&path), true),
        Request::Head(path) => (pages.answer(&path), false),
        Request::Other => (Answer::text(405, "only GET and HEAD are known here\n"), true),
        Request::Bad => (Answer::text(400, "that is no HTTP request\n"), true),
        Request::TooLong => (Answer::text(431, "the request is too long\n"), true),
    };
    put(stream, &answer, with_body)
}

/// What a client has asked for.
#[derive(Debug, PartialEq, Eq)]
enum Request {
    Get(String),
    Head(String),
    /// With another method.
    Other,
    Bad,
    TooLong,
}

fn read_request(mut stream: &TcpStream) -> io::Result<Request> {
    let until = Instant::now() + WITHIN;
    let mut head = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => head.extend_from_slice(&piece[..read]),
        }
        if let Some(request) = parse(&head) {
            return Ok(request);
        }
    }
}

/// The request, if it is all there, or if it is none that will ever be good.
fn parse(head: &[u8]) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) if head.len() < MAX_HEAD_BYTES => None,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => Some(Request::TooLong),
        Err(_) => Some(Request::Bad),
        Ok(httparse::Status::Complete(_)) => {
            // What stands behind `?` says nothing here.
            let path = request.path.unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
            Some(match request.method {
                Some("GET") => Request::Get(path),
                Some("HEAD") => Request::Head(path),
                _ => Request::Other,
            })
        }
    }
}

fn put(mut stream: &TcpStream, answer: &Answer, with_body: bool) -> io::Result<()> {
    stream.set_write_timeout(Some(WITHIN))?;
    let Answer { code, media_type, body } = answer;
    let reason = match code {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let allow = if *code == 405 { "Allow: GET, HEAD\r\n" } else { "" };
    let mut out = format!(
        "HTTP/1.1 {code} {reason}\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n{allow}\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if with_body {
        out.push_str(body);
    }
    stream.write_all(out.as_bytes())
}

/// An answer.
#[derive(Debug)]
struct Answer {
    code: u16,
    media_type: &'static str,
    body: String,
}

impl Answer {
    fn text(code: u16, body: &str) -> Self {
        Self { code, media_type: TEXT, body: body.to_owned() }
    }

    fn later() -> Self {
        Self::text(503, "too many clients at once\n")
    }

    /// In order or not, and the JSON that says so.
    fn health(is_good: bool, body: String) -> Self {
        Self { code: if is_good { 200 } else { 503 }, media_type: JSON, body: body + "\n" }
    }
}

/// What there is to see.
struct Pages {
    metrics: MetricsReader,
    board: Arc<Board>,
}

impl Pages {
    fn answer(&self, path: &str) -> Answer {
        match path {
            "/health/live" => {
                let is_live = self.board.health().is_live;
                Answer::health(is_live, format!("{{\"live\":{is_live}}}"))
            }
            "/health/ready" => {
                let is_ready = self.board.health().is_ready;
                Answer::health(is_ready, format!("{{\"ready\":{is_ready}}}"))
            }
            "/health" => {
                let health = self.board.health();
                Answer::health(health.status != Status::Down, health.to_json())
            }
            "/metrics" => Answer {
                code: 200,
                media_type: Exposition::MEDIA_TYPE,
                body: prometheus(&self.metrics.read(), &self.board.health()),
            },
            "/" => Answer::text(200, "/health/live\n/health/ready\n/health\n/metrics\n"),
            _ => Answer::text(404, "known are /health/live, /health/ready, /health and /metrics\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_HEAD_BYTES, Request, address, parse};

    #[test]
    fn a_port_alone_is_that_of_the_loopback_address() {
        for (text, expected) in [
            ("9000", Some("127.0.0.1:9000")),
            ("localhost:9000", Some("127.0.0.1:9000")),
            ("127.0.0.1:0", Some("127.0.0.1:0")),
            ("[::1]:9", Some("[::1]:9")),
            ("0.0.0.0:9", Some("0.0.0.0:9")),
            ("70000", None),
            ("somewhere", None),
            ("", None),
        ] {
            assert_eq!(address(text).ok().map(|at| at.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn requests_are_taken_apart_or_refused() {
        let get = |path: &str| Some(Request::Get(path.to_owned()));
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(MAX_HEAD_BYTES));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100));
        for (head, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", get("/metrics")),
            ("GET /health?verbose HTTP/1.0\r\n\r\n", get("/health")),
            ("HEAD / HTTP/1.1\r\n\r\n", Some(Request::Head("/".to_owned()))),
            ("POST /metrics HTTP/1.1\r\n\r\n", Some(Request::Other)),
            ("GET /metrics HT", None),
            ("\u{0}\u{1}\r\n\r\n", Some(Request::Bad)),
            (&long, Some(Request::TooLong)),
            (&many, Some(Request::TooLong)),
        ] {
            assert_eq!(parse(head.as_bytes()), expected, "{head:.40}");
        }
    }
}
