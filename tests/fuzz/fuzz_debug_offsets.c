/*
 * Fuzz entry of layout/load, layout/debug_offsets and layout/asyncio_offsets:
 * any bytes as what a runtime tells of itself. Input: the bytes from the
 * runtime on; what asyncio tells is their last 104.
 */
#include <stdint.h>
#include <stdlib.h>

#include "../unit/layout/memory.h"
#include "layout/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RUNTIME UINT64_C(0x10000)
enum { ASYNCIO_SIZE = 104, MAX_OFFSET = 17 << 20 };

static void check(const pp_layout *layout)
{
    for (size_t at = offsetof(pp_layout, rt.size);
         at < offsetof(pp_layout, fr.code_mask); at += sizeof(uint32_t)) {
        uint32_t value;

        memcpy(&value, (const uint8_t *)layout + at, sizeof(value));
        if (value != PP_NONE && value > MAX_OFFSET) {
            abort();
        }
    }
    if (layout->rt.interpreters_head >= layout->rt.size ||
        layout->is.next >= layout->is.size ||
        layout->ts.next >= layout->ts.size ||
        layout->co.filename >= layout->co.size) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    memory m = memory_at(RUNTIME, data, size);
    pyprof_error err = PYPROF_ERROR_INIT;
    const char *note;
    pp_layout layout;
    uint32_t hex_version = 0x030d00f0;

    if (size >= 12) {
        memcpy(&hex_version, data + 8, sizeof(hex_version));
    }
    if (pp_layout_load(&m.reader, RUNTIME, hex_version, false, &layout, &note,
                       &err) != PYPROF_OK) {
        return 0;
    }
    check(&layout);
    if (size >= ASYNCIO_SIZE &&
        pp_layout_load_asyncio(&m.reader, RUNTIME + size - ASYNCIO_SIZE,
                               &layout, &err) == PYPROF_OK) {
        check(&layout);
    }
    return 0;
}
