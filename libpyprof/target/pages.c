/*
 * pages: pieces of a target's memory, by whole pages and many at a time.
 *
 * In: addresses that will be needed. Out: a source of bytes for the parser.
 * Bounded: beyond MAX_PAGES it forgets all and starts again.
 */
#include "target/internal.h"

#include <string.h>

/* No machine's pages are smaller, so one of these is there whole or not. */
#define PAGE ((uint64_t)4096)
enum { MAX_PAGES = 4096, MAX_WANTED = 4096, CALL = 512 };

void pp_pages_init(pp_pages *pages, pp_reader *reader,
                   const pp_allocator *allocator)
{
    memset(pages, 0, sizeof(*pages));
    pages->reader = reader;
    pages->allocator = allocator;
    pp_map_init(&pages->index, allocator);
}

void pp_pages_free(pp_pages *pages)
{
    pp_map_free(&pages->index);
    pp_free(pages->allocator, pages->data);
    pp_free(pages->allocator, pages->wanted);
    memset(pages, 0, sizeof(*pages));
}

void pp_pages_want(pp_pages *pages, uint64_t address, uint64_t size)
{
    uint64_t end;
    if (size == 0 || !pp_add_u64(address, size - 1, &end)) {
        return;
    }
    for (uint64_t page = address / PAGE; page <= end / PAGE; page++) {
        if (pp_map_find(&pages->index, page) == NULL &&
            pp_grow(pages->allocator, (void **)&pages->wanted,
                    &pages->cap_wanted, sizeof(*pages->wanted),
                    pages->n_wanted + 1, MAX_WANTED)) {
            pages->wanted[pages->n_wanted++] = page;
        }
    }
}

/* Puts a slot, or "can't be read", under a page's number. */
static void file_page(pp_pages *pages, uint64_t page, uint64_t slot)
{
    uint64_t *value = pp_map_put(&pages->index, page, NULL);
    if (value != NULL) {
        *value = slot;
    }
}

/* Reads pages[0..n) behind the slots in use. */
static void fetch_some(pp_pages *pages, const uint64_t *wanted, size_t n)
{
    pp_span spans[CALL];
    size_t first = 0;
    for (size_t i = 0; i < n; i++) {
        spans[i] = (pp_span){wanted[i] * PAGE, PAGE};
    }
    while (first < n) {
        size_t got = 0;
        pyprof_status status =
            pp_reader_readv(pages->reader, pages->data + pages->n * PAGE,
                            spans + first, n - first, &got);
        for (size_t i = 0; i < got; i++) {
            file_page(pages, wanted[first + i], ++pages->n);
        }
        first += got;
        if (status != PYPROF_OK) {
            pages->status = status;
            return;
        }
        if (first < n) {
            file_page(pages, wanted[first++], 0);
        }
    }
}

void pp_pages_fetch(pp_pages *pages)
{
    size_t first = 0;
    while (first < pages->n_wanted) {
        size_t n = pages->n_wanted - first;
        n = n < CALL ? n : CALL;
        if (pages->n + n > MAX_PAGES) {
            pp_map_clear(&pages->index);
            pages->n = 0;
        }
        if (!pp_grow(pages->allocator, (void **)&pages->data, &pages->cap, 1,
                     (pages->n + n) * PAGE, (MAX_PAGES + 1) * PAGE)) {
            pages->status = PYPROF_ERR_NO_MEMORY;
            break;
        }
        fetch_some(pages, pages->wanted + first, n);
        first += n;
    }
    pages->n_wanted = 0;
}

/* Bytes of a page that is there, or NULL. */
static const uint8_t *page_bytes(pp_pages *pages, uint64_t page)
{
    const uint64_t *slot = pp_map_find(&pages->index, page);
    if (slot == NULL) {
        pp_pages_want(pages, page * PAGE, 1);
        pp_pages_fetch(pages);
        slot = pp_map_find(&pages->index, page);
    }
    return slot != NULL && *slot != 0 ? pages->data + (*slot - 1) * PAGE : NULL;
}

bool pp_pages_read(void *user, uint64_t address, void *to, size_t size)
{
    pp_pages *pages = user;
    uint8_t *at = to;
    while (size > 0) {
        uint64_t within = address % PAGE;
        size_t n = (size_t)(PAGE - within);
        const uint8_t *bytes = page_bytes(pages, address / PAGE);
        n = n < size ? n : size;
        if (bytes == NULL) {
            return false;
        }
        memcpy(at, bytes + within, n);
        at += n;
        address += n;
        size -= n;
    }
    return true;
}
