/* replay.c: a main for the fuzz targets without a fuzzer: feeds them every file of the folders given, so that
 * the corpora are part of the normal test run. */
#include <dirent.h>
#include <stdio.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *folder) {
    DIR *dir = opendir(folder);
    int count = 0;
    if (!dir) return 0;
    for (struct dirent *e; (e = readdir(dir));) {
        char *path = e->d_name[0] == '.' ? NULL : sn_path_join(folder, e->d_name);
        sn_bytes bytes;
        if (path && sn_file_read(path, (size_t)1 << 30, &bytes) == SN_OK) {
            (void)LLVMFuzzerTestOneInput(bytes.data, bytes.size);
            sn_bytes_free(&bytes);
            count++;
        }
        sn_free(path);
    }
    (void)closedir(dir);
    return count;
}

int main(int argc, char **argv) {
    int count = 0;
    for (int i = 1; i < argc; i++) count += replay(argv[i]);
    (void)printf("%d inputs\n", count);
    return count ? 0 : 1;
}
