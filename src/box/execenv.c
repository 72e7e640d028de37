#include "box/execenv.h"

#include "box/box.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char file_name[] = "exec";
static const char magic[] = "igloo.exec/1";
static const char shell_file[] = "shell";
static const char shell_magic[] = "igloo.shell/1";
enum { SHELL_BYTES_MAX = 65536 };

static void add_strings(struct str *to, const struct strv *v)
{
	for (size_t i = 0; i < v->n; i++)
		str_add(to, v->v[i], strlen(v->v[i]) + 1);
}

/* Nobody can ask for them before the box's socket is there, so they need no temporary name. */
static int write_file(int box_dir, const char *name, const struct str *bytes, struct err **e)
{
	_cleanup_close_ int fd = file_open_beneath(box_dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int r = fd < 0 ? fd : fd_write_all(fd, bytes->p, bytes->len);

	return r < 0 ? err_errno(e, -r, "cannot write the box's environment") : 0;
}

int execenv_write(int box_dir, const struct execenv *x, struct err **e)
{
	_cleanup_str_ struct str bytes = STR_INIT;

	str_add(&bytes, magic, sizeof(magic));
	str_add(&bytes, x->cwd, strlen(x->cwd) + 1);
	str_addf(&bytes, "%zu", x->prefix.n);
	str_addc(&bytes, '\0');
	str_addf(&bytes, "%zu", x->functions.n);
	str_addc(&bytes, '\0');
	add_strings(&bytes, &x->prefix);
	add_strings(&bytes, &x->functions);
	add_strings(&bytes, &x->env);
	return write_file(box_dir, file_name, &bytes, e);
}

int execenv_write_shell(int box_dir, const struct strv *argv, struct err **e)
{
	_cleanup_str_ struct str bytes = STR_INIT;

	str_add(&bytes, shell_magic, sizeof(shell_magic));
	add_strings(&bytes, argv);
	return write_file(box_dir, shell_file, &bytes, e);
}

bool execenv_needs_prefix(const struct execenv *x, const char *command)
{
	return x->prefix.n > 0 && (x->functions.n == 0 || strv_find_sorted(&x->functions, command) >= 0);
}

void execenv_remove(int box_dir)
{
	(void)unlinkat(box_dir, file_name, 0);
	(void)unlinkat(box_dir, shell_file, 0);
}

/* The next string of the bytes, NULL when there is none that is ended. */
static const char *next(const char **at, const char *end)
{
	const char *s = *at;
	const char *nul = s < end ? memchr(s, '\0', (size_t)(end - s)) : NULL;

	if (!nul)
		return NULL;
	*at = nul + 1;
	return s;
}

/* A number of at most five digits. */
static bool to_count(const char *text, size_t *ret)
{
	size_t n = 0;

	if (!text || !*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (size_t)(*text - '0');
	}
	*ret = n;
	return true;
}

static int decode(const char *at, const char *end, struct execenv *x)
{
	const char *version = next(&at, end);
	const char *cwd = version ? next(&at, end) : NULL;
	size_t words;
	size_t functions;
	size_t n = 0;
	const char *s;

	if (!cwd || strcmp(version, magic) != 0 || *cwd != '/' || !to_count(next(&at, end), &words) ||
	    !to_count(next(&at, end), &functions))
		return -EBADMSG;
	x->cwd = xstrdup(cwd);
	for (; (s = next(&at, end)); n++) {
		bool is_variable = n >= words + functions;

		if (n == EXECENV_STRINGS_MAX || (is_variable && !strchr(s, '=')))
			return -EBADMSG;
		strv_add(is_variable ? &x->env : n < words ? &x->prefix : &x->functions, s);
	}
	return at == end && n >= words + functions ? 0 : -EBADMSG;
}

int execenv_decode(const char *bytes, size_t n, struct execenv *ret)
{
	struct execenv x = {.cwd = NULL};
	int r = decode(bytes, bytes + n, &x);

	if (r < 0)
		execenv_release(&x);
	else
		*ret = x;
	return r;
}

int execenv_read(const char *name, struct execenv *ret, struct err **e)
{
	_cleanup_close_ int fd = box_open_file(name, file_name, O_RDONLY | O_NONBLOCK | O_NOCTTY, e);
	_cleanup_str_ struct str bytes = STR_INIT;
	int r;

	if (fd < 0)
		return fd;
	r = fd_read_all(fd, EXECENV_BYTES_MAX, &bytes, e);
	if (r == 0 && execenv_decode(str_text(&bytes), bytes.len, ret) < 0)
		r = err_set(e, EBADMSG, "the file '%s' in its folder is damaged", file_name);
	return r < 0 ? err_wrap(e, "box '%s'", name) : 0;
}

int execenv_read_shell(const char *name, struct strv *ret, struct err **e)
{
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_close_ int fd = box_open_file(name, shell_file, O_RDONLY | O_NONBLOCK | O_NOCTTY, &problem);
	_cleanup_str_ struct str bytes = STR_INIT;
	const char *at;
	const char *word;
	int r;

	if (fd == -ENOENT)
		return err_set(e, ENOENT, "box '%s' was started without the files of a shell", name);
	r = fd < 0 ? err_set(e, -fd, "%s", err_message(problem)) : fd_read_all(fd, SHELL_BYTES_MAX, &bytes, e);
	if (r < 0)
		return r;
	at = str_text(&bytes);
	word = next(&at, str_text(&bytes) + bytes.len);
	if (!word || strcmp(word, shell_magic) != 0)
		return err_set(e, EBADMSG, "box '%s': the file '%s' in its folder is damaged", name, shell_file);
	while ((word = next(&at, str_text(&bytes) + bytes.len)))
		strv_add(ret, word);
	return ret->n > 0 ? 0
			  : err_set(e, EBADMSG, "box '%s': the file '%s' in its folder is damaged", name, shell_file);
}

void execenv_release(struct execenv *x)
{
	free(x->cwd);
	strv_release(&x->prefix);
	strv_release(&x->functions);
	strv_release(&x->env);
	*x = (struct execenv){.cwd = NULL};
}
