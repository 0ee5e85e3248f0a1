/*
 * linetable_lnotab: co_lnotab of 3.8 and 3.9. Pairs of an unsigned step in the
 * bytecode and a signed step in lines; a line holds from the step that reaches
 * it to the next step ahead in the bytecode, the last to the end of the code.
 * Steps of more than a byte are several pairs, so a step of 0 is no range of
 * its own. (CPython 3.8: Objects/lnotab_notes.txt, and PyCode_Addr2Line in
 * Objects/codeobject.c.)
 *
 * Pairs that lead past the end of the code are well-formed: the compiler leaves
 * them behind where it dropped instructions.
 */
#include "layout/linetable.h"

static bool add(pp_line_decoder *d, uint32_t width)
{
    int32_t line = pp_linetable_line(d->line);
    pp_line_range position = {
        .line = line, .end_line = -1, .column = -1, .end_column = -1};

    return pp_linetable_add(d, width, &position);
}

bool pp_linetable_lnotab(pp_line_decoder *d)
{
    while (d->end - d->next >= 2) {
        if (!add(d, d->next[0])) {
            return false;
        }
        d->line += (int8_t)d->next[1];
        d->next += 2;
    }
    return add(d, UINT32_MAX) && d->next == d->end;
}
