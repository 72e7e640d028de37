#include "test.h"

#include "nix/nixlog.h"

/* What Nix 2.8.0 wrote: a failing build behind a good one, an error of the evaluation behind a trace, and a path from
 * a binary cache (some of the many progress lines left out). */
/* clang-format off */
static const char build_failure[] =
	"@nix {\"action\":\"start\",\"id\":39427799777280,\"level\":4,\"text\":\"copying '/home/u/flake'\",\"type\":0}\n"
	"@nix {\"action\":\"stop\",\"id\":39427799777280}\n"
	"@nix {\"action\":\"start\",\"id\":39427799777281,\"level\":0,\"text\":\"\",\"type\":102}\n"
	"@nix {\"action\":\"start\",\"id\":39427799777282,\"level\":0,\"text\":\"\",\"type\":104}\n"
	"@nix {\"action\":\"start\",\"id\":39427799777283,\"level\":0,\"text\":\"\",\"type\":103}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,1,0,0],\"id\":39427799777282,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39427799777283,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[101,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[100,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"start\",\"id\":39427799777284,\"level\":6,\"text\":\"querying info about missing paths\",\"type\":0}\n"
	"@nix {\"action\":\"stop\",\"id\":39427799777284}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,2,0,0],\"id\":39427799777282,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39427799777283,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[101,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[100,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"start\",\"fields\":[\"/nix/store/d5fsrp9pxvy5xylrmibw0aljm7si0nwj-ok-1.0.drv\",\"\",1,1],\"id\":39427799777285,\"level\":3,\"text\":\"building '/nix/store/d5fsrp9pxvy5xylrmibw0aljm7si0nwj-ok-1.0.drv'\",\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,2,1,0],\"id\":39427799777282,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39427799777283,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[101,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[100,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[\"line1\"],\"id\":39427799777285,\"type\":101}\n"
	"@nix {\"action\":\"result\",\"fields\":[\"esc \\u001b[31mred\\u001b[0m\"],\"id\":39427799777285,\"type\":101}\n"
	"@nix {\"action\":\"result\",\"fields\":[1,2,0,0],\"id\":39427799777282,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39427799777283,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[101,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[100,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"stop\",\"id\":39427799777285}\n"
	"@nix {\"action\":\"start\",\"fields\":[\"/nix/store/r7247cngr150gb26zjbsf1j0fdm5wv1x-bad-2.0.drv\",\"\",1,1],\"id\":39427799777286,\"level\":3,\"text\":\"building '/nix/store/r7247cngr150gb26zjbsf1j0fdm5wv1x-bad-2.0.drv'\",\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[1,2,1,0],\"id\":39427799777282,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39427799777283,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[101,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[100,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[\"log 1\"],\"id\":39427799777286,\"type\":101}\n"
	"@nix {\"action\":\"result\",\"fields\":[\"log 2\"],\"id\":39427799777286,\"type\":101}\n"
	"@nix {\"action\":\"result\",\"fields\":[\"log 3\"],\"id\":39427799777286,\"type\":101}\n"
	"@nix {\"action\":\"result\",\"fields\":[\"oops\"],\"id\":39427799777286,\"type\":101}\n"
	"@nix {\"action\":\"result\",\"fields\":[1,1,0,1],\"id\":39427799777282,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39427799777283,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[101,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[100,0],\"id\":39427799777281,\"type\":106}\n"
	"@nix {\"action\":\"stop\",\"id\":39427799777286}\n"
	"@nix {\"action\":\"stop\",\"id\":39427799777283}\n"
	"@nix {\"action\":\"stop\",\"id\":39427799777282}\n"
	"@nix {\"action\":\"stop\",\"id\":39427799777281}\n"
	"@nix {\"action\":\"msg\",\"column\":null,\"file\":null,\"level\":0,\"line\":null,\"msg\":\"\\u001b[31;1merror:\\u001b[0m \\u001b[35;1m\\u001b[0mbuilder for '\\u001b[35;1m/nix/store/r7247cngr150gb26zjbsf1j0fdm5wv1x-bad-2.0.drv\\u001b[0m' failed with exit code 5\\u001b[0m\",\"raw_msg\":\"\\u001b[35;1m\\u001b[0mbuilder for '\\u001b[35;1m/nix/store/r7247cngr150gb26zjbsf1j0fdm5wv1x-bad-2.0.drv\\u001b[0m' failed with exit code 5\\u001b[0m\"}\n";
