#include "test.h"

#include "nix/lock.h"

#include <errno.h>

static const struct lock_node *get(const struct lock *l, const char *name)
{
	for (size_t i = 0; i < l->n_nodes; i++)
		if (strcmp(l->nodes[i].name, name) == 0)
			return &l->nodes[i];
	return NULL;
}

#define HASH "sha256-ZQpEaNLJSvfGKpifEBdQJIKwNdb86PwU2ri6bJcxGbk="
#define NAR "\"narHash\":\"" HASH "\""
#define NODE(name, locked) "\"" name "\":{\"locked\":{" locked "},\"original\":{}}"
#define FILE_OF(nodes) "{\"nodes\":{" nodes ",\"root\":{\"inputs\":{}}},\"root\":\"root\",\"version\":7}"

TEST(nodes)
{
	/* clang-format off */
	static const char text[] =
		FILE_OF(NODE("lib", "\"type\":\"github\",\"owner\":\"o\",\"repo\":\"r\"," NAR) ","
			NODE("tree", "\"type\":\"path\",\"path\":\"/x\",\"name\":\"tree\"," NAR) ","
			NODE("open", "\"type\":\"git\",\"url\":\"https://e/\\u001b[1m\"") ","
			"\"none\":{\"original\":{}}");
	/* clang-format on */
	_cleanup_lock_ struct lock *l = NULL;

	CHECK(lock_parse(text, sizeof(text) - 1, "", &l, NULL) == 0);
	CHECK(l->n_nodes == 4);
	CHECK_STR(l->nodes[0].name, "lib");
	/* nix-store --add-fixed --recursive sha256 of that tree, named "source" and "tree" */
	CHECK_STR(l->nodes[0].store_path, "/nix/store/p5i27r5qa4spjzc3m747vrfxpdry18af-source");
	CHECK_STR(l->nodes[0].type, "github");
	CHECK_STR(l->nodes[0].from, "o/r");
	CHECK(!l->nodes[0].is_path);
	CHECK_STR(get(l, "tree")->store_path, "/nix/store/xzkifzysjngvcbi26xxxp6n9swgwgdpp-tree");
	CHECK(get(l, "tree")->is_path && !get(l, "tree")->is_inside && !get(l, "tree")->is_nested);
	CHECK(!get(l, "open")->has_path);
	CHECK_STR(get(l, "open")->from, "https://e/\\x1b[1m");
	CHECK(!get(l, "none")->has_path);
	CHECK_STR(get(l, "none")->type, "");
}

static int inside(const char *path, const char *subdir, const char *more)
{
	_cleanup_free_ char *text = xasprintf(FILE_OF("\"p\":{\"locked\":{\"type\":\"path\",\"path\":\"%s\"}%s}"), path,
					      more);
	_cleanup_lock_ struct lock *l = NULL;

	if (lock_parse(text, strlen(text), subdir, &l, NULL) < 0)
		return -1;
	return l->nodes[0].is_inside ? 1 : l->nodes[0].is_nested ? 2 : 0;
}

TEST(relative_paths)
{
	CHECK(inside("./x", "", "") == 1);
	CHECK(inside("x/../y", "", ",\"parent\":[]") == 1);
	CHECK(inside("../x", "", "") == 0);
	CHECK(inside("../x", "nix/flake", "") == 1);
	CHECK(inside("../../x", "nix/flake/", "") == 1);
	CHECK(inside("../../../nix/flake", "nix/flake", "") == 0);
	CHECK(inside("x/../../y", "", "") == 0);
	CHECK(inside("./x", "..", "") == 0);
	CHECK(inside("/x", "", "") == 0);
	CHECK(inside("..", "", "") == 0);
	CHECK(inside("", "", "") == 0);
	CHECK(inside("./x", "", ",\"parent\":[\"lib\"]") == 2);
	CHECK(inside("./x", "", ",\"parent\":\"lib\"") == -1);
}

static bool refused(const char *text, const char *message)
{
	_cleanup_lock_ struct lock *l = NULL;
	_cleanup_err_ struct err *e = NULL;

	if (lock_parse(text, strlen(text), "", &l, &e) == 0 || strcmp(err_message(e), message) != 0) {
		printf("# %s\n", e ? err_message(e) : "accepted");
		return false;
	}
	return true;
}

TEST(refusals)
{
	CHECK(refused("{\"nodes\":{\"root\":{}},\"version\":8}",
		      "flake.lock: version 8 is not one igloo can read (5 to 7)"));
	CHECK(refused("{\"nodes\":{\"root\":{}}}", "flake.lock: the lock file: 'version' is missing"));
	CHECK(refused("{\"nodes\":{},\"version\":7}", "flake.lock: the root of the inputs is missing"));
	CHECK(refused("{\"nodes\":[],\"version\":7}", "flake.lock: the lock file: 'nodes' is an array, not an object"));
	CHECK(refused("[]", "flake.lock: the lock file: not an object"));
	CHECK(refused("{\"version\":7,\"version\":7}",
		      "flake.lock: not JSON: line 1, column 22: duplicate object key near '\"version\"'"));
	CHECK(refused(FILE_OF(NODE("a", "\"type\":\"git\",\"narHash\":\"sha256-x\"")),
		      "flake.lock: input: a: narHash 'sha256-x' is not 'sha256-' and 44 digits of base64"));
	CHECK(refused(FILE_OF(NODE("a", "\"type\":\"git\",\"name\":\"../x\",\"narHash\":\"" HASH "\"")),
		      "flake.lock: input: a: '../x' is not a name for a store path"));
	CHECK(refused(FILE_OF("\"a\":{\"locked\":{\"narHash\":\"" HASH "\"}}"),
		      "flake.lock: input: a: 'type' is missing"));
	CHECK(refused(FILE_OF("\"a\":7"), "flake.lock: input: a: not an object"));
	CHECK(refused("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "flake.lock: JSON nested more than 32 deep"));
}

TEST(too_large)
{
	_cleanup_free_ char *text = xcalloc(1, LOCK_BYTES_MAX + 1);
	_cleanup_lock_ struct lock *l = NULL;

	CHECK(lock_parse(text, LOCK_BYTES_MAX + 1, "", &l, NULL) == -EFBIG);
}

TEST_MAIN()
