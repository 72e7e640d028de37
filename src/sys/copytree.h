/* A folder with everything below it, copied: contents (sys/copyfile.h), modes, times, symbolic links as such, names
 * that are one file as one file. Owners become the caller's; extended attributes, set-user-id and set-group-id bits do
 * not come along, nor do devices. Nothing is followed and no other file system entered. */
#ifndef IGLOO_SYS_COPYTREE_H
#define IGLOO_SYS_COPYTREE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct copytree {
	/* The caller's. All may be NULL. */
	bool (*leave_out)(const char *name);                /* of the entries of the topmost folder */
	int (*tick)(void *arg, const struct copytree *now); /* now and then; a result below 0 ends the copy with it */
	void *arg;
	/* An entry of the topmost folder: what is below keeps the extended attributes "user.virtfs.*", in which QEMU
	 * has the owners, modes and kinds of a machine's files. */
	const char *owned;

	/* What was copied. */
	uint64_t entries; /* names below the topmost folder */
	uint64_t bytes;   /* lengths of regular files, each once whatever its number of names */
	uint64_t cloned;  /* the part of them that shares its blocks with the original */
	uint64_t done;    /* bytes so far, holes left out: for whoever watches */
};

/* Copies what is below `from` into `to`, an empty folder. Nobody else may write either of them meanwhile. What is
 * without permission for its owner is opened up for the moment. A failure names the file; what was copied till then
 * stays, for the caller to remove. Not synced. */
int copytree_run(struct copytree *c, int from, int to, struct err **e);

#endif
