#include "nix/elfdeps.h"

#include "sys/spawn.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <sys/stat.h>

enum { PHDR_MAX = 256, OUTPUT_MAX = 1 << 20, TIME_LIMIT_MS = 30000 };

void elfdeps_release(struct elfdeps *d)
{
	free(take_ptr(d->loader));
	free(take_ptr(d->loader_name));
	strv_release(&d->names);
	strv_release(&d->sources);
}

/* The program's PT_INTERP; NULL when it has none. ELF of this machine's word size only (gABI, chapters 4, 5). */
static int read_interp(const char *program, char **ret, struct err **e)
{
	_cleanup_close_ int fd = open(program, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char path[PATH_MAX];
	ElfW(Ehdr) h;

	if (fd < 0)
		return err_errno(e, errno, "'%s'", program);
	if (pread(fd, &h, sizeof(h), 0) != (ssize_t)sizeof(h) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0 ||
	    h.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
	    h.e_phentsize != sizeof(ElfW(Phdr)) || h.e_phnum > PHDR_MAX) {
		(void)err_set(e, ENOEXEC, "'%s' is no ELF program of this machine", program);
		return err_hint(e, "if it is a script that starts the program, name the program itself");
	}
	for (unsigned i = 0; i < h.e_phnum; i++) {
		ElfW(Phdr) p;

		if (pread(fd, &p, sizeof(p), (off_t)(h.e_phoff + i * sizeof(p))) != (ssize_t)sizeof(p))
			return err_set(e, ENOEXEC, "'%s' is a damaged ELF file", program);
		if (p.p_type != PT_INTERP)
			continue;
		if (p.p_filesz < 2 || p.p_filesz > sizeof(path) ||
		    pread(fd, path, p.p_filesz, (off_t)p.p_offset) != (ssize_t)p.p_filesz ||
		    path[p.p_filesz - 1] != '\0' || path[0] != '/')
			return err_set(e, ENOEXEC, "'%s' is a damaged ELF file", program);
		*ret = xstrdup(path);
		return 0;
	}
	*ret = NULL;
	return 0;
}

/* The loader of the root that the program was unpacked into; NULL when that is the system's own. */
static char *loader_of_root(const char *program, const char *interp)
{
	static const char *const below[] = {"/usr/bin/", "/bin/"};
	static const char *const above[] = {"", "/usr"};
	_cleanup_free_ char *systems = realpath(interp, NULL);
	const char *name = strrchr(program, '/') + 1;

	for (size_t i = 0; i < ARRAY_SIZE(below) * ARRAY_SIZE(above); i++) {
		const char *b = below[i / 2];
		size_t n = strlen(b);
		size_t root = (size_t)(name - program);
		_cleanup_free_ char *file = NULL;
		_cleanup_free_ char *real = NULL;

		if (root <= n || strncmp(name - n, b, n) != 0)
			continue;
		file = xasprintf("%.*s%s%s", (int)(root - n), program, above[i % 2], interp);
		real = access(file, X_OK) == 0 ? realpath(file, NULL) : NULL;
		if (real)
			return systems && strcmp(real, systems) == 0 ? NULL : take_ptr(real);
	}
	return NULL;
}

/* A library chosen for this processor only: its plain twin runs on every one that shares the home. */
static char *plain_twin(const char *path)
{
	const char *at = strstr(path, "/glibc-hwcaps/");
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *plain = NULL;

	if (!at)
		return NULL;
	plain = xasprintf("%.*s%s", (int)(at - path), path, slash);
	return access(plain, R_OK) == 0 ? take_ptr(plain) : NULL;
}

static bool is_loader(const struct elfdeps *d, const char *path)
{
	const char *slash = strrchr(path, '/');

	return strcmp(slash ? slash + 1 : path, d->loader_name) == 0;
}

/* One line of --list: "<tab>NAME => PATH (0x…)", "<tab>LOADER (0x…)", "<tab>linux-vdso.so.1 (0x…)". */
static int take_line(char *line, const char *program, struct elfdeps *d, struct err **e)
{
	char *name = line + strspn(line, "\t ");
	char *arrow = strstr(name, " => ");
	char *end = strstr(name, " (0x");
	char *twin;

	if (end)
		*end = '\0';
	if (arrow)
		*arrow = '\0';
	if (is_loader(d, name) || (!arrow && !strchr(name, '/') && end))
		return 0;
	if (strchr(name, '/'))
		return err_set(e, ELIBBAD, "'%s' needs '%s', which cannot be moved", program, name);
	if (!arrow || !end || arrow[4] != '/')
		return err_set(e, ELIBBAD, "'%s' needs the library '%s', which is not there", program, name);
	twin = plain_twin(arrow + 4);
	strv_add(&d->names, name);
	strv_add_take(&d->sources, twin ? twin : xstrdup(arrow + 4));
	return 0;
}

static int list(const char *program, const char *library_path, struct elfdeps *d, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_strv_ struct strv envp = STRV_INIT;
	_cleanup_strv_ struct strv lines = STRV_INIT;
	_cleanup_str_ struct str out = STR_INIT;
	_cleanup_free_ char *name = xasprintf("%s --list %s", d->loader, program);
	struct spawn s = {.file = d->loader, .name = name, .max_output = OUTPUT_MAX, .time_limit_ms = TIME_LIMIT_MS};
	int r;

	strv_add(&argv, d->loader);
	if (library_path) {
		strv_add(&argv, "--library-path");
		strv_add(&argv, library_path);
	}
	strv_add(&argv, "--list");
	strv_add(&argv, program);
	/* Nothing of LD_LIBRARY_PATH or LD_PRELOAD. */
	strv_add(&envp, "LC_ALL=C");
	s.argv = argv.v;
	s.envp = envp.v;
	r = spawn_check(&s, &out, e);
	if (r < 0)
		return r;
	strv_split(&lines, str_text(&out), '\n');
	for (size_t i = 0; i < lines.n && r >= 0; i++)
		r = take_line(lines.v[i], program, d, e);
	return r;
}

int elfdeps_get(const char *program, struct elfdeps *ret, struct err **e)
{
	_cleanup_elfdeps_ struct elfdeps d = {0};
	_cleanup_free_ char *interp = NULL;
	_cleanup_free_ char *library_path = NULL;
	int r = read_interp(program, &interp, e);

	if (r < 0)
		return r;
	if (interp) {
		d.loader_name = xstrdup(strrchr(interp, '/') + 1);
		d.loader = loader_of_root(program, interp);
		if (d.loader)
			library_path = xstrndup(d.loader, (size_t)(strrchr(d.loader, '/') - d.loader));
		else
			d.loader = xstrdup(interp);
		r = list(program, library_path, &d, e);
		if (r < 0)
			return r;
	}
	*ret = d;
	d = (struct elfdeps){0};
	return 0;
}
