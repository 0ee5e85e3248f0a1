/*
 * layout/debug_offsets, layout/load: what true CPythons tell of themselves is
 * taken as it is, and nothing else gets in.
 */
#include "../base/testing.h"
#include "descriptions.h"
#include "layout/tables.h"

static const pp_layout_table *table_of(const image *from)
{
    return pp_layout_table_find((uint16_t)(from->hex_version >> 16),
                                from->free_threaded);
}

static uint32_t field(const pp_layout *layout, size_t at)
{
    uint32_t value;

    memcpy(&value, (const uint8_t *)layout + at, sizeof(value));
    return value;
}

/* Fields that may differ from the table of another micro release or build:
 * sizes, and what lies far behind the start of an interpreter. */
static bool may_differ(const image *from, size_t at)
{
    bool exact = strcmp(from->name, "3.13.0") == 0 ||
                 (from->hex_version >= 0x030e0000 && !from->debug);

    return !exact && (at == offsetof(pp_layout, rt.size) ||
                      at == offsetof(pp_layout, is.size) ||
                      at == offsetof(pp_layout, ts.size));
}

START_TEST(test_true_descriptions)
{
    for (size_t i = 0; i < PP_COUNT_OF(IMAGES); i++) {
        const image *from = &IMAGES[i];
        const pp_layout *table = &table_of(from)->layout;
        const char *note = "never set";
        pyprof_error err = PYPROF_ERROR_INIT;
        pp_layout got;

        ck_assert_msg(load_image(from, from->words, &got, &note, &err) ==
                          PYPROF_OK,
                      "%s: %s", from->name, err.message);
        ck_assert(got.debug_offsets);
        ck_assert(got.free_threaded == from->free_threaded);
        for (size_t at = offsetof(pp_layout, rt.size); at < sizeof(pp_layout);
             at += sizeof(uint32_t)) {
            uint32_t expected = field(table, at);

            if (at == offsetof(pp_layout, rt.main_interpreter)) {
                expected = got.rt.size - got.is.size;
            } else if (from->debug &&
                       (at == offsetof(pp_layout, is.func_version) ||
                        at == offsetof(pp_layout, is.asyncio_tasks_head))) {
                expected = PP_NONE;
            }
            if (at == offsetof(pp_layout, ts.asyncio_running_loop) &&
                expected != PP_NONE) {
                expected += got.ts.size - table->ts.size;
            }
            ck_assert_msg(field(&got, at) == expected || may_differ(from, at),
                          "%s: pp_layout at %zu is %u, table says %u",
                          from->name, at, field(&got, at), expected);
        }
        ck_assert_int_eq(got.code_proof,
                         from->debug &&
                                 table->code_proof == PP_CODE_PROOF_CREATED
                             ? PP_CODE_PROOF_NONE
                             : table->code_proof);
        /* a debug build is always longer, so there is something to tell */
        ck_assert(!from->debug || note != NULL);
        ck_assert(strcmp(from->name, "3.13.0") != 0 || note == NULL);
        ck_assert(strcmp(from->name, "3.15.2t") != 0 || note == NULL);
        if (strcmp(from->name, "3.13.18") == 0) {
            ck_assert_ptr_nonnull(strstr(note, "rt.size"));
        }
    }
}
END_TEST

/* The build is the description's to say, not the caller's. */
START_TEST(test_build_is_told)
{
    for (size_t i = 0; i < PP_COUNT_OF(IMAGES); i++) {
        image from = IMAGES[i];
        pp_layout got;

        from.free_threaded = !from.free_threaded;
        ck_assert_int_eq(load_image(&from, from.words, &got, NULL, NULL),
                         PYPROF_OK);
        ck_assert(got.free_threaded == IMAGES[i].free_threaded);
        ck_assert_uint_eq(got.ob.type, got.free_threaded ? 24 : 8);
    }
}
END_TEST

/* One load of changed words: it must fail, and say what about. */
static void expect_corrupt(const image *from, const uint64_t *words,
                           const char *about)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_layout got;
    const char *note = "untouched";

    memset(&got, 0x5a, sizeof(got));
    ck_assert_msg(load_image(from, words, &got, &note, &err) ==
                      PYPROF_ERR_CORRUPT,
                  "%s: taken, with a bad %s", from->name, about);
    ck_assert_int_eq(err.status, PYPROF_ERR_CORRUPT);
    ck_assert_msg(strstr(err.message, about) != NULL, "%s: no %s in: %s",
                  from->name, about, err.message);
    ck_assert_str_eq(note, "untouched");
    ck_assert_uint_eq(field(&got, 64), 0x5a5a5a5a);
}

START_TEST(test_header)
{
    for (size_t i = 0; i < PP_COUNT_OF(IMAGES); i++) {
        const image *from = &IMAGES[i];
        uint64_t words[MAX_WORDS];

        memcpy(words, from->words, from->n * sizeof(*words));
        words[0] ^= 1;
        expect_corrupt(from, words, "cookie");
        words[0] ^= 1;
        words[1] += 0x10000;
        expect_corrupt(from, words, "version");
        words[1] = UINT64_MAX;
        expect_corrupt(from, words, "version");
        words[1] = from->words[1];
        words[2] = 2;
        expect_corrupt(from, words, "free_threaded");
    }
}
END_TEST

