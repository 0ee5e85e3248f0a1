/*
 * replay: what a format writes from a replay is what it writes from the samples
 * themselves, byte by byte; damage is told and survived; files are merged and
 * picked from.
 */
#define _POSIX_C_SOURCE 200809L
#include "../collector/profile.h"

#include "replay/replay.h"

#include <stdio.h>
#include <unistd.h>

/* ---- a profile with times and rounds of several threads ---------------- */

enum { ROUNDS = 3000 };

static pyprof_session session_of(const pyprof_tables *tables)
{
    return (pyprof_session){
        .sz = sizeof(pyprof_session),
        .interval_ns = 1000000,
        .start_ns = 5000000123,
        .start_unix_ns = 1700000000123456789,
        .pid = 4711,
        .python_version = 0x030c,
        .capture = 1,
        .tables = tables,
    };
}

/* A few stacks in turn, with repeats, threads that come and go, states and
 * flags that change, and a deep stack. */
static pyprof_status drive(pyprof_collector *c, pyprof_tables *tables,
                           pyprof_error *err)
{
    pushed rows[PROFILE_MAX];
    size_t n = build_profile(tables, rows);
    uint32_t deep = 0;
    uint32_t frame = frame_at(tables, "/app/deep.py", "down", 1, 2, 3);
    for (int i = 0; i < 700; i++) {
        deep = frame == 0 ? 0 : pp_tables_stack(tables, deep, frame);
    }
    if (n == 0 || deep == 0) {
        return PYPROF_ERR_NO_MEMORY;
    }
    const pyprof_session session = session_of(tables);
    PP_TRY(pp_collector_begin(c, &session, tables, err));
    pyprof_summary summary = profile_summary();
    for (unsigned i = 0; i < ROUNDS; i++) {
        pyprof_stack_sample stacks[3];
        size_t n_stacks = 1 + i / 500 % 3;
        for (size_t t = 0; t < n_stacks; t++) {
            const pushed *row = &rows[(i / (3 + t) + t) % n];
            stacks[t] = (pyprof_stack_sample){
                .thread = (uint32_t)t + 1,
                .stack = i % 997 == 5 ? deep : row->stack,
                .state = row->state,
                .flags = (i / 7 % 3 == t ? PYPROF_THREAD_HAS_GIL : 0U) |
                         PYPROF_THREAD_CPU_UNKNOWN,
            };
            stacks[t].depth = pp_tables_depth(tables, stacks[t].stack);
        }
        const pyprof_sample sample = {
            .sz = sizeof(sample),
            .time_ns = session.start_ns + 200 + i * 1000000U + i % 13 * 1001,
            .count = i % 1000 == 999 ? 3 : 1,
            .stacks = stacks,
            .n_stacks = n_stacks,
            .tables = tables,
        };
        PP_TRY(pp_collector_sample(c, &sample, err));
    }
    return pp_collector_end(c, &summary, err);
}

/* ---- bytes ------------------------------------------------------------- */

static pyprof_collector *new_collector(const char *format, uint64_t flags)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    const pyprof_format_opts opts = {.sz = sizeof(opts), .flags = flags};
    pyprof_collector *c = NULL;
    ck_assert_msg(pp_collector_new_format(format, &opts, &c, &err) == 0, "%s",
                  err.message);
    return c;
}

static pyprof_writer *new_memory(void)
{
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), PYPROF_OK);
    return w;
}

static void write_it(pyprof_collector *c, pyprof_writer *w)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_msg(pp_collector_write(c, w, &err) == PYPROF_OK, "%s",
                  err.message);
    pp_collector_free(c);
}

/* What a format makes of the samples. */
static pyprof_writer *write_direct(const char *format, uint64_t flags,
                                   bool is_streaming)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    pyprof_collector *c = new_collector(format, flags);
    pyprof_writer *w = new_memory();
    if (is_streaming) {
        ck_assert_int_eq(pp_collector_stream(c, w, &err), PYPROF_OK);
    }
    ck_assert_msg(drive(c, tables, &err) == PYPROF_OK, "%s", err.message);
    pp_tables_unref(tables);
    write_it(c, w);
    return w;
}