static const char evaluation_error[] =
	"@nix {\"action\":\"start\",\"id\":39470749450240,\"level\":4,\"text\":\"copying '/home/u/ev'\",\"type\":0}\n"
	"@nix {\"action\":\"stop\",\"id\":39470749450240}\n"
	"@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"trace: tr\"}\n"
	"@nix {\"action\":\"msg\",\"column\":null,\"file\":null,\"level\":0,\"line\":null,\"msg\":\"\\u001b[31;1merror:\\u001b[0m boom\\n       second\",\"raw_msg\":\"boom\\nsecond\"}\n";
static const char substitution[] =
	"@nix {\"action\":\"start\",\"id\":39749922324480,\"level\":0,\"text\":\"\",\"type\":102}\n"
	"@nix {\"action\":\"start\",\"id\":39749922324481,\"level\":0,\"text\":\"\",\"type\":104}\n"
	"@nix {\"action\":\"start\",\"id\":39749922324482,\"level\":0,\"text\":\"\",\"type\":103}\n"
	"@nix {\"action\":\"start\",\"id\":39749922324483,\"level\":6,\"text\":\"querying info about missing paths\",\"type\":0}\n"
	"@nix {\"action\":\"start\",\"fields\":[\"https://cache.example.org/nix-cache-info\"],\"id\":39749922324484,\"level\":4,\"text\":\"downloading 'https://cache.example.org/nix-cache-info'\",\"type\":101}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39749922324484,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[29,29,0,0],\"id\":39749922324484,\"type\":105}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324484}\n"
	"@nix {\"action\":\"start\",\"fields\":[\"/nix/store/3s018l2dr557lfc2r1gs1bqfb4fg73ay-big\",\"https://cache.example.org\"],\"id\":39749922324485,\"level\":4,\"text\":\"querying info about '/nix/store/3s018l2dr557lfc2r1gs1bqfb4fg73ay-big' on 'https://cache.example.org'\",\"type\":109}\n"
	"@nix {\"action\":\"start\",\"fields\":[\"https://cache.example.org/3s018l2dr557lfc2r1gs1bqfb4fg73ay.narinfo\"],\"id\":39749922324486,\"level\":4,\"text\":\"downloading 'https://cache.example.org/3s018l2dr557lfc2r1gs1bqfb4fg73ay.narinfo'\",\"type\":101}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39749922324486,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[389,389,0,0],\"id\":39749922324486,\"type\":105}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324485}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324486}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324483}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39749922324481,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,1,0,0],\"id\":39749922324482,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[101,3000324],\"id\":39749922324480,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[100,3000112],\"id\":39749922324480,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39749922324481,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,1,1,0],\"id\":39749922324482,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[101,3000324],\"id\":39749922324480,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[100,3000112],\"id\":39749922324480,\"type\":106}\n"
	"@nix {\"action\":\"start\",\"fields\":[\"/nix/store/3s018l2dr557lfc2r1gs1bqfb4fg73ay-big\",\"https://cache.example.org\"],\"id\":39749922324487,\"level\":0,\"text\":\"\",\"type\":108}\n"
	"@nix {\"action\":\"start\",\"fields\":[\"/nix/store/3s018l2dr557lfc2r1gs1bqfb4fg73ay-big\",\"https://cache.example.org\",\"local\"],\"id\":39749922324488,\"level\":3,\"text\":\"copying path '/nix/store/3s018l2dr557lfc2r1gs1bqfb4fg73ay-big' from 'https://cache.example.org'\",\"type\":100}\n"
	"@nix {\"action\":\"start\",\"fields\":[\"https://cache.example.org/nar/1p5lkm7zd6n8qrzg2ziz4ph2pl7j9n81v3f0kz86haqiy4lxngha.nar.xz\"],\"id\":39749922324489,\"level\":4,\"text\":\"downloading 'https://cache.example.org/nar/1p5lkm7zd6n8qrzg2ziz4ph2pl7j9n81v3f0kz86haqiy4lxngha.nar.xz'\",\"type\":101}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39749922324489,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[8192,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[335872,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[663552,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[991232,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[1318912,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[1646592,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[1974272,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[2301952,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[3000324,3000324,0,0],\"id\":39749922324489,\"type\":105}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324489}\n"
	"@nix {\"action\":\"result\",\"fields\":[2629632,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[2957312,3000112,0,0],\"id\":39749922324488,\"type\":105}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324488}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324487}\n"
	"@nix {\"action\":\"result\",\"fields\":[0,0,0,0],\"id\":39749922324481,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[1,1,0,0],\"id\":39749922324482,\"type\":105}\n"
	"@nix {\"action\":\"result\",\"fields\":[101,3000324],\"id\":39749922324480,\"type\":106}\n"
	"@nix {\"action\":\"result\",\"fields\":[100,3000112],\"id\":39749922324480,\"type\":106}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324482}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324481}\n"
	"@nix {\"action\":\"stop\",\"id\":39749922324480}\n";
