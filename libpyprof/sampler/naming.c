/*
 * Names of threads: threading's, where the target has it, instead of the
 * system's, which the tables have from the moment a thread is met.
 *
 * In: the tables, and a look into the target of its own. Out: the tables, with
 * names brought up to date.
 *
 * Invariants: it runs where records are decoded, since the tables are that
 * thread's; it reads through a handle of its own, since another thread reads
 * through the target's; and it reads when there is a thread whose name isn't
 * known, at most once a second (more often only as it begins), so that it
 * costs next to nothing while no threads come and go.
 */
#include "sampler/internal.h"

#include <string.h>

/* Pauses between two looks, doubled with each: a short run gets its names,
 * too. And a look takes at most a fiftieth of the time. */
static const uint64_t FIRST_PAUSE_NS = 50 * 1000 * 1000;
static const uint64_t LAST_PAUSE_NS = 1000 * 1000 * 1000;
enum { PAUSE_FACTOR = 50 };

/* What is known of a thread: that it has its name, or how many looks did not
 * find one. A thread that Python did not start may never have one. */
enum { NAMED = UINT8_MAX, MAX_LOOKS = 60 };

static pyprof_status open_reader(pyprof_sampler *s)
{
    pp_naming *n = &s->naming;
    pyprof_status status = PYPROF_OK;
    if (n->process == NULL) {
        status = pp_os_process_open(&s->allocator,
                                    pp_os_process_pid(s->target->process),
                                    &n->process, NULL);
    }
    /* While the target lives its number is no other's. */
    if (status == PYPROF_OK && !pp_os_process_alive(s->target->process)) {
        status = PYPROF_ERR_GONE;
    }
    if (status == PYPROF_OK && n->reader == NULL) {
        status =
            pp_reader_open_process(&s->allocator, n->process, &n->reader, NULL);
    }
    return status;
}

pyprof_status pp_naming_open(pyprof_sampler *s, pyprof_error *err)
{
    pp_naming *n = &s->naming;
    pp_names_free(n->names);
    n->names = NULL;
    if (open_reader(s) != PYPROF_OK) {
        return PYPROF_OK; /* there are still the system's names */
    }
    n->names = pp_names_new(&s->allocator, n->reader, &s->layout,
                            s->target->runtime.address);
    return n->names != NULL ? PYPROF_OK
                            : pp_error_memory(err, "the names of threads");
}

void pp_naming_close(pyprof_sampler *s)
{
    pp_naming *n = &s->naming;
    pp_names_free(n->names);
    pp_reader_close(n->reader);
    pp_os_process_close(n->process);
    pp_free(&s->allocator, n->looks);
    memset(n, 0, sizeof(*n));
}

/* Room for what is known of all threads. */
static bool reserve_looks(pyprof_sampler *s, uint32_t threads)
{
    pp_naming *n = &s->naming;
    if (!pp_grow(&s->allocator, (void **)&n->looks, &n->cap_looks, 1,
                 (size_t)threads, 0)) {
        return false;
    }
    if (threads > n->n_looks) {
        memset(n->looks + n->n_looks, 0, threads - n->n_looks);
        n->n_looks = threads;
    }
    return true;
}

/* True when another look may give it a name. */
static bool name_thread(pyprof_sampler *s, uint32_t number)
{
    uint8_t *looks = &s->naming.looks[number - 1];
    pyprof_thread thread = {.sz = sizeof(thread)};
    if (!pp_tables_thread_view(s->tables, number, &thread) ||
        (thread.native_id == 0 && *looks == NAMED)) {
        return false; /* its identity alone may be another's by now */
    }
    pyprof_text name =
        pp_names_find(s->naming.names, thread.python_id, thread.native_id);
    if (name.size == 0) {
        if (*looks < MAX_LOOKS) {
            ++*looks;
        }
        return *looks < MAX_LOOKS;
    }
    *looks = NAMED;
    if (name.size != thread.name.size ||
        memcmp(name.data, thread.name.data, name.size) != 0) {
        thread.name = name;
        (void)pp_tables_thread_update(s->tables, number, &thread);
    }
    return false;
}

/* Whether there may be a name to find. */
static bool is_wanted(const pyprof_sampler *s, uint32_t threads)
{
    return s->naming.wanted || s->naming.n_looks != threads;
}

void pp_naming_update(pyprof_sampler *s, bool now)
{
    pp_naming *n = &s->naming;
    uint32_t threads = pp_tables_threads(s->tables);
    if (n->names == NULL || (!now && !is_wanted(s, threads))) {
        return;
    }
    uint64_t begin = pp_os_now();
    if ((!now && begin < n->next_ns) || !reserve_looks(s, threads)) {
        return;
    }
    n->wanted = true;
    if (pp_names_read(n->names) == PYPROF_OK) {
        n->wanted = false;
        for (uint32_t number = 1; number <= threads; number++) {
            n->wanted |= name_thread(s, number);
        }
    }
    pp_set(&s->counts.naming_calls, n->reader->counters.calls);
    pp_set(&s->counts.naming_spans, n->reader->counters.spans);
    pp_set(&s->counts.naming_bytes, n->reader->counters.bytes);
    uint64_t end = pp_os_now();
    uint64_t cost = (end - begin) * PAUSE_FACTOR;
    n->pause_ns = n->pause_ns == 0                  ? FIRST_PAUSE_NS
                  : n->pause_ns < LAST_PAUSE_NS / 2 ? n->pause_ns * 2
                                                    : LAST_PAUSE_NS;
    n->next_ns = end + (cost > n->pause_ns ? cost : n->pause_ns);
}
