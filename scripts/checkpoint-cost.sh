#!/usr/bin/env bash
# What checkpoints cost: throughput with one every 100 ms beside without, how long it takes to go on from a million keys, and latencies
# while their state is written. Prints what it measures; compares within one run, by turns, because machines differ.
#
#   scripts/checkpoint-cost.sh           all of it; VARPIN=path uses a binary that is there
#   scripts/checkpoint-cost.sh --quick   fewer events: whether it works
set -euo pipefail
cd "$(dirname "$0")/.."

events=2000000 keys=1000000 paced=60000 rounds=5
if [ "${1:-}" = --quick ]; then events=100000 keys=20000 paced=5000 rounds=1; fi
if [ -z "${VARPIN:-}" ]; then
    cargo build --release --locked --quiet --bin varpin
    VARPIN=target/release/varpin
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Milliseconds that a command takes.
took() {
    local started
    started=$(date +%s%N)
    "$@" >"$work/stdout" 2>"$work/stderr" || { cat "$work/stderr" >&2; return 1; }
    echo $((($(date +%s%N) - started) / 1000000))
}

median() { sort -n | awk '{ all[NR] = $1 } END { print all[int((NR + 1) / 2)] }'; }

throughput() {
    local name=$1 program=$2 round without=() with=()
    printf '%s\n' "$program" >"$work/program.vpl"
    for round in $(seq "$rounds"); do
        without+=("$(took "$VARPIN" run "$work/program.vpl" "$work/events.evt" -o "$work/out" --pin off)")
        rm -rf "$work/kept"
        with+=("$(took "$VARPIN" run "$work/program.vpl" "$work/events.evt" -o "$work/out" --pin off \
            --checkpoint-dir "$work/kept" --checkpoint-interval 100ms)")
    done
    local a b
    a=$(printf '%s\n' "${without[@]}" | median) b=$(printf '%s\n' "${with[@]}" | median)
    echo "$name: $events events in $a ms without, $b ms with a checkpoint every 100 ms (medians of $rounds): throughput x $(
        awk -v a="$a" -v b="$b" 'BEGIN { printf "%.3f", a / b }')"
}

echo "making $events events"
awk -v n="$events" 'BEGIN { for (i = 0; i < n; i++) printf "@%dms A { k: \"key-%d\", v: %d }\n", i / 10, i * 7919 % 1000, i % 100 }' >"$work/events.evt"
throughput "one thread" 'stream S = A.partition_by(k).window(50).aggregate(k: last(k), s: sum(v), a: avg(v))'
throughput "two contexts" 'context ingest
context analyze
stream Kept = A.where(v > 10).context(ingest).emit(k: k, v: v)
stream S = Kept.context(analyze).partition_by(k).window(50).aggregate(k: last(k), s: sum(v), a: avg(v))'

echo "making $keys keys"
{
    awk -v n="$keys" 'BEGIN { for (i = 0; i < n; i++) printf "@0ms A { k: \"customer-%d\", v: %d, w: %d.5 }\n", i, i % 100, i % 7 }'
    awk -v n="$paced" 'BEGIN { for (i = 1; i <= n; i++) printf "@%dus A { k: \"customer-%d\", v: 1, w: 1.5 }\n", i * 100, i * 7919 % 1000 }'
} >"$work/keys.evt"
cat >"$work/program.vpl" <<'VPL'
context work
stream S = A.context(work).partition_by(k).window(1000)
    .aggregate(k: last(k), s: sum(v), a: avg(w), lo: min(v), hi: max(v))
stream Seen = A.context(work).where(w == 1.5).emit(v: v)
VPL
run_keys() { "$VARPIN" run "$work/program.vpl" "$work/keys.evt" -o "$work/out" --pin off --checkpoint-dir "$1" "${@:2}" 2>"$work/stderr" || { cat "$work/stderr" >&2; return 1; }; }
run_keys "$work/keys" --checkpoint-events "$keys" --checkpoint-keep 1
"$VARPIN" checkpoints "$work/keys" | sed -n 1p
for round in 1 2 3; do
    cp -r "$work/keys" "$work/again"
    run_keys "$work/again" --checkpoint-interval 1440m
    grep -o 'taken up in [0-9]* ms' "$work/stderr" | sed "s/^/$keys keys: /"
    rm -rf "$work/again"
done
for interval in 1440m 1s; do
    cp -r "$work/keys" "$work/again"
    run_keys "$work/again" --checkpoint-interval "$interval" --pace realtime --latency-sample 1 --stats-json "$work/stats.json"
    echo "latencies of $paced events, 10,000 a second, with a checkpoint every $interval:"
    grep -A12 '"latenc' "$work/stats.json" | head -40
    rm -rf "$work/again"
done
