/*
 * alloc: the one file that calls malloc, realloc and free. In goes the caller's
 * allocator table, or NULL for the C library; out comes memory or NULL.
 *
 * Invariants:
 * 1. A size of 0 is asked for as 1, so NULL always means "out of memory",
 *    whatever the allocator makes of 0.
 * 2. Sizes that overflow are "out of memory", never a smaller block.
 *
 * It must not know what the memory is for.
 */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

static void *libc_alloc(void *user, size_t size)
{
    PP_UNUSED(user);
    return malloc(size);
}

static void *libc_realloc(void *user, void *ptr, size_t size)
{
    PP_UNUSED(user);
    return realloc(ptr, size);
}

static void libc_free(void *user, void *ptr)
{
    PP_UNUSED(user);
    free(ptr);
}

pyprof_status pp_alloc_init(pp_allocator *to, const pyprof_allocator *from,
                            pyprof_error *err)
{
    if (from == NULL) {
        *to = (pp_allocator){
            .sz = sizeof(*to),
            .alloc = libc_alloc,
            .realloc = libc_realloc,
            .free = libc_free,
        };
        return PYPROF_OK;
    }
    pp_allocator given;
    PP_TRY(pp_opts_read(&given, sizeof(given), from, "pyprof_allocator", err));
    if (given.alloc == NULL || given.realloc == NULL || given.free == NULL) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "pyprof_allocator: alloc, realloc and free must "
                            "all be set");
    }
    *to = given;
    return PYPROF_OK;
}

void *pp_alloc(const pp_allocator *a, size_t size)
{
    if (size == 0) {
        size = 1;
    }
    return a == NULL ? malloc(size) : a->alloc(a->user, size);
}

void *pp_calloc(const pp_allocator *a, size_t n, size_t size)
{
    size_t bytes;
    if (!pp_mul_size(n, size, &bytes)) {
        return NULL;
    }
    if (a == NULL || a->alloc == libc_alloc) {
        /* fresh pages of the system are zero already: large tables cost
         * nothing before they are used */
        return calloc(bytes == 0 ? 1 : bytes, 1);
    }
    void *ptr = pp_alloc(a, bytes);
    if (ptr != NULL) {
        memset(ptr, 0, bytes);
    }
    return ptr;
}

void *pp_realloc(const pp_allocator *a, void *ptr, size_t n, size_t size)
{
    size_t bytes;
    if (!pp_mul_size(n, size, &bytes)) {
        return NULL;
    }
    if (bytes == 0) {
        bytes = 1;
    }
    return a == NULL ? realloc(ptr, bytes) : a->realloc(a->user, ptr, bytes);
}

void pp_free(const pp_allocator *a, void *ptr)
{
    if (a == NULL) {
        free(ptr);
    } else {
        a->free(a->user, ptr);
    }
}

bool pp_grow(const pp_allocator *a, void *data, size_t *cap, size_t size,
             size_t need, size_t max)
{
    if (max == 0) {
        max = SIZE_MAX;
    }
    if (need > max) {
        return false;
    }
    if (need <= *cap) {
        return true;
    }
    size_t next = *cap < 8 ? 8 : *cap;
    while (next < need) {
        if (next > SIZE_MAX / 2) {
            next = need;
            break;
        }
        next *= 2;
    }
    if (next > max) {
        next = max;
    }
    /* memcpy: `data` is the address of a pointer of any type */
    void *old;
    memcpy(&old, data, sizeof(old));
    void *grown = pp_realloc(a, old, next, size);
    if (grown == NULL) {
        return false;
    }
    memcpy(data, &grown, sizeof(grown));
    *cap = next;
    return true;
}
