/*
 * unwind/objects: ints, strs, dicts, attributes and modules in every version's
 * layout, made by hand; and everything that is not what it should be.
 */
#include "world.h"

static pp_objects objects_of(world *w)
{
    pp_objects o;
    pp_objects_init(&o, NULL, &w->reader, w->layout);
    return o;
}

/* Repeats a look until nothing is missing, as a caller does. */
#define CHECK_LOOK(o, expected, expr)                         \
    do {                                                      \
        pp_look look_;                                        \
        while ((look_ = (expr)) == PP_LOOK_MORE) {            \
            ck_assert_int_eq(pp_objects_fetch(o), PYPROF_OK); \
        }                                                     \
        ck_assert_int_eq(look_, expected);                    \
    } while (0)

/* ---- memory ----------------------------------------------------------------
 */

static void memory_is_read_by_page(world *w)
{
    pp_objects o = objects_of(w);
    uint8_t bytes[3 * WORLD_PAGE];
    uint64_t value = 0;
    uint64_t at = WORLD_BASE + 10 * WORLD_PAGE - 4;
    world_put_u64(w, at, 0x1122334455667788);

    ck_assert_int_eq(pp_objects_u64(&o, at, &value), PP_LOOK_MORE);
    ck_assert_int_eq(pp_objects_u64(&o, at, &value), PP_LOOK_MORE);
    ck_assert_int_eq(pp_objects_fetch(&o), PYPROF_OK);
    ck_assert_uint_eq(w->reader.counters.calls, 1);
    ck_assert_uint_eq(w->reader.counters.spans, 2);
    ck_assert_int_eq(pp_objects_u64(&o, at, &value), PP_LOOK_DONE);
    ck_assert_uint_eq(value, 0x1122334455667788);

    /* one page of three can't be read: none of it is there */
    w->hole = WORLD_BASE + 12 * WORLD_PAGE;
    uint64_t before = w->hole - WORLD_PAGE + 100;
    CHECK_LOOK(&o, PP_LOOK_NONE,
               pp_objects_copy(&o, before, bytes, sizeof(bytes)));
    /* ... but its neighbours are, and it is not asked for again */
    uint64_t calls = w->reader.counters.calls;
    ck_assert_int_eq(pp_objects_copy(&o, before, bytes, 100), PP_LOOK_DONE);
    ck_assert_int_eq(pp_objects_u64(&o, w->hole + 8, &value), PP_LOOK_NONE);
    ck_assert_int_eq(pp_objects_fetch(&o), PYPROF_OK);
    ck_assert_uint_eq(w->reader.counters.calls, calls);

    /* what is known is known until it is forgotten */
    world_put_u64(w, at, 5);
    ck_assert_int_eq(pp_objects_u64(&o, at, &value), PP_LOOK_DONE);
    ck_assert_uint_eq(value, 0x1122334455667788);
    pp_objects_begin(&o);
    CHECK_LOOK(&o, PP_LOOK_DONE, pp_objects_u64(&o, at, &value));
    ck_assert_uint_eq(value, 5);
    pp_objects_free(&o);
}

static void nothing_is_at_wild_addresses(world *w)
{
    static const uint64_t wild[] = {0,
                                    8,
                                    4095,
                                    INT64_MAX,
                                    UINT64_C(1) << 63,
                                    UINT64_MAX - 7,
                                    UINT64_MAX,
                                    WORLD_BASE - 8,
                                    WORLD_BASE + WORLD_SIZE - 8};
    pp_objects o = objects_of(w);
    uint8_t bytes[16];
    for (size_t i = 0; i < PP_COUNT_OF(wild); i++) {
        CHECK_LOOK(&o, PP_LOOK_NONE,
                   pp_objects_copy(&o, wild[i], bytes, sizeof(bytes)));
    }
    CHECK_LOOK(&o, PP_LOOK_NONE,
               pp_objects_copy(&o, WORLD_BASE, bytes, SIZE_MAX));
    pp_objects_free(&o);
}

START_TEST(test_memory)
{
    world_each(memory_is_read_by_page);
    world_each(nothing_is_at_wild_addresses);
}
END_TEST

/* Wants one page after the other, all of which are missing, until no more are
 * taken; with a call for each, or one for all. */
