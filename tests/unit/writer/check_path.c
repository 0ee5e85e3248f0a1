/* writer/path: a file that is whole or not there. */
#define _POSIX_C_SOURCE 200809L
#include "../base/testing.h"

#include "writer/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

/* Each test has a folder of its own, and is in it. */
static void enter(void)
{
    strcpy(folder, "/tmp/pyprof-check-path-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

/* Number of entries of the current folder. */
static int entries(void)
{
    int n = 0;
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir) != NULL) {
        n++;
    }
    closedir(dir);
    return n - 2;
}

/* Removes the folder, whose last files are `a` and `b` (may be NULL). */
static void leave(const char *a, const char *b)
{
    ck_assert_int_eq(chdir(folder), 0);
    if (a != NULL) {
        ck_assert_int_eq(unlink(a), 0);
    }
    if (b != NULL) {
        ck_assert_int_eq(unlink(b), 0);
    }
    ck_assert_int_eq(rmdir(folder), 0);
}

static void make_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void expect_text(const char *path, const char *text)
{
    char got[256] = "";
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s is not there", path);
    size_t n = fread(got, 1, sizeof(got) - 1, f);
    got[n] = '\0';
    fclose(f);
    ck_assert_str_eq(got, text);
}

static void write_file(const char *path, const char *text)
{
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_msg(pp_writer_open_path(path, 0, NULL, &w, &err) == PYPROF_OK,
                  "%s", err.message);
    ck_assert_int_eq(pp_writer_write(w, text, strlen(text), &err), PYPROF_OK);
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_OK);
    pp_writer_close(w);
}

