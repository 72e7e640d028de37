#include "net/engine.h"

#include "net/bound.h"
#include "net/engine_impl.h"
#include "net/hello.h"
#include "net/httphost.h"
#include "net/relay.h"
#include "net/seal.h"
#include "sys/childreport.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Descriptors beside the listeners that are neither connections nor pipes: 0 to 2, control, epoll, DNS, the host's
 * addresses, c-ares with a few servers over UDP and TCP, and some air. And the fewest connections that are of use. */
enum { FDS_OWN = 28, CONNECTIONS_MIN = 4 };

static int compare_int(const void *a, const void *b)
{
	int x = *(const int *)a;
	int y = *(const int *)b;

	return (x > y) - (x < y);
}

/* Closes all but these and 0 to 2, which become /dev/null. */
static int keep_only(int *fds, size_t n)
{
	int from = 3;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -errno;
	for (int i = 0; i < 3; i++)
		if (null != i && dup2(null, i) < 0)
			return -errno;
	qsort(fds, n, sizeof(*fds), compare_int);
	for (size_t i = 0; i < n; i++) {
		if (fds[i] < 3)
			continue;
		if (fds[i] > from && syscall(SYS_close_range, (unsigned)from, (unsigned)fds[i] - 1, 0) < 0)
			for (int fd = from; fd < fds[i]; fd++)
				(void)close(fd);
		from = fds[i] + 1;
	}
	fd_close_from(from);
	return 0;
}

static int become_engine(const struct engine_config *config, int control, int report, pid_t parent, struct err **e)
{
	enum { OTHERS = 6 };
	const struct engine_sockets *s = &config->sockets;
	int broker = config->bound ? config->broker : -1;
	int fds[ENGINE_SPARE_SOCKETS + OTHERS] = {control, report, s->dns_udp, s->dns_tcp, s->every, broker};
	struct rlimit limit;
	sigset_t none;
	int r;

	(void)prctl(PR_SET_NAME, "igloo-net");
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN); /* splice(2) to a closed socket */
	/* A Ctrl-C is for the box, whose supervisor ends this. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		return err_set(e, ESRCH, "network: the gateway's supervisor is gone");
	memcpy(fds + OTHERS, s->spare, s->n_spare * sizeof(*fds));
	r = keep_only(fds, s->n_spare + OTHERS);
	if (r < 0)
		return err_errno(e, -r, "network: cannot close the gateway's other descriptors");
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	return 0;
}

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

static int prepare(struct engine *g, const struct engine_config *config, int control, struct err **e)
{
	_cleanup_policy_ struct policy *p = policy_new();
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

static void run(const struct engine_config *config, int control, int report, pid_t parent) ATTR_NORETURN;
static void run(const struct engine_config *config, int control, int report, pid_t parent)
{
	struct engine *g = xcalloc(1, sizeof(*g));
	struct err *e = NULL;
	int r = become_engine(config, control, report, parent, &e);

	if (r == 0)
		r = prepare(g, config, control, &e);
	if (r == 0)
		r = seal_close(&e);
	/* It may have gone while the death signal was cleared by the change of user. */
	if (r == 0 && getppid() != parent)
		r = err_set(&e, ESRCH, "network: the gateway's supervisor is gone");
	if (r < 0)
		childreport_fail(report, e);
	childreport_pid(report, getpid());
	(void)close(report);
	engine_serve(g);
	_exit(0);
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
	_cleanup_close_ int ours = -1;
	_cleanup_close_ int report = -1;
	pid_t parent = getpid();
	pid_t told = 0;
	int pair[2];
	int fds[2];
	pid_t pid;
	int r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return err_errno(e, errno, "network: cannot make the gateway's control socket");
	ours = pair[0];
	if (pipe2(fds, O_CLOEXEC) < 0) {
		(void)close_fd(pair[1]);
		return err_errno(e, errno, "network: cannot make a pipe");
	}
	report = fds[0];
	pid = fork();
	if (pid == 0)
		run(config, pair[1], fds[1], parent);
	r = pid < 0 ? err_errno(e, errno, "network: cannot start the gateway") : 0;
	(void)close_fd(pair[1]);
	(void)close_fd(fds[1]);
	if (r < 0)
		return r;
	r = childreport_wait(report, &told, e);
	if (r == 0 && told != pid)
		r = err_set(e, EPIPE, "network: the gateway ended before it served");
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		return r;
	}
	*ret_pid = pid;
	*ret_control = take_fd(&ours);
	return 0;
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
