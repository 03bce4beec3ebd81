/* SPDX-License-Identifier: MIT */
/*
 * key_value_commands.h - key_value.c's commands, and the replies they make.
 *
 * A command never waits, so that none sees another half done.
 */
#ifndef KEY_VALUE_COMMANDS_H
#define KEY_VALUE_COMMANDS_H

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "key_value_store.h"

enum {
    ARGS_MOST = 1024,
    BULK_BYTES = 1024 * 1024,       /* of an argument */
    REPLY_BYTES = 64 * 1024 * 1024, /* of one command */
    LONGEST_LIFE = INT32_MAX,       /* seconds */
};

/* --- Replies */

struct reply {
    char *at;
    size_t bytes;
    size_t capacity;
    bool is_lost; /* too long, or no memory */
    bool closes;  /* the last one */
};

static void reply_free(void *reply)
{
    free(((struct reply *)reply)->at);
}

/* Room for so many bytes more, not yet counted; NULL when there is none. */
static char *reply_room(struct reply *out, size_t bytes)
{
    size_t wanted = out->bytes + bytes, capacity = out->capacity != 0 ? out->capacity : 4096;
    char *at;

    if (wanted <= out->capacity)
        return out->at + out->bytes;
    while (capacity < wanted)
        capacity *= 2;
    at = wanted <= REPLY_BYTES ? realloc(out->at, capacity) : NULL;
    if (at == NULL) {
        out->is_lost = true;
        return NULL;
    }
    out->at = at;
    out->capacity = capacity;
    return at + out->bytes;
}

static void put(struct reply *out, const char *text)
{
    size_t bytes = strlen(text);
    char *to = reply_room(out, bytes);

    if (to == NULL)
        return;
    memcpy(to, text, bytes);
    out->bytes += bytes;
}

static __attribute__((format(printf, 2, 3))) void put_error(struct reply *out, const char *format,
                                                            ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *at = text; *at != '\0'; at++)
        if (*at == '\r' || *at == '\n')
            *at = ' '; /* it may quote what was sent */
    put(out, "-");
    put(out, text);
    put(out, "\r\n");
}

/* The digits of a number, from the end of `text` backwards: where they begin. */
static char *digits(char text[24], int64_t number)
{
    uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
    char *at = text + 24;

    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (number < 0)
        *--at = '-';
    return at;
}

/* ':' an integer; '*' the count of an array, whose items follow; '$' the length of a bulk. */
static void put_number(struct reply *out, char kind, int64_t number)
{
    char text[24], *from = digits(text, number), *to = reply_room(out, 1 + sizeof text + 2);
    size_t bytes = (size_t)(text + sizeof text - from);

    if (to == NULL)
        return;
    *to++ = kind;
    memcpy(to, from, bytes);
    memcpy(to + bytes, "\r\n", 2);
    out->bytes += 1 + bytes + 2;
}

static void put_bulk(struct reply *out, struct span bulk)
{
    char *to;

    put_number(out, '$', (int64_t)bulk.bytes);
    to = reply_room(out, bulk.bytes + 2);
    if (to == NULL)
        return;
    if (bulk.bytes > 0)
        memcpy(to, bulk.at, bulk.bytes);
    memcpy(to + bulk.bytes, "\r\n", 2);
    out->bytes += bulk.bytes + 2;
}

#define NIL "$-1\r\n"
#define OK "+OK\r\n"
#define WRONG_TYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define NOT_AN_INTEGER "-ERR value is not an integer or out of range\r\n"
#define SYNTAX_ERROR "-ERR syntax error\r\n"
#define NO_MEMORY "-OOM no memory\r\n"

/* --- Commands. The first argument is the command's name. */

struct request {
    size_t count;
    struct span args[ARGS_MOST];
};

static bool is_word(struct span text, const char *word)
{
    return text.bytes == strlen(word) && strncasecmp(text.at, word, text.bytes) == 0;
}

