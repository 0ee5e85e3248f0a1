/*
 * api_target.c: pyprof/target.h. Checks arguments, builds the shapes of the
 * versions that layout knows (target must not include layout), calls down.
 */
#include <pyprof/target.h>

#include "layout/layout.h"
#include "os/os.h"
#include "target/target.h"

#include <stdio.h>
#include <string.h>

/* As many versions as there may ever be rows; more are not offered. */
enum { MAX_SHAPES = 64 };

static size_t read_shapes(pp_runtime_shape *to)
{
    const pp_version_row *rows = NULL;
    size_t n = pp_layout_versions(&rows);
    if (n > MAX_SHAPES) {
        n = MAX_SHAPES;
    }
    for (size_t i = 0; i < n; i++) {
        const pp_layout *table = rows[i].table;
        memset(&to[i], 0, sizeof(to[i]));
        to[i].version = rows[i].version;
        to[i].free_threaded = rows[i].free_threaded;
        to[i].runtime_size = table->rt.size;
        to[i].interpreters_head = table->rt.interpreters_head;
        to[i].interp_threads_head = table->is.threads_head;
        to[i].tstate_interp = table->ts.interp;
        to[i].tstate_next = table->ts.next;
        to[i].interp_next = table->is.next;
    }
    return n;
}

/* What a handle is made with. Lives as long as the call that reads it. */
typedef struct opening {
    pyprof_target_opts opts;
    pp_runtime_shape shapes[MAX_SHAPES];
    pp_target_config config;
} opening;

static pyprof_status opening_read(opening *to, const pyprof_target_opts *opts,
                                  pyprof_error *err)
{
    memset(to, 0, sizeof(*to));
    PP_TRY(pp_opts_read(&to->opts, sizeof(to->opts), opts, "pyprof_target_opts",
                        err));
    if (to->opts.allocator != NULL) {
        pp_allocator checked;
        PP_TRY(pp_alloc_init(&checked, to->opts.allocator, err));
    }
    to->config.allocator = to->opts.allocator;
    to->config.log.fn = to->opts.log;
    to->config.log.user = to->opts.log_user;
    to->config.shapes = to->shapes;
    to->config.n_shapes = read_shapes(to->shapes);
    return PYPROF_OK;
}

static pyprof_status check_pid(int64_t pid, pyprof_error *err)
{
    if (pid <= 0) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "a process id is a positive number, not %lld",
                            (long long)pid);
    }
    return PYPROF_OK;
}

static pyprof_status no_target(pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_INVALID, "the target is NULL");
}

pyprof_status pyprof_target_open(int64_t pid, const pyprof_target_opts *opts,
                                 pyprof_target **out_target, pyprof_error *err)
{
    opening with;
    if (out_target == NULL) {
        return pp_error_set(err, PYPROF_ERR_INVALID, "out_target is NULL");
    }
    PP_TRY(check_pid(pid, err));
    PP_TRY(opening_read(&with, opts, err));
    return pp_target_open(pid, &with.config, out_target, err);
}

pyprof_status pyprof_target_open_self(const pyprof_target_opts *opts,
                                      pyprof_target **out_target,
                                      pyprof_error *err)
{
    return pyprof_target_open(pp_os_self_pid(), opts, out_target, err);
}

pyprof_status pyprof_target_spawn(const pyprof_command *command,
                                  const pyprof_target_opts *opts,
                                  pyprof_target **out_target, pyprof_error *err)
{
    opening with;
    pyprof_command read;
    pp_os_command start;
    if (out_target == NULL || command == NULL) {
        return pp_error_set(err, PYPROF_ERR_INVALID, "%s is NULL",
                            command == NULL ? "command" : "out_target");
    }
    memset(&read, 0, sizeof(read));
    PP_TRY(pp_opts_read(&read, sizeof(read), command, "pyprof_command", err));
    PP_TRY(opening_read(&with, opts, err));
    if (read.argv == NULL || read.argv[0] == NULL || read.argv[0][0] == '\0') {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "the command is empty: argv needs a program");
    }
    if (read.reserved != 0) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "pyprof_command.reserved is not 0");
    }
    start.argv = read.argv;
    start.envp = read.envp;
    start.cwd = read.cwd;
    for (int i = 0; i < 3; i++) {
        if (read.fds[i] < 0) {
            return pp_error_set(err, PYPROF_ERR_INVALID,
                                "pyprof_command.fds[%d] is negative", i);
        }
        start.fds[i] = read.fds[i] - 1; /* 0 stands for "inherited" */
    }
    return pp_target_spawn(&start, &with.config, out_target, err);
}

