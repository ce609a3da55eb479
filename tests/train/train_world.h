/* train_world.h: a small table (pictures, sentences, numbers -> a class and a price) in a folder of its own, and
 * training runs over it in child processes, by the public interface only. */
#ifndef SN_TRAIN_WORLD_H
#define SN_TRAIN_WORLD_H
#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>

#include "test.h"

typedef struct world {
    char folder[64];
} world;

world *world_create(void);
void world_free(world *w);
/* folder/output or folder/output/file; heap. */
char *world_path(const world *w, const char *output, const char *file);

/* How a child ended. */
enum { DONE, FAILED, NUMERIC, STOPPED, NOTHING_TO_RESUME, BROKEN_PROMISE, KILLED };

typedef struct job {
    const char *output;         /* name in the folder */
    bool resume, overwrite;     /* with both: resume, or start anew if there is nothing to resume */
    bool open_threads;          /* "threads" is not in the config */
    int cores;                  /* 1: held to one core */
    int kill_at_epoch, stop_at_epoch; /* from 1; 0: never */
    double checkpoint_seconds;  /* 0: after every step */
    long file_bytes;            /* no file may grow beyond; 0: no limit */
    const char *more;           /* more members of the config */
    const char *says;           /* a failure's message must hold this */
} job;

/* Children; finish_run is start_run and outcome. */
pid_t start_run(const world *w, const job *j);
int outcome(pid_t pid);
int finish_run(const world *w, const job *j);

bool same_files(const char *a, const char *b); /* and they are there, and not empty */
bool model_exists(const world *w, const char *output);
int model_threads(const world *w, const char *output);
/* Nothing is left beside a finished model: no checkpoint, no part of a file. */
bool no_rest(const world *w, const char *output);

double now_seconds(void);
void wait_seconds(double seconds);
double chance(void); /* [0, 1), another one in every run of the test */

/* Threads that wait by spinning would starve each other on one core: starts the program anew with the setting. */
void polite(char **argv);
#endif
