#include "sys/childreport.h"

#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Shorter than PIPE_BUF, so that each is written whole. */
struct report {
	int errnum; /* 0: a pid follows */
	pid_t pid;
	char message[1024];
	char hints[1024];
	char details[1536];
};

void childreport_fail(int fd, const struct err *e)
{
	struct report report = {.errnum = e ? err_number(e) : EIO};

	(void)snprintf(report.message, sizeof(report.message), "%s", e ? err_message(e) : "unknown failure");
	(void)snprintf(report.hints, sizeof(report.hints), "%s", e ? err_hints(e) : "");
	(void)snprintf(report.details, sizeof(report.details), "%s", e ? err_details(e) : "");
	(void)fd_write_all(fd, &report, sizeof(report));
	_exit(1);
}

void childreport_pid(int fd, pid_t pid)
{
	const struct report report = {.pid = pid};

	(void)fd_write_all(fd, &report, sizeof(report));
}

int childreport_wait(int fd, pid_t *ret_pid, struct err **e)
{
	for (;;) {
		struct report report;
		size_t have = 0;

		while (have < sizeof(report)) {
			ssize_t n = read(fd, (char *)&report + have, sizeof(report) - have);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return err_errno(e, errno, "cannot read what became of a child process");
			if (n == 0)
				break;
			have += (size_t)n;
		}
		if (have == 0)
			return 0;
		if (have < sizeof(report))
			return err_set(e, EPIPE, "the process ended early");
		if (report.errnum == 0) {
			if (ret_pid)
				*ret_pid = report.pid;
			continue;
		}
		(void)err_set(e, report.errnum, "%.*s", (int)sizeof(report.message) - 1, report.message);
		if (report.details[0]) {
			report.details[sizeof(report.details) - 1] = '\0';
			(void)err_detail(e, report.details);
		}
		if (report.hints[0])
			(void)err_hint(e, "%.*s", (int)sizeof(report.hints) - 1, report.hints);
		return -report.errnum;
	}
}
