/**
 * @file pyprof/sampler.h
 * @brief Look at a target from outside, on a clock.
 *
 * A sampler reads the stacks of a target's threads and pushes them into one or
 * more collectors. It can be driven in three ways:
 * - by its own threads: ::pyprof_sampler_start, then ::pyprof_sampler_wait;
 * - by the caller's loop: ::pyprof_sampler_step, one round at a time;
 * - on demand: ::pyprof_sampler_snapshot.
 *
 * Nothing is written into the target and, by default, it is never stopped: the
 * sampling thread wakes up on the CPU that the target's running thread uses,
 * so that nothing runs while it is read; what was read is checked, and a stack
 * that changed meanwhile is read again with that one thread stopped, or
 * delivered as torn with its sound root part. Every stack attempted is counted
 * as whole, torn, gone or unreadable.
 */
#ifndef PYPROF_SAMPLER_H
#define PYPROF_SAMPLER_H

#include <pyprof/collector.h>
#include <pyprof/target.h>

PYPROF_BEGIN_DECLS

/** Reads stacks of one target. */
typedef struct pyprof_sampler pyprof_sampler;

/** Which threads a round takes. */
enum {
    PYPROF_MODE_WALL = 0 /**< all that were asked for, whatever they do */
};

/** Where the sampling thread runs. */
enum {
    PYPROF_PLACEMENT_AUTO = 0, /**< target up to 2 kHz, free above */
    /** on the CPU of the target's running thread */
    PYPROF_PLACEMENT_TARGET = 1,
    PYPROF_PLACEMENT_FREE = 2 /**< on any other CPU: cheapest for the target */
};

/** What is sampled, and how (bits of pyprof_sampler_opts.flags). */
enum {
    PYPROF_SAMPLE_ALL_THREADS = 1, /**< all threads, not just the main one */
    PYPROF_SAMPLE_BLOCKING = 2,    /**< stop all threads around each round */
    /** never stop a thread, flag the stack instead */
    PYPROF_SAMPLE_NO_STOPS = 4,
    PYPROF_SAMPLE_JITTER = 8, /**< move each round by up to half an interval */
    /** decode in the sampling thread: no second thread */
    PYPROF_SAMPLE_INLINE = 16
};

/** Options of a sampler. */
typedef struct pyprof_sampler_opts {
    size_t sz;            /**< sizeof(pyprof_sampler_opts) */
    uint64_t interval_ns; /**< between two rounds; 0: 1 ms; at least 1,000 */
    uint64_t duration_ns; /**< 0: until the target ends */
    uint64_t flags;       /**< PYPROF_SAMPLE_ bits */
    int32_t mode;         /**< PYPROF_MODE_ */
    int32_t placement;    /**< PYPROF_PLACEMENT_ */
    /**
     * frames of a stack, deeper ones are cut at the root and marked; 0: 4,096
     */
    uint32_t max_depth;
    uint32_t max_stops;   /**< threads stopped in a second, at most; 0: 1,000 */
    uint32_t max_codes;   /**< code objects cached; 0: 65,536 */
    uint32_t max_stacks;  /**< distinct stacks; 0: 8,388,608 */
    uint32_t max_threads; /**< threads at one time; 0: 65,536 */
    /** between sampling and decoding thread; 0: 1 MiB */
    uint32_t buffer_bytes;
} pyprof_sampler_opts;

/** Counters of a sampler; all grow from its opening on. */
typedef struct pyprof_sampler_stats {
    size_t sz;           /**< sizeof(pyprof_sampler_stats), set by the caller */
    uint64_t elapsed_ns; /**< since the first round */
    uint64_t rounds;     /**< rounds done */
    /** thread stacks attempted: the sum of the next four */
    uint64_t attempted;
    uint64_t whole;      /**< read whole */
    uint64_t torn;       /**< changed while read: root part kept */
    uint64_t gone;       /**< the thread ended meanwhile */
    uint64_t unreadable; /**< nothing could be read */
    uint64_t truncated;  /**< of the whole ones, cut at max_depth */
    uint64_t idle;       /**< of the whole ones, without a Python frame */
    uint64_t missed;     /**< ticks that passed without a round */
    uint64_t overrun;    /**< rounds lost because decoding was behind */
    uint64_t retries; /**< rounds read again (moved to the CPU, or stopped) */
    uint64_t stops;   /**< times that a thread was stopped */
    /** stops not made: over max_stops, or not permitted */
    uint64_t stops_refused;
    uint64_t moves;      /**< times that the sampling thread changed its CPU */
    uint64_t read_calls; /**< system calls that read the target's memory */
    uint64_t read_spans; /**< pieces read by them */
    uint64_t read_bytes; /**< bytes read by them */
    uint64_t codes;      /**< code objects in the cache */
    uint64_t codes_read; /**< code objects read from the target */
    uint64_t codes_changed; /**< of these, found to have replaced another */
    uint64_t codes_evicted; /**< dropped because max_codes was reached */
    uint64_t stacks;        /**< distinct stacks */
    uint64_t folded; /**< stacks or names folded because a cap was reached */
    uint64_t threads_seen; /**< threads seen so far */
    uint64_t cpu_ns;       /**< CPU time of the sampler's threads */
    uint64_t memory_bytes; /**< memory held by caches and tables */
    int32_t placement;     /**< PYPROF_PLACEMENT_ in use */
    int32_t reserved;      /**< 0 */
} pyprof_sampler_stats;

