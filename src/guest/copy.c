#include "guest/copy.h"

#include "base/mem.h"
#include "base/str.h"
#include "sys/fd.h"
#include "wire/copypath.h"
#include "wire/copyreceive.h"
#include "wire/copysend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct copyrec rec;
static struct copydec dec;

static int write_out(void *user, const void *bytes, size_t n)
{
	return fd_write_all(STDOUT_FILENO, bytes, n);
}

static int say_failed(int errnum, const struct copy_totals *done, const char *what, const char *path)
{
	_cleanup_str_ struct str s = STR_INIT;

	str_adds(&s, what);
	if (*what && *path) {
		str_adds(&s, " '");
		str_adds(&s, path);
		str_adds(&s, "'");
	}
	return copyrec_fail(&rec, errnum, done, str_text(&s)) < 0;
}

/* --- out ---------------------------------------------------------------------------------------------------------- */

static int send_named(const char *path, const char *as)
{
	_cleanup_copypath_ struct copypath p = {NULL, NULL, false};
	_cleanup_close_ int dir = -1;
	struct copysend s = {.to = &rec};
	int r;

	copypath_split(path, &p);
	/* A folder by itself: a link before the slash is followed. */
	dir = open(p.name && !p.folder ? p.parent : path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return say_failed(errno, &rec.totals, "cannot open", path);
	r = copysend_tree(&s, dir, p.name && !p.folder ? p.name : ".", as ? as : p.name ? p.name : "");
	if (r < 0 && rec.failed == 0)
		r = say_failed(r == -ESTALE ? EINVAL : -r, &rec.totals,
			       r == -ESTALE ? "no file, folder or link:" : "cannot open", path);
	else if (r == 0)
		r = copyrec_total(&rec, &rec.totals);
	copysend_release(&s);
	return r != 0;
}

static int send_real(const char *path)
{
	_cleanup_copypath_ struct copypath p = {NULL, NULL, false};
	_cleanup_free_ char *real = realpath(path, NULL);

	if (!real)
		return say_failed(errno, &rec.totals, "cannot open", path);
	copypath_split(path, &p);
	return send_named(real, p.name ? p.name : "");
}

/* --- in ----------------------------------------------------------------------------------------------------------- */

static void on_skip(void *user, int errnum, enum copy_why why, const char *path)
{
	/* The sender's own. */
}

static void on_changed(void *user, const char *path)
{
	/* The sender has said so. */
}

static const struct copyreceive_ops ops = {.skip = on_skip, .changed = on_changed};

static int receive_more(void)
{
	size_t room;
	uint8_t *to = copydec_room(&dec, &room);
	ssize_t n;

	do
		n = read(STDIN_FILENO, to, room);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -EPIPE;
	copydec_grew(&dec, (size_t)n);
	return 0;
}

static int receive_all(struct copyreceive *c)
{
	static struct copy_event e;
	int r = 0;

	while (r == 0 && !c->ended) {
		r = copydec_next(&dec, &e);
		if (r == 0)
			r = receive_more();
		else if (r > 0)
			r = copyreceive_event(c, &e);
	}
	return r;
}

/* Where it goes, every link on the way and in its place followed: these are the box's own. */
static int find_place(const char *path, struct copypath *ret)
{
	_cleanup_free_ char *real = realpath(path, NULL);

	copypath_split(path, ret);
	if (real) {
		bool folder = ret->folder || !ret->name;

		copypath_release(ret);
		copypath_split(real, ret);
		ret->folder = folder;
		return 0;
	}
	return errno == ENOENT && ret->name ? 0 : -errno;
}

static int receive(const char *path)
{
	_cleanup_copypath_ struct copypath p = {NULL, NULL, false};
	_cleanup_close_ int parent = -1;
	struct copyreceive c = {.ops = &ops, .max_bytes = UINT64_MAX, .max_entries = UINT64_MAX};
	int r = find_place(path, &p);

	if (r == 0 && (parent = open(p.parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		parent = open(p.parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r < 0 || parent < 0)
		return say_failed(r < 0 ? -r : errno, &rec.totals, "cannot open", r < 0 ? path : p.parent);
	c.parent = parent;
	c.name = p.name;
	c.must_be_folder = p.folder;
	r = receive_all(&c);
	if (r < 0) {
		_cleanup_str_ struct str at = STR_INIT;

		str_adds(&at, p.parent);
		str_adds(&at, str_ends(p.parent, "/") || c.path.len == 0 ? "" : "/");
		str_adds(&at, str_text(&c.path));
		r = say_failed(-r, &c.totals, c.words.len > 0 ? c.words.p : "the stream is broken at", str_text(&at));
	} else {
		r = copyrec_total(&rec, &c.totals) < 0;
	}
	copyreceive_release(&c);
	return r;
}

int copy_run(const char *how, const char *path)
{
	rec.write = write_out;
	(void)umask(0);
	if (strcmp(how, COPY_OUT) == 0)
		return send_named(path, NULL);
	if (strcmp(how, COPY_OUT_REAL) == 0)
		return send_real(path);
	if (strcmp(how, COPY_IN) == 0)
		return receive(path);
	return -1;
}
