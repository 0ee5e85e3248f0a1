/*
 * gecko: for Firefox Profiler (profiler.firefox.com). In go samples; out comes
 * a file of its "processed" format (gecko_text.c).
 *
 * The profiler shows time, so each sample has to be kept: a few bits for its
 * time, once for all threads, and a few bytes where a thread's stack has
 * changed. What a thread is doing besides (it has the GIL, it waits for it) is
 * kept as intervals.
 *
 * Invariants:
 * 1. A thread's run is of rounds that follow each other, with one stack.
 * 2. Of two states that exclude each other at most one is open.
 */
#include "collector/gecko.h"

#include <string.h>

#define CLOSED INT64_MIN

static pyprof_status no_memory(pyprof_error *err)
{
    return pp_error_memory(err, "a profile for Firefox Profiler");
}

/* ---- what is kept ------------------------------------------------------ */

static gecko_thread *thread_at(gecko *g, uint32_t number)
{
    if (number == 0 || !pp_grow(&g->allocator, &g->threads, &g->cap_threads,
                                sizeof(*g->threads), number, 0)) {
        return NULL;
    }
    for (; g->n_threads < number; g->n_threads++) {
        gecko_thread *t = &g->threads[g->n_threads];
        *t = (gecko_thread){.n_samples = 0};
        pp_line_init(&t->runs, &g->allocator);
        pp_line_init(&t->markers, &g->allocator);
        for (int i = 0; i < GECKO_STATES; i++) {
            t->since[i] = CLOSED;
        }
    }
    return &g->threads[number - 1];
}

static void end_run(gecko_thread *t)
{
    if (t->run_n > 0) {
        pp_line_varint(&t->runs, t->run_first - t->next_round);
        pp_line_varint(&t->runs, t->run_n - 1);
        pp_line_varint(&t->runs, t->run_stack);
        t->next_round = t->run_first + t->run_n;
        t->run_n = 0;
    }
}

static void add_to_run(gecko_thread *t, uint64_t round, uint32_t stack)
{
    if (t->run_n == 0 || t->run_stack != stack ||
        t->run_first + t->run_n != round) {
        end_run(t);
        t->run_first = round;
        t->run_stack = stack;
    }
    t->run_n++;
    t->n_samples++;
}

static void end_state(gecko_thread *t, gecko_state state, int64_t now)
{
    int64_t start = t->since[state];
    if (start == CLOSED) {
        return;
    }
    t->since[state] = CLOSED;
    pp_line_varint(&t->markers, (uint64_t)state);
    pp_line_signed(&t->markers, start - t->marker_us);
    pp_line_varint(&t->markers, now > start ? (uint64_t)(now - start) : 0);
    t->marker_us = start;
    t->n_markers++;
}

static void set_state(gecko_thread *t, gecko_state state, bool is_so,
                      int64_t now)
{
    if (!is_so) {
        end_state(t, state, now);
    } else if (t->since[state] == CLOSED) {
        t->since[state] = now;
    }
}

/* What is not known is no state: neither this one nor its opposite. */
static void note_states(gecko_thread *t, uint64_t flags, int64_t now)
{
    bool knows_gil = (flags & PYPROF_THREAD_GIL_UNKNOWN) == 0;
    bool knows_cpu = (flags & PYPROF_THREAD_CPU_UNKNOWN) == 0;
    bool has_gil = knows_gil && (flags & PYPROF_THREAD_HAS_GIL) != 0;
    bool on_cpu = knows_cpu && (flags & PYPROF_THREAD_ON_CPU) != 0;
    bool has_exception = (flags & PYPROF_THREAD_HAS_EXCEPTION) != 0;
    set_state(t, GECKO_HAS_GIL, has_gil, now);
    set_state(t, GECKO_NO_GIL, knows_gil && !has_gil, now);
    set_state(t, GECKO_ON_CPU, on_cpu, now);
    set_state(t, GECKO_OFF_CPU, knows_cpu && !on_cpu, now);
    set_state(t, GECKO_PYTHON_CODE, has_gil, now);
    set_state(t, GECKO_NATIVE_CODE, on_cpu && knows_gil && !has_gil, now);
    set_state(t, GECKO_GIL_WAIT, (flags & PYPROF_THREAD_GIL_REQUESTED) != 0,
              now);
    set_state(t, GECKO_GC, (flags & PYPROF_THREAD_IN_GC) != 0, now);
    set_state(t, GECKO_EXCEPTION, has_exception, now);
    set_state(t, GECKO_NO_EXCEPTION, !has_exception, now);
}