static pyprof_status replay_some(const pyprof_text *files, size_t n,
                                 const pyprof_replay_opts *opts,
                                 pyprof_collector *c, pyprof_replay_stats *out,
                                 pyprof_error *err)
{
    pyprof_replay *r = NULL;
    const pyprof_replay_opts usual = {.sz = sizeof(usual)};
    PP_TRY(pp_replay_new(opts != NULL ? opts : &usual, &r, err));
    pyprof_status status = PYPROF_OK;
    for (size_t i = 0; i < n && status == PYPROF_OK; i++) {
        status = pp_replay_add_memory(r, "saved", files[i].data,
                                      (size_t)files[i].size, err);
    }
    if (status == PYPROF_OK) {
        status = pp_replay_add(r, c, err);
    }
    if (status == PYPROF_OK) {
        status = pp_replay_run(r, err);
    }
    if (out != NULL) {
        out->sz = sizeof(*out);
        (void)pp_replay_read_stats(r, out);
    }
    pp_replay_free(r);
    return status;
}

/* What a format makes of a saved profile. */
static pyprof_writer *write_replayed(const char *format, uint64_t flags,
                                     pyprof_text saved, bool is_streaming)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *c = new_collector(format, flags);
    pyprof_writer *w = new_memory();
    if (is_streaming) {
        ck_assert_int_eq(pp_collector_stream(c, w, &err), PYPROF_OK);
    }
    ck_assert_msg(replay_some(&saved, 1, NULL, c, NULL, &err) == PYPROF_OK,
                  "%s", err.message);
    write_it(c, w);
    return w;
}

static void expect_same(const char *what, pyprof_writer *a, pyprof_writer *b)
{
    pyprof_text x = pp_writer_memory(a);
    pyprof_text y = pp_writer_memory(b);
    ck_assert_msg(x.size == y.size && memcmp(x.data, y.data, x.size) == 0,
                  "%s: %llu bytes of the samples, %llu of their replay", what,
                  (unsigned long long)x.size, (unsigned long long)y.size);
    pp_writer_close(a);
    pp_writer_close(b);
}

/* ---- the same ---------------------------------------------------------- */

START_TEST(test_every_format_is_the_same)
{
    for (int packed = 0; packed < 2; packed++) {
        pyprof_writer *saved = write_direct(
            "pyprof", packed ? 0 : PYPROF_FORMAT_UNCOMPRESSED, packed == 0);
        pyprof_text bytes = pp_writer_memory(saved);
        pyprof_format_info info = {.sz = sizeof(info)};
        for (uint32_t i = 0; pp_collector_format(i, &info) == PYPROF_OK; i++) {
            if ((info.caps &
                 (PYPROF_COLLECTOR_FOLDER | PYPROF_COLLECTOR_BASELINE)) != 0) {
                continue; /* not of one file, or of one profile */
            }
            expect_same(info.name, write_direct(info.name, 0, false),
                        write_replayed(info.name, 0, bytes, false));
            if ((info.caps & PYPROF_COLLECTOR_STREAMS) != 0) {
                expect_same(info.name, write_direct(info.name, 0, true),
                            write_replayed(info.name, 0, bytes, true));
            }
        }
        pp_writer_close(saved);
    }
}
END_TEST

/* Without what Python's format lacks: threads without a frame, unreadable
 * stacks, what is beyond 256 frames. */
