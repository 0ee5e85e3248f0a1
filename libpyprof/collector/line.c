/*
 * line: text that is put together piece by piece, with names from a target made
 * safe on the way. After a failure nothing more is added, and the line can't be
 * written.
 */
#include "collector/format.h"

#include <string.h>

void pp_line_init(pp_line *line, const pp_allocator *allocator)
{
    *line = (pp_line){.allocator = allocator};
}

void pp_line_clear(pp_line *line)
{
    line->size = 0;
}

/* Room for `size` more bytes, NULL when there is none. */
static char *make_room(pp_line *line, size_t size)
{
    if (line->is_failed || size > SIZE_MAX - line->size ||
        !pp_grow(line->allocator, &line->data, &line->cap, 1, line->size + size,
                 0)) {
        line->is_failed = true;
        return NULL;
    }
    return line->data + line->size;
}

void pp_line_add(pp_line *line, const char *data, size_t size)
{
    char *to = size > 0 ? make_room(line, size) : NULL;
    if (to != NULL) {
        memcpy(to, data, size);
        line->size += size;
    }
}

void pp_line_text(pp_line *line, const char *text)
{
    pp_line_add(line, text, strlen(text));
}

void pp_line_number(pp_line *line, uint64_t number)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    pp_line_add(line, digits + at, sizeof(digits) - at);
}

void pp_line_varint(pp_line *line, uint64_t value)
{
    uint8_t bytes[PP_VARINT_MAX];
    pp_line_add(line, (const char *)bytes, pp_varint_put(bytes, value));
}

void pp_line_signed(pp_line *line, int64_t value)
{
    pp_line_varint(line, pp_zigzag(value));
}

void pp_line_fixed(pp_line *line, uint64_t value, unsigned size)
{
    char bytes[8];
    for (unsigned i = 0; i < size; i++) {
        bytes[i] = (char)(value >> 8 * i);
    }
    pp_line_add(line, bytes, size);
}

void pp_line_clean(pp_line *line, pyprof_text text, char avoid, char instead)
{
    size_t size = (size_t)text.size;
    char *to = make_room(line, size + 1);
    if (to == NULL) {
        return;
    }
    size_t n = pp_text_line(to, size + 1, text.data, size);
    for (size_t i = 0; i < n && avoid != '\0'; i++) {
        if (to[i] == avoid) {
            to[i] = instead;
        }
    }
    line->size += n;
}

static void add_escape(pp_line *line, uint32_t unit)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u'};
    for (int i = 0; i < 4; i++) {
        text[2 + i] = hex[unit >> (12 - 4 * i) & 15];
    }
    pp_line_add(line, text, sizeof(text));
}

void pp_line_json(pp_line *line, pyprof_text text)
{
    size_t size = (size_t)text.size;
    pp_line_text(line, "\"");
    for (size_t i = 0; i < size;) {
        size_t plain = i;
        while (plain < size && text.data[plain] >= ' ' &&
               text.data[plain] <= '~' && text.data[plain] != '"' &&
               text.data[plain] != '\\') {
            plain++;
        }
        pp_line_add(line, text.data + i, plain - i);
        i = plain;
        if (i == size) {
            break;
        }
        uint32_t c;
        i += pp_text_decode(text.data + i, size - i, &c);
        if (c == PP_TEXT_BAD) {
            c = 0xfffd;
        }
        if (c == '"' || c == '\\') {
            const char escape[] = {'\\', (char)c};
            pp_line_add(line, escape, sizeof(escape));
        } else if (c > 0xffff) {
            add_escape(line, 0xd800 + ((c - 0x10000) >> 10));
            add_escape(line, 0xdc00 + ((c - 0x10000) & 0x3ff));
        } else {
            add_escape(line, c);
        }
    }
    pp_line_text(line, "\"");
}

void pp_line_ms(pp_line *line, uint64_t ns)
{
    uint64_t us = ns / 1000;
    unsigned rest = (unsigned)(us % 1000);
    pp_line_number(line, us / 1000);
    if (rest != 0) {
        char text[] = {'.', (char)('0' + rest / 100),
                       (char)('0' + rest / 10 % 10), (char)('0' + rest % 10)};
        size_t size = rest % 10 != 0 ? 4 : rest % 100 != 0 ? 3 : 2;
        pp_line_add(line, text, size);
    }
}

pyprof_status pp_line_write(const pp_line *line, pyprof_writer *w,
                            pyprof_error *err)
{
    if (line->is_failed) {
        return pp_error_memory(err, "a line of text");
    }
    return pp_writer_write(w, line->data, line->size, err);
}

void pp_line_free(pp_line *line)
{
    pp_free(line->allocator, line->data);
    pp_line_init(line, line->allocator);
}

pyprof_text pp_path_tail(pyprof_text path, unsigned parts)
{
    size_t size = (size_t)path.size;
    size_t start = size;
    while (start > 0) {
        if (path.data[start - 1] == '/' && start < size && --parts == 0) {
            break;
        }
        start--;
    }
    return (pyprof_text){.data = path.data + start, .size = size - start};
}
