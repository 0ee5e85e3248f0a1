/*
 * log: one line to the caller's function. In go a level, an area and a format;
 * nothing comes out where nobody listens.
 *
 * Invariants: no memory is taken, nothing is printed, errno stays.
 */
#include "base/base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOG_LINE_SIZE 512

void pp_log_line(const pp_log *log, int32_t level, const char *area,
                 const char *format, ...)
{
    if (log == NULL || log->fn == NULL) {
        return;
    }
    int saved = errno;
    char line[LOG_LINE_SIZE];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n < 0) {
        line[0] = '\0';
    }
    pp_text_line(line, sizeof(line), line, strlen(line));
    log->fn(log->user, level, area, line);
    errno = saved;
}
