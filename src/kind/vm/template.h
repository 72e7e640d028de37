/* Templates: machines in memory that have booted and wait for a box, kept in igloo's cache (vmcache.h).
 *
 *     template-<key>      4096 bytes, "igloo-template 1 <key> <bytes of the whole file>\n" and zeros; then what QEMU's
 *                         migration wrote
 *     template-<key>.no   why there is none and none is made for a day: text
 *
 * A key is of all that the memory depends on: QEMU, the kernel, the initrd (with igloo's own guest in it), QEMU's
 * arguments with memory and processors, and the host's processor. A template has nothing of any box: who makes it is
 * templatebox.h. It is read by QEMU only, which checks what it reads and ends with an error; then the machine boots
 * (guest/vmstart.c).
 *
 * A file comes to be without a name and gets one when it is whole and on the disk, so whatever kills its maker leaves
 * nothing. There are TEMPLATES_MAX at most, those used last. */
#ifndef IGLOO_KIND_VM_TEMPLATE_H
#define IGLOO_KIND_VM_TEMPLATE_H

#include "kind/vm/vmcache.h"

#include <stdbool.h>
#include <stddef.h>

enum { TEMPLATES_MAX = 4 };

/* What a machine's memory depends on. */
struct template_of {
	const char *qemu;
	const char *kernel;
	const char *initrd;
	const struct strv *argv; /* QEMU's */
	const char *cpuinfo;     /* of this host, as in /proc/cpuinfo; NULL: that */
};

/* -errno when one of the files cannot be looked at. */
int template_key(const struct vmcache *c, const struct template_of *of, uint64_t *ret, struct err **e);

/* The path of the template, which is then the one used last; NULL when there is none. One that is not whole is removed.
 * The caller frees it. */
char *template_find(const struct vmcache *c, uint64_t key);
/* Removes it, and with `why` none is made for a day. */
void template_drop(const struct vmcache *c, uint64_t key, const char *why);
/* Why none is to be made now; NULL: one may be. The caller frees it. */
char *template_refused(const struct vmcache *c, uint64_t key);

/* A file to write a template to. Returns a descriptor, or -EOPNOTSUPP where the file system has no files without names.
 */
int template_begin(const struct vmcache *c, struct err **e);
/* Copies what comes out of the pipe until its end. -EFBIG for more than any template has, -EPIPE for nothing. */
int template_fill(int fd, int from, struct err **e);
/* It is whole: gives it its name, and drops those beyond TEMPLATES_MAX. One that is there already stays. */
int template_end(const struct vmcache *c, uint64_t key, int fd, struct err **e);

/* How many there are, and their bytes on the disk. */
void template_count(const struct vmcache *c, size_t *ret_n, uint64_t *ret_bytes);
/* Removes them all. */
void template_drop_all(const struct vmcache *c);

#endif
