/* igloo cp: between files of the box and a tar file on stdout or stdin. */
#include "cmd/cp.h"
#include "fmt/tar.h"
#include "sys/fd.h"
#include "wire/copystream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { OUT_BYTES = 64 * 1024 };

/* --- a stream to a tar file --------------------------------------------------------------------------------------- */

struct to_tar {
	struct cp *c;
	struct str path; /* of the folder that is open */
	struct str out;
	size_t lens[COPY_DEPTH_MAX + 1]; /* of the path before each folder */
	size_t depth;
	uint64_t size; /* of the file, to be filled up to a block */
	uint64_t bytes;
};

static int out_flush(struct to_tar *t, struct err **e)
{
	int r = t->out.len > 0 ? copying_wait(&t->c->way, STDOUT_FILENO, POLLOUT) : 0;

	if (r < 0)
		return copying_error(&t->c->way, r, e);
	r = fd_write_all(STDOUT_FILENO, str_text(&t->out), t->out.len);
	str_clear(&t->out);
	return r < 0 ? err_errno(e, -r, "cannot write the tar file") : 0;
}

static int out_bytes(struct to_tar *t, const void *bytes, size_t n, struct err **e)
{
	t->bytes += n;
	if (t->bytes > t->c->max_bytes) {
		(void)err_set(e, E2BIG, "more bytes than allowed");
		return err_hint(e, "--max-size allows more");
	}
	str_add(&t->out, bytes, n);
	return t->out.len >= OUT_BYTES ? out_flush(t, e) : 0;
}

static int out_zeros(struct to_tar *t, uint64_t n, struct err **e)
{
	static const char zeros[OUT_BYTES];
	int r = 0;

	while (n > 0 && r == 0) {
		size_t part = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);

		r = out_bytes(t, zeros, part, e);
		n -= part;
	}
	return r;
}

static size_t enter(struct to_tar *t, const char *name)
{
	size_t len = t->path.len;

	if (len > 0)
		str_addc(&t->path, '/');
	str_adds(&t->path, *name || len > 0 ? name : ".");
	return len;
}

static void leave(struct to_tar *t, size_t len)
{
	t->path.len = len;
	if (t->path.p)
		t->path.p[len] = '\0';
}

static void out_entry(struct to_tar *t, const struct copy_event *ev, enum tar_type type)
{
	struct copy_totals *done = &t->c->done;
	size_t len = enter(t, ev->name);
	bool is_link = type == TAR_LINK;

	if (is_link && (t->c->links == COPY_LINKS_NONE ||
			(t->c->links == COPY_LINKS_INSIDE && !copy_leads_inside(ev->text, t->depth)))) {
		cp_receive_ops.refused_link(t->c, str_text(&t->path), ev->text);
		leave(t, len);
		return;
	}
	if (type == TAR_DIR)
		str_addc(&t->path, '/');
	tar_add_header(&t->out, &(const struct tar_entry){.type = type,
							  .path = str_text(&t->path),
							  .target = is_link ? ev->text : "",
							  .mode = is_link ? 0777 : ev->meta.mode & 0777,
							  .s = ev->meta.s,
							  .ns = ev->meta.ns,
							  .size = type == TAR_FILE ? ev->size : 0});
	if (type == TAR_DIR) {
		leave(t, t->path.len - 1);
		t->lens[t->depth++] = len;
		done->dirs++;
		return;
	}
	leave(t, len);
	t->size = ev->size;
	done->files += type == TAR_FILE;
	done->links += is_link;
	done->bytes += type == TAR_FILE ? ev->size : 0;
}

