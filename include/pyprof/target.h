/**
 * @file pyprof/target.h
 * @brief What to look at: a process by its id, a command to start, or this
 *        process; and, where it can't be looked at, why.
 */
#ifndef PYPROF_TARGET_H
#define PYPROF_TARGET_H

#include <pyprof/status.h>

PYPROF_BEGIN_DECLS

/** A process that is, or will become, a CPython program. */
typedef struct pyprof_target pyprof_target;

/** Options of a target. */
typedef struct pyprof_target_opts {
    size_t sz;                         /**< sizeof(pyprof_target_opts) */
    const pyprof_allocator *allocator; /**< NULL: the C library's */
    pyprof_log_fn log;                 /**< NULL: silent */
    void *log_user;                    /**< passed to `log` */
} pyprof_target_opts;

/** A command to start. */
typedef struct pyprof_command {
    size_t sz; /**< sizeof(pyprof_command) */
    /** program (looked up in PATH) and arguments, NULL at the end */
    const char *const *argv;
    /** environment, NULL at the end; NULL: this process's */
    const char *const *envp;
    const char *cwd; /**< working directory; NULL: this process's */
    /** descriptors for its 0, 1, 2, plus one each; 0: inherited */
    int32_t fds[3];
    int32_t reserved; /**< 0 */
} pyprof_command;

/** What a process turned out to be. */
typedef struct pyprof_target_info {
    size_t sz;         /**< sizeof(pyprof_target_info), set by the caller */
    int64_t pid;       /**< its id here */
    int64_t inner_pid; /**< its id in its own pid namespace */
    /** like sys.hexversion, such as 0x030f02f0; 0: no Python seen yet */
    int32_t version;
    int32_t free_threaded;  /**< 1: built without the GIL */
    int32_t self_described; /**< 1: it describes its own structures (3.13+) */
    int32_t reserved;       /**< 0 */
    uint64_t runtime;       /**< address of its runtime */
    pyprof_text found_by;   /**< how the runtime was found, one or two words */
    pyprof_text image; /**< file that has the runtime, as the target names it */
} pyprof_target_info;

/**
 * @brief Takes hold of a running process; it is not stopped or changed.
 *
 * @param pid        process id; the caller's own is allowed
 * @param opts       NULL for the defaults
 * @param out_target close it with ::pyprof_target_close
 * @param err        details of a failure, may be NULL
 * @retval PYPROF_ERR_INVALID `pid` is not positive
 * @retval PYPROF_ERR_NO_PROCESS there is no such process
 * @retval PYPROF_ERR_NO_PERMISSION the message names the rule and the remedy
 * @retval PYPROF_ERR_NOT_PYTHON it has no CPython runtime
 * @retval PYPROF_ERR_UNSUPPORTED_TARGET a version that this library lacks
 * @retval PYPROF_ERR_NOT_READY its runtime is not initialised yet
 * @retval PYPROF_ERR_GONE it ended meanwhile
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_target_open(int64_t pid,
                                            const pyprof_target_opts *opts,
                                            pyprof_target **out_target,
                                            pyprof_error *err);

/**
 * @brief Takes hold of the calling process itself.
 *
 * The sampler's own threads are not Python threads and are never shown.
 * Errors are those of ::pyprof_target_open.
 */
PYPROF_API pyprof_status pyprof_target_open_self(const pyprof_target_opts *opts,
                                                 pyprof_target **out_target,
                                                 pyprof_error *err);

/**
 * @brief Starts a command, just as it would start by itself.
 *
 * It returns when the command runs; wait for its Python with
 * ::pyprof_target_ready. The command may be anything that becomes Python by
 * exec: a script with a `#!` line, a console entry point, a shell wrapper.
 *
 * @retval PYPROF_ERR_SPAWN not found, or not executable
 * @retval PYPROF_ERR_INVALID `argv` is NULL or empty
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_target_spawn(const pyprof_command *command,
                                             const pyprof_target_opts *opts,
                                             pyprof_target **out_target,
                                             pyprof_error *err);

/**
 * @brief Waits until the process has a Python thread to look at.
 *
 * For a process that was started by ::pyprof_target_spawn, or that executes
 * another program. Looks every millisecond at first, less often later.
 *
 * @param target     the target
 * @param timeout_ns nanoseconds, UINT64_MAX to wait for ever, 0 to look once
 * @param err        details of a failure, may be NULL
 * @retval PYPROF_ERR_NOT_READY the time passed
 * @retval PYPROF_ERR_BUSY ::pyprof_target_interrupt was called
 * @retval PYPROF_ERR_GONE it ended before
 * @retval PYPROF_ERR_UNSUPPORTED_TARGET a version that this library lacks
 * @retval PYPROF_ERR_NO_PERMISSION the message names the rule and the remedy
 */
