/*
 * counts: one number a stack, added to in the sample slot. In go samples; no
 * text, no allocation once all stacks were seen.
 *
 * Invariant: by_stack has n elements that are set, n <= cap.
 */
#include "collector/format.h"

#include <string.h>

void pp_counts_init(pp_counts *counts, const pp_allocator *allocator)
{
    *counts = (pp_counts){.allocator = allocator};
}

void pp_counts_begin(pp_counts *counts, const pyprof_session *session)
{
    counts->tables = session->tables;
    counts->interval_ns = session->interval_ns;
    counts->n = 0;
    counts->stacks = 0;
    counts->torn = 0;
    counts->empty = 0;
    counts->unreadable = 0;
}

/* Room for stack numbers up to `stack`. */
static pyprof_status make_room(pp_counts *counts, uint32_t stack,
                               pyprof_error *err)
{
    uint32_t last = pp_tables_stacks(counts->tables);
    if (stack > last) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "a sample has stack %lu of %lu",
                            (unsigned long)stack, (unsigned long)last);
    }
    /* all that are known by now, so as not to come here for each */
    size_t n = (size_t)last + 1;
    if (!pp_grow(counts->allocator, &counts->by_stack, &counts->cap,
                 sizeof(*counts->by_stack), n, 0)) {
        return pp_error_memory(err, "counts of stacks");
    }
    memset(counts->by_stack + counts->n, 0,
           (n - counts->n) * sizeof(*counts->by_stack));
    counts->n = n;
    return PYPROF_OK;
}

pyprof_status pp_counts_add(pp_counts *counts, const pyprof_sample *sample,
                            pyprof_error *err)
{
    for (uint64_t i = 0; i < sample->n_stacks; i++) {
        const pyprof_stack_sample *seen = &sample->stacks[i];
        if (seen->state == PYPROF_STACK_UNREADABLE) {
            counts->unreadable += sample->count;
            continue;
        }
        if (seen->stack == 0) {
            counts->empty += sample->count;
            continue;
        }
        if (PP_UNLIKELY(seen->stack >= counts->n)) {
            PP_TRY(make_room(counts, seen->stack, err));
        }
        counts->by_stack[seen->stack] += sample->count;
        counts->stacks += sample->count;
        if (seen->state == PYPROF_STACK_TORN) {
            counts->torn += sample->count;
        }
    }
    return PYPROF_OK;
}

double pp_counts_seconds(const pp_counts *counts, const pyprof_summary *summary)
{
    double interval = (double)counts->interval_ns / 1e9;
    if (summary->rounds == 0) {
        return interval;
    }
    if (counts->interval_ns == 0) {
        return (double)summary->duration_ns / 1e9 / (double)summary->rounds;
    }
    if (summary->missed == 0) {
        return interval;
    }
    return interval * ((double)summary->rounds + (double)summary->missed) /
           (double)summary->rounds;
}

void pp_counts_free(pp_counts *counts)
{
    pp_free(counts->allocator, counts->by_stack);
    pp_counts_init(counts, counts->allocator);
}
