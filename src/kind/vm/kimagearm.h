/* What the bytes of a kernel for aarch64 say. Pure parsers of bytes that may be anything.
 *
 * Image: Documentation/arch/arm64/booting.rst: the magic number "ARMd" at 56. QEMU starts it as it is; its release is
 * in its banner, as in a vmlinux. It is found packed in two ways: gzip   Image.gz, as Ubuntu's vmlinuz zboot  an EFI
 * program that unpacks itself (Linux drivers/firmware/efi/libstub/zboot-header.S): "MZ" at 0, "zimg" at 4, where the
 * packed Image is at 8, and its size at 12, 32 bits little-endian each */
#ifndef IGLOO_KIND_VM_KIMAGEARM_H
#define IGLOO_KIND_VM_KIMAGEARM_H

#include "kind/vm/kimage.h"

enum { KIMAGEARM_HEAD = 64 };

/* An Image, not packed. */
bool kimagearm_is_image(const void *bytes, size_t n);

/* Whether it may be a packed one: of gzip only unpacking tells what is in it. */
bool kimagearm_is_packed(const void *bytes, size_t n);

/* Where the Image is in one that kimagearm_is_packed(). -EBADMSG when it points outside of the n bytes. */
int kimagearm_parse(const void *bytes, size_t n, struct kimage_payload *ret, struct err **e);

/* The release of an Image by its banner, the caller's to free; NULL when there is none. */
char *kimagearm_version(const void *bytes, size_t n);

#endif
