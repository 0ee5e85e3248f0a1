/*
 * api_tracer.c: pyprof/tracer.h. Checks arguments, reads options into a
 * structure of known size, calls down.
 */
#include <pyprof/tracer.h>

#include "base/base.h"
#include "tracer/tracer.h"

#include <math.h>
#include <string.h>

static pyprof_status is_null(const char *what, pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_INVALID, "%s is NULL", what);
}

static pyprof_status check_filters(const pyprof_tracer_opts *opts,
                                   pyprof_error *err)
{
    static const uint64_t most = 1 << 20;
    if (opts->n_filters > most ||
        (opts->filters == NULL) != (opts->n_filters == 0)) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "filters and their number do not fit together");
    }
    for (uint64_t i = 0; i < opts->n_filters; i++) {
        const pyprof_filter *filter = &opts->filters[i];
        if (filter->glob == NULL || filter->what < PYPROF_FILTER_FILE ||
            filter->what > PYPROF_FILTER_FUNCTION) {
            return pp_error_set(err, PYPROF_ERR_INVALID,
                                "filter %llu has no glob, or is for nothing "
                                "that there is",
                                (unsigned long long)i);
        }
    }
    return PYPROF_OK;
}

static pyprof_status check_flags(uint64_t flags, pyprof_error *err)
{
    static const uint64_t known_flags =
        PYPROF_TRACE_NO_BUILTINS | PYPROF_TRACE_NO_CALLERS |
        PYPROF_TRACE_THIS_THREAD | PYPROF_TRACE_PATHS |
        PYPROF_TRACE_WHOLE_COROUTINES | PYPROF_TRACE_EXCLUSIVE;
    if ((flags & ~known_flags) != 0) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "tracer flags 0x%llx are not known to this "
                            "library",
                            (unsigned long long)(flags & ~known_flags));
    }
    return PYPROF_OK;
}

static pyprof_status check_opts(const pyprof_tracer_opts *opts,
                                pyprof_error *err)
{
    PP_TRY(check_flags(opts->flags, err));
    if (opts->reserved != 0) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "pyprof_tracer_opts.reserved is not 0");
    }
    if (opts->clock < PYPROF_CLOCK_WALL || opts->clock > PYPROF_CLOCK_CALLER) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "tracer clock %d is not one of 0 to 2",
                            (int)opts->clock);
    }
    if ((opts->clock == PYPROF_CLOCK_CALLER) != (opts->clock_fn != NULL)) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "clock_fn goes with PYPROF_CLOCK_CALLER");
    }
    if (!isfinite(opts->clock_unit)) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "clock_unit is not a number of seconds");
    }
    return check_filters(opts, err);
}

pyprof_status pyprof_tracer_new(const pyprof_tracer_opts *opts,
                                pyprof_tracer **out_tracer, pyprof_error *err)
{
    pyprof_tracer_opts read;
    if (out_tracer == NULL) {
        return is_null("out_tracer", err);
    }
    PP_TRY(pp_opts_read(&read, sizeof(read), opts, "pyprof_tracer_opts", err));
    PP_TRY(check_opts(&read, err));
    return pp_tracer_new(&read, out_tracer, err);
}

pyprof_status pyprof_tracer_set_flags(pyprof_tracer *tracer, uint64_t flags,
                                      pyprof_error *err)
{
    if (tracer == NULL) {
        return is_null("tracer", err);
    }
    PP_TRY(check_flags(flags, err));
    return pp_tracer_set_flags(tracer, flags, err);
}

pyprof_status pyprof_tracer_install(pyprof_tracer *tracer, pyprof_error *err)
{
    if (tracer == NULL) {
        return is_null("tracer", err);
    }
    return pp_tracer_install(tracer, err);
}

pyprof_status pyprof_tracer_uninstall(pyprof_tracer *tracer, pyprof_error *err)
{
    if (tracer == NULL) {
        return is_null("tracer", err);
    }
    return pp_tracer_uninstall(tracer, err);
}

pyprof_status pyprof_tracer_clear(pyprof_tracer *tracer, pyprof_error *err)
{
    if (tracer == NULL) {
        return is_null("tracer", err);
    }
    return pp_tracer_clear(tracer, err);
}

pyprof_status pyprof_tracer_snapshot(pyprof_tracer *tracer,
                                     int32_t (*take)(void *user,
                                                     const pyprof_calls *calls),
                                     void *user, pyprof_error *err)
{
    if (tracer == NULL || take == NULL) {
        return is_null(tracer == NULL ? "tracer" : "take", err);
    }
    return pp_tracer_snapshot(tracer, take, user, err);
}

pyprof_status pyprof_tracer_collect(pyprof_tracer *tracer,
                                    pyprof_collector *collector,
                                    pyprof_error *err)
{
    if (tracer == NULL || collector == NULL) {
        return is_null(tracer == NULL ? "tracer" : "collector", err);
    }
    return pp_tracer_collect(tracer, collector, err);
}

pyprof_status pyprof_tracer_read_stats(pyprof_tracer *tracer,
                                       pyprof_tracer_stats *out_stats)
{
    pyprof_tracer_stats stats;
    if (tracer == NULL || out_stats == NULL) {
        return PYPROF_ERR_INVALID;
    }
    memset(&stats, 0, sizeof(stats));
    stats.sz = sizeof(stats);
    pp_tracer_read_stats(tracer, &stats);
    return pp_opts_write(out_stats, &stats, sizeof(stats)) ? PYPROF_OK
                                                           : PYPROF_ERR_INVALID;
}

void pyprof_tracer_free(pyprof_tracer *tracer)
{
    pp_tracer_free(tracer);
}
