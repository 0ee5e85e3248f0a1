/* base/ring: one thread against a model, then two threads. */
#define _POSIX_C_SOURCE 200809L
#include "testing.h"

#include <pthread.h>
#include <sched.h>

START_TEST(test_sizes)
{
    const size_t asked[] = {0, 1, 64, 65, 4096, 5000};
    const size_t given[] = {64, 64, 64, 128, 4096, 8192};
    for (size_t i = 0; i < PP_COUNT_OF(asked); i++) {
        pp_ring *ring = pp_ring_new(NULL, asked[i]);
        ck_assert_ptr_nonnull(ring);
        ck_assert_uint_eq(pp_ring_capacity(ring), given[i]);
        ck_assert_uint_eq(pp_ring_record_max(ring), given[i] / 2 - 8);
        ck_assert_uint_eq(pp_ring_used(ring), 0);
        ck_assert_ptr_null(pp_ring_reserve(ring, pp_ring_record_max(ring) + 1));
        ck_assert_ptr_null(pp_ring_reserve(ring, SIZE_MAX));
        ck_assert_ptr_nonnull(pp_ring_reserve(ring, pp_ring_record_max(ring)));
        pp_ring_free(ring);
    }
    ck_assert_ptr_null(pp_ring_new(NULL, SIZE_MAX));
    pp_ring_free(NULL);
}
END_TEST

START_TEST(test_visible_when_committed)
{
    pp_ring *ring = pp_ring_new(NULL, 256);
    size_t size = 99;
    ck_assert_ptr_null(pp_ring_peek(ring, &size));
    ck_assert_uint_eq(size, 99);
    pp_ring_pop(ring);       /* shown nothing: does nothing */
    pp_ring_commit(ring, 0); /* reserved nothing: does nothing */
    char *first = pp_ring_reserve(ring, 40);
    ck_assert_ptr_null(pp_ring_peek(ring, &size));
    char *again = pp_ring_reserve(ring, 24);
    ck_assert_ptr_eq(first, again);
    memcpy(again, "abc", 3);
    pp_ring_commit(ring, 25); /* more than reserved: does nothing */
    ck_assert_ptr_null(pp_ring_peek(ring, &size));
    pp_ring_commit(ring, 3);
    pp_ring_commit(ring, 3);
    const char *taken = pp_ring_peek(ring, &size);
    ck_assert_uint_eq(size, 3);
    ck_assert_int_eq(memcmp(taken, "abc", 3), 0);
    ck_assert_ptr_eq(pp_ring_peek(ring, &size), taken);
    ck_assert_uint_eq(pp_ring_used(ring), 16);
    pp_ring_pop(ring);
    pp_ring_pop(ring);
    ck_assert_ptr_null(pp_ring_peek(ring, &size));
    ck_assert_uint_eq(pp_ring_used(ring), 0);
    ck_assert_ptr_nonnull(pp_ring_reserve(ring, 0));
    pp_ring_commit(ring, 0);
    ck_assert_ptr_nonnull(pp_ring_peek(ring, &size));
    ck_assert_uint_eq(size, 0);
    pp_ring_free(ring);
}
END_TEST

static void fill_record(unsigned char *data, size_t size, uint64_t number)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = (unsigned char)(number * 31 + i);
    }
}

static void check_record(const unsigned char *data, size_t size,
                         uint64_t number)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != (unsigned char)(number * 31 + i)) {
            ck_abort_msg("record %lu, byte %zu", (unsigned long)number, i);
        }
    }
}

/* Size of the Nth record: up to the largest. */
static size_t size_of(uint64_t number, size_t max)
{
    return (size_t)(pp_hash_u64(number) % (max + 1));
}

START_TEST(test_random_operations)
{
    for (uint64_t seed = 1; seed < 30; seed++) {
        uint64_t random = seed;
        pp_ring *ring = pp_ring_new(NULL, (size_t)64 << seed % 5);
        size_t max = pp_ring_record_max(ring);
        uint64_t put = 0;
        uint64_t taken = 0;
        for (int i = 0; i < 20000; i++) {
            if (test_random(&random) % 2 == 0) {
                size_t size = size_of(put, max);
                unsigned char *data = pp_ring_reserve(ring, size);
                if (data == NULL) {
                    /* any record fits an empty ring */
                    TEST_THAT(put != taken);
                    continue;
                }
                TEST_THAT((uintptr_t)data % 8 == 0);
                fill_record(data, size, put++);
                pp_ring_commit(ring, size);
            } else {
                size_t size;
                const unsigned char *data = pp_ring_peek(ring, &size);
                TEST_THAT((data == NULL) == (put == taken));
                if (data != NULL) {
                    TEST_THAT(size == size_of(taken, max));
                    check_record(data, size, taken++);
                    pp_ring_pop(ring);
                }
            }
            TEST_THAT(pp_ring_used(ring) <= pp_ring_capacity(ring));
        }
        TEST_THAT(taken > 1000);
        pp_ring_free(ring);
    }
}
END_TEST

#define RECORDS 200000

static void *put_all(void *user)
{
    pp_ring *ring = user;
    for (uint64_t i = 0; i < RECORDS; i++) {
        size_t size = size_of(i, pp_ring_record_max(ring));
        unsigned char *data;
        while ((data = pp_ring_reserve(ring, size)) == NULL) {
            sched_yield();
        }
        fill_record(data, size, i);
        pp_ring_commit(ring, size);
    }
    return NULL;
}

START_TEST(test_two_threads)
{
    pp_ring *ring = pp_ring_new(NULL, 512);
    pthread_t thread;
    TEST_THAT(pthread_create(&thread, NULL, put_all, ring) == 0);
    for (uint64_t i = 0; i < RECORDS;) {
        size_t size;
        const unsigned char *data = pp_ring_peek(ring, &size);
        if (data == NULL) {
            sched_yield();
            continue;
        }
        TEST_THAT(size == size_of(i, pp_ring_record_max(ring)));
        check_record(data, size, i++);
        pp_ring_pop(ring);
        TEST_THAT(pp_ring_used(ring) <= pp_ring_capacity(ring));
    }
    TEST_THAT(pthread_join(thread, NULL) == 0);
    TEST_THAT(pp_ring_used(ring) == 0);
    pp_ring_free(ring);
}
END_TEST

START_TEST(test_memory)
{
    fault_alloc fault;
    fault_init(&fault, 1, false);
    ck_assert_ptr_null(pp_ring_new(&fault.table, 4096));
    pp_ring *ring = pp_ring_new(&fault.table, 4096);
    ck_assert_ptr_nonnull(ring);
    ck_assert_int_eq(fault.held, 1);
    pp_ring_free(ring);
    ck_assert_int_eq(fault.held, 0);
}
END_TEST

SUITE_MAIN("base.ring", test_sizes, test_visible_when_committed,
           test_random_operations, test_two_threads, test_memory)
