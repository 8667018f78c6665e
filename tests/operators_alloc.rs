//! In the steady state an event costs no heap allocation: not in filters and projections, not in windows of known keys.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // helpers of tests

mod operators_support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use operators_support::plan;
use varpin::event::{Row, Value};
use varpin::operators::{Env, Limits, StreamRuntime};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts the allocations of each thread for itself, so that tests can run side by side.
struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; counting touches only a thread-local cell.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations while `events` more events go through, after as many to warm up.
fn allocations(operators: &str, events: i64) -> u64 {
    let declared = "event R:\n    k: str\n    v: float\n    n: int\n    long: str\n\nfn odds(n: int) -> int:\n    var sum = 0\n    for i in 0..n:\n        if i % 2 == 1:\n            sum := sum + i\n    return sum\n\n";
    let plan = plan(&format!("{declared}stream S = R\n{operators}"));
    let limits = Limits::default();
    let mut env = Env::new(&plan, &limits).unwrap();
    let mut stream = StreamRuntime::compile(&plan, 0, &limits).unwrap();
    let name = plan.names.iter().position(|name| name.name == "R").unwrap();
    let shape = &plan.shapes[plan.names[name].shape];
    let mut row = Row::new(name as u32, 0, usize::from(shape.slots));
    let slot = |name: &str| shape.field(name).and_then(|field| field.slot).map(usize::from);
    let keys: Vec<Value> = (0..100).map(|key| Value::from(format!("key {key}").as_str())).collect();
    let long = Value::from("text that is too long to be held in place");
    let mut passed = 0;
    let mut run = |from: i64, to: i64| {
        for at in from..to {
            row.set_time_ns(at * 10_000_000);
            row.set_seq(at as u64);
            let values = [
                ("k", keys[(at * 7 % 100) as usize].clone()),
                ("v", Value::Float((at % 1000) as f64)),
                ("n", Value::Int(at % 10)),
                ("long", long.clone()),
            ];
            for (field, value) in values {
                if let Some(slot) = slot(field) {
                    row.set(slot, value);
                }
            }
            stream.on_row(0, &row, &mut env, &mut |_: &Row| passed += 1).unwrap();
        }
    };
    run(0, events);
    let before = ALLOCATIONS.with(Cell::get);
    run(events, 2 * events);
    let after = ALLOCATIONS.with(Cell::get);
    assert!(passed > 0, "{operators}");
    after - before
}

#[test]
fn filters_and_projections_allocate_nothing() {
    for operators in [
        ".where(v > 500.0 and n != 3 and k != \"key 7\")\n.emit(k: k, v: v * 2.0 + n, long: long, at: timestamp)\n",
        ".where(not (v < 10.0) or n in [1, 2, 3])\n.select(k, big: v > 900.0)\n.where(big)\n.emit(k: k)\n",
        ".partition_by(k)\n.limit(1000)\n.distinct(n)\n.emit(k: _partition)\n",
        ".where(max(v, 7.0) > 1.0 and round(v) >= 0)\n.emit(a: abs(n - 5), b: if n > 5 then \"more\" else \"less\")\n",
        ".emit()\n",
    ] {
        assert_eq!(allocations(operators, 20_000), 0, "{operators}");
    }
}

#[test]
fn windows_of_known_keys_allocate_nothing() {
    let aggregate = ".aggregate(k: last(k), n: count(), s: sum(v), hi: max(v), lo: min(n), m: avg(n), q: median(v), d: stddev(v))\n";
    for window in
        ["7", "10, sliding: 3", "1s", "3s, sliding: 1s", "1s, policy: \"first_event\"", "session: 500ms"]
    {
        for behind in [
            aggregate.to_owned(),
            format!("{aggregate}.having(n > 0)\n.emit(k: k, half: s / 2.0)\n"),
            format!(".where(v > 100.0)\n.order_by(v desc, k)\n{aggregate}"),
            ".where(v > 100.0)\n.emit(k: k, v: v)\n".to_owned(),
        ] {
            let operators = format!(".partition_by(k)\n.window({window})\n{behind}");
            assert_eq!(allocations(&operators, 20_000), 0, "{operators}");
        }
    }
}

#[test]
fn calls_of_functions_allocate_nothing() {
    assert_eq!(allocations(".where(odds(n) >= 0)\n.emit(odds: odds(n), more: odds(odds(3)))\n", 1000), 0);
}
