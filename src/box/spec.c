#include "box/spec.h"

#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void box_spec_release(struct box_spec *spec)
{
	free(spec->name);
	free(spec->slot);
	free(spec->workspace);
	for (size_t i = 0; i < spec->nshares; i++) {
		free(spec->shares[i].source);
		free(spec->shares[i].target);
	}
	free(spec->shares);
	for (size_t i = 0; i < spec->npins; i++)
		free(spec->pins[i].path);
	free(spec->pins);
	free(spec->machine.kernel);
	free(spec->machine.system_name);
	free(spec->machine.toplevel);
	free(spec->machine.flake);
	free(spec->machine.accel);
	free(spec->machine.arch);
	free(spec->machine.fs);
	free(spec->machine.start);
	free(spec->machine.nix);
	free(spec->machine.store_path);
	strv_release(&spec->closure);
	free(spec->machine.display);
	free(spec->sh);
	free(spec->env);
	for (size_t i = 0; i < spec->nfiles; i++) {
		free(spec->files[i].name);
		free(spec->files[i].text);
	}
	free(spec->files);
	strv_release(&spec->allow);
	free(spec->requested);
	strv_release(&spec->ports);
	memset(spec, 0, sizeof(*spec));
}

/* Places that igloo makes in every box: a share there would hide them or be hidden. */
static int check_target(const char *target, struct err **e)
{
	static const char *const own[] = {"/proc", "/dev", "/nix", "/run", "/bin", "/usr", "/etc", "/sys", BOX_HOME};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		size_t n = strlen(own[i]);

		if (strncmp(target, own[i], n) == 0 && (target[n] == '\0' || target[n] == '/'))
			return err_set(e, EINVAL, "'%s' cannot be shared into a box: %s in a box is igloo's own",
				       target, own[i]);
	}
	if (strcmp(target, "/") == 0 || strcmp(target, "/tmp") == 0 || strcmp(target, "/home") == 0)
		return err_set(e, EINVAL, "'%s' cannot be a box's workspace or a share: it holds more than a project",
			       target);
	return 0;
}

static int add_share(struct box_spec *spec, const char *source, const struct stat *st, const char *target,
		     bool read_only, struct err **e)
{
	if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
		return err_set(e, EINVAL, "cannot share '%s': neither a folder nor a regular file", source);
	spec->shares = xrealloc_array(spec->shares, spec->nshares + 1, sizeof(*spec->shares));
	spec->shares[spec->nshares++] = (struct box_share){
		.source = xstrdup(source),
		.target = xstrdup(target),
		.read_only = read_only,
		.dev = st->st_dev,
		.ino = st->st_ino,
	};
	return 0;
}

int box_spec_add_share(struct box_spec *spec, const char *source, const char *target, bool read_only, struct err **e)
{
	_cleanup_close_ int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int fd = -1;
	struct stat st;
	int r = check_target(target, e);

	if (r < 0)
		return r;
	if (source[0] != '/')
		return err_set(e, EINVAL, "cannot share '%s': the path is not absolute", source);
	fd = file_open_beneath(top, source + strspn(source, "/"), O_PATH, 0);
	/* The user named it through whatever links there are, once; one that is there since was put there by another.
	 */
	if (fd == -ELOOP)
		return err_set(e, ESTALE, "cannot share '%s': a part of it was replaced by a symbolic link", source);
	if (fd < 0)
		return err_errno(e, -fd, "cannot share '%s'", source);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "cannot share '%s'", source);
	return add_share(spec, source, &st, target, read_only, e);
}

int box_spec_add_own_share(struct box_spec *spec, const char *source, const char *target, struct err **e)
{
	struct stat st;

	if (stat(source, &st) < 0)
		return err_errno(e, errno, "cannot share '%s'", source);
	return add_share(spec, source, &st, target, false, e);
}

void box_spec_add_terminal(struct box_spec *spec, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISCHR(st.st_mode))
		return;
	spec->shares = xrealloc_array(spec->shares, spec->nshares + 1, sizeof(*spec->shares));
	spec->shares[spec->nshares++] = (struct box_share){
		.source = xstrdup(path),
		.target = xstrdup("/dev/console"),
		.terminal = true,
		.dev = st.st_dev,
		.ino = st.st_ino,
	};
}

void box_spec_add_bytes(struct box_spec *spec, const char *name, const char *bytes, size_t n)
{
	struct str text = STR_INIT;

	str_add(&text, bytes, n);
	spec->files = xrealloc_array(spec->files, spec->nfiles + 1, sizeof(*spec->files));
	spec->files[spec->nfiles++] = (struct box_file){.name = xstrdup(name), .text = str_take(&text), .n = n};
}

void box_spec_add_file(struct box_spec *spec, const char *name, const char *text)
{
	box_spec_add_bytes(spec, name, text, strlen(text));
}

void box_spec_add_pin(struct box_spec *spec, const char *path, bool read_only)
{
	spec->pins = xrealloc_array(spec->pins, spec->npins + 1, sizeof(*spec->pins));
	spec->pins[spec->npins++] = (struct box_pin){.path = xstrdup(path), .read_only = read_only};
}
