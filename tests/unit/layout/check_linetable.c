/*
 * layout/linetable*: what CPython 3.8 to 3.15 says of its own line tables, in
 * linetables.inc, and what no CPython says.
 *
 * With files as arguments, checks those instead: lines of the same form, as
 * tests/live/programs/linetables.py writes them (tests/live/test_linetables.py
 * does that for thousands of code objects of each interpreter).
 */
#include "../base/testing.h"
#include "layout/layout.h"

#include <stdio.h>

static const char *const CASES[] = {
#include "linetables.inc"
};

/* One line of such a file, on its way. */
typedef struct test_case {
    pp_line_kind kind;
    long first_line, code_size;
    uint8_t *table;
    size_t size;
    const char *runs;
} test_case;

/* Reads 2 * size digits. */
static void read_hex(const char *text, uint8_t *to, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char digits[3] = {text[2 * i], text[2 * i + 1], 0};

        to[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

/* `c->table` is to be freed; NULL when the line is not of that form. */
static test_case read_case(const char *text)
{
    test_case c = {0};
    char kind[16];
    int at = 0;

    if (sscanf(text, "%15s %ld %ld %n", kind, &c.first_line, &c.code_size,
               &at) != 3) {
        return c;
    }
    c.kind = strcmp(kind, "lnotab") == 0 ? PP_LINES_LNOTAB
             : strcmp(kind, "310") == 0  ? PP_LINES_310
                                         : PP_LINES_LOCATIONS;
    text += at;
    c.runs = text + strcspn(text, " \n");
    /* Exactly as large as the table, so that a sanitizer sees one byte more. */
    c.size = text[0] == '-' ? 0 : (size_t)(c.runs - text) / 2;
    c.table = malloc(c.size + (c.size == 0));
    if (c.table != NULL) {
        read_hex(text, c.table, c.size);
    }
    return c;
}

/* Whether ranges are what they must be, whatever the table. */
static bool in_order(const pp_line_range *ranges, size_t n, uint32_t code_size)
{
    uint32_t end = 0;

    for (size_t i = 0; i < n; i++) {
        if (ranges[i].start < end || ranges[i].end <= ranges[i].start ||
            ranges[i].end > code_size) {
            return false;
        }
        end = ranges[i].end;
    }
    return true;
}

static bool same(const pp_line_range *range, const pp_line_range *truth)
{
    static const pp_line_range nothing = {0, 0, -1, -1, -1, -1};

    if (range == NULL) {
        range = &nothing;
    }
    return range->line == truth->line && range->end_line == truth->end_line &&
           range->column == truth->column &&
           range->end_column == truth->end_column;
}

/* NULL, or what is wrong with it. */
static const char *compare(const test_case *c, const pp_line_range *ranges,
                           size_t n)
{
    const char *text = c->runs;
    long at = 0, end;
    pp_line_range truth;
    int used;

    while (sscanf(text, " %ld:%d,%d,%d,%d%n", &end, &truth.line,
                  &truth.end_line, &truth.column, &truth.end_column,
                  &used) == 5) {
        for (; at < end; at++) {
            if (!same(pp_lines_find(ranges, n, (uint32_t)at), &truth)) {
                return "another position";
            }
        }
        text += used;
    }
    if (at != c->code_size) {
        return "runs that do not reach the end of the code";
    }
    if (pp_lines_find(ranges, n, (uint32_t)at) != NULL) {
        return "a range past the end of the code";
    }
    return NULL;
}

static const char *check_case(const char *text)
{
    test_case c = read_case(text);
    const char *wrong = "not a case";
    pp_line_range *ranges;
    size_t n = 0;

    if (c.table == NULL) {
        return wrong;
    }
    ranges = malloc((c.size + 1) * sizeof(*ranges));
    if (!pp_lines_decode(c.kind, c.table, c.size, (int32_t)c.first_line,
                         (uint32_t)c.code_size, ranges, c.size + 1, &n)) {
        wrong = "malformed, it is said";
    } else if (!in_order(ranges, n, (uint32_t)c.code_size)) {
        wrong = "out of order";
    } else {
        wrong = compare(&c, ranges, n);
    }
    free(ranges);
    free(c.table);
    return wrong;
}

START_TEST(test_what_cpython_says)
{
    bool seen[3] = {false};

    for (size_t i = 0; i < PP_COUNT_OF(CASES); i++) {
        const char *wrong = check_case(CASES[i]);

        ck_assert_msg(wrong == NULL, "case %zu: %s: %.60s", i, wrong, CASES[i]);
        seen[CASES[i][0] == '3' ? 1 : CASES[i][1] == 'n' ? 0 : 2] = true;
    }
    ck_assert(seen[0] && seen[1] && seen[2]);
}
END_TEST

/* Decodes bytes into no more room than is said to be enough. */
static bool decode(pp_line_kind kind, const uint8_t *table, size_t size,
                   int32_t first_line, uint32_t code_size, pp_line_range *out,
                   size_t *n)
{
    uint8_t *copy = malloc(size + (size == 0));
    bool whole;

    if (size > 0) {
        memcpy(copy, table, size);
    }
    whole = pp_lines_decode(kind, copy, size, first_line, code_size, out,
                            size + 1, n);
    ck_assert_uint_le(*n, size + 1);
    ck_assert(in_order(out, *n, code_size));
    free(copy);
    return whole;
}

#define DECODE(kind, first_line, code_size, ...)                               \
    decode(kind, (const uint8_t[]){__VA_ARGS__},                               \
           sizeof((const uint8_t[]){__VA_ARGS__}), first_line, code_size, out, \
           &n)

START_TEST(test_lnotab)
{
    pp_line_range out[16];
    size_t n;

    /* no table: all is the first line */
    ck_assert(decode(PP_LINES_LNOTAB, NULL, 0, 7, 20, out, &n));
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(out[0].line, 7);
    ck_assert_uint_eq(out[0].end, 20);
    /* no code at all */
    ck_assert(decode(PP_LINES_LNOTAB, NULL, 0, 7, 0, out, &n));
    ck_assert_uint_eq(n, 0);
    /* backwards, and a step of lines in several pairs */
    ck_assert(DECODE(PP_LINES_LNOTAB, 10, 12, 4, 0xfe, 4, 127, 0, 3));
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(out[1].line, 8);
    ck_assert_int_eq(out[2].line, 138);
    ck_assert_uint_eq(out[2].end, 12);
    /* past the end of the code: as CPython has it */
    ck_assert(DECODE(PP_LINES_LNOTAB, 10, 6, 4, 1, 255, 1, 255, 1));
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(out[1].end, 6);
    /* a line that no editor has */
    ck_assert(DECODE(PP_LINES_LNOTAB, 1, 6, 2, 0x80, 2, 0));
    ck_assert_int_eq(out[1].line, -1);
    /* half a pair: what came before stays */
    ck_assert(!DECODE(PP_LINES_LNOTAB, 1, 6, 2, 1, 2));
    ck_assert_uint_eq(n, 2);
}
END_TEST

START_TEST(test_310)
{
    pp_line_range out[16];
    size_t n;

    ck_assert(DECODE(PP_LINES_310, 10, 12, 4, 0, 2, 0x80, 0, 100, 6, 100));
    ck_assert_uint_eq(n, 3);
    ck_assert_int_eq(out[0].line, 10);
    ck_assert_int_eq(out[1].line, -1);
    ck_assert_int_eq(out[2].line, 210);
    ck_assert_uint_eq(out[2].end, 12);
    /* what no range has, has no line */
    ck_assert(DECODE(PP_LINES_310, 10, 12, 4, 1));
    ck_assert_ptr_null(pp_lines_find(out, n, 4));
    ck_assert_int_eq(pp_lines_find(out, n, 3)->line, 11);
    ck_assert(!DECODE(PP_LINES_310, 10, 12, 4, 1, 2));
    /* more than the code has is cut */
    ck_assert(DECODE(PP_LINES_310, 10, 6, 250, 1, 250, 1));
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(out[0].end, 6);
}
END_TEST

START_TEST(test_locations)
{
    pp_line_range out[16];
    size_t n;

    /* a short form, a line and two columns, none, a long form */
    ck_assert(DECODE(PP_LINES_LOCATIONS, 5, 12, 0x88, 0x25, 0xd9, 3, 9, 0xf8,
                     0xf0, 0x03, 0x02, 0x08, 0x41, 0x01));
    ck_assert_uint_eq(n, 4);
    ck_assert_int_eq(out[0].line, 5);
    ck_assert_int_eq(out[0].column, 10);
    ck_assert_int_eq(out[0].end_column, 15);
    ck_assert_int_eq(out[1].line, 6);
    ck_assert_uint_eq(out[1].end, 6);
    ck_assert_int_eq(out[1].end_column, 9);
    ck_assert_int_eq(out[2].line, -1);
    ck_assert_int_eq(out[3].line, 5);
    ck_assert_int_eq(out[3].end_line, 7);
    ck_assert_int_eq(out[3].column, 7);
    ck_assert_int_eq(out[3].end_column, 64);
}
END_TEST

START_TEST(test_malformed_locations)
{
    pp_line_range out[16];
    size_t n;

    /* not the start of an entry */
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 99, 0x78));
    /* cut off, and entered by the next entry */
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 99, 0x80));
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 99, 0xd0, 1));
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 99, 0xd0, 1, 0x80));
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 99, 0xe8, 0x40, 0xf8));
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 99, 0xf0, 2, 0, 1));
    /* a number without end, and one of more than 32 bits */
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 99, 0xe8, 0x7f, 0x7f, 0x7f, 0x7f,
                      0x7f, 0x7f, 0x7f, 0x7f, 0));
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 99, 0xe8, 0x40, 0x40, 0x40, 0x40,
                      0x40, 0x04));
    /* the largest of them is a line that no editor has */
    ck_assert(DECODE(PP_LINES_LOCATIONS, 2, 2, 0xe8, 0x7e, 0x7f, 0x7f, 0x7f,
                     0x7f, 0x03));
    ck_assert_uint_eq(n, 1);
    ck_assert_int_eq(out[0].line, -1);
    /* more than the code has */
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 2, 0xf9));
    ck_assert_uint_eq(n, 0);
    ck_assert(!DECODE(PP_LINES_LOCATIONS, 1, 2, 0xf8, 0xf8));
    ck_assert_uint_eq(n, 1);
}
END_TEST

