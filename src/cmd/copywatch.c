#include "cmd/copywatch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "sys/fd.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>

enum { QUIET_MS = 1000, LINE_MS = 200, SIGNAL_EXIT = 128 };

static volatile sig_atomic_t ended_by;

static void on_signal(int signo)
{
	ended_by = signo;
}

static int tick(void *arg, const struct copytree *now)
{
	struct copywatch *w = arg;
	int64_t ms = clock_ms(CLOCK_BOOTTIME);
	_cleanup_str_ struct str line = STR_INIT;

	if (ended_by)
		return -EINTR;
	if (w->quiet || ms - w->begun_ms < QUIET_MS || ms - w->said_ms < LINE_MS)
		return 0;
	str_addf(&line, "\r\033[Kigloo: copying: %" PRIu64 " files, ", now->entries);
	size_add(&line, now->done);
	str_addf(&line, " [%llds]", (long long)((ms - w->begun_ms) / 1000));
	(void)fd_write_all(STDERR_FILENO, line.p, line.len);
	w->said_ms = ms;
	w->shown = true;
	return 0;
}

void copywatch_begin(struct copywatch *w, const struct invocation *inv)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	const struct sigaction action = {.sa_handler = on_signal};

	*w = (struct copywatch){.copy = {.tick = tick, .arg = w}, .begun_ms = clock_ms(CLOCK_BOOTTIME)};
	w->quiet = inv->global.json || log_level() != LOG_NORMAL || !isatty(STDERR_FILENO);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction was;

		/* What the caller ignores stays ignored. */
		if (sigaction(signals[i], NULL, &was) == 0 && was.sa_handler != SIG_IGN)
			(void)sigaction(signals[i], &action, NULL);
	}
}

int copywatch_end(struct copywatch *w, int r, struct err **e)
{
	if (w->shown)
		(void)fd_write_all(STDERR_FILENO, "\r\033[K", 4);
	if (r >= 0 || !ended_by)
		return r;
	(void)err_set(e, EINTR, "interrupted: nothing was changed");
	return err_exit_code(e, SIGNAL_EXIT + ended_by);
}
