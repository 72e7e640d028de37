/* What the broker (net/broker.h) may ask of the kernel; anything else fails with EPERM. It has all the sockets that it
 * will ever have, but for those that the engine hands over. See engine_rules.h for the form. */

ALLOW(read)
ALLOW(write)
ALLOW(close)
ALLOW(recvfrom)
ALLOW(recvmsg)
ALLOW(sendto)
ALLOW(sendmsg)
ALLOW(shutdown)
ALLOW_IS(fcntl, 1, F_GETFL)
ALLOW_IS(fcntl, 1, F_SETFL)
ALLOW(epoll_wait)
ALLOW(epoll_pwait)
ALLOW(epoll_ctl)

/* Memory, never executable */
ALLOW(brk)
ALLOW(munmap)
ALLOW(mremap)
ALLOW(madvise)
ALLOW_NONE(mmap, 2, PROT_EXEC)
ALLOW_NONE(mprotect, 2, PROT_EXEC)

/* libc's and OpenSSL's own */
ALLOW(clock_gettime)
ALLOW(gettimeofday)
ALLOW(time)
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
