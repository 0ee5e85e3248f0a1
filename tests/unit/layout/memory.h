/*
 * memory: a reader of one block of bytes at an address, for what layout reads.
 */
#ifndef PP_TESTS_LAYOUT_MEMORY_H
#define PP_TESTS_LAYOUT_MEMORY_H

#include <string.h>

#include "reader/reader.h"

typedef struct memory {
    pp_reader reader;
    uint64_t address;
    const uint8_t *bytes;
    size_t size;
    unsigned reads;
} memory;

static inline pyprof_status memory_readv(pp_reader *reader, void *to,
                                         const pp_span *spans, size_t n,
                                         size_t *out_spans, uint64_t *io_calls)
{
    memory *self = (memory *)reader;
    uint8_t *at = to;

    self->reads++;
    (*io_calls)++;
    for (*out_spans = 0; *out_spans < n; (*out_spans)++) {
        uint64_t offset = spans[*out_spans].address - self->address;
        uint64_t size = spans[*out_spans].size;

        if (offset > self->size || size > self->size - offset) {
            break;
        }
        memcpy(at, self->bytes + offset, size);
        at += size;
    }
    return PYPROF_OK;
}

static const pp_reader_ops memory_ops = {.name = "memory",
                                         .readv = memory_readv};

static inline memory memory_at(uint64_t address, const void *bytes, size_t size)
{
    return (memory){.reader = {.ops = &memory_ops},
                    .address = address,
                    .bytes = bytes,
                    .size = size};
}

#endif /* PP_TESTS_LAYOUT_MEMORY_H */
