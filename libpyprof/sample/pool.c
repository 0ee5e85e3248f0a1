/*
 * pool: what the tables are built of - arrays whose elements stay where they
 * are, and hash tables of element numbers. It must not know what an element
 * means.
 */
#include "sample/tables.h"

#include <string.h>

#define INDEX_MIN UINT32_C(256)

void *pp_pool_next(pp_pool *pool, const pp_allocator *a)
{
    if (pool->n == UINT32_MAX) {
        return NULL;
    }
    if (pool->n == pool->room) {
        unsigned chunk = pp_pool_chunk_of(pool->n);
        uint32_t more =
            pool->room == 0 ? UINT32_C(1) << POOL_FIRST_BITS : pool->room;
        if (more > UINT32_MAX - pool->room) {
            more = UINT32_MAX - pool->room;
        }
        size_t bytes;
        if (!pp_mul_size(more, pool->element, &bytes)) {
            return NULL;
        }
        pool->chunks[chunk] = pp_alloc(a, bytes);
        if (pool->chunks[chunk] == NULL) {
            return NULL;
        }
        pool->room += more;
    }
    return pp_pool_at(pool, pool->n + 1);
}

void pp_pool_free(pp_pool *pool, const pp_allocator *a)
{
    for (size_t i = 0; i < POOL_CHUNKS; i++) {
        pp_free(a, pool->chunks[i]);
    }
    *pool = (pp_pool){.element = pool->element};
}

bool pp_index_ready(pp_index *index, uint32_t n, const pyprof_tables *tables,
                    uint64_t (*hash_of)(const pyprof_tables *tables,
                                        uint32_t number))
{
    if (index->slots != NULL && n < index->mask / 2) {
        return true;
    }
    if (index->mask > UINT32_MAX / 2) {
        /* the largest table; it works while a slot is free */
        return n < index->mask;
    }
    uint32_t mask = index->slots == NULL ? INDEX_MIN - 1 : index->mask * 2 + 1;
    uint32_t *slots =
        pp_calloc(&tables->allocator, (size_t)mask + 1, sizeof(*slots));
    if (slots == NULL) {
        return false;
    }
    /* in the order of the numbers: elements are read one after the other */
    for (uint32_t number = 1; number <= n; number++) {
        uint32_t i = (uint32_t)hash_of(tables, number) & mask;
        while (slots[i] != 0) {
            i = (i + 1) & mask;
        }
        slots[i] = number;
    }
    pp_free(&tables->allocator, index->slots);
    index->slots = slots;
    index->mask = mask;
    return true;
}

void pp_index_free(pp_index *index, const pp_allocator *a)
{
    pp_free(a, index->slots);
    *index = (pp_index){.slots = NULL};
}

size_t pp_index_bytes(const pp_index *index)
{
    return index->slots == NULL
               ? 0
               : ((size_t)index->mask + 1) * sizeof(*index->slots);
}
