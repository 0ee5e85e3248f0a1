/*
 * run: the life of a replay, and its run: files are merged by time, threads and
 * times are picked, and the collectors get what is left. In go sources; out
 * come samples, as a sampler would give them.
 *
 * Invariants:
 * 1. All sources number into the same tables.
 * 2. A source at its end, or damaged, has no round and is not asked again.
 * 3. Collectors that have begun are ended, whatever fails in between.
 */
#include "replay/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define FILES_MAX 1024
#define COLLECTORS_MAX 64

struct pyprof_replay {
    pp_allocator allocator;
    pyprof_replay_opts opts;
    pyprof_tables *tables;
    pp_map threads; /* hash of a thread's ids -> number, for more than one file
                     */
    pp_source *sources[FILES_MAX];
    size_t n_sources;
    pyprof_collector *collectors[COLLECTORS_MAX];
    size_t n_collectors;
    bool has_run;
    pyprof_session session;
    uint64_t torn, unreadable; /* of those delivered */
    pyprof_replay_stats stats;
};

/* ---- errors ------------------------------------------------------------ */

pyprof_status pp_source_memory(pyprof_error *err)
{
    return pp_error_memory(err, "a saved profile");
}

pyprof_status pp_source_corrupt(const pp_source *source, pyprof_error *err,
                                const char *format, ...)
{
    char what[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (source->feed.os_errno != 0) {
        return pp_error_errno(err, PYPROF_ERR_IO, source->feed.os_errno,
                              "cannot read %s", source->name);
    }
    const char *refused = source->feed.refused;
    return pp_error_set(
        err, PYPROF_ERR_CORRUPT, "%s: byte %llu of %llu: %s%s%s%s",
        source->name, (unsigned long long)pp_feed_where(&source->feed),
        (unsigned long long)source->input.size, what,
        refused != NULL ? " (zstd: " : "", refused != NULL ? refused : "",
        refused != NULL ? ")" : "");
}

bool pp_numbers_add(const pp_source *source, pp_numbers *numbers,
                    uint32_t number)
{
    if (!pp_grow(source->allocator, &numbers->of, &numbers->cap,
                 sizeof(*numbers->of), numbers->n + 1, 0)) {
        return false;
    }
    numbers->of[numbers->n++] = number;
    return true;
}

/* ---- life -------------------------------------------------------------- */

pyprof_status pp_replay_new(const pyprof_replay_opts *opts, pyprof_replay **out,
                            pyprof_error *err)
{
    pp_allocator allocator;
    PP_TRY(pp_alloc_init(&allocator, opts->allocator, err));
    if ((opts->flags & ~(uint64_t)PYPROF_REPLAY_SALVAGE) != 0) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "pyprof_replay_opts.flags: %#llx is not known to "
                            "this version of the library",
                            (unsigned long long)opts->flags);
    }
    if (opts->to_ns != 0 && opts->to_ns <= opts->from_ns) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "pyprof_replay_opts.to_ns is not after from_ns");
    }
    pyprof_replay *r = pp_calloc(&allocator, 1, sizeof(*r));
    if (r == NULL) {
        return pp_error_memory(err, "a replay");
    }
    r->allocator = allocator;
    r->opts = *opts;
    r->opts.allocator = NULL;
    pp_map_init(&r->threads, &r->allocator);
    const pp_tables_limits limits = {.max_stacks = opts->max_stacks};
    r->tables = pp_tables_new(&r->allocator, &limits);
    if (r->tables == NULL) {
        pp_replay_free(r);
        return pp_error_memory(err, "a replay");
    }
    *out = r;
    return PYPROF_OK;
}

static void close_source(pp_source *source)
{
    const pp_allocator *a = source->allocator;
    if (source->ops->close != NULL) {
        source->ops->close(source);
    }
    pp_feed_close(&source->feed);
    pp_input_close(&source->input);
    pp_free(a, source->stacks);
    pp_free(a, source->name);
    pp_free(a, source);
}

