#include "box/portpeer.h"

#include "base/str.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TABLE_MAX = 16 << 20, FIELDS_TO_UID = 5 };

/* As the tables write it: words of eight digits as this machine has the bytes, then the port. */
static void add_end(struct str *to, const struct sockaddr_storage *a)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

	if (a->ss_family == AF_INET) {
		str_addf(to, "%08X:%04X ", v4->sin_addr.s_addr, ntohs(v4->sin_port));
		return;
	}
	for (int i = 0; i < 4; i++) {
		uint32_t word;

		memcpy(&word, v6->sin6_addr.s6_addr + 4 * i, sizeof(word));
		str_addf(to, "%08X", word);
	}
	str_addf(to, ":%04X ", ntohs(v6->sin6_port));
}

/* The uid in the line of the table that has these two ends. */
static bool find_uid(const char *table, const char *ends, uid_t *ret)
{
	const char *p = strstr(table, ends);

	if (!p)
		return false;
	p += strlen(ends);
	/* state, queues, timer, retransmits */
	for (int i = 1; i < FIELDS_TO_UID; i++) {
		p += strspn(p, " ");
		p += strcspn(p, " \n");
	}
	*ret = (uid_t)strtoul(p, NULL, 10);
	return true;
}

bool portpeer_is_own(int fd)
{
	struct sockaddr_storage peer = {0};
	struct sockaddr_storage own = {0};
	socklen_t n = sizeof(peer);
	socklen_t k = sizeof(own);
	_cleanup_str_ struct str ends = STR_INIT;
	_cleanup_str_ struct str table = STR_INIT;
	_cleanup_close_ int in = -1;
	uid_t uid = 0;

	if (getpeername(fd, (struct sockaddr *)&peer, &n) < 0 || getsockname(fd, (struct sockaddr *)&own, &k) < 0)
		return false;
	add_end(&ends, &peer);
	add_end(&ends, &own);
	in = open(peer.ss_family == AF_INET6 ? "/proc/net/tcp6" : "/proc/net/tcp", O_RDONLY | O_CLOEXEC);
	return in >= 0 && fd_read_all(in, TABLE_MAX, &table, NULL) == 0 &&
	       find_uid(str_text(&table), str_text(&ends), &uid) && (uid == geteuid() || uid == 0);
}
