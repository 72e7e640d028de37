#include "wire/exec.h"

#include <errno.h>
#include <string.h>

/* Whether the guest accepts such a command. */
static bool is_valid(uint32_t flags, const char *cwd)
{
	if (flags & ~(uint32_t)(EXEC_HAS_FDS | EXEC_PTY | EXEC_FOREGROUND | EXEC_MAIN))
		return false;
	if ((flags & EXEC_PTY) && (flags & (EXEC_HAS_FDS | EXEC_FOREGROUND)))
		return false;
	return cwd[0] == '/';
}

static size_t count(char *const *v)
{
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

static int encode(const struct exec *x, struct str *to)
{
	size_t argc = count(x->argv), envc = count(x->env);
	size_t n = EXEC_HEADER + (x->cwd ? strlen(x->cwd) + 1 : 0);
	uint8_t h[EXEC_HEADER];

	if (argc == 0 || !x->cwd || !is_valid(x->flags, x->cwd))
		return -EINVAL;
	if (argc + envc > EXEC_STRINGS_MAX)
		return -E2BIG;
	/* Variables may be secrets: room for all of it first, so that growing leaves no copy behind. */
	for (size_t i = 0; i < argc && n <= EXEC_BYTES_MAX; i++)
		n += strlen(x->argv[i]) + 1;
	for (size_t i = 0; i < envc && n <= EXEC_BYTES_MAX; i++)
		n += strlen(x->env[i]) + 1;
	(void)str_room(to, n <= EXEC_BYTES_MAX ? n : 0);
	frame_put32(h, x->flags);
	frame_put32(h + 4, x->uid);
	frame_put32(h + 8, x->gid);
	frame_put16(h + 12, x->rows);
	frame_put16(h + 14, x->cols);
	frame_put32(h + 16, (uint32_t)argc);
	frame_put32(h + 20, (uint32_t)envc);
	str_add(to, h, EXEC_HEADER);
	str_add(to, x->cwd, strlen(x->cwd) + 1);
	for (size_t i = 0; i < argc && to->len <= EXEC_BYTES_MAX; i++)
		str_add(to, x->argv[i], strlen(x->argv[i]) + 1);
	for (size_t i = 0; i < envc && to->len <= EXEC_BYTES_MAX; i++)
		str_add(to, x->env[i], strlen(x->env[i]) + 1);
	return to->len > EXEC_BYTES_MAX ? -E2BIG : 0;
}

static void wipe(const struct str *s)
{
	if (s->p)
		explicit_bzero(s->p, s->cap);
}

static void close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)close_fd(fds[i]);
}

int exec_send(struct link *l, uint32_t stream, const struct exec *x, const int *fds)
{
	_cleanup_str_ struct str s = STR_INIT;
	size_t nfds = fds ? EXEC_FDS : 0;
	int r = (nfds > 0) == ((x->flags & EXEC_HAS_FDS) != 0) ? encode(x, &s) : -EINVAL;

	if (r < 0) {
		wipe(&s);
		close_all(fds, nfds);
		return r;
	}
	(void)str_room(&l->out, s.len + (s.len / FRAME_PAYLOAD_MAX + 1) * FRAME_HEADER);
	for (size_t at = 0; at < s.len && r == 0;) {
		size_t n = s.len - at > FRAME_PAYLOAD_MAX ? FRAME_PAYLOAD_MAX : s.len - at;
		uint8_t flags = at + n < s.len ? FRAME_MORE : 0;

		r = link_send(l, stream, FRAME_EXEC, flags, s.p + at, n, fds, nfds);
		nfds = 0;
		at += n;
	}
	wipe(&s);
	return r;
}

void exec_parts_release(struct exec_parts *p)
{
	str_release(&p->bytes);
	p->stream = 0;
}

int exec_feed(struct exec_parts *p, const struct frame *f, struct exec *ret)
{
	int r;

	if (p->stream != 0 && p->stream != f->stream)
		return -EPROTO;
	if (p->bytes.len + f->len > EXEC_BYTES_MAX)
		return -EPROTO;
	str_add(&p->bytes, f->payload, f->len);
	p->stream = f->stream;
	if (f->flags & FRAME_MORE)
		return 0;
	r = exec_decode(&p->bytes, ret);
	exec_parts_release(p);
	return r < 0 ? r : 1;
}

/* The string at *at, which ends before the payload does; NULL when it does not. */
static char *next_string(const struct str *s, size_t *at)
{
	char *begin = s->p + *at;
	const char *end = *at < s->len ? memchr(begin, '\0', s->len - *at) : NULL;

	if (!end)
		return NULL;
	*at += (size_t)(end - begin) + 1;
	return begin;
}

int exec_decode(struct str *from, struct exec *ret)
{
	const uint8_t *h = (const uint8_t *)from->p;
	_cleanup_free_ char **v = NULL;
	struct exec x = {0};
	size_t argc, envc, at = EXEC_HEADER;

	if (from->len < EXEC_HEADER || from->len > EXEC_BYTES_MAX)
		return -EPROTO;
	x.flags = frame_get32(h);
	x.uid = frame_get32(h + 4);
	x.gid = frame_get32(h + 8);
	x.rows = frame_get16(h + 12);
	x.cols = frame_get16(h + 14);
	argc = frame_get32(h + 16);
	envc = frame_get32(h + 20);
	if (argc == 0 || argc > EXEC_STRINGS_MAX || envc > EXEC_STRINGS_MAX - argc)
		return -EPROTO;
	x.cwd = next_string(from, &at);
	if (!x.cwd || !is_valid(x.flags, x.cwd))
		return -EPROTO;
	v = xcalloc(argc + envc + 2, sizeof(*v));
	for (size_t i = 0; i < argc + envc; i++) {
		char **slot = i < argc ? &v[i] : &v[i + 1];

		*slot = next_string(from, &at);
		if (!*slot)
			return -EPROTO;
	}
	if (at != from->len)
		return -EPROTO;
	x.env = v + argc + 1;
	x.argv = take_ptr(v);
	x.owned = *from;
	*from = (struct str)STR_INIT;
	*ret = x;
	return 0;
}

void exec_release(struct exec *x)
{
	free((void *)(uintptr_t)x->argv);
	wipe(&x->owned);
	str_release(&x->owned);
	*x = (struct exec){0};
}
