#include "box/boxstore.h"

#include "base/log.h"
#include "nix/hoststore.h"
#include "nix/storepath.h"
#include "nix/storeserve.h"
#include "sys/confined.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* A server that was killed is started again, but not for ever. */
enum { FAILURES_MAX = 16 };

struct boxstore {
	int listener; /* -1: given up */
	char *work_dir;
	pid_t server;
	int alive; /* -1: none runs */
	unsigned failures;
};

/* Nix keeps for an hour that a cache does not have a path, by the cache's URL. What the host has changes with its
 * folder: a box that starts after that has another URL, and asks again. The server does not look at it. */
static void add_visit(struct str *url)
{
	struct stat st;

	if (stat(STOREPATH_DIR, &st) < 0)
		st.st_mtim.tv_sec = st.st_mtim.tv_nsec = 0;
	str_addf(url, "%llx%08lx", (unsigned long long)st.st_mtim.tv_sec, (unsigned long)st.st_mtim.tv_nsec);
}

/* "trusted" is about signatures: what the host built itself has none. The host's store is this user's own. */
void boxstore_add_url(struct box_spec *spec, struct strv *to)
{
	_cleanup_str_ struct str url = STR_INIT;

	spec->host_store = spec->host_store && spec->network == BOX_NET_GATE && hoststore_maybe();
	if (!spec->host_store)
		return;
	str_addf(&url, "http://%s:%d/", BOX_GATEWAY_ADDRESS, BOX_STORE_PORT);
	add_visit(&url);
	str_adds(&url, "?trusted=1");
	strv_add(to, str_text(&url));
}

struct boxstore *boxstore_new(int listener, const char *work_dir)
{
	struct boxstore *s = xcalloc(1, sizeof(*s));

	*s = (struct boxstore){.listener = listener, .work_dir = xstrdup(work_dir), .alive = -1};
	return s;
}

void boxstore_poll(const struct boxstore *s, struct pollfd *fd)
{
	*fd = (struct pollfd){.fd = !s ? -1 : s->alive >= 0 ? s->alive : s->listener, .events = POLLIN};
}

static int start(struct boxstore *s, struct err **e)
{
	_cleanup_hoststore_ struct hoststore *host = NULL;
	int r = hoststore_open(s->work_dir, &host, e);

	if (r < 0 || !host)
		return r < 0 ? r : err_set(e, ENOENT, "it cannot be asked");
	return storeserve_start(host, s->listener, &s->server, &s->alive, e);
}

static void end(struct boxstore *s)
{
	int status;

	s->alive = close_fd(s->alive);
	status = confined_end(s->server);
	s->server = 0;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		s->failures++;
}

void boxstore_work(struct boxstore *s, const struct pollfd *fd)
{
	_cleanup_err_ struct err *e = NULL;

	if (!s || !fd->revents)
		return;
	if (s->alive >= 0) {
		end(s);
	} else if (start(s, &e) < 0) {
		log_note("the box gets nothing more from this machine's Nix store: %s", err_message(e));
		s->listener = close_fd(s->listener);
	}
	if (s->failures > FAILURES_MAX && s->listener >= 0) {
		log_note("the box gets nothing more from this machine's Nix store: its server keeps being killed");
		s->listener = close_fd(s->listener);
	}
}

void boxstore_move(struct boxstore *s, int listener)
{
	end(s);
	s->failures = 0;
	(void)close_fd(s->listener);
	s->listener = listener;
}

void boxstore_free(struct boxstore *s)
{
	if (!s)
		return;
	end(s);
	(void)close_fd(s->listener);
	free(s->work_dir);
	free(s);
}