PYPROF_API pyprof_status pyprof_target_ready(pyprof_target *target,
                                             uint64_t timeout_ns,
                                             pyprof_error *err);

/**
 * @brief Makes ::pyprof_target_ready and ::pyprof_target_wait return soon.
 *
 * Thread-safe and async-signal-safe. Holds until the target is closed.
 */
PYPROF_API void pyprof_target_interrupt(pyprof_target *target);

/**
 * @brief What the process is. Text is valid until the target is closed.
 *
 * @param target   the target
 * @param out_info filled up to its `sz`
 */
PYPROF_API pyprof_status pyprof_target_describe(const pyprof_target *target,
                                                pyprof_target_info *out_info);

/**
 * @brief 1 while the process runs, 0 when it has ended. Thread-safe.
 */
PYPROF_API int32_t pyprof_target_alive(const pyprof_target *target);

/**
 * @brief Waits until a started command ends, and tells how.
 *
 * @param target     a target of ::pyprof_target_spawn
 * @param timeout_ns nanoseconds, UINT64_MAX to wait for ever
 * @param out_status what a shell would show: its exit status, or 128 + signal
 * @param err        details of a failure, may be NULL
 * @retval PYPROF_ERR_NOT_READY the time passed
 * @retval PYPROF_ERR_BUSY ::pyprof_target_interrupt was called
 * @retval PYPROF_ERR_INVALID the process was not started by this library
 */
PYPROF_API pyprof_status pyprof_target_wait(pyprof_target *target,
                                            uint64_t timeout_ns,
                                            int32_t *out_status,
                                            pyprof_error *err);

/**
 * @brief Ends a started command: asks, waits, then makes it end.
 *
 * @param target   a target of ::pyprof_target_spawn
 * @param grace_ns nanoseconds between the request (SIGTERM) and force
 * @param err      details of a failure, may be NULL
 * @retval PYPROF_ERR_INVALID the process was not started by this library
 */
PYPROF_API pyprof_status pyprof_target_end(pyprof_target *target,
                                           uint64_t grace_ns,
                                           pyprof_error *err);

/** One step of ::pyprof_target_check. Text is valid for the call. */
typedef struct pyprof_check_step {
    size_t sz;            /**< sizeof(pyprof_check_step) */
    pyprof_status status; /**< PYPROF_OK, or why the step failed */
    int32_t reserved;     /**< 0 */
    pyprof_text step;     /**< such as "read its memory" */
    pyprof_text detail;   /**< what was found, or the cause and the remedy */
} pyprof_check_step;

/**
 * @brief Whether a process can be profiled and, if not, which step fails.
 *
 * Goes through: the process exists; its memory may be read; it has a CPython
 * runtime; the version is known; its structures are believable; its threads can
 * be read; a thread can be stopped (only needed for exactness on a busy
 * machine: tried without stopping anything). Stops at the first that fails.
 *
 * @param pid  process id
 * @param step called for each step, in order; may be NULL
 * @param user passed to `step`
 * @param err  details of the step that failed, may be NULL
 * @return PYPROF_OK, or the status of the step that failed
 */
PYPROF_API pyprof_status pyprof_target_check(
    int64_t pid, void (*step)(void *user, const pyprof_check_step *step),
    void *user, pyprof_error *err);

/**
 * @brief Lets go of a process; no sampler may use it any more. NULL is fine.
 *
 * A command that was started and still runs goes on by itself.
 */
PYPROF_API void pyprof_target_close(pyprof_target *target);

/** One CPython that this library can read. All text is static. */
typedef struct pyprof_version_info {
    size_t sz;       /**< sizeof(pyprof_version_info), set by the caller */
    int32_t version; /**< such as 0x030f for 3.15 */
    int32_t free_threaded; /**< 1: the build without the GIL */
    const char *name;      /**< such as "3.13t" */
} pyprof_version_info;

/**
 * @brief The CPython versions that can be read, by index from 0.
 *
 * Thread-safe.
 *
 * @retval PYPROF_ERR_INVALID there is no row with that index
 */
PYPROF_API pyprof_status
pyprof_supported_version(uint32_t index, pyprof_version_info *out_info);

PYPROF_END_DECLS

#endif /* PYPROF_TARGET_H */
