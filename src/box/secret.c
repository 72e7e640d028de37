#include "box/secret.h"

#include "box/dirs.h"
#include "fmt/json.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FILE_MAX = SECRET_BYTES_MAX + 64 };

static const char value_head[] = "igloo.secret/1 value\n";
static const char command_head[] = "igloo.secret/1 command\n";

bool secret_name_is_valid(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
	size_t n = strspn(name, letters);

	return n > 0 && n <= SECRET_NAME_MAX && name[n] == '\0' && !(*name >= '0' && *name <= '9');
}

int secret_name_check(const char *name, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	if (secret_name_is_valid(name))
		return 0;
	str_add_printable(&shown, name, strnlen(name, SECRET_NAME_MAX + 1), false);
	(void)err_set(e, EINVAL, "'%s' is no name of a secret", str_text(&shown));
	return err_hint(e, "letters, digits and '_', at most %d of them, no digit first: GITHUB_TOKEN",
			SECRET_NAME_MAX);
}

void secret_wipe_str(struct str *s)
{
	if (s->p)
		explicit_bzero(s->p, s->cap);
	str_release(s);
}

size_t secret_trim(const char *bytes, size_t n)
{
	const char *newline = memchr(bytes, '\n', n);

	return newline && newline + 1 == bytes + n ? n - 1 : n;
}

/* --- the files -------------------------------------------------------------------------------------------------- */

/* What another user could have put there, or could read, is no secret. */
static int check_private(int fd, const char *path, bool folder, struct err **e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot look at '%s'", path);
	if (folder ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "'%s' is no %s", path, folder ? "folder" : "regular file");
	if (st.st_uid != geteuid())
		return err_set(e, EPERM, "'%s' belongs to another user", path);
	if (st.st_mode & 077) {
		(void)err_set(e, EPERM, "'%s' is open to other users (mode %03o)", path, st.st_mode & 0777U);
		return err_hint(e, "if nobody has read or changed it: chmod %s %s", folder ? "700" : "600", path);
	}
	return 0;
}

