#include "kind/vm/fittings.h"

#include "box/display.h"
#include "kind/vm/nested.h"
#include "kind/vm/screen.h"
#include "kind/vm/sound.h"
#include "sys/spawn.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { TIME_LIMIT_MS = 20000 };

void fittings_want(struct fittings *f, const char *module)
{
	f->want[f->n_want++] = (struct modules_want){.name = module, .required = true};
}

void fittings_device(struct fittings *f, const char *name)
{
	str_addf(&f->conf, "device=%s\n", name);
}

void fittings_file(struct fittings *f, const char *from, const char *to)
{
	f->files[f->n_files++] = (struct fittings_file){.from = xstrdup(from), .to = xstrdup(to)};
}

void fittings_virtio(struct fittings *f, const struct fittings_host *host, const char *name, const char *more)
{
	bool pci = !host->kvm || host->arch->elf_machine != EM_X86_64;

	strv_add(&f->argv, "-device");
	strv_addf(&f->argv, "%s-%s%s", name, pci ? "pci" : "device", more);
}

/* In a line of its own, or at the beginning of one. */
static bool lists(const char *text, const char *word)
{
	for (const char *p = text; (p = strstr(p, word)); p++)
		if ((p == text || p[-1] == '\n' || p[-1] == '"') && strchr("\n \r\"", p[strlen(word)]))
			return true;
	return false;
}

int fittings_check_qemu(const struct fittings_host *host, const char *option, const char *word, const char *hint,
			struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str said = STR_INIT;
	struct spawn s = {.file = host->qemu, .max_output = 1 << 20, .time_limit_ms = TIME_LIMIT_MS};
	int status = 0;
	int r;

	strv_add(&argv, host->qemu);
	strv_add(&argv, option);
	strv_add(&argv, "help");
	s.argv = argv.v;
	r = spawn_run(&s, &said, NULL, &status, e);
	if (r < 0 || lists(str_text(&said), word))
		return r;
	(void)err_set(e, EOPNOTSUPP, "this QEMU (%s) has no %s for %s", host->qemu, word, option);
	return err_hint(e, "%s", hint);
}

bool fittings_is_socket(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

static int add_nested(const struct fittings_host *host, struct fittings *f, struct err **e)
{
	const char *module = NULL;
	int r = nested_module(host->arch->elf_machine == EM_AARCH64, host->kvm, "", &module, e);

	if (r < 0)
		return r;
	if (module)
		fittings_want(f, module);
	fittings_device(f, "kvm");
	return 0;
}

int fittings_plan(const struct box_machine *m, const struct fittings_host *host, struct fittings *ret, struct err **e)
{
	struct display display = {.how = DISPLAY_NONE};
	int r = display_parse(m->display, &display, e);

	if (r == 0 && m->nested)
		r = add_nested(host, ret, e);
	if (r == 0 && display.how != DISPLAY_NONE)
		r = screen_plan(&display, host, ret, e);
	if (r == 0 && m->audio)
		r = sound_plan(host, ret, e);
	return r;
}

void fittings_release(struct fittings *f)
{
	str_release(&f->conf);
	strv_release(&f->argv);
	strv_release(&f->env);
	for (size_t i = 0; i < f->n_files; i++) {
		free(f->files[i].from);
		free(f->files[i].to);
	}
	f->n_files = 0;
}
