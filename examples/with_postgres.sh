#!/bin/sh
# SPDX-License-Identifier: MIT
#
# with_postgres.sh <command>...: run a command with a PostgreSQL server of its own. The server has a
# Unix socket in a temporary directory and no port; PGHOST, PGUSER and PGDATABASE lead to it. It is
# stopped, and the directory removed, whatever becomes of the command. Exits as the command does, or
# with 77 and the reason where no server can be started.

set -eu

skip() {
    echo "with_postgres: skipped: $*"
    exit 77
}

bin=
for dir in "$(pg_config --bindir 2> /dev/null || true)" /usr/lib/postgresql/*/bin; do
    [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ] && bin=$dir
done
[ -n "$bin" ] || skip "no initdb and postgres found (Debian: postgresql)"

# The server refuses to be root. setpriv also ends it should this script be killed.
command -v setpriv > /dev/null || skip "no setpriv found (Debian: util-linux)"
as="setpriv --pdeathsig INT"
user=
if [ "$(id -u)" = 0 ]; then
    for user in postgres nobody ""; do
        ! id "$user" > /dev/null 2>&1 || break
    done
    [ -n "$user" ] || skip "run by root, and there is no user postgres or nobody to run it"
    as="$as --reuid=$user --regid=$(id -g "$user") --clear-groups"
fi
$as true 2> /dev/null || skip "not allowed: $as"

server=
command=
directory=$(mktemp -d /tmp/bide-postgres-XXXXXX)
clean_up() {
    [ -z "$command" ] || kill "$command" 2> /dev/null || true
    if [ -n "$server" ]; then
        kill -INT "$server" 2> /dev/null || true # a fast shutdown
        wait "$server" || true
    fi
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM
[ -z "$user" ] || chown "$user" "$directory"
cd "$directory"

$as "$bin/initdb" -D "$directory/data" -U bide --auth=trust --locale=C -E UTF8 --no-sync \
    > "$directory/log" 2>&1 || {
    cat "$directory/log"
    exit 1
}
$as "$bin/postgres" -D "$directory/data" -k "$directory" -c listen_addresses= -c fsync=off \
    -c shared_buffers=1MB -c max_connections=32 >> "$directory/log" 2>&1 &
server=$!
tries=0
until grep -q 'database system is ready to accept connections' "$directory/log"; do
    tries=$((tries + 1))
    if ! kill -0 "$server" 2> /dev/null || [ $tries -gt 300 ]; then
        cat "$directory/log"
        exit 1
    fi
    sleep 0.1
done

export PGHOST="$directory" PGUSER=bide PGDATABASE=postgres
status=0
"$@" & # a signal is heard while waiting, and only then
command=$!
wait "$command" || status=$?
command=
exit $status
