/*
 * api_version: the version that was compiled into the library, which may differ
 * from that of the headers that a program was compiled with.
 */
#include <pyprof/version.h>

#define TEXT_OF(x) #x
#define VERSION_TEXT(major, minor, patch) \
    TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

int32_t pyprof_version_number(void)
{
    return PYPROF_VERSION_NUMBER;
}

const char *pyprof_version_string(void)
{
    return VERSION_TEXT(PYPROF_VERSION_MAJOR, PYPROF_VERSION_MINOR,
                        PYPROF_VERSION_PATCH);
}
