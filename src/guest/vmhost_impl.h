/* Inside of PID 1 of a box that is a machine: shared by vmhost.c (the loop, the end), vmstart.c (QEMU's start, anew if
 * need be) and vmkeep.c (a machine that is kept). */
#ifndef IGLOO_GUEST_VMHOST_IMPL_H
#define IGLOO_GUEST_VMHOST_IMPL_H

#include "base/str.h"
#include "guest/vmlive.h"
#include "guest/vmoptions.h"
#include "guest/vmqmp.h"
#include "guest/vmwords.h"
#include "wire/bridge.h"
#include "wire/msg.h"

#include <sys/types.h>

struct vmhost {
	struct vmoptions options;
	struct bridge_ops ops;
	struct bridge *bridge;
	pid_t qemu;
	int status;
	bool ended; /* QEMU was reaped */
	pid_t fs;   /* virtiofsd; 0: there is none, or it was reaped */
	int fs_status;
	bool fs_failed; /* it ended first */
	int output;     /* -1 at its end */
	int children;
	int clock;
	struct vmqmp monitor;
	struct vmwords words;
	struct vmlive live;
	int state;        /* what was kept, open; -1: there is nothing, or it is of no use any more */
	int port;         /* as long as something is to be given to the machine; else -1 */
	struct str given; /* that (vmgiven.h), from given_at on */
	size_t given_at;
	int64_t hello_by; /* 0: whenever */
	int64_t told_at;  /* the supervisor, how far it is */
	int64_t asked_at; /* by SHUTDOWN */
	int64_t stop_by;  /* 0: SHUTDOWN has not come; then when the next step of what vmhost.c says is due */
	enum msg_stopped_how stop;
};

/* --- vmhost.c --- */

/* One round of the loop. */
int vmhost_step(struct vmhost *h, int timeout_ms);
/* Gives up a machine that does not get as far as HELLO, or starts it anew. 0 or -errno. */
int vmhost_watch(struct vmhost *h);
/* Tells why QEMU has ended. */
void vmhost_say_ended(struct vmhost *h);
void vmhost_say_err(struct vmhost *h, int errnum, enum msg_stage stage, const char *words, size_t n);
/* The same as text: the last words of QEMU and the machine, behind what is there. */
void vmhost_add_last_words(const struct vmhost *h, struct str *s);
void vmhost_add_end(struct str *s, int status);
void vmhost_leave(int code) ATTR_NORETURN;

/* --- vmstart.c --- */

/* virtiofsd (fs_argv may be NULL), QEMU and the bridge to it. 0 or -errno. */
int vmstart_begin(struct vmhost *h, char **fs_argv);
/* The machine goes on from what was kept, and has not got to HELLO. */
static inline bool vmstart_is_warm(const struct vmhost *h)
{
	return h->state >= 0;
}
/* It will not: QEMU is ended, the supervisor is told, and it boots. */
int vmstart_cold(struct vmhost *h, const char *why);
/* HELLO has come: what was kept for a second try goes. */
void vmstart_done(struct vmhost *h);
/* Gives the machine what it is told. To be called when h->port can be written. */
void vmstart_give(struct vmhost *h);

/* --- vmkeep.c --- */

/* Brings the machine to the point where it waits for what it is to be given, writes it to VMHOST_STATE_FD and ends:
 * with code 0 when it is whole. */
void vmkeep_run(struct vmhost *h) ATTR_NORETURN;

#endif
