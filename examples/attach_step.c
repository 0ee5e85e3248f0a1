/*
 * attach_step.c: a program with a loop of its own samples another process, one
 * round at a time, into a collector of its own.
 *
 *     attach_step PID [ROUNDS]       prints the functions seen most often
 */
#include <pyprof/pyprof.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How often each function was innermost, by its number: numbers are small and
 * dense, so an array will do. */
enum { MAX_FUNCTIONS = 10000 };
typedef struct counts {
    uint64_t seen[MAX_FUNCTIONS];
    const pyprof_tables *tables;
    uint32_t frame[MAX_FUNCTIONS]; /* any frame of the function */
} counts;

static pyprof_status on_begin(void *self, const pyprof_session *session,
                              pyprof_error *err)
{
    counts *c = self;
    (void)err;
    c->tables = session->tables; /* stays until the collector is freed */
    return PYPROF_OK;
}

static pyprof_status on_sample(void *self, const pyprof_sample *sample,
                               pyprof_error *err)
{
    counts *c = self;
    (void)err;
    for (uint64_t i = 0; i < sample->n_stacks; i++) {
        uint32_t number = 0;
        pyprof_frame frame = {.sz = sizeof(frame)};
        if (pyprof_tables_stack(sample->tables, sample->stacks[i].stack, NULL,
                                &number) == PYPROF_OK &&
            pyprof_tables_frame(sample->tables, number, &frame) == PYPROF_OK &&
            frame.function_id < MAX_FUNCTIONS) {
            c->seen[frame.function_id] += sample->count;
            c->frame[frame.function_id] = number;
        }
    }
    return PYPROF_OK;
}

static void print_counts(const counts *c)
{
    for (uint32_t id = 0; id < MAX_FUNCTIONS; id++) {
        pyprof_frame frame = {.sz = sizeof(frame)};
        if (c->seen[id] > 0 &&
            pyprof_tables_frame(c->tables, c->frame[id], &frame) == PYPROF_OK) {
            printf("%8llu %s (%s:%d)\n", (unsigned long long)c->seen[id],
                   frame.function.data, frame.file.data, (int)frame.first_line);
        }
    }
}

static pyprof_status step_many(pyprof_sampler *sampler, long rounds,
                               pyprof_error *err)
{
    const struct timespec pause = {0, 5000000};
    pyprof_status status = PYPROF_OK;
    for (long i = 0; i < rounds && status == PYPROF_OK; i++) {
        status = pyprof_sampler_step(sampler, err);
        nanosleep(&pause, NULL); /* the program's own work would be here */
    }
    /* A target that ends is no failure: what was seen is there. */
    if (status == PYPROF_OK || status == PYPROF_ERR_GONE) {
        status = pyprof_sampler_finish(sampler, err);
    }
    return status;
}

int main(int argc, char **argv)
{
    static counts counted;
    static const pyprof_collector_ops ops = {
        .sz = sizeof(ops),
        .name = "counts",
        .begin = on_begin,
        .sample = on_sample,
    };
    pyprof_sampler_opts opts = {.sz = sizeof(opts),
                                .flags = PYPROF_SAMPLE_ALL_THREADS};
    pyprof_target *target = NULL;
    pyprof_sampler *sampler = NULL;
    pyprof_collector *collector = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    int64_t pid = argc > 1 ? strtoll(argv[1], NULL, 10) : 0;
    long rounds = argc > 2 ? strtol(argv[2], NULL, 10) : 100;

    pyprof_status status = pyprof_target_open(pid, NULL, &target, &err);
    if (status == PYPROF_OK) {
        status = pyprof_sampler_open(target, &opts, &sampler, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_collector_new(&ops, &counted, &collector, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_sampler_add(sampler, collector, &err);
    }
    if (status == PYPROF_OK) {
        status = step_many(sampler, rounds, &err);
    }
    if (status == PYPROF_OK) {
        print_counts(&counted);
    } else {
        fprintf(stderr, "attach_step: %s\n", err.message);
    }
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
    pyprof_target_close(target);
    return status == PYPROF_OK ? 0 : 1;
}
