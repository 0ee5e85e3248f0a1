/*
 * linetable_locations: co_linetable of 3.11 and later, with columns. Entries
 * of a first byte 1CCCCNNN - a form C, and N + 1 code units of two bytes - and
 * what the form says, none of it with the high bit set. Numbers have six bits a
 * byte, the lowest first, bit 6 set where more follow; signed ones have their
 * sign in bit 0. (CPython 3.11: Objects/locations.md; advance_with_locations()
 * in Objects/codeobject.c.)
 */
#include "layout/linetable.h"

enum {
    FORM_SHORT_LAST = 9, /* 0 to 9: columns in half a byte each, same line */
    FORM_ONE_LINE = 10,  /* 10 to 12: a step of 0 to 2 lines, two columns */
    FORM_ONE_LINE_LAST = 12,
    FORM_NO_COLUMNS = 13,
    FORM_LONG = 14,
    FORM_NONE = 15,
    UNIT = 2
};

/* The next byte of an entry; false at the end of the table or of the entry. */
static bool read_byte(pp_line_decoder *d, uint32_t *out)
{
    if (d->next == d->end || *d->next >= 0x80) {
        return false;
    }
    *out = *d->next++;
    return true;
}

static bool read_unsigned(pp_line_decoder *d, uint32_t *out)
{
    uint32_t value = 0, byte;

    for (unsigned shift = 0; shift < 32; shift += 6) {
        if (!read_byte(d, &byte)) {
            return false;
        }
        if (shift == 30 && (byte & 0x3f) > 3) {
            return false; /* more than 32 bits */
        }
        value |= (byte & 0x3f) << shift;
        if ((byte & 0x40) == 0) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool read_signed(pp_line_decoder *d, int64_t *out)
{
    uint32_t value;

    if (!read_unsigned(d, &value)) {
        return false;
    }
    *out = (value & 1) != 0 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
    return true;
}

/* A column as the long form has it: 0 is none. */
static bool read_column(pp_line_decoder *d, int32_t *out)
{
    uint32_t value;

    if (!read_unsigned(d, &value) || value > INT32_MAX) {
        return false;
    }
    *out = (int32_t)value - 1;
    return true;
}

static bool read_short(pp_line_decoder *d, uint32_t form, pp_line_range *out)
{
    uint32_t byte;

    if (!read_byte(d, &byte)) {
        return false;
    }
    out->column = (int32_t)(form << 3 | byte >> 4);
    out->end_column = out->column + (int32_t)(byte & 15);
    return true;
}

static bool read_one_line(pp_line_decoder *d, pp_line_range *out)
{
    uint32_t column, end_column;

    if (!read_byte(d, &column) || !read_byte(d, &end_column)) {
        return false;
    }
    out->column = (int32_t)column;
    out->end_column = (int32_t)end_column;
    return true;
}

static bool read_long(pp_line_decoder *d, int64_t *out_end_line,
                      pp_line_range *out)
{
    uint32_t lines;
    int64_t step;

    if (!read_signed(d, &step) || !read_unsigned(d, &lines)) {
        return false;
    }
    d->line += step;
    *out_end_line = d->line + lines;
    return read_column(d, &out->column) && read_column(d, &out->end_column);
}

/* What follows the first byte of an entry. */
static bool read_position(pp_line_decoder *d, uint32_t form, pp_line_range *out)
{
    int64_t step, end_line;
    bool ok = true;

    *out = (pp_line_range){
        .line = -1, .end_line = -1, .column = -1, .end_column = -1};
    if (form == FORM_NONE) {
        return true;
    }
    if (form <= FORM_SHORT_LAST) {
        ok = read_short(d, form, out);
    } else if (form <= FORM_ONE_LINE_LAST) {
        d->line += form - FORM_ONE_LINE;
        ok = read_one_line(d, out);
    } else if (form == FORM_NO_COLUMNS) {
        ok = read_signed(d, &step);
        d->line += ok ? step : 0;
    }
    end_line = d->line;
    if (form == FORM_LONG) {
        ok = read_long(d, &end_line, out);
    }
    out->line = pp_linetable_line(d->line);
    out->end_line = pp_linetable_line(end_line);
    return ok;
}

bool pp_linetable_locations(pp_line_decoder *d)
{
    while (d->next < d->end) {
        uint32_t first = *d->next;
        uint32_t width = ((first & 7) + 1) * UNIT;
        pp_line_range position;

        if (first < 0x80) {
            return false;
        }
        d->next++;
        if (!read_position(d, first >> 3 & 15, &position) ||
            width > d->code_size - d->offset ||
            !pp_linetable_add(d, width, &position)) {
            return false;
        }
    }
    return true;
}
