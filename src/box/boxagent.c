#include "box/boxagent.h"

#include "base/log.h"
#include "net/agentproxy.h"
#include "sys/confined.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { FINISH_MS = 500, RETRY_MS = 20 };

struct boxagent {
	const struct sshkeys *keys;
	struct agentmsg_keys wire; /* the same for the process, which is a copy of this one */
	int listener;
	pid_t proxy;
	int control;  /* -1 without a process */
	bool held;    /* a connection that the process, or the agent, has no room for yet */
	bool waiting; /* it is for the agent: nothing tells when it has, but a timer */
	bool failed;  /* no process could be started: said once */
	int timer;    /* -1 when it was never needed */
	int box_fd;
	int agent_fd;
	struct agentproxy_totals totals;    /* of this process */
	uint32_t before[AGENTMSG_KEYS_MAX]; /* of those that ended */
};

struct boxagent *boxagent_new(const struct sshkeys *keys)
{
	struct boxagent *a = xcalloc(1, sizeof(*a));

	a->keys = keys;
	a->listener = a->control = a->timer = a->box_fd = a->agent_fd = -1;
	for (size_t i = 0; i < keys->n; i++)
		a->wire.v[i] = (struct agentmsg_bytes){(const uint8_t *)keys->v[i].key.p, keys->v[i].key.len};
	a->wire.n = keys->n;
	return a;
}

int *boxagent_listener(struct boxagent *a)
{
	return &a->listener;
}

void boxagent_poll(const struct boxagent *a, struct pollfd fds[BOXAGENT_POLLS])
{
	fds[0] = fds[1] = fds[2] = (struct pollfd){.fd = -1, .events = POLLIN};
	if (!a)
		return;
	fds[0].fd = a->held ? -1 : a->listener;
	fds[1].fd = a->control;
	fds[1].events = (short)(POLLIN | (a->held && !a->waiting ? POLLOUT : 0));
	fds[2].fd = a->waiting ? a->timer : -1;
}

static void drop_held(struct boxagent *a)
{
	if (!a->held)
		return;
	a->box_fd = close_fd(a->box_fd);
	a->agent_fd = close_fd(a->agent_fd);
	a->held = a->waiting = false;
}

static uint32_t signatures(const struct boxagent *a, size_t key)
{
	return a->before[key] + a->totals.signatures[key];
}

static void end_proxy(struct boxagent *a)
{
	for (size_t i = 0; i < a->keys->n; i++)
		a->before[i] = signatures(a, i);
	a->totals = (struct agentproxy_totals){{0}};
	a->control = close_fd(a->control);
	(void)confined_end(a->proxy);
	a->proxy = 0;
}

static bool want_proxy(struct boxagent *a)
{
	_cleanup_err_ struct err *e = NULL;

	if (a->control >= 0 || agentproxy_start(&a->wire, &a->proxy, &a->control, &e) == 0)
		return true;
	if (!a->failed)
		log_note("the box has no SSH agent: %s", err_message(e));
	a->failed = true;
	return false;
}

static void pass_on(struct boxagent *a)
{
	if (want_proxy(a) && agentproxy_serve(a->control, a->box_fd, a->agent_fd) == -EAGAIN)
		return;
	if (a->control < 0)
		drop_held(a);
	a->box_fd = a->agent_fd = -1;
	a->held = false;
}

static bool rest(struct boxagent *a)
{
	const struct itimerspec at = {.it_value = {.tv_nsec = RETRY_MS * 1000000L}};

	if (a->timer < 0)
		a->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return a->timer >= 0 && timerfd_settime(a->timer, 0, &at, NULL) == 0;
}

/* An agent that ended fails this connection; one that came again at the same place serves the next. One with too many
 * connections to accept is waited for. */
static void reach_agent(struct boxagent *a)
{
	int fd = sshkeys_connect(a->keys->socket);

	a->waiting = fd == -EAGAIN && rest(a);
	if (a->waiting)
		return;
	a->agent_fd = fd < 0 ? -1 : fd;
	pass_on(a);
}

/* One at a time. */
static void take(struct boxagent *a)
{
	int fd = accept4(a->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		/* Out of descriptors or memory: it stays readable, so a little rest instead of a busy loop. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			(void)poll(NULL, 0, 10);
		return;
	}
	a->box_fd = fd;
	a->held = true;
	reach_agent(a);
}

static bool on_control(struct boxagent *a)
{
	int r = agentproxy_totals(a->control, &a->totals);

	if (r < 0) {
		log_note("the box's connections to the SSH agent have ended: the process for them did");
		drop_held(a);
		end_proxy(a);
	}
	return r > 0;
}

bool boxagent_work(struct boxagent *a, const struct pollfd fds[BOXAGENT_POLLS])
{
	bool more = false;

	if (!a)
		return false;
	if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
		more = on_control(a);
	if (a->waiting && fds[2].revents)
		reach_agent(a);
	else if (a->held && !a->waiting && fds[1].revents)
		pass_on(a);
	if (fds[0].revents && !a->held)
		take(a);
	return more;
}

void boxagent_finish(struct boxagent *a)
{
	if (!a)
		return;
	a->listener = close_fd(a->listener);
	drop_held(a);
	if (a->control >= 0) {
		agentproxy_finish(a->control, FINISH_MS);
		(void)agentproxy_totals(a->control, &a->totals);
	}
	end_proxy(a);
}

void boxagent_notes(const struct boxagent *a, struct strv *to)
{
	for (size_t i = 0; a && i < a->keys->n; i++)
		if (signatures(a, i) > 0)
			strv_addf(to, "the box made %u signature%s with the SSH key %s %s", signatures(a, i),
				  signatures(a, i) == 1 ? "" : "s", a->keys->v[i].fingerprint, a->keys->v[i].comment);
}

json_t *boxagent_json(const struct boxagent *a)
{
	json_t *list = json_array();

	for (size_t i = 0; a && i < a->keys->n; i++)
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:I}", "fingerprint", a->keys->v[i].fingerprint,
							    "comment", a->keys->v[i].comment, "signatures",
							    (json_int_t)signatures(a, i)));
	return list;
}

void boxagent_free(struct boxagent *a)
{
	if (!a)
		return;
	(void)close_fd(a->listener);
	(void)close_fd(a->timer);
	drop_held(a);
	end_proxy(a);
	free(a);
}
