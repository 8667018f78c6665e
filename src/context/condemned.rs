//! What a stage does not run again after a rollback: items that made it fail too often. They become dead letters when
//! they come again, and the stream goes on behind them.
//!
//! After a rollback another stage, made anew, gets the same rows; so a row is known again by its number and its
//! content, and not by where it lies. A round is known by its number.

use crate::event::{Row, Snapshot};
use crate::flow::BlamedItem;
use crate::operators::OperatorError;

use super::streams::Failure;

/// The items of one stage.
#[derive(Debug)]
pub struct Condemned(Vec<(BlamedItem, OperatorError)>);

impl Condemned {
    /// These items, each with what the stage failed with; none where there are none, so that nobody has to look.
    pub fn new(items: Vec<(BlamedItem, OperatorError)>) -> Option<Box<Self>> {
        (!items.is_empty()).then(|| Box::new(Self(items)))
    }

    fn of(&self, is_it: impl Fn(BlamedItem) -> bool) -> Option<&OperatorError> {
        self.0.iter().find(|(item, _)| is_it(*item)).map(|(_, error)| error)
    }

    /// The letter of a row, if it is condemned.
    #[inline]
    pub(super) fn row(&self, row: &Row) -> Option<Failure> {
        let seq = row.seq();
        let is_it = |item| matches!(item, BlamedItem::One { seq: own, .. } if own == seq);
        self.of(is_it)?;
        let item = blamed(row);
        let error = self.of(|own| own == item)?.clone();
        Some(Failure { error, row: Some(row.clone()), fatal: false })
    }

    /// What the stage failed with on the round with this number, if that is condemned.
    pub(super) fn round(&self, seq: u64) -> Option<&OperatorError> {
        self.of(|item| item == BlamedItem::Round(seq))
    }

    /// What the stage failed with at the end of the input, if that is condemned.
    pub(super) fn end(&self) -> Option<&OperatorError> {
        self.of(|item| item == BlamedItem::End)
    }
}

/// A row as what a stage failed on.
pub(super) fn blamed(row: &Row) -> BlamedItem {
    let mut bytes = Vec::new();
    row.write(&mut bytes);
    // FNV-1a: nothing depends on it beyond this process, and two rows of one number seldom have the same.
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    BlamedItem::One { seq: row.seq(), content: bytes.iter().fold(0xcbf2_9ce4_8422_2325, hash) }
}
