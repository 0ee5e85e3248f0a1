/* layout/asyncio_offsets: the words of _AsyncioDebug, true and other. */
#include "../base/testing.h"
#include "descriptions.h"

#define ADDRESS UINT64_C(0x555500000040)

static pp_layout layout_of(const asyncio_image *from)
{
    const image *whole = image_named(from->name);
    pp_layout layout;

    ck_assert_int_eq(load_image(whole, whole->words, &layout, NULL, NULL),
                     PYPROF_OK);
    return layout;
}

static pyprof_status load(const uint64_t *words, pp_layout *layout,
                          pyprof_error *err)
{
    memory m = memory_at(ADDRESS, words, ASYNCIO_WORDS * sizeof(*words));

    return pp_layout_load_asyncio(&m.reader, ADDRESS, layout, err);
}

START_TEST(test_true_words)
{
    for (size_t i = 0; i < PP_COUNT_OF(ASYNCIO_IMAGES); i++) {
        const uint64_t *words = ASYNCIO_IMAGES[i].words;
        pp_layout layout = layout_of(&ASYNCIO_IMAGES[i]);
        pp_layout before = layout;

        ck_assert_uint_eq(layout.task.coro, PP_NONE);
        ck_assert_int_eq(load(words, &layout, NULL), PYPROF_OK);
        ck_assert_uint_eq(layout.task.size, 168);
        ck_assert_uint_eq(layout.task.name, 136);
        ck_assert_uint_eq(layout.task.awaited_by, 96);
        ck_assert_uint_eq(layout.task.is_task, 108);
        ck_assert_uint_eq(layout.task.awaited_by_is_set, 109);
        ck_assert_uint_eq(layout.task.coro, 128);
        ck_assert_uint_eq(layout.task.node, 152);
        /* the table's, where a release has them; a debug build is corrected */
        ck_assert_uint_eq(layout.ts.asyncio_running_loop, words[10]);
        ck_assert_uint_eq(layout.ts.asyncio_running_loop,
                          before.ts.asyncio_running_loop);
        ck_assert_uint_eq(layout.ts.asyncio_running_task,
                          before.ts.asyncio_running_task);
        ck_assert_uint_eq(layout.ts.asyncio_tasks_head,
                          before.ts.asyncio_tasks_head);
        ck_assert_uint_eq(layout.is.asyncio_tasks_head, words[8]);
        ck_assert(before.is.asyncio_tasks_head ==
                  (strstr(ASYNCIO_IMAGES[i].name, "debug") != NULL
                       ? PP_NONE
                       : layout.is.asyncio_tasks_head));
    }
}
END_TEST

START_TEST(test_other_words)
{
    static const char *const fields[ASYNCIO_WORDS] = {"task.size",
                                                      "task.name",
                                                      "task.awaited_by",
                                                      "task.is_task",
                                                      "task.awaited_by_is_set",
                                                      "task.coro",
                                                      "task.node",
                                                      "is.size",
                                                      "is.asyncio_tasks_head",
                                                      "ts.size",
                                                      "ts.asyncio_running_loop",
                                                      "ts.asyncio_running_task",
                                                      "ts.asyncio_tasks_head"};
    static const uint64_t bad[] = {UINT64_MAX, UINT64_C(1) << 32,
                                   UINT64_MAX - 7, 1 << 21};

    for (size_t i = 0; i < PP_COUNT_OF(ASYNCIO_IMAGES); i++) {
        const pp_layout before = layout_of(&ASYNCIO_IMAGES[i]);
        uint64_t words[ASYNCIO_WORDS];

        memcpy(words, ASYNCIO_IMAGES[i].words, sizeof(words));
        for (size_t w = 0; w < ASYNCIO_WORDS; w++) {
            for (size_t j = 0; j < PP_COUNT_OF(bad); j++) {
                pp_layout layout = before;
                pyprof_error err = PYPROF_ERROR_INIT;

                words[w] = bad[j];
                ck_assert_int_eq(load(words, &layout, &err),
                                 PYPROF_ERR_CORRUPT);
                ck_assert_msg(strstr(err.message, fields[w]) != NULL,
                              "no %s in: %s", fields[w], err.message);
                ck_assert_mem_eq(&layout, &before, sizeof(layout));
            }
            words[w] = ASYNCIO_IMAGES[i].words[w];
        }
    }
}
END_TEST

START_TEST(test_neighbours)
{
    pp_layout layout = layout_of(&ASYNCIO_IMAGES[0]);
    uint64_t words[ASYNCIO_WORDS];
    pyprof_error err = PYPROF_ERROR_INIT;

    memcpy(words, ASYNCIO_IMAGES[0].words, sizeof(words));
    words[5] = words[1]; /* two fields in one place */
    ck_assert_int_eq(load(words, &layout, &err), PYPROF_ERR_CORRUPT);
    words[5] = 131; /* a pointer between two */
    ck_assert_int_eq(load(words, &layout, &err), PYPROF_ERR_CORRUPT);
    words[5] = 128;
    words[6] = 160; /* a node of which half is outside */
    ck_assert_int_eq(load(words, &layout, &err), PYPROF_ERR_CORRUPT);
}
END_TEST

START_TEST(test_none)
{
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);
    memory nothing = memory_at(ADDRESS, NULL, 0);

    for (size_t i = 0; i < n; i++) {
        pp_layout layout = *rows[i].table;
        bool has = layout.code_proof == PP_CODE_PROOF_GENERATION;
        pyprof_error err = PYPROF_ERROR_INIT;

        ck_assert_int_eq(
            pp_layout_load_asyncio(&nothing.reader, ADDRESS, &layout, &err),
            has ? PYPROF_ERR_FAULT : PYPROF_ERR_UNSUPPORTED_TARGET);
        ck_assert_uint_eq(err.address, has ? ADDRESS : 0);
    }
}
END_TEST

SUITE_MAIN("layout.asyncio_offsets", test_true_words, test_other_words,
           test_neighbours, test_none)
