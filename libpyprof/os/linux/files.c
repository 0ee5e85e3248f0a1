/*
 * files: opening a file that a target has mapped or names, although it may
 * live in another mount namespace, below a chroot, or be deleted.
 *
 * Only regular files are ever opened: opening a device or a pipe that the
 * target names could change something. Paths are resolved below the target's
 * root, so that a symbolic link in there can't lead outside.
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* Opens a descriptor that was opened with O_PATH again, for reading, when it
 * is a regular file. Closes the first one. */
static int open_regular(int path_fd)
{
    char self[48];
    struct stat st;
    int fd = -1;
    if (path_fd < 0) {
        return -1;
    }
    if (fstat(path_fd, &st) == 0 && S_ISREG(st.st_mode)) {
        snprintf(self, sizeof(self), "/proc/self/fd/%d", path_fd);
        fd = open(self, OPEN_FLAGS);
    }
    close(path_fd);
    return fd;
}

/* A path below a root. Kernels before 5.6 can't confine links to it. */
static int open_below(int root_fd, const char *path)
{
    struct open_how how;
    memset(&how, 0, sizeof(how));
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
    if (fd < 0 && (errno == ENOSYS || errno == EPERM)) {
        path += strspn(path, "/");
        fd = openat(root_fd, path, O_PATH | O_CLOEXEC);
    }
    return open_regular(fd);
}

/* A path as the target sees it; "" is nothing. */
static int open_absolute(const pp_os_process *process, const char *path)
{
    int fd = -1;
    int root =
        openat(process->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root >= 0) {
        fd = open_below(root, path);
        close(root);
    }
    return fd;
}

/* Device and inode of a file as a table of mappings shows them: on layered
 * file systems these are not what stat says, so the file is mapped here for a
 * moment and looked up. */
static bool same_as_mapped(const pp_os_process *process, int fd,
                           const pp_os_map *map)
{
    pp_os_maps own;
    bool same = false;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *at = mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
        return false;
    }
    if (pp_os_maps_read(AT_FDCWD, "/proc/self/maps", process->allocator, &own,
                        NULL) == PYPROF_OK) {
        for (size_t i = 0; i < own.n; i++) {
            const pp_os_map *mine = &own.items[i];
            if (mine->start <= (uintptr_t)at && (uintptr_t)at < mine->end) {
                same = mine->device == map->device && mine->inode == map->inode;
            }
        }
        pp_os_maps_free(&own);
    }
    munmap(at, page);
    return same;
}

/* Keeps `fd` when it is the file that is mapped, else closes it. */
static int keep_if_same(const pp_os_process *process, int fd,
                        const pp_os_map *map)
{
    struct stat st;
    if (fd < 0) {
        return -1;
    }
    if (fstat(fd, &st) == 0 &&
        ((st.st_dev == map->device && st.st_ino == map->inode) ||
         same_as_mapped(process, fd, map))) {
        return fd;
    }
    close(fd);
    return -1;
}

int pp_os_process_open_map(pp_os_process *process, const pp_os_map *map)
{
    char link[64];
    if (map->inode == 0 || map->path == NULL) {
        return -1;
    }
    snprintf(link, sizeof(link), "map_files/%llx-%llx",
             (unsigned long long)map->start, (unsigned long long)map->end);
    int fd = open_regular(openat(process->proc_fd, link, O_PATH | O_CLOEXEC));
    if (fd < 0) {
        fd = keep_if_same(
            process,
            open_regular(openat(process->proc_fd, "exe", O_PATH | O_CLOEXEC)),
            map);
    }
    if (fd < 0 && map->path[0] == '/') {
        fd = keep_if_same(process, open_absolute(process, map->path), map);
    }
    if (fd < 0 && map->path[0] == '/') {
        fd = keep_if_same(
            process, open_regular(open(map->path, O_PATH | O_CLOEXEC)), map);
    }
    return fd;
}

int pp_os_process_open_path(pp_os_process *process, const char *path)
{
    char full[PATH_MAX];
    if (path[0] == '/') {
        return open_absolute(process, path);
    }
    size_t length = pp_os_process_cwd(process, full, sizeof(full));
    size_t more = strlen(path);
    if (length == 0 || more == 0 || length + 1 + more >= sizeof(full)) {
        return -1;
    }
    full[length] = '/';
    memcpy(full + length + 1, path, more + 1);
    return open_absolute(process, full);
}

bool pp_os_file_read(int file, uint64_t offset, void *to, size_t size)
{
    uint8_t *at = to;
    if (offset > INT64_MAX - size) {
        return false;
    }
    while (size > 0) {
        ssize_t n = pread(file, at, size, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        at += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return true;
}

uint64_t pp_os_file_size(int file)
{
    struct stat st;
    return fstat(file, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

void pp_os_file_close(int file)
{
    close(file);
}

/* Text of one of the target's links, ended with a NUL; 0 when refused. */
static size_t read_link(const pp_os_process *process, const char *name,
                        char *to, size_t size)
{
    ssize_t n = readlinkat(process->proc_fd, name, to, size - 1);
    size_t length = n > 0 && (size_t)n < size - 1 ? (size_t)n : 0;
    to[length] = '\0';
    return length;
}

size_t pp_os_process_cwd(pp_os_process *process, char *to, size_t size)
{
    char root[PATH_MAX];
    char cwd[PATH_MAX];
    if (size == 0) {
        return 0;
    }
    to[0] = '\0';
    size_t length = read_link(process, "cwd", cwd, sizeof(cwd));
    size_t skip = read_link(process, "root", root, sizeof(root));
    const char *seen = cwd;
    if (length == 0 || cwd[0] != '/') {
        return 0; /* "(unreachable)..." */
    }
    if (skip > 1) {
        /* A root of its own: the link shows the path from outside. */
        if (length < skip || memcmp(cwd, root, skip) != 0 ||
            (cwd[skip] != '/' && cwd[skip] != '\0')) {
            return 0;
        }
        seen = cwd[skip] != '\0' ? cwd + skip : "/";
        length = strlen(seen);
    }
    if (length >= size) {
        return 0;
    }
    memcpy(to, seen, length + 1);
    return length;
}
