/*
 * The clock: a sampling thread that keeps absolute deadlines, and a decoding
 * thread that empties the ring now and then, on another CPU.
 *
 * 1. A deadline that has passed is counted as missed, never made up for.
 * 2. The sampling thread sleeps between rounds, whatever the rate up to 50 kHz.
 * 3. The first failure of either thread ends both, and is the run's.
 * 4. When the sampling thread ends, all records have been decoded and the
 *    collectors told before `ended` is posted.
 */
#include "sampler/internal.h"

#include <string.h>

/* Below this interval sleeping costs more than a round. */
static const uint64_t SPIN_BELOW_NS = 20 * 1000;
/* How long a record waits at most; waking up costs the decoder 5 us. */
static const uint64_t DRAIN_NS = 50 * 1000 * 1000;

/* While the layout changes, which is rare. */
static const uint64_t CLAIM_NS = 1000 * 1000;

static void fail(pyprof_sampler *s, pyprof_status status,
                 const pyprof_error *error)
{
    if (!atomic_flag_test_and_set(&s->failing)) {
        s->failed = status;
        s->error = *error;
    }
}

/* ---- beginning and end
 * -------------------------------------------------------- */

pyprof_status pp_loop_begin(pyprof_sampler *s, pyprof_error *err)
{
    pyprof_session session = {
        .sz = sizeof(session),
        .interval_ns = s->opts.interval_ns,
        .start_ns = pp_os_now(),
        .start_unix_ns = pp_os_unix_now(),
        .pid = pp_os_process_pid(s->target->process),
        .mode = s->opts.mode,
        .python_version = s->layout.version,
        .capture = s->opts.flags,
        .tables = s->tables,
    };
    for (size_t i = 0; i < s->n_collectors; i++) {
        PP_TRY(pp_collector_begin(s->collectors[i], &session, s->tables, err));
    }
    s->started_ns = pp_os_now();
    return PYPROF_OK;
}

pyprof_status pp_loop_end(pyprof_sampler *s, pyprof_error *err)
{
    pyprof_sampler_stats stats = {.sz = sizeof(stats)};
    pyprof_status status = PYPROF_OK;
    s->ended_ns = pp_os_now();
    pp_set(&s->counts.elapsed_ns, s->ended_ns - s->started_ns);
    s->state = PP_SAMPLER_ENDED;
    pp_naming_update(s, true);
    pp_take_count_tables(s);
    pp_sampler_read_stats(s, &stats);
    pyprof_summary summary = {
        .sz = sizeof(summary),
        .duration_ns = stats.elapsed_ns,
        .rounds = stats.rounds,
        .attempted = stats.attempted,
        .whole = stats.whole,
        .torn = stats.torn,
        .gone = stats.gone,
        .unreadable = stats.unreadable,
        .missed = stats.missed,
    };
    for (size_t i = 0; i < s->n_collectors; i++) {
        pyprof_status ended = pp_collector_end(
            s->collectors[i], &summary, status == PYPROF_OK ? err : NULL);
        status = status == PYPROF_OK ? ended : status;
    }
    return status;
}

/* ---- the sampling thread
 * ---------------------------------------------------------- */

static uint64_t jittered(pyprof_sampler *s, uint64_t deadline)
{
    if ((s->opts.flags & PYPROF_SAMPLE_JITTER) == 0) {
        return deadline;
    }
    s->jitter += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t range = s->opts.interval_ns;
    return deadline - range / 2 + pp_hash_u64(s->jitter) % (range + 1);
}

static void sample_until_end(pyprof_sampler *s)
{
    uint64_t interval = s->opts.interval_ns;
    uint64_t now = pp_os_now();
    uint64_t next = now;
    uint64_t end =
        s->opts.duration_ns != 0 ? now + s->opts.duration_ns : UINT64_MAX;
    pyprof_error error = PYPROF_ERROR_INIT;
    while (!pp_os_event_posted(s->stop) && now < end) {
        pyprof_status status = pp_take_round(s, now, &error);
        if (status != PYPROF_OK) {
            if (status != PYPROF_ERR_GONE) {
                fail(s, status, &error);
            }
            break;
        }
        next += interval;
        now = pp_os_now();
        pp_set(&s->counts.elapsed_ns, now - s->started_ns);
        if (now >= next) {
            uint64_t missed = (now - next) / interval;
            pp_bump(&s->counts.missed, missed);
            next += missed * interval;
            continue; /* late by less than one tick */
        }
        if (interval >= SPIN_BELOW_NS) {
            uint64_t deadline = jittered(s, next);
            pp_os_sleep_until(deadline < end ? deadline : end, s->stop);
        } else {
            while (now < next) {
                now = pp_os_now();
            }
        }
        now = pp_os_now();
    }
}

static void run_sampling(void *user)
{
    pyprof_sampler *s = user;
    pp_os_thread_urgent();
    pp_follow_begin(s);
    sample_until_end(s);
    pp_take_release(s);
    pp_take_count_reads(s);
    pp_follow_end(s);
    pp_set(&s->counts.sampling_cpu_ns, pp_os_thread_cpu_ns());
    if (s->decoding == NULL) {
        pyprof_error error = PYPROF_ERROR_INIT;
        pyprof_status status = pp_loop_end(s, &error);
        if (status != PYPROF_OK) {
            fail(s, status, &error);
        }
        pp_os_event_post(s->ended);
        return;
    }
    atomic_store(&s->sampling_over, true);
    pp_os_event_post(s->drain);
}