static int out_event(struct to_tar *t, const struct copy_event *ev, struct err **e)
{
	switch (ev->type) {
	case COPY_DIR:
		out_entry(t, ev, TAR_DIR);
		return 0;
	case COPY_FILE:
		out_entry(t, ev, TAR_FILE);
		return 0;
	case COPY_LINK:
		out_entry(t, ev, TAR_LINK);
		return 0;
	case COPY_DATA:
		return out_bytes(t, ev->bytes, ev->n, e);
	case COPY_HOLE:
		return out_zeros(t, ev->size, e);
	case COPY_FILE_END:
		if (ev->changed)
			cp_on_changed(t->c, str_text(&t->path));
		return out_zeros(t, tar_padding(t->size), e);
	case COPY_UP:
		leave(t, t->lens[--t->depth]);
		return 0;
	case COPY_SKIP:
		cp_on_skip(t->c, ev->errnum, ev->why, ev->text);
		return 0;
	case COPY_TOTAL:
		tar_add_end(&t->out);
		return out_flush(t, e);
	case COPY_FAIL:
		break;
	}
	return cp_remote_error(t->c, ev, e);
}

int cp_out_tar(struct cp *c, struct err **e)
{
	static struct copy_event ev;
	struct to_tar t = {.c = c};
	int r;

	if (isatty(STDOUT_FILENO)) {
		(void)err_set(e, EINVAL, "a tar file does not belong on a terminal");
		return err_hint(e, "igloo cp %s:PATH - | tar t", c->box);
	}
	ev.type = COPY_UP;
	r = copying_start(&c->way, c->box, c->follow ? COPY_OUT_REAL : COPY_OUT, c->in_box, false, e);
	while (r == 0 && ev.type != COPY_TOTAL) {
		r = cp_next(c, &ev, e);
		if (r == 0)
			r = out_event(&t, &ev, e);
	}
	str_release(&t.path);
	str_release(&t.out);
	return r;
}

/* --- a tar file to a stream --------------------------------------------------------------------------------------- */

struct from_tar {
	struct cp *c;
	struct copyrec *to;
	struct tar_reader tar;
	struct strv open; /* names of the folders that are open, below the destination */
	bool taking;      /* a file's content is being sent */
};

static void end_file(struct from_tar *t)
{
	if (t->taking)
		(void)copyrec_file_end(t->to, false);
	t->taking = false;
}

static void close_to(struct from_tar *t, size_t n)
{
	for (; t->open.n > n; t->open.n--) {
		(void)copyrec_up(t->to);
		free(t->open.v[t->open.n - 1]);
		t->open.v[t->open.n - 1] = NULL;
	}
}

/* The names of a path; false when it leads out, or a name cannot be one. */
static bool split(const char *path, struct strv *names)
{
	strv_split(names, path, '/');
	for (size_t i = 0; i < names->n;) {
		if (strcmp(names->v[i], ".") == 0) {
			free(names->v[i]);
			memmove(&names->v[i], &names->v[i + 1], (names->n - i) * sizeof(*names->v));
			names->n--;
			continue;
		}
		if (!copy_name_ok(names->v[i], strlen(names->v[i])))
			return false;
		i++;
	}
	return names->n < COPY_DEPTH_MAX;
}

/* Opens the first n folders of the path; those that the tar file did not name get a usual mode. */
static void open_folders(struct from_tar *t, const struct strv *names, size_t n)
{
	const struct copy_meta usual = {.mode = 0755};
	size_t same = 0;

	while (same < n && same < t->open.n && strcmp(names->v[same], t->open.v[same]) == 0)
		same++;
	close_to(t, same);
	for (size_t i = same; i < n; i++) {
		(void)copyrec_dir(t->to, names->v[i], &usual, true);
		strv_add(&t->open, names->v[i]);
	}
}

static void take_folder(struct from_tar *t, const struct strv *names, const struct copy_meta *m)
{
	size_t n = names->n;

	if (n == 0)
		return;
	open_folders(t, names, n - 1);
	/* It may be open already, made for what is in it. */
	if (t->open.n >= n && strcmp(t->open.v[n - 1], names->v[n - 1]) == 0)
		return;
	(void)copyrec_dir(t->to, names->v[n - 1], m, false);
	strv_add(&t->open, names->v[n - 1]);
}

