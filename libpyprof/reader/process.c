/*
 * process: a reader of a live process. In: spans. Out: what os copies.
 */
#include "reader/reader.h"

typedef struct process_reader {
    pp_reader base;
    pp_os_process *process;
} process_reader;

static pyprof_status readv_process(pp_reader *reader, void *to,
                                   const pp_span *spans, size_t n,
                                   size_t *out_spans, uint64_t *io_calls)
{
    process_reader *self = (process_reader *)reader;
    return pp_os_process_readv(self->process, to, spans, n, out_spans,
                               io_calls);
}

static void close_process(pp_reader *reader)
{
    pp_free(reader->allocator, reader);
}

static const pp_reader_ops process_ops = {"process", readv_process,
                                          close_process};

pyprof_status pp_reader_open_process(const pp_allocator *allocator,
                                     pp_os_process *process, pp_reader **out,
                                     pyprof_error *err)
{
    process_reader *self = pp_calloc(allocator, 1, sizeof(*self));
    if (self == NULL) {
        return pp_error_memory(err, "a reader");
    }
    self->base.ops = &process_ops;
    self->base.allocator = allocator;
    self->process = process;
    *out = &self->base;
    return PYPROF_OK;
}
