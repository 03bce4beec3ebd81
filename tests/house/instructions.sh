#!/bin/sh
# SPDX-License-Identifier: MIT
#
# instructions.sh <baseline.json> <program> [emulator...]: no operation of instructions.c takes over
# 5 % more instructions than the file says. Skipped where counts are not to be compared with the
# file's: another compiler, other flags, no valgrind.
#
# instructions.sh --write <baseline.json> <program>: write the file; "./dev baseline" does so.
# instructions.sh --bites <baseline.json> <program> [emulator...]: the check refuses files that were
# tampered with.

set -eu
export LC_ALL=C
percent=5
mode=check
case $1 in --*) mode=${1#--} && shift ;; esac
file=$1 program=$(realpath "$2")
shift 2
emulator=$*
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() {
    echo "skipped: $*"
    exit 77
}

# The file's text fields as lines "name value".
fields() { sed -n 's/^  "\([a-z_0-9]*\)": "\(.*\)",$/\1 \2/p' "$1"; }

# must_be_like <file> <build>: skip unless the file is about programs built like this one.
must_be_like() {
    fields "$1" > "$work/fields"
    while read -r name value; do
        there=$(sed -n "s/^$name //p" "$work/fields")
        [ "$value" = "$there" ] || skip "$name is '$value'; the baseline is for '$there'"
    done < "$2"
}

# measure <build> <file>: count, and write a file of that form.
measure() (
    command -v valgrind > /dev/null || skip "no valgrind to count instructions with"
    status=0
    valgrind --tool=callgrind --callgrind-out-file="$work/out" "$program" > "$work/log" 2>&1 ||
        status=$?
    if [ $status -ne 0 ]; then
        cat "$work/log"
        exit $status
    fi
    cd "$work"
    awk -v build="$1" '
    /^desc: Trigger: Client Request: / { name = $5; count = $6 }
    /^totals: / {
        if (count > 0 && !((name, count) in total)) total[name, count] = $2
        if (count > 0 && $2 < total[name, count]) total[name, count] = $2
        if (count > 0 && !(name in once)) { names[++n] = name; once[name] = count }
        if (count > 0 && count < once[name]) once[name] = count
        count = 0
    }
    END {
        print "{"
        while ((getline line < build) > 0) {
            name = line
            sub(/ .*/, "", name)
            printf "  \"%s\": \"%s\",\n", name, substr(line, length(name) + 2)
        }
        print "  \"instructions\": {"
        for (i = 1; i <= n; i++) {
            count = once[names[i]]
            each = (total[names[i], 2 * count] - total[names[i], count]) / count
            printf "    \"%s\": %.1f%s\n", names[i], each, i < n ? "," : ""
        }
        print "  }\n}"
        exit n == 0
    }' $(ls out.* | sort -t . -k 2n) > "$2" || { echo "callgrind counted nothing"; exit 1; }
)

# compare <file> <file of now>
compare() {
    awk -F '"' -v percent=$percent -v mode="$mode" '
    function cell(of, name) { return name in of ? sprintf("%.1f", of[name]) : "-" }
    !/^    "/ { next }
    { value = $3; gsub(/[^0-9.]/, "", value) }
    FNR == NR { names[++n] = $2; was[$2] = value + 0; next }
    { now[$2] = value + 0; if (!($2 in was)) names[++n] = $2 }
    END {
        printf "%-24s %10s %10s\n", "instructions", "was", "is"
        for (i = 1; i <= n; i++) {
            name = names[i]
            verdict = ""
            if (!(name in was)) { verdict = "  NOT IN THE BASELINE"; failed = 1 }
            else if (!(name in now)) { verdict = "  NO LONGER COUNTED"; failed = 1 }
            else if (now[name] > was[name] * (1 + percent / 100)) {
                verdict = "  OVER " percent " % MORE"
                failed = 1
            }
            else if (now[name] < was[name] * (1 - percent / 100)) {
                verdict = "  fewer"
                fewer = 1
            }
            printf "%-24s %10s %10s%s\n", name, cell(was, name), cell(now, name), verdict
        }
        if (!n) { print "no counts at all"; failed = 1 }
        if (mode == "write") exit
        if (failed) print "If this is wanted, run \"./dev baseline\" and commit the file."
        else if (fewer) print "Some take fewer now: \"./dev baseline\" would keep it so."
        exit failed
    }' "$1" "$2"
}

# expect <status> <text> <command>...: it ends so and prints that.
expect() {
    want=$1 text=$2
    shift 2
    status=0
    ("$@") > "$work/output" 2>&1 || status=$?
    [ $status -ne "$want" ] || ! grep -Fq -- "$text" "$work/output" || return 0
    echo "wanted status $want and '$text', got $status and:"
    cat "$work/output"
    failed=1
}

# doctor <factor>: the counts of now, one of them so many times as high.
doctor() {
    awk -F ': ' -v factor="$1" '
        /"spawn_await"/ { sub(/[0-9.]+/, $2 * factor); }
        { print }' "$work/now.json" > "$work/doctored.json"
}

bites() {
    failed=0
    expect 0 'instructions' compare "$work/now.json" "$work/now.json"
    doctor 0.96
    expect 0 'spawn' compare "$work/doctored.json" "$work/now.json"
    doctor 0.94
    expect 1 'OVER 5 % MORE' compare "$work/doctored.json" "$work/now.json"
    expect 1 './dev baseline' compare "$work/doctored.json" "$work/now.json"
    expect 0 '  fewer' compare "$work/now.json" "$work/doctored.json"
    grep -v spawn "$work/now.json" > "$work/doctored.json"
    expect 1 'NOT IN THE BASELINE' compare "$work/doctored.json" "$work/now.json"
    expect 1 'NO LONGER COUNTED' compare "$work/now.json" "$work/doctored.json"
    echo '{}' > "$work/doctored.json"
    expect 1 'no counts at all' compare "$work/doctored.json" "$work/doctored.json"
    sed 's/"compiler": "/&other /' "$work/now.json" > "$work/doctored.json"
    expect 77 'skipped: compiler is' must_be_like "$work/doctored.json" "$work/build"
    (must_be_like "$work/now.json" "$work/build") || failed=1
    return $failed
}

$emulator "$program" build > "$work/build"
case $mode in
    check)
        [ -f "$file" ] || { echo "$file is missing: run \"./dev baseline\" and commit it"; exit 1; }
        must_be_like "$file" "$work/build"
        measure "$work/build" "$work/now.json"
        compare "$file" "$work/now.json"
        ;;
    bites)
        ! grep -q -e -fsanitize "$work/build" || skip "no valgrind for a sanitizer's build"
        [ -z "$emulator" ] || skip "no valgrind for another processor's programs"
        measure "$work/build" "$work/now.json"
        bites
        ;;
    write)
        measure "$work/build" "$work/now.json"
        [ ! -f "$file" ] || compare "$file" "$work/now.json" || true
        cp "$work/now.json" "$file"
        echo "$file is for:"
        cat "$work/build"
        ;;
    *) echo "no such mode: $mode" >&2 && exit 2 ;;
esac
