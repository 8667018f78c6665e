#!/usr/bin/env bash
# Checks that imports go one way: a module of src/ names only modules of lower layers. Prints each path that doesn't, with file and
# line, and at the end `N passed, N failed`, a check for each layer.
#
#   scripts/layers.sh            check src/
#   scripts/layers.sh --teeth    plant a violation of each kind in a copy and require that it is found
#
# Looked at: `crate::x` and `varpin::x` outside comments, and `super::` that leads out of a layer.
set -euo pipefail
cd "$(dirname "$0")/.."

# The layers, the highest first. A layer may name those below it, except for what APART says.
LAYERS="cli engine connect supervise checkpoint context operators vpl format functions event flow metrics ring idle cores clock sync"

# Layers that never name each other, although one stands above the other: who > what.
APART="
checkpoint > context operators vpl format functions event flow metrics ring idle cores clock sync
vpl > flow ring idle cores clock sync
operators > flow ring idle cores clock sync
format > flow ring idle cores clock sync
functions > flow ring idle cores clock sync
event > flow ring idle cores clock sync
"

# Prints `file:line: message` for each violation in the files of layer $2 below the tree $1.
violations() {
    local tree=$1 layer=$2
    find "$tree/src" \( -path "$tree/src/$layer.rs" -o -path "$tree/src/$layer/*.rs" \) -print | sort |
        LAYERS=$LAYERS APART=$APART LAYER=$layer TREE=$tree xargs -r awk '
        BEGIN {
            layer = ENVIRON["LAYER"]
            count = split(ENVIRON["LAYERS"], names, " ")
            for (i = 1; i <= count; i++) place[names[i]] = i
            lines = split(ENVIRON["APART"], rules, "\n")
            for (i = 1; i <= lines; i++) {
                if (split(rules[i], sides, " > ") != 2 || sides[1] != layer) continue
                n = split(sides[2], others, " ")
                for (j = 1; j <= n; j++) apart[others[j]] = 1
            }
        }
        FNR == 1 {
            file = substr(FILENAME, length(ENVIRON["TREE"]) + 2)
            # How many `super::` lead from a file to the root of the crate.
            inner = file
            sub(/\/mod\.rs$/, ".rs", inner)
            depth = gsub(/\//, "/", inner)
        }
        {
            text = $0
            sub(/\/\/.*/, "", text)
            rest = text
            while (match(rest, /(crate|varpin)::(\{|[a-z_]+)/)) {
                before = RSTART > 1 ? substr(rest, RSTART - 1, 1) : ""
                path = substr(rest, RSTART, RLENGTH)
                rest = substr(rest, RSTART + RLENGTH)
                if (before ~ /[A-Za-z0-9_$]/) continue
                name = path
                sub(/.*::/, "", name)
                if (name == "{") say("import each layer by a line of its own, not in a group")
                else look(name)
            }
            rest = text
            while (match(rest, /(super::)+[a-z_]+/)) {
                path = substr(rest, RSTART, RLENGTH)
                rest = substr(rest, RSTART + RLENGTH)
                supers = gsub(/super::/, "", path)
                if (supers >= depth && path in place) look(path)
            }
        }
        function look(name) {
            if (name == layer) return
            if (!(name in place)) { say("`" name "` is no layer; add it to the list in scripts/layers.sh"); return }
            if (place[name] < place[layer]) say("`" layer "` names `" name "`, which is above it")
            else if (name in apart) say("`" layer "` names `" name "`; the two stay apart")
        }
        function say(message) { print file ":" FNR ": " message }'
}

# Every file of the tree $1 belongs to a layer, or is a root of the crate.
strays() {
    local tree=$1 entry name
    for entry in "$tree"/src/*; do
        name=$(basename "$entry" .rs)
        case " $LAYERS lib main " in *" $name "*) ;; *) echo "src/$name: is no layer; add it to the list in scripts/layers.sh" ;; esac
    done
}

passed=0
failed=0
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
    local layer
    count "every module is a layer" "$(strays "$1")"
    for layer in $LAYERS; do count "$layer" "$(violations "$1" "$layer")"; done
}

# Appends the line $3 to the file $2 of a fresh copy, and requires that layer $1 is complained of, there.
bite() {
    local layer=$1 file=$2 line=$3 copy found
    copy=$(mktemp -d)
    cp -R src "$copy/"
    printf '%s\n' "$line" >>"$copy/src/$file"
    found=$(violations "$copy" "$layer"; strays "$copy")
    rm -rf "$copy"
    case $found in
        *"src/$file:"* | *"src/${file%.rs}:"*) count "tooth: $line in $file" "" ;;
        *) count "tooth: $line in $file" "not found" ;;
    esac
}

teeth() {
    bite sync sync.rs "use crate::ring::Sender;"
    bite vpl vpl/plan.rs "use crate::flow::Stage;"
    bite flow flow/order.rs "use crate::vpl::plan::Plan;"
    bite operators operators/join.rs "fn f() { crate::ring::bounded::<u8>(1); }"
    bite context context/mod.rs "use crate::{engine, event};"
    bite event event/value.rs "use super::super::functions::Builtin;"
    bite ring ring.rs "use super::flow::Stage;"
    bite engine engine/mod.rs "use crate::nowhere::Thing;"
    bite engine engine/run.rs "fn f() -> varpin::cli::Exit {}"
    bite none stray.rs "//! Belongs nowhere."
}

case ${1:-} in
    "") check "$PWD" ;;
    --teeth) teeth ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
