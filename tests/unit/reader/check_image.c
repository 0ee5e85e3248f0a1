/* reader/image: what was recorded is what is read, and hostile images are
 * refused. */
#include "../base/testing.h"
#include "reader/reader.h"

#include <unistd.h>

/* ---- memory made up: a page at 0x1000, two at 0x3000 ------------------ */

typedef struct fake {
    pp_reader base;
    uint8_t bytes[0x5000];
    int closed;
} fake;

static bool is_there(uint64_t address)
{
    return (address >= 0x1000 && address < 0x2000) ||
           (address >= 0x3000 && address < 0x5000);
}

static pyprof_status fake_readv(pp_reader *reader, void *to,
                                const pp_span *spans, size_t n,
                                size_t *out_spans, uint64_t *io_calls)
{
    fake *f = (fake *)reader;
    uint8_t *at = to;
    (*io_calls)++;
    for (*out_spans = 0; *out_spans < n; (*out_spans)++) {
        const pp_span *span = &spans[*out_spans];
        for (uint64_t i = 0; i < span->size; i++) {
            if (!is_there(span->address + i)) {
                return PYPROF_OK;
            }
            *at++ = f->bytes[span->address + i];
        }
    }
    return PYPROF_OK;
}

static void fake_close(pp_reader *reader)
{
    ((fake *)reader)->closed++;
}

static const pp_reader_ops fake_ops = {"fake", fake_readv, fake_close};

static void fake_init(fake *f)
{
    memset(f, 0, sizeof(*f));
    f->base.ops = &fake_ops;
    for (size_t i = 0; i < sizeof(f->bytes); i++) {
        f->bytes[i] = (uint8_t)(i * 31 + i / 256);
    }
}

/* ---- what every reader does ------------------------------------------ */

START_TEST(test_pieces)
{
    fake f;
    uint8_t to[0x4000];
    size_t got = 0;
    uint64_t word = 0;
    fake_init(&f);
    ck_assert_int_eq(pp_reader_read(&f.base, 0x1ff0, to, 16), PYPROF_OK);
    ck_assert_mem_eq(to, f.bytes + 0x1ff0, 16);
    ck_assert_int_eq(pp_reader_read(&f.base, 0x1ff1, to, 16), PYPROF_ERR_FAULT);
    ck_assert_int_eq(pp_reader_u64(&f.base, 0x3000, &word), PYPROF_OK);
    ck_assert_mem_eq(&word, f.bytes + 0x3000, 8);
    ck_assert_int_eq(pp_reader_u64(&f.base, 0x2ffc, &word), PYPROF_ERR_FAULT);
    /* as much as there is */
    ck_assert_int_eq(pp_reader_read_some(&f.base, 0x1800, to, sizeof(to), &got),
                     PYPROF_OK);
    ck_assert_uint_eq(got, 0x800);
    ck_assert_mem_eq(to, f.bytes + 0x1800, got);
    ck_assert_int_eq(pp_reader_read_some(&f.base, 0x3001, to, sizeof(to), &got),
                     PYPROF_OK);
    ck_assert_uint_eq(got, 0x1fff);
    ck_assert_int_eq(pp_reader_read_some(&f.base, 0x1001, to, 10, &got),
                     PYPROF_OK);
    ck_assert_uint_eq(got, 10);
    ck_assert_int_eq(pp_reader_read_some(&f.base, 0x2000, to, 10, &got),
                     PYPROF_ERR_FAULT);
    ck_assert_uint_eq(got, 0);
    ck_assert_int_eq(pp_reader_read_some(&f.base, 0x2000, to, 0, &got),
                     PYPROF_OK);
    ck_assert_uint_gt(f.base.counters.calls, 0);
    ck_assert_uint_gt(f.base.counters.bytes, 0x800 + 0x1fff);
    pp_reader_close(&f.base);
    ck_assert_int_eq(f.closed, 1);
    pp_reader_close(NULL);
}
END_TEST

START_TEST(test_live)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_process *self = NULL;
    pp_reader *reader = NULL;
    uint64_t word = 0;
    const uint64_t known = UINT64_C(0x1122334455667788);
    pp_image_info info;
    ck_assert_int_eq(pp_os_process_open(NULL, getpid(), &self, &err),
                     PYPROF_OK);
    ck_assert_int_eq(pp_reader_open_process(NULL, self, &reader, &err),
                     PYPROF_OK);
    ck_assert_int_eq(pp_reader_u64(reader, (uint64_t)(uintptr_t)&known, &word),
                     PYPROF_OK);
    ck_assert_uint_eq(word, known);
    ck_assert_uint_eq(reader->counters.calls, 1);
    ck_assert_uint_eq(reader->counters.spans, 1);
    ck_assert_uint_eq(reader->counters.bytes, 8);
    ck_assert(!pp_reader_image_info(reader, &info));
    pp_reader_close(reader);
    pp_os_process_close(self);
}
END_TEST

