/**
 * @file pyprof/replay.h
 * @brief A saved profile back into any collector.
 *
 * Reads what the formats with ::PYPROF_COLLECTOR_SAVED write, and what the
 * `--binary` of Python 3.15's profiling.sampling writes. Several files become
 * one profile; threads and times can be picked.
 */
#ifndef PYPROF_REPLAY_H
#define PYPROF_REPLAY_H

#include <pyprof/collector.h>

PYPROF_BEGIN_DECLS

/** Saved profiles on their way into collectors. */
typedef struct pyprof_replay pyprof_replay;

/** How a profile is read (bits of pyprof_replay_opts.flags). */
enum {
    /** of a damaged or unfinished file, use what comes before the damage */
    PYPROF_REPLAY_SALVAGE = 1
};

/** Options of a replay. */
typedef struct pyprof_replay_opts {
    size_t sz;                         /**< sizeof(pyprof_replay_opts) */
    const pyprof_allocator *allocator; /**< NULL: the C library's */
    uint64_t flags;                    /**< PYPROF_REPLAY_ bits */
    int64_t pid; /**< only threads of this process; 0: all */
    /** only threads with this native, system or Python id; 0: all */
    uint64_t thread;
    uint64_t from_ns; /**< skip what is before, from the first file's start */
    uint64_t to_ns;   /**< and what is not before this; 0: to the end */
    uint32_t max_stacks; /**< distinct stacks; 0: 8,388,608 */
} pyprof_replay_opts;

/** What a file says of itself. Text is valid as long as the replay. */
typedef struct pyprof_replay_info {
    size_t sz;             /**< sizeof(pyprof_replay_info), set by the caller */
    const char *path;      /**< as it was given */
    const char *format;    /**< name of the format that writes it; static */
    int32_t is_packed;     /**< 1: compressed */
    int32_t is_swapped;    /**< 1: from a machine of the other byte order */
    uint64_t file_bytes;   /**< its size */
    uint64_t interval_ns;  /**< as in pyprof_session */
    uint64_t start_ns;     /**< as in pyprof_session */
    int64_t start_unix_ns; /**< 0: not known */
    int64_t pid;           /**< 0: not known */
    int32_t mode;          /**< as in pyprof_session, like the next two */
    int32_t python_version; /**< 0: not known */
    uint64_t capture;       /**< PYPROF_SAMPLE_ flags */
    /** after the run: 1 if the rest of it could not be read */
    int32_t is_damaged;
    int32_t reserved; /**< 0 */
    /** after the run: what is wrong with it, or "" */
    const char *damage;
} pyprof_replay_info;

/** Counters of a replay, after its run. */
typedef struct pyprof_replay_stats {
    size_t sz;            /**< sizeof(pyprof_replay_stats), set by the caller */
    uint64_t rounds;      /**< rounds that collectors got */
    uint64_t stacks;      /**< thread stacks that they got */
    uint64_t skipped;     /**< thread stacks that were not picked */
    uint64_t first_ns;    /**< time of the first round, from the start */
    uint64_t last_ns;     /**< time of the last one */
    uint64_t bytes;       /**< bytes read */
    uint64_t distinct;    /**< distinct stacks */
    uint64_t threads;     /**< threads */
    uint64_t table_bytes; /**< memory held by tables */
} pyprof_replay_stats;

/**
 * @brief A replay without files.
 *
 * @param opts       NULL for the defaults
 * @param out_replay free it with ::pyprof_replay_free
 * @param err        details of a failure, may be NULL
 * @retval PYPROF_ERR_UNSUPPORTED an option that this library does not know
 * @retval PYPROF_ERR_INVALID an argument or option is wrong
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_replay_new(const pyprof_replay_opts *opts,
                                           pyprof_replay **out_replay,
                                           pyprof_error *err);

/**
 * @brief Opens a file and reads its head.
 *
 * A second and further ones are merged by time: by the wall clock where each
 * file has it, else as if they had begun together.
 *
 * @retval PYPROF_ERR_IO it can't be opened or read
 * @retval PYPROF_ERR_CORRUPT it is no saved profile, or a damaged one
 * @retval PYPROF_ERR_UNSUPPORTED a later version of the format
 * @retval PYPROF_ERR_INVALID its interval or mode is another than the first's
 * @retval PYPROF_ERR_BUSY the replay has run
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_replay_add_path(pyprof_replay *replay,
                                                const char *path,
                                                pyprof_error *err);

/**
 * @brief The same with bytes in memory, which must outlive the run.
 *
 * @param replay one that has not run
 * @param name   for messages and pyprof_replay_info.path; copied
 * @param data   the file's bytes
 * @param size   how many
 * @param err    details of a failure, may be NULL
 */
PYPROF_API pyprof_status pyprof_replay_add_memory(pyprof_replay *replay,
                                                  const char *name,
                                                  const void *data, size_t size,
                                                  pyprof_error *err);

/**
 * @brief What is known of a file, by index from 0 in the order of adding.
 *
 * @retval PYPROF_ERR_INVALID no such file, or `out_info->sz` is not set
 */
PYPROF_API pyprof_status pyprof_replay_describe(const pyprof_replay *replay,
                                                uint32_t index,
                                                pyprof_replay_info *out_info);

/**
 * @brief Adds a collector; all get every sample.
 *
 * The collector stays the caller's and must outlive the run.
 *
 * @retval PYPROF_ERR_BUSY the replay has run
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_replay_add(pyprof_replay *replay,
                                           pyprof_collector *collector,
                                           pyprof_error *err);

/**
 * @brief Drives the collectors through the files; once.
 *
 * Whatever it answers, collectors that have begun are ended and can be written.
 * With ::PYPROF_REPLAY_SALVAGE damage is no failure: ::pyprof_replay_describe
 * tells of it.
 *
 * @retval PYPROF_ERR_INVALID there is no file
 * @retval PYPROF_ERR_BUSY it has run before
 * @retval PYPROF_ERR_CORRUPT a file is damaged, or has no end
 * @retval PYPROF_ERR_IO reading failed
 * @retval PYPROF_ERR_CALLBACK a collector failed
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_replay_run(pyprof_replay *replay,
                                           pyprof_error *err);

/**
 * @brief Counters of the run.
 *
 * @retval PYPROF_ERR_INVALID an argument is NULL, or `out_stats->sz` is not set
 */
PYPROF_API pyprof_status pyprof_replay_read_stats(
    const pyprof_replay *replay, pyprof_replay_stats *out_stats);

/** @brief Closes the files and frees the replay. NULL is fine. */
PYPROF_API void pyprof_replay_free(pyprof_replay *replay);

PYPROF_END_DECLS

#endif /* PYPROF_REPLAY_H */