/* ---- the decoding thread
 * -------------------------------------------------------------- */

/* False when a collector failed: what is left is thrown away. */
static bool empty_ring(pyprof_sampler *s, bool deliver)
{
    const void *record;
    size_t size;
    while ((record = pp_ring_peek(s->ring, &size)) != NULL) {
        pyprof_error error = PYPROF_ERROR_INIT;
        if (!deliver) {
            pp_decoder_drop(s->decoder, record);
        } else {
            pyprof_status status = pp_take_decode(s, record, &error);
            if (status != PYPROF_OK) {
                fail(s, status, &error);
                pp_os_event_post(s->stop);
                deliver = false;
            }
        }
        pp_ring_pop(s->ring);
    }
    return deliver;
}

static void keep_off(pyprof_sampler *s, int32_t *at)
{
    int32_t cpu = atomic_load_explicit(&s->avoid_cpu, memory_order_acquire);
    pp_os_cpus cpus;
    uint64_t any = 0;
    if (cpu == *at || cpu < 0 || !s->follow.home_known ||
        (size_t)cpu >= sizeof(cpus.bits) * 8) {
        return;
    }
    *at = cpu;
    cpus = s->follow.home;
    cpus.bits[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
    for (size_t i = 0; i < PP_COUNT_OF(cpus.bits); i++) {
        any |= cpus.bits[i];
    }
    if (any != 0) {
        pp_os_cpus_set(&cpus, NULL);
    }
}

static void run_decoding(void *user)
{
    pyprof_sampler *s = user;
    bool deliver = true;
    int32_t cpu = -1;
    bool over = false;
    while (!over) {
        pp_os_sleep_until(pp_os_now() + DRAIN_NS, s->drain);
        pp_os_event_clear(s->drain);
        over = atomic_load(&s->sampling_over);
        keep_off(s, &cpu);
        while (!pp_take_claim_decoding(s)) {
            pp_os_sleep_until(pp_os_now() + CLAIM_NS, NULL);
        }
        deliver = empty_ring(s, deliver);
        pp_naming_update(s, false);
        pp_take_count_tables(s);
        pp_take_release_decoding(s);
        pp_set(&s->counts.decoding_cpu_ns, pp_os_thread_cpu_ns());
    }
    pyprof_error error = PYPROF_ERROR_INIT;
    pyprof_status status = pp_loop_end(s, &error);
    if (status != PYPROF_OK) {
        fail(s, status, &error);
    }
    pp_os_event_post(s->ended);
}

/* ---- start, stop, wait
 * -------------------------------------------------------------------- */

pyprof_status pp_sampler_start(pyprof_sampler *s, pyprof_error *err)
{
    if (s->state != PP_SAMPLER_NEW) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "the sampler runs, has run, or is stepped: open "
                            "another one");
    }
    bool two = (s->opts.flags & PYPROF_SAMPLE_INLINE) == 0;
    if (two) {
        s->ring = pp_ring_new(&s->allocator, s->opts.buffer_bytes);
        if (s->ring == NULL) {
            return pp_error_memory(err, "the buffer between the threads");
        }
    }
    PP_TRY(pp_loop_begin(s, err));
    s->state = PP_SAMPLER_RUNS;
    pyprof_status status = PYPROF_OK;
    if (two) {
        status = pp_os_thread_start(&s->allocator, "pyprof-decode",
                                    run_decoding, s, &s->decoding, err);
    }
    if (status == PYPROF_OK) {
        status = pp_os_thread_start(&s->allocator, "pyprof-sample",
                                    run_sampling, s, &s->sampling, err);
    }
    if (status != PYPROF_OK) {
        s->state = PP_SAMPLER_ENDED;
        atomic_store(&s->sampling_over, true);
        pp_os_event_post(s->drain);
    }
    return status;
}

void pp_sampler_stop(pyprof_sampler *s)
{
    pp_os_event_post(s->stop);
}

pyprof_status pp_sampler_wait(pyprof_sampler *s, uint64_t timeout_ns,
                              pyprof_error *err)
{
    if (s->sampling == NULL) {
        return pp_error_set(err, PYPROF_ERR_BUSY,
                            "the sampler was not started");
    }
    uint64_t now = pp_os_now();
    uint64_t deadline =
        timeout_ns > UINT64_MAX - now ? UINT64_MAX : now + timeout_ns;
    if (!pp_os_event_posted(s->ended)) {
        pp_os_sleep_until(deadline, s->ended);
    }
    if (!pp_os_event_posted(s->ended)) {
        return pp_error_set(err, PYPROF_ERR_NOT_READY,
                            "sampling has not ended yet");
    }
    if (s->failed != PYPROF_OK && err != NULL) {
        size_t sz = err->sz;
        memcpy(err, &s->error, sz < sizeof(*err) ? sz : sizeof(*err));
        err->sz = sz;
    }
    return s->failed;
}
