/* Reading and writing file descriptors whole, and sending them to another process. */
#ifndef IGLOO_SYS_FD_H
#define IGLOO_SYS_FD_H

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

/* Reads until the end; -EFBIG when there are more than `max` bytes. Adds to `to`. */
int fd_read_all(int fd, size_t max, struct str *to, struct err **e);
/* Writes all of it, past EINTR and short writes. Returns 0 or -errno. */
int fd_write_all(int fd, const void *bytes, size_t n);

/* Sends n bytes (n >= 1) and nfds descriptors (at most 16) in one message on a unix socket, with
 * MSG_NOSIGNAL. Returns 0 or -errno; on a stream socket a short first write is finished. */
int fd_send(int sock, const void *bytes, size_t n, const int *fds, size_t nfds);
/* Receives at most n bytes and up to *nfds descriptors (CLOEXEC, now the caller's; *nfds is set to
 * how many came). Returns the bytes, 0 at the end, or -errno. Descriptors that do not fit are
 * closed by the kernel. */
ssize_t fd_recv(int sock, void *bytes, size_t n, int *fds, size_t *nfds, int flags);

/* Closes every descriptor from `from` on. */
void fd_close_from(int from);
int fd_set_nonblock(int fd, bool on);

#endif
