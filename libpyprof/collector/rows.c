/*
 * rows: which frames a table of functions or lines takes together. In go the
 * tables, out comes a row number for each frame.
 *
 * Text in the tables is interned, so two texts are equal when they are at the
 * same address: a row's key is two addresses and a line.
 */
#include "collector/format.h"

#include <string.h>

bool pp_text_is(pyprof_text text, const char *literal)
{
    return text.size == strlen(literal) &&
           memcmp(text.data, literal, (size_t)text.size) == 0;
}

static pp_row row_of(const pyprof_frame *frame, int by)
{
    int32_t line = by == PP_ROWS_BY_LINE ? frame->line : frame->first_line;
    pp_row row = {
        .file = frame->file,
        .name = frame->function,
        .line = line > 0 ? line : 0,
        .kind = frame->kind,
    };
    if (frame->kind == PYPROF_FRAME_TASK && !pp_text_is(row.name, "<task>")) {
        /* where 3.15 has it: a task's name belongs to no file */
        row.file = (pyprof_text){.data = "<task>", .size = 6};
        row.line = 0;
    }
    return row;
}

static uint32_t add_row(pp_rows *rows, const pp_row *row)
{
    const uint64_t key[3] = {(uint64_t)(uintptr_t)row->file.data,
                             (uint64_t)(uintptr_t)row->name.data,
                             (uint64_t)row->line};
    uint32_t number = pp_intern_put(&rows->keys, key, sizeof(key));
    if (number > rows->n) {
        if (!pp_grow(rows->allocator, &rows->rows, &rows->cap,
                     sizeof(*rows->rows), number, 0)) {
            return 0;
        }
        rows->rows[number - 1] = *row;
        rows->n = number;
    }
    return number;
}

pyprof_status pp_rows_make(pp_rows *rows, const pp_allocator *allocator,
                           const pyprof_tables *tables, int by,
                           pyprof_error *err)
{
    *rows = (pp_rows){.allocator = allocator};
    pp_intern_init(&rows->keys, allocator);
    uint32_t n = pp_tables_frames(tables);
    rows->row_of = pp_calloc(allocator, (size_t)n + 1, sizeof(*rows->row_of));
    if (rows->row_of == NULL) {
        return pp_error_memory(err, "rows");
    }
    for (uint32_t number = 1; number <= n; number++) {
        pyprof_frame frame;
        if (!pp_tables_frame_view(tables, number, &frame)) {
            continue;
        }
        pp_row row = row_of(&frame, by);
        rows->row_of[number] = add_row(rows, &row);
        if (rows->row_of[number] == 0) {
            return pp_error_memory(err, "rows");
        }
    }
    return PYPROF_OK;
}

void pp_rows_free(pp_rows *rows)
{
    pp_intern_free(&rows->keys);
    pp_free(rows->allocator, rows->rows);
    pp_free(rows->allocator, rows->row_of);
    *rows = (pp_rows){.allocator = rows->allocator};
    pp_intern_init(&rows->keys, rows->allocator);
}
