#!/usr/bin/env bash
# Draws what the figures say: latency by percentile of one ring at several rates, with and without a receiver that stands still; of a
# chain of contexts; and, where scripts/compare.sh has been run, of varpin beside its peers under load. Leaves SVG and JSON in
# target/plots/.
#
#   scripts/plots.sh             about a minute
#   scripts/plots.sh --quick     fifths of a second: whether it works
#   scripts/plots.sh --docs      also copies the drawings to docs/images/
set -euo pipefail
cd "$(dirname "$0")/.."

times=(--duration 10s --warmup 1s)
docs=
for option in "$@"; do
    case $option in
        --quick) times=(--duration 200ms --warmup 50ms) ;;
        --docs) docs=1 ;;
        *) sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done

say() { echo "+ $*"; "$@"; }

# A run that misses its rate is drawn as such.
bench() {
    local name=$1
    shift
    echo "+ $varpin bench $* ${times[*]} --json --svg $out/$name.svg > $out/$name.json"
    "$varpin" bench "$@" "${times[@]}" --json --svg "$out/$name.svg" --hgrm "$out/$name.hgrm" >"$out/$name.json" || [ $? = 3 ]
}

out=$PWD/target/plots
mkdir -p "$out"
varpin=${CARGO_TARGET_DIR:-target}/release/varpin
say cargo build --release --locked --bin varpin
bench hop hop --rate 100k,1M
bench stall hop --rate 1M --stall 10ms
bench pipeline pipeline --contexts 1 --rate 10k,100k
bench calm hop --rate 1M
say "$varpin" bench plot "as it is=$out/calm.hgrm" "standing still for 10 ms a second=$out/stall.hgrm" \
    --title "One ring, a million items a second" --svg "$out/drill.svg"
for rate in 10000 100000 1000000; do
    files=()
    for peer in varpin crossbeam tokio; do
        file=target/compare/latency-$peer-$rate.hgrm
        [ ! -s "$file" ] || files+=("$peer=$file")
    done
    [ ${#files[@]} = 0 ] ||
        say "$varpin" bench plot "${files[@]}" --title "Thread to thread, $rate a second" --svg "$out/peers-$rate.svg"
done
if [ -n "$docs" ]; then
    mkdir -p docs/images
    for name in hop stall drill pipeline peers-10000 peers-100000 peers-1000000; do
        [ ! -s "$out/$name.svg" ] || say cp "$out/$name.svg" "docs/images/$name.svg"
    done
fi
echo "written: $(ls "$out"/*.svg | xargs)"
