/* SPDX-License-Identifier: MIT */
/*
 * key_value_store.h - key_value.c's table: strings and lists by key, each with a time to live.
 *
 * Slots are probed one after the other, and what is deleted leaves no mark: those behind it move
 * up. Growing moves all slots at once. An entry past its time is deleted when it is looked for, or
 * swept. Entries stay where they are until deleted or given another value.
 */
#ifndef KEY_VALUE_STORE_H
#define KEY_VALUE_STORE_H

#include <bide.h>

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct span {
    const char *at;
    size_t bytes;
};

struct value {
    char *at;
    size_t bytes;
    size_t capacity;
};

/* Does the text match the pattern, of *, ? and \ ? Only the last star is ever tried again. */
static inline bool span_matches(struct span pattern, struct span text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, tried = 0;

    while (t < text.bytes) {
        bool is_quoted = p + 1 < pattern.bytes && pattern.at[p] == '\\';
        if (p < pattern.bytes && !is_quoted && pattern.at[p] == '*') {
            star = p++;
            tried = t;
        } else if (p < pattern.bytes && (pattern.at[p + is_quoted] == text.at[t] ||
                                         (!is_quoted && pattern.at[p] == '?'))) {
            p += 1 + (size_t)is_quoted;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++tried;
        } else {
            return false;
        }
    }
    while (p < pattern.bytes && pattern.at[p] == '*')
        p++;
    return p == pattern.bytes;
}

/* A ring of strings, each in memory of its own. */
struct list {
    struct value *items;
    size_t first;
    size_t count;
    size_t capacity; /* 0 or a power of two */
};

struct entry {
    bide_time expires; /* BIDE_FOREVER: never */
    bool is_list;
    union {
        struct list list;
        struct value value;
    };
    size_t key_bytes;
    char key[];
};

struct slot {
    uint64_t hash;
    struct entry *entry; /* NULL: empty */
};

static struct {
    struct slot *slots;
    size_t size;     /* 0 or a power of two */
    size_t count;    /* of entries */
    size_t expiring; /* of those, how many have a time to live */
    size_t swept;    /* up to which slot */
    uint64_t seed;
} store;

/* --- Lists */

static inline struct value *list_at(const struct list *list, size_t index)
{
    return &list->items[(list->first + index) & (list->capacity - 1)];
}

static inline bool list_push(struct list *list, struct span text, bool at_head)
{
    char *copy = malloc(text.bytes + 1);

    if (copy != NULL && list->count == list->capacity) {
        size_t capacity = list->capacity != 0 ? list->capacity * 2 : 8;
        struct value *items = malloc(capacity * sizeof *items);
        for (size_t i = 0; items != NULL && i < list->count; i++)
            items[i] = *list_at(list, i);
        if (items != NULL) {
            free(list->items);
            *list = (struct list){.items = items, .count = list->count, .capacity = capacity};
        }
    }
    if (copy == NULL || list->count == list->capacity) {
        free(copy);
        return false;
    }
    memcpy(copy, text.at, text.bytes);
    if (at_head)
        list->first--;
    *list_at(list, at_head ? 0 : list->count) = (struct value){copy, text.bytes, text.bytes};
    list->count++;
    return true;
}

/* The list holds one at least. The text is the caller's then. */
static inline struct value list_pop(struct list *list, bool at_head)
{
    struct value taken = *list_at(list, at_head ? 0 : list->count - 1);

    list->first += at_head;
    list->count--;
    return taken;
}

/* --- Strings */

static inline bool value_append(struct value *value, struct span text)
{
    size_t bytes = value->bytes + text.bytes;
    char *at = value->at;

    if (at == NULL || bytes > value->capacity) {
        at = realloc(at, 2 * bytes + 16);
        if (at == NULL)
            return false;
        value->at = at;
        value->capacity = 2 * bytes + 16;
    }
    memcpy(at + value->bytes, text.at, text.bytes);
    value->bytes = bytes;
    return true;
}

/* Memory for the old value is used again, unless the new one would waste most of it. */
static inline bool value_set(struct value *value, struct span text)
{
    size_t capacity = text.bytes < 16 ? 16 : text.bytes;
    char *at;

    if (text.bytes > value->capacity || value->capacity / 4 > capacity) {
        at = malloc(capacity);
        if (at == NULL)
            return false;
        free(value->at);
        *value = (struct value){.at = at, .capacity = capacity};
    }
    memcpy(value->at, text.at, text.bytes);
    value->bytes = text.bytes;
    return true;
}

/* --- The table */

