/*
 * numbers.c: the numbers of the command line. The grammar is strict (digits,
 * and a point where a fraction makes sense), so that a slip is told instead of
 * taken for something else.
 */
#include "cli.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Reads digits[.digits], moving *text behind it. */
static bool read_decimal(const char **text, double *out)
{
    const char *p = *text;
    size_t digits = strspn(p, "0123456789");
    if (digits == 0) {
        return false;
    }
    p += digits;
    if (*p == '.') {
        size_t fraction = strspn(p + 1, "0123456789");
        if (fraction == 0) {
            return false;
        }
        p += 1 + fraction;
    }
    /* The program never calls setlocale: a point is a point. */
    *out = strtod(*text, NULL);
    *text = p;
    return true;
}

const char *parse_rate(const char *text, uint64_t *out_interval_ns)
{
    static const char *const grammar =
        "not a rate: write a number with hz, khz or k, such as 1khz";
    double value = 0;
    const char *unit = text;
    if (!read_decimal(&unit, &value)) {
        return grammar;
    }
    if (strcasecmp(unit, "k") == 0 || strcasecmp(unit, "khz") == 0) {
        value *= 1000;
    } else if (*unit != '\0' && strcasecmp(unit, "hz") != 0) {
        return grammar;
    }
    if (value <= 0) {
        return "a rate has to be above 0";
    }
    if (value > 1e6) {
        return "the highest rate is 1000khz";
    }
    if (value < 1e-4) {
        return "the lowest rate is 0.0001hz";
    }
    *out_interval_ns = (uint64_t)(1e9 / value + 0.5);
    return NULL;
}

const char *parse_micros(const char *text, uint64_t *out_ns)
{
    double value = 0;
    const char *rest = text;
    if (!read_decimal(&rest, &value) || *rest != '\0') {
        return "not a number of microseconds, such as 1000 or 12.5";
    }
    if (value < 1) {
        return "the shortest interval is 1 microsecond";
    }
    if (value > 1e10) {
        return "the longest interval is 10000 seconds";
    }
    *out_ns = (uint64_t)(value * 1000 + 0.5);
    return NULL;
}

const char *parse_seconds(const char *text, uint64_t *out_ns)
{
    static const char *const grammar =
        "not a number of seconds, such as 10 or 0.5";
    double value = 0;
    const char *rest = text;
    if (!read_decimal(&rest, &value) || *rest != '\0') {
        return text[0] == '-' && isdigit((unsigned char)text[1])
                   ? "a duration has to be above 0"
                   : grammar;
    }
    if (value * 1e9 < 1) {
        return "a duration has to be above 0";
    }
    if (value > 1e9) {
        return "the longest duration is 1000000000 seconds";
    }
    *out_ns = (uint64_t)(value * 1e9 + 0.5);
    return NULL;
}

/* Digits only, at most `max`. */
static bool read_whole(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!isdigit((unsigned char)*text)) {
            return false;
        }
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > max) {
            return false;
        }
    }
    *out = value;
    return true;
}

const char *parse_count(const char *text, uint32_t min, uint32_t max,
                        uint32_t *out)
{
    uint64_t value = 0;
    if (!read_whole(text, max, &value) || value < min) {
        return min == 0 ? "not a whole number from 0 on"
                        : "not a whole number from 1 on";
    }
    *out = (uint32_t)value;
    return NULL;
}

const char *parse_id(const char *text, uint64_t *out)
{
    return read_whole(text, UINT64_MAX, out) && *out != 0
               ? NULL
               : "not the id of a thread";
}

const char *parse_pid(const char *text, int64_t *out)
{
    uint64_t value = 0;
    if (!read_whole(text, INT32_MAX, &value) || value == 0) {
        return "not a process id";
    }
    *out = (int64_t)value;
    return NULL;
}
