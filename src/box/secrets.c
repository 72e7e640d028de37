#include "box/secrets.h"

#include "box/secret.h"
#include "box/secretbind.h"
#include "sys/nocore.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct secret_use *add(struct secrets *s)
{
	s->v = xrealloc_array(s->v, s->n + 1, sizeof(*s->v));
	s->v[s->n] = (struct secret_use){.fd = -1};
	return &s->v[s->n++];
}

/* NAME[@HOST][=REST]: the name, which is there, HOST in normal form or NULL, and REST or NULL. */
static int split(const struct secrets *s, const char *given, char **ret_name, char **ret_host, const char **ret_rest,
		 struct err **e)
{
	const char *eq = strchr(given, '=');
	_cleanup_free_ char *first = eq ? xstrndup(given, (size_t)(eq - given)) : xstrdup(given);
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *host = NULL;
	int r;

	if (s->n == SECRETS_MAX)
		return err_set(e, E2BIG, "a box gets at most %d secrets", SECRETS_MAX);
	r = secretbind_parse(first, &name, &host, e);
	if (r == 0)
		r = secret_check(name, e);
	if (r < 0)
		return r;
	*ret_name = take_ptr(name);
	*ret_host = take_ptr(host);
	*ret_rest = eq ? eq + 1 : NULL;
	return 0;
}

/* A further host of one that is bound already. */
static bool bind_more(struct secrets *s, const char *name, const char *variable, const char *host)
{
	for (size_t i = 0; i < s->n; i++) {
		struct secret_use *use = &s->v[i];

		if (!use->placeholder || strcmp(use->name, name) != 0 || strcmp(use->variable, variable) != 0)
			continue;
		if (!strv_has(&use->hosts, host))
			strv_add(&use->hosts, host);
		return true;
	}
	return false;
}

int secrets_add_variable(struct secrets *s, const char *given, struct err **e)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *host = NULL;
	_cleanup_free_ char *placeholder = NULL;
	const char *variable = NULL;
	struct secret_use *use;
	int r = split(s, given, &name, &host, &variable, e);

	if (r == 0 && host && bind_more(s, name, variable ? variable : name, host))
		return 0;
	if (r == 0 && host)
		r = secretbind_placeholder(name, &placeholder, e);
	if (r < 0)
		return r;
	if (variable && strcmp(variable, "file") == 0)
		return secrets_add_file(s, host ? given : name, e);
	if (variable && !secret_name_is_valid(variable)) {
		_cleanup_str_ struct str shown = STR_INIT;

		str_add_printable(&shown, variable, strnlen(variable, SECRET_NAME_MAX + 1), false);
		(void)err_set(e, EINVAL, "secret '%s': '%s' is no name of a variable", name, str_text(&shown));
		return err_hint(e, "for a file: --secret-file %s=PATH", name);
	}
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].variable && strcmp(s->v[i].variable, variable ? variable : name) == 0)
			return err_set(e, EINVAL, "two secrets for the variable %s: '%s' and '%s'", s->v[i].variable,
				       s->v[i].name, name);
	use = add(s);
	use->variable = xstrdup(variable ? variable : name);
	use->placeholder = take_ptr(placeholder);
	if (host)
		strv_add(&use->hosts, host);
	use->name = take_ptr(name);
	return 0;
}

/* The places that are the box's own; anywhere else is a share, or igloo's. */
static int check_path(const char *name, const char *path, struct err **e)
{
	static const char *const places[] = {"/run/", "/tmp/", BOX_HOME "/"};
	_cleanup_str_ struct str shown = STR_INIT;
	size_t len = strlen(path);
	bool good = len > 0 && len < 1024 && path[len - 1] != '/' && !strstr(path, "//");

	str_add_printable(&shown, path, strnlen(path, 1024), false);
	for (const char *p = path; good && (p = strchr(p, '/')); p++)
		good = strncmp(p, "/./", 3) != 0 && strncmp(p, "/../", 4) != 0 && strcmp(p, "/.") != 0 &&
		       strcmp(p, "/..") != 0 && strcspn(p + 1, "/") <= 255;
	for (size_t i = 0; good && i < ARRAY_SIZE(places); i++)
		if (str_starts(path, places[i]))
			return 0;
	(void)err_set(e, EINVAL, "secret '%s': no file of a secret can be at '%s'", name, str_text(&shown));
	return err_hint(e, "an absolute path in the box below /run, /tmp or the home (~/.netrc), without '.' and '..'");
}

