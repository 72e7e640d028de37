#include "box/nixbox.h"

#include "base/clock.h"
#include "base/log.h"
#include "box/capture.h"
#include "box/nixsettings.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_MAX = 64 << 20, QUIET_MS = 1000, MACHINE_CPU_MILLI = 1000, MACHINE_MEMORY = 1 << 30 };

static void on_text(void *arg, enum nixlog_kind kind, const char *name, const char *text)
{
	(void)arg;
	if (log_level() < LOG_VERBOSE)
		return;
	if (kind == NIXLOG_BUILD)
		log_verbose("%s> %s", name, text);
	else
		log_verbose("nix: %s", text);
}

void nixbox_init(struct nixbox *n, struct slot *slot, const struct environment_query *q, const struct toolchain *tools)
{
	const struct nixlog_options options = {.on_text = on_text};

	*n = (struct nixbox){.slot = slot, .query = q, .tools = tools, .doing = "evaluating"};
	nixsettings_grant(&n->caches);
	n->log = nixlog_new(&options);
	n->begun_ms = clock_ms(CLOCK_BOOTTIME);
}

static void clear_line(struct nixbox *n)
{
	if (n->progress)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	n->progress = false;
}

void nixbox_release(struct nixbox *n)
{
	clear_line(n);
	nixlog_free(n->log);
	n->log = NULL;
	strv_release(&n->caches);
}

/* Only on a terminal, only for what lasts, and not between the lines of -v. */
static void show_progress(struct nixbox *n)
{
	_cleanup_str_ struct str line = STR_INIT;
	int64_t ms = clock_ms(CLOCK_BOOTTIME) - n->begun_ms;

	if (log_level() != LOG_NORMAL || ms < QUIET_MS || !isatty(STDERR_FILENO))
		return;
	str_adds(&line, "\r\033[Kigloo: ");
	nixlog_add_summary(n->log, &line);
	str_addf(&line, " [%llds]", (long long)(ms / 1000));
	(void)!write(STDERR_FILENO, line.p, line.len);
	n->progress = true;
}

static void on_stderr(void *arg, const char *bytes, size_t n)
{
	struct nixbox *box = arg;

	if (n > 0)
		nixlog_feed(box->log, bytes, n);
	show_progress(box);
}

void nixbox_env(const struct toolchain *tools, struct strv *env)
{
	strv_addf(env, "PATH=%s:%s", tools->nix_bin, tools->git_bin);
	strv_add(env, "HOME=" BOX_HOME);
	strv_add(env, "USER=" BOX_USER);
	strv_add(env, "TMPDIR=/tmp");
	strv_add(env, "NIX_REMOTE=local");
	strv_add(env, "NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt");
	strv_add(env, "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt");
	/* The repository belongs to the box's user; git asks again where the user's own files are another's. */
	strv_add(env, "GIT_CONFIG_NOSYSTEM=1");
	/* None of http_proxy and its like: the box cannot reach the proxy, the engine dials for it. */
}

/* Where the repository lies in the box: at its own path, so that Nix's messages name it; but Nix makes URLs of paths
 * without encoding them, so one with a blank, a quote or a newline lies elsewhere. Evaluation cannot tell: it sees
 * store paths. */
static const char *repository_in_box(const struct source *source)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@=";

	return source->repo_dir[strspn(source->repo_dir, good)] == '\0' ? source->repo_dir : "/workspace";
}

static int fill_spec(struct nixbox *n, unsigned flags, struct box_spec *spec, struct err **e)
{
	const struct environment_query *q = n->query;
	_cleanup_free_ char *cache = xasprintf("%s/cache", n->slot->path);
	int r;

	spec->workspace = xstrdup(q->source->repo_dir);
	spec->slot = xstrdup(n->slot->id);
	spec->mode = BOX_READ_ONLY;
	spec->network = (flags & NIXBOX_NETWORK) && !q->offline ? BOX_NET_GATE : BOX_NET_NONE;
	spec->host_store = !q->no_host_cache;
	strv_add(&spec->allow, "nix");
	strv_add_all(&spec->allow, n->caches.v);
	if (q->allow)
		strv_add_all(&spec->allow, q->allow->v);
	spec->ephemeral = true;
	r = box_spec_add_share(spec, q->source->repo_dir, repository_in_box(q->source), true, e);
	if (r == 0 && q->source->is_git && !str_starts(q->source->common_dir, q->source->repo_dir))
		r = box_spec_add_share(spec, q->source->common_dir, q->source->common_dir, true, e);
	for (size_t i = 0; i < q->nshares && r == 0; i++)
		r = box_spec_add_share(spec, q->shares[i].source, q->shares[i].target, true, e);
	if (r == 0)
		r = box_spec_add_own_share(spec, cache, BOX_HOME "/.cache", e);
	return r;
}

