/* SPDX-License-Identifier: MIT */
/*
 * address.c - addresses as text: what is taken, what is refused, and the way back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/address.h"
#include "test.h"

/*
 * Goal:   each malformed text is -EINVAL, each unknown name -ENOENT.
 * Method: one for each way to be wrong.
 */
TEST(address, malformed_texts_are_refused)
{
    static const char *const malformed[] = {
        "",
        "tcp",
        "tcp:",
        "tcp:/",
        "tcp://",
        "TCP://127.0.0.1:80",
        "udp://127.0.0.1:80",
        "127.0.0.1:80",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:x",
        "tcp://127.0.0.1:80x",
        "tcp://127.0.0.1: 80",
        "tcp://127.0.0.1:+80",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:4294967376",
        "tcp://127.0.0.1:99999999999999999999",
        "tcp://127.0.0.1:80/",
        "tcp:// 127.0.0.1:80",
        "tcp://127.0.0.1 :80",
        "tcp://::1:80",
        "tcp://::",
        "tcp://[::1:80",
        "tcp://::1]:80",
        "tcp://[::1]80",
        "tcp://[::1]",
        "tcp://[::1]x:80",
        "tcp://[]:80",
        "tcp://[:80",
        "tcp://[127.0.0.1]:80",
        "tcp://[localhost]:80",
        "tcp://[::g]:80",
        "tcp://[1:2:3:4:5:6:7:8:9]:80",
        "tcp://[fe80::1%]:80",
        "tcp://[fe80::1%nosuchif]:80",
        "tcp://[fe80::1%0]:80",
        "tcp://[fe80::1%1x]:80",
        "tcp://[fe80::1%-1]:80",
        "tcp://[fe80::1% 1]:80",
        "tcp://user/host:80",
        "unix",
        "unix:",
    };
    static const char *const unknown[] = {
        "tcp://example.invalid:80", "tcp://Localhost:80", "tcp://256.0.0.1:80", "tcp://1.2.3:80",
        "tcp://0x7f.0.0.1:80",      "tcp://127.1:80",     "tcp://*:80",
    };
    struct bide__address out[BIDE__ADDRESSES_MOST];
    char text[400];

    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        if (bide__address_parse(malformed[i], out) != -EINVAL)
            test_fail(__FILE__, __LINE__, "taken: \"%s\"", malformed[i]);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        if (bide__address_parse(unknown[i], out) != -ENOENT)
            test_fail(__FILE__, __LINE__, "not unknown: \"%s\"", unknown[i]);
    for (int length = 0; length < 300; length++) {
        snprintf(text, sizeof text, "tcp://%0*d:80", length, 0);
        CHECK(bide__address_parse(text, out) < 0 || length == 0);
        snprintf(text, sizeof text, "tcp://[%0*d]:80", length, 0);
        CHECK_EQ(bide__address_parse(text, out), -EINVAL);
        snprintf(text, sizeof text, "unix:%0*d", length, 0);
        CHECK_EQ(bide__address_parse(text, out), length == 0 ? 1 : length <= 107 ? 1 : -EINVAL);
    }
}

/*
 * Goal:   a text that stands for one address comes back as it was.
 * Method: parse, format, compare; with buffers of every size that is too small, left untouched.
 */
TEST(address, parse_and_format_round_trip)
{
    static const char *const texts[] = {
        "tcp://127.0.0.1:80",
        "tcp://0.0.0.0:0",
        "tcp://255.255.255.255:65535",
        "tcp://[::1]:80",
        "tcp://[::]:0",
        "tcp://[fe80::1%1]:443",
        "tcp://[2001:db8::ff00:42:8329]:65535",
        "tcp://[::ffff:127.0.0.1]:1",
        "tcp://[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%1]:65535",
        "unix:/run/x.sock",
        "unix:relative/path",
        "unix:with space:and colon",
        "unix:@abstract",
    };
    struct bide__address out[BIDE__ADDRESSES_MOST];

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char back[128] = "untouched";
        CHECK_EQ(bide__address_parse(texts[i], out), 1);
        for (size_t size = 0; size <= strlen(texts[i]); size++)
            CHECK_EQ(bide__address_format(&out[0], back, size), -ENOSPC);
        CHECK_STR(back, "untouched");
        CHECK_EQ(bide__address_format(&out[0], back, strlen(texts[i]) + 1), 0);
        CHECK_STR(back, texts[i]);
    }
}

/*
 * Goal:   localhost and no host at all stand for both families, in the order to try them.
 * Method: parse, and format each.
 */
TEST(address, names_stand_for_both_families)
{
    static const char *const texts[][3] = {
        {"tcp://localhost:80", "tcp://127.0.0.1:80", "tcp://[::1]:80"},
        {"tcp://:80", "tcp://[::]:80", "tcp://0.0.0.0:80"},
    };
    struct bide__address out[BIDE__ADDRESSES_MOST];

    for (int i = 0; i < 2; i++) {
        CHECK_EQ(bide__address_parse(texts[i][0], out), 2);
        for (int k = 0; k < 2; k++) {
            char back[64];
            CHECK_EQ(bide__address_format(&out[k], back, sizeof back), 0);
            CHECK_STR(back, texts[i][k + 1]);
        }
    }
}

/*
 * Goal:   the zone may be an interface's name.
 * Method: lo, which has number 1 on Linux.
 */
TEST(address, zone_by_name)
{
    struct bide__address out[BIDE__ADDRESSES_MOST];

    CHECK_EQ(bide__address_parse("tcp://[fe80::1%lo]:80", out), 1);
    CHECK_EQ(out[0].is.v6.sin6_scope_id, 1);
    CHECK_EQ(ntohs(out[0].is.v6.sin6_port), 80);
}

/*
 * Goal:   names of Unix sockets as the kernel gives them back have a text: unnamed, and a path
 *         without room for its zero byte.
 * Method: such structs by hand (unix(7), "Address format").
 */
TEST(address, unix_names_from_the_kernel)
{
    struct bide__address address = {.is.un.sun_family = AF_UNIX, .bytes = sizeof(sa_family_t)};
    char text[128], want[128] = "unix:";

    CHECK_EQ(bide__address_format(&address, text, sizeof text), 0);
    CHECK_STR(text, "unix:");
    memset(address.is.un.sun_path, 'x', sizeof address.is.un.sun_path);
    memset(want + 5, 'x', sizeof address.is.un.sun_path);
    address.bytes = sizeof address.is.un;
    CHECK_EQ(bide__address_format(&address, text, sizeof text), 0);
    CHECK_STR(text, want);
}
