/**
 * @file pyprof/tracer.h
 * @brief Follow the calls of the Python in this process, from inside.
 *
 * A tracer counts and times every call: how often each function was called, by
 * whom, and how long it took, itself and with all that it called. It works in a
 * process that has a CPython (3.8 to 3.15) inside, whose interface is found at
 * run time: nothing here links it.
 *
 * Each thread is followed on its own, so times and callers are right with any
 * number of threads. Any number of tracers may be installed at the same time,
 * by anyone, for all threads or for one.
 *
 * The functions may be called with or without Python's lock (GIL), from any
 * thread; a tracer is used by one thread at a time. From 3.12 on events come
 * through `sys.monitoring`, before that through `PyEval_SetProfile`, where each
 * thread has room for one such function: that of another tool is replaced.
 */
#ifndef PYPROF_TRACER_H
#define PYPROF_TRACER_H

#include <pyprof/collector.h>

PYPROF_BEGIN_DECLS

/** Counts and times calls. */
typedef struct pyprof_tracer pyprof_tracer;

/** What a call's time is. */
enum {
    PYPROF_CLOCK_WALL = 0, /**< time that passes */
    /** time that the thread is on a CPU: a system call for each event */
    PYPROF_CLOCK_CPU = 1,
    PYPROF_CLOCK_CALLER = 2 /**< what pyprof_tracer_opts.clock_fn says */
};

/** What is traced, and how (bits of pyprof_tracer_opts.flags). */
enum {
    PYPROF_TRACE_NO_BUILTINS =
        1,                       /**< calls of C functions are their caller's */
    PYPROF_TRACE_NO_CALLERS = 2, /**< results without callers */
    PYPROF_TRACE_THIS_THREAD = 4, /**< only the thread that installs it */
    /** count call paths too, for formats that take stacks */
    PYPROF_TRACE_PATHS = 8,
    /**
     * A coroutine or asynchronous generator is one call from its first step to
     * its end, and the time of its awaits is in its total. Otherwise each step
     * is a call, as cProfile has it.
     */
    PYPROF_TRACE_WHOLE_COROUTINES = 16,
    /**
     * Hold the profiler's place of `sys.monitoring`, named "cProfile", alone or
     * not at all: ::PYPROF_ERR_BUSY when anyone has it, another tracer too.
     */
    PYPROF_TRACE_EXCLUSIVE = 32
};

/** What a filter looks at. */
enum {
    PYPROF_FILTER_FILE = 0,    /**< `co_filename`; "~" for a C function */
    PYPROF_FILTER_MODULE = 1,  /**< `__name__` of its module */
    PYPROF_FILTER_FUNCTION = 2 /**< qualified name (plain before 3.11) */
};

/**
 * @brief Which functions are recorded.
 *
 * The first filter of a list that matches a function decides. A function that
 * none matches is recorded, unless one of the filters includes. What is not
 * recorded is as if it were a part of its caller, with the C functions that it
 * calls.
 */
typedef struct pyprof_filter {
    const char *glob;    /**< with `*`, `?` and `[...]`; `*` matches '/' too */
    int32_t what;        /**< PYPROF_FILTER_ */
    int32_t is_included; /**< 1: record what matches, 0: do not */
} pyprof_filter;

/** Options of a tracer. */
typedef struct pyprof_tracer_opts {
    size_t sz;                         /**< sizeof(pyprof_tracer_opts) */
    const pyprof_allocator *allocator; /**< NULL: the C library's */
    uint64_t flags;                    /**< PYPROF_TRACE_ bits */
    int32_t clock;                     /**< PYPROF_CLOCK_ */
    int32_t reserved;                  /**< 0 */
    /**
     * The caller's own clock, called once for each beginning and each end of a
     * call, on the thread that calls, which holds Python's lock; it may run
     * Python. It may go backwards. MUST NOT leave an exception set.
     */
    int64_t (*clock_fn)(void *user);
    void *clock_user;             /**< passed to `clock_fn` */
    double clock_unit;            /**< seconds of one of its ticks; 0: 1e-9 */
    const pyprof_filter *filters; /**< copied; NULL: record everything */
    uint64_t n_filters;           /**< how many */
    /**
     * Memory for what is recorded; 0: no limit. When it is reached new
     * functions are counted as one, `<other functions>`.
     */
    uint64_t max_bytes;
} pyprof_tracer_opts;

/** Counters of a tracer. */
typedef struct pyprof_tracer_stats {
    size_t sz;            /**< sizeof(pyprof_tracer_stats), set by the caller */
    uint64_t functions;   /**< known, each thread's counted */
    uint64_t callers;     /**< pairs of caller and callee, likewise */
    uint64_t paths;       /**< call paths, likewise */
    uint64_t threads;     /**< threads that are followed, or were and live */
    uint64_t bytes;       /**< memory held for these */
    uint64_t folded;      /**< calls counted as `<other functions>` */
    int32_t tool_id;      /**< of `sys.monitoring`; -1: none */
    int32_t is_installed; /**< 1: it records */
} pyprof_tracer_stats;

