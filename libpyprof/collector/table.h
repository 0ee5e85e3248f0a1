/*
 * A table of functions between table.c, which makes its numbers, and
 * table_text.c, which writes them.
 */
#ifndef PP_COLLECTOR_TABLE_H
#define PP_COLLECTOR_TABLE_H

#include "collector/format.h"

typedef struct pp_table_row {
    uint64_t self;       /* samples that end in the function */
    uint64_t total;      /* samples that have it anywhere */
    uint64_t line_total; /* of these, in its hottest line */
    int32_t line;        /* that line */
    uint32_t n_lines;    /* lines with samples */
} pp_table_row;

typedef struct pp_table {
    const pp_allocator *allocator;
    const pp_counts *counts;
    const pyprof_summary *summary;
    double seconds; /* of one sample */
    int32_t sort;
    uint64_t flags;
    pp_rows rows;
    pp_table_row *sums; /* by row number */
    uint32_t *order;    /* row numbers, first shown first; n of them */
    size_t n;
    size_t n_shown;
} pp_table;

pyprof_status pp_table_write(const pp_table *table, pyprof_writer *w,
                             pyprof_error *err);

#endif /* PP_COLLECTOR_TABLE_H */
