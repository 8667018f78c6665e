#!/usr/bin/env bash
# Has the code become slower? Builds two commits, runs both by turns, and prints for each case how much slower the second is than the
# first, with a 95 % confidence interval (Student's t on the logarithms of the ratios within each round). Ends with exit code 1 where
# a case is surely slower than the threshold: where the whole interval lies beyond it.
#
#   scripts/regress.sh BASE [COMMIT]      COMMIT is HEAD unless another one is named
#   scripts/regress.sh --quick BASE ..    three short rounds: whether it works, not how fast
#   scripts/regress.sh --rounds N --threshold PERCENT BASE ..    10 rounds and 3 % unless told otherwise
#   scripts/regress.sh --teeth            finds the verdicts right on times that are made up
#
# Commits are checked out and built below target/regress/, which is kept, so that the next run builds less. Leaves regress.json there.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=10 threshold=3 seconds=2 events=500000 teeth=0
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
        --quick) rounds=3 seconds=0.2 events=20000; shift ;;
        --teeth) teeth=1; shift; set -- "${1:-teeth}" ;;
        --rounds) rounds=${2:?}; shift 2 ;;
        --threshold) threshold=${2:?}; shift 2 ;;
        -*) usage ;;
        *) break ;;
    esac
done
[ $# -ge 1 ] && [ $# -le 2 ] || usage
case $rounds in *[!0-9]* | "" | 0 | 1) echo "regress.sh: an interval needs two rounds at least" >&2; exit 2 ;; esac

say() { echo "+ $*"; "$@"; }

# Name, ratio new / base with its interval, rounds and verdict of the case $1, whose pairs of times are in the file $2. Fails where it is
# surely slower than the threshold.
verdict() {
    awk -v name="$1" -v threshold="$threshold" '
        $1 > 0 && $2 > 0 { n++; log_ratio[n] = log($2 / $1); sum += log_ratio[n] }
        END {
            if (n < 2) { print name, "null null null", n + 0, "nothing"; exit 1 }
            mean = sum / n
            for (i = 1; i <= n; i++) square += (log_ratio[i] - mean) ^ 2
            # Two-sided 95 % quantiles of Student'"'"'s t for 1 to 30 degrees of freedom; beyond that the normal one is close.
            split("12.706 4.303 3.182 2.776 2.571 2.447 2.365 2.306 2.262 2.228 2.201 2.179 2.160 2.145 2.131 2.120 2.110 " \
                  "2.101 2.093 2.086 2.080 2.074 2.069 2.064 2.060 2.056 2.052 2.048 2.045 2.042", t, " ")
            half = (n <= 31 ? t[n - 1] : 1.96) * sqrt(square / (n - 1) / n)
            low = exp(mean - half); high = exp(mean + half)
            slower = low > 1 + threshold / 100
            printf "%s %.4f %.4f %.4f %d %s\n", name, exp(mean), low, high, n, (slower ? "slower" : "ok")
            exit slower
        }' "$2"
}

# Times made up: what is slower must be found, what only varies must not.
teeth() {
    local passed=0 failed=0 wanted pairs found
    while IFS=: read -r wanted pairs; do
        found=$(tr ';' '\n' <<<"$pairs" | verdict case - || true)
        if [ "${found##* }" = "$wanted" ]; then
            echo "ok   $wanted: $found"
            passed=$((passed + 1))
        else
            echo "FAIL $wanted: $found"
            failed=$((failed + 1))
        fi
    done <<'PAIRS'
slower:1.00 1.10;1.01 1.12;0.99 1.09;1.02 1.12
slower:2 2.2;1 1.1;4 4.4;3 3.31
ok:1.00 1.02;1.01 1.02;0.99 1.00;1.02 1.03
ok:1.00 1.30;1.00 0.80;1.00 1.25;1.00 0.85
ok:1.00 0.80;1.00 0.81;1.00 0.79
nothing:1.00 1.10
PAIRS
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
}

[ "$teeth" = 0 ] || { teeth; exit; }

out=$PWD/target/regress
mkdir -p "$out"
declare -A binary commit
for side in base new; do
    if [ "$side" = base ]; then name=$1; else name=${2:-HEAD}; fi
    commit[$side]=$(git rev-parse --verify --short "$name^{commit}")
    tree=$out/$side
    if [ -e "$tree/.git" ]; then
        say git -C "$tree" checkout --quiet --detach "${commit[$side]}"
    else
        git worktree prune
        say git worktree add --quiet --detach "$tree" "${commit[$side]}"
    fi
    say env CARGO_TARGET_DIR="$out/$side-build" cargo build --quiet --release --locked --bin varpin --manifest-path "$tree/Cargo.toml"
    # A copy, so that what runs doesn't change when this script is started again meanwhile.
    binary[$side]=$out/varpin-$side
    cp "$out/$side-build/release/varpin" "${binary[$side]}"