void pp_replay_free(pyprof_replay *r)
{
    if (r == NULL) {
        return;
    }
    for (size_t i = 0; i < r->n_sources; i++) {
        close_source(r->sources[i]);
    }
    pp_map_free(&r->threads);
    pp_tables_unref(r->tables);
    const pp_allocator allocator = r->allocator;
    pp_free(&allocator, r);
}

/* ---- files ------------------------------------------------------------- */

static pyprof_status choose_reader(pp_source *source, pyprof_error *err)
{
    static const uint8_t theirs[] = {'H', 'C', 'A', 'T'};
    static const uint8_t swapped[] = {'T', 'A', 'C', 'H'};
    uint8_t magic[8] = {0};
    if (pp_input_read(&source->input, 0, magic, sizeof(magic)) < 0) {
        return pp_error_errno(err, PYPROF_ERR_IO, errno, "cannot read %s",
                              source->name);
    }
    if (memcmp(magic, PP_SAVED_MAGIC, sizeof(magic)) == 0) {
        source->ops = &pp_source_pyprof;
    } else if (memcmp(magic, theirs, 4) == 0 ||
               memcmp(magic, swapped, 4) == 0) {
        source->ops = &pp_source_binary;
    } else if (source->input.size == 0) {
        return pp_error_set(err, PYPROF_ERR_CORRUPT, "%s is empty",
                            source->name);
    } else {
        const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
        bool is_packed = memcmp(magic, zstd, 4) == 0 ||
                         (magic[0] == 0x1f && magic[1] == 0x8b);
        return pp_error_set(err, PYPROF_ERR_CORRUPT,
                            is_packed ? "%s is compressed: decompress it first"
                                      : "%s is no saved profile: --pyprof and "
                                        "--binary make these",
                            source->name);
    }
    return source->ops->open(source, err);
}

static pyprof_status matches_first(const pyprof_replay *r,
                                   const pp_source *source, pyprof_error *err)
{
    const pyprof_session *a = &r->sources[0]->session;
    const pyprof_session *b = &source->session;
    if (a->interval_ns != b->interval_ns) {
        return pp_error_set(
            err, PYPROF_ERR_INVALID,
            "%s has a sample every %llu us, %s every %llu us: "
            "these can't be added up",
            r->sources[0]->name, (unsigned long long)a->interval_ns / 1000,
            source->name, (unsigned long long)b->interval_ns / 1000);
    }
    if (a->mode != b->mode) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "%s and %s are of different modes (%d and %d)",
                            r->sources[0]->name, source->name, (int)a->mode,
                            (int)b->mode);
    }
    return PYPROF_OK;
}

/* Takes over the input, whatever it answers. */
static pyprof_status add_source(pyprof_replay *r, const char *name,
                                pp_input input, pyprof_error *err)
{
    static const pp_source_ops none = {.close = NULL};
    size_t size = strlen(name) + 1;
    pp_source *source = pp_calloc(&r->allocator, 1, sizeof(*source));
    char *copy = pp_alloc(&r->allocator, size);
    if (source == NULL || copy == NULL) {
        pp_free(&r->allocator, source);
        pp_free(&r->allocator, copy);
        pp_input_close(&input);
        return pp_source_memory(err);
    }
    memcpy(copy, name, size);
    source->ops = &none;
    source->replay = r;
    source->allocator = &r->allocator;
    source->tables = r->tables;
    source->name = copy;
    source->input = input;
    source->feed.allocator = &r->allocator;
    source->session.sz = sizeof(source->session);
    source->summary.sz = sizeof(source->summary);
    source->damage = (pyprof_error)PYPROF_ERROR_INIT;
    pyprof_status status = choose_reader(source, err);
    if (status == PYPROF_OK && r->n_sources > 0) {
        status = matches_first(r, source, err);
    }
    if (status != PYPROF_OK) {
        close_source(source);
        return status;
    }
    r->sources[r->n_sources++] = source;
    return PYPROF_OK;
}

static pyprof_status check_open(const pyprof_replay *r, pyprof_error *err)
{
    if (r->has_run) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "the replay has run: make another one");
    }
    if (r->n_sources == FILES_MAX) {
        return pp_error_set(err, PYPROF_ERR_LIMIT,
                            "a replay takes at most %d files", FILES_MAX);
    }
    return PYPROF_OK;
}

