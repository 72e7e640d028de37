/* What a machine has only when it was asked for: machines of its own (--nested), a screen (--display), sound (--audio).
 * One list of what that takes of its kernel, of /igloo.conf and of QEMU and its root, for vm.c to hand on. */
#ifndef IGLOO_KIND_VM_FITTINGS_H
#define IGLOO_KIND_VM_FITTINGS_H

#include "base/err.h"
#include "base/str.h"
#include "box/spec.h"
#include "kind/vm/arch.h"
#include "kind/vm/modules.h"

enum { FITTINGS_MODULES_MAX = 16, FITTINGS_FILES_MAX = 8 };

/* A file, socket or folder of this machine that QEMU has, too; its own to free. */
struct fittings_file {
	char *from;
	char *to; /* absolute, in QEMU's root */
};

struct fittings {
	struct modules_want want[FITTINGS_MODULES_MAX];
	size_t n_want;
	struct str conf;     /* lines */
	struct strv argv;    /* QEMU's, behind the others */
	struct strv env;     /* QEMU's; it has no other */
	const char *display; /* the value of -display; NULL: none */
	const char *screen;  /* the socket in QEMU's root where VNC is; NULL: nowhere */
	bool run;            /* QEMU has a small /run to write to */
	bool pci;            /* it takes a machine with PCI */
	struct fittings_file files[FITTINGS_FILES_MAX];
	size_t n_files;
};

#define FITTINGS_INIT                                                  \
	{                                                              \
		.conf = STR_INIT, .argv = STRV_INIT, .env = STRV_INIT, \
	}

struct fittings_host {
	const struct arch *arch;
	bool kvm;
	const char *qemu;
};

/* Fails where this host cannot do it, with what helps. */
int fittings_plan(const struct box_machine *m, const struct fittings_host *host, struct fittings *ret, struct err **e);
void fittings_release(struct fittings *f);
#define _cleanup_fittings_ ATTR_CLEANUP(fittings_release)

/* For those who plan. */
void fittings_want(struct fittings *f, const char *module);
/* /dev/NAME, or everything in the folder for "NAME/" followed by a star: the commands' user may open it. */
void fittings_device(struct fittings *f, const char *name);
void fittings_file(struct fittings *f, const char *from, const char *to);
/* -device NAME-TRANSPORT[,more]: "virtio-gpu" becomes virtio-gpu-pci, or -device on a machine without PCI. */
void fittings_virtio(struct fittings *f, const struct fittings_host *host, const char *name, const char *more);
/* Whether QEMU lists `word` when it is asked `-OPTION help`; `hint` goes to the error if not. -EOPNOTSUPP. */
int fittings_check_qemu(const struct fittings_host *host, const char *option, const char *word, const char *hint,
			struct err **e);
/* A unix socket that is there: true. */
bool fittings_is_socket(const char *path);

#endif
