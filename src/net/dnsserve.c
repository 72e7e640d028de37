#include "net/dnsserve.h"

#include "net/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 32, DATAGRAM_MAX = 2048, QUIET_S = 10 };

struct dns_client {
	int fd;
	uint32_t since;
	size_t have;
	uint8_t query[2 + DNS_QUERY_MAX];
};

static uint32_t lookup_address(void *arg, const char *name)
{
	struct engine *g = arg;

	if (policy_has_name(g->policy, name))
		return synth_address(g->synth, name);
	if (strcmp(name, "localhost") != 0 && !str_ends(name, ".localhost"))
		notes_add(&g->notes, ENGINE_DENIED_NAME, name, 0, NULL);
	return 0;
}

static const char *lookup_name(void *arg, uint32_t address)
{
	return synth_name(((struct engine *)arg)->synth, address);
}

void dnsserve_udp(struct engine *g)
{
	static uint8_t queries[BATCH][DATAGRAM_MAX];
	static uint8_t answers[BATCH][DNS_ANSWER_MAX];
	const struct dns_lookup lookup = {lookup_address, lookup_name, g};
	struct sockaddr_storage from[BATCH];
	struct mmsghdr in[BATCH];
	struct mmsghdr out[BATCH];
	struct iovec iov[BATCH];
	unsigned n_out = 0;
	int n;

	memset(in, 0, sizeof(in));
	memset(out, 0, sizeof(out));
	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){queries[i], DATAGRAM_MAX};
		in[i].msg_hdr = (struct msghdr){
			.msg_name = &from[i], .msg_namelen = sizeof(from[i]), .msg_iov = &iov[i], .msg_iovlen = 1};
	}
	n = recvmmsg(g->dns_udp, in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		size_t length = 0;

		if (!(in[i].msg_hdr.msg_flags & MSG_TRUNC))
			length = dns_answer(queries[i], in[i].msg_len, &lookup, answers[i]);
		if (length == 0)
			continue;
		iov[i] = (struct iovec){answers[i], length};
		out[n_out].msg_hdr = (struct msghdr){.msg_name = &from[i],
						     .msg_namelen = in[i].msg_hdr.msg_namelen,
						     .msg_iov = &iov[i],
						     .msg_iovlen = 1};
		n_out++;
	}
	/* What does not go out is asked again by the resolver. */
	if (n_out > 0)
		(void)sendmmsg(g->dns_udp, out, n_out, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void end_client(struct engine *g, uint32_t index)
{
	(void)close_fd(g->dns_clients[index]->fd);
	free(g->dns_clients[index]);
	g->dns_clients[index] = NULL;
}

void dnsserve_accept(struct engine *g)
{
	for (int i = 0; i < BATCH; i++) {
		_cleanup_close_ int fd = accept4(g->dns_tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		uint32_t index = 0;

		if (fd < 0)
			return;
		while (index < g->max_dns_clients && g->dns_clients[index])
			index++;
		if (index == g->max_dns_clients || engine_watch(g, fd, EPOLLIN, TAG_DNS_CLIENT, index) < 0)
			continue;
		g->dns_clients[index] = xmalloc(sizeof(struct dns_client));
		g->dns_clients[index]->fd = take_fd(&fd);
		g->dns_clients[index]->since = g->now;
		g->dns_clients[index]->have = 0;
	}
}

/* Answers the first whole query in the buffer: 1, 0 when there is none, -errno. */
static int answer_one(struct engine *g, struct dns_client *c)
{
	const struct dns_lookup lookup = {lookup_address, lookup_name, g};
	uint8_t answer[2 + DNS_ANSWER_MAX];
	size_t want;
	size_t n;

	if (c->have < 2)
		return 0;
	want = 2 + ((size_t)c->query[0] << 8 | c->query[1]);
	if (c->have < want)
		return 0;
	n = dns_answer(c->query + 2, want - 2, &lookup, answer + 2);
	c->have -= want;
	memmove(c->query, c->query + want, c->have);
	if (n == 0)
		return -EBADMSG;
	answer[0] = (uint8_t)(n >> 8);
	answer[1] = (uint8_t)n;
	/* A client that does not read its answers gets no more of them. */
	return send(c->fd, answer, n + 2, MSG_NOSIGNAL) == (ssize_t)(n + 2) ? 1 : -EPIPE;
}

void dnsserve_client(struct engine *g, uint32_t index)
{
	struct dns_client *c = index < DNS_CLIENTS_MAX ? g->dns_clients[index] : NULL;
	ssize_t n;
	int r;

	if (!c)
		return;
	n = recv(c->fd, c->query + c->have, sizeof(c->query) - c->have, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end_client(g, index);
		return;
	}
	c->have += (size_t)n;
	c->since = g->now;
	do
		r = answer_one(g, c);
	while (r > 0);
	if (r < 0)
		end_client(g, index);
}

void dnsserve_timeouts(struct engine *g)
{
	for (uint32_t i = 0; i < DNS_CLIENTS_MAX; i++)
		if (g->dns_clients[i] && g->now - g->dns_clients[i]->since >= QUIET_S)
			end_client(g, i);
}
