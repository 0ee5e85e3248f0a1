/*
 * testing: what the suites of the inner folders share - an allocator that
 * counts and fails on demand, repeatable random numbers, and a main.
 */
#ifndef PP_TESTS_TESTING_H
#define PP_TESTS_TESTING_H

#include <check.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"

/* An allocator that fails its Nth request and counts what is held. */
typedef struct fault_alloc {
    pp_allocator table;
    size_t requests; /* made so far */
    size_t fail_at;  /* number of the request that fails; 0: none */
    bool fail_after; /* and all later ones */
    long held;       /* blocks not yet freed */
} fault_alloc;

static inline bool fault_hits(fault_alloc *fault)
{
    fault->requests++;
    return fault->fail_at != 0 &&
           (fault->requests == fault->fail_at ||
            (fault->fail_after && fault->requests > fault->fail_at));
}

static inline void *fault_alloc_alloc(void *user, size_t size)
{
    fault_alloc *fault = user;
    if (fault_hits(fault)) {
        return NULL;
    }
    void *ptr = malloc(size);
    if (ptr != NULL) {
        /* what is not written must not be read as zero by luck */
        memset(ptr, 0xa5, size);
        fault->held++;
    }
    return ptr;
}

static inline void *fault_alloc_realloc(void *user, void *ptr, size_t size)
{
    fault_alloc *fault = user;
    if (fault_hits(fault)) {
        return NULL;
    }
    void *grown = realloc(ptr, size);
    if (grown != NULL && ptr == NULL) {
        fault->held++;
    }
    return grown;
}

static inline void fault_alloc_free(void *user, void *ptr)
{
    fault_alloc *fault = user;
    if (ptr != NULL) {
        fault->held--;
    }
    free(ptr);
}

/* fail_at 0: never fails, only counts. */
static inline void fault_init(fault_alloc *fault, size_t fail_at,
                              bool fail_after)
{
    *fault = (fault_alloc){
        .table = {.sz = sizeof(pp_allocator),
                  .alloc = fault_alloc_alloc,
                  .realloc = fault_alloc_realloc,
                  .free = fault_alloc_free,
                  .user = fault},
        .fail_at = fail_at,
        .fail_after = fail_after,
    };
}

/* Runs `trial` with request 1, 2, 3... failing - that one alone, then that one
 * and all after it - until it succeeds. It answers whether it succeeded and
 * must give back all memory either way. */
static inline void fault_loop(bool (*trial)(fault_alloc *fault))
{
    for (int after = 0; after < 2; after++) {
        size_t n = 0;
        bool done = false;
        while (!done) {
            n++;
            ck_assert_uint_lt(n, 100000);
            fault_alloc fault;
            fault_init(&fault, n, after != 0);
            bool success = trial(&fault);
            ck_assert_msg(fault.held == 0, "%ld blocks left, request %zu",
                          fault.held, n);
            /* done when the failure was never reached */
            done = fault.requests < n;
            ck_assert_msg(!done || success, "failed without a failure");
        }
        ck_assert_uint_gt(n, 1);
    }
}

/* An assertion of Check takes a system call each time, which is felt in a loop
 * of millions; this one only when it fails. */
#define TEST_THAT(condition)                \
    do {                                    \
        if (!(condition)) {                 \
            ck_abort_msg("%s", #condition); \
        }                                   \
    } while (0)

/* xorshift64*: the same numbers in every run. */
static inline uint64_t test_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

static inline int run_suite(const char *name, const TTest *const *tests,
                            size_t n_tests)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    for (size_t i = 0; i < n_tests; i++) {
        tcase_add_test(tcase, tests[i]);
    }
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The main of a suite: SUITE_MAIN("base.map", test_a, test_b) */
#define SUITE_MAIN(name, ...)                              \
    int main(void)                                         \
    {                                                      \
        const TTest *const tests[] = {__VA_ARGS__};        \
        return run_suite(name, tests, PP_COUNT_OF(tests)); \
    }

#endif /* PP_TESTS_TESTING_H */