START_TEST(test_no_more_than_max)
{
    static const uint8_t lnotab[] = {2, 1, 2, 1, 2, 1, 2, 1};
    static const uint8_t locations[] = {0xe8, 2, 0xe8, 2, 0xe8, 2, 0xe8, 2};
    pp_line_range out[5];

    for (size_t max = 0; max <= 5; max++) {
        size_t n = 99;
        bool whole;

        whole = pp_lines_decode(PP_LINES_LNOTAB, lnotab, sizeof(lnotab), 1, 10,
                                out, max, &n);
        ck_assert_uint_eq(n, max);
        ck_assert(whole == (max == 5));
        whole = pp_lines_decode(PP_LINES_LOCATIONS, locations,
                                sizeof(locations), 1, 10, out, max, &n);
        ck_assert_uint_eq(n, max < 4 ? max : 4);
        ck_assert(whole == (max >= 4));
        whole = pp_lines_decode(PP_LINES_310, lnotab, sizeof(lnotab), 1, 10,
                                out, max, &n);
        ck_assert_uint_eq(n, max < 4 ? max : 4);
        ck_assert(whole == (max >= 4));
    }
}
END_TEST

START_TEST(test_find)
{
    static const pp_line_range ranges[] = {
        {2, 4, 1, 1, 1, 1}, {4, 10, 2, 2, 2, 2}, {12, 14, 3, 3, 3, 3}};
    static const int expected[] = {0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 0, 0, 3, 3, 0};

    for (uint32_t at = 0; at < PP_COUNT_OF(expected); at++) {
        const pp_line_range *range = pp_lines_find(ranges, 3, at);

        ck_assert_int_eq(range == NULL ? 0 : range->line, expected[at]);
    }
    ck_assert_ptr_null(pp_lines_find(ranges, 3, UINT32_MAX));
    ck_assert_ptr_null(pp_lines_find(NULL, 0, 0));
}
END_TEST

