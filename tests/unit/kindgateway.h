/* The part of the kinds' contract that is about the gateway namespace; included by kind.c. */
#ifndef IGLOO_TESTS_KINDGATEWAY_H
#define IGLOO_TESTS_KINDGATEWAY_H

#include "sys/nft.h"
#include "sys/ns.h"

#include <arpa/inet.h>
#include <sched.h>

static const char *const a_name[] = {"example.org", NULL};
static const char *const nothing[] = {NULL};
static const char *const *granted = a_name; /* NULL-terminated */

static void begin_gate(struct fixture *f, struct engine_sockets *sockets)
{
	struct err *e = NULL;
	int r;

	memset(f, 0, sizeof(*f));
	r = slot_open(work, NULL, &f->slot, &e);
	f->spec.workspace = xstrdup(work);
	f->spec.slot_home = f->spec.ephemeral = true;
	fit_spec(&f->spec);
	f->spec.machine.overlay = kind->machine; /* it may be kept */
	f->spec.network = BOX_NET_GATE;
	for (const char *const *entry = granted; *entry; entry++)
		strv_add(&f->spec.allow, *entry);
	if (r == 0)
		r = box_spec_add_share(&f->spec, work, work, false, &e);
	if (r == 0)
		r = box_make(kind, &f->spec, f->slot, NULL, &f->box, &e);
	/* As box_start() does, but for the engine. */
	if (r == 0) {
		f->box->running.gateway = sockets;
		r = kind->start(&f->box->running, &e);
	}
	if (r < 0)
		printf("# %s\n", e ? err_message(e) : "?");
	CHECK(r == 0);
}

static void close_sockets(struct engine_sockets *s)
{
	(void)close(s->dns_udp);
	(void)close(s->dns_tcp);
	for (size_t i = 0; i < s->n_spare; i++)
		(void)close(s->spare[i]);
	(void)close_fd(s->every);
	(void)close_fd(s->anchor);
}

/* Runs boxtool in a box that is there; its exit status. */
static int64_t run_there(struct fixture *f, const char *what, const char *arg, char *out_text)
{
	_cleanup_free_ char *program = xasprintf("%s/boxtool", work);
	char *argv[] = {program, (char *)(uintptr_t)what, (char *)(uintptr_t)arg, NULL};
	char *env[] = {NULL};
	struct exec x = {.flags = EXEC_HAS_FDS, .uid = BOX_UID, .gid = BOX_GID, .cwd = work, .argv = argv, .env = env};
	struct supervise_result result = {.value = -1};
	struct err *e = NULL;
	int to[2];
	ssize_t n;

	CHECK(pipe2(to, O_CLOEXEC) == 0);
	{
		const int fds[3] = {0, to[1], 2};

		if (supervise_run(f->box, &x, fds, NULL, NULL, &result, &e) < 0)
			printf("# %s\n", e ? err_message(e) : "?");
		err_free(e);
	}
	(void)close(to[1]);
	n = read(to[0], out_text, 4095);
	out_text[n > 0 ? n : 0] = '\0';
	(void)close(to[0]);
	return result.how == SUPERVISE_EXITED ? result.value : -1;
}

/* The same in a machine, whose output goes to `out`. */
static int64_t run_there_kept(struct machine *m, const char *what, const char *arg)
{
	_cleanup_free_ char *program = xasprintf("%s/boxtool", work);
	char *argv[] = {program, (char *)(uintptr_t)what, (char *)(uintptr_t)arg, NULL};
	char *env[] = {NULL};
	struct exec x = {.flags = EXEC_HAS_FDS, .uid = BOX_UID, .gid = BOX_GID, .cwd = work, .argv = argv, .env = env};
	struct supervise_result result;
	int to[2];
	ssize_t n;

	CHECK(pipe2(to, O_CLOEXEC) == 0);
	{
		const int fds[3] = {0, to[1], 2};

		result = machine_exec(m, &x, fds);
	}
	(void)close(to[1]);
	n = read(to[0], out, sizeof(out) - 1);
	out[n > 0 ? n : 0] = '\0';
	(void)close(to[0]);
	return result.how == SUPERVISE_EXITED ? result.value : -1;
}

/* A box with a gateway and what is granted now. A machine's stays for the next test that is granted the same. */
struct gate {
	struct machine m; /* its fixture is a sandbox's, too */
	struct engine_sockets sockets;
	const char *const *granted;
	bool listens; /* spare[0], at port 80 */
};
static struct gate gate;

