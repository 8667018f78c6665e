#!/usr/bin/env bash
# Runs the fuzz targets, each for a time, and first the canary, in which a planted fault must be found. Prints what was found,
# where the input lies, and at the end `N passed, N failed`.
#
#   scripts/fuzz.sh SECONDS [TARGET..]    targets: programs runs generated evt jsonl csv canary; none named: all
#   scripts/fuzz.sh --smoke               all of them, a few seconds each
#   scripts/fuzz.sh --install             install cargo-fuzz, which the others need (cargo install --locked cargo-fuzz)
#
# A nightly toolchain is used where there is one; else the stable one, with RUSTC_BOOTSTRAP=1. What is learnt stays in
# fuzz/corpus/ (not committed), inputs that fail in fuzz/artifacts/. Where each run writes is said.
set -euo pipefail
cd "$(dirname "$0")/.."

ALL="canary programs runs generated evt jsonl csv"
SMOKE_SECONDS=10
# However short the time, and however busy the machine: so many inputs find the canary's fault. Mostly a few hundred do,
# with one seed in four some thousand.
CANARY_RUNS=200000
CANARY_SECONDS=600

usage() { sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2; }

case ${1:-} in
    --install)
        echo "+ cargo install --locked cargo-fuzz"
        exec cargo install --locked cargo-fuzz
        ;;
    --smoke) seconds=$SMOKE_SECONDS ;;
    '' | *[!0-9]*) usage ;;
    *) seconds=$1 ;;
esac
shift
targets=${*:-$ALL}
for target in $targets; do
    case " $ALL " in *" $target "*) ;; *) echo "no target is called $target; there are: $ALL" >&2; exit 2 ;; esac
done

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is not installed. \`scripts/fuzz.sh --install\` does it: cargo install --locked cargo-fuzz" >&2
    exit 2
fi
if command -v rustup >/dev/null && rustup toolchain list | grep -q '^nightly'; then
    fuzz() { cargo +nightly fuzz "$@"; }
else
    export RUSTC_BOOTSTRAP=1
    fuzz() { cargo fuzz "$@"; }
fi

# Puts what is known into the directory $2, for the target $1: programs and events of the golden cases and the examples.
known() {
    local target=$1 to=$2 case file events
    rm -rf "$to"
    mkdir -p "$to"
    case $target in
        programs)
            for file in tests/golden/*/program.vpl tests/golden/errors/*/program.vpl examples/*.vpl tests/data/*.vpl; do
                [ ! -f "$file" ] || cp "$file" "$to/$(echo "$file" | tr / _)"
            done
            ;;
        runs)
            for file in tests/golden/*/program.vpl; do
                case=$(dirname "$file")
                cp "$file" "$to/$(basename "$case")"
                events=$case/events.evt
                [ ! -f "$events" ] || { cat "$file"; printf '\n# === events\n'; cat "$events"; } >"$to/$(basename "$case")_events"
            done
            ;;
        evt | jsonl | csv)
            for file in tests/golden/*/events."$target" examples/*."$target"; do
                [ ! -f "$file" ] || cp "$file" "$to/$(echo "$file" | tr / _)"
            done
            ;;
    esac
}

passed=0
failed=0
# Counts a target, with what is wrong with it.
count() {
    if [ -z "$2" ]; then
        echo "ok   $1"
        passed=$((passed + 1))
    else
        echo "FAIL $1: $2"
        failed=$((failed + 1))
    fi
}

# Runs the target $1 with the options behind it; its output goes to target/fuzz/TARGET.log.
run() {
    local target=$1 log=target/fuzz/$1.log dictionary=fuzz/vpl.dict options
    shift
    case $target in evt | jsonl | csv) dictionary=fuzz/events.dict ;; esac
    # Inputs may be long from the start; a slow one is a finding, and so is one that takes much memory.
    options=(-dict="$dictionary" -max_len=4096 -len_control=0 -timeout=60 -rss_limit_mb=4096 -print_funcs=0 -print_final_stats=1)
    mkdir -p target/fuzz "fuzz/corpus/$target" "tests/fuzz_seeds/$target"
    known "$target" "target/fuzz/known/$target"
    echo "+ cargo fuzz run $target fuzz/corpus/$target tests/fuzz_seeds/$target target/fuzz/known/$target -- ${options[*]} $*  >$log"
    fuzz run "$target" "fuzz/corpus/$target" "tests/fuzz_seeds/$target" "target/fuzz/known/$target" -- "${options[@]}" "$@" >"$log" 2>&1
}

echo "+ cargo fuzz build"
fuzz build
for target in $targets; do
    log=target/fuzz/$target.log
    if [ "$target" = canary ]; then
        # What an earlier run has learnt would show the fault at once.
        rm -rf fuzz/corpus/canary
        if run canary -max_total_time=$((seconds > CANARY_SECONDS ? seconds : CANARY_SECONDS)) -runs=$CANARY_RUNS; then
            count canary "the planted fault was not found: nothing else would be"
        elif grep -q 'read back differently' "$log"; then
            count canary ""
            rm -rf fuzz/artifacts/canary
        else
            count canary "it ended otherwise than by its planted fault: see $log"
        fi
    elif run "$target" -max_total_time="$seconds"; then
        count "$target" ""
        sed -n 's/^\(Done .*\)/     \1/p; s/^stat::\(peak_rss_mb\): */     \1 /p' "$log"
    else
        count "$target" "see $log"
        grep -E 'panicked at|ERROR:|Test unit written to' "$log" | sed 's/^/     /' || true
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
