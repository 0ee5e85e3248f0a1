/*
 * One round and what follows from it.
 *
 * In: the unwinder's view of the threads. Out: one record, delivered or counted
 * as overrun.
 *
 * A stack that changed while it was read is not dropped and not read until it
 * fits, since both favour stacks that last. The one thread is made to stand
 * still instead, and read again: by going to its CPU, else by stopping it,
 * within a budget. What is still torn then is delivered as torn.
 */
#include "sampler/internal.h"

#include <string.h>

enum {
    MAX_VISITS = 4,     /* CPUs visited in one round */
    ABSENT_ROUNDS = 16, /* between two looks for another program; 2^n */
    MAX_NAPS = 50,
    NAP_NS = 1000 * 1000
};

/* ---- stopping --------------------------------------------------------------
 */

void pp_take_release(pyprof_sampler *s)
{
    while (s->n_stopped > 0) {
        pp_os_thread_release(s->target->process, s->stopped[--s->n_stopped]);
    }
}

static bool stop_thread(pyprof_sampler *s, uint64_t os_id)
{
    if (os_id == 0 ||
        !pp_grow(&s->allocator, (void **)&s->stopped, &s->cap_stopped,
                 sizeof(uint64_t), s->n_stopped + 1, 0) ||
        pp_os_thread_stop(s->target->process, os_id, NULL) != PYPROF_OK) {
        return false;
    }
    s->stopped[s->n_stopped++] = os_id;
    pp_bump(&s->counts.stops, 1);
    return true;
}

static bool within_budget(pyprof_sampler *s, uint64_t now)
{
    uint64_t second = now / PP_NS_PER_SECOND;
    if (second != s->stop_second) {
        s->stop_second = second;
        s->stops_in_second = 0;
    }
    return s->stops_in_second < s->opts.max_stops;
}

/* Stops the threads whose stacks are torn. Returns how many were. */
static size_t stop_torn(pyprof_sampler *s, const pp_round *round, uint64_t now)
{
    for (size_t i = 0; i < round->n; i++) {
        const pp_round_thread *thread = &round->threads[i];
        if (thread->state != PYPROF_STACK_TORN) {
            continue;
        }
        if (within_budget(s, now) &&
            stop_thread(s, pp_follow_os_id(s, thread))) {
            s->stops_in_second++;
        } else {
            pp_bump(&s->counts.stops_refused, 1);
        }
    }
    return s->n_stopped;
}

static bool stop_one(void *user, uint64_t os_id, uint64_t native_id)
{
    pyprof_sampler *s = user;
    PP_UNUSED(native_id);
    if (os_id == pp_os_thread_self()) {
        return true;
    }
    for (size_t i = 0; i < s->n_stopped; i++) {
        if (s->stopped[i] == os_id) {
            return true;
        }
    }
    stop_thread(s, os_id);
    return true;
}

/* Stops every thread, also those that start meanwhile: until a look finds no
 * new one. */
static void stop_all(pyprof_sampler *s)
{
    size_t before;
    do {
        before = s->n_stopped;
        pp_os_process_threads(s->target->process, stop_one, s, NULL);
    } while (s->n_stopped > before);
}

/* ---- reading
 * ------------------------------------------------------------------ */

static const pp_round_thread *first_torn(const pp_round *round)
{
    for (size_t i = 0; i < round->n; i++) {
        if (round->threads[i].state == PYPROF_STACK_TORN) {
            return &round->threads[i];
        }
    }
    return NULL;
}

static pyprof_status read_round(pyprof_sampler *s, uint64_t now,
                                pp_round *round)
{
    if ((s->opts.flags & PYPROF_SAMPLE_BLOCKING) != 0) {
        stop_all(s);
        pyprof_status status =
            pp_unwind_round(s->unwind, now, PP_CARE_STOPPED, round);
        pp_take_release(s);
        return status;
    }
    PP_TRY(pp_unwind_round(s->unwind, now, pp_follow_care(s), round));
    if (round->n_torn == 0 || s->placement != PYPROF_PLACEMENT_TARGET) {
        return PYPROF_OK;
    }
    for (int visit = 0; visit < MAX_VISITS && round->n_torn > 0; visit++) {
        if (!pp_follow_go(s, first_torn(round)) && visit > 0) {
            break;
        }
        pp_bump(&s->counts.retries, 1);
        PP_TRY(pp_unwind_again(s->unwind, now, pp_follow_care(s), round));
    }
    if (round->n_torn == 0) {
        return PYPROF_OK;
    }
    /* Where nothing can be held a look may still prove itself. */
    bool all_stopped = (s->opts.flags & PYPROF_SAMPLE_NO_STOPS) == 0 &&
                       stop_torn(s, round, now) == round->n_torn;
    pp_bump(&s->counts.retries, 1);
    pyprof_status status = pp_unwind_again(
        s->unwind, now, all_stopped ? PP_CARE_STOPPED : PP_CARE_CHECKED, round);
    pp_take_release(s);
    return status;
}

