/*
 * Where the sampling thread runs. Waking up on the CPU that the target's thread
 * uses preempts it, so that it can't run while it is read; the scheduler moves
 * threads about, so the sampler asks now and then, and at once when a stack
 * changed under it.
 *
 * Invariant: when the system refuses to move the thread (a cpuset), it is asked
 * no more, and the rest of the engine falls back on stopping threads.
 */
#include "sampler/internal.h"

#include <string.h>

enum {
    ASK_EVERY = 16,      /* rounds: 5 us each time, spread over them */
    ASK_EVERY_FREE = 256 /* only to keep off the target's CPU */
};

void pp_follow_begin(pyprof_sampler *s)
{
    pp_follow *f = &s->follow;
    f->cpu = -1;
    f->slot = UINT32_MAX;
    f->there = -1;
    f->age = UINT32_MAX / 2;
    f->home_known = pp_os_cpus_of_self(&f->home, NULL) == PYPROF_OK;
    f->refused = !f->home_known;
}

void pp_follow_end(pyprof_sampler *s)
{
    if (s->follow.home_known && s->follow.cpu != -1) {
        pp_os_cpus_set(&s->follow.home, NULL);
        s->follow.cpu = -1;
    }
}

void pp_follow_free(pyprof_sampler *s)
{
    for (size_t i = 0; i < s->follow.n; i++) {
        pp_os_task_close(s->follow.threads[i].task);
    }
    pp_free(&s->allocator, s->follow.threads);
}

/* ---- ids -------------------------------------------------------------------
 */

typedef struct id_search {
    uint64_t native_id, os_id;
} id_search;

static bool match_id(void *user, uint64_t os_id, uint64_t native_id)
{
    id_search *search = user;
    if (native_id == search->native_id) {
        search->os_id = os_id;
        return false;
    }
    return true;
}

uint64_t pp_follow_translate(pyprof_sampler *s, uint64_t native_id)
{
    pp_os_process *process = s->target->process;
    if (native_id == 0 ||
        pp_os_process_pid(process) == pp_os_process_inner_pid(process)) {
        return native_id;
    }
    id_search search = {native_id, 0};
    pp_os_process_threads(process, match_id, &search, NULL);
    return search.os_id;
}

static pp_followed *followed(pyprof_sampler *s, const pp_round_thread *thread)
{
    pp_follow *f = &s->follow;
    size_t had = f->cap;
    if (thread->native_id == 0 ||
        !pp_grow(&s->allocator, (void **)&f->threads, &f->cap,
                 sizeof(pp_followed), (size_t)thread->slot + 1, 0)) {
        return NULL;
    }
    if (f->cap > had) {
        memset(f->threads + had, 0, (f->cap - had) * sizeof(pp_followed));
    }
    if (thread->slot >= f->n) {
        f->n = (size_t)thread->slot + 1;
    }
    pp_followed *one = &f->threads[thread->slot];
    if (one->native_id != thread->native_id) {
        pp_os_task_close(one->task);
        *one =
            (pp_followed){.native_id = thread->native_id,
                          .os_id = pp_follow_translate(s, thread->native_id)};
    }
    return one;
}

uint64_t pp_follow_os_id(pyprof_sampler *s, const pp_round_thread *thread)
{
    const pp_followed *one = followed(s, thread);
    return one != NULL ? one->os_id : 0;
}

/* ---- moving
 * --------------------------------------------------------------------- */

static bool read_task(pyprof_sampler *s, pp_followed *one,
                      pp_os_task_state *out)
{
    if (one->task == NULL) {
        if (one->tried || one->os_id == 0) {
            return false;
        }
        one->tried = true;
        one->task =
            pp_os_task_open(&s->allocator, s->target->process, one->os_id);
    }
    if (one->task == NULL || !pp_os_task_read(one->task, out)) {
        pp_os_task_close(one->task);
        one->task = NULL;
        return false;
    }
    return true;
}

/* CPU on which a thread last ran; -1: not known. */
static int32_t cpu_of(pyprof_sampler *s, pp_followed *one)
{
    pp_os_task_state state;
    return read_task(s, one, &state) ? state.cpu : -1;
}

uint64_t pp_follow_cpu_flags(pyprof_sampler *s, const pp_round_thread *thread)
{
    pp_os_task_state state;
    pp_followed *one = followed(s, thread);
    if (one == NULL || !read_task(s, one, &state) || state.state == '?') {
        return PYPROF_THREAD_CPU_UNKNOWN;
    }
    return state.state == 'R' ? PYPROF_THREAD_ON_CPU : 0;
}

