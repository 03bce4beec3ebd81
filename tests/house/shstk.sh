#!/bin/sh
# SPDX-License-Identifier: MIT
#
# shstk.sh <libbide.a> <readelf>: the hand-written switch is in the archive and does not claim to be
# fit for shadow stacks: it leaves its frames by a jump, which a shadow stack would take for an
# attack.

set -eu
"$2" -n "$1" | awk '
/^File:/ { ours = /context\.S/; found += ours }
ours && /SHSTK/ { print "marked SHSTK: " $0; failed = 1 }
END {
    if (!found) print "no context.S object in the archive"
    exit failed || !found
}'
