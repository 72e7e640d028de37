/* The gateway of a machine's box, and a hostile machine: this test has the tap and sends what it likes.
 *
 * A frame is dealt with while it is being written, so "nothing came" needs no waiting: an echo request is sent behind
 * it, and what is read before its answer is all that there was. */
#include "test.h"

#include "kind/common/gateway.h"
#include "sys/fd.h"
#include "sys/ns.h"
#include "sys/tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAME_BYTES = 70000, SOON_MS = 5000, ICMP = 1, TCP = 6, UDP = 17, SYN = 2, ACK = 16, RST = 4 };
enum { ETH_IP = 0x0800, ETH_ARP = 0x0806, ETH_VLAN = 0x8100, ETH_IP6 = 0x86dd };

#define HDR (sizeof(struct virtio_net_hdr))

struct peer {
	struct gateway gateway;
	struct engine_sockets sockets;
	int tap;
	uint8_t mac[6]; /* the gateway's */
	uint16_t echo;
};

static struct peer a;
static struct peer b;
static const uint8_t own_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

/* --- the gateway -------------------------------------------------------------------------------------------------- */

static void make(struct gateway *g, int go)
{
	_cleanup_err_ struct err *e = NULL;
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(1);
	if (gateway_make(g, 0, &e) < 0)
		printf("# %s\n", err_message(e));
	(void)fflush(stdout);
	_exit(e != NULL);
}

static bool begin_peer(struct peer *p)
{
	struct box_spec spec = {.network = BOX_NET_GATE};
	_cleanup_err_ struct err *e = NULL;
	int go[2];
	pid_t pid;
	int r;

	p->gateway = GATEWAY_INIT;
	p->tap = -1;
	strv_add(&spec.allow, "example.org");
	strv_add(&spec.allow, "10.9.0.0/16:80");
	if (gateway_prepare(&p->gateway, &spec, true, &e) < 0 || pipe2(go, O_CLOEXEC) < 0)
		return false;
	pid = ns_fork(CLONE_NEWUSER, NULL);
	if (pid == 0)
		make(&p->gateway, go[0]);
	r = pid < 0 ? pid : ns_write_maps(pid, 0, 0, &e);
	if (r == 0 && write(go[1], "g", 1) != 1)
		r = -errno;
	(void)close(go[1]);
	if (r == 0)
		r = gateway_wait(&p->gateway, &e);
	p->tap = take_fd(&p->gateway.tap);
	gateway_forked(&p->gateway);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	if (r == 0)
		r = gateway_take(&p->gateway, &p->sockets, &e);
	(void)close(go[0]);
	strv_release(&spec.allow);
	if (r < 0)
		printf("# %s\n", e ? err_message(e) : strerror(-r));
	return r == 0 && p->tap >= 0 && fd_set_nonblock(p->tap, true) == 0;
}

/* --- frames ------------------------------------------------------------------------------------------------------- */

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put_address(uint8_t *p, const char *text)
{
	CHECK(inet_pton(AF_INET, text, p) == 1);
}

static uint16_t sum(const uint8_t *p, size_t n, uint32_t with)
{
	for (size_t i = 0; i < n; i++)
		with += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (with >> 16)
		with = (with & 0xffff) + (with >> 16);
	return (uint16_t)~with;
}

static void send_raw(const struct peer *p, const uint8_t *frame, size_t n)
{
	static uint8_t bytes[HDR + FRAME_BYTES];

	memset(bytes, 0, HDR);
	memcpy(bytes + HDR, frame, n);
	/* What is no frame at all is refused right here. */
	(void)!write(p->tap, bytes, HDR + n);
}

static size_t put_eth(uint8_t *f, const uint8_t *to, unsigned type)
{
	memcpy(f, to, 6);
	memcpy(f + 6, own_mac, 6);
	put16(f + 12, type);
	return 14;
}

/* An IPv4 packet behind what is at f already. `more`: of the fragment field. */
static size_t put_ip(uint8_t *f, const char *from, const char *to, unsigned protocol, const uint8_t *payload, size_t n,
		     unsigned more)
{
	memset(f, 0, 20);
	f[0] = 0x45;
	put16(f + 2, (unsigned)(20 + n));
	put16(f + 4, 77);
	put16(f + 6, more);
	f[8] = 64;
	f[9] = (uint8_t)protocol;
	put_address(f + 12, from);
	put_address(f + 16, to);
	put16(f + 10, sum(f, 20, 0));
	memcpy(f + 20, payload, n);
	return 20 + n;
}

