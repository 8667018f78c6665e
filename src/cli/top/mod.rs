//! `varpin top`: what a run tells of itself (`varpin run --control`), looked at every second.

mod screen;
mod told;
mod view;

use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use super::args::TopArgs;
use super::control::ANSWER_WITHIN;
use super::exit::Exit;
use super::messages;
use told::{Answer, Told};
use view::View;

/// The longest answer that is read.
const MAX_ANSWER_BYTES: u64 = 16 << 20;

/// Shows a run until it ends or somebody has seen enough.
pub(super) fn top(typed: &TopArgs) -> Exit {
    let first = match ask(&typed.socket) {
        Ok(told) => told,
        Err(error) => {
            messages::error(format_args!("cannot ask {}: {error}", typed.socket.display()));
            return Exit::Refused;
        }
    };
    if typed.once || !io::stdout().is_terminal() {
        messages::print(View::between(None, &first).text().trim_end());
        return Exit::Done;
    }
    match show(typed, first) {
        Ok(end) => {
            messages::say(end);
            Exit::Done
        }
        Err(error) => {
            messages::error(format_args!("the terminal: {error}"));
            Exit::Failed
        }
    }
}

/// Asks the run at `socket` what it has to tell.
fn ask(socket: &Path) -> io::Result<Told> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    writeln!(stream, "metrics")?;
    let mut answer = String::new();
    BufReader::new(stream).take(MAX_ANSWER_BYTES).read_line(&mut answer)?;
    let answer: Answer = serde_json::from_str(&answer)?;
    if answer.ok {
        Ok(answer.metrics)
    } else {
        Err(io::Error::other(answer.error.unwrap_or_else(|| "it has no answer".to_owned())))
    }
}

/// Looks again and again; the word to part with.
fn show(typed: &TopArgs, first: Told) -> io::Result<String> {
    let name = typed.socket.display().to_string();
    let mut terminal = ratatui::try_init()?;
    let mut view = View::between(None, &first);
    let mut last = first;
    let outcome = loop {
        if let Err(error) = terminal.draw(|frame| screen::draw(frame, &name, &view)) {
            break Err(error);
        }
        match wait(typed.every) {
            Ok(Pause::Over) => {}
            // What changed is the size of the terminal.
            Ok(Pause::Redraw) => continue,
            Ok(Pause::Enough) => break Ok(String::new()),
            Err(error) => break Err(error),
        }
        match ask(&typed.socket) {
            Ok(now) => {
                view = View::between(Some(&last), &now);
                last = now;
            }
            Err(error) => {
                break Ok(format!(
                    "{name} answers no more ({error}); the last that it told:\n{}",
                    view.text()
                ));
            }
        }
    };
    ratatui::try_restore()?;
    outcome
}

/// Why a pause has ended.
enum Pause {
    Over,
    Redraw,
    Enough,
}

/// Waits until it is time to look again, or a key is pressed.
fn wait(every: Duration) -> io::Result<Pause> {
    let until = Instant::now() + every;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || !event::poll(left)? {
            return Ok(Pause::Over);
        }
        match event::read()? {
            Event::Key(key) if key.kind == KeyEventKind::Press => {
                let is_interrupt =
                    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if is_interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(Pause::Enough);
                }
            }
            Event::Resize(..) => return Ok(Pause::Redraw),
            _ => {}
        }
    }
}
