/*
 * The whole way from memory to names, on recorded memory: for each image the
 * unwinder must see what the program said of itself when it was recorded.
 */
#include <check.h>

#include "images.h"

enum { ROUNDS = 4, MS = 1000 * 1000 };

static images list;

static const char *const cares[] = {"checked", "strict", "stopped"};

typedef struct engine {
    image image;
    pp_reader *reader;
    pp_unwind *unwind;
    pyprof_tables *tables;
    pp_decoder *decoder;
} engine;

static void engine_open(engine *e, const char *name, const pp_unwind_opts *opts)
{
    e->image = image_load(name);
    e->reader = image_open(&e->image);
    e->tables = pp_tables_new(NULL, NULL);
    ck_assert_ptr_nonnull(e->tables);
    ck_assert_int_eq(pp_unwind_new(NULL, e->reader, &e->image.layout,
                                   e->image.info.runtime, 0, opts, &e->unwind,
                                   NULL),
                     PYPROF_OK);
    ck_assert_int_eq(pp_decoder_new(NULL, &e->image.layout, e->tables, NULL,
                                    &e->decoder, NULL),
                     PYPROF_OK);
}

static void engine_close(engine *e)
{
    pp_decoder_free(e->decoder);
    pp_unwind_free(e->unwind);
    pp_tables_unref(e->tables);
    pp_reader_close(e->reader);
    image_unload(&e->image);
}

/* One round as text; `again` looks a second time, at nothing. */
static char *engine_round(engine *e, uint64_t now, pp_unwind_care care,
                          bool again)
{
    pp_round round;
    pp_decoded decoded;
    ck_assert_int_eq(pp_unwind_round(e->unwind, now, care, &round), PYPROF_OK);
    ck_assert(!round.no_runtime);
    ck_assert_uint_eq(round.n_lost, 0);
    if (again) {
        ck_assert_int_eq(pp_unwind_again(e->unwind, now, care, &round),
                         PYPROF_OK);
    }
    size_t size = pp_unwind_record_size(e->unwind);
    void *record = malloc(size);
    ck_assert_ptr_nonnull(record);
    ck_assert_uint_le(pp_unwind_record(e->unwind, now, record), size);
    ck_assert_int_eq(pp_decoder_take(e->decoder, record, &decoded, NULL),
                     PYPROF_OK);
    free(record);
    ck_assert_uint_eq(decoded.whole, decoded.sample.n_stacks);
    return text_sample(&decoded);
}

static void compare_all(const char *name, bool all_threads, const char *wanted)
{
    pp_unwind_opts opts = {.all_threads = all_threads,
                           .max_depth = 4096,
                           .max_codes = 4096,
                           .max_threads = 1024};
    for (int care = PP_CARE_CHECKED; care <= PP_CARE_STOPPED; care++) {
        engine e;
        engine_open(&e, name, &opts);
        for (int i = 0; i < ROUNDS; i++) {
            char *got = engine_round(&e, (uint64_t)i * MS, (pp_unwind_care)care,
                                     i == ROUNDS - 2);
            if (strcmp(got, wanted) != 0) {
                fprintf(stderr, "got\n%swanted\n%s", got, wanted);
                ck_abort_msg("%s, %s, round %d: not what the program said",
                             name, cares[care], i);
            }
            free(got);
        }
        engine_close(&e);
    }
}

START_TEST(test_all_threads)
{
    char *wanted = (char *)image_file(list.names[_i], ".expected", NULL);
    compare_all(list.names[_i], true, wanted);
    free(wanted);
}
END_TEST

/* The block of the main thread alone. */
START_TEST(test_main_thread)
{
    static const char head[] = "thread interpreter 0 main\n";
    char *wanted = (char *)image_file(list.names[_i], ".expected", NULL);
    char *block = strstr(wanted, head);
    ck_assert_ptr_nonnull(block);
    char *end = strstr(block + 1, "thread interpreter");
    if (end != NULL) {
        *end = '\0';
    }
    compare_all(list.names[_i], false, block);
    free(wanted);
}
END_TEST

/* Nothing of a target is read twice without need: from the second round on, a
 * plan serves. */
START_TEST(test_one_gather)
{
    pp_unwind_opts opts = {.all_threads = true,
                           .max_depth = 4096,
                           .max_codes = 4096,
                           .max_threads = 1024};
    engine e;
    uint64_t extra = 0;
    engine_open(&e, list.names[_i], &opts);
    for (uint64_t i = 0; i < 64; i++) {
        free(engine_round(&e, i * MS, PP_CARE_STRICT, false));
        if (i == 3) {
            extra = pp_unwind_count(e.unwind).extra;
        }
    }
    ck_assert_uint_eq(pp_unwind_count(e.unwind).extra, extra);
    engine_close(&e);
}
END_TEST

/* A stack that is cut is marked, and its root part is what is missing. */
START_TEST(test_cut)
{
    pp_unwind_opts opts = {.all_threads = true,
                           .max_depth = 3,
                           .max_codes = 4096,
                           .max_threads = 1024};
    engine e;
    char *first = NULL;
    engine_open(&e, list.names[_i], &opts);
    for (uint64_t i = 0; i < ROUNDS; i++) {
        char *got = engine_round(&e, i * MS, PP_CARE_STRICT, false);
        ck_assert_ptr_nonnull(strstr(got, "<truncated>"));
        ck_assert_ptr_null(strstr(got, "_bootstrap threading.py"));
        if (first != NULL) {
            ck_assert_str_eq(got, first);
            free(got);
        } else {
            first = got;
        }
    }
    free(first);
    engine_close(&e);
}
END_TEST

int main(void)
{
    list = images_list();
    Suite *suite = suite_create("unwind.images");
    TCase *tcase = tcase_create("images");
    tcase_add_loop_test(tcase, test_all_threads, 0, list.n);
    tcase_add_loop_test(tcase, test_main_thread, 0, list.n);
    tcase_add_loop_test(tcase, test_one_gather, 0, list.n);
    tcase_add_loop_test(tcase, test_cut, 0, list.n);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
