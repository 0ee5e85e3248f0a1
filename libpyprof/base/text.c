/*
 * text: bytes that claim to be UTF-8, from a target or a file, made safe to
 * show on one line of a terminal or a log.
 *
 * Invariants: no byte past `size` is read; output is valid UTF-8, one line, and
 * never longer than the input. It must not know a locale.
 */
#include "base/base.h"

#include <string.h>

/* The bytes that a lead byte asks for, 0 for a byte that can't lead; `*least`
 * is the lowest code point of that length. */
static size_t lead_size(uint8_t lead, uint32_t *bits, uint32_t *least)
{
    if (lead < 0x80) {
        *bits = lead;
        *least = 0;
        return 1;
    }
    if ((lead & 0xe0) == 0xc0) {
        *bits = lead & 0x1fU;
        *least = 0x80;
        return 2;
    }
    if ((lead & 0xf0) == 0xe0) {
        *bits = lead & 0x0fU;
        *least = 0x800;
        return 3;
    }
    if ((lead & 0xf8) == 0xf0) {
        *bits = lead & 0x07U;
        *least = 0x10000;
        return 4;
    }
    return 0;
}

size_t pp_text_decode(const char *text, size_t size, uint32_t *out)
{
    const uint8_t *p = (const uint8_t *)text;
    uint32_t code = 0;
    uint32_t least = 0;
    size_t n = lead_size(p[0], &code, &least);
    *out = PP_TEXT_BAD;
    if (n == 0 || n > size) {
        return 1;
    }
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 1;
        }
        code = code << 6 | (p[i] & 0x3fU);
    }
    if (code < least || code > 0x10ffff) {
        return 1;
    }
    *out = code;
    return n;
}

static bool is_space(uint32_t code)
{
    /* besides ASCII's: next line, line and paragraph separator, which some
     * readers take for line ends */
    return (code >= 0x09 && code <= 0x0d) || code == 0x85 || code == 0x2028 ||
           code == 0x2029;
}

static bool is_unprintable(uint32_t code)
{
    return code == PP_TEXT_BAD || code < 0x20 ||
           (code >= 0x7f && code < 0xa0) || (code >= 0xd800 && code <= 0xdfff);
}

size_t pp_text_line(char *to, size_t room, const char *from, size_t size)
{
    size_t done = 0;
    size_t used = 0;
    while (done < size) {
        uint32_t code;
        size_t n = pp_text_decode(from + done, size - done, &code);
        size_t n_out = is_space(code) || is_unprintable(code) ? 1 : n;
        if (used + n_out >= room) {
            break;
        }
        if (is_space(code)) {
            to[used] = ' ';
        } else if (is_unprintable(code)) {
            to[used] = '?';
        } else {
            memmove(to + used, from + done, n);
        }
        used += n_out;
        done += n;
    }
    to[used] = '\0';
    return used;
}
