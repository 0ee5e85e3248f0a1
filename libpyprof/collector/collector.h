/*
 * collector: samples in, bytes out. One file (or folder) a format, one row a
 * format in formats.def. Never sees an address, a pid or a version.
 */
#ifndef PP_COLLECTOR_H
#define PP_COLLECTOR_H

#include <pyprof/collector.h>

#include "base/base.h"
#include "sample/sample.h"
#include "writer/writer.h"

/* The public functions, without argument checks; opts and ops are of this
 * version's size. PYPROF_ERR_NO_FORMAT names the formats that there are. */
pyprof_status pp_collector_new_format(const char *format,
                                      const pyprof_format_opts *opts,
                                      pyprof_collector **out,
                                      pyprof_error *err);
pyprof_status pp_collector_new(const pyprof_collector_ops *ops, void *self,
                               const pp_allocator *allocator,
                               pyprof_collector **out, pyprof_error *err);
pyprof_status pp_collector_write(pyprof_collector *c, pyprof_writer *w,
                                 pyprof_error *err);
const char *pp_collector_name(const pyprof_collector *c);
void pp_collector_free(pyprof_collector *c);
pyprof_status pp_collector_format(uint32_t index, pyprof_format_info *out);

/* For drivers (sampler, replay, tracer): begin once, feed, end once. State is
 * checked: a collector serves one driver at a time, anything else is
 * PYPROF_ERR_BUSY. It may begin again once a run has ended, written or not. The
 * collector keeps a reference to the tables (pp_tables_ref) until it is freed
 * or begins again, so that it can be written after the driver has closed.
 * A begin that fails began nothing; a sample that fails leaves the run open, to
 * be ended (and then written) all the same. */
pyprof_status pp_collector_begin(pyprof_collector *c,
                                 const pyprof_session *session,
                                 pyprof_tables *tables, pyprof_error *err);
pyprof_status pp_collector_sample(pyprof_collector *c,
                                  const pyprof_sample *sample,
                                  pyprof_error *err);
/* Keeps the summary for the writing that follows. */
pyprof_status pp_collector_end(pyprof_collector *c,
                               const pyprof_summary *summary,
                               pyprof_error *err);

#endif /* PP_COLLECTOR_H */
