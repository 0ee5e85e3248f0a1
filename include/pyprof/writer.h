/**
 * @file pyprof/writer.h
 * @brief Where bytes go: a path, a file descriptor, memory, or a function.
 */
#ifndef PYPROF_WRITER_H
#define PYPROF_WRITER_H

#include <pyprof/status.h>

PYPROF_BEGIN_DECLS

/** A sink for bytes. */
typedef struct pyprof_writer pyprof_writer;

/**
 * @brief The functions of a sink that the caller brings.
 *
 * The table is copied; `user` must outlive the writer.
 */
typedef struct pyprof_writer_ops {
    size_t sz;        /**< sizeof(pyprof_writer_ops) */
    const char *name; /**< for messages, such as "socket"; static */
    uint64_t caps;    /**< 0; reserved */
    /**
     * Takes `size` bytes, all or none. MUST be set. Returns 0, or any other
     * value for a failure, which comes back as ::PYPROF_ERR_CALLBACK.
     */
    int32_t (*write)(void *user, const void *data, size_t size);
    /** Everything was written. MAY be NULL. Called at most once. */
    int32_t (*finish)(void *user);
    /** The writer is closed, finished or not. MAY be NULL. Called once. */
    void (*close)(void *user);
} pyprof_writer_ops;

/** How bytes are written (bits of pyprof_writer_opts.flags). */
enum {
    /**
     * a path: the file takes its name when it is opened, in place of an older
     * one, and grows; closed unfinished, it stays as it is
     */
    PYPROF_WRITER_IN_PLACE = 1
};

/** What is made of the bytes on the way. */
enum {
    PYPROF_COMPRESSION_NONE = 0, /**< nothing */
    PYPROF_COMPRESSION_GZIP = 1, /**< a gzip file */
    PYPROF_COMPRESSION_ZSTD = 2  /**< a zstd file */
};

/** Options of a writer. */
typedef struct pyprof_writer_opts {
    size_t sz;                         /**< sizeof(pyprof_writer_opts) */
    const pyprof_allocator *allocator; /**< NULL: the C library's */
    uint64_t flags;                    /**< PYPROF_WRITER_ bits */
    int32_t compression;               /**< PYPROF_COMPRESSION_ */
    int32_t reserved;                  /**< 0 */
} pyprof_writer_opts;

/**
 * @brief Opens a file that appears, whole, when the writer is finished.
 *
 * Bytes go to a temporary file in the same folder, which ::pyprof_writer_finish
 * renames to `path`; without that it is removed and an older file of that name
 * stays as it was. A `path` that is not a regular file (a pipe, a terminal,
 * `/dev/null`) is written directly; of a symbolic link, the file that it leads
 * to is replaced. The new file's mode is that of any new file under the umask.
 * A file that is protected from writing is not replaced.
 *
 * @param path       where; NUL-terminated, in the system's encoding
 * @param opts       NULL for the defaults
 * @param out_writer the writer; close it with ::pyprof_writer_close
 * @param err        details of a failure, may be NULL
 * @retval PYPROF_ERR_IO the folder is missing or not writable, or `path` is a
 *                       folder
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 * @retval PYPROF_ERR_INVALID an argument is NULL or empty
 */
PYPROF_API pyprof_status pyprof_writer_open_path(const char *path,
                                                 const pyprof_writer_opts *opts,
                                                 pyprof_writer **out_writer,
                                                 pyprof_error *err);

/**
 * @brief Opens a folder that several files are written into.
 *
 * The folder, and those above it, are made where they are missing. Bytes can't
 * be written to it: ::pyprof_writer_open_file opens each file. A folder that is
 * closed without ::pyprof_writer_finish loses the files that were written by
 * this writer and, where it was made for them and is empty then, goes too.
 *
 * @param path       where; NUL-terminated, in the system's encoding
 * @param opts       NULL for the defaults
 * @param out_writer the writer; close it with ::pyprof_writer_close
 * @param err        details of a failure, may be NULL
 * @retval PYPROF_ERR_IO it can't be made, or `path` is no folder
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 * @retval PYPROF_ERR_INVALID an argument is NULL or empty
 */
PYPROF_API pyprof_status
pyprof_writer_open_folder(const char *path, const pyprof_writer_opts *opts,
                          pyprof_writer **out_writer, pyprof_error *err);

