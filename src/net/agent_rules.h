/* What the process between a box and the user's SSH agent may ask of the kernel (see engine_rules.h); anything else
 * fails with EPERM. It has all the sockets it will ever have, but for those that come over one of them. */

ALLOW(read)
ALLOW(write)
ALLOW(close)
ALLOW(recvmsg)
ALLOW(sendto)
ALLOW(poll)
ALLOW(ppoll)

/* Memory, never executable */
ALLOW(brk)
ALLOW(munmap)
ALLOW(mremap)
ALLOW(madvise)
ALLOW_NONE(mmap, 2, PROT_EXEC)
ALLOW_NONE(mprotect, 2, PROT_EXEC)

/* libc's own */
ALLOW(clock_gettime)
ALLOW(getrandom)
ALLOW(futex)
ALLOW(rt_sigreturn)
ALLOW(restart_syscall)
ALLOW(getpid)
ALLOW(getppid)
ALLOW(exit)
ALLOW(exit_group)
