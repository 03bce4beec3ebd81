/* SPDX-License-Identifier: MIT */
/*
 * process.c - the lives of children: exact ends, no zombies, and a host that is left alone.
 */
#include "processes.h"

static int ends_exactly(void *arg)
{
    const char *const scripts[] = {"exit 0", "exit 255", "kill -KILL $$", "kill -TERM $$"};
    const bide_process_status ends[] = {{0}, {.code = 255}, {-1, SIGKILL, 0}, {-1, SIGTERM, 0}};
    bide_process_status status;

    (void)arg;
    for (int i = 0; i < 4; i++) {
        bide_process *process = start(SH(scripts[i]), NULL);
        CHECK_EQ(kill(bide_process_pid(process), 0), 0);
        for (int again = 0; again < 3; again++) {
            CHECK_EQ(again == 2 ? bide_process_try_wait(process, &status)
                                : bide_process_wait(process, &status),
                     0);
            CHECK_EQ(status.code, ends[i].code);
            CHECK_EQ(status.signal, ends[i].signal);
            CHECK(!status.has_core);
        }
        CHECK_EQ(bide_process_wait(process, NULL), 0);
        CHECK_EQ(bide_process_kill(process, SIGKILL), -ESRCH); /* the number is anybody's */
        bide_process_free(process);
    }
    return 0;
}

/*
 * Goal:   how a child ended is told exactly, as often as it is asked; a signal after that reaches
 *         nobody.
 * Method: exits and signals; wait twice, then ask without waiting.
 */
TEST(process, status_is_exact_and_stays)
{
    CHECK_EQ(run(ends_exactly, NULL), 0);
}

static int dumps_core(void *arg)
{
    const char *script = "ulimit -c $1 2>/dev/null; kill -ABRT $$";
    const char *const sizes[] = {"0", "unlimited"};

    (void)arg;
    for (int i = 0; i < 2; i++) {
        bide_process_status status;
        int expected;
        pid_t own = fork();
        if (own == 0) {
            execl("/bin/sh", "sh", "-c", script, "sh", sizes[i], NULL);
            _exit(1);
        }
        CHECK_EQ(waitpid(own, &expected, 0), own);
        bide_process *process = start(BIDE_ARGV("sh", "-c", script, "sh", sizes[i]), NULL);
        CHECK_EQ(bide_process_wait(process, &status), 0);
        bide_process_free(process);
        if (!WIFSIGNALED(expected))
            continue; /* no limit may be set so high here */
        CHECK_EQ(status.signal, SIGABRT);
        CHECK_EQ(status.has_core, WCOREDUMP(expected) != 0);
    }
    return 0;
}

/*
 * Goal:   whether there is a core dump is told as waitpid tells it.
 * Method: abort with and without the limit, beside a child of the program's own.
 */