START_TEST(test_binary_once_more)
{
    pyprof_writer *first = write_direct("binary", 0, false);
    pyprof_writer *plain =
        write_direct("binary", PYPROF_FORMAT_UNCOMPRESSED, false);
    pyprof_text packed = pp_writer_memory(first);
    expect_same("collapsed", write_replayed("collapsed", 0, packed, false),
                write_replayed("collapsed", 0, pp_writer_memory(plain), false));
    pyprof_writer *again = write_replayed("binary", 0, packed, false);
    expect_same("collapsed", write_replayed("collapsed", 0, packed, false),
                write_replayed("collapsed", 0, pp_writer_memory(again), false));
    pp_writer_close(again);
    pp_writer_close(first);
    pp_writer_close(plain);
}
END_TEST

/* ---- several, and some of one ------------------------------------------ */

static pyprof_replay_stats count_some(const pyprof_text *files, size_t n,
                                      const pyprof_replay_opts *opts)
{
    pyprof_replay_stats stats;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *c = new_collector("table", 0);
    ck_assert_msg(replay_some(files, n, opts, c, &stats, &err) == PYPROF_OK,
                  "%s", err.message);
    pp_collector_free(c);
    return stats;
}

START_TEST(test_merge_and_pick)
{
    pyprof_writer *saved = write_direct("pyprof", 0, false);
    pyprof_text bytes = pp_writer_memory(saved);
    const pyprof_text twice[] = {bytes, bytes};
    pyprof_replay_stats one = count_some(&bytes, 1, NULL);
    pyprof_replay_stats two = count_some(twice, 2, NULL);
    ck_assert_uint_eq(one.rounds, ROUNDS + 6);
    ck_assert_uint_eq(two.rounds, 2 * one.rounds);
    ck_assert_uint_eq(two.stacks, 2 * one.stacks);
    ck_assert_uint_eq(two.distinct, one.distinct);
    pyprof_replay_opts opts = {.sz = sizeof(opts), .thread = 1001};
    pyprof_replay_stats picked = count_some(&bytes, 1, &opts);
    ck_assert_uint_eq(picked.rounds, one.rounds);
    ck_assert_uint_lt(picked.stacks, one.stacks);
    opts = (pyprof_replay_opts){
        .sz = sizeof(opts), .from_ns = 500000000, .to_ns = 600000000};
    picked = count_some(&bytes, 1, &opts);
    ck_assert_uint_eq(picked.rounds, 100);
    opts = (pyprof_replay_opts){.sz = sizeof(opts), .pid = 1};
    ck_assert_uint_eq(count_some(&bytes, 1, &opts).rounds, 0);
    pp_writer_close(saved);
}
END_TEST

/* Bytes of another interval don't add up. */
START_TEST(test_merge_other_interval)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    pyprof_collector *c = new_collector("pyprof", 0);
    pyprof_collector *table = new_collector("table", 0);
    pyprof_session session = session_of(tables);
    pyprof_summary summary = profile_summary();
    pyprof_writer *other = new_memory();
    pyprof_writer *saved = write_direct("pyprof", 0, false);
    session.interval_ns = 10000;
    ck_assert_int_eq(pp_collector_begin(c, &session, tables, &err), PYPROF_OK);
    ck_assert_int_eq(pp_collector_end(c, &summary, &err), PYPROF_OK);
    write_it(c, other);
    const pyprof_text both[] = {pp_writer_memory(saved),
                                pp_writer_memory(other)};
    ck_assert_int_eq(replay_some(both, 2, NULL, table, NULL, &err),
                     PYPROF_ERR_INVALID);
    pp_collector_free(table);
    pp_tables_unref(tables);
    pp_writer_close(saved);
    pp_writer_close(other);
}
END_TEST

/* ---- damage ------------------------------------------------------------ */

static pyprof_status replay_damaged(pyprof_text bytes, uint64_t flags,
                                    uint64_t *out_rounds)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_replay_stats stats = {.rounds = 0};
    const pyprof_replay_opts opts = {.sz = sizeof(opts), .flags = flags};
    pyprof_collector *c = new_collector("collapsed", 0);
    pyprof_status status = replay_some(&bytes, 1, &opts, c, &stats, &err);
    if (status != PYPROF_OK) {
        ck_assert_str_ne(err.message, "");
    }
    pp_collector_free(c);
    *out_rounds = stats.rounds;
    return status;
}

