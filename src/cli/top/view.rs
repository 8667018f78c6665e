//! Two looks at a run become tables: what went on between them. A pure function, for the terminal and for tests.

use std::fmt::Write;

use super::told::{Latency, Told};
use crate::cli::gauges::{percent, time};
use crate::cli::summary::grouped;

/// What is to be seen.
#[derive(Debug, PartialEq)]
pub(super) struct View {
    /// A line above all.
    pub(super) heading: String,
    pub(super) tables: Vec<Table>,
}

/// Rows below each other.
#[derive(Debug, PartialEq)]
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) heads: Vec<&'static str>,
    /// So many columns at the left are texts.
    pub(super) texts: usize,
    pub(super) rows: Vec<Vec<String>>,
}

impl View {
    /// What went on since an earlier look; since the run began, where there was none.
    pub(super) fn between(earlier: Option<&Told>, now: &Told) -> Self {
        let nothing = Told::default();
        let earlier = earlier.unwrap_or(&nothing);
        let seconds = (now.uptime_s - earlier.uptime_s).max(1e-9);
        let rate = |now: u64, earlier: u64| grouped((now.saturating_sub(earlier) as f64 / seconds) as u64);
        let mut heading = format!(
            "up {:.1} s   events {} ({}/s)   results {} ({}/s)   dead letters {}",
            now.uptime_s,
            grouped(now.events),
            rate(now.events, earlier.events),
            grouped(now.results),
            rate(now.results, earlier.results),
            grouped(now.dead_letters),
        );
        if let Some(latency) = &now.latency {
            let [p50, p99, p999, longest] = latencies(Some(latency));
            let of = now.latency_sample;
            // Writing into a string cannot fail.
            let _ = write!(
                heading,
                "\nlatency (1/{of}) p50 {p50}   p99 {p99}   p99.9 {p999}   longest {longest}"
            );
        }
        let mut tables = Vec::new();
        if !now.workers.is_empty() {
            let rows = now.workers.iter().map(|worker| {
                let before = earlier.workers.iter().find(|before| before.worker == worker.worker);
                let load = worker.load().since(&before.map(super::told::Worker::load).unwrap_or_default());
                vec![worker.worker.clone(), percent(load.busy_share()), percent(load.asleep_share())]
            });
            let rows = rows.collect();
            tables.push(Table { title: "threads", heads: vec!["thread", "busy", "asleep"], texts: 1, rows });
        }
        if !now.rings.is_empty() {
            let rows = now.rings.iter().enumerate().map(|(at, ring)| {
                let before = earlier.rings.get(at).map_or(0, |before| before.taken);
                let [p50, p99, _, longest] = latencies(ring.hop.as_ref());
                let [slots, rows, most, pending] =
                    [ring.capacity, ring.occupancy, ring.high_water, ring.pending].map(grouped);
                vec![
                    ring.ring.clone(),
                    slots,
                    rows,
                    most,
                    pending,
                    rate(ring.taken, before),
                    p50,
                    p99,
                    longest,
                ]
            });
            let heads =
                vec!["ring", "slots", "rows", "most", "pending", "rows/s", "hop p50", "p99", "longest"];
            tables.push(Table { title: "rings", heads, texts: 1, rows: rows.collect() });
        }
        let rows = now.streams.iter().map(|stream| {
            let before = earlier.streams.iter().find(|before| before.stream == stream.stream);
            let (events, rows) = before.map_or((0, 0), |before| (before.events, before.rows));
            let [late, keys, failed] = [stream.late, stream.keys, stream.failed].map(grouped);
            let (events, rows) = (rate(stream.events, events), rate(stream.rows, rows));
            vec![stream.stream.clone(), stream.context.clone(), events, rows, late, keys, failed]
        });
        let heads = vec!["stream", "context", "events/s", "rows/s", "late", "keys", "failed"];
        tables.push(Table { title: "streams", heads, texts: 2, rows: rows.collect() });
        Self { heading, tables }
    }