/**
 * @brief A sampler for a target that is ready.
 *
 * @param target      stays the caller's and must outlive the sampler
 * @param opts        NULL for the defaults
 * @param out_sampler close it with ::pyprof_sampler_close
 * @param err         details of a failure, may be NULL
 * @retval PYPROF_ERR_INVALID an option is out of its range
 * @retval PYPROF_ERR_UNSUPPORTED an option that this library does not know
 * @retval PYPROF_ERR_NOT_READY the target has no Python yet
 * @retval PYPROF_ERR_CORRUPT its structures are not believable
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_sampler_open(pyprof_target *target,
                                             const pyprof_sampler_opts *opts,
                                             pyprof_sampler **out_sampler,
                                             pyprof_error *err);

/**
 * @brief Adds a collector; all get every sample. Before the first round only.
 *
 * The collector stays the caller's and must outlive the sampler's run.
 *
 * @retval PYPROF_ERR_BUSY sampling has begun, or the collector is in use
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_sampler_add(pyprof_sampler *sampler,
                                            pyprof_collector *collector,
                                            pyprof_error *err);

/**
 * @brief Starts sampling in threads of the library.
 *
 * @retval PYPROF_ERR_BUSY it runs, has run, or is stepped by the caller
 * @retval PYPROF_ERR_OS no thread could be started
 */
PYPROF_API pyprof_status pyprof_sampler_start(pyprof_sampler *sampler,
                                              pyprof_error *err);

/**
 * @brief Asks a running sampler to stop after the round at hand.
 *
 * Thread-safe and async-signal-safe.
 */
PYPROF_API void pyprof_sampler_stop(pyprof_sampler *sampler);

/**
 * @brief Waits for the end of sampling: duration over, target ended, stopped,
 *        or failed.
 *
 * Collectors have been told of the end when this succeeds.
 *
 * @param sampler    a sampler that was started
 * @param timeout_ns nanoseconds, UINT64_MAX to wait for ever, 0 to look
 * @param err        details of a failure, may be NULL
 * @retval PYPROF_OK it ended, for one of the reasons above but the last
 * @retval PYPROF_ERR_NOT_READY it still runs
 * @retval PYPROF_ERR_CALLBACK a collector failed
 * @retval PYPROF_ERR_NO_PERMISSION the target may no longer be read
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_sampler_wait(pyprof_sampler *sampler,
                                             uint64_t timeout_ns,
                                             pyprof_error *err);

/**
 * @brief One round, now, in the calling thread; samples reach the collectors
 *        before it returns.
 *
 * The calling thread is moved to another CPU only with
 * ::PYPROF_PLACEMENT_TARGET, and back.
 *
 * @retval PYPROF_ERR_GONE the target has ended: call ::pyprof_sampler_finish
 * @retval PYPROF_ERR_BUSY the sampler runs in threads of its own
 * @retval PYPROF_ERR_CALLBACK a collector failed
 */
PYPROF_API pyprof_status pyprof_sampler_step(pyprof_sampler *sampler,
                                             pyprof_error *err);

/**
 * @brief Ends a stepped run: tells the collectors. No step may follow.
 *
 * @retval PYPROF_ERR_BUSY the sampler runs in threads of its own
 */
PYPROF_API pyprof_status pyprof_sampler_finish(pyprof_sampler *sampler,
                                               pyprof_error *err);

/**
 * @brief One snapshot, outside any run: `take` gets one sample.
 *
 * Thread names are read as well. Collectors are not involved.
 *
 * @param sampler a sampler that was not started
 * @param take    gets the sample; returns 0, or a value that ends in
 *                ::PYPROF_ERR_CALLBACK
 * @param user    passed to `take`
 * @param err     details of a failure, may be NULL
 * @retval PYPROF_ERR_GONE the target has ended
 * @retval PYPROF_ERR_BUSY the sampler runs in threads of its own
 */
PYPROF_API pyprof_status pyprof_sampler_snapshot(
    pyprof_sampler *sampler,
    int32_t (*take)(void *user, const pyprof_sample *sample), void *user,
    pyprof_error *err);

/**
 * @brief The counters so far. Thread-safe.
 *
 * @param sampler   any sampler
 * @param out_stats filled up to its `sz`
 */
PYPROF_API pyprof_status pyprof_sampler_read_stats(
    const pyprof_sampler *sampler, pyprof_sampler_stats *out_stats);

/**
 * @brief Stops, ends and frees a sampler. NULL is fine.
 *
 * A thread of the target that the sampler had stopped runs again.
 */
PYPROF_API void pyprof_sampler_close(pyprof_sampler *sampler);

PYPROF_END_DECLS

#endif /* PYPROF_SAMPLER_H */
