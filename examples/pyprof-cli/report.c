/*
 * report.c: what a person is told about the sampling itself: a line while it
 * runs, a few lines afterwards, the counters as JSON. All on stderr, so that
 * standard output has the profile alone.
 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static double per(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0.0 : (double)part / (double)whole;
}

static double rate(uint64_t rounds, uint64_t ns)
{
    return ns == 0 ? 0.0 : (double)rounds / seconds(ns);
}

/* Percent of the thread stacks that are not what the thread had. */
static double error_rate(const pyprof_sampler_stats *stats)
{
    return 100 * per(stats->torn + stats->unreadable, stats->attempted);
}

/* ---- while it runs ----------------------------------------------------------
 */

void progress_begin(progress *p, const settings *s)
{
    memset(p, 0, sizeof(*p));
    p->line = !s->quiet && isatty(STDERR_FILENO) != 0;
    p->stats = s->realtime_stats;
    p->next_ns = UINT64_MAX;
    p->last_ns = now_ns();
    if (p->stats) {
        p->next_stats_ns = p->last_ns + NS_PER_SECOND;
        p->next_ns = p->next_stats_ns;
    }
    if (p->line) {
        p->next_ns = p->last_ns + NS_PER_SECOND / 5;
    }
}

static void erase(progress *p)
{
    if (p->drawn) {
        fputs("\r\033[K", stderr);
        p->drawn = false;
    }
}

static void draw(progress *p, const pyprof_sampler_stats *stats)
{
    /* What the target prints next begins at the left and overwrites it. */
    fprintf(stderr,
            "\r\033[K%8.1f s  %" PRIu64 " samples  %.1f/s  %.2f %% errors\r",
            seconds(stats->elapsed_ns), stats->rounds,
            rate(stats->rounds, stats->elapsed_ns), error_rate(stats));
    p->drawn = true;
}

static void print_stats(progress *p, const pyprof_sampler_stats *stats,
                        uint64_t now)
{
    const pyprof_sampler_stats *last = &p->last;
    uint64_t rounds = stats->rounds - last->rounds;
    uint64_t attempted = stats->attempted - last->attempted;
    double hz = rate(rounds, now - p->last_ns);
    fprintf(stderr,
            "Stats: %.1fHz (%.1fus) N=%" PRIu64 " threads: %.1f whole: %.2f%% "
            "missed: %" PRIu64 " reads: %.2f/sample cpu: %.1f%%\n",
            hz, hz > 0 ? 1e6 / hz : 0.0, stats->rounds, per(attempted, rounds),
            100 * per(stats->whole - last->whole, attempted),
            stats->missed - last->missed,
            per(stats->read_calls - last->read_calls, rounds),
            100 * per(stats->cpu_ns - last->cpu_ns, now - p->last_ns));
    p->last = *stats;
    p->last_ns = now;
}

void progress_tick(progress *p, const pyprof_sampler_stats *stats)
{
    uint64_t now = now_ns();
    if (now < p->next_ns) {
        return;
    }
    if (p->stats && now >= p->next_stats_ns) {
        erase(p);
        print_stats(p, stats, now);
        p->next_stats_ns += NS_PER_SECOND;
        if (p->next_stats_ns <= now) {
            p->next_stats_ns = now + NS_PER_SECOND;
        }
        p->next_ns = p->next_stats_ns;
    }
    if (p->line) {
        draw(p, stats);
        p->next_ns = now + NS_PER_SECOND / 5;
    }
    (void)fflush(stderr);
}

void progress_end(progress *p)
{
    erase(p);
    (void)fflush(stderr);
}

/* ---- afterwards
 * ---------------------------------------------------------------- */

static const char *placement_text(int32_t placement)
{
    return placement == PYPROF_PLACEMENT_TARGET ? "target (on its CPU)"
                                                : "free (on another CPU)";
}