/* The folder; without `make` -ENOENT, and no error, where there is none. */
static int open_folder(bool make, char **ret_path, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	int r = dirs_path(DIRS_CONFIG, "secrets", &path, e);

	if (r < 0)
		return r;
	fd = make ? dirs_open(DIRS_CONFIG, "secrets", e) : file_open_user(path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return make || fd == -ENOENT ? fd : err_errno(e, -fd, "cannot open '%s'", path);
	r = check_private(fd, path, true, e);
	if (r < 0)
		return r;
	*ret_path = take_ptr(path);
	return take_fd(&fd);
}

/* The whole file. The room is there before the first byte, so that growing leaves no copy behind. */
static int read_file(const char *name, struct str *bytes, time_t *ret_since, struct err **e)
{
	_cleanup_free_ char *folder = NULL;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int dir = open_folder(false, &folder, e);
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r;

	if (dir < 0)
		return dir;
	path = xasprintf("%s/%s", folder, name);
	fd = file_open_beneath(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0)
		return fd == -ENOENT ? fd : err_errno(e, -fd, "cannot open '%s'", path);
	r = check_private(fd, path, false, e);
	if (r < 0)
		return r;
	(void)str_room(bytes, 2 * (size_t)FILE_MAX);
	r = fd_read_all(fd, FILE_MAX, bytes, e);
	if (r == 0 && fstat(fd, &st) == 0)
		*ret_since = st.st_mtime;
	if (r == 0 && !str_starts(str_text(bytes), value_head) && !str_starts(str_text(bytes), command_head)) {
		(void)err_set(e, EBADMSG, "'%s' is no secret of igloo's", path);
		return err_hint(e, "igloo secret set %s", name);
	}
	return r < 0 ? err_wrap(e, "'%s'", path) : 0;
}

static int write_file(const char *name, const char *head, const void *bytes, size_t n, struct err **e)
{
	_cleanup_secret_ struct str whole = STR_INIT;
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int dir = -1;
	int r = secret_name_check(name, e);

	if (r < 0)
		return r;
	dir = open_folder(true, &path, e);
	if (dir < 0)
		return dir;
	file_sweep_temporary(dir, ".");
	(void)str_room(&whole, strlen(head) + n);
	str_adds(&whole, head);
	str_add(&whole, bytes, n);
	return file_replace(dir, name, whole.p, whole.len, 0600, true, e);
}

static int check_size(size_t n, struct err **e)
{
	if (n == 0)
		return err_set(e, EINVAL, "the value is empty");
	if (n > SECRET_BYTES_MAX)
		return err_set(e, EFBIG, "the value is larger than %d KiB", SECRET_BYTES_MAX / 1024);
	return 0;
}

int secret_set(const char *name, const void *bytes, size_t n, struct err **e)
{
	int r = check_size(n, e);

	return r < 0 ? err_wrap(e, "secret '%s'", name) : write_file(name, value_head, bytes, n, e);
}

/* --- commands ----------------------------------------------------------------------------------------------------- */

static int find_program(const char *word, char **ret, struct err **e)
{
	_cleanup_str_ struct str shown = STR_INIT;

	*ret = *word == '/' ? xstrdup(word) : strchr(word, '/') ? NULL : spawn_find(word, NULL, NULL);
	if (*ret && access(*ret, X_OK) == 0)
		return 0;
	free(take_ptr(*ret));
	str_add_printable(&shown, word, strnlen(word, 256), false);
	(void)err_set(e, EINVAL, "there is no program '%s'", str_text(&shown));
	return err_hint(e, "the first word of the command is an absolute path, or a program in PATH");
}

int secret_set_command(const char *name, char *const *argv, struct err **e)
{
	_cleanup_json_ json_t *list = json_array();
	_cleanup_str_ struct str text = STR_INIT;
	_cleanup_free_ char *program = NULL;
	int r = secret_name_check(name, e);
	size_t n = 0;

	if (r == 0)
		r = find_program(argv[0], &program, e);
	if (r < 0)
		return r;
	for (; argv[n]; n++)
		if (n == SECRET_COMMAND_MAX || json_array_append_new(list, json_string(argv[n])) < 0)
			return err_set(e, EINVAL,
				       "secret '%s': a command has at most %d words, and each of them is UTF-8", name,
				       SECRET_COMMAND_MAX);
	json_add_sorted(&text, list);
	r = check_size(text.len, e);
	return r < 0 ? err_wrap(e, "secret '%s'", name) : write_file(name, command_head, text.p, text.len, e);
}

static int parse_command(const struct str *bytes, struct strv *argv, struct err **e)
{
	const size_t head = sizeof(command_head) - 1;
	_cleanup_json_ json_t *list = NULL;
	size_t i;
	const json_t *word;
	int r = json_parse(bytes->p + head, bytes->len - head, SECRET_BYTES_MAX, 2, &list, e);

	if (r < 0)
		return r;
	json_array_foreach(list, i, word)
	{
		if (!json_is_string(word) || i == SECRET_COMMAND_MAX)
			return err_set(e, EBADMSG, "its command is damaged");
		strv_add(argv, json_string_value(word));
	}
	return argv->n > 0 ? 0 : err_set(e, EBADMSG, "its command is damaged");
}

static int run_command(const struct str *file, struct str *value, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_free_ char *program = NULL;
	struct spawn s = {.max_output = SECRET_BYTES_MAX + 1, .time_limit_ms = SECRET_COMMAND_MS};
	int r = parse_command(file, &argv, e);

	if (r == 0)
		r = find_program(argv.v[0], &program, e);
	if (r < 0)
		return r;
	s.file = program;
	s.argv = argv.v;
	(void)str_room(value, 4 * (size_t)SECRET_BYTES_MAX);
	r = spawn_check(&s, value, e);
	if (r < 0) {
		(void)err_wrap(e, "its command");
		return r == -ENOENT ? -EIO : r; /* -ENOENT means that there is no such secret */
	}
	value->len = secret_trim(str_text(value), value->len);
	r = value->len == 0 ? err_set(e, ENODATA, "its command '%s' printed nothing", argv.v[0]) : 0;
	return r < 0 ? r : check_size(value->len, e);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static int to_memory(const char *bytes, size_t n, struct err **e)
{
	_cleanup_close_ int fd = memfd_create("igloo-secret", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (fd < 0 || fchmod(fd, 0600) < 0)
		return err_errno(e, errno, "cannot make a memory file");
	r = fd_write_all(fd, bytes, n);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		r = -errno;
	return r < 0 ? err_errno(e, -r, "cannot make a memory file") : take_fd(&fd);
}

/* The value of a stored secret: -ENOENT, and no error, when there is none of the name. */
static int open_stored(const char *name, struct err **e)
{
	_cleanup_secret_ struct str file = STR_INIT;
	_cleanup_secret_ struct str value = STR_INIT;
	time_t since = 0;
	int r = read_file(name, &file, &since, e);

	if (r < 0)
		return r;
	if (str_starts(file.p, value_head)) {
		const size_t head = sizeof(value_head) - 1;

		r = check_size(file.len - head, e);
		return r < 0 ? r : to_memory(file.p + head, file.len - head, e);
	}
	r = run_command(&file, &value, e);
	return r < 0 ? r : to_memory(value.p, value.len, e);
}

static int no_such_secret(const char *name, struct err **e)
{
	_cleanup_str_ struct str names = STR_INIT;
	struct secret_info *list = NULL;
	size_t n = 0;

	(void)err_set(e, ENOENT, "there is no secret '%s'", name);
	if (secret_list(&list, &n, NULL) == 0)
		for (size_t i = 0; i < n; i++)
			str_addf(&names, "%s%s", i ? ", " : "", list[i].name);
	secret_list_free(list, n);
	(void)err_hint(e, names.len > 0 ? "there are: %s" : "there is none yet%s", str_text(&names));
	return err_hint(e, "igloo secret set %s", name);
}

int secret_open(const char *name, struct err **e)
{
	int fd = secret_name_check(name, e);

	if (fd < 0)
		return fd;
	fd = open_stored(name, e);
	if (fd == -ENOENT && (!e || !*e)) {
		const char *value = getenv(name);
		int r;

		if (!str_has(value))
			return no_such_secret(name, e);
		r = check_size(strlen(value), e);
		fd = r < 0 ? r : to_memory(value, strlen(value), e);
	}
	return fd < 0 ? err_wrap(e, "secret '%s'", name) : fd;
}

int secret_check(const char *name, struct err **e)
{
	_cleanup_secret_ struct str file = STR_INIT;
	_cleanup_strv_ struct strv argv = STRV_INIT;
	time_t since = 0;
	int r = secret_name_check(name, e);

	if (r < 0)
		return r;
	r = read_file(name, &file, &since, e);
	if (r == -ENOENT && (!e || !*e))
		return str_has(getenv(name)) ? 0 : no_such_secret(name, e);
	if (r == 0 && str_starts(file.p, command_head))
		r = parse_command(&file, &argv, e);
	return r < 0 ? err_wrap(e, "secret '%s'", name) : 0;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

int secret_remove(const char *name, struct err **e)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int dir = -1;
	int r = secret_name_check(name, e);

	if (r < 0)
		return r;
	dir = open_folder(false, &path, e);
	if (dir == -ENOENT)
		return no_such_secret(name, e);
	if (dir < 0)
		return dir;
	if (unlinkat(dir, name, 0) < 0)
		return errno == ENOENT ? no_such_secret(name, e)
				       : err_errno(e, errno, "cannot remove '%s/%s'", path, name);
	(void)fsync(dir);
	return 0;
}

static void look(struct secret_info *info)
{
	_cleanup_secret_ struct str file = STR_INIT;
	_cleanup_err_ struct err *e = NULL;
	int r = read_file(info->name, &file, &info->since, &e);

	if (r == 0 && str_starts(file.p, command_head))
		r = parse_command(&file, &info->command, &e);
	if (r < 0)
		info->refused = xstrdup(e ? err_message(e) : strerror(-r));
}

int secret_list(struct secret_info **ret, size_t *ret_n, struct err **e)
{
	_cleanup_strv_ struct strv names = STRV_INIT;
	_cleanup_free_ char *path = NULL;
	int dir = open_folder(false, &path, e);
	struct secret_info *list;
	const struct dirent *ent;
	DIR *d;

	*ret = NULL;
	*ret_n = 0;
	if (dir < 0)
		return dir == -ENOENT && (!e || !*e) ? 0 : dir;
	d = fdopendir(dir);
	if (!d) {
		(void)close_fd(dir);
		return err_errno(e, ENOMEM, "cannot list '%s'", path);
	}
	while ((ent = readdir(d)))
		if (secret_name_is_valid(ent->d_name))
			strv_add(&names, ent->d_name);
	(void)closedir(d);
	strv_sort_unique(&names);
	list = xcalloc(names.n + 1, sizeof(*list));
	for (size_t i = 0; i < names.n; i++) {
		list[i].name = xstrdup(names.v[i]);
		look(&list[i]);
	}
	*ret = list;
	*ret_n = names.n;
	return 0;
}

void secret_list_free(struct secret_info *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(list[i].name);
		free(list[i].refused);
		strv_release(&list[i].command);
	}
	free(list);
}
