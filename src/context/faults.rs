//! Faults on purpose: for tests, and for drills of whoever runs a program and wants to see what happens when it fails.
//!
//! A fault strikes at a stream, before it takes an event. Which events it strikes depends on how many the stream has
//! taken, or on a share of them, drawn from a seed; never on the time, and not on which attempt it is: an event that
//! is tried again is struck again, unless the fault says that it heals.
//!
//! A rollback counts nothing twice: events that come again are those that they were, struck if they were to be
//! struck the first time, and not otherwise.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::event::Row;
use crate::sync::{Arc, Mutex, spin_loop};

use super::FLUSH_SEQ;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The operator panics.
    Panic,
    /// The operator fails on the event, as one whose bound is exceeded does.
    Error,
    /// The thread does not come back.
    Stall,
    /// The event takes long.
    Slow,
    /// The context ends of its own accord, after the event.
    Exit,
    /// Writing results fails.
    SinkFail,
}

impl FaultKind {
    const NAMES: [(&'static str, Self); 6] = [
        ("panic", Self::Panic),
        ("error", Self::Error),
        ("stall", Self::Stall),
        ("slow", Self::Slow),
        ("exit", Self::Exit),
        ("sink-fail", Self::SinkFail),
    ];
}

/// A fault, and when it strikes. As text: `kind:key=value,..`.
///
/// ```
/// use varpin::context::{Fault, FaultKind};
/// let fault: Fault = "panic:stream=Stats,every=1000".parse()?;
/// assert_eq!((fault.kind, fault.stream.as_str(), fault.every), (FaultKind::Panic, "Stats", 1000));
/// let failing = "slow:stream=Stats".parse::<Fault>().unwrap_err();
/// assert!(failing.contains("needs for="));
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// What happens.
    pub kind: FaultKind,
    /// The stream at which it strikes; empty for `sink-fail`.
    pub stream: String,
    /// `worker`: of a stream with a pool, the worker at which it strikes, from 0; without it, in front of the pool.
    pub worker: Option<usize>,
    /// `every`: it strikes each event whose number is a multiple of this.
    pub every: u64,
    /// `rate`: it strikes this share of the events, instead of every n-th.
    pub rate: Option<f64>,
    /// `seed`: what the share is drawn from.
    pub seed: u64,
    /// `after`: the first so many events are spared.
    pub after: u64,
    /// `times`: it strikes no more than so often.
    pub times: Option<u64>,
    /// `heals`: an event is struck no more than so often.
    pub heals: Option<u64>,
    /// `for`: how long it takes; a stall without it never ends.
    pub lasts: Option<Duration>,
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let known = FaultKind::NAMES.iter().find(|(name, _)| *name == kind);
        let &(_, kind) = known.ok_or_else(|| {
            let names = FaultKind::NAMES.map(|(name, _)| name).join(", ");
            format!("fault `{text}`: `{kind}` is no kind of fault; known are {names}")
        })?;
        let mut fault = Self {
            kind,
            stream: String::new(),
            worker: None,
            every: 1,
            rate: None,
            seed: 1,
            after: 0,
            times: None,
            heals: None,
            lasts: None,
        };
        for setting in rest.split(',').filter(|setting| !setting.is_empty()) {
            let (key, value) =
                setting.split_once('=').ok_or_else(|| format!("fault `{text}`: `{setting}` has no `=`"))?;
            fault.set(key, value).map_err(|problem| format!("fault `{text}`: {problem}"))?;
        }
        match fault.kind {
            FaultKind::SinkFail if !fault.stream.is_empty() => {
                Err(format!("fault `{text}`: sink-fail has no stream"))
            }
            FaultKind::SinkFail => Ok(fault),
            _ if fault.stream.is_empty() => Err(format!("fault `{text}` needs stream=NAME")),
            FaultKind::Slow if fault.lasts.is_none() => Err(format!("fault `{text}` needs for=TIME")),
            _ => Ok(fault),
        }
    }
}

impl Fault {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let number =
            || value.parse::<u64>().map_err(|_| format!("{key} takes a whole number, not `{value}`"));
        match key {
            "stream" => value.clone_into(&mut self.stream),
            "worker" => self.worker = Some(number()? as usize),
            "every" => self.every = number()?.max(1),
            "seed" => self.seed = number()?,
            "after" => self.after = number()?,
            "times" => self.times = Some(number()?),
            "heals" => self.heals = Some(number()?),
            "rate" => {
                let rate = value.parse().ok().filter(|rate| (0.0..=1.0).contains(rate));
                self.rate =
                    Some(rate.ok_or_else(|| format!("rate takes a number from 0 to 1, not `{value}`"))?);
            }
            "for" => self.lasts = Some(time(value)?),
            _ => {
                return Err(format!(
                    "`{key}` is no setting; known are stream, worker, every, rate, seed, after, times, heals, for"
                ));
            }
        }
        Ok(())
    }
}

