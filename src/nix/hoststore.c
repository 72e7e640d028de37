#include "nix/hoststore.h"

#include "base/log.h"
#include "nix/storepath.h"
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define STATE_DIR "/nix/var/nix"
#define DAEMON_SOCKET STATE_DIR "/daemon-socket/socket"

enum {
	BATCH_BYTES = 1 << 19,  /* of arguments; Linux takes 2 MiB with the environment, 128 KiB at the very least */
	OUTPUT_MAX = 256 << 20, /* a registration of 100 000 paths is some 60 MiB */
	TIME_LIMIT_MS = 300000, /* a collection of garbage holds Nix's lock */
};

struct hoststore {
	char *program; /* nix-store */
	int dir;       /* /nix/store */
	bool silent;   /* it did not answer once */
};

void hoststore_free(struct hoststore *hs)
{
	if (!hs)
		return;
	(void)close_fd(hs->dir);
	free(hs->program);
	free(hs);
}

static char *find_program(const char *work_dir)
{
	const char *home = getenv("HOME");
	_cleanup_free_ char *profile = xasprintf("%s/.nix-profile/bin", str_has(home) && home[0] == '/' ? home : "");
	const char *const more[] = {"/nix/var/nix/profiles/default/bin", "/run/current-system/sw/bin", profile, NULL};

	return spawn_find("nix-store", more, work_dir);
}

/* Not tried: the daemon writes every connection without a client behind it into its log. */
static bool has_daemon(const char *socket_path)
{
	struct stat st;

	return stat(socket_path, &st) == 0 && S_ISSOCK(st.st_mode) && access(socket_path, R_OK | W_OK) == 0;
}

/* Why the host's store cannot be asked, following how Nix itself chooses between the database and the
 * daemon (openStore in src/libstore/store-api.cc); NULL when it can. */
static const char *why_not(void)
{
	const char *remote = getenv("NIX_REMOTE");
	const char *store_dir = getenv("NIX_STORE_DIR");
	const char *state_dir = getenv("NIX_STATE_DIR");
	const char *socket_path = getenv("NIX_DAEMON_SOCKET_PATH");

	if (str_has(store_dir) && strcmp(store_dir, STOREPATH_DIR) != 0)
		return "NIX_STORE_DIR names another store";
	if (str_has(state_dir) && strcmp(state_dir, STATE_DIR) != 0)
		return "NIX_STATE_DIR names another store";
	if (!str_has(socket_path))
		socket_path = DAEMON_SOCKET;
	if (str_has(remote) && strcmp(remote, "auto") != 0) {
		if (strcmp(remote, "daemon") == 0)
			return has_daemon(socket_path) ? NULL : "NIX_REMOTE=daemon, and there is no daemon";
		if (strcmp(remote, "local") != 0)
			return "NIX_REMOTE names another store";
	}
	if (access(STATE_DIR, R_OK | W_OK) == 0)
		return access(STATE_DIR "/db/db.sqlite", R_OK | W_OK) == 0
			       ? NULL
			       : "its database is missing or not accessible";
	if (str_has(remote) && strcmp(remote, "local") == 0)
		return "NIX_REMOTE=local, and its database is not accessible";
	return has_daemon(socket_path) ? NULL : "it belongs to another user and there is no daemon";
}

bool hoststore_maybe(void)
{
	return access(STOREPATH_DIR, R_OK | X_OK) == 0 && !why_not();
}

const char *hoststore_program(const struct hoststore *hs)
{
	return hs->program;
}

