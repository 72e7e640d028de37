/* Two network namespaces for tests of the gateway engine: its sockets are in the one, servers in the other. */
#ifndef IGLOO_TESTS_ENGINENET_H
#define IGLOO_TESTS_ENGINENET_H

#include "net/engine.h"
#include "sys/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BASE = 0x7f120000, DNS_PORT = 53 };

static int gateway_ns = -1;
static int host_ns = -1;

static int write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : fd_write_all(fd, text, strlen(text));
}

static int lo_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq r = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return ioctl(fd, SIOCSIFFLAGS, &r);
}

static struct sockaddr_in at(uint32_t address, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(address)};
}

static int bound(int type, uint32_t address, uint16_t port)
{
	struct sockaddr_in a = at(address, port);
	int on = 1;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || (type == SOCK_STREAM && listen(fd, 4096) < 0))
		return -1;
	return fd;
}

/* Both namespaces; this process is in the one with servers. `hosts` becomes /etc/hosts. */
static int enginenet_set_up(const char *hosts)
{
	char map[64];
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
		return -errno;
	(void)write_file("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "0 %u 1", uid);
	(void)write_file("/proc/self/uid_map", map);
	(void)snprintf(map, sizeof(map), "0 %u 1", gid);
	(void)write_file("/proc/self/gid_map", map);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("t", "/mnt", "tmpfs", 0, NULL) < 0)
		return -errno;
	(void)write_file("/mnt/hosts", hosts);
	(void)write_file("/mnt/resolv.conf", "nameserver 127.0.0.99\n");
	if (mount("/mnt/hosts", "/etc/hosts", NULL, MS_BIND, NULL) < 0 ||
	    mount("/mnt/resolv.conf", "/etc/resolv.conf", NULL, MS_BIND, NULL) < 0 || lo_up() < 0)
		return -errno;
	gateway_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET) < 0 || lo_up() < 0)
		return -errno;
	host_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return 0;
}

/* The sockets of a gateway, with so many spare ones. */
static struct engine_sockets enginenet_sockets(size_t n)
{
	struct engine_sockets s = ENGINE_SOCKETS_INIT;

	(void)setns(gateway_ns, CLONE_NEWNET);
	s.dns_udp = bound(SOCK_DGRAM, INADDR_LOOPBACK, DNS_PORT);
	s.dns_tcp = bound(SOCK_STREAM, INADDR_LOOPBACK, DNS_PORT);
	for (s.n_spare = 0; s.n_spare < n; s.n_spare++)
		s.spare[s.n_spare] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setns(host_ns, CLONE_NEWNET);
	return s;
}

/* A question for the address of a name, in `q` of at least 300 bytes; its length. */
static size_t dns_question(const char *name, uint8_t *q)
{
	static const uint8_t head[12] = {0x12, 0x34, 1, 0, 0, 1};
	size_t n = sizeof(head);

	memcpy(q, head, sizeof(head));
	for (const char *p = name; *p;) {
		size_t label = strcspn(p, ".");

		q[n++] = (uint8_t)label;
		memcpy(q + n, p, label);
		n += label;
		p += label + (p[label] == '.');
	}
	memcpy(q + n, "\0\0\1\0\1", 5); /* the root, A, IN */
	return n + 5;
}

/* RFC 8446, 4.1.2, with server_name (RFC 6066) and supported_versions only; in `o` of at least 256 bytes. */
static size_t client_hello(const char *name, uint8_t *o)
{
	size_t l = strlen(name);
	size_t ext = 9 + l + 7;
	size_t body = 2 + 32 + 1 + 4 + 2 + 2 + ext;
	size_t n = 0;

	memset(o, 7, 200);
	o[n++] = 0x16, o[n++] = 3, o[n++] = 1, o[n++] = 0, o[n++] = (uint8_t)(body + 4);
	o[n++] = 1, o[n++] = 0, o[n++] = 0, o[n++] = (uint8_t)body, o[n++] = 3, o[n++] = 3;
	n += 32;
	o[n++] = 0, o[n++] = 0, o[n++] = 2, o[n++] = 0x13, o[n++] = 1, o[n++] = 1, o[n++] = 0;
	o[n++] = 0, o[n++] = (uint8_t)ext, o[n++] = 0, o[n++] = 0, o[n++] = 0, o[n++] = (uint8_t)(l + 5);
	o[n++] = 0, o[n++] = (uint8_t)(l + 3), o[n++] = 0, o[n++] = 0, o[n++] = (uint8_t)l;
	memcpy(o + n, name, l);
	n += l;
	o[n++] = 0, o[n++] = 43, o[n++] = 0, o[n++] = 3, o[n++] = 2, o[n++] = 3, o[n++] = 4;
	return n;
}

#endif
