/*
 * print: printf into a writer, the same in every locale. The C library's own is
 * not used for whole lines, since it writes a comma into numbers where a
 * program has set a locale that wants one.
 *
 * Known: %% and %c %s %d %i %u %x %f, with the flags "-0+ ", a width, a
 * precision for %s and %f (at most 40 decimals), and the lengths hh h l ll z j
 * t. What else a format has is an error (PYPROF_ERR_INTERNAL), not a guess.
 */
#include "writer/writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Longest %f: 309 digits, the decimals, a sign and a point. */
#define DECIMALS_MAX 40
#define NUMBER_SIZE 400

/* Gathers small pieces, so that most lines are one write. */
typedef struct printer {
    pyprof_writer *writer;
    pyprof_error *err;
    size_t used;
    char piece[512];
} printer;

typedef struct spec {
    bool is_left, is_zero;
    char sign; /* put before a number that is not negative, or 0 */
    size_t width;
    bool has_precision;
    size_t precision;
    int longs; /* -2 hh, -1 h, 0 none, 1 l, 2 ll, 3 z, 4 j, 5 t */
    char conversion;
} spec;

static pyprof_status flush(printer *p)
{
    size_t used = p->used;
    p->used = 0;
    return pp_writer_write(p->writer, p->piece, used, p->err);
}

static pyprof_status put(printer *p, const char *text, size_t size)
{
    if (size > sizeof(p->piece) - p->used) {
        PP_TRY(flush(p));
    }
    if (size > sizeof(p->piece)) {
        return pp_writer_write(p->writer, text, size, p->err);
    }
    if (size > 0) {
        memcpy(p->piece + p->used, text, size);
        p->used += size;
    }
    return PYPROF_OK;
}

static pyprof_status pad(printer *p, char with, size_t n)
{
    while (n-- > 0) {
        PP_TRY(put(p, &with, 1));
    }
    return PYPROF_OK;
}

/* Text in its width; `n_sign` bytes of it come before zeros that fill. */
static pyprof_status put_field(printer *p, const spec *s, const char *text,
                               size_t size, size_t n_sign)
{
    size_t fill = s->width > size ? s->width - size : 0;
    if (!s->is_left && !s->is_zero) {
        PP_TRY(pad(p, ' ', fill));
    }
    PP_TRY(put(p, text, n_sign));
    if (!s->is_left && s->is_zero) {
        PP_TRY(pad(p, '0', fill));
    }
    PP_TRY(put(p, text + n_sign, size - n_sign));
    return s->is_left ? pad(p, ' ', fill) : PYPROF_OK;
}

