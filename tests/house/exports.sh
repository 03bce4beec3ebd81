#!/bin/sh
# SPDX-License-Identifier: MIT
#
# exports.sh <root> <libbide.so> <nm>: the shared library exports what the headers declare BIDE_API,
# all of it and nothing else, and only bide_ names.

set -eu
export LC_ALL=C
root=$1 library=$2 nm=$3
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The version node itself is listed as an absolute symbol.
"$nm" -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
    sort -u > "$work/exported"
find "$root/include" -type f -name '*.h' | xargs awk "$(cat "$here/declarations.awk")"'
/^BIDE_API/ && text == "" { text = " " }
text != "" { text = text $0 " " }
text != "" && /[;{]/ { parse(text); print decl_name; text = "" }' |
    sort -u > "$work/declared"

status=0
complain() {
    [ -s "$work/list" ] || return 0
    echo "$1"
    sed 's/^/    /' "$work/list"
    status=1
}
grep -v '^bide_' "$work/exported" > "$work/list" || true
complain "exported, but not a bide_ name:"
comm -23 "$work/exported" "$work/declared" > "$work/list"
complain "exported, but not declared BIDE_API in include/:"
comm -13 "$work/exported" "$work/declared" > "$work/list"
complain "declared BIDE_API in include/, but not exported:"
[ -s "$work/declared" ] || { echo "no BIDE_API declaration found"; status=1; }
exit $status
