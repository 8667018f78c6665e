#!/usr/bin/env bash
# What it costs to measure latencies within the engine: runs a chain of contexts as fast as it goes, without sampling, with every 64th
# event sampled, and with every one, by turns, and prints how much throughput each kind of sampling takes, with a 95 % confidence
# interval (Student's t on the logarithms of the ratios within each round). Leaves target/sampling-cost.txt with the rates.
#
#   scripts/sampling-cost.sh             20 rounds of 1 s
#   scripts/sampling-cost.sh --quick     three short rounds: whether it works
#   scripts/sampling-cost.sh --check     exits with 1 where it is surely more than 2 % for every 64th, or 15 % for every one
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=20 seconds=1 check=0
for option in "$@"; do
    case $option in
        --quick) rounds=3 seconds=0.2 ;;
        --check) check=1 ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done

say() { echo "+ $*"; "$@"; }

say cargo build --release --locked --bin varpin
varpin=${CARGO_TARGET_DIR:-target}/release/varpin
out=$PWD/target/sampling-cost.txt
rate() {
    "$varpin" bench pipeline --contexts 1 --rate max --duration "${seconds}s" --warmup 0.1s --latency-sample "$1" --json |
        sed -n '/"runs"/,$s/.*"rate": \([0-9.]*\).*/\1/p' | head -n 1
}
echo "+ $varpin bench pipeline --contexts 1 --rate max --duration ${seconds}s --latency-sample 0 | 64 | 1, $rounds rounds by turns"
: >"$out"
for round in $(seq "$rounds"); do
    declare -A found
    # Who goes first changes with each round.
    case $((round % 3)) in 0) order="0 64 1" ;; 1) order="64 1 0" ;; *) order="1 0 64" ;; esac
    for every in $order; do found[$every]=$(rate "$every"); done
    echo "${found[0]} ${found[64]} ${found[1]}" | tee -a "$out"
done
awk -v check="$check" '
    { n++; for (kind = 2; kind <= 3; kind++) { ratio[kind, n] = log($kind / $1); sum[kind] += ratio[kind, n] } rate += $1 }
    END {
        split("12.706 4.303 3.182 2.776 2.571 2.447 2.365 2.306 2.262 2.228 2.201 2.179 2.160 2.145 2.131 2.120 2.110 2.101 2.093", t, " ")
        name[2] = "1/64"; name[3] = "1/1"; bound[2] = 2; bound[3] = 15
        printf "without sampling %.2f million events a second\n", rate / n / 1e6
        for (kind = 2; kind <= 3; kind++) {
            mean = sum[kind] / n
            square = 0
            for (i = 1; i <= n; i++) square += (ratio[kind, i] - mean) ^ 2
            half = t[n - 1] * sqrt(square / (n - 1) / n)
            cost = 100 * (1 - exp(mean)); least = 100 * (1 - exp(mean + half)); most = 100 * (1 - exp(mean - half))
            printf "sampling %-5s takes %5.1f %% of the throughput (95 %% interval %.1f to %.1f)\n", name[kind], cost, least, most
            if (least > bound[kind]) beyond = 1
        }
        exit check && beyond
    }' "$out"
