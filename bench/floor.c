/*
 * floor.c: what the kernel alone takes to read a target's memory: the same
 * spans again and again with process_vm_readv, and nothing else.
 *
 *     floor PID PLAN SECONDS
 *
 * PLAN has a line "HEXADDRESS BYTES" for each span. Prints JSON: rounds (all
 * spans once), seconds, spans, bytes, and how many rounds came short because a
 * span was no longer mapped.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

enum { MOST_SPANS = 65536, SPANS_A_CALL = 1024 };

static struct iovec remote[MOST_SPANS];
static struct iovec local[MOST_SPANS];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t read_plan(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "r");
    unsigned long long address, size;
    size_t n = 0;
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    *bytes = 0;
    while (n < MOST_SPANS && fscanf(file, "%llx %llu", &address, &size) == 2) {
        remote[n].iov_base = (void *)(uintptr_t)address;
        remote[n].iov_len = (size_t)size;
        *bytes += (size_t)size;
        n++;
    }
    fclose(file);
    return n;
}

/* Local pieces lie one after the other, as in a profiler's own buffer. */
static void lay_out(size_t n, size_t bytes)
{
    char *buffer = malloc(bytes + 1);
    if (buffer == NULL || n == 0) {
        fprintf(stderr, "floor: an empty plan, or no memory\n");
        exit(1);
    }
    for (size_t i = 0; i < n; i++) {
        local[i].iov_base = buffer;
        local[i].iov_len = remote[i].iov_len;
        buffer += remote[i].iov_len;
    }
}

static size_t read_all(pid_t pid, size_t n)
{
    size_t got = 0;
    for (size_t i = 0; i < n; i += SPANS_A_CALL) {
        size_t part = n - i < SPANS_A_CALL ? n - i : SPANS_A_CALL;
        ssize_t size =
            process_vm_readv(pid, local + i, part, remote + i, part, 0);
        got += size > 0 ? (size_t)size : 0;
    }
    return got;
}

int main(int argc, char **argv)
{
    size_t bytes, rounds = 0, shortened = 0;
    if (argc != 4) {
        fprintf(stderr, "usage: floor PID PLAN SECONDS\n");
        return 2;
    }
    pid_t pid = (pid_t)atoi(argv[1]);
    size_t n = read_plan(argv[2], &bytes);
    lay_out(n, bytes);
    double start = now(), end = start + atof(argv[3]), at = start;
    while (at < end) {
        for (int i = 0; i < 16; i++) {
            shortened += read_all(pid, n) != bytes;
            rounds++;
        }
        at = now();
    }
    printf("{\"rounds\": %zu, \"seconds\": %.9f, \"spans\": %zu, "
           "\"bytes\": %zu, \"short\": %zu}\n",
           rounds, at - start, n, bytes, shortened);
    return 0;
}
