/*
 * to_memory.c: starts a command, samples it at 500 Hz until it ends, keeps the
 * profile in memory.
 *
 *     to_memory COMMAND [ARG...]       prints the stack that was seen most
 */
#include <pyprof/pyprof.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* In the collapsed format the most frequent stack is the first line. */
static void print_first(pyprof_text profile)
{
    const char *end = memchr(profile.data, '\n', (size_t)profile.size);
    size_t size = end != NULL ? (size_t)(end - profile.data) : 0;
    printf("%" PRIu64 " bytes; most often: %.*s\n", profile.size, (int)size,
           profile.data);
}

static pyprof_status write_profile(pyprof_collector *collector,
                                   pyprof_error *err)
{
    pyprof_writer *writer = NULL;
    pyprof_status status = pyprof_writer_open_memory(NULL, &writer, err);
    if (status == PYPROF_OK) {
        status = pyprof_collector_write(collector, writer, err);
    }
    if (status == PYPROF_OK) {
        print_first(pyprof_writer_memory(writer));
    }
    pyprof_writer_close(writer);
    return status;
}

int main(int argc, char **argv)
{
    pyprof_command command = {.sz = sizeof(command),
                              .argv = (const char *const *)(argv + 1)};
    pyprof_sampler_opts opts = {.sz = sizeof(opts), .interval_ns = 2000000};
    pyprof_target *target = NULL;
    pyprof_sampler *sampler = NULL;
    pyprof_collector *collector = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    int32_t exit_status = 1;

    (void)argc;
    pyprof_status status = pyprof_target_spawn(&command, NULL, &target, &err);
    if (status == PYPROF_OK) {
        status = pyprof_target_ready(target, UINT64_MAX, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_sampler_open(target, &opts, &sampler, &err);
    }
    if (status == PYPROF_OK) {
        status =
            pyprof_collector_new_format("collapsed", NULL, &collector, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_sampler_add(sampler, collector, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_sampler_start(sampler, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_sampler_wait(sampler, UINT64_MAX, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_target_wait(target, UINT64_MAX, &exit_status, &err);
    }
    if (status == PYPROF_OK) {
        status = write_profile(collector, &err);
    }
    if (status != PYPROF_OK) {
        fprintf(stderr, "to_memory: %s\n", err.message);
    }
    pyprof_sampler_close(sampler);
    pyprof_collector_free(collector);
    pyprof_target_close(target);
    return status == PYPROF_OK ? exit_status : 1;
}
