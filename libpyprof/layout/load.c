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

#include <string.h>

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

/* Whether the runtime was compiled with Py_DEBUG, in which fields far behind
 * the start of an interpreter are elsewhere. A debug build's runtime is 16,000
 * bytes longer ahead of its main interpreter, which is at its end; micro
 * releases moved that by less than 100. */
bool pp_layout_is_debug(const pp_layout *table, uint64_t before_main)
{
    return before_main > (uint64_t)table->rt.main_interpreter + 8192;
}

/* For a version that does not describe itself: a proof at a wrong place would
 * prove that nothing ever changed, so it is believed only where it can be. */
static void check_proof(pp_reader *reader, uint64_t runtime, pp_layout *layout)
{
    uint64_t main_at;

    if (layout->code_proof != PP_CODE_PROOF_CREATED) {
        return;
    }
    if (pp_reader_u64(reader, runtime + layout->rt.interpreters_main,
                      &main_at) != PYPROF_OK ||
        main_at < runtime || pp_layout_is_debug(layout, main_at - runtime)) {
        layout->code_proof = PP_CODE_PROOF_NONE;
        layout->is.func_version = PP_NONE;
    }
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
    } else {
        check_proof(reader, runtime, &layout);
    }
    *out = layout;
    if (out_note != NULL) {
        *out_note = note;
    }
    return PYPROF_OK;
}
