/*
 * A small profile that has everything that a format must cope with, built
 * through the tables and pushed into a collector as a driver does.
 */
#ifndef PP_TESTS_PROFILE_H
#define PP_TESTS_PROFILE_H

#include "../base/testing.h"

#include "collector/collector.h"

static inline pyprof_text text_of(const char *text)
{
    return (pyprof_text){.data = text, .size = strlen(text)};
}

/* A frame; 0 when out of memory. */
static inline uint32_t frame_at(pyprof_tables *tables, const char *file,
                                const char *name, int32_t first_line,
                                int32_t line, int32_t column)
{
    const pp_function_key key = {
        .qualname = text_of(name),
        .name = text_of(name),
        .file = text_of(file),
        .first_line = first_line,
        .kind = PYPROF_FRAME_PYTHON,
    };
    uint32_t function = pp_tables_function(tables, &key);
    pp_position at = PP_POSITION_UNKNOWN;
    at.line = line;
    at.column = column;
    return function == 0 ? 0 : pp_tables_frame(tables, function, &at);
}

static inline uint32_t task_frame(pyprof_tables *tables, const char *name)
{
    const pp_function_key key = {
        .qualname = text_of(name),
        .name = text_of(name),
        .file = text_of("~"),
        .first_line = PYPROF_UNKNOWN,
        .kind = PYPROF_FRAME_TASK,
    };
    const pp_position at = PP_POSITION_UNKNOWN;
    uint32_t function = pp_tables_function(tables, &key);
    return function == 0 ? 0 : pp_tables_frame(tables, function, &at);
}

/* The stack of `n` frames, root first; 0 when out of memory. */
static inline uint32_t stack_of(pyprof_tables *tables, const uint32_t *frames,
                                size_t n)
{
    uint32_t stack = 0;
    for (size_t i = 0; i < n; i++) {
        stack = frames[i] == 0 ? 0 : pp_tables_stack(tables, stack, frames[i]);
        if (stack == 0) {
            return 0;
        }
    }
    return stack;
}

