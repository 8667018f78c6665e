//! A context that fails on an event is started again: the event is tried once more, then put aside, and all others get
//! through. `cargo run --example supervised` prints what the supervisor tells, the results, and how the run is.
//!
//! Where panics abort (`cargo run --profile abort --example supervised`) nothing can be started again, so the engine
//! isn't even built.

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use varpin::engine::{Engine, Program};
use varpin::supervise::{Declared, Restart};

const PROGRAM: &str = "
context work
config engine { max_call_steps: 1000 }
fn busy(rounds: int) -> int:
    var sum = 0
    for round in 0..rounds:
        sum := sum + round
    return sum
stream Done = Job.context(work).emit(rounds: rounds, sum: busy(rounds)).on_error(fail)
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let program = Program::parse(PROGRAM)?;
    let declared = Declared {
        restart: Some(Restart::OnFailure),
        backoff_min: Some(Duration::from_millis(1)),
        max_attempts: Some(1),
        ..Declared::default()
    };
    let mut engine = Engine::builder(&program)
        .supervise(declared)
        .keep_dead_letters()
        .on_event(|event| println!("event:  {}", event.to_json()))
        .build()?;
    let job = engine.event_type("Job")?;
    let rounds = job.field("rounds")?;
    for (second, value) in [10, 20, 1_000_000, 30].into_iter().enumerate() {
        let mut event = job.event(second as i64 * 1_000_000_000);
        event.set(&rounds, value)?;
        engine.feed(event, |result| println!("result: {}", result.to_json()))?;
    }
    engine.finish(|result| println!("result: {}", result.to_json()))?;
    for letter in engine.take_dead_letters() {
        println!("put aside after {} attempts: {}", letter.attempts, letter.error);
    }
    println!("health: {}", engine.health().to_json());
    Ok(())
}
