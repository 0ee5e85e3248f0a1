/*
 * unwind/names: names of threads out of whole runtimes made by hand, in every
 * version's layout: which are right, which are told apart, and what is left of
 * them when memory is not what it should be.
 */
#include "world.h"

#define MAIN_IDENT UINT64_C(0x7f1111111740)
#define OTHER_IDENT UINT64_C(0x7f2222222640)
enum { MAIN_TID = 4001, OTHER_TID = 4002, MAX_PATIENCE = 5000 };

/* A Thread object with the attributes that matter, and others. */
static uint64_t make_thread(world *w, const char *name, uint64_t ident,
                            uint64_t native_id, world_way way)
{
    const world_item items[] = {
        {world_str(w, "_target"), w->none},
        {world_str(w, "_name"), world_str(w, name)},
        {world_str(w, "_daemonic"), w->none},
        {world_str(w, "_ident"), world_int(w, ident)},
        {world_str(w, "_native_id"),
         native_id != 0 ? world_int(w, native_id) : w->none},
    };
    return world_instance(w, items, PP_COUNT_OF(items), way);
}

/* An interpreter whose threading._active has these. */
static uint64_t make_interp(world *w, const world_item *active, uint64_t n,
                            uint64_t next)
{
    const world_item globals[] = {
        {world_str(w, "_limbo"), world_dict(w, NULL, 0, false)},
        {world_str(w, "_active"), world_dict(w, active, n, false)},
    };
    const world_item modules[] = {
        {world_str(w, "sys"), w->none},
        {world_str(w, "threading"),
         world_module(w, world_dict(w, globals, 2, true))},
    };
    uint64_t interp = world_alloc(w, w->layout->is.size);
    world_put_u64(w, interp + w->layout->is.modules,
                  world_dict(w, modules, 2, true));
    world_put_u64(w, interp + w->layout->is.next, next);
    return interp;
}

static uint64_t make_runtime(world *w, uint64_t interp)
{
    const pp_layout *l = w->layout;
    uint64_t runtime = world_alloc(w, 8192);
    world_put_u64(w, runtime + l->rt.interpreters_head, interp);
    world_put_u64(w, runtime + l->rt.main_thread, MAIN_IDENT);
    return runtime;
}

static uint64_t make_two_threads(world *w, world_way way)
{
    const world_item active[] = {
        {world_int(w, MAIN_IDENT),
         make_thread(w, "MainThread", MAIN_IDENT, MAIN_TID, way)},
        {world_int(w, OTHER_IDENT),
         make_thread(w, "worker", OTHER_IDENT, OTHER_TID, way)},
    };
    return make_runtime(w, make_interp(w, active, 2, 0));
}

static pp_names *names_of(world *w, uint64_t runtime)
{
    pp_names *names = pp_names_new(NULL, &w->reader, w->layout, runtime);
    ck_assert_ptr_nonnull(names);
    return names;
}

static pp_names *read_names(world *w, uint64_t runtime)
{
    pp_names *names = names_of(w, runtime);
    ck_assert_int_eq(pp_names_read(names), PYPROF_OK);
    return names;
}

static void check_name(const pp_names *names, uint64_t ident, uint64_t tid,
                       const char *expected)
{
    pyprof_text text = pp_names_find(names, ident, tid);
    ck_assert_str_eq(text.data, expected);
    ck_assert_uint_eq(text.size, strlen(expected));
}

/* ---- what is read ----------------------------------------------------------
 */

static void names_are_read(world *w)
{
    for (int way = 0; way < WORLD_WAYS; way++) {
        w->reader.counters.calls = 0;
        pp_names *names = read_names(w, make_two_threads(w, (world_way)way));
        ck_assert_uint_le(w->reader.counters.calls, 30);
        check_name(names, MAIN_IDENT, MAIN_TID, "MainThread");
        check_name(names, OTHER_IDENT, OTHER_TID, "worker");
        check_name(names, OTHER_IDENT + 64, 0, "");
        check_name(names, 0, 0, "");
        pp_names_free(names);
    }
}

/* The system gives an identity to the next thread once one has ended. */
static void identities_are_told_apart(world *w)
{
    pp_names *names = read_names(w, make_two_threads(w, WORLD_VALUES));
    check_name(names, OTHER_IDENT, OTHER_TID + 1, "");
    check_name(names, OTHER_IDENT, 0, "worker");
    /* the main thread lasts, but has another native id after a fork */
    check_name(names, MAIN_IDENT, MAIN_TID + 1, "MainThread");
    pp_names_free(names);
}

