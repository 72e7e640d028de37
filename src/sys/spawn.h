/* Running a program on the host and taking what it says.
 *
 * The program gets its own process group, an empty signal mask, default dispositions, /dev/null or the
 * given bytes as its standard input, and no descriptor above 2. Nothing goes through a shell. It is over
 * when it has exited: a background child that it leaves with its output open is not waited for. */
#ifndef IGLOO_SYS_SPAWN_H
#define IGLOO_SYS_SPAWN_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

enum { SPAWN_STDERR_MAX = 65536 };

struct spawn {
	const char *file;  /* absolute path of the program */
	char *const *argv; /* NULL-terminated, argv[0] included */
	char *const *envp; /* NULL: igloo's own environment */
	const char *dir;   /* its working folder; NULL: igloo's own */
	const char *name;  /* what messages call it ("git ls-files"); NULL: argv[0] */
	const void *input; /* its standard input; NULL: /dev/null */
	size_t input_bytes;
	int input_fd;           /* its standard input where `input` is NULL; 0 or less: none */
	size_t max_output;      /* bytes of standard output taken */
	unsigned time_limit_ms; /* 0: none */
	int cancel_fd;          /* when it becomes readable the program is killed; 0 or less: none */
};

/* Runs it. Adds its standard output to `out` and the last SPAWN_STDERR_MAX bytes of its standard error to
 * `errors` (either may be NULL: dropped), and sets *ret_status to its wait status. -ENOENT or -EACCES when
 * it cannot be executed, and after it was killed with its process group: -EFBIG beyond max_output,
 * -ETIMEDOUT, -ECANCELED. The output taken until a failure stays in `out` and `errors`. */
int spawn_run(const struct spawn *s, struct str *out, struct str *errors, int *ret_status, struct err **e);

/* The same, where anything but exit status 0 is a failure too: -EIO, with standard error as the detail. */
int spawn_check(const struct spawn *s, struct str *out, struct err **e);

/* The error for a status that is a failure; always -EIO. `errors` may be NULL. */
int spawn_failed(const char *name, int status, const struct str *errors, struct err **e);

/* The absolute path of a program: `name` in the absolute folders of PATH, then in `more` (NULL-terminated,
 * may be NULL). Leaves out whatever lies, or really lies, at or below `not_below` (may be NULL). The caller
 * frees it; NULL when there is none. */
char *spawn_find(const char *name, const char *const *more, const char *not_below);

#endif
