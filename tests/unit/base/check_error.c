/* base/error, base/status, base/text, base/log: one clean line, whatever comes
 * in. */
#include "testing.h"

#include <errno.h>

START_TEST(test_fields)
{
    errno = EAGAIN;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_error_set(&err, PYPROF_ERR_LIMIT, "%d of %s", 3, "x"),
                     PYPROF_ERR_LIMIT);
    ck_assert_int_eq(err.status, PYPROF_ERR_LIMIT);
    ck_assert_int_eq(err.os_errno, 0);
    ck_assert_uint_eq(err.address, 0);
    ck_assert_str_eq(err.message, "3 of x");
    pp_error_errno(&err, PYPROF_ERR_IO, ENOENT, "/no/such: cannot open");
    ck_assert_int_eq(err.os_errno, ENOENT);
    ck_assert_str_eq(err.message,
                     "/no/such: cannot open: No such file or directory");
    pp_error_address(&err, PYPROF_ERR_FAULT, 0x1234, "gone");
    ck_assert_uint_eq(err.address, 0x1234);
    ck_assert_int_eq(err.os_errno, 0);
    ck_assert_int_eq(pp_error_memory(&err, "a stack"), PYPROF_ERR_NO_MEMORY);
    ck_assert_str_eq(err.message, "out of memory for a stack");
    pp_error_errno(&err, PYPROF_ERR_OS, 99999, "odd");
    ck_assert_ptr_nonnull(strstr(err.message, "99999"));
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(pp_error_set(NULL, PYPROF_ERR_GONE, "x"), PYPROF_ERR_GONE);
    ck_assert_int_eq(pp_error_errno(NULL, PYPROF_ERR_IO, 1, "x"),
                     PYPROF_ERR_IO);
}
END_TEST

START_TEST(test_every_size_of_error)
{
    for (size_t sz = 0; sz <= sizeof(pyprof_error) + 16; sz++) {
        unsigned char memory[sizeof(pyprof_error) + 64];
        memset(memory, 0x5a, sizeof(memory));
        pyprof_error *err = (pyprof_error *)(void *)memory;
        err->sz = sz;
        pp_error_errno(err, PYPROF_ERR_IO, ENOSPC, "%0400d", 7);
        TEST_THAT(err->sz == sz);
        size_t end = sz < sizeof(pyprof_error) ? sz : sizeof(pyprof_error);
        if (end < sizeof(size_t)) {
            end = sizeof(size_t);
        }
        for (size_t i = end; i < sizeof(memory); i++) {
            TEST_THAT(memory[i] == 0x5a);
        }
        if (sz > offsetof(pyprof_error, message)) {
            TEST_THAT(memchr(err->message, 0,
                             end - offsetof(pyprof_error, message)) != NULL);
        }
    }
}
END_TEST

START_TEST(test_long_message_keeps_its_ends)
{
    /* two-byte characters at every offset: a cut must not split one */
    for (size_t shift = 0; shift < 4; shift++) {
        char path[2048];
        memset(path, 'x', shift);
        for (size_t i = shift; i + 3 <= sizeof(path); i += 2) {
            memcpy(path + i, "\xc3\xa9", 3);
        }
        pyprof_error err = PYPROF_ERROR_INIT;
        pp_error_errno(&err, PYPROF_ERR_IO, EACCES, "start /%s/end", path);
        size_t n = strlen(err.message);
        TEST_THAT(n > sizeof(err.message) - 8);
        TEST_THAT(strncmp(err.message, "start /", 7) == 0);
        TEST_THAT(strstr(err.message, "...") != NULL);
        ck_assert_str_eq(strstr(err.message, "/end"),
                         "/end: Permission denied");
        TEST_THAT(strchr(err.message, '?') == NULL);
        for (size_t i = 0; i < n;) {
            uint32_t code;
            i += pp_text_decode(err.message + i, n - i, &code);
            TEST_THAT(code != PP_TEXT_BAD);
        }
    }
}
END_TEST

START_TEST(test_unprintable_message)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_error_set(&err, PYPROF_ERR_IO, "%s",
                 "a\nb\tc\x1b[31m\x7f\xff\xc3\xa9\xc2\x9b\xed\xa0\x80.");
    ck_assert_str_eq(err.message, "a b c?[31m??\xc3\xa9??.");
}
END_TEST

typedef struct decoded {
    const char *text;
    size_t size;
    uint32_t code;
    size_t used;
} decoded;