static uint32_t pseudo(const char *from, const char *to, unsigned protocol, size_t n)
{
	uint8_t p[12] = {0};

	put_address(p, from);
	put_address(p + 4, to);
	p[9] = (uint8_t)protocol;
	put16(p + 10, (unsigned)n);
	return (uint16_t)~sum(p, sizeof(p), 0);
}

static void send_ip(const struct peer *p, const char *from, const char *to, unsigned protocol, const uint8_t *payload,
		    size_t n)
{
	uint8_t f[2048];
	size_t at = put_eth(f, p->mac, ETH_IP);

	at += put_ip(f + at, from, to, protocol, payload, n, 0);
	send_raw(p, f, at);
}

static size_t put_udp(uint8_t *u, const char *from, const char *to, unsigned port, const char *text)
{
	size_t n = 8 + strlen(text);

	put16(u, 40000);
	put16(u + 2, port);
	put16(u + 4, (unsigned)n);
	put16(u + 6, 0);
	memcpy(u + 8, text, n - 8);
	put16(u + 6, sum(u, n, pseudo(from, to, UDP, n)));
	return n;
}

static void send_udp(const struct peer *p, const char *from, const char *to, unsigned port, const char *text)
{
	uint8_t u[512];

	send_ip(p, from, to, UDP, u, put_udp(u, from, to, port, text));
}

static void send_tcp(const struct peer *p, const char *from, const char *to, unsigned port, unsigned flags)
{
	uint8_t t[20] = {0};

	put16(t, 41000);
	put16(t + 2, port);
	put16(t + 4, 1);
	t[12] = 5 << 4;
	t[13] = (uint8_t)flags;
	put16(t + 14, 1000);
	put16(t + 16, sum(t, sizeof(t), pseudo(from, to, TCP, sizeof(t))));
	send_ip(p, from, to, TCP, t, sizeof(t));
}

static void send_arp(const struct peer *p, unsigned op, const char *from, const char *target)
{
	static const uint8_t all[6] = {255, 255, 255, 255, 255, 255};
	uint8_t f[42];
	size_t at = put_eth(f, all, ETH_ARP);

	put16(f + at, 1);
	put16(f + at + 2, ETH_IP);
	f[at + 4] = 6;
	f[at + 5] = 4;
	put16(f + at + 6, op);
	memcpy(f + at + 8, own_mac, 6);
	put_address(f + at + 14, from);
	memset(f + at + 18, 0, 6);
	put_address(f + at + 24, target);
	send_raw(p, f, sizeof(f));
}

static void send_echo(const struct peer *p, const char *from, const char *to, unsigned sequence)
{
	uint8_t m[8] = {8};

	put16(m + 4, 4711);
	put16(m + 6, sequence);
	put16(m + 2, sum(m, sizeof(m), 0));
	send_ip(p, from, to, ICMP, m, sizeof(m));
}

/* The next frame, without the virtio header; 0: none comes. */
static size_t receive(const struct peer *p, uint8_t *to, int timeout_ms)
{
	static uint8_t bytes[HDR + FRAME_BYTES];
	struct pollfd fd = {.fd = p->tap, .events = POLLIN};
	ssize_t n;

	if (poll(&fd, 1, timeout_ms) != 1)
		return 0;
	n = read(p->tap, bytes, sizeof(bytes));
	if (n < (ssize_t)HDR + 14)
		return 0;
	memcpy(to, bytes + HDR, (size_t)n - HDR);
	return (size_t)n - HDR;
}

/* What came: the first frame that is not an answer to settle()'s own echo request, nor the gateway's question for the
 * box's hardware address; 0 for none. */
