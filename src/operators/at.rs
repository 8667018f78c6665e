//! Which operator of which stream is at work, as one word that somebody else can read (see [`Place`]).
//!
//! [`Place`]: crate::metrics::Place

/// An operator, or where events come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum At {
    Source,
    Where,
    Emit,
    Select,
    Map,
    PartitionBy,
    Distinct,
    Limit,
    Log,
    Process,
    Window,
    Aggregate,
    OrderBy,
    Join,
    Sequence,
}

/// Their names, in the order of the variants.
const NAMES: [&str; 15] = [
    "source",
    "where",
    "emit",
    "select",
    "map",
    "partition_by",
    "distinct",
    "limit",
    "log",
    "process",
    "window",
    "aggregate",
    "order_by",
    "join",
    "sequence",
];

impl At {
    /// The word for this operator of the stream that another word is of.
    #[inline]
    pub(super) fn beside(self, word: u32) -> u32 {
        word & !0xff | self as u32
    }

    /// The word for this operator of the stream with this rank.
    #[inline]
    pub(super) fn word(self, rank: u16) -> u32 {
        u32::from(rank) << 8 | self as u32
    }
}

/// The rank of the stream and the name of the operator that a word stands for; none for a word that stands for no
/// stream.
///
/// ```
/// assert_eq!(varpin::operators::operator_at(0), None);
/// assert_eq!(varpin::operators::operator_at(3 << 8), Some((3, "source")));
/// ```
pub fn operator_at(word: u32) -> Option<(u16, &'static str)> {
    let rank = u16::try_from(word >> 8).ok().filter(|&rank| rank > 0)?;
    Some((rank, NAMES.get((word & 0xff) as usize)?))
}

#[cfg(test)]
mod tests {
    use super::{At, operator_at};

    #[test]
    fn a_word_says_what_it_was_made_of() {
        for (at, name) in [(At::Source, "source"), (At::Where, "where"), (At::Process, "process")] {
            assert_eq!(operator_at(at.word(9)), Some((9, name)));
        }
        assert_eq!(operator_at(At::Sequence.word(u16::MAX)), Some((u16::MAX, "sequence")));
    }
}