/**
 * @brief A tracer; nothing is recorded before it is installed.
 *
 * @param opts       NULL for the defaults
 * @param out_tracer free it with ::pyprof_tracer_free
 * @param err        details of a failure, may be NULL
 * @retval PYPROF_ERR_INVALID an option is out of its range
 * @retval PYPROF_ERR_UNSUPPORTED an option that this library does not know
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_tracer_new(const pyprof_tracer_opts *opts,
                                           pyprof_tracer **out_tracer,
                                           pyprof_error *err);

/**
 * @brief Changes what is recorded from the next installing on.
 *
 * What was recorded before stays.
 *
 * @param tracer the tracer
 * @param flags  PYPROF_TRACE_ bits, of which ::PYPROF_TRACE_PATHS has to be as
 *               it was
 * @param err    details of a failure, may be NULL
 * @retval PYPROF_ERR_UNSUPPORTED a flag that this library does not know
 * @retval PYPROF_ERR_INVALID ::PYPROF_TRACE_PATHS would change
 * @retval PYPROF_ERR_BUSY the tracer is installed
 */
PYPROF_API pyprof_status pyprof_tracer_set_flags(pyprof_tracer *tracer,
                                                 uint64_t flags,
                                                 pyprof_error *err);

/**
 * @brief Begins to record. A tracer that is installed goes on; then 0 too.
 *
 * What was recorded before stays and is added to.
 *
 * @retval PYPROF_ERR_NOT_PYTHON no CPython in this process, or its library was
 *                               loaded without showing its symbols
 * @retval PYPROF_ERR_NOT_READY Python is not initialised, or not any more
 * @retval PYPROF_ERR_UNSUPPORTED_TARGET its structures are not those of a
 *                               CPython that this library knows
 * @retval PYPROF_ERR_BUSY all places of `sys.monitoring` are taken (the message
 *                         says by whom), or called from the tracer's clock
 * @retval PYPROF_ERR_CALLBACK a function of Python failed
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_tracer_install(pyprof_tracer *tracer,
                                               pyprof_error *err);

/**
 * @brief Ends recording; from any thread. 0 too when it is not installed.
 *
 * Calls that are open end now, in the results.
 *
 * @retval PYPROF_ERR_BUSY called from the tracer's own clock
 */
PYPROF_API pyprof_status pyprof_tracer_uninstall(pyprof_tracer *tracer,
                                                 pyprof_error *err);

/**
 * @brief Forgets all that was recorded, with the calls that are open.
 *
 * @retval PYPROF_ERR_BUSY called from the tracer's own clock
 */
PYPROF_API pyprof_status pyprof_tracer_clear(pyprof_tracer *tracer,
                                             pyprof_error *err);

/**
 * @brief Shows what was recorded so far, installed or not.
 *
 * Calls that have not ended are not in it.
 *
 * @param tracer the tracer
 * @param take   gets the results, borrowed for this call; a value other than 0
 *               becomes ::PYPROF_ERR_CALLBACK
 * @param user   passed to `take`
 * @param err    details of a failure, may be NULL
 * @retval PYPROF_ERR_NO_MEMORY out of memory, now or while it recorded; in the
 *                              latter case until ::pyprof_tracer_clear
 * @retval PYPROF_ERR_NOT_READY the interpreter that was traced has ended
 */
PYPROF_API pyprof_status
pyprof_tracer_snapshot(pyprof_tracer *tracer,
                       int32_t (*take)(void *user, const pyprof_calls *calls),
                       void *user, pyprof_error *err);

/**
 * @brief Gives what was recorded so far to a collector, as one run of it.
 *
 * A collector that takes calls (::pyprof_collector_ops) gets these. Any other
 * gets the call paths, each as a stack that was seen once for each microsecond
 * in it, if the tracer has ::PYPROF_TRACE_PATHS.
 *
 * @retval PYPROF_ERR_INVALID the format needs call paths, and there are none
 * @retval PYPROF_ERR_BUSY the collector is in use
 * @retval PYPROF_ERR_NO_MEMORY as with ::pyprof_tracer_snapshot
 * @retval PYPROF_ERR_NOT_READY the interpreter that was traced has ended
 */
PYPROF_API pyprof_status pyprof_tracer_collect(pyprof_tracer *tracer,
                                               pyprof_collector *collector,
                                               pyprof_error *err);

/**
 * @brief Reads the counters.
 *
 * @retval PYPROF_ERR_INVALID an argument is NULL, or `out_stats->sz` is not set
 */
PYPROF_API pyprof_status
pyprof_tracer_read_stats(pyprof_tracer *tracer, pyprof_tracer_stats *out_stats);

/** @brief Uninstalls and frees a tracer. NULL is fine. */
PYPROF_API void pyprof_tracer_free(pyprof_tracer *tracer);

PYPROF_END_DECLS

#endif /* PYPROF_TRACER_H */
