/*
 * flamegraph: one page with all stacks, to look at in a browser. In go samples;
 * out comes HTML (see write.c, and page.html beside it). With a baseline, the
 * page compares the two: that is the format diff-flamegraph.
 *
 * It counts by thread and stack, keeps what each thread was doing, and (log.c)
 * the order of time. Nothing here looks at a name.
 *
 * Memory: 16 bytes or so for each distinct thread and stack, and a log of at
 * most LOG_RUNS_MAX entries.
 */
#include "collector/flamegraph/flamegraph.h"

#include <string.h>

#define LOG_RUNS_MAX ((size_t)1 << 18)

/* ---- a run ----------------------------------------------------------------
 */

static void start_anew(pp_flame *f, const pyprof_session *session)
{
    f->session = *session;
    f->summary = (pyprof_summary){.sz = sizeof(f->summary)};
    pp_map_clear(&f->counts);
    f->n_threads = 0;
    pp_flame_log_begin(&f->log, session);
}

static pp_flame_thread *thread_at(pp_flame *f, uint32_t number)
{
    if (number >= f->n_threads) {
        size_t need = (size_t)number + 1;
        if (!pp_grow(&f->allocator, &f->threads, &f->cap_threads,
                     sizeof(*f->threads), need, 0)) {
            return NULL;
        }
        memset(f->threads + f->n_threads, 0,
               (need - f->n_threads) * sizeof(*f->threads));
        f->n_threads = need;
    }
    return &f->threads[number];
}

static void count_flags(pp_flame_thread *t, uint64_t flags, uint64_t n)
{
    if ((flags & PYPROF_THREAD_GIL_UNKNOWN) == 0) {
        t->gil_known += n;
        t->gil += (flags & PYPROF_THREAD_HAS_GIL) != 0 ? n : 0;
        t->gil_requested += (flags & PYPROF_THREAD_GIL_REQUESTED) != 0 ? n : 0;
    }
    if ((flags & PYPROF_THREAD_CPU_UNKNOWN) == 0) {
        t->cpu_known += n;
        t->cpu += (flags & PYPROF_THREAD_ON_CPU) != 0 ? n : 0;
    }
    t->exception += (flags & PYPROF_THREAD_HAS_EXCEPTION) != 0 ? n : 0;
    t->gc += (flags & PYPROF_THREAD_IN_GC) != 0 ? n : 0;
}

static pyprof_status count_stack(pp_flame *f, const pyprof_sample *sample,
                                 const pyprof_stack_sample *seen,
                                 pyprof_error *err)
{
    uint64_t key = (uint64_t)seen->thread << 32 | seen->stack;
    uint64_t *count = pp_map_find(&f->counts, key);
    if (PP_UNLIKELY(count == NULL)) {
        uint32_t last = pp_tables_stacks(f->session.tables);
        if (seen->stack > last ||
            seen->thread > pp_tables_threads(f->session.tables)) {
            return pp_error_set(
                err, PYPROF_ERR_INVALID, "a sample has stack %lu of %lu",
                (unsigned long)seen->stack, (unsigned long)last);
        }
        count = pp_map_put(&f->counts, key, NULL);
        if (count == NULL) {
            return pp_error_memory(err, "counts of stacks");
        }
    }
    *count += sample->count;
    return PYPROF_OK;
}

static pyprof_status flame_sample(void *self, const pyprof_sample *sample,
                                  pyprof_error *err)
{
    pp_flame *f = self;
    for (uint64_t i = 0; i < sample->n_stacks; i++) {
        const pyprof_stack_sample *seen = &sample->stacks[i];
        if (PP_UNLIKELY(seen->thread > pp_tables_threads(f->session.tables))) {
            return pp_error_set(err, PYPROF_ERR_INVALID,
                                "a sample has a thread that is not there");
        }
        pp_flame_thread *t = thread_at(f, seen->thread);
        if (t == NULL) {
            return pp_error_memory(err, "a thread");
        }
        if (seen->state == PYPROF_STACK_UNREADABLE) {
            t->unreadable += sample->count;
            continue;
        }
        count_flags(t, seen->flags, sample->count);
        if (seen->stack == 0) {
            t->empty += sample->count;
            continue;
        }
        PP_TRY(count_stack(f, sample, seen, err));
        t->samples += sample->count;
        if (seen->state == PYPROF_STACK_TORN) {
            t->torn += sample->count;
        }
        PP_TRY(pp_flame_log_add(&f->log, sample, seen, err));
    }
    return PYPROF_OK;
}

