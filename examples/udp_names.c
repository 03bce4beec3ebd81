/* SPDX-License-Identifier: MIT */
/*
 * udp_names.c - a name server: DNS over UDP (RFC 1035), for the addresses of a few names.
 *
 *     udp_names                   serves on any port, asks itself some questions, and ends
 *     udp_names udp://:5353       serves until it is killed; ask with dig -p 5353 @localhost
 *
 * Whatever comes from the network is hostile: each byte is read within the datagram's bounds, and
 * what makes no sense gets an error or no answer at all.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum {
    DATAGRAM_BYTES = 512, /* the most of a DNS datagram */
    HEADER_BYTES = 12,
    NAME_BYTES = 256, /* as text, with a zero byte */
    BATCH = 16,
    TYPE_A = 1,
    CLASS_IN = 1,
    TTL_SECONDS = 60,
};

enum { OK = 0, FORMAT_ERROR = 1, NO_SUCH_NAME = 3, NOT_IMPLEMENTED = 4 };

static const struct {
    const char *name;
    uint8_t host[4];
} names[] = {
    {"one.example", {192, 0, 2, 1}},
    {"two.example", {192, 0, 2, 2}},
    {"www.two.example", {192, 0, 2, 80}},
};

/* --- The wire format */

static unsigned get_16(const uint8_t *at)
{
    return (unsigned)at[0] << 8 | at[1];
}

static uint8_t *put_16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
    return at + 2;
}

/* Read a name of labels from `at` on, as text. Returns where it ends, or 0 when it is malformed. */
static size_t read_name(const uint8_t *data, size_t bytes, size_t at, char name[NAME_BYTES])
{
    size_t used = 0;

    while (at < bytes && data[at] != 0) {
        size_t label = data[at++];
        if (label > 63 || label > bytes - at || used + label + 1 >= NAME_BYTES)
            return 0; /* a question has no use for pointers either */
        memcpy(name + used, data + at, label);
        used += label;
        name[used++] = '.';
        at += label;
    }
    name[used > 0 ? used - 1 : 0] = '\0';
    return at < bytes ? at + 1 : 0;
}

/* Write a question for the address of a name. Returns its length; 0 for a name that has none. */
static size_t write_question(uint8_t *data, unsigned id, const char *name)
{
    uint8_t *at = put_16(put_16(data, id), 0x0100); /* "recursion desired", as clients say */

    at = put_16(put_16(put_16(put_16(at, 1), 0), 0), 0); /* one question, nothing else */
    for (size_t label; *name != '\0'; name += label + (name[label] == '.')) {
        label = strcspn(name, ".");
        if (label == 0 || label > 63 || (size_t)(at - data) + label + 6 > DATAGRAM_BYTES)
            return 0;
        *at++ = (uint8_t)label;
        memcpy(at, name, label);
        at += label;
    }
    *at++ = 0;
    return (size_t)(put_16(put_16(at, TYPE_A), CLASS_IN) - data);
}

/* --- The server */

static const uint8_t *look_up(const char *name)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i].name, name) == 0)
            return names[i].host;
    return NULL;
}

/* An answer is its question and 16 bytes. */
_Static_assert(HEADER_BYTES + NAME_BYTES + 1 + 4 + 16 <= DATAGRAM_BYTES, "every answer fits");

/* Turn a question into its answer, in place. Returns the answer's length; 0 for none. */
static size_t answer(uint8_t data[DATAGRAM_BYTES], size_t bytes)
{
    char name[NAME_BYTES];
    const uint8_t *host = NULL;
    size_t end = 0;
    uint8_t *at;
    unsigned code = OK, count = 0;

    if (bytes < HEADER_BYTES || data[2] & 0x80)
        return 0; /* an answer: answering those could go on for ever between two servers */
    if ((data[2] >> 3 & 15) != 0)
        code = NOT_IMPLEMENTED;
    else if (get_16(data + 4) != 1 || (end = read_name(data, bytes, HEADER_BYTES, name)) == 0 ||
             bytes - end < 4)
        code = FORMAT_ERROR;
    else if ((host = look_up(name)) == NULL)
        code = NO_SUCH_NAME;
    else
        count = get_16(data + end) == TYPE_A && get_16(data + end + 2) == CLASS_IN;

    end = code == OK || code == NO_SUCH_NAME ? end + 4 : HEADER_BYTES;
    data[2] = (uint8_t)(0x84 | (data[2] & 0x79)); /* an answer, with authority */
    data[3] = (uint8_t)code;
    at = put_16(data + 4, end > HEADER_BYTES);
    at = put_16(put_16(put_16(at, count), 0), 0);
    if (count == 0)
        return end;
    at = put_16(data + end, 0xc000 | HEADER_BYTES); /* the name: see the question */
    at = put_16(put_16(put_16(put_16(at, TYPE_A), CLASS_IN), 0), TTL_SECONDS);
    memcpy(put_16(at, 4), host, 4);
    return end + 16;
}

