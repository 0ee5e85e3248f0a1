/* sample: numbers for functions, frames, stacks and threads. */
#define _POSIX_C_SOURCE 200809L
#include "../base/testing.h"

#include "sample/sample.h"

#include <pthread.h>
#include <stdio.h>

static pyprof_text text_of(const char *text)
{
    return (pyprof_text){.data = text, .size = strlen(text)};
}

static uint32_t function_of(pyprof_tables *tables, const char *name, int line)
{
    const pp_function_key key = {
        .qualname = text_of(name),
        .name = text_of(name),
        .file = text_of("file.py"),
        .first_line = line,
        .kind = PYPROF_FRAME_PYTHON,
    };
    return pp_tables_function(tables, &key);
}

static pp_position line_of(int32_t line)
{
    pp_position at = PP_POSITION_UNKNOWN;
    at.line = line;
    return at;
}

static uint32_t frame_of(pyprof_tables *tables, uint32_t function, int32_t line)
{
    const pp_position at = line_of(line);
    return pp_tables_frame(tables, function, &at);
}

START_TEST(test_synthetic)
{
    static const char *const names[] = {
        [PYPROF_FRAME_GC] = "<GC>",
        [PYPROF_FRAME_NATIVE] = "<native>",
        [PYPROF_FRAME_TASK] = "<task>",
        [PYPROF_FRAME_TRUNCATED] = "<truncated>",
        [PYPROF_FRAME_TORN] = "<torn>",
        [PYPROF_FRAME_UNKNOWN] = "<unknown>",
    };
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    for (int32_t kind = 1; kind <= PYPROF_FRAME_UNKNOWN; kind++) {
        uint32_t number = pp_tables_synthetic(tables, kind);
        ck_assert_uint_ne(number, 0);
        pyprof_frame frame;
        ck_assert(pp_tables_frame_view(tables, number, &frame));
        ck_assert_uint_eq(frame.sz, sizeof(frame));
        ck_assert_str_eq(frame.function.data, names[kind]);
        ck_assert_str_eq(frame.name.data, names[kind]);
        ck_assert_str_eq(frame.file.data, "~");
        ck_assert_int_eq(frame.kind, kind);
        ck_assert_int_eq(frame.first_line, PYPROF_UNKNOWN);
        ck_assert_int_eq(frame.line, PYPROF_UNKNOWN);
        ck_assert_int_eq(frame.opcode, PYPROF_UNKNOWN);
    }
    const int32_t none[] = {-1, PYPROF_FRAME_PYTHON, 7, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < PP_COUNT_OF(none); i++) {
        ck_assert_uint_eq(pp_tables_synthetic(tables, none[i]),
                          pp_tables_synthetic(tables, PYPROF_FRAME_UNKNOWN));
    }
    ck_assert_uint_eq(pp_tables_stacks(tables), 0);
    pp_tables_unref(tables);
}
END_TEST

START_TEST(test_functions)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    const pp_function_key key = {
        .qualname = text_of("Class.method"),
        .name = text_of("method"),
        .file = text_of("a.py"),
        .first_line = 12,
        .kind = PYPROF_FRAME_PYTHON,
    };
    uint32_t number = pp_tables_function(tables, &key);
    ck_assert_uint_ne(number, 0);
    ck_assert_uint_eq(pp_tables_function(tables, &key), number);
    pp_function_key other = key;
    other.first_line = 13;
    ck_assert_uint_eq(pp_tables_function(tables, &other), number + 1);
    other = key;
    other.qualname = text_of("Klass.method");
    ck_assert_uint_eq(pp_tables_function(tables, &other), number + 2);
    other = key;
    other.file = text_of("b.py");
    ck_assert_uint_eq(pp_tables_function(tables, &other), number + 3);
    other = key;
    other.name = text_of("m");
    ck_assert_uint_eq(pp_tables_function(tables, &other), number + 4);
    other = key;
    other.kind = PYPROF_FRAME_UNKNOWN;
    ck_assert_uint_eq(pp_tables_function(tables, &other), number + 5);
    ck_assert_uint_eq(pp_tables_functions(tables), number + 5);
    pp_function_key back;
    ck_assert(pp_tables_function_view(tables, number, &back));
    ck_assert_str_eq(back.qualname.data, "Class.method");
    ck_assert_str_eq(back.name.data, "method");
    ck_assert_str_eq(back.file.data, "a.py");
    ck_assert_int_eq(back.first_line, 12);
    back.kind = 99;
    ck_assert(!pp_tables_function_view(tables, 0, &back));
    ck_assert(!pp_tables_function_view(tables, number + 6, &back));
    ck_assert_int_eq(back.kind, 99);
    pp_tables_unref(tables);
}
END_TEST

