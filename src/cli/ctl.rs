//! `varpin ctl`: tells a run something through its socket (`varpin run --control`), and prints the answer.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use super::args::{CtlArgs, CtlCommand};
use super::control::ANSWER_WITHIN;
use super::exit::Exit;
use super::messages;

pub(super) fn ctl(typed: &CtlArgs) -> Exit {
    let line = match &typed.command {
        CtlCommand::Metrics => "metrics".to_owned(),
        CtlCommand::Pools => "pools".to_owned(),
        CtlCommand::Resize { context, stream, workers } => format!("resize {context} {stream} {workers}"),
    };
    let answer = match ask(typed, &line) {
        Ok(answer) => answer,
        Err(error) => {
            messages::error(format_args!("cannot ask {}: {error}", typed.socket.display()));
            return Exit::Refused;
        }
    };
    let told: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
    if told["ok"] == true {
        messages::print(answer.trim_end());
        return Exit::Done;
    }
    messages::error(told["error"].as_str().unwrap_or("the run has gone without an answer"));
    Exit::Failed
}

fn ask(typed: &CtlArgs, line: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(&typed.socket)?;
    // A little longer than the run itself may take.
    stream.set_read_timeout(Some(ANSWER_WITHIN * 2))?;
    writeln!(stream, "{line}")?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer)
}
