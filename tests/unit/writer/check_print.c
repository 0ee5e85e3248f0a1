/* writer/print: like the C library's printf in the C locale, in any locale. */
#include "../base/testing.h"

#include "writer/writer.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>

static pyprof_writer *out;

static void expect(const char *text)
{
    pyprof_text got = pp_writer_memory(out);
    ck_assert_str_eq(got.data, text);
    pp_writer_close(out);
    ck_assert_int_eq(pp_writer_open_memory(NULL, &out, NULL), PYPROF_OK);
}

/* Prints with both and compares. */
#define SAME(...)                                                              \
    do {                                                                       \
        char expected[3000];                                                   \
        snprintf(expected, sizeof(expected), __VA_ARGS__);                     \
        ck_assert_int_eq(pp_writer_printf(out, NULL, __VA_ARGS__), PYPROF_OK); \
        expect(expected);                                                      \
    } while (0)

static void begin(void)
{
    ck_assert_int_eq(pp_writer_open_memory(NULL, &out, NULL), PYPROF_OK);
}

START_TEST(test_text_and_integers)
{
    begin();
    const char *none = "";
    SAME("plain");
    SAME("%% 100%%");
    SAME("[%s] [%10s] [%-10s] [%.2s] [%.*s] [%*s] [%-*s]", "abc", "abc", "abc",
         "abc", 1, "abc", 6, "abc", 6, "abc");
    SAME("[%s] [%5s] [%.0s]", none, none, "abc");
    SAME("[%c] [%3c] [%-3c]", 'x', 'y', 'z');
    SAME("%d %i %d %d", 0, 1, -1, INT32_MIN);
    SAME("[%5d] [%-5d] [%05d] [%+d] [% d] [%+5d]", 42, 42, -42, 42, 42, 42);
    SAME("%u %x %08x", UINT32_MAX, 0xbeefU, 0xabcU);
    SAME("%lld %llu %llx", (long long)INT64_MIN, (unsigned long long)UINT64_MAX,
         1ULL << 60);
    SAME("%ld %lu %zu %zd %jd %ju %td", -5L, 5UL, (size_t)6, (size_t)7,
         (intmax_t)-8, (uintmax_t)9, (ptrdiff_t)-10);
    SAME("%hhd %hhu %hd %hu", (signed char)-3, (unsigned char)253, (short)-300,
         (unsigned short)60000);
    pp_writer_close(out);
}
END_TEST

static void compare_doubles(void)
{
    const double values[] = {
        0.0,  -0.0, 1.0,   -1.0,   0.5,   1.5,     2.5,     0.125, 1234.5678,
        1e15, 1e-9, -1e-9, 0.0005, 9.995, DBL_MAX, DBL_MIN, 1e300, 66.66666};
    for (size_t i = 0; i < PP_COUNT_OF(values); i++) {
        SAME("%f %.0f %.1f %.3f %.15f", values[i], values[i], values[i],
             values[i], values[i]);
        SAME("[%12.3f] [%-12.3f] [%012.3f] [%+.1f] [% .1f] [%*.*f]", values[i],
             values[i], values[i], values[i], values[i], 9, 2, values[i]);
    }
    SAME("%f %f %5.1f %05.1f", (double)INFINITY, (double)-INFINITY,
         (double)INFINITY, (double)-INFINITY);
    uint64_t random = 11;
    for (int i = 0; i < 2000; i++) {
        double value = (double)(int64_t)test_random(&random) /
                       (double)(1 + test_random(&random) % 1000000);
        SAME("%.3f|%.1f|%10.6f", value, value, value);
    }
    ck_assert_int_eq(pp_writer_printf(out, NULL, "%f", (double)NAN), PYPROF_OK);
    expect("nan");
}

START_TEST(test_doubles)
{
    begin();
    compare_doubles();
    pp_writer_close(out);
}
END_TEST

START_TEST(test_other_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR",
                                        "ps_AF.UTF-8", "de_DE"};
    begin();
    for (size_t i = 0; i < PP_COUNT_OF(names); i++) {
        if (setlocale(LC_ALL, names[i]) != NULL) {
            ck_assert_int_eq(
                pp_writer_printf(out, NULL, "%.3f %.0f %d", 1234.5, 2.0, 1234),
                PYPROF_OK);
            expect("1234.500 2 1234");
        }
    }
    setlocale(LC_ALL, "C");
    pp_writer_close(out);
}
END_TEST

START_TEST(test_long_lines)
{
    begin();
    static char text[5000];
    static char expected[11000];
    for (size_t n = 0; n < sizeof(text) - 1; n += n < 600 ? 37 : 1103) {
        memset(text, 'a', n);
        text[n] = '\0';
        snprintf(expected, sizeof(expected), "<%s|%700s|%-5d>", text, text, 9);
        ck_assert_int_eq(
            pp_writer_printf(out, NULL, "<%s|%700s|%-5d>", text, text, 9),
            PYPROF_OK);
        expect(expected);
    }
    pp_writer_close(out);
}
END_TEST

START_TEST(test_unknown_conversion)
{
    begin();
    pyprof_error err = PYPROF_ERROR_INIT;
    double value = 1;
    /* through a variable: the compiler knows more conversions than we do */
    const char *volatile formats[] = {"%g", "%"};
    for (size_t i = 0; i < PP_COUNT_OF(formats); i++) {
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
#endif
        ck_assert_int_eq(pp_writer_printf(out, &err, formats[i], value),
                         PYPROF_ERR_INTERNAL);
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
        ck_assert_int_eq(err.status, PYPROF_ERR_INTERNAL);
    }
    pp_writer_close(out);
}
END_TEST

SUITE_MAIN("writer.print", test_text_and_integers, test_doubles,
           test_other_locale, test_long_lines, test_unknown_conversion)
