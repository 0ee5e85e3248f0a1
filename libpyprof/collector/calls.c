/*
 * calls: what a tracer recorded, kept beyond the callback that showed it. In
 * come functions and callers, out come rows and edges, those of functions with
 * the same file, line and name added up.
 */
#include "collector/format.h"

#include <string.h>

void pp_calls_init(pp_calls *calls, const pp_allocator *allocator)
{
    *calls = (pp_calls){.allocator = allocator};
    pp_intern_init(&calls->texts, allocator);
    pp_intern_init(&calls->keys, allocator);
    pp_map_init(&calls->edge_of, allocator);
}

void pp_calls_free(pp_calls *calls)
{
    pp_intern_free(&calls->texts);
    pp_intern_free(&calls->keys);
    pp_map_free(&calls->edge_of);
    pp_free(calls->allocator, calls->rows);
    pp_free(calls->allocator, calls->edges);
    pp_calls_init(calls, calls->allocator);
}

/* Number of a text; 0 when out of memory. */
static uint32_t keep(pp_calls *calls, pyprof_text text, pyprof_text *out)
{
    uint32_t number =
        pp_intern_put(&calls->texts, text.data, (size_t)text.size);
    *out = pp_intern_text(&calls->texts, number);
    return number;
}

/* Index of the row, + 1; 0 when out of memory. */
static uint32_t row_of(pp_calls *calls, const pyprof_function_calls *from)
{
    pp_call_row row = {.line = from->first_line > 0 ? from->first_line : 0};
    const uint32_t key[3] = {keep(calls, from->file, &row.file),
                             keep(calls, from->name, &row.name),
                             (uint32_t)row.line};
    if (key[0] == 0 || key[1] == 0 ||
        keep(calls, from->qualname, &row.qualname) == 0) {
        return 0;
    }
    uint32_t number = pp_intern_put(&calls->keys, key, sizeof(key));
    if (number > calls->n_rows) {
        if (!pp_grow(calls->allocator, &calls->rows, &calls->cap_rows,
                     sizeof(*calls->rows), number, 0)) {
            return 0;
        }
        calls->rows[number - 1] = row;
        calls->n_rows = number;
    }
    return number;
}

static pp_call_edge *edge_of(pp_calls *calls, uint32_t callee, uint32_t caller)
{
    bool is_new;
    uint64_t *number =
        pp_map_put(&calls->edge_of, (uint64_t)callee << 32 | caller, &is_new);
    if (number == NULL) {
        return NULL;
    }
    if (is_new) {
        if (!pp_grow(calls->allocator, &calls->edges, &calls->cap_edges,
                     sizeof(*calls->edges), calls->n_edges + 1, UINT32_MAX)) {
            return NULL;
        }
        calls->edges[calls->n_edges] =
            (pp_call_edge){.callee = callee,
                           .caller = caller,
                           .next = calls->rows[callee].first_edge};
        *number = ++calls->n_edges;
        calls->rows[callee].first_edge = (uint32_t)*number;
    }
    return &calls->edges[*number - 1];
}

static pyprof_status add_callers(pp_calls *calls, const pyprof_calls *from,
                                 const uint32_t *rows, uint64_t i,
                                 pyprof_error *err)
{
    const pyprof_function_calls *callee = &from->functions[i];
    if (callee->first_caller > from->n_callers ||
        callee->n_callers > from->n_callers - callee->first_caller) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "a function has callers that there are not");
    }
    for (uint64_t j = 0; j < callee->n_callers; j++) {
        const pyprof_caller_calls *one =
            &from->callers[callee->first_caller + j];
        if (one->caller >= from->n_functions) {
            return pp_error_set(err, PYPROF_ERR_INVALID,
                                "a caller is a function that there is not");
        }
        pp_call_edge *edge = edge_of(calls, rows[i] - 1, rows[one->caller] - 1);
        if (edge == NULL) {
            return pp_error_memory(err, "callers");
        }
        edge->calls += one->calls;
        edge->primitive += one->primitive_calls;
        edge->own += one->own_time;
        edge->total += one->total_time;
    }
    return PYPROF_OK;
}

static pyprof_status add_all(pp_calls *calls, const pyprof_calls *from,
                             uint32_t *rows, pyprof_error *err)
{
    for (uint64_t i = 0; i < from->n_functions; i++) {
        const pyprof_function_calls *one = &from->functions[i];
        rows[i] = row_of(calls, one);
        if (rows[i] == 0) {
            return pp_error_memory(err, "functions");
        }
        pp_call_row *row = &calls->rows[rows[i] - 1];
        row->calls += one->calls;
        row->primitive += one->primitive_calls;
        row->own += one->own_time;
        row->total += one->total_time;
    }
    for (uint64_t i = 0; i < from->n_functions; i++) {
        PP_TRY(add_callers(calls, from, rows, i, err));
    }
    return PYPROF_OK;
}

pyprof_status pp_calls_make(pp_calls *calls, const pyprof_calls *from,
                            pyprof_error *err)
{
    pp_calls_free(calls);
    uint32_t *rows = pp_calloc(calls->allocator, (size_t)from->n_functions + 1,
                               sizeof(*rows));
    if (rows == NULL) {
        return pp_error_memory(err, "functions");
    }
    pyprof_status status = add_all(calls, from, rows, err);
    pp_free(calls->allocator, rows);
    return status;
}
