#!/usr/bin/env bash
# Checks what the compiler doesn't: where things may be named, how files open, what is said beside `unsafe` and orderings. Prints
# each check, and each fault with file and line; at the end `N passed, N failed`.
#
#   scripts/tidy.sh            check the repository
#   scripts/tidy.sh --teeth    plant a fault of each kind in a copy and require that it is found
set -euo pipefail
cd "$(dirname "$0")/.."

MAX_COLUMNS=120
LONG_FILE=700
TOO_LONG_FILE=900

# Every check is a function that runs in the tree to be checked and prints `file:line: fault` for each fault.
CHECKS="atomics rtrb unsafe_reasons unsafe_files openings leftovers ignored_tests machine_paths columns long_files orderings exhaustive"

# Rust files below the directories given that are there.
rust_files() {
    local directory
    for directory in "$@"; do
        [ ! -d "$directory" ] || find "$directory" -name target -prune -o -name '*.rs' -print
    done | sort
}

# Lines that match the expression $1 outside comments, in the files on standard input.
code_matches() {
    EXPRESSION=$1 xargs -r awk '
        { text = $0; sub(/\/\/.*/, "", text) }
        text ~ ENVIRON["EXPRESSION"] { print FILENAME ":" FNR ": " $0 }'
}

# Only src/sync names atomics and parks threads; everybody else goes through it, so that the models see all there is.
atomics() {
    rust_files src | grep -v '^src/sync' |
        code_matches '(std|core)::sync::(atomic|\{[^}]*atomic)|thread::park|park_timeout|hint::spin_loop'
}

# Only src/ring names rtrb.
rtrb() {
    rust_files src | grep -v '^src/ring' | code_matches '(^|[^A-Za-z0-9_])rtrb([^A-Za-z0-9_]|$)'
}

