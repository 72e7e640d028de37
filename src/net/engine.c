#include "net/engine.h"

#include "net/bound.h"
#include "net/engine_impl.h"
#include "net/hello.h"
#include "net/httphost.h"
#include "net/relay.h"
#include "net_engine_program.h" /* made by seccomp/filter_gen.c: engine_program[] */
#include "sys/confined.h"
#include "sys/fd.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* Descriptors beside the listeners that are neither connections nor pipes: 0 to 2, control, epoll, DNS, the host's
 * addresses, c-ares with a few servers over UDP and TCP, and some air. And the fewest connections that are of use. */
enum { FDS_OWN = 28, CONNECTIONS_MIN = 4 };

struct start {
	const struct engine_config *config;
	struct engine *g;
};

const struct confine engine_walls = {
	.who = "network: the gateway",
	.network = true,
	.filter = engine_program,
	.n_filter = ARRAY_SIZE(engine_program),
};

/* Starts each library that a connection may need: the root will be empty, and a policy can gain any port. */
static int warm_up(struct err **e)
{
	struct hello *hello = NULL;
	struct httphost *http = NULL;
	char name[HOSTNAME_MAX + 1];
	int r = hello_new(&hello, e);

	hello_free(hello);
	if (r < 0)
		return r;
	r = httphost_new("localhost", 80, &http, e);
	httphost_free(http);
	if (r < 0)
		return r;
	/* Names beyond ASCII may be without their library: then they are refused. */
	(void)hostname_normalise("\xc3\xa4.example", 10, name, NULL);
	return 0;
}

static size_t at_most(rlim_t n, size_t max)
{
	return n < max ? (size_t)n : max;
}

static int make_tables(struct engine *g, struct err **e)
{
	const rlim_t fixed = FDS_OWN + g->n_listeners;
	struct rlimit limit = {1024, 1024};
	rlim_t left;

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	left = limit.rlim_cur > fixed ? limit.rlim_cur - fixed : 0;
	/* A quarter for pipes, a sixteenth for DNS over TCP, up to what is of use; each connection has two sockets. */
	g->pipes.max = at_most(left / 8, PIPES_MAX);
	g->max_dns_clients = at_most(left / 16, DNS_CLIENTS_MAX);
	g->max = at_most((left - 2 * g->pipes.max - g->max_dns_clients) / 2, ENGINE_CONNECTIONS_MAX);
	if (g->max < CONNECTIONS_MIN) {
		(void)err_set(e, EMFILE, "network: %llu open files are too few for the gateway",
			      (unsigned long long)limit.rlim_cur);
		return err_hint(e, "it needs %llu: raise the hard limit (`ulimit -Hn`)",
				(unsigned long long)fixed + 2 * CONNECTIONS_MIN + CONNECTIONS_MIN);
	}
	g->relays = xcalloc(g->max, sizeof(struct relay *));
	g->free_index = xcalloc(g->max, sizeof(*g->free_index));
	for (size_t i = 0; i < g->max; i++)
		g->free_index[g->n_free++] = (uint32_t)(g->max - 1 - i);
	return 0;
}

static int watch_all(struct engine *g, struct err **e)
{
	int r = g->dns_tcp >= 0 ? fd_set_nonblock(g->dns_tcp, true) : 0;

	for (size_t i = 0; r == 0 && i < g->n_listeners; i++)
		r = fd_set_nonblock(g->listeners[i].fd, true);
	if (r == 0)
		r = engine_watch(g, g->control, EPOLLIN, TAG_CONTROL, 0);
	if (r == 0)
		r = engine_watch(g, hostaddr_fd(g->hostaddr), EPOLLIN, TAG_HOSTADDR, 0);
	if (r == 0 && g->dns_udp >= 0)
		r = engine_watch(g, g->dns_udp, EPOLLIN, TAG_DNS_UDP, 0);
	if (r == 0 && g->dns_tcp >= 0)
		r = engine_watch(g, g->dns_tcp, EPOLLIN, TAG_DNS_TCP, 0);
	return r < 0 ? err_errno(e, -r, "network: the gateway cannot watch its sockets") : 0;
}

static int prepare(void *arg, int control, struct err **e)
{
	_cleanup_policy_ struct policy *p = policy_new();
	struct start *s = arg;
	const struct engine_config *config = s->config;
	struct engine *g = s->g = xcalloc(1, sizeof(*s->g));
	int r;

	g->control = control;
	g->allow_unnamed_tls = config->allow_unnamed_tls;
	g->broker = -1;
	g->dns_udp = config->sockets.dns_udp;
	g->dns_tcp = config->sockets.dns_tcp;
	g->n_listeners = config->sockets.n_spare;
	for (size_t i = 0; i < g->n_listeners; i++)
		g->listeners[i].fd = config->sockets.spare[i];
	notes_init(&g->notes, control);
	g->synth = synth_new(config->base);
	g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (g->epoll_fd < 0)
		return err_errno(e, errno, "network: epoll_create1");
	r = make_tables(g, e);
	if (r == 0)
		r = resolver_new(g->epoll_fd, &g->resolver, e);
	if (r == 0)
		r = hostaddr_new(&g->hostaddr, e);
	if (r == 0)
		r = warm_up(e);
	if (r == 0)
		r = watch_all(g, e);
	if (r == 0 && config->sockets.every >= 0 && (r = ports_add_every(g, config->sockets.every)) < 0)
		(void)err_errno(e, -r, "network: the gateway cannot listen");
	if (r == 0 && config->bound && (r = bound_begin(g, config->bound, config->broker)) < 0)
		(void)err_errno(e, -r, "network: the gateway cannot watch its sockets");
	if (r == 0)
		r = policy_add_all(p, config->policy, e);
	if (r == 0)
		r = engine_use_policy(g, take_ptr(p), e);
	return r;
}

static void serve(void *arg)
{
	const struct start *s = arg;

	engine_serve(s->g);
}

static void close_sockets(const struct engine_sockets *s)
{
	(void)close_fd(s->dns_udp);
	(void)close_fd(s->dns_tcp);
	(void)close_fd(s->every);
	for (size_t i = 0; i < s->n_spare; i++)
		(void)close_fd(s->spare[i]);
}

static int start(const struct engine_config *config, pid_t *ret_pid, int *ret_control, struct err **e)
{
	enum { OTHERS = 4 };
	const struct engine_sockets *s = &config->sockets;
	int fds[OTHERS + ENGINE_SPARE_SOCKETS] = {s->dns_udp, s->dns_tcp, s->every,
						  config->bound ? config->broker : -1};
	struct start arg = {.config = config};
	const struct confined what = {.name = "igloo-net",
				      .what = "network: the gateway",
				      .fds = fds,
				      .nfds = OTHERS + s->n_spare,
				      .prepare = prepare,
				      .walls = &engine_walls,
				      .serve = serve};

	memcpy(fds + OTHERS, s->spare, s->n_spare * sizeof(*fds));
	return confined_start(&what, &arg, ret_pid, ret_control, e);
}

int engine_start(const struct engine_config *config, pid_t *ret_pid, int *ret_control, struct err **e)
{
	int r = config->sockets.n_spare > ENGINE_SPARE_SOCKETS ? err_set(e, EINVAL, "network: too many sockets")
							       : start(config, ret_pid, ret_control, e);

	if (config->sockets.n_spare <= ENGINE_SPARE_SOCKETS)
		close_sockets(&config->sockets);
	if (config->bound)
		(void)close_fd(config->broker);
	return r;
}
