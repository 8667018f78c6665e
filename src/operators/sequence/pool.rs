//! Where the runs of a sequence lie: events, captures and runs in three pools, each place used again once
//! nothing refers to it.
//!
//! An event that several runs capture is held once. What a run has captured for a step is a list from the
//! newest event back; a copied run shares the list of its original and grows it separately from there on, so
//! copying costs one count per step.

use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader};

/// No place.
pub(super) const NONE: u32 = u32::MAX;
/// The arrival of a run that has ended.
const NOBODY: u64 = u64::MAX;

/// What a run has captured for one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Captured {
    /// The first event.
    pub(super) first: u32,
    /// The last event.
    pub(super) last: u32,
    /// How many there are.
    pub(super) count: u32,
    /// The link of the last event.
    link: u32,
}

impl Captured {
    pub(super) const NOTHING: Self = Self { first: NONE, last: NONE, count: 0, link: NONE };

    /// A selection of what was captured: it refers to events that a run holds.
    pub(super) fn picked(events: &[u32]) -> Self {
        match (events.first(), events.last()) {
            (Some(&first), Some(&last)) => Self { first, last, count: events.len() as u32, link: NONE },
            _ => Self::NOTHING,
        }
    }
}

/// A run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// The last step for which it has captured something.
    pub(super) at: usize,
    /// The place of its first event among all that have started a run.
    pub(super) arrival: u64,
    /// The last time at which it can capture something.
    pub(super) end_ns: i64,
    /// Events that it has captured.
    pub(super) events: usize,
    /// Whether it takes nothing any more, and waits for its end only.
    pub(super) closed: bool,
    /// Where it stands among those that wait, if runs are found by what they wait for.
    pub(super) bucket: u32,
}

#[derive(Debug)]
struct Held {
    row: Row,
    references: u32,
}

#[derive(Debug)]
struct Link {
    event: u32,
    before: u32,
    references: u32,
}

#[derive(Debug)]
pub(super) struct Pool {
    steps: usize,
    events: Vec<Held>,
    free_events: Vec<u32>,
    links: Vec<Link>,
    free_links: Vec<u32>,
    runs: Vec<Run>,
    free_runs: Vec<u32>,
    /// For each run, what it has captured, step by step.
    captured: Vec<Captured>,
}

impl Pool {
    pub(super) fn new(steps: usize) -> Self {
        Self {
            steps,
            events: Vec::new(),
            free_events: Vec::new(),
            links: Vec::new(),
            free_links: Vec::new(),
            runs: Vec::new(),
            free_runs: Vec::new(),
            captured: Vec::new(),
        }
    }

    /// Events that are held.
    pub(super) fn events(&self) -> usize {
        self.events.len() - self.free_events.len()
    }

    /// Runs that are open.
    pub(super) fn runs(&self) -> usize {
        self.runs.len() - self.free_runs.len()
    }

    /// Holds a copy of `row` until it is released.
    pub(super) fn hold(&mut self, row: &Row) -> u32 {
        if let Some(free) = self.free_events.pop() {
            let held = &mut self.events[free as usize];
            held.row.clone_from(row);
            held.references = 1;
            return free;
        }
        self.events.push(Held { row: row.clone(), references: 1 });
        (self.events.len() - 1) as u32
    }

    pub(super) fn release(&mut self, event: u32) {
        let held = &mut self.events[event as usize];
        held.references -= 1;
        if held.references == 0 {
            // So that no shared value lives on in a free place.
            held.row.clear();
            self.free_events.push(event);
        }
    }

    pub(super) fn row(&self, event: u32) -> &Row {
        &self.events[event as usize].row
    }

    /// A run that has captured nothing.
    pub(super) fn start(&mut self, arrival: u64, end_ns: i64) -> u32 {
        self.place(Run { at: 0, arrival, end_ns, events: 0, closed: false, bucket: NONE })
    }

    fn place(&mut self, run: Run) -> u32 {
        if let Some(free) = self.free_runs.pop() {
            self.runs[free as usize] = run;
            return free;
        }
        self.runs.push(run);
        self.captured.resize(self.runs.len() * self.steps, Captured::NOTHING);
        (self.runs.len() - 1) as u32
    }

    pub(super) fn run(&self, run: u32) -> &Run {
        &self.runs[run as usize]
    }

    pub(super) fn run_mut(&mut self, run: u32) -> &mut Run {
        &mut self.runs[run as usize]
    }

    /// Whether `run` is still the one that was started by that event.
    pub(super) fn is_open(&self, run: u32, arrival: u64) -> bool {
        self.runs[run as usize].arrival == arrival
    }

    /// What a run has captured, step by step.
    pub(super) fn captured(&self, run: u32) -> &[Captured] {
        let from = run as usize * self.steps;
        &self.captured[from..from + self.steps]
    }

    /// Adds an event to what a run has captured for a step.
    pub(super) fn capture(&mut self, run: u32, step: usize, event: u32) {
        self.events[event as usize].references += 1;
        let place = &mut self.captured[run as usize * self.steps + step];
        // The reference that the run had to the link before is the new link's from here on.
        let link = Link { event, before: place.link, references: 1 };
        let number = if let Some(free) = self.free_links.pop() {
            self.links[free as usize] = link;
            free
        } else {
            self.links.push(link);
            (self.links.len() - 1) as u32
        };
        place.link = number;
        place.last = event;
        if place.count == 0 {
            place.first = event;
        }
        place.count += 1;
        let run = &mut self.runs[run as usize];
        run.at = step;
        run.events += 1;
    }

