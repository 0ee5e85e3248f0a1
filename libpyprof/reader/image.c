/*
 * image: memory that was recorded, and the recorder.
 *
 * An image is what a test reads instead of a process. All numbers are
 * little-endian:
 *
 *   0   8  "PPIMAGE1"
 *   8   4  number of segments, n
 *   12  4  0
 *   16  8  address of the runtime, or 0
 *   24  8  address of _AsyncioDebug, or 0
 *   32  4  version, as Py_Version
 *   36  4  build bits
 *   40  16 a segment: address, size; n of them, ascending, none empty, none
 *          overlapping
 *   ..     their bytes, one after the other, and nothing behind them
 *
 * Images may be hostile: all is checked when one is opened. The recorder keeps
 * every byte that it hands on, the newest where one was read twice, so that
 * the image has exactly what was asked for.
 */
#include "reader/reader.h"

#include <string.h>

static const char magic[8] = {'P', 'P', 'I', 'M', 'A', 'G', 'E', '1'};
enum { HEADER_SIZE = 40, SEGMENT_SIZE = 16, PAGE = 4096 };

static uint64_t get_number(const uint8_t *p, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) {
        value = value << 8 | p[i];
    }
    return value;
}

static void put_number(uint8_t *p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) {
        p[i] = (uint8_t)(value >> (8 * i));
    }
}

/* ---- reading an image ----------------------------------------------- */

typedef struct segment {
    uint64_t address, size;
    const uint8_t *bytes;
} segment;

typedef struct image_reader {
    pp_reader base;
    pp_image_info info;
    segment *segments;
    size_t n;
} image_reader;

