/*
 * api_sampler.c: pyprof/sampler.h. Checks arguments, reads options into a
 * structure of known size, calls down.
 */
#include <pyprof/sampler.h>

#include "base/base.h"
#include "sampler/sampler.h"

#include <string.h>

static pyprof_status is_null(const char *what, pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_INVALID, "%s is NULL", what);
}

/* Ranges that need no knowledge of the target. */
static pyprof_status check_opts(const pyprof_sampler_opts *opts,
                                pyprof_error *err)
{
    static const uint64_t known_flags =
        PYPROF_SAMPLE_ALL_THREADS | PYPROF_SAMPLE_BLOCKING |
        PYPROF_SAMPLE_NO_STOPS | PYPROF_SAMPLE_JITTER | PYPROF_SAMPLE_INLINE;
    static const uint64_t most_ns = UINT64_MAX / 4;
    if (opts->interval_ns != 0 &&
        (opts->interval_ns < 1000 || opts->interval_ns > most_ns)) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "the interval is %llu ns: at least 1,000 ns "
                            "(1 MHz) are needed",
                            (unsigned long long)opts->interval_ns);
    }
    if (opts->duration_ns > most_ns) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "the duration is too long: 0 means until the "
                            "target ends");
    }
    if ((opts->flags & ~known_flags) != 0) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "sampler flags 0x%llx are not known to this "
                            "library",
                            (unsigned long long)(opts->flags & ~known_flags));
    }
    if ((opts->flags & PYPROF_SAMPLE_BLOCKING) != 0 &&
        (opts->flags & PYPROF_SAMPLE_NO_STOPS) != 0) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "blocking and never stopping exclude each other");
    }
    if (opts->mode != PYPROF_MODE_WALL) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "sampler mode %d is not known to this library",
                            (int)opts->mode);
    }
    if (opts->placement < PYPROF_PLACEMENT_AUTO ||
        opts->placement > PYPROF_PLACEMENT_FREE) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "sampler placement %d is not one of 0 to 2",
                            (int)opts->placement);
    }
    return PYPROF_OK;
}

pyprof_status pyprof_sampler_open(pyprof_target *target,
                                  const pyprof_sampler_opts *opts,
                                  pyprof_sampler **out_sampler,
                                  pyprof_error *err)
{
    pyprof_sampler_opts read;
    if (target == NULL || out_sampler == NULL) {
        return is_null(target == NULL ? "target" : "out_sampler", err);
    }
    memset(&read, 0, sizeof(read));
    PP_TRY(pp_opts_read(&read, sizeof(read), opts, "pyprof_sampler_opts", err));
    PP_TRY(check_opts(&read, err));
    return pp_sampler_open(target, &read, out_sampler, err);
}

pyprof_status pyprof_sampler_add(pyprof_sampler *sampler,
                                 pyprof_collector *collector, pyprof_error *err)
{
    if (sampler == NULL || collector == NULL) {
        return is_null(sampler == NULL ? "sampler" : "collector", err);
    }
    return pp_sampler_add(sampler, collector, err);
}

pyprof_status pyprof_sampler_start(pyprof_sampler *sampler, pyprof_error *err)
{
    if (sampler == NULL) {
        return is_null("sampler", err);
    }
    return pp_sampler_start(sampler, err);
}

void pyprof_sampler_stop(pyprof_sampler *sampler)
{
    if (sampler != NULL) {
        pp_sampler_stop(sampler);
    }
}

pyprof_status pyprof_sampler_wait(pyprof_sampler *sampler, uint64_t timeout_ns,
                                  pyprof_error *err)
{
    if (sampler == NULL) {
        return is_null("sampler", err);
    }
    return pp_sampler_wait(sampler, timeout_ns, err);
}

pyprof_status pyprof_sampler_step(pyprof_sampler *sampler, pyprof_error *err)
{
    if (sampler == NULL) {
        return is_null("sampler", err);
    }
    return pp_sampler_step(sampler, err);
}

pyprof_status pyprof_sampler_finish(pyprof_sampler *sampler, pyprof_error *err)
{
    if (sampler == NULL) {
        return is_null("sampler", err);
    }
    return pp_sampler_finish(sampler, err);
}

pyprof_status pyprof_sampler_snapshot(
    pyprof_sampler *sampler,
    int32_t (*take)(void *user, const pyprof_sample *sample), void *user,
    pyprof_error *err)
{
    if (sampler == NULL || take == NULL) {
        return is_null(sampler == NULL ? "sampler" : "take", err);
    }
    return pp_sampler_snapshot(sampler, take, user, err);
}

pyprof_status pyprof_sampler_read_stats(const pyprof_sampler *sampler,
                                        pyprof_sampler_stats *out_stats)
{
    pyprof_sampler_stats stats;
    if (sampler == NULL || out_stats == NULL) {
        return PYPROF_ERR_INVALID;
    }
    memset(&stats, 0, sizeof(stats));
    stats.sz = sizeof(stats);
    pp_sampler_read_stats(sampler, &stats);
    return pp_opts_write(out_stats, &stats, sizeof(stats)) ? PYPROF_OK
                                                           : PYPROF_ERR_INVALID;
}

void pyprof_sampler_close(pyprof_sampler *sampler)
{
    pp_sampler_close(sampler);
}
