#include "nix/storeask.h"
#include "base/clock.h"
#include "nix/base32.h"
#include "nix/hoststore.h"
#include "nix/storefilter.h"
#include "sys/fd.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Of the serve protocol; what is sent is in storefilter.h. */
#define MAGIC_THEIRS 0x5452eecbU
enum { MAJOR = 2 };

enum {
	TEXT_MAX = 1 << 16,
	REFS_MAX = 1 << 16,
	SIGS_MAX = 256,
	WAIT_MS = 10000,
	BUFFER = 1 << 14,
};

struct storeask {
	int sock;
	bool greeted;
	int64_t until_ms; /* of the question that is being answered */
	size_t at;        /* of what was received … */
	size_t n;
	uint8_t bytes[BUFFER];
};

void storeinfo_release(struct storeinfo *info)
{
	free(info->deriver);
	free(info->nar_hash);
	free(info->ca);
	strv_release(&info->refs);
	strv_release(&info->sigs);
	*info = (struct storeinfo){.nar_size = 0};
}

/* --- the process ------------------------------------------------------------------------------------------------- */

static void ATTR_NORETURN become_nix(const char *program, const char *store, int sock)
{
	char name[] = "nix-store";
	char serve[] = "--serve";
	char option[] = "--store";
	_cleanup_free_ char *uri = xstrdup(store);
	char *argv[] = {name, serve, option, uri, NULL};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (dup2(sock, STDIN_FILENO) < 0 || dup2(sock, STDOUT_FILENO) < 0 || null < 0 || dup2(null, STDERR_FILENO) < 0)
		_exit(126);
	fd_close_from(3);
	/* It sees its input end, too; but not while it is stuck. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)execv(program, argv);
	_exit(127);
}

static int start_nix(const struct hoststore *hs, int *ret_sock, struct err **e)
{
	const char *remote = getenv("NIX_REMOTE");
	_cleanup_free_ char *store = xasprintf("%s?path-info-cache-size=0", str_has(remote) ? remote : "auto");
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "cannot make a connection to nix-store");
	pid = fork();
	if (pid == 0)
		become_nix(hoststore_program(hs), store, pair[1]);
	(void)close(pair[1]);
	if (pid < 0) {
		(void)close(pair[0]);
		return err_errno(e, errno, "cannot start nix-store");
	}
	*ret_sock = pair[0];
	return 0;
}

int storeask_start(const struct hoststore *hs, struct storeask **ret, struct err **e)
{
	_cleanup_close_ int nix = -1;
	struct storeask *a;
	int pair[2];
	int r = start_nix(hs, &nix, e);

	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(e, errno, "cannot make a connection to nix-store");
	r = storefilter_start(pair[1], take_fd(&nix), e);
	if (r == 0 && (r = fd_set_nonblock(pair[0], true)) < 0)
		(void)err_errno(e, -r, "cannot make a connection to nix-store");
	if (r < 0) {
		(void)close(pair[0]);
		return r;
	}
	a = xcalloc(1, sizeof(*a));
	a->sock = pair[0];
	*ret = a;
	return 0;
}

void storeask_free(struct storeask *a)
{
	if (!a)
		return;
	(void)close_fd(a->sock);
	free(a);
}

/* --- bytes ------------------------------------------------------------------------------------------------------- */

static int wait_for(struct storeask *a, short events, struct err **e)
{
	struct pollfd fd = {.fd = a->sock, .events = events};
	int64_t left;
	int r;

	do {
		left = a->until_ms - clock_ms(CLOCK_MONOTONIC);
		r = left > 0 ? poll(&fd, 1, (int)left) : 0;
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_errno(e, errno, "cannot wait for nix-store");
	return r == 0 ? err_set(e, ETIMEDOUT, "nix-store does not answer") : 0;
}

static int send_all(struct storeask *a, const struct str *bytes, struct err **e)
{
	for (size_t at = 0; at < bytes->len;) {
		ssize_t k = send(a->sock, bytes->p + at, bytes->len - at, MSG_NOSIGNAL);
		int r = 0;

		if (k > 0)
			at += (size_t)k;
		else if (errno == EAGAIN)
			r = wait_for(a, POLLOUT, e);
		else if (errno != EINTR)
			r = err_errno(e, EPIPE, "cannot ask nix-store");
		if (r < 0)
			return r;
	}
	return 0;
}

static int receive(struct storeask *a, struct err **e)
{
	for (;;) {
		ssize_t k = recv(a->sock, a->bytes, sizeof(a->bytes), 0);
		int r;

		if (k > 0) {
			a->at = 0;
			a->n = (size_t)k;
			return 0;
		}
		if (k == 0 || (errno != EAGAIN && errno != EINTR))
			return err_set(e, EPIPE, "nix-store has ended");
		r = errno == EAGAIN ? wait_for(a, POLLIN, e) : 0;
		if (r < 0)
			return r;
	}
}

static int get(struct storeask *a, void *to, size_t n, struct err **e)
{
	uint8_t *p = to;

	while (n > 0) {
		size_t k = a->n - a->at < n ? a->n - a->at : n;
		int r = k == 0 ? receive(a, e) : 0;

		if (r < 0)
			return r;
		memcpy(p, a->bytes + a->at, k);
		a->at += k;
		p += k;
		n -= k;
	}
	return 0;
}

static void put_number(struct str *to, uint64_t n)
{
	uint64_t le = htole64(n);

	str_add(to, &le, sizeof(le));
}

static void put_text(struct str *to, const char *text)
{
	static const char zeros[8];
	size_t n = strlen(text);

	put_number(to, n);
	str_add(to, text, n);
	str_add(to, zeros, (8 - n % 8) % 8);
}

static int get_number(struct storeask *a, uint64_t *ret, struct err **e)
{
	uint64_t le;
	int r = get(a, &le, sizeof(le), e);

	if (r == 0)
		*ret = le64toh(le);
	return r;
}

static int strange(struct err **e)
{
	return err_set(e, EPROTO, "nix-store says what is not understood");
}

/* Of printable ASCII, as all texts are that go on into a narinfo. */
static int get_text(struct storeask *a, char **ret, struct err **e)
{
	_cleanup_free_ char *text = NULL;
	char zeros[8];
	uint64_t n = 0;
	int r = get_number(a, &n, e);

	if (r == 0 && n > TEXT_MAX)
		r = strange(e);
	if (r < 0)
		return r;
	text = xmalloc((size_t)n + 1);
	r = get(a, text, (size_t)n, e);
	if (r == 0)
		r = get(a, zeros, (8 - n % 8) % 8, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if (text[i] < ' ' || text[i] > '~')
			return strange(e);
	text[n] = '\0';
	*ret = take_ptr(text);
	return 0;
}

static int get_texts(struct storeask *a, size_t max, struct strv *to, struct err **e)
{
	uint64_t n = 0;
	int r = get_number(a, &n, e);

	if (r == 0 && n > max)
		r = strange(e);
	while (r == 0 && n-- > 0) {
		char *text = NULL;

		r = get_text(a, &text, e);
		if (r == 0)
			strv_add_take(to, text);
	}
	return r;
}

/* --- questions --------------------------------------------------------------------------------------------------- */

static int greet(struct storeask *a, struct err **e)
{
	_cleanup_str_ struct str out = STR_INIT;
	uint64_t magic = 0;
	uint64_t version = 0;
	int r;

	put_number(&out, STOREFILTER_MAGIC);
	put_number(&out, STOREFILTER_VERSION);
	r = send_all(a, &out, e);
	if (r == 0)
		r = get_number(a, &magic, e);
	if (r == 0)
		r = get_number(a, &version, e);
	if (r == 0 && (magic != MAGIC_THEIRS || version >> 8 != MAJOR || version < STOREFILTER_VERSION))
		r = strange(e);
	a->greeted = r == 0;
	return r;
}

static bool hash_ok(const char *text)
{
	uint8_t bytes[DIGEST_SHA256_BYTES];

	return str_starts(text, "sha256:") && base32_decode(text + strlen("sha256:"), bytes, sizeof(bytes));
}

static int check(const struct storeinfo *info, const char *path, const struct strv *asked, struct err **e)
{
	bool ok = strv_has(asked, path) && hash_ok(info->nar_hash) && info->nar_size > 0 &&
		  (!*info->deriver || storepath_ok(info->deriver));

	for (size_t i = 0; i < info->refs.n && ok; i++)
		ok = storepath_ok(info->refs.v[i]);
	return ok ? 0 : strange(e);
}

/* What follows a path. */
static int get_info(struct storeask *a, struct storeinfo *info, struct err **e)
{
	uint64_t download = 0;
	int r = get_text(a, &info->deriver, e);

	if (r == 0)
		r = get_texts(a, REFS_MAX, &info->refs, e);
	if (r == 0)
		r = get_number(a, &download, e);
	if (r == 0)
		r = get_number(a, &info->nar_size, e);
	if (r == 0)
		r = get_text(a, &info->nar_hash, e);
	if (r == 0)
		r = get_text(a, &info->ca, e);
	return r < 0 ? r : get_texts(a, SIGS_MAX, &info->sigs, e);
}

/* All answers, up to the empty path; the first one is kept. */
static int get_first(struct storeask *a, const struct strv *asked, struct storeinfo *ret, struct err **e)
{
	int found = 0;

	for (size_t i = 0; i <= asked->n; i++) {
		_cleanup_storeinfo_ struct storeinfo info = {.nar_size = 0};
		_cleanup_free_ char *path = NULL;
		int r = get_text(a, &path, e);

		if (r < 0 || !*path)
			return r < 0 ? r : found > 0;
		r = get_info(a, &info, e);
		if (r == 0)
			r = check(&info, path, asked, e);
		if (r < 0)
			return r;
		if (found++ > 0)
			continue;
		(void)snprintf(info.path, sizeof(info.path), "%s", path);
		*ret = info;
		info = (struct storeinfo){.nar_size = 0};
	}
	return strange(e);
}

int storeask_first(struct storeask *a, const struct strv *paths, struct storeinfo *ret, struct err **e)
{
	_cleanup_str_ struct str out = STR_INIT;
	struct storeinfo info = {.nar_size = 0};
	int r = 0;

	if (paths->n == 0)
		return 0;
	for (size_t i = 0; i < paths->n; i++)
		if (i >= STOREINDEX_SAME || !storepath_ok(paths->v[i]))
			return err_set(e, EINVAL, "not a store path, or too many");
	a->until_ms = clock_ms(CLOCK_MONOTONIC) + WAIT_MS;
	if (!a->greeted)
		r = greet(a, e);
	put_number(&out, STOREFILTER_QUERY_PATH_INFOS);
	put_number(&out, paths->n);
	for (size_t i = 0; i < paths->n; i++)
		put_text(&out, paths->v[i]);
	if (r == 0)
		r = send_all(a, &out, e);
	if (r == 0)
		r = get_first(a, paths, &info, e);
	if (r <= 0) {
		storeinfo_release(&info);
		return r;
	}
	*ret = info;
	return 1;
}
