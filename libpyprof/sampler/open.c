/*
 * Opening and closing a sampler, its collectors, its counters, and the ways of
 * driving it that need no clock: step and snapshot.
 */
#include "sampler/internal.h"

#include <string.h>

/* Up to this rate the sampling thread goes to the target's CPU by default. */
static const uint64_t TARGET_PLACEMENT_NS = 500 * 1000;

enum {
    DEFAULT_DEPTH = 4096,
    DEFAULT_STOPS = 1000,
    DEFAULT_CODES = 65536,
    DEFAULT_STACKS = 1 << 23,
    DEFAULT_THREADS = 65536,
    DEFAULT_BUFFER = 1 << 20,
    MAX_DEPTH = 1 << 24
};
static const uint64_t DEFAULT_INTERVAL_NS = 1000 * 1000;

static void default_u32(uint32_t *value, uint32_t standard)
{
    if (*value == 0) {
        *value = standard;
    }
}

static void fill_in(pyprof_sampler *s)
{
    pyprof_sampler_opts *opts = &s->opts;
    if (opts->interval_ns == 0) {
        opts->interval_ns = DEFAULT_INTERVAL_NS;
    }
    default_u32(&opts->max_depth, DEFAULT_DEPTH);
    default_u32(&opts->max_stops, DEFAULT_STOPS);
    default_u32(&opts->max_codes, DEFAULT_CODES);
    default_u32(&opts->max_stacks, DEFAULT_STACKS);
    default_u32(&opts->max_threads, DEFAULT_THREADS);
    default_u32(&opts->buffer_bytes, DEFAULT_BUFFER);
    if (opts->max_depth > MAX_DEPTH) {
        opts->max_depth = MAX_DEPTH;
    }
    s->placement = opts->placement;
    if (s->placement == PYPROF_PLACEMENT_AUTO) {
        s->placement = opts->interval_ns >= TARGET_PLACEMENT_NS
                           ? PYPROF_PLACEMENT_TARGET
                           : PYPROF_PLACEMENT_FREE;
    }
    if (s->placement == PYPROF_PLACEMENT_FREE &&
        opts->interval_ns < TARGET_PLACEMENT_NS) {
        opts->flags |= PYPROF_SAMPLE_INLINE;
    }
}

/* What the system knows of a thread, when it is first seen. */
static void describe(void *user, pyprof_thread *thread)
{
    pyprof_sampler *s = user;
    pp_os_process *process = s->target->process;
    thread->pid = pp_os_process_pid(process);
    thread->os_id = pp_follow_translate(s, thread->native_id);
    if (thread->os_id != 0) {
        s->name[0] = '\0';
        size_t size =
            pp_os_task_name(process, thread->os_id, s->name, sizeof(s->name));
        thread->name = (pyprof_text){s->name, size};
    }
}

/* On failure what was there stays, for those who count it. */
pyprof_status pp_open_layout(pyprof_sampler *s, pyprof_error *err)
{
    pyprof_target *target = s->target;
    const char *note = NULL;
    pp_unwind *new_unwind = NULL;
    pp_decoder *new_decoder = NULL;
    PP_TRY(pp_layout_load(target->reader, target->runtime.address,
                          target->runtime.hex_version,
                          (target->runtime.build & PP_BUILD_FREE_THREADED) != 0,
                          &s->layout, &note, err));
    if (note != NULL) {
        pp_log_line(&target->log, PYPROF_LOG_INFO, "layout", "%s", note);
    }
    pp_unwind_opts unwind = {
        .all_threads = (s->opts.flags & PYPROF_SAMPLE_ALL_THREADS) != 0,
        .max_depth = s->opts.max_depth,
        .max_codes = s->opts.max_codes,
        .max_threads = s->opts.max_threads,
        .holding = pp_follow_holding(s),
    };
    pp_decoder_ops ops = {describe, s};
    PP_TRY(pp_unwind_new(
        &s->allocator, target->reader, &s->layout, target->runtime.address,
        pp_os_process_inner_pid(target->process), &unwind, &new_unwind, err));
    pyprof_status status = pp_decoder_new(&s->allocator, &s->layout, s->tables,
                                          &ops, &new_decoder, err);
    if (status != PYPROF_OK) {
        pp_unwind_free(new_unwind);
        return status;
    }
    pp_unwind_free(s->unwind);
    pp_decoder_free(s->decoder);
    s->unwind = new_unwind;
    s->decoder = new_decoder;
    return pp_naming_open(s, err);
}

