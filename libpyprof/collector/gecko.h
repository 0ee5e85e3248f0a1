/*
 * What was seen of each thread, between gecko.c, which keeps it while samples
 * come, and gecko_text.c, which writes it.
 */
#ifndef PP_COLLECTOR_GECKO_H
#define PP_COLLECTOR_GECKO_H

#include "collector/format.h"

/* What a marker says of a thread for as long as it lasts. */
typedef enum gecko_state {
    GECKO_HAS_GIL,
    GECKO_NO_GIL,
    GECKO_ON_CPU,
    GECKO_OFF_CPU,
    GECKO_PYTHON_CODE,
    GECKO_NATIVE_CODE,
    GECKO_GIL_WAIT,
    GECKO_GC,
    GECKO_EXCEPTION,
    GECKO_NO_EXCEPTION,
    GECKO_STATES
} gecko_state;

/* Times are microseconds from the start, rounds are numbered from 0. */
typedef struct gecko_thread {
    /* varints: rounds between the last run and this, rounds - 1, stack */
    pp_line runs;
    uint64_t n_samples;
    uint64_t next_round; /* after the last run in `runs` */
    uint64_t run_first, run_n;
    uint32_t run_stack;
    /* varints: state, zigzag start after the last one's, length */
    pp_line markers;
    uint64_t n_markers;
    int64_t marker_us;           /* start of the last one */
    int64_t since[GECKO_STATES]; /* INT64_MIN: is not so */
    int64_t last_us;
} gecko_thread;

typedef struct gecko {
    pp_allocator allocator;
    pyprof_session session;
    pp_line times; /* zigzags: later than the last round plus one interval */
    int64_t last_us;
    uint64_t n_rounds;
    gecko_thread *threads; /* by number less one */
    size_t n_threads, cap_threads;
} gecko;

/* Runs and markers are closed. */
pyprof_status pp_gecko_write(gecko *g, pyprof_writer *w, pyprof_error *err);

#endif /* PP_COLLECTOR_GECKO_H */
