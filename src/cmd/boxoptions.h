/* The options by which a box is chosen and made, shared by every command that does so.
 *
 * A command embeds struct box_options in its own and lists those groups that apply to it, each with
 * BOX_GROUP_x(offset of the struct box_options):
 *
 *     static const struct opt_group groups[] = {
 *             BOX_GROUP_PLACE(offsetof(struct run_options, box)),
 *             BOX_GROUP_FILES(offsetof(struct run_options, box)),
 *             {NULL},
 *     };
 */
#ifndef IGLOO_CMD_BOXOPTIONS_H
#define IGLOO_CMD_BOXOPTIONS_H

#include "cmd/cmd.h"

/* NULL, 0, false or empty: not given. */
struct box_options {
	const char *dir;
	const char *kind;
	const char *shell;
	const char *name;
	const char *slot;
	bool clone;
	bool read_only;
	bool yes;
	struct strv unprotect; /* names of protect rules, or "all" */
	struct strv share_rw;
	struct strv share_ro;
	uint64_t cpus;   /* thousandths of a processor */
	uint64_t memory; /* bytes */
	uint64_t pids;
	uint64_t timeout; /* milliseconds */
	const char *kernel;
	const char *accel;
	const char *arch;
	uint64_t disk; /* bytes */
	const char *guest;
	const char *fs;
	const char *start;
	const char *display; /* box/display.h */
	bool audio;
	bool nested;
	bool overlay;
	bool store_image;
	bool built;
	bool detach;
	struct strv allow; /* policy entries (net/policy.h) */
	bool allow_unnamed_tls;
	bool offline;
	bool no_host_cache;
	struct strv ports;       /* forwarded (box/portspec.h) */
	struct strv secret;      /* NAME, NAME@HOST, each perhaps with =VARIABLE */
	struct strv secret_file; /* NAME or NAME=PATH */
	struct strv ssh_key;     /* keys of the SSH agent (box/sshkeys.h) */
	bool ssh_agent;
	bool grant_requests; /* what the flake asks for, to this box */
	bool ignore_requests;
	struct strv env; /* NAME (the caller's value) or NAME=VALUE */
};

extern const struct opt box_place_opts[];
extern const struct opt box_files_opts[];
extern const struct opt box_limit_opts[];
extern const struct opt box_machine_opts[];
extern const struct opt box_running_opts[];

/* dir, kind, shell, name, slot */
#define BOX_GROUP_PLACE(at)                 \
	{                                   \
		"Box", box_place_opts, (at) \
	}
/* clone, read_only, unprotect, share_rw, share_ro, yes */
#define BOX_GROUP_FILES(at)                   \
	{                                     \
		"Files", box_files_opts, (at) \
	}
/* cpus, memory, pids, timeout, kernel, accel */
#define BOX_GROUP_LIMITS(at)                   \
	{                                      \
		"Limits", box_limit_opts, (at) \
	}
/* arch, display, audio, nested, guest, built, fs, start, disk, overlay, store-image; in machineoptions.c */
#define BOX_GROUP_MACHINE(at)                     \
	{                                         \
		"Machine", box_machine_opts, (at) \
	}
/* detach, allow, offline, no_host_cache, publish, env, secret, secret_file, grant_requests, ignore_requests */
#define BOX_GROUP_RUNNING(at)                     \
	{                                         \
		"Running", box_running_opts, (at) \
	}

#endif
