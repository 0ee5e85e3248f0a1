/*
 * flamegraph: between the file that collects (flamegraph.c), the one that keeps
 * the order of time (log.c), the one that puts two profiles together (diff.c)
 * and the one that writes (write.c).
 */
#ifndef PP_COLLECTOR_FLAMEGRAPH_H
#define PP_COLLECTOR_FLAMEGRAPH_H

#include "collector/page/page.h"
#include "collector/page/source.h"

/* Nodes that a page has at most; the smallest beyond are folded. */
#define PP_FLAME_NODES_MAX 1000000U

/* ---- log.c: which stack when -------------------------------------------- */

/* What a thread was doing, as a page colours it. */
enum {
    PP_FLAME_NOT_KNOWN = 0,
    PP_FLAME_HAS_GIL = 1,
    PP_FLAME_WAITS_FOR_GIL = 2,
    PP_FLAME_IN_GC = 3,
    PP_FLAME_NATIVE = 4, /* on a CPU, without the GIL */
    PP_FLAME_IDLE = 5,   /* neither */
    PP_FLAME_NO_GIL = 6  /* without the GIL; whether it runs is not known */
};

/* One thread in one stack for some ticks in a row. */
typedef struct pp_flame_run {
    uint32_t tick;
    uint32_t length;
    uint32_t thread;
    uint32_t stack;
    uint32_t state;
} pp_flame_run;

/* At most `max` runs: when they are full, a tick becomes twice as long, and of
 * each two ticks one is kept. Taking every second sample changes no share. */
typedef struct pp_flame_log {
    const pp_allocator *allocator;
    uint64_t start_ns;
    uint64_t first_tick_ns; /* at the beginning: the interval */
    uint64_t tick_ns;
    pp_flame_run *runs; /* of each thread in the order of time */
    size_t n, cap, max;
    uint32_t *last_of; /* by thread: its last run + 1; 0: none */
    size_t n_last, cap_last;
} pp_flame_log;

void pp_flame_log_init(pp_flame_log *log, const pp_allocator *allocator,
                       size_t max);
void pp_flame_log_begin(pp_flame_log *log, const pyprof_session *session);
/* PYPROF_ERR_NO_MEMORY loses this sample only. */
pyprof_status pp_flame_log_add(pp_flame_log *log, const pyprof_sample *sample,
                               const pyprof_stack_sample *seen,
                               pyprof_error *err);
void pp_flame_log_free(pp_flame_log *log);

/* ---- flamegraph.c -------------------------------------------------------- */

/* How often a thread was seen doing what. */
typedef struct pp_flame_thread {
    uint64_t samples; /* with a stack */
    uint64_t empty;   /* without a Python frame */
    uint64_t torn;    /* of samples */
    uint64_t unreadable;
    uint64_t gil_known, gil, gil_requested; /* of all that were readable */
    uint64_t cpu_known, cpu;
    uint64_t exception, gc;
} pp_flame_thread;

/* One profile, as collected. */
typedef struct pp_flame {
    pp_allocator allocator;
    pyprof_session session;   /* as of begin */
    pyprof_summary summary;   /* a baseline's */
    pp_map counts;            /* thread << 32 | stack -> samples */
    pp_flame_thread *threads; /* by number */
    size_t n_threads, cap_threads;
    pp_flame_log log;
    pp_source_reader source;
    bool is_diff;
    pyprof_baseline_fn drive_baseline;
    void *baseline_user;
    pyprof_collector *baseline_collector; /* owns `baseline` */
    struct pp_flame *baseline;            /* NULL: none */
} pp_flame;

/* ---- diff.c -------------------------------------------------------------- */

/* Two profiles in tables of their own, in which functions are the same when
 * file and name are, and there are no lines. */
typedef struct pp_flame_merged {
    pyprof_tables *tables;
    uint32_t *stack_of[2]; /* by stack number of the profile */
} pp_flame_merged;

pyprof_status pp_flame_merge(pp_flame_merged *merged, const pp_flame *now,
                             const pp_flame *before, pyprof_error *err);
void pp_flame_merged_free(pp_flame_merged *merged, const pp_allocator *a);

/* ---- write.c ------------------------------------------------------------- */

/* The page of a profile; with one to compare it with where it has a baseline.
 */
pyprof_status pp_flame_write(const pp_flame *flame,
                             const pyprof_summary *summary, pyprof_writer *w,
                             pyprof_error *err);

#endif /* PP_COLLECTOR_FLAMEGRAPH_H */
