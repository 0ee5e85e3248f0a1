/*
 * intern: text to a small number and back. Bytes are kept once, in an arena;
 * entries hold where, and a hash table holds entry numbers.
 *
 * Invariants:
 * 1. entries[i] belongs to number i + 1; numbers are never given back.
 * 2. buckets has n_buckets (a power of two, or 0) numbers, 0 for a free one; at
 *    most half of them are taken.
 */
#include "base/base.h"

#include <string.h>

#define BUCKETS_MIN ((size_t)64)

struct pp_intern_entry {
    const char *data;
    uint32_t size;
    uint32_t hash; /* compared before the bytes; places it when growing */
};

void pp_intern_init(pp_intern *table, const pp_allocator *allocator)
{
    *table = (pp_intern){.allocator = allocator};
    pp_arena_init(&table->arena, allocator);
}

/* The bucket that has the text, or the free one where it belongs. */
static uint32_t *bucket_of(const pp_intern *table, const void *data,
                           size_t size, uint32_t hash)
{
    size_t mask = table->n_buckets - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        uint32_t *bucket = &table->buckets[i];
        if (*bucket == 0) {
            return bucket;
        }
        const struct pp_intern_entry *entry = &table->entries[*bucket - 1];
        if (entry->hash == hash && entry->size == size &&
            (size == 0 || memcmp(entry->data, data, size) == 0)) {
            return bucket;
        }
    }
}

static bool grow_buckets(pp_intern *table)
{
    size_t n = table->n_buckets == 0 ? BUCKETS_MIN : table->n_buckets * 2;
    uint32_t *buckets = pp_calloc(table->allocator, n, sizeof(*buckets));
    if (buckets == NULL) {
        return false;
    }
    for (size_t id = 1; id <= table->n_entries; id++) {
        size_t i = table->entries[id - 1].hash & (n - 1);
        while (buckets[i] != 0) {
            i = (i + 1) & (n - 1);
        }
        buckets[i] = (uint32_t)id;
    }
    pp_free(table->allocator, table->buckets);
    table->buckets = buckets;
    table->n_buckets = n;
    return true;
}

uint32_t pp_intern_find(const pp_intern *table, const void *data, size_t size)
{
    if (table->n_buckets == 0 || size > UINT32_MAX) {
        return 0;
    }
    uint32_t hash = (uint32_t)pp_hash_bytes(data, size);
    return *bucket_of(table, data, size, hash);
}

uint32_t pp_intern_put(pp_intern *table, const void *data, size_t size)
{
    if (size > UINT32_MAX) {
        return 0;
    }
    uint32_t hash = (uint32_t)pp_hash_bytes(data, size);
    if (table->n_buckets != 0) {
        uint32_t id = *bucket_of(table, data, size, hash);
        if (id != 0) {
            return id;
        }
    }
    if (table->n_entries + 1 > table->n_buckets / 2 && !grow_buckets(table)) {
        return 0;
    }
    if (!pp_grow(table->allocator, &table->entries, &table->cap_entries,
                 sizeof(*table->entries), table->n_entries + 1, UINT32_MAX)) {
        return 0;
    }
    const char *copy = pp_arena_text(&table->arena, data, size);
    if (copy == NULL) {
        return 0;
    }
    table->entries[table->n_entries] = (struct pp_intern_entry){
        .data = copy, .size = (uint32_t)size, .hash = hash};
    table->n_entries++;
    uint32_t id = (uint32_t)table->n_entries;
    *bucket_of(table, data, size, hash) = id;
    return id;
}

pyprof_text pp_intern_text(const pp_intern *table, uint32_t id)
{
    if (id == 0 || id > table->n_entries) {
        return (pyprof_text){.data = "", .size = 0};
    }
    const struct pp_intern_entry *entry = &table->entries[id - 1];
    return (pyprof_text){.data = entry->data, .size = entry->size};
}

size_t pp_intern_bytes(const pp_intern *table)
{
    return table->arena.reserved +
           table->cap_entries * sizeof(*table->entries) +
           table->n_buckets * sizeof(*table->buckets);
}

void pp_intern_free(pp_intern *table)
{
    pp_arena_free(&table->arena);
    pp_free(table->allocator, table->entries);
    pp_free(table->allocator, table->buckets);
    pp_intern_init(table, table->allocator);
}
