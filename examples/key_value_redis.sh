#!/bin/sh
# SPDX-License-Identifier: MIT
#
# key_value_redis.sh <key_value>: redis-cli and redis-benchmark against key_value. Exits with 0 when
# all replies are as expected; with 77 and the reason where Redis's tools are missing.

set -eu

for tool in redis-cli redis-benchmark; do
    command -v $tool > /dev/null || {
        echo "key_value_redis: skipped: no $tool found (Debian: redis-tools)"
        exit 77
    }
done

server=
directory=$(mktemp -d)
clean_up() {
    [ -z "$server" ] || kill -KILL "$server" 2> /dev/null || true
    rm -rf "$directory"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

"$1" --listen tcp://127.0.0.1:0 > "$directory/log" &
server=$!
tries=0
until grep -q '^listening on' "$directory/log"; do
    tries=$((tries + 1))
    if ! kill -0 "$server" 2> /dev/null || [ $tries -gt 100 ]; then
        echo "key_value_redis: the server did not start"
        exit 1
    fi
    sleep 0.1
done
port=$(sed -n 's/^listening on .*://p' "$directory/log")

# What redis-cli prints, as it does into a file, command by command.
redis-cli -p "$port" > "$directory/got" << 'EOT'
PING
ECHO "hello world"
SET greeting "hello \"you\""
GET greeting
SET greeting again NX
SET counter 10 EX 100
TTL counter
INCR counter
DECRBY counter 3
INCR greeting
APPEND greeting !
STRLEN greeting
MSET a 1 b 2
MGET a b none
EXISTS a b none
TYPE a
RPUSH list x y z
LRANGE list 0 -1
LPOP list
GET list
KEYS list*
DEL a b
DBSIZE
SELECT 0
JUMP
GET
PEXPIRE list 1
FLUSHALL
DBSIZE
QUIT
EOT
cat > "$directory/wanted" << 'EOT'
PONG
hello world
OK
hello "you"

OK
100
11
8
ERR value is not an integer or out of range

12
12
OK
1
2

2
string
3
x
y
z
x
WRONGTYPE Operation against a key holding the wrong kind of value

list
2
3
OK
ERR unknown command 'JUMP', with args beginning with: 

ERR wrong number of arguments for 'get' command

1
OK
0
EOT
diff "$directory/wanted" "$directory/got" || {
    echo "key_value_redis: redis-cli printed something else (>) than expected (<)"
    exit 1
}

# It ends at the first error reply. One line a test: "PING_INLINE: 98039.22 requests per second".
for pipeline in 1 16; do
    redis-benchmark -p "$port" -n 10000 -c 50 -P $pipeline -q \
        -t ping,set,get,incr,lpush,lpop,mset > "$directory/rates" 2>&1 || {
        cat "$directory/rates"
        echo "key_value_redis: redis-benchmark failed"
        exit 1
    }
    tr '\r' '\n' < "$directory/rates" | grep 'requests per second' > "$directory/lines" || true
    cat "$directory/lines"
    [ "$(wc -l < "$directory/lines")" = 8 ] && ! grep -qi 'error\|warning' "$directory/rates" || {
        cat "$directory/rates"
        echo "key_value_redis: redis-benchmark said something else"
        exit 1
    }
done
[ "$(redis-cli -p "$port" GET counter:__rand_int__)" = 20000 ] || {
    echo "key_value_redis: 20,000 INCRs did not count to 20,000"
    exit 1
}

kill -TERM "$server"
status=0
wait "$server" || status=$?
server=
[ $status = 0 ] || echo "key_value_redis: the server ended with status $status"
exit $status
