/*
 * replay: a saved profile back into any collector. In go files, out go the
 * samples that were saved in them, as a sampler would push them.
 */
#ifndef PP_REPLAY_H
#define PP_REPLAY_H

#include <pyprof/replay.h>

#include "base/base.h"

/* The public functions, without argument checks; opts are of this version's
 * size, `known` is what pyprof_replay_new was given. */
pyprof_status pp_replay_new(const pyprof_replay_opts *opts, pyprof_replay **out,
                            pyprof_error *err);
pyprof_status pp_replay_add_path(pyprof_replay *r, const char *path,
                                 pyprof_error *err);
pyprof_status pp_replay_add_memory(pyprof_replay *r, const char *name,
                                   const void *data, size_t size,
                                   pyprof_error *err);
pyprof_status pp_replay_describe(const pyprof_replay *r, uint32_t index,
                                 pyprof_replay_info *out);
pyprof_status pp_replay_add(pyprof_replay *r, pyprof_collector *collector,
                            pyprof_error *err);
pyprof_status pp_replay_run(pyprof_replay *r, pyprof_error *err);
pyprof_status pp_replay_read_stats(const pyprof_replay *r,
                                   pyprof_replay_stats *out);
void pp_replay_free(pyprof_replay *r);

#endif /* PP_REPLAY_H */
