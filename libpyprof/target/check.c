/*
 * check.c: whether a process can be profiled, step by step. In: a process id.
 * Out: each step with what was found or why it failed and what to do about it.
 *
 * Invariant: nothing is stopped or changed; a step that fails is the last one.
 * Must not know: layouts (the checker brings a judge), frames, sampling.
 */
#include "target/target.h"

#include <stdio.h>
#include <string.h>

typedef struct checking {
    const pp_target_checker *checker;
    const pp_target_config *config;
    pp_os_process *process;
    pp_reader *reader;
    pp_runtime runtime;
    char detail[PYPROF_ERROR_MESSAGE_SIZE];
    pyprof_error err;
} checking;

/* Tells of one step; what failed is told by its message. */
static pyprof_status tell(checking *c, const char *step, pyprof_status status)
{
    if (c->checker->step != NULL) {
        const char *detail = c->detail;
        pyprof_check_step told;
        if (status != PYPROF_OK) {
            detail = c->err.message[0] != '\0' ? c->err.message
                                               : "no reason is known";
        }
        memset(&told, 0, sizeof(told));
        told.sz = sizeof(told);
        told.status = status;
        told.step.data = step;
        told.step.size = strlen(step);
        told.detail.data = detail;
        told.detail.size = strlen(detail);
        c->checker->step(c->checker->user, &told);
    }
    c->detail[0] = '\0';
    return status;
}

static pyprof_status find_process(checking *c, int64_t pid)
{
    pyprof_status status =
        pp_os_process_open(c->config->allocator, pid, &c->process, &c->err);
    if (status == PYPROF_OK) {
        (void)pp_os_process_exe(c->process, c->detail, sizeof(c->detail));
        if (c->detail[0] == '\0') {
            (void)snprintf(c->detail, sizeof(c->detail), "process %lld",
                           (long long)pid);
        }
    }
    return tell(c, "find the process", status);
}

/* Reads a few bytes of its first readable mappings; one is enough. */
static pyprof_status try_reading(checking *c)
{
    pp_os_maps maps;
    char bytes[16];
    bool done = false;
    PP_TRY(
        pp_os_process_maps(c->process, c->config->allocator, &maps, &c->err));
    for (size_t i = 0; i < maps.n && !done; i++) {
        done = (maps.items[i].flags & PP_OS_MAP_READ) != 0 &&
               pp_reader_read(c->reader, maps.items[i].start, bytes,
                              sizeof(bytes)) == PYPROF_OK;
    }
    pp_os_maps_free(&maps);
    return done ? PYPROF_OK : pp_os_process_explain(c->process, &c->err);
}

static pyprof_status read_memory(checking *c)
{
    pyprof_status status = pp_reader_open_process(
        c->config->allocator, c->process, &c->reader, &c->err);
    if (status == PYPROF_OK) {
        status = try_reading(c);
    }
    (void)snprintf(c->detail, sizeof(c->detail), "allowed");
    return tell(c, "read its memory", status);
}

static pyprof_status find_python(checking *c)
{
    static const char *const step = "find its Python";
    static const char *const version_step = "know its version";
    const pp_target_config *config = c->config;
    pp_runtime *runtime = &c->runtime;
    pyprof_status status =
        pp_target_find(c->process, c->reader, config->shapes, config->n_shapes,
                       config->allocator, &config->log, runtime, &c->err);
    if (status == PYPROF_ERR_UNSUPPORTED_TARGET) {
        (void)snprintf(c->detail, sizeof(c->detail), "there is one");
        (void)tell(c, step, PYPROF_OK);
        return tell(c, version_step, status);
    }
    if (status == PYPROF_OK) {
        (void)snprintf(c->detail, sizeof(c->detail), "by %s, in %s",
                       pp_target_found_text(runtime->found_by),
                       runtime->path[0] != '\0' ? runtime->path
                                                : "memory without a file");
    }
    PP_TRY(tell(c, step, status));
    if (pp_target_shape(config->shapes, config->n_shapes, runtime) == NULL) {
        status = pp_error_set(&c->err, PYPROF_ERR_UNSUPPORTED_TARGET,
                              "this library does not know Python %u.%u: a "
                              "newer one may",
                              (unsigned)(runtime->hex_version >> 24),
                              (unsigned)(runtime->hex_version >> 16) & 0xffu);
    }
    (void)snprintf(c->detail, sizeof(c->detail), "CPython %u.%u.%u%s%s",
                   (unsigned)(runtime->hex_version >> 24),
                   (unsigned)(runtime->hex_version >> 16) & 0xffu,
                   (unsigned)(runtime->hex_version >> 8) & 0xffu,
                   runtime->build & PP_BUILD_FREE_THREADED ? ", free-threaded"
                                                           : "",
                   runtime->build & PP_BUILD_DEBUG ? ", debug build" : "");
    return tell(c, version_step, status);
}

static pyprof_status believe(checking *c)
{
    pyprof_status status = c->checker->believe(
        c->reader, &c->runtime, c->detail, sizeof(c->detail), &c->err);
    return tell(c, "believe its structures", status);
}

static pyprof_status read_threads(checking *c)
{
    const pp_runtime_shape *shape =
        pp_target_shape(c->config->shapes, c->config->n_shapes, &c->runtime);
    pp_target_census census = {0, 0, false};
    pyprof_status status =
        pp_target_count(c->reader, &c->runtime, shape, true, &census);
    if (status != PYPROF_OK) {
        (void)pp_error_set(&c->err, status, "its runtime can't be read");
    } else if (census.threads == 0) {
        status = pp_error_set(&c->err, PYPROF_ERR_NOT_READY,
                              "its Python has no thread: it is not (or no "
                              "longer) initialised, try again");
    }
    (void)snprintf(
        c->detail, sizeof(c->detail), "%u interpreter%s, %u thread%s%s",
        (unsigned)census.interpreters, census.interpreters == 1 ? "" : "s",
        (unsigned)census.threads, census.threads == 1 ? "" : "s",
        census.cut ? " or more" : "");
    return tell(c, "read its threads", status);
}

static pyprof_status stop_thread(checking *c, int64_t pid)
{
    pyprof_status status =
        pp_os_thread_may_stop(c->process, (uint64_t)pid, &c->err);
    (void)snprintf(c->detail, sizeof(c->detail), "%s",
                   pid == pp_os_self_pid() ? "not needed in this process"
                                           : "allowed (not tried)");
    return tell(c, "stop a thread", status);
}

static pyprof_status all_steps(checking *c, int64_t pid)
{
    PP_TRY(find_process(c, pid));
    PP_TRY(read_memory(c));
    PP_TRY(find_python(c));
    PP_TRY(believe(c));
    PP_TRY(read_threads(c));
    return stop_thread(c, pid);
}

pyprof_status pp_target_check(int64_t pid, const pp_target_checker *checker,
                              pyprof_error *err)
{
    checking c;
    memset(&c, 0, sizeof(c));
    c.checker = checker;
    c.config = &checker->config;
    c.err.sz = sizeof(c.err);
    pyprof_status status = all_steps(&c, pid);
    /* One that ended on the way fails with whatever read came next. */
    if (status != PYPROF_OK && status != PYPROF_ERR_NO_PROCESS &&
        c.process != NULL && !pp_os_process_alive(c.process)) {
        status = pp_error_set(&c.err, PYPROF_ERR_GONE, "process %lld has ended",
                              (long long)pid);
    }
    if (status != PYPROF_OK && err != NULL) {
        (void)pp_error_set(err, status, "%s", c.err.message);
    }
    pp_reader_close(c.reader);
    pp_os_process_close(c.process);
    return status;
}
