//! The table of models. Each is a closed little program over the shipped sources; loom runs it under every schedule, and
//! under every value that the memory model lets a load return.
//!
//! Every loop is bounded: two threads that poll each other without end would keep loom from ever finishing a
//! schedule. So both make a fixed number of attempts, one is joined, and the other takes what is left.

mod checkpoint;
mod fifo;
mod hang_up;
mod space;
mod supervise;
mod wake;
mod when_full;

pub struct Model {
    pub name: &'static str,
    /// The number of the claim: those in `src/ring.rs`, and 7, which `supervise` states.
    pub claim: u8,
    /// The most preemptions that are explored per schedule; `None` explores all.
    pub preemptions: Option<usize>,
    pub body: fn(),
}

macro_rules! models {
    ($($claim:literal $module:ident::$name:ident $($preemptions:literal)?;)*) => {
        pub const MODELS: &[Model] = &[$(Model {
            name: stringify!($name),
            claim: $claim,
            // The first of: the bound, if one is given; none.
            preemptions: [$(Some($preemptions),)? None][0],
            body: $module::$name,
        }),*];
    };
}

models! {
    1 fifo::single_items_capacity_1;
    1 fifo::single_items_capacity_2;
    1 fifo::chunks_capacity_1;
    1 fifo::chunks_capacity_2;
    1 fifo::drained_chunks_capacity_1;
    2 space::freed_by_pop_is_seen_by_push;
    2 space::freed_by_pop_is_seen_by_slots;
    2 space::freed_by_commit_is_seen_by_write;
    2 space::filled_is_seen_by_len;
    3 hang_up::every_single_item_comes_before_closed;
    3 hang_up::every_chunk_comes_before_closed;
    4 hang_up::sender_learns_that_the_receiver_is_gone;
    4 hang_up::what_is_left_is_counted_and_dropped_once;
    5 wake::sleeping_receiver_sees_items_and_the_end 3;
    5 wake::sleeping_receiver_sees_a_chunk;
    5 wake::sleeping_receiver_sees_a_slice;
    5 wake::sleeping_receiver_sees_an_iterators_items;
    5 wake::sleeping_sender_sees_freed_space;
    5 wake::sleeping_sender_sees_a_commit;
    5 wake::sleeping_sender_sees_a_drain;
    5 wake::sleeping_sender_sees_the_receiver_leave;
    5 wake::both_sleep 3;
    5 wake::two_senders_wake_one_sleeper 2;
    6 when_full::block_keeps_everything;
    6 when_full::drop_newest_counts_what_it_drops;
    6 when_full::error_fails_at_once_and_counts_the_rest;
    6 when_full::drop_oldest_keeps_the_newest_capacity_1;
    6 when_full::drop_oldest_keeps_the_newest_capacity_2;
    6 when_full::what_is_to_be_skipped_is_known_with_what_comes_after;
    6 when_full::what_a_sender_leaves_comes_last_and_is_not_missed;
    6 when_full::what_nobody_takes_is_counted_once 3;
    7 supervise::what_is_queued_survives_a_restart 1;
    7 supervise::a_sleeping_worker_sees_that_it_is_recalled 2;
    7 supervise::a_sleeping_worker_sees_that_the_run_is_stopped 3;
    7 supervise::a_heartbeat_is_seen_whole;
    8 checkpoint::a_barrier_divides_what_comes_in_any_order 2;
    8 checkpoint::a_barrier_divides_what_is_merged 2;
    8 checkpoint::who_sees_that_it_was_decided_knows_how;
    8 checkpoint::shares_that_come_in_any_order_complete_it 2;
    8 checkpoint::nobody_waits_for_a_share_that_never_comes 2;
}