/// The name of a unit of time, and how many of it are made a duration.
type Unit = (&'static str, fn(u64) -> Duration);

/// `10ms`, `2s`.
fn time(text: &str) -> Result<Duration, String> {
    let units: [Unit; 4] = [
        ("ns", Duration::from_nanos),
        ("us", Duration::from_micros),
        ("ms", Duration::from_millis),
        ("s", Duration::from_secs),
    ];
    let parse = |&(unit, make): &Unit| text.strip_suffix(unit)?.parse().ok().map(make);
    units.iter().find_map(parse).ok_or_else(|| format!("for takes a time such as 10ms, not `{text}`"))
}

/// Struck events that are remembered for the case that they come again.
const STRUCK_KEPT: usize = 10_000;

/// A fault on its way through a run. Survives what it does: a restarted context has it again, where it was.
#[derive(Clone, Debug)]
pub struct ArmedFault {
    fault: Fault,
    /// Events counted.
    seen: u64,
    /// The event at hand, whether it is to be struck, and how often it was.
    current: u64,
    is_chosen: bool,
    struck: u64,
    /// Strikes in all.
    strikes: u64,
    /// The highest number of an event, and whether the end of the input has come.
    highest: u64,
    has_ended: bool,
    /// After a rollback: events up to this number, and the end, come again.
    comes_again: (u64, bool),
    /// Events that were to be struck, and how often they were.
    known: VecDeque<(u64, u64)>,
}

/// A fault that outlives the streams at which it strikes.
pub type SharedFault = Arc<Mutex<ArmedFault>>;

impl ArmedFault {
    /// Nothing struck yet.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            seen: 0,
            current: u64::MAX,
            is_chosen: false,
            struck: 0,
            strikes: 0,
            highest: 0,
            has_ended: false,
            comes_again: (0, false),
            known: VecDeque::new(),
        }
    }

    /// The fault.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Everything was rolled back: events that have come come again, and are not counted again.
    ///
    /// ```
    /// use varpin::context::ArmedFault;
    /// let mut third = ArmedFault::new("panic:stream=S,every=3".parse()?);
    /// let strikes = |fault: &mut ArmedFault, events: [u64; 4]| events.map(|event| fault.strikes(event));
    /// assert_eq!(strikes(&mut third, [1, 2, 3, 4]), [false, false, true, false]);
    /// third.begins_again();
    /// assert_eq!(strikes(&mut third, [2, 3, 4, 5]), [false, true, false, false]);
    /// assert!(third.strikes(6));
    /// # Ok::<(), String>(())
    /// ```
    pub fn begins_again(&mut self) {
        self.comes_again = (self.highest, self.has_ended);
        self.current = u64::MAX;
    }

    /// Whether the event with this number is struck. The same number again is the same event, tried again.
    pub fn strikes(&mut self, event: u64) -> bool {
        let Fault { times, heals, .. } = self.fault;
        if self.current != event {
            self.current = event;
            self.choose(event);
        }
        let strikes = self.is_chosen
            && times.is_none_or(|times| self.strikes < times)
            && heals.is_none_or(|heals| self.struck < heals);
        if strikes {
            self.strikes += 1;
            self.struck += 1;
            if let Some((_, struck)) = self.known.iter_mut().rev().find(|(known, _)| *known == event) {
                *struck = self.struck;
            }
        }
        strikes
    }

    /// Finds out whether an event that comes now is to be struck.
    fn choose(&mut self, event: u64) {
        let is_end = event >= FLUSH_SEQ;
        let (highest, has_ended) = self.comes_again;
        if if is_end { has_ended } else { event <= highest } {
            let known = self.known.iter().rev().find(|(known, _)| *known == event);
            self.is_chosen = known.is_some();
            self.struck = known.map_or(0, |(_, struck)| *struck);
            return;
        }
        if is_end {
            self.has_ended = true;
        } else {
            self.highest = self.highest.max(event);
        }
        self.seen += 1;
        self.struck = 0;
        let Fault { every, rate, seed, after, .. } = self.fault;
        let number = self.seen.saturating_sub(after);
        self.is_chosen = match rate {
            _ if number == 0 => false,
            Some(rate) => unit(seed ^ self.seen) < rate,
            None => number.is_multiple_of(every),
        };
        if self.is_chosen {
            if self.known.len() == STRUCK_KEPT {
                self.known.pop_front();
            }
            self.known.push_back((event, 0));
        }
    }
}

/// A number from 0 to 1 that looks random, and is the same for the same number.
fn unit(number: u64) -> f64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

/// The faults of a stage, each with the place of its stream.
#[derive(Debug, Default)]
pub(super) struct StageFaults {
    armed: Vec<(usize, SharedFault)>,
    pub(super) exits: bool,
}

impl StageFaults {
    pub(super) fn arm(&mut self, at: usize, fault: &SharedFault) {
        self.armed.push((at, Arc::clone(fault)));
    }

    /// What the stream at this place suffers before it takes `row`. True if it fails on the row.
    pub(super) fn before(&mut self, at: usize, row: &Row) -> bool {
        let mut fails = false;
        for (_, armed) in self.armed.iter().filter(|(place, _)| *place == at) {
            let (kind, lasts) = {
                // Nobody else has it but the stage that takes this one's place, later.
                let mut armed = armed.lock().unwrap_or_else(PoisonError::into_inner);
                if !armed.strikes(row.seq()) {
                    continue;
                }
                (armed.fault.kind, armed.fault.lasts)
            };
            match kind {
                FaultKind::Panic => panic!("injected panic"),
                FaultKind::Error => fails = true,
                FaultKind::Stall | FaultKind::Slow => wait(lasts),
                FaultKind::Exit => self.exits = true,
                FaultKind::SinkFail => {}
            }
        }
        fails
    }
}

/// Keeps the thread busy.
fn wait(lasts: Option<Duration>) {
    let started = Instant::now();
    while lasts.is_none_or(|lasts| started.elapsed() < lasts) {
        spin_loop();
    }
}
