#include "kind/vm/handback.h"

#include "nix/storepath.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

void handback_release(struct handback *h)
{
	free(h->toplevel);
	free(h->params);
	free(h->base);
	(void)close_fd(h->kernel);
	(void)close_fd(h->initrd);
	*h = (struct handback)HANDBACK_INIT;
}

static size_t without_newline(const char *bytes, size_t n)
{
	return n > 0 && bytes[n - 1] == '\n' ? n - 1 : n;
}

char *handback_name(const char *bytes, size_t n)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	n = without_newline(bytes, n);
	if (n == 0 || n > HANDBACK_NAME_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (!bytes[i] || !strchr(good, bytes[i]))
			return NULL;
	return xstrndup(bytes, n);
}

char *handback_path(const char *bytes, size_t n)
{
	_cleanup_free_ char *path = NULL;

	n = without_newline(bytes, n);
	if (n == 0 || n > HANDBACK_FILE_MAX || memchr(bytes, '\0', n))
		return NULL;
	path = xstrndup(bytes, n);
	return storepath_ok(path) ? take_ptr(path) : NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\t';
}

int handback_params(const char *bytes, size_t n, struct str *to, struct err **e)
{
	size_t before = to->len;

	for (size_t i = 0; i < n; i++)
		if (!is_blank(bytes[i]) && (bytes[i] < 0x21 || bytes[i] > 0x7e))
			return err_set(e, EINVAL, "the system's kernel-params are no words of ASCII");
	for (size_t i = 0; i < n;) {
		size_t end = i;

		while (end < n && !is_blank(bytes[end]))
			end++;
		if (end > i && !(end - i >= 5 && memcmp(bytes + i, "init=", 5) == 0) &&
		    !(end - i >= 7 && memcmp(bytes + i, "initrd=", 7) == 0)) {
			str_adds(to, to->len > before ? " " : "");
			str_add(to, bytes + i, end - i);
		}
		i = end + 1;
	}
	if (to->len - before > HANDBACK_PARAMS_MAX)
		return err_set(e, E2BIG, "the system's kernel-params: more than %d bytes", HANDBACK_PARAMS_MAX);
	return 0;
}

/* A file of the entry, without waiting for whoever made a pipe of it. */
static int open_file(int entry, const char *name, uint64_t max, struct err **e)
{
	_cleanup_close_ int fd = file_open_beneath(entry, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(e, fd < 0 ? -fd : errno, "its %s cannot be opened", name);
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || (uint64_t)st.st_size > max)
		return err_set(e, EINVAL, "its %s is no file that could be one", name);
	return take_fd(&fd);
}

static int read_entry(int entry, struct handback *h, struct err **e)
{
	_cleanup_str_ struct str toplevel = STR_INIT;
	_cleanup_str_ struct str params = STR_INIT;
	_cleanup_str_ struct str base = STR_INIT;
	_cleanup_str_ struct str words = STR_INIT;
	int r = file_read(entry, "toplevel", HANDBACK_FILE_MAX, &toplevel, e);

	if (r == 0 && !(h->toplevel = handback_path(str_text(&toplevel), toplevel.len)))
		r = err_set(e, EINVAL, "its toplevel is no store path");
	if (r == 0)
		r = file_read(entry, "params", HANDBACK_FILE_MAX, &params, e);
	if (r == 0)
		r = handback_params(str_text(&params), params.len, &words, e);
	if (r == 0 && file_read(entry, "base", HANDBACK_FILE_MAX, &base, NULL) == 0)
		h->base = handback_path(str_text(&base), base.len);
	if (r == 0) {
		h->params = str_take(&words);
		h->kernel = open_file(entry, "kernel", HANDBACK_INITRD_MAX, e);
		r = h->kernel < 0 ? h->kernel : 0;
	}
	if (r == 0) {
		h->initrd = open_file(entry, "initrd", HANDBACK_INITRD_MAX, e);
		r = h->initrd < 0 ? h->initrd : 0;
	}
	return r;
}

int handback_open(int dir, struct handback *ret, struct err **e)
{
	_cleanup_handback_ struct handback h = HANDBACK_INIT;
	_cleanup_str_ struct str current = STR_INIT;
	_cleanup_free_ char *name = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int entry = -1;
	int r = file_read(dir, "boot/current", HANDBACK_FILE_MAX, &current, NULL);

	if (r == -ENOENT)
		return r;
	if (r == 0)
		name = handback_name(str_text(&current), current.len);
	if (name) {
		path = xasprintf("boot/%s", name);
		entry = file_open_beneath(dir, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	}
	if (entry < 0)
		r = err_set(e, EINVAL, "boot/current names no folder beside it");
	else
		r = read_entry(entry, &h, e);
	if (r < 0) {
		(void)err_wrap(e, "the system that was rebuilt in the machine");
		(void)err_hint(e, "--built starts what the flake builds; a rebuild there replaces the other");
		return r == -ENOENT ? -EINVAL : r;
	}
	*ret = h;
	h = (struct handback)HANDBACK_INIT;
	return 0;
}
