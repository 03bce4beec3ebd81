#!/bin/sh
# SPDX-License-Identifier: MIT
#
# asyncio.sh <root> <compiler>: docs/asyncio.md compiles. Each example in its tables is one code
# span that holds a statement, or a function when it begins with `static` or async_main and ends in
# a brace; each block of C is a whole program. A row without an example says "none" or "planned".
#
# asyncio.sh --bites <root> <compiler>: it refuses pages with mistakes planted in them.

set -eu
export LC_ALL=C
least=230 # examples; fewer means that they were not found

# compile <file> <flag>...
compile() {
    file=$1
    shift
    "$cc" -std=gnu11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Wno-unused -Werror \
        -I"$root/include" "$@" "$file"
}

# Write the page's examples to examples.c, its programs to 1.c, 2.c ..., and check the tables.
extract() {
    awk -v out="$2" -v least=$least -v page=docs/asyncio.md '
    function fail(text) { print page ":" FNR ": " text; failed = 1 }
    function trim(text) { gsub(/^ +| +$/, "", text); return text }
    function example(text) {
        if (text !~ /^`[^`]+`$/) { fail("the example is not one code span"); return }
        text = substr(text, 2, length(text) - 2)
        gsub(/\001/, "|", text)
        count++
        if (text ~ /^(static .*\)|async_main) \{.*\}$/)
            printf "#line %d \"%s\"\n%s\n", FNR, page, text > examples
        else
            printf "static int example_%d(void)\n{\n#line %d \"%s\"\n%s;\nreturn 0;\n}\n", \
                count, FNR, page, text > examples
    }
    function row(    cells, cell) {
        gsub(/\\\|/, "\001")
        cells = split($0, cell, "|")
        if (cells != 6) { fail("a row of " cells - 2 " cells; write | in code as \\|"); return }
        if (cell[2] ~ /^-+$/ || trim(cell[4]) == "Example") return
        if (trim(cell[4]) != "") example(trim(cell[4]))
        else if (trim(cell[3]) !~ /^(none|planned)/) fail("neither an example nor none nor planned")
    }
    BEGIN { examples = out "/examples.c"; print "#include \"asyncio_subject.h\"" > examples }
    program != "" && /^```/ { close(program); program = ""; next }
    program != "" { print > program; next }
    /^```c$/ {
        program = out "/" ++programs ".c"
        printf "#line %d \"%s\"\n", FNR + 1, page > program
        next
    }
    /^\|/ { row() }
    END {
        if (count < least) fail(count + 0 " examples found, expected " least " or more")
        if (!programs) fail("no block of C found")
        exit failed
    }' "$1"
}

# check <page>
check() {
    rm -rf "$work/code"
    mkdir "$work/code"
    status=0
    extract "$1" "$work/code" || status=1
    compile "$work/code/examples.c" -I"$root/tests/house" || status=1
    for program in "$work/code"/[0-9]*.c; do
        [ ! -f "$program" ] || compile "$program" || status=1
    done
    return $status
}

# refuses <complaint> <sed command>: the page, so changed, is refused with that complaint.
refuses() {
    sed "$2" "$page" > "$work/page.md"
    if (check "$work/page.md") > "$work/output" 2>&1; then
        echo "not noticed: $1"
        failed=1
    elif ! grep -Fq -- "$1" "$work/output"; then
        echo "refused, but without saying '$1':"
        cat "$work/output"
        failed=1
    fi
}

bites() {
    failed=0
    at=$(grep -n '| `bide_sleep` |' "$page" | head -n 1 | cut -d: -f1)
    [ -n "$at" ] || { echo "no row of bide_sleep to plant mistakes in"; exit 1; }
    refuses "docs/asyncio.md:$at" "${at}s/bide_sleep(/bide_nap(/"
    refuses "docs/asyncio.md:$at" "${at}s/err = bide_sleep(.*);/task(double) x = t;/"
    refuses "docs/asyncio.md:$at" "${at}s/err = bide_sleep(.*);/printf(\"%s\", err);/"
    refuses "docs/asyncio.md:$at: the example is not one code span" "${at}s/err = /\` \`/"
    refuses "docs/asyncio.md:$at: neither an example" "${at}s/\`err = .*;\`//"
    refuses "docs/asyncio.md:$at: a row of 5 cells" "${at}s/err = /err |= /"
    refuses "examples found, expected $least" '/^| .*bide_/d'
    refuses "no block of C found" '/^```c$/,/^```$/d'
    at=$(grep -n '^static async(int, fetch' "$page" | head -n 1 | cut -d: -f1)
    refuses "docs/asyncio.md:$at" "${at}s/int, port, //"
    return $failed
}

[ "$1" != --bites ] || { run=bites; shift; }
root=$1 cc=$2
page=$root/docs/asyncio.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ "${run-}" = bites ]; then
    bites
else
    check "$page"
fi
