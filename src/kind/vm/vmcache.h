/* igloo's folder of kernels, $XDG_CACHE_HOME/igloo/kernels (what of it is made can be made again):
 *
 *     vmlinux-<key>   unpacked of a bzImage (vmlinux.h)
 *     initrd-<key>    an initrd (initrd.h)
 *     qemu-<what>-<key>  what is known of a QEMU (qemu.h); its name says it
 *     virtiofsd-<what>-<key>  the same of a virtiofsd (vmfs.h)
 *     template-<key>  a machine in memory (template.h)
 *     <any name>/     what the user has unpacked there: a kernel package of a distribution (kernel.h)
 *
 * A key is 64 bits of everything the file is made of, or of its state (device, inode, size, times). It tells files of
 * the user's own apart and is no seal: who can write the folder can write the files. Files are put there whole
 * (written beside, synced, renamed) and go when they were not used for 30 days. */
#ifndef IGLOO_KIND_VM_VMCACHE_H
#define IGLOO_KIND_VM_VMCACHE_H

#include "base/err.h"

#include <stdint.h>
#include <sys/stat.h>

struct vmcache {
	int dir;          /* the folder … */
	const char *path; /* … and its absolute path; both are the caller's */
};

/* FNV-1a, 64 bits. */
#define VMCACHE_KEY_INIT 0xcbf29ce484222325ull
/* Each field is told from the next by its length. */
void vmcache_key_add(uint64_t *key, const void *bytes, size_t n);
void vmcache_key_add_text(uint64_t *key, const char *text);
/* The state of a file: another file of that name, or another content, changes it. */
void vmcache_key_add_state(uint64_t *key, const struct stat *st);

/* The absolute path of "<what>-<key>" where it is there, is a regular file and not empty, marked as used; NULL
 * otherwise. The caller frees it. */
char *vmcache_find(const struct vmcache *c, const char *what, uint64_t key);
/* Who makes something holds this: two that make the same would replace each other's, which the first may be using
 * already, and a file without a name cannot be mounted. Look again when it is held. Returns a descriptor, to be closed;
 * waits for it. -errno. */
int vmcache_lock(const struct vmcache *c, struct err **e);
/* Puts it there, and drops what has not been used for long. */
int vmcache_put(const struct vmcache *c, const char *what, uint64_t key, const void *bytes, size_t n, char **ret_path,
		struct err **e);

#endif
