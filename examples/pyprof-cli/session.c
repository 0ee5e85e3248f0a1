/*
 * session.c: sampling a target that is ready, from the first round to the
 * written profile: what `run` and `attach` have in common.
 */
#include "cli.h"

#include <string.h>

/* A collector that only looks at the clock of the first sample, for
 * --stats-json. */
static pyprof_status note_first(void *self, const pyprof_sample *sample,
                                pyprof_error *err)
{
    session *run = self;
    (void)err;
    if (run->first_sample_ns == 0) {
        run->first_sample_ns = sample->time_ns;
    }
    return PYPROF_OK;
}

static pyprof_status add_first(session *run, pyprof_sampler *sampler,
                               pyprof_collector **out, pyprof_error *err)
{
    pyprof_collector_ops ops;
    memset(&ops, 0, sizeof(ops));
    ops.sz = sizeof(ops);
    ops.name = "first";
    ops.sample = note_first;
    pyprof_status status = pyprof_collector_new(&ops, run, out, err);
    return status == PYPROF_OK ? pyprof_sampler_add(sampler, *out, err)
                               : status;
}

static void read_stats(const pyprof_sampler *sampler, pyprof_sampler_stats *out)
{
    memset(out, 0, sizeof(*out));
    out->sz = sizeof(*out);
    (void)pyprof_sampler_read_stats(sampler, out);
}

/* Waits for the end of sampling, drawing meanwhile. */
static pyprof_status wait_end(session *run, pyprof_sampler *sampler,
                              pyprof_error *err)
{
    progress p;
    pyprof_status status;
    progress_begin(&p, run->s);
    do {
        uint64_t now = now_ns();
        uint64_t timeout = p.next_ns == UINT64_MAX ? UINT64_MAX
                           : p.next_ns > now       ? p.next_ns - now
                                                   : 0;
        status = pyprof_sampler_wait(sampler, timeout, err);
        if (status == PYPROF_ERR_NOT_READY) {
            read_stats(sampler, &run->stats);
            progress_tick(&p, &run->stats);
        }
    } while (status == PYPROF_ERR_NOT_READY);
    progress_end(&p);
    return status;
}

static session_end why(const session *run, pyprof_status status)
{
    if (signals_first() != 0) {
        return END_SIGNAL;
    }
    if (status != PYPROF_OK && status != PYPROF_ERR_GONE) {
        return END_FAILED;
    }
    /* Its last moments are those of an ending process, too: ask twice. */
    if (!pyprof_target_alive(run->target)) {
        return END_TARGET;
    }
    return run->s->sampler.duration_ns != 0 &&
                   run->stats.elapsed_ns + run->s->sampler.interval_ns +
                           NS_PER_MS >=
                       run->s->sampler.duration_ns
               ? END_DURATION
               : END_TARGET;
}

static pyprof_status sample(session *run, pyprof_sampler *sampler,
                            pyprof_error *err)
{
    pyprof_status status = pyprof_sampler_add(sampler, run->out.collector, err);
    if (status == PYPROF_OK) {
        status = pyprof_sampler_start(sampler, err);
    }
    if (status == PYPROF_OK) {
        signals_stop_sampler(sampler);
        status = wait_end(run, sampler, err);
        signals_stop_sampler(NULL);
    }
    read_stats(sampler, &run->stats);
    return status;
}

/* Nothing was sampled: the target was quicker. */
static int nothing_sampled(session *run)
{
    run->end = END_TARGET;
    if (!run->s->quiet) {
        fprintf(stderr, "Captured 0 samples: the program ended before it "
                        "could be sampled\n");
    }
    return STATUS_DONE;
}

static int64_t target_pid(const session *run)
{
    pyprof_target_info info;
    memset(&info, 0, sizeof(info));
    info.sz = sizeof(info);
    (void)pyprof_target_describe(run->target, &info);
    return info.pid;
}

static int write_results(session *run, int result)
{
    if (run->out.is_streaming && run->end == END_FAILED) {
        /* its end would fail as well: what was flushed stays */
        if (!run->out.to_stdout) {
            (void)fail("what was written until then is in '%s'", run->out.path);
        }
        run->out.path[0] = '\0';
    } else if (output_write(&run->out, target_pid(run)) != STATUS_DONE) {
        run->out.path[0] = '\0';
        result = STATUS_FAILED;
    }
    report_summary(run);
    if (run->s->stats_json != NULL &&
        report_json(run, run->s->stats_json) != STATUS_DONE) {
        result = STATUS_FAILED;
    }
    return result;
}

int session_sample(session *run)
{
    pyprof_sampler *sampler = NULL;
    pyprof_collector *first = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    int result = STATUS_DONE;
    /* Now, while it is there. */
    run->out.source = source_open(target_pid(run));
    pyprof_status status =
        pyprof_sampler_open(run->target, &run->s->sampler, &sampler, &err);
    if (status == PYPROF_OK && run->s->stats_json != NULL) {
        status = add_first(run, sampler, &first, &err);
    }
    if (status == PYPROF_OK &&
        output_begin(&run->out, target_pid(run)) != STATUS_DONE) {
        run->end = END_FAILED;
        pyprof_sampler_close(sampler);
        pyprof_collector_free(first);
        return STATUS_FAILED;
    }
    if (status == PYPROF_OK) {
        status = sample(run, sampler, &err);
    }
    run->end = why(run, status);
    if (run->end == END_FAILED) {
        result = fail_error(status, &err);
    }
    if (run->stats.rounds > 0) {
        result = write_results(run, result);
    } else {
        output_discard(&run->out);
        if (run->end != END_FAILED) {
            result = nothing_sampled(run);
        }
    }
    pyprof_sampler_close(sampler);
    pyprof_collector_free(first);
    return result;
}
