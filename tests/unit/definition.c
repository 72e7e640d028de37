/* box/definition.h: what is kept of a box that stays. */
#include "box/definition.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct definition sample(void)
{
	struct definition d = {.directory = xstrdup("/src/a b/sub"),
			       .repository = xstrdup("/src/a b"),
			       .slot = xstrdup("a-0123456789ab"),
			       .kind = xstrdup("vm"),
			       .mode = xstrdup("direct"),
			       .created = 1234567890};

	strv_add(&d.options, "--in=vm");
	strv_add(&d.options, "--share-ro=/odd\n'\"\\\xff\xfe");
	strv_add(&d.command, "");
	strv_add(&d.command, "{\"base64\": \"\"}");
	strv_add(&d.command, "\xc3\xa4\x01");
	return d;
}

TEST(returns_what_was_put_in)
{
	_cleanup_definition_ struct definition d = sample();
	_cleanup_definition_ struct definition got = {.directory = NULL};
	_cleanup_str_ struct str bytes = STR_INIT;
	_cleanup_str_ struct str again = STR_INIT;

	CHECK(definition_encode(&d, &bytes, NULL) == 0);
	CHECK(definition_decode(str_text(&bytes), bytes.len, &got, NULL) == 0);
	CHECK_STR(got.directory, d.directory);
	CHECK_STR(got.repository, d.repository);
	CHECK_STR(got.slot, d.slot);
	CHECK_STR(got.kind, "vm");
	CHECK_STR(got.mode, "direct");
	CHECK(got.created == 1234567890);
	CHECK(got.options.n == 2 && got.command.n == 3);
	CHECK_STR(got.options.v[1], d.options.v[1]);
	for (size_t i = 0; i < 3; i++)
		CHECK_STR(got.command.v[i], d.command.v[i]);
	CHECK(definition_encode(&got, &again, NULL) == 0);
	CHECK_STR(str_text(&again), str_text(&bytes));
}

static int decode(const char *text, const char *want)
{
	_cleanup_definition_ struct definition got = {.directory = NULL};
	_cleanup_err_ struct err *e = NULL;
	int r = definition_decode(text, strlen(text), &got, &e);

	if (r < 0 && !strstr(err_message(e), want))
		printf("# %s\n", err_message(e));
	return r < 0 && !strstr(err_message(e), want) ? 1 : r;
}

#define REST(directory, options)                                                                                      \
	"\"created\":1,\"directory\":" directory ",\"repository\":\"/r\",\"slot\":\"s\",\"kind\":\"\",\"mode\":\"\"," \
	"\"options\":" options ",\"command\":[]}"
#define V1 "{\"schema\":\"igloo.definition/1\","

TEST(refuses_what_is_none)
{
	CHECK(decode(V1 REST("\"/d\"", "[]"), "") == 0);
	CHECK(decode(V1 REST("{\"base64\":\"L2Q=\"}", "[]"), "") == 0);
	CHECK(decode("", "empty") == -EBADMSG);
	CHECK(decode("{", "cut off") == -EBADMSG);
	CHECK(decode("[]", "no version") == -EBADMSG);
	CHECK(decode("{\"schema\":\"igloo.box/1\"}", "no version") == -EBADMSG);
	CHECK(decode("{\"schema\":\"igloo.definition/\"}", "no version") == -EBADMSG);
	CHECK(decode("{\"schema\":\"igloo.definition/1x\"}", "no version") == -EBADMSG);
	CHECK(decode("{\"schema\":\"igloo.definition/12\"}", "version 12, and this igloo knows 1") == -ENOTSUP);
	CHECK(decode(V1 "\"created\":1}", "directory") == -EBADMSG);
	CHECK(decode(V1 REST("\"d\"", "[]"), "not absolute") == -EBADMSG);
	CHECK(decode(V1 REST("{\"base64\":\"L2Q\"}", "[]"), "directory") == -EBADMSG);
	CHECK(decode(V1 REST("{\"base64\":\"LwBk\"}", "[]"), "directory") == -EBADMSG);
	CHECK(decode(V1 REST("\"/d\"", "{}"), "options") == -EBADMSG);
	CHECK(decode(V1 REST("\"/d\"", "[1]"), "options") == -EBADMSG);
	CHECK(decode(V1 REST("\"/d\"", "[[[[[]]]]]"), "no JSON") == -EBADMSG);
}

TEST(is_bounded)
{
	_cleanup_definition_ struct definition d = sample();
	_cleanup_definition_ struct definition got = {.directory = NULL};
	_cleanup_str_ struct str bytes = STR_INIT;
	char *large = xmalloc(DEFINITION_BYTES_MAX + 1);

	memset(large, 'x', DEFINITION_BYTES_MAX);
	large[DEFINITION_BYTES_MAX] = '\0';
	strv_add_take(&d.command, large);
	CHECK(definition_encode(&d, &bytes, NULL) == -E2BIG);
	strv_release(&d.command);
	for (int i = 0; i <= DEFINITION_WORDS_MAX; i++)
		strv_add(&d.command, "x");
	CHECK(definition_encode(&d, &bytes, NULL) == -E2BIG);
	strv_release(&d.command);
	str_clear(&bytes);
	CHECK(definition_encode(&d, &bytes, NULL) == 0);
	(void)memset(str_room(&bytes, DEFINITION_BYTES_MAX), ' ', DEFINITION_BYTES_MAX);
	str_grew(&bytes, DEFINITION_BYTES_MAX);
	CHECK(definition_decode(str_text(&bytes), bytes.len, &got, NULL) == -EBADMSG);
}

TEST(is_a_private_file)
{
	char path[] = "/tmp/definition-XXXXXX";
	_cleanup_definition_ struct definition d = sample();
	_cleanup_definition_ struct definition got = {.directory = NULL};
	_cleanup_close_ int dir = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct stat st;

	CHECK(dir >= 0);
	CHECK(!definition_exists(dir));
	CHECK(definition_read(dir, &got, NULL) == -ENOENT);
	CHECK(definition_write(dir, &d, NULL) == 0);
	CHECK(definition_exists(dir));
	CHECK(fstatat(dir, DEFINITION_FILE, &st, 0) == 0 && (st.st_mode & 07777) == 0600);
	CHECK(definition_read(dir, &got, NULL) == 0);
	CHECK_STR(got.directory, d.directory);
	CHECK(unlinkat(dir, DEFINITION_FILE, 0) == 0 && rmdir(path) == 0);
}

TEST_MAIN()