/* bash and zsh make "NAME=~/.netrc" a path in the caller's home, which no box has: the box's is meant. */
static char *in_home(const char *path)
{
	const char *home = getenv("HOME");
	size_t n = home && *home == '/' ? strlen(home) : 0;

	if (str_starts(path, "~/"))
		return xasprintf(BOX_HOME "%s", path + 1);
	while (n > 0 && home[n - 1] == '/')
		n--;
	if (n > 0 && strncmp(path, home, n) == 0 && path[n] == '/')
		return xasprintf(BOX_HOME "%s", path + n);
	return xstrdup(path);
}

int secrets_add_file(struct secrets *s, const char *given, struct err **e)
{
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *host = NULL;
	const char *to = NULL;
	struct secret_use *use;
	int r = split(s, given, &name, &host, &to, e);

	if (r == 0 && host) {
		r = err_set(e, EINVAL, "secret '%s': a file cannot be bound to a host", name);
		(void)err_hint(e, "as a variable: --secret %s@HOST", name);
	}
	if (r < 0)
		return r;
	path = to ? in_home(to) : xasprintf(SECRETS_DIR "/%s", name);
	r = check_path(name, path, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].path && strcmp(s->v[i].path, path) == 0)
			return err_set(e, EINVAL, "two secrets for one file: '%s' and '%s'", s->v[i].name, name);
	if (to && (strcmp(path, SECRETS_DIR) == 0 || str_starts(path, SECRETS_DIR "/"))) {
		(void)err_set(e, EINVAL, "secret '%s': %s is for files that are named as their secrets are", name,
			      SECRETS_DIR);
		return err_hint(e, "--secret-file %s puts it at %s/%s", name, SECRETS_DIR, name);
	}
	use = add(s);
	use->path = take_ptr(path);
	use->name = take_ptr(name);
	return 0;
}

const char *secrets_map(const struct secret_use *use, size_t *ret_n)
{
	struct stat st;
	void *p;

	if (fstat(use->fd, &st) < 0)
		return NULL;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, use->fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	(void)madvise(p, (size_t)st.st_size, MADV_DONTDUMP);
	*ret_n = (size_t)st.st_size;
	return p;
}

static int check_variable(const struct secret_use *use, struct err **e)
{
	size_t n;
	const char *value = secrets_map(use, &n);
	bool has_nul;

	if (!value)
		return err_errno(e, errno, "secret '%s'", use->name);
	has_nul = memchr(value, '\0', n) != NULL;
	(void)munmap((void *)(uintptr_t)value, n);
	if (!has_nul)
		return 0;
	(void)err_set(e, EINVAL, "secret '%s' has a zero byte, which no variable can hold", use->name);
	return err_hint(e, "as a file: --secret-file %s", use->name);
}

int secrets_open(struct secrets *s, struct err **e)
{
	int r = 0;

	if (s->n > 0)
		nocore_set(false);
	for (size_t i = 0; i < s->n && r >= 0; i++) {
		struct secret_use *use = &s->v[i];

		/* One that is given twice is read once. */
		for (size_t k = 0; k < i && use->fd < 0; k++)
			if (strcmp(s->v[k].name, use->name) == 0)
				use->fd = fcntl(s->v[k].fd, F_DUPFD_CLOEXEC, 3);
		if (use->fd < 0)
			r = use->fd = secret_open(use->name, e);
		if (r >= 0 && use->variable)
			r = check_variable(use, e);
	}
	return r < 0 ? r : 0;
}

