#!/bin/sh
# SPDX-License-Identifier: MIT
#
# harness.sh <subject> <empty> <leaks are found: 0 or 1> [emulator...]: the test harness itself.
# What must fail fails and says why, what hangs is killed with all it started, and no test at all is
# a failure.

set -eu
subject=$1 empty=$2 leaks_found=$3
shift 3
emulator=$*
status=0
output=

# expect <status> <substring> <program> <argument>...
expect() {
    want=$1 text=$2
    shift 2
    got=0
    output=$($emulator "$@" 2>&1) || got=$?
    case $output in
        *"$text"*) [ "$got" -ne "$want" ] || return 0 ;;
    esac
    printf '%s: status %s; wanted %s and "%s" in:\n%s\n' "$*" "$got" "$want" "$text" "$output"
    status=1
}

unset BIDE_TEST_SEED BIDE_TEST_SECONDS
expect 0 'ok   subject.passes (' "$subject" passes
expect 0 'ok   subject.passes (' "$subject" subject.passes
expect 77 'skipped: on purpose' "$subject" skips
expect 0 '3 passed, 0 failed, 1 skipped' "$subject" \
    passes_on_deaths skips passes_on_captured_stderr passes_and_leaves_no_descriptor
expect 1 'CHECK(1 + 1 == 3)' "$subject" fails_check
expect 1 'FAIL subject.fails_check' "$subject" fails_check
expect 1 'BIDE_TEST_SEED=1' "$subject" fails_check
expect 1 '40 + 2 == 43: 42 != 43' "$subject" fails_check_eq
expect 1 '"left" and "(null)"' "$subject" fails_check_str
expect 1 'it is "haystack"' "$subject" fails_check_contains
expect 1 'did not die' "$subject" fails_by_survival
expect 1 'died without "farewell"; stderr: "oops' "$subject" fails_by_other_last_words
expect 1 'killed by signal 6' "$subject" fails_by_signal
expect 1 'exit status 3' "$subject" fails_by_status
expect 1 '1 passed, 2 failed, 1 skipped' "$subject" passes skips fails_check fails_by_signal
expect 2 'no case named' "$subject" unheard_of
expect 0 'subject.fails_by_hanging' "$subject" --list
expect 1 'no test ran' "$empty"
[ "$leaks_found" = 0 ] || expect 1 'FAIL subject.leaks' "$subject" leaks

export BIDE_TEST_SECONDS=1
expect 1 'still running at the time limit, killed' "$subject" fails_by_hanging
expect 1 '0 passed, 2 failed' "$subject" fails_by_hanging fails_by_status

# A process that is dead but not yet reaped by its new parent counts as gone.
is_alive() {
    state=$(sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2> /dev/null) || return 1
    [ -n "$state" ] && [ "$state" != Z ] && [ "$state" != X ]
}
pids=$(printf '%s\n' "$output" | sed -n 's/.*child \([0-9]*\)$/\1/p')
[ "$(echo "$pids" | wc -l)" = 2 ] || { echo "expected two processes in: $output"; status=1; }
for pid in $pids; do
    tries=20
    while is_alive "$pid" && [ $tries -gt 0 ]; do
        sleep 0.1
        tries=$((tries - 1))
    done
    [ $tries -gt 0 ] || { echo "process $pid outlived its case"; status=1; }
done
exit $status