static void gate_drop(void)
{
	if (!gate.granted)
		return;
	gate.granted = NULL;
	if (kind->machine)
		machine_end(&gate.m);
	else
		end(&gate.m.f);
	close_sockets(&gate.sockets);
}

static void gate_open(void)
{
	if (gate.granted == granted)
		return;
	gate_drop();
	begin_gate(&gate.m.f, &gate.sockets);
	gate.granted = granted;
	gate.listens = false;
	if (kind->machine)
		machine_begin(&gate.m);
}

static void gate_close(void)
{
	if (!kind->machine)
		gate_drop();
}

static int64_t gate_run(const char *what, const char *arg)
{
	return kind->machine ? run_there_kept(&gate.m, what, arg) : run_there(&gate.m.f, what, arg, out);
}

/* What a box sent is there before its command has ended; what a machine sent, soon. */
static bool arrived(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, kind->machine ? MACHINE_MS : 0) == 1;
}

static int64_t run_gated(const char *what, const char *arg)
{
	int64_t value;

	gate_open();
	value = gate_run(what, arg);
	gate_close();
	return value;
}

/* As a process without any capability, in the host's network namespace: any port, also one below 1024. */
static bool listens_unprivileged(int fd, uint16_t port)
{
	const struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		/* Without privileges there are none to drop, and that fails. */
		_exit((geteuid() == 0 && ns_drop_privileges() < 0) ||
		      bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 16) < 0);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

TEST(gateway_is_the_only_link)
{
	static const char links[] = "lo 127.0.0.1\neth0 192.0.0.2\n";

	CHECK(run_gated("links", "") == 0);
	CHECK(strncmp(out, links, strlen(links)) == 0);
	/* IPv6 where the machine has it, and then on the loopback only. */
	CHECK(out[strlen(links)] == '\0' || strcmp(out + strlen(links), "lo ::1\n") == 0);
	CHECK(run_gated("cat", "/etc/resolv.conf") == 0);
	CHECK_STR(out, "nameserver 192.0.0.1\noptions timeout:5 attempts:2\n");
	CHECK(run_gated("exists", "/etc/box/nix.conf") == 1);
}

/* Lines of /proc/net/route: link, destination, gateway, …, in hexadecimal as the processor stores them. */
TEST(gateway_routes_are_those_of_the_policy)
{
	static const char *const entries[] = {"10.1.2.3:5432", "10.1.2.3:80", "10.7.0.0/16:22", "example.org", NULL};
	static const char *const there[] = {"10.1.2.3", "10.7.0.0", "192.0.0.0", "198.18.0.0"};
	unsigned lines = 0;

	granted = entries;
	CHECK(run_gated("cat", "/proc/net/route") == 0);
	granted = a_name;
	for (const char *p = out; *p; p++)
		lines += *p == '\n';
	CHECK(lines == 1 + ARRAY_SIZE(there));
	for (size_t i = 0; i < ARRAY_SIZE(there); i++) {
		char line[64];

		(void)snprintf(line, sizeof(line), "eth0\t%08X\t%08X\t", inet_addr(there[i]),
			       strcmp(there[i], "192.0.0.0") == 0 ? 0 : inet_addr("192.0.0.1"));
		CHECK(strstr(out, line));
	}
	CHECK(run_gated("cat", "/proc/net/ipv6_route") == 0 || out[0] == '\0');
	CHECK(!strstr(out, "eth0"));
}

TEST(gateway_reaches_nothing_else)
{
	CHECK(run_gated("dial", "1.1.1.1 443") == ENETUNREACH);
	CHECK(run_gated("dial", "10.1.2.3 5432") == ENETUNREACH);
	CHECK(run_gated("dial", "169.254.169.254 80") == ENETUNREACH);
	/* Nobody listens. */
	CHECK(run_gated("dial", "198.18.7.7 81") == ECONNREFUSED);
	CHECK(run_gated("dial", "192.0.0.1 80") == ECONNREFUSED);
}

