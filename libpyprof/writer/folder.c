/*
 * folder: a writer that is a folder. In go plain names, out come writers to
 * files in it.
 *
 * Invariants:
 * 1. Names are of a few harmless characters, and files are made relative to the
 *    open folder: nothing outside it is written, whatever is renamed meanwhile.
 * 2. What it made is gone when it is closed unfinished.
 */
#include "writer/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_SIZE ((size_t)100)
#define FILES_MAX ((size_t)100000)
#define EVERYONE (S_IRWXU | S_IRWXG | S_IRWXO) /* less what the umask takes */

static pyprof_status folder_write(pyprof_writer *w, const void *data,
                                  size_t size, pyprof_error *err)
{
    PP_UNUSED(data);
    PP_UNUSED(size);
    return pp_error_set(err, PYPROF_ERR_INVALID,
                        "%s is a folder: this format writes a single file",
                        w->as.folder.path);
}

static void folder_close(pyprof_writer *w)
{
    if (!w->is_finished && w->as.folder.fd >= 0) {
        for (size_t at = 0; at < w->as.folder.size;) {
            const char *name = w->as.folder.names + at;
            unlinkat(w->as.folder.fd, name, 0);
            at += strlen(name) + 1;
        }
        if (w->as.folder.is_made) {
            rmdir(w->as.folder.path);
        }
    }
    if (w->as.folder.fd >= 0) {
        close(w->as.folder.fd);
    }
    pp_free(&w->allocator, w->as.folder.path);
    pp_free(&w->allocator, w->as.folder.names);
}

static const pp_sink folder_sink = {
    .write = folder_write,
    .close = folder_close,
};

/* Makes the folder and those above it; an errno, or 0. */
static int make_folders(pyprof_writer *w)
{
    char *path = w->as.folder.path;
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') {
        path[--size] = '\0';
    }
    for (size_t i = 1; i <= size; i++) {
        char c = path[i];
        if ((c != '/' && c != '\0') || path[i - 1] == '/') {
            continue;
        }
        path[i] = '\0';
        int result = mkdir(path, EVERYONE);
        int error = errno;
        path[i] = c;
        struct stat st;
        if (result != 0 && error != EEXIST &&
            (i == size || stat(path, &st) == 0)) {
            return error;
        }
        w->as.folder.is_made = i == size && result == 0;
    }
    return 0;
}

pyprof_status pp_writer_open_folder(const char *path, const pp_allocator *a,
                                    pyprof_writer **out, pyprof_error *err)
{
    pyprof_writer *w = pp_writer_make(&folder_sink, a);
    if (w == NULL) {
        return pp_error_memory(err, "a writer");
    }
    size_t size = strlen(path) + 1;
    w->as.folder.fd = -1;
    w->as.folder.path = pp_alloc(a, size);
    if (w->as.folder.path == NULL) {
        pp_writer_close(w);
        return pp_error_memory(err, "a path");
    }
    memcpy(w->as.folder.path, path, size);
    int error = make_folders(w);
    if (error == 0) {
        w->as.folder.fd =
            open(w->as.folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        error = w->as.folder.fd < 0 ? errno : 0;
    }
    if (error != 0) {
        pyprof_status status = pp_error_errno(
            err, PYPROF_ERR_IO, error, "cannot write into the folder %s", path);
        pp_writer_close(w);
        return status;
    }
    *out = w;
    return PYPROF_OK;
}

static bool is_plain(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool is_digit = c >= '0' && c <= '9';
        if (!is_letter && !is_digit && c != '.' && c != '_' && c != '-') {
            return false;
        }
    }
    return size > 0 && size <= NAME_MAX_SIZE && name[0] != '.';
}

/* Remembers a name, to be removed if the folder is not finished. */
static bool keep_name(pyprof_writer *w, const char *name)
{
    size_t size = strlen(name) + 1;
    if (w->as.folder.n_names >= FILES_MAX ||
        !pp_grow(&w->allocator, &w->as.folder.names, &w->as.folder.cap, 1,
                 w->as.folder.size + size, 0)) {
        return false;
    }
    memcpy(w->as.folder.names + w->as.folder.size, name, size);
    w->as.folder.size += size;
    w->as.folder.n_names++;
    return true;
}

pyprof_status pp_writer_open_file(pyprof_writer *w, const char *name,
                                  pyprof_writer **out, pyprof_error *err)
{
    if (w->sink != &folder_sink) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "this format writes several files: give a folder");
    }
    if (w->is_finished) {
        return pp_error_set(err, PYPROF_ERR_BUSY, "the folder %s is finished",
                            w->as.folder.path);
    }
    if (!is_plain(name)) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "'%s' is no name for a file of a folder", name);
    }
    if (!keep_name(w, name)) {
        return pp_error_memory(err, "names of files");
    }
    int folder = fcntl(w->as.folder.fd, F_DUPFD_CLOEXEC, 0);
    if (folder < 0) {
        return pp_error_errno(err, PYPROF_ERR_IO, errno, "cannot write %s/%s",
                              w->as.folder.path, name);
    }
    pyprof_status status = pp_writer_open_at(folder, name, w->as.folder.path,
                                             &w->allocator, out, err);
    if (status != PYPROF_OK) {
        close(folder);
    }
    return status;
}
