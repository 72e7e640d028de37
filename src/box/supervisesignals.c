/* What ends a box or its command from outside: signals to the supervisor, its terminal's end, the time limit. */
#include "box/supervise_impl.h"

#include "box/box.h"
#include "box/kind.h"
#include "wire/msg.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static sigset_t signals_before;
static bool signals_blocked;

void supervise_signal_set(sigset_t *set)
{
	static const int taken[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGPIPE};

	(void)sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++) {
		struct sigaction old;

		/* What our caller ignores (nohup, a background job of a plain shell) stays ignored. */
		if (sigaction(taken[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
			continue;
		(void)sigaddset(set, taken[i]);
	}
}

void supervise_signals_block(void)
{
	sigset_t set;

	if (signals_blocked)
		return;
	supervise_signal_set(&set);
	(void)sigprocmask(SIG_BLOCK, &set, &signals_before);
	signals_blocked = true;
}

void supervise_signals_restore(void)
{
	if (signals_blocked)
		(void)sigprocmask(SIG_SETMASK, &signals_before, NULL);
	signals_blocked = false;
}

void supervise_send_signal(struct sup *s, uint32_t stream, int signo)
{
	uint8_t payload[MSG_NUMBER_BYTES];

	msg_put_number(payload, (uint32_t)signo);
	(void)link_send(s->guest, stream, FRAME_SIGNAL, 0, payload, sizeof(payload), NULL, 0);
}

void supervise_set_timer(struct sup *s, uint64_t ms)
{
	const struct itimerspec at = {
		.it_value = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 + 1}};

	(void)timerfd_settime(s->timer, 0, &at, NULL);
}

static void resize_terminal(struct sup *s)
{
	uint8_t size[4];

	if (terminal_resize(&s->terminal, size) > 0)
		(void)link_send(s->guest, MAIN_STREAM, FRAME_RESIZE, 0, size, sizeof(size), NULL, 0);
}

/* Asks the main command to end; a box that has none ends when its guest is asked. */
static void ask_to_end(struct sup *s, int signo)
{
	uint8_t payload[MSG_NUMBER_BYTES];

	if (!s->idle) {
		supervise_send_signal(s, MAIN_STREAM, signo);
		return;
	}
	s->stopping = true;
	msg_put_number(payload, KILL_AFTER_MS);
	(void)link_send(s->guest, 0, FRAME_SHUTDOWN, 0, payload, sizeof(payload), NULL, 0);
	supervise_set_timer(s, 2 * KILL_AFTER_MS);
}

/* As the kernel would tell those whose terminal it was. */
void supervise_check_terminal(struct sup *s)
{
	if (!s->terminal.lost || s->terminal_lost)
		return;
	s->terminal_lost = true;
	supervise_send_signal(s, MAIN_STREAM, SIGHUP);
	supervise_set_timer(s, KILL_AFTER_MS);
}

/* A machine takes seconds to start, and may never get there: who gives up then ends it, and not the command that is to
 * come. Whether it was for that. */
static bool gave_up(struct sup *s, int signo)
{
	if (s->greeted || !s->box->kind->machine ||
	    (signo != SIGINT && signo != SIGTERM && signo != SIGHUP && signo != SIGQUIT))
		return false;
	s->result.how = SUPERVISE_SIGNALLED;
	s->result.value = signo;
	s->done = true;
	return true;
}

void supervise_on_signal(struct sup *s)
{
	struct signalfd_siginfo info;

	if (read(s->signals, &info, sizeof(info)) != (ssize_t)sizeof(info) || info.ssi_signo == SIGPIPE)
		return;
	if (info.ssi_signo == SIGWINCH) {
		resize_terminal(s);
		return;
	}
	/* A terminal signals the whole process group, the command among it. */
	if (s->foreground && info.ssi_code == SI_KERNEL && info.ssi_signo != SIGHUP)
		return;
	if (gave_up(s, (int)info.ssi_signo))
		return;
	ask_to_end(s, (int)info.ssi_signo);
	if (info.ssi_signo == SIGHUP && !s->idle)
		supervise_set_timer(s, KILL_AFTER_MS);
}

void supervise_on_timer(struct sup *s)
{
	uint64_t count;

	if (read(s->timer, &count, sizeof(count)) != (ssize_t)sizeof(count))
		return;
	if (!s->timed_out && s->box->spec->limits.timeout_ms > 0) {
		s->timed_out = true;
		if (gave_up(s, SIGTERM)) {
			s->result.how = SUPERVISE_TIMED_OUT;
			return;
		}
		supervise_set_timer(s, KILL_AFTER_MS);
		ask_to_end(s, SIGTERM);
		return;
	}
	s->result.how = s->timed_out ? SUPERVISE_TIMED_OUT : SUPERVISE_STOPPED;
	s->result.value = SIGKILL;
	s->done = true;
}
