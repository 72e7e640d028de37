/* What a program of this machine needs in order to run elsewhere: its loader and its shared libraries.
 *
 * Asked of the program's own loader (`ld.so --list PROGRAM`, glibc and musl alike), so every rule of the
 * search is the loader's: RPATH, RUNPATH, the cache, what the libraries need in turn. Libraries that a
 * program opens while it runs are not seen. */
#ifndef IGLOO_NIX_ELFDEPS_H
#define IGLOO_NIX_ELFDEPS_H

#include "base/err.h"
#include "base/str.h"

struct elfdeps {
	char *loader;        /* absolute path; NULL: the program is static */
	char *loader_name;   /* what libraries call it ("ld-linux-x86-64.so.2") */
	struct strv names;   /* what the library is asked for as ("libc.so.6") … */
	struct strv sources; /* … and the absolute path of its file */
};

/* `program` is an absolute path without symbolic links. A program that lies in a root of its own (an unpacked
 * package: R/usr/bin/nix with R/lib64/ld-… or R/usr/lib64/ld-…) is asked with that root's loader and
 * libraries. -ENOEXEC when it is no ELF program, -ELIBBAD when a library is missing or is asked for by a
 * path, which could not be moved. */
int elfdeps_get(const char *program, struct elfdeps *ret, struct err **e);
void elfdeps_release(struct elfdeps *d);

#define _cleanup_elfdeps_ ATTR_CLEANUP(elfdeps_release)

#endif