static void threads_must_agree_with_their_key(world *w)
{
    const world_item active[] = {
        {world_int(w, OTHER_IDENT),
         make_thread(w, "of another", OTHER_IDENT + 64, OTHER_TID, WORLD_DICT)},
        {world_int(w, OTHER_IDENT + 128),
         make_thread(w, "young", OTHER_IDENT + 128, 0, WORLD_DICT)},
        {world_int(w, 5), w->none},
        {world_str(w, "key"), make_thread(w, "odd", 6, 6, WORLD_DICT)},
    };
    uint64_t interp = make_interp(w, active, PP_COUNT_OF(active), 0);
    pp_names *names = read_names(w, make_runtime(w, interp));
    check_name(names, OTHER_IDENT, 0, "");
    check_name(names, OTHER_IDENT + 64, 0, "");
    check_name(names, OTHER_IDENT + 128, OTHER_TID, "young");
    check_name(names, 5, 0, "");
    check_name(names, 6, 0, "");
    pp_names_free(names);
}

static void the_main_interpreter_is_right(world *w)
{
    const world_item active[] = {
        {world_int(w, MAIN_IDENT),
         make_thread(w, "MainThread", MAIN_IDENT, MAIN_TID, WORLD_DICT)}};
    const world_item sub_active[] = {
        {world_int(w, MAIN_IDENT),
         make_thread(w, "Dummy-1", MAIN_IDENT, MAIN_TID, WORLD_DICT)},
        {world_int(w, OTHER_IDENT),
         make_thread(w, "of the sub", OTHER_IDENT, OTHER_TID, WORLD_DICT)}};
    uint64_t main_interp = make_interp(w, active, 1, 0);
    uint64_t empty = world_alloc(w, w->layout->is.size); /* being made */
    world_put_u64(w, empty + w->layout->is.next, main_interp);
    uint64_t sub = make_interp(w, sub_active, 2, empty);
    pp_names *names = read_names(w, make_runtime(w, sub));
    check_name(names, MAIN_IDENT, MAIN_TID, "MainThread");
    check_name(names, OTHER_IDENT, OTHER_TID, "of the sub");
    pp_names_free(names);
}

static void reading_again_forgets(world *w)
{
    uint64_t thread =
        make_thread(w, "first", OTHER_IDENT, OTHER_TID, WORLD_DICT);
    const world_item active[] = {{world_int(w, OTHER_IDENT), thread}};
    uint64_t interp = make_interp(w, active, 1, 0);
    uint64_t runtime = make_runtime(w, interp);
    pp_names *names = read_names(w, runtime);
    check_name(names, OTHER_IDENT, OTHER_TID, "first");

    uint64_t renamed =
        make_thread(w, "second", OTHER_IDENT, OTHER_TID, WORLD_DICT);
    const world_item other[] = {{world_int(w, OTHER_IDENT), renamed}};
    world_put_u64(w, runtime + w->layout->rt.interpreters_head,
                  make_interp(w, other, 1, 0));
    check_name(names, OTHER_IDENT, OTHER_TID, "first");
    ck_assert_int_eq(pp_names_read(names), PYPROF_OK);
    check_name(names, OTHER_IDENT, OTHER_TID, "second");

    world_put_u64(w, runtime + w->layout->rt.interpreters_head, 0);
    ck_assert_int_eq(pp_names_read(names), PYPROF_OK);
    check_name(names, OTHER_IDENT, OTHER_TID, "");
    pp_names_free(names);
}

START_TEST(test_names)
{
    world_each(names_are_read);
    world_each(identities_are_told_apart);
    world_each(threads_must_agree_with_their_key);
    world_each(the_main_interpreter_is_right);
    world_each(reading_again_forgets);
}
END_TEST

