/* The keys of the user's SSH agent, and which of them a box may use. */
#ifndef IGLOO_BOX_SSHKEYS_H
#define IGLOO_BOX_SSHKEYS_H

#include "base/err.h"
#include "base/str.h"
#include "box/spec.h"
#include "net/agentmsg.h"

/* Where a box has its agent: a folder of the box's user, and the socket in it. */
#define SSHKEYS_BOX_DIR "/run/ssh-agent"
#define SSHKEYS_BOX_SOCKET SSHKEYS_BOX_DIR "/socket"

struct sshkey {
	struct str key;    /* the public key as agentmsg_plain_key() gives it: a certificate's key is this, too */
	char *comment;     /* as it may be printed */
	char *fingerprint; /* "SHA256:…", as ssh-add -l shows it */
};

struct sshkeys {
	char *socket; /* the agent's; NULL: none */
	struct sshkey *v;
	size_t n;
};

/* Asks the agent of SSH_AUTH_SOCK for its keys. Errors say whether there is no agent, it does not answer, or has no
 * keys. */
int sshkeys_read(struct sshkeys *ret, struct err **e);
/* Connects to an agent, without waiting: the socket (non-blocking), or -errno. */
int sshkeys_connect(const char *path);

/* Adds the keys that the words mean to `ret` (empty): "all", a fingerprint, a comment, a file with a public key. A word
 * without a key in the agent, or with several, is an error that names those there are. */
int sshkeys_select(const struct sshkeys *all, const struct strv *words, struct sshkeys *ret, struct err **e);
/* The same for one of them; -E2BIG for more than a box may use. */
int sshkeys_add(struct sshkeys *to, const struct sshkeys *from, size_t at, struct err **e);
/* Keys, a line each, for a message. */
void sshkeys_add_lines(const struct sshkeys *keys, struct str *to);
/* Refuses shares by which the box would have the agent itself, or would not have igloo's socket. */
int sshkeys_check_shares(const struct sshkeys *keys, const struct box_spec *spec, struct err **e);
void sshkeys_release(struct sshkeys *keys);

static inline void sshkeys_releasep(struct sshkeys *keys)
{
	sshkeys_release(keys);
}
#define _cleanup_sshkeys_ ATTR_CLEANUP(sshkeys_releasep)

#endif