static pyprof_status make(pyprof_sampler *s, pyprof_error *err)
{
    pp_tables_limits limits = {.max_stacks = s->opts.max_stacks,
                               .max_threads = s->opts.max_threads};
    s->tables = pp_tables_new(&s->allocator, &limits);
    s->stop = pp_os_event_new(&s->allocator);
    s->drain = pp_os_event_new(&s->allocator);
    s->ended = pp_os_event_new(&s->allocator);
    if (s->tables == NULL || s->stop == NULL || s->drain == NULL ||
        s->ended == NULL) {
        return pp_error_memory(err, "the sampler");
    }
    return pp_open_layout(s, err);
}

pyprof_status pp_sampler_open(pyprof_target *target,
                              const pyprof_sampler_opts *opts,
                              pyprof_sampler **out, pyprof_error *err)
{
    if (!target->has_runtime) {
        return pp_error_set(err, PYPROF_ERR_NOT_READY,
                            "process %lld has no Python yet: wait for it with "
                            "pyprof_target_ready",
                            (long long)pp_os_process_pid(target->process));
    }
    if (target->self && (opts->flags & PYPROF_SAMPLE_BLOCKING) != 0) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "a process can't stop its own threads: sample "
                            "without blocking");
    }
    pyprof_sampler *s = pp_calloc(&target->allocator, 1, sizeof(*s));
    if (s == NULL) {
        return pp_error_memory(err, "the sampler");
    }
    s->allocator = target->allocator;
    s->target = target;
    s->opts = *opts;
    s->avoid_cpu = -1;
    s->follow.cpu = -1;
    s->follow.slot = UINT32_MAX;
    s->jitter = pp_os_now();
    fill_in(s);
    pyprof_status status = make(s, err);
    if (status != PYPROF_OK) {
        pp_sampler_close(s);
        return status;
    }
    *out = s;
    return PYPROF_OK;
}

void pp_sampler_close(pyprof_sampler *s)
{
    if (s == NULL) {
        return;
    }
    if (s->stop != NULL) {
        pp_os_event_post(s->stop);
    }
    pp_os_thread_join(s->sampling);
    pp_os_thread_join(s->decoding);
    pp_take_release(s);
    pp_follow_free(s);
    pp_naming_close(s);
    pp_ring_free(s->ring);
    pp_free(&s->allocator, s->buffer);
    pp_free(&s->allocator, s->stopped);
    pp_free(&s->allocator, s->shown);
    pp_unwind_free(s->unwind);
    pp_decoder_free(s->decoder);
    pp_tables_unref(s->tables);
    pp_os_event_free(s->stop);
    pp_os_event_free(s->drain);
    pp_os_event_free(s->ended);
    pp_allocator allocator = s->allocator;
    pp_free(&allocator, s);
}

pyprof_status pp_sampler_add(pyprof_sampler *s, pyprof_collector *collector,
                             pyprof_error *err)
{
    if (s->state != PP_SAMPLER_NEW) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "sampling has begun: add collectors before");
    }
    if (s->n_collectors == PP_MAX_COLLECTORS) {
        return pp_error_set(err, PYPROF_ERR_LIMIT,
                            "a sampler takes at most %d collectors",
                            PP_MAX_COLLECTORS);
    }
    s->collectors[s->n_collectors++] = collector;
    return PYPROF_OK;
}

/* ---- driven by the caller
 * ----------------------------------------------------- */

static pyprof_status is_running(pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_BUSY,
                        "the sampler runs in its own threads, or has ended");
}