/* The whole of the text, as Redis has it: no plus sign, no leading zero, no blank. */
static bool to_number(struct span text, int64_t *number)
{
    bool is_negative = text.bytes > 0 && text.at[0] == '-';
    int64_t value = 0;

    text.at += is_negative;
    text.bytes -= is_negative;
    if (text.bytes == 0 || (text.at[0] == '0' && (text.bytes > 1 || is_negative)))
        return false;
    for (size_t i = 0; i < text.bytes; i++) {
        int digit = text.at[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value))
            return false; /* summed up below zero, where there is room for one more */
    }
    if (!is_negative && value == INT64_MIN)
        return false;
    *number = is_negative ? value : -value;
    return true;
}

/* The key's entry, or NULL: it is not there, or (then that is the reply) of the other kind. */
static struct entry *find(struct reply *out, struct span key, bool is_list, const char *missing)
{
    struct entry *entry = store_find(key);

    if (entry == NULL)
        put(out, missing);
    else if (entry->is_list != is_list)
        put(out, WRONG_TYPE);
    return entry != NULL && entry->is_list == is_list ? entry : NULL;
}

/* The same, and it is made when it is not there. */
static struct entry *find_or_add(struct reply *out, struct span key, bool is_list)
{
    struct entry *entry = store_find(key);

    if (entry == NULL && (entry = store_add(key, is_list)) == NULL)
        put(out, NO_MEMORY);
    else if (entry->is_list != is_list)
        put(out, WRONG_TYPE);
    return entry != NULL && entry->is_list == is_list ? entry : NULL;
}

static struct span value_of(const struct entry *entry)
{
    return (struct span){entry->value.at, entry->value.bytes};
}

/* Set a key to a string, whatever it was. */
static bool assign(struct span key, struct span text, bide_time expires)
{
    struct entry *entry = store_find(key);

    if (entry != NULL && entry->is_list) {
        store_delete(key);
        entry = NULL;
    }
    if (entry == NULL)
        entry = store_add(key, false);
    if (entry == NULL || !value_set(&entry->value, text))
        return false;
    if (entry->expires != expires)
        store_expire(entry, expires);
    return true;
}

static void do_ping(struct reply *out, const struct request *in)
{
    if (in->count == 1)
        put(out, "+PONG\r\n");
    else
        put_bulk(out, in->args[1]);
}

static void do_get(struct reply *out, const struct request *in)
{
    struct entry *entry = find(out, in->args[1], false, NIL);

    if (entry != NULL)
        put_bulk(out, value_of(entry));
}

static void do_set(struct reply *out, const struct request *in)
{
    bool if_absent = false, if_there = false, is_there;
    bide_time expires = BIDE_FOREVER;
    int64_t life;

    for (size_t i = 3; i < in->count; i++) {
        bool has_seconds = is_word(in->args[i], "EX");
        if (is_word(in->args[i], "NX")) {
            if_absent = true;
        } else if (is_word(in->args[i], "XX")) {
            if_there = true;
        } else if ((has_seconds || is_word(in->args[i], "PX")) && i + 1 < in->count &&
                   expires == BIDE_FOREVER) {
            if (!to_number(in->args[++i], &life))
                return put(out, NOT_AN_INTEGER);
            if (life <= 0 || life / (has_seconds ? 1 : 1000) > LONGEST_LIFE)
                return put_error(out, "ERR invalid expire time in 'set' command");
            expires = bide_now() + (has_seconds ? BIDE_SEC(life) : BIDE_MS(life));
        } else {
            return put(out, SYNTAX_ERROR);
        }
    }
    if (if_absent && if_there)
        return put(out, SYNTAX_ERROR);
    if (if_absent || if_there) {
        is_there = store_find(in->args[1]) != NULL;
        if (is_there != if_there)
            return put(out, NIL);
    }
    put(out, assign(in->args[1], in->args[2], expires) ? OK : NO_MEMORY);
}

