/* The root that QEMU has: the programs of this machine, the devices it needs, and, in MONITOR_BOX, the root of the box,
 * which it shares with the machine. Nothing of the user's own but that.
 *
 *     /usr /bin /lib …   this machine's, read-only (what is a link here is one there)
 *     /nix/store         this machine's, where QEMU is a store path
 *     /vm/kernel, /vm/initrd
 *     /vm/conf           what the machine is told (guest/vmgiven.h)
 *     /vm/template       what it goes on from (template.h): on a mount that is read-only, so that nobody who opens it
 *                        again, by a descriptor either, could write to it
 *     /vm/files          what a guest with a system of its own is told (nixos.h)
 *     /vm/state          and its folder of the slot, writable
 *     /vm/virtiofsd      where it does not lie in one of the above
 *     /proc              of the box's processes; with virtiofsd, what that one looks for (/proc itself is /vm/proc)
 *     /dev               null, zero, random, urandom, and kvm for a machine that uses it
 *     /run               a small one to write to, where `run` says so; and what is `given`, each at its place
 *     /etc/resolv.conf   the box's gateway, for QEMU's own network */
#ifndef IGLOO_KIND_VM_ENCLOSURE_H
#define IGLOO_KIND_VM_ENCLOSURE_H

#include "base/err.h"
#include "kind/vm/fittings.h"

#include <stdbool.h>

#define ENCLOSURE_KERNEL "/vm/kernel"
#define ENCLOSURE_INITRD "/vm/initrd"
#define ENCLOSURE_CONF "/vm/conf"
#define ENCLOSURE_TEMPLATE "/vm/template"
#define ENCLOSURE_FILES "/vm/files"
#define ENCLOSURE_STATE "/vm/state"
#define ENCLOSURE_VIRTIOFSD "/vm/virtiofsd"
#define ENCLOSURE_PROC "/vm/proc"

enum { ENCLOSURE_ITEMS_MAX = 32 };

struct enclosure_file {
	const char *name;
	const void *bytes;
	size_t n;
	bool program;
};

struct enclosure {
	const char *qemu; /* absolute, without links */
	const char *kernel;
	const char *initrd;
	const char *virtiofsd; /* the same; NULL: none */
	const char *conf;      /* text; NULL: none */
	const char *template;  /* a file, which may vanish; NULL: none */
	bool kvm;
	const struct enclosure_file *files; /* of ENCLOSURE_FILES */
	size_t n_files;
	const char *state;                 /* a folder; NULL: none */
	const struct fittings_file *given; /* read-only; sockets can be connected to */
	size_t n_given;
	bool run;
	/* filled by enclosure_sources() */
	struct enclosure_item {
		const char *to; /* absolute */
		char *link;     /* where a link leads; NULL: it is mounted */
		int source;
		bool file;
		bool device;
		bool writable;
		bool runs; /* it may be executed */
	} items[ENCLOSURE_ITEMS_MAX];
	size_t n;
};

/* Whether that root has the program: -ENOENT with a hint for one that lies elsewhere. */
int enclosure_check(const char *qemu, struct err **e);
/* Where virtiofsd is in there. */
const char *enclosure_virtiofsd(const char *path);

/* The two functions of struct monitor (kind/common/setup.h), with a struct enclosure. */
int enclosure_sources(void *arg, struct err **e);
int enclosure_fill(void *arg, int root, struct err **e);

#endif
