/*
 * linetable: from a code object's line table to ranges that can be searched.
 * In: a table as it was read from a target, which can be anything. Out: ranges
 * in ascending order that do not overlap.
 *
 * Invariant: however the bytes are, work is bounded by their number, nothing
 * outside them is read and no more than `max` ranges are written. What it must
 * not know: code objects, interpreters, versions.
 */
#include "layout/linetable.h"

static bool same_position(const pp_line_range *a, const pp_line_range *b)
{
    return a->line == b->line && a->end_line == b->end_line &&
           a->column == b->column && a->end_column == b->end_column;
}

bool pp_linetable_add(pp_line_decoder *d, uint32_t width,
                      const pp_line_range *position)
{
    uint32_t left = d->code_size - d->offset;
    pp_line_range *range;

    if (width > left) {
        width = left;
    }
    if (width == 0) {
        return true;
    }
    /* All ranges so far are without gaps: the last ends here. */
    if (d->n > 0 && same_position(&d->out[d->n - 1], position)) {
        d->out[d->n - 1].end += width;
    } else if (d->n == d->max) {
        return false;
    } else {
        range = &d->out[d->n++];
        *range = *position;
        range->start = d->offset;
        range->end = d->offset + width;
    }
    d->offset += width;
    return true;
}

int32_t pp_linetable_line(int64_t line)
{
    return line >= 0 && line <= INT32_MAX ? (int32_t)line : -1;
}

bool pp_lines_decode(pp_line_kind kind, const uint8_t *table, size_t size,
                     int32_t first_line, uint32_t code_size, pp_line_range *out,
                     size_t max, size_t *out_n)
{
    pp_line_decoder d = {.next = table,
                         .end = size > 0 ? table + size : table,
                         .code_size = code_size,
                         .line = first_line,
                         .out = out,
                         .max = max};
    bool whole = false;

    switch (kind) {
    case PP_LINES_LNOTAB:
        whole = pp_linetable_lnotab(&d);
        break;
    case PP_LINES_310:
        whole = pp_linetable_310(&d);
        break;
    case PP_LINES_LOCATIONS:
        whole = pp_linetable_locations(&d);
        break;
    }
    *out_n = d.n;
    return whole;
}

const pp_line_range *pp_lines_find(const pp_line_range *ranges, size_t n,
                                   uint32_t offset)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (offset < ranges[middle].start) {
            high = middle;
        } else if (offset >= ranges[middle].end) {
            low = middle + 1;
        } else {
            return &ranges[middle];
        }
    }
    return NULL;
}
