/* igloo logs: what a detached box wrote (box/output.h): the files "log.1" and "log" in its folder, the older one first.
 */
#include "base/name.h"
#include "box/box.h"
#include "cmd/client.h"
#include "cmd/cmd.h"
#include "cmd/options.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CHUNK = 65536,
	RECHECK_MS = 1000, /* between looks at a box whose supervisor takes no connection */
	END_MS = 30000,
};

struct logs_options {
	bool follow;
	bool raw;
	uint64_t tail;
};

/* Where output goes, disarmed for a terminal. */
struct sink {
	bool raw;
	bool broken; /* nobody reads any more */
	int error;
	struct str rest; /* bytes of a character whose others are still to come, or a CR */
};

struct logs {
	const char *name;
	const struct logs_options *options;
	struct sink sink;
	int older; /* log.1, -1 if there is none */
	int newer; /* log */
};

static void put(struct sink *sink, const char *bytes, size_t n)
{
	int r = n > 0 && !sink->broken ? fd_write_all(STDOUT_FILENO, bytes, n) : 0;

	if (r < 0) {
		sink->broken = true;
		sink->error = r == -EPIPE ? 0 : r;
	}
}

/* How many bytes at the end may be the beginning of something: of a UTF-8 sequence, or of CR LF. */
static size_t open_end(const char *bytes, size_t n)
{
	if (n > 0 && bytes[n - 1] == '\r')
		return 1;
	for (size_t k = 1; k <= 3 && k <= n; k++) {
		unsigned char c = (unsigned char)bytes[n - k];

		if (c < 0x80)
			return 0;
		if (c >= 0xc0)
			return k < (c >= 0xf0 ? 4U : c >= 0xe0 ? 3U : 2U) ? k : 0;
	}
	return 0;
}

/* Lines of a terminal end in CR LF, of which the CR is no news. */
static void disarm(struct str *to, const char *bytes, size_t n)
{
	const char *end = bytes + n;

	while (bytes < end) {
		const char *cr = memmem(bytes, (size_t)(end - bytes), "\r\n", 2);

		str_add_printable(to, bytes, (size_t)((cr ? cr : end) - bytes), true);
		bytes = cr ? cr + 1 : end;
	}
}

static void sink_take(struct sink *sink, const char *bytes, size_t n, bool last)
{
	_cleanup_str_ struct str clean = STR_INIT;
	struct str all = sink->rest;
	size_t keep;

	if (sink->raw) {
		put(sink, bytes, n);
		return;
	}
	sink->rest = (struct str)STR_INIT;
	str_add(&all, bytes, n);
	keep = last ? 0 : open_end(str_text(&all), all.len);
	disarm(&clean, str_text(&all), all.len - keep);
	if (keep > 0)
		str_add(&sink->rest, all.p + all.len - keep, keep);
	put(sink, clean.p, clean.len);
	str_release(&all);
}

/* --- from where on -------------------------------------------------------------------------------------------------
 */

/* Looks backward for the `lines`th newline from the end, not counting one at the very end of the whole. Returns where
 * the text behind it begins, or -1 with *lines lowered when it lies further in front. */
static off_t find_tail(int fd, uint64_t *lines, bool *at_end)
{
	char bytes[CHUNK];
	off_t at = lseek(fd, 0, SEEK_END);

	while (at > 0) {
		size_t n = at > CHUNK ? CHUNK : (size_t)at;
		ssize_t k = pread(fd, bytes, n, at - (off_t)n);

		if (k != (ssize_t)n)
			return -1;
		while (n-- > 0) {
			bool counts = bytes[n] == '\n' && !*at_end;

			*at_end = false;
			at--;
			if (counts && --*lines == 0)
				return at + 1;
		}
	}
	return -1;
}

static void seek_to_tail(struct logs *l)
{
	uint64_t lines = l->options->tail;
	bool at_end = true;
	off_t from;

	if (lines == 0) {
		l->older = close_fd(l->older);
		(void)lseek(l->newer, 0, SEEK_END);
		return;
	}
	from = find_tail(l->newer, &lines, &at_end);
	if (from >= 0) {
		l->older = close_fd(l->older);
		(void)lseek(l->newer, from, SEEK_SET);
		return;
	}
	(void)lseek(l->newer, 0, SEEK_SET);
	if (l->older >= 0) {
		from = find_tail(l->older, &lines, &at_end);
		(void)lseek(l->older, from > 0 ? from : 0, SEEK_SET);
	}
}

static void copy(struct logs *l, int fd)
{
	char bytes[CHUNK];

	while (!l->sink.broken) {
		ssize_t n = read(fd, bytes, sizeof(bytes));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		sink_take(&l->sink, bytes, (size_t)n, false);
	}
}

/* --- following -----------------------------------------------------------------------------------------------------
 */

/* A full log becomes log.1 (box/output.h): then the rest of it comes first, since it is not written any more. */
static void copy_news(struct logs *l)
{
	int fd;
	struct stat is;
	struct stat was;

	copy(l, l->newer);
	fd = box_open_file(l->name, "log", O_RDONLY | O_NONBLOCK, NULL);
	if (fd >= 0 && fstat(fd, &is) == 0 && fstat(l->newer, &was) == 0 && is.st_ino != was.st_ino) {
		copy(l, l->newer);
		(void)close_fd(l->newer);
		l->newer = fd;
		copy(l, l->newer);
	} else {
		(void)close_fd(fd);
	}
}

