/*
 * Truth: whatever a program does while it is read, a stack that is given out as
 * whole was one that it had during that round, and what is sure of a torn one
 * was its root. The program is a model (model.h) that goes on between any two
 * words that are copied; the schedules are random, but the same in each run.
 */
#include <check.h>

#include "model_run.h"

enum { ROUNDS = 12, SLOTS = 64, CHAIN = 64, MAX_DEPTH = 64 };

/* ---- what a record says, without the decoder ----------------------------- */

typedef struct told_stack {
    uint64_t python_id;
    uint32_t names[CHAIN], offsets[CHAIN]; /* from the root */
    uint32_t n;
    bool truncated;
} told_stack;

typedef struct teller {
    uint32_t *names; /* by entry of the code cache */
    size_t n_names;
    told_stack stacks[SLOTS];
} teller;

typedef struct tally {
    uint64_t whole, torn, unreadable, lost, known, unnamed, wrong;
} tally;

typedef struct run {
    model *m;
    pp_unwind *u;
    teller *teller;
    tally *tally;
    uint64_t seed;
    int round;
    uint64_t begin; /* time at which the round began */
    bool runs_on;   /* the innermost place may be one before or after */
} run;

static void take_codes(teller *t, const pp_record_code *codes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        size_t entry = (size_t)codes[i].entry;
        const pp_code_blob *blob = codes[i].blob;
        while (t->n_names <= entry) {
            t->names = realloc(t->names, (t->n_names + 64) * sizeof(uint32_t));
            ck_assert_ptr_nonnull(t->names);
            t->n_names += 64;
        }
        ck_assert_int_eq(blob->bytes[0], 'f');
        t->names[entry] =
            (uint32_t)strtoul((const char *)blob->bytes + 1, NULL, 10);
        free(codes[i].blob);
    }
}

static void take_stack(teller *t, const pp_record_stack *told,
                       const pp_record_frame *frames)
{
    told_stack *stack = &t->stacks[told->slot];
    uint32_t keep = told->keep;
    uint32_t n = 0;
    if (keep == UINT32_MAX) {
        return;
    }
    if (keep == 0) {
        stack->truncated = false;
        if (told->n_new > 0 &&
            (frames[0].offset_kind & 3) == PP_RAW_TRUNCATED) {
            stack->truncated = true;
            n++;
        }
    } else if (stack->truncated) {
        keep--;
    }
    ck_assert_uint_le(keep, stack->n);
    stack->n = keep;
    for (; n < told->n_new; n++) {
        ck_assert_uint_lt(stack->n, CHAIN);
        stack->names[stack->n] = frames[n].entry == PP_NO_CODE
                                     ? UINT32_MAX
                                     : t->names[frames[n].entry];
        stack->offsets[stack->n++] = frames[n].offset_kind >> 2;
    }
}

/* ---- the comparison ------------------------------------------------------ */

static void print_stack(const char *what, const uint32_t *names,
                        const uint32_t *offsets, uint32_t n)
{
    fprintf(stderr, "%s:", what);
    for (uint32_t i = 0; i < n; i++) {
        fprintf(stderr, " f%d@%u", (int)names[i], offsets[i]);
    }
    fprintf(stderr, "\n");
}

/* All that is needed to have the first wrong one again. */
static void tell_wrong(const run *r, const pp_record_stack *told,
                       const told_stack *stack, bool earlier)
{
    const model *m = r->m;
    uint64_t ident = stack->python_id / 16;
    fprintf(stderr,
            "seed %llu, round %d, thread %llu: %s stack%s, care %d, %s\n",
            (unsigned long long)r->seed, r->round, (unsigned long long)ident,
            told->state == PYPROF_STACK_TORN ? "torn" : "whole",
            told->keep == UINT32_MAX ? " (known)" : "", (int)r->u->care,
            earlier ? "that it had before" : "that it never had");
    print_stack("told", stack->names, stack->offsets, stack->n);
    for (uint32_t i = 0; i < MODEL_THREADS; i++) {
        const model_thread *t = &m->threads[i];
        uint32_t names[CHAIN], offsets[CHAIN], n = 0;
        for (uint32_t d = 0; t->alive && t->ident == ident && d < t->depth;
             d++) {
            if (t->stack[d].code < MODEL_CODES) {
                names[n] = t->stack[d].name;
                offsets[n++] = t->stack[d].offset;
            }
        }
        if (n > 0) {
            print_stack("has now", names, offsets, n);
        }
    }
}

