//! The programs that both engines run, with the events that they are fed and how many results are due.
//!
//! Events are chosen so that both engines owe the same number of results, although they do not agree on everything: no
//! count window is left half full (Varpulis loses those), each run of a sequence is completed (Varpulis takes `within` by
//! the clock on the wall), an `all` takes six events (at most twenty there), an event of a join meets one other (Varpulis
//! joins the newest one only).

use crate::samples::{
    Kind, ORDERS, PAID_AFTER, READINGS, SENSORS, SESSIONS, Sample, USERS, offset, order, reading, risk,
    session,
};

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

const SESSION_EVENTS: &str = "
event Login:
    user: str
    country: str
event Transfer:
    user: str
    amount: float
event Logout:
    user: str
";

const TWO_STEPS: &str = "
stream Risky = Login as login
    -> Transfer where user == login.user and amount > 500.0 as transfer
    .within(1h)
    .emit(user: login.user, country: login.country, amount: transfer.amount)
";

const TWO_STEPS_BY_KEY: &str = "
stream Risky = Login as login
    -> Transfer where amount > 500.0 as transfer
    .within(1h)
    .partition_by(user)
    .emit(user: login.user, country: login.country, amount: transfer.amount)
";

const KLEENE: &str = "
stream Visits = Login as login
    -> all Transfer as moves
    -> Logout as logout
    .within(1h)
    .partition_by(user)
    .longest()
    .emit(user: login.user, moves: count(moves), total: sum(moves.amount))
";

const JOIN: &str = "
event Order:
    id: int
    customer: str
    amount: float
event Payment:
    id: int
    method: str
stream Paid = join(Order, Payment)
    .on(Order.id == Payment.id)
    .window(2s)
    .emit(id: Order.id, customer: Order.customer, amount: Order.amount, method: Payment.method)
";

/// Eight steps of arithmetic an event; one event in ten is told.
const FUNCTION: &str = "
fn smoothed(value: float, steps: int) -> float:
    var level = value
    for step in 0..steps:
        level := level * 0.75 + value * 0.25 + step
    return level

fn assess(sensor: str, value: float):
    let level = smoothed(value, 8)
    let rest = abs(level - value)
    if level > 107.5 and rest < 50.0:
        emit Alarm(sensor: sensor, level: level)

stream Alarms = SensorReading
    .process(assess(sensor_id, temperature))
";

/// How Varpulis takes the events of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Path {
    /// `process_batch_sync`.
    Sync,
    /// `process_batch` on a runtime of the caller's thread: the synchronous path does not run joins at all.
    Async,
}

/// A program, what it is fed, and how many results so many events give.
#[derive(Clone, Copy)]
pub struct Program {
    pub name: &'static str,
    /// Declarations of the events, then the streams.
    text: [&'static str; 2],
    pub kinds: &'static [Kind],
    pub sample: fn(usize) -> Sample,
    pub path: Path,
    /// A number of events that leaves nothing half done is a multiple of this.
    whole: usize,
    results: fn(usize) -> usize,
}

/// Events come in rounds of one reading of each sensor; this many fill all windows.
pub const WHOLE: usize = SENSORS * 200;

const OF_READINGS: Program = Program {
    name: "",
    text: [SENSOR_READING, ""],
    kinds: READINGS,
    sample: reading,
    path: Path::Sync,
    whole: WHOLE,
    results: |_| 0,
};

const OF_SESSIONS: Program =
    Program { text: [SESSION_EVENTS, ""], kinds: SESSIONS, sample: risk, whole: USERS * 8, ..OF_READINGS };

pub const FILTER_EMIT: Program = Program {
    name: "filter+emit",
    text: [SENSOR_READING, FILTER],
    results: |events| events / 10,
    ..OF_READINGS
};
pub const PARTITIONED: Program = Program {
    name: "partitioned count windows",
    text: [SENSOR_READING, WINDOWS],
    results: |events| events / 100,
    ..OF_READINGS
};
pub const THREE_STAGES: Program = Program {
    name: "three stages, one thread",
    text: [SENSOR_READING, PIPELINE],
    results: pipeline_results,
    ..OF_READINGS
};
pub const THREE_CONTEXTS: Program = Program {
    name: "three stages in three contexts",
    text: [SENSOR_READING, PIPELINE_IN_CONTEXTS],
    results: pipeline_results,
    ..OF_READINGS
};
pub const SEQUENCE: Program = Program {
    name: "sequence of two steps, key in its condition",
    text: [SESSION_EVENTS, TWO_STEPS],
    results: |events| events / 4,
    ..OF_SESSIONS
};
pub const SEQUENCE_BY_KEY: Program = Program {
    name: "sequence of two steps, by partition",
    text: [SESSION_EVENTS, TWO_STEPS_BY_KEY],
    results: |events| events / 4,
    ..OF_SESSIONS
};
pub const ALL: Program = Program {
    name: "sequence with `all`, by partition",
    text: [SESSION_EVENTS, KLEENE],
    sample: session,
    results: |events| events / 8,
    ..OF_SESSIONS
};
pub const JOINED: Program = Program {
    name: "join in a window",
    text: ["", JOIN],
    kinds: ORDERS,
    sample: order,
    path: Path::Async,
    whole: 2,
    results: |events| events / 2 - PAID_AFTER,
};
pub const FUNCTIONS: Program = Program {
    name: "functions by `.process`",
    text: [SENSOR_READING, FUNCTION],
    results: |events| events / 10,
    ..OF_READINGS
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
        self.text.concat()
    }

    pub fn results(&self, events: usize) -> usize {
        assert!(events.is_multiple_of(self.whole), "a number of events that leaves something half done");
        (self.results)(events)
    }
}
