#!/bin/sh
# SPDX-License-Identifier: MIT
#
# compile_fail.sh <source> <compiler> <flag>...: the source is refused with an error that matches
# the regular expression in its head (a comment "expect: regex"), and accepted with -DFIXED.

set -eu
source=$1
shift
regex=$(sed -n '1,10s|^/\* expect: \(.*\) \*/$|\1|p' "$source")
[ -n "$regex" ] || { echo "$source: no comment 'expect: regex' in its first ten lines"; exit 1; }

export LC_ALL=C
if output=$("$@" -c -o /dev/null "$source" 2>&1); then
    echo "$source: compiled, but must not"
    exit 1
fi
if ! printf '%s\n' "$output" | grep 'error' | grep -Eq -- "$regex"; then
    printf '%s\n' "$output"
    echo "$source: refused, but with no error that matches: $regex"
    exit 1
fi
if ! output=$("$@" -DFIXED -c -o /dev/null "$source" 2>&1); then
    printf '%s\n' "$output"
    echo "$source: refused even with -DFIXED"
    exit 1
fi
