/* SPDX-License-Identifier: MIT */
/*
 * process_spawn.c - the birth of a child: what it needs is prepared, then it runs on our memory
 * until it has its own.
 *
 * The child shares all memory with this process, whose thread sleeps meanwhile. So all signals are
 * blocked around it: a handler that ran in the child would change the program's data. The child
 * allocates nothing, and makes system calls by number only: the C library's functions may be
 * wrapped by a sanitizer, take locks that another thread holds, or keep notes that are ours.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/sys_pipe.h"
#include "base/sys_process.h"
#include "io/pipe.h"
#include "io/process.h"

enum {
    STACK_BYTES = 32 * 1024,
    CLOSE_MOST = 1 << 20, /* descriptors looked at one by one, where close_range is missing */
    STDIO_COUNT = 3,
    KEEP = -1,      /* the child's descriptor is what it inherits */
    AS_STDOUT = -2, /* it is what its standard output is */
#ifdef __mips__
    HANDLER_AT = 1, /* in the kernel's struct sigaction, counted in pointers */
#else
    HANDLER_AT = 0,
#endif
};

/* For code that runs in the child: instrumentation would take the child's stack for the task's. */
#define CHILD_SIDE __attribute__((noinline, no_sanitize("address", "thread", "undefined")))

/* What the child is told, and its answer. */
struct plan {
    const char *const *argv;
    const char *const *env;
    const bide_process_options *options;
    const char *const *programs; /* to be tried in this order; ends with NULL */
    int wanted[STDIO_COUNT];     /* descriptor numbers here, or KEEP, AS_STDOUT */
    sigset_t mask;               /* the child's, once it runs its program */
    /* Volatile: written by the child. */
    volatile enum bide_process_step step; /* what it does; */
    volatile int error;                   /* and 0, or why that failed */
};

/* The child's side. */

CHILD_SIDE static long call(long number, long a, long b, long c, long d)
{
    long result = syscall(number, a, b, c, d);

    return result < 0 ? -errno : result;
}

CHILD_SIDE static void reset_signals(const struct plan *plan)
{
    static const long nothing[32]; /* SIG_DFL */
    long action[32];

    for (int number = 1; number < _NSIG; number++) {
        if (call(SYS_rt_sigaction, number, 0, (long)action, BIDE__SIGNAL_BYTES) < 0 ||
            action[HANDLER_AT] == (long)SIG_DFL)
            continue;
        if (action[HANDLER_AT] != (long)SIG_IGN || plan->options->default_signals)
            call(SYS_rt_sigaction, number, (long)nothing, 0, BIDE__SIGNAL_BYTES);
    }
}

/*
 * Put the descriptors in their places. One that is wanted elsewhere and lies in a place moves out
 * of the way first: 0 may be wanted as 1 and 1 as 0.
 */
CHILD_SIDE static long place_stdio(const struct plan *plan)
{
    int wanted[STDIO_COUNT];
    long err = 0;

    for (int i = 0; i < STDIO_COUNT; i++) {
        wanted[i] = plan->wanted[i];
        if (wanted[i] >= 0 && wanted[i] < STDIO_COUNT && wanted[i] != i) {
            err = call(SYS_fcntl, wanted[i], F_DUPFD_CLOEXEC, STDIO_COUNT, 0);
            if (err < 0)
                return err;
            wanted[i] = (int)err;
        }
    }
    for (int i = 0; i < STDIO_COUNT && err >= 0; i++) {
        if (wanted[i] == AS_STDOUT)
            err = call(SYS_dup3, STDOUT_FILENO, i, 0, 0);
        else if (wanted[i] == i)
            err = call(SYS_fcntl, i, F_SETFD, 0, 0);
        else if (wanted[i] >= 0)
            err = call(SYS_dup3, wanted[i], i, 0, 0);
    }
    return err;
}

CHILD_SIDE static void close_others(void)
{
    uint64_t limit[2] = {0, 0};

    if (call(SYS_close_range, STDIO_COUNT, INT_MAX, 0, 0) == 0)
        return;
    call(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)limit);
    for (int fd = STDIO_COUNT; fd < CLOSE_MOST && (uint64_t)fd < limit[0]; fd++)
        call(SYS_close, fd, 0, 0, 0);
}

CHILD_SIDE static long set_limits(const bide_process_options *options)
{
    long err = 0;

    for (size_t i = 0; i < options->limit_count && err >= 0; i++) {
        uint64_t limit[2] = {options->limits[i].soft, options->limits[i].hard};
        err = call(SYS_prlimit64, 0, options->limits[i].resource, (long)limit, 0);
    }
    return err;
}

