/*
 * pages: the pages of a heatmap. In go sums; out come, in a folder, index.html
 * (index.html of the sources, with its data as JSON) and file_0000.html and on
 * (file.html, with one row a line), the file that most stacks have being first.
 *
 * Source is read here, when the profile is written. A file that can't be read
 * has its hot lines and says that they are without source.
 */
#include "collector/heatmap/heatmap.h"

#include <stdio.h>
#include <string.h>

#define LEVELS 8 /* of heat; 0 is none */
/* Where calls lead to: the most frequent ones. */
#define LINKS_MAX 12U
#define SOURCE_LINE_MAX ((size_t)2000)

typedef struct page {
    const pp_heat_sums *sums;
    const pyprof_summary *summary;
    double seconds;
    pp_line line;
    uint32_t file;
    pp_source source;
} page;

static pyprof_status flush(page *p, pyprof_writer *w, pyprof_error *err)
{
    pyprof_status status = pp_line_write(&p->line, w, err);
    pp_line_clear(&p->line);
    return status;
}

/* "12.3" of 12.3 %. */
static void add_percent(pp_line *line, uint64_t part, uint64_t whole)
{
    char text[32];
    uint64_t tenths =
        whole == 0 ? 0 : (uint64_t)((double)part * 1000 / (double)whole + 0.5);
    int n = snprintf(text, sizeof(text), "%llu.%llu",
                     (unsigned long long)(tenths / 10),
                     (unsigned long long)(tenths % 10));
    pp_line_add(line, text, n > 0 ? (size_t)n : 0);
}

static void add_page_name(pp_line *line, uint32_t number)
{
    char text[32];
    int n =
        snprintf(text, sizeof(text), "file_%04lu.html", (unsigned long)number);
    pp_line_add(line, text, n > 0 ? (size_t)n : 0);
}

/* How hot something is against the hottest: 0, then 1 to LEVELS. Each is twice
 * the one before it. */
static unsigned level_of(uint64_t samples, uint64_t most)
{
    unsigned level = samples == 0 ? 0 : LEVELS;
    while (level > 1 && samples * 2 <= most) {
        samples *= 2;
        level--;
    }
    return level;
}

/* ---- a file's page ------------------------------------------------------- */

static void add_link(page *p, const pp_heat_call *call, bool is_caller)
{
    const pp_heat_sums *s = p->sums;
    const pp_heat_function *to = &s->functions[call->function];
    const pp_heat_line *from = &s->lines[call->line];
    uint32_t file = is_caller ? from->file : to->file;
    uint32_t number = is_caller ? from->line : to->first_line;
    pp_line_text(&p->line, "<li><a href=\"");
    if (file != p->file) {
        add_page_name(&p->line, s->files[file].page);
    }
    pp_line_text(&p->line, "#line-");
    pp_line_number(&p->line, number);
    pp_line_text(&p->line, "\">");
    if (is_caller) {
        pp_page_html(&p->line, pp_path_tail(s->files[file].path, 1), false);
        pp_line_text(&p->line, ":");
        pp_line_number(&p->line, number);
    } else {
        pp_page_html(&p->line, to->name, false);
    }
    pp_line_text(&p->line, "</a> ");
    add_percent(&p->line, call->samples, s->stacks);
    pp_line_text(&p->line, " %</li>");
}

/* A list that opens: what a line calls, or what calls a function. */
static void add_calls(page *p, const uint32_t *order, uint32_t of,
                      const char *title, bool is_caller)
{
    uint32_t n;
    uint32_t first = pp_heat_calls(p->sums, order, of, &n);
    if (n == 0) {
        return;
    }
    pp_line_text(&p->line, "<details><summary>");
    pp_line_text(&p->line, title);
    pp_line_text(&p->line, " ");
    pp_line_number(&p->line, n);
    pp_line_text(&p->line, "</summary><ul>");
    for (uint32_t i = 0; i < n && i < LINKS_MAX; i++) {
        add_link(p, &p->sums->calls[order[first + i]], is_caller);
    }
    if (n > LINKS_MAX) {
        pp_line_text(&p->line, "<li>and ");
        pp_line_number(&p->line, n - LINKS_MAX);
        pp_line_text(&p->line, " with fewer samples</li>");
    }
    pp_line_text(&p->line, "</ul></details>");
}

static void add_cell(page *p, uint64_t samples, const char *class_name)
{
    pp_line_text(&p->line, "<td class=\"");
    pp_line_text(&p->line, class_name);
    if (samples > 0) {
        pp_line_text(&p->line, "\" title=\"");
        pp_line_number(&p->line, samples);
        pp_line_text(&p->line, " samples\">");
        add_percent(&p->line, samples, p->sums->stacks);
    } else {
        pp_line_text(&p->line, "\">");
    }
    pp_line_text(&p->line, "</td>");
}

