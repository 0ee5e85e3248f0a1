/*
 * linetable_310: co_linetable of 3.10. Pairs of an unsigned width in bytes of
 * bytecode and a signed step in lines, taken before the range; -128 is a range
 * without a line, which leaves the count of lines as it was. A width of 0 only
 * steps. (CPython 3.10: Objects/lnotab_notes.txt and advance() in
 * Objects/codeobject.c.)
 */
#include "layout/linetable.h"

enum { NO_LINE = -128 };

bool pp_linetable_310(pp_line_decoder *d)
{
    while (d->end - d->next >= 2) {
        uint32_t width = d->next[0];
        int8_t step = (int8_t)d->next[1];
        pp_line_range position = {
            .line = -1, .end_line = -1, .column = -1, .end_column = -1};

        if (step != NO_LINE) {
            d->line += step;
            position.line = pp_linetable_line(d->line);
        }
        if (!pp_linetable_add(d, width, &position)) {
            return false;
        }
        d->next += 2;
    }
    return d->next == d->end;
}
