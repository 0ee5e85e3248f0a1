/*
 * gather: many small pieces of a target's memory by one system call.
 *
 * In: pieces, in up to four sections. Out: their bytes, found by address.
 *
 * What decides the price of a round is the number of spans (about 0.6 us each)
 * and then the number of calls (about 2.5 us each); bytes are nearly free. So
 * pieces are merged generously, and all go into one call.
 *
 * Invariants once sealed: within a section spans are sorted, disjoint and more
 * than PP_GATHER_GAP apart; offsets ascend over the whole plan, so that the
 * call fills one contiguous buffer. It knows nothing of Python.
 */
#include "reader/reader.h"

#include <string.h>

enum {
    MAX_SPANS = 1 << 16,
    MAX_PIECE = 1 << 20,
    MAX_BYTES = 1 << 26,
    MAX_FAULTS = 64
};

void pp_gather_init(pp_gather *gather, const pp_allocator *allocator)
{
    memset(gather, 0, sizeof(*gather));
    gather->allocator = allocator;
    pp_gather_begin(gather);
}

void pp_gather_free(pp_gather *gather)
{
    pp_free(gather->allocator, gather->spans);
    pp_free(gather->allocator, gather->copies);
    pp_free(gather->allocator, gather->buffer);
    memset(gather, 0, sizeof(*gather));
}

void pp_gather_begin(pp_gather *gather)
{
    gather->n = 0;
    gather->sections = 0;
    gather->size = 0;
    gather->failed = false;
    gather->whole = false;
}

void pp_gather_add(pp_gather *gather, uint64_t address, uint64_t size)
{
    uint64_t end;
    if (size == 0) {
        return;
    }
    /* An address that wraps around can't be read, and can't be merged. */
    if (size > MAX_PIECE || !pp_add_u64(address, size, &end)) {
        return;
    }
    if (!pp_grow(gather->allocator, (void **)&gather->spans, &gather->cap,
                 sizeof(pp_span), gather->n + 1, MAX_SPANS)) {
        gather->failed = true;
        return;
    }
    gather->spans[gather->n++] = (pp_span){address, size};
}

void pp_gather_section(pp_gather *gather)
{
    if (gather->sections + 1 < PP_GATHER_SECTIONS) {
        gather->section_end[gather->sections++] = gather->n;
    } else {
        gather->failed = true;
    }
}

/* Shell sort: plans are short and mostly sorted already, and the C library's
 * qsort may allocate. */
static void sort_spans(pp_span *spans, size_t n)
{
    static const size_t gaps[] = {4193, 1577, 701, 301, 132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < PP_COUNT_OF(gaps); g++) {
        size_t gap = gaps[g];
        for (size_t i = gap; i < n; i++) {
            pp_span span = spans[i];
            size_t j = i;
            while (j >= gap && spans[j - gap].address > span.address) {
                spans[j] = spans[j - gap];
                j -= gap;
            }
            spans[j] = span;
        }
    }
}

/* Merges sorted spans in place; returns how many remain. */
static size_t merge_spans(pp_span *spans, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        pp_span *last = kept > 0 ? &spans[kept - 1] : NULL;
        uint64_t end = spans[i].address + spans[i].size;
        if (last != NULL &&
            spans[i].address <= last->address + last->size + PP_GATHER_GAP) {
            if (end > last->address + last->size) {
                last->size = end - last->address;
            }
        } else {
            spans[kept++] = spans[i];
        }
    }
    return kept;
}

bool pp_gather_seal(pp_gather *gather)
{
    size_t kept = 0;
    size_t begin = 0;
    uint64_t bytes = 0;
    gather->section_end[gather->sections++] = gather->n;
    for (size_t s = 0; s < gather->sections; s++) {
        size_t end = gather->section_end[s];
        sort_spans(gather->spans + begin, end - begin);
        size_t n = merge_spans(gather->spans + begin, end - begin);
        if (kept != begin) {
            memmove(gather->spans + kept, gather->spans + begin,
                    n * sizeof(pp_span));
        }
        kept += n;
        begin = end;
        gather->section_end[s] = kept;
    }
    gather->n = kept;
    for (size_t i = 0; i < kept; i++) {
        bytes += gather->spans[i].size;
    }
    if (gather->failed || bytes > MAX_BYTES ||
        !pp_grow(gather->allocator, (void **)&gather->copies,
                 &gather->cap_copies, sizeof(pp_copy), kept, MAX_SPANS) ||
        !pp_grow(gather->allocator, (void **)&gather->buffer,
                 &gather->cap_buffer, 1, (size_t)bytes, MAX_BYTES)) {
        pp_gather_begin(gather);
        gather->failed = true;
        return false;
    }
    gather->size = 0;
    for (size_t i = 0; i < kept; i++) {
        gather->copies[i].offset = (uint32_t)gather->size;
        gather->copies[i].there = false;
        gather->size += (size_t)gather->spans[i].size;
    }
    return true;
}

pyprof_status pp_gather_run(pp_gather *gather, pp_reader *reader)
{
    size_t first = 0;
    int faults = 0;
    bool was_whole = gather->whole;
    gather->whole = false;
    while (first < gather->n) {
        size_t got = 0;
        pyprof_status status = pp_reader_readv(
            reader, gather->buffer + gather->copies[first].offset,
            gather->spans + first, gather->n - first, &got);
        if (PP_LIKELY(status == PYPROF_OK && first == 0 && got == gather->n &&
                      was_whole)) {
            gather->whole = true;
            return PYPROF_OK;
        }
        for (size_t i = 0; i < got; i++) {
            gather->copies[first + i].there = true;
        }
        first += got;
        if (first < gather->n) {
            gather->copies[first++].there = false;
            faults++;
        }
        if (status != PYPROF_OK || faults > MAX_FAULTS) {
            for (; first < gather->n; first++) {
                gather->copies[first].there = false;
            }
            return status;
        }
    }
    gather->whole = faults == 0;
    return PYPROF_OK;
}

pp_view pp_gather_view(const pp_gather *gather, size_t section)
{
    pp_view view = {.gather = gather};
    if (section < gather->sections) {
        view.first = section == 0 ? 0 : gather->section_end[section - 1];
        view.end = gather->section_end[section];
    }
    return view;
}

const uint8_t *pp_view_search(pp_view *view, uint64_t address, uint64_t size)
{
    const pp_gather *gather = view->gather;
    size_t low = view->first;
    size_t high = view->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (gather->spans[middle].address <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == view->first || !gather->copies[low - 1].there) {
        return NULL;
    }
    const pp_span *span = &gather->spans[low - 1];
    uint64_t at = address - span->address;
    if (at >= span->size || size > span->size - at) {
        return NULL;
    }
    view->hit_address = span->address;
    view->hit_size = span->size;
    view->hit = gather->buffer + gather->copies[low - 1].offset;
    return view->hit + at;
}