static void flame_free(void *self)
{
    pp_flame *f = self;
    pp_collector_free(f->baseline_collector);
    pp_map_free(&f->counts);
    pp_flame_log_free(&f->log);
    pp_free(&f->allocator, f->threads);
}

static void init_flame(pp_flame *f)
{
    pp_map_init(&f->counts, &f->allocator);
    pp_flame_log_init(&f->log, &f->allocator, LOG_RUNS_MAX);
}

/* ---- the baseline ---------------------------------------------------------
 */

static pyprof_status baseline_begin(void *self, const pyprof_session *session,
                                    pyprof_error *err)
{
    PP_UNUSED(err);
    start_anew(self, session);
    return PYPROF_OK;
}

static pyprof_status baseline_finish(void *self, const pyprof_summary *summary,
                                     pyprof_writer *writer, pyprof_error *err)
{
    pp_flame *f = self;
    PP_UNUSED(writer);
    PP_UNUSED(err);
    f->summary = *summary;
    return PYPROF_OK;
}

static const pyprof_collector_ops baseline_ops = {
    .sz = sizeof(baseline_ops),
    .name = "baseline",
    .begin = baseline_begin,
    .sample = flame_sample,
    .finish = baseline_finish,
    .free = flame_free,
};

/* Has the saved profile driven into a collector of its own. */
static pyprof_status read_baseline(pp_flame *f, pyprof_error *err)
{
    void *before;
    pyprof_collector *c;
    PP_TRY(pp_collector_new_own(&baseline_ops, sizeof(pp_flame), &f->allocator,
                                &before, &c, err));
    init_flame(before);
    pyprof_status status = f->drive_baseline(f->baseline_user, c, err);
    if (status == PYPROF_OK) {
        status = pp_collector_write(c, NULL, err); /* for its summary */
    }
    if (status != PYPROF_OK) {
        pp_collector_free(c);
        return status;
    }
    f->baseline_collector = c;
    f->baseline = before;
    return PYPROF_OK;
}

static pyprof_status check_baseline(const pp_flame *f, pyprof_error *err)
{
    if (f->baseline->session.mode != f->session.mode) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "the baseline was sampled in another mode (%d, "
                            "this is %d): give both the same --mode",
                            (int)f->baseline->session.mode,
                            (int)f->session.mode);
    }
    return PYPROF_OK;
}

/* ---- slots ----------------------------------------------------------------
 */

static pyprof_status flame_begin(void *self, const pyprof_session *session,
                                 pyprof_error *err)
{
    pp_flame *f = self;
    start_anew(f, session);
    if (!f->is_diff) {
        return PYPROF_OK;
    }
    if (f->drive_baseline == NULL) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "diff-flamegraph needs a profile to compare with: "
                            "set pyprof_format_opts.baseline");
    }
    if (f->baseline == NULL) {
        PP_TRY(read_baseline(f, err));
    }
    return check_baseline(f, err);
}

static pyprof_status flame_finish(void *self, const pyprof_summary *summary,
                                  pyprof_writer *writer, pyprof_error *err)
{
    return pp_flame_write(self, summary, writer, err);
}

static void flame_init(void *self, const pyprof_format_opts *opts)
{
    pp_flame *f = self;
    init_flame(f);
    f->source = (pp_source_reader){.allocator = &f->allocator,
                                   .read = opts->source,
                                   .user = opts->source_user};
}

static void diff_init(void *self, const pyprof_format_opts *opts)
{
    pp_flame *f = self;
    flame_init(f, opts);
    f->is_diff = true;
    f->drive_baseline = opts->baseline;
    f->baseline_user = opts->baseline_user;
}

const pp_format pp_format_flamegraph = {
    .ops = {.begin = flame_begin,
            .sample = flame_sample,
            .finish = flame_finish,
            .free = flame_free},
    .size = sizeof(pp_flame),
    .init = flame_init,
};

const pp_format pp_format_diff_flamegraph = {
    .ops = {.begin = flame_begin,
            .sample = flame_sample,
            .finish = flame_finish,
            .free = flame_free},
    .size = sizeof(pp_flame),
    .init = diff_init,
};
