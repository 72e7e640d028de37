/* Images of the store in igloo's cache: what an image must be like, its key, and who makes and who removes it. */
#include "test.h"

#include "box/storeimage.h"
#include "fmt/erofs.h"
#include "sys/fd.h"
#include "sys/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char place[] = "/var/tmp/igloo-storeimage-XXXXXX";

/* Folders of this program's own, once. */
static void prepare(void)
{
	static bool made;

	if (made)
		return;
	CHECK(mkdtemp(place) != NULL);
	CHECK(setenv("XDG_STATE_HOME", place, 1) == 0 && setenv("XDG_CACHE_HOME", place, 1) == 0);
	made = true;
}

static void put32(uint8_t *p, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(n >> 8 * i);
}

/* A superblock as mkfs.erofs 1.5 writes it, of `blocks`. */
static void make_head(uint8_t head[static EROFS_HEAD_BYTES], uint32_t blocks)
{
	memset(head, 0, EROFS_HEAD_BYTES);
	put32(head + 1024, UINT32_C(0xe0f5e1e2));
	head[1024 + 8] = 3;
	head[1024 + 12] = 12;
	put32(head + 1024 + 36, blocks);
	put32(head + 1024 + 4, erofs_crc32c(UINT32_MAX, head + 1024, EROFS_HEAD_BYTES - 1024));
}

TEST(crc)
{
	/* The check value of CRC-32C, which is inverted at the end. */
	CHECK(~erofs_crc32c(UINT32_MAX, "123456789", 9) == UINT32_C(0xe3069283));
}

TEST(head)
{
	static const struct {
		size_t at;
		uint8_t byte;
		const char *why;
	} damages[] = {{1024, 0, "superblock of erofs"}, {1024 + 12, 14, "4096 bytes"}, {1024 + 36, 3, "as long as"},
		       {1024 + 8, 2, "no check sum"},    {1024 + 4, 77, "another"},     {4095, 1, "another"}};
	uint8_t head[EROFS_HEAD_BYTES];
	const char *why = NULL;

	make_head(head, 2);
	CHECK(erofs_check(head, 8192, &why) == 0 && !why);
	CHECK(erofs_check(head, 8191, &why) == -EBADMSG && strstr(why, "as long as"));
	CHECK(erofs_check(head, 8193, &why) == -EBADMSG);
	CHECK(erofs_check(head, 0, &why) == -EBADMSG);
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		make_head(head, 2);
		head[damages[i].at] = damages[i].byte;
		CHECK(erofs_check(head, 8192, &why) == -EBADMSG && strstr(why, damages[i].why));
	}
}

/* --- the key ------------------------------------------------------------------------------------------------------ */

static void key_of(const char *slot_name, const struct strv *paths, const struct hostpaths *set, const char *program,
		   char ret[static STOREIMAGE_KEY_HEX + 1])
{
	_cleanup_slot_ struct slot *slot = NULL;

	CHECK(slot_open("/some/where", slot_name, &slot, NULL) == 0);
	CHECK(storeimage_key(slot, set, paths, program, ret, NULL) == 0);
	CHECK(strlen(ret) == STOREIMAGE_KEY_HEX);
}

static void make_path(const char *slot_name, const char *name)
{
	_cleanup_slot_ struct slot *slot = NULL;
	_cleanup_close_ int store = -1;

	CHECK(slot_open("/some/where", slot_name, &slot, NULL) == 0);
	store = file_make_dirs(slot->dir, "nix/store", 0755, NULL);
	CHECK(store >= 0 && mkdirat(store, name, 0755) == 0);
}

#define OWN "11111111111111111111111111111111-own"
#define OTHER "22222222222222222222222222222222-other"