#define STACK(tables, ...)                            \
    stack_of(tables, (const uint32_t[]){__VA_ARGS__}, \
             sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static inline pyprof_status push(pyprof_collector *c, uint32_t thread,
                                 uint32_t stack, int32_t state, uint64_t count,
                                 pyprof_error *err)
{
    const pyprof_stack_sample seen = {
        .thread = thread, .stack = stack, .state = state};
    const pyprof_sample sample = {
        .sz = sizeof(sample), .count = count, .stacks = &seen, .n_stacks = 1};
    return pp_collector_sample(c, &sample, err);
}

/* What is pushed: thread, stack, state, count. */
typedef struct pushed {
    uint32_t thread;
    uint32_t stack;
    int32_t state;
    uint64_t count;
} pushed;

#define PROFILE_MAX 24

/* Builds stacks and threads; the number of rows, or 0 when out of memory. */
static inline size_t build_profile(pyprof_tables *t, pushed rows[PROFILE_MAX])
{
    const pyprof_thread threads[] = {
        {.sz = sizeof(threads[0]), .os_id = 1001, .is_main = 1},
        {.sz = sizeof(threads[0]), .native_id = 7, .python_id = 99},
        {.sz = sizeof(threads[0]), .python_id = 140000000000000},
    };
    for (size_t i = 0; i < PP_COUNT_OF(threads); i++) {
        if (pp_tables_thread_new(t, &threads[i]) == 0) {
            return 0;
        }
    }
    uint32_t mod = frame_at(t, "/app/busy.py", "<module>", 1, 30, 0);
    uint32_t run = frame_at(t, "<frozen runpy>", "_run_code", 65, 87, 4);
    uint32_t mid = frame_at(t, "/app/busy.py", "mid", 8, 10, 4);
    uint32_t mid9 = frame_at(t, "/app/busy.py", "mid", 8, 9, 4);
    uint32_t leaf = frame_at(t, "/app/busy.py", "leaf", 3, 5, 8);
    uint32_t leaf_too = frame_at(t, "/app/busy.py", "leaf", 3, 5, 12);
    uint32_t rec = frame_at(t, "/app/rec.py", "rec", 1, 3, 11);
    uint32_t rec4 = frame_at(t, "/app/rec.py", "rec", 1, 4, 11);
    uint32_t other = frame_at(t, "/lib/busy.py", "leaf", 3, 5, 8);
    uint32_t init =
        frame_at(t, "/lib/pkg/__init__.py", "Class.method", 40, 42, 0);
    uint32_t odd =
        frame_at(t, "/app/a;b\n.py", "od;d\x1b\xff\xed\xb2\x80", 2, 2, 0);
    uint32_t snake = frame_at(t, "/app/\xf0\x9f\x90\x8d.py", "sch\xc3\xb6n", 1,
                              PYPROF_UNKNOWN, 0);
    uint32_t gc = pp_tables_synthetic(t, PYPROF_FRAME_GC);
    uint32_t native = pp_tables_synthetic(t, PYPROF_FRAME_NATIVE);
    uint32_t torn = pp_tables_synthetic(t, PYPROF_FRAME_TORN);
    uint32_t cut = pp_tables_synthetic(t, PYPROF_FRAME_TRUNCATED);
    uint32_t task = task_frame(t, "Task-1");
    const pushed made[] = {
        {1, STACK(t, run, mod, mid, leaf), PYPROF_STACK_WHOLE, 500},
        {1, STACK(t, run, mod, mid, leaf_too), PYPROF_STACK_WHOLE, 200},
        {1, STACK(t, run, mod, mid9), PYPROF_STACK_WHOLE, 7},
        {1, STACK(t, run, mod, mid, leaf, gc), PYPROF_STACK_WHOLE, 41},
        {1, STACK(t, run, mod, rec), PYPROF_STACK_WHOLE, 11},
        {1, STACK(t, run, mod, rec, rec, rec4), PYPROF_STACK_WHOLE, 60},
        {1, STACK(t, run, mod, mid, torn), PYPROF_STACK_TORN, 3},
        {2, STACK(t, native, run, mod, other), PYPROF_STACK_WHOLE, 90},
        {2, STACK(t, run, mod, mid, leaf), PYPROF_STACK_WHOLE, 25},
        {2, STACK(t, cut, rec, rec), PYPROF_STACK_WHOLE, 25},
        {3, STACK(t, task, init), PYPROF_STACK_WHOLE, 25},
        {3, STACK(t, run, odd), PYPROF_STACK_WHOLE, 12},
        {3, STACK(t, run, snake), PYPROF_STACK_WHOLE, 13},
        {3, 0, PYPROF_STACK_WHOLE, 17},
        {2, 0, PYPROF_STACK_UNREADABLE, 2},
    };
    for (size_t i = 0; i < PP_COUNT_OF(made); i++) {
        if (made[i].stack == 0 && i < 13) {
            return 0;
        }
        rows[i] = made[i];
    }
    return PP_COUNT_OF(made);
}

/* The session and the summary of the profile. */
static inline pyprof_session profile_session(const pyprof_tables *tables)
{
    return (pyprof_session){
        .sz = sizeof(pyprof_session),
        .interval_ns = 1000000,
        .tables = tables,
    };
}

static inline pyprof_summary profile_summary(void)
{
    return (pyprof_summary){
        .sz = sizeof(pyprof_summary),
        .duration_ns = 1030000000,
        .rounds = 1031,
        .attempted = 1031,
        .whole = 1026,
        .torn = 3,
        .unreadable = 2,
    };
}

/* Drives a collector through the profile, in pieces of up to 100. */
static inline pyprof_status
drive_profile(pyprof_collector *c, pyprof_tables *tables, pyprof_error *err)
{
    pushed rows[PROFILE_MAX];
    size_t n = build_profile(tables, rows);
    if (n == 0) {
        return PYPROF_ERR_NO_MEMORY;
    }
    const pyprof_session session = profile_session(tables);
    const pyprof_summary summary = profile_summary();
    PP_TRY(pp_collector_begin(c, &session, tables, err));
    for (size_t i = 0; i < n; i++) {
        for (uint64_t left = rows[i].count; left > 0;) {
            uint64_t count = left < 100 ? left : 100;
            PP_TRY(push(c, rows[i].thread, rows[i].stack, rows[i].state, count,
                        err));
            left -= count;
        }
    }
    return pp_collector_end(c, &summary, err);
}

#endif /* PP_TESTS_PROFILE_H */
