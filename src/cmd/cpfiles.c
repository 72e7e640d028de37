/* igloo cp: between files of the box and files of the host. */
#include "cmd/cp.h"
#include "cmd/cphost.h"
#include "wire/copysend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { ENTRIES_MAX = 20 * 1000 * 1000 };

static struct copyrec rec;
static struct copydec dec;

/* What `fd` is called; for the rules about names. */
static char *path_of(int fd)
{
	_cleanup_free_ char *link = xasprintf("/proc/self/fd/%d", fd);
	char path[PATH_MAX];
	ssize_t n = readlink(link, path, sizeof(path) - 1);

	if (n <= 0)
		return NULL;
	path[n] = '\0';
	return xstrdup(n == 1 ? "" : path);
}

/* --- out of the box ----------------------------------------------------------------------------------------------- */

/* The error of copyreceive_event(). */
static int receive_error(struct cp *c, const struct copyreceive *to, int r, struct err **e)
{
	_cleanup_str_ struct str path = STR_INIT;
	_cleanup_str_ struct str words = STR_INIT;

	str_add_printable(&words, str_text(&to->words), to->words.len, false);
	if (to->words.len == 0)
		return copying_error(&c->way, r, e);
	str_add_printable(&path, str_text(&to->path), to->path.len, false);
	if (r == -E2BIG) {
		(void)err_set(e, E2BIG, "%s '%s'", str_text(&words), str_text(&path));
		return err_hint(e, "--max-size allows more");
	}
	return err_errno(e, -r, "%s '%s'", str_text(&words), str_text(&path));
}

int cp_remote_error(const struct cp *c, const struct copy_event *ev, struct err **e)
{
	_cleanup_str_ struct str words = STR_INIT;

	str_add_printable(&words, ev->text, strlen(ev->text), false);
	return err_errno(e, ev->errnum, "box '%s': %s", c->box, str_text(&words));
}

static int receive_more(struct cp *c, struct err **e)
{
	size_t room;
	uint8_t *to = copydec_room(&dec, &room);
	ssize_t n = copying_read(&c->way, to, room);

	if (n <= 0)
		return copying_error(&c->way, (int)n, e);
	copydec_grew(&dec, (size_t)n);
	c->moved += (uint64_t)n;
	return 0;
}

int cp_next(struct cp *c, struct copy_event *ret, struct err **e)
{
	int r;

	while ((r = copydec_next(&dec, ret)) == 0) {
		r = receive_more(c, e);
		if (r < 0)
			return r;
	}
	return r < 0 ? copying_error(&c->way, r, e) : 0;
}

static int receive(struct cp *c, struct copyreceive *to, struct err **e)
{
	static struct copy_event ev;
	int r = 0;

	while (r == 0 && !to->ended) {
		r = cp_next(c, &ev, e);
		if (r < 0)
			return r;
		r = copyreceive_event(to, &ev);
		c->done = to->totals;
		if (r == -EREMOTEIO)
			r = cp_remote_error(c, &ev, e);
		else if (r < 0)
			r = receive_error(c, to, r, e);
	}
	return r;
}

int cp_out(struct cp *c, struct err **e)
{
	_cleanup_cphost_ struct cphost place = CPHOST_INIT;
	struct copyreceive to = {.ops = &cp_receive_ops,
				 .user = c,
				 .links = c->links,
				 .max_bytes = c->max_bytes,
				 .max_entries = ENTRIES_MAX};
	int r = cphost_open(c->on_host, CPHOST_TRUST, &place, e);

	if (r < 0)
		return r;
	c->base = path_of(place.parent);
	to.parent = place.parent;
	to.name = place.name;
	to.must_be_folder = place.folder;
	r = copying_start(&c->way, c->box, c->follow ? COPY_OUT_REAL : COPY_OUT, c->in_box, false, e);
	if (r == 0)
		r = receive(c, &to, e);
	copyreceive_release(&to);
	return r;
}

/* --- into the box ------------------------------------------------------------------------------------------------- */

static int write_to_box(void *user, const void *bytes, size_t n)
{
	struct cp *c = user;
	int r = copying_write(&c->way, bytes, n);

	c->moved += n;
	return r;
}

static int read_answer(struct cp *c, struct err **e)
{
	static struct copy_event ev;
	int r;

	dec.answer = true;
	r = cp_next(c, &ev, e);
	if (r < 0)
		return r;
	if (ev.type != COPY_TOTAL && ev.type != COPY_FAIL)
		return copying_error(&c->way, -EPROTO, e);
	c->done = ev.totals;
	return ev.type == COPY_FAIL ? cp_remote_error(c, &ev, e) : 0;
}

struct copyrec *cp_records(struct cp *c)
{
	rec.write = write_to_box;
	rec.user = c;
	return &rec;
}

int cp_finish(struct cp *c, int r, struct err **e)
{
	if (r < 0 && r != -EPIPE)
		return copying_error(&c->way, r, e);
	copying_close(&c->way);
	return read_answer(c, e);
}

int cp_give_up(struct cp *c, int r)
{
	const struct copy_totals none = {0};

	if (copyrec_fail(cp_records(c), ECANCELED, &none, "") == 0) {
		copying_close(&c->way);
		(void)read_answer(c, NULL);
	}
	return r;
}

static int send_tree(struct cp *c, const struct cphost *from, struct err **e)
{
	struct copysend s = {.to = cp_records(c), .skip = cp_on_skip, .changed = cp_on_changed, .user = c};
	/* A folder named with a slash, or by a link to it, is entered; the name stays. */
	int r = copysend_tree(&s, from->parent, from->name ? from->name : ".", from->as);

	copysend_release(&s);
	if (r < 0 && rec.failed == 0) {
		_cleanup_str_ struct str shown = STR_INIT;

		str_add_printable(&shown, c->on_host, strlen(c->on_host), false);
		(void)cp_give_up(c, r);
		return r == -ESTALE ? err_set(e, EINVAL, "'%s' is no file, folder or link", str_text(&shown))
				    : err_errno(e, -r, "cannot copy '%s'", str_text(&shown));
	}
	if (r == 0)
		r = copyrec_total(&rec, &rec.totals);
	return cp_finish(c, r, e);
}

int cp_in(struct cp *c, struct err **e)
{
	_cleanup_cphost_ struct cphost from = CPHOST_INIT;
	int r = cphost_open(c->on_host, c->follow ? CPHOST_FOLLOW : CPHOST_KEEP, &from, e);

	if (r < 0)
		return r;
	if (from.name && faccessat(from.parent, from.name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(e, errno, "cannot open '%s'", c->on_host);
	r = copying_start(&c->way, c->box, COPY_IN, c->in_box, true, e);
	return r < 0 ? r : send_tree(c, &from, e);
}