done

# What is run. Programs are written here, so that both sides run the same.
cat >"$out/filter.vpl" <<'VPL'
event Reading:
    sensor: str
    degrees: float
stream Hot = Reading.where(degrees > 90.0).emit(sensor: sensor, degrees: degrees)
VPL
cat >"$out/windows.vpl" <<'VPL'
event Reading:
    sensor: str
    degrees: float
stream Means = Reading
    .partition_by(sensor)
    .window(100)
    .aggregate(sensor: last(sensor), n: count(), mean: avg(degrees))
VPL
awk -v events="$events" 'BEGIN {
    for (n = 0; n < events; n++)
        printf "Reading { sensor: \"S%d\", degrees: %.2f }\n", n % 100, (n % 10) * 10 + (int(n / 10) % 39 + 1) * 0.25
}' >"$out/events.evt"

# Prints the member $1 of the JSON on standard input, the first with that name behind the first $2.
member() { sed -n "/\"$2\"/,\$s/.*\"$1\": \([0-9.]*\).*/\1/p" | head -n 1; }

# One measurement of the case $1 with the binary $2: a number that is greater where it is slower.
measure() {
    local times=(--duration "${seconds}s" --warmup 0.1s --json)
    case $1 in
        process)
            local from=$EPOCHREALTIME
            "$2" run "$out/filter.vpl" "$out/events.evt" --output /dev/null
            awk -v from="$from" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.6f\n", to - from }'
            ;;
        hop) "$2" bench hop --rate max "${times[@]}" | member p50 latency ;;
        ring) "$2" bench throughput --rate max "${times[@]}" | member rate runs | awk '{ print 1e9 / $1 }' ;;
        filter | windows)
            "$2" bench program "$out/$1.vpl" --rate max "${times[@]}" | member rate runs | awk '{ print 1e9 / $1 }'
            ;;
        contexts) "$2" bench pipeline --rate max "${times[@]}" | member rate runs | awk '{ print 1e9 / $1 }' ;;
    esac
}

cases="process"
if "${binary[base]}" bench --help >/dev/null 2>&1 && "${binary[new]}" bench --help >/dev/null 2>&1; then
    cases="process hop ring filter windows contexts"
else
    echo "one of the commits has no \`varpin bench\`: only whole processes are compared"
fi

echo "base ${commit[base]}, new ${commit[new]}; $rounds rounds by turns"
for case in $cases; do
    : >"$out/$case.txt"
    for round in $(seq "$rounds"); do
        # Who goes first changes with each round.
        if [ $((round % 2)) = 1 ]; then order="base new"; else order="new base"; fi
        declare -A time
        for side in $order; do time[$side]=$(measure "$case" "${binary[$side]}"); done
        echo "${time[base]} ${time[new]}" >>"$out/$case.txt"
    done
done

status=0
for case in $cases; do verdict "$case" "$out/$case.txt" >"$out/$case.ratio" || status=1; done
{
    printf '{\n  "base": "%s",\n  "new": "%s",\n  "threshold_percent": %s,\n  "cases": [\n' "${commit[base]}" "${commit[new]}" "$threshold"
    separator=
    for case in $cases; do
        read -r name ratio low high n verdict <"$out/$case.ratio" || true
        printf '%s    { "case": "%s", "time_ratio": %s, "low": %s, "high": %s, "rounds": %s, "verdict": "%s" }' \
            "$separator" "$name" "${ratio:-null}" "${low:-null}" "${high:-null}" "${n:-0}" "${verdict:-nothing}"
        separator=$',\n'
    done
    printf '\n  ]\n}\n'
} >"$out/regress.json"
printf '%-10s %10s %21s %s\n' case "new/base" "95 % interval" "(time: above 1 is slower)"
for case in $cases; do
    awk '{ printf "%-10s %10s %10s to %7s %s\n", $1, $2, $3, $4, ($6 == "slower" ? "SLOWER" : $6) }' "$out/$case.ratio"
done
echo "written: $out/regress.json"
exit $status
