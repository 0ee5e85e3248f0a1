/*
 * text.c: lines for a person. What comes from a target (names, paths, source
 * text) may contain anything, and a terminal obeys control characters: they
 * are shown as escapes and never sent.
 */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Bytes of the well-formed UTF-8 character at `p`, and its number; 0 when it is
 * not one. */
static size_t decode(const unsigned char *p, size_t size, uint32_t *out)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;
    if (n == 0 || n > size) {
        return 0;
    }
    uint32_t code = n == 1 ? p[0] : p[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (p[i] & 0x3fu);
    }
    if (code < least[n] || code > 0x10ffff ||
        (code >= 0xd800 && code <= 0xdfff)) {
        return 0;
    }
    *out = code;
    return n;
}

static bool harmful(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f) ||
           (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069) || code == 0x200e ||
           code == 0x200f || code == 0x061c;
}

void print_text(FILE *to, const char *data, size_t size)
{
    const unsigned char *p = (const unsigned char *)data;
    while (size > 0) {
        uint32_t code = 0;
        size_t n = decode(p, size, &code);
        if (n == 0) {
            fprintf(to, "\\x%02x", p[0]);
            n = 1;
        } else if (!harmful(code)) {
            fwrite(p, 1, n, to);
        } else if (code < 0x100) {
            fprintf(to, "\\x%02x", (unsigned)code);
        } else {
            fprintf(to, "\\u%04x", (unsigned)code);
        }
        p += n;
        size -= n;
    }
}

void print_string(FILE *to, const char *text)
{
    print_text(to, text, strlen(text));
}

static void complain(const char *format, va_list args)
{
    char message[1024];
    (void)vsnprintf(message, sizeof(message), format, args);
    fputs("pyprof-cli: ", stderr);
    print_string(stderr, message);
    fputc('\n', stderr);
}

int fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args);
    va_end(args);
    return STATUS_FAILED;
}

int usage_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args);
    va_end(args);
    return STATUS_USAGE;
}

int fail_error(pyprof_status status, const pyprof_error *err)
{
    const char *message =
        err->message[0] != '\0' ? err->message : pyprof_status_text(status);
    return fail("%s", message);
}

bool wants_colour(FILE *stream)
{
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fileno(stream)) &&
           (no_colour == NULL || no_colour[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

void sleep_ns(uint64_t ns)
{
    struct timespec pause = {(time_t)(ns / NS_PER_SECOND),
                             (long)(ns % NS_PER_SECOND)};
    (void)nanosleep(&pause, NULL);
}
