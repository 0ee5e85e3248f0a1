/*
 * source.c: source files, as the target sees them: in its root folder and mount
 * namespace, through /proc/PID/root, which is held open, so that it works for a
 * target that has ended as well. In: paths that the target claims. Out: single
 * lines, or whole files.
 *
 * Paths are untrusted: only regular files are opened, links stay inside the
 * target's root, and what is read of a file is bounded.
 */
#include "cli.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    MAX_FILES = 64,           /* looked at; later ones have no source */
    MAX_FILE_BYTES = 4 << 20, /* of a file; what lies behind is not shown */
    MAX_LINE_BYTES = 300
};

typedef struct file {
    char *path;
    char *data; /* NULL: could not be read */
    size_t size;
} file;

struct source {
    int root; /* -1: unreachable */
    int cwd;
    file files[MAX_FILES];
    size_t n_files;
};

static int open_folder(int64_t pid, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%lld/%s", (long long)pid, name);
    return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

source *source_open(int64_t pid)
{
    source *s = calloc(1, sizeof(*s));
    if (s != NULL) {
        s->root = open_folder(pid, "root");
        s->cwd = open_folder(pid, "cwd");
    }
    return s;
}

/* A regular file below a folder; nothing is opened for reading before it is
 * known to be one, since opening a device can have effects. */
static int open_regular(int folder, const char *path, uint64_t resolve)
{
    struct open_how how;
    struct stat info;
    char link[64];
    memset(&how, 0, sizeof(how));
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = resolve | RESOLVE_NO_MAGICLINKS;
    int fd = (int)syscall(SYS_openat2, folder, path, &how, sizeof(how));
    if (fd < 0) {
        return -1;
    }
    int readable = -1;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        readable = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    }
    (void)close(fd);
    return readable;
}

/* A relative path is one from where the program was started, most often still
 * its working folder; links to absolute paths are not followed. */
static int open_source(const source *s, const char *path)
{
    return path[0] == '/' ? open_regular(s->root, path, RESOLVE_IN_ROOT)
                          : open_regular(s->cwd, path, 0);
}

static void read_file(source *s, file *f)
{
    int fd = open_source(s, f->path);
    if (fd < 0) {
        return;
    }
    f->data = malloc(MAX_FILE_BYTES);
    while (f->data != NULL && f->size < MAX_FILE_BYTES) {
        ssize_t n = read(fd, f->data + f->size, MAX_FILE_BYTES - f->size);
        if (n <= 0) {
            break;
        }
        f->size += (size_t)n;
    }
    (void)close(fd);
    if (f->data != NULL) {
        char *fitted = realloc(f->data, f->size == 0 ? 1 : f->size);
        f->data = fitted != NULL ? fitted : f->data;
    }
}

static const file *find_file(source *s, const char *path)
{
    for (size_t i = 0; i < s->n_files; i++) {
        if (strcmp(s->files[i].path, path) == 0) {
            return &s->files[i];
        }
    }
    if (s->n_files == MAX_FILES) {
        return NULL;
    }
    file *f = &s->files[s->n_files];
    f->path = strdup(path);
    if (f->path == NULL) {
        return NULL;
    }
    s->n_files++;
    read_file(s, f);
    return f;
}

const char *source_line(source *s, const char *path, int32_t line,
                        size_t *out_size)
{
    if (s == NULL || line < 1 || path[0] == '\0' || path[0] == '<') {
        return NULL;
    }
    const file *f = find_file(s, path);
    if (f == NULL || f->data == NULL) {
        return NULL;
    }
    const char *at = f->data;
    const char *end = f->data + f->size;
    for (int32_t i = 1; i < line; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL) {
            return NULL;
        }
        at = newline + 1;
    }
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\f')) {
        at++;
    }
    const char *stop = memchr(at, '\n', (size_t)(end - at));
    size_t size = (size_t)((stop != NULL ? stop : end) - at);
    while (size > 0 && (at[size - 1] == '\r' || at[size - 1] == ' ')) {
        size--;
    }
    *out_size = size < MAX_LINE_BYTES ? size : MAX_LINE_BYTES;
    return size == 0 ? NULL : at;
}

pyprof_status source_read(void *user, pyprof_text path, pyprof_writer *to,
                          pyprof_error *err)
{
    const source *s = *(source **)user;
    char piece[65536];
    ssize_t n = 0;
    pyprof_status status = PYPROF_OK;
    if (s == NULL || strlen(path.data) != path.size) {
        return PYPROF_ERR_IO; /* no target yet, or a NUL in the path */
    }
    int fd = open_source(s, path.data);
    if (fd < 0) {
        return PYPROF_ERR_IO;
    }
    for (size_t size = 0; size < MAX_FILE_BYTES && status == PYPROF_OK;
         size += (size_t)n) {
        n = read(fd, piece, sizeof(piece));
        if (n <= 0) {
            status = n < 0 ? PYPROF_ERR_IO : PYPROF_OK;
            break;
        }
        status = pyprof_writer_write(to, piece, (size_t)n, err);
    }
    (void)close(fd);
    return status;
}

void source_close(source *s)
{
    if (s == NULL) {
        return;
    }
    for (size_t i = 0; i < s->n_files; i++) {
        free(s->files[i].path);
        free(s->files[i].data);
    }
    if (s->root >= 0) {
        (void)close(s->root);
    }
    if (s->cwd >= 0) {
        (void)close(s->cwd);
    }
    free(s);
}
