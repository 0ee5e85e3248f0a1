/*
 * The inside of pyprof_tables, shared by tables.c (life, functions, threads),
 * nodes.c (frames, stacks) and views.c (what collectors read).
 */
#ifndef PP_SAMPLE_TABLES_H
#define PP_SAMPLE_TABLES_H

#include "sample/sample.h"

#include <stdatomic.h>

/* ---- a growing array whose elements never move ------------------------- */

/* The first chunk has 1 << POOL_FIRST_BITS elements, each further one as many
 * as all before it: 32-bit numbers need at most 32 - POOL_FIRST_BITS + 1. */
#define POOL_FIRST_BITS 8
#define POOL_CHUNKS (32 - POOL_FIRST_BITS + 1)

typedef struct pp_pool {
    char *chunks[POOL_CHUNKS];
    size_t element; /* bytes of one */
    uint32_t n;     /* elements in use: numbers 1 to n */
    uint32_t room;  /* elements that the chunks have */
} pp_pool;

static inline unsigned pp_pool_chunk_of(uint32_t index)
{
    uint32_t high = index >> POOL_FIRST_BITS;
    return high == 0 ? 0U : 32U - (unsigned)__builtin_clz(high);
}

/* The element of a number from 1 to n. */
static inline void *pp_pool_at(const pp_pool *pool, uint32_t number)
{
    uint32_t index = number - 1;
    unsigned chunk = pp_pool_chunk_of(index);
    uint32_t first =
        chunk == 0 ? 0 : UINT32_C(1) << (chunk + POOL_FIRST_BITS - 1);
    return pool->chunks[chunk] + (size_t)(index - first) * pool->element;
}

/* Room for one more element, or NULL when out of memory; it is in use once n
 * is raised. */
void *pp_pool_next(pp_pool *pool, const pp_allocator *a);
void pp_pool_free(pp_pool *pool, const pp_allocator *a);

/* ---- a hash table of numbers ------------------------------------------- */

/* 0 is a free slot; at most half of the slots are taken. Who uses it compares
 * the elements. */
typedef struct pp_index {
    uint32_t *slots;
    uint32_t mask; /* slots - 1 */
} pp_index;

/* ---- elements ---------------------------------------------------------- */

typedef struct pp_function_node {
    uint32_t qualname, name, file; /* interned */
    int32_t first_line;
    int32_t kind;
} pp_function_node;

typedef struct pp_frame_node {
    uint32_t function;
    pp_position position;
} pp_frame_node;

typedef struct pp_stack_node {
    uint32_t parent;
    uint32_t frame;
    uint32_t depth;
} pp_stack_node;

typedef struct pp_thread_node {
    pyprof_thread thread; /* name.data is `name`, or "" */
    char *name;           /* memory of its own, NULL when empty */
} pp_thread_node;

#define PP_KINDS (PYPROF_FRAME_UNKNOWN + 1)

struct pyprof_tables {
    /* what pp_tables_frame and pp_tables_stack touch comes first */
    pp_pool stacks;
    pp_index stack_index;
    pp_pool frames;
    pp_index frame_index;
    uint32_t max_functions, max_frames, max_stacks, max_threads;
    pp_pool functions;
    pp_index function_index;
    pp_pool threads;
    pp_intern text;
    uint64_t folded;
    uint64_t name_bytes; /* of threads */
    uint32_t synthetic[PP_KINDS];
    uint32_t other_functions; /* the function for those beyond the cap */
    uint32_t other_stacks;    /* the frame for roots beyond the cap */
    atomic_uint references;
    pp_allocator allocator;
};

/* Makes an index, or doubles it when `n` elements fill half of it, placing them
 * anew with `hash_of`. False when out of memory, with the index as it was. */
bool pp_index_ready(pp_index *index, uint32_t n, const pyprof_tables *tables,
                    uint64_t (*hash_of)(const pyprof_tables *tables,
                                        uint32_t number));
void pp_index_free(pp_index *index, const pp_allocator *a);
size_t pp_index_bytes(const pp_index *index);

/* Makes the first, empty indexes of frames and stacks. */
bool pp_nodes_init(pyprof_tables *tables);

#endif /* PP_SAMPLE_TABLES_H */
