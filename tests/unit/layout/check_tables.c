/*
 * layout/py3XX, layout/versions: the generated tables against values that were
 * found by other means (debuggers, earlier tools, other people), and against
 * what any table has to be.
 *
 * With PID RUNTIME HEX-VERSION FREE-THREADED as arguments, shows the layout of
 * that process instead.
 */
#include "../base/testing.h"
#include "layout/tables.h"

#include <stdio.h>

#define NONE PP_NONE
enum { MAX_VERSIONS = 11 };

/* The columns, in the order of versions.def. */
static const char *const NAMES[] = {"3.8",   "3.9",  "3.10",  "3.11",
                                    "3.12",  "3.13", "3.13t", "3.14",
                                    "3.14t", "3.15", "3.15t"};

#if defined(__x86_64__)
#define ROW(field, ...)                     \
    {                                       \
#field, offsetof(pp_layout, field), \
        {                                   \
            __VA_ARGS__                     \
        }                                   \
    }

static const struct known {
    const char *field;
    size_t at;
    uint32_t values[MAX_VERSIONS];
} KNOWN[] = {
    ROW(rt.interpreters_head, 32, 32, 32, 40, 40, 632, 632, 808, 808, 936, 936),
    ROW(rt.interpreters_main, 40, 40, 40, 48, 48, 640, 640, 816, 816, 944, 944),
    ROW(rt.finalizing, 16, 16, 16, 24, 24, 608, 608, 784, 784, 912, 912),
    ROW(rt.tstate_current, 1368, 568, 568, 576, NONE, NONE, NONE, NONE, NONE,
        NONE, NONE),
    ROW(rt.gc_collecting, 544, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
        NONE, NONE),
    ROW(rt.size, 1464, 656, 672, 166688, 459944, 283320, 328256, 316616, 365624,
        346568, 409304),
    ROW(is.size, 2720, 5656, 113528, 107752, 383552, 194968, 215616, 225864,
        249976, 226240, 250336),
    ROW(is.next, 0, 0, 0, 0, 0, 7264, 7264, 7272, 7272, 7264, 7264),
    ROW(is.id, 16, 24, 24, 48, 8, 7272, 7272, 7280, 7280, 7272, 7272),
    ROW(is.threads_head, 8, 8, 8, 16, 72, 7344, 7344, 7344, 7344, 7336, 7336),
    ROW(is.threads_main, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 7360, 7360,
        7352, 7352),
    ROW(is.modules, 56, 856, 856, 888, 944, 7656, 7664, 7688, 7712, 7592, 7592),
    ROW(is.sysdict, 72, 872, 872, 904, 352, 7640, 7648, 7672, 7696, 7576, 7576),
    ROW(is.gc_collecting, NONE, 816, 816, 848, 312, 7600, 7600, 7600, 7600,
        7512, 7512),
    ROW(is.gc_frame, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 7520,
        7520),
    ROW(is.ceval_gil, NONE, NONE, NONE, NONE, 384, 16, 16, 16, 16, 16, 16),
    ROW(is.gil, NONE, NONE, NONE, NONE, 1040, 7752, 7760, 7784, 7808, 7736,
        7736),
    ROW(is.code_generation, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 7992,
        8024, 7944, 7952),
    ROW(is.tlbc_generation, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
        17300, NONE, 17252),
    ROW(is.asyncio_tasks_head, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 10880,
        17304, 10856, 17256),
    ROW(ts.size, 264, 264, 280, 360, 288, 304, 304, 832, 832, 888, 888),
    ROW(ts.next, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8),
    ROW(ts.interp, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16),
    ROW(ts.frame, 24, 24, 24, 56, 56, 72, 72, 72, 72, 72, 72),
    ROW(cframe.current_frame, NONE, NONE, NONE, 8, 0, NONE, NONE, NONE, NONE,
        NONE, NONE),
    ROW(ts.base_frame, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 80,
        80),
    ROW(ts.thread_id, 176, 176, 176, 152, 136, 152, 152, 152, 152, 176, 176),
    ROW(ts.native_thread_id, NONE, NONE, NONE, 160, 144, 160, 160, 160, 160,
        184, 184),
    ROW(ts.datastack_chunk, NONE, NONE, NONE, 296, 232, 232, 232, 232, 232, 256,
        256),
    ROW(ts.datastack_top, NONE, NONE, NONE, 304, 240, 240, 240, 240, 240, 264,
        264),
    ROW(ts.status, NONE, NONE, NONE, NONE, 24, 32, 32, 32, 32, 32, 32),
    ROW(ts.state, NONE, NONE, NONE, NONE, NONE, 40, 40, 44, 44, 48, 48),
    ROW(ts.holds_gil, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 36, 36, 36, 36),
    ROW(ts.gil_requested, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
        40, 40),
    ROW(ts.exc_info, 144, 144, 144, 120, 104, 120, 120, 120, 120, 144, 144),
    ROW(ts.asyncio_running_task, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 872,
        872, 1032, 1032),
    ROW(ts.asyncio_tasks_head, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 880,
        880, 1048, 1048),
    ROW(fr.back, 24, 24, 24, 48, 8, 8, 8, 8, 8, 8, 8),
    ROW(fr.code, 32, 32, 32, 32, 0, 0, 0, 0, 0, 0, 0),
    ROW(fr.instr, 104, 104, 96, 56, 56, 56, 56, 56, 56, 56, 56),
    ROW(fr.lineno, 108, 108, 100, NONE, NONE, NONE, NONE, NONE, NONE, NONE,
        NONE),
    ROW(fr.owner, NONE, NONE, NONE, 69, 70, 70, 70, 74, 78, 74, 78),
    ROW(fr.localsplus, 360, 360, 352, 72, 72, 72, 72, 80, 80, 80, 80),
    ROW(fr.tlbc_index, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 72, NONE,
        72),
    ROW(co.size, 176, 176, 176, 192, 200, 208, 224, 216, 240, 216, 240),
    ROW(co.filename, 104, 104, 104, 112, 112, 112, 128, 112, 128, 112, 128),
    ROW(co.name, 112, 112, 112, 120, 120, 120, 136, 120, 136, 120, 136),
    ROW(co.qualname, NONE, NONE, NONE, 128, 128, 128, 144, 128, 144, 128, 144),
    ROW(co.firstlineno, 40, 40, 40, 72, 68, 68, 84, 68, 84, 68, 84),
    ROW(co.linetable, 120, 120, 120, 136, 136, 136, 152, 136, 152, 136, 152),
    ROW(co.code, 48, 48, 48, 184, 192, 200, 216, 208, 232, 208, 232),
    ROW(co.framesize, NONE, NONE, NONE, NONE, 76, 76, 92, 76, 92, 76, 92),
    ROW(co.version, NONE, NONE, NONE, NONE, 92, 92, 108, 92, 108, 92, 108),
    ROW(co.argcount, 16, 16, 16, 56, 52, 52, 68, 52, 68, 52, 68),
    ROW(co.flags, 36, 36, 36, 48, 48, 48, 64, 48, 64, 48, 64),
    ROW(co.localspluskinds, NONE, NONE, NONE, 104, 104, 104, 120, 104, 120, 104,
        120),
    ROW(co.tlbc, NONE, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 224, NONE,
        224),
    ROW(gen.frame, 16, 16, 16, 80, 72, 72, 88, 72, 88, 72, 88),
    ROW(gen.state, NONE, NONE, NONE, 75, 67, 67, 83, 67, 83, 67, 83),
    ROW(ob.type, 8, 8, 8, 8, 8, 8, 24, 8, 24, 8, 24),
    ROW(ob.var_size, 16, 16, 16, 16, 16, 16, 32, 16, 32, 16, 32),
    ROW(ob.tp_name, 24, 24, 24, 24, 24, 24, 40, 24, 40, 24, 40),
    ROW(ob.bytes_data, 32, 32, 32, 32, 32, 32, 48, 32, 48, 32, 48),
    ROW(ob.tuple_item, 24, 24, 24, 24, 24, 24, 40, 32, 48, 32, 48),
    ROW(ob.list_item, 24, 24, 24, 24, 24, 24, 40, 24, 40, 24, 40),
    ROW(ob.dict_keys, 32, 32, 32, 32, 32, 32, 48, 32, 48, 32, 48),
    ROW(ob.dict_values, 40, 40, 40, 40, 40, 40, 56, 40, 56, 40, 56),
    ROW(ob.set_mask, 32, 32, 32, 32, 32, 32, 48, 32, 48, 32, 48),
    ROW(ob.set_table, 40, 40, 40, 40, 40, 40, 56, 40, 56, 40, 56),
    ROW(ob.weakref_object, 16, 16, 16, 16, 16, 16, 32, 16, 32, 16, 32),
    ROW(ob.long_tag, NONE, NONE, NONE, NONE, 16, 16, 32, 16, 32, 16, 32),
    ROW(ob.long_digit, 24, 24, 24, 24, 24, 24, 40, 24, 40, 24, 40),
    ROW(ob.str_length, 16, 16, 16, 16, 16, 16, 32, 16, 32, 16, 32),
    ROW(ob.str_state, 32, 32, 32, 32, 32, 32, 48, 32, 48, 32, 48),
    ROW(ob.str_ascii, 48, 48, 48, 48, 40, 40, 56, 40, 56, 40, 56),
    ROW(ob.str_compact, 72, 72, 72, 72, 56, 56, 72, 56, 72, 56, 72),
    ROW(ob.str_kind_mask, 28, 28, 28, 28, 28, 28, 28, 28, 1792, 28, 1792),
    ROW(ob.str_ascii_mask, 64, 64, 64, 64, 64, 64, 64, 64, 4096, 64, 4096),
    ROW(ts.current_exception, 88, 88, 88, 96, 96, 112, 112, 112, 112, 136, 136),
    ROW(ts.active_mask, 0, 0, 0, 0, 16, 16, 16, 16, 16, 16, 16),
    ROW(ts.holds_gil_mask, 0, 0, 0, 0, 0, 32, 32, 0, 0, 0, 0),
    ROW(ts.asyncio_running_loop, NONE, NONE, NONE, NONE, NONE, NONE, NONE, 864,
        864, 1024, 1024),
    ROW(fr.size, 112, 112, 104, 72, 72, 72, 72, 80, 80, 80, 80),
    ROW(fr.stackpointer, 72, 72, 80, 64, 64, 64, 64, 64, 64, 64, 64),
    ROW(fr.is_entry, NONE, NONE, NONE, 68, NONE, NONE, NONE, NONE, NONE, NONE,
        NONE),
    ROW(gil.switch_number, 24, 24, 24, 24, 24, 24, 32, 24, 32, 24, 32),
    ROW(gil.enabled, NONE, NONE, NONE, NONE, NONE, NONE, 0, NONE, 0, NONE, 0),
    ROW(is.func_version, NONE, NONE, NONE, NONE, NONE, 17000, 20092, NONE, NONE,
        NONE, NONE),
    ROW(gen.awaited, 8, 8, 8, 8, 8, 8, 8, 8, 8, 16, 16),
    ROW(chunk.top, NONE, NONE, NONE, 16, 16, 16, 16, 16, 16, 16, 16),
    ROW(chunk.data, NONE, NONE, NONE, 24, 24, 24, 24, 24, 24, 24, 24),
    ROW(ob.module_dict, 16, 16, 16, 16, 16, 16, 32, 16, 32, 16, 32),
    ROW(ob.str_kind_shift, 2, 2, 2, 2, 2, 2, 2, 2, 8, 2, 8),
    ROW(ob.str_compact_mask, 32, 32, 32, 32, 32, 32, 32, 32, 2048, 32, 2048),
    ROW(ob.str_ready_mask, 128, 128, 128, 128, 0, 0, 0, 0, 0, 0, 0),
    ROW(keys.indices, 40, 40, 40, 32, 32, 32, 32, 32, 32, 32, 32),
    ROW(attrs.dict_before, NONE, NONE, NONE, 24, 24, 24, 8, 24, 8, 24, 8),
};

