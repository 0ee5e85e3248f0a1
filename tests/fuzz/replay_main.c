/*
 * A main for a fuzz entry without libFuzzer: feeds it every file of the
 * folders given, then nothing at all (no bytes). So the corpus is a test that
 * any compiler can run.
 *
 * A file that the entry rejects is fine, as in libFuzzer; what fails is a
 * crash, a sanitizer's report, or a corpus without a file.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* What libFuzzer calls an entry. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat status;
    uint8_t *data;
    size_t size;

    if (file == NULL || fstat(fileno(file), &status) != 0) {
        perror(path);
        exit(1);
    }
    if (!S_ISREG(status.st_mode)) {
        fclose(file);
        return 0;
    }
    /* Exactly as large as the input, so that a sanitizer sees one byte more. */
    size = (size_t)status.st_size;
    data = malloc(size == 0 ? 1 : size);
    if (data == NULL || fread(data, 1, size, file) != size) {
        perror(path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return 1;
}

static int replay_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int files = 0;

    if (folder == NULL) {
        perror(path);
        exit(1);
    }
    while ((entry = readdir(folder)) != NULL) {
        char name[4096];
        int n = snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);

        if (n < 0 || (size_t)n >= sizeof(name)) {
            fprintf(stderr, "%s: name too long\n", path);
            exit(1);
        }
        files += replay_file(name);
    }
    closedir(folder);
    return files;
}

int main(int argc, char **argv)
{
    int files = 0;

    for (int i = 1; i < argc; i++) {
        files += replay_folder(argv[i]);
    }
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    printf("%d files replayed\n", files);
    return files == 0 ? 1 : 0;
}