pyprof_status pp_sampler_step(pyprof_sampler *s, pyprof_error *err)
{
    if (s->state == PP_SAMPLER_NEW) {
        PP_TRY(pp_loop_begin(s, err));
        s->state = PP_SAMPLER_STEPPED;
        pp_follow_begin(s);
    }
    if (s->state != PP_SAMPLER_STEPPED) {
        return is_running(err);
    }
    pp_follow_expect(s);
    pyprof_status status = pp_take_round(s, pp_os_now(), err);
    pp_follow_end(s); /* the thread is the caller's */
    pp_set(&s->counts.elapsed_ns, pp_os_now() - s->started_ns);
    if (status == PYPROF_ERR_GONE) {
        pp_error_set(err, status, "process %lld has ended",
                     (long long)pp_os_process_pid(s->target->process));
    }
    return status;
}

pyprof_status pp_sampler_finish(pyprof_sampler *s, pyprof_error *err)
{
    if (s->state == PP_SAMPLER_NEW) {
        PP_TRY(pp_loop_begin(s, err));
        s->state = PP_SAMPLER_STEPPED;
    }
    if (s->state != PP_SAMPLER_STEPPED) {
        return is_running(err);
    }
    pp_take_count_reads(s);
    return pp_loop_end(s, err);
}

pyprof_status pp_sampler_snapshot(pyprof_sampler *s,
                                  int32_t (*take)(void *user,
                                                  const pyprof_sample *sample),
                                  void *user, pyprof_error *err)
{
    if (s->state == PP_SAMPLER_RUNS) {
        return is_running(err);
    }
    if (s->state == PP_SAMPLER_NEW && !s->follow.home_known) {
        pp_follow_begin(s);
    }
    pyprof_status status = pp_take_snapshot(s, take, user, err);
    pp_follow_end(s); /* the thread is the caller's */
    return status;
}

/* ---- counters
 * -------------------------------------------------------------------- */

void pp_sampler_read_stats(const pyprof_sampler *s, pyprof_sampler_stats *out)
{
    out->elapsed_ns = pp_get(&s->counts.elapsed_ns);
    out->rounds = pp_get(&s->counts.rounds);
    out->whole = pp_get(&s->counts.whole);
    out->torn = pp_get(&s->counts.torn);
    out->gone = pp_get(&s->counts.gone);
    out->unreadable = pp_get(&s->counts.unreadable);
    out->attempted = out->whole + out->torn + out->gone + out->unreadable;
    out->truncated = pp_get(&s->counts.truncated);
    out->idle = pp_get(&s->counts.idle);
    out->missed = pp_get(&s->counts.missed);
    out->overrun = pp_get(&s->counts.overrun);
    out->retries = pp_get(&s->counts.retries);
    out->stops = pp_get(&s->counts.stops);
    out->stops_refused = pp_get(&s->counts.stops_refused);
    out->moves = pp_get(&s->counts.moves);
    out->read_calls =
        pp_get(&s->counts.read_calls) + pp_get(&s->counts.naming_calls);
    out->read_spans =
        pp_get(&s->counts.read_spans) + pp_get(&s->counts.naming_spans);
    out->read_bytes =
        pp_get(&s->counts.read_bytes) + pp_get(&s->counts.naming_bytes);
    out->codes = pp_get(&s->counts.codes);
    out->codes_read = pp_get(&s->counts.codes_read);
    out->codes_changed = pp_get(&s->counts.codes_changed);
    out->codes_evicted = pp_get(&s->counts.codes_evicted);
    out->stacks = pp_get(&s->counts.stacks);
    out->folded = pp_get(&s->counts.folded);
    out->threads_seen = pp_get(&s->counts.threads);
    out->cpu_ns =
        pp_get(&s->counts.sampling_cpu_ns) + pp_get(&s->counts.decoding_cpu_ns);
    out->memory_bytes = pp_get(&s->counts.table_bytes) +
                        pp_get(&s->counts.unwind_bytes) +
                        (s->ring != NULL ? pp_ring_capacity(s->ring) : 0);
    out->placement = s->placement;
}
