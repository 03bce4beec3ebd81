/* SPDX-License-Identifier: MIT */
/*
 * process.c - starting a child and waiting for its end: ours against posix_spawn and waitpid, and
 * fork and exec.
 *
 * The child is /bin/true, so most of the time is the kernel's, for the new program. Ours waits in a
 * loop, through a pidfd and epoll; the others block in waitpid. Measured twice: in a small process,
 * and in one that has touched much memory, whose page tables fork has to copy.
 */
#include <bide.h>

#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { CONTENDERS = 3, PEER = 1 };

static size_t children = 100; /* in a round */
static int rounds = 15;
static size_t memory_bytes = (size_t)1 << 30;

extern char **environ;
static char *const program[] = {(char[]){"/bin/true"}, NULL};

static double ours(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < children; i++) {
        bide_process_status status;
        bide_process *process;
        if (bide_process_spawn(BIDE_ARGV("/bin/true"), NULL, &process) < 0 ||
            bide_process_wait(process, &status) < 0 || status.code != 0)
            bench_die("bide_process_spawn");
        bide_process_free(process);
    }
    return (bench_now_ns() - start) / 1e3 / (double)children;
}

static void wait_for(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || status != 0)
        bench_die("waitpid");
}

static double by_posix_spawn(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < children; i++) {
        pid_t pid;
        if (posix_spawn(&pid, program[0], NULL, NULL, program, environ) != 0)
            bench_die("posix_spawn");
        wait_for(pid);
    }
    return (bench_now_ns() - start) / 1e3 / (double)children;
}

static double by_fork(size_t unused)
{
    double start = bench_now_ns();

    (void)unused;
    for (size_t i = 0; i < children; i++) {
        pid_t pid = fork();
        if (pid < 0)
            bench_die("fork");
        if (pid == 0) {
            execve(program[0], program, environ);
            _exit(127);
        }
        wait_for(pid);
    }
    return (bench_now_ns() - start) / 1e3 / (double)children;
}

static struct bench_contender small[CONTENDERS] = {
    {.name = "bide_process_spawn and _wait, us", .key = "bide_us", .round = ours},
    {.name = "posix_spawn and waitpid, us", .key = "posix_spawn_us", .round = by_posix_spawn},
    {.name = "fork, execve and waitpid, us", .key = "fork_us", .round = by_fork},
};

static struct bench_contender large[CONTENDERS] = {
    {.name = "bide_process_spawn and _wait, us", .key = "large_bide_us", .round = ours},
    {.name = "posix_spawn and waitpid, us", .key = "large_posix_spawn_us", .round = by_posix_spawn},
    {.name = "fork, execve and waitpid, us", .key = "large_fork_us", .round = by_fork},
};

static int measure(void *unused)
{
    char *memory;

    (void)unused;
    bench_interleave(small, CONTENDERS, rounds, PEER);
    memory = malloc(memory_bytes);
    if (memory == NULL)
        bench_die("malloc");
    memset(memory, 1, memory_bytes);
    children /= 4;
    bench_interleave(large, CONTENDERS, rounds, PEER);
    free(memory);
    return 0;
}

int main(void)
{
    if (bench_is_quick()) {
        children /= 4;
        rounds = 5;
        memory_bytes /= 8;
    }
    printf("A child that does nothing, from start to end: %zu a round, %d interleaved rounds.\n",
           children, rounds);
    fflush(stdout);
    if (bide_run(measure, NULL, NULL) != 0)
        return 1;
    printf("\nIn a small process\n");
    bench_print_contenders(small, CONTENDERS, 1, "to posix");
    printf("\nIn one with %zu MiB of memory in use\n", memory_bytes >> 20);
    bench_print_contenders(large, CONTENDERS, 1, "to posix");
    printf("\n");
    bench_target_most("bide_us_to_posix", small[0].ratio.median, 1.1);
    bench_target_most("large_bide_us_to_posix", large[0].ratio.median, 1.1);

    bench_json_open("io/process");
    bench_json_title("A child process, from start to end");
    bench_json_number("rounds", rounds);
    bench_json_number("memory_mib", (double)(memory_bytes >> 20));
    bench_json_contenders(small, CONTENDERS, "to_posix");
    bench_json_contenders(large, CONTENDERS, "to_posix");
    bench_json_close();
    return 0;
}