static void do_mget(struct reply *out, const struct request *in)
{
    put_number(out, '*', (int64_t)in->count - 1);
    for (size_t i = 1; i < in->count; i++) {
        struct entry *entry = store_find(in->args[i]);
        if (entry == NULL || entry->is_list)
            put(out, NIL);
        else
            put_bulk(out, value_of(entry));
    }
}

static void do_mset(struct reply *out, const struct request *in)
{
    if (in->count % 2 == 0)
        return put_error(out, "ERR wrong number of arguments for 'mset' command");
    for (size_t i = 1; i < in->count; i += 2)
        if (!assign(in->args[i], in->args[i + 1], BIDE_FOREVER))
            return put(out, NO_MEMORY);
    put(out, OK);
}

/* INCR, DECR; INCRBY and DECRBY have an argument more. */
static void do_incr(struct reply *out, const struct request *in)
{
    bool is_down = toupper(in->args[0].at[0]) == 'D';
    int64_t number = 0, amount = 1;
    struct entry *entry;
    struct span result;
    char text[24], *from;

    if (in->count == 3 && !to_number(in->args[2], &amount))
        return put(out, NOT_AN_INTEGER);
    entry = store_find(in->args[1]);
    if (entry != NULL && entry->is_list)
        return put(out, WRONG_TYPE);
    if (entry != NULL && !to_number(value_of(entry), &number))
        return put(out, NOT_AN_INTEGER);
    if (is_down ? __builtin_sub_overflow(number, amount, &number)
                : __builtin_add_overflow(number, amount, &number))
        return put_error(out, "ERR increment or decrement would overflow");
    from = digits(text, number);
    result = (struct span){from, (size_t)(text + sizeof text - from)};
    if (entry != NULL ? !value_set(&entry->value, result)
                      : !assign(in->args[1], result, BIDE_FOREVER))
        return put(out, NO_MEMORY);
    put_number(out, ':', number);
}

static void do_append(struct reply *out, const struct request *in)
{
    struct entry *entry = find_or_add(out, in->args[1], false);

    if (entry == NULL)
        return;
    if (entry->value.bytes + in->args[2].bytes > BULK_BYTES)
        return put_error(out, "ERR string exceeds maximum allowed size");
    if (!value_append(&entry->value, in->args[2]))
        return put(out, NO_MEMORY);
    put_number(out, ':', (int64_t)entry->value.bytes);
}

static void do_strlen(struct reply *out, const struct request *in)
{
    struct entry *entry = find(out, in->args[1], false, ":0\r\n");

    if (entry != NULL)
        put_number(out, ':', (int64_t)entry->value.bytes);
}

static void do_del(struct reply *out, const struct request *in)
{
    int64_t deleted = 0;

    for (size_t i = 1; i < in->count; i++)
        deleted += store_delete(in->args[i]);
    put_number(out, ':', deleted);
}

static void do_exists(struct reply *out, const struct request *in)
{
    int64_t found = 0;

    for (size_t i = 1; i < in->count; i++)
        found += store_find(in->args[i]) != NULL;
    put_number(out, ':', found);
}

static void do_type(struct reply *out, const struct request *in)
{
    struct entry *entry = store_find(in->args[1]);

    put(out, entry == NULL ? "+none\r\n" : entry->is_list ? "+list\r\n" : "+string\r\n");
}

static void do_expire(struct reply *out, const struct request *in)
{
    bool has_seconds = in->args[0].bytes == strlen("EXPIRE");
    struct entry *entry = store_find(in->args[1]);
    int64_t life;

    if (!to_number(in->args[2], &life))
        return put(out, NOT_AN_INTEGER);
    if (life / (has_seconds ? 1 : 1000) > LONGEST_LIFE)
        return put_error(out, "ERR invalid expire time in '%s' command",
                         has_seconds ? "expire" : "pexpire");
    if (entry != NULL && life <= 0)
        store_delete(in->args[1]);
    else if (entry != NULL)
        store_expire(entry, bide_now() + (has_seconds ? BIDE_SEC(life) : BIDE_MS(life)));
    put_number(out, ':', entry != NULL);
}

