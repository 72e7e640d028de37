#include "test.h"

#include "nix/record.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

static char dir_name[] = "/tmp/igloo-record-XXXXXX";
static int dir_fd = -1;

static int dir(void)
{
	if (dir_fd < 0 && mkdtemp(dir_name))
		dir_fd = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir_fd;
}

static char *env[] = {(char[]){"A=1"}, (char[]){"B="}, (char[]){"C=x=y\n\xff"}, NULL};
static char *functions[] = {(char[]){"buildPhase"}, (char[]){"foo-bar"}, NULL};
static struct record_path closure[] = {
	{"/nix/store/00000000000000000000000000000000-a", true},
	{"/nix/store/00000000000000000000000000000000-b", false},
};

static struct env_record sample(void)
{
	return (struct env_record){
		.key = {1, 2, 0xff},
		.created = 1795259942,
		.has_hook = true,
		.shell = "default",
		.platform = "x86_64-linux",
		.nix_version = "2.8.0",
		.flake_dir = "/home/u/a b",
		.env_path = "/nix/store/00000000000000000000000000000000-X-env",
		.bash = "/nix/store/00000000000000000000000000000000-bash/bin/bash",
		.script = "x='1\n2'\n",
		.requests = "{\"allow\":[\"github.com\"]}",
		.env = env,
		.n_env = 3,
		.functions = functions,
		.n_functions = 2,
		.closure = closure,
		.n_closure = 2,
	};
}

static void cleanup(void)
{
	(void)unlinkat(dir_fd, "r", 0);
	(void)unlinkat(dir_fd, "big", 0);
	(void)rmdir(dir_name);
}

TEST(checksum_is_xxh64)
{
	/* Vectors of the reference implementation, seed 0. */
	CHECK(record_checksum("", 0) == 0xef46db3751d8e999U);
	CHECK(record_checksum("a", 1) == 0xd24ec4f1a98c6e5bU);
	CHECK(record_checksum("abc", 3) == 0x44bc2cf5ad770999U);
	CHECK(record_checksum("Nobody inspects the spammish repetition", 39) == 0xfbcea83c8a378bf1U);
}

TEST(round_trip)
{
	struct env_record in = sample();
	_cleanup_record_ struct env_record out = {0};

	(void)atexit(cleanup);
	CHECK(record_write(dir(), "r", &in, NULL) == 0);
	CHECK(record_read(dir(), "r", &out, NULL) == 0);
	CHECK(memcmp(in.key, out.key, sizeof(in.key)) == 0);
	CHECK(out.created == in.created && out.has_hook);
	CHECK_STR(out.shell, "default");
	CHECK_STR(out.platform, "x86_64-linux");
	CHECK_STR(out.nix_version, "2.8.0");
	CHECK_STR(out.flake_dir, in.flake_dir);
	CHECK_STR(out.env_path, in.env_path);
	CHECK_STR(out.bash, in.bash);
	CHECK_STR(out.bash_interactive, "");
	CHECK_STR(out.script, in.script);
	CHECK_STR(out.attrs_json, "");
	CHECK(out.n_env == 3 && !out.env[3]);
	CHECK_STR(out.env[2], env[2]);
	CHECK(out.n_functions == 2 && !out.functions[2]);
	CHECK(record_has_function(&out, "foo-bar") && record_has_function(&out, "buildPhase"));
	CHECK(!record_has_function(&out, "foo") && !record_has_function(&out, "zz"));
	CHECK(out.n_closure == 2 && out.closure[0].host && !out.closure[1].host);
	CHECK_STR(out.closure[1].path, closure[1].path);
}

TEST(nothing_in_it)
{
	struct env_record in = {0};
	_cleanup_record_ struct env_record out = {0};

	CHECK(record_write(dir(), "r", &in, NULL) == 0);
	CHECK(record_read(dir(), "r", &out, NULL) == 0);
	CHECK(out.n_env == 0 && !out.env[0] && out.n_closure == 0 && !out.has_hook);
	CHECK_STR(out.script, "");
}

