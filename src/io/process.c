/* SPDX-License-Identifier: MIT */
/*
 * process.c - the life of a child process: waiting, signals, being given up.
 *
 * A pidfd becomes readable when the child ends, once, and waitid then neither waits nor reaps
 * anybody else. All tasks that wait for a process hang on its pidfd: the event wakes the first of
 * them, which reaps and wakes the others.
 */
#include "io/process.h"

#include <errno.h>
#include <pthread.h>

#include <bide/sched/scope.h>

#include "base/sys_process.h"
#include "sched/task.h"

#define GRACE_DEFAULT BIDE_SEC(5)
#define KILL_LIMIT BIDE_SEC(5) /* a process that sleeps in the kernel does not even hear SIGKILL */

/* Children whose loop is gone. Any thread's spawn or free looks after them. */
static struct bide__child *orphans;
static pthread_mutex_t orphans_lock = PTHREAD_MUTEX_INITIALIZER;

static void sweep_orphans(void)
{
    siginfo_t info;

    if (__atomic_load_n(&orphans, __ATOMIC_RELAXED) == NULL)
        return;
    pthread_mutex_lock(&orphans_lock);
    for (struct bide__child **at = &orphans; *at != NULL;) {
        struct bide__child *child = *at;
        int err = bide__sys_waitid(child->end.number, &info, WNOWAIT);
        bool is_ours = err == -ECHILD || (err == 0 && info.si_pid == child->pid);
        if ((err == 0 && info.si_pid == 0) || (err < 0 && err != -ECHILD && err != -EBADF)) {
            at = &child->next;
            continue;
        }
        __atomic_store_n(at, child->next, __ATOMIC_RELAXED);
        if (is_ours) { /* else the number was closed behind our back, and is another's */
            bide__sys_waitid(child->end.number, &info, 0);
            bide__sys_close(child->end.number);
        }
        free(child);
    }
    pthread_mutex_unlock(&orphans_lock);
}

static void orphan(struct bide__child *child)
{
    pthread_mutex_lock(&orphans_lock);
    child->next = orphans;
    __atomic_store_n(&orphans, child, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&orphans_lock);
    sweep_orphans(); /* it may have ended just now */
}

/* The child was reaped, by us or by others. */
static void child_free(struct bide__child *child)
{
    if (bide__endpoint_is_open(&child->end))
        bide__wake_all(&child->end.fd->waiting[BIDE__IN], 0);
    bide__endpoint_close(&child->end);
    free(child);
}

static int send_signal(const struct bide__child *child, int number, bool to_group)
{
    int pidfd = child->end.number;
    int err = bide__sys_pidfd_signal(pidfd, number, to_group ? BIDE__SIGNAL_GROUP : 0);
    siginfo_t info;

    if (err != -ENOSYS && !(to_group && err == -EINVAL))
        return err;
    /* An older kernel, or an emulator. Until it is reaped the number is nobody else's. */
    err = bide__sys_waitid(pidfd, &info, WNOWAIT);
    if (err < 0)
        return err == -ECHILD ? -ESRCH : err;
    return bide__sys_kill(to_group ? -child->pid : child->pid, number);
}

void bide__child_undo(struct bide__child *child)
{
    /* One that runs as somebody else by now cannot be killed, and must not be waited for. */
    if (send_signal(child, SIGKILL, false) < 0) {
        orphan(child);
        return;
    }
    bide__sys_reap(child->end.number);
    bide__sys_close(child->end.number);
    free(child);
}

/* Reap the child if it has ended: 0, -EAGAIN, or -ECHILD when nobody can. */
static int reap(struct bide__child *child, bool sweeps_group, siginfo_t *info)
{
    int err;

    if (sweeps_group) {
        do {
            err = bide__sys_waitid(child->end.number, info, WNOWAIT);
        } while (err == -EINTR);
        if (err < 0 || info->si_pid == 0)
            return err < 0 ? err : -EAGAIN;
        send_signal(child, SIGKILL, true);
    }
    do {
        err = bide__sys_waitid(child->end.number, info, 0);
    } while (err == -EINTR);
    return err < 0 || info->si_pid != 0 ? err : -EAGAIN;
}

/*
 * Look whether the child has ended, unless it is known not to have. Called again after an event.
 */
static int look(struct bide__child *child, bool sweeps_group, siginfo_t *info)
{
    struct bide__fd *fd = child->end.fd;
    int err;

    if (!bide__endpoint_is_open(&child->end))
        return -EBADF;
    if (fd->ready[BIDE__IN] == 0)
        return -EAGAIN;
    err = reap(child, sweeps_group, info);
    if (err == -EAGAIN)
        fd->ready[BIDE__IN] = 0;
    return err;
}

/* The loop can wait for it no longer. */
static void leave_loop(struct bide__child *child)
{
    if (bide__endpoint_is_open(&child->end) && bide__fd_close(child->end.epoll, child->end.fd))
        orphan(child);
    else
        free(child); /* closed behind our back: the number may be somebody else's */
}

/* A freed process's child, until it ends. */
struct reaper {
    struct bide__child *child;
};

