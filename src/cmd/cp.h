/* igloo cp: what its files share. */
#ifndef IGLOO_CMD_CP_H
#define IGLOO_CMD_CP_H

#include "base/err.h"
#include "cmd/copying.h"
#include "wire/copyreceive.h"

#include <stdbool.h>

enum { CP_LEFT_MAX = 1000 };

struct cp {
	const char *box;
	const char *in_box; /* the path there */
	const char *on_host;
	bool json;
	bool quiet;
	bool follow;
	enum copy_links links;
	const struct strv *unprotect;
	uint64_t max_bytes;

	struct copying way;
	struct copy_totals done; /* made and whole */
	char *base;              /* the absolute path that those of entries are below; NULL: none */
	/* What was left out: of those that are shown the paths and reasons, and how many there are. */
	struct strv left_paths;
	struct strv left_whys;
	uint64_t left;   /* all of them */
	uint64_t errors; /* those of them that make the copy a failed one */
	uint64_t moved;  /* bytes through the pipe, for the progress */
	int64_t begun;
	int64_t shown; /* when the progress was shown; 0: it is not on the terminal */
};

/* cpend.c */
/* Something was left out; `path` and `why` as they came. `error`: it was to be copied. */
void cp_left_out(struct cp *c, const char *path, const char *why, bool error);
/* For struct copying and between files: the progress. */
void cp_tick(void *user);
void cp_untick(struct cp *c);
/* Says on the terminal what was done, writes the JSON; r is how it went, with its *e. Returns how the command ends. */
int cp_end(struct cp *c, int r, struct err **e);

/* The callbacks of copyreceive and copysend, whose user is the struct cp. */
extern const struct copyreceive_ops cp_receive_ops;
void cp_on_skip(void *user, int errnum, enum copy_why why, const char *path);
void cp_on_changed(void *user, const char *path);

/* cpfiles.c: each does the whole copy. */
int cp_out(struct cp *c, struct err **e);
int cp_in(struct cp *c, struct err **e);
/* The next event of what the box sends. */
int cp_next(struct cp *c, struct copy_event *ret, struct err **e);
/* The error that the box's side says it has. */
int cp_remote_error(const struct cp *c, const struct copy_event *ev, struct err **e);
/* Records that go to the box. */
struct copyrec *cp_records(struct cp *c);
/* All of them were given away, or that failed with r: waits for what the box's side made of them, c->done. */
int cp_finish(struct cp *c, int r, struct err **e);
/* This side cannot go on, with r: the box's side tells what it has done, c->done. Returns r. */
int cp_give_up(struct cp *c, int r);

/* cptar.c */
int cp_out_tar(struct cp *c, struct err **e);
int cp_in_tar(struct cp *c, struct err **e);

#endif
