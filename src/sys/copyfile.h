/* The bytes of one file into another, as cheaply as the file system allows: shared (FICLONE, ioctl_ficlone(2)) where it
 * can, else copied in the kernel (copy_file_range(2)), else read and written; holes stay holes (SEEK_DATA). */
#ifndef IGLOO_SYS_COPYFILE_H
#define IGLOO_SYS_COPYFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* Zeroed, then kept for all files between the same two file systems: what they cannot do is asked once. */
struct copyfile {
	bool no_clone;
	bool no_range;
	/* May be NULL. Called now and then with the bytes since the last call; what it returns below 0 ends the copy.
	 */
	int (*tick)(void *arg, uint64_t bytes);
	void *arg;
};

/* Fills `to`, an empty file open for writing, from `from`, whose state is `st`. Returns 1 when they share their blocks
 * now, 0 when it is a copy, -errno; -ESTALE when `from` turned out shorter than its state said. */
int copyfile_bytes(struct copyfile *c, int from, int to, const struct stat *st);

#endif