static void judge(run *r, const pp_record_stack *told)
{
    const told_stack *stack = &r->teller->stacks[told->slot];
    uint64_t ident = stack->python_id / 16;
    int kind = told->state == PYPROF_STACK_TORN ? MODEL_ROOT
               : stack->truncated               ? MODEL_TOP
                                                : MODEL_WHOLE;
    if (kind != MODEL_ROOT && r->runs_on) {
        /* A thread that runs is between two places; and under PP_CARE_HELD
         * there are such that can't be held. */
        kind += MODEL_ANY_PLACE;
    }
    if (told->state == PYPROF_STACK_UNREADABLE) {
        r->tally->unreadable++;
        return;
    }
    r->tally->whole += told->state == PYPROF_STACK_WHOLE;
    r->tally->torn += told->state == PYPROF_STACK_TORN;
    r->tally->known += told->keep == UINT32_MAX;
    if (stack->python_id == 0 && stack->n == 0) {
        return; /* it does not yet know itself who it is */
    }
    const model_seen *seen =
        model_find(r->m, model_key(r->m, ident, kind, stack->names,
                                   stack->offsets, stack->n));
    if (seen->key != 0 && seen->until >= r->begin) {
        return;
    }
    r->tally->wrong++;
    if (r->tally->wrong == 1) {
        tell_wrong(r, told, stack, seen->key != 0);
    }
}

static void take_record(run *r, const void *data)
{
    const pp_record *record = data;
    const pp_record_code *codes = (const pp_record_code *)(record + 1);
    const pp_record_thread *threads =
        (const pp_record_thread *)(codes + record->n_codes);
    const pp_record_stack *stacks =
        (const pp_record_stack *)(threads + record->n_threads);
    const pp_record_frame *frames =
        (const pp_record_frame *)(stacks + record->n_stacks);
    take_codes(r->teller, codes, record->n_codes);
    for (uint32_t i = 0; i < record->n_threads; i++) {
        ck_assert_uint_lt(threads[i].slot, SLOTS);
        r->teller->stacks[threads[i].slot] =
            (told_stack){.python_id = threads[i].python_id};
    }
    for (uint32_t i = 0; i < record->n_stacks; i++) {
        take_stack(r->teller, &stacks[i], frames);
        if (stacks[i].keep != UINT32_MAX) {
            frames += stacks[i].n_new;
        }
        judge(r, &stacks[i]);
    }
}

/* ---- rounds -------------------------------------------------------------- */

static void one_round(run *r, uint64_t now)
{
    static uint64_t buffer[1 << 14];
    model *m = r->m;
    uint32_t choice = model_below(m, 16);
    pp_unwind_care care = choice == 0   ? PP_CARE_STOPPED
                          : choice < 5  ? PP_CARE_CHECKED
                          : choice < 10 ? PP_CARE_HELD
                                        : PP_CARE_STRICT;
    pp_round round;
    r->runs_on = care == PP_CARE_CHECKED || care == PP_CARE_HELD;
    m->frozen = care == PP_CARE_STOPPED;
    m->whole_spans = care == PP_CARE_CHECKED;
    r->begin = m->time;
    ck_assert_int_eq(pp_unwind_round(r->u, now, care, &round), PYPROF_OK);
    for (uint32_t i = model_below(m, 4); i > 0 && round.n_torn > 0; i--) {
        /* It goes on running, or it was made to stand still. */
        m->frozen |= model_below(m, 2) == 0;
        if (m->frozen && care == PP_CARE_HELD) {
            care = PP_CARE_STOPPED;
        }
        ck_assert_int_eq(pp_unwind_again(r->u, now, care, &round), PYPROF_OK);
        /* Up to 3.12 there are moments when a stack can't be told. */
        ck_assert(!m->frozen || round.n_torn == 0 ||
                  m->opts.frames == PP_FRAMES_CFRAME);
    }
    m->frozen = m->held = false;
    r->tally->lost += round.n_lost;
    if (model_below(m, 16) == 0) {
        return; /* overrun: it is not recorded */
    }
    for (size_t i = 0; i < round.n; i++) {
        round.threads[i].take = model_below(m, 32) != 0;
    }
    size_t size = pp_unwind_record_size(r->u);
    ck_assert_uint_le(size, sizeof(buffer));
    ck_assert_uint_le(pp_unwind_record(r->u, now, buffer), size);
    take_record(r, buffer);
}

