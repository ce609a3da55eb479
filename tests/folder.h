/* folder.h: a folder of the test program's own in the current directory: set-up, tear-down, and files in it. */
#ifndef SN_TEST_FOLDER_H
#define SN_TEST_FOLDER_H
#include <unistd.h>

#include "base/file.h"
#include "test.h"

static char folder[64];

static inline int make_folder(void **state) {
    (void)state;
    (void)snprintf(folder, sizeof folder, "test-folder-%ld", (long)getpid());
    return sn_remove_tree(folder) == SN_OK && sn_make_directory(folder) == SN_OK ? 0 : -1;
}

static inline int remove_folder(void **state) {
    (void)state;
    return sn_remove_tree(folder) == SN_OK ? 0 : -1;
}

/* Tests that name their files without it. */
static inline int enter_folder(void **state) { return make_folder(state) == 0 ? chdir(folder) : -1; }
static inline int leave_folder(void **state) { return chdir("..") == 0 ? remove_folder(state) : -1; }

/* The path of a file in it; four stay valid at a time. */
static inline const char *in_folder(const char *name) {
    static char paths[4][160];
    static int turn;
    turn = (turn + 1) % 4;
    (void)snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}
static inline void put_text(const char *name, const char *text) { assert_ok(sn_file_write(in_folder(name), text, strlen(text))); }
#endif