/* All the questions that are there make one batch, and so do their answers. */
static async(int, serve, bide_datagram *, socket)
{
    static uint8_t data[BATCH][DATAGRAM_BYTES];
    bide_message messages[BATCH];
    int got;

    for (;;) {
        int count = 0;
        for (int i = 0; i < BATCH; i++)
            messages[i] = (bide_message){.buf = data[i], .size = sizeof data[i]};
        got = bide_datagram_recv_many(socket, messages, BATCH);
        if (got < 0)
            return got;
        for (int i = 0; i < got; i++) {
            messages[i].bytes =
                messages[i].is_truncated ? 0 : answer(messages[i].buf, messages[i].bytes);
            if (messages[i].bytes > 0)
                messages[count++] = messages[i];
        }
        for (int sent = 0; sent < count; sent++) { /* past one that cannot be answered */
            got = bide_datagram_send_many(socket, messages + sent, count - sent);
            if (got == -ECANCELED)
                return got;
            sent += got > 0 ? got : 0;
        }
    }
}

/* --- The client */

/* Ask for a name's address, three times before giving up: datagrams get lost. Returns 0, the
 * server's error as a positive number, or a negative errno. */
static async(int, ask, const bide_address *, server, const char *, name, char *, text)
{
    static unsigned last_id = 4711;
    uint8_t question[DATAGRAM_BYTES], data[DATAGRAM_BYTES];
    unsigned id = ++last_id & 0xffff;
    size_t bytes = write_question(question, id, name);
    bide_datagram *socket;
    ssize_t got;
    int err;

    if (bytes == 0)
        return -EINVAL;
    if ((err = bide_datagram_open(NULL, NULL, &socket)) < 0)
        return err;
    defer(bide_datagram_close, socket);
    if ((err = bide_datagram_connect(socket, server)) < 0) /* takes answers from nobody else */
        return err;
    for (int attempt = 0; attempt < 3; attempt++) {
        got = bide_datagram_send(socket, question, bytes, NULL);
        if (got < 0)
            return (int)got;
        with_timeout (BIDE_SEC(1)) {
            do /* an answer has our number, and says our question again */
                got = bide_datagram_recv(socket, data, sizeof data, NULL);
            while (got >= 0 && ((size_t)got < bytes || get_16(data) != id || !(data[2] & 0x80) ||
                                memcmp(data + HEADER_BYTES, question + HEADER_BYTES,
                                       bytes - HEADER_BYTES) != 0));
        }
        if (got != -ETIMEDOUT)
            break;
    }
    if (got < 0)
        return (int)got;
    if ((data[3] & 15) != OK)
        return data[3] & 15;
    if (get_16(data + 6) == 0 || (size_t)got < bytes + 16 || get_16(data + bytes + 10) != 4)
        return -ENODATA;
    snprintf(text, 16, "%u.%u.%u.%u", data[bytes + 12], data[bytes + 13], data[bytes + 14],
             data[bytes + 15]);
    return 0;
}

/* What is no question gets a format error, or nothing. Returns whether it is so. */
static async(int, send_nonsense, const bide_address *, server)
{
    static const uint8_t endless[] = {9, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 63, 'x', 'y'};
    static const uint8_t looping[] = {9, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1};
    static const uint8_t reply[HEADER_BYTES] = {9, 9, 0x80};
    uint8_t data[DATAGRAM_BYTES];
    bide_datagram *socket;
    int answers = 0;

    if (bide_datagram_open(NULL, NULL, &socket) < 0)
        return 1;
    defer(bide_datagram_close, socket);
    bide_datagram_send(socket, NULL, 0, server);
    bide_datagram_send(socket, reply, sizeof reply, server);
    bide_datagram_send(socket, endless, sizeof endless, server);
    bide_datagram_send(socket, looping, sizeof looping, server);
    with_timeout (BIDE_MS(200)) {
        while (bide_datagram_recv(socket, data, sizeof data, NULL) == HEADER_BYTES)
            answers += data[3] == FORMAT_ERROR;
    }
    return answers == 2 ? 0 : 1;
}

static int check(const bide_address *server)
{
    static const struct {
        const char *name;
        int code;
        const char *host;
    } questions[] = {
        {"one.example", OK, "192.0.2.1"},
        {"WWW.two.example", OK, "192.0.2.80"},
        {"three.example", NO_SUCH_NAME, ""},
        {"..", -EINVAL, ""},
    };
    enum { QUESTIONS = sizeof questions / sizeof *questions };
    task(int) asked[QUESTIONS];
    char hosts[QUESTIONS][16] = {""};
    int wrong = 0;

    for (int i = 0; i < QUESTIONS; i++)
        asked[i] = spawn(ask, server, questions[i].name, hosts[i]);
    for (int i = 0; i < QUESTIONS; i++) {
        int code = await(asked[i]);
        printf("%-16s %s\n", questions[i].name,
               code == OK             ? hosts[i]
               : code == NO_SUCH_NAME ? "no such name"
                                      : "no question");
        wrong += code != questions[i].code || strcmp(hosts[i], questions[i].host) != 0;
    }
    return wrong + await(spawn(send_nonsense, server));
}

async_main
{
    bide_datagram *socket;
    bide_address server;
    char text[128];
    int wrong, err = bide_datagram_open(argc > 1 ? argv[1] : "udp://127.0.0.1:0", NULL, &socket);

    if (err == 0)
        err = bide_datagram_local_address(socket, &server);
    if (err < 0) {
        fprintf(stderr, "udp_names: cannot serve there: %s\n", strerror(-err));
        return 1;
    }
    defer(bide_datagram_close, socket);
    bide_address_format(&server, "udp", text, sizeof text);
    printf("serving on %s\n", text);
    fflush(stdout);

    task(int) serving = spawn(serve, socket);
    if (argc > 1)
        return await(serving);
    wrong = check(&server);
    cancel(serving);
    await(serving);
    return wrong == 0 ? 0 : 1;
}