void pp_take_count_reads(pyprof_sampler *s)
{
    const pp_reader_counters *reads = &s->target->reader->counters;
    pp_unwind_counters unwind = pp_unwind_count(s->unwind);
    pp_set(&s->counts.read_calls, reads->calls);
    pp_set(&s->counts.read_spans, reads->spans);
    pp_set(&s->counts.read_bytes, reads->bytes);
    pp_set(&s->counts.codes, unwind.codes);
    pp_set(&s->counts.codes_read, unwind.codes_read);
    pp_set(&s->counts.codes_changed, unwind.codes_changed);
    pp_set(&s->counts.codes_evicted, unwind.codes_evicted);
    pp_set(&s->counts.unwind_bytes, unwind.bytes);
}

/* ---- delivering
 * ---------------------------------------------------------------------- */

pyprof_status pp_take_decode(pyprof_sampler *s, const void *record,
                             pyprof_error *err)
{
    pp_decoded decoded;
    PP_TRY(pp_decoder_take(s->decoder, record, &decoded, err));
    pp_bump(&s->counts.whole, decoded.whole);
    pp_bump(&s->counts.torn, decoded.torn);
    pp_bump(&s->counts.unreadable, decoded.unreadable);
    pp_bump(&s->counts.truncated, decoded.truncated);
    pp_bump(&s->counts.idle, decoded.idle);
    if (decoded.sample.n_stacks == 0) {
        return PYPROF_OK;
    }
    for (size_t i = 0; i < s->n_collectors; i++) {
        PP_TRY(pp_collector_sample(s->collectors[i], &decoded.sample, err));
    }
    return PYPROF_OK;
}

/* Room for a record. When the decoder is behind it is waited for, a little: a
 * tick that is missed costs less truth than a sample that is lost. */
static void *reserve(pyprof_sampler *s, size_t size)
{
    void *to = pp_ring_reserve(s->ring, size);
    for (int i = 0; to == NULL && i < MAX_NAPS; i++) {
        pp_os_event_post(s->drain);
        if (pp_os_sleep_until(pp_os_now() + NAP_NS, s->stop)) {
            return NULL;
        }
        to = pp_ring_reserve(s->ring, size);
    }
    return to;
}

static pyprof_status deliver(pyprof_sampler *s, uint64_t now, pyprof_error *err)
{
    size_t size = pp_unwind_record_size(s->unwind);
    if (s->ring != NULL) {
        void *to = reserve(s, size);
        if (to == NULL) {
            pp_bump(&s->counts.overrun, 1);
            return PYPROF_OK;
        }
        pp_ring_commit(s->ring, pp_unwind_record(s->unwind, now, to));
        if (pp_ring_used(s->ring) > pp_ring_capacity(s->ring) / 4 &&
            !pp_os_event_posted(s->drain)) {
            pp_os_event_post(s->drain);
        }
        return PYPROF_OK;
    }
    if (!pp_grow(&s->allocator, (void **)&s->buffer, &s->cap_buffer, 1, size,
                 0)) {
        return pp_error_memory(err, "a record");
    }
    pp_unwind_record(s->unwind, now, s->buffer);
    PP_TRY(pp_take_decode(s, s->buffer, err));
    pp_naming_update(s, false);
    return PYPROF_OK;
}

void pp_take_count_tables(pyprof_sampler *s)
{
    pp_tables_counters tables = pp_tables_count(s->tables);
    pp_set(&s->counts.stacks, tables.stacks);
    pp_set(&s->counts.folded, tables.folded);
    pp_set(&s->counts.threads, tables.threads);
    pp_set(&s->counts.table_bytes, tables.bytes + pp_decoder_bytes(s->decoder));
}

/* ---- a target without a runtime ---------------------------------------------
 */

bool pp_take_claim_decoding(pyprof_sampler *s)
{
    return !atomic_exchange(&s->decoding_busy, true);
}

void pp_take_release_decoding(pyprof_sampler *s)
{
    atomic_store(&s->decoding_busy, false);
}

/* Claims decoding once nothing is left that needs the old layout. False: the
 * sampler is stopped. */
static bool claim_when_empty(pyprof_sampler *s)
{
    for (;;) {
        if (pp_take_claim_decoding(s)) {
            if (s->ring == NULL || pp_ring_used(s->ring) == 0) {
                return true;
            }
            pp_take_release_decoding(s);
        }
        pp_os_event_post(s->drain);
        if (pp_os_sleep_until(pp_os_now() + NAP_NS, s->stop)) {
            return false;
        }
    }
}

