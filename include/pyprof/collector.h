/**
 * @file pyprof/collector.h
 * @brief Who takes the samples: the built-in formats, or the caller's own.
 */
#ifndef PYPROF_COLLECTOR_H
#define PYPROF_COLLECTOR_H

#include <pyprof/sample.h>
#include <pyprof/writer.h>

PYPROF_BEGIN_DECLS

/** Takes samples and, in the end, writes a file. */
typedef struct pyprof_collector pyprof_collector;

/** What is known before the first sample. Valid for this callback. */
typedef struct pyprof_session {
    size_t sz;             /**< sizeof(pyprof_session) */
    uint64_t interval_ns;  /**< planned time between two rounds */
    uint64_t start_ns;     /**< monotonic clock at the start */
    int64_t start_unix_ns; /**< the same moment, nanoseconds since 1970 */
    int64_t pid;           /**< the target, 0 if there is none */
    int32_t mode;          /**< PYPROF_MODE_ of the sampler */
    /** hex version as in sys.hexversion >> 16, such as 0x030f; 0: not known */
    int32_t python_version;
    uint64_t capture; /**< PYPROF_SAMPLE_ flags of the sampler */
    /** alive until the collector is freed or begins again */
    const pyprof_tables *tables;
    /**
     * NULL, or where a collector that streams writes while it collects; alive
     * until it is written (::pyprof_collector_write)
     */
    pyprof_writer *writer;
} pyprof_session;

/** What is known after the last sample. Valid for this callback. */
typedef struct pyprof_summary {
    size_t sz;            /**< sizeof(pyprof_summary) */
    uint64_t duration_ns; /**< from the first round to the end */
    uint64_t rounds;      /**< samples taken */
    uint64_t attempted;   /**< thread stacks attempted */
    uint64_t whole;       /**< of these, whole */
    uint64_t torn;        /**< of these, torn (root part kept) */
    uint64_t gone;        /**< of these, of threads that ended meanwhile */
    uint64_t unreadable;  /**< of these, unreadable */
    uint64_t missed;      /**< ticks that passed without a round */
} pyprof_summary;

/** What kind of function a ::pyprof_function_calls is about. */
enum {
    PYPROF_FUNCTION_PYTHON = 0, /**< one code object */
    PYPROF_FUNCTION_C = 1,      /**< a function made in C */
    PYPROF_FUNCTION_OTHER = 2   /**< `<other functions>`: beyond a limit */
};

/**
 * @brief Calls of one function.
 *
 * Elements of an array of the library: the size is part of the ABI. Times are
 * seconds of the tracer's clock.
 */
typedef struct pyprof_function_calls {
    pyprof_text name; /**< co_name; of a C function what cProfile shows */
    pyprof_text
        qualname;       /**< co_qualname (co_name before 3.11); `name` for C */
    pyprof_text file;   /**< co_filename; "~" for a C function */
    int32_t first_line; /**< line of the definition; 0 for a C function */
    int32_t kind;       /**< PYPROF_FUNCTION_ */
    const void *code;   /**< the code object (a PyObject), NULL for others */
    uint64_t calls;     /**< calls that ended */
    /** of these, those that were not inside another call of the function */
    uint64_t primitive_calls;
    double own_time;       /**< in the function itself */
    double total_time;     /**< in it and all it called; recursion once */
    uint64_t first_caller; /**< index into pyprof_calls.callers */
    uint64_t n_callers;    /**< how many, from there on */
} pyprof_function_calls;

/** Calls of a function by one other (or itself). Likewise an element. */
typedef struct pyprof_caller_calls {
    uint64_t caller;          /**< index into pyprof_calls.functions */
    uint64_t calls;           /**< calls that ended */
    uint64_t primitive_calls; /**< not inside another call of the same pair */
    double own_time;          /**< in the callee, when it was called so */
    double total_time;        /**< in it and all it called; recursion once */
} pyprof_caller_calls;

/** What a tracer recorded. Valid, with all it points to, for this callback. */
typedef struct pyprof_calls {
    size_t sz;                              /**< sizeof(pyprof_calls) */
    const pyprof_function_calls *functions; /**< in no order */
    uint64_t n_functions;                   /**< how many; may be 0 */
    const pyprof_caller_calls *callers;     /**< by callee */
    uint64_t n_callers;                     /**< how many; may be 0 */
} pyprof_calls;

/**
 * @brief The functions of a collector.
 *
 * Called by one thread at a time. A run is `begin`, any number of `sample`,
 * then `finish` at most once (it may write several files by asking for several
 * writers elsewhere); another run may follow, whose `begin` starts anew. `free`
 * comes exactly once, last. A slot answers 0, or a status: with that the run
 * ends and the caller gets it, with the slot's `err` where the slot filled it.
 * Any other value becomes ::PYPROF_ERR_CALLBACK.
 */
