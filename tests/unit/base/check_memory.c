/* base/alloc, base/arena, base/opts, base/sort, base/varint. */
#include "testing.h"

/* ---- alloc ------------------------------------------------------------- */

START_TEST(test_alloc_init)
{
    pp_allocator a;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_alloc_init(&a, NULL, &err), PYPROF_OK);
    void *ptr = pp_alloc(&a, 100);
    ck_assert_ptr_nonnull(ptr);
    ptr = pp_realloc(&a, ptr, 50, 4);
    ck_assert_ptr_nonnull(ptr);
    pp_free(&a, ptr);

    fault_alloc fault;
    fault_init(&fault, 0, false);
    ck_assert_int_eq(pp_alloc_init(&a, &fault.table, &err), PYPROF_OK);
    ck_assert_ptr_eq(a.user, &fault);
    pyprof_allocator bad = fault.table;
    bad.realloc = NULL;
    ck_assert_int_eq(pp_alloc_init(&a, &bad, &err), PYPROF_ERR_INVALID);
    ck_assert_ptr_eq(a.user, &fault);
    bad = fault.table;
    bad.sz = 3;
    ck_assert_int_eq(pp_alloc_init(&a, &bad, &err), PYPROF_ERR_UNSUPPORTED);
    bad = fault.table;
    bad.sz = offsetof(pyprof_allocator, free);
    ck_assert_int_eq(pp_alloc_init(&a, &bad, &err), PYPROF_ERR_INVALID);
}
END_TEST

START_TEST(test_alloc_sizes)
{
    fault_alloc fault;
    fault_init(&fault, 0, false);
    const pp_allocator *tables[] = {NULL, &fault.table};
    for (size_t i = 0; i < PP_COUNT_OF(tables); i++) {
        const pp_allocator *a = tables[i];
        void *none = pp_alloc(a, 0);
        TEST_THAT(none != NULL);
        pp_free(a, none);
        unsigned char *zero = pp_calloc(a, 100, 3);
        for (size_t k = 0; k < 300; k++) {
            TEST_THAT(zero[k] == 0);
        }
        TEST_THAT(pp_calloc(a, SIZE_MAX / 2, 3) == NULL);
        TEST_THAT(pp_realloc(a, zero, SIZE_MAX / 2, 3) == NULL);
        zero = pp_realloc(a, zero, 0, 8);
        TEST_THAT(zero != NULL);
        pp_free(a, zero);
        pp_free(a, NULL);
    }
    TEST_THAT(fault.held == 0);
}
END_TEST

START_TEST(test_grow)
{
    fault_alloc fault;
    fault_init(&fault, 0, false);
    uint32_t *vector = NULL;
    size_t cap = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        TEST_THAT(
            pp_grow(&fault.table, &vector, &cap, sizeof(*vector), i + 1, 1000));
        vector[i] = i;
    }
    for (uint32_t i = 0; i < 1000; i++) {
        TEST_THAT(vector[i] == i);
    }
    TEST_THAT(cap == 1000);
    TEST_THAT(fault.requests <= 10);
    TEST_THAT(
        !pp_grow(&fault.table, &vector, &cap, sizeof(*vector), 1001, 1000));
    fault.fail_at = fault.requests + 1;
    uint32_t *before = vector;
    TEST_THAT(!pp_grow(&fault.table, &vector, &cap, sizeof(*vector), 1001, 0));
    TEST_THAT(!pp_grow(&fault.table, &vector, &cap, sizeof(*vector),
                       SIZE_MAX / 2, 0));
    TEST_THAT(vector == before);
    TEST_THAT(cap == 1000);
    pp_free(&fault.table, vector);
    TEST_THAT(fault.held == 0);
}
END_TEST

START_TEST(test_checked)
{
    uint64_t sum = 5;
    ck_assert(!pp_add_u64(UINT64_MAX, 1, &sum));
    ck_assert_uint_eq(sum, 5);
    ck_assert(pp_add_u64(UINT64_MAX - 1, 1, &sum));
    ck_assert_uint_eq(sum, UINT64_MAX);
    size_t product = 5;
    ck_assert(!pp_mul_size(SIZE_MAX, 2, &product));
    ck_assert_uint_eq(product, 5);
    ck_assert(pp_mul_size(0, 0, &product));
    ck_assert_uint_eq(product, 0);
}
END_TEST

/* ---- arena ------------------------------------------------------------- */

