#include "nix/toolchain.h"

#include "base/log.h"
#include "nix/bundlecache.h"
#include "nix/hoststore.h"
#include "nix/storepath.h"
#include "sys/spawn.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { VERSION_LIMIT_MS = 30000 };

struct tool {
	const struct bundle_recipe *recipe;
	char *program; /* without symbolic links; NULL: the host has none */
	char **bin;    /* in struct toolchain */
};

void toolchain_release(struct toolchain *t)
{
	strv_release(&t->paths);
	strv_release(&t->sources);
	strv_release(&t->roots);
	str_release(&t->registration);
	free(t->nix_bin);
	free(t->git_bin);
	free(t->version);
	*t = (struct toolchain){0};
}

/* The path of `name` in the program's folder. */
static char *beside(const char *program, const char *name)
{
	const char *slash = strrchr(program, '/');

	return xasprintf("%.*s%s", slash ? (int)(slash + 1 - program) : 0, program, name);
}

/* A name beside the program: a link to it where it is the same file there, else a program of its own. */
static int add_name(struct bundle *b, const char *program, const char *name, struct err **e)
{
	_cleanup_free_ char *file = beside(program, name);
	_cleanup_free_ char *real = realpath(file, NULL);
	_cleanup_free_ char *place = xasprintf("bin/%s", name);

	if (!real)
		return 0;
	if (strcmp(real, program) == 0)
		return bundle_add_link(b, strrchr(program, '/') + 1, place, e);
	return bundle_add_program(b, real, place, e);
}

static int make_nix(struct bundle *b, const char *program, struct err **e)
{
	static const char *const names[] = {
		"nix-build", "nix-channel",     "nix-collect-garbage", "nix-copy-closure", "nix-env",
		"nix-hash",  "nix-instantiate", "nix-prefetch-url",    "nix-shell",        "nix-store",
	};
	static const char *const libraries[] = {"libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"};
	_cleanup_free_ char *store = beside(program, "nix-store");
	int r;

	if (!str_ends(program, "/nix") || access(store, X_OK) < 0)
		return err_set(e, ENOENT, "'%s' is not called nix or has no nix-store beside it", program);
	r = bundle_add_program(b, program, "bin/nix", e);
	for (size_t i = 0; i < ARRAY_SIZE(names) && r >= 0; i++)
		r = add_name(b, program, names[i], e);
	/* Nix opens the first at its start, to have it before it changes its root (preloadNSS). */
	for (size_t i = 0; i < ARRAY_SIZE(libraries) && r >= 0; i++)
		r = bundle_add_optional(b, libraries[i], e);
	/* Nix before 2.20 runs this at every build, even if only to hear that there are no remote builders. */
	if (r >= 0)
		r = bundle_add_link(b, "../../bin/nix", "libexec/nix/build-remote", e);
	bundle_add_environment(b, "NIX_LIBEXEC_DIR", "libexec");
	bundle_add_environment(b, "NIX_BIN_DIR", "bin");
	return r;
}

static int git_exec_path(const char *program, char **ret, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv envp = STRV_INIT;
	_cleanup_str_ struct str out = STR_INIT;
	struct spawn s = {.file = program, .dir = "/", .max_output = PATH_MAX, .time_limit_ms = VERSION_LIMIT_MS};
	int r;

	strv_add(&argv, "git");
	strv_add(&argv, "--exec-path");
	strv_add(&envp, "HOME=/nonexistent");
	s.argv = argv.v;
	s.envp = envp.v;
	r = spawn_check(&s, &out, e);
	if (r < 0)
		return r;
	while (out.len > 0 && out.p[out.len - 1] == '\n')
		out.p[--out.len] = '\0';
	*ret = str_take(&out);
	return 0;
}

/* git and what it needs to fetch over http and https and to serve a local repository. Its scripts, which
 * need a shell or perl, and its sample hooks are left out. */
