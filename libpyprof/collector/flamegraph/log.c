/*
 * log: which stack a thread had when, in bounded memory. In go samples, out
 * come runs of equal ones.
 *
 * Time is cut into ticks, at first as long as the interval. The first sample of
 * a thread in a tick stands for it.
 *
 * Invariants:
 * 1. Runs of one thread don't overlap and are in the order of time.
 * 2. At most `max` runs. To stay below, ticks with an odd number are dropped
 *    and the others renumbered, as if sampling had been half as quick.
 */
#include "collector/flamegraph/flamegraph.h"

#define TICK_DEFAULT_NS UINT64_C(1000000)
/* Beyond this a tick number is no longer safe to add to. */
#define TICK_MAX (UINT32_C(1) << 30)

void pp_flame_log_init(pp_flame_log *log, const pp_allocator *allocator,
                       size_t max)
{
    *log = (pp_flame_log){.allocator = allocator, .max = max};
}

void pp_flame_log_begin(pp_flame_log *log, const pyprof_session *session)
{
    log->start_ns = session->start_ns;
    log->first_tick_ns =
        session->interval_ns == 0 ? TICK_DEFAULT_NS : session->interval_ns;
    log->tick_ns = log->first_tick_ns;
    log->n = 0;
    log->n_last = 0;
}

static uint32_t state_of(uint64_t flags)
{
    if ((flags & PYPROF_THREAD_IN_GC) != 0) {
        return PP_FLAME_IN_GC;
    }
    if ((flags & PYPROF_THREAD_HAS_GIL) != 0) {
        return PP_FLAME_HAS_GIL;
    }
    if ((flags & PYPROF_THREAD_GIL_REQUESTED) != 0) {
        return PP_FLAME_WAITS_FOR_GIL;
    }
    if ((flags & PYPROF_THREAD_ON_CPU) != 0) {
        return PP_FLAME_NATIVE;
    }
    if ((flags & PYPROF_THREAD_CPU_UNKNOWN) == 0) {
        return PP_FLAME_IDLE;
    }
    return (flags & PYPROF_THREAD_GIL_UNKNOWN) != 0 ? PP_FLAME_NOT_KNOWN
                                                    : PP_FLAME_NO_GIL;
}

static bool reaches(const pp_flame_run *last, const pp_flame_run *next)
{
    /* a tick without a sample between two of the same is one that came late */
    return last->thread == next->thread && last->stack == next->stack &&
           last->state == next->state &&
           next->tick <= last->tick + last->length + 1;
}

static void halve(pp_flame_log *log)
{
    size_t kept = 0;
    for (size_t i = 0; i < log->n_last; i++) {
        log->last_of[i] = 0;
    }
    for (size_t i = 0; i < log->n; i++) {
        pp_flame_run run = log->runs[i];
        uint32_t end = (run.tick + run.length + 1) / 2;
        run.tick = (run.tick + 1) / 2;
        run.length = end - run.tick;
        if (run.length == 0) {
            continue;
        }
        uint32_t *last = &log->last_of[run.thread];
        pp_flame_run *before = *last == 0 ? NULL : &log->runs[*last - 1];
        if (before != NULL && reaches(before, &run)) {
            before->length = end - before->tick;
            continue;
        }
        log->runs[kept++] = run;
        *last = (uint32_t)kept;
    }
    log->n = kept;
    log->tick_ns *= 2;
}

static bool make_room(pp_flame_log *log, uint32_t thread)
{
    if (thread >= log->n_last) {
        if (!pp_grow(log->allocator, &log->last_of, &log->cap_last,
                     sizeof(*log->last_of), (size_t)thread + 1, 0)) {
            return false;
        }
        while (log->n_last <= thread) {
            log->last_of[log->n_last++] = 0;
        }
    }
    return pp_grow(log->allocator, &log->runs, &log->cap, sizeof(*log->runs),
                   log->n + 1, log->max);
}

pyprof_status pp_flame_log_add(pp_flame_log *log, const pyprof_sample *sample,
                               const pyprof_stack_sample *seen,
                               pyprof_error *err)
{
    uint64_t since =
        sample->time_ns > log->start_ns ? sample->time_ns - log->start_ns : 0;
    uint64_t lasts = log->first_tick_ns * sample->count;
    while (log->n >= log->max || (since + lasts) / log->tick_ns >= TICK_MAX) {
        halve(log);
    }
    if (!make_room(log, seen->thread) || log->runs == NULL) {
        return pp_error_memory(err, "the order of time");
    }
    uint64_t half = log->tick_ns / 2;
    uint32_t tick = (uint32_t)((since + half) / log->tick_ns);
    uint32_t end = (uint32_t)((since + half + lasts) / log->tick_ns);
    uint32_t *last = &log->last_of[seen->thread];
    pp_flame_run *before = *last == 0 ? NULL : &log->runs[*last - 1];
    if (before != NULL && tick < before->tick + before->length) {
        tick = before->tick + before->length;
        if (tick >= end) {
            return PYPROF_OK; /* another sample has this tick */
        }
    }
    pp_flame_run run = {
        .tick = tick,
        .length = end > tick ? end - tick : 1,
        .thread = seen->thread,
        .stack = seen->stack,
        .state = state_of(seen->flags),
    };
    if (before != NULL && reaches(before, &run)) {
        before->length = run.tick + run.length - before->tick;
        return PYPROF_OK;
    }
    log->runs[log->n++] = run;
    *last = (uint32_t)log->n;
    return PYPROF_OK;
}

void pp_flame_log_free(pp_flame_log *log)
{
    pp_free(log->allocator, log->runs);
    pp_free(log->allocator, log->last_of);
    pp_flame_log_init(log, log->allocator, log->max);
}
