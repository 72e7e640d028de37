#include "box/starting.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { QUIET_MS = 1000 };

/* Of guest/vmwords.h. */
static const char *const stages[] = {"its kernel starts",
				     "its init loads modules",
				     "it looks for its port",
				     "it mounts its file systems",
				     "its guest starts",
				     "it goes on from memory",
				     "it did not go on from memory, and boots"};

void starting_begin(struct starting *s)
{
	*s = (struct starting){.begun_ms = clock_ms(CLOCK_BOOTTIME), .stage = -1};
}

static void clear_line(struct starting *s)
{
	if (s->shown)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	s->shown = false;
}

void starting_stage(struct starting *s, uint8_t stage, const char *words)
{
	int64_t ms = clock_ms(CLOCK_BOOTTIME) - s->begun_ms;
	char line[128];
	int n;

	if (stage >= ARRAY_SIZE(stages))
		return;
	if (s->stage != stage)
		log_verbose("the machine, after %lld ms: %s%s%s", (long long)ms, stages[stage], *words ? ": " : "",
			    words);
	s->stage = stage;
	if (log_level() != LOG_NORMAL || ms < QUIET_MS || !isatty(STDERR_FILENO))
		return;
	n = snprintf(line, sizeof(line), "\r\033[Kigloo: the machine starts: %s [%llds]", stages[stage],
		     (long long)(ms / 1000));
	(void)!write(STDERR_FILENO, line, (size_t)n);
	s->shown = true;
}

void starting_end(struct starting *s, bool started)
{
	clear_line(s);
	if (started && s->stage >= 0)
		log_verbose("the machine has started, after %lld ms",
			    (long long)(clock_ms(CLOCK_BOOTTIME) - s->begun_ms));
	s->stage = -1;
}
