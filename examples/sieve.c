/* SPDX-License-Identifier: MIT */
/*
 * sieve.c - the first 100 primes from a chain of tasks, which channels link.
 *
 * The first task sends 2, 3, 4 and so on. Whatever comes out of the chain is a prime, and a task
 * that holds back its multiples is added there. Nobody tells the tasks to stop: the last channel is
 * closed, whoever sends into it learns so and closes its own input, and so the end runs up the
 * chain.
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <stdio.h>

enum { PRIMES = 100 };

static async(int, count_up, chan(int), out)
{
    int err = 0;

    for (int n = 2; err == 0; n++)
        err = chan_send(out, n); /* waits until somebody has taken it */
    return err == -EPIPE ? 0 : err;
}

static async(int, hold_back, int, prime, chan(int), in, chan(int), out)
{
    int n, err = 0;

    while (err == 0) {
        err = chan_recv(in, &n);
        if (err == 0 && n % prime != 0)
            err = chan_send(out, n);
    }
    chan_close(in);
    return err == -EPIPE ? 0 : err;
}

async_main
{
    chan(int) links[PRIMES + 1] = {chan_new(int, 0)};
    bide_group sieve = BIDE_GROUP_INIT;
    int primes[PRIMES], found = 0, sum = 0;
    size_t tasks = 0;

    if (links[0] == NULL)
        return -ENOMEM;
    with_group (&sieve) {
        spawn_in(&sieve, count_up, links[0]);
        while (found < PRIMES && chan_recv(links[found], &primes[found]) == 0) {
            links[found + 1] = chan_new(int, 0);
            if (links[found + 1] == NULL ||
                spawn_in(&sieve, hold_back, primes[found], links[found], links[found + 1]) < 0)
                break;
            found++;
        }
        tasks = bide_group_count(&sieve);
        chan_close(links[found]);
    } /* is left when the last task has ended */
    for (int i = 0; i <= PRIMES; i++)
        chan_free(links[i]);

    for (int i = 0; i < found; i++) {
        sum += primes[i];
        printf("%d%c", primes[i], i % 20 == 19 ? '\n' : ' ');
    }
    printf("%zu tasks, then %zu\n", tasks, bide_group_count(&sieve));
    return sieve.error == 0 && found == PRIMES && primes[PRIMES - 1] == 541 && sum == 24133 ? 0 : 1;
}
