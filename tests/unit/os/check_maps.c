/* os/maps and os/files: what is mapped, and the very files behind it. */
#define _GNU_SOURCE
#include "helper.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static char folder[] = "/tmp/check-maps-XXXXXX";

static void make_file(const char *path, const char *text)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void in_folder(void)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void remove_folder(void)
{
    static const char *const names[] = {
        "plain",        "two words\nand (deleted)",
        "gone",         "root/file",
        "root/link",    "root/escape",
        "root/in/deep", "root/in",
        "root",         "pipe"};
    for (size_t i = 0; i < PP_COUNT_OF(names); i++) {
        if (unlink(names[i]) != 0) {
            rmdir(names[i]);
        }
    }
    ck_assert_int_eq(chdir("/"), 0);
    rmdir(folder);
}

static void *map_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
    ck_assert(at != MAP_FAILED);
    close(fd);
    return at;
}

static const pp_os_map *map_at(const pp_os_maps *maps, const void *at)
{
    for (size_t i = 0; i < maps->n; i++) {
        if (maps->items[i].start <= address_of(at) &&
            address_of(at) < maps->items[i].end) {
            return &maps->items[i];
        }
    }
    return NULL;
}

static void expect_text(pp_os_process *process, const pp_os_map *map,
                        const char *text)
{
    char got[64] = "";
    int file = pp_os_process_open_map(process, map);
    ck_assert_int_ge(file, 0);
    ck_assert_uint_eq(pp_os_file_size(file), strlen(text));
    ck_assert(pp_os_file_read(file, 0, got, strlen(text)));
    ck_assert_str_eq(got, text);
    ck_assert(!pp_os_file_read(file, 1, got, strlen(text)));
    ck_assert(!pp_os_file_read(file, UINT64_MAX, got, 1));
    ck_assert_int_eq(fcntl(file, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    pp_os_file_close(file);
}

START_TEST(test_own_maps)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_maps maps;
    struct stat st;
    in_folder();
    make_file("plain", "plain text");
    make_file("two words\nand (deleted)", "odd name");
    make_file("gone", "deleted file");
    const void *plain = map_file("plain");
    const void *odd = map_file("two words\nand (deleted)");
    const void *gone = map_file("gone");
    unlink("gone");
    make_file("gone", "another one");
    pp_os_process *self = open_process(getpid());
    ck_assert_int_eq(pp_os_process_maps(self, NULL, &maps, &err), PYPROF_OK);
    for (size_t i = 1; i < maps.n; i++) {
        ck_assert_uint_le(maps.items[i - 1].end, maps.items[i].start);
    }
    const pp_os_map *map = map_at(&maps, plain);
    ck_assert_int_eq(stat("plain", &st), 0);
    ck_assert_uint_eq(map->inode, st.st_ino);
    ck_assert_uint_eq(map->flags, PP_OS_MAP_READ);
    ck_assert_uint_eq(map->offset, 0);
    ck_assert_str_eq(strrchr(map->path, '/'), "/plain");
    expect_text(self, map, "plain text");
    /* a name that looks deleted is, as far as anybody can tell from the table;
     * the file is found all the same */
    map = map_at(&maps, odd);
    ck_assert_str_eq(strrchr(map->path, '/'), "/two words\nand");
    expect_text(self, map, "odd name");
    map = map_at(&maps, gone);
    ck_assert_str_eq(strrchr(map->path, '/'), "/gone");
    ck_assert_uint_eq(map->flags, PP_OS_MAP_READ | PP_OS_MAP_DELETED);
    int file = pp_os_process_open_map(self, map);
    if (file >= 0) { /* needs a privilege: never the other file */
        pp_os_file_close(file);
        expect_text(self, map, "deleted file");
    }
    map = map_at(&maps, &err);
    ck_assert_uint_eq(map->flags, PP_OS_MAP_READ | PP_OS_MAP_WRITE);
    ck_assert_int_eq(pp_os_process_open_map(self, map), -1);
    pp_os_maps_free(&maps);
    pp_os_maps_free(&maps);
    pp_os_process_close(self);
    remove_folder();
}
END_TEST

/* Without the privilege that map_files takes: by path, checked. */
START_TEST(test_unprivileged)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_maps maps;
    in_folder();
    make_file("plain", "plain text");
    make_file("gone", "deleted file");
    const void *plain = map_file("plain");
    const void *gone = map_file("gone");
    unlink("gone");
    make_file("gone", "another one");
    ck_assert_int_eq(chmod(folder, 0755), 0);
    if (getuid() == 0) {
        ck_assert_int_eq(chown(folder, 65534, 65534), 0);
        ck_assert_int_eq(setresgid(65534, 65534, 65534), 0);
        ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
        prctl(PR_SET_DUMPABLE, 1);
    }
    pp_os_process *self = open_process(getpid());
    ck_assert_int_eq(pp_os_process_maps(self, NULL, &maps, &err), PYPROF_OK);
    expect_text(self, map_at(&maps, plain), "plain text");
    ck_assert_int_eq(pp_os_process_open_map(self, map_at(&maps, gone)), -1);
    pp_os_maps_free(&maps);
    pp_os_process_close(self);
    remove_folder();
}
END_TEST

