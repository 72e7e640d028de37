/* Theory of operation
 *
 * /etc/resolv.conf is a file that somebody writes or replaces, or a link to one in a folder below /run; in containers
 * it is a file that was mounted there. So three things are watched by inotify(7): the folder of the path, the folder of
 * the file that it leads to, and that file. The latter two are looked up again whenever something happens. What is told
 * to the engine is what the file says then, not what happened. */
#include "box/hostdns.h"

#include "net/address.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum { FILE_MAX = 65536, SERVERS_MAX = 8 };

struct hostdns {
	char *path;
	int fd;
	int wd_path; /* of the folder that the path is in; those below of what it leads to */
	int wd_folder;
	int wd_file;
	struct str servers;
};

/* An open descriptor is watched, so that the path cannot lead elsewhere meanwhile. */
static int watch(const struct hostdns *h, const char *path, int flags, uint32_t events)
{
	_cleanup_close_ int fd = open(path, O_PATH | O_CLOEXEC | flags);
	char name[32];

	if (fd < 0)
		return -1;
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	return inotify_add_watch(h->fd, name, events);
}

static int watch_folder(const struct hostdns *h, const char *file)
{
	_cleanup_free_ char *folder = xstrdup(file);
	char *slash = strrchr(folder, '/');

	if (!slash)
		return -1;
	*(slash == folder ? slash + 1 : slash) = '\0';
	return watch(h, folder, O_DIRECTORY, IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_MASK_ADD);
}

/* The same inode has the same number: then it stays. */
static void replace_watch(struct hostdns *h, int *wd, int fresh)
{
	if (fresh < 0)
		return;
	if (*wd >= 0 && *wd != fresh && *wd != h->wd_path)
		(void)inotify_rm_watch(h->fd, *wd);
	*wd = fresh;
}

static void watch_target(struct hostdns *h)
{
	_cleanup_free_ char *target = realpath(h->path, NULL);

	if (!target)
		return;
	replace_watch(h, &h->wd_file, watch(h, target, 0, IN_CLOSE_WRITE));
	if (strcmp(target, h->path) != 0)
		replace_watch(h, &h->wd_folder, watch_folder(h, target));
}

/* resolv.conf(5): "nameserver" and an address. One with a scope (fe80::1%eth0) is left out. */
static void add_server(const char *line, struct str *to, size_t *n)
{
	static const char word[] = "nameserver";
	struct address a;
	char text[ADDRESS_TEXT_MAX];
	size_t len;

	if (strncmp(line, word, sizeof(word) - 1) != 0 || *n == SERVERS_MAX)
		return;
	line += sizeof(word) - 1;
	if (*line != ' ' && *line != '\t')
		return;
	line += strspn(line, " \t");
	len = strcspn(line, " \t\r#;");
	if (!address_parse(line, len, &a))
		return;
	address_format(&a, text);
	str_addf(to, "%s%s", (*n)++ > 0 ? "," : "", text);
}

static void read_servers(const struct hostdns *h, struct str *to)
{
	_cleanup_close_ int fd = file_open_user(h->path, O_RDONLY | O_NONBLOCK);
	_cleanup_str_ struct str all = STR_INIT;
	_cleanup_strv_ struct strv lines = STRV_INIT;
	size_t n = 0;

	if (fd < 0 || fd_read_all(fd, FILE_MAX, &all, NULL) < 0)
		return;
	strv_split(&lines, str_text(&all), '\n');
	for (size_t i = 0; i < lines.n; i++)
		add_server(lines.v[i], to, &n);
}

int hostdns_new(const char *path, struct hostdns **ret, struct err **e)
{
	struct hostdns *h = xcalloc(1, sizeof(*h));

	h->path = xstrdup(path);
	h->wd_path = h->wd_folder = h->wd_file = -1;
	h->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (h->fd < 0) {
		int errnum = errno;

		hostdns_free(h);
		return err_errno(e, errnum, "cannot watch the host's name servers");
	}
	h->wd_path = watch_folder(h, path);
	watch_target(h);
	read_servers(h, &h->servers);
	*ret = h;
	return 0;
}

void hostdns_free(struct hostdns *h)
{
	if (!h)
		return;
	(void)close_fd(h->fd);
	str_release(&h->servers);
	free(h->path);
	free(h);
}

int hostdns_fd(const struct hostdns *h)
{
	return h ? h->fd : -1;
}

bool hostdns_changed(struct hostdns *h, struct str *ret)
{
	_cleanup_str_ struct str now = STR_INIT;
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	while (read(h->fd, events, sizeof(events)) > 0)
		continue;
	watch_target(h);
	read_servers(h, &now);
	if (now.len == 0 || strcmp(str_text(&now), str_text(&h->servers)) == 0)
		return false;
	str_clear(&h->servers);
	str_adds(&h->servers, str_text(&now));
	str_adds(ret, str_text(&now));
	return true;
}
