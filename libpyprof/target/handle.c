/*
 * handle.c: the target as the public interface hands it out. In: a process id,
 * or a command to start. Out: a pinned process, a reader of its memory, and the
 * place and version of its Python, once there is one.
 *
 * Invariants:
 * - `has_runtime` is set only when the runtime had a thread state when it was
 *   looked at, in the program that `image_id` stands for.
 * - A process is never stopped, changed or signalled here, except by
 *   pp_target_end, and that only when this library started it.
 *
 * Must not know: layouts (shapes are given), frames, sampling.
 */
#include "target/target.h"

#include <string.h>

static const uint64_t MILLISECOND = 1000000;
static const uint64_t SECOND = 1000000000;

/* ---- small things ------------------------------------------------------- */

const char *pp_target_found_text(pp_found_by found_by)
{
    switch (found_by) {
    case PP_FOUND_DYNSYM:
        return "dynamic symbols";
    case PP_FOUND_SECTION:
        return "section";
    case PP_FOUND_SYMTAB:
        return "symbol table";
    case PP_FOUND_COOKIE:
        return "cookie";
    case PP_FOUND_POINTERS:
        return "pointers";
    case PP_FOUND_NOT:
        break;
    }
    return "";
}

const pp_runtime_shape *pp_target_shape(const pp_runtime_shape *shapes,
                                        size_t n_shapes,
                                        const pp_runtime *runtime)
{
    bool free_threaded = (runtime->build & PP_BUILD_FREE_THREADED) != 0;
    for (size_t i = 0; i < n_shapes; i++) {
        if (shapes[i].version == runtime->hex_version >> 16 &&
            (shapes[i].free_threaded != 0) == free_threaded) {
            return &shapes[i];
        }
    }
    return NULL;
}

static uint64_t deadline_of(uint64_t timeout_ns)
{
    uint64_t deadline;
    if (timeout_ns == UINT64_MAX ||
        !pp_add_u64(pp_os_now(), timeout_ns, &deadline)) {
        return UINT64_MAX;
    }
    return deadline;
}

/* ---- interpreters and threads -------------------------------------------- */

/* Counts the thread states of one interpreter, at most `max`. One that does
 * not point back at its interpreter ends the list. */
static uint32_t count_threads(pp_reader *reader, const pp_runtime_shape *shape,
                              uint64_t interp, uint32_t max, bool *cut)
{
    uint64_t thread = 0;
    uint64_t owner = 0;
    uint32_t n = 0;
    if (pp_reader_u64(reader, interp + shape->interp_threads_head, &thread) !=
        PYPROF_OK) {
        return 0;
    }
    while (thread != 0) {
        if (n == max) {
            *cut = true;
            break;
        }
        if (pp_reader_u64(reader, thread + shape->tstate_interp, &owner) !=
                PYPROF_OK ||
            owner != interp) {
            break;
        }
        n++;
        if (pp_reader_u64(reader, thread + shape->tstate_next, &thread) !=
            PYPROF_OK) {
            break;
        }
    }
    return n;
}

pyprof_status pp_target_count(pp_reader *reader, const pp_runtime *runtime,
                              const pp_runtime_shape *shape, bool all,
                              pp_target_census *out)
{
    pp_target_census census = {0, 0, false};
    uint64_t interp = 0;
    PP_TRY(pp_reader_u64(reader, runtime->address + shape->interpreters_head,
                         &interp));
    while (interp != 0) {
        uint32_t max = all ? PP_TARGET_MAX_LIST - census.threads : 1;
        census.interpreters++;
        census.threads +=
            count_threads(reader, shape, interp, max, &census.cut);
        if (census.interpreters == PP_TARGET_MAX_LIST ||
            census.threads == PP_TARGET_MAX_LIST) {
            census.cut = true;
            break;
        }
        if ((!all && census.threads > 0) ||
            pp_reader_u64(reader, interp + shape->interp_next, &interp) !=
                PYPROF_OK) {
            break;
        }
    }
    *out = census;
    return PYPROF_OK;
}

/* ---- looking for Python ---------------------------------------------------
 */

/* How a process ended, in words, for one that this library started. */
static pyprof_status gone(const pyprof_target *target, pyprof_error *err)
{
    int64_t pid = pp_os_process_pid(target->process);
    int32_t status = 0;
    int32_t sig = 0;
    if (!target->child ||
        pp_os_child_status(target->process, &status, &sig, NULL) != PYPROF_OK) {
        return pp_error_set(err, PYPROF_ERR_GONE, "process %lld has ended",
                            (long long)pid);
    }
    if (sig != 0) {
        return pp_error_set(err, PYPROF_ERR_GONE,
                            "process %lld was ended by signal %d before "
                            "Python started",
                            (long long)pid, (int)sig);
    }
    return pp_error_set(err, PYPROF_ERR_GONE,
                        "process %lld ended with status %d before Python "
                        "started",
                        (long long)pid, (int)status);
}