pyprof_status pyprof_target_ready(pyprof_target *target, uint64_t timeout_ns,
                                  pyprof_error *err)
{
    if (target == NULL) {
        return no_target(err);
    }
    return pp_target_ready(target, timeout_ns, err);
}

void pyprof_target_interrupt(pyprof_target *target)
{
    if (target != NULL) {
        pp_target_interrupt(target);
    }
}

pyprof_status pyprof_target_describe(const pyprof_target *target,
                                     pyprof_target_info *out_info)
{
    pyprof_target_info info;
    if (target == NULL || out_info == NULL) {
        return PYPROF_ERR_INVALID;
    }
    pp_target_describe(target, &info);
    return pp_opts_write(out_info, &info, sizeof(info)) ? PYPROF_OK
                                                        : PYPROF_ERR_INVALID;
}

int32_t pyprof_target_alive(const pyprof_target *target)
{
    return target != NULL && pp_target_alive(target);
}

pyprof_status pyprof_target_wait(pyprof_target *target, uint64_t timeout_ns,
                                 int32_t *out_status, pyprof_error *err)
{
    int32_t status = 0;
    if (target == NULL) {
        return no_target(err);
    }
    PP_TRY(pp_target_wait(target, timeout_ns, &status, err));
    if (out_status != NULL) {
        *out_status = status;
    }
    return PYPROF_OK;
}

pyprof_status pyprof_target_end(pyprof_target *target, uint64_t grace_ns,
                                pyprof_error *err)
{
    if (target == NULL) {
        return no_target(err);
    }
    return pp_target_end(target, grace_ns, err);
}

static pyprof_status believe(pp_reader *reader, const pp_runtime *runtime,
                             char *detail, size_t size, pyprof_error *err)
{
    pp_layout layout;
    const char *note = NULL;
    PP_TRY(pp_layout_load(reader, runtime->address, runtime->hex_version,
                          (runtime->build & PP_BUILD_FREE_THREADED) != 0,
                          &layout, &note, err));
    (void)snprintf(detail, size, "%s%s%s",
                   layout.debug_offsets ? "as it describes them itself"
                                        : "as this version has them",
                   note != NULL ? "; " : "", note != NULL ? note : "");
    return PYPROF_OK;
}

pyprof_status pyprof_target_check(int64_t pid,
                                  void (*step)(void *user,
                                               const pyprof_check_step *step),
                                  void *user, pyprof_error *err)
{
    opening with;
    pp_target_checker checker;
    PP_TRY(check_pid(pid, err));
    PP_TRY(opening_read(&with, NULL, err));
    checker.config = with.config;
    checker.believe = believe;
    checker.step = step;
    checker.user = user;
    return pp_target_check(pid, &checker, err);
}

void pyprof_target_close(pyprof_target *target)
{
    pp_target_close(target);
}

pyprof_status pyprof_supported_version(uint32_t index,
                                       pyprof_version_info *out_info)
{
    const pp_version_row *rows = NULL;
    size_t n = pp_layout_versions(&rows);
    pyprof_version_info info;
    if (index >= n || out_info == NULL) {
        return PYPROF_ERR_INVALID;
    }
    memset(&info, 0, sizeof(info));
    info.sz = sizeof(info);
    info.version = rows[index].version;
    info.free_threaded = rows[index].free_threaded;
    info.name = rows[index].name;
    return pp_opts_write(out_info, &info, sizeof(info)) ? PYPROF_OK
                                                        : PYPROF_ERR_INVALID;
}