static size_t settle(struct peer *p, uint8_t *ret)
{
	static uint8_t f[FRAME_BYTES];
	size_t first = 0;
	size_t n;

	send_echo(p, "192.0.0.2", "192.0.0.1", ++p->echo);
	while ((n = receive(p, f, SOON_MS)) > 0) {
		const uint8_t *ip = f + 14;

		if (f[12] == 8 && f[13] == 6 && f[21] == 1 && memcmp(f + 38, "\xc0\0\0\2", 4) == 0) {
			send_arp(p, 2, "192.0.0.2", "192.0.0.1");
			continue;
		}
		if (f[12] == 8 && f[13] == 0 && ip[9] == ICMP && ip[20] == 0 && ip[26] == p->echo >> 8 &&
		    ip[27] == (uint8_t)p->echo)
			return first;
		if (first == 0) {
			first = n;
			memcpy(ret, f, n);
		}
	}
	CHECK(!"the gateway answers");
	return 0;
}

static uint8_t got[FRAME_BYTES];

static bool nothing_comes(struct peer *p)
{
	size_t n = settle(p, got);

	if (n > 0)
		printf("# came: type %02x%02x, %zu bytes, protocol %d\n", got[12], got[13], n, got[23]);
	return n == 0;
}

static bool heard(int fd, const char *text)
{
	char bytes[256];
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	return n == (ssize_t)strlen(text) && memcmp(bytes, text, (size_t)n) == 0;
}

/* Runs `look` in the gateway's network namespace. */
static int in_gateway(const struct peer *p, int (*look)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = ioctl(p->sockets.anchor, SIOCGSKNS);

		_exit(fd < 0 || setns(fd, CLONE_NEWNET) < 0 ? 255 : look());
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	int n = 0;
	int c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		(void)fclose(f);
	return n > 250 ? 250 : n;
}

static int count_neighbours(void)
{
	return count_lines("/proc/self/net/arp") - 1;
}

static int count_ipv6(void)
{
	return count_lines("/proc/self/net/if_inet6");
}

static int is_forwarding(void)
{
	static const char *const files[] = {"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/gw0/forwarding",
					    "/proc/sys/net/ipv4/conf/gw0/route_localnet"};
	int set = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		FILE *f = fopen(files[i], "re");

		set += !f || getc(f) != '0';
		if (f)
			(void)fclose(f);
	}
	return set;
}

/* The answer to a question for its hardware address is the first frame there can be. */
static void learn_mac(struct peer *p)
{
	send_arp(p, 1, "192.0.0.2", "192.0.0.1");
	CHECK(receive(p, got, SOON_MS) == 42 && got[21] == 2);
	memcpy(p->mac, got + 6, 6);
}

/* Makes both gateways once, and learns the addresses of the links. */
static bool here(void)
{
	static int state;

	if (state == 0) {
		state = tap_try() < 0 || !begin_peer(&a) || !begin_peer(&b) ? -1 : 1;
		if (state > 0) {
			learn_mac(&a);
			learn_mac(&b);
		}
	}
	if (state < 0)
		test_lacks = "taps (" TAP_DEVICE ")";
	return state > 0;
}

/* --- what an honest machine gets ---------------------------------------------------------------------------------- */

TEST(arp)
{
	if (!here())
		return;
	send_arp(&a, 1, "192.0.0.2", "192.0.0.1");
	CHECK(receive(&a, got, SOON_MS) == 42 && got[21] == 2 && memcmp(got + 28, "\xc0\0\0\1", 4) == 0);
	/* Its own address is the only one that is said. */
	send_arp(&a, 1, "192.0.0.2", "198.18.0.1");
	send_arp(&a, 1, "192.0.0.2", "127.0.0.1");
	send_arp(&a, 1, "192.0.0.2", "192.0.0.2");
	send_arp(&a, 1, "192.0.0.2", "8.8.8.8");
	send_arp(&a, 1, "0.0.0.0", "198.18.0.1");
	CHECK(nothing_comes(&a));
}

TEST(dns_is_heard)
{
	if (!here())
		return;
	send_udp(&a, "192.0.0.2", "192.0.0.1", 53, "question");
	CHECK(heard(a.sockets.dns_udp, "question"));
	CHECK(nothing_comes(&a));
}

