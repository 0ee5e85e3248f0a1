/*
 * thread: threads of this process, the CPUs that they may use, and how
 * promptly they wake.
 *
 * A thread that is started here has every signal blocked: handlers of the
 * program that the library is part of run on that program's own threads.
 */
#include "os/linux/linux.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

struct pp_os_thread {
    const pp_allocator *allocator;
    pthread_t thread;
    void (*run)(void *user);
    void *user;
    char name[16];
};

static void *thread_main(void *arg)
{
    pp_os_thread *self = arg;
    prctl(PR_SET_NAME, self->name);
    self->run(self->user);
    return NULL;
}

pyprof_status pp_os_thread_start(const pp_allocator *allocator,
                                 const char *name, void (*run)(void *user),
                                 void *user, pp_os_thread **out,
                                 pyprof_error *err)
{
    pp_os_thread *thread = pp_calloc(allocator, 1, sizeof(*thread));
    sigset_t all;
    sigset_t before;
    if (thread == NULL) {
        return pp_error_memory(err, "a thread");
    }
    thread->allocator = allocator;
    thread->run = run;
    thread->user = user;
    strncpy(thread->name, name, sizeof(thread->name) - 1);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&thread->thread, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        pp_free(allocator, thread);
        return pp_error_errno(err, PYPROF_ERR_OS, rc,
                              "can't start the thread \"%s\"", name);
    }
    *out = thread;
    return PYPROF_OK;
}

void pp_os_thread_join(pp_os_thread *thread)
{
    if (thread != NULL) {
        pthread_join(thread->thread, NULL);
        pp_free(thread->allocator, thread);
    }
}

uint64_t pp_os_thread_self(void)
{
    return (uint64_t)syscall(SYS_gettid);
}

int64_t pp_os_self_pid(void)
{
    return getpid();
}

pyprof_status pp_os_cpus_of_self(pp_os_cpus *out, pyprof_error *err)
{
    /* The kernel refuses a buffer that is smaller than its own mask. */
    uint64_t bits[128];
    memset(bits, 0, sizeof(bits));
    if (syscall(SYS_sched_getaffinity, 0, sizeof(bits), bits) < 0) {
        return pp_error_errno(err, PYPROF_ERR_OS, errno,
                              "can't tell the CPUs of this thread");
    }
    memcpy(out->bits, bits, sizeof(out->bits));
    return PYPROF_OK;
}

pyprof_status pp_os_cpus_set(const pp_os_cpus *cpus, pyprof_error *err)
{
    if (syscall(SYS_sched_setaffinity, 0, sizeof(cpus->bits), cpus->bits) !=
        0) {
        return pp_error_errno(err, PYPROF_ERR_OS, errno,
                              "can't set the CPUs of this thread");
    }
    return PYPROF_OK;
}

pyprof_status pp_os_cpu_pin(uint32_t cpu, pyprof_error *err)
{
    pp_os_cpus cpus;
    memset(&cpus, 0, sizeof(cpus));
    if (cpu >= 64 * PP_COUNT_OF(cpus.bits)) {
        return pp_error_set(err, PYPROF_ERR_OS,
                            "CPU %u is beyond the %zu that can be named", cpu,
                            64 * PP_COUNT_OF(cpus.bits));
    }
    cpus.bits[cpu / 64] |= UINT64_C(1) << (cpu % 64);
    if (syscall(SYS_sched_setaffinity, 0, sizeof(cpus.bits), cpus.bits) != 0) {
        return pp_error_errno(err, PYPROF_ERR_OS, errno,
                              "can't move this thread to CPU %u", cpu);
    }
    return PYPROF_OK;
}

uint32_t pp_os_cpu_current(void)
{
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : (uint32_t)cpu;
}

uint64_t pp_os_thread_switches(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0) {
        return 0;
    }
    return (uint64_t)usage.ru_nvcsw + (uint64_t)usage.ru_nivcsw;
}

/* The kernel's struct sched_attr, first version. */
typedef struct schedule {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
} schedule;

void pp_os_thread_urgent(void)
{
    schedule attr;
    int saved = errno;
    prctl(PR_SET_TIMERSLACK, 1UL);
    /* Since 6.12 a fair thread may ask for a shorter slice than others have:
     * its deadline is nearer, so it preempts sooner when it wakes. Older
     * kernels take the call and ignore the value. */
    memset(&attr, 0, sizeof(attr));
    if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0u) == 0 &&
        attr.policy == SCHED_OTHER) {
        attr.size = sizeof(attr);
        attr.flags &= 1; /* reset-on-fork stays as it was */
        attr.runtime = 100 * 1000;
        syscall(SYS_sched_setattr, 0, &attr, 0u);
    }
    errno = saved;
}
