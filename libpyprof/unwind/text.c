/*
 * str objects of a target: their shape from the head, their characters as
 * UTF-8. Pure: bytes in, bytes out.
 *
 * Sources: Include/cpython/unicodeobject.h, PyASCIIObject.state and the layouts
 * described above it (compact ASCII, compact, legacy; legacy is gone in 3.12).
 */
#include "unwind/internal.h"

static const uint64_t max_length = UINT64_C(1) << 24;

uint32_t pp_text_head_size(const pp_layout *layout)
{
    uint32_t size = layout->ob.str_length + 8;
    if (layout->ob.str_state + 4 > size) {
        size = layout->ob.str_state + 4;
    }
    if (layout->ob.str_legacy != PP_NONE && layout->ob.str_legacy + 8 > size) {
        size = layout->ob.str_legacy + 8;
    }
    return size;
}

bool pp_text_shape(const pp_layout *layout, uint64_t address,
                   const uint8_t *head, pp_str_shape *out)
{
    uint32_t state = pp_load_u32(head + layout->ob.str_state);
    out->length = pp_load_u64(head + layout->ob.str_length);
    out->kind = (state & layout->ob.str_kind_mask) >> layout->ob.str_kind_shift;
    out->ascii = (state & layout->ob.str_ascii_mask) != 0;
    if (out->length > max_length ||
        (out->kind != 1 && out->kind != 2 && out->kind != 4)) {
        return false;
    }
    if ((state & layout->ob.str_compact_mask) != 0) {
        out->data = address + (out->ascii ? layout->ob.str_ascii
                                          : layout->ob.str_compact);
        return true;
    }
    if (layout->ob.str_legacy == PP_NONE) {
        return false;
    }
    out->data = pp_load_u64(head + layout->ob.str_legacy);
    return out->data != 0;
}

static uint32_t character(const uint8_t *data, uint64_t i, uint32_t kind)
{
    if (kind == 1) {
        return data[i];
    }
    if (kind == 2) {
        return (uint32_t)data[2 * i] | (uint32_t)data[2 * i + 1] << 8;
    }
    return pp_load_u32(data + 4 * i);
}

static size_t encode(uint32_t c, uint8_t to[4])
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xc0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (uint8_t)(0xe0 | c >> 12);
        to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | c >> 18);
    to[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    to[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    to[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

size_t pp_text_utf8(const uint8_t *data, uint64_t length, uint32_t kind,
                    char *to, size_t size)
{
    size_t n = 0;
    for (uint64_t i = 0; i < length; i++) {
        uint8_t bytes[4];
        uint32_t c = character(data, i, kind);
        size_t k = encode(c <= 0x10ffff ? c : 0xfffd, bytes);
        if (k > size - n) {
            break;
        }
        memcpy(to + n, bytes, k);
        n += k;
    }
    return n;
}
