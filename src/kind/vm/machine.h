/* QEMU's arguments for a machine (QEMU 5.2 and later; read against 7.2's manual, qemu-system(1)).
 *
 * On x86-64 there are two machines (aarch64's is in machinearm.h), because each accelerator is fastest with another
 * (figures in machine.c): KVM  microvm: virtio-mmio, no PCI, no firmware menu. acpi=on, or a distribution's kernel
 * finds no device. TCG  q35 without SATA, USB, SMBus: virtio-pci. Either starts a vmlinux by its PVH entry, or a
 * bzImage (slower: the machine unpacks it). Nothing here starts QEMU. */
#ifndef IGLOO_KIND_VM_MACHINE_H
#define IGLOO_KIND_VM_MACHINE_H

#include "base/err.h"
#include "base/str.h"
#include "kind/vm/arch.h"
#include "kind/vm/modules.h"

#include <stdbool.h>
#include <stdint.h>

enum machine_accel { MACHINE_TCG, MACHINE_KVM };

enum {
	MACHINE_CPUS_MAX = 128,
	MACHINE_MEMORY_MIN_MIB = 128,
	MACHINE_MEMORY_MAX_MIB = 1024 * 1024,
	MACHINE_TAG_MAX =
		31, /* of a share: struct virtio_9p_config allows more, Linux's sysfs attribute does not need it */
	MACHINE_SHARES_MAX = 16,
	MACHINE_SERIAL_MAX = 20, /* VIRTIO_BLK_ID_BYTES */
};

/* A folder of the host, by 9p. */
struct machine_share {
	const char *tag;  /* what the machine mounts: letters, digits, '-', '_' */
	const char *path; /* as QEMU sees it, absolute */
	bool read_only;   /* refused by QEMU, whatever the machine asks */
	/* Of security_model: true keeps owners and modes in extended attributes (the files are QEMU's user's own on the
	 * host); false (none) asks the host for them and goes on where it refuses. */
	bool mapped;
	/* Inherited: a connection to a virtiofsd that shares `path`; its own options say what is read-only. 0: by 9p.
	 */
	int virtiofsd;
};

/* A disk, raw, which the machine finds by its serial number: the names of disks depend on their order. */
struct machine_disk {
	const char *serial; /* letters, digits, '-', '_', '.' */
	int fd;             /* the image, inherited: opened for reading, and for writing if not read_only */
	bool read_only;
};

struct machine_port {
	const char *name; /* /sys/class/virtio-ports/…/name in the machine */
	int fd;           /* a connected stream socket that QEMU inherits */
};

struct machine {
	const struct arch *arch;
	const char *qemu; /* argv[0] */
	const char *name; /* shown in its process title; NULL: none */
	enum machine_accel accel;
	unsigned cpus;
	uint64_t memory_mib;
	const char *kernel;
	const char *initrd;
	const char *append; /* more of the kernel's command line; NULL: none */
	const struct machine_port *ports;
	size_t n_ports;
	const struct machine_share *shares;
	size_t n_shares;
	const struct machine_disk *disks;
	size_t n_disks;
	const char *netdev;      /* "tap,fd=7": the value of -netdev without id; NULL: no network */
	const char *mac;         /* of it; NULL: QEMU's own */
	int console;             /* inherited: what the kernel prints, of errors and worse. -1: none */
	bool verbose;            /* and all else, for diagnosis: costs time */
	int monitor;             /* inherited: a connected stream socket for QMP; -1: none */
	const struct strv *more; /* arguments behind all others; NULL: none */
	bool sandbox;            /* -sandbox on: the build has it (probe it) */
	const char *display;     /* the value of -display; NULL: none */
	bool pci;                /* there is PCI, whatever is fastest */
	bool nested;             /* its processor may show VMX or SVM */
	bool rng;                /* virtio-rng. TCG's CPU has RDRAND of its own, so has every CPU with KVM worth it */
};

/* Adds the arguments, argv[0] first. -EINVAL for a size, a tag or a number that cannot be; a memory of exactly 2048 MiB
 * becomes 2049, because microvm has started slowly with it. */
int machine_argv(const struct machine *m, struct strv *to, struct err **e);

/* What the kernel of x86-64 needs for a machine and all that machine_argv() may give it, of both transports, so that
 * one initrd serves both; see modules.h. */
enum { MACHINE_MODULES = 9 };
extern const struct modules_want machine_modules[MACHINE_MODULES];

/* -M and -cpu for x86-64. */
void machine_add_x86(const struct machine *m, struct strv *to);

#endif
