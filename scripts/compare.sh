#!/usr/bin/env bash
# Compares varpin with its peers in one run (benches/peers/): hops, latency under load and throughput of rings beside rtrb, disruptor,
# crossbeam-channel and tokio; programs in process beside varpulis-runtime; the whole process on a file of a million lines. Prints the
# tables and writes them to target/compare/compare.md and compare.json, with the distributions of the latencies (.hgrm). Ratios mean
# something on a quiet machine only; the load is in the report.
#
#   scripts/compare.sh             everything, about ten minutes
#   scripts/compare.sh --quick     few rounds of small counts: whether it works, not how fast
#   scripts/compare.sh --check     exits with 1 where a target is missed, and lists those
#   scripts/compare.sh --only hop|latency|throughput|programs|process ...    only these tables
#   scripts/compare.sh --rounds N
#   scripts/compare.sh --docs      also draws (scripts/plots.sh), and writes docs/performance.md and docs/images/ anew
set -euo pipefail
cd "$(dirname "$0")/.."

docs= quick=
arguments=()
for argument in "$@"; do
    case $argument in
        -h | --help) sed -n '2,13s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --docs) docs=1 ;;
        --quick) quick=1; arguments+=("$argument") ;;
        *) arguments+=("$argument") ;;
    esac
done

say() { echo "+ $*"; "$@"; }

out=$PWD/target/compare
targets=${CARGO_TARGET_DIR:-}
varpin=${targets:-target}/release/varpin
compare=${targets:-benches/peers/target}/release/compare
say cargo build --release --locked --bin varpin
# Not --locked: a new dependency of the main package is no reason to stop.
say cargo build --release --manifest-path benches/peers/Cargo.toml
rm -f "$out/compare.md"
status=0
say "$compare" ${arguments[@]+"${arguments[@]}"} --varpin "$varpin" "$out" || status=$?
# Missed targets are no reason not to write down what was found.
[ "$status" -le 1 ] && [ -s "$out/compare.md" ] || exit "$status"
echo "written: $out/compare.md $out/compare.json"
[ -n "$docs" ] || exit "$status"

say scripts/plots.sh ${quick:+--quick} --docs
# One run as people see it; the drawings have the same kind.
bench=(bench hop --rate 1000000 --duration 10s)
[ -z "$quick" ] || bench=(bench hop --rate 1000000 --duration 0.2s --warmup 0.1s)
echo "+ $varpin ${bench[*]}"
"$varpin" "${bench[@]}" >"$out/hop.txt" || [ $? = 3 ]
image() { [ ! -s "docs/images/$1.svg" ] || printf '\n![%s](images/%s.svg)\n' "$2" "$1"; }
{
    printf '# Performance\n\n'
    printf 'Written by `scripts/compare.sh --docs` on the machine described below; not edited by hand. How it is measured: [bench.md](bench.md).\n'
    printf '\n## One ring, a million items a second\n\n'
    printf 'An open loop: latency counts from when an item was due. The floor is what the two CPUs need for a hop; the empty loop shows what the\n'
    printf 'machine did to a thread that did nothing but look at the clock.\n\n```text\n$ varpin %s\n' "${bench[*]}"
    cat "$out/hop.txt"
    printf '```\n'
    image hop "Latency of one ring by percentile, and over time"
    printf '\nA drill: the receiver stands still for 10 ms once a second. Every item that was due meanwhile is charged for it, so it shows from p99 on.\n'
    image drill "Latency by percentile with and without a receiver that stands still"
    image stall "Latency by percentile, and over time, with a receiver that stands still"
    printf '\n## One context\n\nEvents through an engine with one context, from when they were due to when their results were taken, and hop by hop.\n'
    image pipeline "Latency of a pipeline by percentile, and over time"
    printf '\n## Beside peers, under load\n'
    for rate in 10000 100000 1000000; do image "peers-$rate" "Thread to thread beside crossbeam-channel and tokio, $rate a second"; done
    printf '\n'
    # The comparison, one level down.
    sed 's/^#/##/' "$out/compare.md"
} >docs/performance.md
echo "written: docs/performance.md"
exit "$status"
