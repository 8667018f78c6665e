#!/usr/bin/env bash
# Latency by rate: one ring, and a chain of contexts, under an open loop at rising rates, up to the first rate that can't be kept up.
# Prints a line for each run, and leaves target/sweep/{hop,pipeline}.json with everything and a drawing of each (.svg).
#
#   scripts/latency-sweep.sh             10k to 10M a second through a ring, 1k to 1M through two contexts; about three minutes
#   scripts/latency-sweep.sh --quick     two rates of a fifth of a second each: whether it works, not how fast
#   scripts/latency-sweep.sh -- OPTIONS  further options for `varpin bench`, such as --cpus 2,3 --idle spin
set -euo pipefail
cd "$(dirname "$0")/.."

hop_rates=10k,50k,100k,250k,500k,1M,2M,5M,10M
pipeline_rates=1k,10k,50k,100k,250k,500k,1M
times=(--duration 5s --warmup 1s)
case ${1:-} in
    --quick)
        hop_rates=10k,100k pipeline_rates=1k,10k
        times=(--duration 200ms --warmup 50ms)
        shift
        ;;
esac
case ${1:-} in
    "") ;;
    --) shift ;;
    *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

say() { echo "+ $*"; "$@"; }

# A run that misses its rate is a result here, not a failure.
measure() { "$@" || [ $? = 3 ]; }

# Rate, what was sent, and the percentiles of each run of the report $1.
lines() {
    awk -F'[:,]' '
        { gsub(/[ "]/, "", $1); gsub(/ /, "", $2) }
        $1 == "wanted_rate" { wanted = $2 }
        $1 == "rate" { rate = $2 }
        $1 == "failed" && wanted != "" { failed = $2 }
        $1 == "latency" { inside = 1 }
        inside && $1 ~ /^p[0-9.]+$/ { at[$1] = $2 }
        inside && $1 == "max_ns" {
            printf "%12.0f %12.0f", wanted, rate
            count = split("p50 p99 p99.9 p99.99", names, " ")
            for (i = 1; i <= count; i++) printf " %12s", (at[names[i]] == "null" ? "n/a" : at[names[i]])
            printf " %12s%s\n", $2, (failed == "true" ? "  FAILED" : "")
            inside = 0
            wanted = ""
        }' "$1"
}

out=$PWD/target/sweep
mkdir -p "$out"
varpin=${CARGO_TARGET_DIR:-target}/release/varpin
say cargo build --release --locked --bin varpin
for kind in hop pipeline; do
    rates=${kind}_rates
    echo "+ $varpin bench $kind --rate ${!rates} ${times[*]} $* --json --svg $out/$kind.svg > $out/$kind.json"
    measure "$varpin" bench "$kind" --rate "${!rates}" "${times[@]}" "$@" --json --svg "$out/$kind.svg" >"$out/$kind.json"
    printf '%s, nanoseconds:\n%12s %12s %12s %12s %12s %12s %12s\n' "$kind" rate sent/s p50 p99 p99.9 p99.99 longest
    lines "$out/$kind.json"
done
echo "written: $out/hop.json $out/hop.svg $out/pipeline.json $out/pipeline.svg"
