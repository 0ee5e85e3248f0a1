/*
 * Names of threads in a run, on every interpreter and for each way of driving
 * it: while it goes on, for threads that end and whose identity is used again;
 * and at its end, for a thread that was renamed.
 */
#include <check.h>
#include <pyprof/pyprof.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Longer than what the system keeps of a name. */
static const char *const FIRST = "the first of the two threads";
static const char *const SECOND = "the second of the two threads";
static const char *const RENAMED = "the second, by another name";

enum { MAX_INTERPRETERS = 64, MAX_WORDS = 16 };
static char lines[MAX_INTERPRETERS][1024];
static int n_interpreters;
static char program[4096];

/* NAME<TAB>COMMAND, one a line, as run_live.py gives them. */
static void read_interpreters(void)
{
    const char *path = getenv("PYPROF_INTERPRETERS");
    FILE *file = path != NULL ? fopen(path, "r") : NULL;
    if (file == NULL) {
        fprintf(stderr, "start this by tests/run_live.py\n");
        exit(EXIT_FAILURE);
    }
    while (n_interpreters < MAX_INTERPRETERS &&
           fgets(lines[n_interpreters], sizeof(lines[0]), file) != NULL) {
        n_interpreters++;
    }
    fclose(file);
}

/* ---- the target ------------------------------------------------------------
 */

typedef struct running {
    pyprof_target *target;
    int input, output;
    const char *name; /* of the interpreter */
} running;

static running start(int interpreter)
{
    const char *argv[MAX_WORDS + 2];
    char *line = lines[interpreter];
    int words = 0;
    int input[2];
    int output[2];
    running r = {.name = strtok(line, "\t")};
    pyprof_error err = PYPROF_ERROR_INIT;
    while (words < MAX_WORDS && (argv[words] = strtok(NULL, " \n")) != NULL) {
        words++;
    }
    argv[words++] = program;
    argv[words] = NULL;
    ck_assert_int_eq(pipe(input) | pipe(output), 0);
    pyprof_command command = {.sz = sizeof(command), .argv = argv};
    command.fds[0] = input[0] + 1;
    command.fds[1] = output[1] + 1;
    ck_assert_msg(pyprof_target_spawn(&command, NULL, &r.target, &err) ==
                      PYPROF_OK,
                  "%s: %s", r.name, err.message);
    close(input[0]);
    close(output[1]);
    r.input = input[1];
    r.output = output[0];
    ck_assert_msg(pyprof_target_ready(r.target, UINT64_MAX, &err) == PYPROF_OK,
                  "%s: %s", r.name, err.message);
    return r;
}

static void next(const running *r)
{
    ck_assert_int_eq(write(r->input, "\n", 1), 1);
}

static void wait_for_answer(const running *r)
{
    char c = '\0';
    while (c != '\n') {
        ck_assert_int_eq(read(r->output, &c, 1), 1);
    }
}

/* ---- what was seen ---------------------------------------------------------
 */

typedef struct seen {
    atomic_bool first, second;
    const pyprof_tables *tables;
    uint32_t last; /* highest number of a thread */
} seen;

static pyprof_status on_begin(void *self, const pyprof_session *session,
                              pyprof_error *err)
{
    (void)err;
    ((seen *)self)->tables = session->tables;
    return PYPROF_OK;
}

static pyprof_status on_sample(void *self, const pyprof_sample *sample,
                               pyprof_error *err)
{
    seen *s = self;
    (void)err;
    for (uint64_t i = 0; i < sample->n_stacks; i++) {
        pyprof_thread thread = {.sz = sizeof(thread)};
        uint32_t number = sample->stacks[i].thread;
        if (pyprof_tables_thread(sample->tables, number, &thread) !=
            PYPROF_OK) {
            return PYPROF_ERR_INVALID;
        }
        s->last = number > s->last ? number : s->last;
        if (strcmp(thread.name.data, FIRST) == 0) {
            atomic_store(&s->first, true);
        } else if (strcmp(thread.name.data, SECOND) == 0) {
            atomic_store(&s->second, true);
        }
    }
    return PYPROF_OK;
}