pyprof_status pp_replay_add_path(pyprof_replay *r, const char *path,
                                 pyprof_error *err)
{
    PP_TRY(check_open(r, err));
    pp_input input;
    int error = pp_input_open(&input, path);
    if (error != 0) {
        return pp_error_errno(err, PYPROF_ERR_IO, error, "cannot read %s",
                              path);
    }
    return add_source(r, path, input, err);
}

pyprof_status pp_replay_add_memory(pyprof_replay *r, const char *name,
                                   const void *data, size_t size,
                                   pyprof_error *err)
{
    PP_TRY(check_open(r, err));
    const pp_input input = {.fd = -1, .data = data, .size = size};
    return add_source(r, name, input, err);
}

pyprof_status pp_replay_describe(const pyprof_replay *r, uint32_t index,
                                 pyprof_replay_info *out)
{
    if (index >= r->n_sources) {
        return PYPROF_ERR_INVALID;
    }
    const pp_source *source = r->sources[index];
    const pyprof_session *session = &source->session;
    const pyprof_replay_info info = {
        .sz = sizeof(info),
        .path = source->name,
        .format = source->ops->format,
        .is_packed = source->is_packed,
        .is_swapped = source->is_swapped,
        .file_bytes = source->input.size,
        .interval_ns = session->interval_ns,
        .start_ns = session->start_ns,
        .start_unix_ns = session->start_unix_ns,
        .pid = session->pid,
        .mode = session->mode,
        .python_version = session->python_version,
        .capture = session->capture,
        .is_damaged = source->is_damaged,
        .damage = source->damage.message,
    };
    return pp_opts_write(out, &info, sizeof(info)) ? PYPROF_OK
                                                   : PYPROF_ERR_INVALID;
}

/* ---- threads ----------------------------------------------------------- */

uint32_t pp_replay_thread(pyprof_replay *r, const pyprof_thread *thread)
{
    if (thread->pid == 0) {
        return pp_tables_thread_new(r->tables, thread);
    }
    uint64_t hash = pp_hash_u64((uint64_t)thread->pid);
    hash = pp_hash_u64(hash ^ thread->native_id);
    hash = pp_hash_u64(hash ^ thread->os_id);
    hash = pp_hash_u64(hash ^ thread->python_id);
    hash = pp_hash_u64(hash ^ thread->interpreter);
    /* one file tells two threads apart that had the same ids one after the
     * other: only the first of each is looked for by the next file */
    bool is_first_file = r->n_sources == 0;
    uint64_t *known = pp_map_find(&r->threads, hash);
    if (known != NULL && !is_first_file) {
        return (uint32_t)*known;
    }
    uint32_t number = pp_tables_thread_new(r->tables, thread);
    if (number != 0 && known == NULL) {
        known = pp_map_put(&r->threads, hash, NULL);
        if (known == NULL) {
            return 0;
        }
        *known = number;
    }
    return number;
}

/* ---- the run ----------------------------------------------------------- */

pyprof_status pp_replay_add(pyprof_replay *r, pyprof_collector *collector,
                            pyprof_error *err)
{
    if (r->has_run) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "the replay has run: make another one");
    }
    if (r->n_collectors == COLLECTORS_MAX) {
        return pp_error_set(err, PYPROF_ERR_LIMIT,
                            "a replay takes at most %d collectors",
                            COLLECTORS_MAX);
    }
    r->collectors[r->n_collectors++] = collector;
    return PYPROF_OK;
}

/* What the files have in common becomes the session; each file gets its place
 * on the common time. */
