/*
 * A program of someone else: uses the installed headers and library, and says
 * what it found.
 */
#include <pyprof/pyprof.h>

#include <stdio.h>

int main(void)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_collector *collector;

    if (pyprof_version_number() != PYPROF_VERSION_NUMBER) {
        fprintf(stderr, "headers and library differ\n");
        return 1;
    }
    if (pyprof_collector_new_format("collapsed", NULL, &collector, &err) !=
        PYPROF_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("libpyprof %s writes %s\n", pyprof_version_string(),
           pyprof_collector_name(collector));
    pyprof_collector_free(collector);
    return 0;
}