/* Dials `to` at port 80 from a box; the address that the accepted socket has itself. */
static bool arrives_as(const char *to)
{
	_cleanup_free_ char *target = xasprintf("%s 80", to);
	const struct engine_sockets *sockets = &gate.sockets;
	struct sockaddr_in own = {0};
	socklen_t len = sizeof(own);
	char text[INET_ADDRSTRLEN];
	char bytes[16];
	int fd;
	bool same;

	gate_open();
	CHECK(sockets->n_spare >= 8 && sockets->n_spare <= ENGINE_SPARE_SOCKETS);
	CHECK(fcntl(sockets->spare[0], F_GETFD) & FD_CLOEXEC && fcntl(sockets->spare[0], F_GETFL) & O_NONBLOCK);
	if (!gate.listens) {
		CHECK(listens_unprivileged(sockets->spare[0], 80));
		CHECK(listens_unprivileged(sockets->spare[sockets->n_spare - 1], 1));
	}
	gate.listens = true;
	CHECK(gate_run("say", target) == 0);
	CHECK(arrived(sockets->spare[0]));
	fd = accept4(sockets->spare[0], NULL, NULL, SOCK_CLOEXEC);
	CHECK(fd >= 0 && getsockname(fd, (struct sockaddr *)&own, &len) == 0);
	CHECK(arrived(fd) && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 5 && memcmp(bytes, "hello", 5) == 0);
	same = strcmp(inet_ntop(AF_INET, &own.sin_addr, text, sizeof(text)), to) == 0 && own.sin_port == htons(80);
	(void)close(fd);
	gate_close();
	return same;
}

TEST(gateway_takes_connections_to_any_of_its_addresses)
{
	static const char *const entries[] = {"10.1.2.3:80", "192.0.0.0/24:80", NULL};
	static const char *const everything[] = {"0.0.0.0/0:80", NULL};

	CHECK(arrives_as("198.18.1.1"));
	CHECK(arrives_as("198.19.255.254"));
	granted = entries;
	CHECK(arrives_as("10.1.2.3"));
	/* Nets around the link's own. */
	CHECK(arrives_as("192.0.0.77"));
	granted = everything;
	CHECK(arrives_as("203.0.113.9"));
	granted = a_name;
}

/* Nothing is granted: no link at all, but its questions are heard; and a gateway when something is granted. */
TEST(gateway_comes_when_something_is_granted)
{
	static const char *const alone = "lo 127.0.0.1\nlo 192.0.0.1\n";
	static const char *const linked = "lo 127.0.0.1\neth0 192.0.0.2\n";
	struct engine_sockets sockets;
	struct engine_sockets late;
	struct fixture f;
	struct err *e = NULL;
	char bytes[16];

	granted = nothing;
	CHECK(run_gated("dial", "198.18.7.7 80") == ENETUNREACH);
	CHECK(run_gated("links", "") == 0);
	CHECK(strncmp(out, alone, strlen(alone)) == 0);
	begin_gate(&f, &sockets);
	CHECK(sockets.n_spare == 0);
	CHECK(run_there(&f, "ask", "192.0.0.1 53", out) == 0);
	CHECK(recv(sockets.dns_udp, bytes, sizeof(bytes), 0) == 8 && memcmp(bytes, "question", 8) == 0);
	end(&f);
	close_sockets(&sockets);
	begin_gate(&f, &sockets);
	close_sockets(&sockets);
	strv_add(&f.spec.allow, "example.org");
	CHECK(kind->open_gateway(f.box->running.pid, &f.spec, &late, &e) == 0);
	if (e)
		printf("# %s\n", err_message(e));
	err_free(e);
	CHECK(late.n_spare >= 8);
	CHECK(listens_unprivileged(late.spare[0], 80));
	CHECK(run_there(&f, "links", "", out) == 0);
	CHECK(strncmp(out, linked, strlen(linked)) == 0);
	end(&f);
	close_sockets(&late);
	granted = a_name;
}

/* Widens the gateway of a box that runs by `more`, and says hello from it: does that arrive for this address and port?
 * `every`: at the socket for every port. */
