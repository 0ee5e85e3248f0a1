/*
 * opts: structures of callers that were compiled with an older or a newer
 * header. In goes a structure of their size, out comes one of ours, and back.
 *
 * Invariants: not a byte past the caller's sz is touched; an option that this
 * library does not know is refused, never ignored. It must not know any field
 * but sz.
 */
#include "base/base.h"

#include <string.h>

pyprof_status pp_opts_read(void *to, size_t known, const void *opts,
                           const char *name, pyprof_error *err)
{
    size_t sz = 0;
    if (opts != NULL) {
        memcpy(&sz, opts, sizeof(sz));
        if (sz < sizeof(sz) || sz > PP_OPTS_SIZE_MAX) {
            return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                                "%s: sz is %zu; set it to sizeof(%s)", name, sz,
                                name);
        }
        const unsigned char *bytes = opts;
        for (size_t i = known; i < sz; i++) {
            if (bytes[i] != 0) {
                return pp_error_set(
                    err, PYPROF_ERR_UNSUPPORTED,
                    "%s: an option at byte %zu is set that this version of the "
                    "library does not know; use a newer library",
                    name, i);
            }
        }
    }
    memset(to, 0, known);
    if (opts != NULL) {
        memcpy(to, opts, sz < known ? sz : known);
    }
    memcpy(to, &known, sizeof(known));
    return PYPROF_OK;
}

bool pp_opts_write(void *to, const void *from, size_t known)
{
    size_t sz;
    memcpy(&sz, to, sizeof(sz));
    if (sz < sizeof(sz) || sz > PP_OPTS_SIZE_MAX) {
        return false;
    }
    size_t n = sz < known ? sz : known;
    memcpy((char *)to + sizeof(sz), (const char *)from + sizeof(sz),
           n - sizeof(sz));
    memset((char *)to + n, 0, sz - n);
    return true;
}