TEST(process, core_dump_is_told)
{
    char directory[] = "/tmp/bide-process-XXXXXX", command[64];
    int fd = open("/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC);
    char first = '|';

    if (fd < 0 || read(fd, &first, 1) != 1 || first == '|' || first == '/')
        SKIP("core dumps go somewhere outside of the test's directory");
    close(fd);
    CHECK(mkdtemp(directory) != NULL);
    CHECK_EQ(chdir(directory), 0);
    CHECK_EQ(run(dumps_core, NULL), 0);
    snprintf(command, sizeof command, "rm -rf %s", directory);
    CHECK_EQ(system(command), 0);
}

static async(int, waits, bide_process *, process)
{
    bide_process_status status = {.code = -9};
    int err = bide_process_wait(process, &status);

    return err < 0 ? err : status.code;
}

static int many_wait(void *arg)
{
    bide_process *process = start(SH("read x; exit 5"), &(bide_process_options){
                                                            .in.kind = BIDE_STDIO_PIPE,
                                                        });
    task(int) waiters[4];

    (void)arg;
    CHECK_EQ(bide_process_try_wait(process, NULL), -EAGAIN);
    for (int i = 0; i < 4; i++)
        waiters[i] = spawn(waits, process);
    CHECK_EQ(bide_sleep(BIDE_MS(5)), 0);
    CHECK(!is_done(waiters[0]) && !is_done(waiters[3]));
    cancel(waiters[0]); /* the one that the event would wake */
    CHECK_EQ(await(waiters[0]), -ECANCELED);
    bide_process_close_stdin(process);
    CHECK(bide_process_stdin(process) == NULL);
    bide_process_close_stdin(process);
    for (int i = 1; i < 4; i++)
        CHECK_EQ(await(waiters[i]), 5);
    bide_process_free(process);
    return 0;
}

/*
 * Goal:   several tasks may wait for one process; one that is cancelled takes nothing from the
 *         others.
 * Method: four wait, the first is cancelled, then the process ends.
 */
TEST(process, several_tasks_wait_for_one)
{
    CHECK_EQ(run(many_wait, NULL), 0);
}

static int freed_under_waiters(void *arg)
{
    bide_process *process = start(SH("exec sleep 0.5"), NULL);
    task(int) first = spawn(waits, process), second = spawn(waits, process);

    (void)arg;
    CHECK_EQ(bide_sleep(BIDE_MS(2)), 0);
    bide_process_free(process);
    CHECK_EQ(await(first), -EBADF);
    CHECK_EQ(await(second), -EBADF);
    while (!has_no_children())
        CHECK_EQ(bide_sleep(BIDE_MS(2)), 0);
    return 0;
}

/*
 * Goal:   freeing a process wakes those who wait for it with -EBADF, and it is reaped all the same.
 * Method: two wait, a third frees; then look until there is no child, reaping nothing here.
 */
TEST(process, freed_process_wakes_waiters_and_is_reaped)
{
    CHECK_EQ(run(freed_under_waiters, NULL), 0);
}

static int leaves_running(void *arg)
{
    bide_process *process = start(SH("exec sleep 0.3"), NULL);

    *(pid_t *)arg = bide_process_pid(process);
    bide_process_free(process);
    return 0;
}

static int spawns_once(void *arg)
{
    bide_process *process = start(BIDE_ARGV("true"), NULL);

    (void)arg;
    CHECK_EQ(bide_process_wait(process, NULL), 0);
    bide_process_free(process);
    return 0;
}

/*
 * Goal:   a child that outlives its loop does not keep it, runs on, and is reaped by a later spawn
 *         of whatever loop.
 * Method: a loop frees and ends; the child lives; wait until it is a zombie; another loop spawns.
 */
TEST(process, child_that_outlives_its_loop_is_reaped_by_a_later_spawn)
{
    siginfo_t info;
    pid_t pid = 0;
    int before = test_open_fds();

    CHECK_EQ(bide_run(leaves_running, &pid, NULL), 0);
    CHECK_EQ(kill(pid, 0), 0);
    CHECK_EQ(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    CHECK_EQ(bide_run(spawns_once, NULL, NULL), 0);
    CHECK(has_no_children());
    CHECK_EQ(test_open_fds(), before);
}

static int deadlocks(void *arg)
{
    bide_process *process = start(SH("exec sleep 0.5"), NULL);
    bide_event never = BIDE_EVENT_INIT;

    (void)arg;
    bide_process_free(process);
    return bide_event_wait(&never);
}

/*
 * Goal:   a child that was given up does not hide a deadlock.
 * Method: free one that runs, wait for what never happens; the loop says so while it runs.
 */
TEST(process, abandoned_child_hides_no_deadlock)
{
    CHECK_EQ(bide_run(deadlocks, NULL, NULL), -EDEADLK);
    CHECK(!has_no_children());
    CHECK(wait(NULL) > 0);
}

static volatile sig_atomic_t heard;

static void hears(int number)
{
    (void)number;
    heard++;
}

static int beside_the_hosts_own(void *arg)
{
    pid_t own = fork();
    bide_process *process;
    int status;

    (void)arg;
    CHECK(own >= 0);
    if (own == 0)
        _exit(42);
    for (int i = 0; i < 3; i++) {
        process = start(BIDE_ARGV("true"), NULL);
        CHECK_EQ(bide_process_wait(process, NULL), 0);
        bide_process_free(process);
        bide_process_free(start(BIDE_ARGV("true"), NULL));
    }
    while (waitpid(-1, &status, WNOHANG) != own) /* its own, whatever else comes */
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    CHECK_EQ(WEXITSTATUS(status), 42);
    while (!has_no_children())
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    return 0;
}

/*
 * Goal:   the program's own children and its SIGCHLD are its own.
 * Method: a handler, a forked child between ours, waited for by the program; the handler still is
 *         there and was called.
 */
TEST(process, hosts_children_and_sigchld_are_left_alone)
{
    struct sigaction action = {.sa_handler = hears, .sa_flags = SA_RESTART}, after;

    CHECK_EQ(sigaction(SIGCHLD, &action, NULL), 0);
    CHECK_EQ(run(beside_the_hosts_own, NULL), 0);
    CHECK_EQ(sigaction(SIGCHLD, NULL, &after), 0);
    CHECK(after.sa_handler == hears && after.sa_flags & SA_RESTART);
    CHECK(heard > 0);
}

static int loses_status(void *arg)
{
    bide_process_status status = {.code = 77};
    bide_process *process = start(SH("exec sleep 0.01"), NULL);

    (void)arg;
    with_timeout (BIDE_SEC(30))
        CHECK_EQ(bide_process_wait(process, &status), -ECHILD);
    CHECK_EQ(bide_process_try_wait(process, &status), -ECHILD);
    CHECK_EQ(bide_process_stop(process, 0, &status), -ECHILD);
    CHECK_EQ(status.code, 77);
    bide_process_free(process);
    return 0;
}

static int is_robbed(void *arg)
{
    bide_process *process = start(SH("exit 1"), NULL);

    CHECK(waitpid(-1, NULL, 0) == bide_process_pid(process));
    CHECK_EQ(bide_process_kill(process, 0), -ESRCH);
    CHECK_EQ(*(bool *)arg ? bide_process_stop(process, BIDE_SEC(30), NULL)
                          : bide_process_wait(process, NULL),
             -ECHILD);
    bide_process_free(process);
    return 0;
}

/*
 * Goal:   a status that is lost is -ECHILD, never a hang.
 * Method: the program reaps whatever there is; the program ignores SIGCHLD.
 */
TEST(process, lost_status_is_echild)
{
    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(is_robbed, &(bool){i != 0}), 0);
    signal(SIGCHLD, SIG_IGN);
    CHECK_EQ(run(loses_status, NULL), 0);
    CHECK(signal(SIGCHLD, SIG_DFL) == SIG_IGN);
}

static int kills(void *arg)
{
    const bide_process_options own = {
        .process_group = BIDE_PROCESS_GROUP_NEW,
        .out.kind = BIDE_STDIO_PIPE,
    };
    bide_process *process = start(SH("exec sleep 30"), NULL);
    bide_process_status status;
    char line[16];

    (void)arg;
    CHECK_EQ(bide_process_kill(process, 0), 0);
    CHECK_EQ(bide_process_kill(process, 9999), -EINVAL);
    CHECK_EQ(bide_process_kill_group(process, SIGKILL), -EINVAL); /* it is ours! */
    CHECK_EQ(bide_process_kill(process, SIGUSR1), 0);
    CHECK_EQ(bide_process_wait(process, &status), 0);
    CHECK_EQ(status.signal, SIGUSR1);
    bide_process_free(process);

    /* The end of the pipe comes when the grandchild is gone as well. */
    process = start(SH("sleep 30 & echo ready; wait"), &own);
    CHECK_EQ(bide_read_line(bide_process_stdout(process), line, sizeof line), 6);
    CHECK_EQ(bide_process_kill_group(process, 9999), -EINVAL);
    CHECK_EQ(bide_process_kill_group(process, SIGUSR2), 0);
    CHECK_EQ(bide_read(bide_process_stdout(process), line, 1), 0);
    CHECK_EQ(bide_process_wait(process, &status), 0);
    CHECK_EQ(status.signal, SIGUSR2);
    CHECK_EQ(bide_process_kill_group(process, SIGUSR2), -ESRCH);
    bide_process_free(process);
    bide_process_free(NULL);
    return 0;
}

/*
 * Goal:   signals reach the process, or the group it leads, and nobody when it leads none.
 * Method: kill one; kill a group and see by the pipe's end that a grandchild went too.
 */
TEST(process, signals_reach_process_and_group)
{
    CHECK_EQ(run(kills, NULL), 0);
}

struct ending {
    const char *script;
    int signal, code;
    bide_time grace;
};

static const struct ending endings[] = {
    {"trap 'exit 6' TERM; echo r; while :; do sleep 0.01; done", 0, 6, BIDE_SEC(30)},
    {"echo r; exec sleep 30", SIGTERM, -1, BIDE_SEC(30)},
    {"trap '' TERM; echo r; while :; do sleep 0.01; done", SIGKILL, -1, BIDE_MS(20)},
    {"echo r; exec sleep 30", SIGKILL, -1, 0},
    {"echo r; kill -STOP $$; exec sleep 30", SIGTERM, -1, BIDE_SEC(30)},
    {"(trap '' TERM; echo r; while :; do sleep 0.01; done) & wait", SIGTERM, -1, BIDE_SEC(30)},
};

static int stops(void *arg)
{
    const struct ending *ending = arg;
    bide_process_status status;
    bide_process *process = start(SH(ending->script), &(bide_process_options){
                                                          .process_group = BIDE_PROCESS_GROUP_NEW,
                                                          .out.kind = BIDE_STDIO_PIPE,
                                                      });
    char line[8];

    CHECK_EQ(bide_read_line(bide_process_stdout(process), line, sizeof line), 2);
    with_timeout (0) /* cleanup does not see it */
        CHECK_EQ(bide_process_stop(process, ending->grace, &status), 0);
    CHECK_EQ(status.signal, ending->signal);
    CHECK_EQ(status.code, ending->code);
    with_timeout (BIDE_SEC(20)) /* what is left of the group was swept away */
        CHECK_EQ(bide_read(bide_process_stdout(process), line, 1), 0);
    CHECK_EQ(bide_process_stop(process, BIDE_SEC(1), &status), 0);
    bide_process_free(process);
    return 0;
}

/*
 * Goal:   stop ends obedient, deaf and stopped processes, and nobody of the group is left.
 * Method: shells of each kind; the pipe ends when the last that holds it is gone.
 */
TEST(process, stop_ends_whatever_it_meets)
{
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        CHECK_EQ(run(stops, (void *)(uintptr_t)&endings[i]), 0);
}

static int stops_one_that_left(void *arg)
{
    char path[4096], line[8];
    const char *const env[] = {"BIDE_TEST_CHILD=leave", NULL};
    const bide_process_options options = {
        .env = env,
        .process_group = BIDE_PROCESS_GROUP_NEW,
        .out.kind = BIDE_STDIO_PIPE,
    };
    bide_process_status status;
    bide_process *process;

    (void)arg;
    own_path(path, sizeof path);
    process = start(BIDE_ARGV(path), &options);
    CHECK_EQ(bide_read_line(bide_process_stdout(process), line, sizeof line), 2);
    CHECK_EQ(bide_process_kill_group(process, SIGTERM), -ESRCH);
    CHECK_EQ(bide_process_stop(process, BIDE_SEC(30), &status), 0);
    CHECK_EQ(status.signal, SIGTERM);
    bide_process_free(process);
    return 0;
}

/*
 * Goal:   stop reaches a process that led a group and has gone to another, and not that other.
 * Method: a child that moves into our own group.
 */
TEST(process, stop_reaches_one_that_left_its_group)
{
    if (TEST_UNDER_QEMU())
        SKIP("emulated, the test program cannot start itself");
    CHECK_EQ(run(stops_one_that_left, NULL), 0);
}

static async(int, waits_for, bide_process *, process)
{
    return bide_process_wait(process, NULL);
}

static int cancels_wait(void *arg)
{
    const bool kill_on_exit = *(bool *)arg;
    const bide_process_options options = {.kill_on_exit = kill_on_exit, .grace_ns = -1};
    bide_process *process = start(SH("exec sleep 30"), &options);
    bide_process_status status;

    with_timeout (BIDE_MS(5))
        CHECK_EQ(bide_process_wait(process, NULL), -ETIMEDOUT);
    CHECK_EQ(bide_process_try_wait(process, &status), kill_on_exit ? 0 : -EAGAIN);
    if (kill_on_exit)
        CHECK_EQ(status.signal, SIGKILL);
    else
        CHECK_EQ(bide_process_stop(process, 0, NULL), 0);
    bide_process_free(process);

    process = start(SH("exec sleep 30"), &options);
    task(int) waiter = spawn(waits_for, process);
    CHECK_EQ(bide_yield(), 0);
    cancel(waiter);
    CHECK_EQ(await(waiter), -ECANCELED);
    CHECK_EQ(bide_process_try_wait(process, NULL), kill_on_exit ? 0 : -EAGAIN);
    CHECK_EQ(bide_process_stop(process, 0, NULL), 0);
    bide_process_free(process);

    /* A scope that has fired before: the same, at once. */
    process = start(SH("exec sleep 30"), &options);
    with_timeout (0)
        CHECK_EQ(bide_process_wait(process, NULL), -ETIMEDOUT);
    CHECK_EQ(bide_process_try_wait(process, NULL), kill_on_exit ? 0 : -EAGAIN);
    CHECK_EQ(bide_process_stop(process, 0, NULL), 0);
    with_timeout (0) /* even when it would not have to wait */
        CHECK_EQ(bide_process_wait(process, NULL), -ETIMEDOUT);
    CHECK_EQ(bide_process_wait(process, &status), 0);
    CHECK_EQ(status.signal, SIGKILL);
    bide_process_free(process);
    return 0;
}

/*
 * Goal:   a cancelled wait leaves the process alone, or with kill_on_exit has ended it before it
 *         returns; in either case its status is kept.
 * Method: deadline, cancel, and a scope that has fired before; with and without.
 */
TEST(process, canceled_wait_kills_only_when_asked_to)
{
    bool kill_on_exit[] = {false, true};

    for (int i = 0; i < 2; i++)
        CHECK_EQ(run(cancels_wait, &kill_on_exit[i]), 0);
}

static void free_process(void *process)
{
    bide_process_free(process);
}

static int leaves_a_block(void *arg)
{
    {
        bide_process *process = start(SH("sleep 30 & wait"), &(bide_process_options){
                                                                 .new_session = true,
                                                                 .kill_on_exit = true,
                                                             });
        defer(free_process, process);
    }
    (void)arg;
    CHECK(has_no_children());
    return 0;
}

/*
 * Goal:   a block that is left takes its process along.
 * Method: defer the free of one with kill_on_exit, leave, look for children.
 */
TEST(process, kill_on_exit_ends_it_with_the_block)
{
    CHECK_EQ(run(leaves_a_block, NULL), 0);
}

static int spawns_many(void *arg)
{
    const int count = *(int *)arg;
    bide_process *some[8];
    bide_process_status status;

    for (int done = 0; done < count; done += 8) {
        for (int i = 0; i < 8; i++)
            some[i] = start(BIDE_ARGV("true"), NULL);
        for (int i = 0; i < 8; i++) {
            if (i % 4 == 1) { /* given up: somebody else's work */
                bide_process_free(some[i]);
                continue;
            }
            CHECK_EQ(bide_process_wait(some[i], &status), 0);
            CHECK_EQ(status.code, 0);
            bide_process_free(some[i]);
        }
    }
    while (!has_no_children())
        CHECK_EQ(bide_sleep(BIDE_MS(1)), 0);
    return 0;
}

/*
 * Goal:   1,000 children leave neither zombies nor descriptors.
 * Method: eight at a time, a quarter of them freed without a wait.
 */
TEST(process, thousand_children_leave_nothing)
{
    int count = TEST_UNDER_VALGRIND() || TEST_UNDER_QEMU() ? 40 : 1000;

    CHECK_EQ(run(spawns_many, &count), 0);
}

static int frees_twice(void *arg)
{
    bide_process *process = start(SH("exec sleep 1"), NULL);
    task(int) waiter = spawn(waits, process);

    (void)arg;
    CHECK_EQ(bide_yield(), 0);
    bide_process_free(process);
    bide_process_free(process); /* the waiter has not left yet */
    return await(waiter);
}

/*
 * Goal:   mistakes end the program with one clear line.
 * Method: call outside of a task; free twice.
 */
TEST(process, mistakes_are_named)
{
    bide_process *process;

    EXPECT_DEATH(bide_process_spawn(BIDE_ARGV("true"), NULL, &process),
                 "bide_process_spawn was called outside of a task");
    EXPECT_DEATH(bide_run(frees_twice, NULL, NULL), "this process is freed already");
}
