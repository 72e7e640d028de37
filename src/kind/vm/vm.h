/* The vm kind: the box of the sandbox kind, with QEMU in it and the commands in a machine of their own. */
#ifndef IGLOO_KIND_VM_VM_H
#define IGLOO_KIND_VM_VM_H

#include "box/kind.h"

extern const struct kind kind_vm;

#endif
