#!/bin/sh
# SPDX-License-Identifier: MIT
#
# needed.sh <libbide.so> <readelf>: the shared library needs the C library and the dynamic loader,
# no other.

set -eu
needed=$("$2" -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p')
[ -n "$needed" ] || { echo "$1 lists no library at all"; exit 1; }
allowed='^(libc\.so\.6|ld-linux.*\.so\.[0-9]+|ld64\.so\.[0-9]+)$'
foreign=$(echo "$needed" | grep -Ev "$allowed" || true)
[ -z "$foreign" ] || { echo "$1 needs more than libc:" $foreign; exit 1; }
