/* The command line: parsing by tables, the errors, finding commands, and what is made from the tables.
 * Defines its own list of commands, which stands in for commands.c. */
#include "cmd/options.h"
#include "base/size.h"
#include "cmd/boxoptions.h"
#include "cmd/report.h"
#include "test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

struct run_options {
	bool first;
	struct box_options box;
};

static const struct opt_group run_groups[] = {
	BOX_GROUP_PLACE(offsetof(struct run_options, box)),
	BOX_GROUP_FILES(offsetof(struct run_options, box)),
	BOX_GROUP_LIMITS(offsetof(struct run_options, box)),
	BOX_GROUP_RUNNING(offsetof(struct run_options, box)),
	{NULL, NULL, 0},
};

static int nothing(struct invocation *inv, struct err **e)
{
	return 0;
}

static const struct cmd t_run = {
	.name = "run",
	.args = "[--] COMMAND [ARGUMENT...]",
	.summary = "run one command in a box",
	.about = "First paragraph. It's got two sentences.\n\nSecond: [brackets] and \\ and 'quotes'.",
	.groups = run_groups,
	.options_size = sizeof(struct run_options),
	.min_args = 1,
	.max_args = -1,
	.takes_command = true,
	.run = nothing,
};

struct rm_options {
	bool force;
	int level;
};

static const struct opt rm_opts[] = {
	{.name = "force", .letter = 'f', .kind = OPT_FLAG, .offset = offsetof(struct rm_options, force), .help = "x"},
	{.name = "level",
	 .letter = 'l',
	 .kind = OPT_COUNTER,
	 .offset = offsetof(struct rm_options, level),
	 .help = "y"},
	{.name = NULL},
};

static const struct opt_group rm_groups[] = {{"Removing", rm_opts, 0}, {NULL, NULL, 0}};

static const struct cmd t_rm = {
	.name = "rm",
	.args = "BOX...",
	.summary = "remove boxes",
	.groups = rm_groups,
	.options_size = sizeof(struct rm_options),
	.min_args = 1,
	.max_args = 2,
	.arg_hint = HINT_BOXES,
	.more_hint = HINT_BOXES,
	.run = nothing,
};

static const struct cmd t_slot_ls = {.name = "slot ls", .args = "", .summary = "list slots", .run = nothing};
static const struct cmd t_slot_rm = {.name = "slot rm", .args = "SLOT", .summary = "remove a slot", .run = nothing};
static const struct cmd t_hidden = {.name = "ruin", .args = "", .summary = "x", .hidden = true, .run = nothing};

const struct cmd *const commands[] = {&t_run,    &t_rm,        &t_slot_ls, &t_slot_rm, &cmd_completion,
				      &cmd_help, &cmd_version, &t_hidden,  NULL};

static struct err *error;
static struct invocation inv;

/* Parses the words, a blank between them. */
static int parse(const struct cmd *cmd, const char *line)
{
	static struct strv words;
	int r;

	options_release(&inv);
	strv_release(&words);
	err_clear(&error);
	strv_split(&words, line, ' ');
	inv.cmd = cmd;
	r = options_parse(&inv, (int)words.n, words.v, NULL, &error);
	if ((r < 0) != (error != NULL))
		abort();
	return r;
}

static const struct box_options *box(void)
{
	return &((struct run_options *)inv.options)->box;
}

/* The line is refused with this message and a hint that contains the other text. */
#define REFUSED(cmd, line, message, hint)               \
	do {                                            \
		CHECK(parse(cmd, line) < 0);            \
		CHECK_STR(err_message(error), message); \
		CHECK(strstr(err_hints(error), hint));  \
		CHECK(err_exit(error) == 125);          \
	} while (0)