/* clang-format on */

static struct str said = STR_INIT;

static void on_text(void *arg, enum nixlog_kind kind, const char *name, const char *text)
{
	static const char *const kinds[] = {"error", "warning", "note", "build", "text"};

	CHECK(arg == &said);
	str_addf(&said, "%s[%s] %s\n", kinds[kind], name ? name : "", text);
}

static struct nixlog *start(bool colours)
{
	struct nixlog_options o = {.colours = colours, .keep = 2, .on_text = on_text, .arg = &said};

	str_clear(&said);
	return nixlog_new(&o);
}

static void feed(struct nixlog *log, const char *text)
{
	nixlog_feed(log, text, strlen(text));
}

/* The summary once everything up to and with the first line that holds `until` was read. */
static void check_summary(const char *sample, const char *until, const char *summary)
{
	_cleanup_nixlog_ struct nixlog *log = nixlog_new(NULL);
	_cleanup_str_ struct str s = STR_INIT;
	const char *at = strstr(sample, until);

	CHECK(at);
	nixlog_feed(log, sample, (size_t)(strchr(at, '\n') + 1 - sample));
	nixlog_add_summary(log, &s);
	CHECK_STR(str_text(&s), summary);
}

TEST(summaries)
{
	check_summary(build_failure, "copying '/home", "copying '/home/u/flake'");
	check_summary(build_failure, "querying", "building (0/1)");
	check_summary(build_failure, "building '/nix/store/d5f", "building ok-1.0 (0/2)");
	check_summary(build_failure, "log 2", "building bad-2.0 (1/2)");
	check_summary(build_failure, "[1,1,0,1]", "building bad-2.0 (1/1), 1 failed");
	check_summary(
		substitution, "querying info about '",
		"querying info about '/nix/store/3s018l2dr557lfc2r1gs1bqfb4fg73ay-big' on 'https://cache.example.org'");
	check_summary(substitution, "[0,1,1,0]", "fetching 418 B/2.9 MiB");
	check_summary(substitution, "\"text\":\"copying path", "fetching 418 B/2.9 MiB");
	check_summary(substitution, "[3000324,3000324", "fetching 2.9 MiB");
	check_summary(evaluation_error, "\"stop\"", "evaluating");
}

TEST(progress_in_numbers)
{
	_cleanup_nixlog_ struct nixlog *log = nixlog_new(NULL);
	struct nixlog_progress p;

	feed(log, substitution);
	nixlog_progress(log, &p);
	CHECK(p.copies_done == 1 && p.copies_expected == 1 && p.builds_expected == 0);
	CHECK(p.bytes_done == 3000324 + 389 + 29);
	CHECK(p.building == 0 && p.fetching == 0 && p.querying == 0);
}

TEST(a_failed_build)
{
	_cleanup_nixlog_ struct nixlog *log = start(false);
	_cleanup_str_ struct str s = STR_INIT;

	/* cut anywhere */
	for (const char *p = build_failure; *p; p++)
		nixlog_feed(log, p, 1);
	nixlog_end(log);
	nixlog_add_failure(log, &s);
	CHECK_STR(s.p, "error: builder for '/nix/store/r7247cngr150gb26zjbsf1j0fdm5wv1x-bad-2.0.drv' failed with exit "
		       "code 5\n"
		       "last lines of bad-2.0's log:\n  > log 3\n  > oops\n");
	CHECK_STR(str_text(&said),
		  "build[ok-1.0] line1\nbuild[ok-1.0] esc red\nbuild[bad-2.0] log 1\nbuild[bad-2.0] log 2\n"
		  "build[bad-2.0] log 3\nbuild[bad-2.0] oops\n"
		  "error[] error: builder for '/nix/store/r7247cngr150gb26zjbsf1j0fdm5wv1x-bad-2.0.drv' "
		  "failed with exit code 5\n");
	CHECK(str_starts(nixlog_text(log), "ok-1.0> line1\nok-1.0> esc red\nbad-2.0> log 1\n"));
}