START_TEST(test_arena)
{
    fault_alloc fault;
    fault_init(&fault, 0, false);
    pp_arena arena;
    pp_arena_init(&arena, &fault.table);
    static unsigned char *pieces[3000];
    static size_t sizes[3000];
    uint64_t random = 1;
    for (size_t i = 0; i < 3000; i++) {
        sizes[i] = test_random(&random) % (i % 100 == 0 ? 100000 : 200);
        pieces[i] = pp_arena_alloc(&arena, sizes[i]);
        TEST_THAT(pieces[i] != NULL);
        TEST_THAT((uintptr_t)pieces[i] % 8 == 0);
        memset(pieces[i], (int)(i % 251), sizes[i]);
    }
    for (size_t i = 0; i < 3000; i++) {
        for (size_t k = 0; k < sizes[i]; k++) {
            TEST_THAT(pieces[i][k] == i % 251);
        }
    }
    TEST_THAT(arena.used <= arena.reserved);
    TEST_THAT(arena.reserved < arena.used + arena.used / 4 + 200000);
    ck_assert_str_eq(pp_arena_text(&arena, "abcdef", 3), "abc");
    ck_assert_str_eq(pp_arena_text(&arena, NULL, 0), "");
    TEST_THAT(pp_arena_alloc(&arena, SIZE_MAX) == NULL);
    TEST_THAT(pp_arena_alloc(&arena, SIZE_MAX - 20) == NULL);
    TEST_THAT(pp_arena_text(&arena, "", SIZE_MAX) == NULL);
    pp_arena_free(&arena);
    TEST_THAT(fault.held == 0);
    TEST_THAT(arena.reserved == 0);
    TEST_THAT(pp_arena_alloc(&arena, 8) != NULL);
    pp_arena_free(&arena);
}
END_TEST

static bool fill_arena(fault_alloc *fault)
{
    pp_arena arena;
    pp_arena_init(&arena, &fault->table);
    bool done = true;
    for (int i = 0; i < 100 && done; i++) {
        done = pp_arena_alloc(&arena, i % 10 == 0 ? 5000 : 100) != NULL;
    }
    pp_arena_free(&arena);
    return done;
}

START_TEST(test_arena_out_of_memory)
{
    fault_loop(fill_arena);
}
END_TEST

/* ---- opts -------------------------------------------------------------- */

typedef struct opts {
    size_t sz;
    uint32_t a;
    uint32_t b;
} opts;

START_TEST(test_opts_read)
{
    opts got = {1, 2, 3};
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_opts_read(&got, sizeof(got), NULL, "opts", &err), 0);
    ck_assert_uint_eq(got.sz, sizeof(got));
    ck_assert_uint_eq(got.a, 0);
    ck_assert_uint_eq(got.b, 0);

    struct {
        opts known;
        uint64_t later[2];
    } given = {.known = {sizeof(opts), 7, 8}};
    ck_assert_int_eq(pp_opts_read(&got, sizeof(got), &given, "opts", &err), 0);
    ck_assert_uint_eq(got.b, 8);
    given.known.sz = offsetof(opts, b); /* an older caller */
    ck_assert_int_eq(pp_opts_read(&got, sizeof(got), &given, "opts", &err), 0);
    ck_assert_uint_eq(got.sz, sizeof(got));
    ck_assert_uint_eq(got.a, 7);
    ck_assert_uint_eq(got.b, 0);
    given.known.sz = sizeof(given); /* a newer one, nothing new set */
    ck_assert_int_eq(pp_opts_read(&got, sizeof(got), &given, "opts", &err), 0);
    ck_assert_uint_eq(got.b, 8);

    const opts before = got;
    given.later[1] = UINT64_C(1) << 56;
    ck_assert_int_eq(pp_opts_read(&got, sizeof(got), &given, "opts", &err),
                     PYPROF_ERR_UNSUPPORTED);
    ck_assert_int_eq(strncmp(err.message, "opts: ", 6), 0);
    const size_t bad[] = {0, sizeof(size_t) - 1, PP_OPTS_SIZE_MAX + 1};
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        given.known.sz = bad[i];
        ck_assert_int_eq(pp_opts_read(&got, sizeof(got), &given, "opts", &err),
                         PYPROF_ERR_UNSUPPORTED);
    }
    ck_assert_int_eq(memcmp(&got, &before, sizeof(got)), 0);
}
END_TEST

