/* The network of a running box, as its supervisor holds it: the gateway's sockets, the engine behind them, what was
 * denied; and what else listens in the gateway (box/boxstore.h).
 *
 * The engine is started by the first packet (or at once, where the policy grants addresses): most boxes ask for
 * nothing, and then the network costs a box a pair of interfaces and no process. */
#ifndef IGLOO_BOX_BOXNET_H
#define IGLOO_BOX_BOXNET_H

#include "base/err.h"
#include "base/str.h"
#include "box/slot.h"
#include "box/spec.h"
#include "net/engine.h"

#include <poll.h>

enum { BOXNET_POLLS = 4 };

struct boxnet;
struct kind_box;
struct kind;
struct secrets;
struct secrets;

/* Puts what the user granted for the repository and for good into spec->allow, and checks every entry. */
int boxnet_new(struct box_spec *spec, const struct slot *slot, struct boxnet **ret, struct err **e);
/* Starts what puts secrets that are bound to hosts (NULL: none) into the box's requests, and adds what the box needs
 * for it to the spec's files: before the box is sealed. */
int boxnet_bind(struct boxnet *n, const struct secrets *secrets, struct err **e);
/* Where the kind puts the sockets; then boxnet_begin(). */
struct engine_sockets *boxnet_sockets(struct boxnet *n);
int boxnet_begin(struct boxnet *n, struct err **e);
/* What the box's command is given, open: a denial that has it in its text is kept and said without it. */
void boxnet_conceal(struct boxnet *n, const struct secrets *secrets);
/* What to wait for; and doing it. */
void boxnet_poll(const struct boxnet *n, struct pollfd fds[BOXNET_POLLS]);
void boxnet_work(struct boxnet *n, const struct pollfd fds[BOXNET_POLLS]);
/* When the box has ended: takes what the engine said until then. It says what it denied before it denies it. */
void boxnet_settle(struct boxnet *n);
/* Who makes the gateway when the first thing is granted to a box that runs. */
void boxnet_set_kind(struct boxnet *n, const struct kind *kind, const struct kind_box *running);
/* Reads the user's grants again, after adding ('+') or removing ('-') an entry of this box alone; `op` '!' only reads.
 * 0 or -errno: -ENETDOWN when the box was made without a gateway that could serve it. */
int boxnet_change(struct boxnet *n, char op, const char *entry, struct err **e);
/* What was denied, a line each, at most a few; and the same as JSON lines. */
void boxnet_notes(const struct boxnet *n, struct strv *to);
void boxnet_events_json(const struct boxnet *n, struct str *to);
/* Ends the engine. Accepts NULL. */
void boxnet_free(struct boxnet *n);

#endif