/* Whether the runtime that was found has a thread to look at. */
static pyprof_status has_thread(pyprof_target *target, pyprof_error *err)
{
    int64_t pid = pp_os_process_pid(target->process);
    const pp_runtime_shape *shape =
        pp_target_shape(target->shapes, target->n_shapes, &target->runtime);
    pp_target_census census;
    if (shape == NULL) {
        return pp_error_set(
            err, PYPROF_ERR_UNSUPPORTED_TARGET,
            "process %lld runs Python %u.%u%s, which this "
            "library does not know",
            (long long)pid, (unsigned)(target->runtime.hex_version >> 24),
            (unsigned)(target->runtime.hex_version >> 16) & 0xffu,
            target->runtime.build & PP_BUILD_FREE_THREADED ? "t" : "");
    }
    if (pp_target_count(target->reader, &target->runtime, shape, false,
                        &census) != PYPROF_OK ||
        census.threads == 0) {
        return pp_error_set(err, PYPROF_ERR_NOT_READY,
                            "the Python of process %lld is not (or no "
                            "longer) initialised: try again",
                            (long long)pid);
    }
    return PYPROF_OK;
}

/* Whether the runtime begins with a description of itself. */
static bool describes_itself(const pyprof_target *target)
{
    static const char cookie[8] = {'x', 'd', 'e', 'b', 'u', 'g', 'p', 'y'};
    char start[sizeof(cookie)];
    return pp_reader_read(target->reader, target->runtime.address, start,
                          sizeof(start)) == PYPROF_OK &&
           memcmp(start, cookie, sizeof(cookie)) == 0;
}

/* One look: is there a runtime, and does it have a thread? Without a search,
 * only at the place that is known already. */
static pyprof_status look(pyprof_target *target, bool search, pyprof_error *err)
{
    uint64_t image = pp_os_process_image_id(target->process);
    if (image != target->image_id) {
        target->has_runtime = false;
        target->runtime.address = 0;
        target->image_id = image;
    }
    if (search) {
        pp_runtime found;
        memset(&found, 0, sizeof(found));
        pyprof_status status = pp_target_find(
            target->process, target->reader, target->shapes, target->n_shapes,
            &target->allocator, &target->log, &found, err);
        if (status != PYPROF_OK &&
            (status != PYPROF_ERR_NOT_READY || found.address == 0)) {
            return status;
        }
        target->runtime = found;
    }
    if (target->runtime.address == 0) {
        return PYPROF_ERR_NOT_PYTHON;
    }
    bool had_runtime = target->has_runtime;
    target->has_runtime = false;
    PP_TRY(has_thread(target, err));
    if (!had_runtime) {
        target->self_described = describes_itself(target);
        pp_log_line(&target->log, PYPROF_LOG_INFO, "target",
                    "Python %u.%u at 0x%llx of process %lld, found by %s in %s",
                    (unsigned)(target->runtime.hex_version >> 24),
                    (unsigned)(target->runtime.hex_version >> 16) & 0xffu,
                    (unsigned long long)target->runtime.address,
                    (long long)pp_os_process_pid(target->process),
                    pp_target_found_text(target->runtime.found_by),
                    target->runtime.path);
    }
    target->has_runtime = true;
    return PYPROF_OK;
}

/* A number that changes when the process maps or unmaps a file: time to search
 * again. 0 when the mappings can't be read. */
static uint64_t files_mapped(pyprof_target *target)
{
    pp_os_maps maps;
    uint64_t sum = 0;
    if (pp_os_process_maps(target->process, &target->allocator, &maps, NULL) !=
        PYPROF_OK) {
        return 0;
    }
    for (size_t i = 0; i < maps.n; i++) {
        if (maps.items[i].inode != 0) {
            sum += pp_hash_u64(maps.items[i].inode ^ maps.items[i].start);
        }
    }
    pp_os_maps_free(&maps);
    return sum;
}

/* When to search: at once when a file was mapped or the program changed, soon
 * again after that, and later rarely enough that searching takes a small part
 * of the time (a program that isn't Python may be big). */
typedef struct pacing {
    uint64_t image_id;
    uint64_t files;
    uint64_t changed_ns; /* when one of the two last changed */
    uint64_t next_search_ns;
    uint64_t refused_ns; /* when an unknown version was first met, or 0 */
} pacing;

