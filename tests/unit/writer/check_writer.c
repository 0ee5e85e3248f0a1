/* writer: descriptors, memory and callbacks, and what all writers share. */
#define _POSIX_C_SOURCE 200809L
#include "../base/testing.h"

#include "writer/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

/* Byte i of everything that the tests write. */
static char byte_at(size_t i)
{
    return (char)(i * 7 + i / 251);
}

/* Writes `total` bytes in pieces of odd sizes. */
static pyprof_status write_pieces(pyprof_writer *w, size_t total,
                                  pyprof_error *err)
{
    static char bytes[200000];
    uint64_t random = 5;
    for (size_t done = 0; done < total;) {
        size_t size = test_random(&random) % (done % 3 == 0 ? 200000 : 900);
        if (size > total - done) {
            size = total - done;
        }
        for (size_t i = 0; i < size; i++) {
            bytes[i] = byte_at(done + i);
        }
        PP_TRY(pp_writer_write(w, bytes, size, err));
        done += size;
    }
    return PYPROF_OK;
}

/* ---- memory ------------------------------------------------------------ */

START_TEST(test_memory)
{
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, &err), PYPROF_OK);
    ck_assert_str_eq(pp_writer_memory(w).data, "");
    ck_assert_uint_eq(pp_writer_memory(w).size, 0);
    ck_assert_int_eq(pp_writer_write(w, "abc", 3, &err), PYPROF_OK);
    ck_assert_int_eq(pp_writer_write(w, NULL, 0, &err), PYPROF_OK);
    ck_assert_int_eq(pp_writer_write(w, "\0d", 2, &err), PYPROF_OK);
    pyprof_text text = pp_writer_memory(w);
    ck_assert_uint_eq(text.size, 5);
    ck_assert_int_eq(memcmp(text.data, "abc\0d", 6), 0);
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_OK);
    ck_assert_uint_eq(pp_writer_memory(w).size, 5);
    ck_assert_int_eq(pp_writer_write(w, "x", 1, &err), PYPROF_ERR_BUSY);
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_ERR_BUSY);
    ck_assert_uint_eq(pp_writer_memory(w).size, 5);
    pp_writer_close(w);
    pp_writer_close(NULL);
}
END_TEST

START_TEST(test_memory_large)
{
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_memory(NULL, &w, NULL), PYPROF_OK);
    ck_assert_int_eq(write_pieces(w, 3000000, NULL), PYPROF_OK);
    pyprof_text text = pp_writer_memory(w);
    ck_assert_uint_eq(text.size, 3000000);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != byte_at(i)) {
            ck_abort_msg("byte %zu", i);
        }
    }
    pp_writer_close(w);
}
END_TEST

static bool fill_memory(fault_alloc *fault)
{
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    pyprof_status status = pp_writer_open_memory(&fault->table, &w, &err);
    if (status == PYPROF_OK) {
        status = write_pieces(w, 5000, &err);
        if (status != PYPROF_OK) {
            /* and so it stays */
            ck_assert_int_eq(pp_writer_write(w, "x", 1, NULL), status);
            ck_assert_int_eq(pp_writer_finish(w, NULL), status);
        }
        pp_writer_close(w);
    }
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    ck_assert_int_eq(err.status, status);
    return status == PYPROF_OK;
}

START_TEST(test_memory_out_of_memory)
{
    fault_loop(fill_memory);
}
END_TEST

/* ---- callback ---------------------------------------------------------- */

typedef struct taker {
    size_t taken;
    int writes, finishes, closes;
    int fail_write; /* number of the write that fails */
    int fail_finish;
} taker;

static int32_t take(void *user, const void *data, size_t size)
{
    taker *t = user;
    if (++t->writes == t->fail_write) {
        return 17;
    }
    for (size_t i = 0; i < size; i++) {
        TEST_THAT(((const char *)data)[i] == byte_at(t->taken + i));
    }
    t->taken += size;
    return 0;
}

static int32_t take_finish(void *user)
{
    taker *t = user;
    t->finishes++;
    return t->fail_finish;
}

static void take_close(void *user)
{
    taker *t = user;
    t->closes++;
}

static const pyprof_writer_ops taker_ops = {
    .sz = sizeof(taker_ops),
    .name = "taker",
    .write = take,
    .finish = take_finish,
    .close = take_close,
};

