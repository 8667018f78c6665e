//! What a ring tells of itself while it is in use: how full it is, how full it has been, what pends in front of it, and
//! how long it takes from being published at one end to being taken at the other.
//!
//! Each end keeps its own numbers and stores them, every now and then, into words that only a reader loads; nothing
//! on the way of an item is touched by anybody but the two ends. A hop is measured with a *stamp*: after every so
//! many items the sending end puts the number of the last one published and the time of it into a small ring of its
//! own beside the real one; the taking end, which counts too, finds it when it has taken that item.

use std::fmt;
use std::time::Instant;

use crossbeam_utils::CachePadded;

use crate::metrics::{LatencyReader, LatencyWriter, shared_latencies};
use crate::ring::{self, Receiver, Sender};
use crate::sync::{Arc, AtomicU64, Ordering};

/// So many reads of a lane are kept to itself before its numbers are stored.
const PUBLISH_EVERY: u32 = 16;

/// The words that the taking end stores.
#[derive(Default)]
struct LaneWords {
    there: AtomicU64,
    most: AtomicU64,
    taken: AtomicU64,
}

/// What a reader has of a ring; clones read the same.
#[derive(Clone)]
pub struct RingGauge {
    name: Arc<str>,
    capacity: usize,
    lane: Arc<CachePadded<LaneWords>>,
    pending: Arc<CachePadded<AtomicU64>>,
    hops: Option<LatencyReader>,
}

/// The sending end of a gauge; for [`OutPort::gauged`](super::OutPort::gauged).
pub struct PortGauge {
    pending: Arc<CachePadded<AtomicU64>>,
    last_pending: usize,
    stamps: Option<StampSender>,
}

/// The taking end of a gauge; for [`FanIn::gauge_lane`](super::FanIn::gauge_lane).
pub struct LaneGauge {
    words: Arc<CachePadded<LaneWords>>,
    there: usize,
    most: usize,
    taken: u64,
    unpublished: u32,
    stamps: Option<StampReceiver>,
}

struct StampSender {
    every: u64,
    /// The next item to be stamped, by its number from 1.
    next: u64,
    ring: Sender<Stamp>,
    origin: Instant,
}

struct StampReceiver {
    ring: Receiver<Stamp>,
    origin: Instant,
    hops: LatencyWriter,
}

/// When the item with this number was published.
#[derive(Clone, Copy, Debug)]
struct Stamp {
    number: u64,
    published_ns: u64,
}

/// A gauge for the ring called `name`. One item of `hop_sample` has its hop measured; 0: none.
pub fn ring_gauge(
    name: impl Into<Arc<str>>,
    capacity: usize,
    hop_sample: u32,
) -> (PortGauge, LaneGauge, RingGauge) {
    let lane = Arc::new(CachePadded::new(LaneWords::default()));
    let pending = Arc::new(CachePadded::new(AtomicU64::new(0)));
    let (mut sending, mut taking, mut hops) = (None, None, None);
    if hop_sample > 0 {
        let every = u64::from(hop_sample);
        // Two stamps are at least `every` items apart, and there are no more items than slots, so there is room.
        let (sender, receiver) = ring::bounded(capacity / hop_sample as usize + 2);
        let (writer, reader) = shared_latencies();
        let origin = Instant::now();
        sending = Some(StampSender { every, next: every, ring: sender, origin });
        taking = Some(StampReceiver { ring: receiver, origin, hops: writer });
        hops = Some(reader);
    }
    (
        PortGauge { pending: Arc::clone(&pending), last_pending: 0, stamps: sending },
        LaneGauge { words: Arc::clone(&lane), there: 0, most: 0, taken: 0, unpublished: 0, stamps: taking },
        RingGauge { name: name.into(), capacity, lane, pending, hops },
    )
}

impl PortGauge {
    /// Everything up to item number `sent` has been published, and so many items pend.
    #[inline]
    pub(super) fn published(&mut self, sent: u64, pending: usize) {
        if pending != self.last_pending {
            self.last_pending = pending;
            // Relaxed: a number to look at; nothing is read on the strength of it.
            self.pending.store(pending as u64, Ordering::Relaxed);
        }
        if let Some(stamps) = &mut self.stamps
            && sent >= stamps.next
        {
            stamps.put(sent);
        }
    }
}

impl StampSender {
    fn put(&mut self, number: u64) {
        let published_ns = self.origin.elapsed().as_nanos() as u64;
        // Without room a sample is missing, that is all.
        let _ = self.ring.push(Stamp { number, published_ns });
        self.next = number + self.every;
    }
}

impl LaneGauge {
    /// So many items are in the ring.
    #[inline]
    pub(super) fn saw(&mut self, there: usize) {
        self.there = there;
        self.most = self.most.max(there);
    }

    /// All items up to number `taken` have been taken.
    #[inline]
    pub(super) fn took(&mut self, taken: u64) {
        self.there = self.there.saturating_sub((taken - self.taken) as usize);
        self.taken = taken;
        if let Some(stamps) = &mut self.stamps {
            stamps.took(taken);
        }
        self.unpublished += 1;
        if self.unpublished == PUBLISH_EVERY {
            self.publish();
        }
    }

    /// There is nothing to take now: time to tell what there was.
    #[inline]
    pub(super) fn rest(&mut self) {
        if self.unpublished > 0 {
            self.publish();
        }
    }

    fn publish(&mut self) {
        self.unpublished = 0;
        // Relaxed, all: numbers to look at; nothing is read on the strength of them.
        self.words.there.store(self.there as u64, Ordering::Relaxed);
        self.words.most.store(self.most as u64, Ordering::Relaxed);
        // Relaxed: as above.
        self.words.taken.store(self.taken, Ordering::Relaxed);
    }
}

impl Drop for LaneGauge {
    fn drop(&mut self) {
        self.rest();
    }
}

impl StampReceiver {
    #[inline]
    fn took(&mut self, taken: u64) {
        let mut now_ns = None;
        while let Ok(stamp) = self.ring.peek()
            && stamp.number <= taken
        {
            let published_ns = stamp.published_ns;
            let now_ns = *now_ns.get_or_insert_with(|| self.origin.elapsed().as_nanos() as u64);
            self.hops.record_ns(now_ns.saturating_sub(published_ns));
            let _ = self.ring.pop();
        }
    }
}

impl RingGauge {
    /// The ring: "from -> to".
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its slots.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many items were in it when its taking end last told.
    pub fn there(&self) -> u64 {
        // Relaxed: as in `LaneGauge::publish`.
        self.lane.there.load(Ordering::Relaxed)
    }

    /// The most items that its taking end has found in it.
    pub fn most(&self) -> u64 {
        // Relaxed: as above.
        self.lane.most.load(Ordering::Relaxed)
    }

    /// How many items were taken, notices of progress included.
    pub fn taken(&self) -> u64 {
        // Relaxed: as above.
        self.lane.taken.load(Ordering::Relaxed)
    }

    /// How many items pend in front of it.
    pub fn pending(&self) -> u64 {
        // Relaxed: as in `PortGauge::published`.
        self.pending.load(Ordering::Relaxed)
    }

    /// How long items were on their way over it, where that is sampled.
    pub fn hops(&self) -> Option<&LatencyReader> {
        self.hops.as_ref()
    }
}

impl fmt::Debug for RingGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingGauge")
            .field("name", &self.name)
            .field("there", &self.there())
            .field("most", &self.most())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PortGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortGauge").finish_non_exhaustive()
    }
}

impl fmt::Debug for LaneGauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneGauge").finish_non_exhaustive()
    }
}
