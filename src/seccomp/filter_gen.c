/* Runs at build time: turns a list of rules into a BPF program by libseccomp and prints it as a C array, so that a
 * start of igloo neither links libseccomp nor compiles a filter. Calls of another architecture than the machine's own
 * (32-bit ones, x32) kill the process: libseccomp's bad-arch action.
 *
 * Compiled once for each filter, with FILTER_RULES, the header of its rules; FILTER_NAME, the array's; and
 * FILTER_ERRNO, with which calls without a rule fail, 0 to let them through. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef TIOCLINUX
#define TIOCLINUX 0x541c
#endif

enum how { ALWAYS, MASKED, BOTH, RANGE, TWO };

/* O_TMPFILE without the O_DIRECTORY in it. */
#define TMPFILE_BIT (O_TMPFILE & ~O_DIRECTORY)

struct rule {
	const char *call;
	enum how how;
	unsigned argument;
	uint64_t a;         /* mask, or the lowest value */
	uint64_t b;         /* value, or the highest */
	int errnum;         /* 0: allowed */
	unsigned argument2; /* BOTH: b is its bit; TWO: b is its value */
};

#define RULE(call, errnum, reason) {#call, ALWAYS, 0, 0, 0, errnum, 0},
#define RULE_MASKED(call, argument, mask, value, errnum, reason) \
	{#call, MASKED, argument, mask, (uint64_t)(value), errnum, 0},
#define RULE_BOTH(call, argument, bit, argument2, bit2, errnum, reason) \
	{#call, BOTH, argument, bit, bit2, errnum, argument2},
#define RULE_RANGE(call, argument, low, high, errnum, reason) {#call, RANGE, argument, low, high, errnum, 0},
#define ALLOW(call) {#call, ALWAYS, 0, 0, 0, 0, 0},
#define ALLOW_IS(call, argument, value) {#call, RANGE, argument, (uint32_t)(value), (uint32_t)(value), 0, 0},
#define ALLOW_TWO(call, argument, value, argument2, value2) \
	{#call, TWO, argument, (uint32_t)(value), (uint32_t)(value2), 0, argument2},
#define ALLOW_NONE(call, argument, mask) {#call, MASKED, argument, mask, 0, 0, 0},
static const struct rule rules[] = {
#include FILTER_RULES
};

static int add(scmp_filter_ctx ctx, const struct rule *r)
{
	uint32_t action = r->errnum ? SCMP_ACT_ERRNO((uint32_t)r->errnum) : SCMP_ACT_ALLOW;
	int nr = seccomp_syscall_resolve_name(r->call);

	/* A call this architecture or this libseccomp does not know is not there to be made. */
	if (nr == __NR_SCMP_ERROR || (nr < 0 && r->errnum == 0))
		return 0;
	switch (r->how) {
	case ALWAYS:
		return seccomp_rule_add(ctx, action, nr, 0);
	case MASKED:
		return seccomp_rule_add(ctx, action, nr, 1, SCMP_CMP(r->argument, SCMP_CMP_MASKED_EQ, r->a, r->b));
	case BOTH:
		return seccomp_rule_add(ctx, action, nr, 2, SCMP_CMP(r->argument, SCMP_CMP_MASKED_EQ, r->a, r->a),
					SCMP_CMP(r->argument2, SCMP_CMP_MASKED_EQ, r->b, r->b));
	case TWO:
		return seccomp_rule_add(ctx, action, nr, 2, SCMP_CMP32(r->argument, SCMP_CMP_EQ, (uint32_t)r->a, 0),
					SCMP_CMP32(r->argument2, SCMP_CMP_EQ, (uint32_t)r->b, 0));
	case RANGE:
		/* The kernel takes these arguments as 32 bits: the upper half must not hide a value. */
		if (r->b == 0xffffffff)
			return seccomp_rule_add(ctx, action, nr, 1,
						SCMP_CMP32(r->argument, SCMP_CMP_GE, (uint32_t)r->a));
		for (uint64_t v = r->a; v <= r->b; v++) {
			int rc = seccomp_rule_add(ctx, action, nr, 1,
						  SCMP_CMP32(r->argument, SCMP_CMP_EQ, (uint32_t)v));

			if (rc < 0)
				return rc;
		}
		return 0;
	}
	return -EINVAL;
}

int main(void)
{
	scmp_filter_ctx ctx = seccomp_init(FILTER_ERRNO ? SCMP_ACT_ERRNO(FILTER_ERRNO) : SCMP_ACT_ALLOW);
	struct sock_filter f;
	FILE *tmp = tmpfile();
	int rc;

	if (!ctx || !tmp)
		return 1;
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc == 0)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a binary tree: every call passes here */
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && rc == 0; i++) {
		rc = add(ctx, &rules[i]);
		if (rc < 0)
			(void)fprintf(stderr, "%s: error %d\n", rules[i].call, rc);
	}
	if (rc == 0)
		rc = seccomp_export_bpf(ctx, fileno(tmp));
	if (rc < 0)
		return 1;
	rewind(tmp);
	printf("/* Made by filter_gen.c. */\n#include <linux/filter.h>\nstatic const struct sock_filter %s[] = {\n",
	       FILTER_NAME);
	while (fread(&f, sizeof(f), 1, tmp) == 1)
		printf("\t{0x%02x, %u, %u, 0x%08x},\n", f.code, f.jt, f.jf, f.k);
	printf("};\n");
	seccomp_release(ctx);
	return 0;
}
