/* igloo cp: what it says. */
#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "box/protectname.h"
#include "cmd/cp.h"
#include "cmd/report.h"
#include "fmt/json.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { QUIET_MS = 1000, SHOW_MS = 250, NOTES_MAX = 20 };

void cp_left_out(struct cp *c, const char *path, const char *why, bool error)
{
	_cleanup_str_ struct str shown = STR_INIT;

	c->left++;
	c->errors += error;
	if (c->left_paths.n < CP_LEFT_MAX) {
		strv_add(&c->left_paths, path);
		strv_add(&c->left_whys, why);
	}
	if (c->json || c->left > NOTES_MAX)
		return;
	cp_untick(c);
	str_add_printable(&shown, path, strlen(path), false);
	log_note("left out: '%s': %s", str_text(&shown), why);
	if (c->left == NOTES_MAX)
		log_note("and what else is left out is only counted (--json lists more)");
}

void cp_on_skip(void *user, int errnum, enum copy_why why, const char *path)
{
	cp_left_out(user, path, why == COPY_WHY_KIND ? "no file, folder or link" : strerror(errnum),
		    why == COPY_WHY_ERROR);
}

void cp_on_changed(void *user, const char *path)
{
	_cleanup_str_ struct str shown = STR_INIT;
	struct cp *c = user;

	str_add_printable(&shown, path, strlen(path), false);
	cp_untick(c);
	log_note("'%s' changed while it was copied", str_text(&shown));
}

static void on_link(void *user, const char *path, const char *target)
{
	struct cp *c = user;
	_cleanup_str_ struct str why = STR_INIT;

	str_adds(&why, c->links == COPY_LINKS_NONE ? "a link, to '" : "a link out of what is copied, to '");
	str_add_printable(&why, target, strlen(target), false);
	str_adds(&why, c->links == COPY_LINKS_NONE ? "'" : "' (--links all)");
	cp_left_out(c, path, str_text(&why), c->links != COPY_LINKS_NONE);
}

static int refuse(void *user, const char *path, bool folder)
{
	struct cp *c = user;
	_cleanup_free_ char *full = c->base ? xasprintf("%s/%s", c->base, path) : NULL;
	_cleanup_free_ char *why = NULL;
	const char *rule = full ? protectname_rule(full, folder) : NULL;

	if (!rule || strv_has(c->unprotect, rule))
		return 0;
	why = xasprintf("protected, as in a workspace (--unprotect %s)", rule);
	cp_left_out(c, path, why, true);
	return -EPERM;
}

const struct copyreceive_ops cp_receive_ops = {
	.refuse = refuse,
	.refused_link = on_link,
	.changed = cp_on_changed,
	.skip = cp_on_skip,
};

/* --- progress ----------------------------------------------------------------------------------------------------- */

void cp_untick(struct cp *c)
{
	if (c->shown)
		(void)!write(STDERR_FILENO, "\r\033[K", 4);
	c->shown = 0;
}

static void add_done(struct str *s, const struct copy_totals *t)
{
	str_addf(s, "%" PRIu64 " file%s", t->files, t->files == 1 ? "" : "s");
	if (t->dirs > 0)
		str_addf(s, ", %" PRIu64 " folder%s", t->dirs, t->dirs == 1 ? "" : "s");
	if (t->links > 0)
		str_addf(s, ", %" PRIu64 " link%s", t->links, t->links == 1 ? "" : "s");
	str_adds(s, ", ");
	size_add(s, t->bytes);
}

void cp_tick(void *user)
{
	struct cp *c = user;
	int64_t now = clock_ms(CLOCK_MONOTONIC);
	_cleanup_str_ struct str s = STR_INIT;

	if (c->json || log_level() != LOG_NORMAL || now < c->begun + QUIET_MS || now < c->shown + SHOW_MS ||
	    !isatty(STDERR_FILENO))
		return;
	str_adds(&s, "\r\033[Kigloo: copying: ");
	size_add(&s, c->moved);
	str_addf(&s, " [%" PRId64 "s]", (now - c->begun) / 1000);
	(void)!write(STDERR_FILENO, s.p, s.len);
	c->shown = now;
}

/* --- the end ------------------------------------------------------------------------------------------------------ */

static json_t *path_json(const char *path)
{
	_cleanup_str_ struct str shown = STR_INIT;

	str_add_printable(&shown, path, strlen(path), false);
	return json_string(str_text(&shown));
}

static void add_json(const struct cp *c, struct str *s)
{
	json_t *left = json_array();
	_cleanup_json_ json_t *j = json_pack(
		"{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o}", "schema", "igloo.cp/1", "box", c->box, "files",
		(json_int_t)c->done.files, "folders", (json_int_t)c->done.dirs, "links", (json_int_t)c->done.links,
		"bytes", (json_int_t)c->done.bytes, "leftOutCount", (json_int_t)c->left, "leftOut", left);

	for (size_t i = 0; i < c->left_paths.n; i++) {
		json_t *one = json_object();

		(void)json_object_set_new(one, "path", path_json(c->left_paths.v[i]));
		(void)json_object_set_new(one, "why", path_json(c->left_whys.v[i]));
		(void)json_array_append_new(left, one);
	}
	json_add_sorted(s, j);
	str_addc(s, '\n');
}

int cp_end(struct cp *c, int r, struct err **e)
{
	bool was_long = clock_ms(CLOCK_MONOTONIC) > c->begun + QUIET_MS && isatty(STDERR_FILENO);
	_cleanup_str_ struct str done = STR_INIT;
	_cleanup_str_ struct str json = STR_INIT;
	int k;

	cp_untick(c);
	add_done(&done, &c->done);
	if (r < 0 && (c->done.files || c->done.dirs || c->done.links))
		r = err_hint(e, "what was copied before, and is whole: %s", str_text(&done));
	else if (r == 0 && c->errors > 0)
		r = err_set(e, EIO, "%" PRIu64 " of what was to be copied %s left out; copied: %s", c->errors,
			    c->errors == 1 ? "was" : "were", str_text(&done));
	else if (r == 0 && !c->json && (was_long || log_level() >= LOG_VERBOSE))
		log_note("copied: %s", str_text(&done));
	if (!c->json)
		return r;
	add_json(c, &json);
	k = report_out(&json, r < 0 ? NULL : e);
	return r < 0 ? r : k;
}
