/* Inside of the store server: shared by storeserve.c (the process, its loop), storeconn.c (a connection) and
 * storereply.c (what is answered). */
#ifndef IGLOO_NIX_STORESERVE_IMPL_H
#define IGLOO_NIX_STORESERVE_IMPL_H

#include "fmt/digest.h"
#include "nix/nar.h"
#include "nix/storeask.h"
#include "nix/storeindex.h"
#include "nix/storerequest.h"
#include "sys/confine.h"

#include <stdint.h>

enum {
	STORESERVE_CONNECTIONS = 64,
	STORESERVE_CHUNK = 1 << 16,
};

struct storeserve {
	const struct hoststore *host;
	int listener;
	int dir;              /* /nix/store */
	struct storeask *ask; /* NULL: it failed once; nothing is found any more */
	struct storeindex *index;
	struct storeconn *conns[STORESERVE_CONNECTIONS];
	size_t n;
};

/* storeserve.c: what the process is shut in by. Its root is /nix/store. */
extern const struct confine storeserve_walls;

/* An answer, whole but for the bytes of a NAR. */
struct storereply {
	struct str head; /* status line and headers, and the body of what is not a NAR */
	struct storeinfo nar;
	bool has_nar; /* with its bytes, behind `head` */
};

/* What the request asks for. */
void storereply_make(struct storeserve *s, const struct storerequest *request, struct storereply *ret);
/* Instead of any of that; the connection ends with it. `status` is as "400 Bad Request". */
void storereply_fail(struct storereply *r, const char *status, bool close);
void storereply_release(struct storereply *r);

struct storeconn;

struct storeconn *storeconn_new(struct storeserve *s, int fd, int64_t now_ms);
void storeconn_free(struct storeconn *c); /* accepts NULL */
/* Goes on with it, a bounded amount; false: it is to be freed. */
bool storeconn_work(struct storeconn *c, short revents, int64_t now_ms);
/* What it waits for: events of its descriptor; 0: to go on at once. */
short storeconn_events(const struct storeconn *c);
int storeconn_fd(const struct storeconn *c);
/* No request has begun, since when; else -1. */
int64_t storeconn_idle_since(const struct storeconn *c);
/* When it is given up. */
int64_t storeconn_deadline(const struct storeconn *c);

#endif
