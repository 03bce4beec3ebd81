/* SPDX-License-Identifier: MIT */
/*
 * echo.h - what the peers' echo servers share that are written in C or C++.
 *
 * Each is a program that listens on a port of 127.0.0.1, 0 for any free one, prints the port, and
 * sends back whatever it reads until it is killed. Given "version" instead, it prints which library
 * it was built with. All have one thread, and read up to 64 KiB at a time where the library lets
 * one choose.
 */
#ifndef ECHO_H
#define ECHO_H

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ECHO_BUFFER_BYTES = 64 * 1024, ECHO_BACKLOG = 4096 };

static inline void echo_need(bool is_done, const char *what)
{
    if (!is_done) {
        perror(what);
        exit(1);
    }
}

/* A listening, nonblocking socket; connections inherit that small writes go at once. */
static inline int echo_listen(int argc, char **argv, const char *version)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;
    int on = 1, fd;

    if (argc != 2) {
        fprintf(stderr, "usage: %s version | <port>\n", argv[0]);
        exit(2);
    }
    if (strcmp(argv[1], "version") == 0) {
        printf("%s\n", version);
        exit(0);
    }
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    echo_need(fd >= 0, "socket");
    echo_need(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
    echo_need(bind(fd, (struct sockaddr *)&address, bytes) == 0, "bind");
    echo_need(listen(fd, ECHO_BACKLOG) == 0, "listen");
    echo_need(getsockname(fd, (struct sockaddr *)&address, &bytes) == 0, "getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

#endif
