#!/bin/sh
# SPDX-License-Identifier: MIT
#
# quotes.sh <root>: what a page says it quotes from a file stands there, line by line. A page says
# so with "<!-- from <path> -->" right above the block of code.

set -eu
export LC_ALL=C
cd "$1"
find . -maxdepth 2 -name '*.md' | sort | xargs awk '
function check(    whole, line) {
    count++
    while ((getline line < path) > 0) whole = whole line "\n"
    close(path)
    if (index("\n" whole, "\n" quote)) return
    print FILENAME ":" start ": is not what stands in " path
    failed = 1
}
FNR == 1 { path = ""; inside = 0 }
inside && /^```/ { check(); path = ""; inside = 0; next }
inside { quote = quote $0 "\n"; next }
path != "" && /^```/ { inside = 1; quote = ""; start = FNR; next }
path != "" { print FILENAME ":" FNR ": no block of code to quote " path; failed = 1; path = "" }
/^<!-- from .* -->$/ { path = $3 }
END {
    if (!count) print "no quotation found"
    exit failed || !count
}'
