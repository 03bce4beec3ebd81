#!/bin/sh
# SPDX-License-Identifier: MIT
#
# style.sh <root>: the licence comes first, sources stay under 600 lines and 100 columns, and what
# is left open names an issue number.

set -eu
export LC_ALL=C
cd "$1"
{
    for place in src asm include modules tests bench examples cmake; do
        [ ! -d $place ] || find $place -type f \( -name '*.[chS]' -o -name '*.cpp' -o -name '*.sh' \
            -o -name '*.awk' -o -name 'CMakeLists.txt' \
            -o -name '*.cmake' -o -name '*.cmake.in' -o -name '*.pc.in' -o -name '*.map' \)
    done
    for file in CMakeLists.txt dev .ci/run; do
        [ ! -f $file ] || echo $file
    done
} | sort | xargs awk -v lines_max=600 -v columns_max=100 '
function fail(line, text) { print FILENAME ":" line ": " text; failed = 1 }
function licence(text) {
    return text ~ /^(#|\/\*) SPDX-License-Identifier: MIT( \*\/)?$/
}
FNR == 1 {
    files++
    shebang = /^#!/
    if (!shebang && !licence($0)) fail(1, "no SPDX licence line at the top")
}
FNR == 2 && shebang && !licence($0) { fail(2, "no SPDX licence line below the #! line") }
FNR == lines_max + 1 && FILENAME ~ /\.([chS]|cpp)$/ { fail(FNR, "over " lines_max " lines") }
{
    text = $0
    gsub(/[\200-\277]/, "", text)
    if (length(text) > columns_max) fail(FNR, "over " columns_max " columns")
}
# The brackets keep this line from finding itself.
/(^|[^A-Za-z0-9_])(T[O]DO|F[I]XME|X[X]X)([^A-Za-z0-9_]|$)/ && !/#[0-9]+/ {
    fail(FNR, "left open without an issue number")
}
END {
    if (!files) print "no sources to check"
    exit failed || !files
}'