# Each use of `unsafe` has its SAFETY comment right above it, or above the statement that it stands in. What a trait declares as
# `unsafe fn` needs none where it is implemented: the contract is the trait's, and the body has blocks of its own.
unsafe_reasons() {
    rust_files src tests benches examples loom-tests/src | xargs -r awk '
        FNR == 1 { reason = -10 }
        /\/\/ SAFETY: ./ || /^ *\/\/\/ # Safety/ { reason = FNR }
        # A comment of several lines counts from its last one.
        reason == FNR - 1 && /^ *\/\// { reason = FNR }
        {
            text = $0
            sub(/\/\/.*/, "", text)
            if (text ~ /(^|[^A-Za-z0-9_"])(unsafe (\{|impl)|unsafe$|pub.* unsafe fn)/ && FNR - reason > 3)
                print FILENAME ":" FNR ": `unsafe` without SAFETY just above"
        }'
}

# A file that has `unsafe` says so at its top.
unsafe_files() {
    local file
    rust_files src | xargs -r grep -lE '^[^/]*\bunsafe (\{|fn|impl)' | while read -r file; do
        head -40 "$file" | grep -q '^#!\[allow(unsafe_code' || echo "$file:1: has \`unsafe\` and no \`#![allow(unsafe_code)]\` with its reason"
    done
}

# A file in src/ opens with its one idea.
openings() {
    local file
    for file in $(rust_files src); do
        head -1 "$file" | grep -qE '^//! .' || echo "$file:1: does not open with \`//!\` and its idea"
    done
}

# Nothing is left for later, and nothing is left over from debugging.
leftovers() {
    rust_files src tests benches examples loom-tests/src |
        xargs -r grep -nE '\b(TODO|FIXME|XXX)\b|\b(todo|unimplemented|dbg)!' || true
}

# A test that doesn't run shows nothing.
ignored_tests() {
    rust_files src tests benches examples loom-tests/src | xargs -r grep -nE '^[^/]*#\[ *ignore' || true
}

# The repository knows no machine.
machine_paths() {
    find . \( -name target -o -name .git \) -prune -o -type f \( -name '*.rs' -o -name '*.md' -o -name '*.toml' -o -name '*.sh' \
        -o -name '*.vpl' -o -name '*.yml' -o -name '*.txt' -o -path './.ci/*' \) -print | sed 's|^\./||' | sort |
        grep -v '^scripts/tidy\.sh$' | xargs -r grep -nE '(^|[^A-Za-z0-9_.])/(home|root|Users|work|tmp)/[A-Za-z0-9_.]' || true
}

# What the language names is resolved without a wildcard: a match behind a comment `// Exhaustive` has no arm `_`, and each of the
# places below has one.
exhaustive() {
    local place
    for place in declarations.rs:StatementKind stream.rs:SourceKind stream.rs:OperatorKind expr.rs:ExprKind functions.rs:BlockStatementKind; do
        [ ! -f "src/vpl/resolve/${place%:*}" ] || grep -q "// Exhaustive over ${place#*:}" "src/vpl/resolve/${place%:*}" ||
            echo "src/vpl/resolve/${place%:*}:1: no match that is said to be exhaustive over ${place#*:}"
    done
    rust_files src | xargs -r awk '
        FNR == 1 { inside = said = 0 }
        /\/\/ Exhaustive/ { said = 1; next }
        said && /match .*\{$/ { match($0, /^ */); depth = RLENGTH; inside = 1; said = 0; next }
        inside {
            match($0, /^ */)
            if (RLENGTH == depth && $0 ~ /^ *}/) inside = 0
            if (RLENGTH == depth + 4 && $0 ~ /^ *(\| )?_( |$)/) print FILENAME ":" FNR ": a wildcard where all is to be named"
        }'
}

# Lines that no editor shows whole, counted in characters. A string that can't be broken is no excuse.
columns() {
    rust_files src | LC_ALL=C.UTF-8 xargs -r grep -nE "^.{$((MAX_COLUMNS + 1))}" || true
}

# Files that are too long to hold in the head.
long_files() {
    rust_files src tests benches examples loom-tests/src | MAX=$TOO_LONG_FILE xargs -r awk '
        FNR == ENVIRON["MAX"] + 1 { print FILENAME ":" FNR ": more than " ENVIRON["MAX"] " lines" }'
}

# Each ordering of an atomic has a comment that names it within the six lines above, or on its own line.
orderings() {
    rust_files src | xargs -r awk '
        FNR == 1 { split("", said) }
        {
            comment = ""
            if (match($0, /\/\/.*/)) comment = substr($0, RSTART)
            said[FNR] = comment
            text = $0
            sub(/\/\/.*/, "", text)
            while (match(text, /Ordering::(Acquire|Release|AcqRel|SeqCst|Relaxed)/)) {
                name = substr(text, RSTART + 10, RLENGTH - 10)
                text = substr(text, RSTART + RLENGTH)
                found = 0
                for (line = FNR - 6; line <= FNR; line++) {
                    if (!(line in said)) continue
                    if (index(said[line], name)) found = 3
                    # AcqRel is two orderings: it may be explained as such.
                    if (name == "AcqRel" && index(said[line], "Acquire") && found != 3) found += 1
                    if (name == "AcqRel" && index(said[line], "Release") && found != 3) found += 2
                }
                if (found < 3) print FILENAME ":" FNR ": `" name "` without a comment that says why"
            }
        }'
}

passed=0
failed=0

# Counts the check $1, with the faults $2.
count() {
    if [ -z "$2" ]; then
        echo "ok   $1"
        passed=$((passed + 1))
    else
        echo "FAIL $1"
        printf '%s\n' "$2" | sed 's/^/     /'
        failed=$((failed + 1))
    fi
}

check() {
    local name file lines
    for name in $CHECKS; do count "$name" "$("$name")"; done
    rust_files src tests benches examples loom-tests/src | while read -r file; do
        lines=$(wc -l <"$file")
        [ "$lines" -le "$LONG_FILE" ] || echo "note $file has $lines lines; beyond $TOO_LONG_FILE it fails"
    done
}

# Appends the lines $3 to the file $2 of a copy, and requires that the check $1 finds a fault there.
bite() {
    local name=$1 file=$2 text=$3 found
    mkdir -p "$(dirname "$tree/$file")"
    [ ! -f "$tree/$file" ] || cp "$tree/$file" "$tree/original"
    printf "$text\n" >>"$tree/$file"
    found=$(cd "$tree" && "$name")
    case $found in
        *"$file:"*) count "tooth: $name in $file" "" ;;
        *) count "tooth: $name in $file" "not found: $text" ;;
    esac
    if [ -f "$tree/original" ]; then mv "$tree/original" "$tree/$file"; else rm "$tree/$file"; fi
}

teeth() {
    tree=$(mktemp -d)
    trap 'rm -rf "$tree"' EXIT
    cp -R src "$tree/"
    bite atomics src/clock.rs 'use std::sync::atomic::AtomicBool;'
    bite atomics src/flow/worker.rs 'use std::sync::{Arc, atomic::AtomicBool};'
    bite atomics src/flow/worker.rs 'fn f() { std::thread::park(); }'
    bite atomics src/engine/run.rs 'fn f() { thread::park_timeout(x); }'
    bite atomics src/engine/run.rs 'fn f() { std::hint::spin_loop(); }'
    bite rtrb src/flow/item.rs 'use rtrb::Producer;'
    bite rtrb src/context/router.rs 'type P = rtrb::Producer<u8>;'
    bite unsafe_reasons src/clock.rs 'fn f() {\n    // fast\n    unsafe { g() }\n}'
    bite unsafe_reasons tests/planted.rs '// SAFETY: too far away.\nfn f() {\n\n\n\n    let x = unsafe { g() };\n}'
    bite unsafe_files src/clock.rs '// SAFETY: said, but not at the top.\nfn f() { unsafe { g() } }'
    bite openings src/flow/planted.rs 'use std::fmt;'
    bite leftovers src/clock.rs '// TODO: later'
    bite leftovers tests/planted.rs 'fn f() { todo!() }'
    bite leftovers src/clock.rs '// FIXME'
    bite leftovers src/clock.rs '// XXX'
    bite leftovers src/clock.rs 'fn f() { unimplemented!("later") }'
    bite leftovers src/clock.rs 'fn f() { dbg!(1); }'
    bite ignored_tests tests/planted.rs '#[test]\n#[ignore = "slow"]\nfn f() {}'
    bite machine_paths src/clock.rs 'const FILE: &str = "/home/someone/x";'
    bite machine_paths docs/planted.md 'see /tmp/x'
    bite columns src/clock.rs "// $(printf '%0120d' 0)"
    bite long_files src/planted.rs "//! Long.$(printf '\\n%.0s' $(seq "$TOO_LONG_FILE"))"
    bite exhaustive src/vpl/resolve/stream.rs 'fn f() {\n    // Exhaustive\n    match x {\n        A => match y {\n            _ => {}\n        },\n        _ => {}\n    }\n}'
    bite exhaustive src/vpl/resolve/stream.rs 'fn f() {\n    // Exhaustive\n    match x {\n        A => {}\n        _ if b => {}\n    }\n}'
    bite orderings src/clock.rs 'fn f() { x.load(Ordering::Acquire); }'
    bite orderings src/clock.rs '// Relaxed: names the other one.\nfn f() { x.store(1, Ordering::Release); }'
    bite orderings src/clock.rs '// SeqCst\n\n\n\n\n\n\nfn f() { fence(Ordering::SeqCst); }'
}

case ${1:-} in
    "") check ;;
    --teeth) teeth ;;
    *) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
