/*
 * path: a writer to a file by name. In goes a path; out comes a file that is
 * whole or not there.
 *
 * Bytes go to a temporary file beside the final one, which takes its name when
 * the writer is finished. The folder is held open, so that a program that
 * changes its own folder meanwhile does not move the file. What is no regular
 * file (a pipe, a terminal, /dev/null) can't be replaced and is written
 * directly.
 *
 * Invariants:
 * 1. Until finish, a file of the final name is as it was; in place, until the
 *    opening, and it is not removed.
 * 2. A temporary file is made new (O_EXCL), is never one that someone else put
 *    there, and is removed by close unless it was renamed.
 * 3. Symbolic links stay: the file that they lead to is replaced.
 */
#include "writer/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINKS_MAX 40
#define LINK_SIZE ((size_t)4096)
#define TRIES_MAX 100

/* ---- the sink ---------------------------------------------------------- */

static pyprof_status cannot_write(const pyprof_writer *w, int error,
                                  pyprof_error *err)
{
    return pp_error_errno(err, PYPROF_ERR_IO, error, "cannot write %s",
                          w->as.path.path);
}

static pyprof_status path_write(pyprof_writer *w, const void *data, size_t size,
                                pyprof_error *err)
{
    int error = pp_writer_fd_write(w->as.path.fd, data, size);
    return error == 0 ? PYPROF_OK : cannot_write(w, error, err);
}

/* Gives a temporary file its final name. */
static pyprof_status take_name(pyprof_writer *w, pyprof_error *err)
{
    if (w->as.path.temp[0] == '\0') {
        return PYPROF_OK;
    }
    if (renameat(w->as.path.folder, w->as.path.temp, w->as.path.folder,
                 w->as.path.name) != 0) {
        return cannot_write(w, errno, err);
    }
    w->as.path.temp[0] = '\0';
    return PYPROF_OK;
}

static pyprof_status path_finish(pyprof_writer *w, pyprof_error *err)
{
    int fd = w->as.path.fd;
    w->as.path.fd = -1;
    /* a network file system may say only now that the disk is full; after
     * EINTR the descriptor is closed all the same */
    if (close(fd) != 0 && errno != EINTR) {
        return cannot_write(w, errno, err);
    }
    return take_name(w, err);
}

static void path_close(pyprof_writer *w)
{
    if (w->as.path.fd >= 0) {
        close(w->as.path.fd);
    }
    if (w->as.path.temp[0] != '\0') {
        unlinkat(w->as.path.folder, w->as.path.temp, 0);
    }
    if (w->as.path.folder >= 0) {
        close(w->as.path.folder);
    }
    pp_free(&w->allocator, w->as.path.path);
    pp_free(&w->allocator, w->as.path.name);
}

static const pp_sink path_sink = {
    .buffer = PP_WRITER_BUFFER,
    .write = path_write,
    .finish = path_finish,
    .close = path_close,
};

/* ---- where a path leads ------------------------------------------------ */

static char *copy_text(const pp_allocator *a, const char *text, size_t size)
{
    char *copy = pp_alloc(a, size + 1);
    if (copy != NULL) {
        memcpy(copy, text, size);
        copy[size] = '\0';
    }
    return copy;
}

/* Bytes of a path up to and with its last slash; 0: there is none. */
static size_t folder_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path) + 1;
}

/* What one link at `path` leads to, as a new path; NULL and an errno when that
 * can't be said. */
static char *follow_link(const pp_allocator *a, const char *path, int *error)
{
    char text[LINK_SIZE];
    ssize_t n = readlink(path, text, sizeof(text));
    if (n < 0 || (size_t)n >= sizeof(text)) {
        *error = n < 0 ? errno : ENAMETOOLONG;
        return NULL;
    }
    size_t base = n > 0 && text[0] == '/' ? 0 : folder_size(path);
    char *next = pp_alloc(a, base + (size_t)n + 1);
    if (next == NULL) {
        *error = ENOMEM;
        return NULL;
    }
    memcpy(next, path, base);
    memcpy(next + base, text, (size_t)n);
    next[base + (size_t)n] = '\0';
    return next;
}

/* Replaces *path by where its links lead, whether a file is there or not.
 * `*is_open_file` is set when the way goes through /proc, whose links
 * (/dev/stdout is one) stand for open files and not for names. */
static int follow_links(const pp_allocator *a, char **path, bool *is_open_file)
{
    *is_open_file = false;
    for (int i = 0; i < LINKS_MAX; i++) {
        struct stat st;
        if (lstat(*path, &st) != 0 || !S_ISLNK(st.st_mode)) {
            return 0;
        }
        if (strncmp(*path, "/proc/", 6) == 0) {
            *is_open_file = true;
            return 0;
        }
        int error = 0;
        char *next = follow_link(a, *path, &error);
        if (next == NULL) {
            return error;
        }
        pp_free(a, *path);
        *path = next;
    }
    return ELOOP;
}

/* ---- opening ----------------------------------------------------------- */

static pyprof_status open_directly(pyprof_writer *w, int flags,
                                   pyprof_error *err)
{
    w->as.path.fd =
        open(w->as.path.path, O_WRONLY | O_CLOEXEC | O_NOCTTY | flags);
    if (w->as.path.fd < 0) {
        return cannot_write(w, errno, err);
    }
    return PYPROF_OK;
}