/* Its interpreters are gone: it is about to end, or executes another program.
 * In the second case it is looked at anew, once that has a Python. */
static pyprof_status look_for_exec(pyprof_sampler *s, pyprof_error *err)
{
    uint64_t image = s->target->image_id;
    if (!pp_os_process_alive(s->target->process)) {
        return PYPROF_ERR_GONE; /* nothing was read that would have said so */
    }
    if ((s->absent++ & (ABSENT_ROUNDS - 1)) != ABSENT_ROUNDS - 1 ||
        pp_os_process_image_id(s->target->process) == image ||
        pp_target_ready(s->target, 0, NULL) != PYPROF_OK) {
        return PYPROF_OK;
    }
    if (!claim_when_empty(s)) {
        return PYPROF_OK;
    }
    pyprof_status status = pp_open_layout(s, err);
    pp_take_release_decoding(s);
    return status;
}

/* ---- the round
 * ------------------------------------------------------------------ */

pyprof_status pp_take_round(pyprof_sampler *s, uint64_t now, pyprof_error *err)
{
    pp_round round;
    /* What stopped after it had been given up runs on. */
    pp_os_threads_settle(s->target->process);
    pp_follow_prepare(s);
    pyprof_status status = read_round(s, now, &round);
    if (status == PYPROF_ERR_GONE) {
        return status;
    }
    if (status == PYPROF_ERR_NO_PERMISSION) {
        return pp_os_process_explain(s->target->process, err);
    }
    if (status != PYPROF_OK) {
        return pp_error_set(err, status, "reading the target failed: %s",
                            status == PYPROF_ERR_NO_MEMORY
                                ? "out of memory"
                                : "unexpected error");
    }
    if (round.no_runtime) {
        return look_for_exec(s, err);
    }
    s->absent = 0;
    pp_bump(&s->counts.rounds, 1);
    pp_follow_note(s, &round);
    for (size_t i = 0; i < round.n; i++) {
        pp_bump(&s->counts.gone, round.threads[i].state == PP_STACK_GONE);
    }
    pp_bump(&s->counts.unreadable, round.n_lost);
    status = deliver(s, now, err);
    if ((pp_get(&s->counts.rounds) & 63) == 1) {
        pp_take_count_reads(s);
    }
    return status;
}

pyprof_status pp_take_snapshot(pyprof_sampler *s,
                               int32_t (*take)(void *user,
                                               const pyprof_sample *sample),
                               void *user, pyprof_error *err)
{
    pp_round round;
    pp_decoded decoded;
    pyprof_status status = read_round(s, pp_os_now(), &round);
    if (status == PYPROF_OK && pp_get(&s->counts.rounds) == 0) {
        /* The first one only learns where things are, the GIL among them. */
        status = read_round(s, pp_os_now(), &round);
    }
    if (status == PYPROF_ERR_GONE) {
        return pp_error_set(err, status, "process %lld has ended",
                            (long long)pp_os_process_pid(s->target->process));
    }
    if (status == PYPROF_ERR_NO_PERMISSION) {
        return pp_os_process_explain(s->target->process, err);
    }
    if (status != PYPROF_OK) {
        return pp_error_memory(err, "a snapshot");
    }
    size_t size = pp_unwind_record_size(s->unwind);
    if (!pp_grow(&s->allocator, (void **)&s->buffer, &s->cap_buffer, 1, size,
                 0) ||
        !pp_grow(&s->allocator, (void **)&s->shown, &s->cap_shown,
                 sizeof(pyprof_stack_sample), round.n, 0)) {
        return pp_error_memory(err, "a snapshot");
    }
    pp_unwind_record(s->unwind, pp_os_now(), s->buffer);
    PP_TRY(pp_decoder_take(s->decoder, s->buffer, &decoded, err));
    pp_naming_update(s, true);
    size_t n = 0;
    for (size_t i = 0; i < round.n && n < decoded.sample.n_stacks; i++) {
        if (round.threads[i].state == PP_STACK_GONE) {
            continue;
        }
        s->shown[n] = decoded.sample.stacks[n];
        s->shown[n].flags &= ~(uint64_t)PYPROF_THREAD_CPU_UNKNOWN;
        s->shown[n].flags |= pp_follow_cpu_flags(s, &round.threads[i]);
        n++;
    }
    decoded.sample.stacks = s->shown;
    if (take(user, &decoded.sample) != 0) {
        return pp_error_set(err, PYPROF_ERR_CALLBACK,
                            "the function that takes the snapshot failed");
    }
    return PYPROF_OK;
}
