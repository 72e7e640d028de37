/* Shared libraries that are loaded when they are needed, not at every start. */
#ifndef IGLOO_SYS_LIBRARY_H
#define IGLOO_SYS_LIBRARY_H

#include "base/err.h"

#include <stddef.h>

struct library {
	const char *what; /* begins its errors: "SHA-256" */
	const char
		*const names[4]; /* sonames, NULL-terminated: the first that is there. Errors have the first of all. */
	const char *hint;        /* what to do when it is missing */
};

struct library_function {
	const char *name;
	void *to; /* a pointer to a function pointer */
};

/* Sets all of these n functions, or none and fails with -ELIBACC. What was loaded stays. */
int library_load(const struct library *l, const struct library_function *functions, size_t n, struct err **e);
/* The error for a library that was loaded but is of no use; always -ELIBACC. `why` may be NULL. */
int library_failed(const struct library *l, const char *why, struct err **e);

#endif