int secrets_check_shares(const struct secrets *s, const struct box_spec *spec, struct err **e)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t k = 0; s->v[i].path && k < spec->nshares; k++) {
			const char *target = spec->shares[k].target;
			size_t n = strlen(target);

			if (strncmp(s->v[i].path, target, n) == 0 &&
			    (s->v[i].path[n] == '/' || s->v[i].path[n] == '\0'))
				return err_set(e, EINVAL,
					       "secret '%s': '%s' lies in a folder of the host that the box shares",
					       s->v[i].name, s->v[i].path);
		}
	}
	return 0;
}

void secrets_close(struct secrets *s)
{
	for (size_t i = 0; s && i < s->n; i++)
		s->v[i].fd = close_fd(s->v[i].fd);
}

void secrets_release(struct secrets *s)
{
	secrets_close(s);
	for (size_t i = 0; i < s->n; i++) {
		free(s->v[i].name);
		free(s->v[i].variable);
		free(s->v[i].path);
		free(s->v[i].placeholder);
		strv_release(&s->v[i].hosts);
	}
	free(s->v);
	*s = (struct secrets){NULL, 0};
}

/* --- to a command ---------------------------------------------------------------------------------------------------
 */

void secrets_add_placeholders(const struct secrets *s, struct strv *env)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->v[i].placeholder)
			strv_env_set(env, s->v[i].variable, s->v[i].placeholder);
}

void secrets_add_allow(const struct secrets *s, struct strv *allow)
{
	for (size_t i = 0; i < s->n; i++)
		strv_add_all(allow, s->v[i].hosts.v);
}

/* The variable that the command gets with the value in it, or NULL. */
static const char *open_variable(const struct secret_use *use)
{
	return use->placeholder ? NULL : use->variable;
}

static bool is_replaced(const struct secrets *s, const char *variable)
{
	for (size_t i = 0; i < s->n; i++) {
		size_t n = open_variable(&s->v[i]) ? strlen(s->v[i].variable) : 0;

		if (n > 0 && strncmp(variable, s->v[i].variable, n) == 0 && variable[n] == '=')
			return true;
	}
	return false;
}

/* "VARIABLE=value" for each, one behind the other; the pointers go to `env`. */
static int add_values(const struct secrets *s, struct str *bytes, char **env, size_t n)
{
	size_t total = 0;

	for (size_t i = 0; i < s->n; i++)
		total += open_variable(&s->v[i]) ? strlen(s->v[i].variable) + 2 + SECRET_BYTES_MAX : 0;
	(void)str_room(bytes, total); /* what follows moves nothing */
	for (size_t i = 0; i < s->n; i++) {
		const char *value;
		size_t len;

		if (!open_variable(&s->v[i]))
			continue;
		value = secrets_map(&s->v[i], &len);
		if (!value)
			return -errno;
		env[n++] = bytes->p + bytes->len;
		str_adds(bytes, s->v[i].variable);
		str_addc(bytes, '=');
		str_add(bytes, value, len);
		str_addc(bytes, '\0');
		(void)munmap((void *)(uintptr_t)value, len);
	}
	return 0;
}

int secrets_send_exec(const struct secrets *s, struct link *l, uint32_t stream, const struct exec *x, const int *fds)
{
	_cleanup_secret_ struct str bytes = STR_INIT;
	_cleanup_free_ char **env = NULL;
	struct exec with = *x;
	size_t n = 0;
	size_t kept = 0;
	int r;

	if (!s || s->n == 0)
		return exec_send(l, stream, x, fds);
	while (x->env && x->env[n])
		n++;
	env = xcalloc(n + s->n + 1, sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if (!is_replaced(s, x->env[i]))
			env[kept++] = x->env[i];
	r = add_values(s, &bytes, env, kept);
	if (r < 0) {
		for (size_t i = 0; fds && i < EXEC_FDS; i++)
			(void)close_fd(fds[i]);
		return r;
	}
	with.env = env;
	return exec_send(l, stream, &with, fds);
}
