/*
 * JSON for formats that are one large value: see json.c.
 */
#ifndef PP_COLLECTOR_JSON_H
#define PP_COLLECTOR_JSON_H

#include "collector/format.h"

typedef struct pp_json {
    pp_line line; /* not written yet; free it in the end */
    pyprof_writer *w;
    pyprof_error *err;
    pyprof_status status; /* the first failure */
    bool is_first;        /* no comma before the next item */
} pp_json;

void pp_json_init(pp_json *j, const pp_allocator *allocator, pyprof_writer *w,
                  pyprof_error *err);
/* Out of memory elsewhere ends the writing, too. */
void pp_json_fail(pp_json *j);
/* Writes what waits, if it is `at_least` bytes: 0 at the end. */
void pp_json_flush(pp_json *j, size_t at_least);

/* What is added to `line` next is a value of the list or object at hand. */
void pp_json_item(pp_json *j);
/* Values: text that is JSON already, a number, a number or null (below 0),
 * microseconds as milliseconds. */
void pp_json_raw(pp_json *j, const char *json);
void pp_json_number(pp_json *j, uint64_t number);
void pp_json_known(pp_json *j, int64_t number);
void pp_json_us(pp_json *j, int64_t us);
/* The name of the value that follows. */
void pp_json_key(pp_json *j, const char *name);
/* "{" or "[", and what ends it. */
void pp_json_open(pp_json *j, const char *bracket);
void pp_json_close(pp_json *j, const char *bracket);
/* Name and value at once; a list of equal values; the beginning of a list. */
void pp_json_key_text(pp_json *j, const char *name, pyprof_text text);
void pp_json_key_raw(pp_json *j, const char *name, const char *json);
void pp_json_key_number(pp_json *j, const char *name, uint64_t number);
void pp_json_key_repeat(pp_json *j, const char *name, const char *json,
                        size_t n);
void pp_json_key_list(pp_json *j, const char *name);

#endif /* PP_COLLECTOR_JSON_H */
