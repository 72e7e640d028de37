#include "box/execenv.h"

#include "box/box.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char file_name[] = "exec";
static const char magic[] = "igloo.exec/1";

static void add_strings(struct str *to, char *const *v)
{
	for (; v && *v; v++)
		str_add(to, *v, strlen(*v) + 1);
}

int execenv_write(int box_dir, const char *cwd, char *const *prefix, char *const *env, struct err **e)
{
	/* Nobody can ask for it before the box's socket is there, so it needs no temporary name. */
	_cleanup_close_ int fd = file_open_beneath(box_dir, file_name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	_cleanup_str_ struct str bytes = STR_INIT;
	size_t n = 0;
	int r;

	if (fd < 0)
		return err_errno(e, -fd, "cannot write the box's environment");
	while (prefix && prefix[n])
		n++;
	str_add(&bytes, magic, sizeof(magic));
	str_add(&bytes, cwd, strlen(cwd) + 1);
	str_addf(&bytes, "%zu", n);
	str_addc(&bytes, '\0');
	add_strings(&bytes, prefix);
	add_strings(&bytes, env);
	r = fd_write_all(fd, bytes.p, bytes.len);
	return r < 0 ? err_errno(e, -r, "cannot write the box's environment") : 0;
}

void execenv_remove(int box_dir)
{
	(void)unlinkat(box_dir, file_name, 0);
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

static int decode(const char *at, const char *end, struct execenv *x)
{
	const char *version = next(&at, end);
	const char *cwd = version ? next(&at, end) : NULL;
	const char *count = cwd ? next(&at, end) : NULL;
	size_t left = 0;
	const char *s;

	if (!count || strcmp(version, magic) != 0 || *cwd != '/' || !*count || strlen(count) > 5)
		return -EBADMSG;
	for (; *count; count++) {
		if (*count < '0' || *count > '9')
			return -EBADMSG;
		left = left * 10 + (size_t)(*count - '0');
	}
	x->cwd = xstrdup(cwd);
	while ((s = next(&at, end))) {
		if (x->prefix.n + x->env.n == EXECENV_STRINGS_MAX)
			return -EBADMSG;
		if (x->prefix.n < left)
			strv_add(&x->prefix, s);
		else if (strchr(s, '='))
			strv_add(&x->env, s);
		else
			return -EBADMSG;
	}
	return at == end && x->prefix.n == left ? 0 : -EBADMSG;
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

void execenv_release(struct execenv *x)
{
	free(x->cwd);
	strv_release(&x->prefix);
	strv_release(&x->env);
	*x = (struct execenv){.cwd = NULL};
}
