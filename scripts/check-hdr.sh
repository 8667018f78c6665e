#!/usr/bin/env bash
# Reads what `varpin bench` writes for the tools of HdrHistogram back with another implementation of it: hdrhistogram from PyPI, in
# Python. A run is logged over time (.hlog) and as a distribution (.hgrm); the other implementation reads the log, adds its intervals
# up, and must print the very distribution that varpin has printed.
#
#   scripts/check-hdr.sh            needs Python 3 with venv, and PyPI once; keeps what it installs in target/hdr/venv
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in "") ;; *) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2 ;; esac

say() { echo "+ $*"; "$@"; }

out=$PWD/target/hdr
mkdir -p "$out"
if [ ! -x "$out/venv/bin/python" ]; then
    say python3 -m venv "$out/venv"
fi
say "$out/venv/bin/python" -m pip install --quiet 'hdrhistogram==0.10.8'
say cargo build --release --locked --bin varpin
varpin=${CARGO_TARGET_DIR:-target}/release/varpin
# On a busy machine the rate is missed (exit code 3): what is written can be checked all the same.
say "$varpin" bench hop --rate 100k --duration 2s --warmup 100ms --stall 5ms \
    --hgrm "$out/hop.hgrm" --hlog "$out/hop.hlog" || [ $? = 3 ]
say "$out/venv/bin/python" - "$out/hop.hlog" "$out/hop.hgrm" <<'PYTHON'
import re
import sys

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

log_path, distribution_path = sys.argv[1:]
total = HdrHistogram(1, 3_600_000_000_000, 3)
reader = HistogramLogReader(log_path, total)
intervals = 0
while True:
    interval = reader.get_next_interval_histogram()
    if interval is None:
        break
    assert interval.get_tag() == "100000", interval.get_tag()
    total.add(interval)
    intervals += 1

# What the log says, value by value: how many samples are no longer than that.
up_to = {}
samples = 0
for item in total.get_recorded_iterator():
    samples += item.count_at_value_iterated_to
    up_to[f"{item.value_iterated_to / 1000:.3f}"] = samples
assert samples == total.get_total_count() > 0, samples
assert intervals == 50, intervals

# What the distribution says must be just that, and each percentile lie where it claims to.
before = 0.0
lines = 0
with open(distribution_path) as file:
    for line in file:
        cells = line.split()
        if not cells or cells[0].startswith("#") or cells[0] == "Value":
            continue
        value, quantile, count = cells[0], float(cells[1]), int(cells[2])
        assert up_to[value] == count, line
        assert before <= quantile <= count / samples + 1e-9, line
        below = max((n for n in up_to.values() if n < count), default=0)
        assert quantile == 0 or quantile == 1 or below / samples <= quantile + 1e-9, line
        before = quantile
        lines += 1
assert before == 1.0, before
mean = re.search(r"Mean *= *([0-9.]+)", open(distribution_path).read())
assert abs(float(mean.group(1)) * 1000 - total.get_mean_value()) <= 1, mean
print(f"{intervals} intervals with {samples} samples; {lines} lines of the distribution agree")
PYTHON
echo "1 passed, 0 failed"