static void make_session(pyprof_replay *r)
{
    pyprof_session *session = &r->session;
    int64_t first = 0;
    *session = r->sources[0]->session;
    for (size_t i = 1; i < r->n_sources; i++) {
        pp_source *source = r->sources[i];
        const pyprof_session *other = &source->session;
        int64_t shift;
        if (session->start_unix_ns == 0 || other->start_unix_ns == 0 ||
            __builtin_sub_overflow(other->start_unix_ns, session->start_unix_ns,
                                   &shift) ||
            shift > INT64_MAX / 4 || shift < INT64_MIN / 4) {
            shift = 0;
        }
        source->shift_ns = shift;
        first = shift < first ? shift : first;
        session->pid = other->pid == session->pid ? session->pid : 0;
        session->capture |= other->capture;
        if (other->python_version != session->python_version) {
            session->python_version = 0;
        }
    }
    for (size_t i = 0; i < r->n_sources; i++) {
        r->sources[i]->shift_ns -= first;
    }
    session->start_unix_ns += session->start_unix_ns != 0 ? first : 0;
    uint64_t before = (uint64_t)-first;
    session->start_ns -= before < session->start_ns ? before : 0;
    session->tables = r->tables;
}

/* The next round of a file; damage ends it. */
static pyprof_status advance(const pyprof_replay *r, pp_source *source,
                             pyprof_error *err)
{
    pyprof_status status = source->ops->next(source, &source->damage);
    if (status == PYPROF_OK) {
        return PYPROF_OK;
    }
    source->has_round = false;
    source->damage.status = status;
    source->is_damaged = true;
    if (status == PYPROF_ERR_CORRUPT &&
        (r->opts.flags & PYPROF_REPLAY_SALVAGE) != 0) {
        return PYPROF_OK;
    }
    return pp_error_copy(err, &source->damage);
}

static pp_source *earliest(const pyprof_replay *r)
{
    pp_source *found = NULL;
    for (size_t i = 0; i < r->n_sources; i++) {
        pp_source *source = r->sources[i];
        if (source->has_round &&
            (found == NULL || source->time_ns + source->shift_ns <
                                  found->time_ns + found->shift_ns)) {
            found = source;
        }
    }
    return found;
}

static bool is_wanted(const pyprof_replay *r, uint32_t number)
{
    const pyprof_replay_opts *opts = &r->opts;
    pyprof_thread thread;
    if (opts->pid == 0 && opts->thread == 0) {
        return true;
    }
    return pp_tables_thread_view(r->tables, number, &thread) &&
           (opts->pid == 0 || thread.pid == opts->pid) &&
           (opts->thread == 0 || thread.native_id == opts->thread ||
            thread.os_id == opts->thread || thread.python_id == opts->thread);
}

/* Takes out what was not asked for. */
static void pick(pyprof_replay *r, pp_source *source, int64_t at_ns)
{
    uint64_t at = at_ns < 0 ? 0 : (uint64_t)at_ns;
    size_t n = 0;
    if (at < r->opts.from_ns || (r->opts.to_ns != 0 && at >= r->opts.to_ns)) {
        r->stats.skipped += source->n_stacks;
        source->n_stacks = 0;
        return;
    }
    for (size_t i = 0; i < source->n_stacks; i++) {
        if (is_wanted(r, source->stacks[i].thread)) {
            source->stacks[n++] = source->stacks[i];
        }
    }
    r->stats.skipped += source->n_stacks - n;
    source->n_stacks = n;
}

static pyprof_status deliver(pyprof_replay *r, pp_source *source,
                             pyprof_error *err)
{
    int64_t at_ns = source->time_ns + source->shift_ns;
    pick(r, source, at_ns);
    if (source->n_stacks == 0) {
        return PYPROF_OK;
    }
    const pyprof_sample sample = {
        .sz = sizeof(sample),
        .time_ns = r->session.start_ns + (uint64_t)at_ns,
        .count = source->count,
        .stacks = source->stacks,
        .n_stacks = source->n_stacks,
        .tables = r->tables,
    };
    for (size_t i = 0; i < source->n_stacks; i++) {
        int32_t state = source->stacks[i].state;
        r->torn += state == PYPROF_STACK_TORN ? source->count : 0;
        r->unreadable += state == PYPROF_STACK_UNREADABLE ? source->count : 0;
    }
    uint64_t at = at_ns < 0 ? 0 : (uint64_t)at_ns;
    r->stats.first_ns = r->stats.rounds == 0 ? at : r->stats.first_ns;
    r->stats.last_ns = at;
    r->stats.rounds += source->count;
    r->stats.stacks += source->n_stacks * source->count;
    for (size_t i = 0; i < r->n_collectors; i++) {
        PP_TRY(pp_collector_sample(r->collectors[i], &sample, err));
    }
    return PYPROF_OK;
}

