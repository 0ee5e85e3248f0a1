/*
 * signals.c: being asked to end. The first SIGINT, SIGTERM or SIGHUP stops
 * sampling, so that what was sampled is written; a second one is meant: it
 * kills a command that was started, and a moment later this process.
 *
 * All that a handler touches is an atomic or async-signal-safe.
 */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static _Atomic(pyprof_target *) stops_target;
static _Atomic(pyprof_sampler *) stops_sampler;
static atomic_int child_pid;
static atomic_int first_signal;
static atomic_int from_terminal;
static atomic_int again;
static _Atomic uint64_t first_ns;

/* One signal can come twice: to this process and to its group (coreutils'
 * timeout does that). A person is slower. */
static const uint64_t SAME_NS = 300 * NS_PER_MS;

static void on_signal(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    int none = 0;
    (void)context;
    if (atomic_compare_exchange_strong(&first_signal, &none, number)) {
        atomic_store(&first_ns, now_ns());
        /* What a process sends has a code of 0 or below. */
        atomic_store(&from_terminal, info->si_code > 0);
        pyprof_target *target = atomic_load(&stops_target);
        pyprof_sampler *sampler = atomic_load(&stops_sampler);
        if (target != NULL) {
            pyprof_target_interrupt(target);
        }
        if (sampler != NULL) {
            pyprof_sampler_stop(sampler);
        }
    } else if (now_ns() - atomic_load(&first_ns) > SAME_NS) {
        if (atomic_exchange(&again, 1) != 0) {
            _exit(128 + number);
        }
        int child = atomic_load(&child_pid);
        if (child > 0) {
            (void)kill((pid_t)child, SIGKILL);
        }
        (void)alarm(1);
    }
    errno = saved;
}

/* A second signal was not enough: writing hangs, say. */
static void on_alarm(int number)
{
    (void)number;
    _exit(128 + atomic_load(&first_signal));
}

static void on_pipe(int number)
{
    (void)number;
}

void signals_install(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    struct sigaction before;
    memset(&action, 0, sizeof(action));
    (void)sigemptyset(&action.sa_mask);
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    action.sa_sigaction = on_signal;
    for (size_t i = 0; i < sizeof(ending) / sizeof(ending[0]); i++) {
        /* What was ignored (nohup) stays ignored. */
        if (sigaction(ending[i], NULL, &before) == 0 &&
            before.sa_handler != SIG_IGN) {
            (void)sigaction(ending[i], &action, NULL);
        }
    }
    action.sa_flags = SA_RESTART;
    action.sa_handler = on_alarm;
    (void)sigaction(SIGALRM, &action, NULL);
    /* A closed pipe is an error of writing. A handler, unlike SIG_IGN, is not
     * inherited by the command that is started. */
    if (sigaction(SIGPIPE, NULL, &before) == 0 &&
        before.sa_handler != SIG_IGN) {
        action.sa_handler = on_pipe;
        (void)sigaction(SIGPIPE, &action, NULL);
    }
}

void signals_stop_target(pyprof_target *target)
{
    atomic_store(&stops_target, target);
    if (target != NULL && atomic_load(&first_signal) != 0) {
        pyprof_target_interrupt(target);
    }
}

void signals_stop_sampler(pyprof_sampler *sampler)
{
    atomic_store(&stops_sampler, sampler);
    if (sampler != NULL && atomic_load(&first_signal) != 0) {
        pyprof_sampler_stop(sampler);
    }
}

void signals_kill_child(int64_t child)
{
    atomic_store(&child_pid, (int)child);
}

int signals_first(void)
{
    return atomic_load(&first_signal);
}

bool signals_from_terminal(void)
{
    return atomic_load(&from_terminal) != 0;
}

bool signals_again(void)
{
    return atomic_load(&again) != 0;
}
