/* Files and folders by held descriptors.
 *
 * Every function that takes a folder descriptor resolves `path` below it and through no symbolic
 * link (openat2 RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS; component by
 * component with O_NOFOLLOW where the kernel has no openat2). All descriptors are CLOEXEC. */
#ifndef IGLOO_SYS_FILE_H
#define IGLOO_SYS_FILE_H

#include "base/err.h"
#include "base/str.h"

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

/* Opens `path` (relative, "" or "." for the folder itself) beneath dirfd. Returns the descriptor or
 * -errno (-ELOOP where a component is a symbolic link, -EXDEV where it leaves the folder). */
int file_open_beneath(int dirfd, const char *path, int flags, mode_t mode);
/* Opens an absolute path following the symbolic links of the user's own system (for paths the user
 * named). Returns the descriptor or -errno. */
int file_open_user(const char *path, int flags);

/* Makes each missing folder of `path` beneath dirfd with `mode`; returns a descriptor of the last. */
int file_make_dirs(int dirfd, const char *path, mode_t mode, struct err **e);
/* The same for an absolute path of igloo's own (XDG folders), whose existing parents may be links. */
int file_make_dirs_abs(const char *path, mode_t mode, struct err **e);

/* The whole file, at most `max` bytes, regular files only. -ENOENT when it is not there. */
int file_read(int dirfd, const char *path, size_t max, struct str *to, struct err **e);

/* Puts the bytes at `path` so that it holds the old or the new content at every moment: written to a
 * temporary name beside, synced if `sync`, renamed. */
int file_replace(int dirfd, const char *path, const void *bytes, size_t n, mode_t mode, bool sync, struct err **e);

/* Removes the file or folder and everything below it; what is missing is fine. Folders without
 * permission are opened up first (Nix's are read-only). Never follows links, never leaves the file
 * system it starts on. */
int file_remove_tree(int dirfd, const char *path, struct err **e);

/* A lock is an open file with flock(2); closing it gives it up. file_lock() makes the file; it
 * returns the descriptor, -EWOULDBLOCK when `wait` is false and another process holds it. The
 * holder's pid and the time are written into the file, for messages. */
int file_lock(int dirfd, const char *path, bool shared, bool wait, struct err **e);
/* Is the open file or folder (still) the one of that name? */
bool file_is_named(int fd, int dirfd, const char *name);
/* Removes a folder (`name` in dirfd, open as `dir`) by whoever holds the lock `lock` in it: the lock goes last, so that
 * who makes another just then gets either a folder that is gone (-ENOENT) or one that is empty and stays. */
int file_remove_locked(int dirfd, const char *name, int dir);
/* Removes what file_replace() left in the folder when it was killed, an hour ago or more. */
void file_sweep_temporary(int at, const char *path);
/* True while some process holds the lock exclusively; *ret_pid is what it wrote (0 if unknown). */
bool file_is_locked(int dirfd, const char *path, pid_t *ret_pid);

#endif