START_TEST(test_frames)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    uint32_t function = function_of(tables, "f", 1);
    const pp_position at = {1, 2, 3, 4, 5};
    uint32_t number = pp_tables_frame(tables, function, &at);
    ck_assert_uint_ne(number, 0);
    ck_assert_uint_eq(pp_tables_frame(tables, function, &at), number);
    pp_position near[5] = {at, at, at, at, at};
    near[0].line = 9;
    near[1].end_line = 9;
    near[2].column = 9;
    near[3].end_column = 9;
    near[4].opcode = 9;
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(pp_tables_frame(tables, function, &near[i]),
                          number + 1 + i);
    }
    pyprof_frame frame;
    ck_assert(pp_tables_frame_view(tables, number, &frame));
    ck_assert_int_eq(frame.line, 1);
    ck_assert_int_eq(frame.end_line, 2);
    ck_assert_int_eq(frame.column, 3);
    ck_assert_int_eq(frame.end_column, 4);
    ck_assert_int_eq(frame.opcode, 5);
    ck_assert_uint_eq(frame.function_id, function);
    ck_assert_uint_eq(pp_tables_frame_function(tables, number), function);
    ck_assert_uint_eq(pp_tables_frame_function(tables, 0), 0);
    ck_assert_uint_eq(pp_tables_frame_function(tables, number + 6), 0);
    ck_assert(!pp_tables_frame_view(tables, 0, &frame));
    ck_assert(!pp_tables_frame_view(tables, number + 6, &frame));
    ck_assert_uint_eq(pp_tables_frame(tables, 0, &at), 0);
    ck_assert_uint_eq(pp_tables_frame(tables, 100, &at), 0);
    ck_assert_uint_eq(pp_tables_frames(tables), number + 5);
    pp_tables_unref(tables);
}
END_TEST

START_TEST(test_stacks)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    uint32_t function = function_of(tables, "f", 1);
    uint32_t outer = frame_of(tables, function, 1);
    uint32_t inner = frame_of(tables, function, 2);
    uint32_t root = pp_tables_stack(tables, 0, outer);
    uint32_t leaf = pp_tables_stack(tables, root, inner);
    ck_assert_uint_eq(root, 1);
    ck_assert_uint_eq(leaf, 2);
    ck_assert_uint_eq(pp_tables_stack(tables, 0, outer), root);
    ck_assert_uint_eq(pp_tables_stack(tables, root, inner), leaf);
    ck_assert_uint_eq(pp_tables_depth(tables, 0), 0);
    ck_assert_uint_eq(pp_tables_depth(tables, root), 1);
    ck_assert_uint_eq(pp_tables_depth(tables, leaf), 2);
    ck_assert_uint_eq(pp_tables_depth(tables, 3), 0);
    uint32_t parent = 99;
    uint32_t frame = 99;
    ck_assert(pp_tables_stack_view(tables, leaf, &parent, &frame));
    ck_assert_uint_eq(parent, root);
    ck_assert_uint_eq(frame, inner);
    ck_assert(pp_tables_stack_view(tables, root, &parent, NULL));
    ck_assert_uint_eq(parent, 0);
    ck_assert(!pp_tables_stack_view(tables, 0, &parent, &frame));
    ck_assert(!pp_tables_stack_view(tables, 3, &parent, &frame));
    ck_assert_uint_eq(pp_tables_stack(tables, 77, inner), 0);
    ck_assert_uint_eq(pp_tables_stack(tables, root, 0), 0);
    ck_assert_uint_eq(pp_tables_stack(tables, root, 77), 0);
    ck_assert_uint_eq(pp_tables_stacks(tables), 2);
    pp_tables_unref(tables);
}
END_TEST

