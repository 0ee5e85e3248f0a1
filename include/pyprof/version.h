/**
 * @file pyprof/version.h
 * @brief Version of the headers, and of the library found at run time.
 */
#ifndef PYPROF_VERSION_H
#define PYPROF_VERSION_H

#include <pyprof/common.h>

#define PYPROF_VERSION_MAJOR 0 /**< changes with the soname */
#define PYPROF_VERSION_MINOR 1 /**< grows when something is added */
#define PYPROF_VERSION_PATCH 0 /**< grows when something is mended */

/** Version of the headers as one comparable number. */
#define PYPROF_VERSION_NUMBER                                    \
    (PYPROF_VERSION_MAJOR * 10000 + PYPROF_VERSION_MINOR * 100 + \
     PYPROF_VERSION_PATCH)

PYPROF_BEGIN_DECLS

/**
 * @brief Version of the library that is loaded, as ::PYPROF_VERSION_NUMBER.
 *
 * Thread-safe. Never fails.
 */
PYPROF_API int32_t pyprof_version_number(void);

/**
 * @brief Version of the library that is loaded, as "major.minor.patch".
 *
 * Thread-safe. The text is static.
 */
PYPROF_API const char *pyprof_version_string(void);

PYPROF_END_DECLS

#endif /* PYPROF_VERSION_H */