/* Random bytes, and the true tables with a bit turned: nothing but ranges in
 * order may come out (`decode` checks that). */
START_TEST(test_any_bytes)
{
    uint64_t state = 20240601;
    uint8_t bytes[64];
    pp_line_range out[65];
    size_t n;

    for (int i = 0; i < 20000; i++) {
        size_t size = test_random(&state) % (sizeof(bytes) + 1);
        uint32_t code_size = (uint32_t)(test_random(&state) % 200);

        for (size_t j = 0; j < size; j++) {
            uint64_t r = test_random(&state);

            bytes[j] = (uint8_t)(r % 3 == 0 ? r >> 8 & 0x7f : r >> 8);
        }
        for (int kind = 0; kind < 3; kind++) {
            decode((pp_line_kind)kind, bytes, size,
                   (int32_t)test_random(&state), code_size, out, &n);
        }
    }
}
END_TEST

/* Checks the lines of a file; the number of those that fail. */
static int check_file(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    int number = 0, failed = 0;

    if (file == NULL) {
        perror(path);
        return 1;
    }
    while (getline(&line, &room, file) > 0) {
        const char *wrong = check_case(line);

        number++;
        if (wrong != NULL) {
            printf("%s:%d: %s: %.60s\n", path, number, wrong, line);
            failed++;
        }
    }
    free(line);
    fclose(file);
    printf("%s: %d tables, %d wrong\n", path, number, failed);
    return number == 0 ? 1 : failed;
}

int main(int argc, char **argv)
{
    static const TTest *tests[8];
    int failed = 0;

    for (int i = 1; i < argc; i++) {
        failed += check_file(argv[i]);
    }
    if (argc > 1) {
        return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    tests[0] = test_what_cpython_says;
    tests[1] = test_lnotab;
    tests[2] = test_310;
    tests[3] = test_locations;
    tests[4] = test_malformed_locations;
    tests[5] = test_no_more_than_max;
    tests[6] = test_find;
    tests[7] = test_any_bytes;
    return run_suite("layout.linetable", tests, PP_COUNT_OF(tests));
}