static uint64_t want_on(pp_objects *o, bool each)
{
    uint64_t n = 0;
    uint64_t value;
    while (n < 100000 &&
           pp_objects_u64(o, (n + 1) << 40, &value) == PP_LOOK_MORE) {
        n++;
        if (each) {
            ck_assert_int_eq(pp_objects_fetch(o), PYPROF_OK);
        }
    }
    ck_assert_int_eq(pp_objects_fetch(o), PYPROF_OK);
    ck_assert_int_eq(pp_objects_u64(o, UINT64_C(1) << 40, &value),
                     PP_LOOK_NONE);
    return n;
}

START_TEST(test_memory_is_capped)
{
    const pp_version_row *rows = NULL;
    world w;
    pp_layout_versions(&rows);
    world_make(&w, rows[0].table);
    pp_objects o = objects_of(&w);
    ck_assert_uint_lt(want_on(&o, true), 10000);
    pp_objects_begin(&o);
    ck_assert_uint_lt(want_on(&o, false), 20000);
    ck_assert_uint_lt(w.reader.counters.calls, 10000);
    pp_objects_free(&o);
    world_free(&w);
}
END_TEST

/* ---- int -------------------------------------------------------------------
 */

static void ints_have_values(world *w)
{
    static const uint64_t values[] = {
        0,          1,          0x3fffffff,        0x40000000,
        0x7fffffff, UINT32_MAX, 0x7f31deadb000,    UINT64_C(1) << 59,
        INT64_MAX,  UINT64_MAX, UINT64_C(1) << 60, UINT64_MAX - 1};
    pp_objects o = objects_of(w);
    for (size_t i = 0; i < PP_COUNT_OF(values); i++) {
        uint64_t value = 77;
        uint64_t object = world_int(w, values[i]);
        pp_objects_begin(&o);
        CHECK_LOOK(&o, PP_LOOK_DONE, pp_objects_int(&o, object, &value));
        ck_assert_uint_eq(value, values[i]);
    }
    pp_objects_free(&o);
}

static void other_ints_have_none(world *w)
{
    static const uint32_t digits[20] = {0, 0, 16, 1};
    static const uint32_t wide[1] = {0x40000000};
    const uint64_t objects[] = {
        world_int_of(w, -1, digits, 3),
        world_int_of(w, 1, digits, 3), /* 2^64 */
        world_int_of(w, 1, digits, 4),
        world_int_of(w, 1, digits, 20),
        world_int_of(w, 1, wide, 1),
        world_str(w, "12"),
        world_int(w, 5) + 1,
        w->none,
        0,
    };
    pp_objects o = objects_of(w);
    for (size_t i = 0; i < PP_COUNT_OF(objects); i++) {
        uint64_t value = 77;
        CHECK_LOOK(&o, PP_LOOK_NONE, pp_objects_int(&o, objects[i], &value));
        ck_assert_uint_eq(value, 77);
    }
    pp_objects_free(&o);
}

START_TEST(test_int)
{
    world_each(ints_have_values);
    world_each(other_ints_have_none);
}
END_TEST

/* ---- str -------------------------------------------------------------------
 */

static void check_text(world *w, uint64_t object, const char *expected)
{
    pp_objects o = objects_of(w);
    pp_arena arena;
    pyprof_text text = {NULL, 0};
    pp_arena_init(&arena, NULL);
    CHECK_LOOK(&o, PP_LOOK_DONE, pp_objects_text(&o, object, &arena, &text));
    ck_assert_uint_eq(text.size, strlen(expected));
    ck_assert_str_eq(text.data, expected);
    pp_arena_free(&arena);
    pp_objects_free(&o);
}

static void strs_have_text(world *w)
{
    static const uint8_t latin[] = {'d', 0xf6, 's', 'e', 'r'};
    static const uint16_t two[] = {0x4e2d, 'x', 0xd800};
    static const uint32_t four[] = {0x1f40d, 'y', 0x110000};
    check_text(w, world_str(w, ""), "");
    check_text(w, world_str(w, "MainThread"), "MainThread");
    check_text(w, world_str_of(w, latin, 5, 1, false), "d\303\266ser");
    check_text(w, world_str_of(w, two, 3, 2, false),
               "\344\270\255x\355\240\200");
    check_text(w, world_str_of(w, four, 3, 4, false),
               "\360\237\220\215y\357\277\275");
    for (uint64_t before = 72; before <= 184; before += 8) {
        world_near_page_end(w, before);
        check_text(w, world_str(w, "over the end of a page"),
                   "over the end of a page");
    }
}

