/* igloo cp: files into a running box and out of it. */
#include "cmd/cp.h"

#include "base/clock.h"
#include "base/name.h"
#include "base/size.h"
#include "box/protect.h"
#include "cmd/cmd.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define MAX_SIZE (64 * SIZE_GIB)

struct cp_options {
	bool follow;
	const char *links;
	struct strv unprotect;
	uint64_t max_size;
};

/* "BOX:PATH"; a path on the host that looks so is written with "./" in front. Returns the name, NULL for a path on the
 * host. */
static char *box_of(const char *arg, const char **ret_path)
{
	const char *colon = strchr(arg, ':');
	_cleanup_free_ char *name = colon ? xstrndup(arg, (size_t)(colon - arg)) : NULL;

	if (!name || !name_is_valid(name))
		return NULL;
	*ret_path = colon + 1;
	return take_ptr(name);
}

static int check_unprotect(const struct strv *given, struct err **e)
{
	for (size_t i = 0; i < given->n; i++) {
		const char *const *name = protect_rule_names;

		while (*name && strcmp(*name, given->v[i]) != 0)
			name++;
		if (!*name)
			return err_set(e, EINVAL,
				       "--unprotect: there is no rule of that name; `igloo run --help` lists them");
	}
	return 0;
}

static int check_paths(const struct cp *c, struct err **e)
{
	if (!*c->in_box)
		return err_set(e, EINVAL, "a path behind '%s:' is missing", c->box);
	return *c->on_host ? 0 : err_set(e, EINVAL, "the path on the host is empty");
}

static int copy(struct cp *c, bool out, struct err **e)
{
	bool tar = strcmp(c->on_host, "-") == 0;
	int r = check_paths(c, e);

	if (r < 0)
		return r;
	if (tar && out && c->json)
		return err_set(e, EINVAL, "--json and a tar file share one output: leave one of them out");
	c->begun = clock_ms(CLOCK_MONOTONIC);
	c->way.tick = cp_tick;
	c->way.user = c;
	if (tar)
		r = out ? cp_out_tar(c, e) : cp_in_tar(c, e);
	else
		r = out ? cp_out(c, e) : cp_in(c, e);
	return cp_end(c, r, e);
}

static int run(struct invocation *inv, struct err **e)
{
	const struct cp_options *o = inv->options;
	struct cp c = {.json = inv->global.json, .follow = o->follow, .unprotect = &o->unprotect, .way = COPYING_INIT};
	const char *paths[2] = {inv->argv[0], inv->argv[1]};
	_cleanup_free_ char *from = box_of(inv->argv[0], &paths[0]);
	_cleanup_free_ char *to = box_of(inv->argv[1], &paths[1]);
	int signo;
	int r = check_unprotect(&o->unprotect, e);

	if (r < 0)
		return r;
	if (!from == !to) {
		(void)err_set(e, EINVAL,
			      from ? "both are in a box; one has to be on the host"
				   : "neither is in a box: that is written BOX:PATH");
		return err_hint(e, "a file of the host whose name looks so: ./NAME");
	}
	c.box = from ? from : to;
	c.in_box = paths[!from];
	c.on_host = paths[!!from];
	c.links = !o->links || strcmp(o->links, "inside") == 0 ? COPY_LINKS_INSIDE
		  : strcmp(o->links, "all") == 0               ? COPY_LINKS_ALL
							       : COPY_LINKS_NONE;
	c.max_bytes = o->max_size ? o->max_size : MAX_SIZE;
	r = copy(&c, from, e);
	signo = c.way.signo;
	copying_release(&c.way);
	strv_release(&c.left_paths);
	strv_release(&c.left_whys);
	free(c.base);
	return r < 0 && signo ? err_exit_code(e, 128 + signo) : r;
}

static const char *const links[] = {"inside", "all", "none", NULL};

static const struct opt opts[] = {
	{.name = "follow-link",
	 .letter = 'L',
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct cp_options, follow),
	 .help = "if the source is a symbolic link, copy what it leads to"},
	{.name = "links",
	 .arg = "WHICH",
	 .kind = OPT_CHOICE,
	 .choices = links,
	 .offset = offsetof(struct cp_options, links),
	 .help = "out of a box: the symbolic links that are kept: those that stay inside of what is copied, all, none"},
	{.name = "unprotect",
	 .arg = "RULE",
	 .kind = OPT_LIST,
	 .offset = offsetof(struct cp_options, unprotect),
	 .help = "out of a box into a repository: copy what RULE protects there, too; may be repeated"},
	{.name = "max-size",
	 .arg = "SIZE",
	 .kind = OPT_SIZE,
	 .offset = offsetof(struct cp_options, max_size),
	 .help = "out of a box: stop at so many bytes, 64G unless given",
	 .min = 1,
	 .max = 1024 * SIZE_TIB},
	{.name = NULL},
};

static const struct opt_group groups[] = {{"Copying", opts, 0}, {.title = NULL}};

static const struct example examples[] = {
	{"igloo cp fix:result.txt .", "a file, from where the box's command started, to here"},
	{"igloo cp data fix:/tmp", "the folder, as /tmp/data in the box"},
	{"igloo cp data/. fix:/tmp/in", "what is in it, to /tmp/in"},
	{"igloo cp fix:/tmp/logs - | tar t", "as a tar file"},
	{.command = NULL},
};

const struct cmd cmd_cp = {
	.name = "cp",
	.args = "BOX:PATH|PATH|- BOX:PATH|PATH|-",
	.summary = "copy files into a running box or out of it",
	.about =
		"One of the two is BOX:PATH, the other a path on the host, or \"-\" for a tar file on stdin or stdout. "
		"A "
		"relative PATH in the box begins where its command started.\n\n"
		"As `docker cp`: into a folder that is there, a source goes under its own name, or, if its path ends "
		"in \"/.\", "
		"what is in it; else the destination is the copy's name, in a folder that must be there. Folders are "
		"copied "
		"with what is in them, modes and times are kept, owners are not; symbolic links stay links. Hard links "
		"become "
		"files. Devices, pipes and sockets are left out, and said.\n\n"
		"What comes out of a box gets no set-user-id, set-group-id or sticky bit, nor links that lead out of "
		"what is "
		"copied (--links); in a repository the files that a box cannot write in its workspace stay as they are "
		"(--unprotect). A file is there whole or not at all: what is unfinished is called "
		".igloo-cp.XXXXXXXX.\n\n"
		"Exit status: 0 when everything was copied, 125 when something was left out that should not have been, "
		"or "
		"the copy failed; 128 and the signal's number when one ended it.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct cp_options),
	.min_args = 2,
	.max_args = 2,
	.arg_hint = HINT_FILES,
	.more_hint = HINT_FILES,
	.run = run,
};
