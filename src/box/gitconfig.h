/* The few values of a git configuration file by which git runs or reads something else. */
#ifndef IGLOO_BOX_GITCONFIG_H
#define IGLOO_BOX_GITCONFIG_H

#include "base/str.h"

enum { GITCONFIG_MAX = 1 << 20 };

/* As they are written, with quotes and escapes resolved. */
struct gitconfig {
	struct strv includes;   /* include.path and includeIf.*.path, whatever the condition */
	struct strv hooks;      /* core.hooksPath */
	struct strv submodules; /* submodule.*.path, in .gitmodules */
};

/* Reads a configuration file's text (git-config(1), "SYNTAX") and adds what it finds. Never fails: where git would
 * give up it goes on, so it finds at least what git finds. */
void gitconfig_read(const char *text, size_t n, struct gitconfig *ret);
void gitconfig_release(struct gitconfig *c);

static inline void gitconfig_releasep(struct gitconfig *c)
{
	gitconfig_release(c);
}
#define _cleanup_gitconfig_ ATTR_CLEANUP(gitconfig_releasep)

#endif
