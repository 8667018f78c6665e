//! State that is written down bit by bit while it goes on changing: pieces of parts.
//!
//! A *part* is what one container keeps (all the keys of a window, say), as items that can be read in any order. It is
//! written as *pieces*, each a run of whole items, and the pieces of all parts lie one behind the other in chunks of
//! one size. How much is written at a time is bounded in bytes, and by the number of things that were looked at.

use super::snapshot::SnapshotError;

/// What a chunk has room for.
pub const CHUNK_BYTES: usize = 1 << 18;
/// A chunk is full when it has so many bytes, so that what comes last finds room, if it is of a usual size.
const FULL_BYTES: usize = CHUNK_BYTES - (1 << 15);
/// What looking at an item costs beside its bytes.
const LOOK_BYTES: usize = 32;
/// A stream has no more parts than that: a few for each of its operators.
const MAX_PARTS: usize = 1 << 20;
/// Stream, part, length.
const HEAD_BYTES: usize = 12;

/// Where pieces are written.
///
/// ```
/// use varpin::event::{Pieces, Snapshot, SnapshotReader};
/// let mut pieces = Pieces::new();
/// let mut left = vec![3_u64, 2, 1];
/// let mut slices = 0;
/// while !left.is_empty() {
///     // Room for about one item at a time.
///     pieces.begin_slice(1);
///     pieces.begin_stream(0);
///     pieces.part(|out| {
///         left.pop().inspect(|item| item.write(out));
///         !left.is_empty()
///     });
///     slices += 1;
/// }
/// assert_eq!(slices, 3);
/// let bytes = pieces.take().concat();
/// let parts = varpin::event::parts_of(&bytes, 1)?;
/// let items = parts[0][0].iter().map(|piece| u64::read(&mut SnapshotReader::new(piece)));
/// assert_eq!(items.collect::<Result<Vec<_>, _>>()?, [1, 2, 3]);
/// # Ok::<(), varpin::event::SnapshotError>(())
/// ```
#[derive(Debug, Default)]
pub struct Pieces {
    full: Vec<Vec<u8>>,
    chunk: Vec<u8>,
    /// Chunks that were used before, empty.
    spare: Vec<Vec<u8>>,
    stream: u32,
    part: u32,
    /// Room in the slice under way.
    room: usize,
    /// Some part has more to write than there was room for.
    has_stopped: bool,
}

impl Pieces {
    /// With nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes chunks to use again.
    pub fn give(&mut self, chunks: impl IntoIterator<Item = Vec<u8>>) {
        self.spare.extend(chunks.into_iter().map(|mut chunk| {
            chunk.clear();
            chunk
        }));
    }

    /// Takes out what was written, in order.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        let mut full = std::mem::take(&mut self.full);
        full.push(std::mem::take(&mut self.chunk));
        full
    }

    /// What is not in pieces goes here, in front of all that is.
    pub fn front(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.full.is_empty(), "pieces come behind it");
        if self.chunk.capacity() == 0 {
            self.chunk = self.fresh();
        }
        &mut self.chunk
    }

    fn fresh(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES))
    }

    /// From here on there is room for so many bytes.
    pub fn begin_slice(&mut self, bytes: usize) {
        self.room = bytes.max(1);
    }

    /// What comes now is of this stream, from its first part on.
    pub fn begin_stream(&mut self, stream: u32) {
        (self.stream, self.part, self.has_stopped) = (stream, 0, false);
    }

    /// Something was looked at; that takes time, too.
    pub fn note_look(&mut self) {
        self.spend(LOOK_BYTES);
    }

    /// Whether the slice has room.
    pub fn has_room(&self) -> bool {
        self.room > 0
    }

    /// Whether a part of the stream has more to write.
    pub fn has_stopped(&self) -> bool {
        self.has_stopped
    }

    fn spend(&mut self, bytes: usize) {
        self.room = self.room.saturating_sub(bytes);
    }

    /// Writes more of the next part, as long as there is room: `more` appends an item (or nothing, where it has only
    /// looked for one), and says whether there is more to come.
    pub fn part(&mut self, mut more: impl FnMut(&mut Vec<u8>) -> bool) {
        let part = self.part;
        self.part += 1;
        let mut head = None;
        while self.room > 0 {
            if self.chunk.len() >= FULL_BYTES || self.chunk.capacity() == 0 {
                self.end_piece(head.take());
                let full = std::mem::take(&mut self.chunk);
                if !full.is_empty() {
                    self.full.push(full);
                }
                self.chunk = self.fresh();
            }
            if head.is_none() {
                head = Some(self.chunk.len());
                self.chunk.extend_from_slice(&self.stream.to_le_bytes());
                self.chunk.extend_from_slice(&part.to_le_bytes());
                self.chunk.extend_from_slice(&[0; 4]);
            }
            let before = self.chunk.len();
            let has_more = more(&mut self.chunk);
            let written = self.chunk.len() - before;
            // A part that has been written already leaves all the room to the next.
            if has_more || written > 0 {
                self.spend(written + LOOK_BYTES);
            }
            if !has_more {
                return self.end_piece(head);
            }
        }
        self.end_piece(head);
        self.has_stopped = true;
    }

    /// Says in front of a piece how long it is; an empty one is none.
    fn end_piece(&mut self, head: Option<usize>) {
        let Some(head) = head else { return };
        let length = self.chunk.len() - head - HEAD_BYTES;
        if length == 0 {
            return self.chunk.truncate(head);
        }
        // An item is far shorter than that: what is in it was bounded when it was made.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.chunk[head + 8..head + HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
    }
}

/// The pieces of a part.
pub type PartPieces<'a> = Vec<&'a [u8]>;

/// By stream (there are so many) and by part, the pieces that lie in `bytes`. A part that has no pieces may be missing.
pub fn parts_of(bytes: &[u8], streams: usize) -> Result<Vec<Vec<PartPieces<'_>>>, SnapshotError> {
    let mut all: Vec<Vec<PartPieces<'_>>> = vec![Vec::new(); streams];
    let mut at = 0;
    while at < bytes.len() {
        let nonsense = SnapshotError { at, expected: "piece" };
        let (stream, part, length) = head_at(bytes, at).ok_or(nonsense)?;
        at += HEAD_BYTES;
        let piece = bytes.get(at..).and_then(|rest| rest.get(..length)).ok_or(nonsense)?;
        at += length;
        let parts = all.get_mut(stream).filter(|_| part < MAX_PARTS).ok_or(nonsense)?;
        if part >= parts.len() {
            parts.resize_with(part + 1, Vec::new);
        }
        parts[part].push(piece);
    }
    Ok(all)
}

fn head_at(bytes: &[u8], at: usize) -> Option<(usize, usize, usize)> {
    let head: &[u8; HEAD_BYTES] = bytes.get(at..)?.first_chunk()?;
    let number =
        |from: usize| u32::from_le_bytes([head[from], head[from + 1], head[from + 2], head[from + 3]]);
    Some((number(0) as usize, number(4) as usize, number(8) as usize))
}
