/*
 * pack: which compression goes around a writer.
 */
#include "writer/writer.h"

pyprof_status pp_writer_pack(pyprof_writer **w, int32_t compression,
                             const pp_allocator *a, pyprof_error *err)
{
    enum {
        LEVEL = 6 /* files that are kept and sent: a little smaller */
    };
    pyprof_writer *packed = NULL;
    pyprof_status status = PYPROF_OK;
    switch (compression) {
    case PYPROF_COMPRESSION_GZIP:
        status = pp_writer_open_gzip(*w, true, a, &packed, err);
        break;
    case PYPROF_COMPRESSION_ZSTD:
        status = pp_writer_open_zstd(*w, true, LEVEL, a, &packed, err);
        break;
    default:
        return PYPROF_OK;
    }
    if (status != PYPROF_OK) {
        pp_writer_close(*w);
        *w = NULL;
        return status;
    }
    *w = packed;
    return PYPROF_OK;
}
