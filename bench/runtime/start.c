/* SPDX-License-Identifier: MIT */
/*
 * start.c - how long an empty program takes, from posix_spawn until its end was waited for.
 *
 * The programs are those of bench/empty_programs.h; the one in C alone is what the kernel, the
 * dynamic linker and libc take. They are started by turns, on one processor. Go and Python bring
 * along much more than a loop, so theirs is the price of the language. Beside the time, what does
 * not depend on the machine's mood: system calls after execve, in all threads, and page faults.
 */
#include <sched.h>
#include <spawn.h>

#include "calls.h"
#include "empty_programs.h"

enum { STARTS_MOST = 40 };

static struct bench_contender contenders[EMPTY_PROGRAMS];
static int starts[EMPTY_PROGRAMS]; /* in a round; 0: not yet known */
static double faults[EMPTY_PROGRAMS], calls[EMPTY_PROGRAMS];
static int rounds = 25;
static double sample_us = 12000;

extern char **environ;

static void start(int program)
{
    char path[PATH_MAX];
    char *const words[] = {path, NULL};
    struct rusage usage;
    int status;
    pid_t pid;

    bench_beside(empty_programs[program].words[0], path);
    if (posix_spawn(&pid, path, NULL, NULL, words, environ) != 0)
        bench_die(path);
    if (wait4(pid, &status, 0, &usage) != pid || status != 0)
        bench_die(path);
    faults[program] = (double)usage.ru_minflt;
}

static double round_us(size_t program)
{
    double begin = bench_now_ns(), us;

    if (empty_programs[program].is_missing)
        return NAN;
    if (starts[program] == 0) { /* the first of a program reads it from disk */
        start((int)program);
        begin = bench_now_ns();
        start((int)program);
        us = (bench_now_ns() - begin) / 1e3;
        starts[program] = (int)fmax(1, fmin(sample_us / us, STARTS_MOST));
        begin = bench_now_ns();
    }
    for (int i = 0; i < starts[program]; i++)
        start((int)program);
    return (bench_now_ns() - begin) / 1e3 / starts[program];
}

/* NaN where it may not be traced. */
static double calls_of(int program)
{
    static struct bench_calls counted;
    char path[PATH_MAX];
    pid_t child;

    if (empty_programs[program].is_missing)
        return NAN;
    bench_beside(empty_programs[program].words[0], path);
    fflush(stdout);
    child = fork();
    if (child < 0)
        bench_die("fork");
    if (child == 0) {
        if (bench_calls_begin())
            execl(path, path, (char *)NULL);
        _exit(127);
    }
    return bench_calls_count_all(child, &counted) ? (double)counted.total : NAN;
}

static void stay_on_one_core(void)
{
    cpu_set_t one;

    bench_choose_cores();
    if (bench_server_core < 0)
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)bench_server_core, &one);
    sched_setaffinity(0, sizeof one, &one);
}

static void print_table(void)
{
    printf("%-28s %9s %9s %9s %11s %13s %12s\n", "", "median us", "least", "most", "ours to it",
           "system calls", "page faults");
    for (int i = 0; i < EMPTY_PROGRAMS; i++) {
        if (empty_programs[i].is_missing)
            continue;
        printf("%-28s", empty_programs[i].name);
        bench_print_cell(9, 0, contenders[i].result.median);
        bench_print_cell(9, 0, contenders[i].result.least);
        bench_print_cell(9, 0, contenders[i].result.most);
        bench_print_cell(11, 3, contenders[i].ratio.median);
        bench_print_cell(13, 0, calls[i]);
        bench_print_cell(12, 0, faults[i]);
        printf("\n");
    }
}

static void print_json(void)
{
    char key[64];

    bench_json_open("runtime/start");
    bench_json_title("An empty program, from start to end");
    bench_json_number("rounds", rounds);
    empty_programs_json();
    for (int i = 0; i < EMPTY_PROGRAMS; i++) {
        double missing = empty_programs[i].is_missing ? NAN : 0;
        empty_programs_json_spread(i, "start", "us", contenders[i].result);
        empty_programs_json_spread(i, "system", "calls", bench_always(calls[i]));
        empty_programs_json_spread(i, "page", "faults", bench_always(faults[i] + missing));
        snprintf(key, sizeof key, "start_to_%s", empty_programs[i].key);
        if (i != EMPTY_BIDE)
            bench_json_spread(key, contenders[i].ratio);
    }
    bench_json_close();
}

int main(void)
{
    if (bench_is_quick()) {
        rounds = 7;
        sample_us = 5000;
    }
    printf("An empty program, from posix_spawn until its end was waited for; %d rounds of about\n"
           "%g ms for each program, by turns.\n",
           rounds, sample_us / 1e3);
    stay_on_one_core();
    servers_find(empty_programs, EMPTY_PROGRAMS);
    for (int i = 0; i < EMPTY_PROGRAMS; i++) {
        contenders[i].round = round_us;
        contenders[i].parameter = (size_t)i;
        calls[i] = calls_of(i);
    }
    bench_interleave(contenders, EMPTY_PROGRAMS, rounds, EMPTY_BIDE);
    for (int i = 0; i < EMPTY_PROGRAMS; i++)
        contenders[i].ratio =
            bench_ratios_of(contenders[EMPTY_BIDE].samples, contenders[i].samples, rounds);
    print_table();
    print_json();
    return 0;
}
