/* SPDX-License-Identifier: MIT */
/*
 * crawler.c - reads a site from link to link, some pages at a time, each page once.
 *
 * The site is served by the same program: two hundred pages that link to each other, one that takes
 * too long and one that is broken. Links to be followed lie in a queue; a few tasks take them from
 * there and put in what they find. When everything that was put in is done, the site has been read:
 * then the queue is shut down, which ends the tasks.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES = 200, AT_ONCE = 12, URL_BYTES = 80, URLS_MOST = 2 * PAGES };

#define PAGE_TIMEOUT BIDE_SEC(1)

/* --- The site */

struct site {
    int port;
    int served[PAGES]; /* how often each page was asked for */
    int under_way, most;
};

static void write_page(bide_stream *stream, const struct site *site, int number)
{
    const int next[] = {number + 1, number * 7 + 3, number * number + 5};

    bide_printf(stream, "HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<h1>Page %d</h1>\n",
                number);
    for (int i = 0; i < 3; i++)
        bide_printf(stream, "<a href=\"http://localhost:%d/page/%d\">on</a>\n", site->port,
                    next[i] % PAGES);
    if (number % 50 == 0)
        bide_printf(stream,
                    "<a href=\"http://localhost:%d/slow\">and</a>\n"
                    "<a href=\"http://localhost:%d/broken\">and</a>\n",
                    site->port, site->port);
}

/* A connection, as bide_serve runs it: one request, one reply. */
static int reply(bide_stream *stream, void *arg)
{
    struct site *site = arg;
    char line[256];
    int number;
    ssize_t got = bide_read_line(stream, line, sizeof line);

    if (got <= 0)
        return (int)got;
    site->under_way++;
    if (site->under_way > site->most)
        site->most = site->under_way;
    bide_sleep(BIDE_MS(1)); /* it has to think */
    if (sscanf(line, "GET /page/%d ", &number) == 1 && number >= 0 && number < PAGES) {
        site->served[number]++;
        write_page(stream, site, number);
    } else if (strncmp(line, "GET /slow ", 10) == 0) {
        bide_sleep(BIDE_SEC(60));
    } /* else it is /broken: the connection ends, and nothing was said */
    site->under_way--;
    return 0;
}

static async(int, serve, bide_listener *, listener, struct site *, site)
{
    return bide_serve(listener, reply, site);
}

/* --- The crawler */

struct url {
    char text[URL_BYTES];
};

struct crawl {
    queue(struct url) waiting;
    struct url seen[URLS_MOST];
    int found, read, late, broken;
};

/* Put a link into the queue, unless it was there before. */
static int follow(struct crawl *crawl, const char *text, size_t length)
{
    struct url url = {""};

    if (length >= sizeof url.text || crawl->found == URLS_MOST)
        return -ENOSPC;
    memcpy(url.text, text, length);
    for (int i = 0; i < crawl->found; i++)
        if (strcmp(crawl->seen[i].text, url.text) == 0)
            return 0;
    crawl->seen[crawl->found++] = url;
    return queue_put(crawl->waiting, url);
}

/* Follow the links in a line of a page. */
static int follow_all(struct crawl *crawl, const char *line)
{
    static const char mark[] = "href=\"";
    int err = 0;

    while (err == 0 && (line = strstr(line, mark)) != NULL) {
        line += sizeof mark - 1;
        err = follow(crawl, line, strcspn(line, "\""));
    }
    return err;
}

/* Returns 0 for a page that was read to its end. */
static int read_page(struct crawl *crawl, const char *url)
{
    char place[URL_BYTES + 8], host[URL_BYTES], line[1024] = "";
    int status = 0, path_at = 0, err;
    bide_stream *stream;
    ssize_t got;

    if (sscanf(url, "http://%79[^/]%n", host, &path_at) != 1)
        return -EINVAL;
    snprintf(place, sizeof place, "tcp://%s", host);
    err = bide_dial(place, &stream); /* looks the name up, and tries each of its addresses */
    if (err < 0)
        return err;
    got = bide_printf(stream, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", url + path_at, host);
    if (got >= 0)
        got = bide_read_line(stream, line, sizeof line);
    if (got >= 0 && (sscanf(line, "HTTP/1.0 %d", &status) != 1 || status != 200))
        got = -EPROTO;
    while (got > 0 && (got = bide_read_line(stream, line, sizeof line)) > 0)
        if ((err = follow_all(crawl, line)) < 0)
            got = err;
    bide_close(stream);
    return (int)got;
}

static async(int, work, struct crawl *, crawl)
{
    struct url url;
    int err;

    while ((err = queue_get(crawl->waiting, &url)) == 0) {
        int outcome = -1;
        with_timeout (PAGE_TIMEOUT)
            outcome = read_page(crawl, url.text);
        if (outcome == 0)
            crawl->read++;
        else if (outcome == -ETIMEDOUT)
            printf("%s took too long\n", url.text), crawl->late++;
        else
            printf("%s: %s\n", url.text, strerror(-outcome)), crawl->broken++;
        queue_task_done(crawl->waiting);
    }
    return err == -EPIPE ? 0 : err; /* shut down: nothing is left to read */
}

static int crawl_all(struct crawl *crawl, int port)
{
    bide_group workers = BIDE_GROUP_INIT;
    char start[URL_BYTES];
    int err = -ECANCELED;

    snprintf(start, sizeof start, "http://localhost:%d/page/0", port);
    with_group (&workers) {
        for (int i = 0; i < AT_ONCE; i++)
            spawn_in(&workers, work, crawl);
        err = follow(crawl, start, strlen(start));
        if (err == 0)
            err = queue_join(crawl->waiting);
        queue_shutdown(crawl->waiting, BIDE_QUEUE_DRAIN);
    }
    return err < 0 ? err : workers.error;
}

async_main
{
    static struct site site;
    static struct crawl crawl;
    bide_listener *listener;
    char address[64];
    int once = 0, err;
    bide_time start;

    err = bide_listen("tcp://127.0.0.1:0", &(bide_listen_options){.grace_ns = -1}, &listener);
    if (err < 0)
        return err;
    bide_listener_address(listener, address, sizeof address);
    site.port = atoi(strrchr(address, ':') + 1);
    crawl.waiting = queue_new(struct url, NULL);
    if (crawl.waiting == NULL)
        return -ENOMEM;

    task(int) server = spawn(serve, listener, &site);
    start = bide_now();
    err = crawl_all(&crawl, site.port);
    printf("%d links: %d pages read, %d too slow, %d broken, in %lld ms; at most %d at once\n",
           crawl.found, crawl.read, crawl.late, crawl.broken,
           (long long)((bide_now() - start) / BIDE_MS(1)), site.most);
    cancel(server);
    await(server);
    bide_listener_close(listener);
    queue_free(crawl.waiting);

    for (int i = 0; i < PAGES; i++)
        once += site.served[i] == 1;
    printf("%d of %d pages were read once\n", once, PAGES);
    return err == 0 && once == PAGES && crawl.read == PAGES && crawl.late == 1 &&
                   crawl.broken == 1 && site.most <= AT_ONCE
               ? 0
               : 1;
}
