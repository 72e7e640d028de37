#include "kind/vm/fittings.h"

#include "kind/vm/nested.h"

#include <elf.h>

static void want(struct fittings *f, const char *module)
{
	f->want[f->n_want++] = (struct modules_want){.name = module, .required = true};
}

/* The commands' user may open it, once it is there. */
static void device(struct fittings *f, const char *name)
{
	str_addf(&f->conf, "device=%s\n", name);
}

static int add_nested(const struct arch *arch, bool kvm, struct fittings *f, struct err **e)
{
	const char *module = NULL;
	int r = nested_module(arch->elf_machine == EM_AARCH64, kvm, "", &module, e);

	if (r < 0)
		return r;
	if (module)
		want(f, module);
	device(f, "kvm");
	return 0;
}

int fittings_plan(const struct box_machine *m, const struct arch *arch, bool kvm, struct fittings *ret, struct err **e)
{
	return m->nested ? add_nested(arch, kvm, ret, e) : 0;
}

void fittings_release(struct fittings *f)
{
	str_release(&f->conf);
	strv_release(&f->argv);
}
