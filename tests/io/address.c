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
        "tcp://example.invalid:80", "tcp://localhosts:80", "tcp://256.0.0.1:80", "tcp://1.2.3:80",
        "tcp://0x7f.0.0.1:80",      "tcp://127.1:80",      "tcp://*:80",
    };
    bide_address out[BIDE__ADDRESSES_MOST];
    char text[400];

    for (size_t i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        if (bide__address_parse(malformed[i], "tcp", out) != -EINVAL)
            test_fail(__FILE__, __LINE__, "taken: \"%s\"", malformed[i]);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        if (bide__address_parse(unknown[i], "tcp", out) != -ENOENT)
            test_fail(__FILE__, __LINE__, "not unknown: \"%s\"", unknown[i]);
    for (int length = 0; length < 300; length++) {
        snprintf(text, sizeof text, "tcp://%0*d:80", length, 0);
        CHECK(bide__address_parse(text, "tcp", out) < 0 || length == 0);
        snprintf(text, sizeof text, "tcp://[%0*d]:80", length, 0);
        CHECK_EQ(bide__address_parse(text, "tcp", out), -EINVAL);
        snprintf(text, sizeof text, "unix:%0*d", length, 0);
        CHECK_EQ(bide__address_parse(text, "tcp", out), length == 0     ? 1
                                                        : length <= 107 ? 1
                                                                        : -EINVAL);
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
    bide_address out[BIDE__ADDRESSES_MOST];

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char back[128] = "untouched";
        CHECK_EQ(bide__address_parse(texts[i], "tcp", out), 1);
        for (size_t size = 0; size <= strlen(texts[i]); size++)
            CHECK_EQ(bide_address_format(&out[0], "tcp", back, size), -ENOSPC);
        CHECK_STR(back, "untouched");
        CHECK_EQ(bide_address_format(&out[0], "tcp", back, strlen(texts[i]) + 1), 0);
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
    bide_address out[BIDE__ADDRESSES_MOST];

    for (int i = 0; i < 2; i++) {
        CHECK_EQ(bide__address_parse(texts[i][0], "tcp", out), 2);
        for (int k = 0; k < 2; k++) {
            char back[64];
            CHECK_EQ(bide_address_format(&out[k], "tcp", back, sizeof back), 0);
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
    bide_address out[BIDE__ADDRESSES_MOST];

    CHECK_EQ(bide__address_parse("tcp://[fe80::1%lo]:80", "tcp", out), 1);
    CHECK_EQ(out[0].bide__v6.sin6_scope_id, 1);
    CHECK_EQ(ntohs(out[0].bide__v6.sin6_port), 80);
}

/*
 * Goal:   names of Unix sockets as the kernel gives them back have a text: unnamed, and a path
 *         without room for its zero byte.
 * Method: such structs by hand (unix(7), "Address format").
 */
TEST(address, unix_names_from_the_kernel)
{
    bide_address address = {.bide__un.sun_family = AF_UNIX, .bide__bytes = sizeof(sa_family_t)};
    char text[128], want[128] = "unix:";

    CHECK_EQ(bide_address_format(&address, "tcp", text, sizeof text), 0);
    CHECK_STR(text, "unix:");
    memset(address.bide__un.sun_path, 'x', sizeof address.bide__un.sun_path);
    memset(want + 5, 'x', sizeof address.bide__un.sun_path);
    address.bide__bytes = sizeof address.bide__un;
    CHECK_EQ(bide_address_format(&address, "tcp", text, sizeof text), 0);
    CHECK_STR(text, want);
}

/*
 * Goal:   the public parse takes both schemes for the same address, and one of several.
 * Method: tcp and udp of each form, compared; what is malformed leaves the address as it was.
 */
TEST(address, scheme_is_no_part_of_an_address)
{
    static const char *const places[] = {"127.0.0.1:53", "[::1]:53", "[fe80::1%1]:65535",
                                         "localhost:1", ":0"};
    bide_address tcp, udp, kept, several[BIDE__ADDRESSES_MOST];
    char text[64];

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(text, sizeof text, "tcp://%s", places[i]);
        CHECK_EQ(bide_address_parse(text, &tcp), 0);
        snprintf(text, sizeof text, "udp://%s", places[i]);
        CHECK_EQ(bide_address_parse(text, &udp), 0);
        CHECK(bide_address_equal(&tcp, &udp));
    }
    CHECK_EQ(bide_address_parse("udp://localhost:53", &udp), 0);
    CHECK_EQ(bide_address_format(&udp, NULL, text, sizeof text), 0);
    CHECK_STR(text, "127.0.0.1:53");
    CHECK_EQ(bide_address_format(&udp, "gopher", text, strlen("gopher://127.0.0.1:53")), -ENOSPC);
    CHECK_EQ(bide_address_format(&udp, "gopher", text, sizeof text), 0);
    CHECK_STR(text, "gopher://127.0.0.1:53");
    CHECK_EQ(bide_address_format(&udp, "gopher", text, 3), -ENOSPC);
    kept = udp;
    CHECK_EQ(bide_address_parse("udp:127.0.0.1:53", &kept), -EINVAL);
    CHECK_EQ(bide_address_parse("sctp://127.0.0.1:53", &kept), -EINVAL);
    CHECK_EQ(bide_address_parse("udp://127.0.0.1", &kept), -EINVAL);
    CHECK_EQ(bide_address_parse("udp://example.invalid:53", &kept), -ENOENT);
    CHECK(bide_address_equal(&kept, &udp));
    CHECK_EQ(bide__address_parse("udp://127.0.0.1:53", "tcp", several), -EINVAL);
    CHECK_EQ(bide__address_parse("tcp://127.0.0.1:53", "udp", several), -EINVAL);
}

/*
 * Goal:   addresses are equal when all that tells places apart is, and only then.
 * Method: every pair of a list without doubles; then the same place in two shapes.
 */
TEST(address, equal_compares_places)
{
    static const char *const texts[] = {
        "udp://127.0.0.1:53",
        "udp://127.0.0.1:54",
        "udp://127.0.0.2:53",
        "udp://[::1]:53",
        "udp://[::1]:54",
        "udp://[::ffff:127.0.0.1]:53",
        "udp://[fe80::1]:53",
        "udp://[fe80::1%1]:53",
        "unix:/a",
        "unix:/ab",
        "unix:@a",
        "unix:@/a",
    };
    enum { TEXTS = sizeof texts / sizeof texts[0] };
    bide_address all[TEXTS + 1] = {{.bide__bytes = 0}}, other;

    for (int i = 0; i < TEXTS; i++)
        CHECK_EQ(bide_address_parse(texts[i], &all[i + 1]), 0);
    for (int i = 0; i <= TEXTS; i++)
        for (int k = 0; k <= TEXTS; k++)
            CHECK_EQ(bide_address_equal(&all[i], &all[k]), i == k);
    other = all[1];
    memset(other.bide__v4.sin_zero, 0xff, sizeof other.bide__v4.sin_zero);
    CHECK(bide_address_equal(&other, &all[1]));
    other = all[4];
    other.bide__v6.sin6_flowinfo = 7;
    CHECK(bide_address_equal(&other, &all[4]));
    other = all[9];
    other.bide__bytes--; /* without the path's zero byte, as some programs have it */
    CHECK(bide_address_equal(&other, &all[9]));
}

/*
 * Goal:   an address goes to the socket interface and comes back; what is none is refused.
 * Method: each family there and back, then lengths that are one off, and other families.
 */
TEST(address, sockaddr_round_trip)
{
    static const char *const texts[] = {"udp://1.2.3.4:53", "udp://[fe80::1%1]:65535", "unix:/a/b",
                                        "unix:@a"};
    static const int ports[] = {53, 65535, 0, 0};
    const bide_address none = {.bide__bytes = 0};
    bide_address address, back;
    char text[64] = "untouched";
    socklen_t bytes;

    for (int i = 0; i < 4; i++) {
        const struct sockaddr *sockaddr;
        CHECK_EQ(bide_address_parse(texts[i], &address), 0);
        sockaddr = bide_address_sockaddr(&address, &bytes);
        CHECK(sockaddr == bide_address_sockaddr(&address, NULL));
        CHECK_EQ(bide_address_from_sockaddr(sockaddr, bytes, &back), 0);
        CHECK(bide_address_equal(&address, &back));
        CHECK_EQ(bide_address_port(&back), ports[i]);
        CHECK_EQ(bide_address_from_sockaddr(sockaddr, 1, &back), -EINVAL);
        if (sockaddr->sa_family == AF_UNIX)
            continue;
        CHECK_EQ(bide_address_from_sockaddr(sockaddr, bytes - 1, &back), -EINVAL);
        CHECK_EQ(bide_address_from_sockaddr(sockaddr, bytes + 1, &back), -EINVAL);
    }
    CHECK_EQ(bide_address_from_sockaddr(&(struct sockaddr){.sa_family = AF_UNSPEC},
                                        sizeof(struct sockaddr), &back),
             -EAFNOSUPPORT);
    CHECK_EQ(bide_address_from_sockaddr(&address.bide__any, sizeof address.bide__un + 1, &back),
             -EINVAL);
    CHECK(bide_address_equal(&address, &back));
    CHECK_EQ(bide_address_port(&none), 0);
    CHECK_EQ(bide_address_format(&none, "udp", text, sizeof text), -EINVAL);
    CHECK_STR(text, "untouched");
}
