/* A kind: how a box is sealed. One table of operations per kind, listed in kind/kinds.c.
 *
 * A box goes through them in this order:
 *
 *     prepare  what boxes of the slot share (a view, a disk). Before the box exists; may take long.
 *              Where this machine cannot run the kind, this or start says why, and what helps.
 *     furnish  what start would be long about, for one box: its spec is complete.
 *     start    seals the box and starts its guest. After it, the guest's connection and pid are set.
 *     stop     ends everything in the box: asks (grace_ms > 0) and then kills. Idempotent; when it
 *              returns, nothing of the box runs any more.
 *     destroy  frees what start made. After stop, or after a failed start.
 *
 * Every operation returns 0 or -errno with *e set. */
#ifndef IGLOO_BOX_KIND_H
#define IGLOO_BOX_KIND_H

#include "base/err.h"
#include "box/hostpaths.h"
#include "box/slot.h"
#include "box/spec.h"
#include "net/engine.h"

struct secrets;

/* A box being started or running, as its supervisor sees it. */
struct kind_box {
	const struct box_spec *spec;
	struct slot *slot;
	struct secrets *secrets; /* in: those with a path are put there; NULL: none. The caller's, as is spec */
	int cgroup;              /* in: descriptor of a cgroup v2 to start in, -1: none */
	int link;                /* out: the guest's connection; whoever takes it sets it to -1 */
	int pidfd;               /* out: of the process whose end is the box's end; -1 where the kernel has none */
	pid_t pid;               /* out: the same, 0 before start; a child of the supervisor */
	/* In, not NULL if and only if spec->network is BOX_NET_GATE: where start puts the sockets of the gateway
	 * namespace, which are then the caller's. The namespace goes with the last of them, and the box's network link
	 * with it. */
	struct engine_sockets *gateway;
	/* In, NULL: none. Where start puts the listening socket SSHKEYS_BOX_SOCKET (box/sshkeys.h) of the box's user,
	 * which is then the caller's. */
	int *agent;
};

/* Of a box that starts. */
enum kind_progress {
	KIND_GREETED,  /* its guest has said HELLO */
	KIND_RESTARTS, /* the first way did not lead there (words: why), and another is tried */
};

struct kind {
	const char *name;
	/* The box has a machine of its own: its processors and memory are the machine's, and what it has of the host's
	 * are bytes. No limits of cgroups, and no descriptor is handed to a command as it is: neither the user's
	 * terminal nor an SSH agent's socket. */
	bool machine;
	/* -ESTALE with *ret_vanished: host paths are gone, see view.h. */
	int (*prepare)(struct slot *slot, struct strv *ret_vanished, struct err **e);
	/* May be NULL. The user may still interrupt it; start does without what it made, if that is gone again. */
	int (*furnish)(const struct slot *slot, struct box_spec *spec, struct err **e);
	int (*start)(struct kind_box *box, struct err **e);
	int (*stop)(struct kind_box *box, unsigned grace_ms, struct err **e);
	void (*destroy)(struct kind_box *box);
	/* Paths have joined the slot's host-backed set: make them visible in a running box, by the pid its
	 * state names. */
	int (*extend)(pid_t pid, const struct hostpath *paths, size_t n, struct err **e);
	/* Something outside was renamed over pinned paths, which takes their mounts away in the box: mounts those of
	 * spec->pins again that are mounted no more. */
	int (*repin)(pid_t pid, const struct box_spec *spec, struct err **e);
	/* A running box that was started with a gateway to which nothing was granted (an empty spec->allow) is granted
	 * something now: makes what start left out, and gives the sockets anew. Those of start go. */
	int (*open_gateway)(pid_t pid, const struct box_spec *spec, struct engine_sockets *ret, struct err **e);
	/* A running box with a gateway is granted addresses, or every port of a name: makes the routes for spec->allow
	 * that it lacks, and the socket engine_sockets.every if that is wanted and ret_every is not NULL (it is left
	 * alone else). `anchor` is engine_sockets.anchor. What is there and no longer granted stays: the engine refuses
	 * it. */
	int (*widen_gateway)(pid_t pid, const struct box_spec *spec, int anchor, int *ret_every, struct err **e);
	/* May be NULL. Called by the supervisor. */
	void (*progress)(struct kind_box *box, enum kind_progress what, const char *words);
	/* May be NULL. Removes what processes of the kind that were killed left in the runtime folder. */
	void (*sweep)(void);
	/* May be NULL. Ends what is kept ready for boxes of a slot that is about to be another one; the caller holds it
	 * exclusively. */
	void (*drop)(const struct slot *slot);
};

/* kind/kinds.c; NULL-terminated, the default first. */
extern const struct kind *const kinds[];
/* -EINVAL naming those there are. */
int kind_find(const char *name, const struct kind **ret, struct err **e);

#endif
