/* The sandbox kind: Linux namespaces, a closure-only store, no capability, a seccomp filter. */
#ifndef IGLOO_KIND_SANDBOX_SANDBOX_H
#define IGLOO_KIND_SANDBOX_SANDBOX_H

#include "box/kind.h"

extern const struct kind kind_sandbox;

#endif
