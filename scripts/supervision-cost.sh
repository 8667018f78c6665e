#!/usr/bin/env bash
# What supervision costs while nothing fails, counted, so that it doesn't depend on what else the machine does. Needs valgrind.
#
# - Instructions: callgrind counts one engine's run at two sizes, without supervision, with restarts and stall detection, and with a
#   breaker as well. Printed is what an event more takes, in all threads and in the context's own, and what supervision adds there.
# - Cache lines: lackey tells every access of every thread between two system calls of the bench. Printed is how many lines both
#   ends of the hop (the thread that feeds, and the context's) touch and one of them writes, how many of these both touch at least
#   once in 64 events, and which lines the supervisor writes that the context's thread looks at as often: there is to be none.
#
#   scripts/supervision-cost.sh             20,000 and 60,000 events; 4,000 for the cache lines
#   scripts/supervision-cost.sh --quick     fewer
#   BENCH=PATH scripts/supervision-cost.sh  with this build of the bench
#
# Exits with 1 where it is more than 2 %, or a cache line more. Throughput is what `cargo bench --bench supervision` compares.
set -euo pipefail
cd "$(dirname "$0")/.."

few=20000 many=60000
for option in "$@"; do
    case $option in
        --quick) few=4000 many=8000 ;;
        *) sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
done
command -v valgrind >/dev/null || { echo "supervision-cost.sh: needs valgrind" >&2; exit 2; }

bench=${BENCH:-}
if [ -z "$bench" ]; then
    echo "+ cargo bench --locked --no-run --bench supervision"
    bench=$(cargo bench --locked --no-run --bench supervision --message-format=json 2>/dev/null |
        sed -n 's/.*"name":"supervision".*"executable":"\([^"]*\)".*/\1/p')
fi
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
done >"$dir/instructions"
# The bench feeds so many twice.
awk -v events=$((2 * (many - few))) '
    {
        all = ($4 - $2) / events; own = ($5 - $3) / events
        if (NR == 1) { plain_all = all; plain_own = own }
        printf "%-8s  %7.1f instructions an event in all threads; in that of the context %7.1f, %+.1f (%+.2f %%)\n",
            $1, all, own, own - plain_own, 100 * (own / plain_own - 1)
    }' "$dir/instructions"

# Lines that several threads touch in the run $1: the line, and for each thread its number, accesses and writes.
touched() {
    valgrind --tool=lackey --trace-mem=yes --trace-sched=yes --trace-syscalls=yes "$bench" --count "$1" 4000 2>&1 | awk '
        /sys_getppid/ { part++ }
        part == 1 && /^ [LSM] / {
            length_of = index($2, ",") - 1
            line = substr($2, 1, length_of - 2) "." int((index("0123456789abcdef", substr($2, length_of - 1, 1)) - 1) / 4)
            lines[line]; touches[line, thread]++
            if ($1 != "L") writes[line, thread]++
        }
        /acquired lock/ { match($0, /SCHED\[[0-9]+\]/); thread = substr($0, RSTART + 6, RLENGTH - 7) + 0 }
        END {
            for (line in lines) print line, touches[line, 1] + 0, writes[line, 1] + 0,
                touches[line, 2] + 0, writes[line, 2] + 0, touches[line, 3] + 0, writes[line, 3] + 0
        }'
}

echo "+ valgrind --tool=lackey --trace-mem=yes $(basename "$bench") --count plain | restarts | breaker 4000"
for kind in plain restarts breaker; do
    touched "$kind" | awk -v kind="$kind" -v often=60 '
        $2 && $4 && $3 + $5 { shared++; if ($2 >= often && $4 >= often) hot++ }
        $4 >= often && $7 { written++ }
        $4 >= often && $6 && $5 { heart++ }
        END { print kind, shared + 0, hot + 0, heart + 0, written + 0 }'
done | tee "$dir/lines" | awk '{
    printf "%-8s  %d lines shared on the hop, %d of them once in 64 events; ", $1, $2, $3
    printf "the supervisor looks at %d that the context writes as often, and writes %d that it reads\n", $4, $5
}'
awk -v events=$((2 * (many - few))) '
    NR == FNR { own[$1] = $5 - $3; next }
    $1 == "plain" { plain = $2; next }
    {
        if (own[$1] > 1.02 * own["plain"]) failed++; else passed++
        # How the threads take turns makes a few lines more or less: those where a sleeper is woken.
        if ($5 > 0 || $2 > 1.01 * plain) failed++; else passed++
    }
    END { printf "%d passed, %d failed\n", passed, failed; exit failed > 0 || passed != 4 }' "$dir/instructions" "$dir/lines"