/* ---- recording ------------------------------------------------------- */

static const pp_image_info some_info = {0x3010, 0x4020, 0x030d00f0, 1};

/* Reads pieces at random through a recorder, and the same from its image. */
START_TEST(test_round_trip)
{
    fake f;
    uint64_t random = 5;
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_reader *recorder = NULL;
    pp_reader *image = NULL;
    void *data = NULL;
    size_t size = 0;
    enum { PIECES = 300 };
    pp_span spans[PIECES];
    static uint8_t seen[PIECES][256];
    bool ok[PIECES];
    fake_init(&f);
    ck_assert_int_eq(
        pp_reader_open_recorder(NULL, &f.base, 1 << 20, &recorder, &err),
        PYPROF_OK);
    for (size_t i = 0; i < PIECES; i++) {
        spans[i].address = test_random(&random) % 0x5800;
        spans[i].size = test_random(&random) % 256;
        ok[i] = pp_reader_read(recorder, spans[i].address, seen[i],
                               (size_t)spans[i].size) == PYPROF_OK;
        if (i % 50 == 49) { /* the recording may be taken at any time */
            ck_assert_int_eq(pp_reader_record(recorder, &data, &size, &err),
                             PYPROF_OK);
            pp_free(NULL, data);
        }
    }
    pp_reader_record_info(recorder, &some_info);
    ck_assert_int_eq(pp_reader_record(recorder, &data, &size, &err), PYPROF_OK);
    pp_reader_close(recorder);
    ck_assert_int_eq(f.closed, 0);
    ck_assert_int_eq(pp_reader_open_image(NULL, data, size, &image, &err),
                     PYPROF_OK);
    for (size_t i = 0; i < PIECES; i++) {
        uint8_t to[256];
        if (ok[i]) {
            ck_assert_int_eq(pp_reader_read(image, spans[i].address, to,
                                            (size_t)spans[i].size),
                             PYPROF_OK);
            ck_assert_mem_eq(to, seen[i], (size_t)spans[i].size);
        }
    }
    uint8_t byte;
    ck_assert_int_eq(pp_reader_read(image, 0x2000, &byte, 1), PYPROF_ERR_FAULT);
    ck_assert_int_eq(pp_reader_read(image, UINT64_MAX, &byte, 1),
                     PYPROF_ERR_FAULT);
    pp_image_info info;
    ck_assert(pp_reader_image_info(image, &info));
    ck_assert_mem_eq(&info, &some_info, sizeof(info));
    pp_reader_close(image);
    pp_free(NULL, data);
}
END_TEST

