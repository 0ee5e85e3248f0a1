/*
 * page: what the formats that are web pages share. In goes text that came from
 * a target and numbers; out come a page's fixed parts (made from the plain
 * .html, .css and .js files by cmake/pages.cmake) and, between them, data that
 * can't be taken for markup.
 *
 * Columns of numbers are written as text, one to a few characters a number:
 * one of ALPHABET (92 printable characters, without '<') is a digit. Digits 0
 * to 45 end a number; 46 to 91 say that more follow:
 *
 *   n < 46: the digit n        else: the digit 46 + n % 46, then n / 46 - 1
 *
 * So what is small takes one byte, and nothing in a column needs an escape in
 * HTML. page/common.js reads it.
 */
#ifndef PP_COLLECTOR_PAGE_H
#define PP_COLLECTOR_PAGE_H

#include "collector/format.h"

/* A page as it was embedded, with {{name}} where something is to be put. */
typedef struct pp_page {
    const unsigned char *data;
    size_t size;
} pp_page;

extern const pp_page pp_page_flamegraph;
extern const pp_page pp_page_heatmap_index;
extern const pp_page pp_page_heatmap_file;

/* What stands for a {{name}}. */
typedef struct pp_page_slot {
    const char *name;
    pyprof_status (*write)(void *user, pyprof_writer *w, pyprof_error *err);
} pp_page_slot;

/* Writes a page with its slots filled; PYPROF_ERR_INTERNAL for a {{name}} that
 * has none. */
pyprof_status pp_page_fill(const pp_page *page, const pp_page_slot *slots,
                           size_t n_slots, void *user, pyprof_writer *w,
                           pyprof_error *err);

/* ---- text from a target ------------------------------------------------- */

/* Text as one JSON string with its quotes, made printable as pp_line_clean
 * does; '<', '>' and '&' are escapes, so that it may stand in a page. */
void pp_page_json(pp_line *line, pyprof_text text);
/* Text as HTML: for content and for attributes in double quotes. With
 * `keeps_tabs`, a tab stays (source lines). */
void pp_page_html(pp_line *line, pyprof_text text, bool keeps_tabs);

/* ---- columns of numbers -------------------------------------------------- */

/* Gathers numbers and passes them on in blocks. The first failure stays. */
typedef struct pp_column {
    pyprof_writer *writer;
    pyprof_error *err; /* may be NULL */
    pyprof_status status;
    size_t used;
    char data[4096];
} pp_column;

void pp_column_begin(pp_column *column, pyprof_writer *w, pyprof_error *err);
void pp_column_number(pp_column *column, uint64_t number);
/* A signed one: 0, -1, 1, -2, ... are 0, 1, 2, 3. */
void pp_column_signed(pp_column *column, int64_t number);
/* Passes the rest on; what has failed, if anything. */
pyprof_status pp_column_end(pp_column *column);

#endif /* PP_COLLECTOR_PAGE_H */
