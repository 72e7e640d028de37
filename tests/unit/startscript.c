/* cmd/startscript.h: a shell reads it as it is meant, whatever is in names and paths. */
#include "cmd/startscript.h"
#include "sys/spawn.h"
#include "test.h"

static struct definition odd(void)
{
	struct definition d = {.directory = xstrdup("/x\nrm -rf /\n'\"`$(touch oops)`\xff/sub"),
			       .repository = xstrdup("/x\nexit 9"),
			       .slot = xstrdup("s-0"),
			       .kind = xstrdup("vm\nexit 8"),
			       .mode = xstrdup("direct"),
			       .created = 86400};

	strv_add(&d.options, "--share-ro=/a\nexit 7\n:/b");
	strv_add(&d.options, "--env=TOKEN=hidden");
	strv_add(&d.options, "--env=PLAIN");
	strv_add(&d.command, "a\nb'c");
	return d;
}

/* Runs the text by sh with a program in place of igloo that prints its arguments. */
static char *run(const struct str *script)
{
	char sh[] = "sh";
	char c[] = "-c";
	char *text = xstrdup(str_text(script));
	char argument[] = "more words";
	char *const argv[] = {sh, c, text, sh, argument, NULL};
	const struct spawn s = {.file = "/bin/sh", .argv = argv, .max_output = 65536};
	struct str out = STR_INIT;

	if (spawn_check(&s, &out, NULL) < 0)
		str_adds(&out, "(failed)");
	free(text);
	return str_take(&out);
}

TEST(nothing_leaves_its_comment)
{
	_cleanup_definition_ struct definition d = odd();
	_cleanup_str_ struct str script = STR_INIT;
	_cleanup_free_ char *said = NULL;

	startscript_add(&script, "dev", &d, "/bin/echo");
	for (const char *line = str_text(&script); *line; line = strchr(line, '\n') + 1)
		CHECK(*line == '#' || *line == '\n' || strncmp(line, "igloo=", 6) == 0 || *line == '[' ||
		      strncmp(line, "exec ", 5) == 0);
	said = run(&script);
	CHECK_STR(said, "start dev more words\n");
	CHECK(!strstr(str_text(&script), "hidden"));
	CHECK(strstr(str_text(&script), "#     --env=TOKEN=...\n"));
	CHECK(strstr(str_text(&script), "#     --env=PLAIN\n"));
	CHECK(strstr(str_text(&script), "read-only:  /a\\x0aexit 7\\x0a:/b\n"));
	CHECK(strstr(str_text(&script), "created:    1970-01-02 00:00 UTC\n"));
}

TEST(the_program_is_quoted)
{
	_cleanup_definition_ struct definition d = odd();
	_cleanup_str_ struct str script = STR_INIT;
	_cleanup_str_ struct str plain = STR_INIT;

	startscript_add(&script, "dev", &d, "/no/'such\n igloo");
	CHECK(strstr(str_text(&script), "igloo='/no/'\\''such\n igloo'\n"));
	startscript_add(&plain, "dev", &d, NULL);
	CHECK(strstr(str_text(&plain), "igloo=igloo\nexec \"$igloo\" start dev \"$@\"\n"));
}

TEST_MAIN()