#define NODES 20000

/* A random tree, each node asked for again and again, through all the growth.
 */
START_TEST(test_random_tree)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    static uint32_t parents[NODES + 1];
    static uint32_t frames[NODES + 1];
    uint32_t frame_numbers[50];
    uint32_t n = 0;
    uint64_t random = 99;
    for (uint32_t i = 0; i < 50; i++) {
        frame_numbers[i] =
            frame_of(tables, function_of(tables, "f", (int)i / 5), (int)i);
    }
    while (n < NODES) {
        uint32_t parent = (uint32_t)(test_random(&random) % (n + 1));
        uint32_t frame = frame_numbers[test_random(&random) % 50];
        uint32_t number = pp_tables_stack(tables, parent, frame);
        TEST_THAT(number != 0);
        TEST_THAT(number <= n + 1);
        if (number == n + 1) {
            n++;
            parents[n] = parent;
            frames[n] = frame;
        }
        TEST_THAT(parents[number] == parent);
        TEST_THAT(frames[number] == frame);
    }
    for (uint32_t i = 1; i <= NODES; i++) {
        TEST_THAT(pp_tables_stack(tables, parents[i], frames[i]) == i);
        TEST_THAT(pp_tables_depth(tables, i) ==
                  pp_tables_depth(tables, parents[i]) + 1);
    }
    pp_tables_counters count = pp_tables_count(tables);
    TEST_THAT(count.stacks == NODES);
    TEST_THAT(count.folded == 0);
    pp_tables_unref(tables);
}
END_TEST

START_TEST(test_text_never_moves)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    uint32_t first = function_of(tables, "first", 1);
    pp_function_key before;
    ck_assert(pp_tables_function_view(tables, first, &before));
    char name[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "function_%d", i);
        ck_assert_uint_ne(function_of(tables, name, i), 0);
    }
    pp_function_key after;
    ck_assert(pp_tables_function_view(tables, first, &after));
    ck_assert_ptr_eq(before.qualname.data, after.qualname.data);
    ck_assert_ptr_eq(before.file.data, after.file.data);
    ck_assert_str_eq(before.qualname.data, "first");
    pp_tables_unref(tables);
}
END_TEST

START_TEST(test_caps)
{
    const pp_tables_limits limits = {
        .max_functions = 12,
        .max_frames = 14,
        .max_stacks = 5,
        .max_threads = 2,
    };
    pyprof_tables *tables = pp_tables_new(NULL, &limits);
    char name[32];
    uint32_t last = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "function_%d", i);
        last = function_of(tables, name, i);
        TEST_THAT(last != 0);
    }
    pp_function_key other;
    TEST_THAT(pp_tables_function_view(tables, last, &other));
    ck_assert_str_eq(other.qualname.data, "<other functions>");
    pp_tables_counters count = pp_tables_count(tables);
    TEST_THAT(count.functions == 12);
    TEST_THAT(count.folded == 96);
    /* what does not fit leaves nothing behind */
    uint64_t bytes = count.bytes;
    for (int i = 100; i < 2000; i++) {
        snprintf(name, sizeof(name), "function_%d", i);
        TEST_THAT(function_of(tables, name, i) == last);
    }
    TEST_THAT(pp_tables_count(tables).bytes == bytes);

    uint32_t function = function_of(tables, "function_0", 0);
    uint32_t frame = 0;
    for (int i = 0; i < 100; i++) {
        frame = frame_of(tables, function, i);
        TEST_THAT(frame != 0);
        TEST_THAT(pp_tables_frame_function(tables, frame) == function);
    }
    pyprof_frame view;
    TEST_THAT(pp_tables_frame_view(tables, frame, &view));
    TEST_THAT(view.line == PYPROF_UNKNOWN);
    TEST_THAT(frame_of(tables, function, 50) == frame);
    uint32_t other_frame = frame_of(tables, last, 1);
    TEST_THAT(pp_tables_frame_function(tables, other_frame) == last);
    TEST_THAT(pp_tables_count(tables).frames <= 14 + 2);

    uint32_t stack = 0;
    for (uint32_t i = 0; i < 100; i++) {
        stack = pp_tables_stack(tables, stack, frame);
        TEST_THAT(stack != 0);
    }
    TEST_THAT(pp_tables_depth(tables, stack) == 5);
    uint64_t folded = pp_tables_count(tables).folded;
    uint32_t rest = pp_tables_stack(tables, 0, other_frame);
    TEST_THAT(rest != 0);
    TEST_THAT(pp_tables_stack(tables, 0, other_frame) == rest);
    TEST_THAT(pp_tables_count(tables).folded == folded + 2);
    uint32_t rest_frame;
    TEST_THAT(pp_tables_stack_view(tables, rest, NULL, &rest_frame));
    TEST_THAT(pp_tables_frame_view(tables, rest_frame, &view));
    ck_assert_str_eq(view.function.data, "<other stacks>");
    TEST_THAT(pp_tables_stacks(tables) == 6);
    /* what is known keeps its number */
    TEST_THAT(pp_tables_stack(tables, 0, frame) == 1);
    pp_tables_unref(tables);
}
END_TEST

