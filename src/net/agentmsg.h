/* The messages of an SSH agent, from both of its ends: what a box may ask for, and what it is told.
 *
 * Format: draft-ietf-sshm-ssh-agent (formerly draft-miller-ssh-agent), and OpenSSH's PROTOCOL.agent for
 * session-bind@openssh.com. A message is a length of 4 bytes, big endian, and so many bytes: a type and what belongs to
 * it. A string in it is a length and so many bytes.
 *
 * Of all requests only three have an answer of the agent's: the list of keys, a signature, and the binding of a
 * connection to an SSH session, by which the agent upholds a key's own restrictions (`ssh-add -h`). Both sides are
 * untrusted. Nothing is allocated by a length that was read. */
#ifndef IGLOO_NET_AGENTMSG_H
#define IGLOO_NET_AGENTMSG_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	AGENTMSG_MAX = 256 * 1024,      /* bytes behind the length, as OpenSSH has it (AGENT_MAX_LEN) */
	AGENTMSG_IDENTITIES_MAX = 2048, /* the same (MAX_AGENT_IDENTITIES) */
	AGENTMSG_KEYS_MAX = 64,         /* that one box may use */
	AGENTMSG_KEY_BYTES_MAX = 16384,
};

/* Bytes of a message, or of the caller's. */
struct agentmsg_bytes {
	const uint8_t *p;
	size_t n;
};

/* Public keys, each as agentmsg_plain_key() gives it; the caller's. */
struct agentmsg_keys {
	struct agentmsg_bytes v[AGENTMSG_KEYS_MAX];
	size_t n;
};

struct agentmsg_identity {
	struct agentmsg_bytes key;
	struct agentmsg_bytes comment;
};

enum agentmsg_verdict {
	AGENTMSG_REFUSED, /* answer with agentmsg_add_failure() */
	AGENTMSG_LIST,
	AGENTMSG_SIGN,
	AGENTMSG_BIND,
};

/* The bytes of the message that begins at p, its length counted; 0 when the first n do not say; -EMSGSIZE for one
 * without bytes or with more than AGENTMSG_MAX. */
ssize_t agentmsg_length(const uint8_t *p, size_t n);

/* Adds the public key of a key or a certificate as it is on the wire: certificates (…-cert-v01@openssh.com, OpenSSH's
 * PROTOCOL.certkeys) have the key in them, and are matched by it. False for what is neither, or a certificate of a kind
 * that is not known. Of a key only its type's name is looked at. */
bool agentmsg_plain_key(const uint8_t *key, size_t n, struct str *to);

/* What is to be done with a request (n bytes behind the length). With AGENTMSG_SIGN *ret_key is the index of its key.
 * What is not refused may be passed on as it is: it is well formed to its last byte. */
enum agentmsg_verdict agentmsg_request(const struct agentmsg_keys *keys, const uint8_t *p, size_t n, size_t *ret_key);

/* Adds the message, with its length, that a box gets for the agent's answer (n bytes behind the length) to what it
 * asked for. Of a list only the box's keys; of anything unexpected a failure. True when it is no failure. */
bool agentmsg_add_answer(const struct agentmsg_keys *keys, enum agentmsg_verdict asked, const uint8_t *p, size_t n,
			 struct str *to);
void agentmsg_add_failure(struct str *to);
/* The request for the list, with its length. */
void agentmsg_add_list_request(struct str *to);

/* The keys in an answer to that: how many (at most `max`), -EBADMSG for anything else, -E2BIG for more. They point into
 * the message. */
ssize_t agentmsg_identities(const uint8_t *p, size_t n, struct agentmsg_identity *ret, size_t max);

#endif
