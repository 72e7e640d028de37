/* igloo allow: grants hosts to boxes. */
#include "cmd/granting.h"

#include <errno.h>
#include <stddef.h>

static int run(struct invocation *inv, struct err **e)
{
	const struct granting_options *o = inv->options;

	if (o->ls && inv->argc > 0) {
		(void)err_set(e, EINVAL, "--ls takes no hosts");
		return err_exit_code(e, 2);
	}
	if (o->ls)
		return granting_show(inv, e);
	if (inv->argc == 0) {
		(void)err_set(e, EINVAL, "which host?");
		(void)err_hint(e, "say: igloo allow HOST, or: igloo allow --ls");
		return err_exit_code(e, 2);
	}
	return granting_change(inv, true, e);
}

static const struct opt opts[] = {
	{.name = "ls",
	 .kind = OPT_FLAG,
	 .offset = offsetof(struct granting_options, ls),
	 .help = "list what is allowed",
	 .clashes = "box"},
	{.name = NULL},
};

static const struct opt_group groups[] = {
	{"Repository", granting_place_opts, 0},
	{"For whom", granting_scope_opts, 0},
	{"Listing", opts, 0},
	{.title = NULL},
};

static const struct example examples[] = {
	{"igloo allow api.anthropic.com", "boxes of this repository, from now on"},
	{"igloo allow '*.example.org' db.example.org:5432", "every name below it; another port"},
	{"igloo allow --box fix docs.example.org", "this running box, until it ends"},
	{"igloo allow --ls", "what is allowed, for this repository and always"},
	{.command = NULL},
};

const struct cmd cmd_allow = {
	.name = "allow",
	.args = "[HOST[:PORT]...]",
	.summary = "let boxes reach hosts",
	.about = "A box reaches what is allowed by name, and nothing else. A name means ports 80 and 443 of it unless "
		 "it has a port; *.NAME means every name below NAME. An address or a network needs a port: "
		 "10.1.2.3:5432, 10.1.0.0/16:5432. 'nix' means what flakes and binary caches need, 'all' every public "
		 "name. Names that resolve to private addresses are refused unless the address is allowed too.\n\n"
		 "What is allowed is kept outside the repository, for this repository or, with --always, for all; "
		 "boxes that run "
		 "have it at once. `igloo deny` takes it back.",
	.examples = examples,
	.groups = groups,
	.options_size = sizeof(struct granting_options),
	.max_args = -1,
	.run = run,
};
