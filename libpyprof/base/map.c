/*
 * map: uint64 to uint64, open addressing with linear probing. Keys are
 * addresses and numbers from a target, so any value may come as a key.
 *
 * Invariants:
 * 1. slots has n_slots + 1 elements. Those below n_slots are the hash table, in
 *    which key 0 marks a free slot; the last one is the entry of the key 0
 *    itself, and its `key` is 1 when that is present.
 * 2. Between an entry's home slot and the slot that it is in, none is free:
 *    removing moves later entries back instead of leaving tombstones.
 * 3. At most 5/8 of the slots are taken, so that a probe meets a free one soon.
 */
#include "base/base.h"

#include <string.h>

#define SLOTS_MIN ((size_t)16)

struct pp_map_slot {
    uint64_t key;
    uint64_t value;
};

void pp_map_init(pp_map *map, const pp_allocator *allocator)
{
    *map = (pp_map){.allocator = allocator};
}

static size_t home_of(const pp_map *map, uint64_t key)
{
    return (size_t)pp_hash_u64(key) & (map->n_slots - 1);
}

/* The slot that has the key, or the free one where it belongs; key is not 0
 * and there are slots. */
static struct pp_map_slot *slot_of(const pp_map *map, uint64_t key)
{
    size_t i = home_of(map, key);
    for (;;) {
        struct pp_map_slot *slot = &map->slots[i];
        if (slot->key == key || slot->key == 0) {
            return slot;
        }
        i = (i + 1) & (map->n_slots - 1);
    }
}

uint64_t *pp_map_find(const pp_map *map, uint64_t key)
{
    if (PP_UNLIKELY(map->n_slots == 0)) {
        return NULL;
    }
    struct pp_map_slot *slot;
    if (PP_UNLIKELY(key == 0)) {
        slot = &map->slots[map->n_slots];
    } else {
        slot = slot_of(map, key);
    }
    return slot->key != 0 ? &slot->value : NULL;
}

static bool grow(pp_map *map)
{
    if (map->n_slots > SIZE_MAX / 2 / sizeof(struct pp_map_slot) - 1) {
        return false;
    }
    pp_map bigger = *map;
    bigger.n_slots = map->n_slots == 0 ? SLOTS_MIN : map->n_slots * 2;
    bigger.slots = pp_calloc(map->allocator, bigger.n_slots + 1,
                             sizeof(struct pp_map_slot));
    if (bigger.slots == NULL) {
        return false;
    }
    for (size_t i = 0; i < map->n_slots; i++) {
        if (map->slots[i].key != 0) {
            *slot_of(&bigger, map->slots[i].key) = map->slots[i];
        }
    }
    if (map->slots != NULL) {
        bigger.slots[bigger.n_slots] = map->slots[map->n_slots];
    }
    pp_free(map->allocator, map->slots);
    *map = bigger;
    return true;
}

uint64_t *pp_map_put(pp_map *map, uint64_t key, bool *out_new)
{
    uint64_t *found = pp_map_find(map, key);
    if (out_new != NULL) {
        *out_new = found == NULL;
    }
    if (found != NULL) {
        return found;
    }
    if (map->n_used + 1 > map->n_slots / 8 * 5 && !grow(map)) {
        return NULL;
    }
    struct pp_map_slot *slot;
    if (key == 0) {
        slot = &map->slots[map->n_slots];
        slot->key = 1;
    } else {
        slot = slot_of(map, key);
        slot->key = key;
    }
    slot->value = 0;
    map->n_used++;
    return &slot->value;
}

/* Frees slot `hole`, moving back each entry that may not stay behind it. */
static void close_hole(pp_map *map, size_t hole)
{
    size_t mask = map->n_slots - 1;
    for (size_t i = (hole + 1) & mask; map->slots[i].key != 0;
         i = (i + 1) & mask) {
        size_t home = home_of(map, map->slots[i].key);
        /* distances count around the end of the table */
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole].key = 0;
}

bool pp_map_remove(pp_map *map, uint64_t key)
{
    if (map->n_slots == 0) {
        return false;
    }
    if (key == 0) {
        struct pp_map_slot *zero = &map->slots[map->n_slots];
        if (zero->key == 0) {
            return false;
        }
        zero->key = 0;
    } else {
        struct pp_map_slot *slot = slot_of(map, key);
        if (slot->key == 0) {
            return false;
        }
        close_hole(map, (size_t)(slot - map->slots));
    }
    map->n_used--;
    return true;
}

void pp_map_each(const pp_map *map,
                 void (*visit)(void *user, uint64_t key, uint64_t value),
                 void *user)
{
    if (map->n_slots == 0) {
        return;
    }
    for (size_t i = 0; i < map->n_slots; i++) {
        if (map->slots[i].key != 0) {
            visit(user, map->slots[i].key, map->slots[i].value);
        }
    }
    if (map->slots[map->n_slots].key != 0) {
        visit(user, 0, map->slots[map->n_slots].value);
    }
}

void pp_map_clear(pp_map *map)
{
    if (map->n_slots != 0) {
        memset(map->slots, 0, (map->n_slots + 1) * sizeof(*map->slots));
    }
    map->n_used = 0;
}

size_t pp_map_bytes(const pp_map *map)
{
    return map->n_slots == 0 ? 0 : (map->n_slots + 1) * sizeof(*map->slots);
}

void pp_map_free(pp_map *map)
{
    pp_free(map->allocator, map->slots);
    pp_map_init(map, map->allocator);
}