START_TEST(test_known_values)
{
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);

    for (size_t i = 0; i < PP_COUNT_OF(KNOWN); i++) {
        for (size_t v = 0; v < n; v++) {
            uint32_t value;

            memcpy(&value, (const uint8_t *)rows[v].table + KNOWN[i].at, 4);
            ck_assert_msg(value == KNOWN[i].values[v],
                          "%s of %s is %u, should be %u", KNOWN[i].field,
                          rows[v].name, value, KNOWN[i].values[v]);
        }
    }
}
END_TEST
#endif

START_TEST(test_versions)
{
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);

    ck_assert_uint_eq(n, PP_COUNT_OF(NAMES));
    for (size_t i = 0; i < n; i++) {
        char begin[16];

        ck_assert_str_eq(rows[i].name, NAMES[i]);
        ck_assert_uint_eq(rows[i].version, rows[i].table->version);
        ck_assert(rows[i].free_threaded == rows[i].table->free_threaded);
        ck_assert_ptr_nonnull(rows[i].status);
        ck_assert(!rows[i].table->debug_offsets);
        snprintf(begin, sizeof(begin), "%d.%d%s", rows[i].version >> 8,
                 rows[i].version & 0xff, rows[i].free_threaded ? "t" : "");
        ck_assert_str_eq(begin, rows[i].name);
        ck_assert(strncmp(rows[i].table->cpython, begin, 3) == 0);
        ck_assert_ptr_eq(
            &pp_layout_table_find(rows[i].version, rows[i].free_threaded)
                 ->layout,
            rows[i].table);
        ck_assert(
            i == 0 || rows[i - 1].version < rows[i].version ||
            (rows[i - 1].version == rows[i].version && rows[i].free_threaded));
    }
    ck_assert_ptr_null(pp_layout_table_find(0x0307, false));
    ck_assert_ptr_null(pp_layout_table_find(0x030c, true));
}
END_TEST

