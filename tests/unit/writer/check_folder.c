/* writer/folder: files in a folder, and nowhere else. */
#define _POSIX_C_SOURCE 200809L
#include "../base/testing.h"

#include "writer/writer.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char base[64];
static char path[128];

static void enter(void)
{
    strcpy(base, "/tmp/pyprof-check-folder-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    (void)snprintf(path, sizeof(path), "%s/a/b//c/", base);
}

static void leave(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", base);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_folder(const char *name)
{
    static char full[256];
    (void)snprintf(full, sizeof(full), "%s%s", path, name);
    return full;
}

static pyprof_status write_file(pyprof_writer *w, const char *name)
{
    pyprof_writer *file = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_status status = pp_writer_open_file(w, name, &file, &err);
    if (status == PYPROF_OK) {
        ck_assert_int_eq(pp_writer_write(file, "x", 1, &err), 0);
        ck_assert_int_eq(pp_writer_finish(file, &err), 0);
        pp_writer_close(file);
    }
    return status;
}

START_TEST(test_folder)
{
    enter();
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_folder(path, NULL, &w, NULL), 0);
    ck_assert_int_eq(write_file(w, "index.html"), 0);
    ck_assert_int_eq(write_file(w, "a-b_C.9"), 0);
    ck_assert_int_eq(pp_writer_write(w, "x", 1, NULL), PYPROF_ERR_INVALID);
    pp_writer_close(w);
    /* not finished: nothing is left, the folder neither */
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(pp_writer_open_folder(path, NULL, &w, NULL), 0);
    ck_assert_int_eq(write_file(w, "index.html"), 0);
    ck_assert_int_eq(pp_writer_finish(w, NULL), 0);
    ck_assert_int_eq(write_file(w, "late"), PYPROF_ERR_BUSY);
    pp_writer_close(w);
    ck_assert_int_eq(access(in_folder("index.html"), F_OK), 0);
    leave();
}
END_TEST

START_TEST(test_names)
{
    static const char *const bad[] = {"",     ".",  "..",    "../x", "a/b",
                                      "/x",   ".x", "a\nb",  "a b",  "a\\b",
                                      "\xff", "x:", "%2e%2e"};
    char longest[102];
    enter();
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_folder(path, NULL, &w, NULL), 0);
    for (size_t i = 0; i < PP_COUNT_OF(bad); i++) {
        ck_assert_int_eq(write_file(w, bad[i]), PYPROF_ERR_INVALID);
    }
    memset(longest, 'a', sizeof(longest));
    longest[101] = '\0';
    ck_assert_int_eq(write_file(w, longest), PYPROF_ERR_INVALID);
    longest[100] = '\0';
    ck_assert_int_eq(write_file(w, longest), 0);
    pp_writer_close(w);
    pyprof_writer *memory = NULL;
    ck_assert_int_eq(pp_writer_open_memory(NULL, &memory, NULL), 0);
    ck_assert_int_eq(write_file(memory, "x"), PYPROF_ERR_INVALID);
    pp_writer_close(memory);
    leave();
}
END_TEST

/* A link that someone put there is replaced; what it leads to stays. */
START_TEST(test_link)
{
    char other[128];
    struct stat st;
    enter();
    (void)snprintf(other, sizeof(other), "%s/other", base);
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_folder(path, NULL, &w, NULL), 0);
    ck_assert_int_eq(symlink(other, in_folder("index.html")), 0);
    ck_assert_int_eq(write_file(w, "index.html"), 0);
    ck_assert_int_ne(access(other, F_OK), 0);
    ck_assert_int_eq(lstat(in_folder("index.html"), &st), 0);
    ck_assert(S_ISREG(st.st_mode));
    ck_assert_int_eq(pp_writer_finish(w, NULL), 0);
    pp_writer_close(w);
    leave();
}
END_TEST

START_TEST(test_no_folder)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_folder("/dev/null", NULL, &w, &err),
                     PYPROF_ERR_IO);
    ck_assert_int_eq(pp_writer_open_folder("/dev/null/x/y", NULL, &w, &err),
                     PYPROF_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "/dev/null/x/y"));
    ck_assert_ptr_null(w);
}
END_TEST

static bool open_and_write(fault_alloc *fault)
{
    pyprof_writer *w = NULL;
    pyprof_writer *file = NULL;
    pyprof_status status = pp_writer_open_folder(path, &fault->table, &w, NULL);
    if (status == PYPROF_OK) {
        status = pp_writer_open_file(w, "x", &file, NULL);
    }
    pp_writer_close(file);
    pp_writer_close(w);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    return status == PYPROF_OK;
}

START_TEST(test_out_of_memory)
{
    enter();
    fault_loop(open_and_write);
    leave();
}
END_TEST

SUITE_MAIN("writer.folder", test_folder, test_names, test_link, test_no_folder,
           test_out_of_memory)
