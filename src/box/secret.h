/* Secrets: values that a box is given without being written down anywhere but in one file of the user's.
 *
 * $XDG_CONFIG_HOME/igloo/secrets/<NAME>, mode 0600 in a folder of mode 0700, both the user's own; what is not so is
 * refused. The file is one line that says what it is, and then
 *
 *     "igloo.secret/1 value\n"      the value
 *     "igloo.secret/1 command\n"    a JSON array: the program that prints the value and its arguments
 *
 * A value is read, or its program run, when a box is made. From then on it is in a memory file (memfd_create(2)) that
 * is written once and sealed: so no copy of igloo's own memory (a fork, a core file) has it, and it goes with its
 * descriptors. No function here puts a value into an error. */
#ifndef IGLOO_BOX_SECRET_H
#define IGLOO_BOX_SECRET_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <time.h>

enum {
	SECRET_NAME_MAX = 63,
	SECRET_BYTES_MAX = 64 * 1024, /* of a value */
	SECRET_COMMAND_MAX = 64,      /* words of a command */
	SECRET_COMMAND_MS = 60000,    /* how long a program may take: some ask their user */
};

/* [A-Za-z_][A-Za-z0-9_]{0,62}: a name is that of a variable and of a file too. */
bool secret_name_is_valid(const char *name);
/* 0, or -EINVAL with an error that shows the name and says what one looks like. */
int secret_name_check(const char *name, struct err **e);

/* Keeps a value of n bytes (1 to SECRET_BYTES_MAX), in place of what was there. */
int secret_set(const char *name, const void *bytes, size_t n, struct err **e);
/* Keeps a command instead; its program is looked for at once, so that a wrong one is known early. */
int secret_set_command(const char *name, char *const *argv, struct err **e);
/* -ENOENT, naming those there are, when there is none of that name. */
int secret_remove(const char *name, struct err **e);

struct secret_info {
	char *name;
	struct strv command; /* empty: the value itself is kept */
	time_t since;
	char *refused; /* why it would not be used, or NULL */
};

/* All, sorted by name. */
int secret_list(struct secret_info **ret, size_t *ret_n, struct err **e);
void secret_list_free(struct secret_info *list, size_t n);

/* Whether secret_open() has something to open: a stored secret, or else a variable of igloo's own environment that
 * is not empty. Runs nothing. 0, -ENOENT naming those there are, or another error. */
int secret_check(const char *name, struct err **e);
/* The value, in a sealed memory file of 1 to SECRET_BYTES_MAX bytes. Returns the descriptor. */
int secret_open(const char *name, struct err **e);

/* How many of the n bytes are the value: an end of line that `echo` or a program adds to a single line is not part of
 * it; a text of several lines (a key in PEM) is kept as it is. */
size_t secret_trim(const char *bytes, size_t n);

/* Buffers that held a value. */
void secret_wipe_str(struct str *s);
static inline void secret_wipe_strp(struct str *s)
{
	secret_wipe_str(s);
}
#define _cleanup_secret_ ATTR_CLEANUP(secret_wipe_strp)

#endif