START_TEST(test_gil_in_the_runtime)
{
    static const uint32_t locked[] = {1168, 368, 368, 376};
    const pp_version_row *rows;

    pp_layout_versions(&rows);
    for (size_t i = 0; i < PP_COUNT_OF(locked); i++) {
        const pp_layout *l = rows[i].table;

        ck_assert_int_eq(l->gil_kind, PP_GIL_RUNTIME);
        ck_assert_uint_eq(l->rt.gil + l->gil.locked, locked[i]);
        ck_assert_uint_eq(l->rt.gil + l->gil.last_holder, locked[i] - 8);
    }
}
END_TEST

START_TEST(test_owners)
{
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);

    for (size_t i = 0; i < n; i++) {
        const uint8_t *owners = rows[i].table->fr.owners;
        bool has = rows[i].table->fr.owner != PP_NONE;
        bool two_shims = rows[i].version == 0x030e;

        ck_assert_uint_eq(owners[0], has ? PP_OWNER_THREAD : PP_OWNER_BAD);
        ck_assert_uint_eq(owners[1], has ? PP_OWNER_GENERATOR : PP_OWNER_BAD);
        ck_assert_uint_eq(owners[2],
                          has ? PP_OWNER_FRAME_OBJECT : PP_OWNER_BAD);
        ck_assert_uint_eq(owners[3], rows[i].version >= 0x030c ? PP_OWNER_SHIM
                                                               : PP_OWNER_BAD);
        ck_assert_uint_eq(owners[4], two_shims ? PP_OWNER_SHIM : PP_OWNER_BAD);
        for (int j = 5; j < 8; j++) {
            ck_assert_uint_eq(owners[j], PP_OWNER_BAD);
        }
        ck_assert_uint_eq(~rows[i].table->fr.code_mask,
                          rows[i].version < 0x030e        ? 0
                          : strcmp(rows[i].name, "3.14t") ? 3
                                                          : 1);
    }
}
END_TEST

