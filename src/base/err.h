/* Errors: what failed, on what, why, and what to do.
 *
 * A function that can fail returns 0 or a negative errno and takes `struct err **e` last. `e` may be
 * NULL when the caller wants only the number; `*e` is NULL on entry. The function that finds the
 * failure calls err_set() once, in its return statement; callers on the way up may add where they
 * were with err_wrap() and what to do about it with err_hint(). Library code never prints: the
 * command prints the error it ends with, and its exit code says 125 unless err_exit() says else.
 *
 *     return err_set(e, EINVAL, "memory: '%s' is not a size", text);
 *     if (r < 0)
 *             return err_wrap(e, "slot '%s'", name);        -> "slot 'x': memory: ..."
 */
#ifndef IGLOO_BASE_ERR_H
#define IGLOO_BASE_ERR_H

#include "base/mem.h"

struct err;

/* Sets *e (replacing an error already there) to the message; when `errnum` stands for a failed
 * system call, use err_errno(), which appends its text. Returns -errnum; errnum is positive. */
int err_set(struct err **e, int errnum, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* As err_set(), with ": " and strerror(errnum) at the end. */
int err_errno(struct err **e, int errnum, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* Puts "message: " in front of the error in *e. Returns its -errnum (-EIO when *e is NULL). */
int err_wrap(struct err **e, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Adds a line that says what to do; several add up. Returns the error's -errnum. */
int err_hint(struct err **e, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* Adds a block shown as it is after the message (for example Nix's own words). Returns -errnum. */
int err_detail(struct err **e, const char *text);
/* Makes igloo exit with `code` instead of 125 (126: cannot execute, 127: not found, 2: usage). */
int err_exit_code(struct err **e, int code);

#if defined(__clang_analyzer__) || defined(IGLOO_ANALYSE)
/* An analyser sees one file at a time: tell it what each of these promises, that the result is
 * negative, or it follows callers that go on after a failure. */
#define ERR_NEGATIVE(call)                \
	({                                \
		int err_result_ = (call); \
		if (err_result_ >= 0)     \
			abort();          \
		err_result_;              \
	})
#define err_set(...) ERR_NEGATIVE((err_set)(__VA_ARGS__))
#define err_errno(...) ERR_NEGATIVE((err_errno)(__VA_ARGS__))
#define err_wrap(...) ERR_NEGATIVE((err_wrap)(__VA_ARGS__))
#define err_hint(...) ERR_NEGATIVE((err_hint)(__VA_ARGS__))
#define err_detail(...) ERR_NEGATIVE((err_detail)(__VA_ARGS__))
#define err_exit_code(...) ERR_NEGATIVE((err_exit_code)(__VA_ARGS__))
#endif

/* The parts; never NULL for a non-NULL error. Hints and detail are "" when there are none. */
const char *err_message(const struct err *e);
const char *err_hints(const struct err *e);
const char *err_details(const struct err *e);
int err_number(const struct err *e); /* positive errno */
int err_exit(const struct err *e);

/* Accepts NULL. */
void err_free(struct err *e);
/* Frees *e and sets it to NULL, to go on after a failure that is not one. */
void err_clear(struct err **e);

static inline void err_freep(struct err **e)
{
	err_free(*e);
}
#define _cleanup_err_ ATTR_CLEANUP(err_freep)

#endif
