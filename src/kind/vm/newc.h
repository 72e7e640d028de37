/* A writer of initramfs archives: cpio's "newc" format (Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * An entry is "070701", 13 numbers of 8 hex digits (inode, mode, uid, gid, links, time, size, device major and minor,
 * rdev major and minor, length of the name with its NUL, 0), the name, and the bytes; header with name, and bytes, are
 * each padded with NULs to 4. "TRAILER!!!" ends it. Everything is root's and of time 0, so that equal content is equal
 * bytes. */
#ifndef IGLOO_KIND_VM_NEWC_H
#define IGLOO_KIND_VM_NEWC_H

#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

struct newc {
	struct str to;
	uint32_t entries;
};

#define NEWC_INIT            \
	{                    \
		STR_INIT, 0, \
	}

/* `path` is relative ("modules/00-x.ko"), its folder is added before; less than 2^32 bytes. */
void newc_add_file(struct newc *a, const char *path, mode_t mode, const void *bytes, size_t n);
void newc_add_folder(struct newc *a, const char *path, mode_t mode);
void newc_add_char_device(struct newc *a, const char *path, mode_t mode, unsigned major, unsigned minor);
/* The trailer; the archive is then a multiple of 512 bytes long. */
void newc_end(struct newc *a);

static inline void newc_releasep(struct newc *a)
{
	str_release(&a->to);
}
#define _cleanup_newc_ ATTR_CLEANUP(newc_releasep)

#endif
