/* --nested: the machine may have machines of its own.
 *
 * Without it the processor of a machine shows neither VMX nor SVM, whatever the host's has (machine.c): a kernel's KVM
 * is a large thing to hand to who attacks it. With it x86-64, KVM   what the host's processor has, if the host's module
 * lets its guests have it (its parameter `nested`: Linux Documentation/virt/kvm/x86/nested-vmx.rst) x86-64, TCG   SVM,
 * which QEMU emulates; it does not emulate VMX aarch64, TCG  EL2 (-M virt,virtualization=on), and KVM is part of the
 * kernel aarch64, KVM  refused: neither QEMU nor released kernels of the host have it for most processors */
#ifndef IGLOO_KIND_VM_NESTED_H
#define IGLOO_KIND_VM_NESTED_H

#include "base/err.h"

#include <stdbool.h>

/* What the machine's kernel needs for it: "kvm_amd" or "kvm_intel", or NULL where it is part of the kernel. `aarch64`
 * and `kvm` are of the machine, `root` is "" but in tests. -EOPNOTSUPP with a hint where it cannot be. */
int nested_module(bool aarch64, bool kvm, const char *root, const char **ret_module, struct err **e);

#endif