static void do_ttl(struct reply *out, const struct request *in)
{
    struct entry *entry = store_find(in->args[1]);
    int64_t left;

    if (entry == NULL || entry->expires == BIDE_FOREVER)
        return put_number(out, ':', entry == NULL ? -2 : -1);
    left = entry->expires - bide_now();
    if (in->args[0].bytes == strlen("TTL"))
        put_number(out, ':', (left + BIDE_MS(500)) / BIDE_SEC(1));
    else
        put_number(out, ':', (left + BIDE_US(500)) / BIDE_MS(1));
}

static void do_push(struct reply *out, const struct request *in)
{
    struct entry *entry = find_or_add(out, in->args[1], true);

    if (entry == NULL)
        return;
    for (size_t i = 2; i < in->count; i++)
        if (!list_push(&entry->list, in->args[i], toupper(in->args[0].at[0]) == 'L'))
            return put(out, NO_MEMORY);
    put_number(out, ':', (int64_t)entry->list.count);
}

static void do_pop(struct reply *out, const struct request *in)
{
    struct entry *entry = find(out, in->args[1], true, NIL);
    struct value taken;

    if (entry == NULL)
        return;
    taken = list_pop(&entry->list, toupper(in->args[0].at[0]) == 'L');
    put_bulk(out, (struct span){taken.at, taken.bytes});
    free(taken.at);
    if (entry->list.count == 0)
        store_delete(in->args[1]);
}

static void do_llen(struct reply *out, const struct request *in)
{
    struct entry *entry = find(out, in->args[1], true, ":0\r\n");

    if (entry != NULL)
        put_number(out, ':', (int64_t)entry->list.count);
}

static void do_lrange(struct reply *out, const struct request *in)
{
    int64_t from, to, count;
    struct entry *entry;

    if (!to_number(in->args[2], &from) || !to_number(in->args[3], &to))
        return put(out, NOT_AN_INTEGER);
    entry = find(out, in->args[1], true, "*0\r\n");
    if (entry == NULL)
        return;
    count = (int64_t)entry->list.count;
    from = from >= 0 ? from : from + count < 0 ? 0 : from + count;
    to = to < 0 ? to + count : to >= count ? count - 1 : to;
    put_number(out, '*', from > to ? 0 : to - from + 1);
    for (; from <= to; from++) {
        const struct value *item = list_at(&entry->list, (size_t)from);
        put_bulk(out, (struct span){item->at, item->bytes});
    }
}

static void do_keys(struct reply *out, const struct request *in)
{
    for (int pass = 0; pass < 2; pass++) { /* how many, then which */
        bide_time now = bide_now();
        int64_t count = 0;
        for (size_t i = 0; i < store.size; i++) {
            const struct entry *entry = store.slots[i].entry;
            struct span key = {entry != NULL ? entry->key : NULL, 0};
            if (entry == NULL || entry->expires <= now)
                continue;
            key.bytes = entry->key_bytes;
            if (!span_matches(in->args[1], key))
                continue;
            count++;
            if (pass == 1)
                put_bulk(out, key);
        }
        if (pass == 0)
            put_number(out, '*', count);
    }
}

static void do_dbsize(struct reply *out, const struct request *in)
{
    (void)in;
    put_number(out, ':', (int64_t)store.count);
}

static void do_flush(struct reply *out, const struct request *in)
{
    (void)in;
    store_clear();
    put(out, OK);
}

static void do_select(struct reply *out, const struct request *in)
{
    put(out, is_word(in->args[1], "0") ? OK : "-ERR DB index is out of range\r\n");
}

