#!/usr/bin/env bash
# Shows that a build whose panics abort refuses to supervise, and says why; and that the same example runs where they don't.
#
#   scripts/check-abort.sh
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in "") ;; *) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

example() { cargo run --quiet --locked --no-default-features --features vpl --example supervised "$@" 2>&1; }

passed=0
failed=0
expect() {
    local what=$1 words=$2 said=$3
    if grep -qF -- "$words" <<<"$said"; then
        passed=$((passed + 1))
        echo "ok   $what"
    else
        failed=$((failed + 1))
        printf 'FAIL %s: expected "%s" in:\n%s\n' "$what" "$words" "$said"
    fi
}
echo "+ cargo run --no-default-features --features vpl --example supervised, with and without --profile abort"
said=$(example) || true
expect "restarts where panics unwind" '"event":"restarted"' "$said"
said=$(example --profile abort) && status=0 || status=$?
expect "says why it doesn't where they abort" 'was built with `panic = "abort"`' "$said"
expect "fails there" 1 "$status"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
