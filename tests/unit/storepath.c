#include "test.h"

#include "nix/storepath.h"

#include <errno.h>

#define HASH "xkg1yjbq8im89w4rpbxq5jifj60v0vyf"

TEST(syntax)
{
	char name[STOREPATH_NAME_MAX + 2];

	CHECK(storepath_ok("/nix/store/" HASH "-lib-1.2+git_3?x=y"));
	CHECK(storepath_ok("/nix/store/" HASH "-.hidden"));
	CHECK(!storepath_ok("/nix/store/" HASH));
	CHECK(!storepath_ok("/nix/store/" HASH "-"));
	CHECK(!storepath_ok("/nix/store/" HASH "-."));
	CHECK(!storepath_ok("/nix/store/" HASH "-.."));
	CHECK(!storepath_ok("/nix/store/" HASH "-..-x"));
	CHECK(!storepath_ok("/nix/store/" HASH "-x/"));
	CHECK(!storepath_ok("/nix/store/" HASH "-x y"));
	CHECK(!storepath_ok("/nix/store/" HASH "-x\n"));
	CHECK(!storepath_ok("/nix/store/e" HASH "-x"));
	CHECK(!storepath_ok("/nix/store//" HASH "-x"));
	CHECK(!storepath_ok("/nix/storf/" HASH "-x"));
	CHECK(!storepath_ok("/nix/store/../store/" HASH "-x"));
	CHECK(!storepath_ok(""));
	CHECK(storepath_base_ok(HASH "-x"));
	memset(name, 'a', sizeof(name));
	name[STOREPATH_NAME_MAX] = '\0';
	CHECK(storepath_name_ok(name));
	name[STOREPATH_NAME_MAX] = 'a';
	name[STOREPATH_NAME_MAX + 1] = '\0';
	CHECK(!storepath_name_ok(name));
}

TEST(parts)
{
	char root[STOREPATH_SIZE];

	CHECK_STR(storepath_name("/nix/store/" HASH "-a-b"), "a-b");
	CHECK_STR(storepath_base("/nix/store/" HASH "-a-b"), HASH "-a-b");
	CHECK(storepath_root("/nix/store/" HASH "-a/bin/../x", root));
	CHECK_STR(root, "/nix/store/" HASH "-a");
	CHECK(storepath_root("/nix/store/" HASH "-a", root));
	CHECK(!storepath_root("/nix/store/.links/x", root));
	CHECK(!storepath_root("/usr/bin", root));
}

/* The values are what Nix 2.8 printed: `nix-store --add-fixed [--recursive] ALGO FILE`. */
static const char *fixed(bool recursive, enum digest_algo algo, const char *hex, const char *name)
{
	static char path[STOREPATH_SIZE];
	uint8_t hash[DIGEST_BYTES_MAX];

	if (!digest_from_hex(hex, hash, digest_algo_bytes(algo)))
		return NULL;
	return storepath_fixed(recursive, algo, hash, name, path, NULL) == 0 ? path : NULL;
}

TEST(fixed)
{
	static const char nar[] = "650a4468d2c94af7c62a989f1017502482b035d6fce8fc14dab8ba6c973119b9";

	CHECK_STR(fixed(true, DIGEST_SHA256, nar, "source"), "/nix/store/p5i27r5qa4spjzc3m747vrfxpdry18af-source");
	CHECK_STR(fixed(true, DIGEST_SHA256, nar, "tree"), "/nix/store/xzkifzysjngvcbi26xxxp6n9swgwgdpp-tree");
	CHECK_STR(fixed(false, DIGEST_SHA256, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", "a"),
		  "/nix/store/dsnln8dzp7a38dkfhk9p6pldgsb5jpr5-a");
	CHECK_STR(fixed(false, DIGEST_MD5, "b1946ac92492d2347c6235b4d2611184", "a"),
		  "/nix/store/b65n360zzwp7x2m9yvl661wijv4hm9g2-a");
	CHECK_STR(fixed(false, DIGEST_SHA1, "f572d396fae9206628714fb2ce00f72e94f2258f", "a"),
		  "/nix/store/awd4jy664saj3xm7fq51z1zmfqamqw25-a");
	CHECK_STR(fixed(false, DIGEST_SHA512,
			"e7c22b994c59d9cf2b48e549b1e24666636045930d3da7c1acb299d1c3b7f931"
			"f94aae41edda2c2b207a36e10f8bcb8d45223e54878f5b316e7ce3b6bc019629",
			"a"),
		  "/nix/store/s3fjnprwgnp5z6q1rf16jrgvr4iqsqva-a");
}

/* builtins.toFile "hello.txt" "hello\n" */
TEST(text)
{
	uint8_t sum[DIGEST_SHA256_BYTES];
	char path[STOREPATH_SIZE];
	_cleanup_err_ struct err *e = NULL;

	CHECK(digest_sha256("hello\n", 6, sum, NULL) == 0);
	CHECK(storepath_text(sum, NULL, 0, "hello.txt", path, NULL) == 0);
	CHECK_STR(path, "/nix/store/qa1w9gdfrba6jl2r57mb3c43863gqywp-hello.txt");
	CHECK(storepath_text(sum, NULL, 0, "hello txt\033[0m", path, &e) == -EINVAL);
	CHECK_STR(err_message(e), "'hello txt\\x1b[0m' is not a name for a store path");
}

TEST_MAIN()