static bool go_to(pyprof_sampler *s, int32_t cpu)
{
    pp_follow *f = &s->follow;
    if (cpu < 0 || cpu == f->cpu || f->refused) {
        return false;
    }
    if (pp_os_cpu_pin((uint32_t)cpu, NULL) != PYPROF_OK) {
        f->refused = true;
        pp_log_line(&s->target->log, PYPROF_LOG_WARNING, "sampler",
                    "the system does not let the sampling thread run on CPU "
                    "%d: threads are stopped for a moment instead",
                    (int)cpu);
        return false;
    }
    f->cpu = cpu;
    atomic_store_explicit(&s->avoid_cpu, cpu, memory_order_release);
    pp_bump(&s->counts.moves, 1);
    return true;
}

/* All CPUs but one, where there are others. */
static void keep_off(pyprof_sampler *s, int32_t cpu)
{
    pp_follow *f = &s->follow;
    pp_os_cpus cpus = f->home;
    uint64_t any = 0;
    if (cpu < 0 || cpu == f->cpu || f->refused ||
        (size_t)cpu >= sizeof(cpus.bits) * 8) {
        return;
    }
    cpus.bits[cpu / 64] &= ~(UINT64_C(1) << (cpu % 64));
    for (size_t i = 0; i < PP_COUNT_OF(cpus.bits); i++) {
        any |= cpus.bits[i];
    }
    if (any == 0 || pp_os_cpus_set(&cpus, NULL) != PYPROF_OK) {
        f->refused = true;
        return;
    }
    f->cpu = cpu;
    atomic_store_explicit(&s->avoid_cpu, cpu, memory_order_release);
    pp_bump(&s->counts.moves, 1);
}

/* ---- holding a CPU ----------------------------------------------------------
 */

static void begin_holding(void *user)
{
    pyprof_sampler *s = user;
    s->follow.switches = pp_os_thread_switches();
}

static int32_t held_cpu(void *user)
{
    pyprof_sampler *s = user;
    return s->follow.switches == pp_os_thread_switches() ? s->follow.cpu : -1;
}

pp_unwind_holding pp_follow_holding(pyprof_sampler *s)
{
    return (pp_unwind_holding){s->target->runtime.cpu_word, begin_holding,
                               held_cpu, s};
}

pp_unwind_care pp_follow_care(const pyprof_sampler *s)
{
    const pp_follow *f = &s->follow;
    if (s->placement != PYPROF_PLACEMENT_TARGET || f->refused) {
        return PP_CARE_CHECKED;
    }
    return f->cpu >= 0 && s->target->runtime.cpu_word != 0 ? PP_CARE_HELD
                                                           : PP_CARE_STRICT;
}

/* ---- rounds ----------------------------------------------------------------
 */

void pp_follow_prepare(pyprof_sampler *s)
{
    pp_follow *f = &s->follow;
    if (s->placement == PYPROF_PLACEMENT_TARGET && f->there >= 0) {
        go_to(s, f->there);
        return;
    }
    uint32_t every =
        s->placement == PYPROF_PLACEMENT_TARGET ? ASK_EVERY : ASK_EVERY_FREE;
    if (++f->age < every || f->refused || f->slot >= f->n) {
        return;
    }
    f->age = 0;
    int32_t cpu = cpu_of(s, &f->threads[f->slot]);
    if (s->placement == PYPROF_PLACEMENT_TARGET) {
        go_to(s, cpu);
    } else {
        keep_off(s, cpu);
    }
}

void pp_follow_expect(pyprof_sampler *s)
{
    s->follow.age = ASK_EVERY_FREE;
}

bool pp_follow_go(pyprof_sampler *s, const pp_round_thread *thread)
{
    pp_followed *one = followed(s, thread);
    if (one == NULL || s->follow.refused) {
        return false;
    }
    s->follow.slot = thread->slot;
    s->follow.age = 0;
    if (thread->cpu >= 0) {
        go_to(s, thread->cpu);
        return true; /* to be there already is fine: it may just have come */
    }
    return go_to(s, cpu_of(s, one));
}

void pp_follow_note(pyprof_sampler *s, const pp_round *round)
{
    const pp_round_thread *best = NULL;
    for (size_t i = 0; i < round->n; i++) {
        if (round->threads[i].may_run) {
            best = &round->threads[i];
            if (best->slot == s->follow.slot) {
                break; /* stay with it while it may run */
            }
        }
    }
    if (best != NULL && best->slot != s->follow.slot &&
        followed(s, best) != NULL) {
        s->follow.slot = best->slot;
        s->follow.age = ASK_EVERY_FREE; /* ask before the next round */
    }
    s->follow.there = best != NULL ? best->cpu : -1;
}
