/*
 * varint: unsigned LEB128, seven bits a byte, lowest first. What is read comes
 * from a file or a target and is not trusted.
 */
#include "base/base.h"

size_t pp_varint_put(uint8_t *to, uint64_t value)
{
    size_t n = 0;
    while (value >= 0x80) {
        to[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    to[n++] = (uint8_t)value;
    return n;
}

bool pp_varint_get(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;
    const uint8_t *at = *p;
    for (unsigned shift = 0; shift < 64 && at < end; shift += 7) {
        uint64_t bits = *at & 0x7fU;
        if (shift == 63 && bits > 1) {
            return false;
        }
        value |= bits << shift;
        if ((*at++ & 0x80) == 0) {
            *p = at;
            *out = value;
            return true;
        }
    }
    return false;
}
