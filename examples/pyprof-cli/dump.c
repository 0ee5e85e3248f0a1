/*
 * dump.c: `pyprof-cli dump PID`: what each thread of a process is doing now,
 * as a traceback, most recent call last.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

/* How things look on a terminal; all empty elsewhere. */
typedef struct looks {
    const char *head, *place, *name, *faint, *plain;
} looks;

typedef struct dump {
    const settings *s;
    pyprof_target_info info;
    source *source;
    looks looks;
    bool several_interpreters;
} dump;

static void pick_looks(looks *l)
{
    static const looks none = {"", "", "", "", ""};
    static const looks colours = {"\033[1m", "\033[35m", "\033[36m", "\033[2m",
                                  "\033[0m"};
    *l = wants_colour(stdout) ? colours : none;
}

/* ---- a frame
 * -------------------------------------------------------------------- */

static void print_frame(dump *d, const pyprof_frame *frame)
{
    const looks *l = &d->looks;
    size_t size = 0;
    if (frame->kind != PYPROF_FRAME_PYTHON &&
        frame->kind != PYPROF_FRAME_UNKNOWN) {
        printf("  %s", l->faint);
        print_text(stdout, frame->function.data, frame->function.size);
        printf("%s\n", l->plain);
        return;
    }
    printf("  File %s\"", l->place);
    print_text(stdout, frame->file.data, frame->file.size);
    printf("\"%s", l->plain);
    if (frame->line > 0) {
        printf(", line %s%d%s", l->place, (int)frame->line, l->plain);
    }
    printf(", in %s", l->name);
    print_text(stdout, frame->function.data, frame->function.size);
    printf("%s\n", l->plain);
    const char *line =
        source_line(d->source, frame->file.data, frame->line, &size);
    if (line != NULL) {
        printf("    ");
        print_text(stdout, line, size);
        printf("\n");
    }
}

/* Frames from the root to the leaf; a run of equal ones is cut short. */
static void print_frames(dump *d, const pyprof_tables *tables, uint32_t *path,
                         size_t n)
{
    size_t i = n; /* the path is leaf first */
    while (i > 0) {
        uint32_t number = path[--i];
        size_t same = 1;
        pyprof_frame frame;
        while (i > 0 && path[i - 1] == number) {
            same++;
            i--;
        }
        memset(&frame, 0, sizeof(frame));
        frame.sz = sizeof(frame);
        if (pyprof_tables_frame(tables, number, &frame) != PYPROF_OK) {
            continue;
        }
        for (size_t shown = 0; shown < same && shown < 3; shown++) {
            print_frame(d, &frame);
        }
        if (same > 3) {
            printf("  [the same frame %zu more time%s]\n", same - 3,
                   same == 4 ? "" : "s");
        }
    }
}

static int print_stack(dump *d, const pyprof_tables *tables, uint32_t stack,
                       uint32_t depth)
{
    uint32_t *path = calloc((size_t)depth + 1, sizeof(*path));
    size_t n = 0;
    if (path == NULL) {
        return fail("out of memory");
    }
    while (stack != 0 && n <= depth) {
        uint32_t parent = 0;
        if (pyprof_tables_stack(tables, stack, &parent, &path[n]) !=
            PYPROF_OK) {
            break;
        }
        n++;
        stack = parent;
    }
    print_frames(d, tables, path, n);
    free(path);
    return STATUS_DONE;
}

/* ---- a thread
 * -------------------------------------------------------------------- */

/* What it does, in words: those that hold, joined by commas. */
static void print_flags(uint64_t flags, bool free_threaded)
{
    static const uint64_t busy = PYPROF_THREAD_HAS_GIL | PYPROF_THREAD_ON_CPU |
                                 PYPROF_THREAD_CPU_UNKNOWN |
                                 PYPROF_THREAD_GIL_REQUESTED;
    const struct {
        bool holds;
        const char *text;
    } words[] = {
        {(flags & PYPROF_THREAD_MAIN) != 0, "main thread"},
        {(flags & PYPROF_THREAD_HAS_GIL) != 0,
         free_threaded ? "runs Python" : "has GIL"},
        {(flags & PYPROF_THREAD_ON_CPU) != 0, "on CPU"},
        {(flags & PYPROF_THREAD_GIL_REQUESTED) != 0, "waiting for GIL"},
        {(flags & PYPROF_THREAD_HAS_EXCEPTION) != 0, "has exception"},
        {(flags & PYPROF_THREAD_IN_GC) != 0, "collecting garbage"},
        {(flags & busy) == 0, "idle"},
    };
    const char *before = " (";
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (words[i].holds) {
            printf("%s%s", before, words[i].text);
            before = ", ";
        }
    }
    if (before[0] == ',') {
        printf(")");
    }
}

