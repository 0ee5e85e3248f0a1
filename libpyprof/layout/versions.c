/*
 * versions: the rows of versions.def as data. Which versions there are is that
 * file's to say; nothing here depends on any of them.
 */
#include "layout/tables.h"

#define PP_VERSION(version_, free_threaded_, name_, table_, status_) \
    {.version = (version_),                                          \
     .free_threaded = (free_threaded_),                              \
     .name = (name_),                                                \
     .table = &(table_).layout,                                      \
     .status = (status_)},
static const pp_version_row rows[] = {
#include "layout/versions.def"
};
#undef PP_VERSION

#define PP_VERSION(version, free_threaded, name, table, status) &(table),
static const pp_layout_table *const tables[] = {
#include "layout/versions.def"
};
#undef PP_VERSION

size_t pp_layout_versions(const pp_version_row **out_rows)
{
    *out_rows = rows;
    return PP_COUNT_OF(rows);
}

const pp_layout_table *pp_layout_table_find(uint16_t version,
                                            bool free_threaded)
{
    for (size_t i = 0; i < PP_COUNT_OF(rows); i++) {
        if (rows[i].version == version &&
            rows[i].free_threaded == free_threaded) {
            return tables[i];
        }
    }
    return NULL;
}