/* Nix's own words are the error; igloo's come only where it has none. */
static int nix_failed(struct nixbox *n, char *const *argv, int status, struct err **e)
{
	_cleanup_str_ struct str words = STR_INIT;
	const char *text = nixlog_text(n->log);
	int r;

	nixlog_add_failure(n->log, &words);
	while (words.len > 0 && words.p[words.len - 1] == '\n')
		words.p[--words.len] = '\0';
	if (words.len > 0)
		r = err_set(e, EBADE, "%s", str_starts(words.p, "error: ") ? words.p + 7 : words.p);
	else if (WIFSIGNALED(status))
		r = err_set(e, EBADE, "%s was killed by signal %d", argv[0], WTERMSIG(status));
	else
		r = err_set(e, EBADE, "%s failed with exit status %d", argv[0], WEXITSTATUS(status));
	if (file_replace(n->slot->dir, "env/failure.log", text, strlen(text), 0600, false, NULL) == 0)
		(void)err_hint(e, "the whole log: %s/env/failure.log", n->slot->path);
	return r;
}

static void log_argv(char *const *argv)
{
	_cleanup_str_ struct str line = STR_INIT;

	if (log_level() < LOG_DEBUG)
		return;
	for (char *const *a = argv; *a; a++) {
		str_addc(&line, ' ');
		str_add_quoted(&line, *a);
	}
	log_debug("in a box:%s", str_text(&line));
}

/* Runs what `c` has; spec is released. */
static int run(struct nixbox *n, struct capture *c, struct str *output, struct err **e)
{
	int status = 0;
	int r;

	c->slot = n->slot;
	c->max_output = OUTPUT_MAX;
	c->on_stderr = on_stderr;
	c->arg = n;
	log_argv(c->argv);
	r = capture_run(c, &status, output, e);
	box_spec_release(c->spec);
	nixlog_end(n->log);
	clear_line(n);
	if (r < 0)
		return r;
	return status == 0 ? 0 : nix_failed(n, c->argv, status, e);
}

int nixbox_run(struct nixbox *n, char *const *argv, unsigned flags, const struct str *input, struct str *output,
	       struct err **e)
{
	struct box_spec spec = {0};
	_cleanup_strv_ struct strv env = STRV_INIT;
	_cleanup_free_ char *cwd = xasprintf("%s%s%s", repository_in_box(n->query->source),
					     *n->query->source->subdir ? "/" : "", n->query->source->subdir);
	struct capture c = {.kind = n->query->kind, .spec = &spec, .cwd = cwd, .argv = argv, .input = input};
	int r = fill_spec(n, flags, &spec, e);

	nixbox_env(n->tools, &env);
	c.env = env.v;
	if (r == 0)
		return run(n, &c, output, e);
	box_spec_release(&spec);
	return r;
}

int nixbox_run_machine(struct nixbox *n, char *const *argv, char *const *env, struct str *output, struct err **e)
{
	const struct environment_query *q = n->query;
	struct box_spec spec = {.machine = {.nested = false}};
	struct capture c = {.kind = q->machine_kind, .spec = &spec, .cwd = "/tmp", .argv = argv, .env = env};
	int r = fill_spec(n, 0, &spec, e);

	spec.machine.kernel = q->machine_kernel ? xstrdup(q->machine_kernel) : NULL;
	spec.machine.accel = q->machine_accel ? xstrdup(q->machine_accel) : NULL;
	spec.machine.arch = q->machine_arch ? xstrdup(q->machine_arch) : NULL;
	spec.limits.cpu_milli = MACHINE_CPU_MILLI;
	spec.limits.memory = MACHINE_MEMORY;
	if (r == 0)
		return run(n, &c, output, e);
	box_spec_release(&spec);
	return r;
}
