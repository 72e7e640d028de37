/* What a box is: filled in by the command, made true by the kind, shown by `igloo inspect`. */
#ifndef IGLOO_BOX_SPEC_H
#define IGLOO_BOX_SPEC_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The box's user, the same in every box so that caches, locks and logins fit from one to the next. */
#define BOX_UID 1000
#define BOX_GID 1000
#define BOX_USER "igloo"
#define BOX_HOME "/home/igloo"
#define BOX_HOSTNAME "igloo"
/* Of BOX_NET_GATE: where the box's network ends, and what listens there beside DNS: the host's store (box/boxstore.h).
 * A port that the box's own programs cannot take, on a loopback that is theirs, and that no service is known by. */
#define BOX_GATEWAY_ADDRESS "192.0.0.1"
#define BOX_STORE_PORT 1009
/* The folder of a box's own files (struct box_file): the shell part of its environment, and the rcfile of an
 * interactive shell. */
#define BOX_FILES "/etc/box"
#define BOX_ENV_SCRIPT BOX_FILES "/env.bash"
#define BOX_RC_SCRIPT BOX_FILES "/rc.bash"

/* A folder or file of the host that the box sees. */
struct box_share {
	char *source; /* absolute, on the host, as resolved when the spec was made */
	char *target; /* absolute, in the box */
	bool read_only;
	bool terminal; /* a terminal's device, which must work as one */
	dev_t dev;     /* what `source` was then: another file by that name later is refused */
	ino_t ino;
};

/* A path in the box that is mounted onto itself when the box is made, so that nobody inside can rename,
 * replace or remove it; and not write it or anything below, if read_only. */
struct box_pin {
	char *path; /* absolute */
	bool read_only;
};

/* A small read-only file below BOX_FILES. */
struct box_file {
	char *name;
	char *text;
	size_t n;
};
/* With secrets that are bound to hosts: the certificate authorities that the box trusts, also mounted where its
 * programs look for them; and the same for Java. */
#define BOX_CA_FILE "ca-bundle.crt"
#define BOX_JAVA_CA_FILE "ca-bundle.jks"

enum box_workspace_mode {
	BOX_DIRECT,    /* the repository itself, writable but for what the host would run */
	BOX_READ_ONLY, /* the repository itself, not writable */
	BOX_CLONE,     /* a clone of it, on its own branch */
};

enum box_network {
	BOX_NET_NONE, /* a loopback of its own and nothing else */
	BOX_NET_GATE, /* ends in a gateway namespace; net/engine.h */
};

struct box_limits {
	uint64_t cpu_milli; /* thousandths of a processor; 0: no limit, as for the others */
	uint64_t memory;    /* bytes */
	uint64_t pids;
	uint64_t timeout_ms;
};

/* Of a kind that has a machine. NULL: igloo's choice. */
struct box_machine {
	char *kernel;  /* absolute path */
	char *fs;      /* "auto", "virtiofs", "9p": how it has the box's files */
	char *accel;   /* "auto", "kvm", "tcg" */
	char *start;   /* "auto", "cold", "warm": whether it boots or goes on from memory */
	char *arch;    /* "x86_64", "aarch64"; NULL: the host's */
	uint64_t disk; /* bytes, of the slot's disk at least; 0: as it is, or igloo's choice */
	char *nix;     /* store path of the box's nix-store; NULL: it has none */
	bool overlay;  /* what is written to store and HOME is the machine's memory's, and goes with it: no disk */
	/* The paths of `closure` come as an image. */
	bool store_image;
	char *store_path; /* where that is in igloo's cache; NULL: not made yet */
	char *display;    /* as the user wrote it (box/display.h); NULL: none */
	bool audio;
	bool nested; /* it may have machines of its own */
	/* Of a guest with a system of its own (--guest nixos); NULL: igloo's own guest, which has none. */
	char *system_name; /* as its nixosConfigurations calls it */
	char *toplevel;    /* the store path that was built of it */
	char *flake;       /* folder of its flake.nix, in the box */
	bool built;        /* that one, even if the machine has rebuilt it since */
};

struct box_spec {
	char *name;
	char *slot;      /* id */
	char *workspace; /* absolute path, the same in the box */
	enum box_workspace_mode mode;
	enum box_network network;
	struct strv allow;      /* of BOX_NET_GATE: what may be reached, entries of net/policy.h */
	bool allow_unnamed_tls; /* TLS to an allowed host without a readable name passes */
	bool host_store;        /* of BOX_NET_GATE: its Nix may have what the host's store has (box/boxstore.h) */
	struct strv ports;      /* forwarded from the host when the box starts (box/portspec.h) */
	struct box_limits limits;
	struct box_machine machine;
	char *requested; /* what of all this the flake asked for and got, JSON (box/requests.h); or NULL */

	/* The workspace is the first share; further ones are the git folder of a worktree, --share-rw and
	 * --share-ro. */
	struct box_share *shares;
	size_t nshares;
	/* What stays as it is in a writable workspace (box/protect.h); parents before what is below them. */
	struct box_pin *pins;
	size_t npins;

	struct strv closure; /* of the environment, sorted, for machine.store_image; else empty */
	char *sh;            /* store path of /bin/sh, or NULL */
	char *env;           /* store path of /usr/bin/env, or NULL */
	struct box_file *files;
	size_t nfiles;
	bool slot_home; /* HOME is the slot's; else an empty one that goes with the box */
	bool ephemeral; /* made for one command and removed with it */
	bool defined;   /* has a definition (box/definition.h), which stays when it ends */
	bool detached;
};

/* The same for igloo's own folders, writable and anywhere in the box. */
int box_spec_add_own_share(struct box_spec *spec, const char *source, const char *target, struct err **e);
/* The user's terminal as the box's /dev/console, so that programs can name it (ttyname(3)). `path` is the device's; not
 * an error if it is none. */
void box_spec_add_terminal(struct box_spec *spec, const char *path);
void box_spec_add_file(struct box_spec *spec, const char *name, const char *text);
void box_spec_add_bytes(struct box_spec *spec, const char *name, const char *bytes, size_t n);
void box_spec_add_pin(struct box_spec *spec, const char *path, bool read_only);
void box_spec_release(struct box_spec *spec);
/* Adds a share after looking at its source, an absolute path as realpath(3) gives it: one that has a symbolic link in
 * it was changed since it was resolved, and is refused (-ESTALE). */
int box_spec_add_share(struct box_spec *spec, const char *source, const char *target, bool read_only, struct err **e);

#endif
