/*
 * callback: a writer over the caller's own functions. Bytes go through at once,
 * since the caller may show or send them as they come.
 */
#include "writer/sink.h"

static const char *name_of(const pyprof_writer *w)
{
    const char *name = w->as.callback.ops.name;
    return name != NULL ? name : "callback";
}

static pyprof_status callback_write(pyprof_writer *w, const void *data,
                                    size_t size, pyprof_error *err)
{
    int32_t answer = w->as.callback.ops.write(w->as.callback.user, data, size);
    if (answer != 0) {
        return pp_error_set(err, PYPROF_ERR_CALLBACK,
                            "the write function of the writer \"%s\" failed "
                            "with %d",
                            name_of(w), (int)answer);
    }
    return PYPROF_OK;
}

static pyprof_status callback_finish(pyprof_writer *w, pyprof_error *err)
{
    if (w->as.callback.ops.finish == NULL) {
        return PYPROF_OK;
    }
    int32_t answer = w->as.callback.ops.finish(w->as.callback.user);
    if (answer != 0) {
        return pp_error_set(err, PYPROF_ERR_CALLBACK,
                            "the finish function of the writer \"%s\" failed "
                            "with %d",
                            name_of(w), (int)answer);
    }
    return PYPROF_OK;
}

static void callback_close(pyprof_writer *w)
{
    if (w->as.callback.ops.close != NULL) {
        w->as.callback.ops.close(w->as.callback.user);
    }
}

static const pp_sink callback_sink = {
    .write = callback_write,
    .finish = callback_finish,
    .close = callback_close,
};

pyprof_status pp_writer_open_callback(const pyprof_writer_ops *ops, void *user,
                                      const pp_allocator *a,
                                      pyprof_writer **out, pyprof_error *err)
{
    pyprof_writer *w = pp_writer_make(&callback_sink, a);
    if (w == NULL) {
        return pp_error_memory(err, "a writer");
    }
    w->as.callback.ops = *ops;
    w->as.callback.user = user;
    *out = w;
    return PYPROF_OK;
}
