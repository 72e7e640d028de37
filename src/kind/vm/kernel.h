/* Which kernel a machine gets, and where its modules are.
 *
 * What the user names is taken, or it is an error. Else the newest one that has the modules that are needed, of
 *     store    kernel packages among the given store paths: bzImage, and lib/modules/<release> in the same or another
 *              of them (nixpkgs has an output of its own for them)
 *     system   the distribution's: /boot/vmlinuz-* or /lib/modules/<release>/vmlinuz, where they may be read
 *     cache    packages that the user has unpacked into a folder of igloo's cache (vmcache.h):
 *                  dpkg-deb -x linux-image-6.1.0-56-amd64.deb ~/.cache/igloo/kernels/debian
 * Newest is by the release, number by number; of equals the first of this list. */
#ifndef IGLOO_KIND_VM_KERNEL_H
#define IGLOO_KIND_VM_KERNEL_H

#include "base/err.h"
#include "kind/vm/arch.h"
#include "kind/vm/modules.h"
#include "kind/vm/vmcache.h"

struct kernel {
	char *image;   /* absolute; see vmlinux_get() */
	char *modules; /* lib/modules/<release>, absolute */
	char *release;
	const char *from; /* "--kernel", "store", "system", "cache" */
};

void kernel_release(struct kernel *k);
#define _cleanup_kernel_ ATTR_CLEANUP(kernel_release)

struct kernel_search {
	const struct arch *arch;
	/* An image (a bzImage or a vmlinux; of aarch64 an Image) whose lib/modules/<release> is beside it, above it, or
	 * the system's; or a folder as in the list above. NULL: look for one. */
	const char *user;
	char *const *store_paths; /* as they can be opened here; NULL-terminated, may be NULL */
	const char *root;         /* of the system: "" */
	const struct vmcache *cache;
	const struct modules_want *want;
	size_t n_want;
};

/* -ENOENT when there is none: the detail says of each that was found why not, the hints where to get one. */
int kernel_find(const struct kernel_search *s, struct kernel *ret, struct err **e);

/* <0, 0, >0: runs of digits as numbers, the rest bytewise; what a word goes on with is newer ("6.1" < "6.1.1"), but
 * a release candidate older ("6.2-rc1" < "6.2"). */
int kernel_compare(const char *a, const char *b);

#endif