static pyprof_status put_integer(printer *p, const spec *s, bool is_negative,
                                 uint64_t value)
{
    char text[24];
    size_t at = sizeof(text);
    unsigned base = s->conversion == 'x' ? 16 : 10;
    do {
        text[--at] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    size_t n_sign = 0;
    if (is_negative || (s->sign != 0 && s->conversion != 'u')) {
        text[--at] = is_negative ? '-' : s->sign;
        n_sign = 1;
    }
    return put_field(p, s, text + at, sizeof(text) - at, n_sign);
}

static pyprof_status put_double(printer *p, const spec *s, double value)
{
    spec field = *s;
    char text[NUMBER_SIZE];
    size_t decimals = s->has_precision ? s->precision : 6;
    if (!isfinite(value)) {
        field.is_zero = false;
        const char *word = isnan(value) ? "nan" : value < 0 ? "-inf" : "inf";
        return put_field(p, &field, word, strlen(word), 0);
    }
    if (decimals > DECIMALS_MAX) {
        decimals = DECIMALS_MAX;
    }
    size_t n_sign = 0;
    if (!signbit(value) && s->sign != 0) {
        text[n_sign++] = s->sign;
    }
    int n = snprintf(text + n_sign, sizeof(text) - n_sign, "%.*f",
                     (int)decimals, value);
    if (n < 0 || (size_t)n >= sizeof(text) - n_sign) {
        return pp_error_set(p->err, PYPROF_ERR_INTERNAL,
                            "a number can't be written");
    }
    size_t size = n_sign + (size_t)n;
    n_sign += text[n_sign] == '-';
    if (decimals > 0) {
        /* what stands before the decimals is the locale's point, of one byte
         * or more */
        size_t end = size - decimals;
        size_t start = n_sign;
        while (text[start] >= '0' && text[start] <= '9') {
            start++;
        }
        text[start] = '.';
        memmove(text + start + 1, text + end, decimals);
        size = start + 1 + decimals;
    }
    return put_field(p, &field, text, size, n_sign);
}

static int64_t take_signed(const spec *s, va_list *args)
{
    switch (s->longs) {
    case -2:
        return (signed char)va_arg(*args, int);
    case -1:
        return (short)va_arg(*args, int);
    case 1:
        return va_arg(*args, long);
    case 2:
        return va_arg(*args, long long);
    case 3:
    case 5:
        return va_arg(*args, ptrdiff_t);
    case 4:
        return va_arg(*args, intmax_t);
    default:
        return va_arg(*args, int);
    }
}

static uint64_t take_unsigned(const spec *s, va_list *args)
{
    switch (s->longs) {
    case -2:
        return (unsigned char)va_arg(*args, unsigned);
    case -1:
        return (unsigned short)va_arg(*args, unsigned);
    case 1:
        return va_arg(*args, unsigned long);
    case 2:
        return va_arg(*args, unsigned long long);
    case 3:
    case 5:
        return va_arg(*args, size_t);
    case 4:
        return va_arg(*args, uintmax_t);
    default:
        return va_arg(*args, unsigned);
    }
}

static pyprof_status put_text(printer *p, const spec *s, const char *text)
{
    size_t size = 0;
    if (!s->has_precision) {
        size = strlen(text);
    } else {
        while (size < s->precision && text[size] != '\0') {
            size++;
        }
    }
    spec field = *s;
    field.is_zero = false;
    return put_field(p, &field, text, size, 0);
}

static size_t parse_number(const char **format, va_list *args,
                           bool *is_negative)
{
    *is_negative = false;
    if (**format == '*') {
        ++*format;
        int given = va_arg(*args, int);
        *is_negative = given < 0;
        return (size_t)(given < 0 ? -(int64_t)given : given);
    }
    size_t value = 0;
    while (**format >= '0' && **format <= '9' && value < 100000000) {
        value = value * 10 + (size_t)(**format - '0');
        ++*format;
    }
    return value;
}

static int parse_length(const char **format)
{
    static const struct {
        const char text[3];
        int longs;
    } lengths[] = {{"hh", -2}, {"h", -1}, {"ll", 2}, {"l", 1},
                   {"z", 3},   {"j", 4},  {"t", 5}};
    for (size_t i = 0; i < PP_COUNT_OF(lengths); i++) {
        size_t n = strlen(lengths[i].text);
        if (strncmp(*format, lengths[i].text, n) == 0) {
            *format += n;
            return lengths[i].longs;
        }
    }
    return 0;
}

/* Parses what follows a '%'. */
static spec parse_spec(const char **format, va_list *args)
{
    spec s = {.is_left = false};
    for (;; ++*format) {
        if (**format == '-') {
            s.is_left = true;
        } else if (**format == '0') {
            s.is_zero = true;
        } else if (**format == '+') {
            s.sign = '+';
        } else if (**format == ' ') {
            s.sign = s.sign == 0 ? ' ' : s.sign;
        } else {
            break;
        }
    }
    bool is_negative;
    s.width = parse_number(format, args, &is_negative);
    s.is_left = s.is_left || is_negative;
    if (**format == '.') {
        ++*format;
        s.precision = parse_number(format, args, &is_negative);
        s.has_precision = !is_negative;
    }
    s.longs = parse_length(format);
    s.conversion = **format;
    if (s.conversion != '\0') {
        ++*format;
    }
    return s;
}

static pyprof_status put_spec(printer *p, const spec *s, va_list *args)
{
    switch (s->conversion) {
    case '%':
        return put(p, "%", 1);
    case 'c': {
        char c = (char)va_arg(*args, int);
        return put_field(p, s, &c, 1, 0);
    }
    case 's':
        return put_text(p, s, va_arg(*args, const char *));
    case 'd':
    case 'i': {
        int64_t value = take_signed(s, args);
        uint64_t size = value < 0 ? -(uint64_t)value : (uint64_t)value;
        return put_integer(p, s, value < 0, size);
    }
    case 'u':
    case 'x':
        return put_integer(p, s, false, take_unsigned(s, args));
    case 'f':
        return put_double(p, s, va_arg(*args, double));
    default:
        return pp_error_set(p->err, PYPROF_ERR_INTERNAL,
                            "pp_writer_printf does not know %%%c",
                            s->conversion);
    }
}

/* What pp_writer_printf does between va_start and va_end; `args` as a pointer,
 * since callees advance it. */
static pyprof_status print_all(printer *p, const char *format, va_list *args)
{
    while (*format != '\0') {
        size_t plain = strcspn(format, "%");
        PP_TRY(put(p, format, plain));
        format += plain;
        if (*format == '%') {
            format++;
            spec s = parse_spec(&format, args);
            PP_TRY(put_spec(p, &s, args));
        }
    }
    return flush(p);
}

pyprof_status pp_writer_printf(pyprof_writer *w, pyprof_error *err,
                               const char *format, ...)
{
    printer p;
    p.writer = w;
    p.err = err;
    p.used = 0;
    va_list args;
    va_start(args, format);
    pyprof_status status = print_all(&p, format, &args);
    va_end(args);
    return status;
}
