/*
 * zstd: a writer around a writer that compresses. In go bytes, out goes one
 * frame of zstd.
 *
 * Invariant: what was written before a flush can be read from what `inner` got
 * by then, whatever follows.
 */
#include "writer/sink.h"

#include <zstd.h>

static pyprof_status refused(size_t result, pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_INTERNAL, "zstd: %s",
                        ZSTD_getErrorName(result));
}

/* Feeds `size` bytes and carries on until `mode` is done. */
static pyprof_status feed(pyprof_writer *w, const void *data, size_t size,
                          ZSTD_EndDirective mode, pyprof_error *err)
{
    ZSTD_inBuffer in = {.src = data, .size = size};
    size_t left;
    do {
        ZSTD_outBuffer out = {.dst = w->as.packed.out,
                              .size = PP_WRITER_BUFFER};
        left = ZSTD_compressStream2(w->as.packed.state, &out, &in, mode);
        if (ZSTD_isError(left)) {
            return refused(left, err);
        }
        if (out.pos > 0) {
            PP_TRY(pp_writer_write(w->as.packed.inner, out.dst, out.pos, err));
        }
    } while (mode == ZSTD_e_continue ? in.pos < in.size : left > 0);
    return PYPROF_OK;
}

static pyprof_status zstd_write(pyprof_writer *w, const void *data, size_t size,
                                pyprof_error *err)
{
    return feed(w, data, size, ZSTD_e_continue, err);
}

static pyprof_status zstd_flush(pyprof_writer *w, pyprof_error *err)
{
    PP_TRY(feed(w, NULL, 0, ZSTD_e_flush, err));
    return pp_writer_flush(w->as.packed.inner, err);
}

static pyprof_status zstd_finish(pyprof_writer *w, pyprof_error *err)
{
    PP_TRY(feed(w, NULL, 0, ZSTD_e_end, err));
    return w->as.packed.owns_inner ? pp_writer_finish(w->as.packed.inner, err)
                                   : PYPROF_OK;
}

static void zstd_close(pyprof_writer *w)
{
    ZSTD_freeCCtx(w->as.packed.state);
    pp_free(&w->allocator, w->as.packed.out);
    if (w->as.packed.owns_inner) {
        pp_writer_close(w->as.packed.inner);
    }
}

static const pp_sink zstd_sink = {
    .buffer = PP_WRITER_BUFFER,
    .is_packed = true,
    .write = zstd_write,
    .flush = zstd_flush,
    .finish = zstd_finish,
    .close = zstd_close,
};

pyprof_status pp_writer_open_zstd(pyprof_writer *inner, bool owns_inner,
                                  int level, const pp_allocator *a,
                                  pyprof_writer **out, pyprof_error *err)
{
    pyprof_writer *w = pp_writer_make(&zstd_sink, a);
    if (w == NULL) {
        return pp_error_memory(err, "a writer");
    }
    w->as.packed.inner = inner;
    w->as.packed.state = ZSTD_createCCtx();
    w->as.packed.out = pp_alloc(a, PP_WRITER_BUFFER);
    if (w->as.packed.state == NULL || w->as.packed.out == NULL) {
        pp_writer_close(w);
        return pp_error_memory(err, "a writer");
    }
    size_t set = ZSTD_CCtx_setParameter(w->as.packed.state,
                                        ZSTD_c_compressionLevel, level);
    if (ZSTD_isError(set)) {
        pp_writer_close(w);
        return refused(set, err);
    }
    w->as.packed.owns_inner = owns_inner;
    *out = w;
    return PYPROF_OK;
}
