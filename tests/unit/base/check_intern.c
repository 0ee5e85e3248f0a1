/* base/intern and base/hash: equal bytes, equal numbers, and nothing moves. */
#include "testing.h"

#include <stdio.h>

#define TEXTS 5000

START_TEST(test_numbers_and_bytes)
{
    pp_intern table;
    pp_intern_init(&table, NULL);
    static const char *first[TEXTS];
    char text[64];
    for (uint32_t i = 0; i < TEXTS; i++) {
        int n = snprintf(text, sizeof(text), "module%u.function%u", i / 7, i);
        TEST_THAT(pp_intern_find(&table, text, (size_t)n) == 0);
        TEST_THAT(pp_intern_put(&table, text, (size_t)n) == i + 1);
        first[i] = pp_intern_text(&table, i + 1).data;
    }
    for (uint32_t i = 0; i < TEXTS; i++) {
        int n = snprintf(text, sizeof(text), "module%u.function%u", i / 7, i);
        TEST_THAT(pp_intern_put(&table, text, (size_t)n) == i + 1);
        TEST_THAT(pp_intern_find(&table, text, (size_t)n) == i + 1);
        pyprof_text back = pp_intern_text(&table, i + 1);
        TEST_THAT(back.data == first[i]);
        TEST_THAT(back.size == (uint64_t)n);
        ck_assert_str_eq(back.data, text);
    }
    TEST_THAT(table.n_entries == TEXTS);
    TEST_THAT(pp_intern_bytes(&table) > TEXTS * 16);
    pp_intern_free(&table);
    TEST_THAT(pp_intern_bytes(&table) == 0);
}
END_TEST

START_TEST(test_empty_and_zero_bytes)
{
    pp_intern table;
    pp_intern_init(&table, NULL);
    ck_assert_uint_eq(pp_intern_find(&table, "", 0), 0);
    uint32_t empty = pp_intern_put(&table, NULL, 0);
    uint32_t one = pp_intern_put(&table, "\0", 1);
    uint32_t two = pp_intern_put(&table, "\0\0", 2);
    uint32_t inner = pp_intern_put(&table, "a\0b", 3);
    ck_assert_uint_eq(empty, 1);
    ck_assert_uint_eq(one, 2);
    ck_assert_uint_eq(two, 3);
    ck_assert_uint_eq(inner, 4);
    ck_assert_uint_eq(pp_intern_put(&table, "", 0), empty);
    ck_assert_uint_eq(pp_intern_text(&table, inner).size, 3);
    ck_assert_int_eq(memcmp(pp_intern_text(&table, inner).data, "a\0b", 4), 0);
    ck_assert_str_eq(pp_intern_text(&table, empty).data, "");
    const uint32_t never[] = {0, 5, UINT32_MAX};
    for (size_t i = 0; i < PP_COUNT_OF(never); i++) {
        pyprof_text none = pp_intern_text(&table, never[i]);
        ck_assert_ptr_nonnull(none.data);
        ck_assert_uint_eq(none.size, 0);
    }
    pp_intern_free(&table);
}
END_TEST

START_TEST(test_random_against_list)
{
    uint64_t random = 4711;
    pp_intern table;
    pp_intern_init(&table, NULL);
    static char list[700][8];
    static size_t sizes[700];
    uint32_t n = 0;
    for (int i = 0; i < 20000; i++) {
        char text[8];
        size_t size = test_random(&random) % 5;
        for (size_t k = 0; k < size; k++) {
            text[k] = (char)('a' + test_random(&random) % 4);
        }
        uint32_t expected = 0;
        for (uint32_t k = 0; k < n && expected == 0; k++) {
            if (sizes[k] == size && memcmp(list[k], text, size) == 0) {
                expected = k + 1;
            }
        }
        TEST_THAT(pp_intern_find(&table, text, size) == expected);
        if (expected == 0) {
            memcpy(list[n], text, size);
            sizes[n++] = size;
            expected = n;
        }
        TEST_THAT(pp_intern_put(&table, text, size) == expected);
    }
    pp_intern_free(&table);
}
END_TEST

static bool fill(fault_alloc *fault)
{
    pp_intern table;
    pp_intern_init(&table, &fault->table);
    uint32_t i = 0;
    for (; i < 300; i++) {
        if (pp_intern_put(&table, &i, sizeof(i)) == 0) {
            break;
        }
    }
    for (uint32_t k = 0; k < i; k++) {
        TEST_THAT(pp_intern_find(&table, &k, sizeof(k)) == k + 1);
    }
    TEST_THAT(pp_intern_find(&table, &i, sizeof(i)) == 0);
    pp_intern_free(&table);
    return i == 300;
}

START_TEST(test_out_of_memory)
{
    fault_loop(fill);
}
END_TEST

START_TEST(test_hash_spreads)
{
    /* 4096 texts that differ in one place, into 4096 buckets: a random hash
     * leaves about 1/e of them empty */
    static bool taken[4096];
    char text[] = "package/module_0000.py";
    size_t n = 0;
    for (unsigned i = 0; i < 4096; i++) {
        text[15] = (char)('0' + i / 512);
        text[16] = (char)('0' + i / 64 % 8);
        text[17] = (char)('0' + i / 8 % 8);
        text[18] = (char)('0' + i % 8);
        size_t bucket = pp_hash_bytes(text, sizeof(text) - 1) % 4096;
        n += !taken[bucket];
        taken[bucket] = true;
    }
    ck_assert_uint_gt(n, 2400);
    ck_assert_uint_ne(pp_hash_bytes("\0", 1), pp_hash_bytes("\0\0", 2));
    ck_assert_uint_ne(pp_hash_u64(1), pp_hash_u64(2));
}
END_TEST

SUITE_MAIN("base.intern", test_numbers_and_bytes, test_empty_and_zero_bytes,
           test_random_against_list, test_out_of_memory, test_hash_spreads)