static int print_thread(dump *d, const pyprof_sample *sample,
                        const pyprof_stack_sample *stack)
{
    pyprof_thread thread;
    memset(&thread, 0, sizeof(thread));
    thread.sz = sizeof(thread);
    if (pyprof_tables_thread(sample->tables, stack->thread, &thread) !=
        PYPROF_OK) {
        return STATUS_DONE;
    }
    printf("\n%sThread %llu%s", d->looks.head,
           (unsigned long long)(thread.os_id != 0       ? thread.os_id
                                : thread.native_id != 0 ? thread.native_id
                                                        : thread.python_id),
           d->looks.plain);
    if (thread.name.size > 0) {
        printf(" \"");
        print_text(stdout, thread.name.data, thread.name.size);
        printf("\"");
    }
    if (d->several_interpreters) {
        printf(" of interpreter %llu", (unsigned long long)thread.interpreter);
    }
    print_flags(stack->flags, d->info.free_threaded != 0);
    printf(":\n");
    if (stack->state == PYPROF_STACK_UNREADABLE) {
        printf("  could not be read\n");
    } else if (stack->stack == 0) {
        printf("  no Python frames\n");
    } else {
        return print_stack(d, sample->tables, stack->stack, stack->depth);
    }
    return STATUS_DONE;
}

/* ---- a process
 * ------------------------------------------------------------------- */

static void print_head(const dump *d, uint64_t threads)
{
    uint32_t version = (uint32_t)d->info.version;
    printf("%sProcess %lld%s: Python %u.%u.%u%s, %llu thread%s", d->looks.head,
           (long long)d->info.pid, d->looks.plain, version >> 24,
           version >> 16 & 0xff, version >> 8 & 0xff,
           d->info.free_threaded ? " free-threaded" : "",
           (unsigned long long)threads, threads == 1 ? "" : "s");
    if (d->info.inner_pid != 0 && d->info.inner_pid != d->info.pid) {
        printf(" (process %lld in its own pid namespace)",
               (long long)d->info.inner_pid);
    }
    printf("\n");
}

static bool find_interpreters(const pyprof_sample *sample)
{
    for (uint64_t i = 0; i < sample->n_stacks; i++) {
        pyprof_thread thread;
        memset(&thread, 0, sizeof(thread));
        thread.sz = sizeof(thread);
        if (pyprof_tables_thread(sample->tables, sample->stacks[i].thread,
                                 &thread) == PYPROF_OK &&
            thread.interpreter != 0) {
            return true;
        }
    }
    return false;
}

static int32_t take(void *user, const pyprof_sample *sample)
{
    dump *d = user;
    d->several_interpreters = find_interpreters(sample);
    print_head(d, sample->n_stacks);
    /* The main thread first, then the others as the process lists them. */
    for (int others = 0; others < 2; others++) {
        for (uint64_t i = 0; i < sample->n_stacks; i++) {
            const pyprof_stack_sample *stack = &sample->stacks[i];
            bool is_main = (stack->flags & PYPROF_THREAD_MAIN) != 0;
            if (is_main != (others != 0) &&
                print_thread(d, sample, stack) != STATUS_DONE) {
                return 1;
            }
        }
    }
    return 0;
}

static pyprof_status snapshot(dump *d, pyprof_target *target, pyprof_error *err)
{
    pyprof_sampler *sampler = NULL;
    pyprof_sampler_opts opts = d->s->sampler;
    opts.flags |= PYPROF_SAMPLE_ALL_THREADS;
    pyprof_status status = pyprof_sampler_open(target, &opts, &sampler, err);
    if (status == PYPROF_OK) {
        status = pyprof_sampler_snapshot(sampler, take, d, err);
    }
    pyprof_sampler_close(sampler);
    return status;
}

int command_dump(const settings *s)
{
    dump d;
    pyprof_target *target = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    memset(&d, 0, sizeof(d));
    d.s = s;
    d.info.sz = sizeof(d.info);
    pick_looks(&d.looks);
    pyprof_status status = pyprof_target_open(s->pid, NULL, &target, &err);
    if (status == PYPROF_OK) {
        d.source = source_open(s->pid);
        (void)pyprof_target_describe(target, &d.info);
        status = snapshot(&d, target, &err);
    }
    source_close(d.source);
    pyprof_target_close(target);
    return status == PYPROF_OK ? STATUS_DONE : fail_error(status, &err);
}