/* Not counted as watched: nothing that others wait for can come of it. */
static int reaper_wait(struct bide__child *child)
{
    struct bide__waiter waiter = BIDE__WAITER(waiter, "reap");
    struct bide_task *self = bide__loop_here->current;

    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    bide__waitq_join(&child->end.fd->waiting[BIDE__IN], &waiter);
    return bide__park(&waiter);
}

static int reaper_run(void *frame)
{
    struct bide__child *child = ((struct reaper *)frame)->child;
    siginfo_t info;
    int err, parked = 0;

    while ((err = look(child, false, &info)) == -EAGAIN && parked == 0)
        parked = reaper_wait(child);
    if (err == 0 || err == -ECHILD)
        child_free(child);
    else
        leave_loop(child);
    return 0;
}

/* Let somebody else reap the child. */
static void hand_over(struct bide_loop *loop, struct bide__child *child)
{
    static const bide_site site = {__FILE__, __LINE__, "bide_process_free", "reaper"};
    struct bide_task *task;

    if (bide__task_spawn(loop, &site, NULL, reaper_run, sizeof(struct reaper), &task) == 0) {
        *(struct reaper *)task->frame = (struct reaper){child};
        task->is_detached = true;
    } else {
        leave_loop(child);
    }
}

void bide__process_hold(bide_process *process)
{
    process->users++;
}

void bide__process_let_go(bide_process *process)
{
    bide__assert(process->users > 0);
    if (--process->users > 0)
        return;
    bide__assert(process->is_freed && process->child == NULL);
    free(process);
}

/* Note how it ended, if it has: 0, or -EAGAIN and others. Without an event it may not even look. */
static int collect(bide_process *process, bool trusts_events)
{
    struct bide__child *child = process->child;
    siginfo_t info = {.si_pid = 0};
    int err = -EBADF;

    if (bide__endpoint_is_open(&child->end))
        err = trusts_events ? look(child, process->sweeps_group, &info)
                            : reap(child, process->sweeps_group, &info);
    if (err < 0 && err != -ECHILD)
        return err;
    process->life = err < 0 ? BIDE__PROCESS_LOST : BIDE__PROCESS_ENDED;
    if (err == 0 && info.si_code == CLD_EXITED)
        process->status.code = info.si_status;
    else if (err == 0)
        process->status = (bide_process_status){-1, info.si_status, info.si_code == CLD_DUMPED};
    child_free(child);
    process->child = NULL;
    return 0;
}

/* Park until it has been reaped, by this task or another one. The process is held. */
static int wait_end(bide_process *process)
{
    struct bide_task *self = bide__loop_here->current;
    int err = 0;

    while (err == 0 && process->life == BIDE__PROCESS_RUNS) {
        struct bide__waiter waiter = BIDE__WAITER(waiter, "process");
        if (process->is_freed)
            return -EBADF;
        err = collect(process, true);
        if (err < 0 && err != -EAGAIN && err != -EBADF) /* the event was for all */
            bide__wake_all(&process->child->end.fd->waiting[BIDE__IN], 0);
        if (err != -EAGAIN)
            continue;
        err = self->cancel_code;
        if (err == 0) {
            const struct bide__endpoint *end = &process->child->end;
            bide__waitq_join(&end->fd->waiting[BIDE__IN], &waiter);
            err = bide__fd_park(end->epoll, &waiter);
        }
    }
    return err;
}

static int outcome(const bide_process *process, bide_process_status *status)
{
    if (process->life == BIDE__PROCESS_LOST)
        return -ECHILD;
    bide__assert(process->life == BIDE__PROCESS_ENDED);
    if (status != NULL)
        *status = process->status;
    return 0;
}

static int tell(const bide_process *process, int number, bool to_group)
{
    const struct bide__child *child = process->child;

    if (process->life != BIDE__PROCESS_RUNS)
        return -ESRCH;
    if (!bide__endpoint_is_open(&child->end))
        return -EBADF;
    return send_signal(child, number, to_group);
}

/* The process, and the group where it leads one. */
static int tell_all(const bide_process *process, int number)
{
    int err = process->leads_group ? tell(process, number, true) : 0;

    /* It may have left its group, or not founded it yet where fork stands in for clone. */
    if (process->life == BIDE__PROCESS_RUNS &&
        (!process->leads_group || bide__sys_group_of(process->pid) != process->pid))
        err = tell(process, number, false);
    return err;
}

/* In a callback nothing can be waited for, under no shield. */
static bool may_wait(void)
{
    return bide__loop_here->current->waiter != &bide__calling_back;
}

/* The process is held. Returns 0 when it is over, or why it is not. */
static int stop(bide_process *process, bide_time grace)
{
    int err = 0;

    if (process->life == BIDE__PROCESS_RUNS)
        collect(process, false); /* one that has ended is only reaped */
    if (process->life != BIDE__PROCESS_RUNS)
        return 0;
    if (!may_wait())
        return -ECANCELED;
    process->sweeps_group = process->leads_group;
    if (grace > 0 && tell_all(process, SIGTERM) == 0) {
        tell_all(process, SIGCONT); /* a stopped one hears nothing else */
        bide_with_shield (grace)
            err = wait_end(process);
    }
    if (process->is_freed || process->life != BIDE__PROCESS_RUNS)
        return err;
    err = tell_all(process, SIGKILL);
    if (err < 0 && err != -ESRCH) /* somebody else reaped it: the wait will say so */
        return err;
    bide_with_shield (KILL_LIMIT)
        err = wait_end(process);
    return err;
}

