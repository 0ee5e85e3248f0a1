/*
 * Copies made beyond the plan: what a walk finds missing is wanted, read in one
 * call, and found by address afterwards.
 *
 * Invariants: bytes stay where they are until the next round begins; reads and
 * bytes of one round are capped, since a hostile target may lead anywhere.
 */
#include "unwind/internal.h"

enum { MAX_READS = 4096, MAX_WANTS = 4096, MAX_COPIES = 1 << 16 };
static const uint64_t max_bytes = UINT64_C(64) << 20;

void pp_extra_init(pp_extra *extra, const pp_allocator *allocator)
{
    memset(extra, 0, sizeof(*extra));
    extra->allocator = allocator;
    pp_arena_init(&extra->arena, allocator);
}

void pp_extra_free(pp_extra *extra)
{
    pp_free(extra->allocator, extra->wants);
    pp_free(extra->allocator, extra->copies);
    pp_arena_free(&extra->arena);
    memset(extra, 0, sizeof(*extra));
}

void pp_extra_begin(pp_extra *extra)
{
    extra->n_wants = 0;
    extra->n_copies = 0;
    extra->reads = 0;
    extra->bytes = 0;
    extra->failed = false;
    if (extra->arena.used > 0) {
        pp_arena_free(&extra->arena);
        pp_arena_init(&extra->arena, extra->allocator);
    }
}

void pp_extra_want(pp_extra *extra, uint64_t address, uint64_t size)
{
    uint64_t end;
    if (!pp_add_u64(address, size, &end) || size == 0) {
        return;
    }
    for (size_t i = extra->n_wants; i-- > 0;) {
        if (extra->wants[i].address == address) {
            if (size > extra->wants[i].size) {
                extra->wants[i].size = size;
            }
            return;
        }
    }
    if (!pp_grow(extra->allocator, (void **)&extra->wants, &extra->cap_wants,
                 sizeof(pp_span), extra->n_wants + 1, MAX_WANTS)) {
        extra->failed = true;
        return;
    }
    extra->wants[extra->n_wants++] = (pp_span){address, size};
}

static bool keep_copy(pp_extra *extra, const pp_span *span,
                      const uint8_t *bytes)
{
    if (!pp_grow(extra->allocator, (void **)&extra->copies, &extra->cap_copies,
                 sizeof(pp_extra_copy), extra->n_copies + 1, MAX_COPIES)) {
        return false;
    }
    size_t at = extra->n_copies++;
    while (at > 0 && extra->copies[at - 1].address > span->address) {
        extra->copies[at] = extra->copies[at - 1];
        at--;
    }
    extra->copies[at] =
        (pp_extra_copy){span->address, span->size, bytes, extra->reads};
    return true;
}

pyprof_status pp_extra_run(pp_extra *extra, pp_reader *reader)
{
    uint64_t total = 0;
    size_t first = 0;
    size_t n = extra->n_wants;
    extra->n_wants = 0;
    for (size_t i = 0; i < n; i++) {
        total += extra->wants[i].size;
    }
    if (n == 0) {
        return PYPROF_OK;
    }
    extra->bytes += total;
    if (++extra->reads > MAX_READS || extra->bytes > max_bytes) {
        extra->failed = true;
        return PYPROF_OK;
    }
    uint8_t *bytes = pp_arena_alloc(&extra->arena, (size_t)total);
    if (bytes == NULL) {
        return PYPROF_ERR_NO_MEMORY;
    }
    while (first < n) {
        size_t got = 0;
        PP_TRY(pp_reader_readv(reader, bytes, extra->wants + first, n - first,
                               &got));
        for (size_t i = first; i < first + got; i++) {
            if (!keep_copy(extra, &extra->wants[i], bytes)) {
                return PYPROF_ERR_NO_MEMORY;
            }
            bytes += extra->wants[i].size;
        }
        first += got;
        if (first < n) {
            bytes += extra->wants[first++].size; /* can't be read */
            if (++extra->reads > MAX_READS) {
                extra->failed = true;
                return PYPROF_OK;
            }
        }
    }
    return PYPROF_OK;
}

const uint8_t *pp_extra_find(const pp_extra *extra, uint64_t address,
                             uint64_t size)
{
    return pp_extra_find_since(extra, address, size, 0);
}

const uint8_t *pp_extra_find_since(const pp_extra *extra, uint64_t address,
                                   uint64_t size, uint32_t read)
{
    size_t low = 0;
    size_t high = extra->n_copies;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (extra->copies[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    /* Copies may overlap: the newest start is not always the one that has all
     * of it. A few steps back are enough for the shapes that are read. */
    for (size_t back = 0; back < 8 && low > back; back++) {
        const pp_extra_copy *copy = &extra->copies[low - 1 - back];
        uint64_t at = address - copy->address;
        if (at < copy->size && size <= copy->size - at && copy->read > read) {
            return copy->bytes + at;
        }
    }
    return NULL;
}
