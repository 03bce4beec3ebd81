/* SPDX-License-Identifier: MIT */
/*
 * local.c - task-local values.
 *
 * A task points to a table, and the table's entries to cells with one value each; both count who
 * points to them.
 *
 *      task --> table { key, key }           a spawn shares the table,
 *      task ----^        |    |              a set copies it when it is shared,
 *      task --> table { key, key, key }      and the copy shares the cells
 *                        |    |    |
 *                      cell  cell  cell
 *
 * So a spawn costs one increment, whatever is set, and a value ends with its last cell. A table
 * that is shared is never written to. There are no empty tables: a task without values has none.
 *
 * Destructors are the user's code, and may come back here: they are called last, when everything is
 * whole again.
 */
#include "sched/local.h"

#include <bide/sched/local.h>

#include <errno.h>
#include <string.h>

#include "base/sys.h"

enum { ROUNDS_MOST = 8 }; /* of destructors that set values, as a task ends */

struct cell {
    size_t refs; /* tables */
    const bide_local *key;
    void *value;
};

struct bide__locals {
    size_t refs; /* tasks */
    size_t count;
    struct cell *cells[]; /* in the order in which their keys were first set */
};

static size_t table_bytes(size_t count)
{
    return sizeof(struct bide__locals) + count * sizeof(struct cell *);
}

/* The key's place in the task's table; the number of entries when it has none. */
static size_t find(const struct bide_task *task, const bide_local *key)
{
    size_t index = 0;

    if (!task->has_locals)
        return 0;
    while (index < task->locals->count && task->locals->cells[index]->key != key)
        index++;
    return index;
}

static size_t count_of(const struct bide_task *task)
{
    return task->has_locals ? task->locals->count : 0;
}

/* Give up one table's share in a cell. Calls the destructor when it was the last. */
static void cell_release(struct cell *cell)
{
    void (*destructor)(void *value) = cell->key->bide__destructor;
    void *value = cell->value;

    bide__assert(cell->refs > 0 && value != NULL);
    if (--cell->refs > 0)
        return;
    free(cell);
    if (destructor != NULL)
        destructor(value);
}

/* Put another value into a cell that no other table has. */
static void replace(struct cell *cell, void *value)
{
    void *old = cell->value;

    bide__assert(cell->refs == 1 && old != value);
    cell->value = value;
    if (cell->key->bide__destructor != NULL)
        cell->key->bide__destructor(old);
}

/* Give up one task's share in a table. */
static void table_release(struct bide__locals *table)
{
    bide__assert(table->refs > 0 && table->count > 0);
    if (--table->refs > 0)
        return;
    for (size_t i = table->count; i > 0; i--)
        cell_release(table->cells[i - 1]);
    free(table);
}

/*
 * Make the task's table its own, with room for so many entries, no fewer than it has. Returns NULL
 * without memory: nothing changed then.
 */
static struct bide__locals *table_own(struct bide_task *task, size_t room)
{
    struct bide__locals *old = task->has_locals ? task->locals : NULL, *table;
    size_t count = count_of(task);

    bide__assert(room >= count && room > 0);
    if (old != NULL && old->refs == 1) {
        table = room == count ? old : bide__realloc(old, table_bytes(room));
        if (table != NULL)
            task->locals = table;
        return table;
    }
    table = bide__alloc(table_bytes(room));
    if (table == NULL)
        return NULL;
    table->refs = 1;
    table->count = count;
    for (size_t i = 0; i < count; i++) {
        table->cells[i] = old->cells[i];
        table->cells[i]->refs++;
    }
    if (old != NULL)
        table_release(old);
    task->locals = table;
    task->has_locals = true;
    return table;
}

static int unset(struct bide_task *task, size_t index)
{
    struct bide__locals *table = task->locals;
    struct cell *cell = table->cells[index];

    bide__assert(index < table->count);
    if (table->count == 1) {
        task->has_locals = false;
        task->locals = NULL;
        table_release(table);
        return 0;
    }
    table = table_own(task, table->count);
    if (table == NULL)
        return -ENOMEM;
    bide__assert(table->refs == 1 && table->cells[index] == cell);
    table->count--;
    memmove(&table->cells[index], &table->cells[index + 1],
            (table->count - index) * sizeof(struct cell *));
    cell_release(cell);
    return 0;
}

int bide_local_set(const bide_local *key, void *value)
{
    struct bide_task *self = bide__task_need("bide_local_set");
    size_t index = find(self, key);
    struct cell *old = index < count_of(self) ? self->locals->cells[index] : NULL, *cell;
    struct bide__locals *table;

    if (value == (old != NULL ? old->value : NULL))
        return 0;
    if (value == NULL)
        return unset(self, index);
    if (old != NULL && self->locals->refs == 1 && old->refs == 1) {
        replace(old, value);
        return 0;
    }
    cell = bide__alloc(sizeof *cell);
    if (cell == NULL)
        return -ENOMEM;
    table = table_own(self, old != NULL ? self->locals->count : count_of(self) + 1);
    if (table == NULL) {
        free(cell);
        return -ENOMEM;
    }
    bide__assert(table->refs == 1 && index <= table->count);
    *cell = (struct cell){1, key, value};
    table->cells[index] = cell;
    if (old != NULL)
        cell_release(old);
    else
        table->count++;
    return 0;
}

void *bide_local_get(const bide_local *key)
{
    struct bide_loop *loop = bide__loop_here;
    size_t index;

    if (loop == NULL || !loop->current->has_locals)
        return NULL;
    index = find(loop->current, key);
    return index < loop->current->locals->count ? loop->current->locals->cells[index]->value : NULL;
}

void bide__locals_share(struct bide_task *from, struct bide_task *to)
{
    bide__assert(from->has_locals && from->locals->refs > 0);
    bide__assert(from->locals->count > 0);
    from->locals->refs++;
    to->locals = from->locals;
    to->has_locals = true;
}

void bide__locals_drop(struct bide_task *task)
{
    for (int round = 0; task->has_locals; round++) {
        struct bide__locals *table = task->locals;

        if (round == ROUNDS_MOST)
            bide__misuse("a destructor of a task-local value sets values in the task '%s' that "
                         "ends, again and again; it must not",
                         task->name);
        task->has_locals = false;
        task->locals = NULL;
        table_release(table);
    }
}
