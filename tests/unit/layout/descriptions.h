/*
 * descriptions: what CPythons tell of themselves, as fixtures, and how to make
 * a target of one.
 */
#ifndef PP_TESTS_LAYOUT_DESCRIPTIONS_H
#define PP_TESTS_LAYOUT_DESCRIPTIONS_H

#include "layout/layout.h"
#include "memory.h"

enum { MAX_WORDS = 128, ASYNCIO_WORDS = 13 };
#define RUNTIME UINT64_C(0x7f0000001000)

typedef struct image {
    const char *name;
    const uint64_t *words;
    size_t n;
    uint32_t hex_version;
    bool free_threaded, debug;
} image;

typedef struct asyncio_image {
    const char *name;
    uint64_t words[ASYNCIO_WORDS];
} asyncio_image;

#define IMAGE(name, words, hex, free_threaded, debug)              \
    {                                                              \
        name, words, PP_COUNT_OF(words), hex, free_threaded, debug \
    }

#include "descriptions.inc"

static inline pyprof_status load_image(const image *from, const uint64_t *words,
                                       pp_layout *out, const char **note,
                                       pyprof_error *err)
{
    memory m = memory_at(RUNTIME, words, from->n * sizeof(uint64_t));

    return pp_layout_load(&m.reader, RUNTIME, from->hex_version,
                          from->free_threaded, out, note, err);
}

static inline const image *image_named(const char *name)
{
    for (size_t i = 0; i < PP_COUNT_OF(IMAGES); i++) {
        if (strcmp(IMAGES[i].name, name) == 0) {
            return &IMAGES[i];
        }
    }
    return NULL;
}

#endif /* PP_TESTS_LAYOUT_DESCRIPTIONS_H */