    /// A second run that has captured what `run` has.
    pub(super) fn copy(&mut self, run: u32) -> u32 {
        let copy = self.place(self.runs[run as usize]);
        for step in 0..self.steps {
            let captured = self.captured[run as usize * self.steps + step];
            if captured.link != NONE {
                self.links[captured.link as usize].references += 1;
            }
            self.captured[copy as usize * self.steps + step] = captured;
        }
        copy
    }

    /// Ends a run.
    pub(super) fn end(&mut self, run: u32) {
        for step in 0..self.steps {
            let place = &mut self.captured[run as usize * self.steps + step];
            let mut link = std::mem::replace(place, Captured::NOTHING).link;
            while link != NONE {
                let shared = &mut self.links[link as usize];
                shared.references -= 1;
                if shared.references > 0 {
                    break;
                }
                let (event, before) = (shared.event, shared.before);
                self.free_links.push(link);
                self.release(event);
                link = before;
            }
        }
        self.runs[run as usize].arrival = NOBODY;
        self.free_runs.push(run);
    }

    /// Puts the events of a step into `list`, first to last.
    pub(super) fn list(&self, captured: &Captured, list: &mut Vec<u32>) {
        list.clear();
        let mut link = captured.link;
        while link != NONE {
            let Link { event, before, .. } = &self.links[link as usize];
            list.push(*event);
            link = *before;
        }
        list.reverse();
    }
}

impl Snapshot for Captured {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { first, last, count, link } = self;
        for number in [first, last, count, link] {
            number.write(out);
        }
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (first, last) = (Snapshot::read(from)?, Snapshot::read(from)?);
        Ok(Self { first, last, count: Snapshot::read(from)?, link: Snapshot::read(from)? })
    }
}

impl Snapshot for Run {
    fn write(&self, out: &mut Vec<u8>) {
        // Where it waits is found out anew.
        let Self { at, arrival, end_ns, events, closed, bucket: _ } = self;
        at.write(out);
        arrival.write(out);
        end_ns.write(out);
        events.write(out);
        closed.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (at, arrival) = (Snapshot::read(from)?, Snapshot::read(from)?);
        let (end_ns, events) = (Snapshot::read(from)?, Snapshot::read(from)?);
        Ok(Self { at, arrival, end_ns, events, closed: Snapshot::read(from)?, bucket: NONE })
    }
}

impl Snapshot for Held {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { row, references } = self;
        references.write(out);
        if *references > 0 {
            row.write(out);
        }
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let references = u32::read(from)?;
        Ok(Self { row: if references > 0 { Row::read(from)? } else { Row::new(0, 0, 0) }, references })
    }
}

impl Snapshot for Link {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { event, before, references } = self;
        for number in [event, before, references] {
            number.write(out);
        }
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (event, before) = (Snapshot::read(from)?, Snapshot::read(from)?);
        Ok(Self { event, before, references: Snapshot::read(from)? })
    }
}

/// The three pools as they lie, free places too, because they refer to each other by place.
impl Keeps for Pool {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { steps: _, events, free_events, links, free_links, runs, free_runs, captured } = self;
        events.write(out);
        free_events.write(out);
        links.write(out);
        free_links.write(out);
        runs.write(out);
        free_runs.write(out);
        captured.write(out);
    }

    fn save_more(&mut self, _pieces: &mut Pieces) {}

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.events = Snapshot::read(from)?;
        self.free_events = Snapshot::read(from)?;
        self.links = Snapshot::read(from)?;
        self.free_links = Snapshot::read(from)?;
        self.runs = Snapshot::read(from)?;
        self.free_runs = Snapshot::read(from)?;
        self.captured = Snapshot::read(from)?;
        if self.is_consistent() { Ok(()) } else { Err(from.error("runs of a sequence")) }
    }
}

impl Pool {
    /// Whether every place that is named is there.
    fn is_consistent(&self) -> bool {
        let within = |place: u32, len: usize| (place as usize) < len;
        let (events, links, runs) = (self.events.len(), self.links.len(), self.runs.len());
        let captured = |captured: &Captured| {
            let Captured { first, last, link, count } = *captured;
            if count == 0 {
                link == NONE
            } else {
                within(first, events) && within(last, events) && within(link, links)
            }
        };
        self.free_events.iter().all(|&place| within(place, events))
            && self.free_links.iter().all(|&place| within(place, links))
            && self.free_runs.iter().all(|&place| within(place, runs))
            && self
                .links
                .iter()
                .all(|link| within(link.event, events) && (link.before == NONE || within(link.before, links)))
            && self.runs.iter().all(|run| run.at < self.steps)
            && self.captured.len() == runs * self.steps
            && self.captured.iter().all(captured)
    }

    /// Whether there is such a run.
    pub(super) fn has(&self, run: u32) -> bool {
        (run as usize) < self.runs.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copies_share_is_let_go_of_with_the_last_of_them() {
        let mut pool = Pool::new(2);
        let [first, second, third] = [1, 2, 3].map(|time_ns| pool.hold(&Row::new(0, time_ns, 0)));
        let run = pool.start(0, 0);
        pool.capture(run, 0, first);
        pool.capture(run, 1, second);
        let copy = pool.copy(run);
        pool.capture(copy, 1, third);
        for event in [first, second, third] {
            pool.release(event);
        }
        let mut list = Vec::new();
        pool.list(&pool.captured(run)[1], &mut list);
        assert_eq!(list, [second]);
        pool.end(run);
        pool.list(&pool.captured(copy)[1], &mut list);
        assert_eq!(list, [second, third]);
        assert_eq!((pool.events(), pool.runs()), (3, 1));
        pool.end(copy);
        assert_eq!((pool.events(), pool.runs()), (0, 0));
    }
}
