/*
 * proc: small reads below /proc, and what status files say.
 *
 * All paths are relative to a descriptor of /proc/PID that was opened once, so
 * that a process id that is used again can't lead to another process.
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t pp_os_read_file(int dir_fd, const char *path, char *to, size_t size)
{
    size_t got = 0;
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    while (got < size - 1) {
        ssize_t n = read(fd, to + got, size - 1 - got);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int saved = errno;
            close(fd);
            errno = saved;
            return -1;
        }
        if (n == 0) {
            break;
        }
        got += (size_t)n;
    }
    close(fd);
    to[got] = '\0';
    return (ssize_t)got;
}

const char *pp_os_status_field(const char *status, const char *name)
{
    size_t length = strlen(name);
    const char *line = status;
    while (line != NULL && *line != '\0') {
        if (strncmp(line, name, length) == 0 && line[length] == ':') {
            line += length + 1;
            return line + strspn(line, " \t");
        }
        line = strchr(line, '\n');
        if (line != NULL) {
            line++;
        }
    }
    return NULL;
}

pid_t pp_os_status_inner_id(const char *status, pid_t otherwise, int *levels)
{
    const char *field = pp_os_status_field(status, "NSpid");
    pid_t inner = otherwise;
    *levels = 0;
    while (field != NULL && *field >= '0' && *field <= '9') {
        char *end;
        inner = (pid_t)strtol(field, &end, 10);
        (*levels)++;
        field = end + strspn(end, " \t");
    }
    if (*levels == 0) {
        *levels = 1;
    }
    return inner;
}

char pp_os_thread_state(const pp_os_process *process, pid_t tid)
{
    char path[48];
    char text[512];
    snprintf(path, sizeof(path), "task/%d/stat", (int)tid);
    if (pp_os_read_file(process->proc_fd, path, text, sizeof(text)) < 0) {
        return '\0';
    }
    const char *name_end = strrchr(text, ')');
    if (name_end == NULL || name_end[1] != ' ') {
        return '?';
    }
    return name_end[2];
}
