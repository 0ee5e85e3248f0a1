/*
 * sampler: looks at a target on a clock. Where the sampling thread runs, how
 * it keeps time, what it does with a stack that changed while it was read, and
 * how samples reach the collectors. The functions are the public ones of
 * pyprof/sampler.h without their argument checks.
 */
#ifndef PP_SAMPLER_H
#define PP_SAMPLER_H

#include <pyprof/sampler.h>

#include "base/base.h"
#include "collector/collector.h"
#include "target/target.h"

/* `opts` is read already: of the size that this library knows. */
pyprof_status pp_sampler_open(pyprof_target *target,
                              const pyprof_sampler_opts *opts,
                              pyprof_sampler **out, pyprof_error *err);
pyprof_status pp_sampler_add(pyprof_sampler *sampler,
                             pyprof_collector *collector, pyprof_error *err);
pyprof_status pp_sampler_start(pyprof_sampler *sampler, pyprof_error *err);
void pp_sampler_stop(pyprof_sampler *sampler);
pyprof_status pp_sampler_wait(pyprof_sampler *sampler, uint64_t timeout_ns,
                              pyprof_error *err);
pyprof_status pp_sampler_step(pyprof_sampler *sampler, pyprof_error *err);
pyprof_status pp_sampler_finish(pyprof_sampler *sampler, pyprof_error *err);
pyprof_status pp_sampler_snapshot(pyprof_sampler *sampler,
                                  int32_t (*take)(void *user,
                                                  const pyprof_sample *sample),
                                  void *user, pyprof_error *err);
void pp_sampler_read_stats(const pyprof_sampler *sampler,
                           pyprof_sampler_stats *out);
void pp_sampler_close(pyprof_sampler *sampler);

#endif /* PP_SAMPLER_H */
