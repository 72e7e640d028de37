/* The system that a machine has rebuilt, as it hands it back to be started next time (docs/nixos.md). The machine's
 * folder, which it can write and this side reads, has
 *
 *     boot/current       the name of one of the folders beside it, and a newline
 *     boot/<name>/kernel    a bzImage or vmlinux
 *                 initrd
 *                 toplevel  the system's store path
 *                 params    the system's kernel-params, without init=
 *                 base      the store path of the system that was first started (may be missing)
 *
 * All of it is what a hostile machine wants it to be: it decides what runs in the next machine, as the one that wrote
 * it could, and nothing else. Every name is opened beneath the held folder and through no link, sizes are bounded. */
#ifndef IGLOO_KIND_VM_HANDBACK_H
#define IGLOO_KIND_VM_HANDBACK_H

#include "base/err.h"
#include "base/str.h"

enum {
	HANDBACK_NAME_MAX = 64,
	HANDBACK_PARAMS_MAX = 1024, /* x86 takes 2047 bytes in all (COMMAND_LINE_SIZE) */
	HANDBACK_FILE_MAX = 8192,
	HANDBACK_INITRD_MAX = 1 << 30,
};

struct handback {
	char *toplevel;
	char *params;
	char *base; /* NULL: not told */
	int kernel; /* both for reading, regular files */
	int initrd;
};

#define HANDBACK_INIT                    \
	{                                \
		NULL, NULL, NULL, -1, -1 \
	}

void handback_release(struct handback *h);
#define _cleanup_handback_ ATTR_CLEANUP(handback_release)

/* Reads what is handed back in the machine's folder `dir`. -ENOENT (no error set): nothing is. */
int handback_open(int dir, struct handback *ret, struct err **e);

/* The words of a kernel-params file, each behind a space but the first, without those that are igloo's to say (init=,
 * initrd=). -EINVAL for bytes that no command line has, -E2BIG for more than HANDBACK_PARAMS_MAX. */
int handback_params(const char *bytes, size_t n, struct str *to, struct err **e);

/* The name in `current`: letters, digits, "-" and "_", HANDBACK_NAME_MAX at most, perhaps a newline. NULL: it is none;
 * else the caller frees it. */
char *handback_name(const char *bytes, size_t n);
/* A store path, perhaps with a newline; likewise. */
char *handback_path(const char *bytes, size_t n);

#endif
