#!/usr/bin/env bash
# What supervision costs while nothing fails, in instructions, which don't depend on what else the machine does: callgrind counts
# one engine's run at two sizes, without supervision, with restarts and stall detection, and with a breaker as well. Printed is what
# an event more takes, in all threads and in the context's own, and the share that supervision adds there. Needs valgrind.
# Throughput is what `cargo bench --bench supervision` compares.
#
#   scripts/supervision-cost.sh             100,000 and 300,000 events
#   scripts/supervision-cost.sh --quick     fewer
#
# Exits with 1 where it is more than 2 %.
set -euo pipefail
cd "$(dirname "$0")/.."

few=100000 many=300000
for option in "$@"; do
    case $option in
        --quick) few=10000 many=30000 ;;
        *) sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done
command -v valgrind >/dev/null || { echo "supervision-cost.sh: needs valgrind" >&2; exit 2; }

echo "+ cargo bench --locked --no-run --bench supervision"
bench=$(cargo bench --locked --no-run --bench supervision --message-format=json 2>/dev/null |
    sed -n 's/.*"name":"supervision".*"executable":"\([^"]*\)".*/\1/p')
[ -x "$bench" ] || { echo "supervision-cost.sh: the bench does not build" >&2; exit 2; }
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Instructions of the run $1 with $2 events: of all threads, and of the one that counts most, which is the context's.
count() {
    valgrind --tool=callgrind --separate-threads=yes --callgrind-out-file="$dir/$1.$2" "$bench" --count "$1" "$2" \
        >/dev/null 2>"$dir/said" || { cat "$dir/said" >&2; exit 1; }
    awk '/^totals:/ { all += $2; if ($2 > most) most = $2 } END { printf "%d %d\n", all, most }' "$dir/$1.$2"-*
}

echo "+ valgrind --tool=callgrind $(basename "$bench") --count plain | restarts | breaker $few | $many"
for kind in plain restarts breaker; do
    read -r all_few own_few < <(count "$kind" "$few")
    read -r all_many own_many < <(count "$kind" "$many")
    echo "$kind $all_few $own_few $all_many $own_many"
done | awk -v events=$((many - few)) '
    {
        all = ($4 - $2) / events; own = ($5 - $3) / events
        if (NR == 1) { plain_all = all; plain_own = own }
        share = 100 * (own / plain_own - 1)
        printf "%-8s  %7.1f instructions an event, %+.1f (%+.2f %%); on the thread of the context %7.1f, %+.1f (%+.2f %%)\n",
            $1, all, all - plain_all, 100 * (all / plain_all - 1), own, own - plain_own, share
        if (share > 2) beyond++; else passed += NR > 1
    }
    END { printf "%d passed, %d failed\n", passed, beyond; exit beyond > 0 || passed == 0 }'
