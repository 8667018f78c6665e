//! varpin inside a program: one thread feeds events from memory, another takes results, and the contexts run on theirs.
//!
//!     cargo run --example embedding

use std::error::Error;
use std::thread;
use std::time::Duration;

use varpin::engine::{Engine, Program};
use varpin::event::Value;
use varpin::flow::MergeOrder;

const PROGRAM: &str = r"
context prices
context signals

stream Ticks = Quote
    .context(prices)
    .where(bid > 0.0 and ask >= bid)
    .emit(context: signals, symbol: symbol, mid: (bid + ask) / 2)

stream Wide = Ticks
    .context(signals)
    .partition_by(symbol)
    .window(4)
    .aggregate(symbol: last(symbol), low: min(mid), high: max(mid))
    .having(high - low > 1.0)
";

fn main() -> Result<(), Box<dyn Error>> {
    let program = Program::parse(PROGRAM)?;
    let mut engine = Engine::builder(&program).order(MergeOrder::Deterministic).build()?;
    for warning in engine.warnings() {
        eprintln!("warning: {warning}");
    }

    // Names are looked up once; events are then filled by slot.
    let quote = engine.event_type("Quote")?;
    let (symbol, bid, ask) = (quote.field("symbol")?, quote.field("bid")?, quote.field("ask")?);
    let mut input = engine.take_input()?;
    let mut output = engine.take_output()?;

    let feeding = thread::spawn(move || -> Result<u64, String> {
        for number in 0..100_000_i64 {
            let mut event = quote.event(number * 1_000_000);
            let name = if number % 2 == 0 { "ABC" } else { "XYZ" };
            let price = 100.0 + (number % 17) as f64 / 10.0;
            for (field, value) in
                [(&symbol, Value::from(name)), (&bid, price.into()), (&ask, (price + 0.5).into())]
            {
                event.set(field, value).map_err(|error| error.to_string())?;
            }
            // Waits for room where the contexts are behind: nothing is lost.
            input.push(event).map_err(|error| error.to_string())?;
        }
        // Dropping the input here ends the run, once everything is handled.
        Ok(input.events())
    });

    let taking = thread::spawn(move || {
        let (mut ticks, mut wide) = (0_u64, Vec::new());
        while !output.has_ended() {
            let taken = output.drain(1024, |result| match result.stream() {
                "Ticks" => ticks += 1,
                _ => wide.push(result.to_json()),
            });
            if taken == 0 {
                thread::yield_now();
            }
        }
        (ticks, wide)
    });

    let quotes = feeding.join().map_err(|_| "the feeding thread panicked")??;
    let (ticks, wide) = taking.join().map_err(|_| "the taking thread panicked")?;
    let stats = engine.join(Duration::from_secs(10))?;
    println!("{quotes} quotes, {ticks} ticks, {} wide spreads; the first of them:", wide.len());
    for line in wide.iter().take(3) {
        println!("{line}");
    }
    for context in &stats.contexts {
        println!("context {} waited by {}", context.context, context.idle);
    }
    Ok(())
}