/* Only the last of several places is worth more than the word that it is in none of them. */
CHILD_SIDE static long exec_first(const struct plan *plan)
{
    long err = -ENOENT, result = 0;

    for (const char *const *at = plan->programs; *at != NULL; at++) {
        err = call(SYS_execve, (long)*at, (long)plan->argv, (long)plan->env, 0);
        if (err == -EACCES)
            result = err; /* it is there, but not for us; there may be another */
        else if (err != -ENOENT && err != -ENOTDIR && err != -ESTALE && err != -ENODEV &&
                 err != -ETIMEDOUT && err != -ENAMETOOLONG)
            return err;
    }
    return result != 0 ? result : plan->programs[1] == NULL ? err : -ENOENT;
}

CHILD_SIDE static long take_step(struct plan *plan, enum bide_process_step step)
{
    const bide_process_options *options = plan->options;
    int group = options->process_group;

    switch (plan->step = step) {
    case BIDE_PROCESS_STEP_SESSION: return options->new_session ? call(SYS_setsid, 0, 0, 0, 0) : 0;
    case BIDE_PROCESS_STEP_GROUP:
        if (group == 0 || options->new_session)
            return 0;
        return call(SYS_setpgid, 0, group == BIDE_PROCESS_GROUP_NEW ? 0 : group, 0, 0);
    case BIDE_PROCESS_STEP_STDIO: return place_stdio(plan);
    case BIDE_PROCESS_STEP_CWD:
        return options->cwd != NULL ? call(SYS_chdir, (long)options->cwd, 0, 0, 0) : 0;
    case BIDE_PROCESS_STEP_LIMITS: return set_limits(options);
    case BIDE_PROCESS_STEP_EXEC:
        if (!options->keep_descriptors)
            close_others();
        call(SYS_rt_sigprocmask, SIG_SETMASK, (long)&plan->mask, 0, BIDE__SIGNAL_BYTES);
        return exec_first(plan);
    default: return 0;
    }
}

CHILD_SIDE static int child_main(void *arg)
{
    struct plan *plan = arg;
    long err = 0;

    reset_signals(plan);
    for (int step = BIDE_PROCESS_STEP_SESSION; step <= BIDE_PROCESS_STEP_EXEC && err >= 0; step++)
        err = take_step(plan, (enum bide_process_step)step);
    plan->error = (int)err;
    return 127; /* as a shell would; seen only where fork stands in for clone */
}

/* The parent's side: finding the program. */

/* All the paths that the program may be at, in one piece of memory, ready for execve. */
static int find_programs(const char *name, const char *const **out)
{
    const char *path = strchr(name, '/') != NULL ? "" : getenv("PATH");
    size_t count = 1, name_bytes = strlen(name) + 1;
    const char **programs;
    char *text;

    if (name_bytes == 1)
        return -ENOENT;
    if (path == NULL)
        path = "/bin:/usr/bin";
    for (const char *at = path; *at != '\0'; at++)
        count += *at == ':';
    programs =
        bide__alloc((count + 1) * sizeof *programs + strlen(path) + 1 + count * (name_bytes + 1));
    if (programs == NULL)
        return -ENOMEM;
    text = (char *)(programs + count + 1);
    for (size_t i = 0; i < count; i++) {
        size_t bytes = strcspn(path, ":");
        programs[i] = text;
        memcpy(text, path, bytes);
        text += bytes;
        if (bytes > 0) /* an empty one is the working directory (environ(7)) */
            *text++ = '/';
        memcpy(text, name, name_bytes);
        text += name_bytes;
        path += bytes + (path[bytes] == ':');
    }
    programs[count] = NULL;
    *out = programs;
    return 0;
}

/* The parent's side: standard input and outputs. */

struct stdio {
    int wanted;
    int opened;         /* to be closed once the child has it; or -1 */
    bide_stream *pipe;  /* our end; or NULL */
    bide_stream *given; /* whose description was made blocking; or NULL */
    bool was_unblocking;
};

static int make_pipe(struct bide__epoll *epoll, bool is_input, struct stdio *stdio)
{
    int ends[2];
    int err = bide__sys_pipe(ends);

    if (err < 0)
        return err;
    stdio->opened = stdio->wanted = ends[!is_input];
    err = bide__sys_set_blocking(stdio->opened, true);
    if (err == 0)
        err = bide__pipe_stream(epoll, ends[is_input], &stdio->pipe);
    if (err < 0)
        bide__sys_close(ends[is_input]);
    return err;
}

