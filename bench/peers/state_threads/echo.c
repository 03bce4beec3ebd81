/* SPDX-License-Identifier: MIT */
/*
 * echo.c - an echo server with State Threads.
 *
 * Debian builds the library without epoll. Of what is left, poll takes more than 1024 descriptors.
 */
#include <st.h>

#include "peers/echo.h"

/* A thread's own; memory of a stack that nobody touches is not there. */
enum { STACK_BYTES = ECHO_BUFFER_BYTES + 32 * 1024 };

static void *echo(void *connection)
{
    char buf[ECHO_BUFFER_BYTES];
    ssize_t got;

    while ((got = st_read(connection, buf, sizeof buf, ST_UTIME_NO_TIMEOUT)) > 0)
        if (st_write(connection, buf, (size_t)got, ST_UTIME_NO_TIMEOUT) != got)
            break;
    st_netfd_close(connection);
    return NULL;
}

int main(int argc, char **argv)
{
    int fd = echo_listen(argc, argv, "State Threads " ST_VERSION);
    st_netfd_t listener, connection;

    echo_need(st_set_eventsys(ST_EVENTSYS_POLL) == 0, "st_set_eventsys");
    echo_need(st_init() == 0, "st_init");
    listener = st_netfd_open_socket(fd);
    echo_need(listener != NULL, "st_netfd_open_socket");
    while ((connection = st_accept(listener, NULL, NULL, ST_UTIME_NO_TIMEOUT)) != NULL)
        echo_need(st_thread_create(echo, connection, 0, STACK_BYTES) != NULL, "st_thread_create");
    perror("st_accept");
    return 1;
}
