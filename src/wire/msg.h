/* The payloads of fixed size (wire/frame.h says who sends which, when).
 *
 * msg_put_*() write the whole payload; msg_get_*() read a frame that frame_next() gave out, whose
 * length is therefore right, and return 0 or -EPROTO for a value that means nothing. */
#ifndef IGLOO_WIRE_MSG_H
#define IGLOO_WIRE_MSG_H

#include "wire/frame.h"

enum { MSG_VERSION = 1, MSG_NONCE = 16 };

/* Bits of hello.caps; a host ignores those it does not know. */
enum msg_cap {
	MSG_CAP_FDS = 1, /* this connection carries descriptors: EXEC_FDS and EXEC_PTY work */
};

struct msg_hello {
	uint32_t version;
	uint32_t caps;
	uint8_t nonce[MSG_NONCE]; /* random for each start of a guest */
};

enum msg_exit_kind { MSG_EXIT_CODE = 0, MSG_EXIT_SIGNAL = 1 };

struct msg_exit {
	uint32_t kind;  /* enum msg_exit_kind */
	uint32_t value; /* the exit code 0..255, or the number of the signal that killed it */
};

/* What failed. errno is Linux's number. */
enum msg_stage {
	MSG_STAGE_PROTOCOL = 1, /* the connection: a frame that makes no sense */
	MSG_STAGE_START = 2,    /* no process: EAGAIN (too many), ESHUTDOWN (the box is ending), fork's errors */
	MSG_STAGE_PTY = 3,      /* opening or giving away the pty */
	MSG_STAGE_USER = 4,     /* setting uid and gid */
	MSG_STAGE_CHDIR = 5,    /* cwd */
	MSG_STAGE_EXEC = 6,     /* ENOENT: not found (exit code 127); anything else: 126 */
	MSG_STAGE_DIAL = 7,     /* connecting to a port of the box's loopback; EAGAIN: too many wait */
	MSG_STAGE_MACHINE = 8,  /* on stream 0: a machine that ended, or did not get as far as HELLO */
};

struct msg_err {
	uint32_t errnum;
	uint32_t stage; /* enum msg_stage */
};

/* What made a machine end that was asked to. */
enum msg_stopped_how {
	MSG_STOPPED_ITSELF = 0, /* it switched itself off (or its kernel panicked) */
	MSG_STOPPED_TOLD = 1,   /* it did not, and QEMU ended when its monitor was told to */
	MSG_STOPPED_KILLED = 2, /* nor did that help */
	/* Of a supervisor: the box's command ended, all was written, and the machine with nothing in it was ended. */
	MSG_STOPPED_COMMAND = 3,
};

struct msg_stopped {
	uint32_t how; /* enum msg_stopped_how */
	uint32_t ms;  /* from SHUTDOWN to its end */
};

struct msg_limits {
	uint32_t oom_kills;
	uint32_t forks_refused;
};

enum {
	MSG_HELLO_BYTES = 8 + MSG_NONCE,
	MSG_EXIT_BYTES = 8,
	MSG_ERR_BYTES = 8,
	MSG_NUMBER_BYTES = 4,
	MSG_PING_BYTES = 8,
	MSG_ROUTE_BYTES = 5,
	MSG_TIME_BYTES = 9,
	MSG_STOPPED_BYTES = 8,
	MSG_LIMITS_BYTES = 8,
};

void msg_put_hello(uint8_t out[MSG_HELLO_BYTES], const struct msg_hello *m);
void msg_put_exit(uint8_t out[MSG_EXIT_BYTES], const struct msg_exit *m);
void msg_put_err(uint8_t out[MSG_ERR_BYTES], const struct msg_err *m);
void msg_put_stopped(uint8_t out[MSG_STOPPED_BYTES], const struct msg_stopped *m);
void msg_put_limits(uint8_t out[MSG_LIMITS_BYTES], const struct msg_limits *m);
/* STARTED's pid, SIGNAL's signal, SHUTDOWN's grace in milliseconds. */
void msg_put_number(uint8_t out[MSG_NUMBER_BYTES], uint32_t v);

/* Any version is returned; the host decides. */
int msg_get_hello(const struct frame *f, struct msg_hello *ret);
int msg_get_exit(const struct frame *f, struct msg_exit *ret);
int msg_get_err(const struct frame *f, struct msg_err *ret);
int msg_get_stopped(const struct frame *f, struct msg_stopped *ret);
void msg_get_limits(const struct frame *f, struct msg_limits *ret);
/* DIAL's and DIALED's. */
int msg_get_port(const struct frame *f, uint16_t *ret);
/* 1..64 */
int msg_get_signal(const struct frame *f, int *ret);
/* 1..INT32_MAX */
int msg_get_pid(const struct frame *f, int *ret);
uint32_t msg_get_grace(const struct frame *f);

/* "starting", "exec", ... for the host's messages; never NULL. */
const char *msg_stage_name(uint32_t stage);

#endif