/* A description of its own for the child: blocking, whatever ours is. */
static int reopen_pipe(int number, bool is_input, struct stdio *stdio)
{
    char path[32];
    int mode = bide__sys_mode(number);

    if (mode < 0)
        return mode;
    if ((mode & O_ACCMODE) == (is_input ? O_WRONLY : O_RDONLY))
        return -EBADF;
    snprintf(path, sizeof path, "/proc/self/fd/%d", number);
    /* Opening one for writing would wait until somebody reads it. */
    number = bide__sys_process_open(path, (is_input ? O_RDONLY : O_WRONLY) | O_NONBLOCK);
    if (number < 0)
        return number == -ENXIO ? -EPIPE : number;
    stdio->opened = stdio->wanted = number;
    return bide__sys_set_blocking(number, true);
}

static int take_stream(bide_stream *stream, bool is_input, struct stdio *stdio)
{
    int number, err;

    if (stream == NULL)
        return -EINVAL;
    if (stream->is_closed || stream->is_given)
        return -EBADF;
    number = bide_stream_fd(stream);
    if (number < 0)
        return number;
    if (is_input && bide__stream_buffered(stream) > 0)
        return -EINVAL;
    err = bide__sys_is_pipe(number);
    if (err != 0)
        return err < 0 ? err : reopen_pipe(number, is_input, stdio);
    if (stream->is_read || stream->is_written)
        return -EBUSY;
    stdio->wanted = number;
    err = bide__sys_mode(number);
    if (err < 0)
        return err;
    stdio->was_unblocking = (err & O_NONBLOCK) != 0;
    err = bide__sys_set_blocking(number, true);
    if (err == 0)
        stdio->given = stream;
    return err;
}

static int prepare_stdio(struct bide__epoll *epoll, const struct bide_stdio *choice, int place,
                         struct stdio *stdio)
{
    const bool is_input = place == STDIN_FILENO;

    switch (choice->kind) {
    case BIDE_STDIO_INHERIT: return 0;
    case BIDE_STDIO_NULL:
        stdio->opened = bide__sys_process_open("/dev/null", is_input ? O_RDONLY : O_WRONLY);
        stdio->wanted = stdio->opened;
        return stdio->opened < 0 ? stdio->opened : 0;
    case BIDE_STDIO_PIPE: return make_pipe(epoll, is_input, stdio);
    case BIDE_STDIO_FD:
        stdio->wanted = choice->fd;
        return choice->fd < 0 ? -EBADF : bide__sys_fd_check(choice->fd);
    case BIDE_STDIO_STREAM: return take_stream(choice->stream, is_input, stdio);
    case BIDE_STDIO_STDOUT: stdio->wanted = AS_STDOUT; return place == STDERR_FILENO ? 0 : -EINVAL;
    default: return -EINVAL;
    }
}

/* Close what is the child's alone; after a failure all of it, and streams given are ours again. */
static void release_stdio(const struct stdio *stdio, bool has_failed)
{
    for (int i = 0; i < STDIO_COUNT; i++) {
        if (stdio[i].opened >= 0)
            bide__sys_close(stdio[i].opened);
        if (has_failed && stdio[i].given != NULL && stdio[i].was_unblocking)
            bide__sys_set_blocking(stdio[i].wanted, false);
        else if (!has_failed && stdio[i].given != NULL)
            stdio[i].given->is_given = true;
        if (has_failed && stdio[i].pipe != NULL)
            bide_close(stdio[i].pipe);
    }
}

static int prepare_all_stdio(struct bide__epoll *epoll, const bide_process_options *options,
                             struct stdio *stdio)
{
    const struct bide_stdio *choices[] = {&options->in, &options->out, &options->err};
    int err = 0;

    for (int i = 0; i < STDIO_COUNT; i++)
        stdio[i] = (struct stdio){.wanted = KEEP, .opened = -1};
    for (int i = 0; i < STDIO_COUNT && err == 0; i++)
        err = prepare_stdio(epoll, choices[i], i, &stdio[i]);
    if (err < 0)
        release_stdio(stdio, true);
    return err;
}

/* The parent's side: the birth. */

/*
 * Whether pidfds can be waited for; without that there is no child to be started. Asked once: the
 * kernel that knows them says that the number is not open, an older one that it knows no such id.
 */
