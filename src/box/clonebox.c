/* Git in a box, on a clone. */
#include "box/clone.h"

#include "box/capture.h"
#include "box/hostpaths.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_MAX = 64 << 20, WORDS_MAX = 16384, LOG_COMMITS = 1000, TIME_LIMIT_MS = 10 * 60 * 1000 };
#define PACK_MAX (UINT64_C(4) << 30)

/* The toolchain's git joined the set when the environment was resolved (box/resolve.c). */
static char *find_git(const struct hostpaths *set)
{
	for (size_t i = 0; i < set->n; i++) {
		_cleanup_free_ char *program = NULL;

		if (!strstr(set->v[i].path, "-git"))
			continue;
		program = xasprintf("%s/bin/git", set->v[i].source);
		if (access(program, X_OK) == 0)
			return xasprintf("%s/bin/git", set->v[i].path);
	}
	return NULL;
}

int clone_box_init(struct clone_box *b, const struct kind *kind, struct slot *slot, const char *workspace,
		   const struct clone *c, struct err **e)
{
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_strv_ struct strv vanished = STRV_INIT;
	int r;

	*b = (struct clone_box){.kind = kind, .slot = slot, .workspace = workspace, .clone = c};
	r = kind->prepare(slot, &vanished, e);
	if (r == -ESTALE)
		return err_hint(e, "mend the slot first: igloo env --refresh");
	if (r == 0)
		r = hostpaths_load(slot->dir, &set, e);
	if (r < 0)
		return r;
	b->git = find_git(&set);
	if (!b->git) {
		(void)err_set(e, ENOENT, "the slot has no git to look at the clone with");
		return err_hint(e, "bring it in with: igloo env --refresh");
	}
	return 0;
}

void clone_box_release(struct clone_box *b)
{
	free(b->git);
	*b = (struct clone_box){0};
}

struct words {
	struct str text;
};

static void on_stderr(void *arg, const char *bytes, size_t n)
{
	struct words *w = arg;

	if (w->text.len < WORDS_MAX)
		str_add(&w->text, bytes, n < WORDS_MAX ? n : WORDS_MAX);
}

static int fill_spec(const struct clone_box *b, struct box_spec *spec, struct err **e)
{
	spec->workspace = xstrdup(b->workspace);
	spec->slot = xstrdup(b->slot->id);
	spec->mode = BOX_CLONE;
	spec->network = BOX_NET_NONE;
	spec->ephemeral = true;
	spec->limits.timeout_ms = TIME_LIMIT_MS;
	return box_spec_add_own_share(spec, b->clone->tree, b->workspace, e);
}

static void fill_args(const struct clone_box *b, struct strv *argv, struct strv *env)
{
	static const char *const fixed[] = {
		"--no-pager", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c",
		"gc.auto=0",  "-c", "core.quotePath=false", NULL};

	strv_add(argv, b->git);
	strv_add_all(argv, (char *const *)(uintptr_t)fixed);
	strv_addf(env, "PATH=%.*s", (int)(strlen(b->git) - strlen("/git")), b->git);
	strv_add(env, "HOME=" BOX_HOME);
	strv_add(env, "LC_ALL=C.UTF-8");
	strv_add(env, "GIT_CONFIG_NOSYSTEM=1");
	strv_add(env, "GIT_TERMINAL_PROMPT=0");
	strv_add(env, "GIT_NO_LAZY_FETCH=1");
}

static int git_failed(const struct strv *argv, size_t verb, int status, const struct str *words, struct err **e)
{
	if (WIFSIGNALED(status))
		(void)err_set(e, EBADE, "git %s in the clone was killed by signal %d", argv->v[verb], WTERMSIG(status));
	else
		(void)err_set(e, EBADE, "git %s in the clone failed with exit status %d", argv->v[verb],
			      WEXITSTATUS(status));
	return words->len ? err_detail(e, words->p) : -EBADE;
}

int clone_git(const struct clone_box *b, const char *input, int output_fd, struct str *output, struct err **e, ...)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv env = STRV_INIT;
	_cleanup_str_ struct str given = STR_INIT;
	_cleanup_str_ struct str dropped = STR_INIT;
	struct words words = {STR_INIT};
	struct box_spec spec = {0};
	struct capture c = {
		.kind = b->kind,
		.slot = b->slot,
		.spec = &spec,
		.cwd = b->workspace,
		.max_output = output_fd > 0 ? PACK_MAX : TEXT_MAX,
		.output_fd = output_fd,
		.on_stderr = on_stderr,
		.arg = &words,
	};
	size_t verb;
	int status = 0;
	const char *arg;
	va_list ap;
	int r;

	fill_args(b, &argv, &env);
	verb = argv.n;
	va_start(ap, e);
	while ((arg = va_arg(ap, const char *)))
		strv_add(&argv, arg);
	va_end(ap);
	if (input) {
		str_adds(&given, input);
		c.input = &given;
	}
	c.argv = argv.v;
	c.env = env.v;
	r = fill_spec(b, &spec, e);
	if (r == 0)
		r = capture_run(&c, &status, output ? output : &dropped, e);
	if (r == 0 && status != 0)
		r = git_failed(&argv, verb, status, &words.text, e);
	str_release(&words.text);
	box_spec_release(&spec);
	return r;
}

/* --- what it has ----------------------------------------------------------------------------------------------------
 */

static bool is_commit(const char *text, size_t base_len)
{
	return strspn(text, "0123456789abcdef") == base_len && text[base_len] == '\0';
}

int clone_state_read(const struct clone_box *b, struct clone_state *ret, struct err **e)
{
	_cleanup_str_ struct str head = STR_INIT;
	_cleanup_str_ struct str changed = STR_INIT;
	_cleanup_str_ struct str commits = STR_INIT;
	_cleanup_free_ char *range = xasprintf("%s..HEAD", b->clone->base);
	char count[32];
	int r = clone_git(b, NULL, 0, &head, e, "rev-parse", "--verify", "-q", "HEAD^{commit}", NULL);

	if (r < 0)
		return err_wrap(e, "the clone has no commit");
	if (head.len > 0 && head.p[head.len - 1] == '\n')
		head.p[--head.len] = '\0';
	if (!is_commit(str_text(&head), strlen(b->clone->base)))
		return err_set(e, EBADMSG, "git in the clone named no commit");
	(void)snprintf(count, sizeof(count), "-n%d", LOG_COMMITS);
	r = clone_git(b, NULL, 0, &changed, e, "status", "--porcelain", "-z", "--no-renames",
		      "--ignore-submodules=dirty", NULL);
	if (r == 0)
		r = clone_git(b, NULL, 0, &commits, e, "log", count, "--format=%h %s", range, NULL);
	if (r < 0)
		return r;
	*ret = (struct clone_state){.head = str_take(&head)};
	for (const char *p = changed.p; p && p < changed.p + changed.len; p += strlen(p) + 1)
		strv_add(&ret->changed, p);
	strv_split(&ret->commits, str_text(&commits), '\n');
	return 0;
}

void clone_state_release(struct clone_state *s)
{
	free(s->head);
	strv_release(&s->changed);
	strv_release(&s->commits);
	*s = (struct clone_state){0};
}
