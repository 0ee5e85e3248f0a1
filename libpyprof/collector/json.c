/*
 * json: JSON, written an item at a time. In go values; out goes text through a
 * writer, in pieces, so that no text of the whole is ever in memory.
 *
 * Invariant: after the first failure nothing more is written; it is in `status`
 * in the end.
 */
#include "collector/json.h"

#define FLUSH_SIZE ((size_t)65536)

void pp_json_init(pp_json *j, const pp_allocator *allocator, pyprof_writer *w,
                  pyprof_error *err)
{
    *j = (pp_json){.w = w, .err = err, .is_first = true};
    pp_line_init(&j->line, allocator);
}

void pp_json_flush(pp_json *j, size_t at_least)
{
    if (j->status == PYPROF_OK && j->line.size >= at_least) {
        j->status = pp_line_write(&j->line, j->w, j->err);
        pp_line_clear(&j->line);
    }
}

void pp_json_fail(pp_json *j)
{
    if (j->status == PYPROF_OK) {
        j->status = pp_error_memory(j->err, "a text");
    }
}

/* What follows is an item of the list or object at hand. */
void pp_json_item(pp_json *j)
{
    if (!j->is_first) {
        pp_line_text(&j->line, ",");
    }
    j->is_first = false;
    pp_json_flush(j, FLUSH_SIZE);
}

void pp_json_raw(pp_json *j, const char *text)
{
    pp_json_item(j);
    pp_line_text(&j->line, text);
}

void pp_json_number(pp_json *j, uint64_t number)
{
    pp_json_item(j);
    pp_line_number(&j->line, number);
}

/* A number below 0 is not known. */
void pp_json_known(pp_json *j, int64_t number)
{
    if (number < 0) {
        pp_json_raw(j, "null");
    } else {
        pp_json_number(j, (uint64_t)number);
    }
}

void pp_json_us(pp_json *j, int64_t us)
{
    pp_json_item(j);
    pp_line_ms(&j->line, us < 0 ? 0 : (uint64_t)us * 1000);
}

void pp_json_key(pp_json *j, const char *name)
{
    pp_json_item(j);
    pp_line_text(&j->line, "\"");
    pp_line_text(&j->line, name);
    pp_line_text(&j->line, "\":");
    j->is_first = true; /* no comma before its value */
}

void pp_json_open(pp_json *j, const char *bracket)
{
    pp_json_raw(j, bracket);
    j->is_first = true;
}

void pp_json_close(pp_json *j, const char *bracket)
{
    pp_line_text(&j->line, bracket);
    j->is_first = false;
}

void pp_json_key_text(pp_json *j, const char *name, pyprof_text text)
{
    pp_json_key(j, name);
    pp_json_item(j);
    pp_line_json(&j->line, text);
}

void pp_json_key_raw(pp_json *j, const char *name, const char *value)
{
    pp_json_key(j, name);
    pp_json_raw(j, value);
}

void pp_json_key_number(pp_json *j, const char *name, uint64_t number)
{
    pp_json_key(j, name);
    pp_json_number(j, number);
}

/* A column of `n` equal values. */
void pp_json_key_repeat(pp_json *j, const char *name, const char *value,
                        size_t n)
{
    pp_json_key(j, name);
    pp_json_open(j, "[");
    for (size_t i = 0; i < n; i++) {
        pp_json_raw(j, value);
    }
    pp_json_close(j, "]");
}

void pp_json_key_list(pp_json *j, const char *name)
{
    pp_json_key(j, name);
    pp_json_open(j, "[");
}
