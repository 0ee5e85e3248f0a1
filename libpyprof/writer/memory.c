/*
 * memory: a writer whose bytes stay here, for whoever wants them as text.
 *
 * Invariant: a NUL byte follows the bytes, so that they can be read as text.
 */
#include "writer/sink.h"

#include <string.h>

static pyprof_status memory_write(pyprof_writer *w, const void *data,
                                  size_t size, pyprof_error *err)
{
    if (size >= SIZE_MAX - w->as.memory.size ||
        !pp_grow(&w->allocator, &w->as.memory.data, &w->as.memory.cap, 1,
                 w->as.memory.size + size + 1, 0)) {
        return pp_error_memory(err, "what is written to memory");
    }
    memcpy(w->as.memory.data + w->as.memory.size, data, size);
    w->as.memory.size += size;
    w->as.memory.data[w->as.memory.size] = '\0';
    return PYPROF_OK;
}

static void memory_close(pyprof_writer *w)
{
    pp_free(&w->allocator, w->as.memory.data);
}

static const pp_sink memory_sink = {
    .write = memory_write,
    .close = memory_close,
};

pyprof_status pp_writer_open_memory(const pp_allocator *a, pyprof_writer **out,
                                    pyprof_error *err)
{
    pyprof_writer *w = pp_writer_make(&memory_sink, a);
    if (w == NULL) {
        return pp_error_memory(err, "a writer");
    }
    *out = w;
    return PYPROF_OK;
}

pyprof_text pp_writer_memory(const pyprof_writer *w)
{
    while (w->sink->is_packed) {
        w = w->as.packed.inner;
    }
    if (w->sink != &memory_sink || w->as.memory.data == NULL) {
        return (pyprof_text){.data = "", .size = 0};
    }
    return (pyprof_text){.data = w->as.memory.data, .size = w->as.memory.size};
}