static int make_git(struct bundle *b, const char *program, struct err **e)
{
	static const char *const names[] = {"git-upload-pack", "git-receive-pack", "git-upload-archive"};
	_cleanup_free_ char *exec_path = NULL;
	_cleanup_free_ char *helper = NULL;
	_cleanup_free_ char *real = NULL;
	int r = bundle_add_program(b, program, "bin/git", e);

	if (r >= 0)
		r = git_exec_path(program, &exec_path, e);
	if (r >= 0)
		r = bundle_add_link(b, "../../bin/git", "libexec/git-core/git", e);
	for (size_t i = 0; i < ARRAY_SIZE(names) && r >= 0; i++) {
		_cleanup_free_ char *bin = xasprintf("bin/%s", names[i]);
		_cleanup_free_ char *core = xasprintf("libexec/git-core/%s", names[i]);

		r = bundle_add_link(b, "git", bin, e);
		if (r >= 0)
			r = bundle_add_link(b, "git", core, e);
	}
	if (r < 0)
		return r;
	helper = xasprintf("%s/git-remote-http", exec_path);
	real = realpath(helper, NULL);
	if (real) {
		r = bundle_add_program(b, real, "libexec/git-core/git-remote-http", e);
		if (r >= 0)
			r = bundle_add_link(b, "git-remote-http", "libexec/git-core/git-remote-https", e);
	}
	if (r >= 0)
		r = bundle_add_folder(b, "share/git-core/templates/info", e);
	bundle_add_environment(b, "GIT_EXEC_PATH", "libexec/git-core");
	bundle_add_environment(b, "GIT_TEMPLATE_DIR", "share/git-core/templates");
	return r;
}

static const struct bundle_recipe recipe_nix = {"nix", make_nix};
static const struct bundle_recipe recipe_git = {"git", make_git};

static char *find_program(const char *name, const char *work_dir)
{
	const char *home = getenv("HOME");
	_cleanup_free_ char *profile = xasprintf("%s/.nix-profile/bin", str_has(home) && home[0] == '/' ? home : "");
	const char *const more[] = {"/nix/var/nix/profiles/default/bin",
				    "/run/current-system/sw/bin",
				    profile,
				    "/usr/bin",
				    "/usr/local/bin",
				    NULL};
	_cleanup_free_ char *file = spawn_find(name, more, work_dir);

	return file ? realpath(file, NULL) : NULL;
}

static int find_nix(const char *work_dir, char **ret, struct err **e)
{
	const char *named = getenv("IGLOO_NIX");

	if (!str_has(named)) {
		*ret = find_program("nix", work_dir);
		if (*ret)
			return 0;
		(void)err_set(e, ENOENT, "no Nix found on this machine");
		(void)err_hint(e, "on Debian or Ubuntu: apt install nix-bin");
		return err_hint(e, "elsewhere: the installer at https://nixos.org/download");
	}
	if (named[0] != '/')
		return err_set(e, EINVAL, "IGLOO_NIX is '%s', which is not an absolute path", named);
	*ret = realpath(named, NULL);
	return *ret ? 0 : err_errno(e, errno, "IGLOO_NIX is '%s'", named);
}

static bool in_store(const struct tool *tool)
{
	char path[STOREPATH_SIZE];

	return tool->program && storepath_root(tool->program, path);
}

static int version_of(const char *program, char **ret, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str out = STR_INIT;
	struct spawn s = {.file = program,
			  .name = "nix --version",
			  .dir = "/",
			  .max_output = 4096,
			  .time_limit_ms = VERSION_LIMIT_MS};
	int r;

	strv_add(&argv, "nix");
	strv_add(&argv, "--version");
	s.argv = argv.v;
	r = spawn_check(&s, &out, e);
	if (r < 0)
		return r;
	*ret = bundle_version(str_text(&out));
	return *ret ? 0 : err_set(e, EBADMSG, "'%s --version' prints no version", program);
}