/* More threads than are read at a time. */
START_TEST(test_many)
{
    enum { MANY = 1500 };
    static world_item active[MANY];
    const pp_version_row *rows = NULL;
    world w;
    ck_assert_uint_gt(pp_layout_versions(&rows), 5);
    world_make(&w, rows[5].table);
    for (uint64_t i = 0; i < MANY; i++) {
        char name[16] = "t-";
        name[2] = (char)('a' + i / 26 % 26);
        name[3] = (char)('a' + i % 26);
        uint64_t ident = OTHER_IDENT + i * 64;
        active[i].key = world_int(&w, ident);
        active[i].value =
            make_thread(&w, name, ident, OTHER_TID + i, WORLD_DICT);
    }
    uint64_t dict =
        world_dict_of(&w, world_keys(&w, active, MANY, 12, false), 0);
    uint64_t interp = make_interp(&w, active, 1, 0);
    /* all of them instead of the one */
    const world_item globals[] = {{world_str(&w, "_active"), dict}};
    const world_item modules[] = {
        {world_str(&w, "threading"),
         world_module(&w, world_dict(&w, globals, 1, true))}};
    world_put_u64(&w, interp + w.layout->is.modules,
                  world_dict(&w, modules, 1, true));
    pp_names *names = read_names(&w, make_runtime(&w, interp));
    ck_assert_uint_le(w.reader.counters.calls, 60);
    check_name(names, OTHER_IDENT, OTHER_TID, "t-aa");
    check_name(names, OTHER_IDENT + 1499 * 64, OTHER_TID + 1499, "t-fr");
    pp_names_free(names);
    world_free(&w);
}
END_TEST

/* ---- what can't be read ----------------------------------------------------
 */

/* Without each page in turn: never a failure, never a wrong name. */
static void pages_may_be_missing(world *w)
{
    uint64_t runtime = make_two_threads(w, WORLD_VALUES);
    pp_names *names = names_of(w, runtime);
    uint64_t end = WORLD_BASE + w->used;
    for (w->hole = WORLD_BASE; w->hole < end; w->hole += WORLD_PAGE) {
        ck_assert_int_eq(pp_names_read(names), PYPROF_OK);
        pyprof_text text = pp_names_find(names, OTHER_IDENT, OTHER_TID);
        ck_assert(text.size == 0 || strcmp(text.data, "worker") == 0);
    }
    pp_names_free(names);
}

static void lists_may_loop(world *w)
{
    uint64_t runtime = make_two_threads(w, WORLD_VALUES);
    uint64_t head = runtime + w->layout->rt.interpreters_head;
    uint64_t interp;
    memcpy(&interp, w->bytes + (head - WORLD_BASE), sizeof(interp));
    world_put_u64(w, interp + w->layout->is.next, interp);
    pp_names *names = read_names(w, runtime);
    check_name(names, OTHER_IDENT, OTHER_TID, "worker");
    pp_names_free(names);
}

START_TEST(test_missing)
{
    world_each(pages_may_be_missing);
    world_each(lists_may_loop);
}
END_TEST

/* Words of the world replaced by others: whatever comes of it ends, and stays
 * within its bounds. */
static void words_may_be_wrong(world *w)
{
    enum { ROUNDS = 300, WORDS = 8 };
    uint64_t random = 88172645463325252 + w->layout->version;
    uint64_t runtime = make_two_threads(w, WORLD_VALUES);
    uint8_t *kept = malloc(w->used);
    memcpy(kept, w->bytes, w->used);
    pp_names *names = names_of(w, runtime);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < WORDS; i++) {
            uint64_t at = test_random(&random) % (w->used / 8) * 8;
            uint64_t word;
            /* mostly what is not 0: that is what leads somewhere */
            for (int tries = 0; tries < 2000; tries++) {
                memcpy(&word, w->bytes + at, sizeof(word));
                if (word != 0) {
                    break;
                }
                at = (at + 8) % (w->used / 8 * 8);
            }
            uint64_t with = test_random(&random);
            word = i % 3 == 0   ? with
                   : i % 3 == 1 ? word ^ UINT64_C(1) << with % 64
                                : WORLD_BASE + with % w->used / 8 * 8;
            memcpy(w->bytes + at, &word, sizeof(word));
        }
        w->reader.counters.calls = 0;
        ck_assert_int_eq(pp_names_read(names), PYPROF_OK);
        ck_assert_uint_le(w->reader.counters.calls, MAX_PATIENCE);
        (void)pp_names_find(names, OTHER_IDENT, OTHER_TID);
        memcpy(w->bytes, kept, w->used);
    }
    pp_names_free(names);
    free(kept);
}

START_TEST(test_hostile)
{
    world_each(words_may_be_wrong);
}
END_TEST

/* Another thread in the memory of one that ended, between any two reads. */
static struct {
    uint8_t *next;  /* the bytes that are there from one call on */
    uint64_t calls; /* until then */
} turn;