START_TEST(test_callback)
{
    taker t = {.taken = 0};
    pyprof_writer *w = NULL;
    ck_assert_int_eq(pp_writer_open_callback(&taker_ops, &t, NULL, &w, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(write_pieces(w, 100000, NULL), PYPROF_OK);
    ck_assert_uint_eq(t.taken, 100000);
    ck_assert_int_eq(t.finishes, 0);
    ck_assert_int_eq(pp_writer_finish(w, NULL), PYPROF_OK);
    ck_assert_int_eq(t.finishes, 1);
    ck_assert_int_eq(pp_writer_finish(w, NULL), PYPROF_ERR_BUSY);
    ck_assert_int_eq(t.finishes, 1);
    ck_assert_uint_eq(pp_writer_memory(w).size, 0);
    pp_writer_close(w);
    ck_assert_int_eq(t.closes, 1);

    const pyprof_writer_ops only_write = {.sz = sizeof(only_write),
                                          .write = take};
    taker bare = {.taken = 0};
    ck_assert_int_eq(
        pp_writer_open_callback(&only_write, &bare, NULL, &w, NULL), PYPROF_OK);
    ck_assert_int_eq(write_pieces(w, 10, NULL), PYPROF_OK);
    ck_assert_int_eq(pp_writer_finish(w, NULL), PYPROF_OK);
    pp_writer_close(w);
}
END_TEST

START_TEST(test_callback_fails)
{
    taker t = {.fail_write = 2};
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_writer_open_callback(&taker_ops, &t, NULL, &w, NULL),
                     PYPROF_OK);
    char first = byte_at(0);
    ck_assert_int_eq(pp_writer_write(w, &first, 1, &err), PYPROF_OK);
    ck_assert_int_eq(pp_writer_write(w, "x", 1, &err), PYPROF_ERR_CALLBACK);
    ck_assert_ptr_nonnull(strstr(err.message, "\"taker\" failed with 17"));
    err.message[0] = '\0';
    /* the function is not called again, the error comes again */
    ck_assert_int_eq(pp_writer_write(w, "x", 1, &err), PYPROF_ERR_CALLBACK);
    ck_assert_ptr_nonnull(strstr(err.message, "failed with 17"));
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_ERR_CALLBACK);
    ck_assert_int_eq(t.writes, 2);
    ck_assert_int_eq(t.finishes, 0);
    pp_writer_close(w);
    ck_assert_int_eq(t.closes, 1);

    t = (taker){.fail_finish = -9};
    ck_assert_int_eq(pp_writer_open_callback(&taker_ops, &t, NULL, &w, NULL),
                     PYPROF_OK);
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_ERR_CALLBACK);
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_ERR_CALLBACK);
    ck_assert_int_eq(t.finishes, 1);
    pp_writer_close(w);
}
END_TEST

/* ---- file descriptors -------------------------------------------------- */

typedef struct reader {
    int fd;
    size_t total;
    bool is_slow;
    pthread_t writer; /* interrupted by the reader when is_slow */
} reader;

static void *read_all(void *user)
{
    reader *r = user;
    char bytes[3001];
    ssize_t n;
    while ((n = read(r->fd, bytes, sizeof(bytes))) > 0) {
        for (ssize_t i = 0; i < n; i++) {
            if (bytes[i] != byte_at(r->total + (size_t)i)) {
                return NULL;
            }
        }
        r->total += (size_t)n;
        if (r->is_slow) {
            pthread_kill(r->writer, SIGUSR1);
        }
    }
    return NULL;
}

static void ignore(int number)
{
    PP_UNUSED(number);
}

/* A pipe that is full most of the time, with and without O_NONBLOCK, and
 * signals that interrupt the writes. */
