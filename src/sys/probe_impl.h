/* What the probe's files share. */
#ifndef IGLOO_SYS_PROBE_IMPL_H
#define IGLOO_SYS_PROBE_IMPL_H

#include "base/str.h"
#include "sys/probe.h"

/* Steps of a box's start, tried in a child. */
enum probe_trial {
	TRIAL_USERNS,
	TRIAL_MAPS,
	TRIAL_MNTNS,
	TRIAL_PRIVATE,
	TRIAL_TMPFS,
	TRIAL_OPEN_TREE,
	TRIAL_SETATTR,
	TRIAL_MOVE_MOUNT,
	TRIAL_IPCUTSNS,
	TRIAL_CGROUPNS,
	TRIAL_NETNS,
	TRIAL_VETH,
	TRIAL_EVERY_PORT,
	TRIAL_TIMENS,
	TRIAL_PIDNS,
	TRIAL_PROC,
	TRIALS,
};
#define TRIAL_NOT_TRIED (-1)

/* For each trial 0, an errno, or TRIAL_NOT_TRIED. */
void probe_try(int result[TRIALS]);

/* Why a user namespace failed with errnum, and what to do. */
void probe_why_userns(int errnum, struct str *why, struct str *fix);

/* Limits by cgroups, Nix, git, KVM, lingering. */
void probe_tools(struct probe_facts *facts);

/* A small file of /proc or /sys with the newline cut off; false when it cannot be read. */
bool probe_read(const char *path, struct str *to);
/* The number in /proc/sys/NAME, -1 when there is none. */
long probe_sysctl(const char *name);

#endif