TEST(every_damage_is_found)
{
	struct env_record in = sample();
	_cleanup_str_ struct str s = STR_INIT;

	CHECK(record_encode(&in, &s, NULL) == 0);
	for (size_t i = 0; i < s.len; i++) {
		_cleanup_record_ struct env_record out = {0};

		s.p[i] = (char)(s.p[i] ^ 0x20);
		CHECK(record_decode(s.p, s.len, &out, NULL) == -EBADMSG);
		CHECK(!out.file_);
		s.p[i] = (char)(s.p[i] ^ 0x20);
		CHECK(record_decode(s.p, i, &out, NULL) == -EBADMSG);
	}
}

TEST(a_file_that_is_no_record)
{
	_cleanup_record_ struct env_record out = {0};
	_cleanup_err_ struct err *e = NULL;

	CHECK(record_read(dir(), "none", &out, NULL) == -ENOENT);
	CHECK(record_read(dir(), ".", &out, NULL) == -EBADMSG);
	CHECK(file_replace(dir(), "r", "hello", 5, 0600, false, NULL) == 0);
	CHECK(record_read(dir(), "r", &out, &e) == -EBADMSG);
	CHECK_STR(err_message(e), "'r': environment record: it is no environment record");
}

TEST(refuses_to_write_what_it_could_not_read)
{
	struct env_record in = sample();
	struct record_path swapped[] = {closure[1], closure[0]};
	char *twice[] = {functions[1], functions[1], NULL};
	char *no_name[] = {(char[]){"=x"}, NULL};
	_cleanup_str_ struct str s = STR_INIT;

	in.closure = swapped;
	CHECK(record_encode(&in, &s, NULL) == -EINVAL);
	in = sample();
	in.functions = twice;
	CHECK(record_encode(&in, &s, NULL) == -EINVAL);
	in = sample();
	in.env = no_name;
	in.n_env = 1;
	CHECK(record_encode(&in, &s, NULL) == -EINVAL);
	in = sample();
	in.env_path = "/etc/passwd";
	CHECK(record_encode(&in, &s, NULL) == -EINVAL);
	CHECK(s.len == 0);
}

TEST(json)
{
	struct env_record in = sample();
	_cleanup_str_ struct str s = STR_INIT;

	record_add_json(&s, &in);
	CHECK(strstr(s.p, "\"schema\":\"igloo.env/1\""));
	CHECK(strstr(s.p, "\"key\":\"0102ff00"));
	CHECK(strstr(s.p, "\"C\":\"x=y\\n\xef\xbf\xbd\""));
	CHECK(strstr(s.p, "\"bashInteractive\":null"));
	CHECK(strstr(s.p, "\"requests\":{\"allow\":[\"github.com\"]}"));
	CHECK(strstr(s.p, "\"closure\":[{\"host\":true,\"path\":\"/nix/store/00000000000000000000000000000000-a\"},"));
}

static uint64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* 2000 paths, 300 KB of script, 130 variables: printed, and a bar that only a grave mistake misses. */
TEST(large_and_quick)
{
	enum { PATHS = 2000, SCRIPT = 300000, VARIABLES = 130, ROUNDS = 200 };
	struct env_record in = sample();
	_cleanup_free_ struct record_path *paths = xcalloc(PATHS, sizeof(*paths));
	_cleanup_strv_ struct strv texts = STRV_INIT;
	_cleanup_strv_ struct strv variables = STRV_INIT;
	_cleanup_free_ char *script = xmalloc(SCRIPT + 1);
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < PATHS; i++) {
		strv_addf(&texts, "/nix/store/%032d-some-package-with-a-name-1.2.%d", i, i);
		paths[i] = (struct record_path){texts.v[i], i % 2};
	}
	for (int i = 0; i < VARIABLES; i++)
		strv_addf(&variables, "VARIABLE_%d=%0500d", i, i);
	memset(script, 'x', SCRIPT);
	script[SCRIPT] = '\0';
	in.closure = paths;
	in.n_closure = PATHS;
	in.env = variables.v;
	in.n_env = variables.n;
	in.script = script;
	CHECK(record_write(dir(), "big", &in, NULL) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		_cleanup_record_ struct env_record out = {0};
		uint64_t start = now_ns();

		CHECK(record_read(dir(), "big", &out, NULL) == 0);
		CHECK(out.n_closure == PATHS);
		start = now_ns() - start;
		best = start < best ? start : best;
	}
	printf("# reading 2000 paths and 300 KB: %llu us\n", (unsigned long long)best / 1000);
	CHECK(best < 20000000U);
}

TEST_MAIN()