static pyprof_status turning_readv(pp_reader *reader, void *to,
                                   const pp_span *spans, size_t n,
                                   size_t *out_spans, uint64_t *io_calls)
{
    world *w = (world *)reader;
    if (turn.calls-- == 0) {
        memcpy(w->bytes, turn.next, w->used);
    }
    return world_readv(reader, to, spans, n, out_spans, io_calls);
}

static void memory_may_change(world *w)
{
    static const pp_reader_ops turning = {.name = "turning",
                                          .readv = turning_readv};
    enum { MOST_CALLS = 40 };
    uint64_t native_id = world_int(w, OTHER_TID);
    world_near_page_end(w, 64 + w->layout->ob.str_ascii);
    uint64_t text = world_str(w, "worker"); /* in two pages */
    const world_item items[] = {
        {world_str(w, "_name"), text},
        {world_str(w, "_ident"), world_int(w, OTHER_IDENT)},
        {world_str(w, "_native_id"), native_id},
    };
    const world_item active[] = {
        {world_int(w, OTHER_IDENT),
         world_instance(w, items, PP_COUNT_OF(items), WORLD_DICT)}};
    uint64_t runtime = make_runtime(w, make_interp(w, active, 1, 0));
    pp_names *names = names_of(w, runtime);
    uint8_t *before = malloc(w->used);
    memcpy(before, w->bytes, w->used);
    world_put(w, text + w->layout->ob.str_ascii, "OTHERS", 6);
    world_put_u32(w, native_id + w->layout->ob.long_digit, OTHER_TID + 1);
    turn.next = malloc(w->used);
    memcpy(turn.next, w->bytes, w->used);
    w->reader.ops = &turning;
    for (uint64_t at = 0; at < MOST_CALLS; at++) {
        memcpy(w->bytes, before, w->used);
        turn.calls = at;
        ck_assert_int_eq(pp_names_read(names), PYPROF_OK);
        pyprof_text old = pp_names_find(names, OTHER_IDENT, OTHER_TID);
        pyprof_text new = pp_names_find(names, OTHER_IDENT, OTHER_TID + 1);
        ck_assert(old.size == 0 || strcmp(old.data, "worker") == 0);
        ck_assert(new.size == 0 || strcmp(new.data, "OTHERS") == 0);
        ck_assert(at != 0 || new.size != 0);
        ck_assert(at != MOST_CALLS - 1 || old.size != 0);
    }
    pp_names_free(names);
    free(before);
    free(turn.next);
}

START_TEST(test_changes)
{
    world_each(memory_may_change);
}
END_TEST

static world *shared;
static uint64_t shared_runtime;

static bool try_reading(fault_alloc *fault)
{
    pp_names *names = pp_names_new(&fault->table, &shared->reader,
                                   shared->layout, shared_runtime);
    if (names == NULL) {
        return false;
    }
    pyprof_status status = pp_names_read(names);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    if (status == PYPROF_OK) {
        check_name(names, OTHER_IDENT, OTHER_TID, "worker");
    }
    pp_names_free(names);
    return status == PYPROF_OK;
}

START_TEST(test_no_memory)
{
    const pp_version_row *rows = NULL;
    world w;
    pp_layout_versions(&rows);
    world_make(&w, rows[0].table);
    shared = &w;
    shared_runtime = make_two_threads(&w, WORLD_DICT);
    fault_loop(try_reading);
    world_free(&w);
}
END_TEST

static pyprof_status gone_readv(pp_reader *reader, void *to,
                                const pp_span *spans, size_t n,
                                size_t *out_spans, uint64_t *io_calls)
{
    PP_UNUSED(reader);
    PP_UNUSED(to);
    PP_UNUSED(spans);
    PP_UNUSED(n);
    PP_UNUSED(io_calls);
    *out_spans = 0;
    return PYPROF_ERR_GONE;
}

static void targets_may_be_gone(world *w)
{
    static const pp_reader_ops gone = {.name = "gone", .readv = gone_readv};
    pp_names *names = read_names(w, make_two_threads(w, WORLD_DICT));
    w->reader.ops = &gone;
    ck_assert_int_eq(pp_names_read(names), PYPROF_ERR_GONE);
    check_name(names, OTHER_IDENT, OTHER_TID, "");
    pp_names_free(names);
}

START_TEST(test_gone)
{
    world_each(targets_may_be_gone);
}
END_TEST

SUITE_MAIN("unwind.names", test_names, test_many, test_missing, test_hostile,
           test_changes, test_no_memory, test_gone)
