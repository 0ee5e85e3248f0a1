/*
 * reader: the memory of a target, wherever it is: a live process, or an image
 * recorded for a test. Knows addresses and bytes, nothing of Python.
 *
 * A reader never promises that what it copies belongs together: that is for
 * the caller to check. All results are untrusted.
 */
#ifndef PP_READER_H
#define PP_READER_H

#include "base/base.h"
#include "os/os.h"

typedef pp_os_span pp_span;

typedef struct pp_reader_counters {
    uint64_t calls; /* system calls that read memory */
    uint64_t spans; /* pieces asked for */
    uint64_t bytes; /* bytes copied */
} pp_reader_counters;

typedef struct pp_reader pp_reader;

/* One kind of reader. Slots MUST NOT allocate per call. */
typedef struct pp_reader_ops {
    const char *name;
    /* MUST copy spans in order into `to`, stop at the first that can't be read
     * whole, and tell how many were: the contract of pp_os_process_readv. */
    pyprof_status (*readv)(pp_reader *reader, void *to, const pp_span *spans,
                           size_t n, size_t *out_spans, uint64_t *io_calls);
    void (*close)(pp_reader *reader);
} pp_reader_ops;

struct pp_reader {
    const pp_reader_ops *ops;
    const pp_allocator *allocator;
    pp_reader_counters counters;
};

/* A live process; `process` must outlive the reader. */
pyprof_status pp_reader_open_process(const pp_allocator *allocator,
                                     pp_os_process *process, pp_reader **out,
                                     pyprof_error *err);

/* A recorded image (format in image.c): bytes are borrowed and must outlive
 * the reader. PYPROF_ERR_CORRUPT when it isn't one. */
pyprof_status pp_reader_open_image(const pp_allocator *allocator,
                                   const void *data, size_t size,
                                   pp_reader **out, pyprof_error *err);
/* A reader that copies what it hands on, so that an image can be written from
 * it: pages that were read, once each, at most `max_bytes`. `inner` stays the
 * caller's. */
pyprof_status pp_reader_open_recorder(const pp_allocator *allocator,
                                      pp_reader *inner, size_t max_bytes,
                                      pp_reader **out, pyprof_error *err);
/* The image so far: *out_data is the caller's, free with pp_free. */
pyprof_status pp_reader_record(pp_reader *recorder, void **out_data,
                               size_t *out_size, pyprof_error *err);
/* What an image says of the runtime in it; zeros where it says nothing. */
typedef struct pp_image_info {
    uint64_t runtime;     /* address */
    uint64_t async_debug; /* address, or 0 */
    uint32_t hex_version; /* as Py_Version */
    uint32_t build;       /* bits, whatever the writer means by them */
} pp_image_info;
/* To be put into the image that pp_reader_record makes. */
void pp_reader_record_info(pp_reader *recorder, const pp_image_info *info);
/* False when the reader is not one of an image. */
bool pp_reader_image_info(const pp_reader *reader, pp_image_info *out);

void pp_reader_close(pp_reader *reader);

/* Many spans, as few calls as there can be. `*out_spans` were read. A fault is
 * not an error (PYPROF_OK, *out_spans < n). */
static inline pyprof_status pp_reader_readv(pp_reader *reader, void *to,
                                            const pp_span *spans, size_t n,
                                            size_t *out_spans)
{
    pyprof_status status = reader->ops->readv(reader, to, spans, n, out_spans,
                                              &reader->counters.calls);
    reader->counters.spans += n;
    for (size_t i = 0; i < *out_spans; i++) {
        reader->counters.bytes += spans[i].size;
    }
    return status;
}

/* One piece, whole. PYPROF_ERR_FAULT when it is not all there. */
pyprof_status pp_reader_read(pp_reader *reader, uint64_t address, void *to,
                             size_t size);
/* As much as there is of one piece, at page granularity from the end: a table
 * at the end of a mapping can be read with a generous size. */
pyprof_status pp_reader_read_some(pp_reader *reader, uint64_t address, void *to,
                                  size_t size, size_t *out_size);
pyprof_status pp_reader_u64(pp_reader *reader, uint64_t address, uint64_t *out);

/* ---- gather.c ------------------------------------------------------- */

/* Sections of one gather: read one after the other within the same call. */
#define PP_GATHER_SECTIONS 6

/* One piece that is there, or is to be there. */
typedef struct pp_copy {
    uint32_t offset; /* in the buffer */
    bool there;      /* it was read */
} pp_copy;

/* A plan of pieces, merged into spans, and their bytes. A plan is made once
 * (begin, add..., section..., seal) and read any number of times. Spans are
 * sorted within a section, and pieces less than PP_GATHER_GAP apart are merged:
 * copying that much costs less than another span, and no unmapped page fits
 * in between. */
#define PP_GATHER_GAP 1536
typedef struct pp_gather {
    const pp_allocator *allocator;
    pp_span *spans;
    pp_copy *copies; /* parallel to spans once it is sealed */
    size_t n, cap, cap_copies;
    size_t section_end[PP_GATHER_SECTIONS];
    size_t sections; /* sections that were begun */
    uint8_t *buffer;
    size_t size, cap_buffer;
    bool failed; /* out of memory or over a cap: seal says so */
    bool whole;  /* the last run read every span */
} pp_gather;

void pp_gather_init(pp_gather *gather, const pp_allocator *allocator);
void pp_gather_free(pp_gather *gather);
/* Forgets the plan, keeps the memory; pieces that follow are of section 0. */
void pp_gather_begin(pp_gather *gather);
/* Wants a piece (at most 1 MiB); overlapping pieces are fine. */
void pp_gather_add(pp_gather *gather, uint64_t address, uint64_t size);
/* What is added from here on is read after all that came before. */
void pp_gather_section(pp_gather *gather);
/* Sorts and merges. False when it failed: the plan is then empty. */
bool pp_gather_seal(pp_gather *gather);
/* Reads all spans, in order; a span that can't be read is left out and costs
 * one more call (at most 64 of these). The status of the reader. */
pyprof_status pp_gather_run(pp_gather *gather, pp_reader *reader);

/* A look into one section; remembers the last hit, since the next address is
 * mostly near it. */
typedef struct pp_view {
    const pp_gather *gather;
    size_t first, end; /* spans of the section */
    uint64_t hit_address, hit_size;
    const uint8_t *hit;
} pp_view;

pp_view pp_gather_view(const pp_gather *gather, size_t section);
const uint8_t *pp_view_search(pp_view *view, uint64_t address, uint64_t size);
/* The bytes of a piece that was read whole, or NULL. */
static inline const uint8_t *pp_view_find(pp_view *view, uint64_t address,
                                          uint64_t size)
{
    uint64_t at = address - view->hit_address;
    if (PP_LIKELY(at < view->hit_size && size <= view->hit_size - at)) {
        return view->hit + at;
    }
    return pp_view_search(view, address, size);
}

#endif /* PP_READER_H */
