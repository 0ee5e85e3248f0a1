/*
 * writer: what all kinds of writers have in common. In go bytes, out they go
 * through a sink, gathered to large pieces where each call costs.
 *
 * Invariants:
 * 1. After a failure the sink is not called again but to close: every later
 *    call answers with that failure.
 * 2. Bytes reach the sink in order, none twice.
 *
 * It must not know what the sink is.
 */
#include "writer/sink.h"

#include <string.h>

pyprof_writer *pp_writer_make(const pp_sink *sink, const pp_allocator *a)
{
    pyprof_writer *w = pp_calloc(a, 1, sizeof(*w));
    if (w == NULL) {
        return NULL;
    }
    w->sink = sink;
    if (a != NULL) {
        w->allocator = *a;
    } else {
        (void)pp_alloc_init(&w->allocator, NULL, NULL);
    }
    w->failure = (pyprof_error)PYPROF_ERROR_INIT;
    if (sink->buffer > 0) {
        w->buffer = pp_alloc(a, sink->buffer);
        if (w->buffer == NULL) {
            pp_free(a, w);
            return NULL;
        }
    }
    return w;
}

/* Checks that the writer takes bytes. */
static pyprof_status check(const pyprof_writer *w, pyprof_error *err)
{
    if (w->failure.status != PYPROF_OK) {
        return pp_error_copy(err, &w->failure);
    }
    if (w->is_finished) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "the writer is finished: open another one");
    }
    return PYPROF_OK;
}

/* Keeps a failure of the sink, whose message is in w->failure. */
static pyprof_status keep(pyprof_writer *w, pyprof_status status,
                          pyprof_error *err)
{
    if (status != PYPROF_OK) {
        w->failure.status = status;
        return pp_error_copy(err, &w->failure);
    }
    return PYPROF_OK;
}

static pyprof_status flush(pyprof_writer *w)
{
    size_t used = w->used;
    w->used = 0;
    return used == 0 ? PYPROF_OK
                     : w->sink->write(w, w->buffer, used, &w->failure);
}

pyprof_status pp_writer_write(pyprof_writer *w, const void *data, size_t size,
                              pyprof_error *err)
{
    PP_TRY(check(w, err));
    if (size == 0) {
        return PYPROF_OK;
    }
    if (size > w->sink->buffer - w->used) {
        PP_TRY(keep(w, flush(w), err));
    }
    if (size >= w->sink->buffer) {
        return keep(w, w->sink->write(w, data, size, &w->failure), err);
    }
    memcpy(w->buffer + w->used, data, size);
    w->used += size;
    return PYPROF_OK;
}

pyprof_status pp_writer_flush(pyprof_writer *w, pyprof_error *err)
{
    PP_TRY(check(w, err));
    PP_TRY(keep(w, flush(w), err));
    return w->sink->flush == NULL
               ? PYPROF_OK
               : keep(w, w->sink->flush(w, &w->failure), err);
}

pyprof_status pp_writer_finish(pyprof_writer *w, pyprof_error *err)
{
    PP_TRY(check(w, err));
    PP_TRY(keep(w, flush(w), err));
    if (w->sink->finish != NULL) {
        PP_TRY(keep(w, w->sink->finish(w, &w->failure), err));
    }
    w->is_finished = true;
    return PYPROF_OK;
}

void pp_writer_close(pyprof_writer *w)
{
    if (w == NULL) {
        return;
    }
    if (w->sink->close != NULL) {
        w->sink->close(w);
    }
    const pp_allocator allocator = w->allocator;
    pp_free(&allocator, w->buffer);
    pp_free(&allocator, w);
}
