/* The disk of a slot: who has it, and what an image must be like. */
#include "test.h"

#include "box/slotdisk.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char place[] = "/var/tmp/igloo-slotdisk-XXXXXX";

/* A state folder of this program's own, once. */
static const char *repository(void)
{
	static bool made;

	if (!made) {
		CHECK(mkdtemp(place) != NULL);
		CHECK(setenv("XDG_STATE_HOME", place, 1) == 0);
		made = true;
	}
	return "/some/where";
}

static bool no_mkfs(void)
{
	static const char *const more[] = {"/sbin", "/usr/sbin", NULL};
	_cleanup_free_ char *mkfs = spawn_find("mkfs.ext4", more, NULL);

	test_lacks = mkfs ? NULL : "mkfs.ext4";
	return !mkfs;
}

static void truncate_image(const struct slot *slot, off_t to)
{
	int fd = openat(slot->dir, "disk/image", O_WRONLY | O_CLOEXEC);

	CHECK(fd >= 0 && ftruncate(fd, to) == 0 && close(fd) == 0);
}

static void put(const struct slot *slot, const char *path, const char *text)
{
	CHECK(file_replace(slot->dir, path, text, strlen(text), 0600, false, NULL) == 0);
}

TEST(format)
{
	static const struct {
		const char *text;
		int r;
		uint64_t bytes;
	} cases[] = {{"igloo-disk 1 1073741824\n", 0, SIZE_GIB},
		     {"igloo-disk 1 268435456\n", 0, SLOTDISK_MIN},
		     {"igloo-disk 2 1073741824\n", -EPROTONOSUPPORT, 0},
		     {"igloo-disk 17 qcow2 whatever\n", -EPROTONOSUPPORT, 0},
		     {"igloo-disk 0 1073741824\n", -EBADMSG, 0},
		     {"igloo-disk 1 1073741824", -EBADMSG, 0},
		     {"igloo-disk 1 1073741824\n\n", -EBADMSG, 0},
		     {"igloo-disk 1 1\n", -EBADMSG, 0},
		     {"igloo-disk 1 99999999999999999999999\n", -EBADMSG, 0},
		     {"igloo-disk 1 -1\n", -EBADMSG, 0},
		     {"igloo-disk 1\n", -EBADMSG, 0},
		     {"igloo-disk  1 1073741824\n", -EBADMSG, 0},
		     {"igloo-disk", -EBADMSG, 0},
		     {"", -EBADMSG, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t bytes = 0;

		CHECK(slotdisk_parse_format(cases[i].text, &bytes) == cases[i].r && bytes == cases[i].bytes);
	}
}

TEST(made_kept_and_grown)
{
	_cleanup_slot_ struct slot *slot = NULL;
	_cleanup_err_ struct err *e = NULL;
	struct slotdisk_info info;
	struct stat st;
	int fd;

	if (no_mkfs())
		return;
	CHECK(slotdisk_choose(repository(), "grown", &slot, &e) == 0);
	slotdisk_look(slot->dir, &info);
	CHECK(info.held && info.bytes == 0 && !info.box);
	slotdisk_info_release(&info);

	fd = slotdisk_open(slot, SIZE_GIB, "first", &e);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	CHECK(st.st_size == (off_t)SIZE_GIB && st.st_blocks * 512 < 64 << 20 && (st.st_mode & 0777) == 0600);
	/* QEMU of a supervisor that was killed. */
	CHECK(slotdisk_open(slot, 0, "second", &e) == -EBUSY);
	err_clear(&e);
	CHECK(close(fd) == 0);

	CHECK(slotdisk_open(slot, UINT64_C(9999) * SIZE_GIB, "second", &e) == -ENOSPC);
	err_clear(&e);
	fd = slotdisk_open(slot, 2 * SIZE_GIB, "second", &e);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == (off_t)(2 * SIZE_GIB) && close(fd) == 0);
	fd = slotdisk_open(slot, SIZE_GIB, "third", &e);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == (off_t)(2 * SIZE_GIB) && close(fd) == 0);
	slotdisk_look(slot->dir, &info);
	CHECK(info.held && info.bytes == 2 * SIZE_GIB && info.used > 0 && info.used < 64 << 20);
	CHECK_STR(info.box, "third");
	slotdisk_info_release(&info);
}

