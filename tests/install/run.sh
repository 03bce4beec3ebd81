#!/bin/sh
# SPDX-License-Identifier: MIT
#
# run.sh <way>: one way of getting at the library; the environment comes from CMakeLists.txt beside
# this file.

set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$BUILD/tests/install
prefix=$work/moved
export PKG_CONFIG_PATH="$prefix/$LIBDIR/pkgconfig"

fail() { echo "$*"; exit 1; }

# The program does its work, and the shared library is what it uses, or not.
works() {
    program=$1 kind=$2
    output=$("$program") || fail "$program failed: $output"
    [ "$output" = "42" ] || fail "$program printed '$output', not 42"
    if "$READELF" -d "$program" | grep -q 'NEEDED.*libbide\.so\.0'; then
        [ "$kind" = shared ] || fail "$program uses libbide.so"
    else
        [ "$kind" = static ] || fail "$program does not use libbide.so.0"
    fi
}

consumer() {
    rm -rf "$work/$1"
    "$CMAKE" -S "$here/consumer" -B "$work/$1" -G "$GENERATOR" -DCMAKE_C_COMPILER="$CC" \
        -DCMAKE_BUILD_TYPE="$CONFIG" "$2"
    "$CMAKE" --build "$work/$1"
    works "$work/$1/consumer_static" static
    works "$work/$1/consumer_shared" shared
    works "$work/$1/consumer_faults" static
    [ ! -f "$work/$1/consumer_uring" ] || works "$work/$1/consumer_uring" static
}

need_pkg_config() {
    command -v pkg-config > /dev/null || { echo "skipped: there is no pkg-config"; exit 77; }
    pkg-config --exists --print-errors bide bide-testing
}

case $1 in
    prefix)
        rm -rf "$work/first" "$prefix"
        "$CMAKE" --install "$BUILD" --prefix "$work/first" --config "$CONFIG"
        mv "$work/first" "$prefix"
        for file in include/bide.h include/bide/testing.h "$LIBDIR/libbide.a" \
            "$LIBDIR/libbide.so" "$LIBDIR/libbide_testing.a"; do
            [ -f "$prefix/$file" ] || fail "not installed: $file"
        done
        ! grep -rlF "$work/first" "$prefix" || fail "these remember where they were installed"
        ;;
    find_package)
        consumer find_package -DCMAKE_PREFIX_PATH="$prefix"
        ;;
    fetch_content)
        consumer fetch_content -DBIDE_SOURCE="$here/../.."
        ;;
    pkg_config_static)
        need_pkg_config
        $CC -std=gnu11 -Wall -Wextra -static -o "$work/pc_static" "$here/consumer/main.c" \
            $(pkg-config --static --cflags --libs bide)
        works "$work/pc_static" static
        ;;
    pkg_config_shared)
        need_pkg_config
        $CC -std=gnu11 -Wall -Wextra -o "$work/pc_shared" "$here/consumer/main.c" \
            $(pkg-config --cflags --libs bide)
        export LD_LIBRARY_PATH="$prefix/$LIBDIR"
        works "$work/pc_shared" shared
        ;;
    pkg_config_testing)
        need_pkg_config
        $CC -std=gnu11 -Wall -Wextra -o "$work/pc_testing" "$here/consumer/faults.c" \
            $(pkg-config --cflags --libs bide-testing)
        works "$work/pc_testing" static
        ;;
    *) fail "unknown way: $1" ;;
esac