/* redis-benchmark asks for two settings. None is set. */
static void do_config(struct reply *out, const struct request *in)
{
    if (in->count != 3 || !is_word(in->args[1], "GET"))
        return put_error(out, "ERR only CONFIG GET is known");
    put_number(out, '*', 2);
    put_bulk(out, in->args[2]);
    put(out, "$0\r\n\r\n");
}

static void do_command(struct reply *out, const struct request *in)
{
    (void)in;
    put(out, "*0\r\n");
}

static void do_info(struct reply *out, const struct request *in)
{
    char text[128];
    int bytes = snprintf(text, sizeof text,
                         "# Server\r\nserver_name:bide_key_value\r\n"
                         "# Keyspace\r\ndb0:keys=%zu,expires=%zu\r\n",
                         store.count, store.expiring);

    (void)in;
    put_bulk(out, (struct span){text, (size_t)bytes});
}

static void do_quit(struct reply *out, const struct request *in)
{
    (void)in;
    put(out, OK);
    out->closes = true;
}

static const struct command {
    const char *name;
    size_t least, most; /* arguments, the name included */
    void (*run)(struct reply *out, const struct request *in);
} commands[] = {
    {"get", 2, 2, do_get},
    {"set", 3, ARGS_MOST, do_set},
    {"ping", 1, 2, do_ping},
    {"incr", 2, 2, do_incr},
    {"decr", 2, 2, do_incr},
    {"incrby", 3, 3, do_incr},
    {"decrby", 3, 3, do_incr},
    {"mget", 2, ARGS_MOST, do_mget},
    {"mset", 3, ARGS_MOST, do_mset},
    {"append", 3, 3, do_append},
    {"strlen", 2, 2, do_strlen},
    {"del", 2, ARGS_MOST, do_del},
    {"exists", 2, ARGS_MOST, do_exists},
    {"type", 2, 2, do_type},
    {"expire", 3, 3, do_expire},
    {"pexpire", 3, 3, do_expire},
    {"ttl", 2, 2, do_ttl},
    {"pttl", 2, 2, do_ttl},
    {"lpush", 3, ARGS_MOST, do_push},
    {"rpush", 3, ARGS_MOST, do_push},
    {"lpop", 2, 2, do_pop},
    {"rpop", 2, 2, do_pop},
    {"llen", 2, 2, do_llen},
    {"lrange", 4, 4, do_lrange},
    {"keys", 2, 2, do_keys},
    {"dbsize", 1, 1, do_dbsize},
    {"flushall", 1, 2, do_flush},
    {"flushdb", 1, 2, do_flush},
    {"echo", 2, 2, do_ping},
    {"select", 2, 2, do_select},
    {"config", 2, ARGS_MOST, do_config},
    {"command", 1, ARGS_MOST, do_command},
    {"info", 1, ARGS_MOST, do_info},
    {"quit", 1, ARGS_MOST, do_quit},
};

static void run(struct reply *out, const struct request *in)
{
    size_t before = out->bytes;

    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        const struct command *command = &commands[i];
        if (!is_word(in->args[0], command->name))
            continue;
        if (in->count < command->least || in->count > command->most)
            return put_error(out, "ERR wrong number of arguments for '%s' command", command->name);
        command->run(out, in);
        if (out->is_lost) {
            out->is_lost = false;
            out->bytes = before;
            put_error(out, "ERR the reply is too long");
        }
        return;
    }
    put_error(out, "ERR unknown command '%.*s', with args beginning with: %s%.*s%s",
              (int)(in->args[0].bytes < 128 ? in->args[0].bytes : 128), in->args[0].at,
              in->count > 1 ? "'" : "",
              in->count > 1 ? (int)(in->args[1].bytes < 64 ? in->args[1].bytes : 64) : 0,
              in->count > 1 ? in->args[1].at : "", in->count > 1 ? "' " : "");
}

#endif