TEST(every_kind_of_value)
{
	CHECK(parse(&t_run, "run -C /src --in sandbox --shell=ci --name b1 --slot s1 --read-only --share-rw a "
			    "--share-ro=b --share-rw c --cpus 0.5 -m 8G --pids 100 --timeout 5m -d --offline -e A=1 "
			    "--env B -vv --json -- ls -l") == 0);
	CHECK_STR(box()->dir, "/src");
	CHECK_STR(box()->kind, "sandbox");
	CHECK_STR(box()->shell, "ci");
	CHECK_STR(box()->name, "b1");
	CHECK_STR(box()->slot, "s1");
	CHECK(box()->read_only && !box()->clone && box()->detach && box()->offline);
	CHECK(box()->share_rw.n == 2 && box()->share_ro.n == 1);
	CHECK_STR(box()->share_rw.v[1], "c");
	CHECK(box()->cpus == 500 && box()->memory == 8 * SIZE_GIB && box()->pids == 100 && box()->timeout == 300000);
	CHECK(box()->env.n == 2);
	CHECK_STR(box()->env.v[0], "A=1");
	CHECK(inv.global.verbose == 2 && inv.global.json && !inv.global.quiet);
	CHECK(inv.argc == 2 && !inv.argv[2]);
	CHECK_STR(inv.argv[0], "ls");
	CHECK_STR(inv.argv[1], "-l");
	CHECK(options_given(&inv, "memory") && options_given(&inv, "json") && options_given(&inv, "env"));
	CHECK(!options_given(&inv, "clone") && !options_given(&inv, "no-such-option"));
}

TEST(options_end_at_the_command)
{
	CHECK(parse(&t_run, "run ls -l --memory 8 -- -x") == 0 && inv.argc == 6);
	CHECK_STR(inv.argv[1], "-l");
	CHECK_STR(inv.argv[4], "--");
	CHECK(box()->memory == 0);
	CHECK(parse(&t_run, "run -- -x") == 0 && inv.argc == 1);
	CHECK(parse(&t_run, "run -v -- -- x") == 0 && inv.argc == 2);
	CHECK_STR(inv.argv[0], "--");
	CHECK(parse(&t_run, "run - x") == 0 && inv.argc == 2);
	CHECK(parse(&t_run, "run -vvC/src -m8 x") == 0 && inv.argc == 1);
	CHECK_STR(box()->dir, "/src");
	CHECK(box()->memory == 8 * SIZE_GIB);
	CHECK(parse(&t_run, "run --name -- x") < 0); /* "--" is the name, as getopt has it */
}

TEST(commands_behind_an_argument)
{
	static const struct cmd exec = {.name = "exec",
					.args = "BOX [--] COMMAND...",
					.groups = rm_groups,
					.options_size = sizeof(struct rm_options),
					.min_args = 2,
					.max_args = -1,
					.takes_command = true,
					.command_at = 1};

	CHECK(parse(&exec, "exec box ls -f") == 0 && inv.argc == 3);
	CHECK(parse(&exec, "exec -f box -- ls -f") == 0 && inv.argc == 3);
	CHECK_STR(inv.argv[1], "ls");
	CHECK(parse(&exec, "exec box -f ls -l --") == 0 && inv.argc == 4);
	CHECK(((struct rm_options *)inv.options)->force && !((struct rm_options *)inv.options)->level);
	CHECK(parse(&exec, "exec box --") < 0);
}

TEST(options_among_arguments)
{
	const struct rm_options *o;

	CHECK(parse(&t_rm, "rm a -f b --json") == 0);
	o = inv.options;
	CHECK(o->force && inv.global.json && inv.argc == 2);
	CHECK_STR(inv.argv[1], "b");
	CHECK(parse(&t_rm, "rm -flvl a -- -f") == 0);
	o = inv.options;
	CHECK(o->force && o->level == 2 && inv.global.verbose == 1 && inv.argc == 2);
	CHECK_STR(inv.argv[1], "-f");
	CHECK(parse(&t_rm, "rm -- -a") == 0 && inv.argc == 1);
}

TEST(last_one_counts)
{
	CHECK(parse(&t_run, "run -m 8G --memory=1G --name a --name b x") == 0);
	CHECK(box()->memory == SIZE_GIB);
	CHECK_STR(box()->name, "b");
}

