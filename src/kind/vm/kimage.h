/* What the bytes of an x86-64 kernel say about themselves. Pure parsers of bytes that may be anything.
 *
 * bzImage: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header". Used are setup_sects (0x1f1), boot_flag
 * (0x1fe), "HdrS" (0x202), version (0x206, at least 2.08), kernel_version (0x20e), payload_offset (0x248, from the
 * first byte behind the setup sectors) and payload_length (0x24c). The payload is vmlinux, packed, with its unpacked
 * size as 32 bits little-endian behind it (of gzip: its own last field).
 *
 * vmlinux: ELF64 (System V gABI, chapters 4 and 5). QEMU starts one directly by its PVH entry, the note
 * XEN_ELFNOTE_PHYS32_ENTRY (18) of owner "Xen" (Linux include/xen/interface/elfnote.h, CONFIG_PVH). A kernel started
 * so is not unpacked in the machine, which saves most of the time to PID 1 under TCG, and does not move itself
 * (KASLR is the work of the unpacker that is left out). */
#ifndef IGLOO_KIND_VM_KIMAGE_H
#define IGLOO_KIND_VM_KIMAGE_H

#include "base/err.h"
#include "fmt/unpack.h"

#include <stdbool.h>
#include <stddef.h>

enum {
	KIMAGE_HEAD = 0x250,            /* bytes of a bzImage that kimage_is_bzimage() needs */
	KIMAGE_FILE_MAX = 1 << 30,      /* of a file */
	KIMAGE_VMLINUX_MAX = 512 << 20, /* unpacked */
	KIMAGE_VERSION_MAX = 80,
};

struct kimage_payload {
	size_t at, n; /* where in the file */
	enum unpack_format format;
	size_t unpacked; /* as the image claims */
};

bool kimage_is_bzimage(const void *bytes, size_t n);
bool kimage_is_elf(const void *bytes, size_t n);

/* -EBADMSG for a header that is not one or points outside of the n bytes; -EOPNOTSUPP for a boot protocol below 2.08
 * (before Linux 2.6.26). */
int kimage_parse(const void *bytes, size_t n, struct kimage_payload *ret, struct err **e);

/* The release ("6.1.0-56-amd64") of a bzImage, or of a vmlinux by its banner. The caller frees it; NULL when there is
 * none. It holds letters, digits and "._+~-" only, and no "..". */
char *kimage_version(const void *bytes, size_t n);

/* The release by the banner that is somewhere in the bytes ("Linux version …"); as kimage_version() else. */
char *kimage_banner(const void *bytes, size_t n);

/* Whether it is an executable for x86-64 whose segments lie in the n bytes: 0 or -EBADMSG; *ret_pvh: it has the
 * note. */
int kimage_check_vmlinux(const void *bytes, size_t n, bool *ret_pvh, struct err **e);

/* Of one that was checked: takes the zeros at the end of its segments out of the file (memory is zero where a segment
 * is longer than its file), its section headers, and what lies behind the last segment. Returns its new size. The file
 * of Debian's 6.1 goes from 66 to 41 MB, which QEMU reads and copies at every start. */
size_t kimage_trim(void *bytes);

#endif