/* Before 3.12, and in subclasses of str, the characters may be apart. */
static void strs_may_have_text_elsewhere(world *w)
{
    const pp_layout *l = w->layout;
    uint64_t object = world_object(w, w->type_str, l->ob.str_legacy + 8);
    uint64_t data = world_alloc(w, 16);
    world_put(w, data, "apart", 5);
    world_put_u64(w, object + l->ob.str_length, 5);
    world_put_u32(w, object + l->ob.str_state,
                  UINT32_C(1) << l->ob.str_kind_shift | l->ob.str_ready_mask |
                      l->ob.str_ascii_mask);
    world_put_u64(w, object + l->ob.str_legacy, data);
    check_text(w, object, "apart");
}

static void long_strs_are_cut(world *w)
{
    enum { LENGTH = 5000, MOST = 4096 };
    uint32_t *characters = calloc(LENGTH, sizeof(*characters));
    char *expected = calloc(MOST * 4 + 1, 1);
    for (size_t i = 0; i < LENGTH; i++) {
        characters[i] = 0x1f40d;
        memcpy(expected + (i < MOST ? i : 0) * 4, "\360\237\220\215", 4);
    }
    check_text(w, world_str_of(w, characters, LENGTH, 4, false), expected);
    free(characters);
    free(expected);
}

static void other_strs_have_none(world *w)
{
    const pp_layout *l = w->layout;
    uint64_t wide = world_str(w, "kind 7");
    uint64_t huge = world_str(w, "huge");
    uint64_t cut = world_str(w, "no room");
    pp_objects o = objects_of(w);
    pp_arena arena;
    world_put_u32(w, wide + l->ob.str_state,
                  UINT32_C(7) << l->ob.str_kind_shift | l->ob.str_compact_mask);
    world_put_u64(w, huge + l->ob.str_length, UINT64_MAX / 2);
    w->hole = (cut / WORLD_PAGE + 1) * WORLD_PAGE;
    world_put_u64(w, cut + l->ob.str_length, WORLD_PAGE);
    const uint64_t objects[] = {wide, huge, cut, world_int(w, 5), w->none, 1};
    pp_arena_init(&arena, NULL);
    for (size_t i = 0; i < PP_COUNT_OF(objects); i++) {
        pyprof_text text;
        CHECK_LOOK(&o, PP_LOOK_NONE,
                   pp_objects_text(&o, objects[i], &arena, &text));
    }
    pp_arena_free(&arena);
    pp_objects_free(&o);
}

START_TEST(test_str)
{
    world_each(strs_have_text);
    world_each(strs_may_have_text_elsewhere);
    world_each(long_strs_are_cut);
    world_each(other_strs_have_none);
}
END_TEST

/* ---- dict ------------------------------------------------------------------
 */

static uint64_t item_of(pp_objects *o, uint64_t object, const char *key,
                        pp_look expected, uint64_t *hint)
{
    pp_dict dict;
    uint64_t value = 0;
    CHECK_LOOK(o, PP_LOOK_DONE, pp_objects_dict(o, object, &dict));
    CHECK_LOOK(o, expected, pp_objects_item(o, &dict, key, hint, &value));
    return value;
}

static void items_are_found(world *w)
{
    uint64_t hint = 12345;
    for (int text = 0; text < 2; text++) {
        world_item items[] = {
            {world_str(w, "threadin"), 1001},  {0, 0},
            {world_str(w, "threading"), 1002}, {world_str(w, ""), 1003},
            {world_str(w, "threads!!"), 1004}, {0, 0},
            {world_str(w, "removed"), 0},
        };
        if (text == 0) { /* then keys may be anything */
            items[1] = (world_item){world_int(w, 9), 1005};
            items[5] = (world_item){w->none, 1006};
        }
        uint64_t dict = world_dict(w, items, PP_COUNT_OF(items), text != 0);
        pp_objects o = objects_of(w);
        ck_assert_uint_eq(item_of(&o, dict, "threading", PP_LOOK_DONE, &hint),
                          1002);
        ck_assert_uint_eq(hint, 2);
        ck_assert_uint_eq(item_of(&o, dict, "threads!!", PP_LOOK_DONE, &hint),
                          1004);
        ck_assert_uint_eq(hint, 4);
        ck_assert_uint_eq(item_of(&o, dict, "", PP_LOOK_DONE, &hint), 1003);
        item_of(&o, dict, "removed", PP_LOOK_NONE, &hint);
        item_of(&o, dict, "thread", PP_LOOK_NONE, &hint);
        ck_assert_uint_eq(hint, 3);
        pp_objects_free(&o);
    }
}