TEST(key)
{
	_cleanup_hostpaths_ struct hostpaths none = {0};
	_cleanup_hostpaths_ struct hostpaths set = {0};
	_cleanup_strv_ struct strv one = STRV_INIT;
	_cleanup_strv_ struct strv two = STRV_INIT;
	_cleanup_strv_ struct strv gone = STRV_INIT;
	_cleanup_slot_ struct slot *slot = NULL;
	_cleanup_err_ struct err *e = NULL;
	char a[STOREIMAGE_KEY_HEX + 1];
	char b[STOREIMAGE_KEY_HEX + 1];

	prepare();
	make_path("a", OWN);
	make_path("a", OTHER);
	make_path("b", OWN);
	strv_add(&one, "/nix/store/" OWN);
	strv_add(&two, "/nix/store/" OWN);
	strv_add(&two, "/nix/store/" OTHER);
	strv_add(&gone, "/nix/store/33333333333333333333333333333333-gone");
	hostpaths_add(&set, "/nix/store/" OWN, place);

	key_of("a", &one, &none, "/bin/sh", a);
	key_of("a", &one, &none, "/bin/sh", b);
	CHECK_STR(a, b);
	key_of("a", &two, &none, "/bin/sh", b);
	CHECK(strcmp(a, b) != 0);
	key_of("a", &one, &none, "/bin/true", b);
	CHECK(strcmp(a, b) != 0);
	/* What another slot's boxes call by the same name. */
	key_of("b", &one, &none, "/bin/sh", b);
	CHECK(strcmp(a, b) != 0);
	/* The host's is one and the same for all. */
	key_of("a", &one, &set, "/bin/sh", a);
	CHECK(strcmp(a, b) != 0);
	key_of("b", &one, &set, "/bin/sh", b);
	CHECK_STR(a, b);
	/* The slot's own, made anew. */
	key_of("a", &two, &none, "/bin/sh", a);
	CHECK(slot_open("/some/where", "a", &slot, NULL) == 0);
	CHECK(file_remove_tree(slot->dir, "nix/store/" OTHER, NULL) == 0);
	make_path("a", OTHER);
	key_of("a", &two, &none, "/bin/sh", b);
	CHECK(strcmp(a, b) != 0);
	CHECK(storeimage_key(slot, &none, &gone, "/bin/sh", a, &e) == -ENOENT && strstr(err_message(e), "gone"));
}

/* --- the cache ---------------------------------------------------------------------------------------------------- */

struct fake {
	uint32_t blocks;
	int times;
	int r; /* what it says */
	bool cut;
	bool hangs;
};

static int make_fake(void *arg, const char *path, struct err **e)
{
	struct fake *f = arg;
	uint8_t head[EROFS_HEAD_BYTES];
	static const uint8_t block[4096] = {1};
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	f->times++;
	make_head(head, f->blocks);
	CHECK(fd >= 0);
	if (fd_write_all(fd, head, sizeof(head)) < 0)
		return err_set(e, ENOSPC, "cannot write");
	while (f->hangs)
		(void)pause();
	for (uint32_t i = f->cut ? 2 : 1; i < f->blocks; i++)
		if (fd_write_all(fd, block, sizeof(block)) < 0)
			return err_set(e, ENOSPC, "cannot write");
	return f->r < 0 ? err_set(e, -f->r, "mkfs.erofs failed") : 0;
}

static void key_like(char c, char ret[static STOREIMAGE_KEY_HEX + 1])
{
	memset(ret, c, STOREIMAGE_KEY_HEX);
	ret[STOREIMAGE_KEY_HEX] = '\0';
}

static int get(const struct storeimages *c, char like, struct fake *f, bool *made)
{
	const struct storeimage_maker maker = {.make = make_fake, .arg = f};
	char key[STOREIMAGE_KEY_HEX + 1];

	key_like(like, key);
	return storeimage_get(c, key, &maker, made, NULL);
}

static bool is_there(const struct storeimages *c, char like)
{
	char key[STOREIMAGE_KEY_HEX + 1];
	_cleanup_free_ char *path = NULL;

	key_like(like, key);
	path = storeimage_path(c, key);
	return access(path, F_OK) == 0;
}

static void set_used(const struct storeimages *c, char like, time_t ago)
{
	const struct timespec times[2] = {{.tv_sec = time(NULL) - ago}, {.tv_sec = time(NULL) - ago}};
	char key[STOREIMAGE_KEY_HEX + 1];
	_cleanup_free_ char *path = NULL;

	key_like(like, key);
	path = storeimage_path(c, key);
	CHECK(utimensat(AT_FDCWD, path, times, 0) == 0);
}