static bool time_to_search(pyprof_target *target, pacing *pace)
{
    uint64_t image = pp_os_process_image_id(target->process);
    uint64_t files = files_mapped(target);
    if (image != pace->image_id || files != pace->files) {
        pace->image_id = image;
        pace->files = files;
        pace->changed_ns = pp_os_now();
        return true;
    }
    return pp_os_now() >= pace->next_search_ns;
}

/* After a search that took `cost_ns` of this thread's time. */
static void plan_search(pacing *pace, uint64_t cost_ns)
{
    uint64_t now = pp_os_now();
    uint64_t most =
        now - pace->changed_ns < SECOND ? 4 * MILLISECOND : SECOND / 5;
    uint64_t gap = 8 * cost_ns;
    pace->next_search_ns = now + (gap < most ? gap : most);
}

/* Answers that a program which is still starting may outgrow. */
static bool may_change(pyprof_status status, pacing *pace, uint64_t now)
{
    switch (status) {
    case PYPROF_ERR_NOT_PYTHON:
    case PYPROF_ERR_NOT_READY:
    case PYPROF_ERR_FAULT:
    case PYPROF_ERR_TORN:
        pace->refused_ns = 0;
        return true;
    case PYPROF_ERR_UNSUPPORTED_TARGET:
    case PYPROF_ERR_CORRUPT:
    case PYPROF_ERR_NO_PERMISSION:
        /* Seen between an exec and the end of dynamic linking as well. */
        if (pace->refused_ns == 0) {
            pace->refused_ns = now;
        }
        return now - pace->refused_ns < 50 * MILLISECOND;
    default:
        return false;
    }
}

/* Waits; `err` is scratch, and is to be handed on when this fails. */
static pyprof_status wait_ready(pyprof_target *target, uint64_t timeout_ns,
                                pyprof_error *err)
{
    uint64_t deadline = deadline_of(timeout_ns);
    pacing pace;
    memset(&pace, 0, sizeof(pace));
    pace.changed_ns = pp_os_now();
    for (;;) {
        bool search = !target->has_runtime && time_to_search(target, &pace);
        uint64_t spent = pp_os_thread_cpu_ns();
        pyprof_status status = look(target, search, err);
        if (status == PYPROF_OK) {
            return PYPROF_OK;
        }
        /* Read first, then asked: what ended meanwhile is told as ended. */
        if (!pp_os_process_alive(target->process)) {
            return gone(target, err);
        }
        uint64_t after = pp_os_now();
        if (search) {
            plan_search(&pace, pp_os_thread_cpu_ns() - spent);
        }
        if (!may_change(status, &pace, after)) {
            return status;
        }
        if (pp_os_event_posted(target->interrupt)) {
            return pp_error_set(err, PYPROF_ERR_BUSY,
                                "interrupted before Python started");
        }
        if (after >= deadline) {
            return pp_error_set(err, PYPROF_ERR_NOT_READY,
                                "process %lld has no Python to look at yet",
                                (long long)pp_os_process_pid(target->process));
        }
        uint64_t pause = after - pace.changed_ns < SECOND ? MILLISECOND / 2
                                                          : 2 * MILLISECOND;
        uint64_t wake = after + pause < deadline ? after + pause : deadline;
        (void)pp_os_sleep_until(wake, target->interrupt);
    }
}

pyprof_status pp_target_ready(pyprof_target *target, uint64_t timeout_ns,
                              pyprof_error *err)
{
    /* Looks that fail on the way to success must not show in `err`. */
    pyprof_error last = PYPROF_ERROR_INIT;
    pyprof_status status = wait_ready(target, timeout_ns, &last);
    if (status != PYPROF_OK && err != NULL) {
        (void)pp_opts_write(err, &last, sizeof(last));
    }
    return status;
}

/* ---- opening and closing ---------------------------------------------------
 */

/* A handle without a process; NULL when out of memory. */
static pyprof_target *handle_new(const pp_allocator *allocator,
                                 const pp_target_config *config)
{
    pyprof_target *target = pp_calloc(allocator, 1, sizeof(pyprof_target));
    if (target == NULL) {
        return NULL;
    }
    target->allocator = *allocator;
    target->log = config->log;
    target->interrupt = pp_os_event_new(&target->allocator);
    target->shapes = pp_calloc(&target->allocator, config->n_shapes,
                               sizeof(pp_runtime_shape));
    if (target->interrupt == NULL || target->shapes == NULL) {
        pp_target_close(target);
        return NULL;
    }
    memcpy(target->shapes, config->shapes,
           config->n_shapes * sizeof(pp_runtime_shape));
    target->n_shapes = config->n_shapes;
    return target;
}

