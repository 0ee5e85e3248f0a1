/*
 * page: fills a page's slots and writes text and numbers that are safe in it.
 *
 * Invariant: whatever bytes a name has, in a page it is text. In JSON no byte
 * of markup is left, in HTML those five that could begin or end something are
 * entities. None turns the direction of writing.
 */
#include "collector/page/page.h"

#include <string.h>

/* ---- slots --------------------------------------------------------------- */

static const unsigned char *find(const unsigned char *from,
                                 const unsigned char *end, const char *what)
{
    size_t size = strlen(what);
    while (from < end) {
        from = memchr(from, what[0], (size_t)(end - from));
        if (from == NULL || (size_t)(end - from) < size) {
            return NULL;
        }
        if (memcmp(from, what, size) == 0) {
            return from;
        }
        from++;
    }
    return NULL;
}

pyprof_status pp_page_fill(const pp_page *page, const pp_page_slot *slots,
                           size_t n_slots, void *user, pyprof_writer *w,
                           pyprof_error *err)
{
    const unsigned char *at = page->data;
    const unsigned char *end = page->data + page->size;
    for (;;) {
        const unsigned char *open = find(at, end, "{{");
        const unsigned char *stop = open == NULL ? end : open;
        PP_TRY(pp_writer_write(w, at, (size_t)(stop - at), err));
        if (open == NULL) {
            return PYPROF_OK;
        }
        const unsigned char *close = find(open, end, "}}");
        const pp_page_slot *slot = NULL;
        for (size_t i = 0; i < n_slots && close != NULL; i++) {
            size_t size = strlen(slots[i].name);
            if ((size_t)(close - open) == size + 2 &&
                memcmp(open + 2, slots[i].name, size) == 0) {
                slot = &slots[i];
            }
        }
        if (slot == NULL) {
            return pp_error_set(err, PYPROF_ERR_INTERNAL,
                                "a page has a slot that nothing fills");
        }
        PP_TRY(slot->write(user, w, err));
        at = close + 2;
    }
}

/* ---- text ---------------------------------------------------------------- */

/* Replaces what was added from `start` on, byte by byte. */
static void escape(pp_line *line, size_t start,
                   const char *(*escape_of)(unsigned char c))
{
    size_t extra = 0;
    for (size_t i = start; i < line->size; i++) {
        const char *text = escape_of((unsigned char)line->data[i]);
        extra += text == NULL ? 0 : strlen(text) - 1;
    }
    if (extra == 0 || line->is_failed) {
        return;
    }
    size_t from = line->size;
    for (size_t left = extra; left > 0 && !line->is_failed;) {
        static const char blanks[64] = "";
        size_t n = left < sizeof(blanks) ? left : sizeof(blanks);
        pp_line_add(line, blanks, n);
        left -= n;
    }
    if (line->is_failed) {
        return;
    }
    size_t to = line->size;
    while (from > start) {
        unsigned char c = (unsigned char)line->data[--from];
        const char *text = escape_of(c);
        size_t n = text == NULL ? 1 : strlen(text);
        to -= n;
        if (text == NULL) {
            line->data[to] = (char)c;
        } else {
            memcpy(line->data + to, text, n);
        }
    }
}

/* Marks that turn the direction of writing make text look like other text: each
 * becomes U+FFFD, which has three bytes as well. */
static void unmark(pp_line *line, size_t start)
{
    for (size_t i = start; i + 2 < line->size && !line->is_failed; i++) {
        unsigned char *at = (unsigned char *)line->data + i;
        bool is_mark = at[0] == 0xe2 &&
                       ((at[1] == 0x80 && ((at[2] >= 0xaa && at[2] <= 0xae) ||
                                           at[2] == 0x8e || at[2] == 0x8f)) ||
                        (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
        if (is_mark) {
            memcpy(at, "\xef\xbf\xbd", 3);
        }
    }
}

static const char *json_escape(unsigned char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '<':
        return "\\u003c";
    case '>':
        return "\\u003e";
    case '&':
        return "\\u0026";
    default:
        return NULL;
    }
}

void pp_page_json(pp_line *line, pyprof_text text)
{
    pp_line_text(line, "\"");
    size_t start = line->size;
    pp_line_clean(line, text, '\0', '\0');
    unmark(line, start);
    escape(line, start, json_escape);
    pp_line_text(line, "\"");
}

static const char *html_escape(unsigned char c)
{
    switch (c) {
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '&':
        return "&amp;";
    default:
        return NULL;
    }
}

void pp_page_html(pp_line *line, pyprof_text text, bool keeps_tabs)
{
    size_t at = 0;
    while (at < text.size) {
        const char *tab =
            keeps_tabs ? memchr(text.data + at, '\t', (size_t)text.size - at)
                       : NULL;
        size_t n = tab == NULL ? (size_t)text.size - at
                               : (size_t)(tab - (text.data + at));
        size_t start = line->size;
        pp_line_clean(line, (pyprof_text){.data = text.data + at, .size = n},
                      '\0', '\0');
        unmark(line, start);
        escape(line, start, html_escape);
        at += n;
        if (tab != NULL) {
            pp_line_text(line, "\t");
            at++;
        }
    }
}

/* ---- columns ------------------------------------------------------------- */

#define DIGITS_LAST 46 /* digits that end a number */
#define DIGIT_FIRST '#'

void pp_column_begin(pp_column *column, pyprof_writer *w, pyprof_error *err)
{
    column->writer = w;
    column->err = err;
    column->status = PYPROF_OK;
    column->used = 0;
}

static void flush(pp_column *column)
{
    if (column->status == PYPROF_OK) {
        column->status = pp_writer_write(column->writer, column->data,
                                         column->used, column->err);
    }
    column->used = 0;
}

static void put_digit(pp_column *column, unsigned digit)
{
    char c = (char)(DIGIT_FIRST + digit);
    column->data[column->used++] = c == '<' ? '!' : c;
}

void pp_column_number(pp_column *column, uint64_t number)
{
    if (column->used + PP_VARINT_MAX * 2 > sizeof(column->data)) {
        flush(column);
    }
    while (number >= DIGITS_LAST) {
        put_digit(column, (unsigned)(DIGITS_LAST + number % DIGITS_LAST));
        number = number / DIGITS_LAST - 1;
    }
    put_digit(column, (unsigned)number);
}

void pp_column_signed(pp_column *column, int64_t number)
{
    uint64_t bits = (uint64_t)number << 1;
    pp_column_number(column, number < 0 ? ~bits : bits);
}

pyprof_status pp_column_end(pp_column *column)
{
    flush(column);
    return column->status;
}