/* A subclass of str that says that it is one: found; what only looks like one
 * byte by byte is not. */
static void keys_are_strs(world *w)
{
    uint64_t fake = world_str(w, "fake");
    uint64_t hint = 0;
    world_put_u64(w, fake + w->layout->ob.type, w->type_int);
    const world_item items[] = {{fake, 1}};
    pp_objects o = objects_of(w);
    item_of(&o, world_dict(w, items, 1, true), "fake", PP_LOOK_NONE, &hint);
    pp_objects_free(&o);
}

static void all_keys_are_fetched_together(world *w)
{
    enum { N = 40 };
    world_item items[N];
    uint64_t hint = 0;
    for (uint64_t i = 0; i < N; i++) {
        char key[16] = "module-";
        key[7] = (char)('A' + i);
        world_near_page_end(w, 1024);
        items[i] = (world_item){world_str(w, key), i + 1};
    }
    uint64_t dict = world_dict(w, items, N, true);
    pp_objects o = objects_of(w);
    w->hole = items[3].key / WORLD_PAGE * WORLD_PAGE;
    w->reader.counters.calls = 0;
    ck_assert_uint_eq(item_of(&o, dict, "module-Z", PP_LOOK_DONE, &hint), 26);
    ck_assert_uint_le(w->reader.counters.calls, 8);
    /* known where it is: nothing else is read */
    pp_objects_begin(&o);
    w->reader.counters.spans = 0;
    ck_assert_uint_eq(item_of(&o, dict, "module-Z", PP_LOOK_DONE, &hint), 26);
    ck_assert_uint_le(w->reader.counters.spans, 8);
    pp_objects_free(&o);
}

static void entries_are_listed(world *w)
{
    enum { N = 300 }; /* wider indices than one byte */
    world_item items[N] = {{0, 0}};
    pp_dict dict;
    for (uint64_t i = 0; i < N; i++) {
        items[i] = (world_item){i + 1, i % 3 == 0 ? 0 : 1000 + i};
    }
    uint64_t object = world_dict_of(w, world_keys(w, items, N, 9, false), 0);
    pp_objects o = objects_of(w);
    CHECK_LOOK(&o, PP_LOOK_DONE, pp_objects_dict(&o, object, &dict));
    ck_assert_uint_eq(dict.n, N);
    for (uint64_t i = 0; i < N; i++) {
        uint64_t key;
        uint64_t value;
        CHECK_LOOK(&o, PP_LOOK_DONE,
                   pp_objects_entry(&o, &dict, i, &key, &value));
        ck_assert_uint_eq(key, i % 3 == 0 ? 0 : i + 1);
        ck_assert_uint_eq(value, i % 3 == 0 ? 0 : 1000 + i);
    }
    pp_objects_free(&o);
}

static void other_dicts_are_none(world *w)
{
    const pp_layout *l = w->layout;
    world_item item = {world_str(w, "x"), 1};
    uint64_t full = world_keys(w, &item, 1, 6, true);
    uint64_t wide = world_keys(w, &item, 1, 6, true);
    world_put_u64(w, full + l->keys.n_entries, 65);
    if (l->keys.slots != PP_NONE) {
        world_put_u64(w, wide + l->keys.slots, UINT64_C(1) << 40);
    } else {
        world_put_u8(w, wide + l->keys.log2_size, 40);
    }
    const uint64_t objects[] = {
        world_dict_of(w, full, 0),
        world_dict_of(w, wide, 0),
        world_dict_of(w, 0, 0),
        world_dict_of(w, full + 1, 0),
        world_dict_of(w, UINT64_MAX - 7, 0),
        world_str(w, "x"),
        w->none,
        0,
    };
    pp_objects o = objects_of(w);
    for (size_t i = 0; i < PP_COUNT_OF(objects); i++) {
        pp_dict dict;
        CHECK_LOOK(&o, PP_LOOK_NONE, pp_objects_dict(&o, objects[i], &dict));
    }
    pp_objects_free(&o);
}

START_TEST(test_dict)
{
    world_each(items_are_found);
    world_each(keys_are_strs);
    world_each(all_keys_are_fetched_together);
    world_each(entries_are_listed);
    world_each(other_dicts_are_none);
}
END_TEST

/* ---- attributes and modules ------------------------------------------------
 */

