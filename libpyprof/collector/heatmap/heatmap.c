/*
 * heatmap: which lines of the source are hot. In go samples; out come a folder
 * with an index and a page for each source file.
 *
 * It counts by stack; sums.c turns that into lines, pages.c writes.
 */
#include "collector/heatmap/heatmap.h"

typedef struct heatmap {
    pp_allocator allocator;
    pp_counts counts;
    pp_source_reader source;
} heatmap;

static pyprof_status heatmap_begin(void *self, const pyprof_session *session,
                                   pyprof_error *err)
{
    heatmap *h = self;
    PP_UNUSED(err);
    pp_counts_begin(&h->counts, session);
    return PYPROF_OK;
}

static pyprof_status heatmap_sample(void *self, const pyprof_sample *sample,
                                    pyprof_error *err)
{
    heatmap *h = self;
    return pp_counts_add(&h->counts, sample, err);
}

static pyprof_status heatmap_finish(void *self, const pyprof_summary *summary,
                                    pyprof_writer *writer, pyprof_error *err)
{
    heatmap *h = self;
    pp_heat_sums sums;
    pyprof_status status =
        pp_heat_sums_make(&sums, &h->counts, &h->allocator, err);
    if (status == PYPROF_OK) {
        status = pp_heat_pages_write(&sums, &h->source, summary,
                                     pp_counts_seconds(&h->counts, summary),
                                     writer, err);
    }
    pp_heat_sums_free(&sums);
    return status;
}

static void heatmap_free(void *self)
{
    heatmap *h = self;
    pp_counts_free(&h->counts);
}

static void heatmap_init(void *self, const pyprof_format_opts *opts)
{
    heatmap *h = self;
    pp_counts_init(&h->counts, &h->allocator);
    h->source = (pp_source_reader){.allocator = &h->allocator,
                                   .read = opts->source,
                                   .user = opts->source_user};
}

const pp_format pp_format_heatmap = {
    .ops = {.begin = heatmap_begin,
            .sample = heatmap_sample,
            .finish = heatmap_finish,
            .free = heatmap_free},
    .size = sizeof(heatmap),
    .init = heatmap_init,
};