TEST(connections_to_what_is_granted_are_answered)
{
	static const char *const there[] = {"198.18.0.1", "198.19.255.254", "10.9.8.7"};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(80)};

	if (!here())
		return;
	CHECK(bind(a.sockets.spare[0], (struct sockaddr *)&at, sizeof(at)) == 0);
	CHECK(listen(a.sockets.spare[0], 16) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(there); i++) {
		send_tcp(&a, "192.0.0.2", there[i], 80, SYN);
		CHECK(settle(&a, got) > 0 && got[23] == TCP && got[47] == (SYN | ACK));
		send_tcp(&a, "192.0.0.2", there[i], 80, RST);
		send_tcp(&a, "192.0.0.2", there[i], 81, SYN);
		CHECK(settle(&a, got) > 0 && got[23] == TCP && got[47] == (RST | ACK));
	}
}

/* --- what a hostile one gets -------------------------------------------------------------------------------------- */

TEST(other_addresses_go_nowhere)
{
	static const char *const others[] = {"1.1.1.1",    "10.0.0.1",  "169.254.169.254", "127.0.0.1",
					     "127.0.0.53", "192.0.0.2", "255.255.255.255", "224.0.0.1",
					     "0.0.0.0",    "192.0.0.3", "10.10.0.1",       "192.0.0.0"};

	if (!here())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		send_tcp(&a, "192.0.0.2", others[i], 80, SYN);
		send_udp(&a, "192.0.0.2", others[i], 53, "elsewhere");
		if (strcmp(others[i], "224.0.0.1") != 0)
			send_echo(&a, "192.0.0.2", others[i], 9);
		if (!nothing_comes(&a))
			printf("# to %s\n", others[i]);
		CHECK(recv(a.sockets.dns_udp, got, sizeof(got), MSG_DONTWAIT) < 0);
	}
	CHECK(geteuid() != 0 || in_gateway(&a, is_forwarding) == 0);
}

TEST(other_sources_are_not_heard)
{
	/* 192.0.0.0 is the box to newer kernels, as the other address of the link's prefix. */
	static const char *const spoofed[] = {"8.8.8.8",  "127.0.0.1", "192.0.0.1",       "198.18.0.5",
					      "10.9.1.1", "10.0.0.1",  "255.255.255.255", "224.0.0.1",
					      "0.0.0.0",  "192.0.0.3", "172.17.0.1"};

	if (!here())
		return;
	for (size_t i = 0; i < ARRAY_SIZE(spoofed); i++) {
		send_udp(&a, spoofed[i], "192.0.0.1", 53, "not me");
		send_tcp(&a, spoofed[i], "198.18.0.1", 80, SYN);
		send_echo(&a, spoofed[i], "192.0.0.1", 9);
		if (!nothing_comes(&a))
			printf("# from %s\n", spoofed[i]);
		CHECK(recv(a.sockets.dns_udp, got, sizeof(got), MSG_DONTWAIT) < 0);
	}
}

/* The kernel has one table of neighbours, of 1024, for all of its network namespaces. */
TEST(neighbours_are_not_learned)
{
	if (!here())
		return;
	for (unsigned i = 0; i < 5000; i++) {
		char from[INET_ADDRSTRLEN];

		(void)snprintf(from, sizeof(from), "10.%u.%u.%u", i >> 8, i & 255, i & 7);
		send_arp(&a, 1, from, "192.0.0.1");
		send_arp(&a, 2, from, "192.0.0.1");
		send_arp(&a, 1, from, from);
		send_udp(&a, from, "192.0.0.1", 53, "x");
	}
	CHECK(nothing_comes(&a));
	CHECK(geteuid() != 0 || in_gateway(&a, count_neighbours) <= 2);
	/* The other box's gateway has noticed nothing. */
	CHECK(nothing_comes(&b));
}

static void send_ip6(const struct peer *p, const char *from, const char *to, unsigned type, const uint8_t *body,
		     size_t n)
{
	static const uint8_t every[6] = {0x33, 0x33, 0, 0, 0, 1};
	uint8_t f[256];
	uint8_t *ip = f + put_eth(f, every, ETH_IP6);
	uint32_t with = (uint32_t)(4 + n) + 58;

	memset(ip, 0, 40);
	ip[0] = 0x60;
	put16(ip + 4, (unsigned)(4 + n));
	ip[6] = 58;
	ip[7] = 255;
	CHECK(inet_pton(AF_INET6, from, ip + 8) == 1 && inet_pton(AF_INET6, to, ip + 24) == 1);
	memset(ip + 40, 0, 4);
	ip[40] = (uint8_t)type;
	memcpy(ip + 44, body, n);
	with += (uint16_t)~sum(ip + 8, 32, 0);
	put16(ip + 42, sum(ip + 40, 4 + n, with));
	send_raw(p, f, 14 + 44 + n);
}