START_TEST(test_generator_states)
{
    static const uint8_t states[][8] = {
        /* 3.8 to 3.10: none */
        {PP_GEN_BAD, PP_GEN_BAD, PP_GEN_BAD, PP_GEN_BAD, PP_GEN_BAD, PP_GEN_BAD,
         PP_GEN_BAD, PP_GEN_BAD},
        /* 3.11, 3.12: created -2, suspended -1, running 0, done 1 and 4 */
        {PP_GEN_RUNNING, PP_GEN_DONE, PP_GEN_BAD, PP_GEN_BAD, PP_GEN_DONE,
         PP_GEN_BAD, PP_GEN_CREATED, PP_GEN_SUSPENDED},
        /* 3.13, 3.14: created -3, suspended -2, awaiting -1 */
        {PP_GEN_RUNNING, PP_GEN_DONE, PP_GEN_BAD, PP_GEN_BAD, PP_GEN_DONE,
         PP_GEN_CREATED, PP_GEN_SUSPENDED, PP_GEN_AWAITING},
        /* 3.15: in order, from 0 */
        {PP_GEN_CREATED, PP_GEN_SUSPENDED, PP_GEN_AWAITING, PP_GEN_AWAITING,
         PP_GEN_RUNNING, PP_GEN_DONE, PP_GEN_BAD, PP_GEN_BAD},
    };
    static const uint8_t which[] = {0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3};
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);

    for (size_t i = 0; i < n; i++) {
        ck_assert_mem_eq(rows[i].table->gen.states, states[which[i]], 8);
    }
}
END_TEST

