/*
 * status: names and texts of statuses, made from the one list in status.h.
 */
#include "base/base.h"

const char *pp_status_name(pyprof_status status)
{
    switch (status) {
#define STATUS_NAME(name, value, id, text, python) \
    case PYPROF_##name:                            \
        return id;
        PYPROF_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "unknown";
    }
}

const char *pp_status_text(pyprof_status status)
{
    switch (status) {
#define STATUS_TEXT(name, value, id, text, python) \
    case PYPROF_##name:                            \
        return text;
        PYPROF_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return "unknown status";
    }
}

bool pp_status_is_known(pyprof_status status)
{
    switch (status) {
#define STATUS_KNOWN(name, value, id, text, python) case PYPROF_##name:
        PYPROF_STATUS_MAP(STATUS_KNOWN)
#undef STATUS_KNOWN
        return true;
    default:
        return false;
    }
}