static bool widened_hears(const char *more, const char *to, uint16_t port, bool every)
{
	_cleanup_free_ char *target = xasprintf("%s %u", to, port);
	struct engine_sockets sockets;
	struct fixture f;
	struct sockaddr_in own = {0};
	socklen_t len = sizeof(own);
	_cleanup_close_ int got = -1;
	_cleanup_err_ struct err *e = NULL;
	int fd = -1;
	bool heard;

	begin_gate(&f, &sockets);
	CHECK(sockets.anchor >= 0 && sockets.every < 0);
	CHECK(listens_unprivileged(sockets.spare[0], 80) && listens_unprivileged(sockets.spare[1], 1));
	strv_add(&f.spec.allow, more);
	CHECK(kind->widen_gateway(f.box->running.pid, &f.spec, sockets.anchor, &fd, &e) == 0);
	if (e)
		printf("# %s\n", err_message(e));
	CHECK((fd >= 0) == every && (!every || listen(fd, 16) == 0));
	CHECK(run_there(&f, "say", target, out) == 0);
	got = accept4(every ? fd : sockets.spare[0], NULL, NULL, SOCK_CLOEXEC);
	heard = got >= 0 && getsockname(got, (struct sockaddr *)&own, &len) == 0 && own.sin_port == htons(port) &&
		own.sin_addr.s_addr == inet_addr(to);
	(void)close_fd(fd);
	end(&f);
	close_sockets(&sockets);
	return heard;
}

static bool has_every_port(void)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		const struct in_addr to = {.s_addr = htonl(INADDR_LOOPBACK)};

		_exit(unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0 ||
		      nft_redirect_all(to, to, 1, NULL) < 0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

TEST(gateway_is_widened)
{
	static const char *const entries[] = {"10.1.2.3:80", NULL};

	granted = entries;
	CHECK(widened_hears("10.7.0.0/16:80", "10.7.1.1", 80, false));
	CHECK(widened_hears("10.7.0.0/16:80", "10.1.2.3", 80, false));
	if (has_every_port()) {
		CHECK(widened_hears("example.org:*", "198.18.1.1", 1, true));
		CHECK(widened_hears("example.org:*", "198.19.255.254", 65535, true));
		CHECK(widened_hears("*.example.org:*", "10.1.2.3", 80, true));
	} else {
		printf("# no nf_tables with tproxy here\n");
	}
	granted = a_name;
}

TEST(gateway_for_every_port_has_no_other)
{
	static const char *const entries[] = {"example.org:*", "example.org:22", NULL};
	int64_t value = ECONNREFUSED;

	granted = entries;
	if (has_every_port())
		value = run_gated("dial", "192.0.0.1 80");
	granted = a_name;
	CHECK(value == ECONNREFUSED);
}

TEST(gateway_gets_dns)
{
	char bytes[16];
	int fd;

	gate_open();
	CHECK(gate_run("ask", "192.0.0.1 53") == 0);
	CHECK(arrived(gate.sockets.dns_udp));
	CHECK(recv(gate.sockets.dns_udp, bytes, sizeof(bytes), 0) == 8 && memcmp(bytes, "question", 8) == 0);
	gate_close();
	gate_open();
	CHECK(gate_run("say", "192.0.0.1 53") == 0);
	CHECK(arrived(gate.sockets.dns_tcp));
	fd = accept4(gate.sockets.dns_tcp, NULL, NULL, SOCK_CLOEXEC);
	CHECK(fd >= 0 && arrived(fd) && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) == 5);
	(void)close(fd);
	gate_close();
}

TEST(gateway_ends_with_its_sockets)
{
	struct engine_sockets sockets;
	struct fixture f;

	begin_gate(&f, &sockets);
	close_sockets(&sockets);
	CHECK(run_there(&f, "link-ends", "", out) == 0);
	end(&f);
}

static unsigned open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

TEST(gateway_that_cannot_be_made_is_no_box)
{
	static const char *const bad[] = {"not a name", NULL};
	struct engine_sockets sockets;
	struct fixture f = {0};
	struct err *e = NULL;
	unsigned before;

	CHECK(slot_open(work, NULL, &f.slot, &e) == 0);
	f.spec.workspace = xstrdup(work);
	f.spec.ephemeral = true;
	fit_spec(&f.spec);
	f.spec.network = BOX_NET_GATE;
	strv_add(&f.spec.allow, bad[0]);
	CHECK(box_make(kind, &f.spec, f.slot, NULL, &f.box, &e) == 0);
	before = open_files();
	/* Nobody to serve it; then entries that say nothing. */
	CHECK(kind->start(&f.box->running, &e) == -EINVAL);
	err_clear(&e);
	f.box->running.gateway = &sockets;
	CHECK(kind->start(&f.box->running, &e) == -EINVAL);
	err_clear(&e);
	CHECK(open_files() == before);
	end(&f);
}

#endif