/* One row; `heat` is the index of its line, or UINT32_MAX; `*function` the next
 * in function_order that may be defined here. */
static void add_row(page *p, uint32_t number, uint32_t heat_line,
                    uint32_t *function, uint32_t end)
{
    const pp_heat_sums *s = p->sums;
    pp_line *line = &p->line;
    pp_heat heat = {0, 0};
    if (heat_line != UINT32_MAX) {
        heat = s->lines[heat_line].heat;
    }
    pp_line_text(line, "<tr id=\"line-");
    pp_line_number(line, number);
    if (heat.total > 0) {
        pp_line_text(line, "\" class=\"s");
        pp_line_number(line, level_of(heat.self, s->most.self));
        pp_line_text(line, " t");
        pp_line_number(line, level_of(heat.total, s->most.total));
    }
    pp_line_text(line, "\"><td><a href=\"#line-");
    pp_line_number(line, number);
    pp_line_text(line, "\">");
    pp_line_number(line, number);
    pp_line_text(line, "</a></td>");
    add_cell(p, heat.self, "self");
    add_cell(p, heat.total, "total");
    pp_line_text(line, "<td><code>");
    pyprof_text text = pp_source_line(&p->source, number);
    text.size = text.size < SOURCE_LINE_MAX ? text.size : SOURCE_LINE_MAX;
    pp_page_html(line, text, true);
    pp_line_text(line, "</code></td><td>");
    for (; *function < end; ++*function) {
        uint32_t at = s->function_order[*function];
        if (s->functions[at].first_line > number) {
            break;
        }
        if (s->functions[at].first_line == number) {
            add_calls(p, s->called_from, at, "called from", true);
        }
    }
    if (heat_line != UINT32_MAX) {
        add_calls(p, s->calls_of, heat_line, "calls", false);
    }
    pp_line_text(line, "</td></tr>\n");
}

static pyprof_status write_rows(void *user, pyprof_writer *w, pyprof_error *err)
{
    page *p = user;
    const pp_heat_sums *s = p->sums;
    const pp_heat_file *file = &s->files[p->file];
    uint32_t at = file->first_line;
    uint32_t end = at + file->n_lines;
    uint32_t function = file->first_function;
    uint32_t last_function = function + file->n_functions;
    uint32_t last =
        file->n_lines > 0 ? s->lines[s->line_order[end - 1]].line : 0;
    for (uint32_t number = 1; number <= p->source.n_lines || at < end;
         number++) {
        bool is_hot = at < end && s->lines[s->line_order[at]].line == number;
        uint32_t heat = is_hot ? s->line_order[at++] : UINT32_MAX;
        if (number <= p->source.n_lines || is_hot) {
            add_row(p, number, heat, &function, last_function);
            PP_TRY(flush(p, w, err));
        } else if (number < last) {
            /* nothing is known of the lines up to the next hot one */
            number = s->lines[s->line_order[at]].line - 1;
        }
    }
    return PYPROF_OK;
}

static pyprof_status write_name(void *user, pyprof_writer *w, pyprof_error *err)
{
    page *p = user;
    pp_page_html(&p->line, pp_path_tail(p->sums->files[p->file].path, 1),
                 false);
    return flush(p, w, err);
}

static pyprof_status write_path(void *user, pyprof_writer *w, pyprof_error *err)
{
    page *p = user;
    pp_page_html(&p->line, p->sums->files[p->file].path, false);
    return flush(p, w, err);
}

static pyprof_status write_facts(void *user, pyprof_writer *w,
                                 pyprof_error *err)
{
    page *p = user;
    const pp_heat_sums *s = p->sums;
    const pp_heat_file *file = &s->files[p->file];
    pp_line_text(&p->line, "Of ");
    pp_line_number(&p->line, s->stacks);
    pp_line_text(&p->line, " stacks, ");
    add_percent(&p->line, file->heat.total, s->stacks);
    pp_line_text(&p->line, " % have this file and ");
    add_percent(&p->line, file->heat.self, s->stacks);
    pp_line_text(&p->line, " % end in it. Lines with samples: ");
    pp_line_number(&p->line, file->n_lines);
    pp_line_text(&p->line, ".");
    return flush(p, w, err);
}

static pyprof_status write_note(void *user, pyprof_writer *w, pyprof_error *err)
{
    page *p = user;
    const char *text = "";
    if (p->source.data == NULL) {
        text =
            "<p class=\"note\" role=\"note\">The source of this file was not "
            "to be had when the profile was written: only lines with samples "
            "are here.</p>";
    } else if (p->source.is_cut) {
        text = "<p class=\"note\" role=\"note\">This file is too long: its end "
               "is not here.</p>";
    }
    return pp_writer_write(w, text, strlen(text), err);
}