/* ---- slots ------------------------------------------------------------- */

static pyprof_status take(void *self, const pyprof_sample *sample,
                          pyprof_error *err)
{
    gecko *g = self;
    int64_t now = (int64_t)(sample->time_ns - g->session.start_ns) / 1000;
    int64_t interval = (int64_t)(g->session.interval_ns / 1000);
    uint32_t last = pp_tables_stacks(g->session.tables);
    for (size_t i = 0; i < sample->n_stacks; i++) {
        const pyprof_stack_sample *seen = &sample->stacks[i];
        if (seen->state == PYPROF_STACK_UNREADABLE) {
            continue;
        }
        gecko_thread *t = thread_at(g, seen->thread);
        if (t == NULL) {
            return no_memory(err);
        }
        if (seen->stack > last) {
            return pp_error_set(
                err, PYPROF_ERR_INVALID, "a sample has stack %lu of %lu",
                (unsigned long)seen->stack, (unsigned long)last);
        }
        for (uint64_t n = 0; n < sample->count; n++) {
            add_to_run(t, g->n_rounds + n, seen->stack);
        }
        note_states(t, seen->flags, now);
        t->last_us = now;
        if (t->runs.is_failed || t->markers.is_failed) {
            return no_memory(err);
        }
    }
    for (uint64_t n = 0; n < sample->count; n++) {
        pp_line_signed(&g->times, now - g->last_us - interval);
        g->last_us = now;
    }
    g->n_rounds += sample->count;
    return g->times.is_failed ? no_memory(err) : PYPROF_OK;
}

static void forget(gecko *g)
{
    for (size_t i = 0; i < g->n_threads; i++) {
        pp_line_free(&g->threads[i].runs);
        pp_line_free(&g->threads[i].markers);
    }
    pp_free(&g->allocator, g->threads);
    pp_line_free(&g->times);
    *g = (gecko){.allocator = g->allocator};
    pp_line_init(&g->times, &g->allocator);
}

static pyprof_status begin(void *self, const pyprof_session *session,
                           pyprof_error *err)
{
    gecko *g = self;
    PP_UNUSED(err);
    forget(g);
    g->session = *session;
    return PYPROF_OK;
}

static pyprof_status finish(void *self, const pyprof_summary *summary,
                            pyprof_writer *writer, pyprof_error *err)
{
    gecko *g = self;
    PP_UNUSED(summary);
    for (size_t i = 0; i < g->n_threads; i++) {
        gecko_thread *t = &g->threads[i];
        end_run(t);
        for (int state = 0; state < GECKO_STATES; state++) {
            end_state(t, (gecko_state)state, t->last_us);
        }
        if (t->runs.is_failed || t->markers.is_failed) {
            return no_memory(err);
        }
    }
    return pp_gecko_write(g, writer, err);
}

static void init(void *self, const pyprof_format_opts *opts)
{
    gecko *g = self;
    PP_UNUSED(opts);
    forget(g);
}

static void destroy(void *self)
{
    gecko *g = self;
    forget(g);
}

const pp_format pp_format_gecko = {
    .ops =
        {
            .begin = begin,
            .sample = take,
            .finish = finish,
            .free = destroy,
        },
    .size = sizeof(gecko),
    .init = init,
};
