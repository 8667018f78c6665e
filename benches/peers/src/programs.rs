//! The programs that both engines run, and the readings that they are fed.
//!
//! Readings are chosen so that no count window is left half full: Varpulis loses such windows, and the counts of results could
//! not be compared.

/// Sensors, which are the keys.
pub const SENSORS: usize = 1000;
/// Events come in rounds of one reading of each sensor; a number of events that fills all windows is a multiple of this.
pub const WHOLE: usize = SENSORS * 200;
const ZONES: [&str; 4] = ["north", "east", "south", "west"];

const SENSOR_READING: &str = "
event SensorReading:
    sensor_id: str
    temperature: float
    zone: str
";

/// One in ten passes.
pub const FILTER: &str = "
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

/// One in two passes the first stage, one summary in two the last.
const PIPELINE: &str = "
stream Warm = SensorReading
    .where(temperature > 50.0)
    .emit(sensor_id: sensor_id, temperature: temperature)
stream Summary = Warm
    .partition_by(sensor_id)
    .window(100)
    .aggregate(sensor_id: last(sensor_id), n: count(), mean: avg(temperature))
    .emit(sensor_id: sensor_id, n: n, mean: mean)
stream Alert = Summary
    .where(mean > 74.0)
    .emit(sensor_id: sensor_id, mean: mean)
";

const PIPELINE_IN_CONTEXTS: &str = "
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

/// A program on one thread, and how many results so many events give.
#[derive(Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    streams: &'static str,
    results: fn(usize) -> usize,
}

pub const FILTER_EMIT: Program =
    Program { name: "filter+emit", streams: FILTER, results: |events| events / 10 };
pub const PARTITIONED: Program =
    Program { name: "partitioned count windows", streams: WINDOWS, results: |events| events / 100 };
pub const THREE_STAGES: Program =
    Program { name: "three stages, one thread", streams: PIPELINE, results: pipeline_results };
pub const THREE_CONTEXTS: Program = Program {
    name: "three stages in three contexts",
    streams: PIPELINE_IN_CONTEXTS,
    results: pipeline_results,
};

/// Of each stage: half of the events; a summary of each hundred; of the summaries, those of the sensors that are warm enough. The mean of
/// a sensor is 70 and its offset, because the temperatures that pass are 50, 60, 70, 80 and 90, each as often.
fn pipeline_results(events: usize) -> usize {
    let warm = events / 2;
    let alerting = (0..SENSORS).filter(|sensor| offset(*sensor) > 4.0).count();
    warm + warm / 100 + warm / 100 / SENSORS * alerting
}

impl Program {
    pub fn text(&self) -> String {
        format!("{SENSOR_READING}{}", self.streams)
    }

    pub fn results(&self, events: usize) -> usize {
        assert!(events.is_multiple_of(WHOLE), "a number of events that leaves windows half full");
        (self.results)(events)
    }
}

/// What distinguishes the sensors.
fn offset(sensor: usize) -> f64 {
    (sensor % 16) as f64 * 0.5 + 0.25
}

/// An event, before either engine's form.
pub struct Reading {
    pub time_ms: i64,
    pub sensor: usize,
    pub temperature: f64,
    pub zone: &'static str,
}

impl Reading {
    /// The reading of that number: each sensor in turn, and of each sensor one temperature of every ten degrees in ten readings.
    pub fn number(number: usize) -> Self {
        let (sensor, turn) = (number % SENSORS, number / SENSORS);
        Self {
            time_ms: number as i64,
            sensor,
            temperature: ((turn + sensor) % 10) as f64 * 10.0 + offset(sensor),
            zone: ZONES[sensor % ZONES.len()],
        }
    }
}

/// The sensors' names.
pub fn sensor_names() -> Vec<String> {
    (0..SENSORS).map(|sensor| format!("S{sensor}")).collect()
}
