/*
 * load: the layout of one runtime. In: its address, version and build. Out: a
 * pp_layout that holds for it: the version's table, corrected by what the
 * runtime tells of itself where it does (3.13+).
 *
 * Invariant: what is returned is complete and inside the bounds of its
 * structures, or there is an error. What it must not know: any version's
 * particulars, which are data (versions.def, py3XX.c).
 */
#include "layout/tables.h"

/* Release levels in the lowest byte of a hex version, by its high nibble. */
enum { LEVEL_ALPHA = 0xa, LEVEL_BETA = 0xb };

static pyprof_status unsupported(uint32_t hex_version, bool free_threaded,
                                 pyprof_error *err)
{
    const pp_version_row *rows;
    size_t n = pp_layout_versions(&rows);

    return pp_error_set(err, PYPROF_ERR_UNSUPPORTED_TARGET,
                        "CPython %u.%u%s is not known to this library: it "
                        "reads %s to %s",
                        hex_version >> 24, hex_version >> 16 & 0xff,
                        free_threaded ? " free-threaded" : "", rows[0].name,
                        rows[n - 1].name);
}

pyprof_status pp_layout_load(pp_reader *reader, uint64_t runtime,
                             uint32_t hex_version, bool free_threaded,
                             pp_layout *out, const char **out_note,
                             pyprof_error *err)
{
    uint16_t version = (uint16_t)(hex_version >> 16);
    uint32_t level = hex_version >> 4 & 0xf;
    const char *note = NULL;
    const pp_layout_table *table;
    pp_layout layout;

    if (level == LEVEL_ALPHA || level == LEVEL_BETA) {
        return pp_error_set(err, PYPROF_ERR_UNSUPPORTED_TARGET,
                            "CPython %u.%u.%u is an alpha or beta, whose "
                            "structures still change: use a release",
                            hex_version >> 24, hex_version >> 16 & 0xff,
                            hex_version >> 8 & 0xff);
    }
    table = pp_layout_table_find(version, free_threaded);
    if (table == NULL) {
        table = pp_layout_table_find(version, !free_threaded);
    }
    if (table != NULL && table->described != NULL) {
        PP_TRY(pp_layout_read_header(reader, runtime, version, &free_threaded,
                                     err));
    }
    table = pp_layout_table_find(version, free_threaded);
    if (table == NULL) {
        return unsupported(hex_version, free_threaded, err);
    }
    layout = table->layout;
    if (table->described != NULL) {
        PP_TRY(pp_layout_describe(reader, runtime, table, &layout, &note, err));
    }
    *out = layout;
    if (out_note != NULL) {
        *out_note = note;
    }
    return PYPROF_OK;
}