START_TEST(test_decode)
{
    static const decoded cases[] = {
        {"a", 1, 'a', 1},
        {"\0", 1, 0, 1},
        {"\xc3\xa9", 2, 0xe9, 2},
        {"\xe2\x82\xac", 3, 0x20ac, 3},
        {"\xf0\x9f\x90\x8d", 4, 0x1f40d, 4},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff, 4},
        {"\xed\xb2\x80", 3, 0xdc80, 3},
        {"\xf4\x90\x80\x80", 4, PP_TEXT_BAD, 1}, /* above the last */
        {"\xc0\x80", 2, PP_TEXT_BAD, 1},         /* overlong */
        {"\xe0\x80\x80", 3, PP_TEXT_BAD, 1},
        {"\xf0\x80\x80\x80", 4, PP_TEXT_BAD, 1},
        {"\x80", 1, PP_TEXT_BAD, 1},
        {"\xff", 1, PP_TEXT_BAD, 1},
        {"\xc3", 1, PP_TEXT_BAD, 1}, /* cut off */
        {"\xe2\x82", 2, PP_TEXT_BAD, 1},
        {"\xc3z", 2, PP_TEXT_BAD, 1},
    };
    for (size_t i = 0; i < PP_COUNT_OF(cases); i++) {
        uint32_t code;
        /* a copy of the exact size, so that a sanitizer sees a read past it */
        char *copy = malloc(cases[i].size);
        memcpy(copy, cases[i].text, cases[i].size);
        ck_assert_uint_eq(pp_text_decode(copy, cases[i].size, &code),
                          cases[i].used);
        ck_assert_uint_eq(code, cases[i].code);
        free(copy);
    }
}
END_TEST

START_TEST(test_line_of_any_bytes)
{
    uint64_t random = 7;
    for (int round = 0; round < 20000; round++) {
        char from[24];
        size_t size = test_random(&random) % (sizeof(from) + 1);
        for (size_t i = 0; i < size; i++) {
            from[i] = (char)test_random(&random);
        }
        char to[32];
        size_t room = 1 + test_random(&random) % sizeof(to);
        memset(to, 'Z', sizeof(to));
        size_t n = pp_text_line(to, room, from, size);
        TEST_THAT(n < room);
        TEST_THAT(n <= size);
        TEST_THAT(strlen(to) == n);
        for (size_t i = room; i < sizeof(to); i++) {
            TEST_THAT(to[i] == 'Z');
        }
        for (size_t i = 0; i < n;) {
            uint32_t code;
            i += pp_text_decode(to + i, n - i, &code);
            TEST_THAT(code != PP_TEXT_BAD);
            TEST_THAT(code >= 0x20 && code != 0x7f);
        }
    }
}
END_TEST

typedef struct heard {
    int n;
    int32_t level;
    char area[16];
    char message[1024];
} heard;

static void hear(void *user, int32_t level, const char *area,
                 const char *message)
{
    heard *to = user;
    to->n++;
    to->level = level;
    strcpy(to->area, area);
    strcpy(to->message, message);
    errno = EIO;
}

START_TEST(test_log)
{
    heard got = {.n = 0};
    const pp_log log = {.fn = hear, .user = &got};
    const pp_log silent = {.fn = NULL};
    errno = ENOENT;
    pp_log_line(NULL, PYPROF_LOG_INFO, "x", "y");
    pp_log_line(&silent, PYPROF_LOG_INFO, "x", "y");
    pp_log_line(&log, PYPROF_LOG_DEBUG, "area", "one %d\ntwo", 1);
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_int_eq(got.n, 1);
    ck_assert_int_eq(got.level, PYPROF_LOG_DEBUG);
    ck_assert_str_eq(got.area, "area");
    ck_assert_str_eq(got.message, "one 1 two");
    pp_log_line(&log, PYPROF_LOG_DEBUG, "area", "%02000d", 1);
    ck_assert_uint_eq(strlen(got.message), 511);
}
END_TEST

START_TEST(test_copy)
{
    pyprof_error kept = PYPROF_ERROR_INIT;
    pp_error_errno(&kept, PYPROF_ERR_IO, ENOSPC, "cannot write x");
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_error_copy(&err, &kept), PYPROF_ERR_IO);
    ck_assert_int_eq(err.os_errno, ENOSPC);
    ck_assert_str_eq(err.message, kept.message);
    err = (pyprof_error){.sz = offsetof(pyprof_error, message) + 5};
    ck_assert_int_eq(pp_error_copy(&err, &kept), PYPROF_ERR_IO);
    ck_assert_uint_lt(strlen(err.message), 5);
    ck_assert_int_eq(pp_error_copy(NULL, &kept), PYPROF_ERR_IO);
}
END_TEST

START_TEST(test_status)
{
    ck_assert_str_eq(pp_status_name(PYPROF_OK), "ok");
    ck_assert_str_eq(pp_status_name(PYPROF_ERR_NO_PERMISSION), "no-permission");
    ck_assert_str_eq(pp_status_text(PYPROF_ERR_NO_MEMORY), "out of memory");
    const pyprof_status none[] = {1, -9, -1000, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < PP_COUNT_OF(none); i++) {
        ck_assert(!pp_status_is_known(none[i]));
        ck_assert_str_eq(pp_status_name(none[i]), "unknown");
        ck_assert_str_eq(pp_status_text(none[i]), "unknown status");
    }
    ck_assert(pp_status_is_known(PYPROF_OK));
    ck_assert(pp_status_is_known(PYPROF_ERR_OS));
}
END_TEST

SUITE_MAIN("base.error", test_fields, test_every_size_of_error,
           test_long_message_keeps_its_ends, test_unprintable_message,
           test_decode, test_line_of_any_bytes, test_log, test_copy,
           test_status)
