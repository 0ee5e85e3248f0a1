/*
 * linetable: what the decoders of line tables share. For linetable*.c only.
 */
#ifndef PP_LAYOUT_LINETABLE_H
#define PP_LAYOUT_LINETABLE_H

#include "layout/layout.h"

/* A table on its way to ranges. */
typedef struct pp_line_decoder {
    const uint8_t *next, *end; /* what is left of the table */
    uint32_t code_size;
    uint32_t offset; /* in the bytecode: where the next range starts */
    int64_t line;    /* that deltas count from; may pass the range of lines */
    pp_line_range *out;
    size_t max, n;
} pp_line_decoder;

/* Adds `width` bytes of bytecode with a position (`start` and `end` of it are
 * ignored), cut at the end of the code and merged with an equal neighbour.
 * False when there is no room. */
bool pp_linetable_add(pp_line_decoder *d, uint32_t width,
                      const pp_line_range *position);
/* A line as it is shown: -1 if it is out of range. */
int32_t pp_linetable_line(int64_t line);

/* One decoder for each pp_line_kind; false when the table is malformed. */
bool pp_linetable_lnotab(pp_line_decoder *d);
bool pp_linetable_310(pp_line_decoder *d);
bool pp_linetable_locations(pp_line_decoder *d);

#endif /* PP_LAYOUT_LINETABLE_H */