/* Each member that is used, with values that it can't have. */
START_TEST(test_each_field)
{
    static const uint64_t bad[] = {
        UINT64_MAX,        UINT64_C(0x8000000000000000),
        UINT64_C(1) << 40, UINT64_C(1) << 32,
        17 << 20,          UINT64_MAX - 7};

    for (size_t i = 0; i < PP_COUNT_OF(IMAGES); i++) {
        const image *from = &IMAGES[i];
        const pp_layout_table *table = table_of(from);
        uint64_t words[MAX_WORDS];

        memcpy(words, from->words, from->n * sizeof(*words));
        for (size_t j = 0; j < table->n_described; j++) {
            const pp_described *row = &table->described[j];
            uint64_t *word = &words[row->member / sizeof(uint64_t)];
            uint64_t good = *word;

            for (size_t k = 0; k < PP_COUNT_OF(bad); k++) {
                *word = bad[k];
                /* whichever field of that member comes first is named */
                expect_corrupt(from, words, "not believable");
            }
            if (row->kind == PP_IS_OFFSET && row->within != 0) {
                *word = words[row->within / sizeof(uint64_t)];
                expect_corrupt(from, words, "not believable");
                *word -= 1;
                if (row->width > 1) {
                    expect_corrupt(from, words, "not believable");
                }
            }
            if (row->align > 1 && row->sign == 0) {
                *word = good + 1;
                expect_corrupt(from, words, "not believable");
            }
            *word = good;
        }
    }
}
END_TEST

START_TEST(test_named_fields)
{
    const image *from = image_named("3.13.0");
    uint64_t words[MAX_WORDS];

    memcpy(words, from->words, from->n * sizeof(*words));
    /* IS.next, IS.id: on top of each other */
    words[64 / 8] = words[56 / 8];
    expect_corrupt(from, words, "is.next and is.id overlap");
    words[64 / 8] = words[56 / 8] + 4096 * 1024;
    expect_corrupt(from, words, "is.next is");
    words[64 / 8] = from->words[64 / 8];
    /* the holder of the GIL, ahead of the GIL */
    words[144 / 8] = 8;
    expect_corrupt(from, words, "gil.last_holder");
    words[144 / 8] = from->words[144 / 8];
    /* the collector's fields past the collector, past the interpreter */
    words[576 / 8] = words[568 / 8];
    expect_corrupt(from, words, "is.gc_collecting");
    words[576 / 8] = from->words[576 / 8];
    words[80 / 8] = words[48 / 8] - 8;
    expect_corrupt(from, words, "is.gc_collecting");
    words[80 / 8] = from->words[80 / 8];
    /* a thread state that is shorter than what this version has in it */
    words[152 / 8] = 248;
    expect_corrupt(from, words, "ts.size");
    words[152 / 8] = from->words[152 / 8];
    /* an interpreter that is larger than the runtime that ends with it */
    words[48 / 8] = words[24 / 8] + 8;
    expect_corrupt(from, words, "is.size");
}
END_TEST

/* Neighbours of a field that moved move along; the far ones of a release stay
 * where they are. */
START_TEST(test_moved_fields)
{
    const image *from = image_named("3.13.0");
    const pp_layout *table = &table_of(from)->layout;
    uint64_t words[MAX_WORDS];
    const char *note = NULL;
    pp_layout got;

    memcpy(words, from->words, from->n * sizeof(*words));
    words[208 / 8] += 8; /* TS.datastack_chunk */
    words[152 / 8] += 8; /* TS.size */
    words[48 / 8] += 64; /* IS.size */
    words[24 / 8] += 64; /* RT.size */
    ck_assert_int_eq(load_image(from, words, &got, &note, NULL), PYPROF_OK);
    ck_assert_uint_eq(got.ts.datastack_chunk, table->ts.datastack_chunk + 8);
    ck_assert_uint_eq(got.ts.datastack_top, table->ts.datastack_top + 8);
    ck_assert_uint_eq(got.ts.exc_state, table->ts.exc_state + 8);
    ck_assert_uint_eq(got.ts.exc_info, table->ts.exc_info);
    ck_assert_uint_eq(got.is.func_version, table->is.func_version);
    ck_assert_int_eq(got.code_proof, PP_CODE_PROOF_CREATED);
    ck_assert_str_eq(note, "the target describes another ts.datastack_chunk "
                           "than the table of its version");
}
END_TEST

/* Thread states that grew take the fields of asyncio behind them along. */
START_TEST(test_longer_thread_state)
{
    const image *from = image_named("3.14.10");
    const pp_layout *table = &table_of(from)->layout;
    uint64_t words[MAX_WORDS];
    pp_layout got;

    memcpy(words, from->words, from->n * sizeof(*words));
    words[176 / 8] -= 8;
    ck_assert_int_eq(load_image(from, words, &got, NULL, NULL), PYPROF_OK);
    ck_assert_uint_eq(got.ts.asyncio_running_task,
                      table->ts.asyncio_running_task - 8);
    ck_assert_uint_eq(got.ts.id, table->ts.id);
}
END_TEST

