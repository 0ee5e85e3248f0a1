/*
 * Fuzz entry of layout/linetable*: any bytes as a line table. Input: kind,
 * room for ranges (255: enough), code size and first line (16 bits each), then
 * the table.
 */
#include <stdint.h>
#include <stdlib.h>

#include "layout/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 6, ALWAYS_ENOUGH = 255 };

static void check(const pp_line_range *ranges, size_t n, uint32_t code_size)
{
    uint32_t end = 0;

    for (size_t i = 0; i < n; i++) {
        if (ranges[i].start < end || ranges[i].end <= ranges[i].start ||
            ranges[i].end > code_size || ranges[i].line < -1 ||
            ranges[i].end_line < -1 || ranges[i].column < -1 ||
            ranges[i].end_column < -1) {
            abort();
        }
        end = ranges[i].end;
        if (pp_lines_find(ranges, n, ranges[i].start) != &ranges[i] ||
            pp_lines_find(ranges, n, end - 1) != &ranges[i]) {
            abort();
        }
    }
    if (pp_lines_find(ranges, n, end) != NULL) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t code_size;
    size_t max, n = SIZE_MAX;
    pp_line_range *ranges;

    if (size < HEADER) {
        return -1;
    }
    size -= HEADER;
    code_size = (uint32_t)(data[2] | data[3] << 8);
    max = data[1] == ALWAYS_ENOUGH ? size + 1 : data[1];
    ranges = malloc((max + (max == 0)) * sizeof(*ranges));
    if (ranges == NULL) {
        return -1;
    }
    pp_lines_decode((pp_line_kind)(data[0] % 3), data + HEADER, size,
                    data[4] | data[5] << 8, code_size, ranges, max, &n);
    if (n > max) {
        abort();
    }
    check(ranges, n, code_size);
    free(ranges);
    return 0;
}