static int check_kernel(void)
{
    static bool is_known;
    siginfo_t info;
    int err;

    if (__atomic_load_n(&is_known, __ATOMIC_RELAXED))
        return 0;
    err = bide__sys_waitid(INT_MAX, &info, 0);
    if (err == -EINVAL || err == -ENOSYS)
        return -ENOSYS;
    if (err != -EBADF)
        return err;
    __atomic_store_n(&is_known, true, __ATOMIC_RELAXED);
    return 0;
}

/* Returns the child's pid when it has begun its program, and fills the pidfd. */
static int give_birth(struct plan *plan, char *stack, int *pidfd)
{
    sigset_t all, former;
    int pid;

    sigemptyset(&plan->mask);
    memset(&all, 0xff, sizeof all);
    bide__sys_signal_mask(&all, &former);
    if (!plan->options->default_signals)
        plan->mask = former;
    pid = bide__sys_clone(child_main, stack + STACK_BYTES, plan, pidfd);
    bide__sys_signal_mask(&former, NULL);
    if (plan->error == 0)
        plan->step = BIDE_PROCESS_STEP_NONE;
    if (pid >= 0 && *pidfd < 0)
        *pidfd = bide__sys_pidfd_open(pid);
    return pid;
}

static int start_planned(struct bide__epoll *epoll, struct plan *plan, struct bide__child *child)
{
    char *stack = bide__alloc(STACK_BYTES);
    int pidfd = -1, pid, err;

    if (stack == NULL)
        return -ENOMEM;
    pid = give_birth(plan, stack, &pidfd);
    free(stack);
    if (pid < 0)
        return pid;
    if (pidfd < 0) {
        bide__sys_lose(pid);
        return pidfd;
    }
    child->pid = pid;
    if (plan->error < 0) {
        bide__sys_reap(pidfd);
        bide__sys_close(pidfd);
        return plan->error;
    }
    child->end.number = pidfd;
    err = bide__endpoint_open(&child->end, epoll, pidfd);
    if (err == 0)
        child->end.fd->ready[BIDE__IN] = 0; /* an event tells, even when it has ended already */
    return err;
}

/* Everything but the memory of process and child. */
static int start_child(struct bide__epoll *epoll, struct plan *plan, bide_process *process)
{
    const bide_process_options *options = plan->options;
    struct stdio stdio[STDIO_COUNT];
    int err = prepare_all_stdio(epoll, options, stdio);

    if (err < 0)
        return err;
    for (int i = 0; i < STDIO_COUNT; i++)
        plan->wanted[i] = stdio[i].wanted;
    err = start_planned(epoll, plan, process->child);
    release_stdio(stdio, err < 0);
    if (err < 0)
        return err;
    for (int i = 0; i < STDIO_COUNT; i++)
        process->pipes[i] = stdio[i].pipe;
    process->had_stdin = stdio[STDIN_FILENO].pipe != NULL;
    process->pid = process->child->pid;
    return 0;
}

static bool is_sensible(const char *const argv[], const bide_process_options *options)
{
    int group = options->process_group;

    if (argv == NULL || argv[0] == NULL || (options->limits == NULL && options->limit_count > 0))
        return false;
    if (options->new_session)
        return group == 0 || group == BIDE_PROCESS_GROUP_NEW;
    return group >= 0 || group == BIDE_PROCESS_GROUP_NEW;
}

int bide__process_start(struct bide__epoll *epoll, bide_process *process, const char *const argv[],
                        const bide_process_options *options)
{
    struct plan plan = {.argv = argv, .options = options};
    struct bide__child *child;
    int err;

    if (!is_sensible(argv, options))
        return -EINVAL;
    err = check_kernel();
    if (err < 0)
        return err;
    plan.env = options->env != NULL ? options->env : (const char *const *)environ;
    err = find_programs(options->program != NULL ? options->program : argv[0], &plan.programs);
    if (err < 0)
        return err;
    child = bide__alloc_zeroed(1, sizeof *child);
    if (child == NULL) {
        free((void *)(uintptr_t)plan.programs);
        return -ENOMEM;
    }
    child->end.number = -1;
    process->child = child;
    err = start_child(epoll, &plan, process);
    free((void *)(uintptr_t)plan.programs);
    if (err < 0 && options->failed_step != NULL)
        *options->failed_step = plan.step;
    if (err < 0 && child->end.number >= 0)
        bide__child_undo(child);
    else if (err < 0)
        free(child);
    return err;
}
