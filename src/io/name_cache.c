/* SPDX-License-Identifier: MIT */
/*
 * name_cache.c - what a loop remembers of names: a table of bounded size, and the order of last
 * use.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/sys.h"
#include "io/names.h"

enum { ENTRIES = 256, ENTRIES_MOST = 1 << 20 };

struct entry {
    struct bide__list in_bucket;
    struct bide__list in_order; /* the last used one comes last */
    bide_time until;
    int err;
    bide_addresses *answer; /* NULL with an error */
    struct bide__question question;
    char texts[];
};

struct bide__name_cache {
    bide_names_cache_options options;
    struct bide__list order;
    unsigned count;
    size_t mask; /* of the hash: the number of buckets, a power of two, less 1 */
    struct bide__list buckets[];
};

/* FNV-1a, of the letters without their case. */
static size_t hash(const struct bide__question *question)
{
    uint32_t value = 2166136261u;

    for (const char *at = question->host; *at != '\0'; at++)
        value = (value ^ (unsigned char)tolower((unsigned char)*at)) * 16777619u;
    for (const char *at = question->service; *at != '\0'; at++)
        value = (value ^ (unsigned char)*at) * 16777619u;
    return value;
}

static void forget(struct bide__name_cache *cache, struct entry *entry)
{
    bide__assert(cache->count > 0);
    cache->count--;
    bide__list_remove(&entry->in_bucket);
    bide__list_remove(&entry->in_order);
    bide_addresses_free(entry->answer);
    free(entry);
}

static struct entry *find(struct bide__name_cache *cache, const struct bide__question *question)
{
    struct bide__list *bucket = &cache->buckets[hash(question) & cache->mask];

    for (struct bide__list *at = bucket->next; at != bucket; at = at->next) {
        struct entry *entry = BIDE__CONTAINER(at, struct entry, in_bucket);
        if (bide__question_equal(&entry->question, question))
            return entry;
    }
    return NULL;
}

int bide__name_cache_make(const bide_names_cache_options *options, struct bide__name_cache **out)
{
    unsigned entries = options->entries_max == 0             ? ENTRIES
                       : options->entries_max > ENTRIES_MOST ? ENTRIES_MOST
                                                             : options->entries_max;
    struct bide__name_cache *cache;
    size_t buckets = 1;

    while (buckets < entries)
        buckets *= 2;
    cache = bide__alloc(sizeof *cache + buckets * sizeof cache->buckets[0]);
    if (cache == NULL)
        return -ENOMEM;
    cache->options = *options;
    cache->options.entries_max = entries;
    cache->count = 0;
    cache->mask = buckets - 1;
    bide__list_init(&cache->order);
    for (size_t i = 0; i < buckets; i++)
        bide__list_init(&cache->buckets[i]);
    *out = cache;
    return 0;
}

void bide__name_cache_clear(struct bide__name_cache *cache)
{
    while (!bide__list_is_empty(&cache->order))
        forget(cache, BIDE__CONTAINER(cache->order.next, struct entry, in_order));
}

void bide__name_cache_free(struct bide__name_cache *cache)
{
    if (cache == NULL)
        return;
    bide__name_cache_clear(cache);
    free(cache);
}

int bide__name_cache_find(struct bide__name_cache *cache, const struct bide__question *question,
                          bide_time now, bide_addresses **out)
{
    struct entry *entry = find(cache, question);
    bide_addresses *copy;

    if (entry == NULL)
        return 1;
    if (now >= entry->until) {
        forget(cache, entry);
        return 1;
    }
    bide__list_remove(&entry->in_order);
    bide__list_append(&cache->order, &entry->in_order);
    if (entry->err < 0)
        return entry->err;
    copy = bide__addresses_copy(entry->answer);
    if (copy == NULL)
        return -ENOMEM;
    if (copy->ttl_ns != 0)
        copy->ttl_ns = entry->until - now;
    *out = copy;
    return 0;
}

void bide__name_cache_keep(struct bide__name_cache *cache, const struct bide__question *question,
                           bide_time now, int err, const bide_addresses *answer)
{
    bide_time ttl = err == 0                            ? cache->options.ttl_ns
                    : err == -ENOENT || err == -ENODATA ? cache->options.negative_ns
                                                        : 0;
    struct entry *entry = find(cache, question);

    if (entry != NULL)
        forget(cache, entry); /* an older answer */
    if (err == 0 && answer->ttl_ns != 0 && answer->ttl_ns < ttl)
        ttl = answer->ttl_ns;
    if (ttl <= 0)
        return;
    entry = bide__alloc(sizeof *entry + bide__question_bytes(question));
    if (entry == NULL)
        return;
    *entry = (struct entry){.until = bide__time_after(now, ttl), .err = err};
    if (err == 0 && (entry->answer = bide__addresses_copy(answer)) == NULL) {
        free(entry);
        return;
    }
    entry->question = bide__question_keep(question, entry->texts);
    if (cache->count == cache->options.entries_max)
        forget(cache, BIDE__CONTAINER(cache->order.next, struct entry, in_order));
    cache->count++;
    bide__list_append(&cache->order, &entry->in_order);
    bide__list_append(&cache->buckets[hash(question) & cache->mask], &entry->in_bucket);
}
