/*
 * cost.c: what being sampled costs a target, on a machine that has noise.
 *
 *     cost TARGET COUNTER SAMPLER RATE PLACE TRIPLES WINDOW_MS
 *
 * The target counts its own work in the file COUNTER (eight bytes, mapped by
 * both). Three states take turns, each for a window, in an order that is drawn
 * anew for each triple: nothing; a thread that wakes up RATE times a second
 * and makes one 64-byte read of the target's memory; the process SAMPLER, which
 * is stopped by SIGSTOP in the other two. The thread is pinned to the CPU that
 * the target runs on (PLACE "target") or kept off it ("free"). SAMPLER 0: the
 * third state is left out.
 *
 * A line for each triple: work per nanosecond in the three states, then the
 * thread's wake-ups and the nanoseconds that SAMPLER was on.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING, BASELINE, SAMPLER, STATES };

typedef struct bench {
    pid_t target, sampler;
    const volatile uint64_t *counter;
    uint64_t interval_ns;
    int on_target;  /* the baseline's place */
    void *readable; /* 64 bytes of the target */
    sem_t wanted;
    atomic_int baseline_on, over;
    atomic_ullong wakes;
} bench;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {
    }
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* CPU that the target's main thread ran on last. */
static int cpu_of(pid_t pid)
{
    char path[64], text[1024];
    int cpu = -1;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL || fgets(text, sizeof(text), file) == NULL) {
        fail(path);
    }
    fclose(file);
    char *at = strrchr(text, ')'); /* field 2 ends there, ours is field 39 */
    for (int field = 2; at != NULL && field < 39; field++) {
        at = strchr(at + 1, ' ');
    }
    if (at == NULL || sscanf(at, "%d", &cpu) != 1) {
        fail("the CPU of the target");
    }
    return cpu;
}

/* This thread onto that CPU, or onto all the others. */
static void place(int cpu, int onto)
{
    cpu_set_t set;
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    CPU_ZERO(&set);
    for (int i = 0; i < n; i++) {
        if ((i == cpu) == (onto != 0) || n == 1) {
            CPU_SET((size_t)i, &set);
        }
    }
    sched_setaffinity(0, sizeof(set), &set);
}

static void wake_up_often(bench *b)
{
    char bytes[64];
    struct iovec local = {bytes, sizeof(bytes)};
    struct iovec remote = {b->readable, sizeof(bytes)};
    uint64_t next = now_ns();
    place(cpu_of(b->target), b->on_target);
    while (atomic_load(&b->baseline_on)) {
        if (process_vm_readv(b->target, &local, 1, &remote, 1, 0) < 0) {
            fail("process_vm_readv");
        }
        atomic_fetch_add(&b->wakes, 1);
        next += b->interval_ns;
        sleep_until(next);
    }
}

/* Where it is not wanted it must not even wake up. */
static void *baseline(void *user)
{
    bench *b = user;
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (;;) {
        while (sem_wait(&b->wanted) != 0) {
        }
        if (atomic_load(&b->over)) {
            return NULL;
        }
        wake_up_often(b);
    }
}

/* State letter of a process's main thread. */
static char state_of(pid_t pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    size_t size = file != NULL ? fread(text, 1, sizeof(text) - 1, file) : 0;
    text[size] = '\0';
    if (file != NULL) {
        fclose(file);
    }
    char *at = strrchr(text, ')');
    return at != NULL && at[1] == ' ' ? at[2] : '?';
}

/* A profiler that stops its target must not be stopped while it does so. */
static void pause_sampler(const bench *b)
{
    for (int i = 0; i < 100; i++) {
        if (kill(b->sampler, SIGSTOP) != 0) {
            fail("the sampler");
        }
        sleep_until(now_ns() + 300000);
        char state = state_of(b->target);
        if (state != 't' && state != 'T') {
            return;
        }
        kill(b->sampler, SIGCONT);
        sleep_until(now_ns() + 100000 + (uint64_t)i * 10000);
    }
}

static void switch_to(bench *b, int state)
{
    atomic_store(&b->baseline_on, state == BASELINE);
    if (b->sampler > 0) {
        if (state != SAMPLER) {
            pause_sampler(b);
        } else if (kill(b->sampler, SIGCONT) != 0) {
            fail("the sampler");
        }
    }
    if (state == BASELINE) {
        sem_post(&b->wanted);
    }
}

/* Work per nanosecond in one window. */
static double measure(bench *b, int state, uint64_t window_ns, uint64_t *took)
{
    switch_to(b, state);
    uint64_t start = now_ns(), before = *b->counter;
    sleep_until(start + window_ns);
    uint64_t end = now_ns(), after = *b->counter;
    *took = end - start;
    return (double)(after - before) / (double)(end - start);
}

static void find_readable(bench *b)
{
    char path[64], line[512];
    unsigned long start;
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)b->target);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strstr(line, "[heap]") != NULL &&
            sscanf(line, "%lx", &start) == 1) {
            b->readable = (void *)start;
        }
    }
    if (b->readable == NULL) {
        fail(path);
    }
    fclose(file);
}

static void run(bench *b, int triples, uint64_t window_ns)
{
    unsigned chance = 15;
    int states = b->sampler > 0 ? STATES : SAMPLER;
    for (int i = 0; i < triples; i++) {
        int order[STATES] = {NOTHING, BASELINE, SAMPLER};
        double speed[STATES] = {0, 0, 0};
        uint64_t took[STATES] = {0, 0, 0};
        unsigned long long wakes = atomic_load(&b->wakes);
        for (int k = states - 1; k > 0; k--) {
            chance = chance * 1103515245u + 12345u;
            int other = (int)((chance >> 16) % (unsigned)(k + 1));
            int state = order[k];
            order[k] = order[other];
            order[other] = state;
        }
        for (int k = 0; k < states; k++) {
            speed[order[k]] = measure(b, order[k], window_ns, &took[order[k]]);
        }
        printf("%.9g %.9g %.9g %llu %" PRIu64 "\n", speed[NOTHING],
               speed[BASELINE], speed[SAMPLER], atomic_load(&b->wakes) - wakes,
               took[SAMPLER]);
    }
}

int main(int argc, char **argv)
{
    static bench b;
    pthread_t thread;
    if (argc != 8) {
        fprintf(stderr, "usage: cost TARGET COUNTER SAMPLER RATE PLACE "
                        "TRIPLES WINDOW_MS\n");
        return 2;
    }
    b.target = (pid_t)atoi(argv[1]);
    b.sampler = (pid_t)atoi(argv[3]);
    b.interval_ns = (uint64_t)(1e9 / atof(argv[4]));
    b.on_target = strcmp(argv[5], "target") == 0;
    int fd = open(argv[2], O_RDONLY);
    void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    if (fd < 0 || map == MAP_FAILED) {
        fail(argv[2]);
    }
    b.counter = map;
    find_readable(&b);
    /* The switching itself is done where it does not disturb. */
    place(cpu_of(b.target), 0);
    sem_init(&b.wanted, 0, 0);
    if (pthread_create(&thread, NULL, baseline, &b) != 0) {
        fail("pthread_create");
    }
    run(&b, atoi(argv[6]), (uint64_t)(atof(argv[7]) * 1e6));
    atomic_store(&b.baseline_on, 0);
    atomic_store(&b.over, 1);
    sem_post(&b.wanted);
    pthread_join(thread, NULL);
    if (b.sampler > 0) {
        kill(b.sampler, SIGCONT);
    }
    return 0;
}
