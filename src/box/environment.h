/* The environment of a flake's dev shell, from its record or by asking Nix inside a box. */
#ifndef IGLOO_BOX_ENVIRONMENT_H
#define IGLOO_BOX_ENVIRONMENT_H

#include "base/err.h"
#include "box/kind.h"
#include "nix/record.h"
#include "nix/source.h"

/* A record of nixosConfigurations.NAME has the shell SYSTEM_PREFIX "NAME", the system's store path (its toplevel) as
 * env_path, and of variables SYSTEM_VARIABLE alone: the name, which was chosen where NAME is empty. No dev shell can
 * have such a name. */
#define SYSTEM_PREFIX "nixos:"
#define SYSTEM_VARIABLE "IGLOO_SYSTEM"

/* What is asked for; all pointers are the caller's. */
struct environment_query {
	const struct kind *kind;
	/* Of another platform than this machine's ("aarch64-linux"), or NULL; then what its machine is like, and of
	 * what kind, for what has to run there. */
	const char *platform;
	const struct kind *machine_kind;
	const char *machine_kernel; /* as struct box_machine has them */
	const char *machine_accel;
	const char *machine_arch;
	const struct source *source;
	const char *shell;        /* name of the dev shell, or SYSTEM_PREFIX and the name of a NixOS configuration */
	bool any_shell;           /* unless the flake asks for another */
	const struct strv *allow; /* policy entries while resolving, beside `nix` and the user's grants; or NULL */
	bool offline;             /* no network while resolving */
	bool no_host_cache;       /* nothing of the host's store but what is mounted */
	bool refresh;             /* evaluate even if the record is good */
	bool interactive;         /* the record must name the bash of an interactive shell */
	const struct box_share *shares; /* further folders of the host that evaluation may read */
	size_t nshares;
};

/* Gets the record: read when nothing that evaluation could have read has changed and all its store paths are there,
 * else made anew. `why` (may be NULL) collects what made it evaluate again, one printable line each; empty for a
 * warm start. */
int environment_open(struct slot *slot, const struct environment_query *q, struct env_record *ret, struct strv *why,
		     struct err **e);

/* The platform that is asked for. */
const char *environment_platform_of(const struct environment_query *q);

/* The platform Nix calls this machine, "x86_64-linux". */
const char *environment_platform(void);

#endif