static uint64_t random_number(int attempt)
{
    uint64_t number = 0;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, &number, sizeof(number)) != (ssize_t)sizeof(number)) {
            number = 0;
        }
        close(fd);
    }
    if (number == 0) {
        /* no random device in here: O_EXCL still keeps others' files safe */
        struct timespec now = {.tv_sec = 0};
        clock_gettime(CLOCK_REALTIME, &now);
        number = (uint64_t)now.tv_sec * 1000000007U + (uint64_t)now.tv_nsec;
        number =
            pp_hash_u64(number ^ (uint64_t)getpid() << 32 ^ (uint64_t)attempt);
    }
    return number;
}

/* Makes the temporary file; the umask decides who may read it, as with any
 * new file. */
static pyprof_status open_temp(pyprof_writer *w, pyprof_error *err)
{
    int error = EEXIST;
    for (int i = 0; i < TRIES_MAX && error == EEXIST; i++) {
        char name[sizeof(w->as.path.temp)];
        snprintf(name, sizeof(name), ".pyprof-%016llx",
                 (unsigned long long)random_number(i));
        w->as.path.fd =
            openat(w->as.path.folder, name,
                   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY,
                   S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH);
        if (w->as.path.fd >= 0) {
            memcpy(w->as.path.temp, name, sizeof(name));
            return PYPROF_OK;
        }
        error = errno;
    }
    return pp_error_errno(err, PYPROF_ERR_IO, error,
                          "cannot write %s: no file can be made in its folder",
                          w->as.path.path);
}

/* Opens the folder of `path` (its links already followed) and a temporary file
 * in it. */
static pyprof_status open_beside(pyprof_writer *w, const char *path,
                                 pyprof_error *err)
{
    size_t n = folder_size(path);
    const char *name = path + n;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        return pp_error_set(err, PYPROF_ERR_IO,
                            "%s is a folder: give a file name",
                            w->as.path.path);
    }
    w->as.path.name = copy_text(&w->allocator, name, strlen(name));
    char *folder = n == 0 ? copy_text(&w->allocator, ".", 1)
                          : copy_text(&w->allocator, path, n);
    if (w->as.path.name == NULL || folder == NULL) {
        pp_free(&w->allocator, folder);
        return pp_error_memory(err, "a path");
    }
    w->as.path.folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pyprof_status status = PYPROF_OK;
    if (w->as.path.folder < 0) {
        int error = errno;
        status = pp_error_errno(err, PYPROF_ERR_IO, error,
                                error == ENOENT
                                    ? "cannot write %s: make the folder %s "
                                      "first"
                                    : "cannot write %s: the folder %s",
                                w->as.path.path, folder);
    }
    pp_free(&w->allocator, folder);
    return status == PYPROF_OK ? open_temp(w, err) : status;
}

static pyprof_status open_any(pyprof_writer *w, char **path, pyprof_error *err)
{
    bool is_open_file;
    int error = follow_links(&w->allocator, path, &is_open_file);
    if (error == ENOMEM) {
        return pp_error_memory(err, "a path");
    }
    if (error != 0) {
        return cannot_write(w, error, err);
    }
    struct stat st;
    if (stat(w->as.path.path, &st) != 0) {
        return open_beside(w, *path, err);
    }
    if (S_ISDIR(st.st_mode)) {
        return pp_error_set(err, PYPROF_ERR_IO,
                            "%s is a folder: give a file name",
                            w->as.path.path);
    }
    if (!S_ISREG(st.st_mode)) {
        return open_directly(w, 0, err);
    }
    if (is_open_file) {
        /* behind what others have written to it */
        return open_directly(w, O_APPEND, err);
    }
    /* a file that was protected from writing is not replaced either */
    if (faccessat(AT_FDCWD, *path, W_OK, AT_EACCESS) != 0) {
        return cannot_write(w, errno, err);
    }
    return open_beside(w, *path, err);
}

pyprof_status pp_writer_open_path(const char *path, uint64_t flags,
                                  const pp_allocator *a, pyprof_writer **out,
                                  pyprof_error *err)
{
    pyprof_writer *w = pp_writer_make(&path_sink, a);
    if (w == NULL) {
        return pp_error_memory(err, "a writer");
    }
    w->as.path.fd = -1;
    w->as.path.folder = -1;
    w->as.path.path = copy_text(a, path, strlen(path));
    char *target = copy_text(a, path, strlen(path));
    pyprof_status status;
    if (w->as.path.path == NULL || target == NULL) {
        status = pp_error_memory(err, "a path");
    } else {
        status = open_any(w, &target, err);
    }
    if (status == PYPROF_OK && (flags & PYPROF_WRITER_IN_PLACE) != 0) {
        status = take_name(w, err);
    }
    pp_free(a, target);
    if (status != PYPROF_OK) {
        pp_writer_close(w);
        return status;
    }
    *out = w;
    return PYPROF_OK;
}

pyprof_status pp_writer_open_at(int folder, const char *name, const char *path,
                                const pp_allocator *a, pyprof_writer **out,
                                pyprof_error *err)
{
    pyprof_writer *w = pp_writer_make(&path_sink, a);
    if (w == NULL) {
        return pp_error_memory(err, "a writer");
    }
    w->as.path.fd = -1;
    w->as.path.folder = folder;
    w->as.path.path = copy_text(a, path, strlen(path));
    w->as.path.name = copy_text(a, name, strlen(name));
    pyprof_status status = w->as.path.path == NULL || w->as.path.name == NULL
                               ? pp_error_memory(err, "a path")
                               : open_temp(w, err);
    if (status != PYPROF_OK) {
        w->as.path.folder = -1;
        pp_writer_close(w);
        return status;
    }
    *out = w;
    return PYPROF_OK;
}
