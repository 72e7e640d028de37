/* What a shut-in store server (nix/storeserve.h) may ask of the kernel; anything else fails with EPERM. An allow list,
 * because it is one small program with no library but libcrypto, which was loaded before. No new sockets: it has the
 * listener, what it accepts there, and its connection to nix-store.
 *
 * ALLOW(call)
 * ALLOW_IS(call, argument, value)            when the argument (32 bits) is the value
 * ALLOW_NONE(call, argument, mask)           when (argument & mask) is 0 */

/* Sockets it has */
ALLOW(read)
ALLOW(write)
ALLOW(close)
ALLOW(recvfrom)
ALLOW(sendto)
ALLOW(accept4)
ALLOW(shutdown)
ALLOW_IS(fcntl, 1, F_GETFL)
ALLOW_IS(fcntl, 1, F_SETFL)
ALLOW_IS(fcntl, 1, F_GETFD)
ALLOW_IS(fcntl, 1, F_SETFD)
ALLOW(poll)
ALLOW(ppoll)

/* The store: its root, read-only */
ALLOW_NONE(openat, 2, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_PATH)
ALLOW(getdents64)
ALLOW(readlinkat)
ALLOW(fstat)
ALLOW(newfstatat)
ALLOW(statx)
ALLOW(lseek)

/* Memory, never executable */
ALLOW(brk)
ALLOW(munmap)
ALLOW(mremap)
ALLOW(madvise)
ALLOW_NONE(mmap, 2, PROT_EXEC)
ALLOW_NONE(mprotect, 2, PROT_EXEC)

/* libc's own */
ALLOW(clock_gettime)
ALLOW(gettimeofday)
ALLOW(getrandom)
ALLOW(futex)
ALLOW(rt_sigreturn)
ALLOW(rt_sigprocmask)
ALLOW(restart_syscall)
ALLOW(getpid)
ALLOW(getppid)
ALLOW(gettid)
ALLOW(exit)
ALLOW(exit_group)
