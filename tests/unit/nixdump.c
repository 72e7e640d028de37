/* What a machine keeps of its Nix database when the slot's is another one; and its configuration. */
#include "test.h"

#include "guest/nixdump.h"
#include "guest/vmconf.h"

#include <errno.h>

#define A "/nix/store/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-a"
#define B "/nix/store/bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-b"
#define C "/nix/store/cccccccccccccccccccccccccccccccc-c"
#define D "/nix/store/dddddddddddddddddddddddddddddddd-d"
#define HASH "\nsha256:00\n120\n"
#define ENTRY_A A HASH "\n0\n"
#define ENTRY_B B HASH D ".drv\n2\n" A "\n" B "\n"
#define ENTRY_C C HASH "\n1\n" B "\n"
#define ENTRY_D D HASH "\n1\n" C "\n"

static bool has(void *user, const char *path)
{
	return strstr(user, path);
}

/* What is kept of `old` beside `now`, with `here` as the list of what there is. */
static char *keep(const char *old, const char *now, const char *here)
{
	struct str a = STR_INIT;
	struct str b = STR_INIT;
	struct str to = STR_INIT;
	_cleanup_free_ char *list = xstrdup(here);

	str_adds(&a, old);
	str_adds(&b, now);
	if (nixdump_keep(&a, &b, has, list, &to) < 0)
		str_adds(&to, "failed");
	str_release(&a);
	str_release(&b);
	return str_take(&to);
}

#define KEEPS(old, now, here, wanted)                             \
	do {                                                      \
		_cleanup_free_ char *got_ = keep(old, now, here); \
		CHECK_STR(got_, wanted);                          \
	} while (0)

TEST(kept)
{
	KEEPS("", "", "", "");
	KEEPS(ENTRY_A, "", A, ENTRY_A);
	/* What the view has is not loaded again, and what is not there is not kept. */
	KEEPS(ENTRY_A ENTRY_B, ENTRY_A, A B, ENTRY_B);
	KEEPS(ENTRY_A ENTRY_B, ENTRY_A, "", "");
	KEEPS(ENTRY_C ENTRY_A ENTRY_B ENTRY_D, "", A B C D, ENTRY_A ENTRY_B ENTRY_C ENTRY_D);
	/* One that is gone takes all that refer to it, over however many steps. */
	KEEPS(ENTRY_A ENTRY_B ENTRY_C ENTRY_D, "", B C D, "");
	KEEPS(ENTRY_A ENTRY_B ENTRY_C ENTRY_D, "", A C D, ENTRY_A);
	KEEPS(ENTRY_B ENTRY_C ENTRY_D, ENTRY_A ENTRY_B, C D, ENTRY_C ENTRY_D);
}

TEST(no_dump)
{
	static const char *const broken[] = {
		"x",
		"\n",
		A "\n",
		A HASH "\n0",
		A HASH "\n1\n",
		A HASH "\n-1\n",
		A HASH "\n\n",
		A HASH "\n99999999999999999999999999\n",
		"relative" HASH "\n0\n",
		ENTRY_A "\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		KEEPS(broken[i], "", A, "failed");
		KEEPS(ENTRY_A, broken[i], A, "failed");
	}
}

TEST(configuration)
{
	char good[] = "root=9p box -\nlayer=ext4 igloo-slot\nnix=/nix/store/x/bin\nkeep=/home/igloo/a "
		      "b\nkeep=/home/igloo/c\npids=40\n";
	char memory[] = "layer=tmpfs mode=0755,size=75%\n";
	static const char *const broken[] = {"layer=ext4", "layer=ext4 ", "layer=xfs igloo-slot", "layer=ext4 a b",
					     "layer=",     "keep=",       "keep=relative",        "nix=bin",
					     "pids=-1",    "pids=",       "pids=4294967296"};
	const char *line = "";
	struct vmconf c;

	CHECK(vmconf_parse(good, &c, &line) == 0);
	CHECK_STR(c.layer.type, "ext4");
	CHECK_STR(c.layer.source, "igloo-slot");
	CHECK_STR(c.nix, "/nix/store/x/bin");
	CHECK(c.n_keeps == 2 && c.pids == 40);
	CHECK_STR(c.keeps[0], "/home/igloo/a b");
	CHECK(vmconf_parse(memory, &c, &line) == 0 && c.n_keeps == 0);
	CHECK_STR(c.layer.source, "mode=0755,size=75%");
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		_cleanup_free_ char *text = xstrdup(broken[i]);

		CHECK(vmconf_parse(text, &c, &line) == -EINVAL);
	}
}

TEST_MAIN()