START_TEST(test_pipe)
{
    struct sigaction action = {.sa_handler = ignore};
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
    for (int variant = 0; variant < 4; variant++) {
        int fds[2];
        ck_assert_int_eq(pipe(fds), 0);
        if (variant & 1) {
            ck_assert_int_eq(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
        }
        reader r = {.fd = fds[0],
                    .is_slow = (variant & 2) != 0,
                    .writer = pthread_self()};
        pthread_t thread;
        ck_assert_int_eq(pthread_create(&thread, NULL, read_all, &r), 0);
        pyprof_writer *w = NULL;
        ck_assert_int_eq(pp_writer_open_fd(fds[1], NULL, &w, NULL), PYPROF_OK);
        ck_assert_int_eq(write_pieces(w, 1000000, NULL), PYPROF_OK);
        ck_assert_int_eq(pp_writer_finish(w, NULL), PYPROF_OK);
        pp_writer_close(w);
        ck_assert_int_eq(close(fds[1]), 0); /* it stayed ours */
        pthread_join(thread, NULL);
        ck_assert_uint_eq(r.total, 1000000);
        close(fds[0]);
    }
}
END_TEST

START_TEST(test_closed_pipe)
{
    int fds[2];
    ck_assert_int_eq(pipe(fds), 0);
    close(fds[0]);
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_writer_open_fd(fds[1], NULL, &w, NULL), PYPROF_OK);
    /* gathered, so still well */
    ck_assert_int_eq(pp_writer_write(w, "x", 1, &err), PYPROF_OK);
    /* SIGPIPE has its usual action here: it would end the test */
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_ERR_IO);
    ck_assert_int_eq(err.os_errno, EPIPE);
    ck_assert_int_eq(pp_writer_write(w, "x", 1, &err), PYPROF_ERR_IO);
    pp_writer_close(w);
    sigset_t mask;
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, NULL, &mask), 0);
    ck_assert_int_eq(sigismember(&mask, SIGPIPE), 0);
    close(fds[1]);
}
END_TEST

START_TEST(test_full_disk)
{
    int fd = open("/dev/full", O_WRONLY);
    if (fd < 0) {
        return;
    }
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_writer_open_fd(fd, NULL, &w, NULL), PYPROF_OK);
    ck_assert_int_eq(write_pieces(w, 1000000, &err), PYPROF_ERR_IO);
    ck_assert_int_eq(err.os_errno, ENOSPC);
    ck_assert_ptr_nonnull(strstr(err.message, "No space left"));
    memset(&err, 0, sizeof(err));
    err.sz = sizeof(err);
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_ERR_IO);
    ck_assert_int_eq(err.os_errno, ENOSPC);
    pp_writer_close(w);
    close(fd);
}
END_TEST

START_TEST(test_bad_descriptor)
{
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    ck_assert_int_eq(pp_writer_open_fd(987, NULL, &w, NULL), PYPROF_OK);
    ck_assert_int_eq(pp_writer_write(w, "x", 1, &err), PYPROF_OK);
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_ERR_IO);
    ck_assert_str_eq(err.message, "cannot write to file descriptor 987: Bad "
                                  "file descriptor");
    pp_writer_close(w);
    /* nothing written: nothing fails */
    ck_assert_int_eq(pp_writer_open_fd(987, NULL, &w, NULL), PYPROF_OK);
    ck_assert_int_eq(pp_writer_finish(w, &err), PYPROF_OK);
    pp_writer_close(w);
}
END_TEST

static bool open_each(fault_alloc *fault)
{
    pyprof_writer *w = NULL;
    pyprof_error err = PYPROF_ERROR_INIT;
    taker t = {.taken = 0};
    pyprof_status status = pp_writer_open_memory(&fault->table, &w, &err);
    if (status == PYPROF_OK) {
        pp_writer_close(w);
        status =
            pp_writer_open_callback(&taker_ops, &t, &fault->table, &w, &err);
    }
    if (status == PYPROF_OK) {
        pp_writer_close(w);
        status = pp_writer_open_fd(1, &fault->table, &w, &err);
    }
    if (status == PYPROF_OK) {
        pp_writer_close(w);
        status = pp_writer_open_path("/dev/null", 0, &fault->table, &w, &err);
    }
    if (status == PYPROF_OK) {
        pp_writer_close(w);
    }
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    return status == PYPROF_OK;
}

START_TEST(test_open_out_of_memory)
{
    fault_loop(open_each);
}
END_TEST

SUITE_MAIN("writer.writer", test_memory, test_memory_large,
           test_memory_out_of_memory, test_callback, test_callback_fails,
           test_pipe, test_closed_pipe, test_full_disk, test_bad_descriptor,
           test_open_out_of_memory)