TEST(unknown_options)
{
	REFUSED(&t_run, "run --memroy 8G x", "unknown option '--memroy'", "did you mean '--memory'?");
	REFUSED(&t_run, "run --memroy=8G x", "unknown option '--memroy'", "did you mean '--memory'?");
	REFUSED(&t_run, "run --mem 8G x", "unknown option '--mem'", "did you mean '--memory'?");
	REFUSED(&t_run, "run --mem=8G x", "unknown option '--mem'", "did you mean '--memory'?");
	REFUSED(&t_run, "run --memo", "unknown option '--memo'", "did you mean '--memory'?");
	REFUSED(&t_run, "run --share x", "unknown option '--share'", "did you mean '--share-r");
	REFUSED(&t_run, "run --readonly x", "unknown option '--readonly'", "did you mean '--read-only'?");
	REFUSED(&t_run, "run --xyzzy x", "unknown option '--xyzzy'", "'igloo run --help'");
	REFUSED(&t_run, "run -vZ x", "unknown option '-Z'", "'igloo run --help'");
	REFUSED(&t_run, "run --\033[31m x", "unknown option '--\\x1b[31m'", "--help");
	REFUSED(&t_rm, "rm a --memory 8", "unknown option '--memory'", "--help");
	REFUSED(NULL, "igloo --verbos run", "unknown option '--verbos'", "did you mean '--verbose'?");
	REFUSED(NULL, "igloo -x", "unknown option '-x'", "'igloo --help'");
}

TEST(wrong_values)
{
	REFUSED(&t_run, "run --memory", "option '--memory' needs an argument: --memory SIZE", "");
	REFUSED(&t_run, "run -m", "option '--memory' needs an argument: --memory SIZE", "");
	REFUSED(&t_run, "run --clone=x y", "option '--clone' takes no argument", "");
	REFUSED(&t_run, "run --memory 1e9 x", "--memory: '1e9' is not a size: write 512M, 8G, 8GiB, or 8 for 8 GiB",
		"");
	REFUSED(&t_run, "run -m -1 x", "--memory: '-1' is not a size: write 512M, 8G, 8GiB, or 8 for 8 GiB", "");
	REFUSED(&t_run, "run -m 4K x", "--memory: '4K' is out of range: 16 MiB to 1 TiB", "");
	REFUSED(&t_run, "run --pids 0 x", "--pids: '0' is not a whole number from 1 to 4194304", "");
	REFUSED(&t_run, "run --cpus 0 x", "--cpus: '0' is out of range: 0.001 to 128 processors", "");
	REFUSED(&t_run, "run --in moon x", "--in: 'moon' is not one of sandbox, vm", "");
	REFUSED(&t_run, "run -C d", "'igloo run' needs [--] COMMAND [ARGUMENT...]", "usage: igloo run [options]");
	REFUSED(&t_run, "run --dir= x", "--dir: the path is empty", "");
	REFUSED(&t_run, "run --env =x y", "--env: the variable has no name: write NAME or NAME=VALUE", "");
	CHECK(parse(&t_run, "run --name Big x") < 0 && str_starts(err_message(error), "--name: 'Big' is not a name"));
}

TEST(clashes_and_numbers_of_arguments)
{
	REFUSED(&t_run, "run --clone --read-only x", "--clone and --read-only exclude each other: give one of them",
		"");
	REFUSED(&t_run, "run --read-only --clone x", "--clone and --read-only exclude each other: give one of them",
		"");
	REFUSED(&t_run, "run -q -v x", "--quiet and --verbose exclude each other: give one of them", "");
	REFUSED(&t_run, "run --clone", "'igloo run' needs [--] COMMAND [ARGUMENT...]", "usage: igloo run [options]");
	REFUSED(&t_rm, "rm a b c", "'igloo rm' has no use for 'c'", "usage: igloo rm [options] BOX...");
	CHECK(parse(&t_run, "run --help") == 0 && inv.global.help && inv.argc == 0);
	CHECK(parse(&t_run, "run --version --clone --read-only") == 0 && inv.global.version);
}

TEST(own_options_before_and_behind_the_verb)
{
	_cleanup_strv_ struct strv words = STRV_INIT;
	int used = 0;

	strv_split(&words, "igloo -v --json run -v x", ' ');
	options_release(&inv);
	CHECK(options_parse(&inv, 6, words.v, &used, NULL) == 0 && used == 3);
	inv.cmd = &t_run;
	CHECK(options_parse(&inv, 3, words.v + 3, NULL, NULL) == 0);
	CHECK(inv.global.verbose == 2 && inv.global.json && inv.argc == 1);
}

