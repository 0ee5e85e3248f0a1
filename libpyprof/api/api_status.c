/*
 * api_status: names and texts of statuses. Nothing to check, calls down.
 */
#include "base/base.h"

const char *pyprof_status_name(pyprof_status status)
{
    return pp_status_name(status);
}

const char *pyprof_status_text(pyprof_status status)
{
    return pp_status_text(status);
}
