//! A pool of typed closures: quotes are valued on several pinned threads, per symbol in order, and come out as if one
//! thread had done it. No VPL involved: `cargo run --release --no-default-features --example typed_pool`.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use varpin::flow::{Graph, MergeOrder, Out, To};
use varpin::ring::PopError;

#[derive(Clone, Debug)]
enum Message {
    /// What one unit of the home currency costs: everybody has to know.
    Rate(f64),
    Quote {
        symbol: u32,
        price: f64,
    },
}

#[derive(Clone, Debug)]
enum Answer {
    RateIs(f64),
    Valued { symbol: u32, at_home: f64, smoothed: f64 },
}

/// Keeps a smoothed price of each symbol; the rate is kept by every worker.
fn valuation() -> impl FnMut(&Message, &mut Out<'_, Answer>) {
    let (mut rate, mut smoothed) = (1.0, HashMap::new());
    move |message, out| match message {
        Message::Rate(new_rate) => {
            rate = *new_rate;
            out.send(Answer::RateIs(rate)); // sent by all, and comes once
        }
        Message::Quote { symbol, price } => {
            let at_home = price * rate;
            let kept = smoothed.entry(*symbol).or_insert(at_home);
            *kept += (at_home - *kept) / 8.0;
            out.send(Answer::Valued { symbol: *symbol, at_home, smoothed: *kept });
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut graph = Graph::new().order(MergeOrder::Deterministic);
    let (mut input, messages) = graph.input::<Message>("messages");
    let who = |message: &Message| match message {
        Message::Rate(_) => To::All,
        Message::Quote { symbol, .. } => To::Key(u64::from(*symbol)),
    };
    let valued = graph.pool("valuation", &messages, 2, who, |_worker| valuation());
    let mut output = graph.output("answers", &valued);
    let running = graph.start()?;

    let feeder = std::thread::spawn(move || {
        for n in 0..100_000_u32 {
            if n % 25_000 == 0 {
                input.push(Message::Rate(0.9 + f64::from(n) * 1e-6)).expect("the graph runs");
            }
            let price = 100.0 + f64::from(n % 1_000) / 10.0;
            input.push(Message::Quote { symbol: n % 50, price }).expect("the graph runs");
        }
    });
    let (mut rates, mut values, mut last) = (0, 0, None);
    loop {
        match output.pop() {
            Ok(Answer::RateIs(rate)) => {
                rates += 1;
                println!("the rate is {rate:.3}");
            }
            Ok(Answer::Valued { symbol, at_home, smoothed }) => {
                values += 1;
                last = Some((symbol, at_home, smoothed));
            }
            Err(PopError::Empty) => std::thread::yield_now(),
            Err(PopError::Closed) => break,
        }
    }
    feeder.join().map_err(|_| "the feeder panicked")?;
    let report = running.join(Duration::from_secs(10))?;
    assert_eq!((rates, values), (4, 100_000));
    if let Some((symbol, at_home, smoothed)) = last {
        println!("{values} values; the last: symbol {symbol} at {at_home:.2}, smoothed {smoothed:.2}");
    }
    for worker in &report.workers {
        println!("{}: {} ({})", worker.name, worker.idle, worker.idle_reason);
    }
    Ok(())
}