static inline uint64_t store_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Seeded, or who chooses the keys could make them all meet in one place. */
static inline uint64_t store_hash(struct span key)
{
    uint64_t hash = store.seed ^ key.bytes, word;

    for (; key.bytes >= sizeof word; key.at += sizeof word, key.bytes -= sizeof word) {
        memcpy(&word, key.at, sizeof word);
        hash = store_mix(hash ^ word, 0x9e3779b97f4a7c15u);
    }
    word = 0;
    memcpy(&word, key.at, key.bytes);
    return store_mix(hash ^ word, 0xd1342543de82ef95u);
}

/* Where the key is, or the empty slot where it would go. The table has one at least. */
static inline struct slot *store_probe(struct span key, uint64_t hash)
{
    size_t at = hash & (store.size - 1);

    for (;; at = (at + 1) & (store.size - 1)) {
        struct slot *slot = &store.slots[at];
        if (slot->entry == NULL || (slot->hash == hash && slot->entry->key_bytes == key.bytes &&
                                    memcmp(slot->entry->key, key.at, key.bytes) == 0))
            return slot;
    }
}

static inline void entry_free(struct entry *entry)
{
    while (entry->is_list && entry->list.count > 0)
        free(list_pop(&entry->list, true).at);
    free(entry->is_list ? (void *)entry->list.items : entry->value.at);
    free(entry);
}

static inline void store_expire(struct entry *entry, bide_time expires)
{
    store.expiring += (size_t)(expires != BIDE_FOREVER) - (size_t)(entry->expires != BIDE_FOREVER);
    entry->expires = expires;
}

static inline void store_delete_slot(struct slot *slot)
{
    size_t hole = (size_t)(slot - store.slots), mask = store.size - 1;

    store_expire(slot->entry, BIDE_FOREVER);
    entry_free(slot->entry);
    store.count--;
    for (size_t at = (hole + 1) & mask; store.slots[at].entry != NULL; at = (at + 1) & mask) {
        size_t home = store.slots[at].hash & mask;
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* the hole lies before its first slot */
        store.slots[hole] = store.slots[at];
        hole = at;
    }
    store.slots[hole].entry = NULL;
}

static inline struct slot *store_find_slot(struct span key)
{
    struct slot *slot;

    if (store.count == 0)
        return NULL;
    slot = store_probe(key, store_hash(key));
    if (slot->entry == NULL)
        return NULL;
    if (slot->entry->expires == BIDE_FOREVER || slot->entry->expires > bide_now())
        return slot;
    store_delete_slot(slot);
    return NULL;
}

static inline struct entry *store_find(struct span key)
{
    struct slot *slot = store_find_slot(key);

    return slot != NULL ? slot->entry : NULL;
}

static inline bool store_delete(struct span key)
{
    struct slot *slot = store_find_slot(key);

    if (slot != NULL)
        store_delete_slot(slot);
    return slot != NULL;
}

static inline bool store_grow(void)
{
    struct slot *old = store.slots;
    size_t old_size = store.size, size = old_size != 0 ? 2 * old_size : 64;
    struct slot *slots = calloc(size, sizeof *slots);

    if (slots == NULL)
        return false;
    if (old_size == 0 && getrandom(&store.seed, sizeof store.seed, 0) < 0)
        store.seed = (uint64_t)bide_now();
    store.slots = slots;
    store.size = size;
    for (size_t i = 0; i < old_size; i++) {
        struct slot *moved = &old[i];
        if (moved->entry != NULL)
            *store_probe((struct span){moved->entry->key, moved->entry->key_bytes}, moved->hash) =
                *moved;
    }
    free(old);
    return true;
}

/* Add a key that is not there, with an empty value. NULL without memory. */
static inline struct entry *store_add(struct span key, bool is_list)
{
    struct entry *entry;
    uint64_t hash;

    if (store.count >= store.size / 4 * 3 && !store_grow())
        return NULL;
    entry = malloc(sizeof *entry + key.bytes);
    if (entry == NULL)
        return NULL;
    *entry = (struct entry){.expires = BIDE_FOREVER, .is_list = is_list, .key_bytes = key.bytes};
    memcpy(entry->key, key.at, key.bytes);
    hash = store_hash(key);
    *store_probe(key, hash) = (struct slot){hash, entry};
    store.count++;
    return entry;
}

static inline void store_clear(void)
{
    for (size_t i = 0; i < store.size; i++)
        if (store.slots[i].entry != NULL)
            entry_free(store.slots[i].entry);
    free(store.slots);
    store.slots = NULL;
    store.size = store.count = store.expiring = store.swept = 0;
}

/* Go on through the table by so many slots, and delete what is past its time. */
static inline void store_sweep(size_t slots)
{
    bide_time now = bide_now();

    for (; slots > 0 && store.expiring > 0; slots--) {
        struct slot *slot = &store.slots[store.swept & (store.size - 1)];
        if (slot->entry != NULL && slot->entry->expires <= now)
            store_delete_slot(slot); /* another one may have moved here */
        else
            store.swept++;
    }
}

#endif
