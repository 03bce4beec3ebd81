#!/bin/sh
# SPDX-License-Identifier: MIT
#
# layers.sh <root>: no file in src/ or include/ includes a layer that is not below its own
# (layers.txt), and no public header a private one. What lies in modules/ includes no private one
# either, tests aside.
#
# The umbrella headers have no layer: whoever includes one is held to what it includes in turn.

set -eu
export LC_ALL=C
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$1"
if [ -d modules ]; then
    private=$(find modules -name tests -prune -o -name '*.[ch]' -exec \
        grep -HnE '^[ \t]*#[ \t]*include[ \t]*"[a-z_0-9]+/' {} + || true)
    [ -z "$private" ] || { echo "$private: a module includes a private header"; exit 1; }
fi
find src include -type f -name '*.[ch]' | sort | awk -v table="$here/layers.txt" '
function fail(text) { print file ":" line ": " text; failed = 1 }

# The layer of a path from the root, or "umbrella", or "" when it has none.
function layer_of(path,    part) {
    if (path ~ /^include\/bide(\.h|\/short\.h|\/testing\.h)$/) return "umbrella"
    sub(/^(src|include\/bide)\//, "", path)
    if (split(path, part, "/") != 2 || !(part[1] in height)) return ""
    return part[1]
}

# What an include names, as a path from the root; "" for a header that is not ours.
function target_of(name, quoted,    folder) {
    if (name ~ /^bide(\.h$|\/)/) return "include/" name
    if (!quoted) return ""
    if (name ~ /^[a-z_0-9]+\//) return "src/" name
    folder = file
    sub(/[^\/]*$/, "", folder)
    return folder name
}

function check(own, target,    other, i, list, n) {
    other = layer_of(target)
    if (target ~ /\/\.\.?\//) fail("path with dots: " target)
    else if (file ~ /^include/ && target ~ /^src/) fail("public header includes " target)
    else if (other == "umbrella") {
        n = split(inside[target], list, " ")
        for (i = 1; i <= n; i++) check(own, list[i])
    }
    else if (other == "") fail("belongs to no layer: " target)
    else if (own != "umbrella" && other != own && height[other] >= height[own])
        fail(own " includes " other ", which is not below it: " target)
    else if (other != own && target ~ /\.c$/) fail("source of another layer: " target)
}

BEGIN {
    while ((getline row < table) > 0)
        if (row !~ /^#/ && split(row, field, " ") == 2) height[field[1]] = field[2]
}
{
    file = $0
    line = 0
    if (layer_of(file) == "") fail("lies in no layer")
    while ((getline text < file) > 0) {
        line++
        if (text !~ /^[ \t]*#[ \t]*include[ \t]*[<"]/) continue
        sub(/^[ \t]*#[ \t]*include[ \t]*/, "", text)
        quoted = text ~ /^"/
        text = substr(text, 2)
        sub(/[>"].*/, "", text)
        target = target_of(text, quoted)
        if (target == "") continue
        if (layer_of(file) == "umbrella") inside[file] = inside[file] " " target
        files[++n] = file
        lines[n] = line
        targets[n] = target
    }
    close(file)
}
END {
    for (i = 1; i <= n; i++) {
        file = files[i]
        line = lines[i]
        check(layer_of(file), targets[i])
    }
    if (!NR) print "no sources to check"
    exit failed || !NR
}'
