/*
 * heatmap: between the file that collects (heatmap.c), the one that adds up
 * (sums.c) and the one that writes pages (pages.c).
 */
#ifndef PP_COLLECTOR_HEATMAP_H
#define PP_COLLECTOR_HEATMAP_H

#include "collector/page/page.h"
#include "collector/page/source.h"

/* Samples that end in something, and those that have it anywhere in their
 * stack (a recursion counts once). */
typedef struct pp_heat {
    uint64_t self;
    uint64_t total;
} pp_heat;

typedef struct pp_heat_file {
    pyprof_text path;
    pp_heat heat;
    uint32_t page;           /* number of its page, from 0 */
    uint32_t n_lines;        /* with samples */
    uint32_t first_line;     /* index of the first of its lines in line_order */
    uint32_t first_function; /* the same in function_order */
    uint32_t n_functions;
} pp_heat_file;

typedef struct pp_heat_function {
    pyprof_text name;
    uint32_t file;
    uint32_t first_line; /* of the definition, 0: not known */
    pp_heat heat;
} pp_heat_function;

typedef struct pp_heat_line {
    uint32_t file;
    uint32_t line;
    pp_heat heat;
} pp_heat_line;

/* A line that calls a function. */
typedef struct pp_heat_call {
    uint32_t line;     /* index */
    uint32_t function; /* index */
    uint64_t samples;
} pp_heat_call;

typedef struct pp_heat_sums {
    const pp_allocator *allocator;
    pp_heat_file *files;
    size_t n_files, cap_files;
    pp_heat_function *functions;
    size_t n_functions, cap_functions;
    pp_heat_line *lines;
    size_t n_lines, cap_lines;
    pp_heat_call *calls;
    size_t n_calls, cap_calls;
    uint32_t *file_order;     /* by page: file */
    uint32_t *line_order;     /* lines by file and line */
    uint32_t *function_order; /* functions by file and line */
    uint32_t *calls_of;       /* calls by line, then by samples */
    uint32_t *called_from;    /* calls by function, then by samples */
    pp_heat most;             /* of a line */
    uint64_t stacks;
} pp_heat_sums;

/* PYPROF_ERR_NO_MEMORY leaves sums that can be freed. */
pyprof_status pp_heat_sums_make(pp_heat_sums *sums, const pp_counts *counts,
                                const pp_allocator *a, pyprof_error *err);
void pp_heat_sums_free(pp_heat_sums *sums);
/* The calls of a line (`order` is calls_of), or to a function (called_from):
 * index of the first in the order, and how many. */
uint32_t pp_heat_calls(const pp_heat_sums *sums, const uint32_t *order,
                       uint32_t of, uint32_t *n);

/* Writes index.html and a page for each file into a folder. */
pyprof_status pp_heat_pages_write(const pp_heat_sums *sums,
                                  const pp_source_reader *source,
                                  const pyprof_summary *summary,
                                  double sample_seconds, pyprof_writer *folder,
                                  pyprof_error *err);

#endif /* PP_COLLECTOR_HEATMAP_H */
