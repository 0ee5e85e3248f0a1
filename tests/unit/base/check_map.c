/* base/map: against a plain array that does the same slowly. */
#include "testing.h"

#define KEYS 600

typedef struct model {
    bool has[KEYS];
    uint64_t value[KEYS];
    size_t n;
} model;

/* Keys that collide in low bits, and 0 and the largest among them. */
static uint64_t key_of(size_t i)
{
    if (i == 0) {
        return 0;
    }
    if (i == 1) {
        return UINT64_MAX;
    }
    return i % 2 == 0 ? (uint64_t)i << 40 : (uint64_t)i * 4096;
}

static void count_entry(void *user, uint64_t key, uint64_t value)
{
    model *seen = user;
    for (size_t i = 0; i < KEYS; i++) {
        if (key_of(i) == key) {
            TEST_THAT(!seen->has[i]);
            seen->has[i] = true;
            seen->value[i] = value;
            seen->n++;
            return;
        }
    }
    ck_abort_msg("a key that was never put");
}

static void compare(const pp_map *map, const model *expected)
{
    TEST_THAT(map->n_used == expected->n);
    for (size_t i = 0; i < KEYS; i++) {
        const uint64_t *found = pp_map_find(map, key_of(i));
        TEST_THAT(expected->has[i] == (found != NULL));
        if (found != NULL) {
            TEST_THAT(*found == expected->value[i]);
        }
    }
    model seen = {.n = 0};
    pp_map_each(map, count_entry, &seen);
    TEST_THAT(seen.n == expected->n);
    for (size_t i = 0; i < KEYS; i++) {
        TEST_THAT(seen.has[i] == expected->has[i]);
        TEST_THAT(seen.value[i] == (seen.has[i] ? expected->value[i] : 0));
    }
}

static void step(pp_map *map, model *expected, uint64_t *random)
{
    size_t i = test_random(random) % KEYS;
    if (test_random(random) % 5 < 3) {
        bool is_new = false;
        uint64_t *value = pp_map_put(map, key_of(i), &is_new);
        TEST_THAT(value != NULL);
        TEST_THAT(is_new == !expected->has[i]);
        TEST_THAT(*value == (is_new ? 0 : expected->value[i]));
        expected->n += is_new;
        expected->has[i] = true;
        expected->value[i] = *value = test_random(random);
    } else {
        TEST_THAT(pp_map_remove(map, key_of(i)) == expected->has[i]);
        expected->n -= expected->has[i];
        expected->has[i] = false;
    }
}

START_TEST(test_random_operations)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;
        pp_map map;
        pp_map_init(&map, NULL);
        model expected = {.n = 0};
        for (int i = 0; i < 5000; i++) {
            step(&map, &expected, &random);
            if (i % 250 == 0) {
                compare(&map, &expected);
            }
        }
        compare(&map, &expected);
        size_t bytes = pp_map_bytes(&map);
        pp_map_clear(&map);
        expected = (model){.n = 0};
        compare(&map, &expected);
        ck_assert_uint_eq(pp_map_bytes(&map), bytes);
        step(&map, &expected, &random);
        compare(&map, &expected);
        pp_map_free(&map);
        ck_assert_uint_eq(pp_map_bytes(&map), 0);
        ck_assert_ptr_null(pp_map_find(&map, 1));
    }
}
END_TEST

START_TEST(test_empty)
{
    pp_map map;
    pp_map_init(&map, NULL);
    ck_assert_ptr_null(pp_map_find(&map, 0));
    ck_assert_ptr_null(pp_map_find(&map, 7));
    ck_assert(!pp_map_remove(&map, 0));
    ck_assert(!pp_map_remove(&map, 7));
    pp_map_each(&map, count_entry, NULL);
    pp_map_clear(&map);
    pp_map_free(&map);
}
END_TEST

START_TEST(test_known_key_takes_no_memory)
{
    fault_alloc fault;
    fault_init(&fault, 0, false);
    pp_map map;
    pp_map_init(&map, &fault.table);
    for (uint64_t i = 0; i < 1000; i++) {
        *pp_map_put(&map, i, NULL) = i * i;
    }
    size_t requests = fault.requests;
    for (uint64_t i = 0; i < 1000; i++) {
        ck_assert_uint_eq(*pp_map_put(&map, i, NULL), i * i);
        ck_assert_uint_eq(*pp_map_find(&map, i), i * i);
    }
    ck_assert_uint_eq(fault.requests, requests);
    pp_map_free(&map);
    ck_assert_int_eq(fault.held, 0);
}
END_TEST

static bool fill(fault_alloc *fault)
{
    pp_map map;
    pp_map_init(&map, &fault->table);
    uint64_t i = 0;
    for (; i < 200; i++) {
        uint64_t *value = pp_map_put(&map, i, NULL);
        if (value == NULL) {
            break;
        }
        *value = i + 1;
    }
    /* what was put stays there */
    for (uint64_t k = 0; k < i; k++) {
        TEST_THAT(*pp_map_find(&map, k) == k + 1);
    }
    TEST_THAT(pp_map_find(&map, i) == NULL);
    pp_map_free(&map);
    return i == 200;
}

START_TEST(test_out_of_memory)
{
    fault_loop(fill);
}
END_TEST

SUITE_MAIN("base.map", test_random_operations, test_empty,
           test_known_key_takes_no_memory, test_out_of_memory)
