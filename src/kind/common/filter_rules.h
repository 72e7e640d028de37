/* What a sandbox may not ask of the kernel, and why. The table is docs/security.md's too.
 *
 * It is a list of what is denied: a box runs compilers, debuggers, browsers and databases, and a list of
 * what is allowed breaks with each new libc. What the namespaces, the absent capabilities and the
 * closed file system already stop is not repeated here; these are the calls that stay dangerous for a
 * process without any privilege. ENOSYS where programs are known to have a way around, EPERM otherwise.
 *
 * RULE(call, errno, reason)
 * RULE_MASKED(call, argument, mask, value, errno, reason)  when (argument & mask) == value
 * RULE_BOTH(call, argument, bit, argument2, bit2, errno, reason)  when both bits are set, each in its argument
 * RULE_RANGE(call, argument, low, high, errno, reason)     when low <= argument <= high */

/* Namespaces: a user namespace inside gives back every capability over new kernel objects. */
RULE(unshare, EPERM, "no nested namespaces: most privilege escalations of recent years begin with one")
RULE(setns, EPERM, "no joining of namespaces")
RULE_MASKED(clone, 0, CLONE_NEWUSER, CLONE_NEWUSER, EPERM, "as unshare")
RULE_MASKED(clone, 0, CLONE_NEWNS, CLONE_NEWNS, EPERM, "as unshare")
RULE_MASKED(clone, 0, CLONE_NEWPID, CLONE_NEWPID, EPERM, "as unshare")
RULE_MASKED(clone, 0, CLONE_NEWNET, CLONE_NEWNET, EPERM, "as unshare")
RULE_MASKED(clone, 0, CLONE_NEWIPC, CLONE_NEWIPC, EPERM, "as unshare")
RULE_MASKED(clone, 0, CLONE_NEWUTS, CLONE_NEWUTS, EPERM, "as unshare")
RULE_MASKED(clone, 0, CLONE_NEWCGROUP, CLONE_NEWCGROUP, EPERM, "as unshare")
RULE(clone3, ENOSYS, "its flags lie in memory, where a filter cannot look; libc falls back to clone")

/* Mounts: without a capability they fail; the new calls are refused so that nothing depends on that. */
RULE(mount, EPERM, "the box's mounts are its walls")
RULE(umount2, EPERM, "the box's mounts are its walls")
RULE(pivot_root, EPERM, "the box's mounts are its walls")
RULE(chroot, EPERM, "the box's mounts are its walls")
RULE(open_tree, EPERM, "the box's mounts are its walls")
RULE(move_mount, EPERM, "the box's mounts are its walls")
RULE(mount_setattr, EPERM, "the box's mounts are its walls")
RULE(fsopen, EPERM, "parsers of file system options, a long list of bugs")
RULE(fsconfig, EPERM, "as fsopen")
RULE(fsmount, EPERM, "as fsopen")
RULE(fspick, EPERM, "as fsopen")

/* Keyrings are shared with everything else this user runs: no namespace holds them. */
RULE(add_key, EPERM, "the user's keyrings lie outside every namespace")
RULE(request_key, EPERM, "as add_key; and it starts a program on the host")
RULE(keyctl, EPERM, "as add_key")

/* Other ways around a filter, or large and young parts of the kernel that a build does not need. */
RULE(io_uring_setup, ENOSYS, "does sockets and files without the filtered calls")
RULE(io_uring_enter, ENOSYS, "as io_uring_setup")
RULE(io_uring_register, ENOSYS, "as io_uring_setup")
RULE(bpf, EPERM, "programs in the kernel")
RULE(userfaultfd, EPERM, "stops the kernel at a chosen moment: the tool that makes races certain")
RULE(perf_event_open, EPERM, "side channels and a long list of bugs")
RULE(process_madvise, EPERM, "acts on other processes")
RULE(lookup_dcookie, EPERM, "profiling of the whole machine")
RULE(open_by_handle_at, EPERM, "opens files past every mount")
RULE(name_to_handle_at, EPERM, "the other half of open_by_handle_at")
RULE(fanotify_init, EPERM, "watches whole file systems")
RULE(kcmp, EPERM, "addresses of kernel objects")
RULE(quotactl, EPERM, "of the host's file systems")
RULE(quotactl_fd, EPERM, "of the host's file systems")
RULE(acct, EPERM, "of the whole machine")
RULE(swapon, EPERM, "of the whole machine")
RULE(swapoff, EPERM, "of the whole machine")
RULE(reboot, EPERM, "of the whole machine")
RULE(kexec_load, EPERM, "of the whole machine")
RULE(kexec_file_load, EPERM, "of the whole machine")
RULE(init_module, EPERM, "of the whole machine")
RULE(finit_module, EPERM, "of the whole machine")
RULE(delete_module, EPERM, "of the whole machine")
RULE(iopl, EPERM, "of the whole machine")
RULE(ioperm, EPERM, "of the whole machine")
RULE(settimeofday, EPERM, "of the whole machine")
RULE(clock_settime, EPERM, "of the whole machine")
RULE(clock_adjtime, EPERM, "of the whole machine")
RULE(adjtimex, EPERM, "of the whole machine; it also tells")
RULE(syslog, EPERM, "the kernel's log, with its addresses")
RULE(vhangup, EPERM, "of the user's terminal")
RULE(modify_ldt, EPERM, "16-bit code, a long list of bugs")

