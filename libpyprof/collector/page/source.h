/*
 * source: source files of the target, as far as they can be had.
 */
#ifndef PP_COLLECTOR_SOURCE_H
#define PP_COLLECTOR_SOURCE_H

#include "collector/format.h"

/* Bytes of a source file that are looked at; what lies behind is not shown. */
#define PP_SOURCE_SIZE_MAX ((size_t)4 << 20)

/* Who reads; `read` may be NULL: then there are none. */
typedef struct pp_source_reader {
    const pp_allocator *allocator;
    pyprof_source_fn read;
    void *user;
} pp_source_reader;

/* One file, in lines. */
typedef struct pp_source {
    const pp_allocator *allocator;
    char *data; /* NULL: there is no such file */
    size_t size;
    size_t *starts; /* of the lines, and one more for the end; NULL: none */
    uint32_t n_lines;
    bool is_cut; /* it has more than what is here */
} pp_source;

/* Reads a file. That it isn't there, or can't be read, is no error: then
 * `data` is NULL. PYPROF_ERR_NO_MEMORY leaves a source that can be freed. */
pyprof_status pp_source_read(pp_source *source, const pp_source_reader *reader,
                             pyprof_text path, pyprof_error *err);
/* A line without its end; "" for one that isn't there. `line` is from 1. */
pyprof_text pp_source_line(const pp_source *source, uint32_t line);
void pp_source_free(pp_source *source);

#endif /* PP_COLLECTOR_SOURCE_H */
