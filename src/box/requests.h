/* What a flake asks for, in its output `igloo`: hosts, ports, secrets, resources, a shell, a kind. Asking is all it can
 * do; what it gets is the user's to say (box/grants.h, cmd/asking.h). docs/requests.md is for people.
 *
 *     {"shell": "ci", "kind": "sandbox", "memory": "8G", "cpus": 4, "pids": 500, "timeout": "2h",
 *      "allow": ["github.com"], "ports": ["3000:3000", 8080], "secrets": ["GITHUB_TOKEN"]}
 *
 * Every member may be missing or null. The document comes from an evaluation in a box and is anybody's: it is parsed
 * strictly, and everything that is kept is in its normal form, so that equal texts are equal requests. */
#ifndef IGLOO_BOX_REQUESTS_H
#define IGLOO_BOX_REQUESTS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	REQUESTS_BYTES_MAX = 64 * 1024,
	REQUESTS_ENTRIES_MAX = 64,   /* of one list: a person must read them */
	REQUESTS_GRANTED_MAX = 1024, /* of one that was granted over time */
	REQUESTS_UNKNOWN_MAX = 8,    /* unknown members that are told */
};

enum requests_list { REQUESTS_ALLOW, REQUESTS_PORTS, REQUESTS_SECRETS, REQUESTS_LISTS };
/* cpus in thousandths, memory in bytes, timeout in milliseconds, as struct box_options has them. */
enum requests_limit { REQUESTS_CPUS, REQUESTS_MEMORY, REQUESTS_PIDS, REQUESTS_TIMEOUT, REQUESTS_LIMITS };

struct requests {
	char *shell; /* or NULL, as kind; both choose, and need no grant */
	char *kind;
	struct strv list[REQUESTS_LISTS]; /* sorted, no two equal, printable */
	uint64_t limit[REQUESTS_LIMITS];  /* 0: none */
	struct strv unknown;              /* members that mean nothing to this igloo, printable; at most UNKNOWN_MAX */
};

/* n == 0 is no requests at all. -EINVAL, -ERANGE or -EFBIG naming the member. *ret is filled in on success only. */
int requests_parse(const char *bytes, size_t n, struct requests *ret, struct err **e);
/* The same for what grants keep: longer lists. */
int requests_parse_granted(const char *bytes, size_t n, struct requests *ret, struct err **e);
void requests_release(struct requests *r);
static inline void requests_releasep(struct requests *r)
{
	requests_release(r);
}
#define _cleanup_requests_ ATTR_CLEANUP(requests_releasep)

/* How many things there are to grant. */
size_t requests_count(const struct requests *r);
/* What `granted` does not cover. A limit is covered by one that is at least as large. *ret: released, or zeroed. */
void requests_missing(const struct requests *wanted, const struct requests *granted, struct requests *ret);
/* Adds all of `from` that needs a grant; a list that grows beyond REQUESTS_GRANTED_MAX loses what was in it before. */
void requests_add(struct requests *to, const struct requests *from);
/* Takes entries away; returns how many were there. */
size_t requests_remove(struct requests *from, enum requests_list list, const struct strv *entries);

/* What needs a grant as a JSON object, which requests_parse() reads again. */
void requests_add_json(struct str *to, const struct requests *r);
/* The same as options of `igloo run`, " --allow github.com --memory 8G", words quoted for a shell. */
void requests_add_options(struct str *to, const struct requests *r);
/* A printable line for each, "reach    github.com". Those in `fresh` (may be NULL) end with "  (new)". */
void requests_add_lines(struct strv *to, const struct requests *r, const struct requests *fresh);

#endif
