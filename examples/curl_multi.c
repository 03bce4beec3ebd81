/* SPDX-License-Identifier: MIT */
/*
 * curl_multi.c - libcurl on Bide's loop: fetch() looks blocking, and many run at once.
 *
 * Usage: curl_multi [URL...]
 *
 * libcurl's multi interface does no waiting of its own when it is driven by events. It asks for two
 * things through callbacks: to be called when certain sockets are ready, and when a time has come
 * (https://curl.se/libcurl/c/libcurl-multi.html). The first is a set of watched descriptors
 * (bide_fds), the second the deadline of a scope, which may be moved while a task waits in it. One
 * task, drive(), waits for both. The bridge is all that stands between the two; nothing in
 * it is about HTTP.
 *
 * Without arguments it checks itself: it starts hello_http, which lies beside it, and compares all
 * replies.
 */
#define _GNU_SOURCE /* pipe2 */
#include <bide.h>
#include <bide/short.h>

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- The bridge */

struct bridge {
    CURLM *multi;
    bide_fds *fds;      /* the sockets libcurl cares for */
    bide_scope timer;   /* around the wait for them; its deadline is libcurl's timer */
    bide_time timer_at; /* the same, as scopes serve once */
};

/* One call of fetch(), on its task's stack. */
struct transfer {
    CURLcode result;
    bide_event done;
};

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
    struct bridge *bridge = arg;
    int events = what == CURL_POLL_IN      ? BIDE_READ
                 : what == CURL_POLL_OUT   ? BIDE_WRITE
                 : what == CURL_POLL_INOUT ? BIDE_READ | BIDE_WRITE
                                           : 0;

    (void)easy, (void)unused;
    return bide_watch_fd(bridge->fds, fd, events) < 0 ? -1 : 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct bridge *bridge = arg;

    (void)multi;
    bridge->timer_at = timeout_ms < 0 ? BIDE_FOREVER : bide_now() + BIDE_MS(timeout_ms);
    bide_scope_set_deadline(&bridge->timer, bridge->timer_at);
    return 0;
}

/* Wake those whose transfers have ended. */
static void hand_out(struct bridge *bridge)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(bridge->multi, &left)) != NULL) {
        struct transfer *transfer;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        transfer->result = message->data.result;
        bide_event_set(&transfer->done);
    }
}

/* Call libcurl whenever it wants to be called, until the task is cancelled. */
static async(int, drive, struct bridge *, bridge)
{
    while (true) {
        int fd = -1, events = 0, running, asked = 0;

        bridge->timer = (bide_scope)BIDE_SCOPE_INIT;
        bide_scope_set_deadline(&bridge->timer, bridge->timer_at);
        with_scope (&bridge->timer) {
            events = bide_fds_next(bridge->fds, &fd);
        }
        if (events < 0 && !bide_scope_fired(&bridge->timer))
            return events;
        if (events < 0) { /* libcurl's timer goes off once */
            fd = CURL_SOCKET_TIMEOUT;
            bridge->timer_at = BIDE_FOREVER;
        } else {
            asked = (events & BIDE_READ ? CURL_CSELECT_IN : 0) |
                    (events & BIDE_WRITE ? CURL_CSELECT_OUT : 0);
        }
        curl_multi_socket_action(bridge->multi, fd, asked, &running);
        hand_out(bridge);
    }
}

static int bridge_open(struct bridge *bridge)
{
    *bridge = (struct bridge){.multi = curl_multi_init(), .timer_at = BIDE_FOREVER};
    if (bridge->multi == NULL)
        return -ENOMEM;
    curl_multi_setopt(bridge->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(bridge->multi, CURLMOPT_SOCKETDATA, bridge);
    curl_multi_setopt(bridge->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(bridge->multi, CURLMOPT_TIMERDATA, bridge);
    return bide_fds_open(&bridge->fds);
}

static void bridge_close(struct bridge *bridge)
{
    curl_multi_cleanup(bridge->multi); /* calls watch_socket for what it still holds open */
    bide_fds_close(bridge->fds);
}

/*
 * Run one transfer. Returns 0 with libcurl's own result, or why it was given up, -ECANCELED or
 * -ETIMEDOUT.
 */
static int perform(struct bridge *bridge, CURL *easy, CURLcode *result)
{
    struct transfer transfer = {.done = BIDE_EVENT_INIT};
    int err;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, &transfer);
    if (curl_multi_add_handle(bridge->multi, easy) != CURLM_OK) /* calls set_timer: drive() wakes */
        return -ENOMEM;
    err = bide_event_wait(&transfer.done);
    curl_multi_remove_handle(bridge->multi, easy); /* also ends one that is still under way */
    *result = transfer.result;
    return err;
}

/* --- Using it */

struct reply {
    long status; /* HTTP's */
    size_t bytes;
    char text[64];   /* the first of them */
    CURLcode result; /* libcurl's */
};

/* Must not wait: it is called from within libcurl. */
static size_t receive(char *data, size_t size, size_t count, void *arg)
{
    struct reply *reply = arg;
    size_t bytes = size * count, room = sizeof reply->text - 1;

    if (reply->bytes < room)
        memcpy(reply->text + reply->bytes, data,
               bytes < room - reply->bytes ? bytes : room - reply->bytes);
    reply->bytes += bytes;
    return bytes;
}

static async(int, fetch, struct bridge *, bridge, const char *, url, struct reply *, reply)
{
    CURL *easy = curl_easy_init();
    int err = -ENOMEM;

    if (easy == NULL)
        return err;
    *reply = (struct reply){0};
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, reply);
    err = perform(bridge, easy, &reply->result);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_easy_cleanup(easy);
    return err;
}

