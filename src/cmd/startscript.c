#include "cmd/startscript.h"

#include "box/dirs.h"
#include "box/shares.h"
#include "nix/source.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What a file of ours begins with, so that no other is replaced. */
static const char head[] = "#!/bin/sh\n# igloo start script: ";

/* One line of a comment: what could end it, or move the cursor of who reads it, is shown as \xNN. */
static void add_comment(struct str *to, const char *key, const char *value)
{
	str_addf(to, "#   %-12s", key);
	str_add_printable(to, value, strlen(value), false);
	str_addc(to, '\n');
}

/* By what a box has, for its reader. */
static void add_shares(struct str *to, const struct strv *options)
{
	static const struct {
		const char *prefix;
		const char *what;
	} kinds[] = {{"--share-rw=", "writable"}, {"--share-ro=", "read-only"}};

	for (size_t i = 0; i < options->n; i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			if (str_starts(options->v[i], kinds[k].prefix)) {
				_cleanup_free_ char *key = xasprintf("%s:", kinds[k].what);

				add_comment(to, key, options->v[i] + strlen(kinds[k].prefix));
			}
}

/* --env NAME=VALUE may hold what is nobody's business. */
static void add_options(struct str *to, const struct strv *options)
{
	for (size_t i = 0; i < options->n; i++) {
		const char *option = options->v[i];
		size_t shown = str_starts(option, "--env=") ? strcspn(option + 6, "=") + 6 : strlen(option);

		str_adds(to, "#     ");
		str_add_printable(to, option, shown, false);
		str_adds(to, option[shown] ? "=...\n" : "\n");
	}
}

static void add_header(struct str *to, const char *name, const struct definition *d)
{
	_cleanup_str_ struct str command = STR_INIT;
	time_t at = (time_t)d->created;
	struct tm tm;
	char when[32] = "";

	for (size_t i = 0; i < d->command.n; i++) {
		str_adds(&command, i ? " " : "");
		str_add_quoted(&command, d->command.v[i]);
	}
	if (gmtime_r(&at, &tm))
		(void)strftime(when, sizeof(when), "%Y-%m-%d %H:%M UTC", &tm);
	str_addf(to,
		 "%s%s\n#\n# Starts the box as it was created: nothing is built again. To change it: igloo rm, igloo "
		 "create.\n#\n",
		 head, name);
	add_comment(to, "box:", name);
	add_comment(to, "kind:", *d->kind ? d->kind : "what the flake asks for, else sandbox");
	add_comment(to, "repository:", d->repository);
	add_comment(to, "folder:", d->directory);
	add_comment(to, "slot:", d->slot);
	add_comment(to, "command:", command.len ? str_text(&command) : "none: it waits for igloo shell and igloo exec");
	add_shares(to, &d->options);
	add_comment(to, "created:", when);
	if (d->options.n > 0)
		str_adds(to, "#   options:\n");
	add_options(to, &d->options);
	str_addf(to, "#\n# A shell in it: igloo shell %s. Its end: igloo stop %s.\n\n", name, name);
}

void startscript_add(struct str *to, const char *name, const struct definition *d, const char *program)
{
	add_header(to, name, d);
	if (program) {
		str_adds(to, "igloo=");
		str_add_quoted(to, program);
		str_adds(to, "\n[ -x \"$igloo\" ] || igloo=igloo\n");
	} else {
		str_adds(to, "igloo=igloo\n");
	}
	/* A name is safe everywhere (base/name.h). */
	str_addf(to, "exec \"$igloo\" start %s \"$@\"\n", name);
}

static bool is_ours(int dir, const char *file)
{
	_cleanup_close_ int fd = file_open_beneath(dir, file, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	char begin[sizeof(head) - 1];

	return fd >= 0 && pread(fd, begin, sizeof(begin), 0) == (ssize_t)sizeof(begin) &&
	       memcmp(begin, head, sizeof(begin)) == 0;
}

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

/* Whether some box may write into the folder. */
static bool is_a_boxs(const char *folder, const struct definition *d)
{
	_cleanup_source_ struct source source = {.flake_dir = NULL};

	if (is_below(folder, d->repository) || source_find(folder, &source, NULL) == 0)
		return true;
	for (size_t i = 0; i < d->options.n; i++) {
		_cleanup_free_ char *path = NULL;
		_cleanup_free_ char *at = NULL;

		if (str_starts(d->options.v[i], "--share-rw=") &&
		    shares_parse(d->options.v[i] + strlen("--share-rw="), &path, &at, NULL) == 0 &&
		    is_below(folder, path))
			return true;
	}
	return false;
}

static int open_folder(const struct definition *d, char **ret_path, struct err **e)
{
	_cleanup_free_ char *here = getcwd(NULL, 0);
	int dir;

	if (here && *here == '/' && !is_a_boxs(here, d)) {
		dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			return err_errno(e, errno, "cannot open the current folder");
		*ret_path = take_ptr(here);
		return dir;
	}
	dir = dirs_open(DIRS_DATA, "", e);
	if (dir >= 0 && dirs_path(DIRS_DATA, "", ret_path, e) < 0) {
		(void)close(dir);
		return -ENOENT;
	}
	return dir;
}

int startscript_write(const char *name, const struct definition *d, bool yes, char **ret_path, struct err **e)
{
	_cleanup_free_ char *file = xasprintf("start-%s.sh", name);
	_cleanup_free_ char *folder = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int dir = open_folder(d, &folder, e);
	_cleanup_str_ struct str text = STR_INIT;
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct stat st;
	int r;

	if (dir < 0)
		return dir;
	path = xasprintf("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, file);
	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0 && !yes && !is_ours(dir, file)) {
		(void)err_set(e, EEXIST, "there is a file '%s' that igloo did not write", path);
		return err_hint(e, "to replace it: --yes");
	}
	if (n > 0)
		self[n] = '\0';
	startscript_add(&text, name, d, n > 0 ? self : NULL);
	r = file_replace(dir, file, text.p, text.len, 0755, false, e);
	if (r < 0)
		return err_wrap(e, "cannot write '%s'", path);
	*ret_path = take_ptr(path);
	return 0;
}
