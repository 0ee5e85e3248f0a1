/*
 * snapshot.c: what a process does at this moment, without sampling it.
 *
 *     snapshot PID         prints the stack of each thread, innermost first
 */
#include <pyprof/pyprof.h>

#include <stdio.h>
#include <stdlib.h>

static void print_stack(const pyprof_tables *tables, uint32_t stack)
{
    while (stack != 0) {
        uint32_t number = 0;
        pyprof_frame frame = {.sz = sizeof(frame)};
        if (pyprof_tables_stack(tables, stack, &stack, &number) != PYPROF_OK ||
            pyprof_tables_frame(tables, number, &frame) != PYPROF_OK) {
            break;
        }
        printf("    %s (%s:%d)\n", frame.function.data, frame.file.data,
               (int)frame.line);
    }
}

/* The sample is lent for the time of this call. */
static int32_t on_sample(void *user, const pyprof_sample *sample)
{
    (void)user;
    for (uint64_t i = 0; i < sample->n_stacks; i++) {
        const pyprof_stack_sample *one = &sample->stacks[i];
        pyprof_thread thread = {.sz = sizeof(thread)};
        if (pyprof_tables_thread(sample->tables, one->thread, &thread) ==
            PYPROF_OK) {
            printf("thread %llu \"%s\"%s\n",
                   (unsigned long long)thread.native_id, thread.name.data,
                   one->flags & PYPROF_THREAD_HAS_GIL ? ", has the GIL" : "");
            print_stack(sample->tables, one->stack);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    pyprof_sampler_opts opts = {.sz = sizeof(opts),
                                .flags = PYPROF_SAMPLE_ALL_THREADS};
    pyprof_target *target = NULL;
    pyprof_sampler *sampler = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    int64_t pid = argc > 1 ? strtoll(argv[1], NULL, 10) : 0;

    pyprof_status status = pyprof_target_open(pid, NULL, &target, &err);
    if (status == PYPROF_OK) {
        status = pyprof_sampler_open(target, &opts, &sampler, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_sampler_snapshot(sampler, on_sample, NULL, &err);
    }
    if (status != PYPROF_OK) {
        fprintf(stderr, "snapshot: %s\n", err.message);
    }
    pyprof_sampler_close(sampler);
    pyprof_target_close(target);
    return status == PYPROF_OK ? 0 : 1;
}