/* The user's terminal is handed into the box: typing on it from inside would run commands outside. */
RULE_MASKED(ioctl, 1, 0xffffffff, TIOCSTI, EPERM, "puts keystrokes into the user's terminal")
RULE_MASKED(ioctl, 1, 0xffffffff, TIOCLINUX, EPERM, "pastes into a Linux console")
RULE_MASKED(ioctl, 1, 0xffffffff, TIOCSETD, EPERM, "line disciplines: loads modules, a long list of bugs")
RULE_MASKED(ioctl, 1, 0xffffffff, TIOCCONS, EPERM, "redirects the console")

/* Mode bits that give power to whoever runs the file later, outside. */
RULE_MASKED(chmod, 1, S_ISUID, S_ISUID, EPERM, "a set-user-id file left in the workspace has the user's power")
RULE_MASKED(chmod, 1, S_ISGID, S_ISGID, EPERM, "as set-user-id")
RULE_MASKED(fchmod, 1, S_ISUID, S_ISUID, EPERM, "as chmod")
RULE_MASKED(fchmod, 1, S_ISGID, S_ISGID, EPERM, "as chmod")
RULE_MASKED(fchmodat, 2, S_ISUID, S_ISUID, EPERM, "as chmod")
RULE_MASKED(fchmodat, 2, S_ISGID, S_ISGID, EPERM, "as chmod")
RULE_MASKED(fchmodat2, 2, S_ISUID, S_ISUID, EPERM, "as chmod")
RULE_MASKED(fchmodat2, 2, S_ISGID, S_ISGID, EPERM, "as chmod")
RULE_MASKED(creat, 1, S_ISUID, S_ISUID, EPERM, "as chmod")
RULE_MASKED(creat, 1, S_ISGID, S_ISGID, EPERM, "as chmod")
/* Only where they create: otherwise the mode is whatever the register held. */
RULE_BOTH(open, 1, O_CREAT, 2, S_ISUID, EPERM, "as chmod")
RULE_BOTH(open, 1, O_CREAT, 2, S_ISGID, EPERM, "as chmod")
RULE_BOTH(open, 1, TMPFILE_BIT, 2, S_ISUID, EPERM, "as chmod")
RULE_BOTH(open, 1, TMPFILE_BIT, 2, S_ISGID, EPERM, "as chmod")
RULE_BOTH(openat, 2, O_CREAT, 3, S_ISUID, EPERM, "as chmod")
RULE_BOTH(openat, 2, O_CREAT, 3, S_ISGID, EPERM, "as chmod")
RULE_BOTH(openat, 2, TMPFILE_BIT, 3, S_ISUID, EPERM, "as chmod")
RULE_BOTH(openat, 2, TMPFILE_BIT, 3, S_ISGID, EPERM, "as chmod")
RULE(openat2, ENOSYS, "its mode lies in memory, where a filter cannot look; programs fall back to openat")
RULE_MASKED(mknod, 1, S_ISUID, S_ISUID, EPERM, "as chmod")
RULE_MASKED(mknod, 1, S_ISGID, S_ISGID, EPERM, "as chmod")
RULE_MASKED(mknodat, 2, S_ISUID, S_ISUID, EPERM, "as chmod")
RULE_MASKED(mknodat, 2, S_ISGID, S_ISGID, EPERM, "as chmod")

/* Sockets: what a build or an agent speaks, and nothing else. AF_UNIX 1, AF_INET 2, AF_INET6 10 stay; AF_NETLINK
 * 16 stays for route look-ups (getifaddrs), which the network namespace confines. */
RULE_RANGE(socket, 0, 3, 9, EPERM, "exotic families: large, rarely read code")
RULE_RANGE(socket, 0, 11, 15, EPERM, "exotic families")
RULE_RANGE(socket, 0, 17, 0xffffffff, EPERM, "AF_PACKET, AF_ALG, AF_VSOCK and exotic families")
RULE_RANGE(socketpair, 0, 2, 0xffffffff, EPERM, "only AF_UNIX makes pairs")