/* All from `first` to `last` lie below `size`, none is 0 but the allowed. */
static void check_group(const char *name, const pp_layout *l, size_t first,
                        size_t last, uint32_t size)
{
    ck_assert_uint_ne(size, PP_NONE);
    for (size_t at = first; at <= last; at += sizeof(uint32_t)) {
        uint32_t value;

        memcpy(&value, (const uint8_t *)l + at, sizeof(value));
        ck_assert_msg(value == PP_NONE || value < size,
                      "%s: %u of pp_layout is %u, past %u", name, (unsigned)at,
                      value, size);
    }
}

#define CHECK(first, last, size)                             \
    check_group(rows[i].name, l, offsetof(pp_layout, first), \
                offsetof(pp_layout, last), size)

START_TEST(test_bounds)
{
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);

    for (size_t i = 0; i < n; i++) {
        const pp_layout *l = rows[i].table;

        CHECK(rt.interpreters_head, rt.main_interpreter, l->rt.size);
        CHECK(is.next, is.asyncio_tasks_head, l->is.size);
        CHECK(gil.enabled, gil.switch_number, l->gil.size);
        CHECK(ts.next, ts.id, l->ts.size);
        CHECK(ts.asyncio_running_loop, ts.asyncio_tasks_head,
              l->ts.size + 4096);
        CHECK(fr.back, fr.valuestack, l->fr.size);
        CHECK(fr.lineno, fr.is_entry, l->fr.size);
        CHECK(co.filename, co.tlbc, l->co.size);
        CHECK(task.size, task.is_task, PP_NONE - 1);
        ck_assert_uint_le(l->fr.size, l->fr.localsplus);
        ck_assert_uint_le(l->fr.size, 128);
        ck_assert_uint_eq(l->task.coro, PP_NONE);
        ck_assert(l->rt.main_interpreter == PP_NONE ||
                  l->rt.main_interpreter + l->is.size == l->rt.size);
    }
}
END_TEST