/* What is there of a file that was cut off is used, and no more is lost than
 * the chunk at hand. */
static void check_cut(const char *format, uint64_t flags, bool must_keep)
{
    pyprof_writer *saved = write_direct(format, flags, must_keep);
    pyprof_text whole = pp_writer_memory(saved);
    uint64_t all;
    uint64_t rounds = 0;
    uint64_t before = 0;
    ck_assert_int_eq(replay_damaged(whole, 0, &all), PYPROF_OK);
    for (uint64_t size = 0; size < whole.size; size += 1 + size / 64) {
        /* a copy, so that a sanitizer sees a byte too many */
        char *copy = malloc((size_t)size + 1);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, whole.data, (size_t)size);
        char *exact = realloc(copy, size > 0 ? (size_t)size : 1);
        const pyprof_text cut = {.data = exact, .size = size};
        ck_assert_int_eq(replay_damaged(cut, 0, &rounds), PYPROF_ERR_CORRUPT);
        (void)replay_damaged(cut, PYPROF_REPLAY_SALVAGE, &rounds);
        ck_assert_uint_le(rounds, all);
        ck_assert_uint_ge(rounds, before);
        before = rounds;
        free(exact);
    }
    ck_assert(!must_keep || before > all / 2);
    pp_writer_close(saved);
}

START_TEST(test_cut)
{
    check_cut("pyprof", 0, true);
    check_cut("pyprof", PYPROF_FORMAT_UNCOMPRESSED, true);
    check_cut("binary", 0, false);
}
END_TEST

START_TEST(test_flipped_bits)
{
    static const char *const formats[] = {"pyprof", "binary"};
    uint64_t rounds;
    for (int packed = 0; packed < 2; packed++) {
        for (size_t f = 0; f < PP_COUNT_OF(formats); f++) {
            pyprof_writer *saved = write_direct(
                formats[f], packed ? 0 : PYPROF_FORMAT_UNCOMPRESSED, false);
            pyprof_text whole = pp_writer_memory(saved);
            char *copy = malloc((size_t)whole.size);
            ck_assert_ptr_nonnull(copy);
            for (uint64_t at = 0; at < whole.size; at += 1 + at / 48) {
                memcpy(copy, whole.data, (size_t)whole.size);
                copy[at] = (char)(copy[at] ^ 1 << at % 8);
                const pyprof_text bad = {.data = copy, .size = whole.size};
                (void)replay_damaged(bad, 0, &rounds);
                (void)replay_damaged(bad, PYPROF_REPLAY_SALVAGE, &rounds);
            }
            free(copy);
            pp_writer_close(saved);
        }
    }
}
END_TEST

/* A file from a machine of the other byte order says the same. */
static void swap(char *at, size_t size)
{
    for (size_t i = 0; i < size / 2; i++) {
        char byte = at[i];
        at[i] = at[size - 1 - i];
        at[size - 1 - i] = byte;
    }
}

