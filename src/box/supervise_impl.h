/* Inside of the supervisor: shared by supervise.c (the loop, the guest), supervisesignals.c and superviseclient.c. */
#ifndef IGLOO_BOX_SUPERVISE_IMPL_H
#define IGLOO_BOX_SUPERVISE_IMPL_H

#include "box/starting.h"
#include "box/supervise.h"
#include "box/terminal.h"
#include "wire/link.h"

#include <signal.h>
#include <stdint.h>

enum {
	MAIN_STREAM = 1,
	CLIENTS_MAX = 256,
	GUEST_OUT_MAX = 32 << 20,
	CLIENT_OUT_MAX = 1 << 20,
	KILL_AFTER_MS = 10000, /* from a time limit's or a lost terminal's TERM or HUP to the end */
};

struct client {
	struct link link;
	bool in_exec; /* more pieces of an EXEC follow */
	bool asked;   /* by SHUTDOWN: is told how a machine ended */
	uint32_t exec_stream;
};

struct route {
	uint32_t guest_stream;
	struct client *client; /* NULL: it went away, the command is being killed */
	uint32_t client_stream;
	bool pty; /* a descriptor comes with STARTED */
};

struct sup {
	struct box *box;
	struct link *guest;
	struct client *clients[CLIENTS_MAX];
	size_t n_clients;
	struct route *routes;
	size_t n_routes;
	uint32_t next_stream;
	int signals;
	int timer;
	int watch;           /* protect_watch()'s, once it is due */
	int64_t watch_at_ms; /* when; 0: not wanted, or watching already */
	struct output *output;
	struct terminal terminal; /* main_pty without output: the user's own */
	struct tty_saved tty;
	struct starting starting;
	bool terminal_lost; /* and the command was told */
	bool greeted;       /* HELLO came */
	bool foreground;
	bool main_pty;
	bool idle; /* there is no main command */
	bool timed_out;
	bool stopping;    /* SHUTDOWN was sent */
	int64_t asked_ms; /* when, by a client */
	bool told;        /* how a machine ended */
	bool done;
	struct supervise_result result;
	void (*on_started)(void *);
	void *user;
};

/* To a stream of the guest. */
void supervise_send_signal(struct sup *s, uint32_t stream, int signo);
/* The one timer: the time limit, then the time until what was asked to end is killed. */
void supervise_set_timer(struct sup *s, uint64_t ms);

/* The signals that are taken: what the caller ignores is not. */
void supervise_signal_set(sigset_t *set);
/* What is readable is read, and the command or the box asked to end. */
void supervise_on_signal(struct sup *s);
void supervise_on_timer(struct sup *s);
/* A terminal that went away is told to the command once, as the kernel would tell those whose terminal it was. */
void supervise_check_terminal(struct sup *s);

/* Somebody connects. Others than this user (and root) are turned away. */
void supervise_on_listener(struct sup *s);
/* Reads what the client sent. A negative errno: it is to be closed. */
int supervise_on_client(struct sup *s, struct client *c);
/* Passes a machine's STOPPED on to those who wait for it. -EPROTO. */
int supervise_tell_stopped(struct sup *s, const struct frame *f);
/* The same when the box ended otherwise. */
void supervise_tell_ended(struct sup *s);
/* Ends client number `at`, and kills its commands. */
void supervise_client_close(struct sup *s, size_t at);

#endif