static void take_entry(struct from_tar *t)
{
	const struct tar_entry *x = &t->tar.entry;
	const struct copy_meta m = {.mode = x->mode, .s = x->s, .ns = x->ns};
	_cleanup_strv_ struct strv names = STRV_INIT;
	size_t target = strlen(x->target);

	if (!split(x->path, &names) || (names.n == 0 && x->type != TAR_DIR)) {
		cp_left_out(t->c, x->path, "no path below a folder", true);
	} else if (x->type == TAR_DIR) {
		take_folder(t, &names, &m);
	} else if (x->type == TAR_OTHER) {
		cp_left_out(t->c, x->path, "no file, folder or link", false);
	} else if (x->type == TAR_HARD_LINK) {
		cp_left_out(t->c, x->path, "a hard link", true);
	} else if (x->type == TAR_LINK && (target == 0 || target > COPY_TARGET_MAX)) {
		cp_left_out(t->c, x->path, "a link to nothing", true);
	} else {
		open_folders(t, &names, names.n - 1);
		if (x->type == TAR_LINK) {
			(void)copyrec_link(t->to, names.v[names.n - 1], &m, x->target);
			return;
		}
		(void)copyrec_file(t->to, names.v[names.n - 1], &m, x->size);
		t->taking = true;
	}
}

static void take_bytes(struct from_tar *t)
{
	for (size_t at = 0; t->taking && at < t->tar.n;) {
		size_t room;
		uint8_t *to = copyrec_room(t->to, &room);
		size_t n = t->tar.n - at < room ? t->tar.n - at : room;

		memcpy(to, t->tar.bytes + at, n);
		(void)copyrec_data(t->to, n);
		at += n;
	}
}

/* 1 at the end of the input. */
static int read_input(struct from_tar *t, struct err **e)
{
	size_t room;
	uint8_t *to = tar_room(&t->tar, &room);
	ssize_t n;
	int r = copying_wait(&t->c->way, STDIN_FILENO, POLLIN);

	if (r < 0)
		return copying_error(&t->c->way, r, e);
	n = read(STDIN_FILENO, to, room);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : err_errno(e, errno, "cannot read the tar file");
	tar_grew(&t->tar, (size_t)n);
	if (n > 0)
		return 0;
	return tar_may_end(&t->tar) ? 1 : err_set(e, ENODATA, "the tar file ends in the middle");
}

/* 1 at the end. */
static int take_next(struct from_tar *t, struct err **e)
{
	int r = tar_next(&t->tar);

	switch (r) {
	case TAR_MORE:
		return read_input(t, e);
	case TAR_BYTES:
		take_bytes(t);
		return 0;
	case TAR_ENTRY:
		end_file(t);
		take_entry(t);
		return 0;
	case TAR_END:
		return 1;
	default:
		return err_set(e, EBADMSG, "the tar file: %s", t->tar.why);
	}
}

static int take_all(struct from_tar *t, struct err **e)
{
	const struct copy_meta none = {0};
	int r = 0;

	(void)copyrec_dir(t->to, "", &none, true);
	while (r == 0 && t->to->failed == 0)
		r = take_next(t, e);
	if (r < 0)
		return cp_give_up(t->c, r);
	end_file(t);
	close_to(t, 0);
	(void)copyrec_up(t->to);
	(void)copyrec_total(t->to, &t->to->totals);
	return cp_finish(t->c, t->to->failed, e);
}

int cp_in_tar(struct cp *c, struct err **e)
{
	static struct from_tar t;
	int r;

	if (isatty(STDIN_FILENO))
		return err_set(e, EINVAL, "\"-\" is a tar file on stdin, and that is a terminal");
	t.c = c;
	t.to = cp_records(c);
	r = copying_start(&c->way, c->box, COPY_IN, c->in_box, true, e);
	if (r == 0)
		r = take_all(&t, e);
	strv_release(&t.open);
	tar_release(&t.tar);
	return r;
}