START_TEST(test_opts_write)
{
    const opts from = {sizeof(from), 1, 2};
    struct {
        opts known;
        uint64_t later[2];
    } to;
    for (size_t sz = 0; sz <= sizeof(to); sz++) {
        memset(&to, 0x77, sizeof(to));
        to.known.sz = sz;
        TEST_THAT(pp_opts_write(&to, &from, sizeof(from)) ==
                  (sz >= sizeof(size_t)));
        TEST_THAT(to.known.sz == sz);
        const unsigned char *bytes = (const unsigned char *)&to;
        for (size_t i = sizeof(size_t); i < sizeof(to); i++) {
            unsigned expected = 0x77;
            if (sz >= sizeof(size_t) && i < sz) {
                expected =
                    i < sizeof(from) ? ((const unsigned char *)&from)[i] : 0;
            }
            TEST_THAT(bytes[i] == expected);
        }
    }
    to.known.sz = SIZE_MAX;
    TEST_THAT(!pp_opts_write(&to, &from, sizeof(from)));
}
END_TEST

/* ---- varint ------------------------------------------------------------ */

static void round_trip(uint64_t value)
{
    uint8_t bytes[PP_VARINT_MAX + 1];
    size_t n = pp_varint_put(bytes, value);
    TEST_THAT(n <= PP_VARINT_MAX);
    const uint8_t *p = bytes;
    uint64_t back = ~value;
    TEST_THAT(pp_varint_get(&p, bytes + n, &back));
    TEST_THAT(back == value);
    TEST_THAT(p == bytes + n);
    for (size_t cut = 0; cut < n; cut++) {
        p = bytes;
        back = 42;
        TEST_THAT(!pp_varint_get(&p, bytes + cut, &back));
        TEST_THAT(p == bytes);
        TEST_THAT(back == 42);
    }
}

START_TEST(test_varint)
{
    uint64_t random = 3;
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t power = UINT64_C(1) << bit;
        round_trip(power);
        round_trip(power - 1);
        round_trip(test_random(&random) & (power | (power - 1)));
    }
    round_trip(UINT64_MAX);
    uint8_t bytes[PP_VARINT_MAX];
    ck_assert_uint_eq(pp_varint_put(bytes, 127), 1);
    ck_assert_uint_eq(pp_varint_put(bytes, 128), 2);
    ck_assert_uint_eq(bytes[0], 0x80);
    ck_assert_uint_eq(bytes[1], 0x01);
    ck_assert_uint_eq(pp_varint_put(bytes, UINT64_MAX), 10);

    uint8_t over[11];
    memset(over, 0xff, sizeof(over));
    const uint8_t *p = over;
    uint64_t value = 1;
    ck_assert(!pp_varint_get(&p, over + sizeof(over), &value));
    over[9] = 0x02; /* the 65th bit */
    ck_assert(!pp_varint_get(&p, over + sizeof(over), &value));
    ck_assert_ptr_eq(p, over);
    over[9] = 0x01;
    ck_assert(pp_varint_get(&p, over + sizeof(over), &value));
    ck_assert_uint_eq(value, UINT64_MAX);
    ck_assert_ptr_eq(p, over + 10);
}
END_TEST

/* ---- sort -------------------------------------------------------------- */

/* By the value of the low byte, so that many are equal. */
static bool is_low_byte_less(void *user, uint32_t x, uint32_t y)
{
    ++*(size_t *)user;
    return (x & 0xff) < (y & 0xff);
}

START_TEST(test_sort)
{
    static uint32_t numbers[5000];
    uint64_t random = 17;
    for (size_t n = 0; n < PP_COUNT_OF(numbers); n += n < 40 ? 1 : 611) {
        uint64_t sum = 0;
        for (size_t i = 0; i < n; i++) {
            /* the high part counts up: it shows whether equals kept order */
            numbers[i] = (uint32_t)(i << 8 | (test_random(&random) & 0xff));
            sum += numbers[i];
        }
        size_t compared = 0;
        TEST_THAT(pp_sort_u32(NULL, numbers, n, is_low_byte_less, &compared));
        TEST_THAT(compared <= n * 14);
        for (size_t i = 1; i < n; i++) {
            uint32_t a = numbers[i - 1] & 0xff;
            uint32_t b = numbers[i] & 0xff;
            TEST_THAT(a < b || (a == b && numbers[i - 1] < numbers[i]));
        }
        for (size_t i = 0; i < n; i++) {
            sum -= numbers[i];
        }
        TEST_THAT(sum == 0);
    }
    fault_alloc fault;
    fault_init(&fault, 1, false);
    size_t compared = 0;
    TEST_THAT(
        !pp_sort_u32(&fault.table, numbers, 10, is_low_byte_less, &compared));
    TEST_THAT(
        pp_sort_u32(&fault.table, numbers, 10, is_low_byte_less, &compared));
    TEST_THAT(fault.held == 0);
}
END_TEST

SUITE_MAIN("base.memory", test_alloc_init, test_alloc_sizes, test_grow,
           test_checked, test_arena, test_arena_out_of_memory, test_opts_read,
           test_opts_write, test_sort, test_varint)