static void clean_all(const struct storeimages *c)
{
	struct storeimages_info info;

	CHECK(storeimages_clean(c, true, &info, NULL) == 0 && info.n == 0);
}

TEST(made_once)
{
	_cleanup_storeimages_ struct storeimages c = {.dir = -1};
	struct fake f = {.blocks = 2};
	bool made = false;
	int fd;

	prepare();
	CHECK(storeimages_open(&c, NULL) == 0);
	fd = get(&c, 'a', &f, &made);
	CHECK(fd >= 0 && made && f.times == 1);
	CHECK((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY && close(fd) == 0);
	fd = get(&c, 'a', &f, &made);
	CHECK(fd >= 0 && !made && f.times == 1 && close(fd) == 0);
	CHECK(is_there(&c, 'a') && faccessat(c.dir, ".new", F_OK, 0) < 0);
	clean_all(&c);
	CHECK(!is_there(&c, 'a'));
}

TEST(damaged_is_made_anew)
{
	_cleanup_storeimages_ struct storeimages c = {.dir = -1};
	struct fake f = {.blocks = 3};
	char key[STOREIMAGE_KEY_HEX + 1];
	_cleanup_free_ char *path = NULL;
	bool made = false;
	struct stat st;
	int fd;

	prepare();
	CHECK(storeimages_open(&c, NULL) == 0);
	key_like('a', key);
	path = storeimage_path(&c, key);
	fd = get(&c, 'a', &f, &made);
	CHECK(fd >= 0 && close(fd) == 0 && truncate(path, 8192) == 0);
	fd = get(&c, 'a', &f, &made);
	CHECK(fd >= 0 && made && f.times == 2 && fstat(fd, &st) == 0 && st.st_size == 3 * 4096 && close(fd) == 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0 && pwrite(fd, "x", 1, 2000) == 1 && close(fd) == 0);
	fd = get(&c, 'a', &f, &made);
	CHECK(fd >= 0 && made && f.times == 3 && close(fd) == 0);
	CHECK(unlink(path) == 0 && symlink("/etc/passwd", path) == 0);
	CHECK(get(&c, 'a', &f, &made) < 0 && f.times == 3 && unlink(path) == 0);
}

TEST(failures_leave_nothing)
{
	_cleanup_storeimages_ struct storeimages c = {.dir = -1};
	struct fake failing = {.blocks = 2, .r = -EIO};
	struct fake cut = {.blocks = 2, .cut = true};
	bool made = false;

	prepare();
	CHECK(storeimages_open(&c, NULL) == 0);
	CHECK(get(&c, 'a', &failing, &made) == -EIO && !is_there(&c, 'a'));
	CHECK(get(&c, 'a', &cut, &made) == -EBADMSG && !is_there(&c, 'a') && !made);
	CHECK(faccessat(c.dir, ".new", F_OK, 0) < 0);
}

/* Killed while it makes one: the next one makes it. */
TEST(killed)
{
	_cleanup_storeimages_ struct storeimages c = {.dir = -1};
	struct storeimages_info info;
	struct fake hanging = {.blocks = 2, .hangs = true};
	struct fake f = {.blocks = 2};
	bool made = false;
	struct stat st;
	pid_t pid;
	int fd;

	prepare();
	CHECK(storeimages_open(&c, NULL) == 0);
	pid = fork();
	if (pid == 0) {
		(void)get(&c, 'k', &hanging, &made);
		_exit(0);
	}
	while (fstatat(c.dir, ".new", &st, 0) < 0 || st.st_size < 4096)
		(void)poll(NULL, 0, 1);
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
	CHECK(!is_there(&c, 'k') && faccessat(c.dir, ".new", F_OK, 0) == 0);
	fd = get(&c, 'k', &f, &made);
	CHECK(fd >= 0 && made && close(fd) == 0);
	/* And the other way to be rid of it. */
	fd = openat(c.dir, ".new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CHECK(fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0);
	CHECK(storeimages_clean(&c, false, &info, NULL) == 0 && info.freed > 0 && info.n == 1);
	CHECK(faccessat(c.dir, ".new", F_OK, 0) < 0);
	clean_all(&c);
}

/* Two who want the same at the same time. */
TEST(two_make_one)
{
	_cleanup_storeimages_ struct storeimages c = {.dir = -1};
	struct fake f = {.blocks = 2000};
	bool made = false;
	int total = 0;
	int fd;

	prepare();
	CHECK(storeimages_open(&c, NULL) == 0);
	for (int i = 0; i < 4; i++)
		if (fork() == 0) {
			fd = get(&c, 't', &f, &made);
			_exit(fd < 0 ? 100 : f.times);
		}
	for (int i = 0; i < 4; i++) {
		int status = 0;

		CHECK(wait(&status) > 0 && WIFEXITED(status));
		total += WEXITSTATUS(status);
	}
	CHECK(total == 1 && is_there(&c, 't'));
	clean_all(&c);
}

TEST(bounded)
{
	_cleanup_storeimages_ struct storeimages c = {.dir = -1};
	struct storeimages_info info;
	struct fake f = {.blocks = 16};
	bool made = false;
	int held;
	int fd;

	prepare();
	CHECK(storeimages_open(&c, NULL) == 0);
	c.max_bytes = 2 * 65536;
	held = get(&c, 'a', &f, &made);
	CHECK(held >= 0);
	for (const char *p = "bc"; *p; p++) {
		fd = get(&c, *p, &f, &made);
		CHECK(fd >= 0 && close(fd) == 0);
	}
	/* 'a' is used: 'b' went for 'c'. */
	CHECK(is_there(&c, 'a') && !is_there(&c, 'b') && is_there(&c, 'c'));
	CHECK(close(held) == 0);
	set_used(&c, 'a', 100);
	set_used(&c, 'c', 200);
	/* To be used is to be kept. */
	fd = get(&c, 'c', &f, &made);
	CHECK(fd >= 0 && !made && close(fd) == 0);
	fd = get(&c, 'd', &f, &made);
	CHECK(fd >= 0 && close(fd) == 0);
	CHECK(!is_there(&c, 'a') && is_there(&c, 'c') && is_there(&c, 'd'));
	/* One that is too large by itself stays as long as it is the latest. */
	f.blocks = 64;
	fd = get(&c, 'e', &f, &made);
	CHECK(fd >= 0 && !is_there(&c, 'c') && !is_there(&c, 'd') && is_there(&c, 'e'));
	CHECK(storeimages_clean(&c, true, &info, NULL) == 0 && info.n == 1 && info.n_held == 1 && info.freed == 0);
	CHECK(close(fd) == 0);
	c.max_bytes = STOREIMAGE_CACHE_MAX;
	set_used(&c, 'e', 61 * 24 * 3600);
	CHECK(storeimages_clean(&c, false, &info, NULL) == 0 && info.n == 0 && info.freed >= 64 * 4096);
}

TEST(full_disk)
{
	char small[] = "/var/tmp/igloo-storeimage-full-XXXXXX";
	_cleanup_storeimages_ struct storeimages c = {.dir = -1, .max_bytes = STOREIMAGE_CACHE_MAX};
	_cleanup_err_ struct err *e = NULL;
	struct fake f = {.blocks = 2048};
	const struct storeimage_maker maker = {.make = make_fake, .arg = &f};
	char key[STOREIMAGE_KEY_HEX + 1];
	bool made = false;

	CHECK(mkdtemp(small) != NULL);
	if (mount("small", small, "tmpfs", 0, "size=2m") < 0) {
		test_lacks = "root, who may mount";
		CHECK(rmdir(small) == 0);
		return;
	}
	key_like('f', key);
	c.path = xstrdup(small);
	c.dir = open(small, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(storeimage_get(&c, key, &maker, &made, &e) == -ENOSPC);
	CHECK(strstr(err_message(e), "is full") && strstr(err_hints(e), "slot gc"));
	CHECK(!is_there(&c, 'f') && faccessat(c.dir, ".new", F_OK, 0) < 0);
	storeimages_close(&c);
	CHECK(umount2(small, MNT_DETACH) == 0 && rmdir(small) == 0);
}

TEST(nothing_is_left)
{
	_cleanup_free_ char *parent = xstrdup(place);
	_cleanup_close_ int dir = open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	CHECK(dir >= 0 && file_remove_tree(dir, strrchr(parent, '/') + 1, NULL) == 0);
}

TEST_MAIN()
