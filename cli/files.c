/* files.c: opening what the user named, and writing results so that a half-written file never has the
 * result's name: beside its place, synced, then renamed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

int cli_open_table(const cli_args *args, const char *path, sn_table **out) {
    char *options = cli_pick_text(args, CLI_TABLE_OPTIONS);
    sn_status status = sn_table_open(path, options, out);
    free(options);
    return status ? cli_fail(status) : CLI_DONE;
}

int cli_open_model(const cli_args *args, const char *path, sn_model **out) {
    char *options = cli_pick_text(args, CLI_MODEL_OPTIONS);
    sn_status status = sn_model_load(path, options, out);
    free(options);
    return status ? cli_fail(status) : CLI_DONE;
}

int cli_check_output(const cli_args *args, const char *path) {
    struct stat status;
    if (cli_given(args, OPT_OVERWRITE) || lstat(path, &status) != 0) return CLI_DONE;
    return cli_usage("%s exists; give another -o, or --overwrite to replace it%s", path,
                     args->command->options & BIT(RESUME) ? "; --resume goes on with a run that was stopped" : "");
}

static int file_failed(cli_file *file, const char *what) {
    int error = errno;
    int code = cli_failed(SN_ERR_IO, file->path, "%s: %s: %s", file->path, what, strerror(error));
    cli_file_abandon(file);
    return code;
}

int cli_file_open(const char *path, cli_file *out) {
    size_t size = strlen(path) + 32;
    *out = (cli_file){.path = strdup(path), .part = malloc(size)};
    if (!out->path || !out->part) {
        cli_file_abandon(out);
        return cli_failed(SN_ERR_MEMORY, path, "out of memory");
    }
    (void)snprintf(out->part, size, "%s.part-%ld", path, (long)getpid());
    out->stream = fopen(out->part, "wx");
    return out->stream ? CLI_DONE : file_failed(out, "cannot be written");
}

/* The rename itself is safe on disk only when the folder is. */
static void sync_folder(const char *path) {
    char *folder = strdup(path);
    if (!folder) return;
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
    free(folder);
}

int cli_file_commit(cli_file *file) {
    bool wrong = ferror(file->stream) || fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0;
    if (wrong) return file_failed(file, "cannot be written");
    FILE *stream = file->stream;
    file->stream = NULL;
    if (fclose(stream) != 0) return file_failed(file, "cannot be written");
    if (rename(file->part, file->path) != 0) return file_failed(file, "cannot be put in place");
    sync_folder(file->path);
    free(file->path);
    free(file->part);
    *file = (cli_file){0};
    return CLI_DONE;
}

void cli_file_abandon(cli_file *file) {
    if (file->stream) (void)fclose(file->stream);
    if (file->part) (void)unlink(file->part);
    free(file->path);
    free(file->part);
    *file = (cli_file){0};
}