typedef struct pyprof_collector_ops {
    size_t sz;        /**< sizeof(pyprof_collector_ops) */
    const char *name; /**< name of the format; static */
    uint64_t caps;    /**< PYPROF_COLLECTOR_ bits */
    /**
     * MAY be NULL. MUST NOT keep `session`; may keep `session->tables`. Without
     * ::PYPROF_COLLECTOR_STREAMS `session->writer` is NULL; with it, it may be
     * NULL: then the collector MUST keep what it has for `finish`.
     */
    pyprof_status (*begin)(void *self, const pyprof_session *session,
                           pyprof_error *err);
    /** MUST be set. MUST NOT keep `sample`. Not called when there is no stack.
     */
    pyprof_status (*sample)(void *self, const pyprof_sample *sample,
                            pyprof_error *err);
    /**
     * MAY be NULL. Writes the result, or what is left of it. MUST NOT finish or
     * close the writer, which is `session->writer` where there was one.
     */
    pyprof_status (*finish)(void *self, const pyprof_summary *summary,
                            pyprof_writer *writer, pyprof_error *err);
    /** MAY be NULL. Gives back all that the collector holds. */
    void (*free)(void *self);
    /** MAY be NULL: then it gets call paths as samples. MUST NOT keep `calls`.
     * A run has either samples or one call of this. */
    pyprof_status (*calls)(void *self, const pyprof_calls *calls,
                           pyprof_error *err);
} pyprof_collector_ops;

/** What a format is like (bits of pyprof_collector_ops.caps). */
enum {
    PYPROF_COLLECTOR_TEXT = 1, /**< meant to be read by a person */
    /** goes to standard output when no path is given */
    PYPROF_COLLECTOR_TO_STDOUT = 2,
    /**
     * writes while it collects, in bounded memory, if it is given its writer
     * by ::pyprof_collector_stream
     */
    PYPROF_COLLECTOR_STREAMS = 4,
    /**
     * a saved profile, which ::pyprof_replay_add_path reads
     */
    PYPROF_COLLECTOR_SAVED = 8,
    /** several files: needs a writer of ::pyprof_writer_open_folder */
    PYPROF_COLLECTOR_FOLDER = 16,
    /** compares with pyprof_format_opts.baseline, which must be set */
    PYPROF_COLLECTOR_BASELINE = 32
};

/** How a text table is sorted. */
enum {
    PYPROF_SORT_DEFAULT = 0,    /**< same as PYPROF_SORT_NSAMPLES */
    PYPROF_SORT_NSAMPLES = 1,   /**< samples in the function itself */
    PYPROF_SORT_TOTTIME = 2,    /**< time in the function itself */
    PYPROF_SORT_CUMTIME = 3,    /**< time in it and all it calls */
    PYPROF_SORT_SAMPLE_PCT = 4, /**< share of samples in itself */
    PYPROF_SORT_CUMUL_PCT = 5,  /**< share of samples in it and all it calls */
    PYPROF_SORT_NSAMPLES_CUMUL = 6, /**< samples in it and all it calls */
    PYPROF_SORT_NAME = 7            /**< file, line and name, ascending */
};

/** What a built-in format may be told (bits of pyprof_format_opts.flags). */
enum {
    PYPROF_FORMAT_NO_SUMMARY = 1, /**< table: without the summary below it */
    PYPROF_FORMAT_COLOR = 2,      /**< table: ANSI colours */
    /** pstats: 3.15's ("__sampled__",) key, which older pstats can't load */
    PYPROF_FORMAT_SAMPLED_MARK = 4,
    PYPROF_FORMAT_UNCOMPRESSED = 8 /**< saved profiles: without zstd */
};

/**
 * @brief Reads a source file as the target sees it.
 *
 * Called when a profile is written, once for each file at most, with the path
 * that the program itself names (untrusted: it may lead anywhere, and need not
 * exist). Writes the file's bytes to `to`, and neither finishes nor closes it.
 * Any failure means "no such file", and the output says so; none ends the
 * writing.
 */
typedef pyprof_status (*pyprof_source_fn)(void *user, pyprof_text path,
                                          pyprof_writer *to, pyprof_error *err);

/**
 * @brief Drives an older profile into a collector, from its begin to its end.
 *
 * Called once, before the first sample of the profile that is compared with it.
 * A failure ends the run with that status.
 */
typedef pyprof_status (*pyprof_baseline_fn)(void *user, pyprof_collector *into,
                                            pyprof_error *err);