static async(int, fetch_and_tell, struct bridge *, bridge, const char *, url)
{
    struct reply reply;
    int err = fetch(bridge, url, &reply);

    if (err < 0)
        printf("%s: %s\n", url, strerror(-err));
    else if (reply.result != CURLE_OK)
        printf("%s: %s\n", url, curl_easy_strerror(reply.result));
    else
        printf("%s: %ld, %zu bytes\n", url, reply.status, reply.bytes);
    return err < 0 || reply.result != CURLE_OK ? -EIO : 0;
}

static int fetch_all(struct bridge *bridge, char *urls[], int count)
{
    bide_group all = {.collect_all = true};

    with_group (&all) {
        for (int i = 0; i < count; i++)
            spawn_in(&all, fetch_and_tell, bridge, urls[i]);
    }
    return all.error == 0 ? 0 : 1;
}

/* --- Checking it against hello_http */

enum { FETCHES = 300 };

/* Start hello_http on any free port. Returns where it listens, "http://HOST:PORT/", or NULL. */
static const char *start_server(pid_t *pid)
{
    static char url[128];
    char path[4096], line[128] = "";
    ssize_t bytes = readlink("/proc/self/exe", path, sizeof path - sizeof "hello_http");
    int ends[2];

    if (bytes < 0 || pipe2(ends, O_CLOEXEC) < 0)
        return NULL;
    path[bytes] = '\0';
    strcpy(strrchr(path, '/') + 1, "hello_http");
    *pid = fork();
    if (*pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        dup2(ends[1], STDOUT_FILENO);
        execl(path, path, "--port", "0", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    with_timeout (BIDE_SEC(10)) {
        if (bide_wait_fd(ends[0], BIDE_READ) > 0 && read(ends[0], line, sizeof line - 1) < 0)
            line[0] = '\0';
    }
    close(ends[0]);
    return sscanf(line, "listening on %127s", url) == 1 ? url : NULL;
}

static bool is_hello(int err, const struct reply *reply)
{
    return err == 0 && reply->result == CURLE_OK && reply->status == 200 &&
           strcmp(reply->text, "Hello, world\n") == 0;
}

static bool check_many(struct bridge *bridge, const char *server)
{
    static struct reply replies[FETCHES];
    static char urls[FETCHES][160];
    task(int) fetches[FETCHES];
    int right = 0;

    for (int i = 0; i < FETCHES; i++) {
        snprintf(urls[i], sizeof urls[i], "%s%d", server, i);
        fetches[i] = spawn(fetch, bridge, urls[i], &replies[i]);
    }
    for (int i = 0; i < FETCHES; i++)
        right += is_hello(await(fetches[i]), &replies[i]);
    printf("%d of %d replies are right\n", right, FETCHES);
    return right == FETCHES;
}

/* A server that never answers: the time limit ends the fetch, and the connection with it. */
static bool check_time_limit(struct bridge *bridge)
{
    char address[64], url[80];
    bide_listener *listener;
    struct reply reply;
    int err = 0;

    if (bide_listen("tcp://127.0.0.1:0", NULL, &listener) < 0)
        return false;
    bide_listener_address(listener, address, sizeof address);
    snprintf(url, sizeof url, "http%s/", address + strlen("tcp"));
    with_timeout (BIDE_MS(50)) {
        err = fetch(bridge, url, &reply);
    }
    bide_listener_close(listener);
    printf("a server that never answers: %s\n", strerror(-err));

    err = err == -ETIMEDOUT ? fetch(bridge, url, &reply) : -EIO;
    printf("a server that is gone: %s\n", curl_easy_strerror(reply.result));
    return err == 0 && reply.result == CURLE_COULDNT_CONNECT;
}

static int check(struct bridge *bridge)
{
    pid_t pid = -1;
    const char *server = start_server(&pid);
    bool is_right = false;
    int status = -1;

    if (server == NULL)
        fprintf(stderr, "curl_multi: hello_http did not start\n");
    else
        with_timeout (BIDE_SEC(30)) {
            is_right = check_many(bridge, server) && check_time_limit(bridge);
        }
    if (pid > 0) {
        kill(pid, SIGTERM);
        waitpid(pid, &status, 0);
    }
    return is_right && status == 0 ? 0 : 1;
}

async_main
{
    struct bridge bridge;
    int status = 1;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (bridge_open(&bridge) == 0) {
        task(int) driver = spawn(drive, &bridge);
        status = argc > 1 ? fetch_all(&bridge, argv + 1, argc - 1) : check(&bridge);
        cancel(driver);
        await(driver);
    }
    bridge_close(&bridge);
    curl_global_cleanup();
    return status;
}
