/* One program run in a box of its own, with what it prints read by the caller. */
#ifndef IGLOO_BOX_CAPTURE_H
#define IGLOO_BOX_CAPTURE_H

#include "base/err.h"
#include "box/kind.h"

struct capture {
	const struct kind *kind;
	struct slot *slot;
	struct box_spec *spec; /* ephemeral; gets a name of its own */
	const char *cwd;
	char *const *argv;
	char *const *env;
	const struct str *input; /* for stdin; NULL: nothing */
	size_t max_output;       /* bytes of stdout; more is an error */
	int output_fd;           /* stdout goes to this file instead of `output`; 0: no */
	/* stderr as it comes, and once a second while nothing does (n == 0); may be NULL */
	void (*on_stderr)(void *arg, const char *bytes, size_t n);
	void *arg;
};

/* Runs it. Returns 0 with its exit status (a wait status as of waitpid(2)) and stdout. -errno when the box could not be
 * made or the program not be started. The box's supervisor is a child of the caller and dies with it. */
int capture_run(const struct capture *c, int *ret_status, struct str *output, struct err **e);

#endif