/** Options of a built-in format; each uses what it understands. */
typedef struct pyprof_format_opts {
    size_t sz;                         /**< sizeof(pyprof_format_opts) */
    const pyprof_allocator *allocator; /**< NULL: the C library's */
    int32_t sort;                      /**< PYPROF_SORT_ */
    int32_t limit;  /**< rows of a table; 0: 15; negative: all */
    uint64_t flags; /**< PYPROF_FORMAT_ bits */
    /** pages: source lines come from here; NULL: there are none */
    pyprof_source_fn source;
    void *source_user; /**< passed to `source` */
    /** diff-flamegraph: what to compare with */
    pyprof_baseline_fn baseline;
    void *baseline_user; /**< passed to `baseline` */
} pyprof_format_opts;

/**
 * @brief A collector with a built-in format.
 *
 * `table` is for a person: one row a function, of whichever samples were taken.
 * `pstats` is for Python's pstats and the tools around it, from 2.7 on: one row
 * a line. `collapsed` is for flame graph tools: one line a stack and thread.
 * `flamegraph` is one page for a browser; `diff-flamegraph` the same, compared
 * with an older profile. `heatmap` is a folder of pages, one a source file.
 *
 * @param format        a name of ::pyprof_format, such as "collapsed"
 * @param opts          NULL for the defaults
 * @param out_collector close it with ::pyprof_collector_free
 * @param err           details of a failure, may be NULL
 * @retval PYPROF_ERR_NO_FORMAT no format of that name
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 * @retval PYPROF_ERR_INVALID an argument or option is wrong
 * @retval PYPROF_ERR_UNSUPPORTED an option that this library does not know
 */
PYPROF_API pyprof_status pyprof_collector_new_format(
    const char *format, const pyprof_format_opts *opts,
    pyprof_collector **out_collector, pyprof_error *err);

/**
 * @brief A collector of the caller's own.
 *
 * `ops` is copied, `self` is passed to each slot and given back by `free`. When
 * this fails, `free` is not called.
 *
 * @retval PYPROF_ERR_INVALID a slot that must be set is NULL
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_collector_new(const pyprof_collector_ops *ops,
                                              void *self,
                                              pyprof_collector **out_collector,
                                              pyprof_error *err);

/**
 * @brief Gives a collector its writer before its next run begins.
 *
 * It writes as it collects and flushes about once a second, so memory stays
 * bounded, and what was flushed survives a kill where the writer's file is
 * there from the start (::PYPROF_WRITER_IN_PLACE). ::pyprof_collector_write
 * with the same writer ends the file. A run that fails to write fails.
 *
 * @param collector one that is not in a run
 * @param writer    stays the caller's; NULL: not after all
 * @param err       details of a failure, may be NULL
 * @retval PYPROF_ERR_UNSUPPORTED the format can't (no
 *                                ::PYPROF_COLLECTOR_STREAMS)
 * @retval PYPROF_ERR_BUSY a run has begun
 */
PYPROF_API pyprof_status pyprof_collector_stream(pyprof_collector *collector,
                                                 pyprof_writer *writer,
                                                 pyprof_error *err);

/**
 * @brief Writes what was collected; the run must have ended.
 *
 * May be called once for each run, whether it succeeds or not. It neither
 * finishes nor closes the writer. A collector that streamed needs the writer
 * that it streamed to.
 *
 * @retval PYPROF_ERR_BUSY the run has not ended, or it was written before
 * @retval PYPROF_ERR_INVALID another writer than that of the run
 * @retval PYPROF_ERR_IO writing failed
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 * @retval PYPROF_ERR_CALLBACK the collector's own function failed
 */
PYPROF_API pyprof_status pyprof_collector_write(pyprof_collector *collector,
                                                pyprof_writer *writer,
                                                pyprof_error *err);

/** @brief Name of a collector's format. Static text. */
PYPROF_API const char *pyprof_collector_name(const pyprof_collector *collector);

/** @brief Frees a collector; no sampler may use it any more. NULL is fine. */
PYPROF_API void pyprof_collector_free(pyprof_collector *collector);

/** One built-in format. All text is static. */
typedef struct pyprof_format_info {
    size_t sz;          /**< sizeof(pyprof_format_info), set by the caller */
    const char *name;   /**< such as "collapsed" */
    const char *suffix; /**< of its files, such as ".txt" */
    const char *description; /**< one line for a help text */
    uint64_t caps;           /**< PYPROF_COLLECTOR_ bits */
} pyprof_format_info;

/**
 * @brief The built-in formats, by index from 0.
 *
 * Thread-safe.
 *
 * @retval PYPROF_ERR_NO_FORMAT there is no format with that index
 * @retval PYPROF_ERR_INVALID `out_info` is NULL, or its `sz` is not set
 */
PYPROF_API pyprof_status pyprof_format(uint32_t index,
                                       pyprof_format_info *out_info);

PYPROF_END_DECLS

#endif /* PYPROF_COLLECTOR_H */