/* 2.34 words it otherwise and colours more; the derivation is named all the same. */
TEST(a_failed_build_in_newer_words)
{
	_cleanup_nixlog_ struct nixlog *log = start(true);
	_cleanup_str_ struct str s = STR_INIT;

	feed(log, "@nix {\"action\":\"start\",\"id\":3,\"level\":3,\"parent\":0,\"text\":\"building\",\"type\":105,"
		  "\"fields\":[\"/nix/store/aw3sdj9yh2ihxnyqnjxi6p654xbz6czx-bad-2.0.drv\",\"\",1,1]}\n"
		  "@nix {\"action\":\"result\",\"fields\":[\"oops\"],\"id\":3,\"type\":101}\n"
		  "@nix {\"action\":\"stop\",\"id\":3}\n"
		  "@nix {\"action\":\"msg\",\"level\":0,\"msg\":\"\\u001b[31;1merror:\\u001b[0m Cannot build "
		  "'\\u001b[35;1m/nix/store/aw3sdj9yh2ihxnyqnjxi6p654xbz6czx-bad-2.0.drv\\u001b[0m'.\"}\n");
	nixlog_add_failure(log, &s);
	CHECK_STR(s.p, "\x1b[31;1merror:\x1b[0m Cannot build "
		       "'\x1b[35;1m/nix/store/aw3sdj9yh2ihxnyqnjxi6p654xbz6czx-bad-2.0.drv\x1b[0m'.\x1b[0m\n"
		       "last lines of bad-2.0's log:\n  > oops\n");
}

TEST(an_error_of_the_evaluation)
{
	_cleanup_nixlog_ struct nixlog *log = start(true);

	feed(log, evaluation_error);
	CHECK_STR(str_text(&said), "note[] trace: tr\nerror[] \x1b[31;1merror:\x1b[0m boom\n       second\x1b[0m\n");
}

TEST(text_survives)
{
	_cleanup_nixlog_ struct nixlog *log = start(false);
	_cleanup_str_ struct str s = STR_INIT;

	feed(log, "hello\r\n@nix {\"action\":\"start\",\"id\":1,\n@nix nope\n@nix {\"action\":\"msg\"}\n@nix []\n"
		  "@nix {\"action\":\"msg\",\"level\":1,\"msg\":\"\\u001b[35;1mwarning:\\u001b[0m dirty\"}\n"
		  "\x1b]0;title\x07\x1b[2J\x1b[1m\xff\nlast");
	nixlog_end(log);
	CHECK_STR(str_text(&said), "text[] hello\ntext[] @nix {\"action\":\"start\",\"id\":1,\ntext[] @nix nope\n"
				   "text[] @nix {\"action\":\"msg\"}\ntext[] @nix []\nwarning[] warning: dirty\n"
				   "text[] \\x1b]0;title\\x07\\x1b[2J\\xff\ntext[] last\n");
	/* no error of Nix: all there is */
	nixlog_add_failure(log, &s);
	CHECK(strstr(s.p, "hello\n") && strstr(s.p, "last\n"));
}

TEST(endless_lines_and_lies)
{
	_cleanup_nixlog_ struct nixlog *log = nixlog_new(NULL);
	_cleanup_str_ struct str s = STR_INIT;
	struct nixlog_progress p;

	for (int i = 0; i < 100000; i++)
		feed(log, "@nix {\"action\"");
	feed(log, "\nafter\n");
	CHECK(strlen(nixlog_text(log)) < 300000 && str_ends(nixlog_text(log), "\nafter\n"));
	for (int i = 0; i < 10000; i++)
		str_addf(&s,
			 "@nix {\"action\":\"start\",\"id\":%d,\"type\":104}\n"
			 "@nix {\"action\":\"result\",\"id\":%d,\"type\":105,\"fields\":[-5,9223372036854775807]}\n"
			 "@nix {\"action\":\"result\",\"id\":%d,\"type\":106,\"fields\":[999,1]}\n"
			 "@nix {\"action\":\"stop\",\"id\":%d}\n",
			 i, i, i, i - 1);
	feed(log, s.p);
	nixlog_progress(log, &p);
	CHECK(p.builds_done == 0 && p.builds_expected == UINT64_C(1) << 50);
}

TEST_MAIN()
