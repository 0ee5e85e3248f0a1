/*
 * api_collector: checks what a caller gives to a collector, then calls down.
 */
#include "base/base.h"
#include "collector/collector.h"

static pyprof_status is_null(const char *what, pyprof_error *err)
{
    return pp_error_set(err, PYPROF_ERR_INVALID, "%s is NULL", what);
}

pyprof_status pyprof_collector_new_format(const char *format,
                                          const pyprof_format_opts *opts,
                                          pyprof_collector **out_collector,
                                          pyprof_error *err)
{
    if (format == NULL || out_collector == NULL) {
        return is_null(format == NULL ? "format" : "out_collector", err);
    }
    pyprof_format_opts known;
    PP_TRY(
        pp_opts_read(&known, sizeof(known), opts, "pyprof_format_opts", err));
    return pp_collector_new_format(format, &known, out_collector, err);
}

pyprof_status pyprof_collector_new(const pyprof_collector_ops *ops, void *self,
                                   pyprof_collector **out_collector,
                                   pyprof_error *err)
{
    if (ops == NULL || out_collector == NULL) {
        return is_null(ops == NULL ? "ops" : "out_collector", err);
    }
    pyprof_collector_ops known;
    PP_TRY(
        pp_opts_read(&known, sizeof(known), ops, "pyprof_collector_ops", err));
    if (known.sample == NULL) {
        return is_null("pyprof_collector_ops.sample", err);
    }
    return pp_collector_new(&known, self, NULL, out_collector, err);
}

pyprof_status pyprof_collector_stream(pyprof_collector *collector,
                                      pyprof_writer *writer, pyprof_error *err)
{
    if (collector == NULL) {
        return is_null("collector", err);
    }
    return pp_collector_stream(collector, writer, err);
}

pyprof_status pyprof_collector_write(pyprof_collector *collector,
                                     pyprof_writer *writer, pyprof_error *err)
{
    if (collector == NULL || writer == NULL) {
        return is_null(collector == NULL ? "collector" : "writer", err);
    }
    return pp_collector_write(collector, writer, err);
}

const char *pyprof_collector_name(const pyprof_collector *collector)
{
    return collector == NULL ? "" : pp_collector_name(collector);
}

void pyprof_collector_free(pyprof_collector *collector)
{
    pp_collector_free(collector);
}

pyprof_status pyprof_format(uint32_t index, pyprof_format_info *out_info)
{
    if (out_info == NULL) {
        return PYPROF_ERR_INVALID;
    }
    return pp_collector_format(index, out_info);
}
