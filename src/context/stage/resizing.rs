//! A stage's part in the resizing of pools (see `context::elastic`): between two duty cycles it does what it is told.

use std::collections::VecDeque;

use crate::context::FLUSH_SEQ;
use crate::context::elastic::{Mail, Move, Resize, StageCommand};
use crate::event::Value;
use crate::event::order::key_hash;
use crate::flow::{MergeOrder, RingLeft, way_of};
use crate::ring::Receiver;

use super::ContextStage;

/// What a stage of a program with pools knows of resizes.
pub(super) struct Resizing {
    inbox: Receiver<StageCommand>,
    /// Of a front: what waits for its barrier, one after the other.
    resizes: VecDeque<Resize>,
    /// Of a front: ports to workers that leave, until everything is on its way.
    leaving: Vec<usize>,
    /// Rings to workers that have left, until they have taken everything.
    pub(super) left: Vec<RingLeft>,
    /// Of a worker: what it has to do at the barriers to come.
    moves: VecDeque<Move>,
    /// Of a worker: barriers that have come and have not been passed.
    pub(super) barriers: usize,
    /// Of a worker: the mail that it waits for.
    awaited: Option<Move>,
    /// Lanes that were added: the one beside, and the new one.
    added: Vec<(usize, usize)>,
}

impl Resizing {
    pub(super) fn new(inbox: Receiver<StageCommand>) -> Self {
        Self {
            inbox,
            resizes: VecDeque::new(),
            leaving: Vec::new(),
            left: Vec::new(),
            moves: VecDeque::new(),
            barriers: 0,
            awaited: None,
            added: Vec::new(),
        }
    }

    /// Whether rows have to wait for mail.
    pub(super) fn waits_for_mail(&self) -> bool {
        self.awaited.is_some() || self.barriers > 0
    }

    /// Whether the barrier is to be sent as soon as the last sequence number is complete.
    pub(super) fn is_about_to_send_barrier(&self) -> bool {
        self.resizes.front().is_some_and(Resize::can_begin)
    }
}

impl ContextStage {
    /// Does what the stage has been told to since the last duty cycle.
    pub(super) fn obey(&mut self) {
        let Some(resizing) = &mut self.resizing else { return };
        // No more than the inbox holds.
        for _ in 0..resizing.inbox.capacity() {
            let Ok(command) = resizing.inbox.pop() else { break };
            match command {
                StageCommand::Lane { end, beside, taken } => {
                    let ended = resizing
                        .added
                        .iter()
                        .find(|&&(by, lane)| by == beside && self.inputs.lane_has_ended(lane));
                    if let Some(&(_, lane)) = ended {
                        self.inputs.replace(lane, end);
                    } else {
                        let lane = self.inputs.add(end);
                        resizing.added.push((beside, lane));
                        self.streams.add_lane(beside, lane);
                        if let Some(progress) = &mut self.held_back {
                            progress.push(0);
                        }
                    }
                    taken.set();
                }
                StageCommand::Workers { stream, workers, ports, after } => {
                    let ports = ports.into_iter().map(|port| self.rings.ports.add(port)).collect();
                    resizing.resizes.push_back(Resize { stream, workers, ports, after });
                }
                StageCommand::Move { workers, outgoing, incoming, done } => {
                    resizing.moves.push_back(Move { workers, outgoing, incoming, done });
                }
            }
        }
        self.take_mail();
    }

    /// Sends the barrier, if its time has come.
    pub(super) fn send_barrier(&mut self) {
        let Some(resizing) = &mut self.resizing else { return };
        if !resizing.is_about_to_send_barrier() {
            return;
        }
        let (started, frontier) = (self.inputs.started(), self.inputs.frontier());
        if started.max(frontier) >= FLUSH_SEQ {
            // The end of the input: it is too late. The new workers find their rings closed, and end.
            return resizing.resizes.clear();
        }
        let waits = self.inputs.order() == MergeOrder::Deterministic;
        if waits && (self.round != 0 || !self.inputs.started_is_complete()) {
            return;
        }
        let complete = if waits { started.max(frontier) } else { frontier };
        if let Some(Resize { stream, workers, ports, .. }) = resizing.resizes.pop_front() {
            let leaving = self.streams.resize_pool(stream, workers, &ports, complete, &mut self.rings);
            resizing.leaving.extend(leaving);
        }
    }

    /// Closes the rings to workers that leave, when everything for them is on its way.
    pub(super) fn let_workers_leave(&mut self) {
        let Some(resizing) = &mut self.resizing else { return };
        let (ports, left) = (&mut self.rings.ports, &mut resizing.left);
        resizing.leaving.retain(|&port| {
            let goes = !ports.port(port).is_blocked();
            if goes {
                left.push(ports.retire(port));
            }
            !goes
        });
        left.retain(|ring| ring.undelivered() != Some(0));
    }

    /// At a barrier: sends the keys that go to others, and begins to wait for those that come. Barriers are passed one
    /// after the other, each when its mail has come.
    pub(super) fn pass_barriers(&mut self) {
        // The command was in the inbox before the front could know of the resize, but perhaps not when this cycle
        // began.
        self.obey();
        while let Some(resizing) = &mut self.resizing
            && resizing.barriers > 0
            && resizing.awaited.is_none()
            && let Some(change) = resizing.moves.pop_front()
        {
            resizing.barriers -= 1;
            for (to, mail) in &change.outgoing {
                let goes = |key: &Value| way_of(key_hash(key), change.workers) == *to;
                mail.send(self.streams.let_go(&goes));
            }
            resizing.awaited = Some(change);
            self.take_mail();
        }
    }

    fn take_mail(&mut self) {
        let Some(resizing) = &mut self.resizing else { return };
        let Some(awaited) = &mut resizing.awaited else { return };
        let streams = &mut self.streams;
        awaited.incoming.retain(|mail: &Mail| match mail.take() {
            Some(moved) => {
                streams.take_up(moved);
                false
            }
            None => true,
        });
        if awaited.incoming.is_empty() {
            awaited.done.add();
            resizing.awaited = None;
        }
    }
}