/* More than was asked for could not be done: say what to do. */
static void report_trouble(const pyprof_sampler_stats *stats)
{
    if (stats->overrun > 0) {
        fprintf(stderr,
                "Lost: %" PRIu64 " samples, because writing them down took "
                "too long: use a lower rate\n",
                stats->overrun);
    }
    if (stats->truncated > 0) {
        fprintf(stderr,
                "Cut: %" PRIu64 " stacks were deeper than --max-depth\n",
                stats->truncated);
    }
    if (stats->folded > 0) {
        fprintf(stderr, "Folded: %" PRIu64 " times, because a table was full\n",
                stats->folded);
    }
    if (stats->torn + stats->unreadable > 0 && error_rate(stats) > 1 &&
        stats->placement == PYPROF_PLACEMENT_FREE) {
        fprintf(stderr, "Hint: --placement target reads whole stacks\n");
    }
}

void report_summary(const session *run)
{
    const pyprof_sampler_stats *stats = &run->stats;
    const output *out = &run->out;
    if (run->s->quiet) {
        return;
    }
    fprintf(stderr, "Captured %" PRIu64 " sample%s in %.2f seconds\n",
            stats->rounds, stats->rounds == 1 ? "" : "s",
            seconds(stats->elapsed_ns));
    fprintf(stderr, "Sample rate: %.2f samples/sec\n",
            rate(stats->rounds, stats->elapsed_ns));
    fprintf(stderr, "Error rate: %.2f\n", error_rate(stats));
    fprintf(stderr,
            "Stacks: %" PRIu64 " attempted = %" PRIu64 " whole + %" PRIu64
            " torn + %" PRIu64 " gone + %" PRIu64 " unreadable\n",
            stats->attempted, stats->whole, stats->torn, stats->gone,
            stats->unreadable);
    fprintf(stderr,
            "Placement: %s; ticks missed: %" PRIu64
            "; reads: %.2f a sample; stops: %" PRIu64 "\n",
            placement_text(stats->placement), stats->missed,
            per(stats->read_calls, stats->rounds), stats->stops);
    report_trouble(stats);
    if (!out->to_stdout && out->path[0] != '\0') {
        fprintf(stderr, "Written to: ");
        print_string(stderr, out->path);
        fprintf(stderr, " (%s)\n", out->format.name);
    }
}

typedef struct counter {
    const char *name;
    size_t offset;
} counter;

#define COUNTER(name)                               \
    {                                               \
#name, offsetof(pyprof_sampler_stats, name) \
    }
static const counter counters[] = {
    COUNTER(elapsed_ns),    COUNTER(rounds),        COUNTER(attempted),
    COUNTER(whole),         COUNTER(torn),          COUNTER(gone),
    COUNTER(unreadable),    COUNTER(truncated),     COUNTER(idle),
    COUNTER(missed),        COUNTER(overrun),       COUNTER(retries),
    COUNTER(stops),         COUNTER(stops_refused), COUNTER(moves),
    COUNTER(read_calls),    COUNTER(read_spans),    COUNTER(read_bytes),
    COUNTER(codes),         COUNTER(codes_read),    COUNTER(codes_changed),
    COUNTER(codes_evicted), COUNTER(stacks),        COUNTER(folded),
    COUNTER(threads_seen),  COUNTER(cpu_ns),        COUNTER(memory_bytes),
};

int report_json(const session *run, const char *path)
{
    char text[4096];
    size_t size = 0;
    pyprof_writer *writer = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    uint64_t first = run->first_sample_ns;
    text[size++] = '{';
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        uint64_t value;
        memcpy(&value, (const char *)&run->stats + counters[i].offset,
               sizeof(value));
        size += (size_t)snprintf(text + size, sizeof(text) - size,
                                 "\n  \"%s\": %" PRIu64 ",", counters[i].name,
                                 value);
    }
    /* From the start of the command to the first sample; 0: there was none. */
    size += (size_t)snprintf(
        text + size, sizeof(text) - size,
        "\n  \"first_sample_ns\": %" PRIu64 ",\n  \"placement\": \"%s\"\n}\n",
        first > run->began_ns ? first - run->began_ns : 0,
        run->stats.placement == PYPROF_PLACEMENT_TARGET ? "target" : "free");
    pyprof_status status = pyprof_writer_open_path(path, NULL, &writer, &err);
    if (status == PYPROF_OK) {
        status = pyprof_writer_write(writer, text, size, &err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_writer_finish(writer, &err);
    }
    pyprof_writer_close(writer);
    return status == PYPROF_OK ? STATUS_DONE : fail_error(status, &err);
}