static pyprof_status open_process(pyprof_target *target, int64_t pid,
                                  pyprof_error *err)
{
    PP_TRY(pp_os_process_open(&target->allocator, pid, &target->process, err));
    target->self = pid == pp_os_self_pid();
    PP_TRY(pp_reader_open_process(&target->allocator, target->process,
                                  &target->reader, err));
    pyprof_status status = look(target, true, err);
    if (status != PYPROF_OK && !pp_os_process_alive(target->process)) {
        return gone(target, err);
    }
    return status;
}

pyprof_status pp_target_open(int64_t pid, const pp_target_config *config,
                             pyprof_target **out, pyprof_error *err)
{
    pp_allocator allocator;
    PP_TRY(pp_alloc_init(&allocator, config->allocator, err));
    pyprof_target *target = handle_new(&allocator, config);
    if (target == NULL) {
        return pp_error_memory(err, "a target");
    }
    pyprof_status status = open_process(target, pid, err);
    if (status != PYPROF_OK) {
        pp_target_close(target);
        return status;
    }
    *out = target;
    return PYPROF_OK;
}

pyprof_status pp_target_spawn(const pp_os_command *command,
                              const pp_target_config *config,
                              pyprof_target **out, pyprof_error *err)
{
    pp_allocator allocator;
    PP_TRY(pp_alloc_init(&allocator, config->allocator, err));
    pyprof_target *target = handle_new(&allocator, config);
    if (target == NULL) {
        return pp_error_memory(err, "a target");
    }
    pyprof_status status =
        pp_os_spawn(&target->allocator, command, &target->process, err);
    if (status != PYPROF_OK) {
        pp_target_close(target);
        return status;
    }
    target->child = true;
    status = pp_reader_open_process(&target->allocator, target->process,
                                    &target->reader, err);
    if (status != PYPROF_OK) {
        /* It must not go on alone: nobody would have its id. */
        (void)pp_os_child_end(target->process, 0, NULL);
        pp_target_close(target);
        return status;
    }
    *out = target;
    return PYPROF_OK;
}

void pp_target_close(pyprof_target *target)
{
    if (target == NULL) {
        return;
    }
    pp_allocator allocator = target->allocator;
    pp_reader_close(target->reader);
    pp_os_process_close(target->process);
    pp_os_event_free(target->interrupt);
    pp_free(&allocator, target->shapes);
    pp_free(&allocator, target);
}

/* ---- the rest of the interface ----------------------------------------------
 */

void pp_target_interrupt(pyprof_target *target)
{
    pp_os_event_post(target->interrupt);
}

void pp_target_describe(const pyprof_target *target, pyprof_target_info *out)
{
    pyprof_text nothing = {"", 0};
    memset(out, 0, sizeof(*out));
    out->sz = sizeof(*out);
    out->pid = pp_os_process_pid(target->process);
    out->inner_pid = pp_os_process_inner_pid(target->process);
    out->found_by = nothing;
    out->image = nothing;
    if (target->runtime.address != 0) {
        const pp_runtime *runtime = &target->runtime;
        const char *found_by = pp_target_found_text(runtime->found_by);
        out->version = (int32_t)runtime->hex_version;
        out->free_threaded = (runtime->build & PP_BUILD_FREE_THREADED) != 0;
        out->self_described = target->self_described;
        out->runtime = runtime->address;
        out->found_by.data = found_by;
        out->found_by.size = strlen(found_by);
        out->image.data = runtime->path;
        out->image.size = strlen(runtime->path);
    }
}

bool pp_target_alive(const pyprof_target *target)
{
    return pp_os_process_alive(target->process);
}

static pyprof_status not_a_child(const pyprof_target *target, pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_INVALID,
                        "process %lld was not started by this library",
                        (long long)pp_os_process_pid(target->process));
}

pyprof_status pp_target_wait(pyprof_target *target, uint64_t timeout_ns,
                             int32_t *out_status, pyprof_error *err)
{
    int32_t sig = 0;
    if (!target->child) {
        return not_a_child(target, err);
    }
    /* Asked first: how it ended can be told after an interrupt as well. */
    if (pp_os_process_alive(target->process) &&
        !pp_os_process_wait(target->process, deadline_of(timeout_ns),
                            target->interrupt)) {
        int64_t pid = pp_os_process_pid(target->process);
        if (pp_os_event_posted(target->interrupt)) {
            return pp_error_set(err, PYPROF_ERR_BUSY,
                                "interrupted while process %lld runs",
                                (long long)pid);
        }
        return pp_error_set(err, PYPROF_ERR_NOT_READY,
                            "process %lld still runs", (long long)pid);
    }
    return pp_os_child_status(target->process, out_status, &sig, err);
}

pyprof_status pp_target_end(pyprof_target *target, uint64_t grace_ns,
                            pyprof_error *err)
{
    if (!target->child) {
        return not_a_child(target, err);
    }
    return pp_os_child_end(target->process, grace_ns, err);
}