TEST(damaged)
{
	_cleanup_slot_ struct slot *slot = NULL;
	_cleanup_err_ struct err *e = NULL;
	int fd;

	if (no_mkfs())
		return;
	CHECK(slotdisk_choose(repository(), "damaged", &slot, &e) == 0);
	fd = slotdisk_open(slot, SLOTDISK_MIN, "x", &e);
	CHECK(fd >= 0 && close(fd) == 0);

	put(slot, "disk/format", "igloo-disk 2 zfs\n");
	CHECK(slotdisk_open(slot, 0, "x", &e) == -EPROTONOSUPPORT && strstr(err_message(e), "newer igloo"));
	err_clear(&e);
	put(slot, "disk/format", "something else, and quite a bit longer than any line that igloo writes there\n");
	CHECK(slotdisk_open(slot, 0, "x", &e) == -EBADMSG);
	err_clear(&e);
	put(slot, "disk/format", "igloo-disk 1 268435456\n");
	truncate_image(slot, 1 << 20);
	CHECK(slotdisk_open(slot, 0, "x", &e) == -EBADMSG && strstr(err_message(e), "cut short"));
	err_clear(&e);
	truncate_image(slot, 0);
	truncate_image(slot, SLOTDISK_MIN);
	CHECK(slotdisk_open(slot, 0, "x", &e) == -EBADMSG && strstr(err_message(e), "no ext4"));
	err_clear(&e);

	/* A link in its place, and none at all: what is recorded does not count. */
	CHECK(unlinkat(slot->dir, "disk/image", 0) == 0 && symlinkat("/dev/null", slot->dir, "disk/image") == 0);
	CHECK(slotdisk_open(slot, 0, "x", &e) < 0);
	err_clear(&e);
	CHECK(unlinkat(slot->dir, "disk/image", 0) == 0);
	fd = slotdisk_open(slot, 2 * SLOTDISK_MIN, "x", &e);
	CHECK(fd >= 0 && close(fd) == 0);
	CHECK(slotdisk_remove(slot, &e) == 0);
	CHECK(faccessat(slot->dir, "disk/image", F_OK, 0) < 0 && faccessat(slot->dir, "disk/format", F_OK, 0) < 0);
}

TEST(one_machine_at_a_time)
{
	struct slot *slots[SLOTDISK_SLOTS + 1] = {NULL};
	_cleanup_slot_ struct slot *again = NULL;
	_cleanup_err_ struct err *e = NULL;

	for (int i = 0; i < SLOTDISK_SLOTS; i++) {
		CHECK(slotdisk_choose(repository(), NULL, &slots[i], &e) == 0);
		for (int k = 0; k < i; k++)
			CHECK(strcmp(slots[i]->id, slots[k]->id) != 0);
	}
	CHECK(str_starts(slots[0]->id, "where-") && str_starts(slots[9]->id, "10-"));
	CHECK(slotdisk_choose(repository(), NULL, &slots[SLOTDISK_SLOTS], &e) == -EBUSY);
	CHECK_STR(err_message(e), "All 10 slots are busy");
	err_clear(&e);
	/* Asked for by its name, it is that or none. */
	CHECK(slotdisk_choose(repository(), "3", &again, &e) == -EBUSY && strstr(err_message(e), slots[2]->id));
	err_clear(&e);
	put(slots[2], "disk/box", "fix-it");
	CHECK(slotdisk_choose(repository(), "3", &again, &e) == -EBUSY && strstr(err_message(e), "by box 'fix-it'"));
	err_clear(&e);
	/* A box of another kind shares the slot, and has nothing to do with the disk. */
	CHECK(slot_open(repository(), "3", &again, &e) == 0 && slotdisk_remove(again, &e) == -EBUSY);
	err_clear(&e);
	slot_free(take_ptr(again));
	/* One's own first, when it is free again. */
	slot_free(take_ptr(slots[5]));
	slot_free(take_ptr(slots[0]));
	CHECK(slotdisk_choose(repository(), NULL, &slots[0], &e) == 0 && str_starts(slots[0]->id, "where-"));
	for (int i = 0; i < SLOTDISK_SLOTS; i++)
		slot_free(slots[i]);
}

TEST(cleaning_up)
{
	const char *slash = strrchr(place, '/');
	int parent = open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)repository();
	CHECK(parent >= 0 && file_remove_tree(parent, slash + 1, NULL) == 0 && close(parent) == 0);
}

TEST_MAIN()