static void expect_path(pp_os_process *process, const char *path,
                        const char *text)
{
    char got[64] = "";
    int file = pp_os_process_open_path(process, path);
    if (text == NULL) {
        ck_assert_int_eq(file, -1);
        return;
    }
    ck_assert_int_ge(file, 0);
    ck_assert(pp_os_file_read(file, 0, got, strlen(text)));
    ck_assert_str_eq(got, text);
    pp_os_file_close(file);
}

START_TEST(test_paths)
{
    in_folder();
    char absolute[64];
    make_file("plain", "plain text");
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    snprintf(absolute, sizeof(absolute), "%s/plain", folder);
    pp_os_process *self = open_process(getpid());
    expect_path(self, absolute, "plain text");
    expect_path(self, "plain", "plain text");
    expect_path(self, "./plain", "plain text");
    expect_path(self, "", NULL);
    expect_path(self, ".", NULL);
    expect_path(self, "/", NULL);
    expect_path(self, "pipe", NULL); /* opening it could block, or do harm */
    expect_path(self, "/dev/null", NULL);
    expect_path(self, "none", NULL);
    pp_os_process_close(self);
    remove_folder();
}
END_TEST

static void run_in_root(helper *self, void *user)
{
    PP_UNUSED(user);
    if (chroot("root") != 0 || chdir("/in") != 0) {
        _exit(1);
    }
    map_file("/file");
    helper_rest(self);
}

/* Paths are the target's: its root, its links, its working directory. */
START_TEST(test_other_root)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_maps maps;
    char text[256];
    in_folder();
    make_file("plain", "outside");
    ck_assert_int_eq(mkdir("root", 0755), 0);
    ck_assert_int_eq(mkdir("root/in", 0755), 0);
    make_file("root/file", "inside");
    make_file("root/in/deep", "deep");
    ck_assert_int_eq(symlink("/file", "root/link"), 0);
    ck_assert_int_eq(symlink("../../../../../../plain", "root/escape"), 0);
    helper h = helper_start(run_in_root, NULL);
    if (helper_hear(&h) != 'r') {
        fprintf(stderr, "skipped: no chroot without privilege\n");
        helper_end(&h);
        remove_folder();
        return;
    }
    pp_os_process *process = open_process(h.pid);
    expect_path(process, "/file", "inside");
    expect_path(process, "/link", "inside");
    expect_path(process, "/escape", NULL);
    expect_path(process, "/../plain", NULL);
    expect_path(process, "deep", "deep");
    expect_path(process, "../file", "inside");
    ck_assert_uint_eq(pp_os_process_cwd(process, text, sizeof(text)), 3);
    ck_assert_str_eq(text, "/in");
    ck_assert_int_eq(pp_os_process_maps(process, NULL, &maps, &err), PYPROF_OK);
    for (size_t i = 0; i < maps.n; i++) {
        if (strstr(maps.items[i].path, "/file") != NULL) {
            expect_text(process, &maps.items[i], "inside");
        }
    }
    pp_os_maps_free(&maps);
    helper_end(&h);
    pp_os_process_close(process);
    remove_folder();
}
END_TEST

static void at_once(helper *self, void *user)
{
    PP_UNUSED(self);
    PP_UNUSED(user);
}

START_TEST(test_gone)
{
    pyprof_error err = PYPROF_ERROR_INIT;
    pp_os_maps maps;
    const pp_os_map map = {.start = 4096, .end = 8192, .inode = 1, .path = "/"};
    pp_os_process *process = NULL;
    helper h = helper_start(at_once, NULL);
    if (pp_os_process_open(NULL, h.pid, &process, &err) == PYPROF_OK) {
        pp_os_process_wait(process, UINT64_MAX, NULL);
        ck_assert_int_eq(pp_os_process_maps(process, NULL, &maps, &err),
                         PYPROF_ERR_GONE);
        helper_end(&h);
        ck_assert_int_eq(pp_os_process_maps(process, NULL, &maps, &err),
                         PYPROF_ERR_GONE);
        ck_assert_int_eq(pp_os_process_open_map(process, &map), -1);
        expect_path(process, "/etc/passwd", NULL);
    } else {
        helper_end(&h);
    }
    pp_os_process_close(process);
}
END_TEST

static pp_os_process *for_memory;

static bool read_maps(fault_alloc *fault)
{
    pp_os_maps maps;
    pyprof_status status =
        pp_os_process_maps(for_memory, &fault->table, &maps, NULL);
    ck_assert(status == PYPROF_OK || status == PYPROF_ERR_NO_MEMORY);
    if (status == PYPROF_OK) {
        pp_os_maps_free(&maps);
    }
    return status == PYPROF_OK;
}

START_TEST(test_out_of_memory)
{
    for_memory = open_process(getpid());
    fault_loop(read_maps);
    pp_os_process_close(for_memory);
}
END_TEST

SUITE_MAIN("os.maps", test_own_maps, test_unprivileged, test_paths,
           test_other_root, test_gone, test_out_of_memory)