static const char *const no_names[] = {"name", NULL};

/* The normal form of the last line that was parsed, joined by blanks. */
static char *normal(void)
{
	_cleanup_strv_ struct strv v = STRV_INIT;
	_cleanup_str_ struct str s = STR_INIT;

	if (options_normal(&inv, no_names, &v, NULL) < 0)
		return xstrdup("(error)");
	for (size_t i = 0; i < v.n; i++)
		str_addf(&s, "%s%s", i ? " " : "", v.v[i]);
	return str_take(&s);
}

TEST(normal_form)
{
	_cleanup_free_ char *first = NULL;
	_cleanup_free_ char *second = NULL;

	CHECK(parse(&t_run, "run -m 1536M --cpus 0.5 --timeout 90s --pids 7 --name x --in vm -p 1:2 -p 0:3 --share-ro "
			    "/tmp/../tmp --share-ro /tmp:/x//y -e A "
			    "--read-only -- true") == 0);
	first = normal();
	CHECK_STR(first, "--in=vm --read-only --share-ro=/tmp --share-ro=/tmp:/x/y --cpus=500m --memory=1536M --pids=7 "
			 "--timeout=90s "
			 "--publish=1:2 --publish=0:3 --env=A");
	{
		_cleanup_free_ char *line = xasprintf("run %s -- true", first);

		CHECK(parse(&t_run, line) == 0);
	}
	second = normal();
	CHECK_STR(second, first);
	CHECK(parse(&t_run, "run --memory 1024M --cpus 4000m --timeout 120 -- true") == 0);
	free(first);
	first = normal();
	CHECK_STR(first, "--cpus=4 --memory=1G --timeout=2m");
	CHECK(parse(&t_run, "run --share-rw /nowhere/at/all -- true") == 0);
	free(first);
	first = normal();
	CHECK_STR(first, "(error)");
	CHECK(parse(&t_rm, "rm -f -ll x") == 0);
	free(first);
	first = normal();
	CHECK_STR(first, "--force --level --level");
}

TEST(paths_that_lead_elsewhere)
{
	char dir[] = "/tmp/options-XXXXXX";
	_cleanup_free_ char *line = NULL;
	_cleanup_free_ char *path = NULL;

	CHECK(mkdtemp(dir));
	path = xasprintf("%s/here", dir);
	line = xasprintf("run --share-ro /tmp --share-ro %s -- true", path);
	CHECK(mkdir(path, 0700) == 0 && parse(&t_run, line) == 0 && options_paths_hold(&inv, NULL) == 0);
	CHECK(rmdir(path) == 0 && options_paths_hold(&inv, NULL) == -ENOENT);
	CHECK(symlink("/", path) == 0 && options_paths_hold(&inv, NULL) == -ESTALE);
	CHECK(unlink(path) == 0 && rmdir(dir) == 0);
}

TEST(variables_stand_in)
{
	CHECK(setenv("IGLOO_SLOT", "agent-1", 1) == 0);
	CHECK(parse(&t_run, "run x") == 0 && options_given(&inv, "slot"));
	CHECK_STR(box()->slot, "agent-1");
	CHECK(parse(&t_run, "run --slot=mine x") == 0);
	CHECK_STR(box()->slot, "mine");
	CHECK(setenv("IGLOO_SLOT", "", 1) == 0);
	CHECK(parse(&t_run, "run x") == 0 && !box()->slot);
	CHECK(setenv("IGLOO_SLOT", "../x", 1) == 0);
	CHECK(parse(&t_run, "run x") < 0);
	CHECK(str_starts(err_message(error), "IGLOO_SLOT (in the environment, for --slot): '../x'"));
	CHECK(unsetenv("IGLOO_SLOT") == 0);
}

static const char *find(const char *a, const char *b, int *ret_words)
{
	char *argv[] = {(char *)(uintptr_t)a, (char *)(uintptr_t)b, NULL};
	const struct cmd *cmd = NULL;

	err_clear(&error);
	return cmd_find(b ? 2 : 1, argv, &cmd, ret_words, &error) < 0 ? NULL : cmd->name;
}

