/*
 * reader: what every kind of reader can do, made of its one slot.
 */
#include "reader/reader.h"

/* Pages are at least this long and aligned to it on every machine, so no
 * span within one of these is ever half there. */
enum { SMALLEST_PAGE = 4096, PAGES_A_CALL = 64 };

void pp_reader_close(pp_reader *reader)
{
    if (reader != NULL) {
        reader->ops->close(reader);
    }
}

pyprof_status pp_reader_read(pp_reader *reader, uint64_t address, void *to,
                             size_t size)
{
    pp_span span = {address, size};
    size_t got = 0;
    PP_TRY(pp_reader_readv(reader, to, &span, 1, &got));
    return got == 1 ? PYPROF_OK : PYPROF_ERR_FAULT;
}

pyprof_status pp_reader_read_some(pp_reader *reader, uint64_t address, void *to,
                                  size_t size, size_t *out_size)
{
    uint8_t *at = to;
    size_t done = 0;
    pyprof_status status = pp_reader_read(reader, address, to, size);
    *out_size = size;
    if (status != PYPROF_ERR_FAULT) {
        return status;
    }
    /* Page by page, many a call, up to the first that is missing. */
    while (done < size) {
        pp_span spans[PAGES_A_CALL];
        size_t n = 0;
        size_t got = 0;
        size_t asked = done;
        for (; n < PAGES_A_CALL && asked < size; n++) {
            uint64_t from = address + asked;
            size_t length = SMALLEST_PAGE - (size_t)(from % SMALLEST_PAGE);
            length = length < size - asked ? length : size - asked;
            spans[n] = (pp_span){from, length};
            asked += length;
        }
        status = pp_reader_readv(reader, at + done, spans, n, &got);
        for (size_t i = 0; i < got; i++) {
            done += (size_t)spans[i].size;
        }
        if (status != PYPROF_OK || got < n) {
            break;
        }
    }
    *out_size = done;
    return status == PYPROF_OK && done == 0 && size > 0 ? PYPROF_ERR_FAULT
                                                        : status;
}

pyprof_status pp_reader_u64(pp_reader *reader, uint64_t address, uint64_t *out)
{
    return pp_reader_read(reader, address, out, sizeof(*out));
}
