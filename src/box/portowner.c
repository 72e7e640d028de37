/* /proc/net/tcp and tcp6 (proc_net_tcp(5)) have the listening sockets of this network namespace, with their inodes; a
 * process that has the inode open is the owner. Others' descriptors cannot be seen, but the user can. */
#include "box/portowner.h"

#include "box/box.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TABLE_MAX = 64 << 20, STATE_LISTEN = 0x0a };

struct listening {
	struct address at;
	uint16_t port;
	unsigned uid;
	unsigned long long inode;
};

static const char *skip_field(const char *p)
{
	while (*p == ' ')
		p++;
	while (*p && *p != ' ')
		p++;
	while (*p == ' ')
		p++;
	return p;
}

/* A line: "sl: ADDRESS:PORT REMOTE:PORT STATE queues timer retransmits uid timeout inode". The address is in words of 8
 * hexadecimal digits, each as this machine has the four bytes in memory. */
static bool parse_line(const char *line, int family, struct listening *ret)
{
	const char *p = skip_field(line);
	char word[9] = "";
	int words = family == AF_INET6 ? 4 : 1;
	char *end;

	*ret = (struct listening){.at.family = (sa_family_t)family};
	for (int i = 0; i < words; i++, p += 8) {
		uint32_t v;

		if (strnlen(p, 8) < 8)
			return false;
		memcpy(word, p, 8);
		v = (uint32_t)strtoul(word, &end, 16);
		if (*end)
			return false;
		memcpy(ret->at.bytes + 4 * i, &v, sizeof(v));
	}
	if (*p != ':')
		return false;
	ret->port = (uint16_t)strtoul(p + 1, NULL, 16);
	p = skip_field(skip_field(p));
	if (strtoul(p, NULL, 16) != STATE_LISTEN)
		return false;
	for (int i = 0; i < 4; i++)
		p = skip_field(p);
	ret->uid = (unsigned)strtoul(p, NULL, 10);
	ret->inode = strtoull(skip_field(skip_field(p)), NULL, 10);
	(void)address_unmap(&ret->at);
	return true;
}

static bool is_wildcard(const struct address *a)
{
	return address_class(a) == ADDRESS_THIS_HOST;
}

static bool in_the_way(const struct listening *l, const struct address *at, uint16_t port)
{
	if (l->port != port)
		return false;
	/* One of IPv6 may be for IPv4 too. */
	if (is_wildcard(&l->at))
		return l->at.family == at->family || l->at.family == AF_INET6;
	return address_equal(&l->at, at) || (is_wildcard(at) && (l->at.family == at->family || at->family == AF_INET6));
}

static bool find_listening(int family, const struct address *at, uint16_t port, struct listening *ret)
{
	_cleanup_close_ int fd = open(family == AF_INET6 ? "/proc/net/tcp6" : "/proc/net/tcp", O_RDONLY | O_CLOEXEC);
	_cleanup_str_ struct str text = STR_INIT;
	char *save = NULL;

	if (fd < 0 || fd_read_all(fd, TABLE_MAX, &text, NULL) < 0 || text.len == 0)
		return false;
	for (char *line = strtok_r(text.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (parse_line(line, family, ret) && in_the_way(ret, at, port))
			return true;
	return false;
}

static bool has_socket(const char *pid, const char *wanted)
{
	_cleanup_free_ char *path = xasprintf("/proc/%s/fd", pid);
	DIR *d = opendir(path);
	const struct dirent *ent;
	bool found = false;

	while (d && !found && (ent = readdir(d))) {
		char target[64];
		ssize_t n = readlinkat(dirfd(d), ent->d_name, target, sizeof(target) - 1);

		found = n > 0 && (size_t)n == strlen(wanted) && memcmp(target, wanted, (size_t)n) == 0;
	}
	if (d)
		(void)closedir(d);
	return found;
}

static pid_t find_owner(unsigned long long inode)
{
	_cleanup_free_ char *wanted = xasprintf("socket:[%llu]", inode);
	DIR *d = opendir("/proc");
	const struct dirent *ent;
	pid_t pid = 0;

	while (d && pid == 0 && (ent = readdir(d)))
		if (isdigit((unsigned char)ent->d_name[0]) && has_socket(ent->d_name, wanted))
			pid = (pid_t)strtol(ent->d_name, NULL, 10);
	if (d)
		(void)closedir(d);
	return pid;
}

static bool is_box(pid_t pid, struct str *to)
{
	struct box_info *list = NULL;
	size_t n = 0;
	bool found = false;

	if (box_list(&list, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n && !found; i++) {
		found = list[i].running && list[i].supervisor == pid;
		if (found)
			str_addf(to, "box '%s'", list[i].name);
	}
	box_list_free(list, n);
	return found;
}

static void add_program(pid_t pid, struct str *to)
{
	_cleanup_free_ char *path = xasprintf("/proc/%d/comm", (int)pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_str_ struct str name = STR_INIT;

	if (fd >= 0)
		(void)fd_read_all(fd, 256, &name, NULL);
	if (name.len > 0 && name.p[name.len - 1] == '\n')
		name.p[--name.len] = '\0';
	if (name.len > 0)
		str_add_printable(to, name.p, name.len, false);
	else
		str_adds(to, "a program");
	str_addf(to, " (pid %d)", (int)pid);
}

void portowner_describe(const struct address *at, uint16_t port, struct str *to)
{
	struct listening l;
	pid_t pid;

	if (!find_listening(AF_INET, at, port, &l) && !find_listening(AF_INET6, at, port, &l)) {
		str_adds(to, "another program");
		return;
	}
	pid = find_owner(l.inode);
	if (pid == 0)
		str_addf(to, "a program of user %u", l.uid);
	else if (!is_box(pid, to))
		add_program(pid, to);
}