/* What a walk can't do without, by kind. */
START_TEST(test_complete)
{
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);

    for (size_t i = 0; i < n; i++) {
        const pp_layout *l = rows[i].table;

        ck_assert((l->cframe.current_frame != PP_NONE) ==
                  (l->frame_kind == PP_FRAMES_CFRAME));
        ck_assert((l->co.qualname == PP_NONE) ==
                  (l->frame_kind == PP_FRAMES_HEAP));
        ck_assert((l->chunk.data == PP_NONE) ==
                  (l->frame_kind == PP_FRAMES_HEAP));
        ck_assert((l->rt.gil != PP_NONE) == (l->gil_kind == PP_GIL_RUNTIME));
        ck_assert((l->gil.enabled != PP_NONE) == (l->gil_kind == PP_GIL_NONE));
        ck_assert((l->is.func_version != PP_NONE) ==
                  (l->code_proof == PP_CODE_PROOF_CREATED));
        ck_assert((l->is.code_generation != PP_NONE) ==
                  (l->code_proof == PP_CODE_PROOF_GENERATION));
        ck_assert((l->fr.valuestack != PP_NONE) ==
                  (l->frame_kind == PP_FRAMES_HEAP));
        ck_assert((l->attrs.values_before != PP_NONE) ==
                  (l->attrs_kind == PP_ATTRS_BEFORE));
        ck_assert((l->attrs.values_valid != PP_NONE) ==
                  (l->attrs_kind == PP_ATTRS_INLINE));
        ck_assert((l->rt.gc_collecting == PP_NONE) !=
                  (l->is.gc_collecting == PP_NONE));
    }
}
END_TEST

START_TEST(test_described)
{
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);

    for (size_t i = 0; i < n; i++) {
        const pp_layout_table *table =
            pp_layout_table_find(rows[i].version, rows[i].free_threaded);

        ck_assert((table->described != NULL) == (rows[i].version >= 0x030d));
        for (size_t j = 0; j < table->n_described; j++) {
            const pp_described *row = &table->described[j];
            uint32_t value;

            ck_assert_uint_ge(row->member, 24);
            ck_assert_uint_le(row->member + 8u, table->description_size);
            ck_assert_uint_lt(row->within, table->description_size);
            ck_assert_uint_lt(row->member2, table->description_size);
            ck_assert_uint_gt(row->align, 0);
            ck_assert((row->sign == 0) == (row->member2 == 0));
            memcpy(&value, (const uint8_t *)rows[i].table + row->to, 4);
            ck_assert_uint_ne(value, PP_NONE);
        }
    }
}
END_TEST

/* Prints the layout of a live runtime, as bytes in hexadecimal: what
 * tests/live/test_layouts.py has the interpreter itself compare. */
static int dump(int64_t pid, uint64_t runtime, uint32_t hex_version,
                bool free_threaded)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_process *process;
    pp_reader *reader;
    const char *note = NULL;
    pp_layout layout;
    pyprof_status status;

    status = pp_os_process_open(NULL, pid, &process, &err);
    if (status == PYPROF_OK) {
        status = pp_reader_open_process(NULL, process, &reader, &err);
        if (status == PYPROF_OK) {
            status = pp_layout_load(reader, runtime, hex_version, free_threaded,
                                    &layout, &note, &err);
            pp_reader_close(reader);
        }
        pp_os_process_close(process);
    }
    if (status != PYPROF_OK) {
        printf("%s\n", err.message);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < sizeof(layout); i++) {
        printf("%02x", ((const uint8_t *)&layout)[i]);
    }
    printf("\n%s\n", note == NULL ? "" : note);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static const TTest *tests[8];
    size_t n = 0;

    if (argc == 5) {
        return dump(strtol(argv[1], NULL, 10), strtoull(argv[2], NULL, 0),
                    (uint32_t)strtoul(argv[3], NULL, 0), argv[4][0] == '1');
    }
#if defined(__x86_64__)
    tests[n++] = test_known_values;
#endif
    tests[n++] = test_versions;
    tests[n++] = test_gil_in_the_runtime;
    tests[n++] = test_owners;
    tests[n++] = test_generator_states;
    tests[n++] = test_bounds;
    tests[n++] = test_complete;
    tests[n++] = test_described;
    return run_suite("layout.tables", tests, n);
}
