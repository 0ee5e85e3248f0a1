/*
 * pages: drives one output format through a made-up profile and says what it
 * took. In: a format, a number of distinct stacks, where to write. Out: a line
 * of JSON.
 *
 *   pages FORMAT STACKS PATH
 *
 * The profile is that of pages_315.py, number for number: STACKS different
 * stacks, 12 to 25 frames deep, that share callers as those of a program do, in
 * 4 threads, each seen once or a few times, one a millisecond.
 */
#include "collector/collector.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { FUNCTIONS = 4000, FILES = 200, THREADS = 4, DEPTH_MAX = 25 };

static uint64_t state = 88172645463325252u;

/* xorshift64 */
static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static long peak_kb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static uint32_t frame_of(pyprof_tables *t, uint32_t function, uint32_t line)
{
    char name[32];
    char file[48];
    snprintf(name, sizeof(name), "Class%u.method_%u", function / 20, function);
    snprintf(file, sizeof(file), "/srv/app/package/module_%u.py",
             function % FILES);
    const pp_function_key key = {
        .qualname = {.data = name, .size = strlen(name)},
        .name = {.data = name, .size = strlen(name)},
        .file = {.data = file, .size = strlen(file)},
        .first_line = (int32_t)(function % 997 + 1),
    };
    pp_position at = PP_POSITION_UNKNOWN;
    at.line = (int32_t)(function % 997 + 1 + line);
    return pp_tables_frame(t, pp_tables_function(t, &key), &at);
}

/* The stack that the next random numbers give. At each level one of a few
 * callees of the function above, the first one most often. */
static uint32_t next_stack(pyprof_tables *t)
{
    uint32_t depth = 12 + (uint32_t)(next_random() % 14);
    uint32_t function = 0;
    uint32_t stack = 0;
    for (uint32_t level = 0; level < depth; level++) {
        uint64_t bits = next_random();
        uint32_t choice = 0;
        while (choice < 6 && (bits & 7) == 7) {
            choice++;
            bits >>= 3;
        }
        function = (function * 31 + choice * 7 + level + 1) % FUNCTIONS;
        /* callers are in a line or two, what is innermost in any */
        uint32_t line = level + 2 < depth ? 0 : (uint32_t)(bits >> 20) % 40;
        stack = pp_tables_stack(t, stack, frame_of(t, function, line));
    }
    return stack;
}

/* Different stacks: numbers of `n` of them. */
static uint32_t *make_stacks(pyprof_tables *t, size_t n)
{
    size_t room = (size_t)1 << 24;
    uint8_t *seen = calloc(room, 1);
    uint32_t *stacks = calloc(n, sizeof(*stacks));
    if (seen == NULL || stacks == NULL) {
        exit(1);
    }
    for (size_t i = 0; i < n;) {
        uint32_t stack = next_stack(t);
        if (stack == 0 || stack >= room) {
            exit(1);
        }
        if (seen[stack] == 0) {
            seen[stack] = 1;
            stacks[i++] = stack;
        }
    }
    free(seen);
    return stacks;
}

static void must(pyprof_status status, const pyprof_error *err)
{
    if (status != PYPROF_OK) {
        fprintf(stderr, "%s\n", err->message);
        exit(1);
    }
}

static void collect(pyprof_collector *c, pyprof_tables *t,
                    const uint32_t *stacks, size_t n)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    const pyprof_session session = {
        .sz = sizeof(session), .interval_ns = 1000000, .tables = t};
    must(pp_collector_begin(c, &session, t, &err), &err);
    for (size_t i = 0; i < n; i++) {
        const pyprof_stack_sample seen = {
            .thread = 1 + (uint32_t)(i % THREADS),
            .stack = stacks[i],
            .depth = pp_tables_depth(t, stacks[i]),
            .flags = PYPROF_THREAD_HAS_GIL | PYPROF_THREAD_CPU_UNKNOWN};
        const pyprof_sample sample = {.sz = sizeof(sample),
                                      .time_ns = i * UINT64_C(1000000),
                                      .count = 1 + i % 3,
                                      .stacks = &seen,
                                      .n_stacks = 1};
        must(pp_collector_sample(c, &sample, &err), &err);
    }
    const pyprof_summary summary = {.sz = sizeof(summary),
                                    .duration_ns = n * UINT64_C(1000000),
                                    .rounds = n,
                                    .attempted = n,
                                    .whole = n};
    must(pp_collector_end(c, &summary, &err), &err);
}

static pyprof_status drive_baseline(void *user, pyprof_collector *into,
                                    pyprof_error *err)
{
    pyprof_tables *t = pp_tables_new(NULL, NULL);
    size_t n = *(size_t *)user;
    const pyprof_thread thread = {.sz = sizeof(thread), .os_id = 1};
    for (int i = 0; i < THREADS; i++) {
        (void)pp_tables_thread_new(t, &thread);
    }
    uint32_t *stacks = make_stacks(t, n);
    collect(into, t, stacks, n);
    free(stacks);
    pp_tables_unref(t);
    (void)err;
    return PYPROF_OK;
}

static pyprof_writer *open_writer(const char *format, const char *path)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_writer *w = NULL;
    pyprof_writer_opts opts = {.sz = sizeof(opts)};
    must(strcmp(format, "heatmap") == 0
             ? pyprof_writer_open_folder(path, &opts, &w, &err)
             : pyprof_writer_open_path(path, &opts, &w, &err),
         &err);
    return w;
}

int main(int argc, char **argv)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    if (argc != 4) {
        fprintf(stderr, "usage: pages FORMAT STACKS PATH\n");
        return 2;
    }
    size_t n = strtoul(argv[2], NULL, 10);
    pyprof_tables *t = pp_tables_new(NULL, NULL);
    for (int i = 1; i <= THREADS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "worker-%d", i);
        const pyprof_thread thread = {
            .sz = sizeof(thread),
            .os_id = 1000 + (uint64_t)i,
            .is_main = i == 1,
            .name = {.data = name, .size = strlen(name)}};
        (void)pp_tables_thread_new(t, &thread);
    }
    uint32_t *stacks = make_stacks(t, n);
    const pyprof_format_opts opts = {
        .sz = sizeof(opts), .baseline = drive_baseline, .baseline_user = &n};
    pyprof_collector *c = NULL;
    must(pp_collector_new_format(argv[1], &opts, &c, &err), &err);
    long before = peak_kb();
    double start = now();
    collect(c, t, stacks, n);
    double collected = now();
    pyprof_writer *w = open_writer(argv[1], argv[3]);
    must(pp_collector_write(c, w, &err), &err);
    must(pp_writer_finish(w, &err), &err);
    printf("{\"format\": \"%s\", \"stacks\": %zu, \"nodes\": %lu, "
           "\"collect_s\": %.3f, \"write_s\": %.3f, \"peak_mb\": %.1f, "
           "\"input_mb\": %.1f}\n",
           argv[1], n, (unsigned long)pp_tables_stacks(t), collected - start,
           now() - collected, (double)peak_kb() / 1024, (double)before / 1024);
    pp_writer_close(w);
    pp_collector_free(c);
    pp_tables_unref(t);
    free(stacks);
    return 0;
}
