/* The SSH agent of a running box, as its supervisor holds it: the listening socket in the box, connections to the
 * user's agent, and the process that stands between (net/agentproxy.h). */
#ifndef IGLOO_BOX_BOXAGENT_H
#define IGLOO_BOX_BOXAGENT_H

#include "base/err.h"
#include "base/str.h"
#include "box/sshkeys.h"
#include "fmt/json.h"

#include <poll.h>
#include <stdbool.h>

enum { BOXAGENT_POLLS = 3 };

struct boxagent;

/* `keys` stay the caller's, and must outlive it. */
struct boxagent *boxagent_new(const struct sshkeys *keys);
/* Where the kind puts the listening socket. */
int *boxagent_listener(struct boxagent *a);
/* What to wait for; and doing it: true when there are more signatures than before. Both accept NULL. */
void boxagent_poll(const struct boxagent *a, struct pollfd fds[BOXAGENT_POLLS]);
bool boxagent_work(struct boxagent *a, const struct pollfd fds[BOXAGENT_POLLS]);
/* No more connections; the last signatures are counted. Accepts NULL. */
void boxagent_finish(struct boxagent *a);
/* A line for each key that has signed. Accepts NULL. */
void boxagent_notes(const struct boxagent *a, struct strv *to);
/* [{"fingerprint": "SHA256:…", "comment": "…", "signatures": 2}, …]. Accepts NULL. */
json_t *boxagent_json(const struct boxagent *a);
/* Accepts NULL. */
void boxagent_free(struct boxagent *a);

#endif
