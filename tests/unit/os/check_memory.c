/* os/memory: what is copied, where it stops, and every way around a refusal. */
#define _GNU_SOURCE
#include "helper.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { BYTES = 200000, SPANS = 5000, PAGES = 8 };

static uint8_t bytes[BYTES];
static uint8_t *pages;
static size_t page_size;

/* Fills `bytes`, and takes page 5 of `pages` away. */
static void run_filled(helper *self, void *user)
{
    PP_UNUSED(user);
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    memset(pages, 0x5a, PAGES * page_size);
    munmap(pages + 5 * page_size, page_size);
    helper_rest(self);
}

static helper start_filled(void)
{
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    pages = mmap(NULL, PAGES * page_size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert(pages != MAP_FAILED);
    memset(bytes, 0xff, sizeof(bytes));
    helper h = helper_start(run_filled, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    return h;
}

static pp_os_span spans[SPANS];

/* Reads n spans of random place and size, and compares. */
static void read_random(pp_os_process *process, size_t n, uint64_t *random,
                        uint64_t expected_calls)
{
    static uint8_t to[SPANS * 64];
    size_t at = 0;
    size_t got = 0;
    uint64_t calls = 0;
    for (size_t i = 0; i < n; i++) {
        spans[i].size = test_random(random) % 64;
        spans[i].address =
            address_of(bytes) + test_random(random) % (BYTES - 64);
    }
    ck_assert_int_eq(pp_os_process_readv(process, to, spans, n, &got, &calls),
                     PYPROF_OK);
    ck_assert_uint_eq(got, n);
    if (expected_calls != 0) {
        ck_assert_uint_eq(calls, expected_calls);
    }
    for (size_t i = 0; i < n; i++) {
        size_t first = (size_t)(spans[i].address - address_of(bytes));
        for (size_t k = 0; k < spans[i].size; k++, at++) {
            ck_assert_uint_eq(to[at],
                              (uint8_t)((first + k) * 7 + ((first + k) >> 8)));
        }
    }
}

START_TEST(test_many_spans)
{
    helper h = start_filled();
    pp_os_process *process = open_process(h.pid);
    uint64_t random = 42;
    static const size_t counts[] = {1, 2, 100, 1023, 1024, 1025, 2048, SPANS};
    for (size_t i = 0; i < PP_COUNT_OF(counts); i++) {
        read_random(process, counts[i], &random, (counts[i] + 1023) / 1024);
    }
    pp_os_process_close(process);
    helper_end(&h);
}
END_TEST

static size_t try_spans(pp_os_process *process, const pp_os_span *which,
                        size_t n, pyprof_status expected)
{
    static uint8_t to[1 << 20];
    size_t got = 77;
    uint64_t calls = 0;
    ck_assert_int_eq(pp_os_process_readv(process, to, which, n, &got, &calls),
                     expected);
    return got;
}

static void check_faults(pp_os_process *process)
{
    uint64_t base = address_of(pages);
    pp_os_span each[PAGES];
    for (size_t i = 0; i < PAGES; i++) {
        each[i] = (pp_os_span){base + i * page_size, page_size};
    }
    ck_assert_uint_eq(try_spans(process, each, PAGES, PYPROF_OK), 5);
    ck_assert_uint_eq(try_spans(process, each, 5, PYPROF_OK), 5);
    ck_assert_uint_eq(try_spans(process, each + 5, 3, PYPROF_OK), 0);
    ck_assert_uint_eq(try_spans(process, each + 6, 2, PYPROF_OK), 2);
    /* one that begins well and does not end well does not count */
    const pp_os_span across[] = {
        {base, 10}, {base + 3 * page_size, 3 * page_size}, {base, 10}};
    ck_assert_uint_eq(try_spans(process, across, 3, PYPROF_OK), 1);
    const pp_os_span last_byte[] = {{base + 5 * page_size - 1, 1},
                                    {base + 5 * page_size - 1, 2}};
    ck_assert_uint_eq(try_spans(process, last_byte, 2, PYPROF_OK), 1);
    /* empty ones are always there */
    const pp_os_span empty[] = {{base, 0}, {0, 0}, {base, 3}, {1, 0}};
    ck_assert_uint_eq(try_spans(process, empty, 4, PYPROF_OK), 4);
    ck_assert_uint_eq(try_spans(process, empty, 2, PYPROF_OK), 2);
    ck_assert_uint_eq(try_spans(process, empty, 0, PYPROF_OK), 0);
}

START_TEST(test_faults)
{
    helper h = start_filled();
    pp_os_process *process = open_process(h.pid);
    check_faults(process);
    pp_os_process_close(process);
    helper_end(&h);
}
END_TEST

START_TEST(test_wild_addresses)
{
    static const uint64_t wild[] = {0,
                                    1,
                                    UINT64_MAX,
                                    UINT64_MAX - 7,
                                    UINT64_C(0x8000000000000000),
                                    UINT64_C(0x7fffffffffffffff),
                                    UINT64_C(0x0000800000000000),
                                    UINT64_C(0x00007ffffffff000),
                                    UINT64_C(0xffff800000000000),
                                    UINT64_C(0x1234567812345678)};
    helper h = start_filled();
    pp_os_process *process = open_process(h.pid);
    for (size_t i = 0; i < PP_COUNT_OF(wild); i++) {
        const pp_os_span two[] = {{address_of(bytes), 8}, {wild[i], 8}};
        ck_assert_uint_eq(try_spans(process, two, 2, PYPROF_OK), 1);
        ck_assert_uint_eq(try_spans(process, two + 1, 1, PYPROF_OK), 0);
    }
    pp_os_process_close(process);
    helper_end(&h);
}
END_TEST

START_TEST(test_gone)
{
    helper h = start_filled();
    pp_os_process *process = open_process(h.pid);
    const pp_os_span one = {address_of(bytes), 8};
    ck_assert_uint_eq(try_spans(process, &one, 1, PYPROF_OK), 1);
    kill(h.pid, SIGKILL);
    ck_assert(pp_os_process_wait(process, UINT64_MAX, NULL));
    /* as a zombie, then as nothing */
    ck_assert_uint_eq(try_spans(process, &one, 1, PYPROF_ERR_GONE), 0);
    helper_end(&h);
    ck_assert_uint_eq(try_spans(process, &one, 1, PYPROF_ERR_GONE), 0);
    pp_os_process_close(process);
}
END_TEST

START_TEST(test_self)
{
    pp_os_process *process = open_process(getpid());
    uint64_t random = 7;
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    read_random(process, 100, &random, 1);
    pp_os_process_close(process);
}
END_TEST

static void *say_ready(void *user)
{
    helper_rest(user);
    _exit(0);
}

/* Its first thread ends, another goes on. */
static void run_leaderless(helper *self, void *user)
{
    pthread_t thread;
    static helper kept; /* this stack ends with its thread */
    PP_UNUSED(user);
    kept = *self;
    for (size_t i = 0; i < BYTES; i++) {
        bytes[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    pthread_create(&thread, NULL, say_ready, &kept);
    pthread_exit(NULL);
}

static void check_leaderless(bool filtered);

START_TEST(test_first_thread_ended)
{
    check_leaderless(false);
}
END_TEST

/* Makes process_vm_readv fail in this process from now on. */
static void forbid_readv(int error)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    const struct sock_fprog program = {PP_COUNT_OF(code),
                                       (struct sock_filter *)(uintptr_t)code};
    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void check_leaderless(bool filtered)
{
    uint64_t random = 3;
    helper h = helper_start(run_leaderless, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    while (state_of(process, (uint64_t)h.pid) != 'Z') {
        nap();
    }
    ck_assert(pp_os_process_alive(process));
    if (filtered) {
        forbid_readv(ENOSYS);
    }
    read_random(process, 50, &random, 0);
    read_random(process, 50, &random, filtered ? 0 : 1);
    pp_os_maps maps;
    ck_assert_int_eq(pp_os_process_maps(process, NULL, &maps, NULL), PYPROF_OK);
    ck_assert_uint_gt(maps.n, 3);
    pp_os_maps_free(&maps);
    ck_assert_uint_ne(pp_os_process_image_id(process), 0);
    pp_os_process_close(process);
    helper_end(&h);
}

START_TEST(test_first_thread_ended_and_filtered)
{
    check_leaderless(true);
}
END_TEST

START_TEST(test_filtered)
{
    helper h = start_filled();
    pp_os_process *process = open_process(h.pid);
    uint64_t random = 9;
    forbid_readv(_i == 0 ? EPERM : ENOSYS);
    read_random(process, 100, &random, 0);
    check_faults(process);
    static const uint64_t wild[] = {0, UINT64_MAX - 7,
                                    UINT64_C(0xffff800000000000)};
    for (size_t i = 0; i < PP_COUNT_OF(wild); i++) {
        const pp_os_span one = {wild[i], 8};
        ck_assert_uint_eq(try_spans(process, &one, 1, PYPROF_OK), 0);
    }
    kill(h.pid, SIGKILL);
    ck_assert(pp_os_process_wait(process, UINT64_MAX, NULL));
    const pp_os_span one = {address_of(bytes), 8};
    try_spans(process, &one, 1, PYPROF_ERR_GONE);
    pp_os_process_close(process);
    helper_end(&h);
}
END_TEST

/* Executes itself away when told to. */
static void run_exec(helper *self, void *user)
{
    PP_UNUSED(user);
    helper_say(self, 'r');
    helper_hear(self);
    dup2(self->from, 0);
    dup2(self->to, 1);
    execl("/bin/cat", "cat", (char *)NULL);
}

/* The file is of the old program's memory: another must be opened. */
START_TEST(test_filtered_across_exec)
{
    helper h = helper_start(run_exec, NULL);
    ck_assert_int_eq(helper_hear(&h), 'r');
    pp_os_process *process = open_process(h.pid);
    const pp_os_span old = {address_of(bytes), 8};
    forbid_readv(ENOSYS);
    ck_assert_uint_eq(try_spans(process, &old, 1, PYPROF_OK), 1);
    helper_say(&h, 'x');
    helper_say(&h, 'e');
    ck_assert_int_eq(helper_hear(&h), 'e'); /* cat's echo */
    pp_os_maps maps;
    ck_assert_int_eq(pp_os_process_maps(process, NULL, &maps, NULL), PYPROF_OK);
    const pp_os_span now = {maps.items[0].start, 8};
    ck_assert_uint_eq(try_spans(process, &now, 1, PYPROF_OK), 1);
    pp_os_maps_free(&maps);
    pp_os_process_close(process);
    helper_end(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("os.memory");
    TCase *tcase = tcase_create("os.memory");
    tcase_add_test(tcase, test_many_spans);
    tcase_add_test(tcase, test_faults);
    tcase_add_test(tcase, test_wild_addresses);
    tcase_add_test(tcase, test_gone);
    tcase_add_test(tcase, test_self);
    tcase_add_test(tcase, test_first_thread_ended);
    tcase_add_test(tcase, test_first_thread_ended_and_filtered);
    tcase_add_loop_test(tcase, test_filtered, 0, 2);
    tcase_add_test(tcase, test_filtered_across_exec);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