    /// As text, for whoever is no terminal.
    pub(super) fn text(&self) -> String {
        let mut out = format!("{}\n", self.heading);
        for table in &self.tables {
            out.push('\n');
            let heads = table.heads.iter().map(|head| (*head).to_owned()).collect();
            let rows: Vec<Vec<String>> = std::iter::once(heads).chain(table.rows.iter().cloned()).collect();
            for row in &rows {
                let cells = row.iter().zip(table.widths()).enumerate().map(|(column, (cell, width))| {
                    if column < table.texts { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                });
                out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
                out.push('\n');
            }
        }
        out
    }
}

impl Table {
    /// How wide each column has to be.
    pub(super) fn widths(&self) -> Vec<usize> {
        let width = |(column, head): (usize, &&str)| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.max().unwrap_or(0).max(head.chars().count())
        };
        self.heads.iter().enumerate().map(width).collect()
    }
}

/// p50, p99, p99.9 and the longest.
fn latencies(latency: Option<&Latency>) -> [String; 4] {
    let Some(latency) = latency.filter(|latency| latency.samples > 0) else {
        return ["", "", "", ""].map(str::to_owned);
    };
    [latency.p50_ns, latency.p99_ns, latency.p999_ns, latency.max_ns]
        .map(|ns| ns.map_or_else(|| "n/a".to_owned(), time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Told {
        serde_json::from_str(text).expect("what a run tells is JSON")
    }

    #[test]
    fn what_is_shown_is_what_went_on_between_two_looks() {
        let look = |uptime_s: f64, count: u64, slept_ns: u64| {
            told(&format!(
                r#"{{"uptime_s":{uptime_s},"events":{count},"results":{count},"unknown":[1],
                "workers":[{{"worker":"a","load":
                    {{"elapsed_ns":{count},"slept_ns":{slept_ns},"worked_ns":{count},"waited_ns":0}}}}],
                "rings":[{{"ring":"input -> a","capacity":64,"occupancy":3,"high_water":9,"taken":{count},
                           "hop":{{"samples":100,"p50_ns":250,"max_ns":9000}}}}],
                "streams":[{{"stream":"S","context":"a","events":{count},"rows":1,"keys":2}}]}}"#
            ))
        };
        let (first, second) = (look(10.0, 1_000, 0), look(12.0, 5_000, 1_000));
        let view = View::between(Some(&first), &second);
        let cells: Vec<Vec<String>> = view.tables.into_iter().map(|table| table.rows[0].clone()).collect();
        // 1,000 of the 4,000 ns between the two were slept, and all of the rest was work.
        assert_eq!(cells[0], ["a", "75 %", "25 %"]);
        assert_eq!(cells[1], ["input -> a", "64", "3", "9", "0", "2,000", "250 ns", "n/a", "9.00 us"]);
        assert_eq!(cells[2], ["S", "a", "2,000", "0", "0", "2", "0"]);
        assert!(view.heading.contains("events 5,000 (2,000/s)"), "{}", view.heading);
        let since_the_beginning = View::between(None, &first);
        assert!(since_the_beginning.heading.contains("(100/s)"), "{}", since_the_beginning.heading);
    }

    #[test]
    fn as_text_columns_stand_below_each_other() {
        let now = told(
            r#"{"streams":[{"stream":"Long","context":"a","events":7},{"stream":"S","context":"main"}],
            "uptime_s":1.0,"latency_sample":64,"latency":{"samples":20,"p50_ns":1500,"max_ns":2000}}"#,
        );
        let text = View::between(None, &now).text();
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            [
                "latency (1/64) p50 1.50 us   p99 n/a   p99.9 n/a   longest 2.00 us",
                "",
                "stream  context  events/s  rows/s  late  keys  failed",
                "Long    a               7       0     0     0       0",
                "S       main            0       0     0     0       0",
            ]
        );
    }
}
