/* A guest with a system of its own, without starting one: what it is told, what it hands back, and its files in the
 * slot's store. */
#include "test.h"

#include "box/slotfile.h"
#include "guest/vmconf.h"
#include "kind/vm/handback.h"
#include "kind/vm/nixos.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOPLEVEL "/nix/store/y28rf13fqbi8bwrghs2sfqd20svni1sv-nixos-system-test"
#define KERNEL "/nix/store/2wy3nkg31plj7jyqm821hjkxz707341j-linux"

static char folder[] = "/tmp/vmnixos-XXXXXX";
static int top = -1;

static void put(const char *path, const char *text)
{
	CHECK(file_replace(top, path, text, strlen(text), 0600, false, NULL) == 0);
}

TEST(begin)
{
	CHECK(mkdtemp(folder));
	top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(top >= 0);
}

/* --- what it is told ---------------------------------------------------------------------------------------------- */

static void round_trip(const char *path)
{
	_cleanup_str_ struct str s = STR_INIT;
	struct vmconf conf = {0};
	const char *line = NULL;

	nixos_add_path(&s, "bind", path);
	CHECK(vmconf_parse(s.p, &conf, &line) == 0);
	CHECK(conf.n_binds == 1);
	CHECK_STR(conf.binds[0], path);
}

TEST(paths)
{
	round_trip("/");
	round_trip("/home/user/project");
	round_trip("/a folder/100%/line\nbreak/\xc3\xa9\xff/ ");
	round_trip("/%41%");
}

static int parse(const char *text)
{
	_cleanup_free_ char *copy = xstrdup(text);
	struct vmconf conf = {0};
	const char *line = NULL;

	return vmconf_parse(copy, &conf, &line);
}

TEST(no_paths)
{
	_cleanup_str_ struct str many = STR_INIT;

	CHECK(parse("bind=/a\nbind=/b%20c\nhostname=x\n") == 0);
	CHECK(parse("bind=a\n") == -EINVAL);
	CHECK(parse("bind=\n") == -EINVAL);
	CHECK(parse("bind=/%\n") == -EINVAL);
	CHECK(parse("bind=/%4\n") == -EINVAL);
	CHECK(parse("bind=/%4g\n") == -EINVAL);
	CHECK(parse("bind=/%00\n") == -EINVAL);
	for (int i = 0; i <= VMCONF_BINDS_MAX; i++)
		str_adds(&many, "bind=/a\n");
	CHECK(parse(str_text(&many)) == -EINVAL);
}

/* --- what it hands back ------------------------------------------------------------------------------------------- */

TEST(words)
{
	static const struct {
		const char *text, *words;
	} good[] = {
		{"", ""},
		{"\n", ""},
		{"loglevel=4 root=fstab\n", "loglevel=4 root=fstab"},
		{"init=/evil  quiet\t init=x initrd=y a\n", "quiet a"},
		{"dyndbg=\"file a.c +p\"", "dyndbg=\"file a.c +p\""},
	};
	_cleanup_str_ struct str longest = STR_INIT;
	_cleanup_str_ struct str to = STR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		_cleanup_str_ struct str s = STR_INIT;

		CHECK(handback_params(good[i].text, strlen(good[i].text), &s, NULL) == 0);
		CHECK_STR(str_text(&s), good[i].words);
	}
	CHECK(handback_params("a\0b", 3, &to, NULL) == -EINVAL);
	CHECK(handback_params("a\033[31m", 6, &to, NULL) == -EINVAL);
	CHECK(handback_params("a\xc3\xa9", 3, &to, NULL) == -EINVAL);
	for (int i = 0; i < HANDBACK_PARAMS_MAX / 2 + 1; i++)
		str_adds(&longest, "a ");
	CHECK(handback_params(longest.p, longest.len, &to, NULL) == -E2BIG);
}

TEST(names)
{
	_cleanup_free_ char *name = handback_name("1763756789-412\n", 15);
	_cleanup_free_ char *path = handback_path(TOPLEVEL "\n", strlen(TOPLEVEL) + 1);
	static const char *const bad[] = {"", "\n", ".", "..", "a/b", "a b", "a\n\n", "\xc3\xa9"};

	CHECK_STR(name, "1763756789-412");
	CHECK_STR(path, TOPLEVEL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK(!handback_name(bad[i], strlen(bad[i])));
		CHECK(!handback_path(bad[i], strlen(bad[i])));
	}
	CHECK(!handback_path("/nix/store/../../etc", 20));
	CHECK(!handback_path(TOPLEVEL "/init", strlen(TOPLEVEL) + 5));
}

static int try(struct err **e)
{
	_cleanup_handback_ struct handback h = HANDBACK_INIT;

	return handback_open(top, &h, e);
}

static void refused(const char *word)
{
	_cleanup_err_ struct err *e = NULL;

	CHECK(try(&e) < 0);
	CHECK(e && strstr(err_message(e), word));
	CHECK(e && strstr(err_hints(e), "--built"));
}

