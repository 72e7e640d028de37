/* Inside of resolving, shared by resolve.c (the order of things, asking Nix) and resolvehost.c (the host's store),
 * resolverequests.c (what the flake asks for), resolvecaches.c (which binary caches it would like). */
#ifndef IGLOO_BOX_RESOLVE_IMPL_H
#define IGLOO_BOX_RESOLVE_IMPL_H

#include "box/nixbox.h"
#include "box/resolve.h"
#include "nix/hoststore.h"

struct resolve {
	struct slot *slot;
	const struct environment_query *q;
	struct toolchain tools;
	struct hoststore *host; /* NULL: the host has no store */
	struct nixbox nix;
	struct strv mounted;  /* what was asked for of the host, to be rooted */
	bool nothing_missing; /* the host had all that the shell is built from */
	char *requests;       /* what the flake asks for, "" for nothing */
	char *shell;          /* the dev shell to resolve */
};

/* Opens the host's store and the toolchain. resolve_end() it in either case. */
int resolve_begin(struct resolve *r, struct slot *slot, const struct environment_query *q, struct err **e);
void resolve_end(struct resolve *r);

/* The toolchain joins the slot's host-backed set. -ENOENT when the host has no git. */
int resolve_take_tools(struct resolve *r, struct err **e);
/* So do the locked inputs that the host's store has. */
int resolve_take_inputs(struct resolve *r, struct err **e);
enum resolve_want {
	RESOLVE_OUTPUTS, /* what the derivation makes, else what it is built from */
	RESOLVE_INPUTS,  /* what it is built from: a shell's variables are another build of the same inputs */
};
/* And what the host has of that of derivation `drv`, which is in the slot's store. *ret_complete: all it is built from
 * was there. */
int resolve_take_outputs(struct resolve *r, const char *drv, enum resolve_want want, bool *ret_complete,
			 struct err **e);

/* Begins the arguments of a `nix VERB` that the host reads. */
void resolve_nix(struct strv *argv, const char *verb);
/* Options of verbs that evaluate the flake. */
void resolve_lock_options(struct strv *argv);
int resolve_run_nix(struct resolve *r, const struct strv *argv, struct str *output, struct err **e);

/* Whether r->q is about a NixOS configuration. */
bool resolve_is_system(const struct resolve *r);
/* Builds it: *ret is its store path, which `profile` (a name below Nix's gcroots/igloo) roots in the slot, and *name
 * the configuration's; both are the caller's. */
int resolve_system(struct resolve *r, const char *profile, char **ret, char **name, struct strv *closure,
		   struct err **e);
/* Runs `nix-store -qR` as argv says, which lists references before what refers to them: *ret_root, the last, is the
 * root. */
int resolve_closure(struct resolve *r, const struct strv *argv, struct strv *closure, char **ret_root, struct err **e);
/* The names of the flake's attributes of `attribute`, one each; -ENOENT when there is none. */
int resolve_names(struct resolve *r, const char *attribute, struct strv *to);

/* Is the word in flake.nix? Another start of Nix for what no flake says would cost all of them. */
bool resolve_flake_has(const struct resolve *r, const char *word);
/* Sets r->requests and r->shell. */
int resolve_requests(struct resolve *r, struct err **e);
/* Says which binary caches the flake's nixConfig asks for that the user's configuration does not have. */
void resolve_say_caches(struct resolve *r);

#endif
