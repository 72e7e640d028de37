/* enosys CALL[,CALL...] COMMAND [ARGUMENT...]: runs the command as on a kernel that lacks these system calls: each
 * answers ENOSYS, there and in whatever it starts. The word nfnetlink is no call: such sockets cannot be had. Link with
 * -lseccomp. */
#include <errno.h>
#include <linux/netlink.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r = 0;

	if (argc < 3 || !ctx) {
		fprintf(stderr, "usage: enosys CALL[,CALL...] COMMAND [ARGUMENT...]\n");
		return 125;
	}
	for (const char *name = strtok(argv[1], ","); name && r == 0; name = strtok(NULL, ",")) {
		int nr = seccomp_syscall_resolve_name(name);

		if (strcmp(name, "nfnetlink") == 0) {
			r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPROTONOSUPPORT), SCMP_SYS(socket), 2,
					     SCMP_A0(SCMP_CMP_EQ, AF_NETLINK, 0),
					     SCMP_A2(SCMP_CMP_EQ, NETLINK_NETFILTER, 0));
			continue;
		}
		if (nr == __NR_SCMP_ERROR) {
			fprintf(stderr, "enosys: no system call is called %s\n", name);
			return 125;
		}
		r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
	}
	/* Before no_new_privs is set it takes root; set-user-id programs are not what is tested. */
	if (r == 0)
		r = seccomp_load(ctx);
	if (r < 0) {
		fprintf(stderr, "enosys: %s\n", strerror(-r));
		return 125;
	}
	seccomp_release(ctx);
	(void)execvp(argv[2], argv + 2);
	perror(argv[2]);
	return errno == ENOENT ? 127 : 126;
}