/* Copies one piece, which may lie across segments that touch. */
static bool copy_piece(const image_reader *self, uint8_t *to, uint64_t address,
                       uint64_t size)
{
    size_t low = 0;
    size_t high = self->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (self->segments[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t i = low > 0 ? low - 1 : 0; size > 0; i++) {
        if (i >= self->n || address < self->segments[i].address ||
            address - self->segments[i].address >= self->segments[i].size) {
            return false;
        }
        uint64_t within = address - self->segments[i].address;
        uint64_t n = self->segments[i].size - within;
        n = n < size ? n : size;
        memcpy(to, self->segments[i].bytes + within, (size_t)n);
        to += n;
        address += n;
        size -= n;
    }
    return true;
}

static pyprof_status readv_image(pp_reader *reader, void *to,
                                 const pp_span *spans, size_t n,
                                 size_t *out_spans, uint64_t *io_calls)
{
    const image_reader *self = (const image_reader *)reader;
    uint8_t *at = to;
    PP_UNUSED(io_calls);
    *out_spans = 0;
    for (size_t i = 0; i < n; i++) {
        if (!copy_piece(self, at, spans[i].address, spans[i].size)) {
            break;
        }
        at += spans[i].size;
        *out_spans = i + 1;
    }
    return PYPROF_OK;
}

static void close_image(pp_reader *reader)
{
    image_reader *self = (image_reader *)reader;
    pp_free(reader->allocator, self->segments);
    pp_free(reader->allocator, self);
}

static const pp_reader_ops image_ops = {"image", readv_image, close_image};

static pyprof_status corrupt(pyprof_error *err, const char *what)
{
    return pp_error_set(err, PYPROF_ERR_CORRUPT, "not a recorded image: %s",
                        what);
}

/* Checks the table of segments against the bytes that follow it. */
static pyprof_status read_segments(image_reader *self, const uint8_t *data,
                                   size_t size, pyprof_error *err)
{
    const uint8_t *table = data + HEADER_SIZE;
    size_t left = size - HEADER_SIZE - self->n * SEGMENT_SIZE;
    const uint8_t *bytes = table + self->n * SEGMENT_SIZE;
    uint64_t last = 0;
    for (size_t i = 0; i < self->n; i++) {
        segment *s = &self->segments[i];
        uint64_t end;
        s->address = get_number(table + i * SEGMENT_SIZE, 8);
        s->size = get_number(table + i * SEGMENT_SIZE + 8, 8);
        s->bytes = bytes;
        if (s->size == 0 || s->size > left ||
            !pp_add_u64(s->address, s->size, &end)) {
            return corrupt(err, "a segment is not all there");
        }
        if (s->address < last) {
            return corrupt(err, "its segments are not in order");
        }
        last = end;
        bytes += s->size;
        left -= (size_t)s->size;
    }
    return left == 0 ? PYPROF_OK : corrupt(err, "bytes follow its end");
}

pyprof_status pp_reader_open_image(const pp_allocator *allocator,
                                   const void *data, size_t size,
                                   pp_reader **out, pyprof_error *err)
{
    const uint8_t *bytes = data;
    if (size < HEADER_SIZE || memcmp(bytes, magic, sizeof(magic)) != 0) {
        return corrupt(err, "it does not begin like one");
    }
    uint64_t n = get_number(bytes + 8, 4);
    if (n > (size - HEADER_SIZE) / SEGMENT_SIZE ||
        get_number(bytes + 12, 4) != 0) {
        return corrupt(err, "its table is not all there");
    }
    image_reader *self = pp_calloc(allocator, 1, sizeof(*self));
    if (self == NULL) {
        return pp_error_memory(err, "a reader");
    }
    self->base.ops = &image_ops;
    self->base.allocator = allocator;
    self->n = (size_t)n;
    self->info.runtime = get_number(bytes + 16, 8);
    self->info.async_debug = get_number(bytes + 24, 8);
    self->info.hex_version = (uint32_t)get_number(bytes + 32, 4);
    self->info.build = (uint32_t)get_number(bytes + 36, 4);
    self->segments = pp_calloc(allocator, self->n + 1, sizeof(segment));
    pyprof_status status = self->segments == NULL
                               ? pp_error_memory(err, "a reader")
                               : read_segments(self, bytes, size, err);
    if (status != PYPROF_OK) {
        close_image(&self->base);
        return status;
    }
    *out = &self->base;
    return PYPROF_OK;
}

bool pp_reader_image_info(const pp_reader *reader, pp_image_info *out)
{
    if (reader->ops != &image_ops) {
        return false;
    }
    *out = ((const image_reader *)reader)->info;
    return true;
}

/* ---- recording ------------------------------------------------------ */

typedef struct page {
    uint64_t number;
    uint8_t known[PAGE / 8]; /* a bit for each byte */
    uint8_t bytes[PAGE];
} page;

typedef struct recorder {
    pp_reader base;
    pp_reader *inner;
    pp_image_info info;
    pp_map index; /* page number -> place in pages */
    page **pages;
    size_t n, cap, max;
    pyprof_status status; /* why the recording is not whole, or OK */
} recorder;

/* The page, made when it is new; NULL when it can't be. */
static page *page_of(recorder *self, uint64_t number)
{
    const uint64_t *place = pp_map_find(&self->index, number);
    if (place != NULL) {
        return self->pages[*place];
    }
    if (self->n >= self->max) {
        self->status = PYPROF_ERR_LIMIT;
        return NULL;
    }
    page *new_page = pp_calloc(self->base.allocator, 1, sizeof(page));
    uint64_t *value = NULL;
    if (new_page != NULL &&
        pp_grow(self->base.allocator, (void **)&self->pages, &self->cap,
                sizeof(page *), self->n + 1, 0)) {
        value = pp_map_put(&self->index, number, NULL);
    }
    if (value == NULL) {
        pp_free(self->base.allocator, new_page);
        self->status = PYPROF_ERR_NO_MEMORY;
        return NULL;
    }
    *value = self->n;
    new_page->number = number;
    self->pages[self->n++] = new_page;
    return new_page;
}

static void keep_bytes(recorder *self, const uint8_t *from, uint64_t address,
                       uint64_t size)
{
    while (size > 0) {
        page *to = page_of(self, address / PAGE);
        size_t within = (size_t)(address % PAGE);
        size_t n = PAGE - within;
        n = n < size ? n : (size_t)size;
        if (to == NULL) {
            return;
        }
        memcpy(to->bytes + within, from, n);
        for (size_t i = within; i < within + n; i++) {
            to->known[i / 8] |= (uint8_t)(1u << (i % 8));
        }
        from += n;
        address += n;
        size -= n;
    }
}

static pyprof_status readv_recorder(pp_reader *reader, void *to,
                                    const pp_span *spans, size_t n,
                                    size_t *out_spans, uint64_t *io_calls)
{
    recorder *self = (recorder *)reader;
    const uint8_t *from = to;
    pyprof_status status =
        self->inner->ops->readv(self->inner, to, spans, n, out_spans, io_calls);
    for (size_t i = 0; i < *out_spans; i++) {
        keep_bytes(self, from, spans[i].address, spans[i].size);
        from += spans[i].size;
    }
    return status;
}

static void close_recorder(pp_reader *reader)
{
    recorder *self = (recorder *)reader;
    for (size_t i = 0; i < self->n; i++) {
        pp_free(reader->allocator, self->pages[i]);
    }
    pp_free(reader->allocator, self->pages);
    pp_map_free(&self->index);
    pp_free(reader->allocator, self);
}

static const pp_reader_ops recorder_ops = {"recorder", readv_recorder,
                                           close_recorder};

pyprof_status pp_reader_open_recorder(const pp_allocator *allocator,
                                      pp_reader *inner, size_t max_bytes,
                                      pp_reader **out, pyprof_error *err)
{
    recorder *self = pp_calloc(allocator, 1, sizeof(*self));
    if (self == NULL) {
        return pp_error_memory(err, "a recorder");
    }
    self->base.ops = &recorder_ops;
    self->base.allocator = allocator;
    self->inner = inner;
    self->max = max_bytes / PAGE;
    pp_map_init(&self->index, allocator);
    *out = &self->base;
    return PYPROF_OK;
}

void pp_reader_record_info(pp_reader *reader, const pp_image_info *info)
{
    if (reader->ops == &recorder_ops) {
        ((recorder *)reader)->info = *info;
    }
}

/* By page number; shell sort, for the C library's may allocate. */
static void sort_pages(page **pages, size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap /= 2) {
        for (size_t i = gap; i < n; i++) {
            page *moved = pages[i];
            size_t k = i;
            while (k >= gap && pages[k - gap]->number > moved->number) {
                pages[k] = pages[k - gap];
                k -= gap;
            }
            pages[k] = moved;
        }
    }
}

