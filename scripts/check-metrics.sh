#!/usr/bin/env bash
# Asks a run that goes on for its health and its metrics, with curl, and has the metrics read by checkers that are not ours:
# prometheus_client's parser from PyPI, and `promtool check metrics`, where it is installed (Debian's package `prometheus` has it).
# The run has contexts, breakers, a pool, sampled latencies and a context that fails and is restarted, so every family has samples.
#
#   scripts/check-metrics.sh            needs curl, Python 3 with venv, and PyPI once; keeps what it installs in target/metrics/venv
#   VARPIN=PATH scripts/check-metrics.sh    with this build, which has to have the feature `faults`
#   scripts/check-metrics.sh --teeth    spoils the text in several ways and requires that the parser refuses it
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in "" | --teeth) ;; *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

say() { echo "+ $*"; "$@"; }

out=$PWD/target/metrics
mkdir -p "$out"
if [ ! -x "$out/venv/bin/python" ]; then
    say python3 -m venv "$out/venv"
fi
say "$out/venv/bin/python" -m pip install --quiet 'prometheus_client==0.23.1'
varpin=${VARPIN:-}
if [ -z "$varpin" ]; then
    say cargo build --locked --features faults --bin varpin
    varpin=${CARGO_TARGET_DIR:-target}/debug/varpin
fi

cat >"$out/program.vpl" <<'VPL'
context ingest
context analyze
config ingest { breaker_failure_rate: 0.5 }
config analyze { restart: on_failure, max_restarts: 1000, backoff_min: 1ms, backoff_max: 5ms, stall_after: 1s }
config output { max_attempts: 3 }
stream Plausible = Reading.context(ingest).where(v >= 0)
stream Sums = Plausible.context(analyze).partition_by(k).concurrent(workers: 2).window(5).aggregate(k: last(k), sum: sum(v))
VPL
feed() {
    local v=0
    while :; do
        printf 'Reading { k: "a\\"b%d", v: %d }\n' $((v % 3)) "$v"
        v=$((v + 1))
        [ $((v % 50)) -ne 0 ] || sleep 0.05
    done
}
feed | "$varpin" run "$out/program.vpl" --listen 0 --latency-sample 1 --fault panic:stream=Sums,every=20,times=4 \
    >"$out/results" 2>"$out/said" &
run=$!
trap 'kill "$run" 2>/dev/null || true' EXIT
until at=$(sed -n 's/^note: health and metrics at //p' "$out/said") && [ -n "$at" ]; do sleep 0.05; done
# Long enough for the restarts, which are over then.
sleep 3
passed=0
failed=0
expect() {
    local path=$1 type=$2 code
    code=$(curl --silent --show-error --output "$out/answer" --write-out '%{http_code} %{content_type}' "$at$path")
    echo "+ curl $at$path: $code"
    head -c 300 "$out/answer" | head -n 3
    if [ "$code" = "200 $type" ]; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $path"; fi
}
expect health/live application/json
expect health/ready application/json
expect health application/json
"$out/venv/bin/python" -m json.tool "$out/answer" >/dev/null
expect metrics 'text/plain; version=0.0.4; charset=utf-8'
cp "$out/answer" "$out/metrics.txt"

cat >"$out/read.py" <<'PYTHON'
import sys

from prometheus_client.parser import text_string_to_metric_families

text = open(sys.argv[1], encoding="utf-8").read()
families = list(text_string_to_metric_families(text))
samples = [sample for family in families for sample in family.samples]
for family in families:
    assert family.documentation, f"{family.name} says nothing of itself"
    assert family.type in ("counter", "gauge", "summary"), f"{family.name} is a {family.type}"
    assert family.samples, f"{family.name} has no samples"
seen = {(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples}
assert len(seen) == len(samples), "a sample is there twice"
value = {sample.name: sample.value for sample in samples}
for name in """varpin_events_total varpin_results_total varpin_dead_letters_total varpin_stream_late_total varpin_restarts_total
    varpin_breaker_state varpin_ring_occupancy_rows varpin_ring_dropped_total varpin_worker_idle_ratio varpin_latency_seconds
    varpin_hop_latency_seconds_count varpin_stalled varpin_ready""".split():
    assert name in value, f"{name} is missing"
assert sum(sample.value for sample in samples if sample.name == "varpin_restarts_total") > 0, "nothing was restarted"
print(f"{len(families)} families, {len(samples)} samples")
PYTHON
say "$out/venv/bin/python" "$out/read.py" "$out/metrics.txt"
passed=$((passed + 1))
if command -v promtool >/dev/null; then
    echo "+ promtool check metrics"
    promtool check metrics <"$out/metrics.txt"
    passed=$((passed + 1))
fi
if [ "${1:-}" = --teeth ]; then
    spoil() {
        sed "$2" "$out/metrics.txt" >"$out/spoilt.txt"
        if "$out/venv/bin/python" "$out/read.py" "$out/spoilt.txt" >/dev/null 2>&1; then
            echo "FAIL tooth $1: nobody noticed"
            failed=$((failed + 1))
        else
            echo "ok   tooth $1"
            passed=$((passed + 1))
        fi
    }
    spoil open-quote 's/^\(varpin_stream_events_total{context="[a-z]*\)"/\1/'
    spoil no-number 's/^varpin_events_total .*/varpin_events_total many/'
    spoil no-type '/^# TYPE varpin_ready/d'
    spoil no-help '/^# HELP varpin_ready/d'
    spoil twice 's/^varpin_ready .*/&\n&/'
    spoil missing '/^varpin_events_total/d'
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
