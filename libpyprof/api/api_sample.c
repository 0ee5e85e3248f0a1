/*
 * api_sample: what collectors ask the tables for. Checks arguments, calls down.
 */
#include "base/base.h"
#include "sample/sample.h"

pyprof_status pyprof_tables_frame(const pyprof_tables *tables, uint32_t frame,
                                  pyprof_frame *out_frame)
{
    pyprof_frame view;
    if (tables == NULL || out_frame == NULL ||
        !pp_tables_frame_view(tables, frame, &view) ||
        !pp_opts_write(out_frame, &view, sizeof(view))) {
        return PYPROF_ERR_INVALID;
    }
    return PYPROF_OK;
}

pyprof_status pyprof_tables_stack(const pyprof_tables *tables, uint32_t stack,
                                  uint32_t *out_parent, uint32_t *out_frame)
{
    if (tables == NULL ||
        !pp_tables_stack_view(tables, stack, out_parent, out_frame)) {
        return PYPROF_ERR_INVALID;
    }
    return PYPROF_OK;
}

pyprof_status pyprof_tables_thread(const pyprof_tables *tables, uint32_t thread,
                                   pyprof_thread *out_thread)
{
    pyprof_thread view;
    if (tables == NULL || out_thread == NULL ||
        !pp_tables_thread_view(tables, thread, &view) ||
        !pp_opts_write(out_thread, &view, sizeof(view))) {
        return PYPROF_ERR_INVALID;
    }
    return PYPROF_OK;
}

uint32_t pyprof_tables_frames(const pyprof_tables *tables)
{
    return tables == NULL ? 0 : pp_tables_frames(tables);
}

uint32_t pyprof_tables_stacks(const pyprof_tables *tables)
{
    return tables == NULL ? 0 : pp_tables_stacks(tables);
}

uint32_t pyprof_tables_threads(const pyprof_tables *tables)
{
    return tables == NULL ? 0 : pp_tables_threads(tables);
}
