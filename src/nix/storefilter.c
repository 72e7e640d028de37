#include "nix/storefilter.h"

#include "nix_ask_program.h" /* made by seccomp/filter_gen.c: ask_program[] */
#include "sys/confined.h"
#include "sys/fd.h"

#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

struct storefilter {
	int server;
	int nix;
	bool greeted;
	size_t n;
	uint8_t bytes[STOREFILTER_BYTES_MAX]; /* a message, as far as it is there */
	uint8_t answer[1 << 14];
};

const struct confine storefilter_walls = {
	.who = "the store server's filter",
	.filter = ask_program,
	.n_filter = ARRAY_SIZE(ask_program),
};

static uint64_t number_at(const uint8_t *p)
{
	uint64_t le;

	memcpy(&le, p, sizeof(le));
	return le64toh(le);
}

/* A text that is a store path: its bytes with length and padding, 0, -EPROTO. */
static ssize_t path_bytes(const uint8_t *p, size_t n)
{
	static const uint8_t zeros[8];
	char path[STOREPATH_SIZE];
	size_t length;
	size_t padding;

	if (n < 8)
		return 0;
	if (number_at(p) >= sizeof(path))
		return -EPROTO;
	length = (size_t)number_at(p);
	padding = (8 - length % 8) % 8;
	if (n < 8 + length + padding)
		return 0;
	memcpy(path, p + 8, length);
	path[length] = '\0';
	if (strlen(path) != length || !storepath_ok(path) || memcmp(p + 8 + length, zeros, padding) != 0)
		return -EPROTO;
	return (ssize_t)(8 + length + padding);
}

ssize_t storefilter_message(const uint8_t *p, size_t n, bool greeted)
{
	enum { HEAD = 16 };
	size_t at = HEAD;
	uint64_t paths;

	if (n >= 8 && number_at(p) != (greeted ? STOREFILTER_QUERY_PATH_INFOS : STOREFILTER_MAGIC))
		return -EPROTO;
	if (n < HEAD)
		return 0;
	if (!greeted)
		return number_at(p + 8) == STOREFILTER_VERSION ? HEAD : -EPROTO;
	paths = number_at(p + 8);
	if (paths == 0 || paths > STOREINDEX_SAME)
		return -EPROTO;
	while (paths-- > 0) {
		ssize_t k = path_bytes(p + at, n - at);

		if (k <= 0)
			return k;
		at += (size_t)k;
	}
	return (ssize_t)at;
}

/* --- the process ------------------------------------------------------------------------------------------------- */

/* False: it is over. */
static bool pass_questions(struct storefilter *f)
{
	ssize_t k = read(f->server, f->bytes + f->n, sizeof(f->bytes) - f->n);

	if (k <= 0)
		return k < 0 && errno == EINTR;
	f->n += (size_t)k;
	while ((k = storefilter_message(f->bytes, f->n, f->greeted)) > 0) {
		if (fd_write_all(f->nix, f->bytes, (size_t)k) < 0)
			return false;
		f->n -= (size_t)k;
		memmove(f->bytes, f->bytes + k, f->n);
		f->greeted = true;
	}
	return k == 0;
}

static bool pass_answers(struct storefilter *f)
{
	ssize_t k = read(f->nix, f->answer, sizeof(f->answer));

	if (k <= 0)
		return k < 0 && errno == EINTR;
	return fd_write_all(f->server, f->answer, (size_t)k) == 0;
}

static void serve(void *arg)
{
	struct storefilter *f = arg;
	struct pollfd fds[] = {{.fd = f->server, .events = POLLIN}, {.fd = f->nix, .events = POLLIN}};
	bool on = true;

	while (on && (poll(fds, ARRAY_SIZE(fds), -1) > 0 || errno == EINTR)) {
		if (fds[0].revents)
			on = pass_questions(f);
		if (on && fds[1].revents)
			on = pass_answers(f);
	}
}

int storefilter_start(int server, int nix, struct err **e)
{
	const int fds[] = {server, nix};
	const struct confined what = {.name = "igloo-store-ask",
				      .what = "the store server's filter",
				      .fds = fds,
				      .nfds = ARRAY_SIZE(fds),
				      .walls = &storefilter_walls,
				      .serve = serve};
	_cleanup_free_ struct storefilter *f = xcalloc(1, sizeof(*f));
	pid_t pid = 0;
	int control = -1;
	int r;

	f->server = server;
	f->nix = nix;
	r = confined_start(&what, f, &pid, &control, e);
	(void)close_fd(control);
	(void)close_fd(server);
	(void)close_fd(nix);
	return r;
}
