//! Whole programs in process: how many events a second go through filter+emit, partitioned count windows, and three stages, inline
//! and in three contexts. Events are built in batches that stay in the caches, as those of a reader would.
//!
//! `benches/peers/` runs the same programs beside Varpulis; this one is for telling whether a change has made them faster.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use varpin::engine::{Engine, Event, EventType, Field, Program};

const SENSORS: usize = 1000;
/// Events built at a time.
const BATCH: u64 = 1000;

const READING: &str = "
event SensorReading:
    sensor_id: str
    temperature: float
    zone: str
";

const FILTER: &str = "
stream Hot = SensorReading
    .where(temperature > 90.0)
    .emit(sensor_id: sensor_id, temperature: temperature)
";

const WINDOWS: &str = "
stream Summary = SensorReading
    .partition_by(sensor_id)
    .window(100)
    .aggregate(sensor_id: last(sensor_id), n: count(), total: sum(temperature), mean: avg(temperature))
    .emit(sensor_id: sensor_id, n: n, total: total, mean: mean)
";

/// Three stages; `contexts` says where they run.
fn pipeline(in_contexts: bool) -> String {
    let text = "
context ingest
context summarise
context alert
stream Warm = SensorReading
    .context(ingest)
    .where(temperature > 50.0)
    .emit(context: summarise, sensor_id: sensor_id, temperature: temperature)
stream Summary = Warm
    .context(summarise)
    .partition_by(sensor_id)
    .window(100)
    .aggregate(sensor_id: last(sensor_id), n: count(), mean: avg(temperature))
    .emit(context: alert, sensor_id: sensor_id, n: n, mean: mean)
stream Alert = Summary
    .context(alert)
    .where(mean > 74.0)
    .emit(sensor_id: sensor_id, mean: mean)
";
    let on_one_thread =
        |line: &&str| !line.trim_start().starts_with(".context(") && !line.starts_with("context ");
    if in_contexts {
        text.to_owned()
    } else {
        let lines: Vec<&str> = text.lines().filter(on_one_thread).collect();
        lines.join("\n").replace("context: summarise, ", "").replace("context: alert, ", "")
    }
}

/// Makes events: each sensor in turn, and of each sensor one temperature of every ten degrees in ten readings.
struct Readings {
    reading: EventType,
    fields: [Field; 3],
    sensors: Vec<String>,
}

impl Readings {
    fn of(engine: &Engine) -> Self {
        let reading = engine.event_type("SensorReading").expect("the program declares it");
        let fields = ["sensor_id", "temperature", "zone"]
            .map(|name| reading.field(name).expect("the program declares it"));
        Self { reading, fields, sensors: (0..SENSORS).map(|sensor| format!("S{sensor}")).collect() }
    }

    fn event(&self, number: u64) -> Event {
        let (sensor, turn) = (number as usize % SENSORS, number as usize / SENSORS);
        let temperature = ((turn + sensor) % 10) as f64 * 10.0 + (sensor % 16) as f64 * 0.5 + 0.25;
        let mut event = self.reading.event(number as i64 * 1_000_000);
        let [id, degrees, zone] = &self.fields;
        event
            .set(id, self.sensors[sensor].as_str())
            .and_then(|()| event.set(degrees, temperature))
            .and_then(|()| event.set(zone, "north"))
            .expect("the values have the declared types");
        event
    }
}

/// Feeds so many events; the time of feeding them and of getting the last result. With contexts building the events counts too: the
/// contexts would go on working while the clock stands still.
fn run(program: &Program, publish_every: usize, events: u64) -> Duration {
    let mut engine =
        Engine::builder(program).publish_every(publish_every).build().expect("the program can run here");
    let is_inline = engine.is_inline();
    let readings = Readings::of(&engine);
    let mut batch = Vec::with_capacity(BATCH as usize);
    let mut elapsed = Duration::ZERO;
    let first_built = Instant::now();
    for first in (0..events).step_by(BATCH as usize) {
        batch.extend((first..events.min(first + BATCH)).map(|number| readings.event(number)));
        let started = Instant::now();
        for event in batch.drain(..) {
            engine
                .feed(event, |result| {
                    black_box(result);
                })
                .expect("the engine takes events");
        }
        elapsed += started.elapsed();
    }
    let started = Instant::now();
    engine
        .finish(|result| {
            black_box(result);
        })
        .expect("the run ends well");
    if is_inline { elapsed + started.elapsed() } else { first_built.elapsed() }
}

fn programs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipeline");
    group.throughput(Throughput::Elements(1));
    for (name, streams) in [
        ("filter_emit", FILTER.to_owned()),
        ("partitioned_windows", WINDOWS.to_owned()),
        ("three_stages_inline", pipeline(false)),
    ] {
        let program = Program::parse(&format!("{READING}{streams}")).expect("a valid program");
        group.bench_function(name, |bencher| bencher.iter_custom(|events| run(&program, 1, events)));
    }
    let program = Program::parse(&format!("{READING}{}", pipeline(true))).expect("a valid program");
    for publish_every in [1, 64] {
        group.bench_function(BenchmarkId::new("three_contexts/publish_every", publish_every), |bencher| {
            bencher.iter_custom(|events| run(&program, publish_every, events));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .sample_size(20);
    targets = programs
}
criterion_main!(benches);
