//! The events that the programs are fed, before either engine's form: a kind, a time, and up to three values.

/// Sensors, which are the keys of the readings.
pub const SENSORS: usize = 1000;
/// Users, which are the keys of the sequences: so many runs are open at a time.
pub const USERS: usize = 100;
/// So many orders later the payment comes.
pub const PAID_AFTER: usize = 250;
const ZONES: [&str; 4] = ["north", "east", "south", "west"];

/// A type of event and its fields.
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub fields: &'static [&'static str],
}

/// A value of an event.
#[derive(Clone, Copy)]
pub enum Scalar {
    /// The name of a sensor or a user, by number.
    Name(usize),
    Text(&'static str),
    Int(i64),
    Float(f64),
}

/// An event: a kind by number, its time, and a value for each field that the kind has.
pub struct Sample {
    pub kind: usize,
    pub time_ms: i64,
    pub values: [Scalar; 3],
}

/// The names of sensors and users.
pub fn names() -> Vec<String> {
    (0..SENSORS).map(|number| format!("S{number}")).collect()
}

pub const READINGS: &[Kind] =
    &[Kind { name: "SensorReading", fields: &["sensor_id", "temperature", "zone"] }];

/// What distinguishes the sensors.
pub fn offset(sensor: usize) -> f64 {
    (sensor % 16) as f64 * 0.5 + 0.25
}

/// Each sensor in turn, and of each sensor one temperature of every ten degrees in ten readings.
pub fn reading(number: usize) -> Sample {
    let (sensor, turn) = (number % SENSORS, number / SENSORS);
    let temperature = ((turn + sensor) % 10) as f64 * 10.0 + offset(sensor);
    let zone = ZONES[sensor % ZONES.len()];
    Sample {
        kind: 0,
        time_ms: number as i64,
        values: [Scalar::Name(sensor), Scalar::Float(temperature), Scalar::Text(zone)],
    }
}

pub const SESSIONS: &[Kind] = &[
    Kind { name: "Login", fields: &["user", "country"] },
    Kind { name: "Transfer", fields: &["user", "amount"] },
    Kind { name: "Logout", fields: &["user"] },
];

/// The user whose turn it is, and the phase: in a phase all users do the same, and in each in another order.
fn turn(number: usize) -> (usize, usize) {
    let (place, phase) = (number % USERS, number / USERS);
    // Odd and no multiple of 5, so that every user comes once.
    let step = [1, 37, 73, 19, 91, 53][phase % 6];
    ((place * step + phase) % USERS, phase)
}

fn login(number: usize, user: usize) -> Sample {
    let country = ["fr", "de", "it"][number % 3];
    let values = [Scalar::Name(user), Scalar::Text(country), Scalar::Int(0)];
    Sample { kind: 0, time_ms: number as i64, values }
}

fn transfer(number: usize, user: usize, amount: f64) -> Sample {
    let values = [Scalar::Name(user), Scalar::Float(amount), Scalar::Int(0)];
    Sample { kind: 1, time_ms: number as i64, values }
}

/// Each user logs in, makes two small transfers and a large one.
pub fn risk(number: usize) -> Sample {
    let (user, phase) = turn(number);
    match phase % 4 {
        0 => login(number, user),
        3 => transfer(number, user, 900.0 + offset(user)),
        small => transfer(number, user, 100.0 * small as f64 + offset(user)),
    }
}

/// Each user logs in, makes six transfers and logs out.
pub fn session(number: usize) -> Sample {
    let (user, phase) = turn(number);
    match phase % 8 {
        0 => login(number, user),
        7 => Sample { kind: 2, time_ms: number as i64, values: [Scalar::Name(user); 3] },
        turn => transfer(number, user, 10.0 * turn as f64 + offset(user)),
    }
}

pub const ORDERS: &[Kind] = &[
    Kind { name: "Order", fields: &["id", "customer", "amount"] },
    Kind { name: "Payment", fields: &["id", "method"] },
];

/// An order, and the payment of an earlier one, by turns.
pub fn order(number: usize) -> Sample {
    let order = number / 2;
    let time_ms = number as i64;
    if number.is_multiple_of(2) {
        let values =
            [Scalar::Int(order as i64), Scalar::Name(order % SENSORS), Scalar::Float(offset(order) * 100.0)];
        return Sample { kind: 0, time_ms, values };
    }
    let id = order as i64 - PAID_AFTER as i64;
    Sample { kind: 1, time_ms, values: [Scalar::Int(id), Scalar::Text("card"), Scalar::Int(0)] }
}
