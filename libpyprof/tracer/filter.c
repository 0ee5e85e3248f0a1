/*
 * filter: which functions are recorded. In go globs and the names of a
 * function, out comes yes or no. Asked once for each function and thread.
 */
#include "tracer/internal.h"

#include <fnmatch.h>
#include <string.h>

pyprof_status pp_filters_copy(const pp_allocator *a, pyprof_tracer_opts *opts,
                              pyprof_error *err)
{
    const pyprof_filter *given = opts->filters;
    size_t n = (size_t)opts->n_filters;
    opts->filters = NULL;
    if (n == 0) {
        return PYPROF_OK;
    }
    pyprof_filter *filters = pp_calloc(a, n, sizeof(*filters));
    if (filters == NULL) {
        return pp_error_memory(err, "filters");
    }
    opts->filters = filters;
    for (size_t i = 0; i < n; i++) {
        size_t size = strlen(given[i].glob) + 1;
        char *glob = pp_alloc(a, size);
        if (glob == NULL) {
            pp_filters_free(a, opts);
            return pp_error_memory(err, "filters");
        }
        memcpy(glob, given[i].glob, size);
        filters[i] = given[i];
        filters[i].glob = glob;
    }
    return PYPROF_OK;
}

/* The list is ours, though opts shows it as the caller's. */
static void free_const(const pp_allocator *a, const void *memory)
{
    void *ours;
    memcpy(&ours, &memory, sizeof(ours));
    pp_free(a, ours);
}

void pp_filters_free(const pp_allocator *a, pyprof_tracer_opts *opts)
{
    for (size_t i = 0; opts->filters != NULL && i < opts->n_filters; i++) {
        free_const(a, opts->filters[i].glob);
    }
    free_const(a, opts->filters);
    opts->filters = NULL;
    opts->n_filters = 0;
}

bool pp_filters_need_module(const pyprof_tracer_opts *opts)
{
    for (size_t i = 0; i < opts->n_filters; i++) {
        if (opts->filters[i].what == PYPROF_FILTER_MODULE) {
            return true;
        }
    }
    return false;
}

bool pp_filters_take(const pyprof_tracer_opts *opts, const char *file,
                     const char *module, const char *function)
{
    bool has_included = false;
    for (size_t i = 0; i < opts->n_filters; i++) {
        const pyprof_filter *filter = &opts->filters[i];
        const char *text = filter->what == PYPROF_FILTER_FILE     ? file
                           : filter->what == PYPROF_FILTER_MODULE ? module
                                                                  : function;
        if (fnmatch(filter->glob, text, 0) == 0) {
            return filter->is_included != 0;
        }
        has_included = has_included || filter->is_included != 0;
    }
    return !has_included;
}