TEST(ipv6_is_not_there)
{
	/* An advertisement of a router, with a prefix for addresses; solicitations; a ping. */
	static const uint8_t router[] = {64,   0,    0x07, 8, 0, 0, 0, 0, 0, 0, 0, 0, 3, 4, 64,
					 0xc0, 0,    9,    0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0x20,
					 1,    0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
	uint8_t solicited[20] = {0};
	uint8_t echo[4] = {0, 1, 0, 1};

	if (!here())
		return;
	send_ip6(&a, "fe80::1", "ff02::1", 134, router, sizeof(router));
	(void)inet_pton(AF_INET6, "fe80::2", solicited + 4);
	send_ip6(&a, "fe80::1", "ff02::1", 135, solicited, sizeof(solicited));
	send_ip6(&a, "fe80::1", "ff02::1", 128, echo, sizeof(echo));
	send_ip6(&a, "::", "ff02::1", 133, echo, sizeof(echo));
	CHECK(nothing_comes(&a));
	CHECK(geteuid() != 0 || in_gateway(&a, count_ipv6) == 0);
}

TEST(other_frames_are_nothing)
{
	static const unsigned types[] = {0, 46, 0x0600, 0x0805, 0x8035, 0x8864, 0x88cc, 0x88f7, 0x8847, 0xffff};
	uint8_t f[1600];
	uint8_t u[64];
	size_t n = put_udp(u, "192.0.0.2", "192.0.0.1", 53, "tagged");
	size_t at;

	if (!here())
		return;
	memset(f, 0xa5, sizeof(f));
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		for (size_t len = 0; len < 1500; len += 157)
			send_raw(&a, f, put_eth(f, a.mac, types[i]) + len);
	/* A tag of another network, and two of them. */
	at = put_eth(f, a.mac, ETH_VLAN);
	put16(f + at, 42);
	put16(f + at + 2, ETH_IP);
	(void)put_ip(f + at + 4, "192.0.0.2", "192.0.0.1", UDP, u, n, 0);
	send_raw(&a, f, at + 4 + 20 + n);
	put16(f + at, 0);
	put16(f + at + 2, ETH_VLAN);
	put16(f + at + 4, 42);
	put16(f + at + 6, ETH_IP);
	(void)put_ip(f + at + 8, "192.0.0.2", "192.0.0.1", UDP, u, n, 0);
	send_raw(&a, f, at + 8 + 20 + n);
	CHECK(nothing_comes(&a));
	CHECK(recv(a.sockets.dns_udp, got, sizeof(got), MSG_DONTWAIT) < 0);
	/* For somebody else's hardware address. */
	at = put_eth(f, own_mac, ETH_IP);
	at += put_ip(f + at, "192.0.0.2", "192.0.0.1", UDP, u, n, 0);
	send_raw(&a, f, at);
	CHECK(nothing_comes(&a));
	CHECK(recv(a.sockets.dns_udp, got, sizeof(got), MSG_DONTWAIT) < 0);
}

/* They are put together within bounds, and those that never are do not hold up others. */
TEST(fragments)
{
	uint8_t f[1600];
	uint8_t u[1024];
	size_t n = put_udp(u, "192.0.0.2", "192.0.0.1", 53, "in two pieces");
	size_t at = put_eth(f, a.mac, ETH_IP);

	if (!here())
		return;
	send_raw(&a, f, at + put_ip(f + at, "192.0.0.2", "192.0.0.1", UDP, u, 8, 0x2000));
	send_raw(&a, f, at + put_ip(f + at, "192.0.0.2", "192.0.0.1", UDP, u + 8, n - 8, 1));
	CHECK(nothing_comes(&a));
	CHECK(heard(a.sockets.dns_udp, "in two pieces"));
	for (unsigned i = 0; i < 20000; i++) {
		(void)put_ip(f + at, "192.0.0.2", "192.0.0.1", UDP, u, 1000, 0x2000 | (i & 0x1fff));
		put16(f + at + 4, i);
		put16(f + at + 10, 0);
		put16(f + at + 10, sum(f + at, 20, 0));
		send_raw(&a, f, at + 1020);
	}
	/* The last of one that is too long. */
	send_raw(&a, f, at + put_ip(f + at, "192.0.0.2", "192.0.0.1", UDP, u, 1000, 0x1fff));
	CHECK(nothing_comes(&a) || got[23] == ICMP);
	send_udp(&a, "192.0.0.2", "192.0.0.1", 53, "whole");
	CHECK(nothing_comes(&a) || got[23] == ICMP);
	CHECK(heard(a.sockets.dns_udp, "whole"));
}

TEST(redirects_routes_of_the_sender_and_groups)
{
	/* Redirect 192.0.0.2 to 192.0.0.3, as to a packet that was sent. */
	uint8_t m[36] = {5, 1, 0,  0,   192, 0, 0,   3, 0x45, 0, 0,   28, 0, 1,
			 0, 0, 64, UDP, 0,   0, 192, 0, 0,    1, 192, 0,  0, 2};
	static const uint8_t source_route[8] = {0x83, 7, 4, 8, 8, 8, 8, 0};
	static const uint8_t query[8] = {0x11, 0, 0xee, 0xff, 0, 0, 0, 0};
	uint8_t f[256];
	uint8_t u[64];
	size_t n = put_udp(u, "192.0.0.2", "192.0.0.1", 53, "routed");
	size_t at = put_eth(f, a.mac, ETH_IP);

	if (!here())
		return;
	put16(m + 2, sum(m, sizeof(m), 0));
	send_ip(&a, "192.0.0.1", "192.0.0.1", ICMP, m, sizeof(m));
	send_ip(&a, "192.0.0.2", "192.0.0.1", ICMP, m, sizeof(m));
	send_ip(&a, "192.0.0.2", "224.0.0.1", 2, query, sizeof(query));
	/* Loose source route by way of 192.0.0.1 to 8.8.8.8. */
	(void)put_ip(f + at, "192.0.0.2", "192.0.0.1", UDP, u, n, 0);
	memmove(f + at + 28, f + at + 20, n);
	memcpy(f + at + 20, source_route, sizeof(source_route));
	f[at] = 0x47;
	put16(f + at + 2, (unsigned)(28 + n));
	put16(f + at + 10, 0);
	put16(f + at + 10, sum(f + at, 28, 0));
	send_raw(&a, f, at + 28 + n);
	CHECK(nothing_comes(&a));
	CHECK(recv(a.sockets.dns_udp, got, sizeof(got), MSG_DONTWAIT) < 0);
}

/* Headers of virtio that promise what is not there. */
TEST(offload_headers_that_lie)
{
	static uint8_t bytes[HDR + 9000];
	unsigned state = 1;

	if (!here())
		return;
	for (int i = 0; i < 20000; i++) {
		size_t n = (size_t)(state >> 8) % 9000;

		for (size_t k = 0; k < HDR + 60; k++)
			bytes[k] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
		if (i & 1) {
			size_t at = HDR + put_eth(bytes + HDR, a.mac, ETH_IP);

			(void)put_ip(bytes + at, "192.0.0.2", "198.18.0.1", TCP, bytes + at, 20, 0);
			bytes[1] = (uint8_t)(i % 6);
		}
		(void)!write(a.tap, bytes, HDR + n);
	}
	/* Some were segments for nobody. */
	(void)settle(&a, got);
	CHECK(nothing_comes(&a));
}

TEST(one_gateway_is_not_anothers)
{
	if (!here())
		return;
	send_udp(&a, "192.0.0.2", "192.0.0.1", 53, "of a");
	CHECK(nothing_comes(&a));
	CHECK(recv(b.sockets.dns_udp, got, sizeof(got), MSG_DONTWAIT) < 0);
	CHECK(heard(a.sockets.dns_udp, "of a"));
	CHECK(nothing_comes(&b));
}

TEST_MAIN()