int hoststore_open(const char *work_dir, struct hoststore **ret, struct err **e)
{
	_cleanup_close_ int dir = open(STOREPATH_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *program = NULL;
	const char *reason = NULL;
	struct hoststore *hs;

	/* A multi-user store's folder has mode 1775: others may enter and read it. */
	if (dir < 0)
		dir = open(STOREPATH_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		reason = "no " STOREPATH_DIR;
	else
		reason = why_not();
	if (!reason) {
		program = find_program(work_dir);
		reason = program ? NULL : "no nix-store program";
	}
	if (reason) {
		log_debug("the host's Nix store is not used: %s", reason);
		*ret = NULL;
		return 0;
	}
	hs = xcalloc(1, sizeof(*hs));
	hs->program = take_ptr(program);
	hs->dir = take_fd(&dir);
	*ret = hs;
	return 0;
}

/* nix-store with `head` (NULL-terminated), the paths from *i on as far as they fit, and `out`. */
static int run_batch(struct hoststore *hs, const char *const *head, const struct strv *paths, size_t *i,
		     struct str *out, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	struct spawn s = {.file = hs->program, .max_output = OUTPUT_MAX, .time_limit_ms = TIME_LIMIT_MS};
	_cleanup_free_ char *name = xasprintf("nix-store %s", head[0]);
	size_t bytes = 0;

	strv_add(&argv, "nix-store");
	for (size_t k = 0; head[k]; k++)
		strv_add(&argv, head[k]);
	/* Only what every user may set: a daemon warns of the rest. */
	strv_add(&argv, "--option");
	strv_add(&argv, "substitute");
	strv_add(&argv, "false");
	for (; *i < paths->n && bytes < BATCH_BYTES; (*i)++) {
		strv_add(&argv, paths->v[*i]);
		bytes += strlen(paths->v[*i]) + 1 + sizeof(char *);
	}
	s.argv = argv.v;
	s.name = name;
	return spawn_check(&s, out, e);
}

static int run_all(struct hoststore *hs, const char *const *head, const struct strv *paths, struct str *out,
		   struct err **e)
{
	size_t i = 0;
	int r;

	for (size_t k = 0; k < paths->n; k++)
		if (!storepath_ok(paths->v[k]))
			return err_set(e, EINVAL, "nix-store %s: not a store path", head[0]);
	while (i < paths->n) {
		if (!hs)
			return err_set(e, ENOENT, "the host has no Nix store that can be asked");
		r = run_batch(hs, head, paths, &i, out, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_paths(const char *text, struct strv *ret, struct err **e)
{
	_cleanup_strv_ struct strv lines = STRV_INIT;

	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		if (!storepath_ok(lines.v[i]))
			return err_set(e, EBADMSG, "nix-store printed something else than a store path");
		strv_add(ret, lines.v[i]);
	}
	strv_sort_unique(ret);
	return 0;
}

int hoststore_valid(struct hoststore *hs, const struct strv *candidates, struct strv *ret, struct err **e)
{
	static const char *const head[] = {"--check-validity", "--print-invalid", NULL};
	_cleanup_strv_ struct strv there = STRV_INIT;
	_cleanup_strv_ struct strv invalid = STRV_INIT;
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_err_ struct err *failed = NULL;
	int r;

	if (!hs || hs->silent)
		return 0;
	for (size_t i = 0; i < candidates->n; i++) {
		struct stat st;

		if (storepath_ok(candidates->v[i]) &&
		    fstatat(hs->dir, storepath_base(candidates->v[i]), &st, AT_SYMLINK_NOFOLLOW) == 0)
			strv_add(&there, candidates->v[i]);
	}
	strv_sort_unique(&there);
	r = run_all(hs, head, &there, &out, &failed);
	if (r < 0) {
		log_debug("the host's Nix store is not used: %s %s", err_message(failed), err_details(failed));
		hs->silent = true;
		return 0;
	}
	r = add_paths(str_text(&out), &invalid, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < there.n; i++)
		if (strv_find_sorted(&invalid, there.v[i]) < 0)
			strv_add(ret, there.v[i]);
	return 0;
}

int hoststore_closure(struct hoststore *hs, const struct strv *paths, struct strv *ret, struct err **e)
{
	static const char *const head[] = {"-qR", NULL};
	_cleanup_str_ struct str out = STR_INIT;
	int r = run_all(hs, head, paths, &out, e);

	return r < 0 ? r : add_paths(str_text(&out), ret, e);
}

int hoststore_registration(struct hoststore *hs, const struct strv *paths, struct str *ret, struct err **e)
{
	static const char *const head[] = {"--dump-db", NULL};

	return run_all(hs, head, paths, ret, e);
}

int hoststore_root(struct hoststore *hs, const struct strv *paths, const char *link, struct err **e)
{
	const char *const head[] = {"--realise", "--indirect", "--add-root", link, NULL};

	/* One process only: a second would count its links from the start. */
	if (paths->n > HOSTSTORE_ROOTS_MAX)
		return err_set(e, E2BIG, "%zu roots at a time are too many", paths->n);
	return run_all(hs, head, paths, NULL, e);
}