/* Watches the box's folder. */
static int watch_box(const char *name, struct err **e)
{
	_cleanup_close_ int dir = box_open_file(name, ".", O_RDONLY | O_DIRECTORY, e);
	_cleanup_close_ int fd = dir < 0 ? -1 : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[32];

	if (dir < 0)
		return dir;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", dir);
	if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
		return err_errno(e, errno, "cannot watch the log of box '%s'", name);
	return take_fd(&fd);
}

static int follow(struct logs *l, struct err **e)
{
	/* The connection says nothing; that it ends is the news. */
	_cleanup_close_ int supervisor = box_connect(l->name, NULL);
	_cleanup_close_ int watch = watch_box(l->name, e);

	if (watch < 0)
		return watch;
	for (;;) {
		struct pollfd p[] = {{.fd = watch, .events = POLLIN},
				     {.fd = supervisor, .events = POLLIN},
				     {.fd = STDOUT_FILENO, .events = 0}};
		char events[4096];

		copy_news(l);
		if (l->sink.broken)
			return 0;
		if (supervisor < 0 && client_box_ends(l->name, 0))
			break;
		if (poll(p, ARRAY_SIZE(p), supervisor < 0 ? RECHECK_MS : -1) < 0 && errno != EINTR)
			return err_errno(e, errno, "poll");
		while (read(watch, events, sizeof(events)) > 0)
			;
		if (p[2].revents)
			return 0;
		if (p[1].revents)
			break;
	}
	/* The last words are written after the connections are closed and before the lock is given up. */
	(void)client_box_ends(l->name, END_MS);
	copy_news(l);
	return 0;
}

/* --- the command ---------------------------------------------------------------------------------------------------
 */

static int open_logs(struct logs *l, bool *ret_running, struct err **e)
{
	struct box_info info = {0};
	int r = box_look(l->name, &info, e);
	bool empty;

	*ret_running = info.running;
	empty = info.defined;
	if (r == 0 && info.json && !info.detached) {
		(void)err_set(e, ENOENT, "box '%s' has no log: what it writes goes to where it was started from",
			      l->name);
		r = err_hint(e, "boxes that are started with --detach have one");
	}
	box_info_release(&info);
	if (r < 0)
		return r;
	/* The older one is opened last, so that a log that is full just now is not missed; it may come twice. */
	l->newer = box_open_file(l->name, "log", O_RDONLY | O_NONBLOCK, e);
	/* A box that stays may not have been started yet, or have no command that could write. */
	if (l->newer == -ENOENT && empty) {
		err_clear(e);
		return 0;
	}
	if (l->newer < 0)
		return l->newer;
	l->older = box_open_file(l->name, "log.1", O_RDONLY | O_NONBLOCK, NULL);
	return 0;
}

static int show(struct logs *l, bool with_tail, struct err **e)
{
	bool running;
	int r = open_logs(l, &running, e);

	if (r < 0 || l->newer < 0)
		return r;
	if (with_tail)
		seek_to_tail(l);
	if (l->older >= 0)
		copy(l, l->older);
	copy(l, l->newer);
	if (l->options->follow && running)
		r = follow(l, e);
	sink_take(&l->sink, "", 0, true);
	if (r == 0 && l->sink.error)
		r = err_errno(e, -l->sink.error, "cannot write to stdout");
	return r;
}

static int run(struct invocation *inv, struct err **e)
{
	const struct logs_options *o = inv->options;
	struct logs l = {.name = inv->argv[0], .options = o, .older = -1, .newer = -1};
	int r = name_check(l.name, e);

	if (r < 0)
		return r;
	(void)signal(SIGPIPE, SIG_IGN);
	l.sink.raw = o->raw || !isatty(STDOUT_FILENO);
	r = show(&l, options_given(inv, "tail"), e);
	str_release(&l.sink.rest);
	(void)close_fd(l.older);
	(void)close_fd(l.newer);
	return r;
}

static const struct opt opts[] = {
	{.name = "follow",
	 .letter = 'f',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct logs_options, follow),
	 .help = "go on with what the box writes, until it ends"},
	{.name = "tail",
	 .arg = "N",
	 .kind = OPT_COUNT,
	 .offset = offsetof(struct logs_options, tail),
	 .help = "show the last N lines only",
	 .max = 1000000000},
	{.name = "raw",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct logs_options, raw),
	 .help = "send a terminal the bytes as they are, control sequences too"},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Log", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo logs -f --tail 20 fix", "the last lines and what follows"},
	{"igloo logs fix | less -R", "with its colours"},
	{.command = NULL},
};

const struct cmd cmd_logs = {
	.name = "logs",
	.args = "BOX",
	.summary = "show what a detached box wrote",
	.about = "The log holds the last 16 to 32 MiB that the box's command wrote to its terminal, or to stdout and "
		 "stderr. On a "
		 "terminal, bytes that would control it are shown as \\xNN; into a pipe or file everything goes as it "
		 "is.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct logs_options),
	.min_args = 1,
	.max_args = 1,
	.arg_hint = HINT_BOXES,
	.run = run,
};