START_TEST(test_appears_when_finished)
{
    enter();
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_path("new.txt", 0, NULL, &w, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(pp_writer_write(w, "text", 4, NULL), PYPROF_OK);
    ck_assert_int_ne(access("new.txt", F_OK), 0);
    ck_assert_int_eq(entries(), 1);
    ck_assert_int_eq(pp_writer_finish(w, NULL), PYPROF_OK);
    expect_text("new.txt", "text");
    ck_assert_int_eq(entries(), 1);
    pp_writer_close(w);
    expect_text("new.txt", "text");
    write_file("new.txt", "other");
    expect_text("new.txt", "other");
    leave("new.txt", NULL);
}
END_TEST

START_TEST(test_unfinished_leaves_nothing)
{
    enter();
    make_file("old.txt", "old");
    pyprof_writer *w = NULL;
    static const char zeros[100000];
    ck_assert_int_eq(pp_writer_open_path("old.txt", 0, NULL, &w, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(pp_writer_write(w, zeros, sizeof(zeros), NULL), PYPROF_OK);
    pp_writer_close(w);
    expect_text("old.txt", "old");
    ck_assert_int_eq(entries(), 1);
    leave("old.txt", NULL);
}
END_TEST

START_TEST(test_folder_changes_meanwhile)
{
    enter();
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_path("here.txt", 0, NULL, &w, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(pp_writer_finish(w, NULL), PYPROF_OK);
    pp_writer_close(w);
    ck_assert_int_eq(chdir(folder), 0);
    expect_text("here.txt", "");
    leave("here.txt", NULL);
}
END_TEST

START_TEST(test_mode_follows_umask)
{
    enter();
    const mode_t masks[] = {022, 077, 002};
    for (size_t i = 0; i < PP_COUNT_OF(masks); i++) {
        umask(masks[i]);
        write_file("file", "x");
        struct stat st;
        ck_assert_int_eq(stat("file", &st), 0);
        ck_assert_uint_eq(st.st_mode & 0777, 0666 & ~masks[i]);
    }
    leave("file", NULL);
}
END_TEST

START_TEST(test_links)
{
    enter();
    ck_assert_int_eq(mkdir("sub", 0755), 0);
    /* outer -> sub/inner -> target (in sub) */
    ck_assert_int_eq(symlink("sub/inner", "outer"), 0);
    ck_assert_int_eq(symlink("target", "sub/inner"), 0);
    write_file("outer", "dangling"); /* the target is made */
    expect_text("sub/target", "dangling");
    write_file("outer", "again");
    expect_text("sub/target", "again");
    struct stat st;
    ck_assert_int_eq(lstat("outer", &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_int_eq(lstat("sub/inner", &st), 0);
    ck_assert(S_ISLNK(st.st_mode));
    ck_assert_int_eq(unlink("sub/inner"), 0);
    char absolute[128];
    snprintf(absolute, sizeof(absolute), "%s/sub/target", folder);
    ck_assert_int_eq(symlink(absolute, "sub/inner"), 0);
    write_file("sub/../outer", "absolute");
    expect_text("sub/target", "absolute");
    ck_assert_int_eq(unlink("sub/inner"), 0);
    ck_assert_int_eq(symlink("../outer", "sub/inner"), 0);
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_writer_open_path("outer", 0, NULL, &w, &err),
                     PYPROF_ERR_IO);
    ck_assert_int_eq(err.os_errno, ELOOP);
    ck_assert_int_eq(unlink("sub/inner"), 0);
    ck_assert_int_eq(unlink("sub/target"), 0);
    ck_assert_int_eq(rmdir("sub"), 0);
    leave("outer", NULL);
}
END_TEST

START_TEST(test_devices)
{
    write_file("/dev/null", "gone");
    struct stat st;
    ck_assert_int_eq(stat("/dev/null", &st), 0);
    ck_assert(S_ISCHR(st.st_mode));
    if (access("/dev/full", W_OK) == 0) {
        pyprof_writer *w = NULL;
        pyprof_error err = PYPROF_ERROR_INIT;
        ck_assert_int_eq(pp_writer_open_path("/dev/full", 0, NULL, &w, &err),
                         PYPROF_OK);
        ck_assert_int_eq(pp_writer_write(w, "x", 1, &err), PYPROF_OK);
        ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_ERR_IO);
        ck_assert_str_eq(err.message,
                         "cannot write /dev/full: No space left on device");
        pp_writer_close(w);
    }
}
END_TEST

static void *read_fifo(void *user)
{
    FILE *f = fopen("fifo", "r");
    size_t n = fread(user, 1, 63, f);
    ((char *)user)[n] = '\0';
    fclose(f);
    return NULL;
}

START_TEST(test_fifo)
{
    enter();
    ck_assert_int_eq(mkfifo("fifo", 0600), 0);
    char got[64] = "";
    pthread_t thread;
    ck_assert_int_eq(pthread_create(&thread, NULL, read_fifo, got), 0);
    write_file("fifo", "through");
    pthread_join(thread, NULL);
    ck_assert_str_eq(got, "through");
    struct stat st;
    ck_assert_int_eq(stat("fifo", &st), 0);
    ck_assert(S_ISFIFO(st.st_mode));
    leave("fifo", NULL);
}
END_TEST

/* /dev/stdout leads to an open file: it is written behind what is there. */
START_TEST(test_standard_output)
{
    if (access("/dev/stdout", F_OK) != 0) {
        return;
    }
    enter();
    int old = dup(STDOUT_FILENO);
    int fd = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ck_assert_int_eq(write(fd, "first ", 6), 6);
    fflush(stdout);
    ck_assert_int_eq(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    write_file("/dev/stdout", "second");
    dup2(old, STDOUT_FILENO);
    struct stat st;
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_int_eq(st.st_size, 12);
    expect_text("out", "first second");
    ck_assert_int_eq(entries(), 1);
    close(fd);
    leave("out", NULL);
}
END_TEST

static void expect_error(const char *path, int os_errno, const char *message)
{
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_writer_open_path(path, 0, NULL, &w, &err),
                     PYPROF_ERR_IO);
    ck_assert_ptr_null(w);
    ck_assert_int_eq(err.os_errno, os_errno);
    ck_assert_str_eq(err.message, message);
}

START_TEST(test_errors)
{
    enter();
    ck_assert_int_eq(mkdir("sub", 0755), 0);
    make_file("file", "x");
    expect_error("sub", 0, "sub is a folder: give a file name");
    expect_error("sub/", 0, "sub/ is a folder: give a file name");
    expect_error(".", 0, ". is a folder: give a file name");
    expect_error("none/", 0, "none/ is a folder: give a file name");
    expect_error("a/b/c", ENOENT,
                 "cannot write a/b/c: make the folder a/b/ first: No such file "
                 "or directory");
    expect_error("file/x", ENOTDIR,
                 "cannot write file/x: the folder file/: Not a directory");
    char name[300];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_writer_open_path(name, 0, NULL, &w, &err), PYPROF_OK);
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_ERR_IO);
    ck_assert_int_eq(err.os_errno, ENAMETOOLONG);
    pp_writer_close(w);
    ck_assert_int_eq(entries(), 2);
    ck_assert_int_eq(rmdir("sub"), 0);
    leave("file", NULL);
}
END_TEST

/* What root may not see: as nobody. */
START_TEST(test_permissions)
{
    if (geteuid() != 0) {
        return;
    }
    enter();
    ck_assert_int_eq(chmod(folder, 0777), 0);
    make_file("protected", "old");
    ck_assert_int_eq(chmod("protected", 0444), 0);
    ck_assert_int_eq(mkdir("closed", 0555), 0);
    ck_assert_int_eq(seteuid(65534), 0);
    expect_error("protected", EACCES,
                 "cannot write protected: Permission denied");
    expect_error("closed/file", EACCES,
                 "cannot write closed/file: no file can be made in its folder: "
                 "Permission denied");
    ck_assert_int_eq(seteuid(0), 0);
    expect_text("protected", "old");
    ck_assert_int_eq(rmdir("closed"), 0);
    leave("protected", NULL);
}
END_TEST

static bool write_one(fault_alloc *fault)
{
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_status status =
        pp_writer_open_path("sub/link", 0, &fault->table, &w, &err);
    if (status == PYPROF_OK) {
        ck_assert_int_eq(pp_writer_write(w, "x", 1, &err), PYPROF_OK);
        ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_OK);
        pp_writer_close(w);
        return true;
    }
    ck_assert_int_eq(status, PYPROF_ERR_NO_MEMORY);
    ck_assert_int_eq(err.status, PYPROF_ERR_NO_MEMORY);
    return false;
}

START_TEST(test_out_of_memory)
{
    enter();
    ck_assert_int_eq(mkdir("sub", 0755), 0);
    ck_assert_int_eq(symlink("../file", "sub/link"), 0);
    fault_loop(write_one);
    expect_text("file", "x");
    ck_assert_int_eq(entries(), 2);
    ck_assert_int_eq(unlink("sub/link"), 0);
    ck_assert_int_eq(rmdir("sub"), 0);
    leave("file", NULL);
}
END_TEST

SUITE_MAIN("writer.path", test_appears_when_finished,
           test_unfinished_leaves_nothing, test_folder_changes_meanwhile,
           test_mode_follows_umask, test_links, test_devices, test_fifo,
           test_standard_output, test_errors, test_permissions,
           test_out_of_memory)
