/* The names that a shell offers while a command line is typed: fast, and silent whatever happens. */
#include "base/name.h"
#include "box/dirs.h"
#include "box/secret.h"
#include "cmd/cmd.h"
#include "sys/file.h"

#include <dirent.h>
#include <errno.h>

/* Beyond this nobody picks from a list. */
#define NAMES_MAX 4096

/* The sub-folders of one of igloo's folders that are named as boxes and slots are. */
static void add_folders(enum dirs_kind kind, const char *folder, struct strv *names)
{
	_cleanup_free_ char *path = NULL;
	struct dirent *d;
	DIR *dir;
	int fd;

	/* Not dirs_open(): pressing a key makes no folders. */
	if (dirs_path(kind, folder, &path, NULL) < 0)
		return;
	fd = file_open_user(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir) {
		(void)close_fd(fd);
		return;
	}
	while (names->n < NAMES_MAX && (d = readdir(dir)))
		if ((d->d_type == DT_DIR || d->d_type == DT_UNKNOWN) && name_is_valid(d->d_name))
			strv_add(names, d->d_name);
	(void)closedir(dir);
	strv_sort_unique(names);
}

int complete_names(const char *what, struct strv *names)
{
	if (strcmp(what, "boxes") == 0 || strcmp(what, "slots") == 0 || strcmp(what, "snapshots") == 0) {
		add_folders(DIRS_STATE, what, names);
		/* Boxes made for one command lie elsewhere (box/box.h). */
		if (strcmp(what, "boxes") == 0)
			add_folders(DIRS_RUNTIME, "fleeting", names);
		return 0;
	}
	if (strcmp(what, "secrets") == 0) {
		struct secret_info *list = NULL;
		size_t n = 0;

		if (secret_list(&list, &n, NULL) == 0)
			for (size_t i = 0; i < n && i < NAMES_MAX; i++)
				strv_add(names, list[i].name);
		secret_list_free(list, n);
		return 0;
	}
	/* The names of a flake's shells are known only by evaluating it, which no key press should. */
	return strcmp(what, "shells") == 0 ? 0 : -EINVAL;
}