static void check_attribute(world *w, uint64_t object, const char *name,
                            pp_look expected, uint64_t value)
{
    pp_objects o = objects_of(w);
    uint64_t hint = 0;
    uint64_t found = 0;
    CHECK_LOOK(&o, expected,
               pp_objects_attribute(&o, object, name, &hint, &found));
    ck_assert_uint_eq(found, value);
    pp_objects_free(&o);
}

static void attributes_are_found(world *w)
{
    const world_item items[] = {{world_str(w, "_target"), 2001},
                                {world_str(w, "_name"), 2002},
                                {world_str(w, "_unset"), 0},
                                {world_str(w, "_ident"), 2003}};
    for (int way = 0; way < WORLD_WAYS; way++) {
        uint64_t object = world_instance(w, items, 4, (world_way)way);
        check_attribute(w, object, "_name", PP_LOOK_DONE, 2002);
        check_attribute(w, object, "_ident", PP_LOOK_DONE, 2003);
        check_attribute(w, object, "_unset", PP_LOOK_NONE, 0);
        check_attribute(w, object, "_nothing", PP_LOOK_NONE, 0);
    }
}

/* A type that has its instances' dicts at an offset, in any version. */
static void offsets_of_dicts_are_used(world *w)
{
    const world_item items[] = {{world_str(w, "a"), 1}};
    uint64_t type = world_type(w, 0);
    uint64_t object = world_object(w, type, 128);
    uint64_t offset = type + w->layout->ob.tp_dictoffset;
    world_put_u64(w, offset, 40);
    world_put_u64(w, object + 40, world_dict(w, items, 1, true));
    check_attribute(w, object, "a", PP_LOOK_DONE, 1);
    world_put_u64(w, object + 40, 0); /* none was set yet */
    check_attribute(w, object, "a", PP_LOOK_NONE, 0);
    world_put_u64(w, offset, 0);
    check_attribute(w, object, "a", PP_LOOK_NONE, 0);
    world_put_u64(w, offset, (uint64_t)-16);
    check_attribute(w, object, "a", PP_LOOK_NONE, 0);
}

static void values_may_be_void(world *w)
{
    const pp_layout *l = w->layout;
    const world_item items[] = {{world_str(w, "a"), 1}};
    uint64_t object = world_instance(w, items, 1, WORLD_VALUES);
    if (l->attrs_kind == PP_ATTRS_DICT) {
        return;
    }
    check_attribute(w, object, "a", PP_LOOK_DONE, 1);
    if (l->attrs_kind == PP_ATTRS_INLINE) {
        uint64_t values = object + WORLD_BASICSIZE;
        world_put_u8(w, values + l->attrs.values_valid, 0);
    } else {
        world_put_u64(w,
                      object - (l->attrs_kind == PP_ATTRS_BEFORE
                                    ? l->attrs.values_before
                                    : l->attrs.dict_before),
                      0);
    }
    check_attribute(w, object, "a", PP_LOOK_NONE, 0);
    const world_item other[] = {{world_str(w, "b"), 2}};
    world_attach(w, object, world_dict(w, other, 1, true));
    check_attribute(w, object, "a", PP_LOOK_NONE, 0);
    check_attribute(w, object, "b", PP_LOOK_DONE, 2);
}

static void modules_have_dicts(world *w)
{
    const world_item items[] = {{world_str(w, "_active"), 3001}};
    uint64_t module = world_module(w, world_dict(w, items, 1, true));
    pp_objects o = objects_of(w);
    pp_dict dict;
    uint64_t hint = 0;
    uint64_t value = 0;
    CHECK_LOOK(&o, PP_LOOK_DONE, pp_objects_module(&o, module, &dict));
    CHECK_LOOK(&o, PP_LOOK_DONE,
               pp_objects_item(&o, &dict, "_active", &hint, &value));
    ck_assert_uint_eq(value, 3001);
    CHECK_LOOK(&o, PP_LOOK_NONE,
               pp_objects_module(&o, world_module(w, 0), &dict));
    CHECK_LOOK(&o, PP_LOOK_NONE, pp_objects_module(&o, w->none, &dict));
    pp_objects_free(&o);
}

START_TEST(test_attributes)
{
    world_each(attributes_are_found);
    world_each(offsets_of_dicts_are_used);
    world_each(values_may_be_void);
    world_each(modules_have_dicts);
}
END_TEST

SUITE_MAIN("unwind.objects", test_memory, test_memory_is_capped, test_int,
           test_str, test_dict, test_attributes)
