/* SPDX-License-Identifier: MIT */
/*
 * postgres.c - libpq on Bide's loop: connections and queries that look blocking, many at once.
 *
 * Usage: postgres [CONNINFO]
 *
 * libpq has non-blocking calls, and says which readiness of which socket it needs next
 * (https://www.postgresql.org/docs/current/libpq-async.html). Each place where it says so becomes a
 * bide_wait_fd. The bridge is connect_to(), run() and cancel_query(); nothing else here waits.
 *
 * It checks itself against the server that CONNINFO or the environment names (PGHOST, PGUSER, ...),
 * and leaves nothing there. with_postgres.sh starts one of its own for that:
 *
 *     examples/with_postgres.sh build/examples/postgres
 */
#include <bide.h>
#include <bide/short.h>

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- The bridge */

/* How long a query that was given up may take to end. */
#define CANCEL_TIME BIDE_SEC(5)

/*
 * Connect. Returns 0; or why the wait ended, or -ECONNREFUSED when the server or the network said
 * no: then `out` may be a connection that only serves to tell why (PQerrorMessage). PQfinish it in
 * either case. Host names in conninfo are looked up by libpq, and that blocks: use addresses.
 */
static int connect_to(const char *conninfo, PGconn **out)
{
    PGconn *connection = *out = PQconnectStart(conninfo);
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;

    if (connection == NULL)
        return -ENOMEM;
    while (PQstatus(connection) != CONNECTION_BAD && next != PGRES_POLLING_OK) {
        int ready = bide_wait_fd(PQsocket(connection), /* another one whenever it likes */
                                 next == PGRES_POLLING_READING ? BIDE_READ : BIDE_WRITE);
        if (ready < 0)
            return ready;
        next = PQconnectPoll(connection);
    }
    if (PQstatus(connection) == CONNECTION_BAD || PQsetnonblocking(connection, 1) != 0)
        return -ECONNREFUSED;
    return 0;
}

/* Send what libpq has in its buffer; the server may have something to say meanwhile. */
static int flush(PGconn *connection)
{
    int left;

    while ((left = PQflush(connection)) > 0) {
        int ready = bide_wait_fd(PQsocket(connection), BIDE_READ | BIDE_WRITE);
        if (ready < 0)
            return ready;
        if ((ready & BIDE_READ) && !PQconsumeInput(connection))
            return -EIO;
    }
    return left < 0 ? -EIO : 0;
}

/* The next result of the query under way; NULL after the last. */
static int next_result(PGconn *connection, PGresult **out)
{
    while (PQisBusy(connection)) {
        int ready = bide_wait_fd(PQsocket(connection), BIDE_READ);
        if (ready < 0)
            return ready;
        if (!PQconsumeInput(connection))
            return -EIO;
    }
    *out = PQgetResult(connection);
    return 0;
}

/*
 * Tell the server to give up, and take what is left of its answer: then the connection is good for
 * the next query. PQcancel blocks until the server has the request.
 */
static void cancel_query(PGconn *connection)
{
    PGcancel *request = PQgetCancel(connection);
    PGresult *result = NULL;
    char why[256];

    if (request != NULL && !PQcancel(request, why, sizeof why))
        fprintf(stderr, "postgres: %s\n", why);
    PQfreeCancel(request);
    with_shield (CANCEL_TIME) {     /* the cancel that brought us here must not end this too */
        if (flush(connection) == 0) /* what was half sent has to be sent */
            while (next_result(connection, &result) == 0 && result != NULL)
                PQclear(result);
    }
}

/*
 * Run one statement with one parameter, $1, or NULL for none. Returns 0 with its last result, which
 * is the caller's to PQclear and may be an error of the server's; or why the wait ended, or -EIO
 * when the connection is lost.
 */
static int run(PGconn *connection, const char *statement, const char *parameter, PGresult **out)
{
    PGresult *result = NULL, *last = NULL;
    int err = -EIO;

    if (PQsendQueryParams(connection, statement, parameter != NULL, NULL, &parameter, NULL, NULL,
                          0))
        err = flush(connection);
    while (err == 0 && (err = next_result(connection, &result)) == 0 && result != NULL) {
        PQclear(last);
        last = result;
    }
    if (err == -ECANCELED || err == -ETIMEDOUT)
        cancel_query(connection);
    if (err == 0 && last != NULL) {
        *out = last;
        return 0;
    }
    PQclear(last);
    return err < 0 ? err : -EIO;
}