START_TEST(test_other_byte_order)
{
    static const struct {
        size_t at, size;
    } head[] = {{0, 4},  {4, 4},  {12, 8}, {20, 8}, {28, 8},
                {36, 4}, {40, 8}, {48, 8}, {56, 4}, {60, 4}};
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    pyprof_collector *c = new_collector("binary", PYPROF_FORMAT_UNCOMPRESSED);
    pyprof_session session = session_of(tables);
    pyprof_summary summary = profile_summary();
    pushed rows[PROFILE_MAX];
    ck_assert_uint_gt(build_profile(tables, rows), 0);
    ck_assert_int_eq(pp_collector_begin(c, &session, tables, &err), PYPROF_OK);
    ck_assert_int_eq(push(c, 1, rows[0].stack, 0, 1, &err), PYPROF_OK);
    ck_assert_int_eq(pp_collector_end(c, &summary, &err), PYPROF_OK);
    pyprof_writer *w = new_memory();
    write_it(c, w);
    pp_tables_unref(tables);
    pyprof_text bytes = pp_writer_memory(w);
    char *copy = malloc((size_t)bytes.size);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes.data, (size_t)bytes.size);
    for (size_t i = 0; i < PP_COUNT_OF(head); i++) {
        swap(copy + head[i].at, head[i].size);
    }
    swap(copy + 64, 8); /* the one record */
    swap(copy + 72, 4);
    char *foot = copy + bytes.size - 32;
    swap(foot, 4);
    swap(foot + 4, 4);
    swap(foot + 8, 8);
    char *trailer = foot - 56; /* its numbers are not looked at here */
    memset(trailer, 0, 56);
    const pyprof_text swapped = {.data = copy, .size = bytes.size};
    expect_same("swapped", write_replayed("collapsed", 0, bytes, false),
                write_replayed("collapsed", 0, swapped, false));
    free(copy);
    pp_writer_close(w);
}
END_TEST

/* Arrays of a zstd stream that are not ours, and files of other kinds. */
START_TEST(test_not_a_profile)
{
    static const char *const kinds[] = {"",
                                        "x",
                                        "HCAT",
                                        "hello, world",
                                        "\x28\xb5\x2f\xfd 12345",
                                        "\x1f\x8b\x08 123456"};
    pyprof_error err = PYPROF_ERROR_INIT;
    for (size_t i = 0; i < PP_COUNT_OF(kinds); i++) {
        pyprof_replay *r = NULL;
        const pyprof_replay_opts opts = {.sz = sizeof(opts)};
        ck_assert_int_eq(pp_replay_new(&opts, &r, &err), PYPROF_OK);
        ck_assert_int_eq(
            pp_replay_add_memory(r, "x", kinds[i], strlen(kinds[i]), &err),
            PYPROF_ERR_CORRUPT);
        ck_assert_int_eq(pp_replay_run(r, &err), PYPROF_ERR_INVALID);
        pp_replay_free(r);
    }
}
END_TEST

/* ---- memory ------------------------------------------------------------ */

static pyprof_text loop_bytes;

static bool replay_once(fault_alloc *fault)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_replay *r = NULL;
    pyprof_collector *c = NULL;
    const pyprof_replay_opts opts = {
        .sz = sizeof(opts), .allocator = &fault->table, .thread = 1001};
    const pyprof_format_opts format = {.sz = sizeof(format),
                                       .allocator = &fault->table};
    pyprof_status status = pp_replay_new(&opts, &r, &err);
    if (status == PYPROF_OK) {
        status = pp_collector_new_format("pyprof", &format, &c, &err);
    }
    if (status == PYPROF_OK) {
        status = pp_replay_add_memory(r, "saved", loop_bytes.data,
                                      (size_t)loop_bytes.size, &err);
    }
    if (status == PYPROF_OK) {
        status = pp_replay_add(r, c, &err);
    }
    if (status == PYPROF_OK) {
        status = pp_replay_run(r, &err);
    }
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    pp_replay_free(r);
    pp_collector_free(c);
    return status == PYPROF_OK;
}

START_TEST(test_out_of_memory)
{
    static const char *const formats[] = {"pyprof", "binary"};
    for (size_t i = 0; i < PP_COUNT_OF(formats); i++) {
        pyprof_writer *saved = write_direct(formats[i], 0, false);
        loop_bytes = pp_writer_memory(saved);
        fault_loop(replay_once);
        pp_writer_close(saved);
    }
}
END_TEST

SUITE_MAIN("replay.replay", test_every_format_is_the_same,
           test_binary_once_more, test_merge_and_pick,
           test_merge_other_interval, test_cut, test_flipped_bits,
           test_other_byte_order, test_not_a_profile, test_out_of_memory)