/**
 * @brief Opens one file of a folder.
 *
 * As with ::pyprof_writer_open_path the file appears, whole, when its writer is
 * finished; one of that name is replaced, and a link of that name, too, not
 * what it leads to. The folder must outlive the file's writer.
 *
 * @param folder     a writer of ::pyprof_writer_open_folder
 * @param name       of 1 to 100 letters, digits, '.', '_' and '-', not
 * beginning with '.': it can't lead out of the folder
 * @param out_writer the writer; finish and close it
 * @param err        details of a failure, may be NULL
 * @retval PYPROF_ERR_INVALID another kind of writer, or another kind of name
 * @retval PYPROF_ERR_BUSY the folder is finished
 * @retval PYPROF_ERR_IO the system refused
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_writer_open_file(pyprof_writer *folder,
                                                 const char *name,
                                                 pyprof_writer **out_writer,
                                                 pyprof_error *err);

/**
 * @brief Writes to a file descriptor, which stays the caller's.
 *
 * Bytes are gathered, and reach the descriptor by ::pyprof_writer_finish at the
 * latest. A descriptor that does not block is waited for. A pipe whose reader
 * has gone is an error, never a SIGPIPE.
 *
 * @retval PYPROF_ERR_INVALID `fd` is negative
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_writer_open_fd(int32_t fd,
                                               const pyprof_writer_opts *opts,
                                               pyprof_writer **out_writer,
                                               pyprof_error *err);

/**
 * @brief Collects the bytes in memory; ::pyprof_writer_memory shows them.
 *
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status
pyprof_writer_open_memory(const pyprof_writer_opts *opts,
                          pyprof_writer **out_writer, pyprof_error *err);

/**
 * @brief Hands the bytes to the caller's functions.
 *
 * @retval PYPROF_ERR_INVALID a function that must be set is NULL
 * @retval PYPROF_ERR_NO_MEMORY out of memory
 */
PYPROF_API pyprof_status pyprof_writer_open_callback(
    const pyprof_writer_ops *ops, void *user, const pyprof_writer_opts *opts,
    pyprof_writer **out_writer, pyprof_error *err);

/**
 * @brief Writes bytes, all of them or an error.
 *
 * After a failure every later call fails with the same status. Where bytes are
 * gathered first, a failure may show in a later call than the one that it is
 * about.
 *
 * @retval PYPROF_ERR_IO the system refused (a full disk, a closed pipe)
 * @retval PYPROF_ERR_BUSY the writer is finished
 * @retval PYPROF_ERR_CALLBACK the caller's function refused
 * @retval PYPROF_ERR_NO_MEMORY a writer to memory could not grow
 */
PYPROF_API pyprof_status pyprof_writer_write(pyprof_writer *writer,
                                             const void *data, size_t size,
                                             pyprof_error *err);

/**
 * @brief Passes on what was gathered, so that it survives this process.
 *
 * The bytes are with the system afterwards, and so in a file that grows under
 * its own name or at a pipe's other end. Compression makes a block of what it
 * has.
 *
 * @retval PYPROF_ERR_IO the system refused
 * @retval PYPROF_ERR_BUSY the writer is finished
 * @retval PYPROF_ERR_CALLBACK the caller's function refused
 */
PYPROF_API pyprof_status pyprof_writer_flush(pyprof_writer *writer,
                                             pyprof_error *err);

/**
 * @brief Flushes, and makes a file appear under its name.
 *
 * @retval PYPROF_ERR_IO flushing or renaming failed
 * @retval PYPROF_ERR_CALLBACK the caller's function refused
 * @retval PYPROF_ERR_BUSY the writer is finished already
 */
PYPROF_API pyprof_status pyprof_writer_finish(pyprof_writer *writer,
                                              pyprof_error *err);

/**
 * @brief The bytes of a writer to memory.
 *
 * Valid until the next call on the writer. Empty for any other writer.
 */
PYPROF_API pyprof_text pyprof_writer_memory(const pyprof_writer *writer);

/** @brief Closes a writer; what is not finished is discarded. NULL is fine. */
PYPROF_API void pyprof_writer_close(pyprof_writer *writer);

PYPROF_END_DECLS

#endif /* PYPROF_WRITER_H */
