/* SPDX-License-Identifier: MIT */
/*
 * asyncio_subject.h - what the examples in docs/asyncio.md use without declaring it.
 */
#include <bide.h>
#include <bide/short.h>
#include <bide/testing.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

struct job {
    int urgency;
    char text[32];
};

/* What is spawned, generated, or handed over as a function. */
async(int, fetch, const char *, addr);
async(int, store, int, index, int *, result);
async(int, greet, bide_stream *, stream);
async(int, serve, bide_listener *, listener);
static generator(int, countdown, int, from)
{
    while (from > 0)
        yield_value(from--);
}
int start(void *arg);
int handle(bide_stream *stream, void *arg);
int more_urgent(const void *a, const void *b);
void tell(void *arg);
void note(const bide_report *report, void *arg);
void answered(void *future, int value);
void on_reply(void (*callback)(void *arg, int value), void *arg);

static task(int) t, a, b;
static future(int) f;
static bide_callback callback;
static bide_loop *loop;
static const bide_report *report;
static bide_group g;
static bide_scope scope;
static gen(int) numbers;
static queue(struct job) q;
static chan(int) numbers_out;
static broadcast(int) events;
static watch(int) level;
static struct job job;

static bide_mutex lock;
static bide_rwlock shared;
static bide_cond changed;
static bide_event ready, stopped;
static bide_sem sem;
static bide_barrier barrier;
static bide_once opened;
static bide_waitgroup work;
static bide_rate mails;
static bide_ticker ticker;
static bide_local user;

static bide_stream *s, *other;
static bide_listener *listener;
static bide_datagram *udp;
static bide_address peer;
static bide_file *page;
static bide_directory *directory;
static bide_directory_entry entry;
static bide_inotify *changes;
static bide_inotify_event change;
static bide_process *process;
static bide_process_status status;
static bide_signals *caught;
static bide_fds *fds;
static int fd, file;
static const char *addr;
static char *name;
static const char *data;
static char buf[4096], line[512];
static struct iovec pieces[2];

static bide_time at;
static int err, value, results[100];
static ssize_t n;
