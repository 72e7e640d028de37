/* The messages on the control socket, both ends of it. */
#include "base/clock.h"
#include "net/engine_impl.h"
#include "net/relay.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MS = 10000 };

const char *engine_reason_name(enum engine_reason reason)
{
	switch (reason) {
	case ENGINE_DENIED_NAME:
		return "name not allowed";
	case ENGINE_DENIED_PORT:
		return "port not allowed";
	case ENGINE_DENIED_ADDRESS:
		return "resolves to an address that is not public";
	case ENGINE_DENIED_LITERAL:
		return "address not allowed";
	case ENGINE_DENIED_TLS_NAME:
		return "TLS for another name";
	case ENGINE_DENIED_TLS_NONE:
		return "no TLS with a readable name";
	case ENGINE_DENIED_HTTP_HOST:
		return "HTTP for another host";
	case ENGINE_FAILED:
		return "cannot be reached";
	case ENGINE_DENIED_CERTIFICATE:
		return "no secret is sent without a certificate that is trusted";
	}
	return "unknown reason";
}

int engine_event(int control, struct engine_event *ret)
{
	struct engine_event ev;
	ssize_t n = recv(control, &ev, sizeof(ev), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -EPIPE;
	if (n != sizeof(ev))
		return n == 0 ? -EPIPE : 0;
	/* The engine reads hostile bytes: what it says is not trusted to be a string. */
	ev.host[HOSTNAME_MAX] = ev.detail[HOSTNAME_MAX] = '\0';
	*ret = ev;
	return 1;
}

static int send_waiting(int control, const void *bytes, size_t n, int fd)
{
	struct pollfd p = {.fd = control, .events = POLLOUT};
	int r;

	while ((r = fd_send(control, bytes, n, &fd, fd >= 0 ? 1 : 0)) == -EAGAIN)
		if (poll(&p, 1, ANSWER_MS) == 0)
			return -ETIMEDOUT;
	return r;
}

static int send_policy(int control, const struct strv *policy, int answer_fd)
{
	static const size_t room = POLICY_MESSAGE_MAX - sizeof(struct policy_message);
	_cleanup_str_ struct str all = STR_INIT;
	_cleanup_free_ uint8_t *message = xmalloc(POLICY_MESSAGE_MAX);
	size_t at = 0;

	for (size_t i = 0; i < policy->n; i++)
		str_add(&all, policy->v[i], strlen(policy->v[i]) + 1);
	if (all.len > POLICY_BYTES_MAX)
		return -E2BIG;
	do {
		size_t n = all.len - at < room ? all.len - at : room;
		struct policy_message head = {
			.message = MESSAGE_POLICY, .total = (uint32_t)all.len, .offset = (uint32_t)at};
		int r;

		memcpy(message, &head, sizeof(head));
		if (n > 0)
			memcpy(message + sizeof(head), all.p + at, n);
		at += n;
		/* The last piece carries the pipe for the answer. */
		r = send_waiting(control, message, sizeof(head) + n, at == all.len ? answer_fd : -1);
		if (r < 0)
			return r;
	} while (at < all.len);
	return 0;
}

/* Who asks may know it before whoever watches the engine does. */
static int engine_ended(struct err **e)
{
	return err_set(e, ENETDOWN, "the box has no network any more: its engine ended");
}

int engine_set_policy(int control, const struct strv *policy, struct err **e)
{
	_cleanup_close_ int in = -1;
	_cleanup_close_ int out = -1;
	struct policy_answer answer;
	struct pollfd p;
	int fds[2];
	int r;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(e, errno, "network: cannot make a pipe");
	in = fds[0];
	out = fds[1];
	r = send_policy(control, policy, out);
	/* Else the end of the engine would not be seen. */
	(void)close_fd(take_fd(&out));
	if (r == -EPIPE || r == -ECONNRESET)
		return engine_ended(e);
	if (r < 0)
		return err_errno(e, -r, "network: cannot tell the gateway its new policy");
	p = (struct pollfd){.fd = in, .events = POLLIN};
	if (poll(&p, 1, ANSWER_MS) <= 0)
		return err_set(e, ETIMEDOUT, "network: the gateway does not answer");
	if (read(in, &answer, sizeof(answer)) != sizeof(answer))
		return engine_ended(e);
	answer.message[sizeof(answer.message) - 1] = '\0';
	return answer.errnum ? err_set(e, answer.errnum > 0 ? answer.errnum : EIO, "%s", answer.message) : 0;
}

int engine_add_every(int control, int fd, struct err **e)
{
	int r = send_waiting(control, (const uint8_t[]){MESSAGE_EVERY}, 1, fd);

	(void)close_fd(fd);
	if (r == -EPIPE || r == -ECONNRESET)
		return engine_ended(e);
	return r < 0 ? err_errno(e, -r, "network: cannot give the gateway its listener") : 0;
}

int engine_set_servers(int control, const char *servers)
{
	_cleanup_str_ struct str message = STR_INIT;

	str_addc(&message, MESSAGE_SERVERS);
	str_adds(&message, servers);
	return message.len > POLICY_MESSAGE_MAX ? -E2BIG : send_waiting(control, message.p, message.len, -1);
}

int engine_forward(int control, int host_fd, int box_fd)
{
	const int fds[2] = {host_fd, box_fd};
	int r = fd_send(control, (const uint8_t[]){MESSAGE_FORWARD}, 1, fds, 2);

	if (r == -EAGAIN)
		return r;
	(void)close_fd(host_fd);
	(void)close_fd(box_fd);
	return r;
}

void engine_finish(int control, int timeout_ms)
{
	struct pollfd p = {.fd = control, .events = 0};
	int64_t end = clock_ms(CLOCK_MONOTONIC) + timeout_ms;
	int64_t left = timeout_ms;

	if (fd_send(control, (const uint8_t[]){MESSAGE_FINISH}, 1, NULL, 0) < 0)
		return;
	while (left > 0 && poll(&p, 1, (int)left) <= 0)
		left = end - clock_ms(CLOCK_MONOTONIC);
}

static int apply(struct engine *g, struct err **e)
{
	_cleanup_policy_ struct policy *p = policy_new();
	const char *end = g->incoming.p + g->incoming.len;

	for (const char *at = g->incoming.p; at && at < end; at += strlen(at) + 1) {
		int r = policy_add(p, at, e);

		if (r < 0)
			return r;
	}
	notes_forget(&g->notes);
	return engine_use_policy(g, take_ptr(p), e);
}

static void receive_piece(struct engine *g, size_t n, int answer_fd)
{
	struct policy_message head;
	struct policy_answer answer = {0};
	_cleanup_err_ struct err *e = NULL;

	memcpy(&head, g->buffer, sizeof(head));
	if (head.offset == 0)
		str_clear(&g->incoming);
	if (head.total > POLICY_BYTES_MAX || head.offset != g->incoming.len)
		return;
	str_add(&g->incoming, g->buffer + sizeof(head), n - sizeof(head));
	if (g->incoming.len < head.total || answer_fd < 0)
		return;
	if (apply(g, &e) < 0) {
		answer.errnum = e ? err_number(e) : EIO;
		(void)snprintf(answer.message, sizeof(answer.message), "%s", e ? err_message(e) : "failed");
	}
	str_release(&g->incoming);
	(void)fd_write_all(answer_fd, &answer, sizeof(answer));
}

/* Takes the descriptors; those nobody wants are closed. */
static void receive(struct engine *g, size_t n, int fds[2], size_t nfds)
{
	switch ((enum message)g->buffer[0]) {
	case MESSAGE_POLICY:
		if (n >= sizeof(struct policy_message))
			receive_piece(g, n, nfds == 1 ? fds[0] : -1);
		break;
	case MESSAGE_FORWARD:
		if (nfds == 2)
			relay_adopt(g, take_fd(&fds[0]), take_fd(&fds[1]));
		break;
	case MESSAGE_FINISH:
		g->finishing = true;
		break;
	case MESSAGE_EVERY:
		if (nfds == 1)
			(void)ports_add_every(g, take_fd(&fds[0]));
		break;
	case MESSAGE_SERVERS:
		resolver_use(g->resolver, (const char *)g->buffer + 1, n - 1);
		break;
	}
}

bool policy_receive(struct engine *g)
{
	int fds[2] = {-1, -1};
	size_t nfds = 2;
	ssize_t n = fd_recv(g->control, g->buffer, POLICY_MESSAGE_MAX, fds, &nfds, MSG_DONTWAIT);

	if (n == -EAGAIN || n == -EINTR)
		return true;
	if (n <= 0)
		return false;
	receive(g, (size_t)n, fds, nfds);
	for (size_t i = 0; i < 2; i++)
		(void)close_fd(fds[i]);
	return true;
}
