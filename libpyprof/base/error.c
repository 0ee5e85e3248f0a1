/*
 * error: fills the caller's pyprof_error. In go a status and a format; out
 * comes one printable line that fits.
 *
 * Invariants:
 * 1. Not a byte past the caller's err->sz is written.
 * 2. errno is the same before and after.
 * 3. No memory is taken: an error must be reportable when there is none.
 */
#include "base/base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Room to format in: a path of PATH_MAX and a sentence. */
#define ERROR_BODY_SIZE 4608
#define ERROR_CAUSE_SIZE 160

static bool is_inside_character(char byte)
{
    return ((uint8_t)byte & 0xc0) == 0x80;
}

/* Copies `size` bytes of clean text into `to` of `room` bytes, leaving out the
 * middle where it does not fit. Returns the length. */
static size_t put_shortened(char *to, size_t room, const char *from,
                            size_t size)
{
    static const char gap[] = "...";
    if (room == 0) {
        return 0;
    }
    size_t head = size;
    size_t tail = size;
    if (size >= room) {
        size_t keep = room - 1 > sizeof(gap) - 1 ? room - sizeof(gap) : 0;
        head = keep - keep / 2;
        tail = size - keep / 2;
        while (head > 0 && is_inside_character(from[head])) {
            head--;
        }
        while (tail < size && is_inside_character(from[tail])) {
            tail++;
        }
    }
    size_t used = 0;
    memcpy(to, from, head);
    used = head;
    if (head < size) {
        for (size_t i = 0; gap[i] != '\0' && used + 1 < room; i++) {
            to[used++] = gap[i];
        }
        if (used + (size - tail) < room) {
            memcpy(to + used, from + tail, size - tail);
            used += size - tail;
        }
    }
    to[used] = '\0';
    return used;
}

/* strerror_r has two shapes: GNU's returns the text, POSIX's fills the buffer;
 * overloading by the type that it returns accepts both. */
static const char *cause_gnu(const char *text, const char *buffer)
{
    PP_UNUSED(buffer);
    return text;
}

static const char *cause_posix(int failed, const char *buffer)
{
    return failed == 0 ? buffer : NULL;
}

static size_t put_cause(char *to, size_t room, int os_errno)
{
    char buffer[ERROR_CAUSE_SIZE - 8];
    buffer[0] = '\0';
    const char *text =
        _Generic(strerror_r(os_errno, buffer, sizeof(buffer)),
            char *: cause_gnu,
            int: cause_posix)(strerror_r(os_errno, buffer, sizeof(buffer)),
                              buffer);
    int n = text != NULL && text[0] != '\0'
                ? snprintf(to, room, ": %s", text)
                : snprintf(to, room, ": error %d of the system", os_errno);
    if (n < 0) {
        n = 0;
        to[0] = '\0';
    }
    return (size_t)n < room ? (size_t)n : room - 1;
}

/* Copies `full` into the caller's structure, as far as that reaches. */
static void deliver(pyprof_error *err, const pyprof_error *full,
                    const char *body, const char *cause)
{
    size_t known = err->sz < sizeof(*err) ? err->sz : sizeof(*err);
    size_t fixed = offsetof(pyprof_error, message);
    if (known > sizeof(size_t)) {
        size_t end = known < fixed ? known : fixed;
        memcpy((char *)err + sizeof(size_t),
               (const char *)full + sizeof(size_t), end - sizeof(size_t));
    }
    if (known <= fixed) {
        return;
    }
    size_t room = known - fixed;
    size_t n_cause = strlen(cause);
    if (n_cause + 1 >= room) {
        n_cause = 0;
    }
    size_t used =
        put_shortened(err->message, room - n_cause, body, strlen(body));
    memcpy(err->message + used, cause, n_cause);
    err->message[used + n_cause] = '\0';
}

static pyprof_status fill(pyprof_error *err, const pyprof_error *full,
                          const char *format, va_list args)
{
    if (err == NULL) {
        return full->status;
    }
    int saved = errno;
    char body[ERROR_BODY_SIZE];
    char cause[ERROR_CAUSE_SIZE] = "";
    int n = vsnprintf(body, sizeof(body), format, args);
    if (n < 0) {
        body[0] = '\0';
    }
    pp_text_line(body, sizeof(body), body, strlen(body));
    if (full->os_errno != 0) {
        size_t n_cause = put_cause(cause, sizeof(cause), full->os_errno);
        pp_text_line(cause, sizeof(cause), cause, n_cause);
    }
    deliver(err, full, body, cause);
    errno = saved;
    return full->status;
}

pyprof_status pp_error_set(pyprof_error *err, pyprof_status status,
                           const char *format, ...)
{
    pyprof_error full = {.status = status};
    va_list args;
    va_start(args, format);
    fill(err, &full, format, args);
    va_end(args);
    return status;
}

pyprof_status pp_error_errno(pyprof_error *err, pyprof_status status,
                             int os_errno, const char *format, ...)
{
    pyprof_error full = {.status = status, .os_errno = os_errno};
    va_list args;
    va_start(args, format);
    fill(err, &full, format, args);
    va_end(args);
    return status;
}

pyprof_status pp_error_address(pyprof_error *err, pyprof_status status,
                               uint64_t address, const char *format, ...)
{
    pyprof_error full = {.status = status, .address = address};
    va_list args;
    va_start(args, format);
    fill(err, &full, format, args);
    va_end(args);
    return status;
}

pyprof_status pp_error_copy(pyprof_error *err, const pyprof_error *from)
{
    if (err != NULL) {
        deliver(err, from, from->message, "");
    }
    return from->status;
}

pyprof_status pp_error_memory(pyprof_error *err, const char *what)
{
    return pp_error_set(err, PYPROF_ERR_NO_MEMORY, "out of memory for %s",
                        what);
}