static int count_names(const seen *s, const char *name)
{
    int n = 0;
    for (uint32_t number = 1; number <= s->last; number++) {
        pyprof_thread thread = {.sz = sizeof(thread)};
        ck_assert_int_eq(pyprof_tables_thread(s->tables, number, &thread),
                         PYPROF_OK);
        n += strcmp(thread.name.data, name) == 0;
    }
    return n;
}

/* ---- the run ---------------------------------------------------------------
 */

static void wait_until(atomic_bool *flag, pyprof_sampler *sampler, bool steps)
{
    const struct timespec pause = {0, 2000000};
    pyprof_error err = PYPROF_ERROR_INIT;
    while (!atomic_load(flag)) { /* or until Check's patience ends */
        if (steps) {
            ck_assert_msg(pyprof_sampler_step(sampler, &err) == PYPROF_OK, "%s",
                          err.message);
        }
        nanosleep(&pause, NULL);
    }
}

static void run(int interpreter, uint64_t flags, bool steps)
{
    static const pyprof_collector_ops ops = {.sz = sizeof(ops),
                                             .name = "seen",
                                             .begin = on_begin,
                                             .sample = on_sample};
    pyprof_sampler_opts opts = {.sz = sizeof(opts),
                                .flags = flags | PYPROF_SAMPLE_ALL_THREADS};
    seen s = {.last = 0};
    pyprof_sampler *sampler = NULL;
    pyprof_collector *collector = NULL;
    running r = start(interpreter);
    ck_assert_int_eq(pyprof_sampler_open(r.target, &opts, &sampler, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(pyprof_collector_new(&ops, &s, &collector, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(pyprof_sampler_add(sampler, collector, NULL), PYPROF_OK);
    if (!steps) {
        ck_assert_int_eq(pyprof_sampler_start(sampler, NULL), PYPROF_OK);
    }
    wait_until(&s.first, sampler, steps);
    next(&r);
    wait_until(&s.second, sampler, steps);
    next(&r);
    wait_for_answer(&r);
    if (steps) {
        ck_assert_int_eq(pyprof_sampler_finish(sampler, NULL), PYPROF_OK);
    } else {
        pyprof_sampler_stop(sampler);
        ck_assert_int_eq(pyprof_sampler_wait(sampler, UINT64_MAX, NULL),
                         PYPROF_OK);
    }
    ck_assert_msg(count_names(&s, FIRST) == 1, "%s", r.name);
    ck_assert_msg(count_names(&s, SECOND) == 0, "%s", r.name);
    ck_assert_msg(count_names(&s, RENAMED) == 1, "%s", r.name);
    /* Up to 3.11 a thread has its parent's identity until it runs. */
    ck_assert_msg(count_names(&s, "MainThread") >= 1, "%s", r.name);
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
    close(r.input);
    close(r.output);
    pyprof_target_end(r.target, 0, NULL);
    pyprof_target_close(r.target);
}

START_TEST(test_own_threads)
{
    run(_i, 0, false);
}
END_TEST

START_TEST(test_inline)
{
    run(_i, PYPROF_SAMPLE_INLINE, false);
}
END_TEST

START_TEST(test_steps)
{
    run(_i, 0, true);
}
END_TEST

int main(void)
{
    const char *slash = strrchr(__FILE__, '/');
    size_t folder = slash != NULL ? (size_t)(slash + 1 - __FILE__) : 0;
    snprintf(program, sizeof(program), "%.*sprograms/thread_names_run.py",
             (int)folder, __FILE__);
    read_interpreters();
    Suite *suite = suite_create("sampled_names");
    TCase *tcase = tcase_create("sampled_names");
    tcase_add_loop_test(tcase, test_own_threads, 0, n_interpreters);
    tcase_add_loop_test(tcase, test_inline, 0, n_interpreters);
    tcase_add_loop_test(tcase, test_steps, 0, n_interpreters);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
