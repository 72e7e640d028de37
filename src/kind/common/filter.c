#include "kind/common/filter.h"

#include "filter_program.h" /* made by seccomp/filter_gen.c: filter_program[] */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

int filter_load(void)
{
	struct sock_fprog program = {
		.len = sizeof(filter_program) / sizeof(filter_program[0]),
		/* The kernel only reads it; the structure lacks the const. */
		.filter = (struct sock_filter *)(uintptr_t)filter_program,
	};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}
