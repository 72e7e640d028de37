/* How a machine has the box's files: by virtiofs, which another program serves beside QEMU, or by QEMU's own 9p.
 *
 * The program is the virtiofsd that is written in Rust (1.x), which needs no privilege with --sandbox=none: here it is
 * in a sandbox already. The one in C, of QEMU 5.0 to 7.2, wants capabilities and to change its root. */
#ifndef IGLOO_KIND_VM_VMFS_H
#define IGLOO_KIND_VM_VMFS_H

#include "base/err.h"
#include "base/str.h"
#include "kind/vm/modules.h"
#include "kind/vm/vmcache.h"

#define VMFS_HINT                                                                                                      \
	"Debian 13, Ubuntu 24.04: apt-get install virtiofsd; Fedora: dnf install virtiofsd; Nix: nix profile install " \
	"nixpkgs#virtiofsd; else: cargo install virtiofsd"

struct vmfs {
	char *virtiofsd; /* its real path; NULL: 9p */
	bool submounts;  /* it tells of mount points unless it is told not to */
};

/* `wish`: "auto" (or NULL), which is virtiofs where it can be and the machine runs by KVM, "virtiofs" or "9p". -ENOENT
 * or -ENOTSUP with a hint when virtiofs is wished for and cannot be; of "auto" the reason is only said with -v. */
int vmfs_choose(const char *wish, bool kvm, const struct vmcache *cache, struct vmfs *ret, struct err **e);
/* The kernel must have it, too. */
int vmfs_check_kernel(struct vmfs *fs, const char *wish, const struct modules *modules, struct err **e);
void vmfs_release(struct vmfs *fs);

/* The virtiofsd that can be used. -ENOENT when there is none, -ENOTSUP when there is one that cannot. It is asked what
 * it can once, and again when its file changes; `cache` may be NULL. */
int vmfs_find(const struct vmcache *cache, struct vmfs *ret, struct err **e);

/* Whether it may have as many files open as a large tree takes (-ENOTSUP); only "auto" minds. */
int vmfs_check_files(struct err **e);

/* Takes out of `want` what 9p needs, and adds what virtiofs does; returns how many there are. */
size_t vmfs_change_wants(const struct vmfs *fs, struct modules_want *want, size_t n);
/* The line root= of /igloo.conf. */
void vmfs_add_root(const struct vmfs *fs, const char *tag, struct str *to);
/* Of `igloo-guest FD --vm`; `program` and `folder` as seen there. */
void vmfs_add_argv(const struct vmfs *fs, const char *program, const char *folder, struct strv *to);

#endif
