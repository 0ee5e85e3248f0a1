/*
 * The engine when things fail: each allocation in turn, and each read of the
 * target. A round that fails says so, and all memory comes back. The target is
 * the model of unit/unwind, so that every run makes the same requests.
 */
#include "../unit/base/testing.h"
#include "../unit/unwind/model_run.h"

enum { ROUNDS = 4, RECORD = 1 << 14, SEED = 7 };

/* One version of each kind of frames. */
static const model_opts versions[] = {
    {.frames = PP_FRAMES_HEAP, .gil = true, .keeps_root = true},
    {.frames = PP_FRAMES_CFRAME, .gil = true},
    {.frames = PP_FRAMES_STACK,
     .proof = PP_CODE_PROOF_GENERATION,
     .gil = true,
     .base_frame = true},
};

static const model_opts *version; /* of the test at hand */
static model target;

/* ---- one run ------------------------------------------------------------- */

typedef struct engine {
    pp_unwind *unwind;
    pp_decoder *decoder;
    pyprof_tables *tables;
} engine;

static pyprof_status engine_open(engine *e, const pp_allocator *a)
{
    const pp_unwind_opts opts = {.all_threads = true,
                                 .max_depth = 64,
                                 .max_codes = 64,
                                 .max_threads = 64};
    *e = (engine){.tables = pp_tables_new(a, NULL)};
    if (e->tables == NULL) {
        return PYPROF_ERR_NO_MEMORY;
    }
    PP_TRY(
        pp_decoder_new(a, &target.layout, e->tables, NULL, &e->decoder, NULL));
    return pp_unwind_new(a, &target.base, &target.layout, target.runtime, 0,
                         &opts, &e->unwind, NULL);
}

static void engine_close(engine *e)
{
    pp_unwind_free(e->unwind);
    pp_decoder_free(e->decoder);
    pp_tables_unref(e->tables);
}

static pyprof_status one_round(engine *e, uint64_t now)
{
    static uint64_t record[RECORD];
    pp_round round;
    pp_decoded decoded;
    PP_TRY(pp_unwind_round(e->unwind, now, PP_CARE_CHECKED, &round));
    if (round.n_torn > 0) {
        PP_TRY(pp_unwind_again(e->unwind, now, PP_CARE_CHECKED, &round));
    }
    ck_assert_uint_le(pp_unwind_record_size(e->unwind), sizeof(record));
    pp_unwind_record(e->unwind, now, record);
    return pp_decoder_take(e->decoder, record, &decoded, NULL);
}

/* Ends with the first failure, which it returns. */
static pyprof_status run(const pp_allocator *a)
{
    engine e;
    model_open(&target, SEED, version);
    target.opts.per_call = 4;
    pyprof_status first = engine_open(&e, a);
    for (int i = 1; first == PYPROF_OK && i <= ROUNDS; i++) {
        first = one_round(&e, (uint64_t)i * 20 * 1000 * 1000);
    }
    engine_close(&e);
    return first;
}

static void use_version(size_t i)
{
    version = &versions[i];
    target.memory = malloc(MODEL_SIZE);
    target.seen = calloc(MODEL_SEEN, sizeof(model_seen));
    ck_assert(target.memory != NULL && target.seen != NULL);
}

static void done(void)
{
    free(target.memory);
    free(target.seen);
}

/* ---- allocations ----------------------------------------------------------
 */

static bool trial(fault_alloc *fault)
{
    pyprof_status status = run(&fault->table);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    return status == PYPROF_OK;
}

START_TEST(test_allocations)
{
    use_version((size_t)_i);
    fault_loop(trial);
    done();
}
END_TEST

/* ---- reads ---------------------------------------------------------------
 */

static size_t reads, failing_read;
static pyprof_status read_error;

static pyprof_status failing_readv(pp_reader *reader, void *to,
                                   const pp_span *spans, size_t n,
                                   size_t *out_spans, uint64_t *io_calls)
{
    if (++reads != failing_read) {
        return model_readv(reader, to, spans, n, out_spans, io_calls);
    }
    *out_spans = 0;
    return read_error;
}

static const pp_reader_ops failing_ops = {"failing", failing_readv, NULL};

/* One that can't be read at all, a process that ends, one that may not be read
 * any more. */
static const pyprof_status read_errors[] = {PYPROF_OK, PYPROF_ERR_GONE,
                                            PYPROF_ERR_NO_PERMISSION};

static void run_with_failing_reads(fault_alloc *fault)
{
    engine e;
    model_open(&target, SEED, version);
    target.base.ops = &failing_ops;
    target.opts.per_call = 4;
    reads = 0;
    ck_assert_int_eq(engine_open(&e, &fault->table), PYPROF_OK);
    for (int i = 1; i <= ROUNDS; i++) {
        pyprof_status status = one_round(&e, (uint64_t)i * 20 * 1000 * 1000);
        ck_assert(status == PYPROF_OK || status == read_error);
        if (status != PYPROF_OK) {
            break;
        }
    }
    engine_close(&e);
    ck_assert_int_eq(fault->held, 0);
}

START_TEST(test_reads)
{
    use_version((size_t)_i);
    for (size_t i = 0; i < PP_COUNT_OF(read_errors); i++) {
        read_error = read_errors[i];
        failing_read = 0;
        do {
            fault_alloc fault;
            fault_init(&fault, 0, false);
            failing_read++;
            run_with_failing_reads(&fault);
        } while (reads >= failing_read);
        ck_assert_uint_gt(failing_read, ROUNDS);
    }
    done();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("fault.unwind");
    TCase *tcase = tcase_create("fault");
    tcase_add_loop_test(tcase, test_allocations, 0, PP_COUNT_OF(versions));
    tcase_add_loop_test(tcase, test_reads, 0, PP_COUNT_OF(versions));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
