/* Reading what Nix says on stderr with `--log-format internal-json`, as it comes.
 *
 * Lines "@nix {…}" are events, every other line is text, and so is a line that should be an event but cannot be
 * read: nothing is lost. Source of the format: src/libutil/logging.{hh,cc} of NixOS/nix, JSONLogger; activity types
 * 100 to 112 and result types 100 to 108 are enum ActivityType and ResultType there, and the sums are made as in
 * src/libmain/progress-bar.cc. Same numbers from 2.8 to 2.34.
 *
 * All text that comes out is safe for a terminal: escapes and other control characters are shown as \xNN, but for
 * newlines and tabs, and colours (SGR), which are left out, or kept if asked for. */
#ifndef IGLOO_NIX_NIXLOG_H
#define IGLOO_NIX_NIXLOG_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

enum nixlog_kind {
	NIXLOG_ERROR,   /* an error message of Nix, "error: " in front */
	NIXLOG_WARNING, /* "warning: …" */
	NIXLOG_NOTE,    /* any other message that Nix shows by default; traces of the evaluation */
	NIXLOG_BUILD,   /* a line of a build's log */
	NIXLOG_TEXT,    /* a line that is no event: other programs, an older or a crashing Nix */
};

struct nixlog_options {
	bool colours;   /* keep SGR sequences, closed by a reset */
	unsigned keep;  /* last lines kept of each build's log; 0: 10; at most 100 */
	size_t max_log; /* bytes of text collected for the full log; 0: 4 MiB */
	/* Called for each message and line as it is read, or NULL. `name` is the build's ("jq-1.6") for NIXLOG_BUILD,
	 * else NULL. Texts are only good during the call and without a newline at the end. */
	void (*on_text)(void *arg, enum nixlog_kind kind, const char *name, const char *text);
	void *arg;
};

/* Sums over what Nix has announced. Counts are derivations, paths, and bytes. */
struct nixlog_progress {
	uint64_t builds_done, builds_expected, builds_failed;
	uint64_t copies_done, copies_expected;
	uint64_t bytes_done, bytes_expected;   /* downloaded; copied where there is no download */
	unsigned building, fetching, querying; /* activities running now */
};

struct nixlog;

struct nixlog *nixlog_new(const struct nixlog_options *options); /* NULL: defaults */
void nixlog_free(struct nixlog *log);                            /* accepts NULL */
static inline void nixlog_freep(struct nixlog **log)
{
	nixlog_free(*log);
}
#define _cleanup_nixlog_ ATTR_CLEANUP(nixlog_freep)

/* Takes the next n bytes of stderr; cut anywhere. Lines longer than 256 KiB are cut there and become text. */
void nixlog_feed(struct nixlog *log, const char *bytes, size_t n);
/* The end of stderr: a last line without a newline counts. */
void nixlog_end(struct nixlog *log);

void nixlog_progress(const struct nixlog *log, struct nixlog_progress *ret);
/* Adds one line without a newline: "building jq-1.6 (2/5), fetching 12.3 MiB/40.0 MiB", or what Nix last began
 * ("querying info about …"), or "evaluating". */
void nixlog_add_summary(const struct nixlog *log, struct str *to);

/* Adds what a person needs after a failure, for err_detail(): Nix's errors (64 KiB at most; the other lines when
 * there is no error) and the last lines of each build that an error names. Nothing when there was nothing. */
void nixlog_add_failure(const struct nixlog *log, struct str *to);
/* The text of everything so far, line by line, build lines with "name> " in front; never NULL. */
const char *nixlog_text(const struct nixlog *log);

/* Adds n bytes made safe for a terminal as described above. */
void nixlog_add_clean(struct str *to, const char *bytes, size_t n, bool colours);

#endif