/* --- Using it */

enum { CONNECTIONS = 8, QUERIES = 50 };

/* The one number that the statement returns, or a negative error, which is shown. */
static long ask(PGconn *connection, const char *statement, const char *parameter)
{
    PGresult *result;
    int err = run(connection, statement, parameter, &result);
    long answer = -EIO;

    if (err < 0) {
        if (err == -EIO)
            fprintf(stderr, "postgres: %s", PQerrorMessage(connection));
        return err;
    }
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
        answer = atol(PQgetvalue(result, 0, 0));
    else
        fprintf(stderr, "postgres: %s", PQresultErrorMessage(result));
    PQclear(result);
    return answer;
}

static async(int, open_one, const char *, conninfo, PGconn **, connection)
{
    int err = connect_to(conninfo, connection);

    if (err < 0)
        fprintf(stderr, "postgres: %s\n",
                err == -ECONNREFUSED ? PQerrorMessage(*connection) : strerror(-err));
    return err;
}

/* Many queries, one after the other; those of other connections run meanwhile. */
static async(int, square, PGconn *, connection, long *, right)
{
    for (long i = 0; i < QUERIES; i++) {
        char number[16];
        snprintf(number, sizeof number, "%ld", i);
        long answer = ask(connection, "select $1::bigint * $1::bigint", number);
        if (answer < 0)
            return (int)answer;
        *right += answer == i * i;
    }
    return 0;
}

static async(void, sleep_long, PGconn *, connection, int *, canceled)
{
    *canceled += ask(connection, "select 1 from pg_sleep(600)", NULL) == -ECANCELED;
}

/* Let all of them sleep in the server until all do so at once; then cancel them. */
static int sleep_together(PGconn *connections[], PGconn *observer)
{
    static const char asleep[] =
        "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and usename = user";
    bide_group sleepers = BIDE_GROUP_INIT;
    int canceled = 0;
    long most = 0;

    with_group (&sleepers) {
        for (int i = 0; i < CONNECTIONS; i++)
            spawn_in(&sleepers, sleep_long, connections[i], &canceled);
        with_timeout (BIDE_SEC(20)) {
            while (most >= 0 && most < CONNECTIONS && bide_sleep(BIDE_MS(5)) == 0)
                most = ask(observer, asleep, NULL);
        }
        bide_group_cancel(&sleepers);
    }
    printf("%ld queries slept in the server at once, %d were cancelled there\n", most, canceled);
    return most == CONNECTIONS && canceled == CONNECTIONS && ask(observer, asleep, NULL) == 0
               ? 0
               : -EIO;
}

/* The server's errors are results like others. */
static int make_a_mistake(PGconn *connection)
{
    PGresult *result;
    int err = run(connection, "select * from no_such_table", NULL, &result);

    if (err < 0)
        return err;
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    printf("a mistake: %s", PQresultErrorMessage(result));
    err = code != NULL && strcmp(code, "42P01") == 0 ? 0 : -EIO;
    PQclear(result);
    return err;
}

static int check(PGconn *connections[], PGconn *observer)
{
    bide_group workers = BIDE_GROUP_INIT;
    long right = 0;
    int err;

    if ((err = sleep_together(connections, observer)) < 0)
        return err;
    with_group (&workers) { /* on connections whose last query was cancelled */
        for (int i = 0; i < CONNECTIONS; i++)
            spawn_in(&workers, square, connections[i], &right);
    }
    printf("%ld of %d answers are right\n", right, CONNECTIONS * QUERIES);
    if (workers.error < 0 || right != CONNECTIONS * QUERIES)
        return -EIO;
    return make_a_mistake(observer);
}

async_main
{
    const char *conninfo = argc > 1 ? argv[1] : "";
    PGconn *connections[CONNECTIONS + 1] = {NULL};
    bide_group opening = BIDE_GROUP_INIT;
    int err;

    with_group (&opening) {
        for (int i = 0; i <= CONNECTIONS; i++)
            spawn_in(&opening, open_one, conninfo, &connections[i]);
    }
    err = opening.error;
    if (err == 0)
        err = check(connections, connections[CONNECTIONS]);
    for (int i = 0; i <= CONNECTIONS; i++)
        PQfinish(connections[i]); /* NULL is harmless */
    return err == 0 ? 0 : 1;
}
