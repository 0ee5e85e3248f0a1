/*
 * ring: records of any size from one thread to another, without a lock and
 * without a wait. The putting thread is the one that copies a target's memory
 * while the target can't run, so its side is a few loads and stores.
 *
 * Positions only grow (they don't wrap in the life of a machine); the place in
 * memory is the position modulo the capacity. A record is an 8-byte header with
 * its size, then its bytes, filled up to a multiple of 8. One that would cross
 * the end of the memory begins at its start instead, and a header WRAP tells
 * the taker to skip the rest.
 *
 * Invariants:
 * 1. put_end is written by the putting thread only, take_end by the taking one
 *    only; take_end <= put_end <= take_end + capacity.
 * 2. What lies in [take_end, put_end) belongs to the taker, the rest to the
 *    putter. Each publishes with a release store what the other reads with an
 *    acquire load.
 * 3. The fields of one thread and those of the other are not on one cache
 *    line. Each keeps a copy of the other's end and looks again only when the
 *    copy does not suffice.
 */
#include "base/base.h"

#include <stdalign.h>
#include <stdatomic.h>

#define LINE_SIZE ((size_t)64)
#define HEADER_SIZE sizeof(uint64_t)
#define WRAP UINT64_MAX
#define CAPACITY_MIN ((size_t)64)

struct pp_ring {
    pp_allocator allocator;
    void *block; /* what the allocator gave; this structure is inside */
    size_t capacity;
    char *data;

    alignas(64) _Atomic uint64_t put_end;
    uint64_t seen_take_end;
    uint64_t reserved_at; /* position of the header */
    size_t reserved_size; /* SIZE_MAX: nothing is reserved */

    alignas(64) _Atomic uint64_t take_end;
    uint64_t seen_put_end;
    uint64_t next_take_end; /* after the record that was shown */
    bool is_shown;
};

static size_t record_bytes(size_t size)
{
    return HEADER_SIZE + ((size + 7) & ~(size_t)7);
}

static uint64_t *header_at(const pp_ring *ring, uint64_t position)
{
    size_t offset = (size_t)position & (ring->capacity - 1);
    return (uint64_t *)(void *)(ring->data + offset);
}

static size_t bytes_to_end(const pp_ring *ring, uint64_t position)
{
    return ring->capacity - ((size_t)position & (ring->capacity - 1));
}

pp_ring *pp_ring_new(const pp_allocator *allocator, size_t size)
{
    size_t capacity = CAPACITY_MIN;
    while (capacity < size) {
        if (capacity > SIZE_MAX / 4) {
            return NULL;
        }
        capacity *= 2;
    }
    /* an allocator only aligns for the basic types */
    void *block =
        pp_alloc(allocator, sizeof(pp_ring) + LINE_SIZE - 1 + capacity);
    if (block == NULL) {
        return NULL;
    }
    uintptr_t start =
        ((uintptr_t)block + LINE_SIZE - 1) & ~(uintptr_t)(LINE_SIZE - 1);
    pp_ring *ring = (pp_ring *)start;
    if (allocator != NULL) {
        ring->allocator = *allocator;
    } else {
        (void)pp_alloc_init(&ring->allocator, NULL, NULL);
    }
    ring->block = block;
    ring->capacity = capacity;
    ring->data = (char *)(ring + 1);
    atomic_init(&ring->put_end, 0);
    ring->seen_take_end = 0;
    ring->reserved_at = 0;
    ring->reserved_size = SIZE_MAX;
    atomic_init(&ring->take_end, 0);
    ring->seen_put_end = 0;
    ring->next_take_end = 0;
    ring->is_shown = false;
    return ring;
}

size_t pp_ring_record_max(const pp_ring *ring)
{
    /* half: whatever the position, either the rest or the start has room */
    return ring->capacity / 2 - HEADER_SIZE;
}

void *pp_ring_reserve(pp_ring *ring, size_t size)
{
    ring->reserved_size = SIZE_MAX;
    if (size > pp_ring_record_max(ring)) {
        return NULL;
    }
    uint64_t at = atomic_load_explicit(&ring->put_end, memory_order_relaxed);
    size_t need = record_bytes(size);
    size_t skip = 0;
    if (bytes_to_end(ring, at) < need) {
        skip = bytes_to_end(ring, at);
    }
    uint64_t end = at + skip + need;
    if (end - ring->seen_take_end > ring->capacity) {
        ring->seen_take_end =
            atomic_load_explicit(&ring->take_end, memory_order_acquire);
        if (end - ring->seen_take_end > ring->capacity) {
            return NULL;
        }
    }
    if (skip > 0) {
        *header_at(ring, at) = WRAP;
    }
    ring->reserved_at = at + skip;
    ring->reserved_size = size;
    return header_at(ring, ring->reserved_at) + 1;
}

void pp_ring_commit(pp_ring *ring, size_t size)
{
    if (ring->reserved_size == SIZE_MAX || size > ring->reserved_size) {
        return;
    }
    *header_at(ring, ring->reserved_at) = size;
    ring->reserved_size = SIZE_MAX;
    atomic_store_explicit(&ring->put_end,
                          ring->reserved_at + record_bytes(size),
                          memory_order_release);
}

const void *pp_ring_peek(pp_ring *ring, size_t *out_size)
{
    uint64_t at = atomic_load_explicit(&ring->take_end, memory_order_relaxed);
    if (at == ring->seen_put_end) {
        ring->seen_put_end =
            atomic_load_explicit(&ring->put_end, memory_order_acquire);
        if (at == ring->seen_put_end) {
            return NULL;
        }
    }
    /* a WRAP and the record after it are published together */
    if (*header_at(ring, at) == WRAP) {
        at += bytes_to_end(ring, at);
    }
    const uint64_t *header = header_at(ring, at);
    *out_size = (size_t)*header;
    ring->next_take_end = at + record_bytes(*out_size);
    ring->is_shown = true;
    return header + 1;
}

void pp_ring_pop(pp_ring *ring)
{
    if (!ring->is_shown) {
        return;
    }
    ring->is_shown = false;
    atomic_store_explicit(&ring->take_end, ring->next_take_end,
                          memory_order_release);
}

size_t pp_ring_used(const pp_ring *ring)
{
    /* in this order the difference is never negative; it may be too large
     * when both threads moved on in between */
    uint64_t taken =
        atomic_load_explicit(&ring->take_end, memory_order_acquire);
    uint64_t put = atomic_load_explicit(&ring->put_end, memory_order_acquire);
    uint64_t used = put - taken;
    return used < ring->capacity ? (size_t)used : ring->capacity;
}

size_t pp_ring_capacity(const pp_ring *ring)
{
    return ring->capacity;
}

void pp_ring_free(pp_ring *ring)
{
    if (ring != NULL) {
        pp_allocator allocator = ring->allocator;
        pp_free(&allocator, ring->block);
    }
}
