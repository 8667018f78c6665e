//! What is done to the memory of rings before anything runs, and how much of it there is.

use std::cell::RefCell;

use crate::cores::{LowJitter, huge_page_bytes};
use crate::ring::Sender;

/// Makes rings ready as a [`LowJitter`] asks for, one by one, and adds up what was done.
///
/// ```
/// use varpin::{cores::LowJitter, flow::RingCare, ring};
/// let mut low_jitter = LowJitter::default();
/// low_jitter.prefault_rings = true;
/// let care = RingCare::new(&low_jitter);
/// let (mut sender, _receiver) = ring::bounded::<u64>(512);
/// care.tend(&mut sender);
/// assert_eq!(care.memory().prefaulted_bytes, 4096);
/// ```
#[derive(Debug, Default)]
pub struct RingCare {
    prefault: bool,
    huge_pages: bool,
    tended: RefCell<Tended>,
}

#[derive(Debug, Default)]
struct Tended {
    bytes: u64,
    prefaulted_bytes: u64,
    /// Those for which huge pages were asked for: address and length.
    advised: Vec<(usize, usize)>,
    refusal: Option<String>,
}

/// The memory of a run's rings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingMemory {
    /// Of all slots.
    pub bytes: u64,
    /// Touched before the start.
    pub prefaulted_bytes: u64,
    /// For which huge pages were asked for.
    pub advised_bytes: u64,
    /// What was in huge pages when the run started, in the mappings that hold rings; what else is in such a mapping
    /// counts, too.
    pub huge_page_bytes: u64,
    /// Why huge pages were refused.
    pub refusal: Option<String>,
}

impl RingCare {
    /// Nothing tended yet.
    pub fn new(low_jitter: &LowJitter) -> Self {
        let LowJitter { prefault_rings: prefault, huge_pages, .. } = *low_jitter;
        Self { prefault, huge_pages, tended: RefCell::default() }
    }

    /// Makes a ring ready; to be called before it is used.
    pub fn tend<T>(&self, sender: &mut Sender<T>) {
        let (address, bytes) = sender.memory();
        let mut tended = self.tended.borrow_mut();
        tended.bytes += bytes as u64;
        // First asked for, then touched: so it is huge pages that are faulted in.
        if self.huge_pages {
            match sender.advise_huge_pages() {
                Ok(()) => tended.advised.push((address, bytes)),
                Err(error) => tended.refusal = Some(error.to_string()),
            }
        }
        if self.prefault {
            tended.prefaulted_bytes += sender.prefault() as u64;
        }
    }

    /// What there is, and what was done.
    pub fn memory(&self) -> RingMemory {
        let tended = self.tended.borrow();
        let in_huge_pages = if tended.advised.is_empty() { 0 } else { huge_page_bytes(&tended.advised) };
        RingMemory {
            bytes: tended.bytes,
            prefaulted_bytes: tended.prefaulted_bytes,
            advised_bytes: tended.advised.iter().map(|&(_, bytes)| bytes as u64).sum(),
            huge_page_bytes: in_huge_pages,
            refusal: tended.refusal.clone(),
        }
    }
}
