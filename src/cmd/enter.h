/* From the options of run and shell to a box that is ready to be made: the repository, its slot, its environment. */
#ifndef IGLOO_CMD_ENTER_H
#define IGLOO_CMD_ENTER_H

#include "box/clone.h"
#include "box/environment.h"
#include "box/protect.h"
#include "box/requests.h"
#include "box/secrets.h"
#include "box/shares.h"
#include "box/supervise.h"
#include "cmd/boxoptions.h"
#include "sys/cgroup.h"

struct enter {
	const struct kind *kind;
	struct source source;
	struct slot *slot;
	struct env_record record;
	struct box_spec spec;
	struct shares shares;    /* --share-rw, --share-ro, settled with the environment */
	struct protect *protect; /* of a workspace that the box may write */
	struct clone *clone;
	struct strv env; /* of the command */
	char *cwd;
	struct cgroup *cgroup;
	struct secrets secrets;
	struct sshkeys ssh_keys;    /* of the user's SSH agent, that the box may use */
	struct box_machine machine; /* its system, until the spec has it */
	struct requests got;        /* what the flake asked for and is granted */
	bool json;                  /* denials are said as JSON lines */
	/* Of a box with a definition: the lock of who starts it, given up when the box has its own; NULL: none. */
	int *starting;
	struct strv shell; /* what `igloo shell BOX` executes */
	bool silent;       /* a detached box's name is not said */
};

/* For `igloo create`: the repository and slot, and whether the options make sense, without evaluating or making
 * anything but the slot. */
int enter_check(const struct box_options *o, struct enter *in, struct err **e);
/* Fills in everything; enter_release() it in either case. */
int enter_prepare(const struct box_options *o, bool interactive, struct enter *in, struct err **e);
/* The repository and slot alone, for `igloo env`. */
int enter_repository(const struct box_options *o, struct enter *in, struct err **e);
int enter_environment(const struct box_options *o, bool refresh, bool interactive, struct enter *in, struct strv *why,
		      struct err **e);
void enter_release(struct enter *in);

static inline void enter_releasep(struct enter *in)
{
	enter_release(in);
}
#define _cleanup_enter_ ATTR_CLEANUP(enter_releasep)

/* What to execute for `command`: itself, or through bash when there is a hook or it is a function of the environment.
 */
void enter_command(struct enter *in, char *const *command, struct strv *argv);
/* Lets `igloo shell BOX` open a shell in the box later, if the environment has a bash. */
void enter_keep_shell(struct enter *in);
/* An interactive shell. */
int enter_shell(struct enter *in, struct strv *argv, struct err **e);

/* Makes the box and runs it to its end (without a command, when argv is empty: until it is stopped), in the foreground
 * or (o->detach) in a supervisor of its own. `shown` is the command for lists. Sets *ret_code; a command that a signal
 * killed makes igloo die of the same signal (enter_die_like()), so *ret_signal is that signal or 0. */
int enter_run(struct enter *in, const struct box_options *o, bool json, char *const *shown, const struct strv *argv,
	      int *ret_code, int *ret_signal, struct err **e);

/* Ends igloo by the signal that ended the command, as its parent would have seen it without igloo. */
void enter_die_like(int signo) ATTR_NORETURN;

#endif