static void one_run(model *m, uint64_t seed, const model_opts *opts,
                    tally *total)
{
    teller told = {NULL, 0, {{0}}};
    model_open(m, seed, opts);
    pp_unwind_opts how = {.all_threads = model_below(m, 8) != 0,
                          .max_depth = model_below(m, 8) == 0 ? 5 : MAX_DEPTH,
                          .max_codes = model_below(m, 8) == 0 ? 4 : 64,
                          .max_threads = 64,
                          .holding = {(int64_t)(MODEL_BASE + MODEL_CPUS),
                                      model_begin_holding, model_held_cpu, m}};
    run r = {.m = m, .teller = &told, .tally = total, .seed = seed};
    uint64_t now = 1;
    ck_assert_int_eq(pp_unwind_new(NULL, &m->base, &m->layout, m->runtime, 0,
                                   &how, &r.u, NULL),
                     PYPROF_OK);
    for (r.round = 0; r.round < ROUNDS; r.round++) {
        one_round(&r, now);
        now += 100 * 1000 + model_below(m, 4 * 1000 * 1000);
        /* Much, little, or nothing happens until the next one. */
        for (uint32_t i = model_below(m, 3) * model_below(m, 200); i > 0; i--) {
            model_event(m);
        }
    }
    pp_unwind_free(r.u);
    free(told.names);
}

#ifndef SCHEDULES
#define SCHEDULES 1000
#endif
#ifndef FIRST
#define FIRST 1
#endif

static void run_all(const char *name, const model_opts *given)
{
    model m = {.memory = malloc(MODEL_SIZE),
               .seen = calloc(MODEL_SEEN, sizeof(model_seen))};
    tally total = {0, 0, 0, 0, 0, 0, 0};
    ck_assert(m.memory != NULL && m.seen != NULL);
    for (uint64_t seed = FIRST; seed < FIRST + SCHEDULES; seed++) {
        static const uint32_t rates[] = {1, 2, 4, 8, 16, 64};
        model_opts opts = *given;
        opts.per_call = rates[seed % PP_COUNT_OF(rates)];
        opts.come_and_go &= seed % 4 == 0;
        opts.bursts = seed % 5 == 0;
        one_run(&m, seed, &opts, &total);
    }
    printf("%s: %llu wrong, %llu whole (%llu of them known), %llu torn, "
           "%llu unreadable, %llu lost\n",
           name, (unsigned long long)total.wrong,
           (unsigned long long)total.whole, (unsigned long long)total.known,
           (unsigned long long)total.torn, (unsigned long long)total.unreadable,
           (unsigned long long)total.lost);
    fflush(stdout);
    /* A test of nothing proves nothing. */
    ck_assert_uint_gt(total.whole, total.torn);
    ck_assert_uint_lt(total.unnamed, 4);
    ck_assert_uint_eq(total.wrong, 0);
    free(m.memory);
    free(m.seen);
}

/* The versions, as far as their frames and proofs differ. */
static const struct version {
    const char *name;
    model_opts opts;
} versions[] = {
    {"3.8", {.frames = PP_FRAMES_HEAP, .gil = true, .keeps_root = true}},
    {"3.12", {.frames = PP_FRAMES_CFRAME, .gil = true, .come_and_go = true}},
    {"3.13",
     {.frames = PP_FRAMES_STACK,
      .proof = PP_CODE_PROOF_CREATED,
      .gil = true,
      .come_and_go = true}},
    {"3.13t",
     {.frames = PP_FRAMES_STACK,
      .proof = PP_CODE_PROOF_CREATED,
      .come_and_go = true}},
    {"3.14",
     {.frames = PP_FRAMES_STACK,
      .proof = PP_CODE_PROOF_GENERATION,
      .gil = true,
      .clears_code = true,
      .come_and_go = true}},
    {"3.15",
     {.frames = PP_FRAMES_STACK,
      .proof = PP_CODE_PROOF_GENERATION,
      .gil = true,
      .base_frame = true,
      .clears_code = true,
      .come_and_go = true}},
};

START_TEST(test_version)
{
    run_all(versions[_i].name, &versions[_i].opts);
}
END_TEST

/* Code objects are freed, and others take their places. */
START_TEST(test_codes)
{
    model_opts opts = versions[_i].opts;
    opts.new_codes = opts.gil; /* without a GIL the model has no order there */
    if (opts.new_codes) {
        run_all(versions[_i].name, &opts);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("unwind.truth");
    TCase *tcase = tcase_create("truth");
    tcase_add_loop_test(tcase, test_version, 0, PP_COUNT_OF(versions));
    tcase_add_loop_test(tcase, test_codes, 0, PP_COUNT_OF(versions));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
