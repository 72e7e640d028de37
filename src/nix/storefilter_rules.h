/* What the process between the store server and nix-store (nix/storefilter.h) may ask of the kernel; anything else
 * fails with EPERM. It has its two sockets. See storeserve_rules.h for the form. */

ALLOW(read)
ALLOW(write)
ALLOW(close)
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
ALLOW(futex)
ALLOW(rt_sigreturn)
ALLOW(rt_sigprocmask)
ALLOW(restart_syscall)
ALLOW(getpid)
ALLOW(getppid)
ALLOW(exit)
ALLOW(exit_group)