START_TEST(test_threads)
{
    const pp_tables_limits limits = {.max_threads = 2};
    fault_alloc fault;
    fault_init(&fault, 0, false);
    pyprof_tables *tables = pp_tables_new(&fault.table, &limits);
    char buffer[16] = "worker";
    pyprof_thread thread = {
        .sz = sizeof(thread),
        .native_id = 11,
        .os_id = 22,
        .python_id = 33,
        .pid = 44,
        .is_main = 1,
        .name = text_of(buffer),
    };
    ck_assert_uint_eq(pp_tables_thread_new(tables, &thread), 1);
    thread.name = text_of("");
    ck_assert_uint_eq(pp_tables_thread_new(tables, &thread), 2);
    ck_assert_uint_eq(pp_tables_thread_new(tables, &thread), 0);
    ck_assert_uint_eq(pp_tables_threads(tables), 2);
    strcpy(buffer, "changed");
    pyprof_thread back;
    ck_assert(pp_tables_thread_view(tables, 1, &back));
    ck_assert_str_eq(back.name.data, "worker");
    ck_assert_uint_eq(back.os_id, 22);
    ck_assert_int_eq(back.is_main, 1);
    ck_assert(pp_tables_thread_view(tables, 2, &back));
    ck_assert_str_eq(back.name.data, "");
    ck_assert(!pp_tables_thread_view(tables, 0, &back));
    ck_assert(!pp_tables_thread_view(tables, 3, &back));

    thread.name = text_of("a longer name than before");
    ck_assert_int_eq(pp_tables_thread_update(tables, 2, &thread), PYPROF_OK);
    ck_assert_int_eq(pp_tables_thread_update(tables, 0, &thread),
                     PYPROF_ERR_INVALID);
    ck_assert_int_eq(pp_tables_thread_update(tables, 3, &thread),
                     PYPROF_ERR_INVALID);
    uint64_t bytes = pp_tables_count(tables).bytes;
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(pp_tables_thread_update(tables, 2, &thread), 0);
    }
    ck_assert_uint_eq(pp_tables_count(tables).bytes, bytes);
    fault.fail_at = fault.requests + 1;
    thread.os_id = 5;
    ck_assert_int_eq(pp_tables_thread_update(tables, 2, &thread),
                     PYPROF_ERR_NO_MEMORY);
    ck_assert(pp_tables_thread_view(tables, 2, &back));
    ck_assert_uint_eq(back.os_id, 22);
    /* a thread may be updated with its own view */
    ck_assert_int_eq(pp_tables_thread_update(tables, 2, &back), PYPROF_OK);
    ck_assert(pp_tables_thread_view(tables, 2, &back));
    ck_assert_str_eq(back.name.data, "a longer name than before");
    pp_tables_unref(tables);
    ck_assert_int_eq(fault.held, 0);
}
END_TEST