START_TEST(test_not_readable)
{
    const image *from = image_named("3.15.2");
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_layout got;

    for (size_t size = 0; size < from->n * 8; size += 8) {
        memory m = memory_at(RUNTIME, from->words, size);

        ck_assert_int_eq(pp_layout_load(&m.reader, RUNTIME, from->hex_version,
                                        false, &got, NULL, &err),
                         PYPROF_ERR_FAULT);
        ck_assert_uint_eq(err.address, RUNTIME);
    }
}
END_TEST

START_TEST(test_few_reads)
{
    const image *from = image_named("3.15.2");
    memory m = memory_at(RUNTIME, from->words, from->n * 8);
    pp_layout got;

    ck_assert_int_eq(pp_layout_load(&m.reader, RUNTIME, from->hex_version,
                                    false, &got, NULL, NULL),
                     PYPROF_OK);
    ck_assert_uint_eq(m.reads, 2);
    m.reads = 0;
    ck_assert_int_eq(
        pp_layout_load(&m.reader, RUNTIME, 0x030812f0, false, &got, NULL, NULL),
        PYPROF_OK);
    ck_assert_uint_eq(m.reads, 0);
    ck_assert(!got.debug_offsets);
}
END_TEST

START_TEST(test_unsupported)
{
    static const struct {
        uint32_t hex_version;
        bool free_threaded;
        const char *about;
    } cases[] = {
        {0x030711f0, false, "CPython 3.7 is not known"},
        {0x020712f0, false, "CPython 2.7 is not known"},
        {0x031000f0, false, "CPython 3.16 is not known"},
        {0x030c01f0, true, "CPython 3.12 free-threaded is not known"},
        {0x030f00a3, false, "CPython 3.15.0 is an alpha or beta"},
        {0x030c00b1, false, "CPython 3.12.0 is an alpha or beta"},
        {0, false, "CPython 0.0 is not known"},
        {UINT32_MAX, true, "CPython 255.255 free-threaded is not known"},
    };
    memory m = memory_at(RUNTIME, NULL, 0);

    for (size_t i = 0; i < PP_COUNT_OF(cases); i++) {
        pyprof_error err = PYPROF_ERROR_INIT;
        pp_layout got;

        ck_assert_int_eq(
            pp_layout_load(&m.reader, RUNTIME, cases[i].hex_version,
                           cases[i].free_threaded, &got, NULL, &err),
            PYPROF_ERR_UNSUPPORTED_TARGET);
        ck_assert_msg(strstr(err.message, cases[i].about) != NULL,
                      "%s, not: %s", err.message, cases[i].about);
    }
}
END_TEST

/* Whatever is taken is inside the bounds that are promised. */
static void check_bounds(const pp_layout *l)
{
    for (size_t at = offsetof(pp_layout, rt.size);
         at < offsetof(pp_layout, fr.code_mask); at += 4) {
        uint32_t value = field(l, at);

        ck_assert(value == PP_NONE || value <= 17 << 20);
    }
    ck_assert_uint_lt(l->rt.interpreters_head, l->rt.size);
    ck_assert_uint_lt(l->rt.main_thread, l->rt.size);
    ck_assert_uint_lt(l->is.next, l->is.size);
    ck_assert_uint_lt(l->is.gc_collecting, l->is.size);
    ck_assert_uint_lt(l->ts.datastack_top, l->ts.size);
    ck_assert_uint_lt(l->ts.exc_state, l->ts.size);
    ck_assert_uint_lt(l->co.flags, l->co.size);
    ck_assert_uint_le(l->co.size, 64 << 10);
    ck_assert_uint_le(l->fr.size, 64 << 10);
}

START_TEST(test_any_words)
{
    uint64_t state = 424242;

    for (int i = 0; i < 10000; i++) {
        const image *from = &IMAGES[test_random(&state) % PP_COUNT_OF(IMAGES)];
        uint64_t words[MAX_WORDS];
        pyprof_error err = PYPROF_ERROR_INIT;
        pp_layout got;
        pyprof_status status;

        memcpy(words, from->words, from->n * sizeof(*words));
        for (uint64_t n = 1 + test_random(&state) % 4; n > 0; n--) {
            uint64_t *word = &words[3 + test_random(&state) % (from->n - 3)];
            uint64_t r = test_random(&state);

            *word = r % 3 == 0   ? *word ^ UINT64_C(1) << (r >> 8) % 64
                    : r % 3 == 1 ? words[3 + (r >> 8) % (from->n - 3)]
                                 : r >> (r >> 8) % 64;
        }
        status = load_image(from, words, &got, NULL, &err);
        if (status == PYPROF_OK) {
            check_bounds(&got);
        } else {
            ck_assert_int_eq(status, PYPROF_ERR_CORRUPT);
        }
    }
}
END_TEST

SUITE_MAIN("layout.debug_offsets", test_true_descriptions, test_build_is_told,
           test_header, test_each_field, test_named_fields, test_moved_fields,
           test_longer_thread_state, test_not_readable, test_few_reads,
           test_unsupported, test_any_words)
