/* What the flake asks for: its output `igloo`, evaluated by Nix in the box.
 *
 * Another start of Nix costs a flake that asks for nothing more than it should, and no single evaluation gives two
 * outputs. So Nix is only asked where flake.nix has the word; one that makes the output elsewhere says so in a comment.
 *
 * Nix finds a package `igloo` before the output. The function below tells them apart (null: a package). Newer
 * Nix then finds ".igloo", the output alone; older ones, as 2.8, say that there is no such thing. */
#include "box/requests.h"
#include "box/resolve_impl.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { FLAKE_MAX_BYTES = 4 << 20 };

/* Unknown members keep their names only: they may be of any type. `images` is read by who makes images. */
static const char function[] =
	"x: if !(builtins.isAttrs x) then x else if x ? type && x.type == \"derivation\" then null else "
	"builtins.mapAttrs (n: v: if builtins.elem n [ \"shell\" \"kind\" \"memory\" \"cpus\" \"pids\" \"timeout\" "
	"\"allow\" \"ports\" \"secrets\" ] then v else null) (builtins.removeAttrs x [ \"images\" ])";

/* A path or a longer name is not the word. */
static bool is_word(const char *text, const char *at, const char *end)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

	if (at > text && at[-1] && (strchr(letters, at[-1]) || at[-1] == '/'))
		return false;
	return !*end || !strchr(letters, *end);
}

/* A file that cannot be read is Nix's to tell. */
bool resolve_flake_has(const struct resolve *r, const char *word)
{
	const struct source *source = r->q->source;
	_cleanup_close_ int dir = open(source->flake_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_str_ struct str text = STR_INIT;
	const char *at;

	if (dir < 0 || file_read(dir, "flake.nix", FLAKE_MAX_BYTES, &text, NULL) < 0)
		return false;
	for (at = str_text(&text); (at = strstr(at, word)); at++)
		if (is_word(str_text(&text), at, at + strlen(word)))
			return true;
	return false;
}

/* *ret: JSON, or "" where there is no such output. */
static int ask(struct resolve *r, const char *attribute, char **ret, struct err **e)
{
	_cleanup_strv_ struct strv argv = STRV_INIT;
	_cleanup_str_ struct str output = STR_INIT;
	int k;

	resolve_nix(&argv, "eval");
	strv_add(&argv, "--json");
	resolve_lock_options(&argv);
	strv_addf(&argv, ".#%s", attribute);
	strv_add(&argv, "--apply");
	strv_add(&argv, function);
	k = resolve_run_nix(r, &argv, &output, e);
	if (k == -EBADE && e && *e && strstr(err_message(*e), "does not provide attribute")) {
		err_clear(e);
		*ret = xstrdup("");
		return 0;
	}
	if (k < 0)
		return k;
	while (output.len > 0 && output.p[output.len - 1] == '\n')
		output.p[--output.len] = '\0';
	if (output.len > REQUESTS_BYTES_MAX || memchr(str_text(&output), '\0', output.len))
		return err_set(e, EFBIG, "the flake's requests (its output 'igloo') are larger than %d KiB",
			       REQUESTS_BYTES_MAX >> 10);
	*ret = str_take(&output);
	return 0;
}

int resolve_requests(struct resolve *r, struct err **e)
{
	_cleanup_requests_ struct requests requests = {0};
	_cleanup_err_ struct err *problem = NULL;
	_cleanup_free_ char *json = NULL;
	int k = 0;

	if (resolve_flake_has(r, "igloo")) {
		/* The caller's may be NULL, and what is no failure is known by its words. */
		k = ask(r, "igloo", &json, &problem);
		if (k == 0 && strcmp(json, "null") == 0) {
			free(json);
			json = NULL;
			k = ask(r, ".igloo", &json, &problem);
		}
	}
	if (k < 0) {
		if (e)
			*e = take_ptr(problem);
		return k;
	}
	r->requests = json && strcmp(json, "null") != 0 ? take_ptr(json) : xstrdup("");
	/* What is wrong with them is told when a box is made, where they can be ignored. */
	if (r->q->any_shell)
		(void)requests_parse(r->requests, strlen(r->requests), &requests, NULL);
	r->shell = xstrdup(requests.shell ? requests.shell : r->q->shell);
	return 0;
}