static pyprof_status drive(pyprof_replay *r, pyprof_error *err)
{
    for (size_t i = 0; i < r->n_sources; i++) {
        PP_TRY(advance(r, r->sources[i], err));
    }
    pp_source *source = earliest(r);
    while (source != NULL) {
        PP_TRY(deliver(r, source, err));
        PP_TRY(advance(r, source, err));
        source = r->n_sources == 1 ? (source->has_round ? source : NULL)
                                   : earliest(r);
    }
    return PYPROF_OK;
}

/* ---- the end ----------------------------------------------------------- */

static bool is_whole(const pyprof_replay *r)
{
    for (size_t i = 0; i < r->n_sources; i++) {
        if (r->sources[i]->is_damaged || !r->sources[i]->has_summary) {
            return false;
        }
    }
    return r->opts.pid == 0 && r->opts.thread == 0 && r->opts.from_ns == 0 &&
           r->opts.to_ns == 0;
}

/* What was said at the end of the files or, where that does not fit what was
 * delivered, what the samples say themselves. */
static pyprof_summary make_summary(const pyprof_replay *r)
{
    pyprof_summary sum = {.sz = sizeof(sum)};
    if (!is_whole(r)) {
        sum.rounds = r->stats.rounds;
        sum.attempted = r->stats.stacks;
        sum.torn = r->torn;
        sum.unreadable = r->unreadable;
        sum.whole = sum.attempted - sum.torn - sum.unreadable;
        sum.duration_ns =
            sum.rounds == 0
                ? 0
                : r->stats.last_ns - r->stats.first_ns + r->session.interval_ns;
        return sum;
    }
    for (size_t i = 0; i < r->n_sources; i++) {
        const pyprof_summary *one = &r->sources[i]->summary;
        uint64_t end = (uint64_t)r->sources[i]->shift_ns + one->duration_ns;
        sum.duration_ns = end > sum.duration_ns ? end : sum.duration_ns;
        sum.rounds += one->rounds;
        sum.attempted += one->attempted;
        sum.whole += one->whole;
        sum.torn += one->torn;
        sum.gone += one->gone;
        sum.unreadable += one->unreadable;
        sum.missed += one->missed;
    }
    return sum;
}

static void count(pyprof_replay *r)
{
    pp_tables_counters counters = pp_tables_count(r->tables);
    for (size_t i = 0; i < r->n_sources; i++) {
        r->stats.bytes += r->sources[i]->input.n_read;
    }
    r->stats.distinct = counters.stacks;
    r->stats.threads = counters.threads;
    r->stats.table_bytes = counters.bytes;
}

pyprof_status pp_replay_run(pyprof_replay *r, pyprof_error *err)
{
    if (r->has_run) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "the replay has run: make another one");
    }
    if (r->n_sources == 0) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "the replay has no file: add one");
    }
    r->has_run = true;
    make_session(r);
    pyprof_status status = PYPROF_OK;
    size_t n = 0;
    while (n < r->n_collectors && status == PYPROF_OK) {
        status =
            pp_collector_begin(r->collectors[n], &r->session, r->tables, err);
        n += status == PYPROF_OK;
    }
    if (status == PYPROF_OK) {
        status = drive(r, err);
    }
    const pyprof_summary summary = make_summary(r);
    for (size_t i = 0; i < n; i++) {
        pyprof_status ended = pp_collector_end(
            r->collectors[i], &summary, status == PYPROF_OK ? err : NULL);
        status = status == PYPROF_OK ? ended : status;
    }
    count(r);
    return status;
}

pyprof_status pp_replay_read_stats(const pyprof_replay *r,
                                   pyprof_replay_stats *out)
{
    pyprof_replay_stats stats = r->stats;
    stats.sz = sizeof(stats);
    return pp_opts_write(out, &stats, sizeof(stats)) ? PYPROF_OK
                                                     : PYPROF_ERR_INVALID;
}
