/*
 * sort: numbers by what they stand for. The C library's qsort takes no context
 * and may take memory behind the allocator's back.
 *
 * A merge sort from the bottom up: runs of 1, 2, 4... numbers are merged from
 * one array into the other.
 */
#include "base/base.h"

#include <string.h>

typedef struct sort_order {
    bool (*is_before)(void *user, uint32_t x, uint32_t y);
    void *user;
} sort_order;

/* Merges from[low, middle) and from[middle, high) into to[low, high). */
static void merge(const sort_order *order, const uint32_t *from, uint32_t *to,
                  size_t low, size_t middle, size_t high)
{
    size_t left = low;
    size_t right = middle;
    for (size_t i = low; i < high; i++) {
        bool take_right =
            left == middle ||
            (right < high &&
             order->is_before(order->user, from[right], from[left]));
        to[i] = take_right ? from[right++] : from[left++];
    }
}

bool pp_sort_u32(const pp_allocator *a, uint32_t *numbers, size_t n,
                 bool (*is_before)(void *user, uint32_t x, uint32_t y),
                 void *user)
{
    if (n < 2) {
        return true;
    }
    uint32_t *other = pp_realloc(a, NULL, n, sizeof(*other));
    if (other == NULL) {
        return false;
    }
    const sort_order order = {.is_before = is_before, .user = user};
    uint32_t *from = numbers;
    uint32_t *to = other;
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t low = 0; low < n; low += 2 * run) {
            size_t middle = n - low < run ? n : low + run;
            size_t high = n - low < 2 * run ? n : low + 2 * run;
            merge(&order, from, to, low, middle, high);
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != numbers) {
        memcpy(numbers, from, n * sizeof(*numbers));
    }
    pp_free(a, other);
    return true;
}
