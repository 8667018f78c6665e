#!/usr/bin/env bash
# Everything that must hold before a change lands, in the order of what fails fastest. CI runs just this.
#
#   scripts/check.sh             all of it
#   scripts/check.sh STEP ..     only these: format tidy layers clippy dependencies tests drills docs loom benches examples aborts
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never} RUST_BACKTRACE=${RUST_BACKTRACE:-1}

say() { printf '\n+ %s\n' "$*"; "$@"; }

format() { say cargo fmt --check; }

tidy() {
    say scripts/tidy.sh
    say scripts/tidy.sh --teeth
}

layers() {
    say scripts/layers.sh
    say scripts/layers.sh --teeth
}

clippy() {
    say cargo clippy --locked --all-targets -- -D warnings
    say cargo clippy --locked --all-targets --no-default-features -- -D warnings
    say cargo clippy --locked --all-targets --features faults -- -D warnings
}

# What embedders of the typed core pull in: five crates and what those need themselves.
dependencies() {
    printf '\n+ cargo tree: direct dependencies of the core\n'
    local found wanted='core_affinity crossbeam-utils hdrhistogram libc rtrb'
    found=$(cargo tree --locked -e normal --no-default-features --depth 1 --prefix none | sed 1d | cut -d' ' -f1 | sort | xargs)
    echo "$found"
    [ "$found" = "$wanted" ] || { echo "the core should depend on: $wanted" >&2; return 1; }
}

# The README's test command.
tests() { say cargo test --locked; }

# The tests that need faults on purpose.
drills() {
    say cargo test --locked --features faults --test supervision --test cli_supervision --test cli_crash \
        --test rollback --test cli_rollback
}

docs() { RUSTDOCFLAGS='-D warnings' say cargo doc --locked --no-deps; }

loom() { say scripts/loom.sh; }

# Whether the benches run, not how fast.
benches() { say cargo test --locked --benches; }

# What a newcomer runs first.
examples() {
    printf '\n+ the README'"'"'s run command\n'
    cargo run --locked --release -- run examples/iot_pipeline.vpl examples/iot_events.evt | tail -n 3
}

# A build whose panics abort refuses to supervise.
aborts() { say scripts/check-abort.sh; }

all=(format tidy layers clippy dependencies tests drills docs examples benches aborts loom)
steps=("$@")
[ $# -gt 0 ] || steps=("${all[@]}")
passed=0
for step in "${steps[@]}"; do
    started=$SECONDS
    # Not `step || ..`: that would let a step go on behind its first failure.
    set +e
    (set -e; "$step")
    status=$?
    set -e
    [ $status = 0 ] || { echo "FAILED: $step" >&2; echo "$passed passed, 1 failed"; exit 1; }
    passed=$((passed + 1))
    echo "ok: $step ($((SECONDS - started)) s)"
done
echo
echo "$passed passed, 0 failed"