static pyprof_status write_file(page *p, const pp_source_reader *reader,
                                pyprof_writer *folder, pyprof_error *err)
{
    static const pp_page_slot slots[] = {{"name", write_name},
                                         {"path", write_path},
                                         {"facts", write_facts},
                                         {"note", write_note},
                                         {"rows", write_rows}};
    const pp_heat_file *file = &p->sums->files[p->file];
    char name[32];
    pyprof_writer *w = NULL;
    (void)snprintf(name, sizeof(name), "file_%04lu.html",
                   (unsigned long)file->page);
    PP_TRY(pp_writer_open_file(folder, name, &w, err));
    pyprof_status status = pp_source_read(&p->source, reader, file->path, err);
    if (status == PYPROF_OK) {
        status = pp_page_fill(&pp_page_heatmap_file, slots, PP_COUNT_OF(slots),
                              p, w, err);
    }
    if (status == PYPROF_OK) {
        status = pp_writer_finish(w, err);
    }
    pp_source_free(&p->source);
    pp_writer_close(w);
    return status;
}

/* ---- the index ----------------------------------------------------------- */

static void add_number(pp_line *line, const char *key, uint64_t number)
{
    pp_line_text(line, ",\"");
    pp_line_text(line, key);
    pp_line_text(line, "\":");
    pp_line_number(line, number);
}

static void add_file(page *p, const pp_heat_file *file)
{
    pp_line_text(&p->line, "{\"path\":");
    pp_page_json(&p->line, file->path);
    add_number(&p->line, "self", file->heat.self);
    add_number(&p->line, "total", file->heat.total);
    add_number(&p->line, "lines", file->n_lines);
    add_number(&p->line, "page", file->page);
    pp_line_text(&p->line, "}");
}

/* JSON: figures, then files in the order of their pages. */
static pyprof_status write_data(void *user, pyprof_writer *w, pyprof_error *err)
{
    page *p = user;
    const pp_heat_sums *s = p->sums;
    const pyprof_summary *summary = p->summary;
    pp_line *line = &p->line;
    PP_TRY(pp_writer_printf(w, err,
                            "<script type=\"text/plain\" id=\"d-heatmap\">"));
    pp_line_text(line, "{\"version\":1");
    add_number(line, "stacks", s->stacks);
    add_number(line, "sampleNs", (uint64_t)(p->seconds * 1e9 + 0.5));
    add_number(line, "duration", summary->duration_ns);
    add_number(line, "rounds", summary->rounds);
    add_number(line, "attempted", summary->attempted);
    add_number(line, "torn", summary->torn);
    add_number(line, "unreadable", summary->unreadable);
    add_number(line, "missed", summary->missed);
    pp_line_text(line, ",\"files\":[\n");
    PP_TRY(flush(p, w, err));
    for (size_t i = 0; i < s->n_files; i++) {
        pp_line_text(line, i == 0 ? "" : ",\n");
        add_file(p, &s->files[s->file_order[i]]);
        PP_TRY(flush(p, w, err));
    }
    return pp_writer_printf(w, err, "]}</script>\n");
}

static pyprof_status write_index(page *p, pyprof_writer *folder,
                                 pyprof_error *err)
{
    static const pp_page_slot slots[] = {{"data", write_data}};
    pyprof_writer *w = NULL;
    PP_TRY(pp_writer_open_file(folder, "index.html", &w, err));
    pyprof_status status = pp_page_fill(&pp_page_heatmap_index, slots,
                                        PP_COUNT_OF(slots), p, w, err);
    if (status == PYPROF_OK) {
        status = pp_writer_finish(w, err);
    }
    pp_writer_close(w);
    return status;
}

pyprof_status pp_heat_pages_write(const pp_heat_sums *sums,
                                  const pp_source_reader *source,
                                  const pyprof_summary *summary,
                                  double sample_seconds, pyprof_writer *folder,
                                  pyprof_error *err)
{
    page p = {.sums = sums, .summary = summary, .seconds = sample_seconds};
    p.source.allocator = sums->allocator;
    pp_line_init(&p.line, sums->allocator);
    pyprof_status status = PYPROF_OK;
    for (size_t i = 0; i < sums->n_files && status == PYPROF_OK; i++) {
        p.file = sums->file_order[i];
        status = write_file(&p, source, folder, err);
    }
    if (status == PYPROF_OK) {
        /* last, so that an index leads to pages that are there */
        status = write_index(&p, folder, err);
    }
    pp_line_free(&p.line);
    return status;
}