/* Walks all known bytes in order. Counts runs of neighbours and bytes, and
 * writes the table and the bytes where these are given. */
static void write_runs(const recorder *self, size_t *runs, size_t *bytes,
                       uint8_t *table, uint8_t *to)
{
    uint64_t end = 0; /* of the run so far */
    *runs = 0;
    *bytes = 0;
    for (size_t p = 0; p < self->n; p++) {
        const page *from = self->pages[p];
        for (size_t i = 0; i < PAGE; i++) {
            uint64_t address = from->number * PAGE + i;
            if (((from->known[i / 8] >> (i % 8)) & 1) == 0) {
                continue;
            }
            if (*runs == 0 || address != end) {
                (*runs)++;
                if (table != NULL) {
                    uint8_t *entry = table + (*runs - 1) * SEGMENT_SIZE;
                    put_number(entry, address, 8);
                    put_number(entry + 8, 0, 8);
                }
            }
            end = address + 1;
            if (table != NULL) {
                uint8_t *size = table + (*runs - 1) * SEGMENT_SIZE + 8;
                put_number(size, get_number(size, 8) + 1, 8);
                to[*bytes] = from->bytes[i];
            }
            (*bytes)++;
        }
    }
}

/* Places in the index are no longer those in the sorted table. */
static void index_pages(recorder *self)
{
    for (size_t i = 0; i < self->n; i++) {
        uint64_t *place = pp_map_find(&self->index, self->pages[i]->number);
        *place = i;
    }
}

pyprof_status pp_reader_record(pp_reader *reader, void **out_data,
                               size_t *out_size, pyprof_error *err)
{
    recorder *self = (recorder *)reader;
    size_t runs, bytes;
    if (reader->ops != &recorder_ops) {
        return pp_error_set(err, PYPROF_ERR_INVALID, "not a recorder");
    }
    if (self->status == PYPROF_ERR_LIMIT) {
        return pp_error_set(err, PYPROF_ERR_LIMIT,
                            "more than %zu pages were read", self->max);
    }
    if (self->status != PYPROF_OK) {
        return pp_error_memory(err, "a recording");
    }
    sort_pages(self->pages, self->n);
    index_pages(self);
    write_runs(self, &runs, &bytes, NULL, NULL);
    size_t size = HEADER_SIZE + runs * SEGMENT_SIZE + bytes;
    uint8_t *data = pp_calloc(reader->allocator, 1, size);
    if (data == NULL) {
        return pp_error_memory(err, "a recording");
    }
    memcpy(data, magic, sizeof(magic));
    put_number(data + 8, runs, 4);
    put_number(data + 16, self->info.runtime, 8);
    put_number(data + 24, self->info.async_debug, 8);
    put_number(data + 32, self->info.hex_version, 4);
    put_number(data + 36, self->info.build, 4);
    write_runs(self, &runs, &bytes, data + HEADER_SIZE,
               data + HEADER_SIZE + runs * SEGMENT_SIZE);
    *out_data = data;
    *out_size = size;
    return PYPROF_OK;
}
