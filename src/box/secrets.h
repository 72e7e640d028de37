/* The secrets that one box or command is given: which, under what name, and their values in memory files
 * (box/secret.h). */
#ifndef IGLOO_BOX_SECRETS_H
#define IGLOO_BOX_SECRETS_H

#include "base/err.h"
#include "base/str.h"
#include "box/spec.h"
#include "wire/exec.h"

/* Where files of secrets lie in a box: <name> in a file system of their own. */
#define SECRETS_DIR "/run/secrets"

enum { SECRETS_MAX = 64 };

/* One of `variable` and `path` is NULL. */
struct secret_use {
	char *name;
	char *variable;    /* of the command's environment */
	char *path;        /* absolute, in the box */
	int fd;            /* the value; -1 before secrets_open() */
	struct strv hosts; /* "name:port" that it is bound to (box/secretbind.h); none: the box has the value */
	char *placeholder; /* what the box has instead */
};

struct secrets {
	struct secret_use *v;
	size_t n;
};

/* --secret NAME[@HOST[:PORT]][=VARIABLE]. One that is bound to several hosts is given once for each. NAME=file is
 * --secret-file NAME. -EINVAL; errors of secret_check(). Runs nothing. */
int secrets_add_variable(struct secrets *s, const char *given, struct err **e);
/* --secret-file NAME[=PATH]. PATH is absolute or begins with "~/", and lies below /run, /tmp or the home (a path in the
 * caller's home means the same in the box's); by default it is SECRETS_DIR/NAME. */
int secrets_add_file(struct secrets *s, const char *given, struct err **e);
/* Reads the values, or runs what prints them. A variable cannot hold a NUL. */
int secrets_open(struct secrets *s, struct err **e);
/* Closes the values; the names stay. Accepts NULL. */
void secrets_close(struct secrets *s);
/* Refuses a file that would lie in a share: on the host's disk, that is. */
int secrets_check_shares(const struct secrets *s, const struct box_spec *spec, struct err **e);
/* Closes the values (of the process that gave them away) and frees the rest. */
void secrets_release(struct secrets *s);

/* Sets the variables of those that are bound to hosts to their placeholders, which are no secret. */
void secrets_add_placeholders(const struct secrets *s, struct strv *env);
/* Adds what the box must reach for those, as entries of net/policy.h. */
void secrets_add_allow(const struct secrets *s, struct strv *allow);

/* exec_send() with the other variables added to the command's environment. Its buffers are wiped once they are sent. */
int secrets_send_exec(const struct secrets *s, struct link *l, uint32_t stream, const struct exec *x, const int *fds);

/* The value as n bytes to be read only; munmap(2) it. NULL with errno. */
const char *secrets_map(const struct secret_use *use, size_t *ret_n);

static inline void secrets_releasep(struct secrets *s)
{
	secrets_release(s);
}
#define _cleanup_secrets_ ATTR_CLEANUP(secrets_releasep)

#endif
