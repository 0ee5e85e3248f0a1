/*
 * formats: the built-in formats by name and by index, made from formats.def. A
 * built-in format is a collector like any other; nothing here is special to it
 * but where its functions come from.
 */
#include "collector/format.h"

#include <string.h>

typedef struct format_row {
    const char *name;
    const char *suffix;
    const char *description;
    uint64_t caps;
    const pp_format *format;
} format_row;

static const format_row rows[] = {
#define PP_FORMAT(id, name, suffix, description, caps) \
    {name, suffix, description, caps, &pp_format_##id},
#include "collector/formats.def"
#undef PP_FORMAT
};

#define KNOWN_FLAGS                                             \
    ((uint64_t)PYPROF_FORMAT_NO_SUMMARY | PYPROF_FORMAT_COLOR | \
     PYPROF_FORMAT_SAMPLED_MARK | PYPROF_FORMAT_UNCOMPRESSED)

static pyprof_status check_opts(const pyprof_format_opts *opts,
                                pyprof_error *err)
{
    if ((opts->flags & ~KNOWN_FLAGS) != 0) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED,
                            "pyprof_format_opts.flags: %#llx is not known to "
                            "this version of the library",
                            (unsigned long long)(opts->flags & ~KNOWN_FLAGS));
    }
    if (opts->sort < PYPROF_SORT_DEFAULT || opts->sort > PYPROF_SORT_NAME) {
        return pp_error_set(err, PYPROF_ERR_INVALID,
                            "pyprof_format_opts.sort is %d: give one of "
                            "PYPROF_SORT_",
                            (int)opts->sort);
    }
    return PYPROF_OK;
}

static const format_row *find_row(const char *name)
{
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

/* Names the formats that there are. */
static pyprof_status no_format(const char *name, pyprof_error *err)
{
    char known[200] = "";
    size_t used = 0;
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        size_t n = strlen(rows[i].name);
        if (used + n + 3 > sizeof(known)) {
            break;
        }
        if (i > 0) {
            memcpy(known + used, ", ", 2);
            used += 2;
        }
        memcpy(known + used, rows[i].name, n + 1);
        used += n;
    }
    return pp_error_set(err, PYPROF_ERR_NO_FORMAT,
                        "no output format \"%s\": there are %s", name, known);
}

pyprof_status pp_collector_new_format(const char *format,
                                      const pyprof_format_opts *opts,
                                      pyprof_collector **out, pyprof_error *err)
{
    const format_row *row = find_row(format);
    if (row == NULL) {
        return no_format(format, err);
    }
    PP_TRY(check_opts(opts, err));
    pp_allocator allocator;
    PP_TRY(pp_alloc_init(&allocator, opts->allocator, err));
    pyprof_collector_ops ops = row->format->ops;
    ops.sz = sizeof(ops);
    ops.name = row->name;
    ops.caps = row->caps;
    void *self;
    PP_TRY(pp_collector_new_own(&ops, row->format->size, &allocator, &self, out,
                                err));
    row->format->init(self, opts);
    return PYPROF_OK;
}

pyprof_status pp_collector_format(uint32_t index, pyprof_format_info *out)
{
    if (index >= PP_COUNT_OF(rows)) {
        return PYPROF_ERR_NO_FORMAT;
    }
    const pyprof_format_info info = {
        .sz = sizeof(info),
        .name = rows[index].name,
        .suffix = rows[index].suffix,
        .description = rows[index].description,
        .caps = rows[index].caps,
    };
    return pp_opts_write(out, &info, sizeof(info)) ? PYPROF_OK
                                                   : PYPROF_ERR_INVALID;
}
