#!/usr/bin/env bash
# Compares varpin with its peers in one run (benches/peers/): hops and throughput of rings beside rtrb, disruptor, crossbeam-channel
# and tokio; programs in process beside varpulis-runtime; the whole process on a file of a million lines. Prints the tables and
# writes them to target/compare/compare.md and compare.json. Ratios mean something on a quiet machine only; the load is in the report.
#
#   scripts/compare.sh             everything, about five minutes
#   scripts/compare.sh --quick     few rounds of small counts: whether it works, not how fast
#   scripts/compare.sh --check     exits with 1 where a target is missed, and lists those
#   scripts/compare.sh --only hop|throughput|programs|process ...    only these tables
#   scripts/compare.sh --rounds N
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in -h | --help) sed -n '2,11p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;; esac

say() { echo "+ $*"; "$@"; }

out=$PWD/target/compare
targets=${CARGO_TARGET_DIR:-}
varpin=${targets:-target}/release/varpin
compare=${targets:-benches/peers/target}/release/compare
say cargo build --release --locked --bin varpin
# Not --locked: a new dependency of the main package is no reason to stop.
say cargo build --release --manifest-path benches/peers/Cargo.toml
say "$compare" "$@" --varpin "$varpin" "$out"
echo "written: $out/compare.md $out/compare.json"
