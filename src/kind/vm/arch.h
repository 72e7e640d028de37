/* The architectures that a machine can have: which QEMU, which devices, which kernel, which guest. One table entry
 * each; machine.c and machinearm.c have what QEMU is told. */
#ifndef IGLOO_KIND_VM_ARCH_H
#define IGLOO_KIND_VM_ARCH_H

#include "base/err.h"
#include "base/str.h"
#include "kind/vm/modules.h"

#include <stdbool.h>
#include <stdint.h>

struct machine;

struct arch {
	const char *name;     /* as uname -m says it */
	const char *other;    /* as Debian says it */
	uint16_t elf_machine; /* EM_… of its kernel's modules */
	const char *fact;     /* of `igloo doctor`: id and title */
	const char *fact_title;
	const char *qemu;
	const char *qemu_hint;
	const char *kernel_package; /* Debian's */
	const char *image;          /* what its kernels are called, for messages */
	const char *console;        /* the kernel's name of the serial port */
	const char *append;         /* more of the kernel's command line, with a space in front */
	const struct modules_want *modules;
	size_t n_modules;
	/* -M and -cpu. */
	void (*add_machine)(const struct machine *m, struct strv *to);
	/* The guest program; 0 bytes: this igloo was built without one. */
	const unsigned char *guest;
	const size_t *guest_size;
};

/* NULL-terminated, the one that igloo was built for first. */
extern const struct arch *const archs[];

/* By either name; NULL is this machine's own. -EINVAL naming those there are. */
int arch_find(const char *name, const struct arch **ret, struct err **e);
static inline bool arch_is_own(const struct arch *a)
{
	return a == archs[0];
}

/* The guest program for it; -ENOENT, with what helps, where igloo was built without one. */
int arch_check_guest(const struct arch *a, struct err **e);

#endif