TEST(finding_commands)
{
	int words = 0;

	CHECK_STR(find("run", "rm", &words), "run");
	CHECK(words == 1);
	CHECK_STR(find("slot", "ls", &words), "slot ls");
	CHECK(words == 2);
	CHECK_STR(find("ruin", NULL, &words), "ruin");
	CHECK(!find("rum", NULL, &words));
	CHECK_STR(err_message(error), "'rum' is not an igloo command");
	CHECK_STR(err_hints(error), "did you mean 'run'?");
	CHECK(!find("solt", NULL, &words));
	CHECK_STR(err_hints(error), "did you mean 'slot'?");
	CHECK(!find("xyzzy", NULL, &words));
	CHECK_STR(err_hints(error), "'igloo help' lists the commands");
	CHECK(!find("slot", NULL, &words) && strstr(err_message(error), "needs a verb"));
	CHECK(!find("slot", "mr", &words));
	CHECK_STR(err_message(error), "'slot mr' is not an igloo command");
	CHECK_STR(err_hints(error), "did you mean 'slot rm'?");
}

static void count(const struct opt *o, void *data)
{
	size_t *n = data;

	(*n)++;
	if ((o->kind == OPT_CHOICE) != (o->choices != NULL) || opt_takes_arg(o) != (o->arg != NULL) || !o->help)
		abort();
	if ((o->kind == OPT_SIZE || o->kind == OPT_COUNT) && o->max == 0)
		abort();
}

TEST(tables_are_sound)
{
	for (const struct cmd *const *c = commands; *c; c++) {
		size_t n = 0;

		for (const struct opt *o = global_opts; o->name; o++)
			count(o, &n);
		options_each(*c, count, &n);
		CHECK(n <= OPTIONS_MAX && (*c)->args && (*c)->summary && (*c)->run);
	}
}

TEST(help_fits_the_terminal)
{
	_cleanup_str_ struct str s = STR_INIT;

	help_add_command(&s, &t_run);
	help_add_overall(&s);
	help_add_family(&s, "slot");
	CHECK(strstr(s.p, "Usage: igloo run [options] [--] COMMAND [ARGUMENT...]\n"));
	CHECK(strstr(s.p, "\n  -m, --memory SIZE         at most SIZE memory"));
	CHECK(strstr(s.p, "  slot rm "));
	CHECK(!strstr(s.p, "ruin"));
	for (const char *p = s.p; *p; p += strcspn(p, "\n") + 1)
		CHECK(strcspn(p, "\n") <= 80);
}

TEST(errors_for_people_and_programs)
{
	_cleanup_str_ struct str s = STR_INIT;
	struct err *e = NULL;

	(void)err_set(&e, ENOENT, "no \"box\"\033[2J");
	(void)err_detail(&e, "line 1\nline\t2 \xff");
	(void)err_hint(&e, "look");
	(void)err_hint(&e, "again");
	report_add_error(&s, e, "rm", false);
	CHECK_STR(str_text(&s), "igloo: no \"box\"\\x1b[2J\n  line 1\n  line\t2 \\xff\nhint: look\nhint: again\n");
	str_clear(&s);
	report_add_error(&s, e, "rm", true);
	CHECK_STR(str_text(&s), "{\"command\":\"rm\",\"detail\":\"line 1\\nline\\t2 \\\\xff\",\"errno\":2,\"exit\":125,"
				"\"hints\":[\"look\",\"again\"],\"message\":\"no \\\"box\\\"\\\\x1b[2J\","
				"\"schema\":\"igloo.error/1\"}\n");
	str_clear(&s);
	err_free(e);
	e = NULL;
	(void)err_set(&e, EIO, "x");
	report_add_error(&s, e, NULL, true);
	CHECK_STR(str_text(&s), "{\"command\":null,\"detail\":null,\"errno\":5,\"exit\":125,\"hints\":[],"
				"\"message\":\"x\",\"schema\":\"igloo.error/1\"}\n");
	err_free(e);
}

TEST_MAIN()