TEST(handed_back)
{
	_cleanup_handback_ struct handback h = HANDBACK_INIT;

	CHECK(try(NULL) == -ENOENT);
	CHECK(mkdirat(top, "boot", 0700) == 0 && mkdirat(top, "boot/1-2", 0700) == 0);
	put("boot/current", "1-2\n");
	put("boot/1-2/kernel", "a kernel");
	put("boot/1-2/initrd", "an initrd");
	put("boot/1-2/params", "quiet\n");
	put("boot/1-2/toplevel", TOPLEVEL "\n");
	CHECK(handback_open(top, &h, NULL) == 0);
	CHECK_STR(h.toplevel, TOPLEVEL);
	CHECK_STR(h.params, "quiet");
	CHECK(!h.base && h.kernel >= 0 && h.initrd >= 0);
}

TEST(hostile)
{
	put("boot/current", "../boot/1-2\n");
	refused("current");
	put("boot/current", "3-4\n");
	refused("current");
	CHECK(symlinkat("1-2", top, "boot/3-4") == 0);
	refused("current");
	put("boot/current", "1-2\n");
	CHECK(unlinkat(top, "boot/1-2/kernel", 0) == 0 && symlinkat("/etc/passwd", top, "boot/1-2/kernel") == 0);
	refused("kernel");
	CHECK(unlinkat(top, "boot/1-2/kernel", 0) == 0 && mkfifoat(top, "boot/1-2/kernel", 0600) == 0);
	refused("kernel");
	CHECK(unlinkat(top, "boot/1-2/kernel", 0) == 0 && mkdirat(top, "boot/1-2/kernel", 0700) == 0);
	refused("kernel");
	CHECK(unlinkat(top, "boot/1-2/kernel", AT_REMOVEDIR) == 0);
	put("boot/1-2/kernel", "");
	refused("kernel");
	put("boot/1-2/kernel", "a kernel");
	put("boot/1-2/params", "a\033");
	refused("kernel-params");
	put("boot/1-2/params", "");
	put("boot/1-2/toplevel", "/etc\n");
	refused("toplevel");
	CHECK(unlinkat(top, "boot/1-2/toplevel", 0) == 0);
	refused("toplevel");
}

/* --- files of the slot's store --------------------------------------------------------------------------------------
 */

static int open_file(const char *path, struct err **e)
{
	struct slot slot = {.path = folder, .dir = top};

	return slotfile_open(&slot, path, e);
}

static bool opens(const char *path)
{
	_cleanup_close_ int fd = open_file(path, NULL);
	char bytes[16] = {0};

	return fd >= 0 && read(fd, bytes, sizeof(bytes) - 1) == 6 && strcmp(bytes, "inside") == 0;
}

TEST(store)
{
	struct slot slot = {.path = folder, .dir = top};

	CHECK(close_fd(file_make_dirs(top, TOPLEVEL + 1, 0700, NULL)) == -1);
	CHECK(close_fd(file_make_dirs(top, KERNEL + 1, 0700, NULL)) == -1);
	put(KERNEL "/bzImage" + 1, "inside");
	CHECK(symlinkat(KERNEL "/bzImage", top, TOPLEVEL "/kernel" + 1) == 0);
	CHECK(opens(KERNEL "/bzImage"));
	CHECK(opens(TOPLEVEL "/kernel"));
	CHECK(slotfile_has(&slot, TOPLEVEL));
	CHECK(!slotfile_has(&slot, "/nix/store/00000000000000000000000000000000-none"));
	CHECK(!slotfile_has(&slot, "/etc"));
}

TEST(store_of_somebody_hostile)
{
	static const char *const to[] = {"/etc/passwd",       "bzImage",      "../../../../../etc/passwd",
					 KERNEL "/../../etc", KERNEL,         TOPLEVEL "/link",
					 KERNEL "/folder",    KERNEL "/pipe", "/nix/store"};

	put("outside", "inside");
	CHECK(mkdirat(top, KERNEL "/folder" + 1, 0700) == 0);
	CHECK(mkfifoat(top, KERNEL "/pipe" + 1, 0600) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
		_cleanup_err_ struct err *e = NULL;

		CHECK(symlinkat(to[i], top, TOPLEVEL "/link" + 1) == 0);
		CHECK(open_file(TOPLEVEL "/link", &e) < 0);
		CHECK(e);
		CHECK(unlinkat(top, TOPLEVEL "/link" + 1, 0) == 0);
	}
	/* A folder that is a link is not gone through. */
	CHECK(symlinkat("folder", top, KERNEL "/other" + 1) == 0);
	put(KERNEL "/folder/file" + 1, "inside");
	CHECK(opens(KERNEL "/folder/file"));
	CHECK(!opens(KERNEL "/other/file"));
	CHECK(!opens("/nix/store/../../outside"));
	CHECK(!opens("/etc/passwd"));
}

TEST(end)
{
	_cleanup_close_ int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	CHECK(file_remove_tree(tmp, strrchr(folder, '/') + 1, NULL) == 0);
	CHECK(close_fd(top) == -1);
}

TEST_MAIN()
