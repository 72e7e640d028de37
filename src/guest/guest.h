/* What the guest knows; main.c has the theory of operation. */
#ifndef IGLOO_GUEST_GUEST_H
#define IGLOO_GUEST_GUEST_H

#include "wire/exec.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <sys/types.h>

enum {
	COMMANDS_MAX = 4096,
	/* So many commands may be between fork and execve; then the guest stops reading frames. It keeps
	 * the guest far below any limit of open files, where descriptors in a frame would get lost. */
	STARTING_MAX = 64,
	GUEST_LINK_FD = 3,
	DIALS_MAX = 64,       /* connections that are being made; more are refused */
	OUT_MAX = 256 * 1024, /* unsent bytes after which a host that does not read is given up */
};

/* STARTING -> RUNNING -> gone, or for a main command RUNNING -> ENDED -> gone; STARTING -> gone when
 * the command could not be executed. */
enum command_state {
	COMMAND_STARTING, /* forked; `pipe` tells what became of execve */
	COMMAND_RUNNING,  /* STARTED was sent */
	COMMAND_ENDED,    /* a main command, reaped; EXIT follows when nothing else is left */
};

struct command {
	uint32_t stream;
	pid_t pid;
	enum command_state state;
	int pipe;   /* STARTING, else -1 */
	int master; /* STARTING with a pty, else -1 */
	bool foreground;
	bool main;
	struct msg_exit end; /* ENDED */
};

/* A connection that is being made, for a DIAL. */
struct dial {
	uint32_t stream;
	int fd;
	uint16_t port;
	bool v6;       /* the second try: ::1 */
	int64_t begun; /* ms, CLOCK_MONOTONIC */
	int64_t again; /* when it is tried once more */
};

struct guest {
	struct link link;
	struct exec_parts parts;
	struct command commands[COMMANDS_MAX]; /* the first n, in no order */
	size_t n;
	size_t starting;              /* how many of them are STARTING */
	struct dial dials[DIALS_MAX]; /* the first n_dials, in no order */
	size_t n_dials;
	int listener;     /* of the SSH agent's socket in a machine; -1: there is none */
	uint32_t accepts; /* the stream of the ACCEPT that waits for a connection to it; 0: none */
	bool root;        /* runs as uid 0, so it can change to a command's user */
	bool closing;     /* SHUTDOWN came or a main command ended: no new commands */
	bool shutdown;    /* SHUTDOWN came: leave when nothing runs */
	int64_t kill_at;  /* ms, CLOCK_MONOTONIC: when what SHUTDOWN asked to end is killed; 0: not to be */
	bool draining;    /* a command is ENDED */
	bool broken;      /* the host does not read: as if the connection had ended */
};

/* Plays the guest's part to its end. `fd`: the socket's number, as text; `agent`: where the guest is to listen for
 * those that want the SSH agent (accept.c), or NULL. */
void guest_run(const char *fd, const char *agent) ATTR_NORETURN;
/* Every signal blocked and every disposition the default. */
void guest_set_signals(void);
/* The socket, whose number is the text `arg`, becomes GUEST_LINK_FD, 0 to 2 /dev/null (a command's output must not be
 * kept open by the guest), all else from `first` on is closed. */
void guest_set_descriptors(const char *arg, int first);
/* Cannot start. */
void guest_die(const char *what) ATTR_NORETURN;

/* Queues a frame; sets g->broken when that fails. A master >= 0 goes along and is no longer the caller's. */
void guest_send(struct guest *g, uint32_t stream, enum frame_type type, const void *payload, size_t n, int master);
void guest_send_err(struct guest *g, uint32_t stream, int errnum, enum msg_stage stage);
/* CLOCK_MONOTONIC */
int64_t guest_now_ms(void);
/* Kills every process of the box but the guest itself. */
void guest_kill_all(int signo);

/* Starts a command or answers with ERR. Returns 0, or -EPROTO when the host must not have asked. */
int command_start(struct guest *g, uint32_t stream, const struct exec *x);
/* Reads the pipe of a STARTING command and sends STARTED or ERR; after that c may be another
 * command, or none. Returns false when nothing is known yet. */
bool command_resolve(struct guest *g, struct command *c);
/* Returns NULL when no such command is in the table. */
struct command *command_find(struct guest *g, uint32_t stream);
void command_signal(struct command *c, int signo);
/* Reaps what has ended, a bounded number, and sends what follows from it. */
enum reaped {
	REAPED_SOME, /* children are left, none has ended */
	REAPED_MORE, /* call again */
	REAPED_ALL,  /* there are no children */
} command_reap(struct guest *g);

/* Begins a connection to the port, and answers it: now, or when dial_resolve() sees what became of it. Returns 0, or
 * -EPROTO when the host must not have asked. */
int dial_start(struct guest *g, uint32_t stream, uint16_t port);
/* The socket of dials[at] had an event. It may then be another one, or none. */
void dial_resolve(struct guest *g, size_t at);
/* Tries those again that had no answer for a while, and gives up those that had none for too long. */
void dial_again(struct guest *g);
/* When that is next, 0 for never. */
int64_t dial_next_time(const struct guest *g);
bool dial_has(const struct guest *g, uint32_t stream);

/* A socket at `path`, an absolute one, for the owner of its folder alone. Returns it or -errno. */
int accept_listen(const char *path);
/* The next connection to it is the stream's. Returns 0, or -EPROTO when the host must not have asked. */
int accept_start(struct guest *g, uint32_t stream);
/* There may be one. */
void accept_resolve(struct guest *g);

#endif
