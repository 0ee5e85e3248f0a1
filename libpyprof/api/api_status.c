/*
 * api_status: names and texts of statuses, made from the one list in status.h.
 */
#include <pyprof/status.h>

const char *pyprof_status_name(pyprof_status status)
{
    switch (status) {
#define STATUS_NAME(name, value, id, text, python)                             \
    case PYPROF_##name:                                                        \
        return id;
        PYPROF_STATUS_MAP(STATUS_NAME)
#undef STATUS_NAME
    default:
        return "unknown";
    }
}

const char *pyprof_status_text(pyprof_status status)
{
    switch (status) {
#define STATUS_TEXT(name, value, id, text, python)                             \
    case PYPROF_##name:                                                        \
        return text;
        PYPROF_STATUS_MAP(STATUS_TEXT)
#undef STATUS_TEXT
    default:
        return "unknown status";
    }
}
