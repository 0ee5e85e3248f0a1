/*
 * tracer: counts and times the calls of the Python in this process. The public
 * functions, without argument checks; opts are of this version's size and in
 * their ranges.
 */
#ifndef PP_TRACER_H
#define PP_TRACER_H

#include <pyprof/tracer.h>

#include "base/base.h"

pyprof_status pp_tracer_new(const pyprof_tracer_opts *opts, pyprof_tracer **out,
                            pyprof_error *err);
pyprof_status pp_tracer_set_flags(pyprof_tracer *tracer, uint64_t flags,
                                  pyprof_error *err);
pyprof_status pp_tracer_install(pyprof_tracer *tracer, pyprof_error *err);
pyprof_status pp_tracer_uninstall(pyprof_tracer *tracer, pyprof_error *err);
pyprof_status pp_tracer_clear(pyprof_tracer *tracer, pyprof_error *err);
pyprof_status pp_tracer_snapshot(pyprof_tracer *tracer,
                                 int32_t (*take)(void *user,
                                                 const pyprof_calls *calls),
                                 void *user, pyprof_error *err);
pyprof_status pp_tracer_collect(pyprof_tracer *tracer,
                                pyprof_collector *collector, pyprof_error *err);
void pp_tracer_read_stats(pyprof_tracer *tracer, pyprof_tracer_stats *stats);
void pp_tracer_free(pyprof_tracer *tracer);

#endif /* PP_TRACER_H */
