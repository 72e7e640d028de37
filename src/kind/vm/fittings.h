/* What a machine has only when it was asked for: machines of its own (--nested). One list of what that takes of its
 * kernel, of /igloo.conf and of QEMU, for vm.c to hand on. */
#ifndef IGLOO_KIND_VM_FITTINGS_H
#define IGLOO_KIND_VM_FITTINGS_H

#include "base/err.h"
#include "base/str.h"
#include "box/spec.h"
#include "kind/vm/arch.h"
#include "kind/vm/modules.h"

enum { FITTINGS_MODULES_MAX = 16 };

struct fittings {
	struct modules_want want[FITTINGS_MODULES_MAX];
	size_t n_want;
	struct str conf;  /* lines */
	struct strv argv; /* behind the others */
};

#define FITTINGS_INIT                               \
	{                                           \
		.conf = STR_INIT, .argv = STRV_INIT \
	}

/* Fails where this host cannot do it, with what helps. */
int fittings_plan(const struct box_machine *m, const struct arch *arch, bool kvm, struct fittings *ret, struct err **e);
void fittings_release(struct fittings *f);
#define _cleanup_fittings_ ATTR_CLEANUP(fittings_release)

#endif