START_TEST(test_steady_state_takes_no_memory)
{
    fault_alloc fault;
    fault_init(&fault, 0, false);
    pyprof_tables *tables = pp_tables_new(&fault.table, NULL);
    size_t requests = 0;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 1000; i++) {
            uint32_t function = function_of(tables, "f", i / 10);
            uint32_t frame = frame_of(tables, function, i);
            uint32_t stack = pp_tables_stack(tables, 0, frame);
            TEST_THAT(pp_tables_stack(tables, stack, frame) != 0);
        }
        if (round == 0) {
            requests = fault.requests;
        }
    }
    TEST_THAT(fault.requests == requests);
    pp_tables_unref(tables);
    TEST_THAT(fault.held == 0);
}
END_TEST

static bool build(fault_alloc *fault)
{
    pyprof_tables *tables = pp_tables_new(&fault->table, NULL);
    if (tables == NULL) {
        return false;
    }
    bool done = true;
    char name[32];
    uint32_t stack = 0;
    pyprof_thread thread = {.sz = sizeof(thread), .name = text_of("worker")};
    for (int i = 0; i < 700 && done; i++) {
        snprintf(name, sizeof(name), "f%d", i);
        uint32_t function = function_of(tables, name, i);
        uint32_t frame = function == 0 ? 0 : frame_of(tables, function, i);
        uint32_t next = frame == 0 ? 0 : pp_tables_stack(tables, stack, frame);
        done = next != 0 && pp_tables_thread_new(tables, &thread) != 0;
        if (next != 0) {
            stack = next;
        }
    }
    /* what was made stays whole after a failure */
    ck_assert_uint_eq(pp_tables_depth(tables, stack), stack);
    ck_assert_uint_eq(pp_tables_stacks(tables), stack);
    if (stack > 0) {
        uint32_t frame;
        uint32_t parent;
        ck_assert(pp_tables_stack_view(tables, stack, &parent, &frame));
        ck_assert_uint_eq(pp_tables_stack(tables, parent, frame), stack);
        pyprof_frame view;
        ck_assert(pp_tables_frame_view(tables, frame, &view));
        ck_assert_uint_eq(
            function_of(tables, view.function.data, view.first_line),
            view.function_id);
    }
    pp_tables_unref(tables);
    return done;
}

START_TEST(test_out_of_memory)
{
    fault_loop(build);
}
END_TEST

static void *take_and_give(void *user)
{
    pyprof_tables *tables = user;
    for (int i = 0; i < 10000; i++) {
        pp_tables_unref(pp_tables_ref(tables));
    }
    pp_tables_unref(tables);
    return NULL;
}

START_TEST(test_references)
{
    fault_alloc fault;
    fault_init(&fault, 0, false);
    pyprof_tables *tables = pp_tables_new(&fault.table, NULL);
    pthread_t thread;
    ck_assert_int_eq(
        pthread_create(&thread, NULL, take_and_give, pp_tables_ref(tables)), 0);
    for (int i = 0; i < 10000; i++) {
        pp_tables_unref(pp_tables_ref(tables));
    }
    pp_tables_unref(tables);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    ck_assert_int_eq(fault.held, 0);
    ck_assert_ptr_null(pp_tables_ref(NULL));
    pp_tables_unref(NULL);
}
END_TEST

START_TEST(test_memory_of_a_stack)
{
    pyprof_tables *tables = pp_tables_new(NULL, NULL);
    uint32_t function = function_of(tables, "f", 1);
    uint32_t frames[64];
    for (int i = 0; i < 64; i++) {
        frames[i] = frame_of(tables, function, i);
    }
    uint64_t before = pp_tables_count(tables).bytes;
    uint32_t parent = 0;
    for (uint32_t i = 0; i < (1U << 18); i++) {
        parent = pp_tables_stack(tables, i / 64, frames[i % 64]);
        TEST_THAT(parent == i + 1);
    }
    uint64_t bytes = pp_tables_count(tables).bytes - before;
    TEST_THAT(bytes / (1U << 18) <= 12 + 16);
    pp_tables_unref(tables);
}
END_TEST

SUITE_MAIN("sample.tables", test_synthetic, test_functions, test_frames,
           test_stacks, test_random_tree, test_text_never_moves, test_caps,
           test_threads, test_steady_state_takes_no_memory, test_out_of_memory,
           test_references, test_memory_of_a_stack)