/* The tools that lie in the host's store, all in two queries. *t is unchanged when it fails. */
static int add_from_store(struct hoststore *hs, struct tool *tools, size_t n, struct toolchain *t, struct err **e)
{
	_cleanup_strv_ struct strv roots = STRV_INIT;
	_cleanup_strv_ struct strv closure = STRV_INIT;
	_cleanup_str_ struct str registration = STR_INIT;
	_cleanup_free_ char *version = NULL;
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++) {
		char path[STOREPATH_SIZE];

		if (!tools[i].program || !storepath_root(tools[i].program, path))
			continue;
		strv_add(&roots, path);
		if (tools[i].recipe == &recipe_nix)
			r = version_of(tools[i].program, &version, e);
	}
	if (r >= 0)
		r = hoststore_closure(hs, &roots, &closure, e);
	if (r >= 0)
		r = hoststore_registration(hs, &closure, &registration, e);
	if (r < 0)
		return r;
	strv_add_all(&t->paths, closure.v);
	strv_add_all(&t->sources, closure.v);
	strv_add_all(&t->roots, roots.v);
	str_add(&t->registration, registration.p, registration.len);
	for (size_t i = 0; i < n; i++)
		if (in_store(&tools[i]))
			*tools[i].bin = xstrndup(tools[i].program,
						 (size_t)(strrchr(tools[i].program, '/') - tools[i].program));
	if (version)
		t->version = take_ptr(version);
	return 0;
}

static int add_bundle(const struct bundlecache *cache, struct tool *tool, struct toolchain *t, struct err **e)
{
	struct bundle_made m = {0};
	int r = bundlecache_get(cache, tool->recipe, tool->program, &m, e);

	if (r < 0)
		return r;
	strv_addf(&t->paths, STOREPATH_DIR "/%s", m.base);
	strv_addf(&t->sources, "%s/%s", cache->path, m.base);
	str_addf(&t->registration, STOREPATH_DIR "/%s\n%s\n%s\n\n0\n", m.base, m.nar_sha256, m.nar_size);
	*tool->bin = xasprintf(STOREPATH_DIR "/%s/bin", m.base);
	if (tool->recipe == &recipe_nix)
		t->version = take_ptr(m.version);
	bundle_made_release(&m);
	return 0;
}

int toolchain_get(int cache_dir, const char *cache_path, struct hoststore *hs, const char *work_dir,
		  struct toolchain *ret, struct err **e)
{
	struct bundlecache cache = {cache_dir, cache_path};
	_cleanup_toolchain_ struct toolchain t = {0};
	_cleanup_free_ char *nix = NULL;
	_cleanup_free_ char *git = find_program("git", work_dir);
	struct tool tools[] = {{&recipe_nix, NULL, &t.nix_bin}, {&recipe_git, git, &t.git_bin}};
	int r = find_nix(work_dir, &nix, e);

	if (r < 0)
		return r;
	tools[0].program = nix;
	if (hs && (in_store(&tools[0]) || in_store(&tools[1]))) {
		_cleanup_err_ struct err *failed = NULL;

		if (add_from_store(hs, tools, ARRAY_SIZE(tools), &t, &failed) < 0)
			log_debug("Nix's own closure is not used: %s", err_message(failed));
	}
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		if (!tools[i].program || *tools[i].bin)
			continue;
		r = add_bundle(&cache, &tools[i], &t, e);
		if (r < 0)
			return r;
	}
	*ret = t;
	t = (struct toolchain){0};
	return 0;
}

int toolchain_identity(const char *work_dir, char **ret, struct err **e)
{
	_cleanup_free_ char *nix = NULL;
	struct stat st;
	int r = find_nix(work_dir, &nix, e);

	if (r < 0)
		return r;
	if (stat(nix, &st) < 0)
		return err_errno(e, errno, "cannot look at '%s'", nix);
	*ret = xasprintf("%s %llu:%llu %lld %lld.%09ld", nix, (unsigned long long)st.st_dev,
			 (unsigned long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec,
			 st.st_mtim.tv_nsec);
	return 0;
}