START_TEST(test_recorder_keeps_the_newest)
{
    fake f;
    pp_reader *recorder = NULL;
    pp_reader *image = NULL;
    void *data = NULL;
    size_t size = 0;
    uint8_t byte = 0;
    fake_init(&f);
    ck_assert_int_eq(
        pp_reader_open_recorder(NULL, &f.base, 4096, &recorder, NULL),
        PYPROF_OK);
    f.bytes[0x1000] = 1;
    pp_reader_read(recorder, 0x1000, &byte, 1);
    f.bytes[0x1000] = 2;
    pp_reader_read(recorder, 0x1000, &byte, 1);
    ck_assert_int_eq(pp_reader_record(recorder, &data, &size, NULL), PYPROF_OK);
    ck_assert_int_eq(pp_reader_open_image(NULL, data, size, &image, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(pp_reader_read(image, 0x1000, &byte, 1), PYPROF_OK);
    ck_assert_int_eq(byte, 2);
    pp_reader_close(image);
    pp_free(NULL, data);
    /* one page was allowed */
    pp_reader_read(recorder, 0x3000, &byte, 1);
    ck_assert_int_eq(pp_reader_record(recorder, &data, &size, NULL),
                     PYPROF_ERR_LIMIT);
    ck_assert_int_eq(pp_reader_record(&f.base, &data, &size, NULL),
                     PYPROF_ERR_INVALID);
    pp_reader_record_info(&f.base, &some_info);
    pp_reader_close(recorder);
}
END_TEST

/* ---- hostile images -------------------------------------------------- */

static size_t make_image(uint8_t *to)
{
    static const uint8_t header[] = {'P', 'P', 'I', 'M', 'A', 'G',
                                     'E', '1', 2,   0,   0,   0};
    memset(to, 0, 40 + 32 + 12);
    memcpy(to, header, sizeof(header));
    to[40 + 1] = 0x10; /* 0x1000, 8 bytes */
    to[40 + 8] = 8;
    to[56] = 8; /* 0x1008, 4 bytes: touches the first */
    to[57] = 0x10;
    to[56 + 8] = 4;
    for (size_t i = 0; i < 12; i++) {
        to[72 + i] = (uint8_t)i;
    }
    return 84;
}

static pyprof_status try_image(const uint8_t *data, size_t size)
{
    pp_reader *image = NULL;
    uint8_t *exact = malloc(size == 0 ? 1 : size);
    memcpy(exact, data, size);
    pyprof_status status =
        pp_reader_open_image(NULL, exact, size, &image, NULL);
    if (status == PYPROF_OK) {
        uint8_t to[64];
        for (uint64_t at = 0xff8; at < 0x1018; at++) {
            pp_reader_read(image, at, to, (size_t)(at % 40));
        }
        pp_reader_close(image);
    }
    free(exact);
    return status;
}

START_TEST(test_hostile_images)
{
    uint8_t data[128];
    uint64_t random = 77;
    size_t size = make_image(data);
    pp_reader *image = NULL;
    uint8_t to[12];
    ck_assert_int_eq(pp_reader_open_image(NULL, data, size, &image, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(pp_reader_read(image, 0x1000, to, 12), PYPROF_OK);
    ck_assert_mem_eq(to, data + 72, 12);
    ck_assert_int_eq(pp_reader_read(image, 0x1000, to, 13), PYPROF_ERR_FAULT);
    pp_reader_close(image);
    for (size_t cut = 0; cut < size; cut++) {
        ck_assert_int_eq(try_image(data, cut), PYPROF_ERR_CORRUPT);
    }
    data[size] = 0;
    ck_assert_int_eq(try_image(data, size + 1), PYPROF_ERR_CORRUPT);
    /* overlapping, in the wrong order, empty, endless */
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{0, 'X'},   {8, 3},     {8, 1},     {12, 1},
                   {56, 7},    {57, 0x0f}, {48, 0},    {64, 0},
                   {55, 0xff}, {71, 0xff}, {11, 0xff}, {47, 0xff}};
    for (size_t i = 0; i < PP_COUNT_OF(changes); i++) {
        make_image(data);
        data[changes[i].at] = changes[i].value;
        ck_assert_msg(try_image(data, size) == PYPROF_ERR_CORRUPT, "%zu", i);
    }
    for (int round = 0; round < 20000; round++) {
        make_image(data);
        for (uint64_t n = 1 + test_random(&random) % 3; n > 0; n--) {
            data[test_random(&random) % size] = (uint8_t)test_random(&random);
        }
        try_image(data, size);
    }
}
END_TEST

/* ---- out of memory --------------------------------------------------- */

static bool record(fault_alloc *fault)
{
    fake f;
    pp_reader *recorder = NULL;
    pp_reader *image = NULL;
    void *data = NULL;
    size_t size = 0;
    uint8_t to[0x1000];
    bool done = false;
    fake_init(&f);
    if (pp_reader_open_recorder(&fault->table, &f.base, 1 << 20, &recorder,
                                NULL) != PYPROF_OK) {
        return false;
    }
    ck_assert_int_eq(pp_reader_read(recorder, 0x1000, to, 100), PYPROF_OK);
    ck_assert_int_eq(pp_reader_read(recorder, 0x3100, to, 0x1000), PYPROF_OK);
    ck_assert_mem_eq(to, f.bytes + 0x3100, 0x1000);
    if (pp_reader_record(recorder, &data, &size, NULL) == PYPROF_OK &&
        pp_reader_open_image(&fault->table, data, size, &image, NULL) ==
            PYPROF_OK) {
        ck_assert_int_eq(pp_reader_read(image, 0x3100, to, 0x1000), PYPROF_OK);
        done = true;
        pp_reader_close(image);
    }
    pp_free(&fault->table, data);
    pp_reader_close(recorder);
    return done;
}

START_TEST(test_out_of_memory)
{
    fault_loop(record);
}
END_TEST

SUITE_MAIN("reader.image", test_pieces, test_live, test_round_trip,
           test_recorder_keeps_the_newest, test_hostile_images,
           test_out_of_memory)
