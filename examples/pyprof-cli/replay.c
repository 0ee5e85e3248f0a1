/*
 * replay.c: `pyprof-cli replay FILE...`. Saved profiles become one profile of
 * another format.
 */
#include "cli.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A collector that ends the run when a signal came. */
static pyprof_status watch(void *self, const pyprof_sample *sample,
                           pyprof_error *err)
{
    (void)self;
    (void)sample;
    (void)err;
    return signals_first() == 0 ? PYPROF_OK : PYPROF_ERR_GONE;
}

static pyprof_status add_watch(pyprof_replay *replay, pyprof_collector **out,
                               pyprof_error *err)
{
    pyprof_collector_ops ops;
    memset(&ops, 0, sizeof(ops));
    ops.sz = sizeof(ops);
    ops.name = "signals";
    ops.sample = watch;
    pyprof_status status = pyprof_collector_new(&ops, NULL, out, err);
    return status == PYPROF_OK ? pyprof_replay_add(replay, *out, err) : status;
}

/* What is written must not be what is read. */
static int check_files(const settings *s)
{
    struct stat to;
    struct stat from;
    bool exists = s->output != NULL && stat(s->output, &to) == 0;
    for (char **file = s->files; *file != NULL && exists; file++) {
        if (stat(*file, &from) == 0 && from.st_dev == to.st_dev &&
            from.st_ino == to.st_ino) {
            return fail("--output '%s' is the file to replay", s->output);
        }
    }
    return STATUS_DONE;
}

static void tell(const settings *s, const pyprof_replay *replay,
                 const output *out)
{
    pyprof_replay_stats stats;
    pyprof_replay_info info;
    memset(&stats, 0, sizeof(stats));
    stats.sz = sizeof(stats);
    (void)pyprof_replay_read_stats(replay, &stats);
    memset(&info, 0, sizeof(info));
    info.sz = sizeof(info);
    for (uint32_t i = 0; pyprof_replay_describe(replay, i, &info) == PYPROF_OK;
         i++) {
        if (info.is_damaged != 0) {
            fprintf(stderr, "Salvaged what comes before: ");
            print_string(stderr, info.damage);
            fputc('\n', stderr);
        }
    }
    if (s->quiet) {
        return;
    }
    fprintf(stderr, "Replayed %" PRIu64 " samples (%" PRIu64 " stacks",
            stats.rounds, stats.stacks);
    if (stats.skipped > 0) {
        fprintf(stderr, ", %" PRIu64 " left out", stats.skipped);
    }
    fprintf(stderr, ")\n");
    if (!out->to_stdout) {
        fprintf(stderr, "Written to ");
        print_string(stderr, out->path);
        fputc('\n', stderr);
    }
}

static pyprof_status prepare(const settings *s, output *out,
                             pyprof_replay *replay, pyprof_collector **watcher,
                             pyprof_error *err)
{
    pyprof_status status = PYPROF_OK;
    for (char **file = s->files; *file != NULL && status == PYPROF_OK; file++) {
        status = pyprof_replay_add_path(replay, *file, err);
    }
    if (status == PYPROF_OK) {
        status = add_watch(replay, watcher, err);
    }
    if (status == PYPROF_OK) {
        status = pyprof_replay_add(replay, out->collector, err);
    }
    return status;
}

static int run(const settings *s, output *out, pyprof_replay *replay,
               pyprof_collector **watcher)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_status status = prepare(s, out, replay, watcher, &err);
    if (status == PYPROF_OK) {
        if (output_begin(out, (int64_t)getpid()) != STATUS_DONE) {
            return STATUS_FAILED;
        }
        /* Of this machine: the target may be long gone. */
        out->source = source_open((int64_t)getpid());
        status = pyprof_replay_run(replay, &err);
    }
    if (signals_first() != 0) {
        output_discard(out);
        return fail("interrupted: nothing was written");
    }
    if (status != PYPROF_OK) {
        output_discard(out);
        return status == PYPROF_ERR_CORRUPT
                   ? fail("%s; --salvage uses what comes before", err.message)
                   : fail_error(status, &err);
    }
    return output_write(out, (int64_t)getpid());
}

int command_replay(const settings *s)
{
    output out;
    pyprof_replay *replay = NULL;
    pyprof_collector *watcher = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    memset(&out, 0, sizeof(out));
    int result = check_files(s);
    if (result == STATUS_DONE) {
        result = output_plan(s, &out);
    }
    if (result == STATUS_DONE) {
        signals_install();
        pyprof_status status = pyprof_replay_new(&s->replay, &replay, &err);
        result = status == PYPROF_OK ? run(s, &out, replay, &watcher)
                                     : fail_error(status, &err);
    }
    if (result == STATUS_DONE) {
        tell(s, replay, &out);
    }
    pyprof_replay_free(replay);
    output_free(&out);
    pyprof_collector_free(watcher);
    return result;
}
