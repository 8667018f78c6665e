#!/usr/bin/env bash
# What checkpoints cost: throughput with one every 100 ms beside without; how long a hop between threads takes while the state of a
# million keys is written, beside how long it takes while nothing is; how long it takes to go on from it. Compares within one run, by turns,
# because machines differ. Prints what it measures, and in the end all of it as one line of JSON.
#
#   scripts/checkpoint-cost.sh           all of it; VARPIN=path uses a binary that is there
#   scripts/checkpoint-cost.sh --quick   fewer events: whether it works
set -euo pipefail
cd "$(dirname "$0")/.."

events=8000000 keys=1000000 paced=100000 rounds=5
if [ "${1:-}" = --quick ]; then events=100000 keys=20000 paced=5000 rounds=1; fi
if [ -z "${VARPIN:-}" ]; then
    cargo build --release --locked --quiet --bin varpin
    VARPIN=target/release/varpin
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
json=""

# Milliseconds that a command takes.
took() {
    local started
    started=$(date +%s%N)
    "$@" >"$work/stdout" 2>"$work/stderr" || { cat "$work/stderr" >&2; return 1; }
    echo $((($(date +%s%N) - started) / 1000000))
}

median() { sort -g | awk '{ all[NR] = $1 } END { if (NR) print all[int((NR + 1) / 2)] }'; }

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.3f", a / b; else printf "null" }'; }

throughput() {
    local name=$1 program=$2 round without=() with=() ratios=()
    printf '%s\n' "$program" >"$work/program.vpl"
    for round in $(seq "$rounds"); do
        without+=("$(took "$VARPIN" run "$work/program.vpl" "$work/events.evt" -o "$work/out" --pin off)")
        rm -rf "$work/kept"
        with+=("$(took "$VARPIN" run "$work/program.vpl" "$work/events.evt" -o "$work/out" --pin off \
            --checkpoint-dir "$work/kept" --checkpoint-interval 100ms)")
        # Of neighbours: a machine is not the same for long.
        ratios+=("$(ratio "${without[-1]}" "${with[-1]}")")
    done
    local a b made share
    a=$(printf '%s\n' "${without[@]}" | median) b=$(printf '%s\n' "${with[@]}" | median)
    share=$(printf '%s\n' "${ratios[@]}" | median)
    made=$(basename "$(ls "$work"/kept/*.checkpoint | tail -1)" .checkpoint)
    echo "$name: $events events in $a ms without, $b ms with a checkpoint every 100 ms ($((10#$made)) of them; medians of $rounds): throughput x $share (${ratios[*]})"
    json+="\"throughput, $name\":{\"events\":$events,\"without_ms\":$a,\"with_ms\":$b,\"ratio\":$share},"
}

# The percentiles of a ring's hops, and of the whole way: p50 p99 p99.9 longest, in nanoseconds; n/a where there were too few samples.
hops() {
    awk -v ring="$1" '
        /"ring":/ { here = index($0, "\"" ring "\"") > 0 }
        /"latency":/ && ring == "in to out" { here = 1 }
        here && /_ns":/ { gsub(/[",:]/, ""); found[$1] = $2 == "null" ? "n/a" : $2 }
        /}/ { here = 0 }
        END { print found["p50_ns"], found["p99_ns"], found["p999_ns"], found["max_ns"] }' "$work/stats.json"
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
    # Of all keys, so that many are changed while they are being written.
    awk -v n="$paced" -v keys="$keys" 'BEGIN { for (i = 1; i <= n; i++) printf "@%dus A { k: \"customer-%d\", v: 1, w: 1.5 }\n", i * 100, i * 7919 % keys }'
} >"$work/keys.evt"
cat >"$work/program.vpl" <<'VPL'
context work
stream S = A.context(work).partition_by(k).window(1000)
    .aggregate(k: last(k), s: sum(v), a: avg(w), lo: min(v), hi: max(v))
stream Seen = A.context(work).where(w == 1.5).emit(v: v)
VPL
run_keys() { "$VARPIN" run "$work/program.vpl" "$work/keys.evt" -o "$work/out" --pin off --checkpoint-dir "$1" "${@:2}" 2>"$work/stderr" || { cat "$work/stderr" >&2; return 1; }; }
run_keys "$work/keys" --checkpoint-events "$keys" --checkpoint-keep 1
file=$(ls "$work"/keys/*.checkpoint | tail -1)
bytes=$(stat -c %s "$file")
echo "the state of $keys keys: $bytes bytes"

recoveries=()
for round in 1 2 3; do
    cp -r "$work/keys" "$work/again"
    run_keys "$work/again" --checkpoint-interval 1440m --stats
    recoveries+=("$(grep -o 'taken up in [0-9]* ms' "$work/stderr" | tr -dc 0-9)")
    rm -rf "$work/again"
done
recovery=$(printf '%s\n' "${recoveries[@]}" | median)
echo "$keys keys are taken up, by one thread, in ${recoveries[*]} ms"
json+="\"keys\":$keys,\"state_bytes\":$bytes,\"recovery_ms\":$recovery,"

# By turns: one checkpoint after the other, and none.
declare -A all
for round in $(seq "$rounds"); do
    for what in without with; do
        cp -r "$work/keys" "$work/again"
        interval=1440m
        if [ $what = with ]; then interval=200ms; fi
        run_keys "$work/again" --checkpoint-interval $interval --checkpoint-keep 1 --pace realtime --latency-sample 1 --stats-json "$work/stats.json"
        if [ $what = with ]; then
            made=$(ls "$work"/again/*.checkpoint | tail -1)
            first=$(basename "$file" .checkpoint) last=$(basename "$made" .checkpoint)
            all[made]+="$((10#$last - 10#$first)) "
        fi
        for ring in "input -> work" "work -> output" "in to out"; do
            read -r p50 p99 p999 longest <<<"$(hops "$ring")"
            all["$ring $what p50"]+="$p50 " all["$ring $what p99"]+="$p99 " all["$ring $what p99.9"]+="$p999 " all["$ring $what longest"]+="$longest "
        done
        rm -rf "$work/again"
    done
done
# That of the quietest run, because others on the machine make hops longer, and never shorter. Nothing where no run had samples enough.
quietest() { tr ' ' '\n' <<<"${all[$1]}" | awk '/^[0-9]/' | sort -g | sed -n 1p; }
seconds=$((paced / 10000))
echo "$paced events, 10,000 a second, while checkpoints of $bytes bytes are made one after the other (${all[made]% } in $seconds s), and while none is; the quietest of $rounds runs each, in us:"
printf '%-16s %-8s %12s %12s %8s\n' "" "" without with ratio
for ring in "input -> work" "work -> output" "in to out"; do
    json+="\"$ring\":{"
    for percentile in p50 p99 p99.9 longest; do
        a=$(quietest "$ring without $percentile") b=$(quietest "$ring with $percentile")
        times=$(ratio "${b:-0}" "${a:-0}")
        awk -v ring="$ring" -v p="$percentile" -v a="${a:-n/a}" -v b="${b:-n/a}" -v times="$times" \
            'function us(ns) { return ns == "n/a" ? ns : sprintf("%.1f", ns / 1000) }
             BEGIN { printf "%-16s %-8s %12s %12s %8s\n", ring, p, us(a), us(b), times }'
        json+="\"$percentile\":{\"without_ns\":${a:-null},\"with_ns\":${b:-null},\"ratio\":$times},"
    done
    json="${json%,}},"
done
echo "{${json%,}}"
