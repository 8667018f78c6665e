#!/usr/bin/env bash
# Model-checks rings, park and wake: builds loom-tests/ against this crate's sources and rtrb's own, runs every model, then
# weakens each ordering in turn and requires a model to fail (the teeth). Prints the number of schedules of each model, and at
# the end `N passed, N failed`, models and teeth together.
#
#   scripts/loom.sh                    everything
#   scripts/loom.sh models [NAME...]   only the models, or only those named
#   scripts/loom.sh teeth [NAME...]    only the teeth, or only those named
#
# rtrb knows nothing of loom. Its locked source, which cargo has downloaded anyway, is copied to target/loom/ and its three
# imports of core::sync::atomic are pointed at loom's types; any other number means that rtrb has changed and this recipe
# must be looked at again. Nothing generated is committed.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$root/target/loom
what=${1:-all}
[ $# -gt 0 ] && shift
case $what in all | models | teeth) ;; *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

fail() { echo "loom.sh: $*" >&2; exit 1; }

# Where cargo keeps the source of the rtrb that Cargo.lock names.
locked_rtrb() {
    cargo metadata --format-version 1 --locked --filter-platform "$(rustc -vV | sed -n 's/^host: //p')" |
        grep -o '"manifest_path":"[^"]*/rtrb-[0-9][^"/]*/Cargo.toml"' | sort -u |
        sed 's/^"manifest_path":"//; s|/Cargo.toml"$||'
}

# Makes the directory $1 rtrb's source over loom's atomics.
copy_rtrb() {
    local to=$1 from changed
    from=$(locked_rtrb)
    [ -d "$from" ] || fail "expected one locked rtrb source, found: '$from'"
    rm -rf "$to"
    mkdir -p "$to"
    cp -R "$from/src" "$from/Cargo.toml" "$to/"
    chmod -R u+w "$to"
    find "$to/src" -name '*.rs' -exec sed -i.original 's/^use core::sync::atomic::/use loom::sync::atomic::/' {} +
    find "$to/src" -name '*.original' -delete
    changed=$(diff -r "$from/src" "$to/src" | grep -c '^>' || true)
    [ "$changed" -eq 3 ] || fail "expected to change 3 lines of $from, changed $changed"
    if grep -rnE '^[^/]*(core|std)::sync::atomic' "$to/src"; then
        fail "rtrb reaches atomics in a way that loom would miss"
    fi
    # Its tests stay behind, and with them what only they need.
    sed -i.original '/^\[\[test\]\]/,$d' "$to/Cargo.toml"
    rm "$to/Cargo.toml.original"
    printf '\n[dependencies.loom]\nversion = "0.7.2"\n' >>"$to/Cargo.toml"
    echo "rtrb: ${from##*/}, 3 lines changed"
}

# Builds the loom-tests of the tree $1 with the rtrb at $2.
build() {
    RUSTFLAGS="--cfg loom" cargo build --quiet --locked --manifest-path "$1/loom-tests/Cargo.toml" \
        --target-dir "$work/build" --config "patch.crates-io.rtrb.path=\"$2\""
}

runner=$work/build/debug/varpin-loom-tests
passed=0
failed=0

run_models() {
    local output status=0
    copy_rtrb "$work/rtrb"
    build "$root" "$work/rtrb"
    output=$work/models.txt
    "$runner" "$@" | tee "$output" | grep -v ' passed, ' || true
    # The runner's own count; without it (it died) nothing ran.
    read -r ran_passed _ ran_failed _ < <(grep ' passed, ' "$output") || fail "no model ran"
    [ "$ran_passed" -gt 0 ] || status=1
    passed=$((passed + ran_passed))
    failed=$((failed + ran_failed + status))
}

# A tooth is a row of teeth.txt: one line of one file changed, and the models of which at least one must fail then.
# It works on a copy, target/loom/teeth/{src,Cargo.toml,loom-tests,rtrb}, where paths are as in the table.
run_teeth() {
    local tree=$work/teeth name file nth from to models original
    rm -rf "$tree"
    mkdir -p "$tree"
    cp -R Cargo.toml src "$tree/"
    mkdir "$tree/loom-tests"
    cp -R loom-tests/Cargo.toml loom-tests/Cargo.lock loom-tests/src "$tree/loom-tests/"
    # Only the library is built here; targets whose files are not copied would be errors.
    sed -i.original '/^\[\[\(bin\|bench\|example\|test\)\]\]/,/^$/d; /^default-run/d; /^readme/d' "$tree/Cargo.toml"
    rm "$tree/Cargo.toml.original"
    copy_rtrb "$tree/rtrb"
    # Columns stand between ` | `; code may hold bars of its own, but not with spaces on both sides.
    while IFS=$'\t' read -r name file nth from to models; do
        name=$(trim "$name") file=$(trim "$file") nth=$(trim "$nth") from=$(trim "$from") to=$(trim "$to")
        case $name in '' | '#'*) continue ;; esac
        if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
        original=$work/original
        cp "$tree/$file" "$original"
        FROM=$from TO=$to awk -v nth="$nth" '
            { at = index($0, ENVIRON["FROM"]) }
            at && ++seen == nth {
                $0 = substr($0, 1, at - 1) ENVIRON["TO"] substr($0, at + length(ENVIRON["FROM"]))
            }
            { print }' "$original" >"$tree/$file"
        bite "$name" "$tree" "$original" "$tree/$file" $models
        # A new time stamp, so that cargo sees the change back.
        cat "$original" >"$tree/$file"
    done < <(sed 's/  *| /\t/g' loom-tests/teeth.txt)
}

# Requires that the changed file differs in one line, builds, and that a model fails.
bite() {
    local name=$1 tree=$2 original=$3 changed=$4 caught
    shift 4
    if [ "$(diff "$original" "$changed" | grep -c '^>')" -ne 1 ]; then
        echo "FAIL tooth $name: its line is not there any more"
        failed=$((failed + 1))
    elif ! build "$tree" "$tree/rtrb"; then
        echo "FAIL tooth $name: does not build"
        failed=$((failed + 1))
    else
        "$runner" "$@" >"$work/tooth.txt" || true
        caught=$(grep '^FAIL' "$work/tooth.txt" | grep -v 'still exploring' | head -1 || true)
        if [ -n "$caught" ]; then
            echo "ok   tooth $name: ${caught#FAIL }" | cut -c1-220
            passed=$((passed + 1))
        else
            echo "FAIL tooth $name: no model noticed"
            failed=$((failed + 1))
        fi
    fi
}

trim() { local text=$1; text=${text#"${text%%[! ]*}"}; printf '%s' "${text%"${text##*[! ]}"}"; }

started=$SECONDS
[ "$what" = teeth ] || run_models "$@"
[ "$what" = models ] || run_teeth "$@"
echo "$((SECONDS - started)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