static bide_time grace_of(const bide_process_options *options)
{
    if (options->grace_ns == 0)
        return GRACE_DEFAULT;
    return options->grace_ns < 0 ? 0 : options->grace_ns;
}

int bide_process_spawn(const char *const argv[], const bide_process_options *options,
                       bide_process **out)
{
    static const bide_process_options defaults;
    struct bide_task *self = bide__task_need("bide_process_spawn");
    struct bide__epoll *epoll = bide__epoll_of(self->loop);
    bide_process *process;
    int err;

    if (options == NULL)
        options = &defaults;
    if (options->failed_step != NULL)
        *options->failed_step = BIDE_PROCESS_STEP_NONE;
    if (self->cancel_code != 0)
        return bide__cancel_seen(self);
    if (epoll == NULL)
        return -EOPNOTSUPP;
    sweep_orphans();
    process = bide__alloc_zeroed(1, sizeof *process);
    if (process == NULL)
        return -ENOMEM;
    process->users = 1;
    process->kill_on_exit = options->kill_on_exit;
    process->grace_ns = grace_of(options);
    process->leads_group = options->new_session || options->process_group == BIDE_PROCESS_GROUP_NEW;
    err = bide__process_start(epoll, process, argv, options);
    if (err < 0) {
        free(process);
        return err;
    }
    *out = process;
    bide__budget_spend(self->loop);
    return 0;
}

int bide_process_wait(bide_process *process, bide_process_status *status)
{
    struct bide_task *self = bide__task_need("bide_process_wait");
    int err;

    bide__process_hold(process);
    if (self->cancel_code != 0) {
        err = bide__cancel_seen(self);
    } else {
        err = wait_end(process);
        bide__budget_spend(self->loop);
    }
    if ((err == -ECANCELED || err == -ETIMEDOUT) && process->kill_on_exit && !process->is_freed)
        stop(process, process->grace_ns);
    if (err == 0)
        err = outcome(process, status);
    bide__process_let_go(process);
    return err;
}

int bide_process_try_wait(bide_process *process, bide_process_status *status)
{
    int err;

    bide__task_need("bide_process_try_wait");
    err = process->life == BIDE__PROCESS_RUNS ? collect(process, false) : 0;
    return err < 0 ? err : outcome(process, status);
}

int bide_process_kill(bide_process *process, int signal)
{
    bide__task_need("bide_process_kill");
    return tell(process, signal, false);
}

int bide_process_kill_group(bide_process *process, int signal)
{
    bide__task_need("bide_process_kill_group");
    return process->leads_group ? tell(process, signal, true) : -EINVAL;
}

int bide_process_stop(bide_process *process, bide_time grace_ns, bide_process_status *status)
{
    int err;

    bide__task_need("bide_process_stop");
    bide__process_hold(process);
    err = stop(process, grace_ns);
    if (err == 0)
        err = outcome(process, status);
    bide__process_let_go(process);
    return err;
}

pid_t bide_process_pid(const bide_process *process)
{
    return process->pid;
}

bide_stream *bide_process_stdin(bide_process *process)
{
    return process->pipes[STDIN_FILENO];
}

bide_stream *bide_process_stdout(bide_process *process)
{
    return process->pipes[STDOUT_FILENO];
}

bide_stream *bide_process_stderr(bide_process *process)
{
    return process->pipes[STDERR_FILENO];
}

void bide_process_close_stdin(bide_process *process)
{
    bide_close(process->pipes[STDIN_FILENO]);
    process->pipes[STDIN_FILENO] = NULL;
}

void bide_process_free(bide_process *process)
{
    struct bide_loop *loop;

    if (process == NULL)
        return;
    loop = bide__task_need("bide_process_free")->loop;
    if (process->is_freed)
        bide__misuse("bide_process_free: this process is freed already");
    /* Before it is stopped: nobody will read any more, so that it must not wait to be read. */
    for (int i = 0; i < 3; i++) {
        bide_close(process->pipes[i]);
        process->pipes[i] = NULL;
    }
    if (process->kill_on_exit && may_wait())
        stop(process, process->grace_ns);
    else if (process->kill_on_exit && process->life == BIDE__PROCESS_RUNS)
        tell_all(process, SIGKILL);
    if (process->life == BIDE__PROCESS_RUNS)
        collect(process, false);
    process->is_freed = true;
    if (process->child != NULL) {
        struct bide__child *child = process->child;
        process->child = NULL;
        if (bide__endpoint_is_open(&child->end)) {
            bide__wake_all(&child->end.fd->waiting[BIDE__IN], -EBADF);
            hand_over(loop, child);
        } else {
            leave_loop(child);
        }
    }
    bide__process_let_go(process);
    sweep_orphans();
}
