/* What a kernel module says about itself: the strings "key=value", NUL behind each, of its section .modinfo (ELF64,
 * System V gABI, chapter 4; Linux include/linux/moduleparam.h). Bytes that may be anything. */
#ifndef IGLOO_KIND_VM_MODINFO_H
#define IGLOO_KIND_VM_MODINFO_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

/* Adds the names in its "depends=" (what modpost found it to need; spelled with '_'). -EBADMSG when it is no 64-bit
 * little-endian module or says nothing of that. */
int modinfo_depends(const void *bytes, size_t n, struct strv *to, struct err **e);

/* EM_… of its ELF header (the gABI's chapter 4); EM_NONE for what is none. */
unsigned modinfo_machine(const void *bytes, size_t n);

#endif
