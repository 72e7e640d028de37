#include "wire/copystream.h"

#include "wire/frame.h"

#include <errno.h>
#include <string.h>

enum { META = 16, TOTALS = 32, ROOM_MIN = 64 * 1024, ERRNO_MAX = 4095 };

_Static_assert(META + 8 + COPY_NAME_MAX <= COPY_SMALL_MAX, "a file's record fits");
_Static_assert(META + 2 + COPY_NAME_MAX + COPY_TARGET_MAX <= COPY_SMALL_MAX, "a link's record fits");

bool copy_name_ok(const char *name, size_t n)
{
	if (n == 0 || n > COPY_NAME_MAX || memchr(name, '/', n) || memchr(name, '\0', n))
		return false;
	return !(n == 1 && name[0] == '.') && !(n == 2 && name[0] == '.' && name[1] == '.');
}

static void put64(uint8_t *p, uint64_t v)
{
	frame_put32(p, (uint32_t)v);
	frame_put32(p + 4, (uint32_t)(v >> 32));
}

static uint64_t get64(const uint8_t *p)
{
	return frame_get32(p) | (uint64_t)frame_get32(p + 4) << 32;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static int flush(struct copyrec *c)
{
	if (c->failed == 0 && c->n > 0)
		c->failed = c->write(c->user, c->buf, c->n);
	c->n = 0;
	return c->failed;
}

/* Begins a record and returns where its payload goes. */
static uint8_t *begin(struct copyrec *c, enum copy_type type, uint8_t flags, size_t len)
{
	uint8_t *p;

	if (sizeof(c->buf) - c->n < COPY_HEADER + len)
		(void)flush(c);
	p = c->buf + c->n;
	p[0] = (uint8_t)type;
	p[1] = flags;
	p[2] = p[3] = 0;
	frame_put32(p + 4, (uint32_t)len);
	c->n += COPY_HEADER + len;
	return p + COPY_HEADER;
}

static uint8_t *put(uint8_t *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return p + n;
}

static uint8_t *put_meta(uint8_t *p, const struct copy_meta *m)
{
	frame_put32(p, m->mode & 07777);
	put64(p + 4, (uint64_t)m->s);
	frame_put32(p + 12, m->ns);
	return p + META;
}

int copyrec_dir(struct copyrec *c, const char *name, const struct copy_meta *m, bool plain)
{
	size_t n = strlen(name);
	uint8_t *p = begin(c, COPY_DIR, plain ? COPY_PLAIN : 0, META + n);

	(void)put(put_meta(p, m), name, n);
	c->totals.dirs++;
	return c->failed;
}

int copyrec_file(struct copyrec *c, const char *name, const struct copy_meta *m, uint64_t size)
{
	size_t n = strlen(name);
	uint8_t *p = put_meta(begin(c, COPY_FILE, 0, META + 8 + n), m);

	put64(p, size);
	(void)put(p + 8, name, n);
	c->totals.files++;
	return c->failed;
}

int copyrec_link(struct copyrec *c, const char *name, const struct copy_meta *m, const char *target)
{
	size_t n = strlen(name);
	size_t t = strlen(target);
	uint8_t *p = put_meta(begin(c, COPY_LINK, 0, META + 2 + n + t), m);

	frame_put16(p, (uint16_t)n);
	(void)put(put(p + 2, name, n), target, t);
	c->totals.links++;
	return c->failed;
}

uint8_t *copyrec_room(struct copyrec *c, size_t *ret_n)
{
	if (sizeof(c->buf) - c->n < COPY_HEADER + ROOM_MIN)
		(void)flush(c);
	*ret_n = sizeof(c->buf) - c->n - COPY_HEADER;
	return c->buf + c->n + COPY_HEADER;
}

int copyrec_data(struct copyrec *c, size_t n)
{
	(void)begin(c, COPY_DATA, 0, n);
	c->totals.bytes += n;
	return c->failed;
}

int copyrec_hole(struct copyrec *c, uint64_t n)
{
	put64(begin(c, COPY_HOLE, 0, 8), n);
	return c->failed;
}

int copyrec_file_end(struct copyrec *c, bool changed)
{
	(void)begin(c, COPY_FILE_END, changed ? COPY_CHANGED : 0, 0);
	return c->failed;
}

int copyrec_up(struct copyrec *c)
{
	(void)begin(c, COPY_UP, 0, 0);
	return c->failed;
}

static int put_text(struct copyrec *c, enum copy_type type, const uint8_t *numbers, size_t bytes, const char *text)
{
	size_t n = strnlen(text, COPY_TEXT_MAX);
	uint8_t *p = begin(c, type, 0, bytes + n);

	(void)put(put(p, numbers, bytes), text, n);
	return c->failed;
}

int copyrec_skip(struct copyrec *c, int errnum, enum copy_why why, const char *path)
{
	uint8_t numbers[8];

	frame_put32(numbers, (uint32_t)errnum);
	frame_put32(numbers + 4, why);
	return put_text(c, COPY_SKIP, numbers, sizeof(numbers), path);
}

static void put_totals(uint8_t *p, const struct copy_totals *totals)
{
	put64(p, totals->files);
	put64(p + 8, totals->dirs);
	put64(p + 16, totals->links);
	put64(p + 24, totals->bytes);
}

int copyrec_total(struct copyrec *c, const struct copy_totals *totals)
{
	put_totals(begin(c, COPY_TOTAL, 0, TOTALS), totals);
	return flush(c);
}

int copyrec_fail(struct copyrec *c, int errnum, const struct copy_totals *totals, const char *words)
{
	uint8_t numbers[4 + TOTALS];

	frame_put32(numbers, (uint32_t)errnum);
	put_totals(numbers + 4, totals);
	(void)put_text(c, COPY_FAIL, numbers, sizeof(numbers), words);
	return flush(c);
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

uint8_t *copydec_room(struct copydec *d, size_t *ret_n)
{
	if (d->begin > 0) {
		memmove(d->buf, d->buf + d->begin, d->end - d->begin);
		d->end -= d->begin;
		d->begin = 0;
	}
	*ret_n = sizeof(d->buf) - d->end;
	return d->buf + d->end;
}

void copydec_grew(struct copydec *d, size_t n)
{
	d->end += n;
}

static bool get_meta(const uint8_t *p, struct copy_meta *ret)
{
	*ret = (struct copy_meta){frame_get32(p), (int64_t)get64(p + 4), frame_get32(p + 12)};
	return ret->mode <= 07777 && ret->ns < 1000000000;
}

static bool get_name(const struct copydec *d, const uint8_t *p, size_t n, struct copy_event *ret)
{
	if (!(n == 0 && !d->has_root) && !copy_name_ok((const char *)p, n))
		return false;
	memcpy(ret->name, p, n);
	ret->name[n] = '\0';
	return true;
}

static bool get_text(const uint8_t *p, size_t n, size_t max, struct copy_event *ret)
{
	if (n > max || memchr(p, '\0', n))
		return false;
	memcpy(ret->text, p, n);
	ret->text[n] = '\0';
	return true;
}

/* An entry begins where a tree may begin or a folder is open. */
static bool entry_may_be(const struct copydec *d)
{
	return !d->answer && !d->in_file && (d->depth > 0 || !d->has_root);
}

static bool get_dir(struct copydec *d, const uint8_t *p, size_t n, uint8_t flags, struct copy_event *ret)
{
	if (!entry_may_be(d) || n < META || flags > COPY_PLAIN || d->depth == COPY_DEPTH_MAX ||
	    !get_meta(p, &ret->meta) || !get_name(d, p + META, n - META, ret))
		return false;
	ret->plain = flags & COPY_PLAIN;
	d->has_root = true;
	d->depth++;
	return true;
}

static bool get_file(struct copydec *d, const uint8_t *p, size_t n, struct copy_event *ret)
{
	if (!entry_may_be(d) || n < META + 8 || !get_meta(p, &ret->meta) ||
	    !get_name(d, p + META + 8, n - META - 8, ret))
		return false;
	ret->size = d->left = get64(p + META);
	d->has_root = d->in_file = true;
	return ret->size <= INT64_MAX;
}

static bool get_link(struct copydec *d, const uint8_t *p, size_t n, struct copy_event *ret)
{
	size_t name;

	if (!entry_may_be(d) || n < META + 2 || !get_meta(p, &ret->meta))
		return false;
	name = frame_get16(p + META);
	if (name > n - META - 2 || n - META - 2 - name == 0 || !get_name(d, p + META + 2, name, ret))
		return false;
	d->has_root = true;
	return get_text(p + META + 2 + name, n - META - 2 - name, COPY_TARGET_MAX, ret);
}

static bool get_hole(struct copydec *d, const uint8_t *p, size_t n, struct copy_event *ret)
{
	if (!d->in_file || n != 8)
		return false;
	ret->size = get64(p);
	if (ret->size == 0 || ret->size > d->left)
		return false;
	d->left -= ret->size;
	return true;
}

static bool get_end(struct copydec *d, size_t n, uint8_t flags, struct copy_event *ret)
{
	if (!d->in_file || d->left > 0 || n != 0 || flags > COPY_CHANGED)
		return false;
	ret->changed = flags & COPY_CHANGED;
	d->in_file = false;
	return true;
}

static bool get_up(struct copydec *d, size_t n)
{
	if (d->in_file || d->depth == 0 || n != 0)
		return false;
	d->depth--;
	return true;
}

static bool get_skip(const struct copydec *d, const uint8_t *p, size_t n, struct copy_event *ret)
{
	uint32_t errnum = n >= 8 ? frame_get32(p) : UINT32_MAX;
	uint32_t why = n >= 8 ? frame_get32(p + 4) : 0;

	ret->errnum = errnum <= ERRNO_MAX ? (int)errnum : -1;
	ret->why = (enum copy_why)why;
	return !d->in_file && ret->errnum >= 0 && why >= COPY_WHY_ERROR && why <= COPY_WHY_MAX &&
	       get_text(p + 8, n - 8, COPY_TEXT_MAX, ret);
}

static void get_totals(const uint8_t *p, struct copy_event *ret)
{
	ret->totals = (struct copy_totals){get64(p), get64(p + 8), get64(p + 16), get64(p + 24)};
}

static bool get_total(struct copydec *d, const uint8_t *p, size_t n, struct copy_event *ret)
{
	if (n != TOTALS || d->in_file || d->depth > 0 || d->has_root == d->answer)
		return false;
	get_totals(p, ret);
	d->ended = true;
	return true;
}

static bool get_fail(struct copydec *d, const uint8_t *p, size_t n, struct copy_event *ret)
{
	uint32_t errnum = n >= 4 + TOTALS ? frame_get32(p) : 0;

	if (errnum == 0 || errnum > ERRNO_MAX)
		return false;
	ret->errnum = (int)errnum;
	get_totals(p + 4, ret);
	d->ended = true;
	return get_text(p + 4 + TOTALS, n - 4 - TOTALS, COPY_TEXT_MAX, ret);
}

static bool get_record(struct copydec *d, const uint8_t *head, size_t n, struct copy_event *ret)
{
	const uint8_t *p = head + COPY_HEADER;

	ret->type = (enum copy_type)head[0];
	if (head[1] != 0 && ret->type != COPY_DIR && ret->type != COPY_FILE_END)
		return false;
	switch (ret->type) {
	case COPY_DIR:
		return get_dir(d, p, n, head[1], ret);
	case COPY_FILE:
		return get_file(d, p, n, ret);
	case COPY_LINK:
		return get_link(d, p, n, ret);
	case COPY_HOLE:
		return get_hole(d, p, n, ret);
	case COPY_FILE_END:
		return get_end(d, n, head[1], ret);
	case COPY_UP:
		return get_up(d, n);
	case COPY_SKIP:
		return get_skip(d, p, n, ret);
	case COPY_TOTAL:
		return get_total(d, p, n, ret);
	case COPY_FAIL:
		return get_fail(d, p, n, ret);
	default:
		return false;
	}
}

static int broken(struct copydec *d)
{
	d->failed = -EPROTO;
	return d->failed;
}

static int next_data(struct copydec *d, struct copy_event *ret)
{
	size_t n = d->end - d->begin < d->data_left ? d->end - d->begin : d->data_left;

	if (n == 0)
		return 0;
	ret->type = COPY_DATA;
	ret->bytes = d->buf + d->begin;
	ret->n = n;
	d->begin += n;
	d->data_left -= (uint32_t)n;
	return 1;
}

int copydec_next(struct copydec *d, struct copy_event *ret)
{
	const uint8_t *head = d->buf + d->begin;
	size_t have = d->end - d->begin;
	uint32_t n;

	if (d->failed < 0)
		return d->failed;
	if (d->data_left > 0)
		return next_data(d, ret);
	if (d->ended && have > 0)
		return broken(d);
	if (have < COPY_HEADER)
		return 0;
	n = frame_get32(head + 4);
	if (frame_get16(head + 2) != 0)
		return broken(d);
	if (head[0] == COPY_DATA) {
		if (!d->in_file || n == 0 || n > COPY_DATA_MAX || n > d->left || head[1] != 0)
			return broken(d);
		d->left -= n;
		d->data_left = n;
		d->begin += COPY_HEADER;
		return next_data(d, ret);
	}
	if (n > COPY_SMALL_MAX)
		return broken(d);
	if (have < COPY_HEADER + n)
		return 0;
	if (!get_record(d, head, n, ret))
		return broken(d);
	d->begin += COPY_HEADER + n;
	return 1;
}
