/*
 * maps: what a process has mapped, and the files behind it.
 *
 * In: /proc/PID/maps. Out: a table of mappings whose paths lie in one block of
 * text. The text is the kernel's, but paths are the target's: they may hold
 * anything but a NUL, and the kernel writes a newline in them as \012.
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { MAX_MAPS = 1000000 };
#define MAX_TEXT ((size_t)256 << 20)

/* The whole file as text that ends with a NUL; NULL with errno. */
static char *read_all(int dir_fd, const char *path,
                      const pp_allocator *allocator)
{
    char *text = NULL;
    size_t cap = 0;
    size_t used = 0;
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? errno : 0;
    while (error == 0) {
        /* The kernel hands out a page or so a call. */
        size_t need = used + (16u << 10);
        if (!pp_grow(allocator, (void **)&text, &cap, 1, need, MAX_TEXT)) {
            error = ENOMEM;
            break;
        }
        ssize_t n = read(fd, text + used, cap - used - 1);
        if (n == 0) {
            text[used] = '\0';
            break;
        }
        if (n > 0) {
            used += (size_t)n;
        } else if (errno != EINTR) {
            error = errno;
        }
    }
    if (fd >= 0) {
        close(fd);
    }
    if (error != 0) {
        pp_free(allocator, text);
        errno = error;
        return NULL;
    }
    return text;
}

/* Turns \012 back into the newline that it stands for. */
static void unescape(char *path)
{
    char *to = path;
    for (const char *from = path; *from != '\0'; from++) {
        if (strncmp(from, "\\012", 4) == 0) {
            *to++ = '\n';
            from += 3;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
}

/* A number and the character that must follow it. */
static bool number(const char **at, int base, char after, uint64_t *out)
{
    char *end;
    *out = strtoull(*at, &end, base);
    if (end == *at || *end != after) {
        return false;
    }
    *at = end + 1;
    return true;
}

/* One line, without its newline. False when it isn't like one. */
static bool parse_line(char *line, pp_os_map *out)
{
    static const char gone[] = " (deleted)";
    const char *at = line;
    uint64_t major, minor;
    memset(out, 0, sizeof(*out));
    if (!number(&at, 16, '-', &out->start) ||
        !number(&at, 16, ' ', &out->end) || out->end < out->start ||
        strlen(at) < 5) {
        return false;
    }
    out->flags = (at[0] == 'r' ? PP_OS_MAP_READ : 0u) |
                 (at[1] == 'w' ? PP_OS_MAP_WRITE : 0u) |
                 (at[2] == 'x' ? PP_OS_MAP_EXEC : 0u);
    at += 5;
    if (!number(&at, 16, ' ', &out->offset) || !number(&at, 16, ':', &major) ||
        !number(&at, 16, ' ', &minor)) {
        return false;
    }
    out->device = makedev((unsigned)major, (unsigned)minor);
    char *end;
    out->inode = strtoull(at, &end, 10);
    char *path = end + strspn(end, " ");
    size_t length = strlen(path);
    size_t suffix = sizeof(gone) - 1;
    if (length > suffix && strcmp(path + length - suffix, gone) == 0) {
        path[length - suffix] = '\0';
        out->flags |= PP_OS_MAP_DELETED;
    }
    unescape(path);
    out->path = path;
    return true;
}

static pyprof_status parse_text(pp_os_maps *maps, pyprof_error *err)
{
    size_t cap = 0;
    char *line = maps->text;
    while (*line != '\0') {
        char *end = strchr(line, '\n');
        char *next = end != NULL ? end + 1 : line + strlen(line);
        if (end != NULL) {
            *end = '\0';
        }
        if (maps->n == MAX_MAPS) {
            break;
        }
        if (!pp_grow(maps->allocator, (void **)&maps->items, &cap,
                     sizeof(*maps->items), maps->n + 1, MAX_MAPS)) {
            return pp_error_memory(err, "the mappings of a process");
        }
        if (parse_line(line, &maps->items[maps->n])) {
            maps->n++;
        }
        line = next;
    }
    return PYPROF_OK;
}

pyprof_status pp_os_maps_read(int dir_fd, const char *path,
                              const pp_allocator *allocator, pp_os_maps *out,
                              pyprof_error *err)
{
    pp_os_maps maps = {.allocator = allocator};
    maps.text = read_all(dir_fd, path, allocator);
    if (maps.text == NULL && errno == ENOMEM) {
        return pp_error_memory(err, "the mappings of a process");
    }
    if (maps.text == NULL) {
        return pp_error_errno(err, PYPROF_ERR_OS, errno,
                              "can't read the mappings of a process");
    }
    pyprof_status status = parse_text(&maps, err);
    if (status != PYPROF_OK) {
        pp_os_maps_free(&maps);
        return status;
    }
    *out = maps;
    return PYPROF_OK;
}

pyprof_status pp_os_process_maps(pp_os_process *process,
                                 const pp_allocator *allocator, pp_os_maps *out,
                                 pyprof_error *err)
{
    char path[48];
    pyprof_status status;
    errno = 0;
    /* By the thread, as the first one may have ended before the others. */
    snprintf(path, sizeof(path), "task/%d/maps", (int)process->vm_pid);
    status = pp_os_maps_read(process->proc_fd, path, allocator, out, err);
    if (status == PYPROF_ERR_OS && (errno == EACCES || errno == EPERM)) {
        return pp_os_process_explain(process, err);
    }
    /* None at all: a kernel thread, a moment of exec, or the end. */
    if ((status == PYPROF_ERR_OS || (status == PYPROF_OK && out->n == 0)) &&
        !pp_os_process_alive(process)) {
        if (status == PYPROF_OK) {
            pp_os_maps_free(out);
        }
        return pp_error_set(err, PYPROF_ERR_GONE, "process %d has ended",
                            (int)process->pid);
    }
    return status;
}

void pp_os_maps_free(pp_os_maps *maps)
{
    if (maps != NULL) {
        pp_free(maps->allocator, maps->items);
        pp_free(maps->allocator, maps->text);
        memset(maps, 0, sizeof(*maps));
    }
}
