/**
 * @file pyprof/common.h
 * @brief What every other header needs: the export macro, the opts grammar,
 *        text, allocation and logging.
 *
 * Rules that hold for the whole interface:
 * - Argument order is: self, inputs, sizes after their buffers, opts,
 *   `out_x`, `err`. Results are written only on success.
 * - An opts structure begins with `size_t sz`, set to `sizeof` of the
 *   structure that the caller was compiled with. Zero in any other field means
 *   "the default". A non-zero byte that this library does not know yields
 *   ::PYPROF_ERR_UNSUPPORTED, so a newer program never has an option ignored
 *   in silence. NULL opts means all defaults.
 * - A structure that the library fills also begins with `size_t sz`; the
 *   library writes at most `sz` bytes of it.
 * - A handle is used by one thread at a time, except for functions marked
 *   *thread-safe*.
 * - The library has no global state, installs no signal handler, reads no
 *   environment variable, prints nothing and never exits.
 */
#ifndef PYPROF_COMMON_H
#define PYPROF_COMMON_H

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
#define PYPROF_BEGIN_DECLS extern "C" {
#define PYPROF_END_DECLS }
#else
#define PYPROF_BEGIN_DECLS
#define PYPROF_END_DECLS
#endif

/** Marks a function of the stable interface. */
#if defined(__GNUC__) || defined(__clang__)
#define PYPROF_API __attribute__((visibility("default")))
#else
#define PYPROF_API
#endif

PYPROF_BEGIN_DECLS

/**
 * @brief Bytes that the library lends: UTF-8 text with its length.
 *
 * `data` is never NULL and `data[size]` is always a NUL byte, but the text may
 * contain NUL bytes of its own. How long it lives is said where it is given.
 */
typedef struct pyprof_text {
    const char *data; /**< first byte */
    uint64_t size;    /**< bytes, without the final NUL */
} pyprof_text;

/**
 * @brief Where the library gets its memory from.
 *
 * The functions must be callable from any thread. The table is copied; `user`
 * must outlive the handle that it was given to.
 */
typedef struct pyprof_allocator {
    size_t sz; /**< sizeof(pyprof_allocator) */
    /** Returns `size` bytes, aligned as malloc does, or NULL. MUST be set. */
    void *(*alloc)(void *user, size_t size);
    /** Like C's realloc: `ptr` may be NULL. MUST be set. */
    void *(*realloc)(void *user, void *ptr, size_t size);
    /** Like C's free: `ptr` may be NULL. MUST be set. */
    void (*free)(void *user, void *ptr);
    void *user; /**< passed to each function */
} pyprof_allocator;

/** Importance of a log line. */
enum {
    PYPROF_LOG_ERROR = 1,   /**< something asked for could not be done */
    PYPROF_LOG_WARNING = 2, /**< done, but not as asked */
    PYPROF_LOG_INFO = 3,    /**< what was found and chosen */
    PYPROF_LOG_DEBUG = 4    /**< each step, for a bug report */
};

/**
 * @brief Receives log lines; silent by default.
 *
 * Called on the thread that met the event, never while a target is stopped
 * and never once per sample. `message` is one line without a newline and is
 * valid for this call only. MUST NOT call back into the handle it came from.
 */
typedef void (*pyprof_log_fn)(void *user, int32_t level, const char *area,
                              const char *message);

PYPROF_END_DECLS

#endif /* PYPROF_COMMON_H */
