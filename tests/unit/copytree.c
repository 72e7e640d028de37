#include "test.h"

#include "gitrepo.h"
#include "sys/copyfile.h"
#include "sys/copytree.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct places {
	char *top;
	int from;
	int to;
};

static void places_release(struct places *p)
{
	(void)close_fd(p->from);
	(void)close_fd(p->to);
	(void)RUN("chmod", "-R", "u+rwX", p->top);
	remove_dirp(&p->top);
}
#define _cleanup_places_ ATTR_CLEANUP(places_release)

static struct places make_places(void)
{
	struct places p = {.top = make_dir()};

	if (mkdir(in(p.top, "from"), 0755) < 0 || mkdir(in(p.top, "to"), 0755) < 0)
		abort();
	p.from = open(in(p.top, "from"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p.to = open(in(p.top, "to"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p;
}

static bool copies(struct places *p, struct copytree *c)
{
	_cleanup_err_ struct err *e = NULL;

	if (copytree_run(c, p->from, p->to, &e) == 0)
		return true;
	printf("# %s\n", err_message(e));
	return false;
}

static struct stat state(int dir, const char *name)
{
	struct stat st = {0};

	(void)fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);
	return st;
}

/* Of a machine's files, and of no others. */
TEST(owners_of_a_machine)
{
	_cleanup_places_ struct places p = make_places();
	struct copytree c = {.owned = "guests"};
	char value[16];

	for (size_t i = 0; i < 2; i++) {
		const char *top = i ? "guestsroom" : "guests";
		_cleanup_free_ char *file = xasprintf("from/%s/file", top);

		CHECK(mkdirat(p.from, top, 0700) == 0);
		(void)close_fd(open(in(p.top, file), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
		if (setxattr(in(p.top, file), "user.virtfs.uid", "1234", 4, 0) < 0 && errno == ENOTSUP) {
			test_lacks = "extended attributes";
			return;
		}
		CHECK(setxattr(in(p.top, file), "user.other", "x", 1, 0) == 0);
	}
	CHECK(setxattr(in(p.top, "from/guests"), "user.virtfs.mode", "abcd", 4, 0) == 0);
	CHECK(copies(&p, &c));
	CHECK(getxattr(in(p.top, "to/guests/file"), "user.virtfs.uid", value, sizeof(value)) == 4);
	CHECK(memcmp(value, "1234", 4) == 0);
	CHECK(getxattr(in(p.top, "to/guests"), "user.virtfs.mode", value, sizeof(value)) == 4);
	CHECK(getxattr(in(p.top, "to/guests/file"), "user.other", value, sizeof(value)) < 0);
	CHECK(getxattr(in(p.top, "to/guestsroom/file"), "user.virtfs.uid", value, sizeof(value)) < 0);
}

TEST(everything_comes_along)
{
	_cleanup_places_ struct places p = make_places();
	struct copytree c = {.tick = NULL};
	const struct timespec then[2] = {{.tv_sec = 1}, {.tv_sec = 1, .tv_nsec = 5}};
	_cleanup_str_ struct str text = STR_INIT;
	char target[16] = "";

	CHECK(put(p.top, "from/file", "text") && put(p.top, "from/empty", "") && put(p.top, "from/-x\n", "odd"));
	CHECK(mkdirat(p.from, "folder", 0755) == 0 && put(p.top, "from/folder/below", "b"));
	CHECK(linkat(p.from, "file", p.from, "folder/other", 0) == 0);
	CHECK(symlinkat("/nowhere", p.from, "link") == 0 && mkfifoat(p.from, "pipe", 0600) == 0);
	CHECK(fchmodat(p.from, "file", 04555, 0) == 0);
	CHECK(utimensat(p.from, "file", then, 0) == 0 && utimensat(p.from, "link", then, AT_SYMLINK_NOFOLLOW) == 0);
	CHECK(fchmodat(p.from, "folder", 0555, 0) == 0 && utimensat(p.from, "folder", then, 0) == 0);
	CHECK(copies(&p, &c));
	CHECK(c.entries == 8 && c.bytes == 8);
	CHECK(file_read(p.to, "folder/other", 100, &text, NULL) == 0);
	CHECK_STR(str_text(&text), "text");
	CHECK((state(p.to, "file").st_mode & 07777) == 0555);
	CHECK(state(p.to, "file").st_ino == state(p.to, "folder/other").st_ino && state(p.to, "file").st_nlink == 2);
	CHECK(state(p.to, "file").st_mtim.tv_nsec == 5 && state(p.to, "folder").st_mtim.tv_nsec == 5);
	CHECK(state(p.to, "link").st_mtim.tv_nsec == 5 && (state(p.to, "folder").st_mode & 07777) == 0555);
	CHECK(readlinkat(p.to, "link", target, sizeof(target)) == 8 && S_ISFIFO(state(p.to, "pipe").st_mode));
}

TEST(what_its_owner_may_not_read)
{
	_cleanup_places_ struct places p = make_places();
	struct copytree c = {.tick = NULL};

	CHECK(put(p.top, "from/file", "text") && fchmodat(p.from, "file", 0, 0) == 0);
	CHECK(mkdirat(p.from, "folder", 0755) == 0 && put(p.top, "from/folder/below", "b"));
	CHECK(fchmodat(p.from, "folder", 0, 0) == 0);
	CHECK(copies(&p, &c));
	CHECK(c.entries == 3 && (state(p.to, "file").st_mode & 07777) == 0 && state(p.to, "file").st_size == 4);
	CHECK((state(p.from, "file").st_mode & 07777) == 0 && (state(p.from, "folder").st_mode & 07777) == 0);
	CHECK((state(p.to, "folder").st_mode & 07777) == 0 && fchmodat(p.to, "folder", 0700, 0) == 0);
	CHECK(state(p.to, "folder/below").st_size == 1);
}

/* Holes of every sort: before, between and behind what there is. */
TEST(holes_stay_holes)
{
	enum { MIB = 1 << 20, SIZE = 40 * MIB };
	_cleanup_places_ struct places p = make_places();
	_cleanup_close_ int fd = openat(p.from, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	struct copytree c = {.tick = NULL};

	CHECK(pwrite(fd, "first", 5, MIB + 17) == 5 && pwrite(fd, "second", 6, 20 * MIB - 3) == 6);
	CHECK(ftruncate(fd, SIZE) == 0);
	CHECK(RUN("truncate", "-s", "5M", in(p.top, "from/all-hole")));
	CHECK(copies(&p, &c));
	CHECK(c.bytes == SIZE + 5 * MIB);
	CHECK(RUN("cmp", in(p.top, "from/file"), in(p.top, "to/file")));
	CHECK(state(p.to, "all-hole").st_size == 5 * MIB);
	CHECK(state(p.to, "file").st_blocks <= state(p.from, "file").st_blocks + 64);
	CHECK(state(p.to, "all-hole").st_blocks <= state(p.from, "all-hole").st_blocks);
}

/* However it is copied: shared, in the kernel, by hand. */
TEST(each_way_gives_the_same_bytes)
{
	_cleanup_places_ struct places p = make_places();
	_cleanup_str_ struct str of = STR_INIT;
	_cleanup_close_ int from = -1;
	struct stat st;

	str_addf(&of, "of=%s/from/file", p.top);
	CHECK(RUN("dd", "if=/dev/urandom", str_text(&of), "bs=1k", "count=20001", "status=none"));
	from = openat(p.from, "file", O_RDONLY | O_CLOEXEC);
	CHECK(from >= 0 && fstat(from, &st) == 0);
	for (int way = 0; way < 3; way++) {
		_cleanup_free_ char *name = xasprintf("way%d", way);
		_cleanup_close_ int to = openat(p.to, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		struct copyfile c = {.no_clone = way > 0, .no_range = way > 1};

		CHECK(copyfile_bytes(&c, from, to, &st) >= 0);
		CHECK(RUN("cmp", in(p.top, "from/file"), in(in(p.top, "to"), name)));
	}
}

static int stop(void *arg, const struct copytree *now)
{
	int *left = arg;

	(void)now;
	return (*left)-- > 0 ? 0 : -EINTR;
}

TEST(ends_when_told)
{
	_cleanup_places_ struct places p = make_places();
	_cleanup_err_ struct err *e = NULL;
	int left = 2;
	struct copytree c = {.tick = stop, .arg = &left};

	for (int i = 0; i < 9; i++) {
		_cleanup_free_ char *name = xasprintf("from/%d", i);

		CHECK(put(p.top, name, "text"));
	}
	CHECK(copytree_run(&c, p.from, p.to, &e) == -EINTR);
	CHECK(c.entries < 9);
}

static bool is_lock(const char *name)
{
	return strcmp(name, "lock") == 0;
}

TEST(what_is_left_out)
{
	_cleanup_places_ struct places p = make_places();
	struct copytree c = {.leave_out = is_lock};

	CHECK(put(p.top, "from/lock", "") && mkdirat(p.from, "below", 0755) == 0 && put(p.top, "from/below/lock", ""));
	CHECK(copies(&p, &c) && c.entries == 2);
	CHECK(state(p.to, "lock").st_mode == 0 && S_ISREG(state(p.to, "below/lock").st_mode));
}

TEST(many_links)
{
	_cleanup_places_ struct places p = make_places();
	struct copytree c = {.tick = NULL};

	for (int i = 0; i < 700; i++) {
		_cleanup_free_ char *name = xasprintf("%d", i);
		_cleanup_free_ char *other = xasprintf("other-%d", i);

		CHECK(file_replace(p.from, name, name, strlen(name), 0600, false, NULL) == 0);
		CHECK(linkat(p.from, name, p.from, other, 0) == 0);
	}
	CHECK(copies(&p, &c) && c.entries == 1400);
	for (int i = 0; i < 700; i++) {
		_cleanup_free_ char *name = xasprintf("%d", i);
		_cleanup_free_ char *other = xasprintf("other-%d", i);
		_cleanup_str_ struct str text = STR_INIT;

		CHECK(state(p.to, name).st_ino == state(p.to, other).st_ino);
		CHECK(file_read(p.to, other, 100, &text, NULL) == 0);
		CHECK_STR(str_text(&text), name);
	}
}

TEST(a_failure_names_the_file)
{
	_cleanup_places_ struct places p = make_places();
	_cleanup_err_ struct err *e = NULL;
	struct copytree c = {.tick = NULL};

	CHECK(mkdirat(p.from, "folder", 0755) == 0 && put(p.top, "from/folder/x\ny", "text"));
	CHECK(mkdirat(p.to, "folder", 0755) == 0);
	CHECK(copytree_run(&c, p.from, p.to, &e) == -EEXIST);
	CHECK_STR(err_message(e), "cannot copy 'folder': File exists");
}

TEST_MAIN()
