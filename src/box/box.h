/* A box and its life.
 *
 *     boxes/<name>/lock       held by the supervisor: a box runs if and only if it is held
 *                  spec.json  what it is, and its supervisor's and guest's pids
 *                  log        output of a detached box (box/output.h)
 *                  definition.json, start.lock   of a box that `igloo create` made (box/definition.h)
 *     sockets/<name>          the supervisor's socket (box/control.h), in the runtime folder
 *
 * A box that is made for one command has its folder in the runtime folder's `fleeting` instead (memory, as a rule:
 * nothing of such a box is worth a disk's time); one that stays, in the state folder's `boxes`.
 *
 * States: made (folder and lock) -> running (guest connected, pid written) -> ended (its supervisor gave up the
 * lock: by itself, or by being killed). An ended box that was made for one command is removed by whoever
 * finds it; one that was detached stays, with its log and exit status, until `igloo rm`.
 *
 * A box with a definition is there before it is made and after it ended: each start makes it again, in the same folder.
 * Who starts it holds start.lock until the box's own lock is taken, so that two starts do not prepare the same box and
 * a stop finds whom to tell. */
#ifndef IGLOO_BOX_BOX_H
#define IGLOO_BOX_BOX_H

#include "base/err.h"
#include "box/boxagent.h"
#include "box/boxnet.h"
#include "box/boxports.h"
#include "box/definition.h"
#include "box/kind.h"
#include "box/slot.h"
#include "box/spec.h"

#include <stdbool.h>
#include <time.h>

/* A box as its supervisor holds it. */
struct box {
	const struct kind *kind;
	struct box_spec *spec; /* the caller's, outlives the box */
	struct slot *slot;     /* the same */
	struct kind_box running;
	int dir;
	int lock;
	int listener; /* control socket, -1 before box_start() */
	time_t since;
	char *command;                  /* for lists: the command as one line, quoted */
	struct protect *protect;        /* the caller's, of the workspace; NULL: nothing to watch */
	struct boxnet *net;             /* with BOX_NET_GATE, from box_start() on */
	struct boxports *ports;         /* from box_start() on */
	const struct sshkeys *ssh_keys; /* the caller's: those of the SSH agent that the box may use; NULL or none */
	struct boxagent *agent;         /* with ssh_keys, from box_start() on */
};

/* Gives a spec without a name one made from the slot's. */
int box_name(struct box_spec *spec, const struct slot *slot, struct err **e);
/* Makes the box's folder and takes its lock. A spec without a name gets one made from the slot's. -EEXIST when a
 * running or detached box has that name. */
int box_make(const struct kind *kind, struct box_spec *spec, struct slot *slot, char *const *command, struct box **ret,
	     struct err **e);
/* Seals it and starts its guest; writes its state; opens the control socket. Before this, `cgroup` of
 * box->running may be set. */
int box_start(struct box *box, struct err **e);
/* Ends everything in it. The folder stays. */
void box_stop(struct box *box);
/* Records how the command ended, for a box that stays; and whether because somebody stopped it. */
int box_record_end(struct box *box, int exit_code, bool stopped, struct err **e);
/* Stops it if it runs, removes its folder if it is ephemeral, and frees it. */
void box_free(struct box *box);

/* What is known of a box from outside. */
struct box_info {
	char *name;
	char *slot;
	char *workspace;
	char *kind;
	char *command;
	char *mode;
	bool running;
	bool defined;  /* it stays: `igloo start` runs it (again) */
	bool starting; /* defined, and somebody prepares its start */
	bool stopped;  /* ended because it was asked to */
	bool ephemeral;
	bool detached;
	pid_t supervisor; /* 0 when not running; when starting, who does so */
	pid_t guest;
	time_t since;
	int exit_code; /* -1: unknown, or still running */
	char *json;    /* the state as it was written, for inspect; NULL when there is none yet */
};

int box_look(const char *name, struct box_info *ret, struct err **e); /* -ENOENT names the nearest */
void box_info_release(struct box_info *info);
/* All boxes, sorted by name. Removes what killed supervisors of ephemeral boxes left. */
int box_list(struct box_info **ret, size_t *ret_n, struct err **e);
void box_list_free(struct box_info *list, size_t n);
/* Removes an ended box's folder; -EBUSY when it runs. */
int box_remove(const char *name, struct err **e);
/* Opens a file in a box's folder. */
int box_open_file(const char *name, const char *file, int flags, struct err **e);

/* Waits until each running box of the slot is reachable, and calls kind->extend on it. */
int box_extend_all(const char *slot_id, const struct hostpath *paths, size_t n, struct err **e);

/* The name of some running box of the slot, NULL when there is none; the caller frees it. */
char *box_using_slot(const char *slot_id);

/* Defines a box that stays, which must not be there. -EEXIST says what to do. */
int box_define(const char *name, const struct definition *d, struct err **e);
/* Its definition; -ENOENT when there is no such box or it is one for a single run. What is wrong with a file that
 * cannot be used is said with what to do. */
int box_definition(const char *name, struct definition *ret, struct err **e);
/* Takes the lock of who starts a defined box. Returns its descriptor; -EALREADY when the box runs or is being started,
 * which the error says. */
int box_lock_start(const char *name, struct err **e);

/* Connects to a running box's supervisor. Returns the socket. */
int box_connect(const char *name, struct err **e);

#endif
