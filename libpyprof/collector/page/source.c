/*
 * source: a source file of the target in lines. In goes a path as the target
 * names it, which only the caller's function knows how to read; out come lines.
 *
 * Invariant: at most PP_SOURCE_SIZE_MAX bytes are kept, however many the
 * function writes.
 */
#include "collector/page/source.h"

#include <string.h>

static int32_t take(void *user, const void *data, size_t size)
{
    pp_source *source = user;
    size_t room = PP_SOURCE_SIZE_MAX - source->size;
    size_t n = size < room ? size : room;
    source->is_cut = source->is_cut || n < size;
    if (n > 0) {
        memcpy(source->data + source->size, data, n);
        source->size += n;
    }
    return 0;
}

static bool split(pp_source *source)
{
    size_t n = 0;
    for (size_t i = 0; i < source->size; i++) {
        n += source->data[i] == '\n';
    }
    bool has_rest = source->size > 0 && source->data[source->size - 1] != '\n';
    n += has_rest;
    source->starts = pp_calloc(source->allocator, n + 1, sizeof(size_t));
    if (source->starts == NULL) {
        return false;
    }
    size_t line = 0;
    for (size_t i = 0; i < source->size; i++) {
        if (source->data[i] == '\n') {
            source->starts[++line] = i + 1;
        }
    }
    source->starts[n] = source->size;
    source->n_lines = (uint32_t)n;
    return true;
}

pyprof_status pp_source_read(pp_source *source, const pp_source_reader *reader,
                             pyprof_text path, pyprof_error *err)
{
    static const pyprof_writer_ops ops = {
        .sz = sizeof(ops), .name = "source", .write = take};
    *source = (pp_source){.allocator = reader->allocator};
    if (reader->read == NULL || path.size == 0 || path.data[0] == '<' ||
        path.data[0] == '~') {
        return PYPROF_OK;
    }
    source->data = pp_alloc(reader->allocator, PP_SOURCE_SIZE_MAX);
    pyprof_writer *w = NULL;
    if (source->data == NULL) {
        return pp_error_memory(err, "a source file");
    }
    PP_TRY(pp_writer_open_callback(&ops, source, reader->allocator, &w, err));
    pyprof_error why = PYPROF_ERROR_INIT;
    bool is_read = reader->read(reader->user, path, w, &why) == PYPROF_OK &&
                   pp_writer_finish(w, &why) == PYPROF_OK;
    pp_writer_close(w);
    if (!is_read) {
        pp_source_free(source);
        return PYPROF_OK;
    }
    char *fitted = pp_realloc(source->allocator, source->data,
                              source->size > 0 ? source->size : 1, 1);
    source->data = fitted != NULL ? fitted : source->data;
    return split(source) ? PYPROF_OK
                         : pp_error_memory(err, "lines of a source file");
}

pyprof_text pp_source_line(const pp_source *source, uint32_t line)
{
    if (line == 0 || line > source->n_lines) {
        return (pyprof_text){.data = "", .size = 0};
    }
    size_t start = source->starts[line - 1];
    size_t end = source->starts[line];
    while (end > start &&
           (source->data[end - 1] == '\n' || source->data[end - 1] == '\r')) {
        end--;
    }
    return (pyprof_text){.data = source->data + start, .size = end - start};
}

void pp_source_free(pp_source *source)
{
    pp_free(source->allocator, source->data);
    pp_free(source->allocator, source->starts);
    *source = (pp_source){.allocator = source->allocator};
}
