#!/bin/sh
# SPDX-License-Identifier: MIT
#
# docstrings.sh <root>: every BIDE_API declaration in include/ has a docstring right above it, and
# that of a function says what it Returns (unless void), and has its Blocks:, Cancel: and Threads:
# lines.
#
# A bide__ name is there for the public macros only: any comment above it will do.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd "$1"
export LC_ALL=C
find include -type f -name '*.h' | sort | xargs awk "$(cat "$here/declarations.awk")"'
function fail(what) { print FILENAME ":" start ": " what ": " decl_name; failed = 1 }
function check(text) {
    parse(text)
    count++
    if (comment == "" || start - comment_end > 2) { fail("no docstring right above"); return }
    if (decl_name ~ /^bide__/) return
    if (comment !~ /^[ \t]*\/\*\*/) fail("its comment is not a /** docstring")
    if (!decl_function) return
    if (!decl_void && comment !~ /Returns/) fail("docstring without Returns")
    if (comment !~ /Blocks:/) fail("docstring without Blocks:")
    if (comment !~ /Cancel:/) fail("docstring without Cancel:")
    if (comment !~ /Threads:/) fail("docstring without Threads:")
}

FNR == 1 { comment = ""; inside = 0; pending = "" }
pending != "" { pending = pending " " $0 }
/^BIDE_API/ && pending == "" { pending = $0; start = FNR }
pending != "" && /[;{]/ { check(pending); pending = ""; comment = ""; next }
pending == "" && !inside && /^[ \t]*\/\*/ { comment = ""; inside = 1 }
inside { comment = comment $0 "\n" }
inside && /\*\// { inside = 0; comment_end = FNR }
END {
    if (!count) print "no BIDE_API declaration found"
    exit failed || !count
}'
